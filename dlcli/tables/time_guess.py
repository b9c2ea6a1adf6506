"""How a column's dates are written, as far as its values tell."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dlcli.tables.column import Column
from dlcli.tables.time_text import read_times
from dlcli.tables.times import is_time

_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%Y/%m/%d"),
    *("%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y"),
    *("%d.%m.%Y", "%d.%m.%y", "%Y.%m.%d"),  # with points, a day never follows its month
    *("%b %d, %Y", "%b %d %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class TimeGuess:
    """The ways in which a column's values are dates."""

    readings: tuple[tuple[str, ...], ...]
    """Each gives the formats that it takes to read every value."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether there are several, since no value tells its day from its month."""
        return len(self.readings) > 1

    @property
    def question(self) -> str:
        """What to ask where it is ambiguous."""
        ways = [formats[0] if len(formats) == 1 else list(formats) for formats in self.readings]
        shown = " or ".join(f"format: {json.dumps(way)}" for way in ways)
        return f"no value tells its day from its month; say {shown}"


def guess_times(column: Column) -> TimeGuess | None:
    """Finds out how a column's dates are written.

    Args:
        column: any column; a column of numbers is never taken for dates.

    Returns:
        None if there is no value, or no way to read every value as a date.
    """
    if is_time(column.values.type):
        return TimeGuess((("iso",),))  # as other tables, in text, will most likely have them
    if column.kind != "text":
        return None
    texts = column.present_texts()
    sample = texts.slice(0, _SAMPLE_ROWS)
    likely = [date for date in ("iso", *_DATES) if len(texts) and _formats(date, sample)]
    readings = tuple(formats for date in likely if (formats := _formats(date, texts)))
    return TimeGuess(readings) if readings else None


def _formats(date: str, texts: pa.ChunkedArray) -> tuple[str, ...]:
    """The formats with such a date that it takes to read all texts; none if it can't be done."""
    formats: list[str] = []
    read = np.zeros(len(texts), dtype=np.bool_)
    for clock in _CLOCKS if date != "iso" else ("",):
        found = read_times(texts, date + clock).read
        if found.any():
            formats.append(date + clock)
            read |= found
        if read.all():
            return tuple(formats)
    return ()
