"""Files to tables, told apart by what they begin with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcli.errors import DataError, UsageError, did_you_mean
from dlcli.table import delimited, json_lines, parquet
from dlcli.table.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD_BYTES = 4096
_COMPRESSED = "is compressed; unpack it first"
_NO_TABLES = {
    b"PK\x03\x04": "is a zip or an Excel file; export the sheet as CSV",
    b"\x1f\x8b": _COMPRESSED,  # gzip
    b"\x28\xb5\x2f\xfd": _COMPRESSED,  # zstd
}
"""What files begin with that people take for tables, and what to do about it."""
_PARQUET_ENDINGS = (".parquet", ".pq")


def read_table(path: str | Path, missing: Sequence[str] = ()) -> Table:
    """Read a CSV, TSV, Parquet or JSON lines file.

    Args:
        path: the file; `-` is standard input.
        missing: words that count as missing, besides empty fields.

    Raises:
        UsageError: a file that is not there or can't be read.
        DataError: a file that is no table, is damaged, has no rows, or has rows that don't fit its
            header.
    """
    file = "standard input" if str(path) == "-" else str(path)
    content = _read(path, file)
    data = _parse(content, file)
    if data.num_rows == 0:
        raise DataError("has a header but no rows", file=file)
    numbers = np.arange(1, data.num_rows + 1, dtype=np.int64)
    return Table(file, data, numbers, tuple(missing))


def read_header(path: str | Path) -> tuple[str, ...]:
    """The columns' names. Only JSON lines, where any row may bring a new one, are read whole.

    Args:
        path: the file; not standard input, which can be read only once.

    Raises:
        UsageError: a file that is not there or can't be opened.
        DataError: a file that is no table, is empty or damaged, or names that could not be told
            apart.
    """
    file = str(path)
    with _open(path) as stream:
        head = stream.peek(_HEAD_BYTES)
        _refuse_others(head, file)
        if parquet.begins(head):
            return parquet.read_names(stream, file)
        if json_lines.begins(head):
            return tuple(_parse(stream.read(), file).column_names)
        return delimited.read_names(stream, file)


def _read(path: str | Path, file: str) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read()
        with _open(path) as stream:
            return stream.read()
    except OSError as error:
        raise UsageError(f"{file}: can't be read: {error.strerror}") from None


def _refuse_others(head: bytes, file: str) -> None:
    """Refuses what is no table, or not the one that its name says.

    Raises:
        DataError: saying what it is.
    """
    for beginning, message in _NO_TABLES.items():
        if head.startswith(beginning):
            raise DataError(message, file=file)
    if file.lower().endswith(_PARQUET_ENDINGS) and not parquet.begins(head):
        message = "is no Parquet file: it doesn't begin with PAR1; write it again, or rename it"
        raise DataError(message, file=file)


def _parse(content: bytes, file: str) -> pa.Table:
    _refuse_others(content, file)
    if parquet.begins(content):
        return parquet.read(content, file)
    if json_lines.begins(content):
        return json_lines.read(content, file)
    return delimited.read(content, file)


def _open(path: str | Path) -> BufferedReader:
    """Open a file for reading, or say why not.

    Raises:
        UsageError: with the nearest name in the folder if the file is not there.
    """
    path = Path(path)
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file{did_you_mean(path.name, _siblings(path))}"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, a file was expected") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be opened: {error.strerror}") from None
    except ValueError as error:  # a NUL character in the name
        raise UsageError(f"{str(path)!r}: can't be opened: {error}") from None


def _siblings(path: Path) -> list[str]:
    """The names in a file's folder, none if it can't be listed."""
    try:
        return [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []
