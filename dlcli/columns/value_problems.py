"""The record of values that can't be encoded or that differ from the training rows."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import islice

import numpy as np

from dlcli.arrays import Array, Indices, Mask
from dlcli.errors import DataError, listed, plural, truncate
from dlcli.tables.table import Rows

# Values that can't be encoded, or that differ from the training rows, column by column.

_KEPT_VALUES = 100
"""Maximum number of values in a note, because there may be millions."""
_SHOWN_VALUES = 3
_LONGEST_VALUE = 40
_MOST_LINES = 5
"""Maximum number of lines for one kind of note, including the summary of the rest."""
_MOST_COUNTED = 10_000
"""Maximum number of unknown categories that are counted separately."""
_OTHER_VALUES = "other values"
OUTSIDE = "outside the training range"
"""The kind of notes on values that are out of range."""
_SHOWN_COLUMNS = 5
_COUNTS = ("missing", "without_tokens", "outside", "unreadable")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)T00:00:00(?:[+-]\d\d:\d\d)?")
_TIME_ALONE = re.compile(r"1970-01-01T(\d\d:\d\d:\d\d(?:\.\d+)?)(?:[+-]\d\d:\d\d)?")
"""A time without a date, which is stored as a time on this day."""


@dataclass
class ColumnProblems:
    """Differences of the values of a column from the training rows."""

    unseen: Counter[str] = field(default_factory=Counter)
    """The number of rows of each value that is not among the training categories."""
    unseen_index: int | None = None
    """The index of the first such row among all encoded rows."""
    unseen_encoding: str = ""
    """The encoding of these values, in words."""
    unseen_hint: str = ""
    """The end of a message that suggests a category with another spelling."""
    may_be_rare: bool = False
    """True if such values may also be rare categories of the training rows."""
    missing: int = 0
    """Number of rows without a value."""
    missing_encoding: str = ""
    """The encoding of missing values, in words, if there is no missing indicator."""
    without_tokens: int = 0
    """Number of rows whose text contains no token of the vocabulary."""
    without_tokens_encoding: str = ""
    """The encoding of these texts, in words."""
    outside: int = 0
    """Number of rows outside the training range."""
    farthest: float = 0.0
    """The largest distance of these rows from the range, in widths of the range."""
    range: tuple[float | str, float | str] | None = None
    """The training range if rows are outside it; times are ISO 8601."""
    unreadable: int = 0
    """Number of rows whose value can't be read or is not allowed."""

    def add(self, other: ColumnProblems) -> None:
        """Add the differences of further rows; `unseen_index` remains unchanged."""
        self.unseen.update(other.unseen)
        for name, value in vars(other).items():
            own = getattr(self, name)
            if name in _COUNTS:
                setattr(self, name, own + value)
            elif name == "farthest":
                self.farthest = max(own, value)
            elif name != "unseen_index" and not own:
                setattr(self, name, value)

    @classmethod
    def outside_range(
        cls,
        values: Array,
        ends: tuple[float, float],
        range: tuple[float | str, float | str] | None = None,
    ) -> ColumnProblems:
        """Return the record of rows outside the training range.

        Args:
            values: the values of these rows, at least one, (rows outside,).
            ends: the ends of the range, in the unit of `values`.
            range: the ends for people, if they are others.
        """
        low, high = ends
        distance = max(low - float(values.min()), float(values.max()) - high)
        farthest = distance / (high - low) if high > low else math.inf
        return cls(outside=len(values), farthest=farthest, range=range or ends)

    def limit_values(self) -> None:
        """Limit memory: count unknown categories together after the first ten thousand."""
        for value in [*islice(self.unseen, _MOST_COUNTED, None)]:
            rows = self.unseen.pop(value)
            self.unseen[_OTHER_VALUES] += rows


Place = Callable[[int], str]
"""Returns the name of a row in messages, such as `row 3`, given its index."""


@dataclass(frozen=True)
class BadRow:
    """A value that can't be encoded."""

    index: int
    """The index of the row among all encoded rows."""
    column: str
    reason: str


Problem = Callable[[int], str]
"""Describes the problem with the value at a row index."""
OfRow = Callable[[int], ColumnProblems]
"""Returns the difference of the row at an index."""


def _bad_rows(column: str, start: int, rows: Indices, problem: Problem) -> Iterator[BadRow]:
    for row in rows.tolist():
        yield BadRow(start + row, column, problem(row))


class ValueProblems:
    """Record of values that can't be encoded or that differ from the training rows.

    Encoding any number of tables, one after the other, adds to it.

    Args:
        lenient: whether to record a value that can't be encoded and encode it as missing, instead
            of raising an error.
        hint: a note for that error, with advice on how to proceed.
        by_row: whether to record the rows of differences, for `row_notes`.
    """

    def __init__(self, *, lenient: bool = False, hint: str = "", by_row: bool = False) -> None:
        self.lenient = lenient
        self._hint = hint
        self._by_row = by_row
        self._differences: list[tuple[str, int, Indices, OfRow]] = []
        """For each recorded difference with rows: the column, the number of rows encoded before,
        the indices of the rows, and the function that returns the difference of one of them."""
        self.rows = 0
        """Number of rows encoded so far."""
        self.columns: defaultdict[str, ColumnProblems] = defaultdict(ColumnProblems)
        self._refusals: list[tuple[str, int, Indices, Problem]] = []
        """For each call of `refuse`: the column, the number of rows encoded before, the indices of
        the refused rows, and the function that describes the problems. There may be millions of
        problems, so they are described on demand."""

    def refuse(self, wrong: Mask, rows: Rows, column: str, problem: Problem) -> None:
        """Refuse values that can't be encoded.

        Args:
            wrong: mask of the rows with such values, (rows,).
            rows: the rows.
            column: the name of the column.
            problem: describes the problem with the value at a row index.

        Raises:
            DataError: for the first such value, unless lenient.
        """
        if not wrong.any():
            return
        if not self.lenient:
            try:
                rows.refuse(wrong, column, problem)
            except DataError as error:
                if self._hint:
                    error.add_note(self._hint)
                raise
        indices = np.flatnonzero(wrong)
        self._refusals.append((column, self.rows, indices, problem))
        self.columns[column].unreadable += len(indices)

    def add(
        self,
        column: str,
        found: ColumnProblems,
        rows: Mask | None = None,
        of_row: OfRow | None = None,
    ) -> None:
        """Record differences of a column of the current table.

        Args:
            column: the name of the column.
            found: the differences; row indices belong to the current table.
            rows: mask of the rows that differ, (rows,), if they have notes.
            of_row: returns the difference of one of them; if omitted, all differ alike.
        """
        if self._by_row and rows is not None:
            alike = replace(
                found, outside=min(found.outside, 1), without_tokens=min(found.without_tokens, 1)
            )
            single = of_row or (lambda _: alike)
            self._differences.append((column, self.rows, np.flatnonzero(rows), single))
        problems = self.columns[column]
        problems.add(found)
        if found.unseen_index is not None:
            first, known = self.rows + found.unseen_index, problems.unseen_index
            problems.unseen_index = first if known is None else min(known, first)

    @property
    def bad_indices(self) -> Indices:
        """The ascending indices of the rows with a value that can't be encoded."""
        if not self._refusals:  # fast path for one row
            return np.empty(0, np.int64)
        parts = (start + rows for _, start, rows, _ in self._refusals)
        rows = np.sort(np.concatenate([np.empty(0, np.int64), *parts]), kind="stable")
        return rows[np.diff(rows, prepend=-1) > 0]  # np.unique takes fifty times as long

    def bad_rows(self) -> Iterator[BadRow]:
        """Yield the values that can't be encoded, in the order of their rows."""
        columns = (_bad_rows(*refusal) for refusal in self._refusals)
        return merge(*columns, key=lambda bad: bad.index)

    def row_notes(self, most: int) -> Iterator[tuple[int, ValueNote]]:
        """Yield notes on single rows, with the index of the row among all encoded rows.

        They have the words of the notes on columns, and are in the order of columns, then of rows.

        Args:
            most: the maximum number of notes.
        """
        cells = (
            (start + row, note)
            for column, start, rows, of_row in self._differences
            for row in rows.tolist()
            for note in value_notes(column, of_row(row))
        )
        yield from islice(cells, most)

    def notes(self, place: Place | None = None) -> list[ValueNote]:
        """Describe missing and unknown values without a separate input.

        Args:
            place: returns the name of a row, see `Table.place`.
        """
        notes = []
        for column, found in self.columns.items():
            if encoding := found.missing_encoding:
                kind, detail = "without a value", f": {encoding}"
                notes.append(ValueNote(column, found.missing, kind, detail, encoding=encoding))
            every = value_notes(column, found, place)
            notes += [note for note in every if note.kind != OUTSIDE]
        return notes


@dataclass(frozen=True)
class ValueNote:
    """A note about some rows of a column."""

    column: str
    rows: int
    """Number of rows."""
    kind: str
    """The common property of the rows, such as `without a value`."""
    detail: str = ""
    """The end of the note, including the punctuation before it."""
    values: tuple[str, ...] = ()
    """Some values of the rows, if the note is about values."""
    encoding: str = ""
    """The encoding of the values, in words."""

    def __str__(self) -> str:
        return f"column '{self.column}': {plural(self.rows, 'row')} {self.message}"

    @property
    def message(self) -> str:
        """The note without the column and the number of rows."""
        return f"{self.kind}{self.detail}"


@dataclass(frozen=True)
class Line:
    """A line about one column, or about many."""

    text: str
    rest: tuple[ValueNote, ...] = ()
    """The notes that the line summarizes, if any."""


def summarize_notes(notes: Iterable[ValueNote]) -> Iterator[Line]:
    """Convert notes to lines, with at most five lines for each kind.

    Notes on ranges are in one line, because later rows are often out of range in many columns.

    Args:
        notes: the notes of all columns.

    Yields:
        A line for each note. If there are more than five notes of a kind, the notes with the most
        rows have a line, and the last line summarizes the rest.
    """
    kinds: defaultdict[str, list[ValueNote]] = defaultdict(list)
    for note in notes:
        kinds[note.kind].append(note)
    for kind, alike in kinds.items():
        ranked = sorted(alike, key=lambda note: note.rows, reverse=True)
        if kind == OUTSIDE and len(alike) > 1:
            shown, rest = ranked[:_SHOWN_COLUMNS], ranked[_SHOWN_COLUMNS:]
            named = [
                f"'{each.column}' {plural(each.rows, 'row')} outside {each.detail[2:]}"
                for each in shown
            ]
            named += [f"and {len(rest)} more"] if rest else []
            yield Line(f"{len(alike)} columns have rows {kind}: {'; '.join(named)}", tuple(rest))
            continue
        rest = []
        if len(alike) > _MOST_LINES:
            alike, rest = ranked[: _MOST_LINES - 1], ranked[_MOST_LINES - 1 :]
        yield from (Line(str(note)) for note in alike)
        if rest:
            most, least = rest[0].rows, rest[-1].rows
            rows = f"{'' if most == least else 'up to '}{plural(most, 'row')} each"
            yield Line(f"{len(rest)} more columns: {rows} {kind}", tuple(rest))


def merge_notes(folds: Sequence[Sequence[ValueNote]], of: int) -> list[ValueNote]:
    """Combine the notes of several folds to one note for each column and kind.

    Args:
        folds: the notes of each fold with notes.
        of: the number of all folds.
    """
    alike: defaultdict[tuple[str, str], list[ValueNote]] = defaultdict(list)
    for notes in folds:
        for note in notes:
            alike[note.column, note.kind].append(note)
    merged = []
    for (column, kind), notes in alike.items():
        values = sorted({value for note in notes for value in note.values})
        some = f" ({listed(values, _SHOWN_VALUES)})" if values else ""
        detail = f"{some}: {notes[0].encoding}; in {len(notes)} of {plural(of, 'fold')}"
        merged.append(ValueNote(column, sum(note.rows for note in notes), kind, detail))
    return merged


def short_moments(moments: Sequence[str]) -> list[str]:
    """Omit the time of day if it is always midnight, or the date if there are only times.

    Args:
        moments: times in ISO 8601; other texts are unchanged.
    """
    for pattern in (_MIDNIGHT, _TIME_ALONE):
        short = [match[1] for moment in moments if (match := pattern.fullmatch(moment))]
        if len(short) == len(moments):
            return short
    return [*moments]


UNKNOWN = "with an unknown category"
_RARE_OR_UNKNOWN = "with a rare or unknown category"
UNSEEN = frozenset({UNKNOWN, _RARE_OR_UNKNOWN})
"""The kinds of notes on values without a category."""


def value_notes(
    column: str, problems: ColumnProblems, place: Place | None = None
) -> Iterator[ValueNote]:
    """Describe the differences of a column from the training rows.

    Args:
        column: the name of the column.
        problems: the differences.
        place: returns the name of a row, see `Table.place`.
    """
    if problems.unseen:
        count, encoding = problems.unseen.total(), problems.unseen_encoding
        frequent = problems.unseen.most_common(_KEPT_VALUES)
        values = tuple(truncate(value, _LONGEST_VALUE) for value, _ in frequent)
        row = ""
        if place is not None and problems.unseen_index is not None:
            row = f"{', ' if count == 1 else ', the first in '}{place(problems.unseen_index)}"
        detail = f" ({listed(values, _SHOWN_VALUES)}){row}: {encoding}{problems.unseen_hint}"
        kind = _RARE_OR_UNKNOWN if problems.may_be_rare else UNKNOWN
        yield ValueNote(column, count, kind, detail, values, encoding)
    if count := problems.without_tokens:
        kind, encoding = "without a known token", problems.without_tokens_encoding
        yield ValueNote(column, count, kind, f": {encoding}", encoding=encoding)
    if problems.range is not None:
        ends = [end if isinstance(end, str) else f"{end:g}" for end in problems.range]
        low, high = short_moments(ends)
        yield ValueNote(column, problems.outside, OUTSIDE, f", {low} to {high}")
