"""What the metrics of all kinds of targets are computed with."""

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


def as_columns(numbers: Array) -> Floats:
    """Numbers of shape `(rows,)` or `(rows, outputs)` as `(rows, outputs)`."""
    floats = as_floats(numbers)
    return floats[:, np.newaxis] if floats.ndim == 1 else floats


def as_floats(values: Array) -> Floats:
    """The values in the precision of all sums; what is float32 gains no digits, but loses none."""
    return np.asarray(values, dtype=np.float64)


def as_places(target: Array) -> NDArray[np.int64]:
    """Class indices, fit to compute with: as a boolean or a byte they would overflow."""
    return np.asarray(target, dtype=np.int64)


def counted(weight: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """The weight, whole ones if it is `None`, and the arrays, less their rows of weight zero."""
    if weight is None:
        return np.ones(len(arrays[0]), dtype=np.int64), *arrays
    counts = weight > 0
    return as_floats(weight)[counts], *(array[counts] for array in arrays)


def mean(values: Array, weight: Array) -> Number:
    """The weighted mean, `Σ w v / Σ w`, of values of shape `(rows,)`."""
    return finite(np.average(values, weights=weight)) if len(values) else None


def mean_if_defined(scores: Iterable[Number]) -> Number:
    """The mean of the scores; undefined as soon as one of them is."""
    values = list(scores)
    return None if None in values else mean_of_defined(values)


def mean_of_defined(scores: Iterable[Number]) -> Number:
    """The mean of those scores that are defined."""
    values = [score for score in scores if score is not None]
    return float(np.mean(values)) if values else None


def ratios(numerators: Array, denominators: Array) -> list[Number]:
    """The ratio of each pair."""
    return [ratio(*pair) for pair in zip(numerators, denominators, strict=True)]


def ratio(numerator: float, denominator: float) -> Number:
    """A ratio, undefined if the denominator is zero."""
    return finite(numerator / denominator) if denominator else None


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
