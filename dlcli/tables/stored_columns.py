"""Columns that are not all in memory: on disk, or distributed over the workers of a cluster.

From disk, dlcli reads one column, or some rows of all columns, at a time. In a cluster, each worker
holds a share of the rows. All workers run the same program and read the same column at the same
time; each receives the other workers' shares of this column. So each process computes the same from
a column as a single machine would, to the bit. A process never holds more than its share of the
rows and one whole column.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import integers, plain, widened
from dlcli.cluster import NO_OTHERS, ConnectedWorkers, Workers
from dlcli.errors import TrainingError, option

ROWS_PER_BATCH = 65_536
_VALUES_PER_BATCH = 2**24
"""Maximum number of values in a batch: 64 MiB of float32."""
BYTES_PER_BATCH = 2**28
"""Maximum size of a batch with several rows, so long texts do not fill the memory."""


def batch_rows(columns: int) -> int:
    """Return the number of rows to read or write at once, given the number of columns."""
    return max(1, min(ROWS_PER_BATCH, _VALUES_PER_BATCH // max(columns, 1)))


class Columns(Protocol):
    """The columns of a table: a `pa.Table`, or its counterpart on disk or in a cluster."""

    @property
    def schema(self) -> pa.Schema:
        """The columns' names and types."""

    @property
    def num_rows(self) -> int:
        """The number of rows."""

    def column(self, name: str) -> pa.ChunkedArray:
        """Read a column."""

    def slice(self, start: int, length: int) -> pa.Table:
        """Read adjacent rows of all columns."""


@dataclass(frozen=True)
class Storage:
    """Where rows are stored: in memory, in a folder, or distributed over several workers."""

    folder: Path | None = None
    """A folder for files of rows; None for memory."""
    workers: Workers = NO_OTHERS
    """The workers, all of which read and encode at the same time."""


IN_MEMORY = Storage()


@dataclass(frozen=True)
class Piece:
    """Rows in an Arrow IPC file that dlcli wrote."""

    path: Path
    ends: tuple[int, ...]
    """The number of rows up to the end of each batch, (batches,)."""
    schema: pa.Schema
    """The columns' names and types."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.ends[-1] if self.ends else 0

    def column(self, name: str) -> pa.ChunkedArray:
        """Read a column, without the others."""
        position = self.schema.get_field_index(name)
        options = pa.ipc.IpcReadOptions(included_fields=[position])
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file, options=options)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            # A copy, since Arrow allocates all columns of a batch to read one of them.
            parts = [pa.concat_arrays([batch.column(0)]) for batch in batches]
        return pa.chunked_array(parts, self.schema.field(position).type)

    def between(self, start: int, stop: int) -> pa.Table:
        """Read adjacent rows of all columns, at least one row."""
        first, last = bisect_right(self.ends, start), bisect_left(self.ends, stop) + 1
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            batches = [reader.get_batch(number) for number in range(first, last)]
        whole = pa.Table.from_batches(batches, reader.schema)
        return whole.slice(start - (self.ends[first - 1] if first else 0), stop - start)


@dataclass(frozen=True)
class StoredColumns:
    """The counterpart of a `pa.Table` on disk: pieces with consecutive rows."""

    pieces: tuple[Piece, ...]
    schema: pa.Schema
    """The columns' names, each with a type that fits the values of all pieces."""
    selection: NDArray[np.int64] | None = None
    """The indices of the selected rows, in order; None for all."""

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return sum(p.rows for p in self.pieces) if self.selection is None else len(self.selection)

    def column(self, name: str) -> pa.ChunkedArray:
        """Read a column from disk."""
        pa.default_memory_pool().release_unused()  # the memory of the previous column
        storage = self.schema.field(name).type
        parts = [piece.column(name).cast(storage) for piece in self.pieces]
        chunks = [chunk for part in parts for chunk in part.chunks]
        values = widened(pa.chunked_array(chunks, storage))
        return values if self.selection is None else values.take(integers(self.selection))

    def take(self, rows: NDArray[np.int64]) -> StoredColumns:
        """Select rows, in the order given, without reading them."""
        return replace(self, selection=rows if self.selection is None else self.selection[rows])

    def slice(self, start: int, length: int) -> pa.Table:
        """Read adjacent rows of all columns."""
        if self.selection is None:
            return self._between(start, min(start + length, self.num_rows))
        rows = self.selection[start : start + length]
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        # Only the batches that contain the rows are read: a few rows of a long table are far apart.
        batches = np.searchsorted(self._batch_ends, rows, side="right")
        parts = [
            self._between(int(near[0]), int(near[-1]) + 1).take(integers(near - near[0]))
            for near in np.split(rows, np.flatnonzero(np.diff(batches)) + 1)
            if len(near)
        ]
        found = pa.concat_tables([_no_rows(self.schema), *parts])
        return found.take(integers(np.argsort(order)))

    @cached_property
    def _batch_ends(self) -> NDArray[np.int64]:
        """The number of rows up to the end of each batch of all pieces, (batches,)."""
        ends: list[int] = []
        for piece in self.pieces:
            before = ends[-1] if ends else 0
            ends += [before + end for end in piece.ends]
        return np.array(ends, dtype=np.int64)

    def _between(self, start: int, stop: int) -> pa.Table:
        parts, before = [_no_rows(self.schema)], 0
        for piece in self.pieces:
            first, last = max(start - before, 0), min(stop - before, piece.rows)
            if first < last:
                part = piece.between(first, last).select(self.schema.names)
                parts.append(part.cast(self.schema))
            before += piece.rows
        return pa.concat_tables(parts)


def take_rows(columns: Any, rows: NDArray[np.int64]) -> Any:  # noqa: ANN401
    """Select rows, in the order given, wherever they are stored.

    Args:
        columns: see `Columns`.
        rows: indices from 0, (rows,).
    """
    if not isinstance(columns, pa.Table):
        return columns.take(rows)
    wide = pa.table({name: widened(columns.column(name)) for name in columns.column_names})
    return wide.take(integers(rows))


def store(schema: pa.Schema, batches: Iterator[pa.RecordBatch], path: Path) -> StoredColumns:
    """Write rows to an Arrow IPC file.

    Args:
        schema: the names and types of the columns.
        batches: the rows, read once.
        path: the file, which must not exist.

    Raises:
        DataError: from reading the rows.
        TrainingError: if they cannot be written.
    """
    schema = plain_schema(schema)
    ends: list[int] = []
    with storing(path.parent):
        path.touch(exist_ok=False)
        file = pa.OSFile(str(path), "wb")
    try:
        with storing(path.parent):
            writer = pa.ipc.new_file(file, schema)
        # Reading happens outside `storing`, so its errors are not reported as errors of writing.
        for batch in _rebatched(batches, schema):
            with storing(path.parent):
                writer.write(batch)
            ends.append(batch.num_rows + (ends[-1] if ends else 0))
        with storing(path.parent):
            writer.close()
    finally:
        with storing(path.parent):
            file.close()
    return StoredColumns((Piece(path, tuple(ends), schema),), schema)


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Convert the errors of storing rows within a block.

    Raises:
        TrainingError: instead of the system's errors.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow's own text is long
        way_out = f"free some space or set another folder with {option('output')}"
        message = f"{folder}: can't store rows: {reason}; {way_out}"
        raise TrainingError(message) from error


def without_dictionary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values in a plain type; a column of nulls is unchanged, since it fits any type."""
    return values if pa.types.is_null(values.type) else plain(values)


def _without_dictionaries(rows: pa.Table) -> pa.Table:
    """Return rows without dictionaries: an Arrow IPC file allows only one for each column."""
    return pa.table({name: without_dictionary(rows.column(name)) for name in rows.column_names})


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns, with their types without dictionary."""
    return _without_dictionaries(_no_rows(schema)).schema


def _no_rows(schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([], schema)


def _rebatched(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of equal size, or of fewer rows where texts are long."""
    size, held = batch_rows(len(schema)), _no_rows(schema)
    for batch in batches:
        held = pa.concat_tables([held, _without_dictionaries(pa.Table.from_batches([batch]))])
        rest = held.num_rows % size if held.nbytes < BYTES_PER_BATCH else 0
        full, held = held.slice(0, held.num_rows - rest), held.slice(held.num_rows - rest)
        yield from _cut(full, size)
    yield from _cut(held, size)


def _cut(rows: pa.Table, size: int) -> Iterator[pa.RecordBatch]:
    """Yield rows in batches of a size, each halved until it has few enough bytes."""
    for start in range(0, rows.num_rows, size):
        part = rows.slice(start, size)
        if part.nbytes > BYTES_PER_BATCH and part.num_rows > 1:
            yield from _cut(part, (part.num_rows + 1) // 2)
        else:
            [batch] = part.combine_chunks().to_batches()
            yield batch


# In a cluster


@dataclass(frozen=True)
class RowShares:
    """The worker that holds each row."""

    workers: ConnectedWorkers
    owners: NDArray[np.int32]
    """The rank of the worker, (rows,)."""
    indices: NDArray[np.int64]
    """The index of the row among those of that worker, (rows,)."""

    @classmethod
    def of(cls, workers: ConnectedWorkers, owners: NDArray[np.int32]) -> RowShares:
        """Return the shares of workers that hold their rows in the order of the table."""
        indices = np.empty(len(owners), np.int64)
        for rank in range(workers.size):
            rows = np.flatnonzero(owners == rank)
            indices[rows] = np.arange(len(rows))
        return cls(workers, owners, indices)

    def __len__(self) -> int:
        """Number of rows of all workers."""
        return len(self.owners)

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """The indices, in the table, of the rows of this worker, ascending."""
        return np.flatnonzero(self.owners == self.workers.rank)

    def take(self, rows: NDArray[np.int64]) -> RowShares:
        """Select rows, in the order given."""
        return replace(self, owners=self.owners[rows], indices=self.indices[rows])

    def gather(self, own: NDArray[Any]) -> NDArray[Any]:
        """Combine the workers' parts of an array to the array of all rows.

        Args:
            own: the part for the rows `self.own`, (len(own), ...), of the same type on all workers.
        """
        whole = np.empty((len(self), *own.shape[1:]), own.dtype)
        for rank, part in enumerate(self.workers.gather_arrays({"own": own})):
            whole[self.owners == rank] = part["own"]
        return whole

    def gather_column(self, name: str, own: pa.ChunkedArray) -> pa.ChunkedArray:
        """Combine the workers' parts of a column to the column of all rows.

        Raises:
            RuntimeError: if the workers do not read the same column.
        """
        sink = pa.BufferOutputStream()
        schema = pa.schema([(name, own.type)])
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(pa.table([own], schema=schema))
        gathered = self.workers.gather_bytes(memoryview(sink.getvalue()).cast("B"))
        parts = [pa.ipc.open_stream(pa.py_buffer(part)).read_all() for part in gathered]
        if any(part.schema != schema for part in parts):
            read = ", ".join(part.schema.names[0] for part in parts)
            raise RuntimeError(f"the workers read different columns: {read}")
        chunks = [chunk for part in parts for chunk in part.column(0).chunks]
        whole = pa.chunked_array(chunks, own.type)
        if bool((np.diff(self.owners) >= 0).all()):  # each worker has adjacent rows
            return whole
        order = np.empty(len(self), np.int64)
        order[np.argsort(self.owners, kind="stable")] = np.arange(len(self))
        return widened(whole).take(integers(order))


@dataclass(frozen=True)
class ShardedColumns:
    """The counterpart of a `pa.Table` in a cluster, in which each worker holds some rows."""

    stored: pa.Table | StoredColumns
    """The rows of this worker, in the order of the table that was read."""
    schema: pa.Schema
    """The columns' names and types, the same for all workers."""
    shares: RowShares
    """The selected rows."""

    @property
    def num_rows(self) -> int:
        """The number of rows of all workers."""
        return len(self.shares)

    @cached_property
    def own(self) -> pa.Table | StoredColumns:
        """This worker's rows among those selected."""
        rows = self.shares.indices[self.shares.own]
        return self.stored if self._are_all(rows) else take_rows(self.stored, rows)

    def _are_all(self, rows: NDArray[np.int64]) -> bool:
        """Return whether the rows are all of this worker's rows, in order."""
        return len(rows) == self.stored.num_rows and bool((np.diff(rows) == 1).all())

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column with the rows of all workers."""
        values, rows = self.stored.column(name), self.shares.indices[self.shares.own]
        if not self._are_all(rows):
            values = widened(values).take(integers(rows))
        values = without_dictionary(values)
        return widened(self.shares.gather_column(name, values.cast(self.schema.field(name).type)))

    def take(self, rows: NDArray[np.int64]) -> ShardedColumns:
        """Select rows, in the order given, without reading them."""
        return replace(self, shares=self.shares.take(rows))

    def slice(self, start: int, length: int) -> pa.Table:
        """Read adjacent rows of all columns."""
        stop = min(start + length, self.num_rows)
        part = self.take(np.arange(start, stop))
        return pa.table({name: part.column(name) for name in self.schema.names})
