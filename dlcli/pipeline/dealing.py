"""The rows dealt out to training, validation and test."""

from __future__ import annotations

import numpy as np

from dlcli.config import ConfigFile, RandomSplit, SplitChoice, StratifiedSplit
from dlcli.encoding import infer_type
from dlcli.errors import ConfigError, DataError, Problem
from dlcli.pipeline.tables import Sources
from dlcli.splitting import Rows, Shares, Split, assign
from dlcli.tables import Table
from dlcli.tasks import TargetKind


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
    classes = kind.columns[0] if kind.classes else None
    if classes:
        _refuse_lone_classes(train, kind)
    how = data.split or (StratifiedSplit() if classes else RandomSplit())
    if isinstance(how, StratifiedSplit) and not classes:
        raise _without_classes(kind)
    if not any(data.shares):
        split, pool = Split(train, sources.validation, sources.test), np.arange(train.rows)
    else:
        rows = assign(train, how, classes, Shares(*data.shares), file.config.seed)
        pool = np.sort(np.concatenate([rows.train, rows.validation]))
        steers = len(rows.validation) and not data.train_on_validation
        split = Split(
            train.take(rows.train if steers else pool),
            train.take(rows.validation) if steers else sources.validation,
            train.take(rows.test) if len(rows.test) else sources.test,
        )
    _check_enough(split.train, kind)
    return pool, split, how


def _without_classes(kind: TargetKind) -> ConfigError:
    """The error for classes to deal out where there are none."""
    what = "labels" if kind.labels else "a number"
    message = f"'stratified' is for classes, and {kind.name} is {what}; use random"
    return ConfigError([Problem("data.split", message)])


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
