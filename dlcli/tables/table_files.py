"""Tables read from files, whose rows are concatenated, in memory or stored on disk."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from dlcli.config import AutoFormat, CsvFormat, FormatChoice
from dlcli.errors import DataError, did_you_mean, listed
from dlcli.tables.arrow_arrays import floats, is_number_type, plain
from dlcli.tables.delimited_text import open_text, read_names
from dlcli.tables.disk_table import StoredColumns, joined, store, without_dictionary
from dlcli.tables.number_notation import detect_notations
from dlcli.tables.source_files import (
    Batches,
    Source,
    SourceFile,
    check_names,
    contradictions,
    find,
    name_of,
    recognize,
)
from dlcli.tables.table import Remark, Table
from dlcli.tables.typed_files import (
    open_arrow,
    open_json_lines,
    open_parquet,
    with_common_types,
)

_AUTO = AutoFormat()


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
    return _merge(parts, name, tuple(missing), _csv_format(form))


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
        _check_same_names(names, first.file, _read_names(other, form), other.file)
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
        opened = open_parquet(stored) if format == "parquet" else open_arrow(stored)
    check_names(opened.schema.names, stored.file)
    return with_common_types(opened, stored.file)


def _read_part(source: SourceFile, form: FormatChoice, folder: Path | None) -> _Part:
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
    return _Part(stored.file, data, batches.delimiter, (*remarks, *batches.remarks))


def _read_names(stored: SourceFile, form: FormatChoice) -> tuple[str, ...]:
    if recognize(stored.head(), stored.file) == "csv":
        with stored.reading():
            return read_names(stored, _csv_format(form))
    return tuple(open_batches(stored, form).schema.names)


def _csv_format(form: FormatChoice) -> CsvFormat:
    return form if isinstance(form, CsvFormat) else CsvFormat()


# Several files as one table


@dataclass(frozen=True)
class _Part:
    """The rows of one file."""

    file: str
    data: pa.Table | StoredColumns
    delimiter: str | None
    """The delimiter of text; None for values with types."""
    remarks: tuple[Remark, ...] = ()


def _check_same_names(names: Sequence[str], file: str, others: Sequence[str], other: str) -> None:
    """Check that a file has the same columns as the first one, in any order.

    Raises:
        DataError: naming both files.
    """
    absent = [name for name in names if name not in set(others)]
    more = [name for name in others if name not in set(names)]
    if absent:
        hint = did_you_mean(absent[0], more) if len(absent) == 1 else ""
        raise DataError(f"has no column {listed(absent)}, which {file} has{hint}", file=other)
    if more:
        raise DataError(f"has column {listed(more)}, which {file} has not", file=other)


def _merge(parts: Sequence[_Part], name: str, missing: tuple[str, ...], form: CsvFormat) -> Table:
    """Make one table of the rows of some files, matching columns by name.

    Text from CSV, which has no types, is converted to the types of the other files, if any.

    Args:
        parts: the files; the first determines the order of the columns.
        name: the name of all of them.
        missing: spellings of a missing value.
        form: the declared format of text.

    Raises:
        DataError: for no rows, or files whose columns differ in name or have incompatible types.
    """
    first = parts[0]
    for part in parts[1:]:
        _check_same_names(first.data.column_names, first.file, part.data.column_names, part.file)
    typed = next((part for part in parts if part.delimiter is None), None)
    all_text = typed is None
    if typed and any(part.delimiter is not None for part in parts):
        parts = _with_types_of(typed, parts, missing, form)
    data = first.data if len(parts) == 1 else _concatenate(parts)
    if not data.column_names:
        raise DataError("has no columns", file=name)
    if data.num_rows == 0:
        raise DataError("has a header but no rows", file=name)
    table = _with_places(parts, name, data, missing)
    if not all_text:
        return table
    delimiter = ";" if any(part.delimiter == ";" for part in parts) else ","
    found = detect_notations(table, table.columns, form, delimiter)
    remarks = _attribute([(name, remark) for remark in found.remarks], name, 1)
    return replace(table, notations=found.notations, remarks=(*table.remarks, *remarks))


def _with_places(
    parts: Sequence[_Part], name: str, data: pa.Table | StoredColumns, missing: tuple[str, ...]
) -> Table:
    """Make a table with the file and row number of each row."""
    counts = [part.data.num_rows for part in parts]
    rows = np.concatenate([np.arange(1, count + 1, dtype=np.int64) for count in counts])
    remarks = [(part.file, remark) for part in parts for remark in part.remarks]
    table = Table(name, data, rows, missing, remarks=_attribute(remarks, name, len(parts)))
    if len(parts) == 1:
        return table
    file_numbers = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    return replace(table, files=tuple(part.file for part in parts), file_numbers=file_numbers)


def _attribute(remarks: Sequence[tuple[str, Remark]], name: str, files: int) -> tuple[Remark, ...]:
    """Prefix each remark with its file; one that is about all files is made once.

    Args:
        remarks: each with its file.
        name: the name of all files.
        files: the number of files.
    """
    about: dict[Remark, list[str]] = {}
    for file, remark in remarks:
        about.setdefault(remark, []).append(file)
    return tuple(
        remark._replace(message=f"{file}: {remark.message}")
        for remark, named in about.items()
        for file in ([name] if len(named) == files else named)
    )


def _with_types_of(
    typed: _Part, parts: Sequence[_Part], missing: tuple[str, ...], form: CsvFormat
) -> list[_Part]:
    """Give text and typed values the same types: numbers where a typed file has them, else text.

    Raises:
        DataError: for text where the typed file has numbers.
    """
    names = typed.data.column_names
    numeric = [name for name in names if is_number_type(typed.data.schema.field(name).type)]

    def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
        return values if pa.types.is_nested(values.type) else plain(values).cast(pa.string())

    alike = []
    for part in parts:
        columns = {name: part.data.column(name) for name in part.data.column_names}
        remarks: tuple[Remark, ...] = ()
        if part.delimiter is None:
            columns = {
                name: values if name in numeric else as_text(values)
                for name, values in columns.items()
            }
        else:
            table = _with_places([part], part.file, part.data, missing)
            found = detect_notations(table, numeric, form, part.delimiter)
            table = replace(table, notations=found.notations)
            columns |= {name: floats(table.numbers(name)) for name in numeric}
            as_numbers = f"{listed(numeric)}: read as numbers, as in {typed.file}"
            remarks = (*found.remarks, *([Remark(as_numbers)] if numeric else []))
        alike.append(replace(part, data=pa.table(columns), remarks=(*part.remarks, *remarks)))
    return alike


def _concatenate(parts: Sequence[_Part]) -> pa.Table | StoredColumns:
    """Concatenate the rows of all parts.

    Raises:
        DataError: for a column whose types in two files are incompatible.
    """
    names = parts[0].data.column_names
    schema = pa.schema([(name, _common_type(name, parts)) for name in names])
    stored = [part.data for part in parts if isinstance(part.data, StoredColumns)]
    if len(stored) == len(parts):
        for field in schema:
            if any(_type_of(field.name, part) != field.type for part in parts):
                for part in parts:  # a column is cast when it is read, which must not fail then
                    _cast(field, part, parts)
        return joined(stored, schema)
    columns = {}
    for field in schema:
        cast = [_cast(field, part, parts) for part in parts]
        chunks = [chunk for values in cast for chunk in values.chunks]
        columns[field.name] = pa.chunked_array(chunks, field.type)
    return pa.table(columns)


def _cast(field: pa.Field, part: _Part, parts: Sequence[_Part]) -> pa.ChunkedArray:
    """Convert a column of a part to the type of all of them.

    Raises:
        DataError: for a value that the type cannot hold, as a double cannot hold 2^53 + 1.
    """
    values = without_dictionary(part.data.column(field.name))
    try:
        return values.cast(field.type)
    except pa.ArrowInvalid:
        other = next(each for each in parts if _type_of(field.name, each) != values.type)
        message = (
            f"holds {values.type}, and {_type_of(field.name, other)} in {other.file}; "
            f"{field.type} can't hold all of these exactly: write both files with one type"
        )
        raise DataError(message, file=part.file, column=field.name) from None


def _type_of(name: str, part: _Part) -> pa.DataType:
    """Return the type of a column's values, without dictionary."""
    return without_dictionary(pa.chunked_array([], part.data.schema.field(name).type)).type


def _common_type(name: str, parts: Sequence[_Part]) -> pa.DataType:
    """Return a type that holds a column's values of all parts.

    Raises:
        DataError: if there is none.
    """
    storage = _type_of(name, parts[0])
    for part in parts[1:]:
        other = _type_of(name, part)
        schemas = [pa.schema([(name, each)]) for each in (storage, other)]
        try:
            storage = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        except pa.ArrowException:
            message = f"holds {other}, and {storage} in {parts[0].file}"
            raise DataError(message, file=part.file, column=name) from None
    return storage
