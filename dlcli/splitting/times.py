"""The latest rows held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import DataError, listed
from dlcli.splitting.assignment import Assignment, Rows, Shares, assigned, held_out, refuse_missing
from dlcli.tables import Table

_A_TIME = "a number, or a date such as 2024-03-31"


def time_split(table: Table, column: str, shares: Shares) -> Assignment:
    """Test on the latest rows, validate on those before them, train on the earliest.

    Rows of one time stay together, unless there are fewer times than sets.

    Args:
        table: the rows.
        column: when each row was: numbers, or dates, either all with an offset or none.
        shares: how much is held out.

    Raises:
        DataError: a row without a time, a value that is no time, dates with two meanings, times
            with and without offsets, or too few rows.
    """
    times = time_ranks(table, column)
    validation, test = held_out(table.rows, shares, table.file)
    order = np.argsort(times, kind="stable")
    edges = np.flatnonzero(np.diff(times[order])) + 1
    test_start = table.rows - test
    validation_start = test_start - validation
    boundaries = (validation > 0) + (test > 0)
    if len(edges) >= boundaries:
        if test:
            test_start = nearest(edges[boundaries - 1 :], test_start)
        validation_start = test_start - validation
        if validation:
            validation_start = nearest(edges[edges < test_start], validation_start)
    return assigned(table.rows, order[validation_start:test_start], order[test_start:])


def nearest(edges: Rows, wanted: int) -> int:
    """The edge nearest to where one is wanted."""
    return int(edges[np.argmin(np.abs(edges - wanted))])


def time_ranks(table: Table, column: str) -> NDArray[np.int64]:
    """The rank of each row's time; equal times have equal ranks, (rows,).

    Raises:
        DataError: a row without a time, a value that is no time, dates with two meanings, or times
            with and without offsets.
    """
    refuse_missing(table, column)
    if table.looks_numeric(column):
        return _ranks(table.numbers(column))
    if table.kind(column) == "boolean":
        every = np.ones(table.rows, dtype=np.bool_)
        table.refuse(every, column, _expected(table, column, _A_TIME))
    guess = table.guess_times(column)
    if guess and guess.is_ambiguous:
        ways = listed([readings[0] for readings in guess.readings])
        ambiguous = f"no value distinguishes its day from its month ({ways})"
        message = f"{ambiguous}; write dates as 2024-03-31"
        raise DataError(message, file=table.file, column=column)
    times = table.parse_times(column, guess.readings[0] if guess else ("iso",))
    table.refuse(
        _blamed(table, column, times.unreadable), column, _expected(table, column, _A_TIME)
    )
    kind = "with" if times.has_offset[:1].all() else "without"
    differs = times.has_offset != times.has_offset[:1]
    alike = f"a time {kind} an offset, as in the rows before"
    table.refuse(differs, column, _expected(table, column, alike))
    return _ranks(times.moments)


def _expected(table: Table, column: str, wanted: str) -> Callable[[int], str]:
    """What to say of the value at an index that is something else."""
    return lambda at: f"expected {wanted}, got '{table.texts(column)[at]}'"


def _blamed(table: Table, column: str, unreadable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The values that are no times; among numbers, the one text that is none, not the numbers."""
    if not unreadable.any() or table.kind(column) != "text":
        return unreadable
    neither = unreadable & table.parse_numbers(column).unreadable
    return neither if neither.any() else unreadable


def _ranks(values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    ranks: NDArray[np.int64] = np.unique(values, return_inverse=True)[1]
    return ranks
