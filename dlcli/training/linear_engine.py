"""The engine for small linear models in NumPy, which traces no program.

A linear baseline runs a thousand steps of a few microseconds; tracing and optimizing a TensorFlow
program takes far longer. For a canonical activation, the gradient of the loss with respect to the
weighted sums is the prediction minus the label (McCullagh & Nelder 1989, *Generalized Linear
Models*, 2.5). Rows, their order, loss, updates and the choice of the best epoch are the same as in
the compiled engine; only rounding errors differ.

SciPy's L-BFGS-B would find the minimum of the training loss in about 30 evaluations. The baseline
is better than this minimum, because choosing the best epoch by the validation loss regularizes it;
choosing among 30 iterates regularizes less. With L-BFGS-B, the validation log loss of the linear
model is 0.129 instead of 0.099 on the shipped digits, and 0.543 instead of 0.451 on the reviews.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from dlcli import training_job
from dlcli.config import layer_choices, training_choices
from dlcli.config.config_schema import Config
from dlcli.config.training_choices import Loss
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs, Inputs, SelectedInputs
from dlcli.metrics.deviances import BinomialDeviance, GammaDeviance, TweedieDeviance
from dlcli.metrics.quantiles import pinball_loss
from dlcli.network.activations import Floats, activate
from dlcli.network.layers import DenseLayer, Network, Weights, activation_of
from dlcli.network.monotone import bounds_of
from dlcli.runs.run_writer import Checkpoint
from dlcli.training.randomness import epoch_order

Residuals = Callable[[Floats, NDArray[Any]], tuple[Floats, Floats]]
"""Maps weighted sums, (rows, outputs), and labels to the losses, (rows,), and their gradient with
respect to the sums, (rows, outputs)."""
Matrix = Any
"""A NumPy matrix, or a SciPy matrix in compressed sparse row format."""
MOST_OPERATIONS = 2**23
"""Maximum number of floating-point operations per step, which take half a millisecond."""
_SPARSE_COST = 8
"""Approximate slowdown of an operation on a sparse matrix."""
_UPDATE_COST = 16
"""Approximate number of operations to update a weight: most of the work for sparse rows."""
_EPSILON = 1e-7
"""The epsilon that Keras's Poisson loss and the deviances add to a prediction."""


class LinearEngine:
    """The choice of this engine, see `train_job`."""

    @staticmethod
    def suits(config: Config, network: Network, loss: Loss, *sets: EncodedRows) -> bool:
        """Return whether this engine can train a model and takes less time than tracing a program.

        Args:
            config: the settings. The optimizer must be Adam, and the schedule a cosine decay
                without warmup. With validation rows, training must restore the best epoch by
                `val_loss` and never stop early.
            network: the layers.
            loss: the loss.
            sets: the training rows and, if there are any, the validation rows.
        """
        has_front = network.front.augments or not network.front.is_identity
        are_in_memory = (isinstance(rows.inputs.stored, InMemoryInputs) for rows in sets)
        if has_front or len(network.layers) > 1 or not all(are_in_memory):
            return False
        inputs, parameters = sets[0].inputs, network.parameters
        rows = min(config.batch_size, len(inputs))
        operations = 6.0 * rows * parameters
        if inputs.stored.sparse:
            entries = inputs.values / max(1, len(inputs))
            products = 6 * rows * entries * network.outputs
            operations = _SPARSE_COST * products + _UPDATE_COST * parameters
        return operations <= MOST_OPERATIONS and _residuals(loss, network) is not None


def _matrix(inputs: Inputs) -> Matrix:
    """Return inputs in memory as a matrix, (rows, inputs), which is sparse if any input is."""
    stored = inputs.stored
    assert isinstance(stored, InMemoryInputs)
    if not stored.sparse:
        return inputs.part(0, len(inputs))
    from scipy.sparse import csr_array, hstack

    parts = [
        csr_array((part.values, part.columns, part.starts), (len(stored), part.width))
        for part in stored.sparse
    ]
    width = sum(part.width for part in stored.sparse)
    expansion = stored.expansion and stored.expansion.without_last(width)
    dense = replace(stored, sparse=(), expansion=expansion)
    matrix = hstack([csr_array(dense.part(0, len(dense))), *parts], format="csr")
    return matrix[inputs.rows] if isinstance(inputs, SelectedInputs) else matrix


class _Rows(NamedTuple):
    """The rows of a step or of a set."""

    matrix: Matrix
    """The inputs, (rows, inputs)."""
    labels: NDArray[Any]
    """The labels in the form for the loss, (rows, ...)."""
    weights: Floats | None
    """Row weights, (rows,), or `None`."""

    @classmethod
    def of(cls, encoded: EncodedRows, labels: NDArray[Any], weights: Floats | None) -> _Rows:
        """Return encoded rows in memory, with floating-point numbers in Keras's float type."""
        floats, matrix = keras.config.floatx(), _matrix(encoded.inputs)
        if np.issubdtype(labels.dtype, np.floating):
            labels = labels.astype(floats, copy=False)
        if weights is not None:
            weights = weights.astype(floats, copy=False)
        return cls(matrix.astype(floats, copy=False), labels, weights)

    def take(self, indices: NDArray[np.int64]) -> _Rows:
        weights = None if self.weights is None else self.weights[indices]
        return _Rows(self.matrix[indices], self.labels[indices], weights)


def fit(
    job: training_job.Job,
    progress: training_job.EpochProgress,
    checkpointer: training_job.Checkpointer,
) -> training_job.TrainingResult:
    """Train a linear model for which `LinearEngine.suits` is true; see `train_job`."""
    train, validation = _Rows.of(job.train, job.labels, job.loss_weights), None
    if job.validation is not None and job.validation_labels is not None:
        validation = _Rows.of(job.validation, job.validation_labels, job.validation.weights)
    model = _LinearModel(job)
    history: training_job.History = {}
    best, best_epoch, best_weights = math.inf, None, None
    with np.errstate(all="ignore"):  # training may diverge
        for epoch in range(job.epochs):
            total = 0.0
            for rows in _batches(job, train, epoch):
                total += model.step(rows)
                training_job.check_finite(total, epoch + 1)
            values = {"loss": total / len(train.labels)}
            if validation is not None:
                values["val_loss"] = float(model.losses(validation)[0].mean())
            training_job.record_epoch({**values, "learning_rate": model.rate}, history, progress)
            if values.get("val_loss", math.inf) < best:
                best, best_epoch, best_weights = values["val_loss"], epoch + 1, model.weights()
            if checkpointer.is_due:
                checkpointer.save(Checkpoint({}, history))
    checkpointer.save(Checkpoint({}, history))
    return training_job.TrainingResult(best_weights or model.weights(), history, best_epoch)


def _batches(job: training_job.Job, train: _Rows, epoch: int) -> Iterator[_Rows]:
    """Yield the rows of each step of an epoch."""
    if job.steps == 1:  # the order does not matter
        yield train
        return
    order = epoch_order(len(train.labels), job.train.inputs.width, job.config.seed, epoch)
    for start in range(0, len(order), job.batch_size):
        yield train.take(order[start : start + job.batch_size])


class _LinearModel:
    """The weights of a linear model, and Adam's moving averages of their gradients.

    Args:
        job: the job, with Adam and a cosine decay of the learning rate.
    """

    def __init__(self, job: training_job.Job) -> None:
        layer, optimizer = job.network.layers[-1], job.config.optimizer
        residuals = _residuals(job.head.loss, job.network)
        assert isinstance(layer, DenseLayer)
        assert isinstance(optimizer, training_choices.Adam)
        assert residuals is not None
        self.rate = optimizer.learning_rate
        """The learning rate of the last step."""
        self._name, self._optimizer, self._residuals = layer.name, optimizer, residuals
        self._values = np.zeros((layer.inputs + 1, layer.units), keras.config.floatx())
        """The kernel, with the bias as the last row."""
        assert isinstance(layer.kernel_initializer, layer_choices.Zeros)
        assert isinstance(layer.bias_initializer, layer_choices.Constant)
        self._values[-1] = layer.bias_initializer.value
        self._gradient, self._mean, self._square = (np.zeros_like(self._values) for _ in range(3))
        self._step, self._steps = 0, job.config.epochs * job.steps
        self._bounds = bounds_of(job.network).get(f"{layer.name}/kernel")

    def weights(self) -> Weights:
        """Copy the weights, by name."""
        kernel, bias = self._values[:-1].copy(), self._values[-1].copy()
        return {f"{self._name}/kernel": kernel, f"{self._name}/bias": bias}

    def losses(self, rows: _Rows) -> tuple[Floats, Floats]:
        """Return the weighted loss of each row, and its gradient with respect to the sums.

        Returns:
            The losses, (rows,), and the gradient, (rows, outputs).
        """
        sums = rows.matrix @ self._values[:-1] + self._values[-1]
        losses, gradient = self._residuals(sums, rows.labels)
        if rows.weights is None:
            return losses, gradient
        return losses * rows.weights, gradient * rows.weights[:, np.newaxis]

    def step(self, rows: _Rows) -> float:
        """Update the weights once; return the sum of the losses before the update."""
        losses, gradient = self.losses(rows)
        gradient /= len(losses)
        if isinstance(rows.matrix, np.ndarray):
            np.matmul(rows.matrix.T, gradient, out=self._gradient[:-1])
        else:
            self._gradient[:-1] = rows.matrix.T @ gradient
        gradient.sum(axis=0, out=self._gradient[-1])
        self._update()
        return float(losses.sum())

    def _update(self) -> None:
        """Update the weights with their gradient, as in `keras.optimizers.Adam`."""
        optimizer, gradient = self._optimizer, self._gradient
        self.rate = optimizer.learning_rate * (1 + math.cos(math.pi * self._step / self._steps)) / 2
        self._step += 1
        self._mean += (gradient - self._mean) * (1 - optimizer.beta_1)
        self._square += (gradient * gradient - self._square) * (1 - optimizer.beta_2)
        size = self.rate * math.sqrt(1 - optimizer.beta_2**self._step)
        size /= 1 - optimizer.beta_1**self._step
        self._values -= size * self._mean / (np.sqrt(self._square) + optimizer.epsilon)
        if self._bounds is not None:
            self._values[:-1] = self._bounds.clip(self._values[:-1])


def _residuals(loss: Loss, network: Network) -> Residuals | None:
    """Return the residuals of a loss with its canonical activation; `None` for another one."""
    known: list[tuple[Loss, layer_choices.Activation, Residuals]] = [
        (training_choices.MeanSquaredError(), layer_choices.Linear(), _squared_errors),
        (training_choices.BinaryCrossentropy(), layer_choices.Sigmoid(), _binary_crossentropy),
        (
            training_choices.SparseCategoricalCrossentropy(),
            layer_choices.Softmax(),
            _sparse_crossentropy,
        ),
        (training_choices.Poisson(), layer_choices.Exponential(), _poisson),
        (training_choices.Gamma(), layer_choices.Exponential(), _gamma),
        (training_choices.Binomial(), layer_choices.Sigmoid(), _binomial),
    ]
    if isinstance(loss, training_choices.Tweedie):
        known.append((loss, layer_choices.Exponential(), partial(_tweedie, loss.power)))
    if isinstance(loss, training_choices.QuantileLoss):
        known.append((loss, layer_choices.Linear(), partial(_pinball, loss.levels)))
    activation = activation_of(network.layers[-1])
    return next((each for *pair, each in known if pair == [loss, activation]), None)


def _squared_errors(sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    errors = sums - labels
    return np.square(errors).mean(axis=1), errors * (2 / errors.shape[1])


def _binary_crossentropy(sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    losses: Floats = activate("softplus", sums) - sums * labels
    return losses.mean(axis=1), (activate("sigmoid", sums) - labels) / sums.shape[1]


def _sparse_crossentropy(sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    true = np.arange(len(labels)), labels
    losses = -activate("log_softmax", sums)[true]
    gradient = activate("softmax", sums)
    gradient[true] -= 1
    return losses, gradient


def _poisson(sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    means = np.exp(sums)
    losses: Floats = means - labels * np.log(means + _EPSILON)
    gradient: Floats = means - labels * (means / (means + _EPSILON))
    return losses.mean(axis=1), gradient / sums.shape[1]


def _pinball(levels: Sequence[float], sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    losses: Floats = pinball_loss(levels, labels, sums)
    shares = np.asarray(levels, sums.dtype)
    gradient: Floats = np.where(labels > sums, -shares, 1 - shares) / sums.dtype.type(len(shares))
    return losses.mean(axis=1, dtype=sums.dtype), gradient


def _tweedie(power: float, sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    means = np.exp(sums)
    shifted = means + _EPSILON
    losses: Floats = TweedieDeviance(power).of(labels, shifted)
    gradient: Floats = 2 * means * (shifted - labels) * shifted**-power
    return losses.mean(axis=1), gradient / sums.shape[1]


def _gamma(sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    means = np.exp(sums)
    shifted = means + _EPSILON
    losses: Floats = GammaDeviance().of(labels + _EPSILON, shifted)
    gradient: Floats = 2 * means * (means - labels) / np.square(shifted)
    return losses.mean(axis=1), gradient / sums.shape[1]


def _binomial(sums: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    probabilities = activate("sigmoid", sums)
    shares, means = (np.clip(each, _EPSILON, 1 - _EPSILON) for each in (labels, probabilities))
    losses: Floats = BinomialDeviance().of(shares, means)
    gradient: Floats = np.where(means == probabilities, 2 * (means - shares), 0)
    return losses.mean(axis=1), gradient / sums.shape[1]
