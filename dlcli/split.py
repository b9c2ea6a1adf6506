"""Which rows train, which validate and which test.

Every strategy gives each row to exactly one set. Chance follows from the seed alone, in a stream
of its own, so that no other use of the same seed meets the same draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import DataError, listed, plural
from dlcli.table import Table

Rows = NDArray[np.int64]

_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_A_TIME = "a number, or a date such as 2024-03-31"


@dataclass(frozen=True)
class Split:
    """The tables of the sets."""

    train: Table
    """What weights and statistics are learned from."""
    validation: Table | None
    """What early stopping looks at."""
    test: Table | None
    """What only the final scores look at."""


@dataclass(frozen=True)
class Shares:
    """How much of the rows is held out; a share above 0 is at least one row."""

    validation: float = 0.0
    """Share of all rows, in [0, 1)."""
    test: float = 0.0
    """Share of all rows, in [0, 1)."""


class Assignment(NamedTuple):
    """The rows of each set: indices from 0, ascending, (rows of the set,)."""

    train: Rows
    validation: Rows
    test: Rows


def random_split(rows: int, shares: Shares, seed: int) -> Assignment:
    """Draw the held-out rows with equal chance.

    Args:
        rows: how many rows there are.
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        DataError: too few rows for a row in every set.
    """
    validation, test = _held_out(rows, shares)
    order = _generator(seed).permutation(rows)
    return _assignment(rows, order[test : test + validation], order[:test])


def stratified_split(classes: Rows, shares: Shares, seed: int) -> Assignment:
    """Draw the held-out rows so that each set has the classes in the table's proportions.

    Every class keeps a training row; a class too small for its share stays in training.

    Args:
        classes: the class of each row, (rows,).
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        DataError: too few rows for a row in every set, or every class occurs only once.
    """
    validation, test = _held_out(len(classes), shares)
    _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    spare = sizes - 1
    if not spare.any():
        raise DataError(f"each of the {len(sizes)} classes is seen once; is it a number or a name?")
    if spare.sum() < validation + test:
        raise DataError(
            f"validation and test need {validation + test} rows, but only {spare.sum()} of "
            f"{len(classes)} can leave training, where each of {len(sizes)} classes keeps one; "
            "give more rows, or hold out less"
        )
    generator = _generator(seed)
    tested = _apportion(test, sizes, spare, generator)
    validated = _apportion(validation, sizes, spare - tested, generator)
    shuffled = generator.permutation(len(classes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    place = np.arange(len(classes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    test_end, validation_end = (np.repeat(end, sizes) for end in (tested, tested + validated))
    is_test = place < test_end
    return _assignment(len(classes), order[~is_test & (place < validation_end)], order[is_test])


def group_split(table: Table, column: str, shares: Shares, seed: int) -> Assignment:
    """Hold out whole groups, drawn so that the sets come near their shares of the rows.

    Args:
        table: the rows.
        column: whose values are the groups.
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        DataError: a row without a group, or fewer groups than sets.
    """
    _refuse_missing(table, column)
    groups, names = table.codes(column)
    validation, test = _held_out(table.rows, shares, table.file)
    held_out_sets = (validation > 0) + (test > 0)
    if len(names) <= held_out_sets:
        found = plural(len(names), "group")
        message = f"{found}, expected at least {held_out_sets + 1}: one for each set"
        raise DataError(message, file=table.file, column=column)
    sizes = np.bincount(groups)
    order = _generator(seed).permutation(len(names)).tolist()
    tested = _fill(order, sizes, test, reserved=held_out_sets)
    chosen = set(tested)
    rest = [group for group in order if group not in chosen]
    validated = _fill(rest, sizes, validation, reserved=1)
    return _assignment(
        table.rows,
        np.flatnonzero(np.isin(groups, validated)),
        np.flatnonzero(np.isin(groups, tested)),
    )


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
    times = _times(table, column)
    validation, test = _held_out(table.rows, shares, table.file)
    order = np.argsort(times, kind="stable")
    edges = np.flatnonzero(np.diff(times[order])) + 1
    test_start = table.rows - test
    validation_start = test_start - validation
    boundaries = (validation > 0) + (test > 0)
    if len(edges) >= boundaries:
        if test:
            test_start = _nearest(edges[boundaries - 1 :], test_start)
        validation_start = test_start - validation
        if validation:
            validation_start = _nearest(edges[edges < test_start], validation_start)
    return _assignment(table.rows, order[validation_start:test_start], order[test_start:])


def _held_out(rows: int, shares: Shares, file: str | None = None) -> tuple[int, int]:
    """How many of a file's rows validate and how many test.

    Raises:
        DataError: no row would be left for training.
    """
    validation, test = (
        max(1, round(share * rows)) if share > 0 else 0
        for share in (shares.validation, shares.test)
    )
    if validation + test >= rows:
        raise DataError(
            f"{plural(rows, 'row')} {'is' if rows == 1 else 'are'} too few: validation takes "
            f"{validation}, test {test}, and training needs at least 1; give more rows, or hold "
            "out less",
            file=file,
        )
    return validation, test


def _generator(seed: int) -> np.random.Generator:
    digest = hashlib.blake2b(f"split {seed}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _assignment(rows: int, validation: Rows, test: Rows) -> Assignment:
    """Give the rest to training."""
    sets = np.full(rows, _TRAIN)
    sets[validation] = _VALIDATION
    sets[test] = _TEST
    return Assignment(*(np.flatnonzero(sets == one) for one in (_TRAIN, _VALIDATION, _TEST)))


def _apportion(total: int, sizes: Rows, spare: Rows, generator: np.random.Generator) -> Rows:
    """Share rows out over classes in proportion to their sizes, by largest remainder.

    Args:
        total: how many rows to share out; no more than are spare.
        sizes: how many rows each class has, (classes,).
        spare: the most that each class can give, (classes,).
        generator: what equal remainders are decided by.

    Returns:
        how many rows each class gives, (classes,).
    """
    quota = total * sizes / sizes.sum()
    given: Rows = np.minimum(np.floor(quota).astype(np.int64), spare)
    while (short := total - int(given.sum())) > 0:
        # Where a class could not give its share, the next nearest to another row step in.
        able = generator.permutation(np.flatnonzero(given < spare))
        nearest = able[np.argsort(given[able] - quota[able], kind="stable")]
        given[nearest[:short]] += 1
    return given


def _fill(order: Sequence[int], sizes: Rows, wanted: int, reserved: int) -> list[int]:
    """Choose groups whose rows come near a number.

    Args:
        order: the groups to choose from, the first ones preferred.
        sizes: how many rows each group has, (groups,).
        wanted: how many rows to come near to; for 0 none is chosen, else at least one group.
        reserved: how many groups must be left over.
    """
    chosen: list[int] = []
    total, most = 0, len(order) - reserved
    for group in order:
        if len(chosen) < most and total + sizes[group] <= wanted:
            chosen.append(group)
            total += int(sizes[group])
    if total < wanted and len(chosen) < most:
        taken = set(chosen)
        rest = [group for group in order if group not in taken]
        last = min(rest, key=lambda group: abs(int(sizes[group]) - (wanted - total)))
        if not chosen or abs(int(sizes[last]) - (wanted - total)) < wanted - total:
            chosen.append(last)
    return chosen


def _times(table: Table, column: str) -> NDArray[np.int64]:
    """The rank of each row's time; equal times have equal ranks, (rows,).

    Raises:
        DataError: a row without a time, a value that is no time, dates with two meanings, or times
            with and without offsets.
    """
    _refuse_missing(table, column)
    if table.looks_numeric(column):
        return _ranks(table.numbers(column))
    if table.kind(column) == "boolean":
        every = np.ones(table.rows, dtype=np.bool_)
        table.refuse(every, column, _expected(table, column, _A_TIME))
    guess = table.guess_times(column)
    if guess and guess.is_ambiguous:
        ways = listed([readings[0] for readings in guess.readings])
        message = f"no value tells its day from its month ({ways}); write dates as 2024-03-31"
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


def _refuse_missing(table: Table, column: str) -> None:
    missing = table.missing(column)
    if missing.any():
        file, row = table.where(int(np.argmax(missing)))
        message = "expected a value to split by, got a missing one; fill it in or drop the row"
        raise DataError(message, file=file, row=row, column=column)


def _nearest(edges: Rows, wanted: int) -> int:
    return int(edges[np.argmin(np.abs(edges - wanted))])
