"""Metrics of the order of scores, many resamples at once: the scores are sorted only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlcli.comparison.statistics import Statistic
from dlcli.scores.arithmetic import Array, Floats


@dataclass(frozen=True)
class Ranking(Statistic):
    """The area under the ROC curve or the average precision: the mean over labels that have one.

    Defined as in `dlcli.scores`, equal scores and row weights included.
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
