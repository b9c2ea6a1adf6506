"""Quantiles of training rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from dlcli.preprocessing.linear import Floats


def _increasing(points: tuple[float, ...]) -> tuple[float, ...]:
    if not all(left < right for left, right in pairwise(points)):
        raise ValueError("expected each number to be above the one before")
    return points


Increasing = Annotated[tuple[float, ...], AfterValidator(_increasing)]
"""Numbers in order, none twice."""


def quantile_points(values: Floats, count: int) -> Floats:
    """The quantiles at shares 0, 1/(count − 1), ..., 1, (count,), never falling.

    They lie on straight lines between the values in order, as `numpy.quantile` has them. That
    computes places among the values from shares, and misses the value at a whole place by a
    rounding error now and then; equal quantiles would look different.

    Args:
        values: in any order, (rows,).
        count: how many, 2 or more.
    """
    last = len(values) - 1
    places = np.linspace(0, last, count)
    points = np.interp(places, np.arange(last + 1), np.sort(values))
    # Near its end, a line's rounding may lift it above the next value.
    return np.maximum.accumulate(points)
