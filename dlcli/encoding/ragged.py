"""Rows of different lengths that lie one behind the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Several ranges of indices, one behind the other.

    Args:
        starts: the first index of each, (ranges,).
        counts: how many indices each has, (ranges,).

    Returns:
        `[5, 6, 2, 3, 4]` for starts `[5, 2]` and counts `[2, 3]`, (sum of the counts,).
    """
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(counts.sum())
