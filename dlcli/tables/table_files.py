"""Tables read from files: CSV, Parquet, Arrow IPC and JSON lines, in memory or stored on disk."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from dlcli.config import AutoFormat, CsvFormat, FormatChoice
from dlcli.errors import DataError
from dlcli.tables.arrow_arrays import common_type, to_common_type
from dlcli.tables.delimited_text import open_text, read_names
from dlcli.tables.disk_table import batch_rows, store
from dlcli.tables.json_lines import open_json_lines
from dlcli.tables.source_files import (
    Batches,
    Source,
    SourceFile,
    check_names,
    contradictions,
    find,
    incomplete,
    name_of,
    recognize,
)
from dlcli.tables.table import Table
from dlcli.tables.table_merging import Part, check_same_names, merge

_AUTO = AutoFormat()
_ARROW_FILE_MARK = b"ARROW1"


def read_table(
    source: Source,
    missing: Sequence[str] = (),
    form: FormatChoice = _AUTO,
    folder: Path | None = None,
) -> Table:
    """Read CSV, TSV, Parquet, Arrow IPC or JSON lines, optionally compressed with gzip or zstd.

    Args:
        source: the file, a glob, or a list of them, whose rows are concatenated; `-` is standard
            input.
        missing: spellings of a missing value, besides empty fields.
        form: the declared format of text; the rest of it is detected.
        folder: where to store the rows, in files of dlcli's own; without one they are in memory.

    Raises:
        UsageError: for a file that is not there or cannot be read.
        DataError: for a file that is not a table, is damaged, has no rows, or has rows that don't
            fit its header; for files with different columns.
    """
    files = find(source)
    parts = [_read_part(each, form, folder) for each in files]
    name = files[0].file if len(files) == 1 else name_of(source)
    return merge(parts, name, tuple(missing), _csv_format(form))


def read_header(source: Source, form: FormatChoice = _AUTO) -> tuple[str, ...]:
    """Return the columns' names. Only JSON lines are read whole, as any row may add a column.

    Args:
        source: the file, a glob, or a list of them; not standard input, which can be read only
            once.
        form: the declared format of text; the rest of it is detected.

    Raises:
        UsageError: for a file that is not there or cannot be opened.
        DataError: for a file that is not a table, is empty or damaged, or whose names are empty or
            repeated; for files with different columns.
    """
    first, *others = find(source)
    names = _read_names(first, form)
    for other in others:
        check_same_names(names, first.file, _read_names(other, form), other.file)
    return names


def open_batches(stored: SourceFile, form: FormatChoice = _AUTO) -> Batches:
    """Open a file to be read in batches.

    Raises:
        UsageError: for a file that cannot be read.
        DataError: for a file that is not a table, or is damaged.
    """
    format = recognize(stored.head(), stored.file)
    with stored.reading():
        if format == "csv":
            return open_text(stored, _csv_format(form))
        if format == "jsonl":
            return open_json_lines(stored)
        opened = _open_parquet(stored) if format == "parquet" else _open_arrow(stored)
    check_names(opened.schema.names, stored.file)
    return _with_common_types(opened, stored.file)


def _read_part(source: SourceFile, form: FormatChoice, folder: Path | None) -> Part:
    """Read all rows of a file."""
    remarks = list(contradictions(source, form))
    stored = source.in_memory() if source.compression and folder is None else source
    batches = open_batches(stored, form)
    with stored.reading():
        if folder is None:
            data = pa.Table.from_batches(batches.rows, batches.schema)
        else:
            path = folder / f"rows_{secrets.token_hex(8)}.arrow"
            data = store(batches.schema, batches.rows, path)
    return Part(stored.file, data, batches.delimiter, (*remarks, *batches.remarks))


def _read_names(stored: SourceFile, form: FormatChoice) -> tuple[str, ...]:
    if recognize(stored.head(), stored.file) == "csv":
        with stored.reading():
            return read_names(stored, _csv_format(form))
    return tuple(open_batches(stored, form).schema.names)


def _csv_format(form: FormatChoice) -> CsvFormat:
    return form if isinstance(form, CsvFormat) else CsvFormat()


@contextmanager
def _complete(kind: str, file: str) -> Iterator[None]:
    """Turn pyarrow's errors about a damaged file into a DataError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise incomplete(kind, file, error) from None


def _open_parquet(stored: SourceFile) -> Batches:
    from pyarrow.parquet import ParquetFile

    with _complete("Parquet", stored.file):
        source = ParquetFile(stored.random_access())
    schema = source.schema_arrow

    def rows() -> Iterator[pa.RecordBatch]:
        with _complete("Parquet", stored.file):
            # One iterator over all groups would keep what it has read of each.
            for group in range(source.num_row_groups):
                yield from source.iter_batches(batch_rows(len(schema)), row_groups=[group])

    return Batches(schema, rows())


def _open_arrow(stored: SourceFile) -> Batches:
    """Open Arrow IPC: the file format, which is also Feather's, or the stream format."""
    from pyarrow import ipc

    with _complete("Arrow", stored.file):
        if stored.head().startswith(_ARROW_FILE_MARK):
            source = ipc.open_file(stored.random_access())
            batches = (source.get_batch(at) for at in range(source.num_record_batches))
        else:
            source = ipc.open_stream(stored.random_access())
            batches = iter(source)

    def rows() -> Iterator[pa.RecordBatch]:
        with _complete("Arrow", stored.file):
            for batch in batches:
                batch.validate(full=True)  # offsets in a damaged file may point anywhere
                yield batch

    return Batches(source.schema, rows())


def _with_common_types(batches: Batches, file: str) -> Batches:
    """Convert columns of rare types to those that Arrow's functions support.

    Raises:
        DataError: for a column without such a type, also while rows are read.
    """
    types = {field.name: common_type(field.type) for field in batches.schema}

    def unsupported(name: str) -> DataError:
        held = batches.schema.field(name).type
        message = f"holds {held}, which is not supported; write it as plain values, or omit it"
        return DataError(message, file=file, column=name)

    for name, storage in types.items():
        if storage is None:
            raise unsupported(name)
    schema = pa.schema([field.with_type(types[field.name]) for field in batches.schema])
    if schema.types == batches.schema.types:
        return batches

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in batches.rows:
            columns = []
            for name, values in zip(schema.names, batch.columns, strict=True):
                try:
                    columns.append(to_common_type(values, types[name]))
                except pa.ArrowException:
                    raise unsupported(name) from None
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return replace(batches, schema=schema, rows=rows())
