"""The rows to check, all of a small table or random ones, and the findings of checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np

from dlcli.arrays import Floats, Indices
from dlcli.columns.column_type import Decision
from dlcli.columns.type_inference import number
from dlcli.errors import DataError, printable, truncate
from dlcli.splitting import sample_rows
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

Item = TypeVar("Item")
Severity = Literal["warning", "note"]
"""A warning is likely to affect training or its metrics; a note is useful information."""

MOST_ROWS = 20_000
"""Maximum number of rows in a sample."""
_MOST_CELLS = 3_000_000
_FEWEST_ROWS = 1_000
_MOST_CATEGORIES = 30
_MOST_CLASSES = 10
_MOST_NAMED = 5
_LONGEST = 43


@dataclass(frozen=True, eq=False)
class SampledColumn:
    """A feature's values in the sampled rows."""

    decision: Decision
    """The column's type."""
    codes: Indices
    """Index of each value in the distinct values, -1 where missing, (rows,)."""
    counts: Indices
    """Number of rows of each distinct value, (distinct values,)."""
    texts: tuple[str, ...] | None
    """The distinct values as text; `None` for numbers."""
    numbers: Floats | None
    """The distinct numbers, ascending; `None` if the column is not read as numbers."""

    @cached_property
    def present(self) -> int:
        """Number of rows with a value."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return len(self.counts)

    @property
    def values(self) -> Floats:
        """The number in each row, NaN where missing, (rows,)."""
        assert self.numbers is not None  # callers skip other columns
        return np.append(self.numbers, np.nan)[self.codes]

    @property
    def is_nearly_numeric(self) -> bool:
        """True if the column is read as numbers, although a few values are not numbers."""
        return self.decision.feature.is_amount and self.decision.warning != ""

    def text(self, index: int) -> str:
        """Format a distinct value."""
        if self.texts is not None:
            return self.texts[index]
        assert self.numbers is not None  # without texts
        return number(float(self.numbers[index]))


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a table, with the columns that the network would read."""

    whole: Table
    """All rows."""
    table: Table
    """The sampled rows, in the table's order."""
    columns: Mapping[str, SampledColumn]
    """The features that the network would read, in the table's order."""
    task: Task | None
    """The task, if it is known."""

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """The distinct texts of each feature, and the classes of the target, by column."""
        found = {name: column.texts or () for name, column in self.columns.items()}
        if self.task is not None and self.task.classes:
            found[self.task.columns[0]] = self.task.classes
        return found


def draw_sample(
    table: Table, decisions: Mapping[str, Decision], task: Task | None, most: int | None = None
) -> Sample:
    """Draw the rows to check.

    Args:
        table: all rows.
        decisions: the type of each feature column; ignored ones are omitted.
        task: the task, if it is known.
        most: maximum number of rows; `MOST_ROWS` if omitted.

    Returns:
        All rows, or the same random ones in each call; fewer if the table is very wide.
    """
    read = {c: item for c, item in decisions.items() if item.feature.is_read}
    some = rows_to_check(table, len(read), most)
    if some is not table:  # a table may be on disk or on other machines
        some = some.only([*read, *(() if task is None else task.columns)])
    columns = {name: _column(some, name, decision) for name, decision in read.items()}
    known = {name: column for name, column in columns.items() if column is not None}
    return Sample(table, some, known, task)


def rows_to_check(table: Table, columns: int, most: int | None = None) -> Table:
    """Draw random rows for checks, in the table's order; all if they are few.

    Args:
        table: all rows.
        columns: number of columns to check; if there are very many, fewer rows are drawn.
        most: maximum number of rows; `MOST_ROWS` if omitted.
    """
    most = min(most or MOST_ROWS, max(_FEWEST_ROWS, _MOST_CELLS // max(columns, 1)))
    return sample_rows(table, most)


def _column(table: Table, name: str, decision: Decision) -> SampledColumn | None:
    """Return a column's values; `None` if a value has no text, which the encoding reports."""
    values = table.column(name)
    if (amounts := decision.feature.amounts(values)) is not None:
        present = ~np.isnan(amounts)
        codes = np.full(table.rows, -1, dtype=np.int64)
        held = amounts[present]
        numbers = np.unique(held) + 0.0  # -0 becomes 0
        codes[present] = indices = np.searchsorted(numbers, held)
        counts = np.bincount(indices, minlength=len(numbers))
        return SampledColumn(decision, codes, counts, None, numbers)
    try:
        codes, texts = values.codes()
    except DataError:
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    return SampledColumn(decision, codes, counts, tuple(texts), None)


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return at most `most` items, evenly spaced, including the first and the last."""
    if len(items) <= most:
        return items
    return [items[at] for at in np.linspace(0, len(items) - 1, most).astype(int)]


def feature_scores(sample: Sample) -> dict[str, Floats]:
    """Return numbers as normal scores, and few categories as one-hot, each (rows, inputs)."""
    found = {}
    for name, column in sample.columns.items():
        if column.numbers is not None:
            found[name] = normal_scores(column.values)[:, np.newaxis]
        elif 1 < column.distinct <= _MOST_CATEGORIES:
            found[name] = scaled(np.eye(column.distinct + 1)[column.codes, :-1])
    return found


def standardized_inputs(sample: Sample) -> dict[str, Floats]:
    """Return standardized numbers, 0 where missing, and few categories one-hot: (rows, inputs)."""
    found = {}
    for name, column in sample.columns.items():
        if column.numbers is not None and column.distinct > 1:
            numbers, present = column.values, column.codes >= 0
            filled = np.where(present, numbers, numbers[present].mean())
            found[name] = scaled(filled[:, np.newaxis])
        elif 1 < column.distinct <= _MOST_CATEGORIES:
            found[name] = np.eye(column.distinct + 1)[column.codes, :-1]
    return found


def target_scores(sample: Sample) -> Floats:
    """Return the target's numbers as normal scores, or its classes one-hot, (rows, outputs)."""
    task, table = sample.task, sample.table
    assert task is not None  # callers skip tables without a task
    parts = []
    for name in task.columns:
        column = table.column(name)
        if not task.labels and not task.classes and column.kind in ("number", "text"):
            parts.append(normal_scores(column.numbers().values)[:, np.newaxis])
            continue
        codes, names = column.codes()
        common = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(names)))[:_MOST_CLASSES]
        parts.append((codes[:, np.newaxis] == common).astype(np.float64))
    return scaled(np.hstack(parts))


def normal_scores(values: Floats) -> Floats:
    """Return numbers as normal scores of their ranks, 0 where missing, (rows,).

    They do not depend on the scale, and little on outliers.
    """
    from scipy.special import ndtri

    present = ~np.isnan(values)
    distinct, codes, counts = np.unique(values[present], return_inverse=True, return_counts=True)
    scores = np.zeros(len(values))
    if len(distinct) > 1:
        middle = np.cumsum(counts) - counts / 2
        scores[present] = ndtri(middle / counts.sum())[codes]
        scores[present] -= scores[present].mean()
        scores /= np.sqrt((scores[present] ** 2).mean())
    return scores


def scaled(values: Floats) -> Floats:
    """Center columns, and scale all by one factor to a mean square of 1 per row."""
    centered = values - values.mean(axis=0)
    size = float(np.sqrt((centered**2).sum(axis=1).mean()))
    return np.asarray(centered / size if size > 0 else centered)


# Findings


@dataclass(frozen=True)
class DataFinding:
    """The finding of one check, for all affected columns."""

    check: str
    """The check's name: `target_leakage`."""
    severity: Severity
    columns: tuple[str, ...]
    """The affected columns, in the table's order; empty if whole rows are affected."""
    rows: int | None
    """Number of affected rows in the sample, if rows can be counted."""
    message: str
    """The evidence, in one line."""
    advice: str
    """The advice, in one line."""

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def column_finding(
    check: str,
    severity: Severity,
    found: Mapping[str, str],
    message: str,
    advice: str,
    rows: int | None = None,
) -> DataFinding | None:
    """Return a finding about columns; `None` without columns.

    Args:
        check: the check's name.
        severity: the severity.
        found: a note on each column, which may be empty.
        message: the evidence; the columns are appended.
        advice: the remedy.
        rows: number of affected rows.
    """
    if not found:
        return None
    return DataFinding(check, severity, tuple(found), rows, f"{message}: {listed(found)}", advice)


def listed(details: Mapping[str, str], what: str = "columns") -> str:
    """List the first few names, each with a note, and the number of the remaining ones.

    Args:
        details: the note on each name, which may be empty.
        what: the plural of the named things.
    """
    few = list(details.items())[:_MOST_NAMED]
    text = ", ".join(quoted(name) + (f" ({printable(note)})" if note else "") for name, note in few)
    return f"{text}, ... ({len(details)} {what})" if len(details) > _MOST_NAMED else text


def quoted(value: str) -> str:
    """Quote a value in one line, shortened if it is long."""
    return f"'{truncate(printable(value), _LONGEST)}'"


def percent(part: int, whole: int) -> str:
    """Format a share in percent; never rounded to 0 or 100 %."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < share < 100 else f"{share:.3g} %"
