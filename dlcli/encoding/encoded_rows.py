"""Encoded rows: a float32 matrix of inputs, dense, sparse or on disk, with targets and weights.

The inputs of a column may be stored in a compact form, such as 48 bins of a number as two numbers,
see `dlcli.columns.layout`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix
from dlcli.columns.layout import Expansion, SparseRows
from dlcli.tables.stored_columns import RowShares, storing

MOST_FILLED = 2**25
"""Maximum size of the matrix to which sparse rows are converted before training: 128 MiB.
Converting them batch by batch takes far longer than a step of a small network."""
BLOCK_ROWS = 4096
"""Maximum number of rows in a block, which is contiguous on disk and mapped to memory as a
whole."""
BLOCK_NUMBERS = 2**18
"""Maximum number of numbers in a block: 1 MiB."""


class Inputs(ABC):
    """The inputs of a network for some rows, in memory, on disk or in a cluster."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of inputs."""

    @abstractmethod
    def take(self, rows: Indices) -> Matrix:
        """Return the matrix of some rows, (len(rows), width)."""

    def part(self, start: int, stop: int) -> Matrix:
        """Return the matrix of consecutive rows, (stop − start, width)."""
        return self.take(np.arange(start, min(stop, len(self))))

    def select(self, rows: Indices) -> Inputs:
        """Return some of the rows, in the given order; they are copied or read when needed."""
        return SelectedInputs(self, rows)

    @property
    def stored(self) -> Inputs:
        """The inputs of all stored rows, without a selection."""
        return self

    @property
    def expansion(self) -> Expansion | None:
        """The conversion of compact rows to inputs; `None` if rows are stored as inputs."""
        return None

    @property
    def compact(self) -> Inputs:
        """The compact rows as inputs."""
        return self

    @property
    def sparse(self) -> Sequence[SparseRows | OnDiskSparse]:
        """The inputs that are mostly 0; they follow the dense inputs."""
        return ()

    @property
    def is_resident(self) -> bool:
        """True if inputs are a matrix in memory during training."""
        is_filled = not self.stored.sparse or len(self) * self.width <= MOST_FILLED
        return isinstance(self.stored, InMemoryInputs) and is_filled

    @property
    def values(self) -> int:
        """Number of inputs of all rows, without the omitted zeros of sparse inputs."""
        dense = self.width - sum(part.width for part in self.sparse)
        return len(self) * dense + sum(int(part.starts[-1]) for part in self.sparse)

    def in_memory(self) -> Inputs:
        """Return the same inputs in memory; sparse inputs remain sparse."""
        return InMemoryInputs(self.compact.part(0, len(self)), expansion=self.expansion)

    @property
    def own(self) -> Inputs:
        """In a cluster, the inputs of the rows of this worker; else the same inputs."""
        return self

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of all rows, (rows, ...), given the values of the rows of `own`."""
        return values


@dataclass(frozen=True)
class InMemoryInputs(Inputs):
    """Inputs in memory."""

    dense: Matrix
    """The compact rows without sparse inputs, (rows, stored numbers)."""
    sparse: tuple[SparseRows, ...] = ()
    """The inputs that are mostly 0; they follow the dense inputs."""
    expansion: Expansion | None = None
    """The conversion of compact rows to inputs; `None` if rows are stored as inputs."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.dense)

    @property
    def width(self) -> int:
        """Number of inputs."""
        if self.expansion is not None:
            return self.expansion.width
        return int(self.dense.shape[1]) + sum(part.width for part in self.sparse)

    @property
    def compact(self) -> InMemoryInputs:
        """The compact rows as inputs."""
        return replace(self, expansion=None)

    def take(self, rows: Indices) -> Matrix:
        """Return the matrix of some rows, (len(rows), width)."""
        return self._expanded(rows, self.dense[rows])

    def part(self, start: int, stop: int) -> Matrix:
        """Return the matrix of consecutive rows, (stop − start, width)."""
        dense = self.dense[start:stop]
        return self._expanded(np.arange(start, start + len(dense)), dense)

    def _expanded(self, rows: Indices, dense: Matrix) -> Matrix:
        matrix = dense
        if self.sparse:
            start, width = dense.shape[1], sum(part.width for part in self.sparse)
            matrix = np.zeros((len(rows), start + width), dtype=np.float32)
            matrix[:, :start] = dense
            for part in self.sparse:
                part.write(rows, matrix[:, start : start + part.width])
                start += part.width
        return matrix if self.expansion is None else self.expansion.expand(matrix)


@dataclass(frozen=True)
class OnDiskSparse:
    """Sparse inputs with entries on disk, see `SparseRows`."""

    starts: Indices
    columns: Path
    """The file of the input of each entry, int32."""
    values: Path
    """The file of the value of each entry, float32."""
    width: int

    def rows(self, start: int, stop: int) -> SparseRows:
        """Return consecutive rows, mapped to memory."""
        starts = self.starts[start : stop + 1]
        first, last = int(starts[0]), int(starts[-1])
        columns = _mapped(self.columns, np.int32, first, (last - first,))
        values = _mapped(self.values, np.float32, first, (last - first,))
        return SparseRows(starts - first, columns, values, self.width)


@dataclass(frozen=True)
class OnDiskInputs(Inputs):
    """Inputs on disk, mapped to memory block by block."""

    dense: Path
    """File of the compact rows without sparse inputs: float32, row by row."""
    shape: tuple[int, int]
    """The shape of the compact rows, (rows, stored numbers)."""
    sparse: tuple[OnDiskSparse, ...] = ()
    """The inputs that are mostly 0; they follow the dense inputs."""
    expansion: Expansion | None = None
    """The conversion of compact rows to inputs; `None` if rows are stored as inputs."""

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Number of inputs."""
        if self.expansion is not None:
            return self.expansion.width
        return self.shape[1] + sum(part.width for part in self.sparse)

    @property
    def compact(self) -> OnDiskInputs:
        """The compact rows as inputs."""
        return replace(self, expansion=None)

    def take(self, rows: Indices) -> Matrix:
        """Return the matrix of some rows, (len(rows), width), read block by block."""
        size = block_rows(self.width)
        blocks = rows // size
        order = np.argsort(blocks, kind="stable")
        ends = np.flatnonzero(np.diff(blocks[order])) + 1
        matrix = np.empty((len(rows), self.width), dtype=np.float32)
        for positions in np.split(order, ends) if len(rows) else ():
            start = int(blocks[positions[0]]) * size
            matrix[positions] = self.mapped(start, start + size).take(rows[positions] - start)
        return matrix

    def part(self, start: int, stop: int) -> Matrix:
        """Return the matrix of consecutive rows, (stop − start, width)."""
        mapped = self.mapped(start, stop)
        return np.array(mapped.part(0, len(mapped)))

    def mapped(self, start: int, stop: int) -> InMemoryInputs:
        """Return consecutive rows, mapped to memory."""
        stop = min(stop, len(self))
        shape = (stop - start, self.shape[1])
        dense = _mapped(self.dense, np.float32, start * self.shape[1], shape)
        sparse = tuple(part.rows(start, stop) for part in self.sparse)
        return InMemoryInputs(dense, sparse, self.expansion)

    def in_memory(self) -> Inputs:
        """Return the same inputs in memory; sparse inputs remain sparse."""
        return self.mapped(0, len(self)) if self.sparse else super().in_memory()


@dataclass(frozen=True)
class SelectedInputs(Inputs):
    """A selection of rows, copied or read when needed."""

    every: Inputs
    """All rows."""
    rows: Indices
    """The indices of the selected rows, (rows,)."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Number of inputs."""
        return self.every.width

    @property
    def expansion(self) -> Expansion | None:
        """The conversion of compact rows to inputs; `None` if rows are stored as inputs."""
        return self.every.expansion

    @property
    def compact(self) -> SelectedInputs:
        """The compact rows as inputs."""
        return SelectedInputs(self.every.compact, self.rows)

    @property
    def stored(self) -> Inputs:
        """All rows."""
        return self.every

    @property
    def values(self) -> int:
        """Approximate number of inputs of all rows, without the omitted zeros of sparse inputs."""
        return self.every.values * len(self) // max(1, len(self.every))

    def take(self, rows: Indices) -> Matrix:
        """Return the matrix of some rows, (len(rows), width)."""
        return self.every.take(self.rows[rows])

    def select(self, rows: Indices) -> Inputs:
        """Return some of the rows, in the given order."""
        return SelectedInputs(self.every, self.rows[rows])

    def in_memory(self) -> Inputs:
        """Return the same inputs in memory; sparse inputs remain sparse."""
        if not self.every.sparse:
            return super().in_memory()
        return SelectedInputs(self.every.in_memory(), self.rows)


@dataclass(frozen=True)
class ShardedInputs(Inputs):
    """Inputs in a cluster, where each worker has a share of the rows.

    All workers must call the same methods in the same order, and get the same results.
    """

    held: Inputs
    """The inputs of all rows that this worker has."""
    shares: RowShares
    """The selected rows and their workers."""

    def __len__(self) -> int:
        """Number of selected rows of all workers."""
        return len(self.shares)

    @property
    def width(self) -> int:
        """Number of inputs."""
        return self.held.width

    @property
    def expansion(self) -> Expansion | None:
        """The conversion of compact rows to inputs; `None` if rows are stored as inputs."""
        return self.held.expansion

    @property
    def compact(self) -> ShardedInputs:
        """The compact rows as inputs."""
        return replace(self, held=self.held.compact)

    @property
    def own(self) -> Inputs:
        """The inputs of the selected rows of this worker, in the order of `shares.own`."""
        return SelectedInputs(self.held, self.shares.indices[self.shares.own])

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of all rows, (rows, ...), given the values of the rows of `own`."""
        return self.shares.gather(values)

    def take(self, rows: Indices) -> Matrix:
        """Return the matrix of some rows, (len(rows), width)."""
        selected = self.select(rows)
        return selected.gather(self.held.take(selected.shares.indices[selected.shares.own]))

    def select(self, rows: Indices) -> ShardedInputs:
        """Return some of the rows, in the given order."""
        return ShardedInputs(self.held, self.shares.take(rows))


@dataclass(frozen=True)
class EncodedRows:
    """Rows for training and evaluating a network."""

    inputs: Inputs
    target: NDArray[Any]
    """Scaled numbers, (rows, outputs), or class indices, (rows,)."""
    weights: NDArray[np.float64] | None = None
    """Row weights, (rows,)."""

    def select(self, rows: Indices) -> EncodedRows:
        """Return some of the rows, in the given order; their inputs are not copied.

        Args:
            rows: indices of rows, (rows,).
        """
        weights = None if self.weights is None else self.weights[rows]
        return EncodedRows(self.inputs.select(rows), self.target[rows], weights)


class InputsWriter:
    """Writes encoded rows to files in a folder, some rows at a time.

    Args:
        folder: an existing folder.
        name: the prefix of the names of the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._shape = (0, 0)
        self._widths: tuple[int, ...] = ()
        self._expansion: Expansion | None = None
        self._entries: list[list[Indices]] = []
        """For each call of `append` and each sparse matrix, the number of entries of each row."""

    def append(self, inputs: InMemoryInputs) -> None:
        """Append rows.

        Raises:
            TrainingError: if the rows can't be written.
        """
        with storing(self._folder):
            self._append("dense", inputs.dense)
            for number, part in enumerate(inputs.sparse):
                self._append(f"columns_{number}", part.columns)
                self._append(f"values_{number}", part.values)
        self._shape = (self._shape[0] + len(inputs), inputs.dense.shape[1])
        self._widths = tuple(part.width for part in inputs.sparse)
        self._expansion = inputs.expansion
        self._entries.append([np.diff(part.starts) for part in inputs.sparse])

    def finish(self) -> OnDiskInputs:
        """Return the inputs of all written rows."""
        sparse = []
        for number, width in enumerate(self._widths):
            entries = np.concatenate([counts[number] for counts in self._entries])
            columns, values = self._path(f"columns_{number}"), self._path(f"values_{number}")
            starts = np.concatenate([[0], np.cumsum(entries)])
            sparse.append(OnDiskSparse(starts, columns, values, width))
        return OnDiskInputs(self._path("dense"), self._shape, tuple(sparse), self._expansion)

    def _append(self, part: str, array: NDArray[Any]) -> None:
        with self._path(part).open("ab") as file:
            file.write(np.ascontiguousarray(array).data)

    def _path(self, part: str) -> Path:
        return self._folder / f"{self._name}_{part}.bin"


def block_rows(width: int) -> int:
    """Return the number of rows in a block on disk, for rows of `width` numbers."""
    return max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // max(width, 1)))


def _mapped(path: Path, dtype: type[Any], start: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map the numbers of a file from index `start` to memory."""
    if 0 in shape:
        return np.empty(shape, dtype)  # an empty range can't be mapped
    return np.memmap(path, dtype, "r", start * np.dtype(dtype).itemsize, shape)
