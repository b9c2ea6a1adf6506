"""The rows that checks look at: all of a small table, some of a large one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Ignored, Numeric
from dlcli.data_checks.finding import number
from dlcli.encoding import Decision
from dlcli.errors import DataError
from dlcli.tables import Table
from dlcli.tasks import Task

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_ROWS = 20_000
"""Rows that are looked at; by lot, from a fixed seed, where there are more."""
_MOST_CELLS = 3_000_000
_FEWEST_ROWS = 1_000


@dataclass(frozen=True, eq=False)
class SampledColumn:
    """A feature's values in the sampled rows."""

    decision: Decision
    """What the column was taken for."""
    codes: Codes
    """The place of each value among the distinct ones, -1 where missing, (rows,)."""
    counts: Codes
    """How many rows hold each distinct value, (distinct values,)."""
    texts: tuple[str, ...] | None
    """The distinct values as text; None for numbers."""
    numbers: Floats | None
    """The distinct numbers, ascending; None for what is not read as a number."""

    @property
    def present(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """Different values."""
        return len(self.counts)

    def text(self, place: int) -> str:
        """A distinct value as people write it."""
        if self.texts is not None:
            return self.texts[place]
        assert self.numbers is not None  # one of the two
        return number(float(self.numbers[place]))


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a table, with the columns that the network is to read."""

    whole: Table
    """All rows."""
    table: Table
    """The rows that are looked at, in the table's order."""
    columns: Mapping[str, SampledColumn]
    """The features that are read, in the table's order."""
    target: Task | None
    """What is predicted, if that is known."""

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The classes by the column of the target; empty for other targets."""
        if self.target is None or not self.target.classes:
            return {}
        return {self.target.columns[0]: self.target.classes}


def draw_sample(table: Table, decisions: Mapping[str, Decision], target: Task | None) -> Sample:
    """Takes the rows to look at.

    Args:
        table: all rows.
        decisions: the type of each feature column; ignored ones are left out.
        target: what is predicted, if that is known.

    Returns:
        All rows, or some by lot, always the same: `MOST_ROWS`, and fewer of very wide tables.
    """
    read = {c: item for c, item in decisions.items() if not isinstance(item.feature, Ignored)}
    some = draw_rows(table, len(read))
    columns = {name: _column(some, name, decision) for name, decision in read.items()}
    known = {name: column for name, column in columns.items() if column is not None}
    return Sample(table, some, known, target)


def draw_rows(table: Table, columns: int) -> Table:
    """Some rows by lot, in their order, or all if they are few.

    Args:
        table: all rows.
        columns: how many columns will be looked at; of very many, fewer rows are taken.
    """
    most = min(MOST_ROWS, max(_FEWEST_ROWS, _MOST_CELLS // max(columns, 1)))
    return table if table.rows <= most else table.take(draw(np.arange(table.rows), most))


def draw(rows: Codes, most: int) -> Codes:
    """Some of the rows by lot, ascending, always the same; all if they are no more than that."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def _column(table: Table, name: str, decision: Decision) -> SampledColumn | None:
    """A column's values, or None for values without a text: the encoding will say so."""
    if isinstance(decision.feature, Numeric) and table.kind(name) in ("number", "text"):
        parsed = table.parse_numbers(name)
        if not parsed.unreadable.any():
            return _numeric(parsed.values, decision)
    try:
        codes, texts = table.codes(name)
    except DataError:
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    return SampledColumn(decision, codes, counts, tuple(texts), None)


def _numeric(values: Floats, decision: Decision) -> SampledColumn:
    present = ~np.isnan(values)
    codes = np.full(len(values), -1, dtype=np.int64)
    numbers, codes[present], counts = np.unique(
        values[present], return_inverse=True, return_counts=True
    )
    return SampledColumn(decision, codes, counts, None, numbers)
