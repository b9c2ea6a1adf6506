"""Encoded rows as they are kept, and as the matrix that is made of them when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding.ragged import ranges

Matrix = NDArray[np.float32]
Places = NDArray[np.int64]


class Inputs(Protocol):
    """What a network reads of some rows, wherever it is kept."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    @property
    def width(self) -> int:
        """How many inputs there are."""
        ...

    @property
    def matrix(self) -> Matrix | None:
        """The whole matrix, (rows, width), if it is kept as one in memory."""
        ...

    def take(self, rows: Places) -> Matrix:
        """The matrix of some rows, (len(rows), width)."""
        ...

    def part(self, start: int, stop: int) -> Matrix:
        """The matrix of neighbouring rows, (stop − start, width)."""
        ...


@dataclass(frozen=True)
class SparseRows:
    """Inputs of which most are 0, by row (compressed sparse rows)."""

    starts: NDArray[np.int64]
    """Where each row's entries start, and where the last one's end, (rows + 1,)."""
    columns: NDArray[np.int32]
    """The input of each entry, (entries,)."""
    values: NDArray[np.float32]
    """The value of each entry, (entries,)."""
    width: int
    """How many inputs there are."""

    def write(self, rows: Places, out: Matrix) -> None:
        """Writes the entries of some rows into `out`, zeros of shape (len(rows), width)."""
        counts = self.starts[rows + 1] - self.starts[rows]
        places = ranges(self.starts[rows], counts)
        out[np.repeat(np.arange(len(rows)), counts), self.columns[places]] = self.values[places]


@dataclass(frozen=True)
class InMemoryInputs:
    """Inputs in memory."""

    dense: Matrix
    """Those that are kept as they are, (rows, dense inputs)."""
    sparse: tuple[SparseRows, ...] = ()
    """Those of which most are 0; they follow the dense ones."""

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.dense)

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return int(self.dense.shape[1]) + sum(part.width for part in self.sparse)

    @property
    def matrix(self) -> Matrix | None:
        """The whole matrix, (rows, width), unless parts of it are sparse."""
        return None if self.sparse else self.dense

    def take(self, rows: Places) -> Matrix:
        """The matrix of some rows, (len(rows), width)."""
        return self._with_sparse(rows, self.dense[rows]) if self.sparse else self.dense[rows]

    def part(self, start: int, stop: int) -> Matrix:
        """The matrix of neighbouring rows, (stop − start, width)."""
        dense = self.dense[start:stop]
        return self._with_sparse(np.arange(start, start + len(dense)), dense)

    def _with_sparse(self, rows: Places, dense: Matrix) -> Matrix:
        if not self.sparse:
            return dense
        matrix = np.zeros((len(rows), self.width), dtype=np.float32)
        start = dense.shape[1]
        matrix[:, :start] = dense
        for part in self.sparse:
            part.write(rows, matrix[:, start : start + part.width])
            start += part.width
        return matrix


def join(parts: Sequence[SparseRows]) -> SparseRows:
    """Sparse rows one below the other; all of the same width."""
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return SparseRows(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
        parts[0].width,
    )
