"""The way in which a config wants rows dealt out, carried out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dlcli.config import GroupSplit, SplitChoice, StratifiedSplit, TimeSplit
from dlcli.errors import ConfigError, DataError, Problem
from dlcli.splitting.assignment import Assignment, Rows, Shares
from dlcli.splitting.classes import stratified_split
from dlcli.splitting.groups import group_split
from dlcli.splitting.lots import random_split
from dlcli.splitting.times import time_split
from dlcli.tables import Table


def assign(
    table: Table, how: SplitChoice, classes: str | None, shares: Shares, seed: int
) -> Assignment:
    """Deals rows out to training, validation and test.

    Args:
        table: the rows.
        how: the way to deal them out.
        classes: the column of their classes, if they have some.
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        ConfigError: classes are to be dealt out where there are none.
        DataError: rows that can't be dealt out so, with file and column.
    """
    if isinstance(how, GroupSplit):
        return group_split(table, how.column, shares, seed)
    if isinstance(how, TimeSplit):
        return time_split(table, how.column, shares)
    if isinstance(how, StratifiedSplit):
        codes = codes_of(table, classes)
        with _told_of(table.file, classes):
            return stratified_split(codes, shares, seed)
    with _told_of(table.file):
        return random_split(table.rows, shares, seed)


def codes_of(table: Table, classes: str | None) -> Rows:
    """The class of each row by number, (rows,).

    Raises:
        ConfigError: there are no classes.
    """
    if classes is None:
        raise ConfigError([Problem("data.split", "'stratified' is for classes; use random")])
    return table.codes(classes)[0]


@contextmanager
def _told_of(file: str, column: str | None = None) -> Iterator[None]:
    """Adds to errors of mere numbers where these came from."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error), file=file, column=column) from None
