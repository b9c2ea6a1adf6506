"""How well scores tell rows of a class from all others, at every threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Rows in falling order of their score, those of one score together.

    With the weights `p_k` of the positive and `n_k` of the other rows whose score is the k-th
    highest, the sums up to k are what is found and what is falsely found if that is the threshold.
    """

    thresholds: Floats
    """The different scores, falling, (thresholds,)."""
    found: Floats
    """Weight of the positive rows that score at least as much, (thresholds,)."""
    falsely_found: Floats
    """The same of the other rows."""

    @classmethod
    def of(cls, positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Ranking:
        """Ranks rows.

        Args:
            positive: whether a row is of the class, (rows,).
            scores: the larger, the more likely it is, (rows,).
            weights: of the rows, (rows,).
        """
        thresholds, place = np.unique(-scores, return_inverse=True)
        count = len(thresholds)
        found = np.bincount(place, weights * positive, minlength=count)
        others = np.bincount(place, weights * ~positive, minlength=count)
        return cls(-thresholds, np.cumsum(found), np.cumsum(others))

    @property
    def positives(self) -> float:
        """Weight of all positive rows."""
        return float(self.found[-1]) if len(self.found) else 0.0

    @property
    def others(self) -> float:
        """Weight of all other rows."""
        return float(self.falsely_found[-1]) if len(self.falsely_found) else 0.0

    @property
    def is_defined(self) -> bool:
        """Whether there are rows of both kinds."""
        return self.positives > 0 and self.others > 0

    def roc(self) -> tuple[Floats, Floats]:
        """The share of the others found falsely and of the positive found, both from 0 to 1."""
        falsely = np.concatenate([[0.0], self.falsely_found / self.others])
        return falsely, np.concatenate([[0.0], self.found / self.positives])

    def area(self) -> float:
        """The area under the ROC curve, by trapezoids.

        It is the chance that a positive row scores above another, ties counting half.
        """
        falsely, found = self.roc()
        return float(np.sum(np.diff(falsely) * (found[1:] + found[:-1]) / 2))

    def precision_recall(self) -> tuple[Floats, Floats]:
        """Recall and precision at each threshold."""
        reached = self.found + self.falsely_found
        return self.found / self.positives, self.found / reached

    def average_precision(self) -> float:
        """The step-wise area `Σ (R_k - R_k-1) P_k` under precision by recall."""
        recall, precision = self.precision_recall()
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))


@dataclass(frozen=True)
class Threshold:
    """What comes of calling positive what scores above a threshold."""

    threshold: float
    called: float
    """The share of all rows that is called positive."""
    precision: float | None
    recall: float | None
    f1: float | None
    accuracy: float


def thresholds(ranking: Ranking, at: Sequence[float]) -> list[Threshold]:
    """What comes of each threshold; a score that is just the threshold is not above it.

    Args:
        ranking: the rows, of both kinds.
        at: the thresholds.
    """
    return [_threshold(ranking, threshold) for threshold in at]


def _threshold(ranking: Ranking, threshold: float) -> Threshold:
    above = int(np.count_nonzero(ranking.thresholds > threshold))
    true = float(ranking.found[above - 1]) if above else 0.0
    false = float(ranking.falsely_found[above - 1]) if above else 0.0
    positives, others = ranking.positives, ranking.others
    called, total = true + false, positives + others
    return Threshold(
        threshold=threshold,
        called=called / total,
        precision=true / called if called else None,
        recall=true / positives if positives else None,
        f1=2 * true / (called + positives) if called + positives else None,
        accuracy=(true + others - false) / total,
    )
