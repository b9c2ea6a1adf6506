"""Statistics of the columns of the training rows: types, distributions, frequent values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix
from dlcli.columns.column_type import Decision
from dlcli.columns.layout import Layout
from dlcli.data_checks.sample import draw
from dlcli.encoding.encoding import Encoding
from dlcli.errors import DataError, truncate
from dlcli.explanation.explanation_document import ColumnStatistics, Histogram, ValueCount
from dlcli.metrics.statistic import Floats, Number, finite
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

MOST_COLUMNS = 200
MOST_FIRST_TARGETS = 10
"""Targets that are listed before the features; of labels there may be hundreds."""
MOST_VALUES = 10
MOST_CHARACTERS = 80
MOST_CHARACTERS_OF_REASON = 200
MOST_ROWS = 100_000
"""Rows of a table in which values are counted, at random where there are more. Counts are
then scaled up, and distinct values are not counted."""
MOST_BINS = 24
_FAR_QUARTILES = 3
"""Interquartile ranges from the quartiles beyond which a value is an outlier (Tukey 1977)."""
_FEW = 0.01
"""Share of the values that may be outside the bins, which would be too wide otherwise."""
_EXACT = 2.0**50
"""Whole numbers up to here differ from the halves between them."""


@dataclass(frozen=True)
class ListedColumn:
    """A column of which statistics are computed."""

    name: str
    role: Literal["feature", "target", "weight"]
    type: str
    reason: str


def list_columns(
    target: Task, weight: str | None, decisions: Mapping[str, Decision]
) -> tuple[list[ListedColumn], int]:
    """List target, weight and features; targets after the first 10 are next to last.

    Features that are ignored are last.

    Returns:
        The columns, `MOST_COLUMNS` at most, and the number of further ones.
    """
    targets = [ListedColumn(name, "target", target.type, target.reason) for name in target.columns]
    found, further = targets[:MOST_FIRST_TARGETS], targets[MOST_FIRST_TARGETS:]
    if weight is not None:
        found.append(ListedColumn(weight, "weight", "weight", "declared"))
    features = [
        ListedColumn(column, "feature", decision.feature.type, decision.reason)
        for column, decision in decisions.items()
    ]
    ignored = [column for column in features if not decisions[column.name].feature.is_read]
    found += [column for column in features if decisions[column.name].feature.is_read]
    found += [*further, *ignored]
    return found[:MOST_COLUMNS], max(0, len(found) - MOST_COLUMNS)


def input_indices(layout: Layout) -> dict[str, Indices]:
    """Return the indices of each column's inputs in the encoded matrix, by column in order."""
    indices: dict[str, list[int]] = {}
    for block, span in layout.slices():
        indices.setdefault(block.column, []).extend(range(span.start, span.stop))
    return {column: np.array(found, np.int64) for column, found in indices.items()}


def largest_inputs(layout: Layout, matrix: Matrix) -> dict[str, float]:
    """Return the largest absolute value of each column's numeric inputs, by column.

    Args:
        layout: of the matrix.
        matrix: encoded rows, (rows, inputs); at least one.
    """
    sizes = np.abs(matrix).max(axis=0)
    largest: dict[str, float] = {}
    for block, span in layout.slices():
        if block.kind == "numeric" and block.inputs:
            size = float(sizes[span].max())
            largest[block.column] = max(largest.get(block.column, 0.0), size)
    return largest


@dataclass(frozen=True, eq=False)
class _CountedRows:
    """Rows of a table in which values are counted."""

    whole: Table
    """All rows."""

    @cached_property
    def table(self) -> Table:
        """The rows that are looked at."""
        if self.is_all:
            return self.whole
        return self.whole.take(draw(np.arange(self.whole.rows), MOST_ROWS))

    @property
    def is_all(self) -> bool:
        """True if these are all rows."""
        return self.whole.rows <= MOST_ROWS

    def scaled(self, count: float) -> int:
        """Scale a count up to all rows."""
        return round(count * self.whole.rows / max(self.table.rows, 1))


class ColumnDescriber:
    """Computes statistics of columns.

    Args:
        train: the training rows.
        held_out: the tables of the other sets.
        encoding: fitted on the training rows.
        largest: see `largest_inputs`.
    """

    def __init__(
        self,
        train: Table,
        held_out: Sequence[Table],
        encoding: Encoding,
        largest: Mapping[str, float],
    ) -> None:
        self._train = _CountedRows(train)
        self._held_out = [_CountedRows(table) for table in held_out]
        self._encoders = {feature.column: feature for feature in encoding.features}
        self._inputs = {name: len(found) for name, found in input_indices(encoding.layout).items()}
        self._largest = largest

    def describe(self, listed: ListedColumn) -> ColumnStatistics:
        """Compute the statistics of a column."""
        name, table = listed.name, self._train.table
        encoder, largest = self._encoders.get(name), self._largest.get(name)
        if encoder is None:
            missing = int(self._train.whole.missing(name).sum())
        else:
            missing = round(encoder.missing_share * self._train.whole.rows)
        if encoder is not None:
            is_number = encoder.axis is not None
        elif listed.role == "feature":
            is_number = table.column(name).looks_numeric()
        else:
            is_number = listed.type in ("numeric", "count", "weight")
        if is_number:
            values = self._numbers(table, name)
            found: dict[str, object] = {
                "distinct": len(np.unique(values)) if self._train.is_all else None,
                **self._moments(name, values),
                "histogram": self._histogram(name, values),
            }
        else:
            found = self._frequent_values(name)
        return ColumnStatistics.model_validate(
            {
                "name": name,
                "role": listed.role,
                "type": listed.type,
                "reason": truncate(listed.reason, MOST_CHARACTERS_OF_REASON),
                "missing": missing,
                **found,
                "inputs": self._inputs.get(name, 0),
                "largest_input": finite(largest),
            }
        )

    def _moments(self, name: str, values: Floats) -> dict[str, Number]:
        """Return mean, deviation and range over all training rows; of times only the range.

        Args:
            name: the column.
            values: its numbers in the rows looked at.
        """
        encoder = self._encoders.get(name)
        fitted = {} if encoder is None else encoder.fitted_moments
        if fitted and (not self._train.is_all or self._has_times(name)):
            return {**fitted}  # parsing numbers takes long
        if not self._train.is_all:
            values = self._numbers(self._train.whole, name)
        if not len(values):
            return {}
        with np.errstate(all="ignore"):
            found = {
                "mean": values.mean(),
                "deviation": values.std(),
                "minimum": values.min(),
                "maximum": values.max(),
            }
        return {key: finite(value) for key, value in found.items()}

    @np.errstate(over="ignore")
    def _histogram(self, name: str, values: Floats) -> Histogram | None:
        if not len(values) or not np.isfinite(np.ptp(values)):
            return None
        edges = bin_edges(values)
        if self._has_times(name) and not (values % 1).any():
            edges = edges + 0.5  # a day begins at its first second, not half a second before
        held_out = np.zeros(len(edges) - 1, np.int64)
        for rows in self._with_column(name):
            counts = count_bins(edges, self._numbers(rows.table, name))
            held_out += [rows.scaled(count) for count in counts.tolist()]
        train = [self._train.scaled(count) for count in count_bins(edges, values).tolist()]
        return Histogram(
            edges=tuple(edges.tolist()), train=tuple(train), held_out=tuple(held_out.tolist())
        )

    def _frequent_values(self, name: str) -> dict[str, object]:
        """Count the values of a column that is not numeric."""
        tally = _tally(self._train.table, name)
        if tally is None:
            return {"distinct": None}
        frequent = sorted(tally, key=lambda text: -tally[text])[:MOST_VALUES]  # stable
        held_out = dict.fromkeys(frequent, 0)
        for rows in self._with_column(name):
            others = _tally(rows.table, name) or {}
            for text in frequent:
                held_out[text] += rows.scaled(others.get(text, 0))
        values = tuple(
            ValueCount(
                value=truncate(text, MOST_CHARACTERS),
                train=self._train.scaled(tally[text]),
                held_out=held_out[text],
            )
            for text in frequent
        )
        return {"distinct": len(tally) if self._train.is_all else None, "values": values}

    def _numbers(self, table: Table, name: str) -> Floats:
        """Return a column's finite numbers, or its times in seconds since 1970, (values,)."""
        encoder = self._encoders.get(name)
        try:
            if encoder is None:
                values = table.column(name).numbers().values
            else:
                values = encoder.axis_values(table)
        except DataError:  # in another file, an ignored column may be stored as anything
            return np.empty(0)
        return values[np.isfinite(values)]

    def _has_times(self, name: str) -> bool:
        return name in self._encoders and self._encoders[name].axis == "times"

    def _with_column(self, name: str) -> Iterator[_CountedRows]:
        """Yield the held-out tables that have a column; they may lack ignored ones."""
        return (rows for rows in self._held_out if name in rows.whole.columns)


def _tally(table: Table, name: str) -> dict[str, int] | None:
    """Count the rows of each value; None for values that have no text."""
    try:
        codes, texts = table.codes(name)
    except DataError:
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    return dict(zip(texts, counts.tolist(), strict=True))


def bin_edges(values: Floats) -> Floats:
    """Return the edges of bins of equal width, (bins + 1,).

    They span the values from minimum to maximum, except for a few outliers. Whole numbers lie in
    the middle of bins, equally many in each. For others there are 2·∛n bins for n values (Rice's
    rule), `MOST_BINS` at most.

    Args:
        values: finite numbers, (values,); at least one.
    """
    low, high = _span(values)
    is_whole = bool((values == np.floor(values)).all())
    if is_whole and max(abs(low), abs(high)) < _EXACT:
        count = high - low + 1
        width = math.ceil(count / MOST_BINS)
        steps = np.arange(math.ceil(count / width) + 1, dtype=np.float64)
        edges: Floats = low - 0.5 + width * steps
        return edges
    if low == high:
        half = max(0.5, abs(low) / 1000)
        return np.array([low - half, low + half])
    bins = min(MOST_BINS, math.ceil(2 * math.cbrt(len(values))))
    return np.unique(np.linspace(low, high, bins + 1))


def count_bins(edges: Floats, values: Floats) -> NDArray[np.int64]:
    """Count the values in each bin; those outside count in the outermost, (bins,)."""
    bins = np.searchsorted(edges[1:-1], values, side="right")
    return np.bincount(bins, minlength=len(edges) - 1)


def _span(values: Floats) -> tuple[float, float]:
    """Return minimum and maximum without a few outliers."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = _FAR_QUARTILES * (upper - lower)
    near = values[(values >= lower - reach) & (values <= upper + reach)]
    if reach > 0 and len(values) - len(near) <= max(1, _FEW * len(values)):
        return float(near.min()), float(near.max())
    return float(values.min()), float(values.max())
