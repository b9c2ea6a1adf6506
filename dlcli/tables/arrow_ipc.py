"""Arrow IPC: the file format, which is Feather's too, and the stream format."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from dlcli.tables.batches import Batches, whole
from dlcli.tables.names import check_names
from dlcli.tables.sources import SourceFile

_FILE_MARK = b"ARROW1"


def open_batches(stored: SourceFile) -> Batches:
    """Opens a file of either format.

    Raises:
        DataError: a file that is damaged, also while rows are read, or column names that could not
            be told apart.
    """
    from pyarrow import ipc

    with whole("Arrow", stored.file):
        if stored.head().startswith(_FILE_MARK):
            source = ipc.open_file(stored.random_access())
            batches = (source.get_batch(at) for at in range(source.num_record_batches))
        else:
            source = ipc.open_stream(stored.random_access())
            batches = iter(source)
    check_names(source.schema.names, stored.file)
    return Batches(source.schema, _checked(batches, stored.file))


def _checked(batches: Iterator[pa.RecordBatch], file: str) -> Iterator[pa.RecordBatch]:
    """Yields batches, each looked through: what a damaged one points to may lie anywhere."""
    with whole("Arrow", file):
        for batch in batches:
            batch.validate(full=True)
            yield batch
