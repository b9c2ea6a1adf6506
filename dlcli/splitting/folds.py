"""Rows dealt out to folds, each of which judges what was learned from others."""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dlcli.config import GroupSplit, SplitChoice, StratifiedSplit, TimeSplit
from dlcli.errors import DataError, plural
from dlcli.splitting.assignment import Rows, Shares, refuse_missing
from dlcli.splitting.lots import generator_of, key_of
from dlcli.splitting.strategy import assign, codes_of
from dlcli.splitting.times import nearest, time_ranks
from dlcli.tables import Table

Seed = int | tuple[int, ...]
"""What a draw follows from: a seed, or one with what else tells this draw from others, such as the
repeat and the fold."""


class Fold(NamedTuple):
    """The rows of a fold: indices from 0, ascending, (rows,)."""

    train: Rows
    """Those to learn from."""
    held_out: Rows
    """Those that judge."""


def deal_folds(
    table: Table, how: SplitChoice, classes: str | None, folds: int, seed: Seed
) -> tuple[Fold, ...]:
    """Deals rows out to folds.

    By lot, folds differ by at most one row. Stratified, those of each class differ by at most one
    row, too: a class with fewer rows than folds is in as many folds as it has rows, and if it has
    two, every fold learns from it. Groups stay whole, and folds differ by at most the largest; with
    as many groups as folds, all seeds give the same folds. In time, fold `k` of `K` is judged by
    the rows of the `(k + 1)`-th of `K + 1` windows, and learns from all before it: the first window
    only teaches, and rows of one time stay together [1]_. Else, each row is held out once, and each
    fold learns from all the others.

    Args:
        table: the rows.
        how: the way to deal them out.
        classes: the column of their classes, if they have some.
        folds: how many folds, 2 or more.
        seed: what the deal follows from.

    Raises:
        ConfigError: classes are to be dealt out where there are none.
        DataError: more folds than rows, groups or times; a row without a group or time; or too
            little for a fold to learn from: fewer than two rows, or a single class.

    .. [1] `TimeSeriesSplit` of scikit-learn.
    """
    if isinstance(how, TimeSplit):
        dealt = _one_after_another(table, how.column, folds)
    else:
        places = _places(table, how, classes, folds, generator_of(seed, "folds"))
        dealt = [
            Fold(np.flatnonzero(places != place), np.flatnonzero(places == place))
            for place in range(folds)
        ]
    for number, fold in enumerate(dealt, 1):
        _check_enough(table, fold.train, classes, f" in fold {number} of {folds}")
    return tuple(dealt)


def hold_out(table: Table, how: SplitChoice, classes: str | None, share: float, seed: Seed) -> Fold:
    """Holds out some of the rows that a fold learns from, to steer by; of times, the latest.

    Args:
        table: the rows.
        how: the way to choose them.
        classes: the column of their classes, if they have some.
        share: how much is held out, between 0 and 1.
        seed: what the draw follows from.

    Raises:
        ConfigError: classes are to be dealt out where there are none.
        DataError: too few rows or groups; a row without a group or time; or too little to learn
            from.
    """
    rows = assign(table, how, classes, Shares(share), key_of(seed, "hold out"))
    _check_enough(table, rows.train, classes)
    return Fold(rows.train, rows.validation)


def _places(
    table: Table, how: SplitChoice, classes: str | None, folds: int, generator: np.random.Generator
) -> Rows:
    """The fold that each row is held out in, from 0, (rows,)."""
    if isinstance(how, GroupSplit):
        return _group_places(table, how.column, folds, generator)
    if table.rows < folds:
        message = f"{plural(table.rows, 'row')}, expected at least {folds}: one for each fold"
        raise DataError(message, file=table.file)
    order = generator.permutation(table.rows)
    if isinstance(how, StratifiedSplit):
        # A class is dealt on from the fold at which the last one ended, so that sizes stay even.
        order = order[np.argsort(codes_of(table, classes)[order], kind="stable")]
    places = np.empty(table.rows, np.int64)
    places[order] = np.arange(table.rows) % folds
    return places


def _group_places(table: Table, column: str, folds: int, generator: np.random.Generator) -> Rows:
    """The fold that each row is held out in with its group, from 0, (rows,)."""
    refuse_missing(table, column)
    groups, names = table.codes(column)
    if len(names) < folds:
        found = plural(len(names), "group")
        message = f"{found}, expected at least {folds}: one for each fold"
        raise DataError(message, file=table.file, column=column)
    sizes = np.bincount(groups)
    order = generator.permutation(len(names))
    # The largest go first, for even folds; those within a factor of two go by lot, or groups that
    # all differ in size would be dealt alike by every seed.
    order = order[np.argsort(-np.frexp(sizes[order])[1], kind="stable")]
    smallest_first = [(0, place) for place in range(folds)]
    places = np.empty(len(names), np.int64)
    for group in order.tolist():
        rows, places[group] = smallest_first[0]
        heapq.heapreplace(smallest_first, (rows + int(sizes[group]), int(places[group])))
    return places[groups]


def _one_after_another(table: Table, column: str, folds: int) -> list[Fold]:
    """Folds that each learn from all rows before those that judge."""
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
    """Refuses a lone row to learn from, and rows of a single class.

    Raises:
        DataError: saying what there is.
    """
    if len(rows) < 2:
        message = f"{plural(len(rows), 'row')} to learn from{where}, expected at least 2"
        raise DataError(f"{message}; give more rows, or split otherwise", file=table.file)
    if classes is None:
        return
    codes, names = table.codes(classes)
    first = codes[rows[0]]
    if (codes[rows] == first).all():
        message = f"all rows to learn from{where} are of the class '{names[first]}'"
        way_out = "give more rows of the others, or split otherwise"
        raise DataError(f"{message}; {way_out}", file=table.file, column=classes)
