"""Model, loss, optimizer and metrics of a job as Keras objects, and the values in them.

Several jobs with different values can share a compiled program. A program for one job contains the
values as constants. A shared program reads them from variables, which are set before a job runs.

The compiled engine replaces some layers, losses and optimizers of Keras by mathematically equal
ones with fewer or faster operations: tracing takes half a millisecond for each operation, and a
graph starts each operation in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from types import ModuleType
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from dlcli import keras_model
from dlcli.columns.graph_operations import Traced
from dlcli.config import training_choices
from dlcli.config.config_schema import Config
from dlcli.config.layer_choices import L1, L2, OrthogonalRegularizer
from dlcli.config.training_choices import Loss, PiecewiseConstant, WeightKind
from dlcli.metrics.definitions import metrics_of
from dlcli.metrics.metric import ClassRows, Operand, Rows, SumForm
from dlcli.network.layers import DenseLayer, DropoutLayer, Layer, Network
from dlcli.network.monotone import Bounds, bounds_of, bounds_of_changes
from dlcli.schema.section import Section
from dlcli.tasks.task import OutputUnit, Task
from dlcli.training import randomness
from dlcli.training_job import MODEL, Job

_FACTORS: dict[type[Section], str] = {L1: "l1", L2: "l2", OrthogonalRegularizer: "factor"}
"""The parameter of regularizers with one factor. Keras's `L1L2` omits terms with a factor of 0, so
its factors are part of the program."""
Decode = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Maps scaled labels and outputs to labels and predictions in the unit of the target."""


class RuntimeValues:
    """The values that may differ between jobs with the same program.

    Args:
        job: the first job.
        shared: whether other jobs also use the program.
    """

    def __init__(self, job: Job, *, shared: bool = False) -> None:
        self.shared = shared
        self._values = dict(_values_of(job))
        self._variables: dict[str, tf.Variable] = {}
        if shared:
            self._variables = {
                name: tf.Variable(value, trainable=False) for name, value in self._values.items()
            }

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        """Return a constant, or the variable with the value in a shared program."""
        return self._variables[name] if self.shared else self._values[name].tolist()

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables of a shared program."""
        return [*self._variables.values()]

    def variable(self, name: str) -> tf.Variable | None:
        """Return the variable of a shared program; `None` for a constant."""
        return self._variables.get(name)

    def load(self, job: Job) -> None:
        """Set the values of another job with the same program."""
        for name, value in _values_of(job):
            self._variables[name].assign(value)


def without_values(layer: Layer) -> Layer:
    """Return a key that is equal for layers that differ only in runtime values."""
    if isinstance(layer, DropoutLayer):
        return replace(layer, rate=0.5)
    if isinstance(layer, DenseLayer):
        regularizers: dict[str, Any] = {
            role: section.model_copy(update={key: 1.0}) for role, section, key in _factors(layer)
        }
        return replace(layer, **regularizers)
    return layer


def without_sizes(layer: Layer) -> Layer:
    """Return a key that is equal for layers that differ only in inputs and units.

    A single unit has another key: a different operation adds its bias.
    """
    layer = replace(layer, units=min(layer.units, 2))
    return replace(layer, inputs=0) if isinstance(layer, DenseLayer) else layer


def _factors(layer: DenseLayer) -> Iterator[tuple[str, Section, str]]:
    """Yield the role, section and parameter of regularizers whose factor is a runtime value."""
    for role in ("kernel_regularizer", "bias_regularizer"):
        section = getattr(layer, role)
        if (parameter := _FACTORS.get(type(section))) is not None:
            yield role, section, parameter


def optimizer_without_values(job: Job) -> training_choices.Optimizer:
    """Return a key that is equal for optimizers that differ only in runtime values."""
    names = [name for name, _ in _optimizer_values(job)]
    return job.config.optimizer.model_copy(update=dict.fromkeys(names, 0.5))


def _values_of(job: Job) -> Iterator[tuple[str, np.ndarray[Any, Any] | np.generic]]:
    yield "stream_keys", randomness.stream_keys(job.config.seed, randomness.streams_of(job.network))
    yield "rows", np.int32(len(job.train.inputs))
    yield "validation_rows", np.int32(0 if job.validation is None else len(job.validation.inputs))
    yield "epochs", np.int32(job.epochs)
    yield from _optimizer_values(job)
    for name, steps in schedule_durations(job.config, job.steps).items():
        yield name, np.float32(steps)  # the dtype of Keras's schedules
    for layer in job.network.layers:
        if isinstance(layer, DropoutLayer):
            yield f"{layer.name}/threshold", np.uint32(round(layer.rate * 2**32))
            yield f"{layer.name}/scale", np.float64(1 / (1 - layer.rate))
        if isinstance(layer, DenseLayer):
            for role, section, parameter in _factors(layer):
                weight = f"{layer.name}/{role.removesuffix('_regularizer')}"
                yield f"{weight}/factor", _weight_type()(getattr(section, parameter))
    if (unit := job.task.output_unit) is not None:
        yield "scale", np.array(unit.scale)
        yield "offset", np.array(unit.offset)


def _optimizer_values(job: Job) -> Iterator[tuple[str, np.generic]]:
    """Yield the learning rate and the weight decay, with their names in the config."""
    if not isinstance(job.config.learning_rate_schedule, PiecewiseConstant):
        # Keras's schedules use float32 for weights of any dtype.
        yield "learning_rate", np.float32(job.config.optimizer.learning_rate)
    decay = getattr(job.config.optimizer, "weight_decay", None)
    if decay is not None:
        yield "weight_decay", _weight_type()(decay)


def _weight_type() -> type[np.floating[Any]]:
    return np.float64 if keras.config.floatx() == "float64" else np.float32


@dataclass(frozen=True)
class Learner:
    """A model and the objects that train it, for both engines."""

    model: keras.Model
    """The network, with dlcli's dropout masks and augmentation."""
    optimizer: keras.optimizers.Optimizer
    loss: keras.losses.Loss
    """The loss without regularization penalties, which the model contains."""
    metrics: list[keras.metrics.Metric]
    keys: tf.Variable
    """Keys of the random bits of a step, see `step_keys`; engines set them before the step."""
    runtime: RuntimeValues
    """The values that a shared program reads at runtime."""
    any_size: bool
    """True if the program is traced for any batch size and any units of hidden layers."""
    batch_share: BatchShare
    """The rows of this worker in a batch, which are set while the program is traced."""

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """All variables that a step changes, by name."""
        groups = {MODEL: self.model.variables, "optimizer/": self.optimizer.variables}
        return {
            f"{group}{index}": variable
            for group, variables in groups.items()
            for index, variable in enumerate(variables)
        }

    def begin_step(self, epoch: tf.Tensor, step: tf.Tensor) -> None:
        """Set the keys of a step.

        Args:
            epoch: the epoch, from 0.
            step: the step within the epoch, from 0.
        """
        if self.keys.shape[0]:
            keys = randomness.as_tensor(self.runtime["stream_keys"], tf.uint32)
            self.keys.assign(randomness.step_keys(keys, epoch, step))

    def rate(self) -> tf.Tensor:
        """Return the learning rate of the last step; before training, of the first step."""
        rate = self._inner_optimizer._learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            iterations = tf.convert_to_tensor(self._inner_optimizer._iterations)
            return rate(tf.maximum(iterations - 1, 0))
        return tf.convert_to_tensor(rate)

    def set_rate(self, rate: tf.Tensor) -> None:
        """Set the learning rate of an optimizer without a schedule."""
        self._inner_optimizer._learning_rate.assign(rate)

    @property
    def _inner_optimizer(self) -> keras.optimizers.Optimizer:
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)


def build_learner(
    job: Job,
    *,
    shared: bool = False,
    jit_compile: bool = False,
    is_reference: bool = False,
    any_size: bool = False,
    share: BatchShare | None = None,
) -> Learner:
    """Build the Keras objects of a job, with its initial weights.

    Args:
        job: the job.
        shared: whether other jobs with other runtime values also use the program.
        jit_compile: whether XLA compiles the program.
        is_reference: whether to use Keras's loss and optimizer even if the compiled engine has
            versions with fewer operations.
        any_size: whether the program is traced for any batch size and any units of hidden layers.
        share: the rows of this worker in a batch; all rows if omitted.
    """
    config, dropout_index, augment_index = job.config, count(), count()
    runtime, streams = RuntimeValues(job, shared=shared), randomness.streams_of(job.network)
    keys = tf.Variable(np.zeros((len(streams), 2), np.uint32), trainable=False)
    share = share or BatchShare()

    def draw(rows: tf.Tensor | int, width: tf.Tensor | int, stream: int) -> tf.Tensor:
        return randomness.random_bits(rows, width, keys[streams.index(stream)], share.positions)

    def regularizer(section: Section, weight: str) -> keras.regularizers.Regularizer:
        made = keras_model.plain_regularizer(section, weight)
        if (factor := runtime.variable(f"{weight}/factor")) is not None:
            setattr(made, _FACTORS[type(section)], factor)
        return made

    def dropout(layer: DropoutLayer) -> keras.layers.Layer:
        threshold, scale = (runtime[f"{layer.name}/{name}"] for name in ("threshold", "scale"))
        return randomness.MaskedDropout(layer.name, threshold, scale, draw, next(dropout_index))

    model = keras_model.build_model(
        job.network,
        seed=config.seed,
        precision=config.precision,
        factories=keras_model.Factories(
            dropout=dropout,
            augment=lambda images: randomness.AugmentedImages(images, draw, next(augment_index)),
            regularizer=regularizer,
            normalization=partial(BatchNormalization, share),
            activation=lambda name: silu if name == "silu" else name,
            dense=partial(_dense_class, job, jit_compile, any_size),
        ),
    )
    if job.initial_weights is not None:
        keras_model.assign_weights(model, job.network, job.initial_weights)
    constrain(model, job.network, config.input.scaling_multiplier)
    if any_size:
        _forget_shapes(model.variables)
    kinds = [*keras_model.weight_kinds(model, job.network)]
    optimizer = keras_optimizer(config, job.steps, runtime, kinds, is_compact=not is_reference)
    # `fit` would build it before variables have values, but schedule_free_adamw copies weights.
    optimizer.build(model.trainable_variables)
    if any_size:
        _forget_shapes(optimizer.variables)
    outputs, section = job.network.outputs, job.head.loss
    soft = 0 if job.soft_labels is None else outputs
    metrics = keras_metrics(job.head.metrics, job.task, outputs, section, runtime, soft)
    loss = loss_of(job, is_compact=not is_reference)
    return Learner(model, optimizer, loss, metrics, keys, runtime, any_size, share)


def constrain(model: keras.Model, network: Network, multiplier: float | None) -> None:
    """Move the weights into the bounds of a monotone network, now and after each step.

    Args:
        model: the model.
        network: its layers.
        multiplier: the learning rate multiplier of the scaling layer; `None` without one.
    """
    bounds = bounds_of(network)
    if not bounds:
        return
    limits = {
        id(variable): bounds[name]
        for name, variable in keras_model.named_variables(model, network)
        if name in bounds
    }
    for kind, variable in keras_model.weight_kinds(model, network):
        if kind == "scaling_layer" and multiplier is not None:
            limits[id(variable)] = bounds_of_changes(network, multiplier)
    for variable in model.trainable_variables:
        if id(variable) in limits:
            variable.constraint = Within(limits[id(variable)])
            variable.assign(variable.constraint(variable))


class Within(keras.constraints.Constraint):
    """Moves each element of a weight to the nearest value within its bounds.

    Args:
        bounds: the bounds, with the shape of the weight.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def __call__(self, w: Any) -> Any:  # noqa: ANN401
        """Return the nearest values."""
        values, bounds = tf.convert_to_tensor(w), self._bounds
        low, high = (tf.constant(each, values.dtype) for each in (bounds.low, bounds.high))
        return tf.minimum(tf.maximum(values, low), high)


def _dense_class(
    job: Job, jit_compile: bool, any_size: bool, layer: DenseLayer
) -> type[keras.layers.Dense]:
    kind: type[keras.layers.Dense] = keras.layers.Dense
    if layer.units == 1 and jit_compile:
        kind = SummedDense
    elif layer.units > 1 and any_size:
        kind = BiasedDense
    multiplier = job.config.input.scaling_multiplier
    if multiplier is not None and layer is job.network.layers[0]:
        kind = keras_model.with_scaling_layer(kind, multiplier, job.network.columns_of_inputs)
    return kind


def _forget_shapes(variables: Sequence[keras.Variable]) -> None:
    """Hide the shape of variables, but not their rank, while TensorFlow traces a program.

    Another job's variables can then replace them.
    """
    for variable in variables:
        value, shape = variable.value, [None] * variable.shape.rank
        variable._initialize(tf.Variable(value, trainable=variable.trainable, shape=shape))


def loss_of(job: Job, *, is_compact: bool = False) -> keras.losses.Loss:
    """Return the Keras loss of a job's labels and outputs, see `keras_loss`."""
    loss = keras_loss(job.head.loss, is_compact=is_compact)
    return loss if job.soft_labels is None else SoftLabelLoss(loss, job.network.outputs)


class SoftLabelLoss(keras.losses.Loss):
    """The loss of soft labels, which are followed by the true labels.

    Args:
        loss: the loss.
        units: the number of soft labels of a row.
    """

    def __init__(self, loss: keras.losses.Loss, units: int) -> None:
        super().__init__()
        self._loss, self._units = loss, units

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the loss of each row, (rows,)."""
        return self._loss.call(y_true[:, : self._units], y_pred)


def keras_loss(section: Loss, *, is_compact: bool = False) -> keras.losses.Loss:
    """Return the Keras loss that a section describes.

    Args:
        section: the loss.
        is_compact: whether to prefer an implementation with fewer operations.
    """
    if section.formula is not None:
        return FormulaLoss(section.formula)
    kind: type[keras.losses.Loss] = _class_of(keras.losses, section, is_compact)
    return kind(**keras_model.parameters_of(section))


class FormulaLoss(keras.losses.Loss):
    """A loss that Keras lacks, computed by a formula written for NumPy.

    Args:
        formula: maps labels and outputs to losses, all (rows, units); the loss of a row is the mean
            over its units.
    """

    def __init__(self, formula: Callable[[Operand, Operand], Operand]) -> None:
        super().__init__()
        self._formula = formula

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the loss of each row, (rows,)."""
        losses = self._formula(*(Traced(apply_keras, each) for each in (y_true, y_pred)))
        return tf.reduce_mean(losses.value, axis=-1)


def _class_of(module: ModuleType, section: Section, is_compact: bool) -> Any:  # noqa: ANN401
    name = type(section).__name__
    return COMPACT[name] if is_compact and name in COMPACT else getattr(module, name)


def keras_optimizer(
    config: Config,
    steps: int,
    runtime: RuntimeValues,
    kinds: Sequence[tuple[WeightKind, keras.Variable]] = (),
    *,
    is_compact: bool = False,
) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer that a config describes, with its schedule.

    Args:
        config: the optimizer, its schedule and multipliers, `epochs` and `precision` are read. With
            `mixed_float16`, the loss is scaled to avoid underflow, as in `Model.compile`.
        steps: number of steps per epoch.
        runtime: the values that a shared program reads at runtime.
        kinds: the trained weights, with their kinds.
        is_compact: whether to prefer an implementation with fewer operations.
    """
    section, durations = config.optimizer, schedule_durations(config, steps)
    rate = _rate(config.learning_rate_schedule, section.learning_rate, steps, durations)
    kind = _class_of(keras.optimizers, section, is_compact)
    multipliers = [_multiplier(config.learning_rate_multipliers, each) for each, _ in kinds]
    if any(multiplier != 1 for multiplier in multipliers):
        kind = _with_multipliers(kind, multipliers)
    optimizer = kind(**{**keras_model.parameters_of(section), "learning_rate": rate})
    excluded = config.exclude_from_weight_decay
    optimizer.exclude_from_weight_decay([weight for each, weight in kinds if each in excluded])
    # Without this, a sum over the only replica would permanently register a gradient function with
    # TensorFlow, which references the rows, the weights and the state of the optimizer.
    optimizer._all_reduce_sum_gradients = list
    if (decay := runtime.variable("weight_decay")) is not None:
        optimizer.weight_decay = decay
    variable = runtime.variable("learning_rate")
    if variable is not None and isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        # Without a schedule, Keras stores the rate in a variable.
        warms_up = getattr(rate, "warmup_target", None) is not None
        setattr(rate, "warmup_target" if warms_up else "initial_learning_rate", variable)
        for name in durations:
            setattr(rate, name, runtime.variable(name))
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _multiplier(
    section: training_choices.LearningRateMultipliers, kind: WeightKind
) -> float | Literal["inverse_sqrt_fan_in"]:
    multiplier: float | Literal["inverse_sqrt_fan_in"]
    multiplier = 1.0 if kind == "scaling_layer" else getattr(section, kind)
    return multiplier


def _with_multipliers(
    kind: type[keras.optimizers.Optimizer],
    multipliers: Sequence[float | Literal["inverse_sqrt_fan_in"]],
) -> type[keras.optimizers.Optimizer]:
    """Derive an optimizer that multiplies the learning rate of each weight by a factor."""

    class Multiplied(kind):
        def rate_of(self, variable: Any, rate: Any) -> Any:  # noqa: ANN401
            multiplier = multipliers[self._get_variable_index(variable)]
            if multiplier != "inverse_sqrt_fan_in":
                return rate if multiplier == 1 else rate * multiplier
            # In a program for any size, the number of inputs is known only at runtime. The root and
            # the division have the same rounding errors at runtime as for constants.
            inputs = randomness.size_of(tf.convert_to_tensor(variable), 0)
            return rate / tf.sqrt(tf.cast(inputs, rate.dtype))

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:  # noqa: ANN401
            super().update_step(gradient, variable, self.rate_of(variable, learning_rate))

    return Multiplied


def _rate(
    schedule: training_choices.Schedule, rate: float, steps: int, durations: Mapping[str, float]
) -> Any:  # noqa: ANN401
    schedules = keras.optimizers.schedules
    if isinstance(schedule, PiecewiseConstant):
        # In Keras, a value applies up to and including its boundary, and the first step is 0.
        boundaries = [epoch * steps - 1 for epoch in schedule.boundaries]
        return schedules.PiecewiseConstantDecay(boundaries, [rate, *schedule.values])
    if not durations:
        return rate
    in_epochs = {"decay_epochs", "warmup_epochs", "first_decay_epochs", "cycles"}
    own = schedule.model_dump(exclude={"name", *in_epochs})
    if durations.get("warmup_steps", 0) > 0:
        rate, own["warmup_target"] = 0.0, rate
    return getattr(schedules, type(schedule).__name__)(rate, **durations, **own)


def schedule_durations(config: Config, steps: int) -> dict[str, float]:
    """Return the durations of a schedule in steps, by the names of Keras's arguments.

    Args:
        config: `learning_rate_schedule` and `epochs` are read.
        steps: number of steps per epoch.
    """
    schedule = config.learning_rate_schedule
    if isinstance(schedule, training_choices.ExponentialDecay):
        return {"decay_steps": schedule.decay_epochs * steps}
    if isinstance(schedule, training_choices.CosineDecay):
        decay_epochs = schedule.decay_epochs or config.epochs - schedule.warmup_epochs
        return {
            "decay_steps": max(round(decay_epochs * steps), 1),
            "warmup_steps": round(schedule.warmup_epochs * steps),
        }
    if isinstance(schedule, training_choices.CosineDecayRestarts):
        return {"first_decay_steps": schedule.first_decay(config.epochs) * steps}
    return {}


def keras_metrics(
    names: Sequence[str],
    task: Task,
    outputs: int,
    loss: Loss,
    runtime: RuntimeValues,
    soft: int = 0,
) -> list[keras.metrics.Metric]:
    """Return the metrics of an epoch, in the unit of the target.

    Args:
        names: the names of the metrics.
        task: the task.
        outputs: number of outputs of the network.
        loss: the loss, which determines the meaning of the outputs.
        runtime: the values that a shared program reads at runtime.
        soft: the number of soft labels that precede the true labels, see `Job.labels`.
    """
    trained, unit = task.for_loss(loss), task.output_unit
    decode = None if unit is None else _number_decoder(unit, runtime)
    is_pair = len(task.classes) == 2 and outputs == 2  # the second class is the positive one

    def rows_of(labels: Operand, predicted: Operand) -> Rows:
        kind = trained.rows_type
        if is_pair:
            predicted = predicted[:, 1:]
            labels = labels[:, 1:] if len(labels.shape) > 1 else labels[:, np.newaxis]
        elif kind is ClassRows and len(labels.shape) > 1:
            labels = np.argmax(labels, axis=1)
        return kind(labels, predicted, None)

    true = task.width if task.outcome == "numbers" else outputs
    one_row = rows_of(np.zeros((1, true)), np.zeros((1, outputs)))
    known = metrics_of(one_row, trained.loss_metric)
    made: list[keras.metrics.Metric] = []
    for name in names:
        form = known[name].forms[one_row.kind]
        if form.keras is not None:
            made.append(KerasMetric(form.keras, rows_of, one_row.outputs.shape[1], name, soft))
        else:
            assert isinstance(form, SumForm)
            made.append(SumMetric(form, rows_of, decode, one_row, name, soft))
    return made


RowsOf = Callable[[Operand, Operand], Rows]
"""Returns the rows of labels and outputs of a batch."""


class SumMetric(keras.metrics.Metric):
    """A metric computed from sums over rows, by the same formulas as its final value.

    Args:
        form: the formulas.
        rows_of: returns the rows for labels and outputs in the unit of the target.
        decode: converts labels and outputs to the unit of the target; `None` if not necessary.
        one_row: any row, which determines the number of sums.
        name: the name of the metric.
        soft: the number of soft labels, which the metric ignores.
    """

    def __init__(
        self,
        form: SumForm,
        rows_of: RowsOf,
        decode: Decode | None,
        one_row: Rows,
        name: str,
        soft: int = 0,
    ) -> None:
        super().__init__(name=name)
        self._form, self._rows_of, self._decode, self._soft = form, rows_of, decode, soft
        with np.errstate(all="ignore"):
            self._sizes = [np.shape(term)[1] for term in form.terms(one_row)]
        self._sums = self.add_variable((sum(self._sizes),), "zeros", name="sums")

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Add a batch, (rows, ...)."""
        pair = (_true_labels(y_true, self._soft), tf.convert_to_tensor(y_pred))
        if self._decode is not None:
            pair = self._decode(*pair)
        terms = self._form.terms(self._rows_of(*(Traced(apply_keras, each) for each in pair)))
        summed = tf.concat([tf.cast(term.value, self.dtype) for term in terms], axis=1)
        if sample_weight is not None:
            weights = tf.cast(tf.convert_to_tensor(sample_weight), self.dtype)
            # Padding has the weight 0, and its terms may be undefined.
            summed = tf.math.multiply_no_nan(summed, tf.reshape(weights, [-1, 1]))
        self._sums.assign_add(tf.reduce_sum(summed, axis=0))

    def result(self) -> tf.Tensor:
        """Return the metric over all batches since the last reset."""
        sums = tf.split(tf.convert_to_tensor(self._sums), self._sizes)
        return self._form.value(*(Traced(apply_keras, each) for each in sums)).value


class KerasMetric(keras.metrics.Metric):
    """A metric of Keras, for a metric that can't be computed from a few sums over rows.

    Args:
        metric: the name of the Keras class.
        rows_of: returns the rows for labels and outputs.
        parts: the number of labels, over which the metric is averaged; 1 for two classes.
        name: the name of the metric.
        soft: the number of soft labels, which the metric ignores.
    """

    def __init__(self, metric: str, rows_of: RowsOf, parts: int, name: str, soft: int = 0) -> None:
        super().__init__(name=name)
        self._soft = soft
        options = {"multi_label": True, "num_labels": parts} if parts > 1 else {}
        self._metric, self._rows_of = getattr(keras.metrics, metric)(**options), rows_of

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Add a batch, (rows, ...)."""
        rows = self._rows_of(_true_labels(y_true, self._soft), tf.convert_to_tensor(y_pred))
        # Keras requires values in [0, 1]; a sigmoid preserves the order of margins.
        outputs = rows.outputs if rows.has_probabilities else tf.sigmoid(rows.outputs)
        self._metric.update_state(rows.true, outputs, sample_weight=sample_weight)

    def result(self) -> Any:  # noqa: ANN401
        """Return the metric over all batches since the last reset."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Discard all batches."""
        self._metric.reset_state()


def _true_labels(labels: tf.Tensor, soft: int) -> tf.Tensor:
    """Return labels without the soft labels that precede them, see `Job.labels`."""
    labels = tf.convert_to_tensor(labels)
    return labels[:, soft:] if soft else labels


def apply_keras(name: str, *operands: Any, **options: Any) -> tf.Tensor:  # noqa: ANN401
    """Apply the function of Keras with the name of a NumPy function, see `Traced`."""
    # These are single operations, while Keras uses several.
    if name == "take_along_axis":
        values, indices = operands
        return tf.gather(values, indices, axis=1, batch_dims=1)
    if name == "argmax":
        return tf.argmax(*operands, **options, output_type=tf.int32)
    return getattr(keras.ops, name)(*operands, **options)


def _number_decoder(unit: OutputUnit, runtime: RuntimeValues) -> Decode:
    scale, offset = runtime["scale"], runtime["offset"]

    def to_unit(scaled: tf.Tensor) -> tf.Tensor:
        scaled = tf.convert_to_tensor(scaled)
        unscaled = scaled * tf.cast(scale, scaled.dtype)
        if not unit.is_log:  # errors do not depend on the offset, which costs digits in float32
            return unscaled
        return tf.math.expm1(unscaled + tf.cast(offset, scaled.dtype))

    return lambda labels, outputs: (to_unit(labels), to_unit(outputs))


MOST_SUMMED_INPUTS = 1024
"""Maximum number of inputs of `SummedDense`. With more inputs, the product of matrix and vector is
faster, because sums would gather the rows twice."""


@dataclass
class BatchShare:
    """The rows of this worker in a batch."""

    positions: tf.Tensor | None = None
    """The indices of the rows in the whole batch, int64 (rows,); `None` for all rows."""
    real: tf.Tensor | None = None
    """1 for a row, 0 for padding, (rows,); `None` without padding."""
    add_up: Callable[[tf.Tensor], tf.Tensor] = tf.identity
    """Sums a tensor over all workers of a cluster."""

    @property
    def is_whole(self) -> bool:
        """True for the whole batch without padding."""
        return self.real is None and self.add_up is tf.identity


def silu(x: tf.Tensor) -> tf.Tensor:
    """Return `x σ(x)`, as Keras's `silu`.

    TensorFlow's function permanently registers its gradient and with it the graph of each training
    job, so a process that trains repeatedly would need more and more memory.
    """
    return x * tf.sigmoid(x)


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization, with the mean and variance of the whole batch without padding.

    Args:
        share: the rows of this worker in a batch.
        settings: the arguments of Keras's layer.
    """

    def __init__(self, share: BatchShare, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._share = share

    def _moments(self, inputs: tf.Tensor, mask: None) -> tuple[tf.Tensor, tf.Tensor]:
        share = self._share
        if share.is_whole:
            moments: tuple[tf.Tensor, tf.Tensor] = super()._moments(inputs, mask)
            return moments
        # At least in float32, as in Keras; deviations from the mean avoid cancellation.
        kind = tf.float32 if inputs.dtype in (tf.float16, tf.bfloat16) else inputs.dtype
        x, real = tf.cast(inputs, kind), share.real
        real = tf.ones(tf.shape(x)[:1], kind) if real is None else tf.cast(real, kind)
        weights = real[:, tf.newaxis]
        sums = tf.reduce_sum(weights * x, 0), tf.reduce_sum(weights, 0)
        total = share.add_up(tf.concat(sums, 0))
        mean = total[:-1] / total[-1]
        deviations = share.add_up(tf.reduce_sum(weights * tf.square(x - mean), 0))
        return tf.cast(mean, inputs.dtype), tf.cast(deviations / total[-1], inputs.dtype)


class SummedDense(keras.layers.Dense):
    """A Dense layer of one unit, computed as products summed over the inputs.

    XLA would fuse the previous activation into the product of matrix and vector, and recompute it
    column by column for each term of the gradient of the kernel. With 4,096 rows and 825 units,
    this takes half of the time of a step. XLA also fuses the sums, but row by row, in the order in
    memory.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: ANN401
        """Map (rows, inputs) to (rows, 1)."""
        if inputs.shape[-1] > MOST_SUMMED_INPUTS:
            return super().call(inputs, training=training)
        x = keras.ops.sum(inputs * keras.ops.transpose(self.kernel), axis=-1, keepdims=True)
        if self.bias is not None:
            x += self.bias
        return x if self.activation is None else self.activation(x)


class BiasedDense(keras.layers.Dense):
    """A Dense layer with an unknown number of units.

    It adds the bias by the operation that Keras uses for a known number of units.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: ANN401
        """Map (rows, inputs) to (rows, units)."""
        x = keras.ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            x = tf.nn.bias_add(x, self.bias)
        return x if self.activation is None else self.activation(x)


class OneHotCrossentropy(keras.losses.CategoricalCrossentropy):
    """Keras's sparse categorical cross-entropy, computed with one-hot labels.

    With deterministic operations, TensorFlow gathers the probability of the class of each row by
    about 30 operations, and its gradient by 140. Here these are a product and a sum.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Map class indices (rows,) and probabilities (rows, classes) to losses (rows,)."""
        labels = tf.one_hot(tf.cast(y_true, tf.int32), y_pred.shape[-1], dtype=y_pred.dtype)
        # Keras's softmax attaches the logits to its result, for use by losses.
        if (logits := getattr(y_pred, "_keras_logits", None)) is None:
            return super().call(labels, y_pred)
        return -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, but it computes the scheduled learning rate and bias corrections once per step.

    Keras computes them for each weight. AMSGrad and sparse gradients, such as of embeddings, use
    Keras's implementation.
    """

    def rate_of(self, variable: Any, rate: Any) -> Any:  # noqa: ANN401
        """Return the learning rate of a weight, given the learning rate of the optimizer."""
        return rate

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        if self.weight_decay is None:
            return
        kind = variables[0].dtype
        decay, rate = tf.cast(self.weight_decay, kind), tf.cast(self.learning_rate, kind)
        for variable in variables:
            if self._use_weight_decay(variable):
                variable.value.assign_sub(variable.value * decay * rate, read_value=False)

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: tf.Tensor
    ) -> None:
        kind = trainable_variables[0].dtype
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, kind)
        power1, power2 = (tf.pow(tf.cast(beta, kind), step) for beta in (self.beta_1, self.beta_2))
        rate = tf.cast(learning_rate, kind) * tf.sqrt(1 - power2) / (1 - power1)
        share1, share2 = (tf.constant(1 - beta, kind) for beta in (self.beta_1, self.beta_2))
        epsilon = tf.constant(self.epsilon, kind)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
                self.update_step(gradient, variable, learning_rate)
                continue
            index = self._get_variable_index(variable)
            momentum, velocity = self._momentums[index].value, self._velocities[index].value
            m, v = momentum.value(), velocity.value()
            m += (gradient - m) * share1
            v += (tf.square(gradient) - v) * share2
            momentum.assign(m, read_value=False)
            velocity.assign(v, read_value=False)
            change = m * self.rate_of(variable, rate) / (tf.sqrt(v) + epsilon)
            variable.value.assign_sub(change, read_value=False)


class FusedAdamW(FusedAdam, keras.optimizers.AdamW):
    """`FusedAdam` with decoupled weight decay."""


COMPACT: Mapping[str, Any] = {
    "Adam": FusedAdam,
    "AdamW": FusedAdamW,
    "SparseCategoricalCrossentropy": OneHotCrossentropy,
}
"""Implementations with fewer operations, by the names of Keras's classes."""
