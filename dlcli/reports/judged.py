"""Rows with what is true of them and what was predicted, as a run keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dlcli.prediction import Floats, StoredPredictions
from dlcli.tasks import Task

NumberRows = tuple[str, Floats, Floats, Floats]
"""A column of numbers: its name, and true values, predicted ones and weights, (rows,) each."""


@dataclass(frozen=True)
class Judged:
    """The rows of one set, whose table is read as it is needed.

    Rows of weight 0 are left out, and those for which the network gave no number.
    """

    split: str
    """`test`, `validation` or `train`."""
    target: Task
    is_sample: bool
    """Whether they are only some of the rows."""
    weights: Floats
    """(rows,); 1 each unless the config has a column of weights."""
    weighted: bool
    """Whether it has."""
    _columns: StoredPredictions

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.weights)

    @cached_property
    def numbers(self) -> list[NumberRows]:
        """Of each number that is predicted, the rows where true and predicted one are finite."""
        columns = self.target.columns
        several = len(columns) > 1
        result = []
        for column in columns:
            end = f"_{column}" if several else ""
            true, predicted = self._floats(f"target{end}"), self._floats(f"prediction{end}")
            fine = np.isfinite(true) & np.isfinite(predicted)
            result.append((column, true[fine], predicted[fine], self.weights[fine]))
        return result

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """The places of the true classes, (rows,)."""
        return self._places("target")

    @cached_property
    def predicted_classes(self) -> NDArray[np.int64]:
        """The places of the predicted classes, (rows,)."""
        return self._places("prediction")

    @property
    def has_margin(self) -> bool:
        """Whether there is a margin around 0 and no probability."""
        return self._columns.has("margin")

    def scores(self, name: str) -> Floats:
        """The probability of a class or label, or the margin of the second of two, (rows,)."""
        return self._floats("margin" if self.has_margin else f"probability_{name}")

    def confidence(self) -> Floats:
        """The probability of the predicted class, (rows,)."""
        greatest = np.zeros(self.rows)
        for name in self.target.classes:
            np.maximum(greatest, self.scores(name), out=greatest)
        return greatest

    def has_label(self, label: str) -> NDArray[np.bool_]:
        """Whether a row has a label, (rows,)."""
        return np.asarray(self._labels[:, self.target.labels.index(label)] > 0)

    @cached_property
    def _labels(self) -> NDArray[np.float64]:
        return self.target.read_values(self._columns, "target")

    def _places(self, name: str) -> NDArray[np.int64]:
        return self._columns.indices(name, self.target.classes)

    def _floats(self, name: str) -> Floats:
        return self._columns.floats(name)[:, 0]


def judged_rows(
    columns: StoredPredictions, target: Task, *, is_sample: bool = False
) -> list[Judged]:
    """The rows of each set in a table of predictions.

    Args:
        columns: those that a run keeps.
        target: what was predicted.
        is_sample: whether they are only some of their sets' rows.

    Raises:
        RunError: for a table without sets.
    """
    found = []
    for split in ("test", "validation", "train"):
        part = judged_part(columns.of_split(split), target, split, is_sample=is_sample)
        if part.rows:
            found.append(part)
    return found


def judged_part(
    part: StoredPredictions, target: Task, split: str, *, is_sample: bool = False
) -> Judged:
    """The rows of one set, as in `judged_rows`.

    Args:
        part: their columns.
        target: what was predicted.
        split: what the set is called.
        is_sample: whether they are only some of the set's rows.
    """
    weights = np.ones(part.rows)
    if weighted := part.has("weight"):
        weights = part.floats("weight")[:, 0]
        counts = np.isfinite(weights) & (weights > 0)
        part, weights = part.filtered(counts), weights[counts]
    fine = _has_scores(part, target)
    return Judged(split, target, is_sample, weights[fine], weighted, part.filtered(fine))


def _has_scores(columns: StoredPredictions, target: Task) -> NDArray[np.bool_]:
    """Whether a row's probabilities or its margin are numbers, (rows,)."""
    names = target.names
    scores = ["margin"] if columns.has("margin") else [f"probability_{name}" for name in names]
    fine = np.ones(columns.rows, dtype=np.bool_)
    for score in scores if names else ():
        fine &= np.isfinite(columns.floats(score)[:, 0])
    return fine
