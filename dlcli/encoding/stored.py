"""Encoded rows on disk, of which a part at a time is mapped to memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding.inputs import InMemoryInputs, Matrix, Places, SparseRows
from dlcli.tables import storing

BLOCK_ROWS = 4096
"""Most rows of a block, which lie together on disk and are mapped at once."""
BLOCK_NUMBERS = 2**18
"""Most numbers of a block: 1 MiB."""


def block_rows(width: int) -> int:
    """Rows of a block.

    Args:
        width: numbers of a row.
    """
    return max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // max(width, 1)))


@dataclass(frozen=True)
class StoredSparse:
    """Sparse inputs on disk, see `SparseRows`."""

    starts: NDArray[np.int64]
    columns: Path
    values: Path
    width: int

    def rows(self, start: int, stop: int) -> SparseRows:
        """Some neighbouring rows."""
        starts = self.starts[start : stop + 1]
        first, last = int(starts[0]), int(starts[-1])
        columns = _mapped(self.columns, np.int32, first, (last - first,))
        values = _mapped(self.values, np.float32, first, (last - first,))
        return SparseRows(starts - first, columns, values, self.width)


@dataclass(frozen=True)
class OnDiskInputs:
    """Inputs on disk."""

    dense: Path
    """Those that are kept as they are: float32, row by row."""
    shape: tuple[int, int]
    """(rows, dense inputs)."""
    sparse: tuple[StoredSparse, ...] = ()
    """Those of which most are 0; they follow the dense ones."""

    def __len__(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return self.shape[1] + sum(part.width for part in self.sparse)

    @property
    def matrix(self) -> Matrix | None:
        """None: it is not in memory."""
        return None

    def take(self, rows: Places) -> Matrix:
        """The matrix of some rows, (len(rows), width), read block by block."""
        size = block_rows(self.width)
        blocks = rows // size
        order = np.argsort(blocks, kind="stable")
        ends = np.flatnonzero(np.diff(blocks[order])) + 1
        matrix = np.empty((len(rows), self.width), dtype=np.float32)
        for places in np.split(order, ends) if len(rows) else ():
            start = int(blocks[places[0]]) * size
            matrix[places] = self._held(start, start + size).take(rows[places] - start)
        return matrix

    def part(self, start: int, stop: int) -> Matrix:
        """The matrix of neighbouring rows, (stop − start, width)."""
        held = self._held(start, stop)
        return np.array(held.part(0, len(held)))

    def _held(self, start: int, stop: int) -> InMemoryInputs:
        """Neighbouring rows, mapped."""
        stop = min(stop, len(self))
        shape = (stop - start, self.shape[1])
        dense = _mapped(self.dense, np.float32, start * self.shape[1], shape)
        return InMemoryInputs(dense, tuple(part.rows(start, stop) for part in self.sparse))


class InputsWriter:
    """Writes encoded rows to files of a folder, some at a time.

    Args:
        folder: where to; it must exist.
        name: what the files' names begin with.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._rows = 0
        self._width = 0
        self._starts: list[list[NDArray[np.int64]]] = []
        self._widths: tuple[int, ...] = ()

    def append(self, inputs: InMemoryInputs) -> None:
        """Writes rows behind those before.

        Raises:
            TrainingError: if they can't be written.
        """
        with storing(self._folder):
            self._write(inputs)

    def _write(self, inputs: InMemoryInputs) -> None:
        self._append(self._path("dense"), inputs.dense)
        self._rows += len(inputs)
        self._width = inputs.dense.shape[1]
        self._widths = tuple(part.width for part in inputs.sparse)
        for number, part in enumerate(inputs.sparse):
            if number == len(self._starts):
                self._starts.append([np.zeros(1, dtype=np.int64)])
            end = self._starts[number][-1][-1]
            self._starts[number].append(part.starts[1:] + end)
            self._append(self._path(f"columns_{number}"), part.columns)
            self._append(self._path(f"values_{number}"), part.values)

    def finish(self) -> OnDiskInputs:
        """What was written, for reading."""
        sparse = tuple(self._sparse(number, width) for number, width in enumerate(self._widths))
        return OnDiskInputs(self._path("dense"), (self._rows, self._width), sparse)

    def _sparse(self, number: int, width: int) -> StoredSparse:
        columns, values = self._path(f"columns_{number}"), self._path(f"values_{number}")
        return StoredSparse(np.concatenate(self._starts[number]), columns, values, width)

    def _append(self, path: Path, array: NDArray[Any]) -> None:
        with path.open("ab") as file:
            file.write(np.ascontiguousarray(array).data)

    def _path(self, part: str) -> Path:
        return self._folder / f"{self._name}_{part}.bin"


def _mapped(path: Path, dtype: type[Any], start: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Numbers of a file, from the one at a place on."""
    if 0 in shape:
        return np.empty(shape, dtype)  # nothing can't be mapped
    return np.memmap(path, dtype, "r", start * np.dtype(dtype).itemsize, shape)
