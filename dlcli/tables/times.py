"""A column's values as moments in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.config import is_named_format
from dlcli.tables.arrays import to_numpy
from dlcli.tables.column import Column
from dlcli.tables.time_text import read_times
from dlcli.tables.zones import DAY, SECOND, Moments, to_utc

Mask = NDArray[np.bool_]

EARLIEST = -719_162 * DAY
"""0001-01-01T00:00Z, in microseconds from 1970."""
LATEST = 2_932_897 * DAY - 1
"""The end of 9999-12-31, likewise."""

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Ticks of Arrow's units in a second."""
_UNIX = {"unix": 1, "unix_ms": 1_000}
_MEANINGS = {
    "iso": "as 2024-12-31 or 2024-12-31T23:59",
    "unix": "in seconds since 1970",
    "unix_ms": "in milliseconds since 1970",
}


@dataclass(frozen=True, eq=False)
class Times:
    """A column's values read as times, and those that can't be."""

    moments: Moments
    """Microseconds since 1970-01-01T00:00Z, 0 where missing or unreadable, (rows,)."""
    missing: Mask
    """Where there is no value, (rows,)."""
    unreadable: Mask
    """Where there is a value that can't be read, (rows,)."""
    has_offset: Mask
    """Where the value itself says its offset from UTC, (rows,)."""
    complaint: Callable[[int], str]
    """What is wrong with the value at an index."""


def parse_times(column: Column, formats: Sequence[str], zone: str) -> Times:
    """Reads a column's values as times from the year 1 to 9999.

    Args:
        column: dates and times as Arrow stores them, which need no format; text or numbers.
        formats: how text and numbers are written: the first that fits a value counts.
        zone: where values were written that don't say their offset from UTC.

    Raises:
        DataError: a column that can't hold times.
    """
    missing = column.missing()
    if is_time(column.values.type):
        read = _stored(column.values)
    elif column.kind in ("text", "number"):
        read = _written(column, formats)
    else:
        raise column.error(f"expected dates, the column holds {column.values.type}")
    moments = np.where(read.has_offset, read.moments, to_utc(read.moments, zone))
    usable = read.readable & (moments >= EARLIEST) & (moments <= LATEST) & ~missing
    return Times(
        np.where(usable, moments, 0),
        missing,
        ~usable & ~missing,
        read.has_offset,
        lambda index: _complaint(column, formats, index),
    )


def is_time(storage: pa.DataType) -> bool:
    """Whether Arrow stores dates so, or times with a date."""
    return bool(pa.types.is_date(storage) or pa.types.is_timestamp(storage))


@dataclass(frozen=True, eq=False)
class _Read:
    moments: Moments
    """In UTC where there is an offset; else what clocks showed; anything where unreadable."""
    has_offset: Mask
    readable: Mask

    def otherwise(self, other: _Read) -> _Read:
        """These, and others where these can't be read."""
        return _Read(
            np.where(self.readable, self.moments, other.moments),
            np.where(self.readable, self.has_offset, other.has_offset),
            self.readable | other.readable,
        )


def _stored(values: pa.ChunkedArray) -> _Read:
    """Dates and times as Arrow stores them."""
    storage = values.type
    if pa.types.is_date32(storage):
        moments, readable = _scaled(to_numpy(values, np.int32).astype(np.int64), DAY, 1)
    else:
        unit = "ms" if pa.types.is_date64(storage) else storage.unit
        ticks = to_numpy(values, np.int64)
        moments, readable = _scaled(ticks, *_ratio(_TICKS[unit]))
    has_zone = pa.types.is_timestamp(storage) and storage.tz is not None
    return _Read(moments, np.full(len(moments), has_zone), readable)


def _ratio(ticks: int) -> tuple[int, int]:
    """Microseconds as a fraction of ticks, of which there are so many in a second."""
    return (SECOND // ticks, 1) if ticks <= SECOND else (1, ticks // SECOND)


def _scaled(ticks: Moments, factor: int, divisor: int) -> tuple[Moments, Mask]:
    """Ticks in microseconds, rounded down, and where they are within reach."""
    reachable = (ticks >= EARLIEST // factor) & (ticks <= LATEST // factor) | (divisor > 1)
    return np.where(reachable, ticks, 0) * factor // divisor, reachable


def _written(column: Column, formats: Sequence[str]) -> _Read:
    """Times in text or numbers, by the first format that fits."""
    texts = column.values if column.kind == "text" else column.canonical()
    read = _by_format(column, texts, formats[0])
    for format in formats[1:]:
        read = read.otherwise(_by_format(column, texts, format))
    return read


def _by_format(column: Column, texts: pa.ChunkedArray, format: str) -> _Read:
    if format in _UNIX:
        return _counted(column, _UNIX[format])
    found = read_times(pc.fill_null(texts, ""), format)
    return _Read(found.walls - found.offsets, found.has_offset, found.read)


def _counted(column: Column, ticks: int) -> _Read:
    """Seconds since 1970, or parts of one."""
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = column.numbers().values * (SECOND // ticks)
        readable = (numbers >= EARLIEST) & (numbers <= LATEST)
    moments = np.round(np.where(readable, numbers, 0.0)).astype(np.int64)
    return _Read(moments, np.ones(len(moments), dtype=np.bool_), readable)


def _complaint(column: Column, formats: Sequence[str], index: int) -> str:
    """What is wrong with a value, with likely ways out."""
    if is_time(column.values.type):
        text = column.values.slice(index, 1).cast(pa.string())[0]
        return f"expected a date from the year 1 to 9999, got '{text}'"
    shown = column.shown(index)
    written = " or ".join(
        _MEANINGS[one] if is_named_format(one) else f"as {one}" for one in formats
    )
    way_out = "; if it is one, say its format; if it stands for none, say data.missing"
    return f"expected a date {written}, got {shown}{column.missing_hint(index) or way_out}"
