"""The held-out rows of a run: what is true of them and what was predicted, as arrays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import RunError
from dlcli.metrics import (
    Array,
    DifferenceEstimate,
    Estimate,
    Floats,
    Metrics,
    Statistic,
    binary_metrics,
    binary_statistics,
    estimate_statistic_differences,
    estimate_statistics,
    multiclass_metrics,
    multiclass_statistics,
    multilabel_metrics,
    multilabel_statistics,
    regression_metrics,
    regression_statistics,
)
from dlcli.prediction import KeptColumns
from dlcli.tasks import ClassTarget, LabelTarget, NumberTarget, TargetEncoder, split_labels


@dataclass(frozen=True)
class HeldOut:
    """The rows of one set."""

    target: TargetEncoder
    """What was predicted."""
    row: NDArray[np.int64]
    """The row of each in its file, (rows,)."""
    files: Sequence[str] | None
    """The file of each, (rows,), if the data are in several."""
    weight: Floats | None
    """(rows,), if the config has weights."""
    truth: Array
    """Numbers (rows, columns), places of classes (rows,), or marks of labels (rows, labels)."""
    outputs: Floats
    """Numbers (rows, columns); probabilities (rows, classes or labels), of two classes that of the
    second alone, or a margin, (rows, 1)."""
    has_margin: bool = False
    """Whether the one output for two classes is a margin around 0."""
    has_deviance: bool = False
    """Whether numbers are scored by the deviance, too."""

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.row)

    @property
    def weights(self) -> Floats:
        """The weight of each row, 1 if the config has none, (rows,)."""
        return np.ones(self.rows) if self.weight is None else self.weight

    def take(self, places: Array) -> HeldOut:
        """Some of the rows, in the order given."""
        return replace(
            self,
            row=self.row[places],
            files=None if self.files is None else [self.files[place] for place in places],
            weight=None if self.weight is None else self.weight[places],
            truth=self.truth[places],
            outputs=self.outputs[places],
        )

    def metrics(self) -> Metrics:
        """Compute the metrics, as `train` does."""
        weight = self.weight
        if isinstance(self.target, NumberTarget):
            return regression_metrics(self.truth, self.outputs, weight, deviance=self.has_deviance)
        if isinstance(self.target, LabelTarget):
            return multilabel_metrics(self.truth, self.outputs, weight, names=self.target.labels)
        if self.target.width == 2:
            positive = self.outputs[:, 0]
            return binary_metrics(self.truth, positive, weight, probabilistic=not self.has_margin)
        return multiclass_metrics(self.truth, self.outputs, weight)

    def statistics(self) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights."""
        weight = self.weight
        if isinstance(self.target, NumberTarget):
            deviance = self.has_deviance
            return regression_statistics(self.truth, self.outputs, weight, deviance=deviance)
        if isinstance(self.target, LabelTarget):
            return multilabel_statistics(self.truth, self.outputs, weight)
        if self.target.width == 2:
            positive, is_margin = self.outputs[:, 0], self.has_margin
            return binary_statistics(self.truth, positive, weight, probabilistic=not is_margin)
        return multiclass_statistics(self.truth, self.outputs, weight)


def estimate_metrics(
    held_out: HeldOut, only: Collection[str] | None = None, resamples: int | None = None
) -> dict[str, Estimate]:
    """Estimate every metric that is a single number, with its 95 % confidence interval.

    Args:
        held_out: the rows.
        only: names of the metrics. [default: all]
        resamples: number of resamples. [default: depends on the number of rows]
    """
    return estimate_statistics(_selected(held_out, only), resamples)


def estimate_differences(
    first: HeldOut,
    second: HeldOut,
    *,
    paired: bool,
    only: Collection[str] | None = None,
    resamples: int | None = None,
) -> dict[str, DifferenceEstimate]:
    """Estimate what each metric has over that of another run, with its confidence interval.

    Args:
        first: rows that the other run has predicted.
        second: rows that this run has predicted.
        paired: whether they are the same rows with the same weights, in the same order.
        only: names of the metrics. [default: all]
        resamples: number of resamples. [default: depends on the number of rows]
    """
    return estimate_statistic_differences(
        _selected(first, only), _selected(second, only), paired=paired, resamples=resamples
    )


def _selected(held_out: HeldOut, only: Collection[str] | None) -> dict[str, Statistic]:
    statistics = held_out.statistics()
    return {name: each for name, each in statistics.items() if only is None or name in only}


def read_rows(columns: KeptColumns, target: TargetEncoder, *, has_deviance: bool) -> HeldOut:
    """The rows of a table of predictions.

    Args:
        columns: of the rows of one set.
        target: what was predicted.
        has_deviance: whether numbers are scored by the deviance, too.

    Raises:
        RunError: for columns that don't fit the target.
    """
    weight = columns.floats("weight")[:, 0] if columns.has("weight") else None
    if weight is not None and not (np.isfinite(weight) & (weight >= 0)).all():
        raise RunError(f"{columns.place}: column 'weight' holds what is no weight; train it again")
    has_margin = isinstance(target, ClassTarget) and columns.has("margin")
    return HeldOut(
        target,
        columns.integers("row"),
        columns.texts("file") if columns.has("file") else None,
        weight,
        _truth(columns, target),
        columns.floats(*_outputs(target, has_margin)),
        has_margin,
        has_deviance,
    )


def _truth(columns: KeptColumns, target: TargetEncoder) -> Array:
    if isinstance(target, NumberTarget):
        return columns.floats(*_named("target", target.columns))
    if isinstance(target, ClassTarget):
        return columns.places("target", target.classes)
    if target.delimiter is None:
        return (columns.floats(*(f"target_{label}" for label in target.labels)) > 0).astype(
            np.int64
        )
    return _marks(columns.texts("target"), target)


def _marks(texts: Sequence[str], target: LabelTarget) -> NDArray[np.int64]:
    """1 for each label that a text names, (rows, labels)."""
    delimiter = target.delimiter or ""
    named = {text: frozenset(split_labels(text, delimiter)) for text in set(texts)}
    rows = {text: [label in names for label in target.labels] for text, names in named.items()}
    return np.array([rows[text] for text in texts], dtype=np.int64).reshape(-1, target.width)


def _outputs(target: TargetEncoder, has_margin: bool) -> list[str]:
    """The columns that hold what the metrics are taken of."""
    if isinstance(target, NumberTarget):
        return _named("prediction", target.columns)
    if has_margin:
        return ["margin"]
    names = target.classes if isinstance(target, ClassTarget) else target.labels
    names = names[1:] if isinstance(target, ClassTarget) and len(names) == 2 else names
    return [f"probability_{name}" for name in names]


def _named(what: str, columns: Sequence[str]) -> list[str]:
    return [f"{what}_{column}" for column in columns] if len(columns) > 1 else [what]
