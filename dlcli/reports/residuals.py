"""How far predicted numbers are from the true ones, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PARTS = 10
MOST_BINS = 40


@dataclass(frozen=True)
class Part:
    """Rows of about one true value."""

    lowest: float
    highest: float
    """Of the true values."""
    rows: int
    error: float
    """The mean size of the error."""
    bias: float
    """The mean of prediction less truth: above 0 where too much is predicted."""


def by_decile(
    target: Floats, prediction: Floats, weights: Floats, parts: int = PARTS
) -> list[Part]:
    """The error of ten parts of the rows, from the least true values to the greatest.

    Rows of one true value stay together, so that there may be fewer parts, and of other sizes.

    Args:
        target: true values, (rows,).
        prediction: predicted ones, (rows,).
        weights: of the rows, (rows,).
        parts: how many.
    """
    edges = np.unique(np.quantile(target, np.linspace(0, 1, parts + 1)))
    place = np.clip(np.searchsorted(edges, target, side="right") - 1, 0, max(0, len(edges) - 2))
    error = prediction - target
    result = []
    for at in np.unique(place):
        rows = place == at
        mean = float(np.average(np.abs(error[rows]), weights=weights[rows]))
        bias = float(np.average(error[rows], weights=weights[rows]))
        lowest, highest = float(target[rows].min()), float(target[rows].max())
        result.append(Part(lowest, highest, int(np.count_nonzero(rows)), mean, bias))
    return result


@dataclass(frozen=True)
class Counts:
    """How numbers are distributed."""

    edges: Floats
    """Where the bins begin, and where the last one ends."""
    shares: Floats
    """Of the weight of all rows, (bins,)."""


def distribution(values: Floats, weights: Floats, bins: int | None = None) -> Counts:
    """The share of each of some bins of equal width.

    The bins cover the middle 99 %; what lies outside counts in the outermost, so that one far value
    doesn't squeeze all others into one bin.

    Args:
        values: the numbers, (rows,).
        weights: of the rows, (rows,).
        bins: how many; else, after Rice, twice the third root of the rows.
    """
    bins = bins or min(MOST_BINS, math.ceil(2 * len(values) ** (1 / 3)))
    low, high = np.quantile(values, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    sums, _ = np.histogram(np.clip(values, low, high), edges, weights=weights)
    return Counts(edges, sums / sums.sum())
