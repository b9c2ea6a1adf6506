"""Values that can't be encoded or that differ from those of training, column by column."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import DataError, listed, plural
from dlcli.tables import Table

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

_SHOWN_VALUES = 3
_MOST_LINES = 5
"""Lines of one kind of note, including the one that summarizes the rest."""
_MIDNIGHT = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)T00:00:00(?:[+-]\d\d:\d\d)?")


@dataclass
class ColumnIssues:
    """Differences of a column's values from those in the training rows; all counts are of rows."""

    unseen: Counter[str] = field(default_factory=Counter)
    """Values that are not among the training categories, with their rows."""
    unseen_encoding: str = ""
    """Their encoding, in words."""
    missing: int = 0
    """Rows without a value."""
    unencoded_missing: int = 0
    """Rows without a value, where no input of the network marks it."""
    missing_encoding: str = ""
    """Their encoding, in words."""
    without_tokens: int = 0
    """Rows whose text has no token of the vocabulary."""
    without_tokens_encoding: str = ""
    """Their encoding, in words."""
    outside: int = 0
    """Rows outside the training rows' range."""
    range: tuple[float | str, float | str] | None = None
    """The training rows' range, where rows are outside; dates are ISO 8601."""
    unreadable: int = 0
    """Rows whose value can't be read or is not allowed."""


@dataclass(frozen=True)
class BadRow:
    """A value that can't be encoded."""

    index: int
    """The row, from 0, among all rows that were encoded."""
    column: str
    reason: str


@dataclass(frozen=True)
class _Refusal:
    """Values of a column that were refused together.

    There may be millions, so only their rows are stored; the reason for each is worded on demand.
    """

    column: str
    start: int
    """Number of rows encoded before."""
    rows: Indices
    """The rows, counted from `start`."""
    complaint: Callable[[int], str]
    """Words the reason for one of the rows."""

    def bad_rows(self) -> Iterator[BadRow]:
        for row in self.rows:
            yield BadRow(self.start + int(row), self.column, self.complaint(int(row)))


class ValueIssues:
    """Record of values that can't be encoded or that differ from those of training.

    It is filled by encoding any number of tables, one after the other.

    Args:
        lenient: record a value that can't be encoded, and encode it as missing, instead of raising
            an error.
        hint: a note for that error, on how to proceed without such values.
    """

    def __init__(self, *, lenient: bool = False, hint: str = "") -> None:
        self.lenient = lenient
        self._hint = hint
        self.rows = 0
        """Number of rows encoded so far."""
        self.columns: defaultdict[str, ColumnIssues] = defaultdict(ColumnIssues)
        self._refusals: list[_Refusal] = []

    def refuse(
        self, wrong: Mask, table: Table, column: str, complaint: Callable[[int], str]
    ) -> None:
        """Refuse values that can't be encoded.

        Args:
            wrong: which rows have them, (rows,).
            table: the rows.
            column: the column.
            complaint: words the reason for the value at a row index.

        Raises:
            DataError: for the first of them, unless lenient.
        """
        if not wrong.any():
            return
        if not self.lenient:
            try:
                table.refuse(wrong, column, complaint)
            except DataError as error:
                if self._hint:
                    error.add_note(self._hint)
                raise
        rows = np.flatnonzero(wrong)
        self._refusals.append(_Refusal(column, self.rows, rows, complaint))
        self.columns[column].unreadable += len(rows)

    def add_unseen(self, column: str, counts: Mapping[str, int], encoding: str) -> None:
        """Record values that are not among the training categories, with the rows of each."""
        if counts:
            self.columns[column].unseen.update(counts)
            self.columns[column].unseen_encoding = encoding

    def add_missing(self, column: str, rows: int) -> None:
        """Record rows without a value."""
        self.columns[column].missing += rows

    def add_unencoded_missing(self, column: str, rows: int, encoding: str) -> None:
        """Record rows without a value, where no input of the network marks it."""
        if rows:
            self.columns[column].unencoded_missing += rows
            self.columns[column].missing_encoding = encoding

    def add_without_tokens(self, column: str, rows: int, encoding: str) -> None:
        """Record rows whose text has no token of the vocabulary."""
        if rows:
            self.columns[column].without_tokens += rows
            self.columns[column].without_tokens_encoding = encoding

    def add_outside(self, column: str, rows: int, low: float | str, high: float | str) -> None:
        """Record rows outside the training rows' range."""
        if rows:
            self.columns[column].outside += rows
            self.columns[column].range = (low, high)

    @property
    def bad_indices(self) -> Indices:
        """The rows, from 0, with a value that can't be encoded, each once, in order."""
        parts = (refusal.start + refusal.rows for refusal in self._refusals)
        rows = np.sort(np.concatenate([np.empty(0, np.int64), *parts]), kind="stable")
        return rows[np.diff(rows, prepend=-1) > 0]  # np.unique takes fifty times as long

    def bad_rows(self) -> Iterator[BadRow]:
        """Yield the values that can't be encoded, in the order of their rows."""
        columns = (refusal.bad_rows() for refusal in self._refusals)
        return merge(*columns, key=lambda bad: bad.index)

    def notes(self) -> list[Note]:
        """Describe the training values for which the network has no input of their own."""
        return [note for column, found in self.columns.items() for note in _notes(column, found)]


@dataclass(frozen=True)
class Note:
    """A remark about some of a column's rows."""

    column: str
    rows: int
    """Number of rows."""
    kind: str
    """The property they share, as it follows their count: `without a value`."""
    detail: str = ""
    """The remark's remainder for this column, with its own punctuation."""

    def __str__(self) -> str:
        return f"column '{self.column}': {plural(self.rows, 'row')} {self.kind}{self.detail}"


@dataclass(frozen=True)
class Line:
    """A line about one column, or about many."""

    text: str
    rest: tuple[Note, ...] = ()
    """The notes that it summarizes, if it does."""


def summarize_notes(notes: Iterable[Note]) -> Iterator[Line]:
    """Word notes kind by kind, with at most five lines for each kind.

    Args:
        notes: all of them.

    Yields:
        A line for each note; or, if there are more of a kind, for those with the most rows, and a
        last one that summarizes the others.
    """
    kinds: defaultdict[str, list[Note]] = defaultdict(list)
    for note in notes:
        kinds[note.kind].append(note)
    for alike in kinds.values():
        rest: Sequence[Note] = ()
        if len(alike) > _MOST_LINES:
            ranked = sorted(alike, key=lambda note: note.rows, reverse=True)
            alike, rest = ranked[: _MOST_LINES - 1], ranked[_MOST_LINES - 1 :]
        yield from (Line(str(note)) for note in alike)
        if rest:
            most, least = rest[0].rows, rest[-1].rows
            rows = f"{'' if most == least else 'up to '}{plural(most, 'row')} each"
            yield Line(f"{len(rest)} more columns: {rows} {rest[0].kind}", tuple(rest))


def dates_if_midnight(moments: Sequence[str]) -> list[str]:
    """Drop the time of day from moments if it is midnight in all of them.

    Args:
        moments: ISO 8601 each; any other text is left as it is.
    """
    days = [match["day"] for moment in moments if (match := _MIDNIGHT.fullmatch(moment))]
    return days if len(days) == len(moments) else [*moments]


def _notes(column: str, found: ColumnIssues) -> Iterator[Note]:
    if found.unencoded_missing:
        detail = f": {found.missing_encoding}"
        yield Note(column, found.unencoded_missing, "without a value", detail)
    if found.unseen:
        some = listed(found.unseen, _SHOWN_VALUES)
        detail = f" ({some}): {found.unseen_encoding}"
        yield Note(column, found.unseen.total(), "with values that are no category", detail)
    if found.without_tokens:
        kind, detail = "without a token that has an input", f": {found.without_tokens_encoding}"
        yield Note(column, found.without_tokens, kind, detail)
