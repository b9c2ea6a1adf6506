"""Rows that lie in the processes of a cluster, each of which holds a share of them.

All processes run the same program, and read the same column at the same time: each receives the
others' shares of it. So everything that is found in a column is the same in each process as on one
machine, to the bit, and none ever holds more than its share of the rows and a column of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.tables.arrow_arrays import integers, widened
from dlcli.tables.disk_table import StoredColumns, take_rows, without_dictionary
from dlcli.tables.table import Table
from dlcli.workers import ConnectedWorkers

Result = TypeVar("Result")


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
        """Return an array of all rows, of the part that each worker has.

        Args:
            own: the part of the rows `self.own`, (len(own), ...), of the same type everywhere.
        """
        whole = np.empty((len(self), *own.shape[1:]), own.dtype)
        for rank, part in enumerate(self.workers.gather_arrays({"own": own})):
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
            for part in self.workers.gather_bytes(memoryview(sink.getvalue()).cast("B"))
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


class SharedTable(Table):
    """A table of which each worker of a cluster holds a share of the rows.

    Args:
        data: `ShardedColumns`.
    """

    data: ShardedColumns
    is_shared = True

    def only(self, names: Iterable[str]) -> Table:
        """Return the table of some columns of all workers, in memory."""
        alone = pa.table({name: self.data.column(name) for name in names})
        return self._unshared(alone, slice(None))

    def parts(self, rows: int) -> Iterator[Table]:
        """Yield consecutive parts, each of which all workers receive."""
        for start in range(0, max(self.rows, 1), rows):
            yield self._unshared(self.data.slice(start, rows), slice(start, start + rows))

    def own_rows(self) -> Table:
        """Return this worker's share of the rows."""
        return self._unshared(self.data.own, self.data.shares.own)

    def _unshared(self, data: pa.Table | StoredColumns, rows: NDArray[np.int64] | slice) -> Table:
        """Return some rows that this process holds as a table of its own."""
        some = self._part(data, rows)
        return Table(**{each.name: getattr(some, each.name) for each in fields(Table)})

    def by_row(self, compute: Callable[[Table], NDArray[Any]]) -> NDArray[Any]:
        """Compute an array of values of each row; each worker those of its own rows."""
        shares = self.data.shares
        return shares.gather(shares.workers.agree(lambda: compute(self.own_rows())))

    def any_part(self, test: Callable[[Table], bool]) -> bool:
        """Return whether a test holds for the rows of some worker."""
        return any(self.data.shares.workers.gather_results(lambda: test(self.own_rows())))

    def by_column(
        self,
        names: Sequence[str],
        compute: Callable[[str, Table], Result],
        dump: Callable[[Result], str],
        load: Callable[[str], Result],
    ) -> list[Result]:
        """Compute something of each column; each worker that of some columns."""
        workers, found = self.data.shares.workers, list[str]()

        def compute_own(own: tuple[str, Table] | None) -> str:
            return "" if own is None else dump(compute(*own))

        for start in range(0, len(names), workers.size):
            some = names[start : start + workers.size]
            work = partial(compute_own, self._one_of_each(some, workers.rank))
            found += workers.gather_results(work)[: len(some)]
        return [*map(load, found)]

    def _one_of_each(self, names: Sequence[str], rank: int) -> tuple[str, Table] | None:
        """Read columns, one for each worker; return that of a worker, if any."""
        own = None
        for number, name in enumerate(names):
            alone = self.only([name])  # all take part in it, and most do not keep it
            if number == rank:
                own = name, alone
        return own
