"""The normalized Gini index: how well predictions order rows by their amounts.

The Gini index of an order of rows is twice the area between the diagonal and the Lorenz curve, the
share of the total amount in the first rows against the share of rows. The normalized index divides
it by the index of the true order, so it is 1 for a perfect order, 0 for a random one, and -1 for
the reverse: Frees, Meyers, Cummings, Summarizing Insurance Scores Using a Gini Index, JASA 106
(2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlcli.arrays import Array, Floats
from dlcli.metrics.statistic import Statistic


@dataclass(frozen=True)
class _Order:
    """Rows in ascending order of a score; rows with the same score form a group."""

    scores: Floats
    """The scores, (rows,)."""

    @cached_property
    def rows(self) -> Array:
        """The indices of the rows in order."""
        return np.argsort(self.scores, kind="stable")

    @cached_property
    def starts(self) -> Array:
        """The first position of each group."""
        ordered = self.scores[self.rows]
        return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])

    @cached_property
    def groups(self) -> Array:
        """The group of each row, (rows,)."""
        groups = np.empty(len(self.rows), np.int64)
        sizes = np.diff(np.r_[self.starts, len(self.rows)])
        groups[self.rows] = np.repeat(np.arange(len(self.starts)), sizes)
        return groups

    def sums(self, values: Array) -> Floats:
        """Return the sum of each group, (..., groups), of values, (..., rows)."""
        return np.asarray(np.add.reduceat(values[..., self.rows], self.starts, axis=-1))

    def index(self, amounts: Floats, weights: Array) -> Floats:
        """Return the Gini index of the order, (...), for weights, (..., rows).

        It is `2 Σ w y R / (Σ w Σ w y) - 1`, where the rank `R` of a row is the weight of the rows
        before its group and half of the weight of its group.
        """
        of_group, amounts_of_group = self.sums(weights), self.sums(weights * amounts)
        ranks = np.cumsum(of_group, axis=-1) - of_group / 2
        totals = of_group.sum(axis=-1) * amounts_of_group.sum(axis=-1)
        return np.asarray(2 * (amounts_of_group * ranks).sum(axis=-1) / totals - 1)

    def slopes(self, amounts: Floats, weights: Array) -> Floats:
        """Return the derivative of `index` by the weight of each row, (rows,)."""
        of_group, amounts_of_group = self.sums(weights), self.sums(weights * amounts)
        ranks = np.cumsum(of_group) - of_group / 2
        after = amounts_of_group.sum() - np.cumsum(amounts_of_group) + amounts_of_group / 2
        weight, amount = of_group.sum(), amounts_of_group.sum()
        sum_of_ranks = (amounts_of_group * ranks).sum()
        own = amounts * ranks[self.groups] + after[self.groups]
        shares = 1 / weight + amounts / amount
        return np.asarray(2 * (own - sum_of_ranks * shares) / (weight * amount))


@dataclass(frozen=True)
class NormalizedGini(Statistic):
    """The Gini index of the predicted order, divided by the index of the true order."""

    amounts: Floats
    """The true amounts, 0 or more, (rows,)."""
    predicted: Floats
    """The predictions, (rows,)."""

    @property
    def sorts(self) -> int:
        """The number of times that `of` sorts the rows; the orders are computed once."""
        return 1

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        if not len(self.amounts) or self.amounts.min() < 0 or not np.isfinite(self.predicted).all():
            return np.full(np.shape(weights)[:-1], np.nan)
        found, best = (order.index(self.amounts, weights) for order in self._orders)
        return np.asarray(found / best)

    def influences(self) -> Floats:
        """Return each row's influence on the metric, the row's weight times the derivative."""
        found, best = (order.index(self.amounts, self.weights) for order in self._orders)
        slope, best_slope = (order.slopes(self.amounts, self.weights) for order in self._orders)
        return np.asarray(self.weights * (slope - found / best * best_slope) / best)

    @cached_property
    def _orders(self) -> tuple[_Order, _Order]:
        """The predicted and the true order."""
        return _Order(self.predicted), _Order(self.amounts)
