"""Quantiles of the distributions that intervals are made with."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from dlcli.metrics import Floats

NORMAL = NormalDist()
CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
"""The chance that the truth lies below an interval, and that it lies above."""
Z = NORMAL.inv_cdf(1 - TAIL)


def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's distribution, to three digits from 4 degrees of freedom on.

    The expansion in 1 / freedom around the normal quantile: Abramowitz and Stegun, Handbook of
    Mathematical Functions (1964), 26.7.5.
    """
    z = NORMAL.inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / float(freedom) ** power for power, term in enumerate(terms))


def expanded_tail(rows: int) -> float:
    """The tail to cut off resampled values, smaller than `TAIL` as the rows are few.

    `Φ(-√(n / (n - 1)) t)`: makes good that resamples vary less than samples, by `(n - 1) / n`, and
    that the spread itself is only estimated. Hesterberg, What Teachers Should Know About the
    Bootstrap, The American Statistician 69 (2015), section 5.3.
    """
    factor = math.sqrt(rows / (rows - 1))
    return NORMAL.cdf(-factor * student_quantile(1 - TAIL, rows - 1))


def quantiles(values: Floats, *probabilities: float) -> tuple[float, ...]:
    """The quantiles of resampled values, (resamples,), between neighbours in proportion."""
    return tuple(float(value) for value in np.quantile(values, probabilities))
