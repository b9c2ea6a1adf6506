"""The layout of a network's inputs: blocks of the column encoders, and sparse rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcli.arrays import Indices, Matrix, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

InputKind = Literal["numeric", "index", "sparse", "image"]
"""Meaning of a block's inputs: numbers, the index of a category, mostly zeros, or pixels."""


class InputForm:
    """Processing of a block's inputs by the network before its first layer."""


@dataclass(frozen=True)
class Block:
    """Adjacent inputs that encode one column."""

    column: str
    kind: InputKind
    inputs: tuple[str, ...]
    """Names of the inputs, in order."""
    form: InputForm | None = None
    """The processing of the inputs before the first layer, if any."""


@dataclass(frozen=True)
class Layout:
    """All inputs of a network, block by block; sparse blocks are last."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(len(block.inputs) for block in self.blocks)

    def slices(self) -> Iterator[tuple[Block, slice]]:
        """Yield each block with the slice of its columns in the encoded matrix."""
        start = 0
        for block in self.blocks:
            stop = start + len(block.inputs)
            yield block, slice(start, stop)
            start = stop


def plain_layout(width: int) -> Layout:
    """Return a layout of `width` numeric inputs without column names."""
    return Layout((Block("", "numeric", ("",) * width),))


@dataclass(frozen=True)
class SparseRows:
    """Inputs that are mostly 0, in compressed sparse row format."""

    starts: Indices
    """The index of the first entry of each row; the last value is the number of all entries,
    (rows + 1,)."""
    columns: NDArray[np.int32]
    """The input of each entry, (entries,)."""
    values: NDArray[np.float32]
    """The value of each entry, (entries,)."""
    width: int
    """Number of inputs."""

    @property
    def entries(self) -> Indices:
        """Number of entries of each row, (rows,)."""
        return self.starts[1:] - self.starts[:-1]

    def write(self, rows: Indices, out: Matrix) -> None:
        """Write the entries of some rows into `out`, zeros of shape (len(rows), width)."""
        counts = self.starts[rows + 1] - self.starts[rows]
        entries = concatenated_ranges(self.starts[rows], counts)
        out[np.repeat(np.arange(len(rows)), counts), self.columns[entries]] = self.values[entries]

    def fill(self, out: Matrix) -> None:
        """Write the entries of all rows into `out`, zeros of shape (rows, width)."""
        out[np.arange(len(out)).repeat(self.entries), self.columns] = self.values


def stack_sparse(parts: Sequence[SparseRows]) -> SparseRows:
    """Concatenate sparse rows of the same width."""
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return SparseRows(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
        parts[0].width,
    )


def concatenated_ranges(starts: Indices, counts: Indices) -> Indices:
    """Return the concatenation of several ranges of indices.

    Args:
        starts: the first index of each range, (ranges,).
        counts: the number of indices in each range, (ranges,).

    Returns:
        `[5, 6, 2, 3, 4]` for starts `[5, 2]` and counts `[2, 3]`, (sum of the counts,).
    """
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(counts.sum())
