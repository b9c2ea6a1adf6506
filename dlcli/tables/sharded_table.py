"""Rows that lie in the processes of a cluster, each of which holds a share of them.

All processes run the same program, and read the same column at the same time: each receives the
others' shares of it. So everything that is found in a column is the same in each process as on one
machine, to the bit, and none ever holds more than its share of the rows and a column of all.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.errors import (
    ConfigError,
    DataError,
    DlcliError,
    Problem,
    RunError,
    TrainingError,
    UsageError,
    WorkerError,
)
from dlcli.tables.arrow_arrays import integers, take_rows, widened
from dlcli.tables.disk_table import StoredColumns, without_dictionary

Arrays = dict[str, NDArray[Any]]
Result = TypeVar("Result")


class Exchange(Protocol):
    """Messages between the processes of a cluster, the workers."""

    rank: int
    """The number of this worker, from 0."""
    size: int
    """The number of workers."""

    def gather(self, message: bytes | memoryview) -> Sequence[bytes | memoryview]:
        """Return the message of each worker; all call it at the same time.

        Raises:
            TrainingError: if one of them has ended, or can't be reached.
        """


def gather_json(exchange: Exchange, value: Any) -> list[Any]:  # noqa: ANN401
    """Return the value of each worker, all of which JSON can represent."""
    return [json.loads(bytes(each)) for each in exchange.gather(json.dumps(value).encode())]


def gather_arrays(exchange: Exchange, arrays: Mapping[str, NDArray[Any]]) -> list[Arrays]:
    """Return the arrays of each worker, by name."""
    stream = io.BytesIO()
    np.savez(stream, **{f"_{name}": array for name, array in arrays.items()})  # type: ignore[arg-type]
    found = []
    for each in exchange.gather(stream.getbuffer()):
        with np.load(io.BytesIO(each), allow_pickle=False) as stored:
            found.append({name[1:]: stored[name] for name in stored})
    return found


def in_agreement(exchange: Exchange, work: Callable[[], Result]) -> Result:
    """Do something that may fail on a single worker; then it fails on all of them.

    Args:
        exchange: to the other workers.
        work: does it, without an exchange.

    Raises:
        DlcliError: of the first worker on which it failed.
    """
    results: list[Result] = []
    gather_results(exchange, lambda: results.append(work()))
    return results[0]


def gather_results(exchange: Exchange, work: Callable[[], Any]) -> list[Any]:
    """Return what each worker's `work` returns, which JSON can represent; see `in_agreement`."""
    result = None
    error: DlcliError | None = None
    try:
        result = work()
    except DlcliError as failed:
        error = failed
    except MemoryError:
        error = WorkerError("out of memory; use more workers, or data.storage: disk")
    failure = error and [type(error).__name__, str(error), getattr(error, "__notes__", [])]
    found = gather_json(exchange, [failure, result])
    for rank, (each, _) in enumerate(found):
        if each is not None:
            raise (error if rank == exchange.rank else None) or _error_of(rank, *each)
    return [result for _, result in found]


def _error_of(rank: int, name: str, message: str, notes: Sequence[str]) -> DlcliError:
    """Return the error of another worker, with the same exit code."""
    kinds = {kind.__name__: kind for kind in (DataError, RunError, TrainingError)}
    error: DlcliError
    if name == "ConfigError":
        error = ConfigError([Problem("", message)])
    elif name == "UsageError":
        error = UsageError(message)
    else:
        error = kinds.get(name, WorkerError)("")
        # Rows are the same for all, a disk is the worker's own.
        error.args = (message if name == "DataError" else f"worker {rank}: {message}",)
    for note in notes:
        error.add_note(note)
    return error


@dataclass(frozen=True)
class RowShares:
    """The worker that holds each row."""

    exchange: Exchange
    owners: NDArray[np.int32]
    """The rank of the worker, (rows,)."""
    indices: NDArray[np.int64]
    """The index of the row among those of that worker, (rows,)."""

    @classmethod
    def of(cls, exchange: Exchange, owners: NDArray[np.int32]) -> RowShares:
        """Return the shares of workers that hold their rows in the order of the table."""
        indices = np.empty(len(owners), np.int64)
        for rank in range(exchange.size):
            rows = np.flatnonzero(owners == rank)
            indices[rows] = np.arange(len(rows))
        return cls(exchange, owners, indices)

    def __len__(self) -> int:
        """Number of rows of all workers."""
        return len(self.owners)

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """The indices, in the table, of the rows of this worker, ascending."""
        return np.flatnonzero(self.owners == self.exchange.rank)

    def take(self, rows: NDArray[np.int64]) -> RowShares:
        """Select rows, in the order given."""
        return replace(self, owners=self.owners[rows], indices=self.indices[rows])

    def gather(self, own: NDArray[Any]) -> NDArray[Any]:
        """Return an array of all rows, of the part that each worker has.

        Args:
            own: the part of the rows `self.own`, (len(own), ...), of the same type everywhere.
        """
        whole = np.empty((len(self), *own.shape[1:]), own.dtype)
        for rank, part in enumerate(gather_arrays(self.exchange, {"own": own})):
            whole[self.owners == rank] = part["own"]
        return whole

    def gather_column(self, name: str, own: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the column of all rows, of the part that each worker has.

        Raises:
            RuntimeError: if the workers do not read the same column.
        """
        sink = pa.BufferOutputStream()
        schema = pa.schema([(name, own.type)])
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(pa.table([own], schema=schema))
        parts = [
            pa.ipc.open_stream(pa.py_buffer(part)).read_all()
            for part in self.exchange.gather(memoryview(sink.getvalue()).cast("B"))
        ]
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
    """The counterpart of a `pa.Table` in a cluster, of which each worker holds some rows."""

    stored: pa.Table | StoredColumns
    """The rows of this worker, in the order of the table that was read."""
    schema: pa.Schema
    """The columns' names and types, the same for all workers."""
    shares: RowShares
    """The rows, of which some may be selected."""

    @property
    def num_rows(self) -> int:
        """The number of rows of all workers."""
        return len(self.shares)

    @cached_property
    def own(self) -> pa.Table | StoredColumns:
        """This worker's rows among those selected."""
        rows = self.shares.indices[self.shares.own]
        if self._are_all(rows):
            return self.stored
        if isinstance(self.stored, StoredColumns):
            return self.stored.take(rows)
        return take_rows(self.stored, rows)

    def _are_all(self, rows: NDArray[np.int64]) -> bool:
        """Return whether some of this worker's rows are all of them, in their order."""
        return len(rows) == self.stored.num_rows and bool((np.diff(rows) == 1).all())

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of all workers."""
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
