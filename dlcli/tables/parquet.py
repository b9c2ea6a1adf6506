"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from dlcli.tables.batches import Batches, whole
from dlcli.tables.names import check_names
from dlcli.tables.sources import SourceFile
from dlcli.tables.stored import batch_rows


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
            # One reader for all groups would keep what it has read of each.
            for group in range(source.num_row_groups):
                yield from source.iter_batches(batch_rows(len(schema)), row_groups=[group])

    return Batches(schema, rows())
