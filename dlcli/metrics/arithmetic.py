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
"""A metric's value, `None` where it is undefined; the rows of a confusion matrix; or the
metrics of each column or label by its name."""
Metrics = dict[str, MetricValue]


def as_floats(values: Array) -> Floats:
    """Return values as float64, the precision of all sums."""
    return np.asarray(values, dtype=np.float64)


def as_indices(target: Array) -> NDArray[np.int64]:
    """Return class indices as int64; sums of booleans or bytes would overflow."""
    return np.asarray(target, dtype=np.int64)


def positive_weights(weight: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """Return row weights and arrays without the rows of weight zero; integer ones if `None`."""
    if weight is None:
        return np.ones(len(arrays[0]), dtype=np.int64), *arrays
    counts = weight > 0
    return as_floats(weight)[counts], *(array[counts] for array in arrays)


def mean_of_defined(values: Iterable[Number]) -> Number:
    """Return the mean of the values that are defined; `None` if there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def finite(value: float) -> Number:
    """Return a value as a plain float; `None` if JSON has no form for it, as for NaN."""
    return float(value) if math.isfinite(value) else None


def finite_number(value: object) -> Number:
    """Return a value read from a file if it is a finite number that fits a float, else `None`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return finite(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
