"""Metrics and curves of how well scores separate positive rows from negative ones.

All follow from the weight of positive and of negative rows at each distinct score. Definitions are
those of scikit-learn (https://scikit-learn.org/stable/modules/model_evaluation.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlcli.metrics.arithmetic import Array, Floats

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class ThresholdCounts:
    """The weight of the rows at each distinct score, in falling order of the score.

    Below, `p_k` and `n_k` are the weights of the positive and the negative rows at the k-th highest
    score, `P_k` and `N_k` their sums up to k, and `P` and `N` those over all scores. Arrays have
    the shape `(thresholds,)`, or `(resamples, thresholds)` if the weights are of resamples.
    """

    thresholds: Floats
    """The distinct scores, falling, `(thresholds,)`."""
    positives_at: Floats
    """`p_k`"""
    negatives_at: Floats
    """`n_k`"""

    @classmethod
    def of(cls, target: Array, scores: Array, weights: Array) -> ThresholdCounts:
        """Sort rows by their score and add up the weights of rows with the same one.

        Args:
            target: 1 or true for the positive rows, shape `(rows,)`.
            scores: grow with the probability that a row is positive, shape `(rows,)`.
            weights: row weights, shape `(rows,)` or `(resamples, rows)`.
        """
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        first = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]][: len(falling)])
        is_positive = target[order].astype(np.bool_)
        sorted_weights = weights[..., order]

        def at_each_score(selected: Array) -> Floats:
            kept = np.where(selected, sorted_weights, 0.0)
            no_ties = len(first) == len(order)
            return kept if no_ties else np.asarray(np.add.reduceat(kept, first, axis=-1))

        return cls(falling[first], at_each_score(is_positive), at_each_score(~is_positive))

    @cached_property
    def true_positives(self) -> Floats:
        """`P_k`, the weight of the positive rows that score at least as high as each threshold."""
        return np.cumsum(self.positives_at, axis=-1)

    @cached_property
    def false_positives(self) -> Floats:
        """`N_k`, the same of the negative rows."""
        return np.cumsum(self.negatives_at, axis=-1)

    @cached_property
    def positives(self) -> Floats:
        """`P`, shape `()` or `(resamples,)`."""
        return np.asarray(self.positives_at.sum(axis=-1))

    @cached_property
    def negatives(self) -> Floats:
        """`N`, shape `()` or `(resamples,)`."""
        return np.asarray(self.negatives_at.sum(axis=-1))

    @property
    def is_defined(self) -> bool:
        """Whether there are rows of both classes."""
        return bool(np.all(self.positives > 0) and np.all(self.negatives > 0))

    @np.errstate(divide="ignore", invalid="ignore")
    def roc_auc(self) -> Floats:
        """Return the area under the ROC curve; NaN without rows of both classes.

        It is the Mann-Whitney statistic, the probability that a positive row scores above a
        negative one, ties counting half: `Σ n_k (P_k - p_k / 2) / (P N)`. Hanley and McNeil,
        Radiology 143 (1982).
        """
        above = np.sum(self.negatives_at * (self.true_positives - self.positives_at / 2), axis=-1)
        return np.asarray(above / (self.positives * self.negatives))

    @np.errstate(divide="ignore", invalid="ignore")
    def average_precision(self) -> Floats:
        """Return the step-wise area `Σ p_k / P · P_k / (P_k + N_k)` under precision by recall."""
        precision = self.true_positives / (self.true_positives + self.false_positives)
        steps = np.where(self.positives_at > 0, self.positives_at * precision, 0.0)
        return np.asarray(steps.sum(axis=-1) / self.positives)

    def roc_curve(self) -> tuple[Floats, Floats]:
        """Return the false positive rate and the true positive rate, both from 0 to 1."""
        false_rate = np.concatenate([[0.0], self.false_positives / self.negatives])
        return false_rate, np.concatenate([[0.0], self.true_positives / self.positives])

    def precision_recall_curve(self) -> tuple[Floats, Floats]:
        """Return recall and precision at each threshold."""
        selected = self.true_positives + self.false_positives
        return self.true_positives / self.positives, self.true_positives / selected


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of similar predicted probability."""

    predicted: float
    """Their mean probability."""
    observed: float
    """The share of them that is positive."""
    rows: int
    share: float
    """Their share of the weight of all rows."""


def calibration_curve(
    target: Array, probabilities: Floats, weights: Floats, bins: int = CALIBRATION_BINS
) -> list[CalibrationBin]:
    """Compare probabilities with observed frequencies in bins of equal width.

    Args:
        target: 1 or true for the positive rows, shape `(rows,)`.
        probabilities: of being positive, from 0 to 1, shape `(rows,)`; 1 is in the last bin.
        weights: row weights, shape `(rows,)`.
        bins: number of bins; empty ones are omitted.
    """
    # Rounding may put a probability just outside 0 to 1.
    index = np.clip((probabilities * bins).astype(np.int64), 0, bins - 1)
    total = weights.sum()
    result = []
    for at in range(bins):
        rows = index == at
        weight = weights[rows].sum()
        if weight > 0:
            predicted = np.average(probabilities[rows], weights=weights[rows])
            observed = np.average(target[rows], weights=weights[rows])
            count = int(np.count_nonzero(rows))
            share = float(weight / total)
            result.append(CalibrationBin(float(predicted), float(observed), count, share))
    return result


def expected_calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the expected calibration error, `Σ share · |observed - predicted|`.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    return sum(each.share * abs(each.observed - each.predicted) for each in bins)
