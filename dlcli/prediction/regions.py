"""Regions that contain true values: intervals of numbers, and sets of classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.metrics import finite
from dlcli.preprocessing import Floats
from dlcli.tables import integers
from dlcli.tasks import Task, Values


@dataclass(frozen=True)
class Regions(ABC):
    """The values that the target of each of some rows may have."""

    task: Task
    array: NDArray[Any]
    """An entry for each row along its first axis, see the subclasses."""

    @classmethod
    def concatenate(cls, parts: Sequence[Regions]) -> Regions:
        """Join the regions of several parts of the rows."""
        return replace(parts[0], array=np.concatenate([part.array for part in parts]))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the regions of some rows, in the order given."""
        return replace(self, array=self.array[rows])

    @abstractmethod
    def columns(self) -> dict[str, pa.Array]:
        """Return the columns that are added to the predictions."""

    @abstractmethod
    def lists(self) -> dict[str, list[Any]]:
        """Return the same in lists of Python's own."""

    @abstractmethod
    def coverage(self, values: Values) -> Floats:
        """Return the share of true values that are included, (columns,), or (1,) of classes.

        Args:
            values: the true values, see `Task.values`.
        """

    @abstractmethod
    def summary(self, values: Values | None = None) -> dict[str, object]:
        """Return the mean size, and the share of true values that are included if they are given.

        Both are `None` if there are no rows.

        Args:
            values: the true values, see `Task.values`.
        """


class Intervals(Regions):
    """The interval of each number: the ends in the target's own unit, (rows, columns, 2)."""

    def columns(self) -> dict[str, pa.Array]:
        """Return `lower` and `upper`; of several columns each `lower_<column>` and so on."""
        lower = self.task.value_columns(self.array[:, :, 0], "lower")
        return {**lower, **self.task.value_columns(self.array[:, :, 1], "upper")}

    def lists(self) -> dict[str, list[Any]]:
        """Return `lower` and `upper`, as `columns` does."""
        lower = self.task.value_lists(self.array[:, :, 0], "lower")
        return {**lower, **self.task.value_lists(self.array[:, :, 1], "upper")}

    def coverage(self, values: Values) -> Floats:
        """Return the share of true values within; see `Regions`."""
        within = (self.array[:, :, 0] <= values) & (values <= self.array[:, :, 1])
        return _means(within)

    @property
    def widths(self) -> Floats:
        """The mean width of each column's intervals, (columns,)."""
        return _means(np.ptp(self.array, axis=2))

    def summary(self, values: Values | None = None) -> dict[str, object]:
        """Return `coverage` and `mean_width`; of several columns `by_column` those of each."""
        parts: list[dict[str, object]] = [{"mean_width": finite(width)} for width in self.widths]
        if values is not None:
            shares = zip(self.coverage(values), parts, strict=True)
            parts = [{"coverage": finite(share), **part} for share, part in shares]
        if len(parts) == 1:
            return parts[0]
        return {"by_column": dict(zip(self.task.columns, parts, strict=True))}


class ClassSets(Regions):
    """The classes that a row may be of: true for each of these, (rows, classes)."""

    def columns(self) -> dict[str, pa.Array]:
        """Return `prediction_set`, lists of classes in the order of the task."""
        rows, classes = np.nonzero(self.array)
        starts = np.searchsorted(rows, np.arange(len(self.array) + 1))
        [names] = self.task.value_columns(classes, "class").values()
        return {"prediction_set": pa.LargeListArray.from_arrays(integers(starts), names)}

    def lists(self) -> dict[str, list[Any]]:
        """Return `prediction_set`, as `columns` does."""
        sets = (np.flatnonzero(row) for row in self.array)
        return {"prediction_set": [self.task.value_lists(each, "class")["class"] for each in sets]}

    def coverage(self, values: Values) -> Floats:
        """Return the share of true classes within; see `Regions`."""
        return _means(self.array[np.arange(len(values)), values][:, np.newaxis])

    def summary(self, values: Values | None = None) -> dict[str, object]:
        """Return `coverage` and `mean_size`, the mean number of classes."""
        size = {"mean_size": finite(float(_means(self.array.sum(axis=1))))}
        if values is None:
            return {**size}
        return {"coverage": finite(float(self.coverage(values)[0])), **size}


def _means(values: NDArray[Any]) -> Floats:
    """Return the means over the rows; NaN if there are none."""
    return (
        np.sum(values, axis=0) / len(values) if len(values) else np.full(values.shape[1:], np.nan)
    )
