"""Detection of a row with totals at the end of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from dlcli.errors import listed
from dlcli.tables.table import FileNote, Table

_TOTALS = re.compile(
    r"(?i)(?:(?:grand |sub-?|overall )?totals?|sum|(?:gesamt)?summe|gesamt|insgesamt|total général"
    r"|totale|suma|合计|总计|合計|總計)[\W\d_]*"
)


_FEWEST_SUMMANDS = 4
"""Minimum number of values other than 0 in a sum; the sum of fewer may be a coincidence."""
_ROUNDING = 1e-4
"""Maximum difference of a total from the sum, as a share of the total, as totals are rounded."""


@dataclass(frozen=True)
class Totals:
    """A last row that seems to contain totals."""

    word: str
    """The word at its beginning, such as `Total`; empty if there is none."""
    sums: tuple[str, ...]
    """The columns in which its value is the sum of the other rows."""

    def notes(self) -> Iterator[FileNote]:
        """Yield what to do about the row."""
        if not self.word and not self.sums:
            return
        footer = self.word or 1
        option = "--footer" if self.word else "--footer 1"
        remedy = f"set data.footer: {footer} ({option} in init and inspect)"
        if self.sums:
            columns = listed(self.sums, 3)
            remedy += "" if self.word else ", or remove the row"
            message = f"the last row contains the totals of {columns}; {remedy}"
        else:
            message = (
                f"the last row begins with '{self.word}'; if it contains totals instead of data, "
                f"{remedy}"
            )
        settings = (("footer", footer),) if self.sums else ()
        yield FileNote(message, is_doubtful=True, settings=settings)


NO_TOTALS = Totals("", ())


def find_totals(table: Table, start: int, stop: int) -> Totals:
    """Return whether the last of some rows contains totals.

    Such a row begins with a word such as `Total` that its column contains in no other row, or has
    fewer filled cells than the row above, and is the sum of all rows above in some column.

    Args:
        table: the table.
        start: the index of the first row of a file.
        stop: the index after its last row.
    """
    if stop - start < 2:
        return NO_TOTALS
    above, last = table.data.slice(stop - 2, 2).to_pylist()
    filled = {name: value for name, value in last.items() if value not in (None, "")}
    rows = slice(start, stop)
    word = _word(table, filled, rows)
    is_shorter = len(filled) < sum(value not in (None, "") for value in above.values())
    if not word and not is_shorter:
        return NO_TOTALS
    return Totals(word, tuple(name for name in filled if _ends_with_sum(table, name, rows)))


def _word(table: Table, filled: dict[str, object], rows: slice) -> str:
    name, word = next(iter(filled.items()), ("", None))
    if not isinstance(word, str) or not _TOTALS.fullmatch(word.strip()):
        return ""
    is_only_one = pc.sum(pc.equal(table.data.column(name)[rows], word)).as_py() == 1
    return word.strip() if is_only_one else ""


def _ends_with_sum(table: Table, name: str, rows: slice) -> bool:
    column = table.column(name)
    if not column.looks_numeric():
        return False
    *_, total = values = column.numbers().values[rows]
    summands = values[:-1][np.isfinite(values[:-1])]
    if not np.isfinite(total) or np.count_nonzero(summands) < _FEWEST_SUMMANDS:
        return False
    is_largest = bool(abs(total) > np.abs(summands).max())
    return is_largest and bool(abs(total - summands.sum()) <= _ROUNDING * abs(total))
