"""The layout of a network's inputs: blocks of the column encoders, compact and sparse rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from dlcli.arrays import Indices, Matrix, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

InputKind = Literal["numeric", "index", "sparse", "image"]
"""Meaning of a block's inputs: numbers, the index of a category, mostly zeros, or pixels."""


class InputForm:
    """Processing of a block's inputs by the network before its first layer."""


CompactForm = Literal["one_hot", "bins"]
"""A form in which a block is stored with fewer numbers than inputs. `one_hot`: the index of the
input that is 1, or the number of inputs if all are 0. `bins`: the index of an input and its value;
the inputs before it are 1, and the inputs after it are 0."""
_COMPACT_WIDTHS: dict[CompactForm | None, int] = {"one_hot": 1, "bins": 2}
"""Number of stored numbers for a block in each form."""


@dataclass(frozen=True)
class Block:
    """Adjacent inputs that encode one column."""

    column: str
    kind: InputKind
    inputs: tuple[str, ...]
    """Names of the inputs, in order."""
    form: InputForm | None = None
    """The processing of the inputs before the first layer, if any."""
    compact: CompactForm | None = None
    """The compact form; `None` if all inputs are stored."""
    encoding: object = None
    """The section `input.encoding` of the networks that read the block; `None` if all read it."""
    monotone: int = 0
    """1 or −1 if predictions must not fall or not rise as the inputs rise; 0 if they may do both.
    The inputs of such a block never fall as the column's value rises."""

    @property
    def compact_width(self) -> int:
        """Number of stored numbers."""
        return _COMPACT_WIDTHS.get(self.compact, len(self.inputs))


@dataclass(frozen=True)
class Layout:
    """All inputs of a network, block by block; sparse blocks are last."""

    blocks: tuple[Block, ...]
    encoding: object = None
    """The section `input.encoding` of the network, which does not read blocks of other ones."""

    def read_with(self, encoding: object) -> Layout:
        """Return the layout of a network with this section `input.encoding`."""
        return Layout(self.blocks, encoding)

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(len(block.inputs) for block in self.blocks)

    @property
    def compact_width(self) -> int:
        """Number of stored numbers of a row, without omitting the zeros of sparse inputs."""
        return sum(block.compact_width for block in self.blocks)

    @property
    def expansion(self) -> Expansion | None:
        """The conversion of compact rows to inputs; `None` if no block has a compact form."""
        if not any(block.compact for block in self.blocks):
            return None
        widths = ((block.compact, len(block.inputs)) for block in self.blocks)
        # Blocks without a compact form may differ in width.
        groups = groupby(widths, key=lambda each: each if each[0] else None)
        runs = []
        for key, group in groups:
            inputs = [width for _, width in group]
            runs.append(Run(None, sum(inputs)) if key is None else Run(*key, len(inputs)))
        return Expansion(tuple(runs))

    def slices(self) -> Iterator[tuple[Block, slice]]:
        """Yield each block with the slice of its columns in the encoded matrix."""
        start = 0
        for block in self.blocks:
            stop = start + len(block.inputs)
            yield block, slice(start, stop)
            start = stop


_NUMBERS_AT_ONCE = 2**18
"""Approximate number of inputs that are expanded at once: 1 MiB, which caches hold."""


@dataclass(frozen=True)
class Run:
    """Adjacent blocks with the same compact form and number of inputs, or stored inputs."""

    form: CompactForm | None
    """The compact form; `None` if all inputs are stored."""
    inputs: int
    """Number of inputs of each block."""
    blocks: int = 1
    """Number of blocks; 1 if all inputs are stored."""

    @property
    def width(self) -> int:
        """Number of inputs."""
        return self.blocks * self.inputs

    @property
    def compact_width(self) -> int:
        """Number of stored numbers."""
        return self.blocks * _COMPACT_WIDTHS.get(self.form, self.inputs)

    def expand(self, compact: Matrix) -> Matrix:
        """Return the inputs of compact rows, (rows, width).

        Args:
            compact: the compact rows, (rows, compact_width).
        """
        if self.form is None:
            return compact
        size, rows = self.inputs, len(compact) * self.blocks
        numbers = compact.reshape(rows, self.compact_width // self.blocks)
        index = numbers[:, 0].astype(np.intp)
        if self.form == "bins":
            # The inputs of a row are a window of 1, ..., 1, 0, ..., 0, except at the index.
            steps = np.repeat(np.array([1, 0], np.float32), size)
            parts = np.lib.stride_tricks.sliding_window_view(steps, size)
            flat = parts[size - index].reshape(-1)
            flat[np.arange(rows) * size + index] = numbers[:, 1]
        else:
            flat = np.zeros(rows * size, np.float32)
            chosen = np.flatnonzero(index < size)
            flat[chosen * size + index[chosen]] = 1
        return flat.reshape(len(compact), self.width)


@dataclass(frozen=True)
class Expansion:
    """The conversion of compact rows to inputs."""

    runs: tuple[Run, ...]
    """The runs of blocks, in order."""

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(run.width for run in self.runs)

    @property
    def compact_width(self) -> int:
        """Number of stored numbers."""
        return sum(run.compact_width for run in self.runs)

    def without_last(self, count: int) -> Expansion:
        """Return the conversion without the last inputs, which are stored as they are.

        Args:
            count: number of inputs to omit, at most those of the last run.
        """
        *others, last = self.runs
        assert last.form is None
        assert count <= last.inputs
        return Expansion((*others, Run(None, last.inputs - count)))

    def expand(self, compact: Matrix) -> Matrix:
        """Return the inputs of compact rows, (rows, inputs).

        Args:
            compact: the compact rows, (rows, compact_width).
        """
        matrix = np.empty((len(compact), self.width), np.float32)
        rows = max(1, _NUMBERS_AT_ONCE // self.width)
        for first in range(0, len(compact), rows):
            some = slice(first, first + rows)
            at = start = 0
            for run in self.runs:
                end, stop = at + run.compact_width, start + run.width
                matrix[some, start:stop] = run.expand(compact[some, at:end])
                at, start = end, stop
        return matrix


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
