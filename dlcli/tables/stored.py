"""Columns on disk, of which one, or some rows of all, is read at a time."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.errors import TrainingError
from dlcli.tables.arrays import integers, to_numpy, with_room
from dlcli.tables.batches import Batches
from dlcli.tables.column import plain

_ROWS_A_BATCH = 65_536
"""Most rows of a batch, which are read at once."""
_VALUES_A_BATCH = 2**24
"""Most values of a batch: 64 MiB of float32."""
_BYTES_A_BATCH = 2**28
"""Most bytes of a batch, unless a single row has more, so that long texts don't fill the memory."""


def batch_rows(columns: int) -> int:
    """Rows that are read or written at once.

    Args:
        columns: how many values each has.
    """
    return max(1, min(_ROWS_A_BATCH, _VALUES_A_BATCH // max(columns, 1)))


@dataclass(frozen=True)
class Piece:
    """Rows in an Arrow IPC file of dlcli's own."""

    path: Path
    ends: tuple[int, ...]
    """How many rows there are up to the end of each batch, (batches,)."""
    schema: pa.Schema
    """The columns' names and types."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.ends[-1] if self.ends else 0

    def column(self, name: str) -> pa.ChunkedArray:
        """A column; the others are not read."""
        place = self.schema.get_field_index(name)
        options = pa.ipc.IpcReadOptions(included_fields=[place])
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file, options=options)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            # A copy, since Arrow makes room for all columns of a batch to read one of them.
            parts = [pa.concat_arrays([batch.column(0)]) for batch in batches]
        return pa.chunked_array(parts, self.schema.field(place).type)

    def part(self, start: int, stop: int) -> pa.Table:
        """Neighbouring rows of all columns, at least one."""
        first, last = bisect_right(self.ends, start), bisect_left(self.ends, stop) + 1
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            batches = [reader.get_batch(number) for number in range(first, last)]
        whole = pa.Table.from_batches(batches, reader.schema)
        return whole.slice(start - (self.ends[first - 1] if first else 0), stop - start)


@dataclass(frozen=True)
class StoredColumns:
    """What a `pa.Table` does for a `Table`, over pieces on disk whose rows follow each other."""

    pieces: tuple[Piece, ...]
    schema: pa.Schema
    """The columns' names, and for each a type that holds the values of all pieces."""
    selection: NDArray[np.int64] | None = None
    """The rows that are there, in order; all, if None."""

    @cached_property
    def column_names(self) -> list[str]:
        """The columns' names."""
        return list(self.schema.names)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return sum(p.rows for p in self.pieces) if self.selection is None else len(self.selection)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, read from disk."""
        pa.default_memory_pool().release_unused()  # of the column before
        storage = self.schema.field(name).type
        parts = [piece.column(name).cast(storage) for piece in self.pieces]
        chunks = [chunk for part in parts for chunk in part.chunks]
        values = with_room(pa.chunked_array(chunks, storage))
        return values if self.selection is None else values.take(integers(self.selection))

    def take(self, rows: pa.Array) -> StoredColumns:
        """Some of the rows, in the order given; nothing is read."""
        places = to_numpy(pa.chunked_array([rows]), np.int64)
        chosen = places if self.selection is None else self.selection[places]
        return replace(self, selection=chosen)

    def slice(self, start: int, length: int) -> pa.Table:
        """Some neighbouring rows of all columns, read from disk."""
        if self.selection is None:
            return self._between(start, min(start + length, self.num_rows))
        rows = self.selection[start : start + length]
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        # Few rows of a long table lie far apart: what is between them is not kept.
        batches = np.searchsorted(self._ends, rows, side="right")
        parts = [
            self._between(int(near[0]), int(near[-1]) + 1).take(integers(near - near[0]))
            for near in np.split(rows, np.flatnonzero(np.diff(batches)) + 1)
            if len(near)
        ]
        found = pa.concat_tables([_no_rows(self.schema), *parts])
        return found.take(integers(np.argsort(order)))

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """How many rows there are up to the end of each batch of all pieces, (batches,)."""
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
                part = piece.part(first, last).select(self.column_names)
                parts.append(part.cast(self.schema))
            before += piece.rows
        return pa.concat_tables(parts)


def joined(columns: Sequence[StoredColumns], schema: pa.Schema) -> StoredColumns:
    """The rows of several, one below the other.

    Args:
        columns: with the same names.
        schema: for each name a type that holds the values of all.
    """
    return StoredColumns(tuple(piece for each in columns for piece in each.pieces), schema)


def store(batches: Batches, path: Path) -> StoredColumns:
    """Writes a file's rows to an Arrow IPC file of their own.

    Args:
        batches: the rows, read once.
        path: the file, which must not exist.

    Raises:
        DataError: as reading them on does.
        TrainingError: if they can't be written.
    """
    schema = _plain(_no_rows(batches.schema)).schema
    ends: list[int] = []
    with _created(path) as file:
        with storing(path.parent):
            writer = pa.ipc.new_file(file, schema)
        for batch in _gathered(batches.rows, schema):
            with storing(path.parent):
                writer.write(batch)
            ends.append(batch.num_rows + (ends[-1] if ends else 0))
        with storing(path.parent):
            writer.close()
    return StoredColumns((Piece(path, tuple(ends), schema),), schema)


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Explains why rows can't be kept on disk.

    Raises:
        TrainingError: in the place of the system's own errors.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow's own is a long story
        raise TrainingError(
            f"{folder}: rows could not be stored: {reason}; make room, or name another place with "
            "--output"
        ) from error


@contextmanager
def _created(path: Path) -> Iterator[pa.NativeFile]:
    """Makes a file for rows. No error of its own may look like one of the file that is read."""
    with storing(path.parent):
        path.touch(exist_ok=False)
        file = pa.OSFile(str(path), "wb")
    try:
        yield file
    finally:
        with storing(path.parent):
            file.close()


def _plain(rows: pa.Table) -> pa.Table:
    """The same rows without dictionaries, of which such a file may have but one a column."""
    return pa.table({name: without_dictionary(rows.column(name)) for name in rows.column_names})


def without_dictionary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values in a plain type; those of a column that is all null stay so, and fit any other."""
    return values if pa.types.is_null(values.type) else plain(values)


def _no_rows(schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([], schema)


def _gathered(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yields the same rows in batches of one size, or of fewer rows where texts are long."""
    size, held = batch_rows(len(schema)), _no_rows(schema)
    for batch in batches:
        held = pa.concat_tables([held, _plain(pa.Table.from_batches([batch]))])
        rest = held.num_rows % size if held.nbytes < _BYTES_A_BATCH else 0
        full, held = held.slice(0, held.num_rows - rest), held.slice(held.num_rows - rest)
        yield from _cut(full, size)
    yield from _cut(held, size)


def _cut(rows: pa.Table, size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows.num_rows, size):
        yield from _halved(rows.slice(start, size))


def _halved(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yields rows as one batch, or as several if it would be too large."""
    if rows.nbytes > _BYTES_A_BATCH and rows.num_rows > 1:
        half = rows.num_rows // 2
        yield from _halved(rows.slice(0, half))
        yield from _halved(rows.slice(half))
    else:
        [batch] = rows.combine_chunks().to_batches()
        yield batch
