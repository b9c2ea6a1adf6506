"""What a first config needs to know of a table: each column's type, and the counts behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.config.data import Target
from dlcli.config.features import Input
from dlcli.encoding import Decision, TargetKind, choose_features, decide_types, infer_target
from dlcli.encoding.numbers import LARGEST, check_range
from dlcli.errors import DataError
from dlcli.split import Shares, stratified_split
from dlcli.table import Table
from dlcli.table.column import USUAL_MISSING_WORDS

HELD_OUT = Shares(validation=0.15, test=0.15)
FEWEST_ROWS = 20
"""Smaller tables hold nothing out, and tell little about what a column is."""
FEWEST_VALUES = 8
"""Fewer values teach nothing, and might all be held out: with chance 0.3^8 < 0.0001 from here."""
MOST_SHOWN = 5

_LEADING_ZERO = re.compile(r"0\d+")
_IDENTIFIER_NAME = re.compile(r"(?i:(?:^|[\W_])(?:id|uuid|guid|key|index|row))$|[a-z]I[dD]$")


@dataclass(frozen=True)
class Values:
    """What a column holds."""

    present: int
    """Rows with a value."""
    missing: int
    """Rows without."""
    distinct: int
    """Different values; 0 for values that have no text."""
    frequent: tuple[tuple[str, int], ...]
    """The most frequent values and their rows, in order, `MOST_SHOWN` at most."""
    bounds: tuple[float, float] | None
    """Least and greatest, if all are numbers that the network can hold."""
    whole: bool
    """Whether all are whole numbers."""
    leading_zeros: bool
    """Whether one is written as `007`."""


@dataclass(frozen=True)
class ColumnFacts:
    """A feature column."""

    name: str
    type: Literal["numeric", "boolean", "categorical", "ignored"]
    """What it is to be read as."""
    reason: str
    """Why."""
    auto: bool
    """Whether `auto` would read it so, too."""
    values: Values


@dataclass(frozen=True)
class TableFacts:
    """A table."""

    rows: int
    missing_words: tuple[str, ...]
    """Words that stand for missing values among numbers."""
    target: TargetKind
    """What is predicted."""
    target_values: Values
    """What its column holds."""
    columns: tuple[ColumnFacts, ...]
    """The other columns, in order."""
    holds_out: bool
    """Whether there are rows enough to validate and test on."""


def gather_facts(table: Table, target: str) -> TableFacts:
    """Looks at every column of a table.

    Args:
        table: the table.
        target: the column to predict.

    Raises:
        ConfigError: if no column is left to predict from.
        DataError: for a target that can't be learned.
    """
    words = _missing_words(table, target)
    table = replace(table, missing_words=words)
    kind = infer_target(Target(column=target), [table])
    values = _values(table, target)
    _check_target(table, kind, values)
    columns = _columns(table, target)
    return TableFacts(table.rows, words, kind, values, columns, _holds_out(table, kind))


def _missing_words(table: Table, target: str) -> tuple[str, ...]:
    """The usual words for missing values in columns that are numbers without them.

    A word that is also a class of the target stays one.
    """
    found: dict[str, None] = {}
    for column in table.columns:
        if table.kind(column) != "text" or table.looks_numeric(column):
            continue
        words = [text for text in table.codes(column)[1] if text.lower() in USUAL_MISSING_WORDS]
        if words and replace(table, missing_words=tuple(words)).looks_numeric(column):
            found.update(dict.fromkeys(words))
    if found and not replace(table, missing_words=tuple(found)).looks_numeric(target):
        for name in table.codes(target)[1]:
            found.pop(name, None)
    return tuple(found)


def _check_target(table: Table, kind: TargetKind, values: Values) -> None:
    """Refuses what no training could learn from.

    Raises:
        DataError: for a lone row, classes that are all seen once, or a number without bounds.
    """
    column = kind.columns[0]
    if table.rows < 2:
        raise DataError("has one row, expected at least two", file=table.file)
    if kind.classes and values.distinct == table.rows:
        message = f"each of the {table.rows} classes is seen once; is it a name, or an identifier?"
        raise DataError(message, file=table.file, column=column)
    if not kind.classes and values.bounds is None:
        _refuse_unbounded(table, column)


def _refuse_unbounded(table: Table, column: str) -> None:
    """Raises a DataError that names the row of a number which the network can't hold."""
    check_range("none", table.numbers(column), table, column)


def _holds_out(table: Table, kind: TargetKind) -> bool:
    """Whether rows can be held out, with a class left in training that is seen more than once."""
    if table.rows < FEWEST_ROWS:
        return False
    if not kind.classes:
        return True
    codes, names = table.codes(kind.columns[0])
    try:
        training = stratified_split(codes, HELD_OUT, seed=0).train
    except DataError:
        return False
    return len(training) > len(names)


def _columns(table: Table, target: str) -> tuple[ColumnFacts, ...]:
    chosen = choose_features(Input(), table.columns, (target,))
    decisions = decide_types(chosen, table)
    values = {column: _values(table, column) for column in decisions}
    doubts = {
        column: _doubt(column, decision, values[column], table.rows)
        for column, decision in decisions.items()
    }
    if all(doubts[column] or decisions[column].feature.type == "ignored" for column in decisions):
        for column, decision in decisions.items():
            if decision.feature.type == "numeric":
                _refuse_unbounded(table, column)
        doubts = dict.fromkeys(doubts)  # a doubtful column is better than none
    return tuple(
        _column(column, decision, values[column], doubts[column])
        for column, decision in decisions.items()
    )


def _column(name: str, decision: Decision, values: Values, doubt: str | None) -> ColumnFacts:
    if doubt is not None:
        return ColumnFacts(name, "ignored", doubt, False, values)
    if values.leading_zeros and decision.feature.type == "numeric":
        reason = f"codes, not amounts, by their leading zeros, {values.distinct} values"
        return ColumnFacts(name, "categorical", reason, False, values)
    assert decision.feature.type != "auto"  # decided
    return ColumnFacts(name, decision.feature.type, decision.reason, True, values)


def _doubt(name: str, decision: Decision, values: Values, rows: int) -> str | None:
    """Why a column should rather not be read, if so."""
    kind = decision.feature.type
    if kind == "ignored":
        return None
    if kind == "numeric" and values.bounds is None:
        return f"holds a number that is infinite or beyond {LARGEST:.1e}"
    if values.distinct == 1 and not values.missing:
        return f"the same value in all rows: {values.frequent[0][0]}"
    if values.present < FEWEST_VALUES and rows >= FEWEST_ROWS:
        return f"{values.present} values in {rows} rows are too few"
    if _is_identifier(name, kind, values):
        return "another value in each row: looks like an identifier"
    return None


def _is_identifier(name: str, kind: str, values: Values) -> bool:
    """Whether values only tell rows apart: all differ, and they are no measurements.

    Whole numbers may well be measurements that happen to differ; so they must be named as an
    identifier, or count the rows without a gap.
    """
    if values.distinct < values.present or kind == "boolean":
        return False
    if _IDENTIFIER_NAME.search(name) and (values.whole or kind == "categorical"):
        return True
    if values.present < FEWEST_ROWS:
        return False
    if kind == "categorical" or values.leading_zeros:
        return True
    low, high = values.bounds or (0.0, 0.0)
    return values.whole and high - low == values.present - 1


def _values(table: Table, column: str) -> Values:
    missing = int(table.missing(column).sum())
    present = table.rows - missing
    try:
        codes, texts = table.codes(column)
    except DataError:  # lists and the like, which have no text
        return Values(present, missing, 0, (), None, False, False)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    numbers = _numbers(table, column)
    return Values(
        present=present,
        missing=missing,
        distinct=len(texts),
        frequent=_frequent(texts, counts),
        bounds=(float(numbers.min()), float(numbers.max())) if len(numbers) else None,
        whole=len(numbers) > 0 and bool((numbers == np.floor(numbers)).all()),
        leading_zeros=len(numbers) > 0 and any(map(_LEADING_ZERO.fullmatch, texts)),
    )


def _numbers(table: Table, column: str) -> NDArray[np.float64]:
    """The values of a column if all are numbers that the network can hold, else none."""
    if table.looks_numeric(column):
        try:
            numbers = table.numbers(column)
        except DataError:  # an infinity
            return np.empty(0)
        present = numbers[~np.isnan(numbers)]
        if np.abs(present).max() <= LARGEST:
            return present
    return np.empty(0)


def _frequent(texts: Sequence[str], counts: NDArray[np.int64]) -> tuple[tuple[str, int], ...]:
    order = np.argsort(-counts, kind="stable")[:MOST_SHOWN]
    return tuple((texts[at], int(counts[at])) for at in order)
