"""How numbers are distributed, in a few bins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_BINS = 24
_FAR = 3
"""Quartile distances from the quartiles from which on a value is far out (Tukey 1977)."""
_FEW = 0.01
"""Share of the values that may be left outside the bins, as they would press the rest together."""
_EXACT = 2.0**50
"""Whole numbers up to here lie apart from the halves between them."""


def bin_edges(values: Floats) -> Floats:
    """Where bins of equal width begin, and where the last one ends.

    They span the values from the least to the greatest, but for a few that are far out. Whole
    numbers lie in the middle of bins, as many in each. Of others there are 2·∛n bins for n values
    (Rice's rule), `MOST_BINS` at most.

    Args:
        values: finite numbers, (values,); at least one.
    """
    low, high = _span(values)
    is_whole = bool((values == np.floor(values)).all())
    if is_whole and max(abs(low), abs(high)) < _EXACT:
        count = high - low + 1
        width = math.ceil(count / MOST_BINS)
        edges: Floats = (
            low - 0.5 + width * np.arange(math.ceil(count / width) + 1, dtype=np.float64)
        )
        return edges
    if low == high:
        half = max(0.5, abs(low) / 1000)
        return np.array([low - half, low + half])
    bins = min(MOST_BINS, math.ceil(2 * math.cbrt(len(values))))
    return np.unique(np.linspace(low, high, bins + 1))


def count_bins(edges: Floats, values: Floats) -> Counts:
    """How many values lie in each bin; those outside count in the outermost, (bins,)."""
    bins = np.searchsorted(edges[1:-1], values, side="right")
    return np.bincount(bins, minlength=len(edges) - 1)


def _span(values: Floats) -> tuple[float, float]:
    """The least and the greatest value, but for a few that are far out."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = _FAR * (upper - lower)
    near = values[(values >= lower - reach) & (values <= upper + reach)]
    if reach > 0 and len(values) - len(near) <= max(1, _FEW * len(values)):
        return float(near.min()), float(near.max())
    return float(values.min()), float(values.max())
