"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from dlcli.errors import DataError
from dlcli.table.names import check_names


def begins(head: bytes) -> bool:
    """Whether these are the first bytes of a Parquet file."""
    return head.startswith(b"PAR1")


def read(content: bytes, file: str) -> pa.Table:
    """Parse a whole file.

    Args:
        content: its bytes.
        file: its name, for messages.

    Raises:
        DataError: a file that is damaged, or column names that could not be told apart.
    """
    from pyarrow.parquet import ParquetFile

    with _explained(file):
        source = ParquetFile(pa.BufferReader(content))
        check_names(source.schema_arrow.names, file)
        return source.read()


def read_names(stream: BinaryIO, file: str) -> tuple[str, ...]:
    """The columns' names, from the footer.

    Raises:
        DataError: a file that is damaged, or column names that could not be told apart.
    """
    from pyarrow.parquet import read_schema

    with _explained(file):
        names = tuple(read_schema(stream).names)
    check_names(names, file)
    return names


@contextmanager
def _explained(file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        message = f"is no whole Parquet file, it may have been cut off: write it again ({reason})"
        raise DataError(message, file=file) from None
