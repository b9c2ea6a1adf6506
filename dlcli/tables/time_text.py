"""Times read from text, all rows at once.

Arrow and the C library parse times too, but take 30.02.2024 for the first of March, know no
fractions of a second, and read the names of months in the language of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.config import format_tokens
from dlcli.tables.scanner import Integers, Mask, Scanner
from dlcli.tables.zones import DAY, SECOND, Moments

_BLOCK_ROWS = 2**15
"""Rows that are read together, so that they stay in the processor's cache."""
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_CENTURY_TURN = 69
"""Years of two digits from here on are of the last century, as in POSIX."""
_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE


@dataclass(frozen=True, eq=False)
class TimesInText:
    """What texts say, by the clocks of wherever they were written."""

    walls: Moments
    """What a clock showed, undefined where nothing was read, (rows,)."""
    offsets: Moments
    """How far the clock was ahead of UTC, 0 where the text doesn't say, (rows,)."""
    has_offset: Mask
    """Where the text says how far, (rows,)."""
    read: Mask
    """Where the text is a time, (rows,)."""


def read_times(texts: pa.ChunkedArray, format: str) -> TimesInText:
    """Reads times.

    Args:
        texts: of one of Arrow's string types, (rows,).
        format: `iso`, or directives as in `%d.%m.%Y`.
    """
    parts: list[TimesInText] = []
    for chunk in pc.utf8_trim_whitespace(texts).cast(pa.large_string()).chunks:
        starts = np.frombuffer(chunk.buffers()[1], np.int64, count=len(chunk) + chunk.offset + 1)
        letters = np.frombuffer(chunk.buffers()[2] or b"", np.uint8)
        for first in range(chunk.offset, len(chunk) + chunk.offset, _BLOCK_ROWS):
            parts.append(_read_block(letters, starts[first : first + _BLOCK_ROWS + 1], format))
    return TimesInText(
        np.concatenate([np.empty(0, np.int64), *(part.walls for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.offsets for part in parts)]),
        np.concatenate([np.empty(0, np.bool_), *(part.has_offset for part in parts)]),
        np.concatenate([np.empty(0, np.bool_), *(part.read for part in parts)]),
    )


def _read_block(letters: NDArray[np.uint8], starts: Integers, format: str) -> TimesInText:
    scanner = Scanner(letters[starts[0] : starts[-1]], starts - starts[0])
    fields = _iso(scanner) if format == "iso" else _directives(scanner, format)
    scanner.expect_end()
    return fields.assemble(scanner.read)


@dataclass
class _Fields:
    """The parts of times, (rows,) each; what a text doesn't say stays as it is here."""

    year: Integers
    month: Integers | int = 1
    day: Integers | int = 1
    hour: Integers | int = 0
    is_afternoon: Mask | bool = False
    minute: Integers | int = 0
    second: Integers | int = 0
    microsecond: Integers | int = 0
    offset: Integers = field(init=False)
    """Of the clock from UTC, in minutes."""
    has_offset: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.offset = np.zeros(len(self.year), dtype=np.int64)
        self.has_offset = np.zeros(len(self.year), dtype=np.bool_)

    def assemble(self, read: Mask) -> TimesInText:
        """Makes times of the parts, and refuses days that a month doesn't have."""
        months = (self.year - 1970) * 12 + self.month - 1
        starts = _month_starts(months)
        days = starts + self.day - 1
        read = read & (self.year >= 1) & (days < _month_starts(months + 1))
        hours = self.hour + np.where(self.is_afternoon, 12, 0)
        clock = hours * _HOUR + self.minute * _MINUTE + self.second * SECOND + self.microsecond
        return TimesInText(days * DAY + clock, self.offset * _MINUTE, self.has_offset, read)


def _month_starts(months: Integers) -> Integers:
    """The first day of months that are counted from January 1970, in days from then."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _iso(scanner: Scanner) -> _Fields:
    """ISO 8601 in its extended form, from a month to the fraction of a second.

    As RFC 3339 and the writers of databases have it, a blank may stand for the T, and ` UTC` for
    the Z.
    """
    fields = _Fields(scanner.digits(4, 4, scanner.all)[0])
    scanner.expect(b"-", scanner.all)
    fields.month = scanner.number(2, 2, scanner.all, (1, 12))
    dated = scanner.accept(b"-", scanner.all)
    day = scanner.number(2, 2, dated, (1, 31))
    fields.day = np.where(dated, day, 1)
    timed = scanner.accept(b"Tt ", dated)
    if timed.any():
        _iso_clock(scanner, fields, timed)
    return fields


def _iso_clock(scanner: Scanner, fields: _Fields, timed: Mask) -> None:
    fields.hour = scanner.number(2, 2, timed, (0, 23))
    scanner.expect(b":", timed)
    fields.minute = scanner.number(2, 2, timed, (0, 59))
    with_seconds = scanner.accept(b":", timed)
    fields.second = scanner.number(2, 2, with_seconds, (0, 59))
    fields.microsecond = _fraction(scanner, scanner.accept(b".,", with_seconds))
    scanner.accept(b" ", timed)
    _offset(scanner, fields, timed)


def _fraction(scanner: Scanner, where: Mask) -> Integers:
    """Microseconds; what is finer is cut off."""
    values, counts = scanner.digits(1, 9, where)
    return values * 10 ** (9 - counts) // 1000


def _offset(scanner: Scanner, fields: _Fields, where: Mask) -> None:
    """An offset from UTC, where there is one."""
    utc = scanner.accept(b"U", where)
    scanner.expect(b"T", utc)
    scanner.expect(b"C", utc)
    utc |= scanner.accept(b"Zz", where)
    minus = scanner.accept(b"-", where)
    signed = minus | scanner.accept(b"+", where)
    hours = scanner.number(2, 2, signed, (0, 23))
    with_minutes = scanner.accept(b":", signed) | (signed & scanner.is_digit())
    minutes = scanner.number(2, 2, with_minutes, (0, 59))
    fields.offset = np.where(minus, -1, 1) * (hours * 60 + minutes)
    fields.has_offset = utc | signed


def _directives(scanner: Scanner, format: str) -> _Fields:
    fields = _Fields(np.full(len(scanner.all), 1970))
    for token in format_tokens(format):
        if scanner.is_lost:
            break
        if token in _READERS:
            _READERS[token](scanner, fields)
        else:
            for letter in token.removeprefix("%").encode():
                scanner.expect(bytes([letter]), scanner.all)
    return fields


def _year(scanner: Scanner, fields: _Fields) -> None:
    fields.year = scanner.number(4, 4, scanner.all, (1, 9999))


def _short_year(scanner: Scanner, fields: _Fields) -> None:
    year = scanner.number(2, 2, scanner.all, (0, 99))
    fields.year = np.where(year < _CENTURY_TURN, 2000, 1900) + year


def _month(scanner: Scanner, fields: _Fields) -> None:
    fields.month = scanner.number(1, 2, scanner.all, (1, 12))


def _month_name(scanner: Scanner, fields: _Fields) -> None:
    fields.month = np.maximum(scanner.any_of(_MONTHS, 3), 0) + 1


def _day(scanner: Scanner, fields: _Fields) -> None:
    fields.day = scanner.number(1, 2, scanner.all, (1, 31))


def _weekday_name(scanner: Scanner, _: _Fields) -> None:
    scanner.word()


def _hour(scanner: Scanner, fields: _Fields) -> None:
    fields.hour = scanner.number(1, 2, scanner.all, (0, 23))


def _hour_of_half(scanner: Scanner, fields: _Fields) -> None:
    fields.hour = scanner.number(1, 2, scanner.all, (1, 12)) % 12


def _half(scanner: Scanner, fields: _Fields) -> None:
    fields.is_afternoon = scanner.any_of(("am", "pm"), 2) == 1


def _minute(scanner: Scanner, fields: _Fields) -> None:
    fields.minute = scanner.number(1, 2, scanner.all, (0, 59))


def _second(scanner: Scanner, fields: _Fields) -> None:
    fields.second = scanner.number(1, 2, scanner.all, (0, 59))


def _any_fraction(scanner: Scanner, fields: _Fields) -> None:
    fields.microsecond = _fraction(scanner, scanner.all)


def _told_offset(scanner: Scanner, fields: _Fields) -> None:
    _offset(scanner, fields, scanner.all)
    scanner.read &= fields.has_offset


_READERS: dict[str, Callable[[Scanner, _Fields], None]] = {
    "%Y": _year,
    "%y": _short_year,
    "%m": _month,
    "%b": _month_name,
    "%d": _day,
    "%a": _weekday_name,
    "%H": _hour,
    "%I": _hour_of_half,
    "%p": _half,
    "%M": _minute,
    "%S": _second,
    "%f": _any_fraction,
    "%z": _told_offset,
}
