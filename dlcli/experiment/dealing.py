"""The rows dealt out to training, validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from dlcli.config import ConfigFile
from dlcli.config.data import GroupSplit, RandomSplit, SplitChoice, StratifiedSplit, TimeSplit
from dlcli.encoding import TargetKind
from dlcli.encoding.types import infer_type
from dlcli.errors import ConfigError, DataError, Problem
from dlcli.experiment.tables import Sources
from dlcli.split import (
    Assignment,
    Rows,
    Shares,
    Split,
    group_split,
    random_split,
    stratified_split,
    time_split,
)
from dlcli.table import Table


def deal(file: ConfigFile, sources: Sources, kind: TargetKind) -> tuple[Split, SplitChoice]:
    """Deals the rows out to training, validation and test.

    Returns:
        The sets, and the way they were dealt.

    Raises:
        DataError: for too few rows.
    """
    _, split, how = deal_pool(file, sources, kind)
    return split, how


def deal_pool(
    file: ConfigFile, sources: Sources, kind: TargetKind
) -> tuple[Rows, Split, SplitChoice]:
    """The same, and which rows of the training file are no test rows: indices from 0, ascending."""
    data, train = file.config.data, sources.train
    if kind.classes:
        _refuse_lone_classes(train, kind)
    how = data.split or (StratifiedSplit() if kind.classes else RandomSplit())
    if not any(data.shares):
        split, pool = Split(train, sources.validation, sources.test), np.arange(train.rows)
    else:
        rows = _assign(file, train, how, kind)
        pool = np.sort(np.concatenate([rows.train, rows.validation]))
        split = Split(
            train.take(rows.train),
            train.take(rows.validation) if len(rows.validation) else sources.validation,
            train.take(rows.test) if len(rows.test) else sources.test,
        )
    _check_enough(split.train, kind)
    return pool, split, how


def _assign(file: ConfigFile, table: Table, how: SplitChoice, kind: TargetKind) -> Assignment:
    shares, seed = Shares(*file.config.data.shares), file.config.seed
    if isinstance(how, GroupSplit):
        return group_split(table, how.column, shares, seed)
    if isinstance(how, TimeSplit):
        return time_split(table, how.column, shares)
    if isinstance(how, RandomSplit):
        with _told_of(table.file):
            return random_split(table.rows, shares, seed)
    if not kind.classes:
        what = "labels" if kind.labels else "a number"
        message = f"'stratified' is for classes, and {kind.name} is {what}; use random"
        raise ConfigError([Problem("data.split", message)])
    [column] = kind.columns
    with _told_of(table.file, column):
        return stratified_split(table.codes(column)[0], shares, seed)


@contextmanager
def _told_of(file: str, column: str | None = None) -> Iterator[None]:
    """Adds to errors of mere numbers where these came from."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error), file=file, column=column) from None


def _check_enough(train: Table, kind: TargetKind) -> None:
    """Refuses a lone training row, and classes that are all seen once or not told apart.

    Raises:
        DataError: saying what there is.
    """
    if train.rows < 2:
        raise DataError("one training row is nothing to learn from", file=train.file)
    if kind.classes:
        codes, names = train.codes(kind.columns[0])
        counts = np.bincount(codes)
        if len(names) < 2:
            message = f"all training rows are of the class '{names[0]}'; split otherwise"
            raise DataError(message, file=train.file, column=kind.columns[0])
        if counts.max() == 1:
            raise _lone_classes(train, kind, len(names))


def _refuse_lone_classes(table: Table, kind: TargetKind) -> None:
    """Refuses classes that are all seen once before any row is dealt out.

    Raises:
        DataError: saying what they rather are, if that shows.
    """
    codes, names = table.codes(kind.columns[0])
    if len(names) == table.rows > 1:
        raise _lone_classes(table, kind, len(names))


def _lone_classes(table: Table, kind: TargetKind, classes: int) -> DataError:
    """The error for classes of one row each, with the few values that keep it from being a number.

    Args:
        table: the rows.
        kind: what the target is.
        classes: how many there are.
    """
    column = kind.columns[0]
    decision = infer_type(column, table)
    decision = decision.otherwise or decision
    is_doubtful = decision.warning and kind.reason != "declared"
    doubt = decision.reason if is_doubtful else "is it a number or a name?"
    message = f"each of the {classes} classes is seen once; {doubt}"
    return DataError(message, file=table.file, column=column)
