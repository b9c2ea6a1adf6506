"""Reading of tables without a config, with the layout of the file that is certain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tables.table import Table
from dlcli.tables.table_files import MissingWords, read_table
from dlcli.tables.table_formats import TableFormat

_APPLIED: Mapping[str, str] = {
    "header": "the first row is a second header line; the names of both lines are joined "
    "(data.header: {value})",
    "skip_lines": "the {value} lines above the header are omitted (data.skip_lines: {value})",
    "footer": "the last row contains totals and is omitted (data.footer: {value})",
}
"""What a detected setting means, by its key of `data`."""
_MOST_READINGS = 4
"""Maximum number of times that a table is read again: for its header, and for rows with totals."""


def read_with_layout(
    source: Source | MemoryTable,
    missing: MissingWords,
    form: TableFormat,
    warn: Callable[[str], None],
) -> tuple[Table, TableFormat]:
    """Read a table with the settings that it certainly needs.

    Args:
        source: see `read_table`; standard input is read only once, without other settings.
        missing: see `read_table`.
        form: the declared format.
        warn: receives a warning about each detected setting.

    Returns:
        The table, and its format with the detected settings.
    """
    table = read_table(source, missing, form)
    for _ in range(_MOST_READINGS):
        settings: dict[str, Any] = {}
        for note in table.file_notes:
            settings = settings or dict(note.settings)  # the header's first
        changed = replace(form, **settings)
        if changed == form or str(source) == "-" or table.files:
            break
        form = changed
        for key, value in settings.items():
            warn(f"{table.file}: {_APPLIED[key].format(value=value)}")
        table = read_table(source, missing, form)
    return table, form


def full_names(names: str | Sequence[str], table: Table, form: TableFormat) -> tuple[str, ...]:
    """Complete names of columns if the header has several lines: `Price` to `Price (EUR)`.

    Args:
        names: names of columns, or their first lines if these occur once.
        table: the table.
        form: its format.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if not isinstance(form.header, int) or form.header < 2:
        return names
    found = []
    for name in names:
        longer = [column for column in table.columns if column.startswith(f"{name} ")]
        is_short = name not in table.columns and len(longer) == 1
        found.append(longer[0] if is_short else name)
    return tuple(found)
