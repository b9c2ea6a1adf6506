"""Files whose values have types: Parquet, Arrow IPC, JSON lines and JSON arrays."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from dlcli.errors import DataError
from dlcli.tables.delimited_text import long_row
from dlcli.tables.source_files import ALWAYS_ALLOWED, Batches, SourceFile, check_names, incomplete
from dlcli.tables.stored_columns import batch_rows
from dlcli.tables.text_lines import LONGEST_ROW

_ARROW_FILE_MARK = b"ARROW1"


def row_group_sizes(stored: SourceFile) -> list[int]:
    """Return the number of rows of each row group of a Parquet file.

    Raises:
        DataError: for a damaged file.
    """
    from pyarrow.parquet import ParquetFile

    with _complete("Parquet", stored), stored.random_access() as file:
        metadata = ParquetFile(file).metadata
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def open_parquet(
    stored: SourceFile, columns: Collection[str] | None = None, groups: range | None = None
) -> Batches:
    """Open a Parquet file.

    Args:
        stored: the file.
        columns: the columns to read, if the file has all of them; all if omitted.
        groups: the row groups to read; all if omitted.

    Raises:
        DataError: for a damaged file, also while rows are read.
    """
    from pyarrow.parquet import ParquetFile

    with _complete("Parquet", stored):
        source = ParquetFile(stored.random_access())
        schema, unread = _with_valid_names(source.schema_arrow), ()
    known = {*schema.names, *(key for key, _ in stored.partition)}
    if columns is not None and known.issuperset(columns):
        read = [field for field in schema if field.name in columns]
        if read:
            unread = tuple(name for name in schema.names if name not in columns)
            schema = pa.schema(read)
    names = schema.names if unread else None

    def rows() -> Iterator[pa.RecordBatch]:
        with _complete("Parquet", stored):
            # One iterator over all groups would keep the data of all.
            for group in range(source.num_row_groups) if groups is None else groups:
                size = batch_rows(len(schema))
                batches = source.iter_batches(size, row_groups=[group], columns=names)
                for batch in batches:
                    batch.validate(full=True)  # texts in a damaged file may not be UTF-8
                    # In pyarrow, a column name also selects columns that extend it by a dot.
                    yield batch if names is None else batch.select(names)

    return Batches(schema, rows(), unread=unread)


def open_arrow(stored: SourceFile) -> Batches:
    """Open Arrow IPC: the file format, which is also Feather's, or the stream format.

    Raises:
        DataError: for a damaged file, also while rows are read.
    """
    from pyarrow import ipc

    with _complete("Arrow", stored):
        if stored.head().startswith(_ARROW_FILE_MARK):
            source = ipc.open_file(stored.random_access())
            batches = (source.get_batch(at) for at in range(source.num_record_batches))
        else:
            source = ipc.open_stream(stored.random_access())
            batches = iter(source)
        schema = _with_valid_names(source.schema)

    def rows() -> Iterator[pa.RecordBatch]:
        with _complete("Arrow", stored):
            for batch in batches:
                batch.validate(full=True)  # offsets in a damaged file may point anywhere
                yield batch

    return Batches(schema, rows())


def _with_valid_names(schema: pa.Schema) -> pa.Schema:
    """Return a schema; `UnicodeDecodeError` for a name of a damaged file that is not UTF-8."""
    tuple(schema.names)  # which decodes them
    return schema


@contextmanager
def _complete(kind: str, stored: SourceFile) -> Iterator[None]:
    """Turn pyarrow's errors about a damaged file into a DataError."""
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if stored.remote is not None:
            stored.remote.check_unchanged()  # or the file is no longer available
        raise incomplete(kind, stored.file, error) from None


# Rare types


def with_plain_types(batches: Batches, file: str) -> Batches:
    """Convert columns of rare types to types that all of Arrow's functions support.

    pyarrow can read and print views, run-end encodings, narrow decimals and extension types, but
    can't select rows of some of them or compare them. Times of day become text, and durations
    numbers of seconds.

    Raises:
        DataError: for lists or objects of such values.
    """
    fields = []
    for field in batches.schema:
        plain_type = _plain_type(field.type)
        if plain_type is None:
            message = f"holds {field.type}, which is not supported; convert it to plain values"
            raise DataError(f"{message} or omit it", file=file, column=field.name)
        fields.append(field.with_type(plain_type))
    schema = pa.schema(fields)
    if schema.types == batches.schema.types:
        return batches
    converted = (list(map(_with_plain_type, batch.columns)) for batch in batches.rows)
    rows = (pa.RecordBatch.from_arrays(columns, schema=schema) for columns in converted)
    return replace(batches, schema=schema, rows=rows)


_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@cache  # a table may have a million columns
def _plain_type(storage: pa.DataType) -> pa.DataType | None:
    empty = _with_plain_type(pa.nulls(0, storage))
    if pa.types.is_nested(storage):  # no other way to check whether it supports the type
        try:
            empty.take(pa.nulls(0, pa.int64()))
        except pa.ArrowNotImplementedError:
            return None
    return empty.type


def _with_plain_type(values: pa.Array) -> pa.Array:
    storage = values.type
    if isinstance(values, pa.ExtensionArray):
        return _with_plain_type(values.storage)
    if isinstance(values, pa.RunEndEncodedArray):
        return _with_plain_type(pc.run_end_decode(values))
    if isinstance(values, pa.DictionaryArray):
        words = _with_plain_type(values.dictionary)
        return pa.DictionaryArray.from_arrays(values.indices, words, ordered=storage.ordered)
    if pa.types.is_decimal32(storage) or pa.types.is_decimal64(storage):
        return values.cast(pa.decimal128(storage.precision, storage.scale))
    if pa.types.is_time(storage):  # of day, as in CSV
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
    if pa.types.is_duration(storage):
        return pc.divide(values.cast(pa.int64()).cast(pa.float64()), _PER_SECOND[storage.unit])
    plain_type = _without_views(storage)
    return values if plain_type == storage else values.cast(plain_type)


def _without_views(storage: pa.DataType) -> pa.DataType:
    """Replace views in a type of texts or bytes, or of lists and objects of them."""
    if storage == pa.string_view():
        return pa.large_string()  # a view is not limited to 2 GiB
    if storage == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_list(storage):
        return pa.list_(_without_views(storage.value_type))
    if pa.types.is_large_list(storage):
        return pa.large_list(_without_views(storage.value_type))
    if pa.types.is_struct(storage):
        return pa.struct([(field.name, _without_views(field.type)) for field in storage])
    return storage


# JSON lines: pyarrow reads them; Python finds the row and column of an error.

BLOCK_BYTES = 2**24
_SPACE = re.compile(r"[ \t\r\n]*")
_POSSIBLE_NULL = re.compile(rb"(?:^(?:\xef\xbb\xbf)?|[\n}])[ \t\r]*null")
"""A null that may replace a whole object, instead of being part of one."""
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def open_json_lines(stored: SourceFile) -> Batches:
    """Open JSON lines, or a JSON array of objects.

    The type of a column follows from its values; dates stay text.

    The file is read twice, since a later line may add a column or need a wider type.

    Raises:
        DataError: for a line that is not an object, with its row, or a column of mixed types.
    """
    if stored.head().removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        stored = _as_json_lines(stored)
    schema = pa.schema([])
    try:
        for block in _blocks(stored):
            block.decode()  # pyarrow accepts invalid UTF-8
            # pyarrow crashes if a line is null.
            if _POSSIBLE_NULL.search(block) and (error := _first_error(stored)):
                raise error
            # Dates stay text, as in CSV.
            fields = [
                field.with_type(pa.string()) if pa.types.is_timestamp(field.type) else field
                for field in _parse(block, None).schema
            ]
            schema = pa.unify_schemas([schema, pa.schema(fields)], promote_options="permissive")
    except (UnicodeDecodeError, pa.ArrowException) as error:
        unexplained = DataError(f"can't be read as JSON lines: {error}", file=stored.file)
        raise _first_error(stored) or unexplained from None
    check_names(schema.names, stored.file)
    rows = (batch for block in _blocks(stored) for batch in _parse(block, schema).to_batches())
    return Batches(schema, rows)


def _as_json_lines(stored: SourceFile) -> SourceFile:
    """Return the objects of a JSON array as JSON lines, in memory.

    Raises:
        DataError: for a text that is not an array, with the row, or is too large.
    """
    whole = stored.in_memory()
    if len(whole.content) > ALWAYS_ALLOWED:
        message = f"exceeds {ALWAYS_ALLOWED >> 20} MiB, the limit for a JSON array; use JSON lines"
        raise DataError(message, file=stored.file)
    try:
        text = whole.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise DataError(message, file=stored.file) from None
    decode, sign = json.JSONDecoder().raw_decode, ","
    lines: list[str] = []
    position = text.index("[") + 1
    is_empty = text[_after_space(text, position) :].startswith("]")
    while sign == "," and not is_empty:
        start = _after_space(text, position)
        try:
            _, position = decode(text, start)
        except json.JSONDecodeError as error:
            message = f"expected a JSON object: {error.msg}, in line {error.lineno}"
            raise DataError(message, file=stored.file, row=len(lines) + 1) from None
        except RecursionError:
            message = "expected a JSON object: nested too deeply"
            raise DataError(message, file=stored.file, row=len(lines) + 1) from None
        # Line ends are only between the values of an object, as text has them as escapes.
        lines.append(text[start:position].replace("\n", " ").replace("\r", " "))
        position = _after_space(text, position)
        sign, position = text[position : position + 1], position + 1
    if not is_empty and (sign != "]" or text[position:].strip()):
        message = f"expected a comma or the end of the JSON array after row {len(lines)}"
        raise DataError(message, file=stored.file)
    return replace(whole, content="\n".join(lines).encode(), compression=None)


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _blocks(stored: SourceFile) -> Iterator[bytes]:
    """Yield the text in blocks of whole lines."""
    rest = b""
    with stored.open() as stream:
        while block := stream.read(BLOCK_BYTES):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if len(rest) > LONGEST_ROW:
                raise long_row(stored)
            if whole.strip():
                yield whole + newline
    if rest.strip():
        yield rest


def _parse(block: bytes, schema: pa.Schema | None) -> pa.Table:
    from pyarrow.json import ParseOptions, ReadOptions, read_json

    return read_json(
        pa.BufferReader(block),
        read_options=ReadOptions(block_size=max(len(block), 1)),
        parse_options=ParseOptions(explicit_schema=schema),
    )


def _first_error(stored: SourceFile) -> DataError | None:
    """Return the error for the first line that is not an object, or changes a column's kind."""
    kinds: dict[str, str] = {}
    lines = (line for block in _blocks(stored) for line in block.splitlines())
    for row, line in enumerate(filter(bytes.strip, lines), start=1):
        message, column = "", None
        try:
            record = _kinds(line.removeprefix(codecs.BOM_UTF8))
        except UnicodeDecodeError as error:
            message = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at character {error.colno}"
            message = f"expected one JSON object per line: {reason}"
        except ValueError as error:
            message = f"expected one JSON object per line: {error}"
        except RecursionError:
            message = "expected one JSON object per line: nested too deeply"
        else:
            names = (name for name, kind in record.items() if kinds.setdefault(name, kind) != kind)
            column = next(names, None)
            if column is not None:
                message = f"expected {kinds[column]} as in earlier rows, got {record[column]}"
        if message:
            return DataError(message, file=stored.file, row=row, column=column)
    return None


class _Pairs(list[tuple[str, object]]):
    """The keys and values of a JSON object; a separate type, unlike a JSON list."""


def _kinds(line: bytes) -> dict[str, str]:
    """Return the kind of each value of a line's object that is not null.

    Raises:
        ValueError: for a line that is not a JSON object, or repeats a key.
    """
    pairs = json.loads(line, object_pairs_hook=_Pairs)
    if not isinstance(pairs, _Pairs):
        raise ValueError(f"got {_KINDS.get(type(pairs), 'null')}")
    kinds: dict[str, str] = {}
    for name, value in pairs:
        if name in kinds:
            raise ValueError(f"key '{name}' occurs twice")
        kinds[name] = "an object" if isinstance(value, _Pairs) else _KINDS.get(type(value), "")
    return {name: kind for name, kind in kinds.items() if kind}
