"""The config's loss, optimizer, schedule and metrics as Keras objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from dlcli.config import (
    Config,
    CosineDecay,
    ExponentialDecay,
    Loss,
    MetricName,
    PiecewiseConstant,
    Schedule,
    Section,
)
from dlcli.keras_model import parameters_of, plain_regularizer
from dlcli.tasks import NumberTarget, TargetEncoder
from dlcli.training.numbers import Numbers, factor, factor_key

View = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Labels and outputs as trained on, to labels and predictions as people read them."""


def keras_loss(section: Loss) -> keras.losses.Loss:
    """The Keras loss of a section's name and parameters."""
    return getattr(keras.losses, type(section).__name__)(**parameters_of(section))


def keras_regularizer(
    section: Section, weight: str, numbers: Numbers
) -> keras.regularizers.Regularizer:
    """The Keras regularizer of a section, whose factor a shared program reads when it runs.

    Args:
        section: its name and parameters.
        weight: what it prices, by name.
        numbers: those that the program reads.
    """
    regularizer = plain_regularizer(section, weight)
    variable = numbers.variable(factor(weight))
    if variable is not None:
        setattr(regularizer, str(factor_key(section)), variable)
    return regularizer


def keras_optimizer(
    config: Config, steps: int, numbers: Numbers | None = None
) -> keras.optimizers.Optimizer:
    """The Keras optimizer of a config's name and parameters, with its schedule.

    Args:
        config: reads `optimizer`, `learning_rate_schedule`, `epochs` and `precision`; under
            `mixed_float16` the loss is scaled against underflow, as Keras does by itself.
        steps: steps an epoch.
        numbers: those that the program reads when it runs.
    """
    section = config.optimizer
    rate = _rate(config.learning_rate_schedule, section.learning_rate, config.epochs, steps)
    kind = getattr(keras.optimizers, type(section).__name__)
    optimizer = kind(**{**parameters_of(section), "learning_rate": rate})
    # The sum over replicas, of which there is one, would register a gradient of its own with
    # TensorFlow for good, and with it all that its graph holds: rows, weights and what moves them.
    optimizer._all_reduce_sum_gradients = list
    if numbers is not None:
        _read_from(numbers, optimizer, rate)
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _read_from(numbers: Numbers, optimizer: keras.optimizers.Optimizer, rate: object) -> None:
    """Has an optimizer read weight decay and the learning rate of its schedule from variables.

    Without a schedule, Keras keeps the rate in a variable of its own.
    """
    if (decay := numbers.variable("weight_decay")) is not None:
        optimizer.weight_decay = decay
    learning_rate = numbers.variable("learning_rate")
    if learning_rate is None or not isinstance(
        rate, keras.optimizers.schedules.LearningRateSchedule
    ):
        return
    warms_up = getattr(rate, "warmup_target", None) is not None
    setattr(rate, "warmup_target" if warms_up else "initial_learning_rate", learning_rate)


def _rate(schedule: Schedule, rate: float, epochs: int, steps: int) -> Any:  # noqa: ANN401
    schedules = keras.optimizers.schedules
    if isinstance(schedule, ExponentialDecay):
        decay_steps = schedule.decay_epochs * steps
        return schedules.ExponentialDecay(
            rate, decay_steps, schedule.decay_rate, staircase=schedule.staircase
        )
    if isinstance(schedule, PiecewiseConstant):
        # Keras keeps a value up to and including its boundary; a step is counted from 0.
        boundaries = [epoch * steps - 1 for epoch in schedule.boundaries]
        return schedules.PiecewiseConstantDecay(boundaries, [rate, *schedule.values])
    if isinstance(schedule, CosineDecay):
        warmup = round(schedule.warmup_epochs * steps)
        decay_epochs = schedule.decay_epochs or epochs - schedule.warmup_epochs
        return schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=max(round(decay_epochs * steps), 1),
            alpha=schedule.alpha,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    return rate


class Viewed(keras.metrics.Metric):
    """A Keras metric that sees labels and predictions as people read them."""

    def __init__(self, metric: keras.metrics.Metric, view: View, name: str) -> None:
        super().__init__(name=name)
        self.metric = metric
        self.view = view

    def update_state(
        self,
        y_true: tf.Tensor,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> None:
        """Takes in a batch, (rows, ...)."""
        labels, predictions = self.view(y_true, y_pred)
        self.metric.update_state(labels, predictions, sample_weight=sample_weight)

    def result(self) -> Any:  # noqa: ANN401
        """The metric over all batches since the last reset."""
        return self.metric.result()

    def reset_state(self) -> None:
        """Forgets all batches."""
        self.metric.reset_state()


def keras_metrics(
    names: Sequence[MetricName],
    target: TargetEncoder,
    outputs: int,
    loss: Loss,
    numbers: Numbers | None = None,
) -> list[keras.metrics.Metric]:
    """The metrics of an epoch, in the target's own unit.

    Args:
        names: which.
        target: what is predicted.
        outputs: width of the network's output.
        loss: tells what the output is taken for.
        numbers: those that the program reads when it runs.
    """
    if isinstance(target, NumberTarget):
        view = _number_view(target, numbers)
    else:
        view = _margin_view if loss.output == "margin" else _class_view(outputs)
    deciding = outputs if loss.output in ("margin", "probability") else 0
    return [Viewed(_METRICS[name](deciding), view, name) for name in names]


def _all_right(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """1 for each row of which all labels are right, else 0, (rows,)."""
    right = (labels > 0.5) == (probabilities > 0.5)
    return tf.cast(tf.reduce_all(right, axis=-1), probabilities.dtype)


def _poisson_deviance(counts: tf.Tensor, means: tf.Tensor) -> tf.Tensor:
    """The mean of `2 (y ln(y / ŷ) - y + ŷ)` over each row's counts, (rows,)."""
    counts = tf.cast(counts, means.dtype)
    logarithm = tf.math.xlogy(counts, counts / means)
    return tf.reduce_mean(2 * (logarithm - counts + means), axis=-1)


_METRICS: dict[MetricName, Callable[[int], keras.metrics.Metric]] = {
    "mse": lambda _: keras.metrics.MeanSquaredError(),
    "rmse": lambda _: keras.metrics.RootMeanSquaredError(),
    "mae": lambda _: keras.metrics.MeanAbsoluteError(),
    "r2": lambda _: keras.metrics.R2Score(),
    "poisson_deviance": lambda _: keras.metrics.MeanMetricWrapper(_poisson_deviance),
    "accuracy": lambda deciding: (
        keras.metrics.BinaryAccuracy() if deciding else keras.metrics.CategoricalAccuracy()
    ),
    "auc": lambda deciding: (
        keras.metrics.AUC(multi_label=True, num_labels=deciding)
        if deciding > 1
        else keras.metrics.AUC()
    ),
    "precision": lambda _: keras.metrics.Precision(),
    "recall": lambda _: keras.metrics.Recall(),
    "f1": lambda deciding: keras.metrics.F1Score(
        average="macro", threshold=0.5 if deciding else None
    ),
    "top_3_accuracy": lambda _: keras.metrics.TopKCategoricalAccuracy(k=3),
    "subset_accuracy": lambda _: keras.metrics.MeanMetricWrapper(_all_right),
    "micro_precision": lambda _: keras.metrics.Precision(),
    "micro_recall": lambda _: keras.metrics.Recall(),
    "micro_f1": lambda _: keras.metrics.F1Score(average="micro", threshold=0.5),
    "macro_f1": lambda _: keras.metrics.F1Score(average="macro", threshold=0.5),
}
"""The Keras metric of each name, by how many units decide for themselves at a threshold."""


def _number_view(target: NumberTarget, numbers: Numbers | None) -> View:
    scale = numbers and numbers.variable("scale")
    offset = numbers and numbers.variable("offset")
    if scale is None or offset is None:
        scale = [scaling.scale for scaling in target.scalings]
        offset = [scaling.offset for scaling in target.scalings]
    is_log = target.scalings[0].name == "log"

    def own_unit(scaled: tf.Tensor) -> tf.Tensor:
        scaled = tf.convert_to_tensor(scaled)
        unscaled = scaled * tf.cast(scale, scaled.dtype) + tf.cast(offset, scaled.dtype)
        return tf.math.expm1(unscaled) if is_log else unscaled

    return lambda labels, outputs: (own_unit(labels), own_unit(outputs))


def _margin_view(labels: tf.Tensor, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # The metrics want numbers in [0, 1], and a sigmoid keeps both the order and the sign's side.
    return labels, tf.sigmoid(outputs)


def _class_view(outputs: int) -> View:
    def one_hot(labels: tf.Tensor, probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if len(labels.shape) == 1:
            labels = tf.one_hot(tf.cast(labels, tf.int32), outputs, dtype=probabilities.dtype)
        return labels, probabilities

    return one_hot
