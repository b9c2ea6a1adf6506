"""JSON lines: one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pyarrow as pa

from dlcli.errors import DataError
from dlcli.tables import charset
from dlcli.tables.batches import Batches
from dlcli.tables.names import check_names
from dlcli.tables.sources import SourceFile

_BLOCK_BYTES = 16 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NULL_OUTSIDE = re.compile(rb"[\n}][ \t\r]*null")
"""Where a null may stand in the place of an object."""
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def open_batches(stored: SourceFile) -> Batches:
    """Opens a file. The type of a column follows from its values; dates stay text.

    It is read twice, as a later line may bring a new column or a wider type.

    Raises:
        DataError: a line that is no object, with its row, or a column of mixed types.
    """
    with stored.open() as stream:
        _refuse_array(next(charset.blocks(stream), b""), stored.file)
    schema = _schema(stored)
    check_names(schema.names, stored.file)

    def rows() -> Iterator[pa.RecordBatch]:
        for block in _line_blocks(stored):
            yield from _parsed(block, schema).to_batches()

    return Batches(schema, rows())


def _refuse_array(head: bytes, file: str) -> None:
    if head.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
        message = "holds a JSON array; write JSON lines: one object a line, without brackets"
        raise DataError(message, file=file)


def _schema(stored: SourceFile) -> pa.Schema:
    """The columns of all lines, each of a type that holds all its values."""
    schema = pa.schema([])
    try:
        for block in _line_blocks(stored):
            block.decode()  # pyarrow takes any bytes for UTF-8 here
            if _holds_null(block):
                raise _diagnose(stored, "null in the place of an object")
            found = pa.schema(map(_as_text, _parsed(block, None).schema))
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise _diagnose(stored, str(error)) from None
    return schema


def _as_text(field: pa.Field) -> pa.Field:
    """A field, text if it is a date: its text would not survive, and is to equal that of a CSV."""
    return field.with_type(pa.string()) if pa.types.is_timestamp(field.type) else field


def _parsed(block: bytes, schema: pa.Schema | None) -> pa.Table:
    from pyarrow.json import ParseOptions, ReadOptions, read_json

    return read_json(
        pa.BufferReader(block),
        read_options=ReadOptions(block_size=max(len(block), 1)),
        parse_options=ParseOptions(explicit_schema=schema),
    )


def _holds_null(block: bytes) -> bool:
    """Whether a null stands in the place of an object, at which pyarrow crashes."""
    text = b"\n" + block.removeprefix(_BYTE_ORDER_MARK)
    for found in _NULL_OUTSIDE.finditer(text):
        start, stop = text.rfind(b"\n", 0, found.end()) + 1, text.find(b"\n", found.end())
        try:
            _object(text[start : stop if stop >= 0 else None])
        except ValueError:
            return True
    return False


def _line_blocks(stored: SourceFile) -> Iterator[bytes]:
    """Yields the text in blocks of whole lines."""
    rest = b""
    with stored.open() as stream:
        while block := stream.read(_BLOCK_BYTES):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if whole.strip():
                yield whole + newline
    if rest.strip():
        yield rest


def _diagnose(stored: SourceFile, reason: str) -> DataError:
    """What made pyarrow, which names no row of the file, refuse it."""
    kinds: dict[str, str] = {}
    file = stored.file
    lines = (line for block in _line_blocks(stored) for line in block.splitlines())
    for row, line in enumerate(filter(bytes.strip, lines), start=1):
        try:
            record = _object(line.removeprefix(_BYTE_ORDER_MARK))
        except ValueError as error:
            return DataError(_reason(error), file=file, row=row)
        for name, kind in record.items():
            before = kinds.setdefault(name, kind)
            if kind != before:
                message = f"expected {before}, as in the rows before, got {kind}"
                return DataError(message, file=file, row=row, column=name)
    return DataError(f"can't be read as JSON lines: {reason}", file=file)


def _reason(error: ValueError) -> str:
    """What is wrong with a line."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"expected one JSON object a line: {error.msg} at character {error.colno}"
    return f"expected one JSON object a line: {error}"


def _object(line: bytes) -> dict[str, str]:
    """The kind of each value that is not null in a line's object.

    Raises:
        ValueError: a line that is no JSON object, or names a key twice.
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


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its keys as they came, told apart from a JSON list by its type."""
