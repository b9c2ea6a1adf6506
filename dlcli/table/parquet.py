"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from dlcli.table.batches import Batches, whole
from dlcli.table.names import check_names
from dlcli.table.sources import SourceFile


def open_batches(stored: SourceFile) -> Batches:
    """Opens a file.

    Raises:
        DataError: a file that is damaged, also while rows are read, or column names that could not
            be told apart.
    """
    from pyarrow.parquet import ParquetFile

    with whole("Parquet", stored.file):
        source = ParquetFile(stored.random_access())
    schema = source.schema_arrow
    check_names(schema.names, stored.file)

    def rows() -> Iterator[pa.RecordBatch]:
        with whole("Parquet", stored.file):
            yield from source.iter_batches()

    return Batches(schema, rows())
