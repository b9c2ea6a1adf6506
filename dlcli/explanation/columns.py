"""The columns of the training rows: what each was taken for, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Ignored
from dlcli.data_checks import draw
from dlcli.encoding import DatetimeEncoder, Decision, Encoding, NumericEncoder
from dlcli.errors import DataError
from dlcli.explanation.document import ColumnStatistics, Histogram, Number, ValueCount
from dlcli.explanation.histograms import bin_edges, count_bins
from dlcli.explanation.inputs import places_of
from dlcli.explanation.text import cut
from dlcli.explanation.times import seconds_of
from dlcli.metrics import finite
from dlcli.tables import Table
from dlcli.tasks import Task

MOST_COLUMNS = 200
MOST_VALUES = 10
MOST_LETTERS = 80
MOST_LETTERS_OF_REASON = 200
MOST_ROWS = 100_000
"""Rows of a table that values are counted in, by lot where there are more; counts are scaled then,
and how many different values there are is left open."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Listed:
    """A column that is to be looked at."""

    name: str
    role: Literal["feature", "target", "weight"]
    type: str
    reason: str

    @property
    def may_be_numbers(self) -> bool:
        """Whether what it holds decides if it is looked at as numbers."""
        return self.type == "ignored"

    @property
    def is_numbers(self) -> bool:
        """Whether it is looked at as numbers in any case."""
        return self.type in ("numeric", "count", "weight")


def list_columns(
    target: Task, weight: str | None, decisions: Mapping[str, Decision]
) -> tuple[list[Listed], int]:
    """Chooses the columns to look at: target, weight, and features, those that are read first.

    Returns:
        The columns, `MOST_COLUMNS` at most, and how many there are besides.
    """
    found = [Listed(column, "target", target.type, target.reason) for column in target.columns]
    if weight is not None:
        found.append(Listed(weight, "weight", "weight", "declared"))
    features = [
        Listed(column, "feature", decision.feature.type, decision.reason)
        for column, decision in decisions.items()
    ]
    features.sort(key=lambda column: column.type == Ignored().type)  # stable
    found += features
    return found[:MOST_COLUMNS], max(0, len(found) - MOST_COLUMNS)


@dataclass(frozen=True, eq=False)
class _Some:
    """Rows of a table that values are counted in."""

    whole: Table
    """All rows."""

    @cached_property
    def table(self) -> Table:
        """Those that are looked at."""
        if self.whole.rows <= MOST_ROWS:
            return self.whole
        return self.whole.take(draw(np.arange(self.whole.rows), MOST_ROWS))

    @property
    def is_all(self) -> bool:
        """Whether these are all."""
        return self.whole.rows <= MOST_ROWS

    def scaled(self, count: float) -> int:
        """How many of all rows a count stands for."""
        return round(count * self.whole.rows / max(self.table.rows, 1))


class ColumnViewer:
    """Looks at columns.

    Args:
        train: the training rows.
        held_out: the tables of the other sets.
        encoding: fitted on the training rows.
        peaks: the largest size of each column's numeric inputs; see `peaks_of`.
    """

    def __init__(
        self,
        train: Table,
        held_out: Sequence[Table],
        encoding: Encoding,
        peaks: Mapping[str, float],
    ) -> None:
        self._train = _Some(train)
        self._held_out = [_Some(table) for table in held_out]
        self._encoders = {feature.column: feature for feature in encoding.features}
        self._inputs = {name: len(found) for name, found in places_of(encoding.layout).items()}
        self._peaks = peaks

    def view(self, listed: Listed) -> ColumnStatistics:
        """Looks at a column."""
        name = listed.name
        common = {
            "name": name,
            "role": listed.role,
            "type": listed.type,
            "reason": cut(listed.reason, MOST_LETTERS_OF_REASON),
            "missing": self._missing(name),
        }
        peak = self._peaks.get(name)
        of_inputs = {
            "inputs": self._inputs.get(name, 0),
            "largest_input": None if peak is None else finite(peak),
        }
        held = self._held_numbers(listed) if self._is_numbers(listed) else self._held_values(name)
        return ColumnStatistics.model_validate({**common, **held, **of_inputs})

    def _is_numbers(self, listed: Listed) -> bool:
        name = listed.name
        if listed.is_numbers or isinstance(self._encoders.get(name), DatetimeEncoder):
            return True
        return listed.may_be_numbers and self._train.table.looks_numeric(name)

    def _missing(self, name: str) -> int:
        encoder = self._encoders.get(name)
        if encoder is None:
            return int(self._train.whole.missing(name).sum())
        return round(encoder.missing_share * self._train.whole.rows)

    def _held_numbers(self, listed: Listed) -> dict[str, object]:
        """What there is to say of a column of numbers or times."""
        name = listed.name
        values = self._numbers(self._train.table, name)
        distinct = len(np.unique(values)) if self._train.is_all else None
        moments = self._moments(name, values)
        return {"distinct": distinct, **moments, "histogram": self._histogram(name, values)}

    def _moments(self, name: str, values: Floats) -> dict[str, Number]:
        """Mean, deviation and range over all training rows; of times the range alone.

        Args:
            name: the column.
            values: its numbers in the rows looked at.
        """
        encoder = self._encoders.get(name)
        if isinstance(encoder, DatetimeEncoder):  # a mean of times says little
            return {
                "minimum": encoder.earliest.timestamp(),
                "maximum": encoder.latest.timestamp(),
            }
        if not self._train.is_all:
            if isinstance(encoder, NumericEncoder) and encoder.scaling.name == "standard":
                # These were computed once, and reading texts as numbers takes long.
                is_constant = encoder.low == encoder.high
                return {
                    "mean": encoder.scaling.offset,
                    "deviation": 0.0 if is_constant else encoder.scaling.scale,
                    "minimum": encoder.low,
                    "maximum": encoder.high,
                }
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

    def _histogram(self, name: str, values: Floats) -> Histogram | None:
        if not len(values) or not np.isfinite(np.ptp(values)):
            return None
        edges = bin_edges(values)
        if isinstance(self._encoders.get(name), DatetimeEncoder) and not (values % 1).any():
            edges = edges + 0.5  # a day begins at its first second, and not half a one before
        held_out = np.zeros(len(edges) - 1, np.int64)
        for some in self._with(name):
            counts = count_bins(edges, self._numbers(some.table, name))
            held_out += [some.scaled(count) for count in counts.tolist()]
        train = [self._train.scaled(count) for count in count_bins(edges, values).tolist()]
        return Histogram(
            edges=tuple(edges.tolist()), train=tuple(train), held_out=tuple(held_out.tolist())
        )

    def _held_values(self, name: str) -> dict[str, object]:
        """What there is to say of a column of anything else."""
        tally = _tally(self._train.table, name)
        if tally is None:
            return {"distinct": None}
        frequent = sorted(tally, key=lambda text: -tally[text])[:MOST_VALUES]  # stable
        held_out = dict.fromkeys(frequent, 0)
        for some in self._with(name):
            others = _tally(some.table, name) or {}
            for text in frequent:
                held_out[text] += some.scaled(others.get(text, 0))
        values = tuple(
            ValueCount(
                value=cut(text, MOST_LETTERS),
                train=self._train.scaled(tally[text]),
                held_out=held_out[text],
            )
            for text in frequent
        )
        return {"distinct": len(tally) if self._train.is_all else None, "values": values}

    def _numbers(self, table: Table, name: str) -> Floats:
        """A column's finite numbers, or its times in seconds since 1970, (values,)."""
        encoder = self._encoders.get(name)
        try:
            if isinstance(encoder, DatetimeEncoder):
                values = seconds_of(table, encoder)
            else:
                values = table.parse_numbers(name).values
        except DataError:  # in another file, what nobody reads may be stored as anything
            return np.empty(0)
        return values[np.isfinite(values)]

    def _with(self, name: str) -> Iterator[_Some]:
        """Yields the held-out rows of the tables that have a column; none needs those ignored."""
        return (some for some in self._held_out if name in some.whole.columns)


def _tally(table: Table, name: str) -> dict[str, int] | None:
    """How many rows have each value; None for values that have no text."""
    try:
        codes, texts = table.codes(name)
    except DataError:
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    return dict(zip(texts, counts.tolist(), strict=True))
