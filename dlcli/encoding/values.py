"""What a column holds: the counts behind every decision on its type."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.errors import DataError
from dlcli.preprocessing import LARGEST
from dlcli.tables import Table, strings, to_numpy

MAX_SHOWN = 5
MIN_ROWS = 20
"""Smaller tables hold nothing out, and tell little about what a column is."""

_NEARLY_ALL_DIFFER = 0.95
LEADING_ZERO = r"^0[0-9]+$"
_IDENTIFIER_NAME = re.compile(r"(?i:(?:^|[\W_])(?:id|uuid|guid|key|index|row))$|[a-z]I[dD]$")


@dataclass(frozen=True, eq=False)
class Tally:
    """The different values of a column."""

    texts: pa.Array
    """Their canonical texts, in the order of their first row; empty for values without a text."""
    counts: NDArray[np.int64]
    """How many rows each has, (distinct values,)."""


@dataclass(frozen=True)
class ColumnSummary:
    """What a column holds."""

    present: int
    """Rows with a value."""
    missing: int
    """Rows without."""
    distinct: int
    """Different values; 0 for values that have no text."""
    frequent: tuple[tuple[str, int], ...]
    """The most frequent values and their rows, in order, `MAX_SHOWN` at most."""
    bounds: tuple[float, float] | None
    """Least and greatest, if all are numbers that the network can hold."""
    whole: bool
    """Whether all are whole numbers."""
    leading_zeros: bool
    """Whether one is written as `007`."""


def summarize_column(table: Table, column: str) -> ColumnSummary:
    """Looks at the values of a column.

    Args:
        table: the table.
        column: its name.
    """
    return describe_values(table, column, count_values(table, column))


def count_values(table: Table, column: str) -> Tally:
    """Counts the different values of a column.

    Args:
        table: the table.
        column: its name.
    """
    try:
        counted = table.column(column).canonical_texts().value_counts()
    except DataError:  # lists and the like, which have no text
        return Tally(strings([], pa.string()), np.zeros(0, np.int64))
    counts = pa.chunked_array([counted.field("counts")])
    return Tally(counted.field("values").cast(pa.string()), to_numpy(counts, np.int64))


def describe_values(table: Table, column: str, tally: Tally) -> ColumnSummary:
    """Sums up the values of a column.

    Args:
        table: the table.
        column: its name.
        tally: its different values.
    """
    missing = int(table.missing(column).sum())
    numbers = _numbers(table, column)
    zeros = pc.any(pc.match_substring_regex(tally.texts, LEADING_ZERO)).as_py()
    return ColumnSummary(
        present=table.rows - missing,
        missing=missing,
        distinct=len(tally.texts),
        frequent=_frequent(tally),
        bounds=(float(numbers.min()), float(numbers.max())) if len(numbers) else None,
        whole=len(numbers) > 0 and bool((numbers == np.floor(numbers)).all()),
        leading_zeros=len(numbers) > 0 and bool(zeros),
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


def _frequent(tally: Tally) -> tuple[tuple[str, int], ...]:
    order = np.argsort(-tally.counts, kind="stable")[:MAX_SHOWN].tolist()
    return tuple((tally.texts[at].as_py(), int(tally.counts[at])) for at in order)


def is_identifier(name: str, kind: str, values: ColumnSummary) -> bool:
    """Whether values only tell rows apart: nearly all differ, and they are no measurements.

    Whole numbers may well be measurements that happen to differ; so all must differ, and they must
    be named as an identifier, or count the rows without a gap. Of other values, 95 % must differ.

    Args:
        name: the column's name.
        kind: the feature type that it was taken for; only numbers and categories are doubted.
        values: what it holds.
    """
    if kind == "categorical":
        share, fewest = _NEARLY_ALL_DIFFER, MIN_ROWS
        is_named = _IDENTIFIER_NAME.search(name) and values.distinct == values.present
        many = values.present >= fewest and values.distinct >= share * values.present
        return bool(is_named or many)
    if kind != "numeric" or not values.whole or values.distinct < values.present:
        return False
    low, high = values.bounds or (0.0, 0.0)
    counts_rows = values.present >= MIN_ROWS and high - low == values.present - 1
    return bool(_IDENTIFIER_NAME.search(name)) or counts_rows
