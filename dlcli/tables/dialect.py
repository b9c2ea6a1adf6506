"""The first record of a delimited text: its names, and what stands between them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TextIO

from dlcli.errors import DataError
from dlcli.tables.names import check_names
from dlcli.tables.remarks import Remark

_DELIMITERS = (",", "\t", ";", "|")
"""What is tried, the more usual first."""
_RECORDS = 20
_SAMPLE = 2**16
"""How many records, or characters, tell what stands between fields."""
_NEWLINES = "\r\n"
_EXCEL_HINT = re.compile(r"(?i)\"?sep=.?\"?(?=[\r\n])")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Header:
    """The first record of a file."""

    names: tuple[str, ...]
    """The columns' names."""
    delimiter: str
    """What stands between fields."""
    size: int
    """How many bytes of UTF-8 come before the first row."""


@dataclass(frozen=True)
class _Parting:
    """What a delimiter makes of a text."""

    delimiter: str
    width: int
    """Fields of the header."""
    share: float
    """Share of the first records that have as many; 0 without records."""


def read_header(text: str, delimiter: str, file: str) -> Header:
    """Reads the first record.

    Spaces around a name are no part of it. A leading column without a name, which is how pandas
    writes an index, is called `column_1`.

    Args:
        text: the file's beginning, with the whole of the record in it.
        delimiter: what stands between fields.
        file: its name, for messages.

    Raises:
        DataError: no header, or names that could not be told apart.
    """
    lines: list[str] = []
    recorded = _recorded(io.StringIO(text, newline=""), lines)
    first = _first_line(recorded)
    if first is None:
        raise DataError("is empty, expected a header and rows", file=file)
    if hint := _EXCEL_HINT.match(first):
        raise DataError(f"its first line, '{hint[0]}', is a note for Excel; delete it", file=file)
    try:
        record = next(csv.reader(chain([first], recorded), delimiter=delimiter, strict=True))
    except csv.Error:
        message = "the header is quoted wrongly: a quote doesn't close where its field ends"
        raise DataError(message, file=file) from None
    names = header_names(record)
    check_names(names, file)
    return Header(tuple(names), delimiter, sum(len(line.encode()) for line in lines))


def header_names(record: Sequence[str]) -> list[str]:
    """The names that a header's fields stand for."""
    names = [name.strip() for name in record]
    if len(names) > 1 and not names[0]:
        names[0] = "column_1"
    return names


def find_delimiter(text: str, *, prefer_tab: bool) -> tuple[str, tuple[Remark, ...]]:
    """Finds out what stands between fields: it parts the first records as it does the header.

    Args:
        text: the file's beginning.
        prefer_tab: whether its name says that it is TSV.

    Returns:
        The delimiter, and what is to be said of it.
    """
    found = [parting for sign in _DELIMITERS if (parting := _parting(text, sign)).width > 1]
    if not found:
        return ",", ()
    found.sort(key=lambda parting: prefer_tab and parting.delimiter == "\t", reverse=True)
    best = max(found, key=lambda parting: (parting.share, parting.share and parting.width))
    rivals = [parting.delimiter for parting in found if parting.share == best.share == 1]
    return best.delimiter, tuple(_remarks(best.delimiter, rivals, is_tsv=prefer_tab))


def _remarks(delimiter: str, rivals: Sequence[str], *, is_tsv: bool) -> Iterator[Remark]:
    if len(rivals) > 1:
        signs = " or ".join(map(_called, rivals))
        message = f"fields may be separated by {signs}, taken as {_called(delimiter)}; to be sure, "
        yield Remark(f"{message}say data.format: {{name: csv, delimiter: ...}}", True)
    elif delimiter != ("\t" if is_tsv else ","):
        yield Remark(f"fields are separated by {_called(delimiter)}")


def _called(delimiter: str) -> str:
    return "tabs" if delimiter == "\t" else f"'{delimiter}'"


def _parting(text: str, delimiter: str) -> _Parting:
    lines = io.StringIO(text[:_SAMPLE].removeprefix(_BYTE_ORDER_MARK), newline="")
    records = [record for record in csv.reader(lines, delimiter=delimiter) if record]
    if len(text) > _SAMPLE:
        records.pop()  # the sample's end may cut it
    header, rows = records[:1], records[1 : 1 + _RECORDS]
    width = len(header[0]) if header else 0
    share = sum(len(row) == width for row in rows) / len(rows) if rows else 0.0
    return _Parting(delimiter, width, share)


def _recorded(text: TextIO, lines: list[str]) -> Iterator[str]:
    """The lines of a text, each put on record as it is read."""
    for line in text:
        lines.append(line)
        yield line


def _first_line(lines: Iterator[str]) -> str | None:
    """The first line that is not blank, without byte order mark."""
    stripped = (line.removeprefix(_BYTE_ORDER_MARK) for line in lines)
    return next((line for line in stripped if line.strip(_NEWLINES)), None)
