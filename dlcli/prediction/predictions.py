"""Predictions of some rows: outputs of a network and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.prediction.regions import Regions
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table, floats
from dlcli.tasks import DecodedRows, Outputs, Task, Values


@dataclass(frozen=True)
class Predictions:
    """Predictions of some rows."""

    task: Task
    """The prediction task, see `Task.for_loss`."""
    outputs: Outputs
    """The network's outputs as trained on, (rows, units)."""
    regions: Regions | None = None
    """The rows' intervals, or sets of classes, if they were asked for."""

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """Join the predictions of several parts of the rows."""
        first, outputs = parts[0], np.concatenate([part.outputs for part in parts])
        regions = [part.regions for part in parts if part.regions is not None]
        joined = Regions.concatenate(regions) if regions else None
        return replace(first, outputs=outputs, regions=joined)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Return the predictions of some rows, in the order given."""
        regions = None if self.regions is None else self.regions.take(rows)
        return replace(self, outputs=self.outputs[rows], regions=regions)

    @cached_property
    def decoded(self) -> Outputs:
        """The form of the outputs that metrics compare with true values, see `Task.decode`."""
        return self.task.decode(self.outputs)

    @property
    def values(self) -> Values:
        """The predicted values, in the form of true values."""
        return self.task.predict(self.decoded)

    @cached_property
    def probabilities(self) -> Outputs | None:
        """The probability of each class or label, (rows, names); none for numbers and margins."""
        return self.task.probabilities(self.outputs) if self.task.has_probabilities else None

    @property
    def scores(self) -> NDArray[np.float64]:
        """The probabilities; for margins and numbers these, in their own unit."""
        scores = self.decoded if self.probabilities is None else self.probabilities
        return scores.astype(np.float64)

    def errors(self, values: Values) -> NDArray[np.float64]:
        """Measure how far outputs are from true values, see `Task.errors`."""
        return self.task.errors(values, self.outputs)

    def with_truth(self, table: Table, weights: NDArray[np.float64] | None) -> DecodedRows:
        """Return the rows with their true values, as metrics compare them.

        Args:
            table: the rows predicted, with their target.
            weights: the rows' weights, (rows,), if they have any.

        Raises:
            DataError: for a target that is missing or can't be encoded.
        """
        return DecodedRows(self.task.values(table, ValueIssues()), self.decoded, weights)

    def truth(self, table: Table) -> dict[str, pa.Array]:
        """Return the true values as columns: `target`, or `target_<column>` for several.

        Args:
            table: the rows predicted, with their target.
        """
        return self.task.value_columns(self.task.values(table, ValueIssues()), "target")

    def columns(self, *, as_computed: bool = False) -> dict[str, pa.Array]:
        """Return the predictions as columns, by name.

        `prediction` (`prediction_<column>` for several columns); the intervals' `lower` and `upper`
        or the `prediction_set`, if there are any; and for classes and labels `probability_<class>`
        for each, or `margin`, above 0 for the second class.

        Args:
            as_computed: return probabilities and margins of one network as float32, as they were
                computed, instead of float64; numbers in the target's unit are always float64.
        """
        regions = {} if self.regions is None else self.regions.columns()
        columns = self.task.score_columns(self.outputs).items()
        scores = {name: floats(values) for name, values in columns}
        if as_computed and self.outputs.dtype == np.float32:
            scores = {name: values.cast(pa.float32()) for name, values in scores.items()}
        return {**self.task.value_columns(self.values, "prediction"), **regions, **scores}

    def lists(self) -> dict[str, list[Any]]:
        """Return the predictions as `dlcli predict` writes them in JSON lines, without Arrow.

        Numbers that JSON doesn't have are None, and those of float32 have as few digits as tell
        them apart.
        """
        regions = {} if self.regions is None else self.regions.lists()
        columns = {**self.task.value_lists(self.values, "prediction"), **regions}
        for name, values in self.task.score_columns(self.outputs).items():
            columns[name] = _shortest(values)
        return {name: [*map(finite_or_none, column)] for name, column in columns.items()}


def _shortest(values: NDArray[np.floating[Any]]) -> list[float]:
    """Return numbers with the fewest digits that tell them apart at their precision."""
    if values.dtype == np.float32:
        return [float(str(value)) for value in values]
    numbers: list[float] = values.tolist()
    return numbers


def finite_or_none(value: Any) -> Any:  # noqa: ANN401
    """Replace NaN and infinity, which JSON doesn't have, by None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
