"""A file's rows, some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from dlcli.errors import DataError
from dlcli.tables.remarks import Remark


@dataclass(frozen=True)
class Batches:
    """A file that has been opened.

    Reading on may raise a DataError that names the file and, where it can be known, the row.
    """

    schema: pa.Schema
    """The columns' names and types."""
    rows: Iterator[pa.RecordBatch]
    """All rows, in the order of the file; to be read once."""
    delimiter: str | None = None
    """What stands between the fields of text; None for formats whose values have types."""
    remarks: tuple[Remark, ...] = ()
    """What was understood of the file."""


@contextmanager
def whole(kind: str, file: str) -> Iterator[None]:
    """Explains what pyarrow says of a damaged file.

    Args:
        kind: what it should be: `Parquet`.
        file: its name.

    Raises:
        DataError: in the place of pyarrow's own errors.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        message = f"is no whole {kind} file, it may have been cut off: write it again ({reason})"
        raise DataError(message, file=file) from None
