"""Rows with predicted quantiles, their pinball loss, and the coverage of the outermost pair.

A network predicts the quantiles of several levels by one output each. Sorting the outputs of a row
makes the quantiles consistent, and never increases their pinball loss: Chernozhukov,
Fernández-Val, Galichon, Quantile and Probability Curves Without Crossing (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import ClassVar

from dlcli.arrays import np
from dlcli.metrics.metric import NumberRows, Operand


def middle_of(levels: Sequence[float]) -> int:
    """Return the index of the level that is nearest to 0.5; it is the prediction."""
    return min(range(len(levels)), key=lambda at: abs(levels[at] - 0.5))


class QuantileRows(NumberRows):
    """Numbers, (rows, 1), and their predicted quantiles, (rows, levels), in any order."""

    middle: ClassVar[int]
    """The index of the quantile that is the prediction."""

    @cached_property
    def quantiles(self) -> Operand:
        """The quantiles in ascending order, (rows, levels)."""
        return np.sort(self.outputs, axis=-1)

    @cached_property
    def errors(self) -> Operand:
        """The errors of the quantile that is the prediction, (rows, 1)."""
        return self.quantiles[:, self.middle : self.middle + 1] - self.true

    @property
    def is_covered(self) -> Operand:
        """Whether each number lies between the first and the last quantile, (rows, 1)."""
        lowest, highest = self.quantiles[:, :1], self.quantiles[:, -1:]
        return np.logical_and(lowest <= self.true, self.true <= highest)

    @property
    def widths(self) -> Operand:
        """The distance of the last from the first quantile, (rows, 1)."""
        return self.quantiles[:, -1:] - self.quantiles[:, :1]


@cache
def quantile_rows(middle: int) -> type[QuantileRows]:
    """Return the type of rows whose prediction is the quantile of an index."""
    return type("QuantileRows", (QuantileRows,), {"middle": middle})


def pinball_loss(levels: Sequence[float], true: Operand, quantiles: Operand) -> Operand:
    """Return the loss of each quantile, `max(a (y - q), (a - 1) (y - q))` for its level `a`.

    It is minimal for the quantile: Koenker and Bassett, Regression Quantiles (1978).

    Args:
        levels: the levels.
        true: the numbers, (rows, 1).
        quantiles: the predicted quantiles, (rows, levels).
    """
    distances = true - quantiles
    # Lists, which are also constants in programs of any type of numbers and in exported scripts.
    below, above = [*levels], [level - 1 for level in levels]
    return np.maximum(np.multiply(below, distances), np.multiply(above, distances))
