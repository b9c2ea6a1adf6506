"""Rows with their true targets and predictions, as a run stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlcli.metrics import ThresholdCounts
from dlcli.prediction import Floats, StoredPredictions
from dlcli.reports.formatting import SPLITS
from dlcli.reports.theme import MOST_SERIES
from dlcli.tasks import Task, Values


class Scores(NamedTuple):
    """Which rows are of a class or have a label, and how certain the network is of it."""

    is_positive: NDArray[np.bool_]
    """Shape `(rows,)`."""
    scores: Floats
    """Probabilities or margins, shape `(rows,)`."""


class PredictedNumbers(NamedTuple):
    """One predicted column of numbers, without the rows in which one is not finite."""

    column: str
    target: Floats
    """Shape `(rows,)`, as all below."""
    prediction: Floats
    weights: Floats


@dataclass(frozen=True)
class PredictedRows:
    """The rows of one set, read from their table when they are needed.

    Rows of weight 0 are omitted, and rows for which the network gave no finite score.
    """

    split: str
    """`test`, `validation` or `train`."""
    task: Task
    is_sample: bool
    """Whether they are only some of the set's rows."""
    weights: Floats
    """Shape `(rows,)`; 1 each unless the config names a column of weights."""
    is_weighted: bool
    """Whether it does."""
    _columns: StoredPredictions

    @classmethod
    def of(
        cls, part: StoredPredictions, task: Task, split: str, *, is_sample: bool = False
    ) -> PredictedRows:
        """Select the rows that count.

        Raises:
            RunError: if a column is missing or damaged.
        """
        weights = np.ones(part.rows)
        if is_weighted := part.has("weight"):
            weights = part.floats("weight")[:, 0]
            counts = np.isfinite(weights) & (weights > 0)
            part, weights = part.filtered(counts), weights[counts]
        if task.names:
            scores = task.read_decoded(part, has_margin=part.has("margin"))
            finite = np.asarray(np.isfinite(scores).all(axis=1))
            part, weights = part.filtered(finite), weights[finite]
        return cls(split, task, is_sample, weights, is_weighted, part)

    @classmethod
    def by_split(
        cls, columns: StoredPredictions, task: Task, *, is_sample: bool = False
    ) -> list[PredictedRows]:
        """Return the rows of each set in a table of predictions.

        Raises:
            RunError: for a table without sets, or one with missing or damaged columns.
        """
        parts = (
            cls.of(columns.of_split(split), task, split, is_sample=is_sample) for split in SPLITS
        )
        return [part for part in parts if part.rows]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.weights)

    @property
    def has_margin(self) -> bool:
        """Whether the network gives a margin around 0 and no probability."""
        return self._columns.has("margin")

    @cached_property
    def values(self) -> Values:
        """The true values, as the task has them."""
        return self.task.read_values(self._columns, "target")

    @cached_property
    def predicted_values(self) -> Values:
        """The predicted values, as the task has them."""
        return self.task.read_values(self._columns, "prediction")

    @cached_property
    def decoded(self) -> Floats:
        """The decoded outputs of the network: probabilities, margins or numbers."""
        return self.task.read_decoded(self._columns, has_margin=self.has_margin)

    @cached_property
    def numbers(self) -> list[PredictedNumbers]:
        """The predicted columns of a task of numbers."""
        result = []
        for at, column in enumerate(self.task.columns):
            target, prediction = self.values[:, at], self.decoded[:, at]
            finite = np.isfinite(target) & np.isfinite(prediction)
            kept = target[finite], prediction[finite], self.weights[finite]
            result.append(PredictedNumbers(column, *kept))
        return result

    @cached_property
    def scores(self) -> Mapping[str, Scores]:
        """The scores of the second of two classes, or of each class or label unless there are many.

        Labels beyond the first few are omitted; of many classes there are none.
        """
        task, scores = self.task, self.decoded
        if task.labels:
            shown = enumerate(task.labels[:MOST_SERIES])
            return {name: Scores(self.values[:, at] > 0, scores[:, at]) for at, name in shown}
        if len(task.classes) == 2:
            return {task.classes[1]: Scores(self.values == 1, scores[:, -1])}
        classes = enumerate(task.classes if len(task.classes) <= MOST_SERIES else ())
        return {name: Scores(self.values == at, scores[:, at]) for at, name in classes}

    @cached_property
    def threshold_counts(self) -> dict[str, ThresholdCounts]:
        """The rows by their scores, for each of these classes or labels with rows of both kinds."""
        counted = {
            name: ThresholdCounts.of(each.is_positive, each.scores, self.weights)
            for name, each in self.scores.items()
        }
        return {name: each for name, each in counted.items() if each.is_defined}
