"""Where a delimited text is wrong, for which pyarrow gives no row of the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from dlcli.errors import DataError, plural
from dlcli.tables.dialect import Header, header_names

if TYPE_CHECKING:
    from _csv import Reader

_LARGEST_FIELD = 2**31 - 1  # what a C long holds on every platform
_LONGEST_LINE = 2**24
"""Characters of the longest line whose fields are counted: each may take a hundred bytes."""


def misshapen(stream: BinaryIO, header: Header, file: str) -> DataError | None:
    """The first row of another width than the header's, or with quotes that don't match.

    Args:
        stream: the text as UTF-8, from its beginning.
        header: its header.
        file: its name, for messages.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        with _long_fields():
            reader = csv.reader(text, delimiter=header.delimiter, strict=True)
            return _first_misshapen(reader, len(header.names), file)
    finally:
        text.detach()  # the stream stays its owner's to close


def _first_misshapen(reader: Reader, width: int, file: str) -> DataError | None:
    row, line = -1, 0
    try:
        for row, record in enumerate(filter(None, reader)):
            if len(record) != width:
                fields = plural(len(record), "field")
                message = f"has {fields}, the header has {width}; see line {reader.line_num}"
                return DataError(message + _question(width), file=file, row=row)
            line = reader.line_num
    except csv.Error:
        message = f"a quote doesn't close where its field ends; see line {line + 1}"
        return DataError(message, file=file, row=row + 1)
    return None


def _question(width: int) -> str:
    """What may be wrong where the header is a single field, and rows are more."""
    return "; is the header further down, or do texts lack quotes?" if width == 1 else ""


def error_after(text: str, delimiter: str, file: str, message: str) -> DataError:
    """An error about what comes after a text, with the row and column that it stands in.

    Args:
        text: the file's beginning.
        delimiter: what stands between its fields.
        file: its name.
        message: what is wrong.
    """
    if any(len(line) > _LONGEST_LINE for line in io.StringIO(text, newline="")):
        return DataError(f"behind {len(text):,} characters: {message}", file=file)
    with _long_fields():
        lines = io.StringIO(text.removeprefix("\ufeff") + "?", newline="")
        records = filter(None, csv.reader(lines, delimiter=delimiter))
        header = last = next(records)
        row = 0
        for row, last in enumerate(records, start=1):  # noqa: B007  (the last ones are wanted)
            pass
    if row == 0:
        return DataError(f"in the header: {message}", file=file)
    column = dict(enumerate(header_names(header))).get(len(last) - 1)
    return DataError(message, file=file, row=row, column=column)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read a field as long as a file, which an open quote makes."""
    limit = csv.field_size_limit(_LARGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
