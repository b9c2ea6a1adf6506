"""Shares of rows, whose intervals need no resampling and hold for few rows, and at 0 and 1, too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.comparison.quantiles import Z
from dlcli.metrics import Floats

Ends = tuple[float, float]
"""Lower and upper end of an interval."""


@dataclass(frozen=True)
class Proportion:
    """A share of rows: those that are hit among those that count."""

    hits: NDArray[np.bool_]
    """(rows,)"""
    among: NDArray[np.bool_]
    """Which rows count, (rows,)."""
    weight: Floats
    """(rows,)"""

    @property
    def share(self) -> float:
        """The weighted share of hits; NaN among no rows."""
        total = self._weights.sum()
        return float(self._weights[self.hits[self.among]].sum() / total) if total else math.nan

    @property
    def size(self) -> float:
        """How many rows of equal weight would tell as much: `(Σ w)² / Σ w²` (Kish 1965)."""
        return effective_size(self._weights)

    @property
    def _weights(self) -> Floats:
        return self.weight[self.among]


def effective_size(weight: Floats) -> float:
    """How many rows of equal weight would tell as much: `(Σ w)² / Σ w²`.

    Kish, Survey Sampling (1965), 11.7.
    """
    squares = float(np.sum(weight**2))
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def share_interval(proportion: Proportion) -> Ends:
    """Wilson's interval of a share.

    `(p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)`; Wilson, JASA 22 (1927). Of 20 rows
    that are all hit it says 0.84 to 1, where resampling could only repeat the 1. It covers well at
    any size: Brown, Cai and DasGupta, Statistical Science 16 (2001).
    """
    share, size = proportion.share, proportion.size
    middle = share + Z**2 / (2 * size)
    half = Z * math.sqrt(share * (1 - share) / size + Z**2 / (4 * size**2))
    scale = 1 + Z**2 / size
    lower, upper = (middle - half) / scale, (middle + half) / scale
    return (0.0 if share == 0 else lower, 1.0 if share == 1 else upper)


def paired_interval(first: Proportion, second: Proportion) -> Ends:
    """Bonett and Price's interval of the difference of two shares of the same rows.

    With `a` rows that are hit in the second only and `b` in the first only, `p = (a + 1) / (n + 2)`
    and `q = (b + 1) / (n + 2)`: `p - q ± z √((p + q - (p - q)²) / (n + 2))`; Bonett and Price,
    Journal of Educational and Behavioral Statistics 37 (2012). It covers where rows on which the
    two disagree are few or none, and resampling tells too little or nothing.

    Args:
        first: what is compared with.
        second: the share less which `first` is, among the same rows, with the same weights.
    """
    weights = first.weight[first.among]
    before, after = first.hits[first.among], second.hits[first.among]
    size = effective_size(weights)
    scale = size / weights.sum()
    gained = (weights[after & ~before].sum() * scale + 1) / (size + 2)
    lost = (weights[before & ~after].sum() * scale + 1) / (size + 2)
    half = Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (size + 2))
    return _within(gained - lost, half)


def unpaired_interval(first: Proportion, second: Proportion) -> Ends:
    """Agresti and Caffo's interval of the difference of two shares of different rows.

    Each share as if one row more were hit and one more weren't, `p = (x + 1) / (n + 2)`:
    `p₂ - p₁ ± z √(Σ p (1 - p) / (n + 2))`; Agresti and Caffo, The American Statistician 54 (2000).
    """
    (p, n), (q, m) = (
        ((each.share * each.size + 1) / (each.size + 2), each.size + 2) for each in (first, second)
    )
    half = Z * math.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    return _within(q - p, half)


def _within(middle: float, half: float) -> Ends:
    """An interval, less what no difference of shares can be."""
    return max(-1.0, float(middle - half)), min(1.0, float(middle + half))
