"""The record of values that can't be encoded or that differ from the training rows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice

import numpy as np

from dlcli.arrays import Indices, Mask
from dlcli.errors import DataError, listed, plural, truncate
from dlcli.tables.table import Rows

# Values that can't be encoded, or that differ from those of training, column by column.

_KEPT_VALUES = 100
"""Maximum number of values in a note, since there may be millions."""
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
"""A time without a date, which is read as a time on this day."""


@dataclass
class ColumnProblems:
    """Differences of a column's values from those in the training rows; all counts are of rows."""

    unseen: Counter[str] = field(default_factory=Counter)
    """Values that are not among the training categories, with their numbers of rows."""
    unseen_index: int | None = None
    """The first row with such a value, from 0, among all encoded rows."""
    unseen_encoding: str = ""
    """Their encoding, in words."""
    unseen_hint: str = ""
    """A suggestion of a category with another spelling, to append to a message."""
    missing: int = 0
    """Rows without a value."""
    missing_encoding: str = ""
    """Their encoding, in words, if there is no missing indicator."""
    without_tokens: int = 0
    """Rows whose text contains no token of the vocabulary."""
    without_tokens_encoding: str = ""
    """Their encoding, in words."""
    outside: int = 0
    """Rows outside the training range."""
    range: tuple[float | str, float | str] | None = None
    """The training range, if rows are outside it; dates are ISO 8601."""
    unreadable: int = 0
    """Rows whose value can't be read or is not allowed."""

    def add(self, other: ColumnProblems) -> None:
        """Add the differences of further rows, without the first row's index."""
        self.unseen.update(other.unseen)
        for name, value in vars(other).items():
            own = getattr(self, name)
            if name in _COUNTS:
                setattr(self, name, own + value)
            elif name != "unseen_index" and not own:
                setattr(self, name, value)

    def limit_values(self) -> None:
        """Count unknown categories together beyond the first thousands.

        This bounds memory for any number of rows.
        """
        for value in [*islice(self.unseen, _MOST_COUNTED, None)]:
            rows = self.unseen.pop(value)
            self.unseen[_OTHER_VALUES] += rows


Place = Callable[[int], str]
"""Returns the name of a row in messages, given its index: `row 3`."""


@dataclass(frozen=True)
class BadRow:
    """A value that can't be encoded."""

    index: int
    """The row, from 0, among all encoded rows."""
    column: str
    reason: str


Problem = Callable[[int], str]
"""Describes the problem with the value at a row index."""


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
    """

    def __init__(self, *, lenient: bool = False, hint: str = "") -> None:
        self.lenient = lenient
        self._hint = hint
        self.rows = 0
        """Number of rows encoded so far."""
        self.columns: defaultdict[str, ColumnProblems] = defaultdict(ColumnProblems)
        self._refusals: list[tuple[str, int, Indices, Problem]] = []
        """Values of a column that were refused together: the column, the number of rows encoded
        before, the rows, and the function that describes the problems. There may be millions, so
        each description is made on demand."""

    def refuse(self, wrong: Mask, rows: Rows, column: str, problem: Problem) -> None:
        """Refuse values that can't be encoded.

        Args:
            wrong: mask of these rows, (rows,).
            rows: the rows.
            column: the column.
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

    def add(self, column: str, found: ColumnProblems) -> None:
        """Record differences of a column of the current table.

        Args:
            column: the column.
            found: its differences, with the index of a row of the table.
        """
        problems = self.columns[column]
        problems.add(found)
        if found.unseen_index is not None:
            first, known = self.rows + found.unseen_index, problems.unseen_index
            problems.unseen_index = first if known is None else min(known, first)

    @property
    def bad_indices(self) -> Indices:
        """The rows, from 0, with a value that can't be encoded, each once, in order."""
        if not self._refusals:  # fast path for one row
            return np.empty(0, np.int64)
        parts = (start + rows for _, start, rows, _ in self._refusals)
        rows = np.sort(np.concatenate([np.empty(0, np.int64), *parts]), kind="stable")
        return rows[np.diff(rows, prepend=-1) > 0]  # np.unique takes fifty times as long

    def bad_rows(self) -> Iterator[BadRow]:
        """Yield the values that can't be encoded, in the order of their rows."""
        columns = (_bad_rows(*refusal) for refusal in self._refusals)
        return merge(*columns, key=lambda bad: bad.index)

    def notes(self, place: Place | None = None) -> list[ValueNote]:
        """Describe missing and unknown values without a separate input.

        Args:
            place: names the row of an index, as `Table.place` does.
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
    """A note about some of a column's rows."""

    column: str
    rows: int
    """Number of rows."""
    kind: str
    """Their common property, which follows the number of rows: `without a value`."""
    detail: str = ""
    """The rest of the note for this column, including punctuation."""
    values: tuple[str, ...] = ()
    """Some of the rows' values, if the note is about values."""
    encoding: str = ""
    """Their encoding, in words."""

    def __str__(self) -> str:
        return f"column '{self.column}': {plural(self.rows, 'row')} {self.kind}{self.detail}"


@dataclass(frozen=True)
class Line:
    """A line about one column, or about many."""

    text: str
    rest: tuple[ValueNote, ...] = ()
    """The notes that the line summarizes, if any."""


def summarize_notes(notes: Iterable[ValueNote]) -> Iterator[Line]:
    """Convert notes to lines, with at most five lines for each kind.

    Notes on ranges are in one line: later rows are often out of range in many columns.

    Args:
        notes: all of them.

    Yields:
        A line for each note; if there are more than five of a kind, lines for the notes with the
        most rows, and a summary of the rest.
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
    """Combine the notes of several folds: one for each column and kind.

    Args:
        folds: the notes of each fold that has any.
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
    """Omit the time of day if it is always midnight, or the date if the moments have none.

    Args:
        moments: texts in ISO 8601; other texts are unchanged.
    """
    for pattern in (_MIDNIGHT, _TIME_ALONE):
        short = [match[1] for moment in moments if (match := pattern.fullmatch(moment))]
        if len(short) == len(moments):
            return short
    return [*moments]


def value_notes(
    column: str, problems: ColumnProblems, place: Place | None = None
) -> Iterator[ValueNote]:
    """Describe the differences between a column's values and the training rows.

    Args:
        column: the column.
        problems: its differences from the training rows.
        place: names the row of an index.
    """
    if problems.unseen:
        count, encoding = problems.unseen.total(), problems.unseen_encoding
        frequent = problems.unseen.most_common(_KEPT_VALUES)
        values = tuple(truncate(value, _LONGEST_VALUE) for value, _ in frequent)
        row = ""
        if place is not None and problems.unseen_index is not None:
            row = f"{', ' if count == 1 else ', the first in '}{place(problems.unseen_index)}"
        detail = f" ({listed(values, _SHOWN_VALUES)}){row}: {encoding}{problems.unseen_hint}"
        yield ValueNote(column, count, "with an unknown category", detail, values, encoding)
    if count := problems.without_tokens:
        kind, encoding = "without a known token", problems.without_tokens_encoding
        yield ValueNote(column, count, kind, f": {encoding}", encoding=encoding)
    if problems.range is not None:
        ends = [end if isinstance(end, str) else f"{end:g}" for end in problems.range]
        low, high = short_moments(ends)
        yield ValueNote(column, problems.outside, OUTSIDE, f", {low} to {high}")
