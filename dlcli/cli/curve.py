"""A curve of a line's height, however many values it is made of."""

from __future__ import annotations

import math

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-=+*%#"
_CELLS = 128
"""Most means that are kept."""
_STEEP = 10.0
"""Ratio of the greatest to the least value from which on a curve shows their logarithms."""


class Curve:
    """Values by the time they came, as some means of neighbours; each value takes constant time."""

    __slots__ = ("_count", "_each", "_means", "_sum")

    def __init__(self) -> None:
        self._means: list[float] = []
        self._each = 1  # values that a mean is of
        self._sum, self._count = 0.0, 0  # of the mean that is still to be full

    def add(self, value: float) -> None:
        """Adds the next value."""
        self._sum += value
        self._count += 1
        if self._count == self._each:
            self._means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
            if len(self._means) == _CELLS:
                self._halve()

    def draw(self, width: int, bars: str = BARS) -> str:
        """Draws the values as bars of eight heights, at most so many side by side.

        Args:
            width: columns.
            bars: the bars, the lowest first.
        """
        means = [*self._means, *([self._sum / self._count] if self._count else [])]
        columns = min(width, len(means))
        edges = [len(means) * at // columns for at in range(columns + 1)] if columns else []
        pairs = zip(edges[:-1], edges[1:], strict=True)
        return _bars([sum(means[a:b]) / (b - a) for a, b in pairs], bars)

    def _halve(self) -> None:
        pairs = zip(self._means[::2], self._means[1::2], strict=True)
        self._means = [(a + b) / 2 for a, b in pairs]
        self._each *= 2


def _bars(values: list[float], bars: str) -> str:
    """A bar for each value, the least of them the lowest."""
    if not values:
        return ""
    if min(values) > 0 and max(values) > _STEEP * min(values):
        values = [math.log(value) for value in values]
    least = min(values)
    span = (max(values) - least) or 1.0
    return "".join(bars[round((value - least) / span * (len(bars) - 1))] for value in values)
