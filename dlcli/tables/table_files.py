"""Tables from memory or from one or several files; large tables are stored on disk."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.cluster import ConnectedWorkers
from dlcli.errors import DataError, did_you_mean, named_columns
from dlcli.tables import source_files, stored_columns, typed_files
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.databases import open_query
from dlcli.tables.delimited_text import open_text, read_names
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.notation_detection import detect_notations
from dlcli.tables.source_files import Batches, Source, SourceFile
from dlcli.tables.stored_columns import RowShares, ShardedColumns, StoredColumns
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_formats import CsvFormat, TableFormat, recognize
from dlcli.tables.totals_row import find_totals
from dlcli.tables.workbooks import open_workbook

_AUTO = TableFormat()
_MOST_EXPANDED = 200
"""Limit of the ratio of the rows' size in memory to the size of their file."""
_ROW_BYTES = 8
"""Bytes of a row's number."""
MissingWords = Callable[[str], tuple[str, ...]]
"""Returns a column's spellings of a missing value other than empty fields."""


def read_table(
    source: Source | MemoryTable | DatabaseQuery,
    missing: MissingWords = lambda _: (),
    form: TableFormat = _AUTO,
    storage: stored_columns.Storage = stored_columns.IN_MEMORY,
    columns: Collection[str] | None = None,
) -> Table:
    """Read CSV, TSV, Parquet, Arrow IPC, JSON lines (also compressed) or a sheet of a workbook.

    Args:
        source: a file, a glob, or a list of these, whose rows are concatenated; `-` is standard
            input; a table in memory; or a query.
        missing: returns a column's spellings of a missing value other than empty fields.
        form: the declared text format; `auto` settings are detected.
        storage: the storage for the rows.
        columns: the columns to read from Parquet files that have all of them; all if omitted.

    Raises:
        UsageError: for a file that is missing or can't be read.
        DataError: for a file that is not a table, is damaged, has no rows, or has rows that don't
            fit its header; for files with different columns.
    """
    if isinstance(source, MemoryTable):
        opened = Batches(source.data.schema, iter(source.data.to_batches()))
        part = _Part(source.name, _stored(opened, storage.folder), opened)
        return _merge([part], source.name, missing, CsvFormat())
    if isinstance(source, DatabaseQuery):
        with open_query(source) as opened:
            part = _Part(source.name, _stored(opened, storage.folder), opened)
        return _merge([part], source.name, missing, CsvFormat())
    workers, how = storage.workers, (form, storage.folder, columns)
    files = workers.agree(lambda: source_files.find(source))
    if isinstance(workers, ConnectedWorkers):
        parts = _read_shares(files, how, workers)
    else:
        parts = [_read_part(each, *how) for each in files]
    name = files[0].file if len(files) == 1 else source_files.name_of(source)
    return _merge(parts, name, missing, form.csv)


def read_header(source: Source | MemoryTable, form: TableFormat = _AUTO) -> tuple[str, ...]:
    """Return the columns' names. JSON lines are read completely, since any row may add a column.

    Args:
        source: a file, a glob, a list of these, or a table in memory; not standard input, which can
            be read only once.
        form: the declared format of text; the rest of it is detected.

    Raises:
        UsageError: for a file that is missing or can't be opened.
        DataError: for a file that is not a table, is empty or damaged, or whose names are empty or
            repeated; for files with different columns.
    """
    if isinstance(source, MemoryTable):
        return tuple(source.data.column_names)
    first, *others = source_files.find(source)
    names = _read_names(first, form)
    for other in others:
        _check_same_names(names, first.file, _read_names(other, form), other.file)
    return names


def open_batches(
    stored: SourceFile,
    form: TableFormat = _AUTO,
    columns: Collection[str] | None = None,
    groups: range | None = None,
) -> Batches:
    """Open a file to be read in batches.

    Args:
        stored: the file.
        form: the declared format of text; the rest of it is detected.
        columns: the columns to read from a Parquet file that has all of them; all if omitted.
        groups: the row groups of a Parquet file to read; all if omitted.

    Raises:
        UsageError: for a file that cannot be read.
        DataError: for a file that is not a table, or is damaged.
    """
    format = recognize(stored.head(), stored.file)
    with stored.reading():
        if format == "csv":
            return open_text(stored, form)
        if format == "jsonl":
            return typed_files.open_json_lines(stored)
        if format == "excel":
            return open_workbook(stored, form)
        if format == "parquet":
            opened = typed_files.open_parquet(stored, columns, groups)
        else:
            opened = typed_files.open_arrow(stored)
    source_files.check_names(opened.schema.names, stored.file)
    return _with_partition(typed_files.with_plain_types(opened, stored.file), stored)


def _with_partition(batches: Batches, stored: SourceFile) -> Batches:
    """Append the columns of a file's partition to its rows.

    Raises:
        DataError: for a column that the file also has.
    """
    if not stored.partition:
        return batches
    schema = batches.schema
    for key, _ in stored.partition:
        if key in schema.names:
            message = "is both in the file and in the name of its folder; remove one of them"
            raise DataError(message, file=stored.file, column=key)
        schema = schema.append(pa.field(key, pa.string()))

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in batches.rows:
            scalars = [pa.scalar(value, pa.string()) for _, value in stored.partition]
            more = [pa.repeat(scalar, batch.num_rows) for scalar in scalars]
            yield pa.RecordBatch.from_arrays([*batch.columns, *more], schema=schema)

    return replace(batches, schema=schema, rows=rows())


def _read_part(
    source: SourceFile,
    form: TableFormat,
    folder: Path | None,
    columns: Collection[str] | None = None,
    groups: range | None = None,
    choose: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]] = iter,
) -> _Part:
    """Read all or selected rows of a file.

    Args:
        source: the file.
        form: the declared format of text.
        folder: where to store the rows.
        columns: the columns to read from a Parquet file that has all of them.
        groups: the row groups of a Parquet file to read.
        choose: selects rows.
    """
    file_notes = tuple(source_files.contradictions(source, form))
    stored = source.in_memory() if source.compression and folder is None else source
    may_have_totals = recognize(stored.head(), stored.file) in ("csv", "excel")
    opened = open_batches(stored, form, columns, groups)
    with stored.reading():
        data = _stored(replace(opened, rows=_bounded(choose(opened.rows), stored)), folder)
    if source.remote is not None:
        source.remote.check_unchanged()
    facts = replace(opened, file_notes=file_notes + opened.file_notes)
    return _Part(stored.file, data, facts, may_have_totals)


def _read_shares(
    files: Sequence[SourceFile],
    how: tuple[TableFormat, Path | None, Collection[str] | None],
    workers: ConnectedWorkers,
) -> list[_Part]:
    """Read this worker's share of the rows: some of several files, or a part of one file.

    If there are at least as many files as workers, each worker reads whole files. If a Parquet file
    has at least as many row groups, each worker reads whole row groups. Else each worker reads the
    file and keeps a part of its rows.
    """
    rank, count = workers.rank, workers.size
    sizes = [max(file.size, 1) for file in files]
    read_by: list[int | None] = [None] * len(files)
    is_read_once = any(
        file.path is None and file.remote is None for file in files
    )  # such as a pipe
    if len(files) >= count and not is_read_once:
        before = np.cumsum([0, *sizes])
        middle = (before[1:] + before[:-1]) / 2
        read_by = np.minimum(middle * count // before[-1], count - 1).astype(int).tolist()

    def read() -> dict[int, tuple[_Part, NDArray[np.int32]]]:
        return {
            number: _read_share(file, partial(_read_part, file, *how), rank, count, reader)
            for number, (file, reader) in enumerate(zip(files, read_by, strict=True))
            if reader in (None, rank)
        }

    own = workers.agree(read)
    # For files that other workers read, the columns and the number of rows are needed.
    described = {number: _describe(part) for number, (part, _) in own.items()}
    gathered = workers.gather(described)
    parts = []
    for number, (file, reader) in enumerate(zip(files, read_by, strict=True)):
        if number in own:
            part, owners = own[number]
        else:
            part, rows = _described(file.file, gathered[reader or 0][str(number)], how[1])
            owners = np.full(rows, reader, np.int32)
        assert not isinstance(part.data, ShardedColumns)
        shares = RowShares.of(workers, owners)
        parts.append(replace(part, data=ShardedColumns(part.data, part.schema, shares)))
    return parts


_DESCRIBED = ("delimiter", "nameless", "unread", "file_notes")


def _describe(part: _Part) -> dict[str, Any]:
    """Describe a part for JSON."""
    schema = b64encode(part.schema.serialize().to_pybytes()).decode()
    facts = {name: getattr(part.facts, name) for name in _DESCRIBED}
    return {"rows": part.data.num_rows, "schema": schema, **facts}


def _described(file: str, fields: dict[str, Any], folder: Path | None) -> tuple[_Part, int]:
    """Return a part without its rows, and their number, from its description."""
    schema = pa.ipc.read_schema(pa.py_buffer(b64decode(fields["schema"])))
    data = pa.Table.from_batches([], schema) if folder is None else StoredColumns((), schema)
    file_notes = tuple(map(_described_note, fields["file_notes"]))
    nameless, unread = tuple(fields["nameless"]), tuple(fields["unread"])
    facts = Batches(schema, iter(()), fields["delimiter"], file_notes, nameless, unread)
    return _Part(file, data, facts), fields["rows"]


def _described_note(fields: Sequence[Any]) -> FileNote:
    """Return a note from its fields in JSON."""
    note = FileNote(*fields)
    return note._replace(settings=tuple((key, value) for key, value in note.settings))


def _read_share(
    file: SourceFile, read: Callable[..., _Part], rank: int, workers: int, reader: int | None
) -> tuple[_Part, NDArray[np.int32]]:
    """Read a worker's share of a file; return it with the rank of the worker of each row."""
    if reader is not None:
        part = read()
        return part, np.full(part.data.num_rows, rank, np.int32)
    ranks = np.arange(workers, dtype=np.int32)
    if recognize(file.head(), file.file) == "parquet":
        groups = typed_files.row_group_sizes(file)
        if len(groups) >= workers:
            ends = np.arange(workers + 1) * len(groups) // workers
            held = [sum(groups[a:b]) for a, b in pairwise(ends.tolist())]
            part = read(groups=range(*ends[rank : rank + 2].tolist()))
            return part, np.repeat(ranks, held)
    owners = []

    def choose(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ends = np.arange(workers + 1) * batch.num_rows // workers
            owners.append(np.repeat(ranks, np.diff(ends)))
            start, stop = ends[rank : rank + 2].tolist()
            # A copy: a slice would keep other workers' rows in memory.
            yield batch.take(pa.array(np.arange(start, stop)))

    part = read(choose=choose)
    return part, np.concatenate([*owners, np.empty(0, np.int32)])


def _stored(batches: Batches, folder: Path | None) -> pa.Table | StoredColumns:
    """Read rows into memory, or into a file in a folder."""
    if folder is None:
        return pa.Table.from_batches(batches.rows, batches.schema)
    path = folder / f"rows_{secrets.token_hex(8)}.arrow"
    return stored_columns.store(batches.schema, batches.rows, path)


def _bounded(rows: Iterator[pa.RecordBatch], stored: SourceFile) -> Iterator[pa.RecordBatch]:
    """Yield rows, and check that they need no more memory than is usual for the file's size.

    Constant and empty columns take almost no space in Parquet, Arrow and JSON lines.

    Raises:
        DataError: if they need more.
    """
    size, most = 0, stored.most_bytes(_MOST_EXPANDED)
    for batch in rows:
        encoded = [at for at, kept in enumerate(batch.schema.types) if pa.types.is_dictionary(kept)]
        shared = sum(batch.column(at).dictionary.nbytes for at in encoded)
        size += _ROW_BYTES * batch.num_rows + batch.nbytes - shared
        if size > most:
            message = f"its rows need over {most >> 20:,} MiB of memory, far more than usual "
            raise DataError(f"{message}for a file of this size; is it damaged?", file=stored.file)
        yield batch


def _read_names(stored: SourceFile, form: TableFormat) -> tuple[str, ...]:
    if recognize(stored.head(), stored.file) == "csv":
        with stored.reading():
            return read_names(stored, form)
    return tuple(open_batches(stored, form).schema.names)


# Several files as one table


@dataclass(frozen=True)
class _Part:
    """The rows of one file."""

    file: str
    data: stored_columns.Columns
    facts: Batches
    """What was found in the file other than the rows."""
    may_have_totals: bool = False
    """Whether the last row may contain totals: in text and workbooks."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, with their types without dictionary."""
        return stored_columns.plain_schema(self.data.schema)


def _check_same_names(names: Sequence[str], file: str, others: Sequence[str], other: str) -> None:
    """Check that a file has the same columns as the first one, in any order.

    Raises:
        DataError: naming both files.
    """
    expected, found = set(names), set(others)
    absent = [name for name in names if name not in found]
    more = [name for name in others if name not in expected]
    if absent:
        hint = did_you_mean(absent[0], more) if len(absent) == 1 else ""
        raise DataError(f"has no {named_columns(absent)}, unlike {file}{hint}", file=other)
    if more:
        raise DataError(f"has {named_columns(more)}, unlike {file}", file=other)


def _merge(parts: Sequence[_Part], name: str, missing: MissingWords, form: CsvFormat) -> Table:
    """Make one table of the rows of some files, matching columns by name.

    Args:
        parts: the files; the first determines the order of the columns.
        name: the name of all of them.
        missing: gives the spellings of a missing value in a column.
        form: the declared format of text.

    Raises:
        DataError: for no rows, or files whose columns differ in name or have incompatible types.
    """
    first = parts[0]
    is_text = first.facts.delimiter is not None
    # Columns that were not read from Parquet files may be present in files of other formats.
    unread = tuple(dict.fromkeys(column for part in parts for column in part.facts.unread))
    names = [[name for name in part.schema.names if name not in unread] for part in parts]
    for part, others in zip(parts[1:], names[1:], strict=True):
        _check_same_names(names[0], first.file, others, part.file)
        if is_text != (part.facts.delimiter is not None):
            message = f"can't be combined with {first.file}: either all files must be text, such "
            raise DataError(f"{message}as CSV, or none; convert some", file=part.file)
    data = first.data if len(parts) == 1 else _concatenate(parts, unread)
    if not data.schema.names:
        raise DataError("has no columns", file=name)
    if data.num_rows == 0:
        raise DataError("has a header but no rows", file=name)
    counts = [part.data.num_rows for part in parts]
    rows = np.concatenate([np.arange(1, count + 1, dtype=np.int64) for count in counts])
    nameless = tuple(dict.fromkeys(column for part in parts for column in part.facts.nameless))
    words = {column: missing(column) for column in data.schema.names}
    table = Table(name, data, rows, words, nameless=nameless, unread=unread)
    if len(parts) > 1:
        file_numbers = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
        table = replace(table, files=tuple(part.file for part in parts), file_numbers=file_numbers)
    file_notes = _distinct_notes(parts, name)
    delimiter = ";" if any(part.facts.delimiter == ";" for part in parts) else ","
    fields, text_types = stored_columns.plain_schema(data.schema), (pa.string(), pa.large_string())
    texts = [field.name for field in fields if field.type in text_types]
    table.parse_together()
    notations, more, decimal = detect_notations(table, texts, form, delimiter)
    file_notes += [note._replace(message=f"{name}: {note.message}") for note in more]
    detected = replace(table, notations=notations, decimal=decimal)
    detected.reuse(table)
    for part, stop in zip(parts, np.cumsum(counts).tolist(), strict=True):
        if part.may_have_totals and not isinstance(data, ShardedColumns):
            found = find_totals(detected, stop - part.data.num_rows, stop).notes()
            file_notes += [note._replace(message=f"{part.file}: {note.message}") for note in found]
    noted = replace(detected, file_notes=tuple(file_notes))
    noted.reuse(detected)
    return noted


def _distinct_notes(parts: Sequence[_Part], name: str) -> list[FileNote]:
    """Prefix each note with its file; a note that applies to all files occurs once."""
    files: dict[FileNote, list[str]] = {}
    for part in parts:
        for note in part.facts.file_notes:
            files.setdefault(note, []).append(part.file)
    return [
        note._replace(message=f"{file}: {note.message}")
        for note, named in files.items()
        for file in ([name] if len(named) == len(parts) else named)
    ]


def _concatenate(parts: Sequence[_Part], unread: Collection[str]) -> stored_columns.Columns:
    """Concatenate the rows of all parts, without some columns.

    Raises:
        DataError: for a column whose types in two files are incompatible.
    """
    schema = parts[0].schema
    for part in parts[1:]:
        try:
            schema = pa.unify_schemas([schema, part.schema], promote_options="permissive")
        except pa.ArrowException as error:
            message = f"can't be combined with {parts[0].file}: {error}"
            raise DataError(message, file=part.file) from None
    schema = pa.schema([field for field in schema if field.name not in unread])
    sharded = [part.data for part in parts if isinstance(part.data, ShardedColumns)]
    if not sharded:
        return _joined(parts, schema)
    own = [replace(part, data=each.stored) for part, each in zip(parts, sharded, strict=True)]
    workers = sharded[0].shares.workers
    stored = workers.agree(lambda: _joined(own, schema))
    owners = np.concatenate([each.shares.owners for each in sharded])
    return ShardedColumns(stored, schema, RowShares.of(workers, owners))


def _joined(parts: Sequence[_Part], schema: pa.Schema) -> pa.Table | StoredColumns:
    """Concatenate the rows of all parts that this process holds, in a given schema."""
    stored = [part.data for part in parts if isinstance(part.data, StoredColumns)]
    if not stored:
        tables = (pa.table({field.name: _cast(part, field) for field in schema}) for part in parts)
        return pa.concat_tables(tables)
    for part in parts:  # a column is cast later, when it is read, which must not fail
        for field in schema:
            if part.schema.field(field.name).type != field.type:
                _cast(part, field)
    return StoredColumns(tuple(piece for each in stored for piece in each.pieces), schema)


def _cast(part: _Part, field: pa.Field) -> pa.ChunkedArray:
    """Convert a column of a part to the common type of all parts.

    Raises:
        DataError: for a value that the type can't hold, such as 2^53 + 1 in a double.
    """
    values = stored_columns.without_dictionary(part.data.column(field.name))
    try:
        return values.cast(field.type)
    except pa.ArrowInvalid:
        types = f"holds {values.type}; because of the other files, it is read as {field.type}"
        way_out = "which can't hold all values exactly; save all files with the same type"
        message = f"{types}, {way_out}"
        raise DataError(message, file=part.file, column=field.name) from None
