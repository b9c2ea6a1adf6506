"""Columns on disk, of which one, or some rows of all, is read at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.errors import TrainingError
from dlcli.table.arrays import integers, to_numpy
from dlcli.table.batches import Batches
from dlcli.table.column import plain

_ROWS_A_BATCH = 65_536


@dataclass(frozen=True)
class Piece:
    """Rows in an Arrow IPC file of dlcli's own, in batches of one size."""

    path: Path
    rows: int

    schema: pa.Schema
    """The columns' names and types."""

    def column(self, name: str) -> pa.ChunkedArray:
        """A column; the others are not read."""
        place = self.schema.get_field_index(name)
        options = pa.ipc.IpcReadOptions(included_fields=[place])
        with pa.OSFile(str(self.path)) as file:
            return pa.ipc.open_file(file, options=options).read_all().column(0)

    def part(self, start: int, stop: int) -> pa.Table:
        """Neighbouring rows of all columns."""
        first, last = start // _ROWS_A_BATCH, -(-stop // _ROWS_A_BATCH)
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            batches = [reader.get_batch(number) for number in range(first, last)]
        whole = pa.Table.from_batches(batches, reader.schema)
        return whole.slice(start - first * _ROWS_A_BATCH, stop - start)


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
        values = pa.chunked_array([chunk for part in parts for chunk in part.chunks], storage)
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
        if not len(rows):
            return self._between(0, 0)
        first = int(rows.min())
        return self._between(first, int(rows.max()) + 1).take(integers(rows - first))

    def _between(self, start: int, stop: int) -> pa.Table:
        parts, before = [self.schema.empty_table()], 0
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
    schema = _plain(batches.schema.empty_table()).schema
    rows, waiting = 0, _Waiting(schema)
    with path.open("xb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches.rows:
            rows += batch.num_rows
            _write(waiting.add(_plain(pa.Table.from_batches([batch]))), writer, path)
        _write(waiting.flush(), writer, path)
    return StoredColumns((Piece(path, rows, schema),), schema)


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Explains why rows can't be kept on disk.

    Raises:
        TrainingError: in the place of the system's own errors.
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder}: rows could not be stored: {error.strerror or error}; make room, or name "
            "another place with --output"
        ) from error


def _write(batches: Sequence[pa.RecordBatch], writer: Any, path: Path) -> None:  # noqa: ANN401
    with storing(path.parent):
        for batch in batches:
            writer.write(batch)


def _plain(rows: pa.Table) -> pa.Table:
    """The same rows without dictionaries, of which such a file may have but one a column."""
    return pa.table({name: without_dictionary(rows.column(name)) for name in rows.column_names})


def without_dictionary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values in a plain type; those of a column that is all null stay so, and fit any other."""
    return values if pa.types.is_null(values.type) else plain(values)


class _Waiting:
    """Rows on their way into batches of one size."""

    def __init__(self, schema: pa.Schema) -> None:
        self._held = schema.empty_table()

    def add(self, rows: pa.Table) -> Sequence[pa.RecordBatch]:
        """Takes in rows, and gives the batches that are full."""
        held = pa.concat_tables([self._held, rows])
        full = held.num_rows - held.num_rows % _ROWS_A_BATCH
        self._held = held.slice(full)
        return _batches(held.slice(0, full))

    def flush(self) -> Sequence[pa.RecordBatch]:
        """Gives the rest."""
        return _batches(self._held)


def _batches(rows: pa.Table) -> Sequence[Any]:
    if rows.num_rows == 0:
        return []
    whole: list[Any] = rows.combine_chunks().to_batches(max_chunksize=_ROWS_A_BATCH)
    return whole
