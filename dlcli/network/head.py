"""The end of a network: output, loss and metrics, complete, and what they do to a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.config import (
    BinaryCrossentropy,
    Config,
    Loss,
    MeanSquaredError,
    MetricName,
    Output,
    OutputScaling,
    Poisson,
    Softmax,
    SparseCategoricalCrossentropy,
    Standard,
    Unscaled,
)
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table
from dlcli.tasks import TargetKind, mark_labels


@dataclass(frozen=True)
class Head:
    """The end of a network, complete."""

    output: Output
    """With units and activation, and for numbers a scaling."""
    loss: Loss
    """What training makes small."""
    metrics: tuple[MetricName, ...]
    """What each epoch also shows."""


def fill_in(config: Config, target: TargetKind) -> Head:
    """Fills in what the config leaves out of output, loss and metrics.

    Args:
        config: reads `output`, `loss` and `metrics`.
        target: what is predicted.
    """
    loss = config.loss or _usual_loss(config.output, target)
    activation = config.output.activation or loss.default_activation
    units = config.output.units or units_for(target, loss)
    scaling = config.output.scaling
    if scaling is None and target.form in ("number", "numbers"):
        scaling = _usual_scaling(loss, is_linear=activation.name == "linear")
    update = {"units": units, "activation": activation, "scaling": scaling}
    metrics = config.metrics if config.metrics is not None else metrics_of(target, loss)[:1]
    return Head(config.output.model_copy(update=update), loss, metrics)


def units_for(target: TargetKind, loss: Loss) -> int:
    """How many units the output of a target has: one tells two classes apart, but not by shares."""
    if target.form == "two classes" and loss.output != "shares":
        return 1
    return len(target.classes or target.labels or target.columns)


def metrics_of(target: TargetKind, loss: Loss) -> tuple[MetricName, ...]:
    """The metrics that can be shown of a target, the usual one first."""
    if target.form in ("number", "numbers"):
        numbers: tuple[MetricName, ...] = ("mae", "mse", "rmse", "r2")
        return (*numbers, "poisson_deviance") if loss.name == "poisson" else numbers
    if target.form == "two classes":
        return ("accuracy", "auc", "precision", "recall", "f1")
    if target.form == "labels":
        macro: tuple[MetricName, ...] = ("accuracy", "subset_accuracy", "auc", "macro_f1")
        return (*macro, "micro_f1", "micro_precision", "micro_recall")
    return ("accuracy", "f1", "top_3_accuracy") if len(target.classes) > 3 else ("accuracy", "f1")


def check_values(head: Head, target: TargetKind, tables: Sequence[Table]) -> None:
    """Refuses values of a target that its loss has no number for.

    Args:
        head: tells the loss.
        target: what is predicted.
        tables: all rows with a target.

    Raises:
        DataError: for a negative value where the loss takes its logarithm.
    """
    if head.loss.requires_nonnegative:
        for table in tables:
            for column in target.columns:
                _refuse_negative(head.loss.name, table, column)


def unreachable(head: Head, target: TargetKind, train: Table) -> Iterator[str]:
    """Says of each number that the output's activation can't reach it, as it is trained.

    Of each label it says that no training could tell it: that all rows have it, or none.

    Args:
        head: output, with its scaling.
        target: what is predicted.
        train: the training rows.
    """
    if target.labels:
        yield from _constant_labels(target, train)
    elif not target.classes and isinstance(head.output.scaling, Unscaled):
        for column in target.columns:
            yield from _out_of_bounds(head, column, train.numbers(column))


def _out_of_bounds(
    head: Head, column: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> Iterator[str]:
    assert head.output.activation is not None  # resolved
    low, high = head.output.activation.bounds
    if values.min() < low or values.max() > high:
        spread = f"{values.min():g} to {values.max():g}"
        reach = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} or more"
        yield (
            f"the target '{column}' goes from {spread}, and an output with "
            f"'{head.output.activation.name}' only reaches {reach}; leave output.activation out, "
            "or set output.scaling"
        )


def _constant_labels(target: TargetKind, train: Table) -> Iterator[str]:
    marks = mark_labels(train, target.columns, target.labels, target.delimiter, ValueIssues())
    for label, share in zip(target.labels, marks.mean(axis=0), strict=True):
        if share in (0, 1):
            rows = "all of the training rows have" if share else "none of the training rows has"
            yield f"{rows} the label '{label}', so there is nothing to learn about it"


def _refuse_negative(loss: str, table: Table, column: str) -> None:
    values = table.numbers(column)
    said = f"the loss '{loss}' wants a target of 0 or more, got {{:g}}".format
    table.refuse(values < 0, column, lambda at: said(values[at]))


def _usual_loss(output: Output, target: TargetKind) -> Loss:
    if target.form in ("number", "numbers"):
        return Poisson() if target.counts else MeanSquaredError()
    if target.form == "labels":
        return BinaryCrossentropy()
    is_softmax = isinstance(output.activation, Softmax) and output.units != 1
    if target.form == "two classes" and output.units in (None, 1) and not is_softmax:
        return BinaryCrossentropy()
    return SparseCategoricalCrossentropy()


def _usual_scaling(loss: Loss, *, is_linear: bool) -> OutputScaling:
    """The unit that numbers are trained in: their own, where output or loss asks for it."""
    return Standard() if is_linear and not loss.needs_original_scale else Unscaled()
