"""Fewer points of a curve that look the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def thinned(values: Floats, most: int) -> NDArray[np.int64]:
    """The places of points that keep a curve's first, last, least and greatest, in all its parts.

    The curve is cut into equal parts, and each keeps its least and its greatest value: so no peak
    is lost, as it would be among every tenth point.

    Args:
        values: the curve, (points,); NaN and infinity are left out.
        most: how many points may stay, at least 4.

    Returns:
        The places, in order.
    """
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= most:
        return finite
    parts = np.array_split(finite, (most - 2) // 2)
    extremes = [part[find(values[part])] for part in parts for find in (np.argmin, np.argmax)]
    return np.unique([finite[0], *extremes, finite[-1]])


def thinned_path(x: Floats, y: Floats, most: int) -> NDArray[np.int64]:
    """The places of points at about even distances along a path that only goes forward.

    Args:
        x: of each point, from 0 to 1, (points,).
        y: the same.
        most: how many points may stay, at least 2.

    Returns:
        The places, in order, the first and the last among them.
    """
    if len(x) <= most:
        return np.arange(len(x))
    steps = np.abs(np.diff(x)) + np.abs(np.diff(y))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, way[-1], most)
    return np.unique([0, *np.searchsorted(way, wanted[1:-1]), len(x) - 1])
