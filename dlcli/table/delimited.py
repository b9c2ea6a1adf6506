"""CSV and TSV: text with a header, fields apart by a comma or a tab."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, TextIO

import pyarrow as pa

from dlcli.errors import DataError
from dlcli.table.names import check_names

_BLOCK_BYTES = 16 * 2**20  # the longest row that pyarrow can read
_LARGEST_FIELD = 2**31 - 1  # what a C long holds on every platform
_TAB_ENDINGS = (".tsv", ".tab")
_NEWLINES = "\r\n"
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class _Header:
    """The first record of a file.

    Args:
        names: the columns' names.
        delimiter: what stands between fields.
        size: how many bytes come before the first row.
    """

    names: tuple[str, ...]
    delimiter: str
    size: int


def read_names(stream: BinaryIO, file: str) -> tuple[str, ...]:
    """The columns' names, from the first record.

    Spaces around a name are no part of it. A leading column without a name, which is how pandas
    writes an index, is called `column_1`.

    Raises:
        DataError: no header, or names that could not be told apart.
    """
    return _read_header(stream, file).names


def read(content: bytes, file: str) -> pa.Table:
    """Parse a whole file; every column is text, exactly as written.

    Args:
        content: its bytes.
        file: its name, for messages.

    Raises:
        DataError: what is no UTF-8 text, a row that doesn't fit the header, or an open quote.
    """
    _refuse_nul(content, file)
    header = _read_header(io.BytesIO(content), file)
    try:
        data = _parse(content, header)
    except pa.ArrowException as error:
        reason = f"can't be read as CSV: {str(error).partition(chr(10))[0]}"
        raise _diagnose(content, header, file) or DataError(reason, file=file) from None
    if _may_end_in_quotes(data) and (mistake := _misshapen(content, header, file)):
        raise mistake
    return data


def _parse(content: bytes, header: _Header) -> pa.Table:
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

    return read_csv(
        pa.BufferReader(_rows(content, header.size)),
        read_options=ReadOptions(column_names=header.names, block_size=_BLOCK_BYTES),
        parse_options=ParseOptions(
            delimiter=header.delimiter,
            newlines_in_values=b'"' in content,  # reads on one thread, so only where it is needed
        ),
        convert_options=ConvertOptions(
            column_types=dict.fromkeys(header.names, pa.string()), strings_can_be_null=False
        ),
    )


def _rows(content: bytes, start: int) -> pa.Buffer:
    """What follows the header, with a newline at its end, copied only if there is none."""
    if start < len(content) and content[-1:] in (b"\n", b"\r"):
        return pa.py_buffer(content).slice(start)
    return pa.py_buffer(content[start:] + b"\n")


def _may_end_in_quotes(data: pa.Table) -> bool:
    """Whether the last field took the newline at the end of the file, as one in open quotes does.

    pyarrow takes a quote that never closes for one that closes with the file.
    """
    if data.num_rows == 0:
        return False
    last: str = data.column(data.num_columns - 1)[-1].as_py()
    return last.endswith(tuple(_NEWLINES))


def _read_header(stream: BinaryIO, file: str) -> _Header:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        return _first_record(text, file)
    except UnicodeDecodeError:
        stream.seek(0)
        content = stream.read()
        raise _not_utf8(content, _undecodable_byte(content), ",", file) from None
    except csv.Error:
        message = "the header is quoted wrongly: a quote doesn't close where its field ends"
        raise DataError(message, file=file) from None
    finally:
        text.detach()  # the stream stays its owner's to close


def _first_record(text: TextIO, file: str) -> _Header:
    lines: list[str] = []
    first = _first_line(_recorded(text, lines))
    if first is None:
        raise DataError("is empty, expected a header and rows", file=file)
    delimiter = _delimiter(first, file)
    records = csv.reader(chain([first], _recorded(text, lines)), delimiter=delimiter, strict=True)
    names = _names(next(records))
    check_names(names, file)
    return _Header(tuple(names), delimiter, sum(len(line.encode()) for line in lines))


def _delimiter(first: str, file: str) -> str:
    """What stands between the fields of a header; its first line tells.

    Raises:
        DataError: a header apart by semicolons.
    """
    if "\t" in first and ("," not in first or file.lower().endswith(_TAB_ENDINGS)):
        return "\t"
    if "," not in first and len(next(csv.reader([first], delimiter=";"))) > 1:
        message = "seems to be separated by ';', fields must be separated by commas or tabs"
        raise DataError(f"{message}; save it with one of these", file=file)
    return ","


def _recorded(text: TextIO, lines: list[str]) -> Iterator[str]:
    """The lines of a text, each put on record as it is read."""
    for line in text:
        lines.append(line)
        yield line


def _first_line(lines: Iterator[str]) -> str | None:
    """The first line that is not blank, without byte order mark."""
    stripped = (line.removeprefix(_BYTE_ORDER_MARK) for line in lines)
    return next((line for line in stripped if line.strip(_NEWLINES)), None)


def _names(record: list[str]) -> list[str]:
    names = [name.strip() for name in record]
    if len(names) > 1 and not names[0]:
        names[0] = "column_1"
    return names


def _refuse_nul(content: bytes, file: str) -> None:
    position = content.find(b"\0")
    if position >= 0:
        message = "a NUL byte, expected text; if it is UTF-16, save it as UTF-8"
        raise _error_at(content, position, ",", file, message)


def _diagnose(content: bytes, header: _Header, file: str) -> DataError | None:
    """What is wrong with a file, for which pyarrow gives no row of the file."""
    position = _undecodable_byte(content)
    if position >= 0:
        return _not_utf8(content, position, header.delimiter, file)
    return _misshapen(content, header, file)


def _undecodable_byte(content: bytes) -> int:
    """The place of the first byte that is not UTF-8, -1 if there is none."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return -1


def _not_utf8(content: bytes, position: int, delimiter: str, file: str) -> DataError:
    message = (
        f"byte 0x{content[position]:02x} is not UTF-8; save the file as UTF-8, for instance with "
        "iconv -f latin1 -t utf-8"
    )
    return _error_at(content, position, delimiter, file, message)


def _misshapen(content: bytes, header: _Header, file: str) -> DataError | None:
    """The first row of another width than the header's, or with quotes that don't match."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=header.delimiter, strict=True)
    row, line, width = -1, 0, len(header.names)
    with _long_fields():
        try:
            for row, record in enumerate(filter(None, reader)):
                if len(record) != width:
                    message = f"has {len(record)} fields, the header has {width}; see line "
                    return DataError(message + str(reader.line_num), file=file, row=row)
                line = reader.line_num
        except csv.Error:
            message = f"a quote doesn't close where its field ends; see line {line + 1}"
            return DataError(message, file=file, row=row + 1)
    return None


def _error_at(content: bytes, position: int, delimiter: str, file: str, message: str) -> DataError:
    """An error about one byte, with the row and column that it stands in."""
    text = content[:position].decode("utf-8-sig", "replace") + "?"
    with _long_fields():
        records = filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        header = last = next(records)
        row = 0
        for row, last in enumerate(records, start=1):  # noqa: B007  (the last ones are wanted)
            pass
    if row == 0:
        return DataError(f"in the header: {message}", file=file)
    column = dict(enumerate(_names(header))).get(len(last) - 1)
    return DataError(message, file=file, row=row, column=column)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read a field as long as a file, which an open quote makes."""
    limit = csv.field_size_limit(_LARGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
