"""The held-out rows of a run, with targets and predictions as arrays."""

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
from dlcli.tasks import DecodedRows, Task


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows of one split."""

    target: Task
    """The task of the run."""
    row: NDArray[np.int64]
    """Row numbers in their files, `(rows,)`."""
    files: Sequence[str] | None
    """The file of each row, `(rows,)`, if there are several."""
    weight: Floats | None
    """Row weights, `(rows,)`, if the config has weights."""
    truth: Array
    """Numbers `(rows, columns)`, class indices `(rows,)`, or 0 or 1 of labels `(rows, labels)`."""
    outputs: Floats
    """Predicted numbers `(rows, columns)`, or probabilities `(rows, classes or labels)`; of two
    classes only that of the second, or a margin, `(rows, 1)`."""
    has_margin: bool = False
    """Whether the one output for two classes is a margin around 0."""
    has_deviance: bool = False
    """Whether the Poisson deviance is one of the metrics."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row)

    @property
    def weights(self) -> Floats:
        """Row weights, 1 each if the config has none, `(rows,)`."""
        return np.ones(self.rows) if self.weight is None else self.weight

    def take(self, indices: Array) -> HeldOut:
        """Return some of the rows, in the given order."""
        return replace(
            self,
            row=self.row[indices],
            files=None if self.files is None else [self.files[index] for index in indices],
            weight=None if self.weight is None else self.weight[indices],
            truth=self.truth[indices],
            outputs=self.outputs[indices],
        )

    @property
    def _decoded(self) -> DecodedRows:
        return DecodedRows(
            self.truth, self.outputs, self.weight, self.has_margin, self.has_deviance
        )

    def metrics(self) -> Metrics:
        """Compute the metrics, as `train` does."""
        return self.target.metrics(self._decoded)

    def statistics(self) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights."""
        return self.target.statistics(self._decoded)


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
    """Read the rows of a table of predictions.

    Args:
        columns: stored predictions of one split.
        target: the task of the run.
        has_deviance: whether the Poisson deviance is one of the metrics.

    Raises:
        RunError: for columns that don't fit the target.
    """
    weight = columns.floats("weight")[:, 0] if columns.has("weight") else None
    if weight is not None and not (np.isfinite(weight) & (weight >= 0)).all():
        raise RunError(f"{columns.path}: column 'weight' holds invalid weights; train it again")
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
