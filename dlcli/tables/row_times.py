"""The order of rows in time, by one column or by several, such as year and month."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import DataError, listed
from dlcli.tables.datetime_parsing import compact_dates, guess_times, parse_times
from dlcli.tables.table import Table

Ranks = NDArray[np.int64]

_EARLIEST_DATE, _LATEST_DATE = 100_101, 21_991_231
_A_TIME = "a number or a date such as 2024-03-31"
_PERIOD = re.compile(
    r"(?P<year>[0-9]{4})[-/ ]?(?P<unit>[QWM])(?P<count>[0-9]{1,2})"
    r"|(?P<unit_first>Q)(?P<count_first>[1-4])[-/ ]?(?P<year_last>[0-9]{4})",
    re.IGNORECASE,
)
"""Quarters, weeks and months: 2024-Q4, 2024Q4, Q4 2024, 2024-W05 or 2024M03."""
_QUARTER = re.compile(r"Q([1-4])", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME = re.compile(
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?",
    re.IGNORECASE,
)


def require_values(table: Table, column: str) -> None:
    """Check that every row has a value to split by.

    Raises:
        DataError: for the first row without one.
    """
    missing = table.missing(column)
    if missing.any():
        file, row = table.where(int(np.argmax(missing)))
        message = "expected a value to split by, but it is missing; fill it in or remove the row"
        raise DataError(message, file=file, row=row, column=column)


def time_ranks(table: Table, columns: Sequence[str]) -> Ranks:
    """Return the rank of each row's time; equal times have equal ranks, (rows,).

    Args:
        table: the rows.
        columns: the columns that form the time, the longest unit first.

    Raises:
        DataError: for a row without a time, a value that is not a time, ambiguous dates, times
            without a date, or times with and without offsets.
    """
    first, *others = columns
    ranks = _column_ranks(table, first, is_part=len(columns) > 1)
    for column in others:
        part = _column_ranks(table, column, is_part=True)
        ranks = _ranked(ranks * (int(part.max(initial=0)) + 1) + part)
    return ranks


def _ranked(values: NDArray[np.int64] | NDArray[np.float64]) -> Ranks:
    return np.unique(values, return_inverse=True)[1]


def _column_ranks(table: Table, column: str, *, is_part: bool) -> Ranks:
    """Return the rank of each row's value; a part of a time may be a month or a time of day."""

    def expected(wanted: str) -> Callable[[int], str]:
        return lambda at: f"expected {wanted}, got '{table.texts(column)[at]}'"

    require_values(table, column)
    values = table.column(column)
    if values.looks_numeric():
        numbers = table.numbers(column)
        least = 0 if values.kind == "text" else _EARLIEST_DATE  # text keeps leading zeros
        may_be_dates = numbers.min() >= least and numbers.max() <= _LATEST_DATE
        formats = compact_dates(column, values.distinct) if may_be_dates else ()
        if "%y%m%d" not in formats:
            return _ranked(numbers)
        # As numbers, 991231 would be later than 000101.
        return _ranked(parse_times(values, formats).moments)
    if values.kind == "boolean":
        table.refuse(np.ones(table.rows, dtype=np.bool_), column, expected(_A_TIME))
    if values.kind == "text":
        wanted = expected("a quarter, week or month such as in other rows")
        periods = _period_ranks(table, column, wanted, is_part=is_part)
        if periods is not None:
            return periods
    guess = guess_times(values)
    if guess and guess.is_ambiguous:
        ways = listed([readings[0] for readings in guess.readings])
        ambiguous = f"no value shows whether the day or the month comes first ({ways})"
        message = f"{ambiguous}; write dates like 2024-03-31"
        raise DataError(message, file=table.file, column=column)
    if guess and not guess.has_date and not is_part:
        message = (
            "times without a date can't order the rows of several days; split by a date, or by a "
            f"date and a time: [DATE, {column}]"
        )
        raise DataError(message, file=table.file, column=column)
    times = parse_times(values, guess.readings[0] if guess else ("iso",))
    wrong = times.unreadable
    if wrong.any() and values.kind == "text":
        # If most values are numbers, report the text that is not a number.
        neither = wrong & values.numbers().unreadable
        wrong = neither if neither.any() else wrong
    table.refuse(wrong, column, expected(_A_TIME))
    kind = "with" if times.has_offset[:1].all() else "without"
    differs = times.has_offset != times.has_offset[:1]
    table.refuse(differs, column, expected(f"a time {kind} a UTC offset (as in earlier rows)"))
    return _ranked(times.moments)


def _period_ranks(
    table: Table, column: str, expected: Callable[[int], str], *, is_part: bool
) -> Ranks | None:
    """Return the ranks of quarters, weeks or months; `None` if most values are something else.

    Raises:
        DataError: for other values, and for values with another unit than the first one.
    """
    codes, names = table.codes(column)
    read = _part if is_part else _period
    periods = [read(name.strip()) for name in names]
    found = [period for period in periods if period is not None]
    if 2 * len(found) < len(periods):
        return None
    is_wrong = np.array([period is None or period[0] != found[0][0] for period in periods])
    table.refuse(is_wrong[codes], column, expected)
    return _ranked(np.array([count for _, count in found])[codes])


def _period(text: str) -> tuple[str, int] | None:
    """Return the unit and the index of a period such as 2024-Q4; `None` for other text."""
    if (match := _PERIOD.fullmatch(text)) is None:
        return None
    unit = match["unit"] or match["unit_first"]
    year, count = match["year"] or match["year_last"], match["count"] or match["count_first"]
    most = {"q": 4, "w": 53, "m": 12}[unit.lower()]
    return (unit.lower(), 100 * int(year) + int(count)) if 1 <= int(count) <= most else None


def _part(text: str) -> tuple[str, int] | None:
    """Return the unit and the index of a period, a quarter such as Q4, or a month's name."""
    if match := _QUARTER.fullmatch(text):
        return "quarter of a year", int(match[1])
    if match := _MONTH_NAME.fullmatch(text):
        return "month of a year", _MONTHS.index(match[1][:3].lower())
    return _period(text)
