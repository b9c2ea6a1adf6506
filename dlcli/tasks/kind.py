"""What a target is, as declared, or as its rows show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlcli.config import Target, TargetForm
from dlcli.errors import DataError
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table
from dlcli.tasks.checks import refuse_gaps, refuse_no_counts
from dlcli.tasks.classes import Stored, in_order, stored_as
from dlcli.tasks.labels import find_labels, mark_labels, split_labels

_DELIMITERS = ("|", ";", ",")
"""What labels in one text are usually parted by."""


@dataclass(frozen=True)
class TargetKind:
    """What a target is, before anything is fitted."""

    columns: tuple[str, ...]
    """The target's columns."""
    classes: tuple[str, ...]
    """The classes in order; empty for numbers and labels."""
    reason: str
    """Why it was taken so: `declared`, or what the rows show."""
    stored: Stored = "text"
    """How the table stores classes or columns of labels, and predictions give them back."""
    labels: tuple[str, ...] = ()
    """The labels in order, any of which a row may have."""
    delimiter: str | None = None
    """What stands between labels that are named in one column."""
    counts: bool = False
    """Whether the numbers are whole and never negative."""

    @property
    def name(self) -> str:
        """The columns as people would say them."""
        return ", ".join(f"'{column}'" for column in self.columns)

    @property
    def type(self) -> Literal["numeric", "count", "categorical", "multi_label"]:
        """The type that the config declares it by."""
        if self.labels:
            return "multi_label"
        if self.classes:
            return "categorical"
        return "count" if self.counts else "numeric"

    @property
    def form(self) -> TargetForm:
        """What losses know it as."""
        if self.labels:
            return "labels"
        if self.classes:
            return "two classes" if len(self.classes) == 2 else "classes"
        return "number" if len(self.columns) == 1 else "numbers"


def infer_target(target: Target, tables: Sequence[Table]) -> TargetKind:
    """Says whether a target is numbers, classes or labels, and which of these there are.

    Args:
        target: the config's `data.target`.
        tables: all tables with a target; classes and labels are taken from all of them.

    Raises:
        DataError: for gaps, values that contradict a declared type, or nothing to tell apart.
    """
    if target.delimiter is None:
        _refuse_gaps(target, tables)
    if target.type == "auto":
        return _infer_several(target, tables) if len(target.columns) > 1 else _infer(target, tables)
    if target.type == "multi_label":
        return _labels(target, tables, "declared")
    if target.type == "categorical":
        return _classes(target.columns[0], tables, "declared")
    if target.type == "count":
        _check_counts(target.columns, tables)
    return TargetKind(target.columns, (), "declared", counts=target.type == "count")


def _refuse_gaps(target: Target, tables: Sequence[Table]) -> None:
    for table in tables:
        for column in target.columns:
            is_text = table.missing(column).any() and table.kind(column) == "text"
            refuse_gaps(table, column, ValueIssues(), _hint(column, tables) if is_text else "")


def _infer(target: Target, tables: Sequence[Table]) -> TargetKind:
    column = target.columns[0]
    if _is_boolean(column, tables):
        return _classes(column, tables, "all true or false")
    if not all(table.looks_numeric(column) for table in tables):
        return _classes(column, tables, "text" + _hint(column, tables))
    if _marks_in(column, tables) == {0, 1}:
        return _classes(column, tables, "all 0 or 1")
    return TargetKind(target.columns, (), "all numbers")


def _infer_several(target: Target, tables: Sequence[Table]) -> TargetKind:
    if all(_is_boolean(column, tables) for column in target.columns):
        return _labels(target, tables, "all true or false")
    if all(_marks_a_label(column, tables) for column in target.columns):
        return _labels(target, tables, "all 0 or 1")
    return TargetKind(target.columns, (), "several columns")


def _is_boolean(column: str, tables: Sequence[Table]) -> bool:
    return all(table.kind(column) == "boolean" or table.looks_boolean(column) for table in tables)


def _marks_a_label(column: str, tables: Sequence[Table]) -> bool:
    """Whether a column is true/false or 0 and 1; one that is constant may be, beside others."""
    if _is_boolean(column, tables):
        return True
    is_number = all(table.looks_numeric(column) for table in tables)
    return is_number and _marks_in(column, tables) is not None


def _marks_in(column: str, tables: Sequence[Table]) -> set[float] | None:
    """Which of 0 and 1 a column of numbers holds; None if it holds any other."""
    found: set[float] = set()
    for table in tables:
        numbers = table.numbers(column)
        if not ((numbers == 0) | (numbers == 1)).all():
            return None
        found |= {float(numbers.min()), float(numbers.max())}
    return found


def _classes(column: str, tables: Sequence[Table], reason: str) -> TargetKind:
    classes = in_order(name for table in tables for name in table.codes(column)[1])
    if len(classes) < 2:
        message = f"has one class only, '{classes[0]}': there is nothing to tell apart"
        raise DataError(message, file=tables[0].file, column=column)
    return TargetKind((column,), classes, reason, stored_as(column, tables[0], classes))


def _labels(target: Target, tables: Sequence[Table], reason: str) -> TargetKind:
    columns, delimiter = target.columns, target.delimiter
    labels = find_labels(tables, columns[0], delimiter) if delimiter is not None else columns
    marks = np.concatenate(
        [mark_labels(table, columns, labels, delimiter, ValueIssues()) for table in tables]
    )
    if (marks == marks[:1]).all():
        message = "all rows have the same labels: there is nothing to tell apart"
        raise DataError(message, file=tables[0].file, column=", ".join(columns))
    are_booleans = all(_is_boolean(column, tables) for column in columns)
    stored: Stored = "boolean" if are_booleans else "integer"
    return TargetKind(columns, (), reason, stored, labels, delimiter)


def _check_counts(columns: Sequence[str], tables: Sequence[Table]) -> None:
    for table in tables:
        for column in columns:
            refuse_no_counts(table.numbers(column), table, column, ValueIssues())


def _hint(column: str, tables: Sequence[Table]) -> str:
    """What to say of texts that look like labels in one column; nothing, if they don't."""
    for delimiter in _DELIMITERS:
        if _seems_to_part(delimiter, column, tables):
            setting = f"type: multi_label, delimiter: '{delimiter}'"
            return f" (if '{delimiter}' parts labels, say {setting})"
    return ""


def _seems_to_part(delimiter: str, column: str, tables: Sequence[Table]) -> bool:
    """Whether most rows have a delimiter, and what it parts is seen twice on average."""
    rows = parted = 0
    texts: set[str] = set()
    for table in tables:
        codes, names = table.codes(column)
        has_delimiter = np.array([delimiter in name for name in names], dtype=np.bool_)
        codes = codes[codes >= 0]
        rows, parted = rows + len(codes), parted + int(has_delimiter[codes].sum())
        texts.update(names)
    parts = [part for text in texts for part in split_labels(text, delimiter)]
    return 2 * parted > rows and 2 * len(set(parts)) <= len(parts)
