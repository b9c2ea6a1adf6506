"""Predictions of rows: outputs of a network, with prediction intervals or prediction sets."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Floats, floats, integers
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config
from dlcli.errors import RunError
from dlcli.metrics.statistic import Array, Statistic, finite
from dlcli.tables.table import Table
from dlcli.tasks.task import DecodedRows, Outputs, StoredPredictions, TargetValues, Task


@dataclass(frozen=True)
class Regions(ABC):
    """Prediction intervals or prediction sets of rows."""

    task: Task
    array: NDArray[Any]
    """One entry per row along the first axis, see the subclasses."""

    @classmethod
    def concatenate(cls, parts: Sequence[Regions]) -> Regions:
        """Join the regions of several parts of the rows."""
        return replace(parts[0], array=np.concatenate([part.array for part in parts]))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the regions of some rows, in the given order."""
        return replace(self, array=self.array[rows])

    @abstractmethod
    def columns(self) -> dict[str, pa.Array]:
        """Return the columns to add to the predictions."""

    @abstractmethod
    def lists(self) -> dict[str, list[Any]]:
        """Return the columns as Python lists."""

    @abstractmethod
    def coverage(self, values: TargetValues) -> Floats:
        """Return the share of true values that are included, (columns,), or (1,) for classes.

        Args:
            values: the true values, see `Task.values`.
        """

    @abstractmethod
    def summary(self, values: TargetValues | None = None) -> dict[str, object]:
        """Return the mean size and, if there are true values, the share that is included.

        Both are `None` if there are no rows.

        Args:
            values: the true values, see `Task.values`.
        """


class Intervals(Regions):
    """Prediction intervals: lower and upper end in the target's unit, (rows, columns, 2)."""

    def columns(self) -> dict[str, pa.Array]:
        """Return `lower` and `upper`; for several columns `lower_<column>` and so on."""
        lower = self.task.value_columns(self.array[:, :, 0], "lower")
        return {**lower, **self.task.value_columns(self.array[:, :, 1], "upper")}

    def lists(self) -> dict[str, list[Any]]:
        """Return the columns of `columns` as Python lists."""
        lower = self.task.value_lists(self.array[:, :, 0], "lower")
        return {**lower, **self.task.value_lists(self.array[:, :, 1], "upper")}

    def coverage(self, values: TargetValues) -> Floats:
        """Return the share of true values in their intervals; see `Regions`."""
        within = (self.array[:, :, 0] <= values) & (values <= self.array[:, :, 1])
        return _means(within)

    @property
    def widths(self) -> Floats:
        """The mean width of each column's intervals, (columns,)."""
        return _means(np.ptp(self.array, axis=2))

    def summary(self, values: TargetValues | None = None) -> dict[str, object]:
        """Return `coverage` and `mean_width`; for several columns, both for each `by_column`."""
        parts: list[dict[str, object]] = [{"mean_width": finite(width)} for width in self.widths]
        if values is not None:
            shares = zip(self.coverage(values), parts, strict=True)
            parts = [{"coverage": finite(share), **part} for share, part in shares]
        if len(parts) == 1:
            return parts[0]
        return {"by_column": dict(zip(self.task.columns, parts, strict=True))}


class ClassSets(Regions):
    """Prediction sets: true for each class in the set of a row, (rows, classes)."""

    def columns(self) -> dict[str, pa.Array]:
        """Return `prediction_set`, lists of classes in the order of the task."""
        rows, classes = np.nonzero(self.array)
        starts = np.searchsorted(rows, np.arange(len(self.array) + 1))
        [names] = self.task.value_columns(classes, "class").values()
        return {"prediction_set": pa.LargeListArray.from_arrays(integers(starts), names)}

    def lists(self) -> dict[str, list[Any]]:
        """Return the columns of `columns` as Python lists."""
        sets = (np.flatnonzero(row) for row in self.array)
        return {"prediction_set": [self.task.value_lists(each, "class")["class"] for each in sets]}

    def coverage(self, values: TargetValues) -> Floats:
        """Return the share of true classes in their sets; see `Regions`."""
        return _means(self.array[np.arange(len(values)), values][:, np.newaxis])

    def summary(self, values: TargetValues | None = None) -> dict[str, object]:
        """Return `coverage` and `mean_size`, the mean number of classes."""
        size = {"mean_size": finite(float(_means(self.array.sum(axis=1))))}
        if values is None:
            return {**size}
        return {"coverage": finite(float(self.coverage(values)[0])), **size}


def _means(values: NDArray[Any]) -> Floats:
    """Return the means over the rows; NaN if there are no rows."""
    return (
        np.sum(values, axis=0) / len(values) if len(values) else np.full(values.shape[1:], np.nan)
    )


@dataclass(frozen=True)
class Predictions:
    """Predictions of some rows."""

    task: Task
    """The prediction task, see `Task.for_loss`."""
    outputs: Outputs
    """The network's outputs before decoding, (rows, units)."""
    regions: Regions | None = None
    """The rows' prediction intervals or prediction sets, if requested."""
    costs: Floats | None = None
    """The costs of wrong classes, if they differ by row, see `DecodedRows.costs`."""

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """Join the predictions of several parts of the rows."""
        first, outputs = parts[0], np.concatenate([part.outputs for part in parts])
        regions = [part.regions for part in parts if part.regions is not None]
        joined = Regions.concatenate(regions) if regions else None
        return replace(first, outputs=outputs, regions=joined)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Return the predictions of some rows, in the given order."""
        regions = None if self.regions is None else self.regions.take(rows)
        costs = None if self.costs is None else self.costs[rows]
        return replace(self, outputs=self.outputs[rows], regions=regions, costs=costs)

    @cached_property
    def decoded(self) -> Outputs:
        """The decoded outputs, which metrics compare with true values, see `Task.decode`."""
        return self.task.decode(self.outputs)

    @property
    def values(self) -> TargetValues:
        """The predicted values, in the same form as true values."""
        return self.task.predict_by_cost(self.decoded, self.costs)

    @cached_property
    def probabilities(self) -> Outputs | None:
        """The probability of each class or label, (rows, names); `None` for numbers and margins."""
        return self.task.probabilities(self.outputs) if self.task.has_probabilities else None

    @property
    def scores(self) -> NDArray[np.float64]:
        """The probabilities, the margins, or the predicted numbers in their unit."""
        if self.task.outcome == "numbers":
            return self.values.astype(np.float64)
        scores = self.decoded if self.probabilities is None else self.probabilities
        return scores.astype(np.float64)

    def errors(self, values: TargetValues) -> NDArray[np.float64]:
        """Return the errors of the outputs, see `Task.errors`."""
        return self.task.errors(values, self.outputs)

    def with_truth(self, table: Table, weights: NDArray[np.float64] | None) -> DecodedRows:
        """Return the rows with their true values, in the form that metrics compare.

        Args:
            table: the predicted rows, with their target.
            weights: the rows' weights, (rows,), or `None`.

        Raises:
            DataError: if a target value is missing or can't be encoded.
        """
        values = self.task.values(table, ValueProblems())
        return DecodedRows(values, self.decoded, weights, self.costs)

    def truth(self, table: Table) -> dict[str, pa.Array]:
        """Return the true values as columns: `target`, or `target_<column>` for several.

        Args:
            table: the predicted rows, with their target.
        """
        return self.task.value_columns(self.task.values(table, ValueProblems()), "target")

    def stored_costs(self) -> dict[str, pa.Array]:
        """Return the costs of the rows as columns, see `COST_COLUMNS`; empty without costs."""
        costs = () if self.costs is None else self.costs.T
        return dict(zip(COST_COLUMNS, map(floats, costs), strict=False))

    def columns(self, *, as_computed: bool = False) -> dict[str, pa.Array]:
        """Return the predictions as columns, by name.

        The columns are `prediction` (`prediction_<column>` for several target columns); `lower` and
        `upper` or `prediction_set`, if requested; for each class or label
        `probability_<class>`, or `margin`, which is above 0 for the second class; and for each
        level of quantiles `prediction_<level>`.

        Args:
            as_computed: whether to return probabilities and margins of one network as float32, the
                type of the computation, instead of float64; numbers in the target's unit are always
                float64.
        """
        regions = {} if self.regions is None else self.regions.columns()
        columns = self.task.score_columns(self.outputs).items()
        scores = {name: floats(values) for name, values in columns}
        is_share = self.task.outcome != "numbers"
        if as_computed and is_share and self.outputs.dtype == np.float32:
            scores = {name: values.cast(pa.float32()) for name, values in scores.items()}
        return {**self.task.value_columns(self.values, "prediction"), **regions, **scores}

    def lists(self) -> dict[str, list[Any]]:
        """Return the predictions as `dlcli predict` writes them in JSON lines, without Arrow.

        NaN and infinity, which JSON does not support, are `None`. Numbers of float32 have only the
        digits that distinguish them.
        """
        regions = {} if self.regions is None else self.regions.lists()
        columns = {**self.task.value_lists(self.values, "prediction"), **regions}
        for name, values in self.task.score_columns(self.outputs).items():
            columns[name] = _shortest(values)
        return {name: [*map(finite_or_none, column)] for name, column in columns.items()}


def _shortest(values: NDArray[np.floating[Any]]) -> list[float]:
    """Return numbers with the fewest digits that distinguish them at their precision."""
    if values.dtype == np.float32:
        return [float(str(value)) for value in values]
    numbers: list[float] = values.tolist()
    return numbers


def finite_or_none(value: Any) -> Any:  # noqa: ANN401
    """Replace NaN and infinity, which JSON does not support, by `None`."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Held-out rows of a run

COST_COLUMNS = ("cost_false_positive", "cost_false_negative")
"""The stored columns with the costs of each row, if they differ by row."""
THRESHOLD = "threshold"
"""The stored column with the threshold of the fold of each row, if folds have their own."""


@dataclass(frozen=True, kw_only=True)
class HeldOut(DecodedRows):
    """The held-out rows of one split."""

    task: Task
    """The task of the run, see `Task.for_loss`."""
    row: NDArray[np.int64]
    """Row numbers in their files, `(rows,)`."""
    exposures: Floats | None = None
    """The exposures of the rows, `(rows, 1)`, if there are any."""
    files: Sequence[str] | None = None
    """The file of each row, `(rows,)`, if there are several."""

    @classmethod
    def of(cls, columns: StoredPredictions, task: Task) -> HeldOut:
        """Read the rows of stored predictions, except rows of weight 0.

        Args:
            columns: stored predictions of one split.
            task: the task of the run, see `Task.for_loss`.

        Raises:
            RunError: if the columns don't fit the task.
        """
        weights = None
        if columns.has("weight"):
            weights = columns.floats("weight")[:, 0]
            if not (np.isfinite(weights) & (weights >= 0)).all():
                raise RunError(
                    f"{columns.path}: column 'weight' holds invalid weights; train it again"
                )
            columns, weights = columns.filtered(weights > 0), weights[weights > 0]
        return cls(
            task.read_values(columns, "target"),
            task.read_decoded(columns),
            weights,
            columns.floats(*COST_COLUMNS) if columns.has(COST_COLUMNS[0]) else None,
            task=task,
            thresholds=columns.floats(THRESHOLD) if columns.has(THRESHOLD) else None,
            row=columns.integers("row"),
            exposures=columns.floats("exposure") if columns.has("exposure") else None,
            files=columns.texts("file") if columns.has("file") else None,
        )

    def decided_by_weights(self, config: Config) -> Self:
        """Return the rows with the class weights of a config in their decisions.

        Balanced weights are those of these rows, so they must be all rows of a cross-validation.

        Args:
            config: the resolved config.
        """
        task = self.task.with_class_weights(self.values, self.weights, config)
        return replace(self, task=task)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row)

    def take(self, indices: Array) -> HeldOut:
        """Return some of the rows, in the given order."""
        return replace(
            self,
            values=self.values[indices],
            decoded=self.decoded[indices],
            weights=None if self.weights is None else self.weights[indices],
            costs=None if self.costs is None else self.costs[indices],
            thresholds=None if self.thresholds is None else self.thresholds[indices],
            row=self.row[indices],
            exposures=None if self.exposures is None else self.exposures[indices],
            files=None if self.files is None else [self.files[index] for index in indices],
        )

    def statistics(self, only: Collection[str] | None = None) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights.

        Args:
            only: names of the metrics. [default: all]
        """
        statistics = self.task.statistics(self)
        return {name: each for name, each in statistics.items() if only is None or name in only}
