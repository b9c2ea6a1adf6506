"""Assignment of rows to training, validation and test sets, and to folds.

Every strategy assigns each row to exactly one set: at random, stratified, by group or in time.
Random choices depend only on the seed, with a separate generator for each purpose, so the same seed
used elsewhere draws other numbers.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dlcli.config.data_section import GroupSplit, SplitChoice, StratifiedSplit, TimeSplit
from dlcli.errors import DataError, plural
from dlcli.tables.row_times import require_values, time_ranks
from dlcli.tables.table import Table

Rows = NDArray[np.int64]
SeedKey = int | tuple[int, ...]
"""A random seed, possibly with numbers that distinguish the draw, such as repeat and fold."""


@dataclass(frozen=True)
class Split:
    """The tables of the sets."""

    train: Table
    """The rows that weights and statistics are fitted on."""
    validation: Table | None
    """The rows used for early stopping."""
    test: Table | None
    """The rows used only for the final metrics."""

    @property
    def tables(self) -> dict[str, Table]:
        """The tables of the existing sets, by name."""
        return {name: table for name, table in vars(self).items() if table is not None}


@dataclass(frozen=True)
class Shares:
    """The shares of the rows that are held out; a share above 0 is at least one row."""

    validation: float = 0.0
    """Share of all rows, in [0, 1)."""
    test: float = 0.0
    """Share of all rows, in [0, 1)."""


class Assignment(NamedTuple):
    """The rows of each set: indices from 0, ascending, (rows of the set,)."""

    train: Rows
    validation: Rows
    test: Rows


def assign_rows(
    table: Table, how: SplitChoice, classes: str | None, shares: Shares, seed: int
) -> Assignment:
    """Assign rows to training, validation and test.

    Random: each row has the same probability. Stratified: each set has the class proportions of the
    table, every class keeps a training row, and a class that is too small for its share stays in
    training. By group: groups stay whole, and the sizes of the sets are close to their shares. In
    time: the latest rows are test rows, the rows before them validation rows; rows with the same
    time stay in one set, unless there are fewer times than sets.

    Args:
        table: the rows.
        how: the strategy.
        classes: the column of the classes, if the target has classes.
        shares: the shares that are held out.
        seed: the random seed.

    Raises:
        DataError: for too few rows, classes, groups or times, a row without a group or time, or
            values that are not times.
    """
    if isinstance(how, TimeSplit):
        return _split_in_time(table, how, shares)
    rng = generator_of(seed, "split")
    if isinstance(how, GroupSplit):
        return _split_by_group(table, how.column, shares, rng)
    if isinstance(how, StratifiedSplit):
        return _split_stratified(table, classes, shares, rng)
    validation, test = _held_out_rows(table, shares)
    order = rng.permutation(table.rows)
    return _assignment(table, order[test : test + validation], order[:test])


def generator_of(seed: SeedKey, purpose: str) -> Generator:
    """Make a generator for one purpose, independent of other purposes with the same seed."""
    return Generator(np.random.Philox(key=_key_of(seed, purpose)))


def _key_of(seed: SeedKey, purpose: str) -> int:
    """Derive a 128-bit number from a seed and a purpose."""
    digest = hashlib.blake2b(f"{purpose} {seed}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")


def draw(rows: Rows, most: int, seed: SeedKey | Generator = 0) -> Rows:
    """Draw at most `most` rows at random, ascending; the same for the same seed."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def sample_rows(
    table: Table, most: int, seed: SeedKey | Generator = 0, classes: str | None = None
) -> Table:
    """Draw at most `most` rows of a table at random, in its order; all if there are no more.

    Args:
        table: all rows.
        most: maximum number of rows.
        seed: a seed, or the generator to draw with.
        classes: a column of classes without missing values. The sample then has their proportions
            and at least one row of each class.

    Raises:
        DataError: if there are more classes than rows to draw.
    """
    if table.rows <= most:
        return table
    if classes is None:
        return table.take(draw(np.arange(table.rows), most, seed))
    rng = np.random.default_rng(seed)
    codes, names = table.codes(classes)
    sizes = np.bincount(codes, minlength=len(names))
    is_present = sizes > 0
    if most < is_present.sum():
        message = f"{most:,} rows are fewer than {is_present.sum():,} classes; draw more rows"
        raise DataError(message, file=table.file, column=classes)
    is_rare = np.zeros_like(is_present)  # too rare for a share of a row, so it gives one
    while True:
        others = np.where(is_rare, 0, sizes)
        counts = is_rare + _apportion(most - int(is_rare.sum()), others, others, rng)
        if (counts[is_present] > 0).all():
            break
        is_rare |= is_present & (counts == 0)
    order, position = _shuffled_by_class(codes, sizes, rng)
    return table.take(np.sort(order[position < np.repeat(counts, sizes)]))


def _held_out_rows(table: Table, shares: Shares, column: str | None = None) -> tuple[int, int]:
    """Return the numbers of validation and of test rows.

    Raises:
        DataError: if no row is left for training.
    """
    rows = table.rows
    both = (shares.validation, shares.test)
    validation, test = (max(1, round(share * rows)) if share > 0 else 0 for share in both)
    if validation + test >= rows:
        few = f"{plural(rows, 'row')} {'is' if rows == 1 else 'are'} too few"
        needs = f"validation needs {validation}, test {test} and training at least 1"
        message = f"{few}: {needs}; add rows or hold out fewer"
        raise DataError(message, file=table.file, column=column)
    return validation, test


def _assignment(table: Table, validation: Rows, test: Rows) -> Assignment:
    """Assign the remaining rows to training."""
    is_rest = np.ones(table.rows, dtype=np.bool_)
    is_rest[validation] = is_rest[test] = False
    return Assignment(np.flatnonzero(is_rest), np.sort(validation), np.sort(test))


def _require(
    least: int, count: int, noun: str, use: str, table: Table, column: str | None = None
) -> None:
    """Check that there are enough rows, groups or times.

    Args:
        least: the number needed.
        count: the available number.
        noun: what is counted: `group`.
        use: what it is needed for: `one for each set`.
        table: the rows.
        column: the column that is split by, if any.

    Raises:
        DataError: if there are fewer.
    """
    if count < least:
        message = f"{plural(count, noun)}, expected at least {least:,}: {use}"
        raise DataError(message, file=table.file, column=column)


# Stratified


def _split_stratified(
    table: Table, classes: str | None, shares: Shares, rng: Generator
) -> Assignment:
    assert classes is not None  # the config refuses a stratified split of numbers
    codes = table.codes(classes)[0]
    validation, test = _held_out_rows(table, shares, classes)
    sizes = np.unique(codes, return_counts=True)[1]
    spare = sizes - 1
    if not spare.any() or spare.sum() < validation + test:
        message = (
            f"validation and test need {validation + test} rows, but only {spare.sum()} of "
            f"{table.rows} are available, because each of {len(sizes)} classes keeps a training "
            "row; add rows or hold out fewer"
        )
        if not spare.any():
            once = f"each of the {len(sizes)} classes occurs only once"
            message = f"{once}; is the target really a class, not a number, a name or a date?"
        raise DataError(message, file=table.file, column=classes)
    tested = _apportion(test, sizes, spare, rng)
    validated = _apportion(validation, sizes, spare - tested, rng)
    order, position = _shuffled_by_class(codes, sizes, rng)
    test_end, validation_end = (np.repeat(end, sizes) for end in (tested, tested + validated))
    is_test = position < test_end
    return _assignment(table, order[~is_test & (position < validation_end)], order[is_test])


def _shuffled_by_class(codes: Rows, sizes: Rows, rng: Generator) -> tuple[Rows, Rows]:
    """Return the rows by class, each class in random order, and their positions in their class."""
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    return order, np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _apportion(total: int, sizes: Rows, spare: Rows, rng: Generator) -> Rows:
    """Apportion rows to classes in proportion to their sizes, by the largest remainder method.

    Args:
        total: the number of rows to apportion; no more than are spare.
        sizes: the number of rows of each class, (classes,).
        spare: the most that each class can give, (classes,).
        rng: decides between equal remainders.

    Returns:
        The number of rows that each class gives, (classes,).
    """
    quota = total * sizes / sizes.sum()
    given: Rows = np.minimum(np.floor(quota).astype(np.int64), spare)
    # Drawn once, even if no remainder is left, so the test rows do not depend on the share of
    # validation rows.
    order = rng.permutation(len(sizes))
    while (short := total - int(given.sum())) > 0:
        # If a class can't give its share, the classes with the next largest remainders do.
        able = order[given[order] < spare[order]]
        nearest = able[np.argsort(given[able] - quota[able], kind="stable")]
        given[nearest[:short]] += 1
    return given


# By group


def _split_by_group(table: Table, column: str, shares: Shares, rng: Generator) -> Assignment:
    require_values(table, column)
    groups, names = table.codes(column)
    validation, test = _held_out_rows(table, shares)
    held_out_sets = (validation > 0) + (test > 0)
    _require(held_out_sets + 1, len(names), "group", "one for each set", table, column)
    sizes = np.bincount(groups)
    order = rng.permutation(len(names)).tolist()
    tested = _choose_groups(order, sizes, test, reserved=held_out_sets)
    taken = set(tested)
    rest = [group for group in order if group not in taken]
    validated = _choose_groups(rest, sizes, validation, reserved=1)
    of_sets = (np.flatnonzero(np.isin(groups, chosen)) for chosen in (validated, tested))
    return _assignment(table, *of_sets)


def _choose_groups(order: Sequence[int], sizes: Rows, wanted: int, reserved: int) -> list[int]:
    """Choose groups with about the wanted total number of rows.

    Args:
        order: the groups to choose from, the preferred ones first.
        sizes: the number of rows of each group, (groups,).
        wanted: the number of rows; 0 for no group, else at least one group is chosen.
        reserved: the number of groups that must remain.
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


# In time


def _split_in_time(table: Table, how: TimeSplit, shares: Shares) -> Assignment:
    order, edges = _order_in_time(table, how)
    validation, test = _held_out_rows(table, shares)
    test_start = table.rows - test
    validation_start = test_start - validation
    boundaries = (validation > 0) + (test > 0)
    if len(edges) >= boundaries:
        if test:
            test_start = _nearest(edges[boundaries - 1 :], test_start)
        validation_start = test_start - validation
        if validation:
            validation_start = _nearest(edges[edges < test_start], validation_start)
    return _assignment(table, order[validation_start:test_start], order[test_start:])


def _order_in_time(table: Table, how: TimeSplit) -> tuple[Rows, Rows]:
    """Return the rows in the order of time, and the positions at which a later time begins."""
    times = time_ranks(table, how.columns)
    order = np.argsort(times, kind="stable")
    return order, np.flatnonzero(np.diff(times[order])) + 1


def _nearest(edges: Rows, wanted: int) -> int:
    """Return the edge nearest to a position."""
    return int(edges[np.argmin(np.abs(edges - wanted))])


# Folds


class Fold(NamedTuple):
    """The rows of a fold: indices from 0, ascending, (rows,)."""

    train: Rows
    held_out: Rows
    """The rows to evaluate on."""


def make_folds(
    table: Table, how: SplitChoice, classes: str | None, folds: int, seed: SeedKey
) -> tuple[Fold, ...]:
    """Assign rows to folds.

    Except in time, each row is held out once, and each fold trains on all rows of the other folds.

    - Random: the sizes of folds differ by at most one row.
    - Stratified: the same holds within each class. A class with fewer rows than folds is held out
    in as many folds as it has rows; with two rows, every fold trains on it.
    - By group: groups stay whole, and the sizes of folds differ by at most the largest group; with
    as many groups as folds, all seeds give the same folds.
    - In time: fold `k` of `K` is evaluated on the `(k + 1)`-th of `K + 1` windows of rows and
    trains on all earlier rows; rows with the same time stay in one window [1]_.

    Args:
        table: the rows.
        how: the strategy.
        classes: the column of the classes, if the target has classes.
        folds: the number of folds, 2 or more.
        seed: the random seed.

    Raises:
        DataError: for more folds than rows, groups or times, a row without a group or time, or a
            fold with too few rows to train on: fewer than two, or of a single class.

    .. [1] `TimeSeriesSplit` of scikit-learn.
    """
    if isinstance(how, TimeSplit):
        use = "one to start with and one for each fold"
        windows = _windows_in_time(table, how, folds + 1, use)
        earlier = [np.sort(np.concatenate(windows[:at])) for at in range(1, folds + 1)]
        assigned = [*map(Fold, earlier, windows[1:])]
    else:
        numbers = _fold_numbers(table, how, classes, folds, generator_of(seed, "folds"))
        are_held_out = (numbers == number for number in range(folds))
        assigned = [Fold(np.flatnonzero(~each), np.flatnonzero(each)) for each in are_held_out]
    return _checked(assigned, table, classes)


def make_complete_folds(
    table: Table, how: SplitChoice, classes: str | None, folds: int, seed: int
) -> tuple[Fold, ...]:
    """Assign the rows of an ensemble to folds; each row is held out once, also in time.

    Like `make_folds`, but in time each window is a fold that trains on the rows before and after
    it. The seed is the config's.
    """
    if not isinstance(how, TimeSplit):
        return make_folds(table, how, classes, folds, (seed, 0))
    windows = _windows_in_time(table, how, folds, "one for each fold")
    every = np.arange(table.rows)
    assigned = [Fold(np.setdiff1d(every, window), window) for window in windows]
    return _checked(assigned, table, classes)


def hold_out(
    table: Table, how: SplitChoice, classes: str | None, share: float, seed: SeedKey
) -> Fold:
    """Hold out some of a fold's training rows for validation; in time, the latest.

    Args:
        table: the rows.
        how: the strategy.
        classes: the column of the classes, if the target has classes.
        share: the share that is held out, between 0 and 1.
        seed: the random seed.

    Raises:
        DataError: for too few rows or groups, a row without a group or time, or too few rows to
            train on.
    """
    rows = assign_rows(table, how, classes, Shares(share), _key_of(seed, "hold out"))
    _check_enough(table, rows.train, classes)
    return Fold(rows.train, rows.validation)


def _fold_numbers(
    table: Table, how: SplitChoice, classes: str | None, folds: int, rng: Generator
) -> Rows:
    """Return the fold in which each row is held out, from 0, (rows,)."""
    if isinstance(how, GroupSplit):
        return _group_fold_numbers(table, how.column, folds, rng)
    _require(folds, table.rows, "row", "one for each fold", table)
    order = rng.permutation(table.rows)
    if isinstance(how, StratifiedSplit):
        # Each class starts at the fold after the end of the previous class, so sizes stay even.
        assert classes is not None  # see above
        order = order[np.argsort(table.codes(classes)[0][order], kind="stable")]
    numbers = np.empty(table.rows, np.int64)
    numbers[order] = np.arange(table.rows) % folds
    return numbers


def _group_fold_numbers(table: Table, column: str, folds: int, rng: Generator) -> Rows:
    require_values(table, column)
    groups, names = table.codes(column)
    _require(folds, len(names), "group", "one for each fold", table, column)
    sizes = np.bincount(groups)
    order = rng.permutation(len(names))
    # The largest groups come first, for even folds. Groups within a factor of two in size stay in
    # random order; else every seed would assign groups of different sizes in the same way.
    order = order[np.argsort(-np.frexp(sizes[order])[1], kind="stable")]
    smallest_first = [(0, number) for number in range(folds)]
    numbers = np.empty(len(names), np.int64)
    for group in order.tolist():
        rows, numbers[group] = smallest_first[0]
        heapq.heapreplace(smallest_first, (rows + int(sizes[group]), int(numbers[group])))
    return numbers[groups]


def _windows_in_time(table: Table, how: TimeSplit, count: int, use: str) -> list[Rows]:
    """Cut the rows, in the order of time, into windows of about equal size.

    Args:
        table: the rows.
        how: the columns of the times; rows of one time stay in one window.
        count: the number of windows.
        use: what the windows are needed for.

    Returns:
        The rows of each window, ascending.
    """
    order, edges = _order_in_time(table, how)
    _require(count, len(edges) + 1, "time", use, table, how.columns[0])
    size = table.rows // count
    cuts = [table.rows]
    for left in reversed(range(count - 1)):
        able = edges[left:]  # each earlier cut needs a separate edge
        wanted = table.rows - (count - 1 - left) * size
        cuts.insert(0, _nearest(able[able < cuts[0]], wanted))
    return [np.sort(window) for window in np.split(order, cuts[:-1])]


def _checked(folds: Sequence[Fold], table: Table, classes: str | None) -> tuple[Fold, ...]:
    """Check that each fold has enough training rows, and return the folds."""
    for number, fold in enumerate(folds, 1):
        _check_enough(table, fold.train, classes, f" in fold {number} of {len(folds)}")
    return tuple(folds)


def _check_enough(table: Table, rows: Rows, classes: str | None, where: str = "") -> None:
    """Check that there are at least two training rows, and at least two classes among them.

    Raises:
        DataError: if not.
    """
    if len(rows) < 2:
        message = f"{plural(len(rows), 'training row')}{where}, expected at least 2"
        raise DataError(f"{message}; add rows or split differently", file=table.file)
    if classes is None:
        return
    codes, names = table.codes(classes)
    first = codes[rows[0]]
    if (codes[rows] == first).all():
        message = f"all training rows{where} have the class '{names[first]}'"
        way_out = "add rows of other classes or split differently"
        raise DataError(f"{message}; {way_out}", file=table.file, column=classes)
