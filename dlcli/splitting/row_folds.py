"""Folds: the rows to train on, and those to evaluate on."""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dlcli.config import GroupSplit, SplitChoice, StratifiedSplit, TimeSplit
from dlcli.errors import DataError, plural
from dlcli.splitting.row_splits import (
    Rows,
    Shares,
    assign_rows,
    class_codes,
    generator_of,
    key_of,
    nearest,
    refuse_missing,
    time_ranks,
)
from dlcli.tables import Table

Seed = int | tuple[int, ...]
"""A random seed, alone or with what distinguishes this draw, such as the repeat and the fold."""


class Fold(NamedTuple):
    """The rows of a fold: indices from 0, ascending, (rows,)."""

    train: Rows
    held_out: Rows
    """The rows to evaluate on."""


def make_folds(
    table: Table, how: SplitChoice, classes: str | None, folds: int, seed: Seed
) -> tuple[Fold, ...]:
    """Assign rows to folds.

    Except in time, each row is held out once, and each fold trains on all rows of the others.

    - At random, the sizes of folds differ by at most one row.
    - Stratified, so do those of each class: a class with fewer rows than folds is in as many folds
      as it has rows, and if it has two, every fold trains on it.
    - Groups stay whole, and the sizes of folds differ by at most the largest group; with as many
      groups as folds, all seeds give the same folds.
    - In time, fold `k` of `K` is evaluated on the `(k + 1)`-th of `K + 1` windows of rows, and
      trains on all before it; rows of one time stay in one window [1]_.

    Args:
        table: the rows.
        how: the strategy.
        classes: the column of the classes, if the target has classes.
        folds: the number of folds, 2 or more.
        seed: the random seed.

    Raises:
        ConfigError: for stratified folds without classes.
        DataError: for more folds than rows, groups or times, a row without a group or time, or a
            fold with too few rows to train on: fewer than two, or of a single class.

    .. [1] `TimeSeriesSplit` of scikit-learn.
    """
    if isinstance(how, TimeSplit):
        assigned = _folds_in_time(table, how.column, folds)
    else:
        numbers = _fold_numbers(table, how, classes, folds, generator_of(seed, "folds"))
        assigned = [
            Fold(np.flatnonzero(numbers != number), np.flatnonzero(numbers == number))
            for number in range(folds)
        ]
    for number, fold in enumerate(assigned, 1):
        _check_enough(table, fold.train, classes, f" in fold {number} of {folds}")
    return tuple(assigned)


def hold_out(table: Table, how: SplitChoice, classes: str | None, share: float, seed: Seed) -> Fold:
    """Hold out some of a fold's training rows for validation; in time, the latest.

    Args:
        table: the rows.
        how: the strategy.
        classes: the column of the classes, if the target has classes.
        share: the share that is held out, between 0 and 1.
        seed: the random seed.

    Raises:
        ConfigError: for a stratified split without classes.
        DataError: for too few rows or groups, a row without a group or time, or too few rows to
            train on.
    """
    rows = assign_rows(table, how, classes, Shares(share), key_of(seed, "hold out"))
    _check_enough(table, rows.train, classes)
    return Fold(rows.train, rows.validation)


def _fold_numbers(
    table: Table, how: SplitChoice, classes: str | None, folds: int, generator: np.random.Generator
) -> Rows:
    """Return the fold that each row is held out in, from 0, (rows,)."""
    if isinstance(how, GroupSplit):
        return _group_fold_numbers(table, how.column, folds, generator)
    if table.rows < folds:
        message = f"{plural(table.rows, 'row')}, expected at least {folds}: one for each fold"
        raise DataError(message, file=table.file)
    order = generator.permutation(table.rows)
    if isinstance(how, StratifiedSplit):
        # A class continues at the fold where the previous one ended, so that sizes stay even.
        order = order[np.argsort(class_codes(table, classes)[order], kind="stable")]
    numbers = np.empty(table.rows, np.int64)
    numbers[order] = np.arange(table.rows) % folds
    return numbers


def _group_fold_numbers(
    table: Table, column: str, folds: int, generator: np.random.Generator
) -> Rows:
    refuse_missing(table, column)
    groups, names = table.codes(column)
    if len(names) < folds:
        found = plural(len(names), "group")
        message = f"{found}, expected at least {folds}: one for each fold"
        raise DataError(message, file=table.file, column=column)
    sizes = np.bincount(groups)
    order = generator.permutation(len(names))
    # The largest groups come first, for even folds. Those within a factor of two stay in random
    # order, as groups that all differ in size would else be assigned alike by every seed.
    order = order[np.argsort(-np.frexp(sizes[order])[1], kind="stable")]
    smallest_first = [(0, number) for number in range(folds)]
    numbers = np.empty(len(names), np.int64)
    for group in order.tolist():
        rows, numbers[group] = smallest_first[0]
        heapq.heapreplace(smallest_first, (rows + int(sizes[group]), int(numbers[group])))
    return numbers[groups]


def _folds_in_time(table: Table, column: str, folds: int) -> list[Fold]:
    times = time_ranks(table, column)
    order = np.argsort(times, kind="stable")
    edges = np.flatnonzero(np.diff(times[order])) + 1
    if len(edges) < folds:
        found = plural(len(edges) + 1, "time")
        message = f"{found}, expected at least {folds + 1}: one to begin with, one for each fold"
        raise DataError(message, file=table.file, column=column)
    window = table.rows // (folds + 1)
    cuts = [table.rows]
    for left in reversed(range(folds)):
        able = edges[left:]  # each earlier cut needs an edge of its own
        wanted = table.rows - (folds - left) * window
        cuts.insert(0, nearest(able[able < cuts[0]], wanted))
    return [
        Fold(np.sort(order[:start]), np.sort(order[start:end])) for start, end in pairwise(cuts)
    ]


def _check_enough(table: Table, rows: Rows, classes: str | None, where: str = "") -> None:
    """Check that there are two rows or more to train on, and of two classes or more.

    Raises:
        DataError: if not.
    """
    if len(rows) < 2:
        message = f"{plural(len(rows), 'row')} to train on{where}, expected at least 2"
        raise DataError(f"{message}; give more rows, or split otherwise", file=table.file)
    if classes is None:
        return
    codes, names = table.codes(classes)
    first = codes[rows[0]]
    if (codes[rows] == first).all():
        message = f"all rows to train on{where} are of the class '{names[first]}'"
        way_out = "give more rows of the others, or split otherwise"
        raise DataError(f"{message}; {way_out}", file=table.file, column=classes)
