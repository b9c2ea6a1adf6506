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
    estimate_statistic_differences,
    estimate_statistics,
)
from dlcli.prediction import StoredPredictions
from dlcli.tasks import Task


@dataclass(frozen=True)
class HeldOut:
    """The rows of one set."""

    target: Task
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
        return self.target.metrics(
            self.truth,
            self.outputs,
            self.weight,
            has_margin=self.has_margin,
            has_deviance=self.has_deviance,
        )

    def statistics(self) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights."""
        return self.target.statistics(
            self.truth,
            self.outputs,
            self.weight,
            has_margin=self.has_margin,
            has_deviance=self.has_deviance,
        )


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


def read_rows(columns: StoredPredictions, target: Task, *, has_deviance: bool) -> HeldOut:
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
        raise RunError(f"{columns.path}: column 'weight' holds what is no weight; train it again")
    has_margin = columns.has("margin")
    return HeldOut(
        target,
        columns.integers("row"),
        columns.texts("file") if columns.has("file") else None,
        weight,
        target.read_values(columns, "target"),
        target.read_decoded(columns, has_margin=has_margin),
        has_margin,
        has_deviance,
    )
