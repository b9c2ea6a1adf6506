"""Detection of a row with totals at the end of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow.compute as pc

from dlcli.tables.stored_columns import Columns
from dlcli.tables.table import FileNote

_TOTALS = re.compile(
    r"(?i)(?:(?:grand |sub-?|overall )?totals?|sum|(?:gesamt)?summe|gesamt|insgesamt|total général"
    r"|totale|suma|合计|总计|合計|總計)[\W\d_]*"
)


def note_on_totals(data: Columns) -> Iterator[FileNote]:
    """Yield a note if the last row of a table begins with a word such as `Total`.

    The column has this word in no other row, so it is not a category.

    Args:
        data: the rows of a file.
    """
    if data.num_rows < 2:
        return
    last = data.slice(data.num_rows - 1, 1).to_pylist()[0]
    filled = ((name, value) for name, value in last.items() if value not in (None, ""))
    name, word = next(filled, ("", None))
    if not isinstance(word, str) or not _TOTALS.fullmatch(word.strip()):
        return
    if pc.sum(pc.equal(data.column(name), word)).as_py() == 1:
        yield FileNote(
            f"the last row begins with '{word.strip()}'; if it contains totals instead of data, "
            f"set data.footer: {word.strip()} (--footer in init and inspect)",
            True,
        )
