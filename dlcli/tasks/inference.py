"""Inference of the task from the declaration of the target and its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Target
from dlcli.errors import ConfigError, DataError, Problem, did_you_mean, listed, number
from dlcli.tables.column import Column
from dlcli.tables.table import Table
from dlcli.tasks.classification import Binary, Multiclass, Multilabel, split_labels, storage_type
from dlcli.tasks.regression import Counts, Regression
from dlcli.tasks.task import Task, refuse_missing

if TYPE_CHECKING:
    AnyTask = Task
else:
    AnyTask = Annotated[
        Regression | Counts | Binary | Multiclass | Multilabel, Field(discriminator="kind")
    ]
"""Any task, discriminated by `kind` in documents; type checkers see the base class."""

_DELIMITERS = ("|", ";", ",")
"""Usual separators of labels in a text."""
_MOST_NAMED = 3
"""Maximum number of rows that a message names."""


_YES_AND_NO = {
    *(("ja", "nein"), ("ja", "nee"), ("ja", "nej"), ("ja", "nei"), ("j", "n"), ("jā", "nē")),
    *(("да", "нет"), ("истина", "ложь"), ("так", "ні"), ("ano", "ne"), ("da", "ne"), ("da", "nu")),
    *(("igen", "nem"), ("evet", "hayır"), ("evet", "hayir"), ("doğru", "yanlış"), ("ναι", "όχι")),
    *(("כן", "לא"), ("có", "không"), ("iya", "tidak"), ("有", "無"), ("阳性", "阴性")),
}
"""Pairs of words for yes and no, in lower case, where yes is first in alphabetical order."""


def drop_missing_targets(target: Target, table: Table) -> tuple[Table, str]:
    """Remove rows in which a target column has no value.

    If labels have a delimiter, no row is removed, because an empty field means no labels.

    Args:
        target: the config's `data.target`.
        table: the rows; the remaining rows keep their row numbers.

    Returns:
        The rows with a target, and a message about removed rows, empty if there are none.

    Raises:
        DataError: if no row has a target.
    """
    if target.delimiter is not None:
        return table, ""
    missing = np.any([table.missing(column) for column in target.columns], axis=0)
    count = int(np.count_nonzero(missing))
    if not count:
        return table, ""
    if count == table.rows:
        message = "no row has a target: there is nothing to learn from or to compare with"
        raise DataError(message, file=table.file, column=", ".join(target.columns))
    named = [table.place(index) for index in np.flatnonzero(missing)[:_MOST_NAMED].tolist()]
    message = (
        f"{count:,} of {table.rows:,} rows {'has' if count == 1 else 'have'} no target "
        f"({listed(target.columns)}) and {'is' if count == 1 else 'are'} skipped: "
        f"{', '.join(named)}{', ...' if count > len(named) else ''}"
    )
    return table.take(np.flatnonzero(~missing)), message


def infer_task(target: Target, tables: Sequence[Table]) -> AnyTask:
    """Infer the task from the target's declaration and values.

    Args:
        target: the config's `data.target`.
        tables: all tables with a target, from which classes and labels are collected.

    Raises:
        DataError: for missing values, values that contradict the type, only one class, or the same
            number in all rows.
        ConfigError: if the positive class does not exist, or there are more than two classes.
    """
    task = _infer_task(target, tables)
    if task.outcome == "numbers":
        refuse_constant(task, tables)
    return task


def refuse_constant(task: Task, tables: Sequence[Table], which: str = "") -> None:
    """Refuse a numeric target that is constant; a single row is accepted.

    Args:
        task: a task of numbers.
        tables: the rows.
        which: which of all rows these are, such as `training `.

    Raises:
        DataError: if no target column has two different float64 values.
    """
    if sum(table.rows for table in tables) < 2:
        return
    found = []
    for column in task.columns:
        values = np.concatenate([table.column(column).numbers().values for table in tables])
        if not (values == values[0]).all():
            return
        found.append(number(values[0]))
    values_found = ", ".join(found)
    message = f"has the same value in all {which}rows, {values_found}: there is nothing to learn"
    raise DataError(message, file=tables[0].file, column=", ".join(task.columns))


def _infer_task(target: Target, tables: Sequence[Table]) -> AnyTask:
    if target.delimiter is None:
        for table in tables:
            for column in target.columns:
                is_text = table.missing(column).any() and table.column(column).kind == "text"
                hint = _delimiter_hint(column, tables) if is_text else ""
                way_out = f", or set data.on_missing_target: drop{hint}"
                refuse_missing(table, column, ValueProblems(), way_out)
    if target.type == "auto":
        if len(target.columns) > 1:
            return _infer_from_columns(target, tables)
        return _infer_from_column(target, tables)
    if target.type == "multi_label":
        return _multilabel(target, tables, "declared")
    if target.type == "categorical":
        return _classification(target, tables, "declared")
    if target.type == "numeric":
        return Regression(columns=target.columns, reason="declared")
    counts = Counts(columns=target.columns, reason="declared")
    for table in tables:
        counts.values(table, ValueProblems())
    return counts


def _infer_from_column(target: Target, tables: Sequence[Table]) -> AnyTask:
    (column,) = target.columns
    if _is_boolean(column, tables):
        return _classification(target, tables, "only true and false")
    if not all(_holds_numbers(table.column(column)) for table in tables):
        return _classification(target, tables, "text" + _delimiter_hint(column, tables))
    if pair := _two_integers(column, tables):
        return _classification(target, tables, "all {} or {}".format(*pair))
    if target.positive_class is not None:
        return _classification(target, tables, "declared")
    return Regression(columns=(column,), reason="all values are numbers")


def _infer_from_columns(target: Target, tables: Sequence[Table]) -> AnyTask:
    if all(_is_boolean(column, tables) for column in target.columns):
        return _multilabel(target, tables, "only true and false")
    if all(_may_be_label(column, tables) for column in target.columns):
        return _multilabel(target, tables, "all 0 or 1")
    for column in target.columns:
        if all(table.column(column).numbers().unreadable.all() for table in tables):
            message = (
                "is not numeric; a target of several columns requires numbers, or only true and "
                "false; predict this column with a separate config"
            )
            raise DataError(message, file=tables[0].file, column=column)
    return Regression(columns=target.columns, reason="several columns")


def _holds_numbers(column: Column) -> bool:
    """Return whether all values are numbers, except for possible words for missing values.

    Otherwise each number would become a class. If such a word is not declared as missing, reading
    the numbers raises an error.
    """
    if column.looks_numeric() or column.kind != "text":
        return column.looks_numeric()
    words = column.usual_missing_words()
    missing_words = (*column.missing_words, *words)
    return bool(words) and replace(column, missing_words=missing_words).looks_numeric()


def _is_boolean(column: str, tables: Sequence[Table]) -> bool:
    return all(table.column(column).looks_boolean() for table in tables)


def _may_be_label(column: str, tables: Sequence[Table]) -> bool:
    """Return whether a column has only true and false, or 0 and 1; it may be constant."""
    if _is_boolean(column, tables):
        return True
    if not all(table.column(column).looks_numeric() for table in tables):
        return False
    return all(np.isin(table.numbers(column), (0, 1)).all() for table in tables)


def _two_integers(column: str, tables: Sequence[Table]) -> tuple[int, int] | None:
    """Return the only two integers in a column, ascending; `None` if it has other values.

    If there are only two rows, only 0 and 1 are accepted as classes.
    """
    numbers = np.concatenate([table.numbers(column) for table in tables])
    low, high = float(numbers.min()), float(numbers.max())
    if low == high or not np.isin(numbers, (low, high)).all():
        return None
    if not (low.is_integer() and high.is_integer()):
        return None
    return (int(low), int(high)) if len(numbers) > 2 or (low, high) == (0, 1) else None


def _classification(target: Target, tables: Sequence[Table], reason: str) -> Binary | Multiclass:
    (column,), positive = target.columns, target.positive_class
    classes = _sort_classes(name for table in tables for name in table.codes(column)[1])
    if len(classes) < 2:
        message = f"has only the class '{classes[0]}'; expected at least two classes"
        raise DataError(message, file=tables[0].file, column=column)
    if positive is not None:
        of_numbers = target.type == "auto" and reason == "declared"
        if problem := _positive_problem(positive, column, classes, of_numbers=of_numbers):
            raise ConfigError([Problem("data.target.positive_class", problem)])
        classes = (*(name for name in classes if name != positive), positive)
    kind = Binary if len(classes) == 2 else Multiclass
    stored = storage_type(column, tables[0], classes)
    return kind(columns=target.columns, classes=classes, stored=stored, reason=reason)


def _sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct classes, sorted; "no" precedes "yes" in any language."""
    classes = _sort_names(names)
    return classes[::-1] if tuple(map(str.lower, classes)) in _YES_AND_NO else classes


def _sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names, sorted: numbers by value, then other names alphabetically."""

    def rank(name: str) -> tuple[float, str]:
        try:
            value = float(name)
        except ValueError:
            value = math.inf
        return value if math.isfinite(value) else math.inf, name

    return tuple(sorted(set(names), key=rank))


def _positive_problem(
    positive: str, column: str, classes: Sequence[str], *, of_numbers: bool
) -> str | None:
    """Return why a class can't be the positive one; `None` if it can.

    Args:
        positive: the declared positive class.
        column: the target.
        classes: all values of the target.
        of_numbers: whether all values are numbers and would be a numeric target without it.
    """
    if of_numbers and len(classes) > 2:
        return (
            f"the target '{column}' is numeric, with {len(classes):,} different values, and only a "
            "target with two classes has a positive class; omit it"
        )
    if positive not in classes:
        near = did_you_mean(positive, classes) or f"; there are {listed(classes)}"
        return f"no class '{positive}' in the column '{column}'{near}"
    if len(classes) > 2:
        return f"requires two classes, but the column '{column}' has {len(classes)}; omit it"
    return None


def _multilabel(target: Target, tables: Sequence[Table], reason: str) -> Multilabel:
    columns, labels, delimiter = target.columns, target.columns, target.delimiter
    if delimiter is not None:
        texts = {text for table in tables for text in table.codes(columns[0])[1]}
        labels = _sort_names(label for text in texts for label in split_labels(text, delimiter))
    are_booleans = all(_is_boolean(column, tables) for column in columns)
    if labels:
        task = Multilabel(
            columns=columns,
            labels=labels,
            stored="boolean" if are_booleans else "integer",
            delimiter=delimiter,
            reason=reason,
        )
        encoded = np.concatenate([task.encode(table, ValueProblems()) for table in tables])
        if not (encoded == encoded[:1]).all():
            return task
    message = "all rows have the same labels: there is nothing to learn"
    raise DataError(message, file=tables[0].file, column=", ".join(columns))


def _delimiter_hint(column: str, tables: Sequence[Table]) -> str:
    """Return a note if texts look like several labels, else an empty string."""
    for delimiter in _DELIMITERS:
        if _seems_to_separate(delimiter, column, tables):
            setting = f"type: multi_label, delimiter: '{delimiter}'"
            return f" (if '{delimiter}' separates labels, set {setting})"
    return ""


def _seems_to_separate(delimiter: str, column: str, tables: Sequence[Table]) -> bool:
    """Return whether most rows contain a delimiter, and each part occurs twice on average.

    A separator that is part of the column's number notation does not count.
    """
    notations = [table.column(column).notation for table in tables]
    if any(delimiter in (each.decimal, each.thousands) for each in notations):
        return False
    rows = separated = 0
    texts: set[str] = set()
    for table in tables:
        codes, names = table.codes(column)
        has_delimiter = np.array([delimiter in name for name in names], dtype=np.bool_)
        codes = codes[codes >= 0]
        rows, separated = rows + len(codes), separated + int(has_delimiter[codes].sum())
        texts.update(names)
    parts = [part for text in texts for part in split_labels(text, delimiter)]
    return 2 * separated > rows and 2 * len(set(parts)) <= len(parts)
