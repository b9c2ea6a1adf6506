"""What there is to say of the rows of columns, told of a few columns of each kind."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_MIDNIGHT = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)T00:00:00(?:[+-]\d\d:\d\d)?")
_MOST_LINES = 5
"""Lines of one kind, the one that sums up among them."""


@dataclass(frozen=True)
class Note:
    """Something to say of some of a column's rows."""

    column: str
    rows: int
    """How many rows."""
    kind: str
    """What they are like, as it follows their count: `without a value`."""
    detail: str = ""
    """What else there is to say of them in this column, with its own punctuation."""

    def __str__(self) -> str:
        return f"column '{self.column}': {_rows(self.rows)} {self.kind}{self.detail}"


@dataclass(frozen=True)
class Line:
    """A line that tells of one column, or of many."""

    text: str
    rest: tuple[Note, ...] = ()
    """What it sums up, if it does."""


def in_short(notes: Iterable[Note]) -> Iterator[Line]:
    """Tells notes kind by kind, and at most five lines of each.

    Args:
        notes: all there is to say.

    Yields:
        A line for each note; or, if there are more of a kind, for those of the most rows, and a
        last one that sums up the others.
    """
    kinds: defaultdict[str, list[Note]] = defaultdict(list)
    for note in notes:
        kinds[note.kind].append(note)
    for alike in kinds.values():
        shown, rest = _parted(alike)
        yield from (Line(str(note)) for note in shown)
        if rest:
            yield Line(_summed_up(rest), tuple(rest))


def as_days(moments: Sequence[str]) -> list[str]:
    """Moments without their time of day, if it is midnight in all of them; else as they are.

    Args:
        moments: ISO 8601 each; any other text is left alone.
    """
    days = [match["day"] for moment in moments if (match := _MIDNIGHT.fullmatch(moment))]
    return days if len(days) == len(moments) else [*moments]


def _parted(alike: Sequence[Note]) -> tuple[Sequence[Note], Sequence[Note]]:
    """Those that get a line of their own, and those that are summed up."""
    if len(alike) <= _MOST_LINES:
        return alike, ()
    ranked = sorted(alike, key=lambda note: note.rows, reverse=True)
    return ranked[: _MOST_LINES - 1], ranked[_MOST_LINES - 1 :]


def _summed_up(rest: Sequence[Note]) -> str:
    most, least = rest[0].rows, rest[-1].rows  # a row may be among those of several columns
    rows = _rows(most) if most == least else f"up to {_rows(most)}"
    return f"{len(rest)} more columns: {rows} each {rest[0].kind}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
