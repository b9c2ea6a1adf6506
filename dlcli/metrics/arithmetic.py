"""Types of metrics and conversions of their input and output."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Number = float | None
MetricValue = Number | list[list[float]] | dict[str, "Metrics"]
"""A metric's value, `None` where it is undefined; the rows of a confusion matrix; or the scores of
each column or label by its name."""
Metrics = dict[str, MetricValue]


def as_floats(values: Array) -> Floats:
    """The values in the precision of all sums; what is float32 gains no digits, but loses none."""
    return np.asarray(values, dtype=np.float64)


def as_indices(target: Array) -> NDArray[np.int64]:
    """Class indices, fit to compute with: as a boolean or a byte they would overflow."""
    return np.asarray(target, dtype=np.int64)


def positive_weights(weight: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """The weight, whole ones if it is `None`, and the arrays, less their rows of weight zero."""
    if weight is None:
        return np.ones(len(arrays[0]), dtype=np.int64), *arrays
    counts = weight > 0
    return as_floats(weight)[counts], *(array[counts] for array in arrays)


def mean_of_defined(scores: Iterable[Number]) -> Number:
    """The mean of those scores that are defined."""
    values = [score for score in scores if score is not None]
    return float(np.mean(values)) if values else None


def finite(value: float) -> Number:
    """The value as a plain float; JSON knows neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None


def finite_number(value: object) -> Number:
    """A value of a file, which may be anything, if it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return finite(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
