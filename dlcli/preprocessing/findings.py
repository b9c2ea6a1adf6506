"""What there is to say of rows that differ from those of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import listed
from dlcli.preprocessing.notes import Note
from dlcli.tables import Table

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

_SHOWN_VALUES = 3


@dataclass
class ColumnFindings:
    """How a column's values differ from those that training saw; all counts are of rows."""

    unseen: Counter[str] = field(default_factory=Counter)
    """Values that are no category, with their rows."""
    unseen_means: str = ""
    """What the network gets for them."""
    missing: int = 0
    """Rows without a value."""
    gaps: int = 0
    """Rows without a value that no input tells of."""
    gaps_mean: str = ""
    """What the network gets for them."""
    wordless: int = 0
    """Rows whose text has no word that has an input."""
    wordless_means: str = ""
    """What the network gets for them."""
    outside: int = 0
    """Rows outside the training rows' range."""
    range: tuple[float | str, float | str] | None = None
    """The training rows' range, where rows are outside; dates are ISO 8601."""
    unreadable: int = 0
    """Rows whose value can't be read, or is forbidden."""


@dataclass(frozen=True)
class BadRow:
    """A value that can't be used."""

    index: int
    """The row, from 0, among all that were encoded."""
    column: str
    reason: str


@dataclass(frozen=True)
class _Refusal:
    """Values of a column that were refused together.

    There may be millions. So each is known by its row only, and what is wrong with it is said when
    it is asked for.
    """

    column: str
    start: int
    """How many rows were encoded before."""
    places: Indices
    """The rows, from there on."""
    complaint: Callable[[int], str]
    """Says what is wrong with one of them."""

    def bad_row(self, place: int) -> BadRow:
        return BadRow(self.start + place, self.column, self.complaint(place))


class Findings:
    """What encoding finds in rows, column by column, over any number of tables in turn.

    Args:
        lenient: whether a value that can't be used is put on record, and its row encoded as if it
            had none, instead of raised as an error.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self.lenient = lenient
        self.rows = 0
        """Rows encoded so far."""
        self.columns: dict[str, ColumnFindings] = {}
        self._refusals: list[_Refusal] = []

    def refuse(
        self, wrong: Mask, table: Table, column: str, complaint: Callable[[int], str]
    ) -> None:
        """Refuses values.

        Args:
            wrong: where they are, (rows,).
            table: the rows.
            column: the column.
            complaint: says what is wrong with the value at an index.

        Raises:
            DataError: for the first, unless lenient.
        """
        if not wrong.any():
            return
        if not self.lenient:
            table.refuse(wrong, column, complaint)
        places = np.flatnonzero(wrong)
        self._refusals.append(_Refusal(column, self.rows, places, complaint))
        self._of(column).unreadable += len(places)

    def unseen(self, column: str, counts: Mapping[str, int], meaning: str) -> None:
        """Takes in values that are no category, with the rows of each."""
        if counts:
            self._of(column).unseen.update(counts)
            self._of(column).unseen_means = meaning

    def missing(self, column: str, rows: int) -> None:
        """Takes in rows without a value."""
        self._of(column).missing += rows

    def gaps(self, column: str, rows: int, meaning: str) -> None:
        """Takes in rows without a value that no input tells of."""
        if rows:
            self._of(column).gaps += rows
            self._of(column).gaps_mean = meaning

    def wordless(self, column: str, rows: int, meaning: str) -> None:
        """Takes in rows whose text has no word that has an input."""
        if rows:
            self._of(column).wordless += rows
            self._of(column).wordless_means = meaning

    def outside(self, column: str, rows: int, low: float | str, high: float | str) -> None:
        """Takes in rows outside the training rows' range."""
        if rows:
            self._of(column).outside += rows
            self._of(column).range = (low, high)

    @property
    def bad_indices(self) -> Indices:
        """The rows, from 0, with a value that can't be used, each once, in order."""
        rows = np.sort(self._refused_rows(), kind="stable")
        return rows[np.diff(rows, prepend=-1) > 0]  # np.unique takes fifty times as long

    def bad_rows(self) -> Iterator[BadRow]:
        """Yields the values that can't be used, in the order of the rows."""
        sizes = [len(refusal.places) for refusal in self._refusals]
        owners = np.repeat(np.arange(len(sizes)), sizes)
        places = np.concatenate([np.empty(0, np.int64), *(r.places for r in self._refusals)])
        for at in np.argsort(self._refused_rows(), kind="stable"):
            yield self._refusals[owners[at]].bad_row(int(places[at]))

    def _refused_rows(self) -> Indices:
        """The row of each value that can't be used, from 0, in the order in which they came."""
        rows = (refusal.start + refusal.places for refusal in self._refusals)
        return np.concatenate([np.empty(0, np.int64), *rows])

    def notes(self) -> list[Note]:
        """What values lack a place in the network."""
        return [note for column, found in self.columns.items() for note in _notes(column, found)]

    def _of(self, column: str) -> ColumnFindings:
        return self.columns.setdefault(column, ColumnFindings())


def _notes(column: str, found: ColumnFindings) -> Iterator[Note]:
    if found.gaps:
        yield Note(column, found.gaps, "without a value", f": {found.gaps_mean}")
    if found.unseen:
        rows, some = found.unseen.total(), listed(found.unseen, _SHOWN_VALUES)
        detail = f" ({some}): {found.unseen_means}"
        yield Note(column, rows, "with values that are no category", detail)
    if found.wordless:
        kind, detail = "without a word that has an input", f": {found.wordless_means}"
        yield Note(column, found.wordless, kind, detail)
