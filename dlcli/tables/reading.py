"""Files to tables, told apart by what they begin with."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from dlcli.config import AutoFormat, CsvFormat, FormatChoice
from dlcli.tables import arrow_ipc, delimited, json_lines, parquet
from dlcli.tables.batches import Batches
from dlcli.tables.formats import Kind, contradictions, recognise
from dlcli.tables.merging import Part, check_same_names, merge
from dlcli.tables.simple_types import simplified
from dlcli.tables.sources import Source, SourceFile, find, name_of
from dlcli.tables.stored import store
from dlcli.tables.table import Table

_AUTO = AutoFormat()


def read_table(
    source: Source,
    missing: Sequence[str] = (),
    form: FormatChoice = _AUTO,
    folder: Path | None = None,
) -> Table:
    """Read CSV, TSV, Parquet, Arrow IPC or JSON lines, plain or packed with gzip or zstd.

    Args:
        source: the file, a glob, or a list of them, whose rows follow each other; `-` is standard
            input.
        missing: words that count as missing, besides empty fields.
        form: how text is to be read, as far as it is not to be found out.
        folder: where to keep the rows, in files of dlcli's own; without one they are in memory.

    Raises:
        UsageError: a file that is not there or can't be read.
        DataError: a file that is no table, is damaged, has no rows, or has rows that don't fit its
            header; files with different columns.
    """
    stored = find(source)
    parts = [_part(each, form, folder) for each in stored]
    name = stored[0].file if len(stored) == 1 else name_of(source)
    return merge(parts, name, tuple(missing), _csv(form))


def read_header(source: Source, form: FormatChoice = _AUTO) -> tuple[str, ...]:
    """The columns' names. Only JSON lines, where any row may bring a new one, are read whole.

    Args:
        source: the file, a glob, or a list of them; not standard input, which can be read only
            once.
        form: how text is to be read, as far as it is not to be found out.

    Raises:
        UsageError: a file that is not there or can't be opened.
        DataError: a file that is no table, is empty or damaged, or names that could not be told
            apart; files with different columns.
    """
    first, *others = find(source)
    names = _names(first, form)
    for other in others:
        check_same_names(names, first.file, _names(other, form), other.file)
    return names


def open_batches(stored: SourceFile, form: FormatChoice = _AUTO) -> Batches:
    """Opens a file to be read some rows at a time.

    Raises:
        UsageError: a file that can't be read.
        DataError: a file that is no table, or is damaged.
    """
    kind = recognise(stored.head(), stored.file)
    with stored.unbroken():
        return _opened(stored, kind, form)


def _opened(stored: SourceFile, kind: Kind, form: FormatChoice) -> Batches:
    if kind == "csv":
        return delimited.open_batches(stored, _csv(form))
    if kind == "jsonl":
        return json_lines.open_batches(stored)
    reader = parquet if kind == "parquet" else arrow_ipc
    return simplified(reader.open_batches(stored), stored.file)


def _part(packed: SourceFile, form: FormatChoice, folder: Path | None) -> Part:
    """All rows of a file."""
    remarks = list(contradictions(packed, form))
    stored = packed.in_memory() if packed.compression and folder is None else packed
    batches = open_batches(stored, form)
    with stored.unbroken():
        if folder is None:
            data = pa.Table.from_batches(batches.rows, batches.schema)
        else:
            data = store(batches, folder / f"rows_{secrets.token_hex(8)}.arrow")
    return Part(stored.file, data, batches.delimiter, (*remarks, *batches.remarks))


def _names(stored: SourceFile, form: FormatChoice) -> tuple[str, ...]:
    if recognise(stored.head(), stored.file) == "csv":
        with stored.unbroken():
            return delimited.read_names(stored, _csv(form))
    return tuple(open_batches(stored, form).schema.names)


def _csv(form: FormatChoice) -> CsvFormat:
    """How text is to be read."""
    return form if isinstance(form, CsvFormat) else CsvFormat()
