"""What follows from the target: output, loss and metrics, filled in or found to contradict it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlcli.config.activations import Activation, Exponential, Linear, Sigmoid, Softmax
from dlcli.config.features import Standard, Unscaled
from dlcli.config.layers import Output
from dlcli.config.losses import (
    BinaryCrossentropy,
    Loss,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from dlcli.config.paths import format_path
from dlcli.config.schema import Config
from dlcli.config.training import MetricName
from dlcli.encoding import TargetKind
from dlcli.encoding.refusal import refuse
from dlcli.errors import ConfigError, Problem, did_you_mean
from dlcli.table import Table

NUMBER_LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "poisson",
    "cosine_similarity",
    "kl_divergence",
)
SEVERAL_NUMBERS_LOSSES = ("cosine_similarity", "kl_divergence")
OWN_UNIT_LOSSES = (
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "cosine_similarity",
    "kl_divergence",
)
"""Losses that mean nothing once the target's zero is moved."""
POSITIVE_LOSSES = ("mean_squared_logarithmic_error", "poisson", "kl_divergence")
"""Losses of targets that are never negative."""
PROBABILITY_LOSSES = ("binary_crossentropy", "binary_focal_crossentropy")
MARGIN_LOSSES = ("hinge", "squared_hinge")
CLASSES_LOSSES = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
)

PROBABILITIES = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")
MARGINS = ("linear", "tanh", "softsign", "hard_tanh")
POSITIVES = (
    *PROBABILITIES,
    "exponential",
    "softplus",
    "squareplus",
    "sparse_plus",
    "relu",
    "relu6",
    "softmax",
)
RANGES = {
    **dict.fromkeys((*PROBABILITIES, "softmax"), (0.0, 1.0)),
    **dict.fromkeys(("tanh", "softsign", "hard_tanh"), (-1.0, 1.0)),
    "relu6": (0.0, 6.0),
}
"""The least and the most that an activation gives."""
OVER_UNITS = ("softmax", "log_softmax")

NUMBER_METRICS: tuple[MetricName, ...] = ("mae", "mse", "rmse", "r2")
BINARY_METRICS: tuple[MetricName, ...] = ("accuracy", "auc", "precision", "recall", "f1")
CLASSES_METRICS: tuple[MetricName, ...] = ("accuracy", "f1", "top_3_accuracy")


@dataclass(frozen=True)
class Head:
    """The end of a network, complete."""

    output: Output
    """With units and activation, and for numbers a scaling."""
    loss: Loss
    """What training makes small."""
    metrics: tuple[MetricName, ...]
    """What each epoch also shows."""


def resolve_head(config: Config, target: TargetKind) -> Head:
    """Fills in what the config leaves out of output, loss and metrics.

    Args:
        config: reads `output`, `loss`, `metrics`, `class_weight` and what is monitored.
        target: what is predicted.

    Raises:
        ConfigError: with everything in which they contradict the target.
    """
    head = _fill_in(config, target)
    problems = [Problem(path, message) for path, message in _contradictions(head, config, target)]
    if problems:
        raise ConfigError(problems)
    return head


def check_values(head: Head, target: TargetKind, tables: Sequence[Table]) -> None:
    """Refuses values of a target that its loss has no number for.

    Args:
        head: tells the loss.
        target: what is predicted.
        tables: all rows with a target.

    Raises:
        DataError: for a negative value where the loss takes its logarithm.
    """
    if head.loss.name not in POSITIVE_LOSSES:
        return
    for table in tables:
        for column in target.columns:
            _refuse_negative(head.loss.name, table, column)


def unreachable(head: Head, target: TargetKind, train: Table) -> Iterator[str]:
    """Says of each number that the output's activation can't reach it, as it is trained.

    Args:
        head: output, with its scaling.
        target: what is predicted.
        train: the training rows.
    """
    output = head.output
    if target.classes or output.activation is None or not isinstance(output.scaling, Unscaled):
        return
    name = output.activation.name
    low, high = RANGES.get(name, (0.0 if name in POSITIVES else -math.inf, math.inf))
    for column in target.columns:
        values = train.numbers(column)
        if values.min() < low or values.max() > high:
            spread = f"{values.min():g} to {values.max():g}"
            reach = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
            yield (
                f"the target '{column}' goes from {spread}, and an output with '{name}' only "
                f"reaches {reach}; leave output.activation out, or set output.scaling"
            )


def _refuse_negative(loss: str, table: Table, column: str) -> None:
    values = table.numbers(column)
    said = f"the loss '{loss}' wants a target of 0 or more, got {{:g}}".format
    refuse(values < 0, table, column, lambda at: said(values[at]))


def _fill_in(config: Config, target: TargetKind) -> Head:
    count = len(target.classes)
    loss = config.loss or _usual_loss(config.output, count)
    single = count == 2 and loss.name not in CLASSES_LOSSES
    units = config.output.units or (1 if single else count or len(target.columns))
    activation = config.output.activation or _usual_activation(loss, count)
    scaling = config.output.scaling
    if not count and scaling is None:
        as_is = activation.name != "linear" or loss.name in OWN_UNIT_LOSSES
        scaling = Unscaled() if as_is else Standard()
    update = {"units": units, "activation": activation, "scaling": scaling}
    metrics = config.metrics if config.metrics is not None else _metrics(target)[:1]
    return Head(config.output.model_copy(update=update), loss, metrics)


def _usual_loss(output: Output, classes: int) -> Loss:
    if not classes:
        return MeanSquaredError()
    is_softmax = isinstance(output.activation, Softmax) and output.units != 1
    if classes == 2 and output.units in (None, 1) and not is_softmax:
        return BinaryCrossentropy()
    return SparseCategoricalCrossentropy()


def _usual_activation(loss: Loss, classes: int) -> Activation:
    if loss.name in CLASSES_LOSSES or loss.name == "kl_divergence":
        return Softmax()
    if loss.name in PROBABILITY_LOSSES:
        return Sigmoid()
    return Exponential() if loss.name == "poisson" and not classes else Linear()


def _metrics(target: TargetKind) -> tuple[MetricName, ...]:
    if not target.classes:
        return NUMBER_METRICS
    if len(target.classes) == 2:
        return BINARY_METRICS
    return CLASSES_METRICS if len(target.classes) > 3 else CLASSES_METRICS[:2]


def _contradictions(head: Head, config: Config, target: TargetKind) -> Iterator[tuple[str, str]]:
    yield from _loss_contradictions(head, target)
    yield from _output_contradictions(head, config, target)
    yield from _metric_contradictions(head, config, target)
    if config.class_weight and not target.classes:
        yield "class_weight", f"the target {target.name} is a number and has no classes"
    elif isinstance(config.class_weight, Mapping):
        for name in config.class_weight:
            if name not in target.classes:
                near = did_you_mean(name, target.classes) or f"; there are {_some(target.classes)}"
                yield format_path(("class_weight", name)), f"no such class{near}"


def _loss_contradictions(head: Head, target: TargetKind) -> Iterator[tuple[str, str]]:
    loss, count = head.loss.name, len(target.classes)
    if not count:
        fitting = NUMBER_LOSSES if len(target.columns) > 1 else _without(SEVERAL_NUMBERS_LOSSES)
        if loss in SEVERAL_NUMBERS_LOSSES and loss not in fitting:
            yield "loss", f"'{loss}' is for several numbers, and the target is {target.name} alone"
        elif loss not in fitting:
            yield (
                "loss",
                f"'{loss}' is for classes, and the target {target.name} is a number; use one of "
                f"{', '.join(fitting)}, or data.target: {{column: ..., type: categorical}}",
            )
        return
    fitting = CLASSES_LOSSES
    if count == 2:
        fitting = (*PROBABILITY_LOSSES, *MARGIN_LOSSES, *CLASSES_LOSSES)
    if loss not in fitting:
        yield (
            "loss",
            f"'{loss}' does not fit the {count} classes of the target {target.name}; "
            f"use one of {', '.join(fitting)}",
        )


def _without(left_out: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in NUMBER_LOSSES if name not in left_out)


def _output_contradictions(
    head: Head, config: Config, target: TargetKind
) -> Iterator[tuple[str, str]]:
    output, loss, count = head.output, head.loss.name, len(target.classes)
    if count and output.scaling is not None:
        yield "output.scaling", f"is for numbers, and the target {target.name} is classes"
    wanted = count or len(target.columns)
    if count == 2 and loss not in CLASSES_LOSSES:
        wanted = 1
    if output.units != wanted:
        yield "output.units", f"expected {wanted} ({_why(target, loss)}), got {output.units}"
    elif config.output.activation is not None:
        # One that was filled in fits its loss, and of a loss that fits nothing it was said.
        yield from _activation_contradictions(config.output.activation.name, head, target)
    if not count and output.scaling not in (None, Unscaled()) and loss in OWN_UNIT_LOSSES:
        yield "output.scaling", f"'{loss}' needs the target's own unit; use none"


def _activation_contradictions(
    activation: str, head: Head, target: TargetKind
) -> Iterator[tuple[str, str]]:
    if head.output.units == 1 and activation in OVER_UNITS:
        instead = "sigmoid" if target.classes else "linear"
        yield "output.activation", f"'{activation}' of one unit is constant; use {instead}"
    elif fitting := _fitting_activations(head.loss.name, activation):
        use = ", ".join(fitting)
        message = f"'{activation}' does not fit the loss '{head.loss.name}'; use {use}"
        yield "output.activation", message


def _fitting_activations(loss: str, activation: str) -> tuple[str, ...]:
    """The activations that a loss wants, if this one is not among them."""
    wanted: tuple[str, ...] = ()
    if loss in CLASSES_LOSSES:
        wanted = ("softmax",)
    elif loss in PROBABILITY_LOSSES:
        wanted = PROBABILITIES
    elif loss in MARGIN_LOSSES:
        wanted = MARGINS
    elif loss in ("poisson", "kl_divergence"):
        wanted = POSITIVES
    return () if activation in wanted else wanted


def _why(target: TargetKind, loss: str) -> str:
    if not target.classes:
        return f"one for each of the target's columns {target.name}"
    if len(target.classes) == 2 and loss not in CLASSES_LOSSES:
        return f"one probability for two classes with '{loss}'"
    return f"one for each of the {len(target.classes)} classes {_some(target.classes)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _metric_contradictions(
    head: Head, config: Config, target: TargetKind
) -> Iterator[tuple[str, str]]:
    fitting = _metrics(target)
    what = f"the {len(target.classes)} classes" if target.classes else "the numbers"
    for at, metric in enumerate(head.metrics):
        if metric not in fitting:
            allowed = ", ".join(fitting)
            yield (
                f"metrics[{at}]",
                f"'{metric}' does not fit {what} of {target.name}; use {allowed}",
            )
    known = {"loss", *head.metrics}
    for key in ("early_stopping", "learning_rate_schedule"):
        monitor = getattr(getattr(config, key), "monitor", "loss")
        if monitor.removeprefix("val_") not in known:
            yield f"{key}.monitor", f"'{monitor}' is not measured; add it to metrics"
