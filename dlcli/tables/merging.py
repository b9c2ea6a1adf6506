"""The rows of several files as one table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from dlcli.config import CsvFormat
from dlcli.errors import DataError, did_you_mean, listed
from dlcli.tables.arrays import floats
from dlcli.tables.column import plain
from dlcli.tables.remarks import Remark, gather
from dlcli.tables.stored import StoredColumns, joined, without_dictionary
from dlcli.tables.survey import survey
from dlcli.tables.table import Columns, Table


@dataclass(frozen=True)
class Part:
    """The rows of one file."""

    file: str
    data: pa.Table | StoredColumns
    delimiter: str | None
    """What stands between fields of text; None where values have types."""
    remarks: tuple[Remark, ...] = ()
    """What is to be said of the file."""


def check_same_names(names: Sequence[str], file: str, others: Sequence[str], other: str) -> None:
    """Refuses a file that has other columns than the first; their order may differ.

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


def merge(parts: Sequence[Part], name: str, missing: tuple[str, ...], form: CsvFormat) -> Table:
    """Makes one table of the rows of some files, their columns matched by name.

    Args:
        parts: the files; the first gives the columns' order.
        name: what all of them are called.
        missing: words that count as missing.
        form: how text was declared to be read.

    Raises:
        DataError: for a column that is only in one of two files, or that holds other things in one
            than in the other, or no rows.
    """
    first = parts[0]
    for part in parts[1:]:
        check_same_names(first.data.column_names, first.file, part.data.column_names, part.file)
    alike = _typed_alike(parts, missing, form)
    data = first.data if len(parts) == 1 else _concatenated(alike)
    if not data.column_names:
        raise DataError("has no columns", file=name)
    if data.num_rows == 0:
        raise DataError("has a header but no rows", file=name)
    table = _table(alike, name, data, missing)
    return table if any(part.delimiter is None for part in parts) else _surveyed(table, parts, form)


def _table(parts: Sequence[Part], name: str, data: pa.Table, missing: tuple[str, ...]) -> Table:
    """A table with each row's place.

    Args:
        parts: the files.
        name: what all of them are called.
        data: their rows.
        missing: words that count as missing.
    """
    counts = [part.data.num_rows for part in parts]
    rows = np.concatenate([np.arange(1, count + 1, dtype=np.int64) for count in counts])
    table = Table(name, data, rows, missing, remarks=gather(_remarks(parts), name, len(parts)))
    if len(parts) == 1:
        return table
    file_numbers = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    return replace(table, files=tuple(part.file for part in parts), file_numbers=file_numbers)


def _surveyed(table: Table, parts: Sequence[Part], form: CsvFormat) -> Table:
    """A table of text, with how its numbers are written."""
    delimiters = {part.delimiter or "," for part in parts}
    columns = Columns(table, table.columns)
    found = survey(columns, form, ";" if ";" in delimiters else ",")
    remarks = gather(((table.file, remark) for remark in found.remarks), table.file, 1)
    return replace(table, notations=found.notations, remarks=(*table.remarks, *remarks))


def _typed_alike(
    parts: Sequence[Part], missing: tuple[str, ...], form: CsvFormat
) -> Sequence[Part]:
    """Parts in which text from CSV, which may stand for anything, has the types of other files.

    Raises:
        DataError: for text where others have numbers.
    """
    typed = next((part for part in parts if part.delimiter is None), None)
    if typed is None or all(part.delimiter is None for part in parts):
        return parts
    numeric = [name for name in typed.data.column_names if _is_numeric(typed.data.column(name))]
    return [
        _as_text(part, numeric)
        if part.delimiter is None
        else _as_numbers(part, numeric, typed.file, missing, form)
        for part in parts
    ]


def _is_numeric(values: pa.ChunkedArray) -> bool:
    storage = values.type
    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(check(storage) for check in is_number)


def _as_numbers(
    part: Part, numeric: Sequence[str], typed: str, missing: tuple[str, ...], form: CsvFormat
) -> Part:
    """A part of text with some of its columns read as numbers, as they are in another file."""
    table = _table([part], part.file, part.data, missing)
    found = survey(Columns(table, numeric), form, part.delimiter or ",")
    table = replace(table, notations=found.notations)
    data = pa.table(
        {
            name: floats(table.numbers(name)) if name in numeric else part.data.column(name)
            for name in part.data.column_names
        }
    )
    alike = [Remark(f"{listed(numeric)}: taken as numbers, as in {typed}")] if numeric else []
    return replace(part, data=data, remarks=(*part.remarks, *found.remarks, *alike))


def _as_text(part: Part, numeric: Collection[str]) -> Part:
    """A part with types, whose columns other than some are written as text."""
    columns = {name: part.data.column(name) for name in part.data.column_names}
    data = pa.table(
        {
            name: values if name in numeric or pa.types.is_nested(values.type) else _text(values)
            for name, values in columns.items()
        }
    )
    return replace(part, data=data)


def _text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return plain(values).cast(pa.string())


def _concatenated(parts: Sequence[Part]) -> pa.Table | StoredColumns:
    """The rows of all parts.

    Raises:
        DataError: for a column that holds other things in one than in the other.
    """
    names = parts[0].data.column_names
    if not all(isinstance(part.data, StoredColumns) for part in parts):
        return pa.table({name: _joined(name, parts) for name in names})
    types = {name: [part.data.schema.field(name).type for part in parts] for name in names}
    schema = pa.schema([(name, _unified(name, parts, types[name])) for name in names])
    for name in names:
        if len(set(types[name])) > 1:  # each is cast when it is read, which must not fail then
            for part in parts:
                _cast(part.data.column(name), schema.field(name).type, name, part, parts)
    return joined([part.data for part in parts], schema)


def _joined(name: str, parts: Sequence[Part]) -> pa.ChunkedArray:
    """A column of all parts, of a type that holds the values of each."""
    columns = [without_dictionary(part.data.column(name)) for part in parts]
    storage = _unified(name, parts, [values.type for values in columns])
    cast = [
        _cast(values, storage, name, part, parts)
        for part, values in zip(parts, columns, strict=True)
    ]
    return pa.chunked_array([chunk for values in cast for chunk in values.chunks], storage)


def _cast(
    values: pa.ChunkedArray, storage: pa.DataType, name: str, part: Part, parts: Sequence[Part]
) -> pa.ChunkedArray:
    """A column of a part in the type of all of them.

    Raises:
        DataError: for a value that the type has no place for, as a double has none for 2^53 + 1.
    """
    try:
        return values.cast(storage)
    except pa.ArrowInvalid:
        other = next(each for each in parts if _type_of(name, each) != values.type)
        message = (
            f"holds {values.type}, and {_type_of(name, other)} in {other.file}; {storage} can't "
            "hold all of these exactly: write both files with one type"
        )
        raise DataError(message, file=part.file, column=name) from None


def _type_of(name: str, part: Part) -> pa.DataType:
    """The type of a column's values, whether they are kept in a dictionary or not."""
    return without_dictionary(pa.chunked_array([], part.data.schema.field(name).type)).type


def _unified(name: str, parts: Sequence[Part], types: Sequence[pa.DataType]) -> pa.DataType:
    """A type that holds a column's values of all parts, given those of each.

    Raises:
        DataError: if there is none.
    """
    storage = types[0]
    for part, other in zip(parts, types, strict=True):
        fields = [pa.schema([(name, each)]) for each in (storage, other)]
        try:
            storage = pa.unify_schemas(fields, promote_options="permissive").field(0).type
        except pa.ArrowException:
            message = f"holds {other}, and {storage} in {parts[0].file}"
            raise DataError(message, file=part.file, column=name) from None
    return storage


def _remarks(parts: Sequence[Part]) -> Iterator[tuple[str, Remark]]:
    return ((part.file, remark) for part in parts for remark in part.remarks)
