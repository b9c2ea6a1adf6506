"""Dates in a graph: texts are converted to microseconds, and these to parts, with integers.

The calendar is computed as in Hinnant, "chrono-compatible low-level date algorithms"
(https://howardhinnant.github.io/date_algorithms.html): a year begins in March, so its leap day is
the last day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from dlcli.columns.graph_operations import Operations, Value
from dlcli.tables import datetime_parsing
from dlcli.tables.table_formats import format_tokens

_SHIFT = 719_468
"""Days from 0000-03-01, where this calendar begins, to 1970-01-01."""
_FIRST, _END = -719_162 * datetime_parsing.DAY, 2_932_897 * datetime_parsing.DAY
"""The beginnings of the years 1 and 10000, in microseconds since 1970."""
_MONTH_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_ISO = (
    r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}"
    r"(?::[0-9]{2}(?:[.,][0-9]{1,9})?)? ?(?:UTC|GMT)?[Zz]?)?)?"
)
"""The pattern of ISO 8601 in UTC, from a month alone to fractions of a second."""
_ISO_PARTS = ("year", "month", "day", "hour", "minute", "second", "fraction")


ReadTimes = tuple[Value, Value]
"""Times in a graph: microseconds since 1970-01-01T00:00Z, int64 (rows,), and the mask of valid
times, (rows,)."""


def read_times(
    ops: Operations, x: Value, formats: Sequence[str], missing: Sequence[str]
) -> ReadTimes:
    """Read a column of times.

    Args:
        ops: the operations of the format.
        x: texts, or numbers for the formats `unix` and `unix_ms`, (rows,).
        formats: the formats; the first that matches a value applies.
        missing: words that count as missing.
    """
    if ticks := datetime_parsing.UNIX_TICKS.get(formats[0]):
        return _read_unix(ops, x, ticks)
    x = ops.trimmed(x)
    moments, readable = _read_texts(ops, x, formats[0])
    for each in formats[1:]:
        others, are_readable = _read_texts(ops, x, each)
        moments = ops.where(readable, moments, others)
        readable = readable | are_readable
    if words := {word.strip(): 1 for word in missing if word.strip()}:
        readable = readable & ops.equal(ops.codes(x, words, 0), 0)
    return moments, readable


class CalendarSteps(NamedTuple):
    """The parts of times in UTC, as integers, each (rows,)."""

    year: Value
    month: Value
    """From 1."""
    steps: Mapping[str, Value]
    """The number of steps since the beginning of each cycle, by part."""
    leap: Value
    """1 for a leap year, else 0."""

    def further_steps(self, ops: Operations, part: str) -> Value:
        """Return the number of steps by which a cycle exceeds its minimum length, (rows,)."""
        further = self.steps[part] * 0
        if part == "day":
            further = _month_length(ops, self.month, self.leap) - 28
        elif part == "day_of_year":
            further = self.leap
        return further


def calendar_steps(ops: Operations, moments: Value) -> CalendarSteps:
    """Return the parts of times, given in microseconds since 1970-01-01T00:00Z, (rows,)."""
    days = (moments + _SHIFT * datetime_parsing.DAY) // datetime_parsing.DAY - _SHIFT
    year, month, day = _date(ops, days)
    clock = (moments - days * datetime_parsing.DAY) // datetime_parsing.SECOND
    steps = {
        "month": month - 1,
        "day": day - 1,
        "weekday": datetime_parsing.weekday(days),
        "day_of_year": days - datetime_parsing.first_day((year - 1970) * 12),
        "hour": clock // 3600,
        "minute": (clock // 60) % 60,
        "second": clock % 60,
    }
    return CalendarSteps(year, month, steps, _is_leap_year(year, ops))


# The calendar


def _date(ops: Operations, days: Value) -> tuple[Value, Value, Value]:
    """Return the year, month and day of days since 1970-01-01, not before the year 1."""
    shifted = days + _SHIFT
    era = shifted // 146_097
    day = shifted - era * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day = day - (year * 365 + year // 4 - year // 100)
    month = (day * 5 + 2) // 153  # from March
    of_month = day - (month * 153 + 2) // 5 + 1
    is_late = ops.cast(month >= 10, "int64")  # January or February of the next year
    return year + era * 400 + is_late, month + 3 - is_late * 12, of_month


def _is_leap_year(year: Value, ops: Operations) -> Value:
    """Return 1 for a leap year, else 0."""
    by_4, by_100, by_400 = (ops.equal(year % each, 0) for each in (4, 100, 400))
    return ops.cast(by_4 & (~by_100 | by_400), "int64")


def _month_length(ops: Operations, month: Value, leap: Value) -> Value:
    is_february = ops.cast(ops.equal(month, 2), "int64")
    return ops.lookup(_MONTH_LENGTHS, month - 1) + leap * is_february


# Reading


def _read_unix(ops: Operations, x: Value, ticks: int) -> ReadTimes:
    numbers = x * float(datetime_parsing.SECOND // ticks)
    readable = (numbers >= float(_FIRST)) & (numbers < float(_END))  # not NaN
    moments = ops.cast(ops.apply("round", ops.where(readable, numbers, 0.0)), "int64")
    return moments, readable


def is_supported(format: str) -> bool:
    """Return whether a graph can read texts in a format.

    It can read `iso`, and formats that have neither literal digits nor a UTC offset, and whose
    fraction of a second does not directly follow other digits.
    """
    tokens = format_tokens(format)
    runs = _digit_runs(tokens)
    is_plain = not any(token.isdigit() for token in tokens)  # no literal digits
    alone = all(run == [("fraction", 9)] or ("fraction", 9) not in run for run in runs)
    is_read = "%z" not in tokens and is_plain and alone
    return format == "iso" or (format not in datetime_parsing.UNIX_TICKS and is_read)


def _read_texts(ops: Operations, x: Value, format: str) -> ReadTimes:
    """Read trimmed texts in a format."""
    if format == "iso":
        readable = ops.matches(x, _ISO)
        runs = ops.digits(x, len(_ISO_PARTS))
        digits = {name: ops.column(runs, at) for at, name in enumerate(_ISO_PARTS)}
        fraction = ops.fraction(digits.pop("fraction"))
        parts = {name: ops.number(text) for name, text in digits.items()}
    else:
        readable = ops.matches(x, _pattern(format))
        parts, fraction = _read_parts(ops, x, format)
    return _assemble(ops, parts, fraction, readable)


def _read_parts(ops: Operations, x: Value, format: str) -> tuple[dict[str, Value], Value | None]:
    """Read the parts of texts in a format, each from its run of digits."""
    tokens = format_tokens(format)
    runs = _digit_runs(tokens)
    read = ops.digits(x, len(runs))
    parts: dict[str, Value] = {}
    fraction = None
    for at, run in enumerate(runs):
        text = ops.column(read, at)
        if run == [("fraction", 9)]:
            fraction = ops.fraction(text)
            continue
        number = ops.number(text)
        if len(run) == 1:
            parts[run[0][0]] = number
            continue
        # Each number has a fixed width, but the last one may have one digit instead of two.
        remaining = sum(width for _, width in run)
        is_short = ops.matches(text, f"[0-9]{{{remaining - 1}}}")
        aligned = ops.where(is_short, number * 10, number)
        for name, width in run:
            remaining -= width
            parts[name] = (aligned // 10**remaining) % 10**width
        last, width = run[-1]
        parts[last] = ops.where(is_short, number % 10, number % 10**width)
    if "%b" in tokens:
        months = [_pattern(format, month=each) for each in datetime_parsing.MONTHS]
        parts["month"] = sum(
            (ops.cast(ops.matches(x, each), "int64") * at for at, each in enumerate(months, 1)),
            start=ops.cast(ops.matches(x, months[0]), "int64") * 0,
        )
    if "%p" in tokens:
        is_afternoon = ops.cast(ops.matches(x, _pattern(format, halves="[Pp][Mm]")), "int64")
        parts["afternoon"] = is_afternoon
    return parts, fraction


def _assemble(
    ops: Operations, parts: dict[str, Value], fraction: Value | None, readable: Value
) -> ReadTimes:
    """Combine the parts of times; a part is -1 where a text omits it."""
    found: dict[str, Value] = {}
    for name, (default, least, most) in datetime_parsing.TIME_PARTS.items():
        if name in parts:
            part = ops.where(parts[name] < 0, default, parts[name])
            in_range = (part >= least) & (part <= most)
            readable = readable & in_range
            found[name] = ops.where(in_range, part, default)
    defaults = {name: default for name, (default, *_) in datetime_parsing.TIME_PARTS.items()}
    whole = {**defaults, "afternoon": parts.get("afternoon", 0), **found}
    moments, is_date = datetime_parsing.local_time(whole, found)
    if is_date is not True:  # it is True for times without a date
        readable = readable & is_date
    if fraction is not None:
        # Digits after the sixth are dropped; the addend compensates for rounding errors.
        moments = moments + ops.cast(ops.apply("floor", fraction * 1e6 + 1e-5), "int64")
    return moments, readable


def _digit_runs(tokens: Sequence[str]) -> list[list[tuple[str, int]]]:
    """Return the parts in each run of digits, each with its maximum number of digits."""
    return [
        [(name, most) for name, _, most in map(datetime_parsing.TIME_DIRECTIVES.__getitem__, run)]
        for is_of_digits, run in groupby(tokens, key=datetime_parsing.TIME_DIRECTIVES.__contains__)
        if is_of_digits
    ]


def _pattern(format: str, month: str = "", halves: str = "[AaPp][Mm]") -> str:
    """Return the RE2 pattern of texts in a format, optionally only with one month.

    Args:
        format: the format.
        month: the name of the month; any month if empty.
        halves: the pattern of the halves of the day.
    """
    names = "|".join(
        map(datetime_parsing.month_pattern, [month] if month else datetime_parsing.MONTHS)
    )
    digits = [
        datetime_parsing.TIME_DIRECTIVES[token][2]
        if token in datetime_parsing.TIME_DIRECTIVES
        else 0
        for token in format_tokens(format)
    ]
    # pandas writes whole numbers next to missing values as 19750103.0.
    end = r"(?:\.0)?" if all(digits) and sum(digits) in (6, 8) else ""
    return datetime_parsing.time_pattern(format, names, halves).removesuffix("$") + end
