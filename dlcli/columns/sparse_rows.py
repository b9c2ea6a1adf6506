"""Rows of inputs that are mostly 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix


@dataclass(frozen=True)
class SparseRows:
    """Inputs that are mostly 0, in compressed sparse row format."""

    starts: Indices
    """Index of each row's first entry, and the number of entries at the end, (rows + 1,)."""
    columns: NDArray[np.int32]
    """The input of each entry, (entries,)."""
    values: NDArray[np.float32]
    """The value of each entry, (entries,)."""
    width: int
    """Number of inputs."""

    def write(self, rows: Indices, out: Matrix) -> None:
        """Write the entries of some rows into `out`, zeros of shape (len(rows), width)."""
        counts = self.starts[rows + 1] - self.starts[rows]
        entries = concatenated_ranges(self.starts[rows], counts)
        out[np.repeat(np.arange(len(rows)), counts), self.columns[entries]] = self.values[entries]

    def fill(self, out: Matrix) -> None:
        """Write the entries of all rows into `out`, zeros of shape (rows, width)."""
        rows = np.repeat(np.arange(len(out)), np.diff(self.starts))
        out[rows, self.columns] = self.values


def stack_sparse(parts: Sequence[SparseRows]) -> SparseRows:
    """Stack sparse rows of the same width below one another."""
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return SparseRows(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
        parts[0].width,
    )


def concatenated_ranges(starts: Indices, counts: Indices) -> Indices:
    """Return several ranges of indices, one after the other.

    Args:
        starts: the first index of each, (ranges,).
        counts: number of indices of each, (ranges,).

    Returns:
        `[5, 6, 2, 3, 4]` for starts `[5, 2]` and counts `[2, 3]`, (sum of the counts,).
    """
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(counts.sum())
