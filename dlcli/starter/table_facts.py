"""Column types and counts of a table, from which a starter config is written."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dlcli.config import Feature, Ignored, Input, StratifiedSplit, Target
from dlcli.encoding import (
    MIN_ROWS,
    ColumnSummary,
    Decision,
    choose_features,
    decide_types,
    infer_type,
    summarize_column,
)
from dlcli.errors import DataError
from dlcli.preprocessing import check_range
from dlcli.splitting import Shares, assign_rows
from dlcli.tables import Table
from dlcli.tasks import Task, infer_task

HELD_OUT = Shares(validation=0.15, test=0.15)
MIN_VALUES = 8
"""From here on, all values of a column are held out with a probability below 0.3^8 < 0.0001."""


@dataclass(frozen=True)
class ColumnFacts:
    """The facts about a feature column."""

    name: str
    feature: Feature
    """The type to read it as."""
    reason: str
    """The reason, for the user."""
    auto: bool
    """Whether `auto` would choose the same type."""
    values: ColumnSummary
    """Its values."""

    @property
    def type(self) -> str:
        """The name of the type."""
        return self.feature.type


@dataclass(frozen=True)
class TableFacts:
    """The facts about a table."""

    rows: int
    missing_words: tuple[str, ...]
    """Spellings of missing values among numbers and dates."""
    task: Task
    target_values: ColumnSummary
    """The values of its column."""
    class_rows: tuple[int, ...]
    """The number of rows of each class, if the target has classes."""
    columns: tuple[ColumnFacts, ...]
    """The other columns, in order."""
    holds_out: bool
    """Whether there are enough rows for validation and test."""


def gather_facts(table: Table, target: str) -> TableFacts:
    """Gather the facts about every column of a table.

    Args:
        table: the table.
        target: the column to predict.

    Raises:
        ConfigError: if no column is left to predict from.
        DataError: for a target that cannot be learned.
    """
    words = _missing_words(table, target)
    table = replace(table, missing_words=words)
    kind = infer_task(Target(column=target), [table])
    values = summarize_column(table, target)
    _check_target(table, kind, values)
    columns = _columns(table, target)
    class_rows = np.bincount(table.codes(target)[0]) if kind.classes else ()
    rows = tuple(map(int, class_rows))
    return TableFacts(table.rows, words, kind, values, rows, columns, _holds_out(table, kind))


def _missing_words(table: Table, target: str) -> tuple[str, ...]:
    """Return the common spellings of missing values in columns of numbers or dates.

    A word that is also a class of the target is not among them.
    """
    decisions = [infer_type(column, table) for column in table.columns]
    found = dict.fromkeys(word for decision in decisions for word in decision.stray_words)
    if found and not replace(table, missing_words=tuple(found)).column(target).looks_numeric():
        for name in table.codes(target)[1]:
            found.pop(name, None)
    return tuple(found)


def _check_target(table: Table, kind: Task, values: ColumnSummary) -> None:
    """Check that the target can be learned.

    Raises:
        DataError: for a single row, classes that are all seen once, or numbers out of range.
    """
    column = kind.columns[0]
    if table.rows < 2:
        raise DataError("has one row, expected at least two", file=table.file)
    if kind.classes and values.distinct == table.rows:
        message = f"each of the {table.rows} classes is seen once; is it a name, or an identifier?"
        raise DataError(message, file=table.file, column=column)
    if not kind.classes and values.bounds is None:
        check_range("none", table.numbers(column), table, column)


def _holds_out(table: Table, kind: Task) -> bool:
    """Whether rows can be held out, with a class left in training that has two rows or more."""
    if table.rows < MIN_ROWS:
        return False
    if not kind.classes:
        return True
    classes = kind.columns[0]
    try:
        training = assign_rows(table, StratifiedSplit(), classes, HELD_OUT, seed=0).train
    except DataError:
        return False
    return len(training) > len(table.codes(classes)[1])


def _columns(table: Table, target: str) -> tuple[ColumnFacts, ...]:
    decisions = decide_types(choose_features(Input(), table.columns, (target,)), table)
    columns = [_column(name, decision, _doubt(decision)) for name, decision in decisions.items()]
    if any(column.type != "ignored" for column in columns):
        return tuple(columns)
    for name, decision in decisions.items():
        if decision.feature.type == "numeric":
            check_range("none", table.numbers(name), table, name)
    # A doubtful column is better than no column.
    return tuple(_column(name, decision, None) for name, decision in decisions.items())


def _column(name: str, decision: Decision, doubt: str | None) -> ColumnFacts:
    assert decision.values is not None  # inferred
    if doubt:
        return ColumnFacts(name, Ignored(), doubt, False, decision.values)
    return ColumnFacts(name, decision.feature, decision.reason, True, decision.values)


def _doubt(decision: Decision) -> str | None:
    """Return the reason for which training might fail on a column, None if there is none."""
    values = decision.values
    assert values is not None  # inferred
    rows = values.present + values.missing
    if isinstance(decision.feature, Ignored):
        return None
    if decision.warning or (decision.feature.type == "numeric" and values.bounds is None):
        return decision.reason
    if values.present < MIN_VALUES and rows >= MIN_ROWS:
        return f"{values.present} values in {rows:,} rows are too few"
    return None
