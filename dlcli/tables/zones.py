"""Time zones: how far their clocks are ahead of UTC.

Zones come from the system, or from the package `tzdata` where it has none, by way of `zoneinfo`.
(pyarrow reads the system's alone, and on Windows wants a download.) A zone is asked twice for each
day that occurs, not once for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Moments = NDArray[np.int64]
"""Microseconds since 1970-01-01T00:00, (rows,)."""

SECOND = 1_000_000
"""In microseconds."""
DAY = 86_400 * SECOND
"""In microseconds."""
_DAY_SECONDS = 86_400
_FIRST_DAY = datetime(1, 1, 3).toordinal() - datetime(1970, 1, 1).toordinal()
_LAST_DAY = datetime(9999, 12, 29).toordinal() - datetime(1970, 1, 1).toordinal()
"""Days, from 1970, whose neighbours are dates as well, in every zone."""

_CACHED_DAYS = 2**16
"""So that rows that come in parts ask once for a day: a hundred years, at moments and on walls."""

Clock = Callable[[str, int], int]
"""A zone and seconds since 1970 to the seconds that its clocks are ahead of UTC."""


def to_local(moments: Moments, zone: str) -> Moments:
    """What clocks in a zone show.

    Args:
        moments: in UTC.
        zone: its name, as `Europe/Berlin`.
    """
    return moments if zone == "UTC" else moments + _offsets(moments, zone, _ahead_at)


def to_utc(walls: Moments, zone: str) -> Moments:
    """When clocks in a zone show something.

    Where they show it twice, as one hour in autumn, it is the first time; what they leave out, as
    an hour in spring, is counted on from before (PEP 495, fold=0).

    Args:
        walls: what they show.
        zone: its name, as `Europe/Berlin`.
    """
    return walls if zone == "UTC" else walls - _offsets(walls, zone, _ahead_while_showing)


def _ahead_at(zone: str, seconds: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return _seconds(moment.astimezone(ZoneInfo(zone)).utcoffset())


def _ahead_while_showing(zone: str, seconds: int) -> int:
    wall = datetime(1970, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(seconds=seconds)
    return _seconds(wall.utcoffset())


def _seconds(offset: timedelta | None) -> int:
    return 0 if offset is None else int(offset.total_seconds())


def _offsets(moments: Moments, zone: str, ahead: Clock) -> Moments:
    """How far a clock is ahead, in microseconds, (rows,)."""
    days, place = np.unique(moments // DAY, return_inverse=True)
    asked = np.clip(days, _FIRST_DAY, _LAST_DAY)
    steps = np.array([_step(zone, day, ahead) for day in asked.tolist()], dtype=np.int64).reshape(
        -1, 3
    )
    changed, before, after = steps[place].T
    offsets: Moments = np.where(moments % DAY < changed * SECOND, before, after)
    return offsets * SECOND


@lru_cache(maxsize=_CACHED_DAYS)
def _step(zone: str, day: int, ahead: Clock) -> tuple[int, int, int]:
    """The second of a day at which a clock is changed, and how far it is ahead before and after.

    No zone ever changed its clocks twice in a day and had them where they were at its end.
    """
    start = day * _DAY_SECONDS
    before, after = ahead(zone, start), ahead(zone, start + _DAY_SECONDS)
    if before == after:
        return 0, before, after
    low, high = 0, _DAY_SECONDS  # the clock is changed behind `low`, and by `high`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if ahead(zone, start + middle) == before else (low, middle)
    return high, before, after
