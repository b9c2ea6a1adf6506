"""What a column holds: the counts behind every decision on its type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding.numbers import LARGEST
from dlcli.errors import DataError
from dlcli.table import Table

MOST_SHOWN = 5
FEWEST_ROWS = 20
"""Smaller tables hold nothing out, and tell little about what a column is."""

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


def column_values(table: Table, column: str) -> Values:
    """Looks at the values of a column.

    Args:
        table: the table.
        column: its name.
    """
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


def is_identifier(name: str, kind: str, values: Values) -> bool:
    """Whether values only tell rows apart: all differ, and they are no measurements.

    Whole numbers may well be measurements that happen to differ; so they must be named as an
    identifier, or count the rows without a gap.

    Args:
        name: the column's name.
        kind: the feature type that it was taken for; only numbers and categories are doubted.
        values: what it holds.
    """
    if values.distinct < values.present or kind not in ("numeric", "categorical"):
        return False
    if _IDENTIFIER_NAME.search(name) and (values.whole or kind == "categorical"):
        return True
    if values.present < FEWEST_ROWS:
        return False
    if kind == "categorical" or values.leading_zeros:
        return True
    low, high = values.bounds or (0.0, 0.0)
    return values.whole and high - low == values.present - 1
