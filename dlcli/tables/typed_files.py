"""Files whose values have types: Parquet, Arrow IPC and JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from dlcli.errors import DataError
from dlcli.tables.arrow_arrays import common_type, to_common_type
from dlcli.tables.disk_table import batch_rows
from dlcli.tables.source_files import Batches, SourceFile, check_names, incomplete

_ARROW_FILE_MARK = b"ARROW1"


def open_parquet(stored: SourceFile) -> Batches:
    """Open a Parquet file.

    Raises:
        DataError: for a damaged file, also while rows are read.
    """
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


def open_arrow(stored: SourceFile) -> Batches:
    """Open Arrow IPC: the file format, which is also Feather's, or the stream format.

    Raises:
        DataError: for a damaged file, also while rows are read.
    """
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


@contextmanager
def _complete(kind: str, file: str) -> Iterator[None]:
    """Turn pyarrow's errors about a damaged file into a DataError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise incomplete(kind, file, error) from None


def with_common_types(batches: Batches, file: str) -> Batches:
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


# JSON lines: pyarrow reads them; Python finds the row and column of an error.

_BLOCK_BYTES = 16 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_POSSIBLE_NULL = re.compile(rb"[\n}][ \t\r]*null")
"""Where a null may replace an object."""
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def open_json_lines(stored: SourceFile) -> Batches:
    """Open JSON lines. The type of a column follows from its values; dates stay text.

    It is read twice, as a later line may add a column or need a wider type.

    Raises:
        DataError: for a line that is not an object, with its row, or a column of mixed types.
    """
    if stored.head().removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
        message = "holds a JSON array; write JSON lines: one object per line, without brackets"
        raise DataError(message, file=stored.file)
    schema = pa.schema([])
    try:
        for block in _blocks(stored):
            block.decode()  # pyarrow accepts invalid UTF-8
            if _holds_null(block):  # pyarrow crashes
                raise _explain(stored, "null in place of an object")
            # Dates stay text: so they are the same as from CSV.
            fields = [
                field.with_type(pa.string()) if pa.types.is_timestamp(field.type) else field
                for field in _parse(block, None).schema
            ]
            schema = pa.unify_schemas([schema, pa.schema(fields)], promote_options="permissive")
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise _explain(stored, str(error)) from None
    check_names(schema.names, stored.file)
    rows = (batch for block in _blocks(stored) for batch in _parse(block, schema).to_batches())
    return Batches(schema, rows)


def _blocks(stored: SourceFile) -> Iterator[bytes]:
    """Yield the text in blocks of whole lines."""
    rest = b""
    with stored.open() as stream:
        while block := stream.read(_BLOCK_BYTES):
            whole, newline, rest = (rest + block).rpartition(b"\n")
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


def _holds_null(block: bytes) -> bool:
    """Whether a null replaces an object."""
    text = b"\n" + block.removeprefix(_BYTE_ORDER_MARK)
    for found in _POSSIBLE_NULL.finditer(text):
        start, stop = text.rfind(b"\n", 0, found.end()) + 1, text.find(b"\n", found.end())
        try:
            _kinds(text[start : stop if stop >= 0 else None])
        except ValueError:
            return True
    return False


def _explain(stored: SourceFile, reason: str) -> DataError:
    """Find the row for which pyarrow, which doesn't name it, failed for a reason."""
    kinds: dict[str, str] = {}
    lines = (line for block in _blocks(stored) for line in block.splitlines())
    for row, line in enumerate(filter(bytes.strip, lines), start=1):
        try:
            record = _kinds(line.removeprefix(_BYTE_ORDER_MARK))
        except UnicodeDecodeError as error:
            message = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
            return DataError(message, file=stored.file, row=row)
        except json.JSONDecodeError as error:
            message = f"expected one JSON object per line: {error.msg} at character {error.colno}"
            return DataError(message, file=stored.file, row=row)
        except ValueError as error:
            message = f"expected one JSON object per line: {error}"
            return DataError(message, file=stored.file, row=row)
        for name, kind in record.items():
            before = kinds.setdefault(name, kind)
            if kind != before:
                message = f"expected {before}, as in the rows before, got {kind}"
                return DataError(message, file=stored.file, row=row, column=name)
    return DataError(f"can't be read as JSON lines: {reason}", file=stored.file)


class _Pairs(list[tuple[str, object]]):
    """The keys and values of a JSON object; the type distinguishes it from a JSON list."""


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
