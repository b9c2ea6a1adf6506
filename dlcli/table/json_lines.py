"""JSON lines: one object a line."""

from __future__ import annotations

import json
import re

import pyarrow as pa

from dlcli.errors import DataError
from dlcli.table.names import check_names

_BLOCK_BYTES = 16 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*\{)")
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def begins(head: bytes) -> bool:
    """Whether these are the first bytes of JSON objects, as lines or in an array."""
    return _BEGINNING.match(head) is not None


def read(content: bytes, file: str) -> pa.Table:
    """Parse a whole file. The type of a column follows from its values; dates stay text.

    Args:
        content: its bytes.
        file: its name, for messages.

    Raises:
        DataError: a line that is no object, with its row, or a column of mixed types.
    """
    if content.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
        message = "holds a JSON array; write JSON lines: one object a line, without brackets"
        raise DataError(message, file=file)
    try:
        content.decode()  # pyarrow takes any bytes for UTF-8 here
        data = _read(content)
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise _diagnose(content, file, str(error)) from None
    check_names(data.column_names, file)
    return data


def _read(content: bytes) -> pa.Table:
    data = _read_as(content, None)
    # The text of a date would not survive: it is to equal the same text in a CSV.
    dates = [field.name for field in data.schema if pa.types.is_timestamp(field.type)]
    if not dates:
        return data
    schema = pa.schema([pa.field(name, pa.string()) for name in dates])
    return _read_as(content, schema).select(data.column_names)


def _read_as(content: bytes, schema: pa.Schema | None) -> pa.Table:
    from pyarrow.json import ParseOptions, ReadOptions, read_json

    return read_json(
        pa.BufferReader(content),
        read_options=ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=ParseOptions(explicit_schema=schema),
    )


def _diagnose(content: bytes, file: str, reason: str) -> DataError:
    """What made pyarrow, which names no row of the file, refuse it."""
    kinds: dict[str, str] = {}
    lines = filter(bytes.strip, content.removeprefix(_BYTE_ORDER_MARK).splitlines())
    for row, line in enumerate(lines, start=1):
        try:
            record = _object(line)
        except ValueError as error:
            return DataError(f"expected one JSON object a line: {error}", file=file, row=row)
        for name, kind in record.items():
            before = kinds.setdefault(name, kind)
            if kind != before:
                message = f"expected {before}, as in the rows before, got {kind}"
                return DataError(message, file=file, row=row, column=name)
    return DataError(f"can't be read as JSON lines: {reason}", file=file)


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
