"""Metrics of the order of scores, many resamples at once: the scores are sorted only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlcli.comparison.statistics import Statistic, enough_tell
from dlcli.metrics import Array, Floats, as_floats


@dataclass(frozen=True)
class Ranking(Statistic):
    """The area under the ROC curve or the average precision: the mean over labels that have one.

    Defined as in `dlcli.metrics`, equal scores and row weights included.
    """

    metric: Literal["auc", "average_precision"]
    target: Array
    """0 or 1, (rows, labels)."""
    scores: Floats
    """What grows with the chance of 1, (rows, labels)."""
    weight: Floats
    """(rows,)"""

    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,); NaN where it is undefined."""
        weighted = counts * self.weight
        each = np.stack(
            [
                self._of_label(*columns, weighted)
                for columns in zip(self.target.T, self.scores.T, strict=True)
            ]
        )
        defined = np.isfinite(each)
        count = defined.sum(axis=0)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(defined, each, 0.0).sum(axis=0) / count)

    @property
    def labels(self) -> int:
        """How many orders of the rows it takes."""
        return int(self.target.shape[1])

    def influences(self) -> Floats:
        """How far each row pushes the metric, (rows,); NaN if too few rows are of a kind."""
        ones = np.count_nonzero(self.target, axis=0)
        fewest = np.minimum(ones, len(self.target) - ones) if self.metric == "auc" else ones
        defined = np.flatnonzero(fewest)
        pushes = np.zeros(len(self.target))
        if not enough_tell(fewest[defined]):
            return pushes * np.nan
        of_label = _auc_influences if self.metric == "auc" else _precision_influences
        for label in defined:
            pushes += of_label(self.target[:, label], self.scores[:, label], self.weight)
        return pushes / len(defined)

    def _of_label(self, target: Array, scores: Floats, weighted: Floats) -> Floats:
        order = np.argsort(-scores)
        falling = scores[order]
        first = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
        ones = _summed(weighted[:, order] * target[order], first)
        zeros = _summed(weighted[:, order] * (1 - target[order]), first)
        reached = np.cumsum(ones, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.metric == "auc":
                above = np.einsum("bk,bk->b", zeros, reached - ones / 2)
                return np.asarray(above / (reached[:, -1] * zeros.sum(axis=1)))
            precision = reached / (reached + np.cumsum(zeros, axis=1))
            sums = np.einsum("bk,bk->b", ones, np.where(ones > 0, precision, 0.0))
            return np.asarray(sums / reached[:, -1])


def _summed(weighted: Floats, first: Array) -> Floats:
    """The weight at each distinct score, (resamples, scores)."""
    if len(first) == weighted.shape[1]:
        return weighted
    return np.asarray(np.add.reduceat(weighted, first, axis=1))


def _auc_influences(target: Array, scores: Floats, weight: Floats) -> Floats:
    """`w (V - AUC) / Σ w` over the rows of either class, V being the share of the other beaten.

    Equal scores count half: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988).
    """
    place, ones, zeros = _by_score(target, scores, weight)
    all_ones, all_zeros = ones.sum(), zeros.sum()
    beaten = 1 - (np.cumsum(zeros) - zeros / 2) / all_zeros
    beating = (np.cumsum(ones) - ones / 2) / all_ones
    auc = ones @ beaten / all_ones
    of_one, of_zero = (beaten - auc) / all_ones, (beating - auc) / all_zeros
    return np.asarray(weight * np.where(target == 1, of_one[place], of_zero[place]))


def _precision_influences(target: Array, scores: Floats, weight: Floats) -> Floats:
    """The derivative of `Σ w p / Σ w` over the ones, p being the precision at the score of each.

    A row changes the precision at its own score and at all lesser ones.
    """
    place, ones, zeros = _by_score(target, scores, weight)
    true, false, all_ones = np.cumsum(ones), np.cumsum(zeros), ones.sum()
    reached = true + false
    precision = true / reached
    by_one, by_zero = (
        np.cumsum((ones * slope / reached**2)[::-1])[::-1] for slope in (false, -true)
    )
    of_one = precision - ones @ precision / all_ones + by_one
    return np.asarray(weight / all_ones * np.where(target == 1, of_one[place], by_zero[place]))


def _by_score(target: Array, scores: Floats, weight: Floats) -> tuple[Array, Floats, Floats]:
    """Each row's place among the falling scores; the weight of ones and of zeros at each score."""
    distinct, place = np.unique(-scores, return_inverse=True)
    ones = np.bincount(place, weight * (target == 1), len(distinct))
    zeros = np.bincount(place, weight * (target == 0), len(distinct))
    return place, as_floats(ones), as_floats(zeros)
