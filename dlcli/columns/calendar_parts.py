"""Parts of times, such as the month and the hour, as sines and cosines of their cycles."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from dlcli.arrays import Floats, Indices, Matrix, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scalar = TypeVar("Scalar", bound=np.generic)

Part = Literal[
    "year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "elapsed"
]
PARTS = get_args(Part)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_CLOCK: dict[Part, tuple[int, int]] = {
    "hour": (3600 * _SECOND, 24),
    "minute": (60 * _SECOND, 60),
    "second": (_SECOND, 60),
}
"""Of each part that differs within a day: the length of a step in microseconds, and the steps of
the cycle."""
_LENGTHS: dict[Part, range] = {
    "month": range(12, 13),
    "day": range(28, 32),
    "weekday": range(7, 8),
    "day_of_year": range(365, 367),
    **{part: range(steps, steps + 1) for part, (_, steps) in _CLOCK.items()},
}
"""The possible lengths of each cyclic part's cycle, in steps."""


_FEW = 64
"""Most times whose days are not looked up in a table of days."""


class LocalTimes:
    """Times by local clocks, and their parts.

    There are usually more times than days. So what depends on the day alone is computed once for
    each day, and looked up.

    Args:
        local: microseconds since 1970-01-01T00:00 by local clocks, (rows,).
    """

    def __init__(self, local: Indices) -> None:
        self._local = local
        self._days = local // _DAY
        """The days since 1970 of the table of days, or of the rows, (days,)."""
        self._rows: Indices | None = None
        """The index of each row's day in the table, (rows,)."""
        if len(local) > _FEW:
            first, last = int(self._days.min()), int(self._days.max())
            if last - first < len(local):
                self._rows = self._days - first
                self._days = np.arange(first, last + 1)

    @property
    def years(self) -> Floats:
        """The years, (rows,)."""
        return self._of_rows((self._months // 12 + 1970).astype(np.float64))

    def steps(self, part: Part) -> Indices:
        """Return the steps since the beginning of a part's cycle, 0 for its first, (rows,)."""
        if part in _CLOCK:
            step, steps = _CLOCK[part]
            return self._local // step % steps
        return self._of_rows(self._steps_and_lengths(part)[0])

    def sine_and_cosine(self, part: Part) -> Matrix:
        """Return sine and cosine of 2π·steps/length of a cycle, (rows, 2).

        The cycle of days is as long as the row's month, so that its last day is next to the first
        of any other month; likewise the day of the year. The values are looked up in a table, which
        is fast, and gives the same bits for any number of rows.
        """
        starts, points = circles(part)
        if part in _CLOCK:
            return np.take(points, self.steps(part), axis=0)
        steps, lengths = self._steps_and_lengths(part)
        index = steps if len(starts) == 1 else starts[lengths - _LENGTHS[part][0]] + steps
        return self._of_rows(np.take(points, index, axis=0))

    def _of_rows(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return values of the days for the rows, (rows, ...)."""
        return values if self._rows is None else np.take(values, self._rows, axis=0)

    def _steps_and_lengths(self, part: Part) -> tuple[Indices, Indices | int]:
        """Return the steps of days since a cycle's beginning, and its length, (days,)."""
        if part == "weekday":
            return (self._days + 3) % 7, 7  # 1970-01-01 was a Thursday, weeks begin on Mondays
        if part == "month":
            return self._months % 12, 12
        is_month = part == "day"
        first = self._months if is_month else self._months - self._months % 12
        begins = _first_days(first)
        return self._days - begins, _first_days(first + (1 if is_month else 12)) - begins

    @cached_property
    def _months(self) -> Indices:
        """The months since January 1970, (days,)."""
        return self._days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


@lru_cache
def circles(part: Part) -> tuple[Indices, Matrix]:
    """Return sine and cosine of each step of a cyclic part, for each possible length of its cycle.

    Returns:
        starts: where the circle of each length starts in the table, `(lengths,)`.
        points: the table, `(steps of all lengths, 2)`.
    """
    lengths = _LENGTHS[part]
    starts = np.cumsum([0, *lengths[:-1]])
    angles = [2 * math.pi * step / steps for steps in lengths for step in range(steps)]
    points = [(math.sin(angle), math.cos(angle)) for angle in angles]
    return starts, np.array(points, dtype=np.float32)


def _first_days(months: Indices) -> Indices:
    """Return the first day of months since January 1970, in days since then, (rows,)."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
