"""Counts of a column's values, from which its type is inferred."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.errors import DataError
from dlcli.preprocessing import LARGEST
from dlcli.tables import Kind, Table, mask_to_numpy, strings, to_numpy

MAX_SHOWN = 5
MIN_ROWS = 20
"""Fewest rows from which identifiers are recognized and rows are held out by default."""
MAX_CODES = 10
"""Most distinct numbers that may be codes of categories."""

LEADING_ZERO = r"^0[0-9]+$"
_LONGEST_SHOWN = 40
_IDENTIFIER_SHARE = 0.95
_IDENTIFIER_NAME = re.compile(r"(?i:(?:^|[\W_])(?:id|uuid|guid|key|index|row))$|[a-z]I[dD]$")


@dataclass(frozen=True, eq=False)
class Tally:
    """The distinct values of a column."""

    texts: pa.Array
    """Their canonical texts, in the order of their first row; empty for values without a text."""
    counts: NDArray[np.int64]
    """Number of rows that have each, (distinct values,)."""


@dataclass(frozen=True)
class ColumnSummary:
    """Counts of a column's values."""

    present: int
    """Rows with a value."""
    missing: int
    """Rows without a value."""
    distinct: int
    """Distinct values; 0 for values that have no text."""
    frequent: tuple[tuple[str, int], ...]
    """The most frequent values and their rows, in order, `MAX_SHOWN` at most."""
    bounds: tuple[float, float] | None
    """Minimum and maximum, if all values are numbers that the network can read."""
    whole: bool
    """Whether all are whole numbers."""
    leading_zeros: bool
    """Whether one is written as `007`."""

    @property
    def may_be_codes(self) -> bool:
        """Whether numbers may name categories: few whole ones that repeat, other than 0 and 1."""
        is_flag = self.bounds == (0, 1)
        repeats = self.present >= 2 * self.distinct
        return self.whole and not is_flag and repeats and 1 < self.distinct <= MAX_CODES


@dataclass(frozen=True, eq=False)
class ColumnView:
    """A column of a table, with the distinct values that it holds."""

    table: Table
    name: str

    @property
    def kind(self) -> Kind:
        """How it is stored."""
        return self.table.kind(self.name)

    @cached_property
    def tally(self) -> Tally:
        """Its distinct values."""
        try:
            counted = self.table.column(self.name).canonical_texts().value_counts()
        except DataError:  # lists and the like, which have no text
            return Tally(strings([], pa.string()), np.zeros(0, np.int64))
        counts = pa.chunked_array([counted.field("counts")])
        return Tally(counted.field("values").cast(pa.string()), to_numpy(counts, np.int64))

    @cached_property
    def summary(self) -> ColumnSummary:
        """The counts of its values."""
        tally, numbers = self.tally, self._numbers()
        missing = int(self.table.missing(self.name).sum())
        order = np.argsort(-tally.counts, kind="stable")[:MAX_SHOWN].tolist()
        return ColumnSummary(
            present=self.table.rows - missing,
            missing=missing,
            distinct=len(tally.texts),
            frequent=tuple((tally.texts[at].as_py(), int(tally.counts[at])) for at in order),
            bounds=(float(numbers.min()), float(numbers.max())) if len(numbers) else None,
            whole=len(numbers) > 0 and bool((numbers == np.floor(numbers)).all()),
            leading_zeros=len(numbers) > 0 and bool(self.matches(LEADING_ZERO).any()),
        )

    def _numbers(self) -> NDArray[np.float64]:
        """Return the values if all are numbers that the network can read, else none."""
        if self.table.looks_numeric(self.name):
            try:
                numbers = self.table.numbers(self.name)
            except DataError:  # an infinity
                return np.empty(0)
            present = numbers[~np.isnan(numbers)]
            if np.abs(present).max() <= LARGEST:
                return present
        return np.empty(0)

    def matches(self, pattern: str) -> NDArray[np.bool_]:
        """Return which distinct values match a pattern of RE2, (distinct values,)."""
        matches = pc.match_substring_regex(self.tally.texts, pattern)
        return mask_to_numpy(pa.chunked_array([matches]))

    def example(self, which: NDArray[np.bool_]) -> str:
        """Return the first of some distinct values, cut if it is long."""
        return shorten(str(self.tally.texts[int(np.argmax(which))].as_py()))

    def share(self, which: NDArray[np.bool_]) -> float:
        """Return the share of rows that hold some distinct values, of the rows with a value."""
        return int(self.tally.counts[which].sum()) / max(int(self.tally.counts.sum()), 1)


def summarize_column(table: Table, column: str) -> ColumnSummary:
    """Count the values of a column."""
    return ColumnView(table, column).summary


def shorten(text: str) -> str:
    """Cut a value for a message if it is long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def is_identifier(name: str, type_name: str, summary: ColumnSummary) -> bool:
    """Whether a column's values merely distinguish rows: nearly all differ and none is an amount.

    Whole numbers may be amounts that happen to differ. So all must differ, and either the column's
    name is that of an identifier, or they number the rows consecutively. Of other values, 95 % must
    differ.

    Args:
        name: the column's name.
        type_name: its feature type; only numbers and categories can be identifiers.
        summary: its values.
    """
    has_name = bool(_IDENTIFIER_NAME.search(name))
    all_differ = summary.distinct >= summary.present
    if type_name == "categorical":
        nearly_all_differ = summary.distinct >= _IDENTIFIER_SHARE * summary.present
        return (has_name and all_differ) or (summary.present >= MIN_ROWS and nearly_all_differ)
    if type_name != "numeric" or not summary.whole or not all_differ:
        return False
    low, high = summary.bounds or (0.0, 0.0)
    return has_name or (summary.present >= MIN_ROWS and high - low == summary.present - 1)
