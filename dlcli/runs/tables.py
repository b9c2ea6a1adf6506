"""Tables as Parquet files of a run, read with distrust."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dlcli.runs.storage import damaged

if TYPE_CHECKING:
    import pyarrow as pa


def write_parquet(path: Path, table: pa.Table) -> None:
    """Writes a table.

    Raises:
        OSError: if it can't be stored.
    """
    from pyarrow.parquet import write_table

    write_table(table, path)


def read_parquet(stream: BinaryIO, file: Path) -> pa.Table:
    """Reads a table.

    Args:
        stream: the file, which anybody may have made.
        file: where it lies, for messages.

    Raises:
        RunError: if it is no Parquet file.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        return read_table(stream)
    except (ArrowException, OSError) as error:
        raise damaged(file, f"is no Parquet file: {error}") from None
