"""Whether what is said to be likely comes about as often as is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows of about one probability."""

    predicted: float
    """The mean probability."""
    observed: float
    """The share that came about."""
    rows: int
    share: float
    """Of the weight of all rows."""


def calibration(
    happened: NDArray[np.bool_], probabilities: Floats, weights: Floats, bins: int = BINS
) -> list[Bin]:
    """Compares probabilities with what came about, in bins of equal width; empty ones are left out.

    Args:
        happened: whether it came about, (rows,).
        probabilities: from 0 to 1, (rows,); 1 belongs to the last bin.
        weights: of the rows, (rows,).
        bins: how many.
    """
    # A probability may lie outside by rounding.
    place = np.clip((probabilities * bins).astype(np.int64), 0, bins - 1)
    total = weights.sum()
    result = []
    for at in range(bins):
        rows = place == at
        weight = weights[rows].sum()
        if weight > 0:
            predicted = np.average(probabilities[rows], weights=weights[rows])
            observed = np.average(happened[rows], weights=weights[rows])
            count = int(np.count_nonzero(rows))
            result.append(Bin(float(predicted), float(observed), count, float(weight / total)))
    return result


def expected_error(bins: list[Bin]) -> float:
    """The expected calibration error, `Σ share · |observed - predicted|`.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    return sum(each.share * abs(each.observed - each.predicted) for each in bins)
