"""Rows with what is true of them and what was predicted, as a run keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dlcli.prediction import Floats, KeptColumns
from dlcli.tasks import ClassTarget, LabelTarget, TargetEncoder, split_labels

NumberRows = tuple[str, Floats, Floats, Floats]
"""A column of numbers: its name, and true values, predicted ones and weights, (rows,) each."""


@dataclass(frozen=True)
class Judged:
    """The rows of one set, whose table is read as it is needed.

    Rows of weight 0 are left out, and those for which the network gave no number.
    """

    split: str
    """`test`, `validation` or `train`."""
    target: TargetEncoder
    is_sample: bool
    """Whether they are only some of the rows."""
    weights: Floats
    """(rows,); 1 each unless the config has a column of weights."""
    weighted: bool
    """Whether it has."""
    _columns: KeptColumns

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
        assert isinstance(self.target, ClassTarget)
        greatest = np.zeros(self.rows)
        for name in self.target.classes:
            np.maximum(greatest, self.scores(name), out=greatest)
        return greatest

    def has_label(self, label: str) -> NDArray[np.bool_]:
        """Whether a row has a label, (rows,)."""
        assert isinstance(self.target, LabelTarget)
        if self.target.delimiter is None:
            return self._floats(f"target_{label}") > 0
        texts = self._columns.texts("target")
        having = {text: label in split_labels(text, self.target.delimiter) for text in set(texts)}
        return np.array([having[text] for text in texts], dtype=np.bool_)

    def _places(self, name: str) -> NDArray[np.int64]:
        assert isinstance(self.target, ClassTarget)
        return self._columns.places(name, self.target.classes)

    def _floats(self, name: str) -> Floats:
        return self._columns.floats(name)[:, 0]


def judged_rows(
    columns: KeptColumns, target: TargetEncoder, *, is_sample: bool = False
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
    part: KeptColumns, target: TargetEncoder, split: str, *, is_sample: bool = False
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


def _has_scores(columns: KeptColumns, target: TargetEncoder) -> NDArray[np.bool_]:
    """Whether a row's probabilities or its margin are numbers, (rows,)."""
    names = target.classes if isinstance(target, ClassTarget) else ()
    names = target.labels if isinstance(target, LabelTarget) else names
    scores = ["margin"] if columns.has("margin") else [f"probability_{name}" for name in names]
    fine = np.ones(columns.rows, dtype=np.bool_)
    for score in scores if names else ():
        fine &= np.isfinite(columns.floats(score)[:, 0])
    return fine
