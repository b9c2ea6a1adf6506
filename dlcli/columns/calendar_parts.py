"""Parts of times, such as the month and the hour, as sines and cosines of their cycles."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, get_args

from dlcli.arrays import Floats, Indices, Matrix, np

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


def years(local: Indices) -> Floats:
    """Return the years, (rows,).

    Args:
        local: microseconds since 1970-01-01T00:00 by local clocks, (rows,).
    """
    return (_months(local // _DAY) // 12 + 1970).astype(np.float64)


def cyclic_steps(local: Indices, part: Part) -> Indices:
    """Return the steps since the beginning of a cycle, 0 for its first, (rows,).

    Args:
        local: microseconds since 1970-01-01T00:00 by local clocks, (rows,).
        part: a cyclic part.
    """
    return _steps_and_lengths(local, part)[0]


def _steps_and_lengths(local: Indices, part: Part) -> tuple[Indices, Indices | int]:
    if part in _CLOCK:
        step, steps = _CLOCK[part]
        return local // step % steps, steps
    days = local // _DAY
    if part == "weekday":
        return (days + 3) % 7, 7  # 1970-01-01 was a Thursday, weeks begin on Mondays
    months = _months(days)
    if part == "month":
        return months % 12, 12
    first = months if part == "day" else months - months % 12
    begins = _first_days(first)
    return days - begins, _first_days(first + (1 if part == "day" else 12)) - begins


def sine_and_cosine(local: Indices, part: Part) -> Matrix:
    """Return sine and cosine of 2π·steps/length of a cycle, (rows, 2).

    The cycle of days is as long as the row's month, so that its last day is next to the first of
    any other month; likewise the day of the year. The values are looked up in a table, which is
    fast, and gives the same bits for any number of rows.
    """
    steps, lengths = _steps_and_lengths(local, part)
    starts, points = circles(part)
    return np.take(points, starts[lengths - _LENGTHS[part][0]] + steps, axis=0)


def day_table(local: Indices) -> tuple[Indices, Indices]:
    """Return a table of days, and the index there of each row's day, (rows,).

    There are usually more rows than days. So what depends on the day alone is computed once for
    each day, and looked up.
    """
    if len(local):
        first, last = int(local.min()) // _DAY, int(local.max()) // _DAY
        if last - first < len(local):
            return np.arange(first, last + 1) * _DAY, local // _DAY - first
    return local, np.arange(len(local))


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


def is_of_clock(part: Part) -> bool:
    """Return whether a part differs within a day."""
    return part in _CLOCK


def _months(days: Indices) -> Indices:
    """Return the months since January 1970, (rows,)."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _first_days(months: Indices) -> Indices:
    """Return the first day of months since January 1970, in days since then, (rows,)."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
