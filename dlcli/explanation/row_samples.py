"""Random samples of rows with their inputs and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.data_checks import draw, number
from dlcli.encoding import EncodedRows, Indices, Layout, Matrix
from dlcli.tables import Table

Floats = NDArray[np.float64]

MOST_NUMBERS = 2**22
"""Most inputs of all sampled rows, so that wide rows need no large matrix: 16 MiB."""

Sets = Mapping[str, tuple[Table, EncodedRows]]
"""The rows of each set, and the same encoded."""


@dataclass(frozen=True, eq=False)
class RowSample:
    """Sampled rows of one or several sets."""

    tables: Mapping[str, Table]
    """The rows of each set."""
    matrix: Matrix
    """The same encoded, one set after the other, (rows, inputs)."""
    weights: Floats
    """Their weights, 1 without any, (rows,)."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.matrix)

    def numbers(self, column: str) -> Floats:
        """Return a column's numbers, NaN where missing, (rows,)."""
        parts = [table.column(column).numbers().values for table in self.tables.values()]
        return np.concatenate(parts)

    def texts(self, column: str) -> NDArray[np.object_]:
        """Return a column's canonical texts, None where missing, (rows,)."""
        return np.concatenate([table.texts(column) for table in self.tables.values()])


def sample_rows(sets: Sets, most: int) -> RowSample:
    """Sample rows at random, always the same ones.

    Args:
        sets: the rows to sample; at least one set.
        most: most rows to sample; fewer if they are very wide.
    """
    rows = [len(encoded.inputs) for _, encoded in sets.values()]
    width = max(encoded.inputs.width for _, encoded in sets.values())
    indices = draw(np.arange(sum(rows)), max(1, min(most, MOST_NUMBERS // max(width, 1))))
    ends = np.cumsum(rows)
    parts = np.split(indices, np.searchsorted(indices, ends[:-1]))
    some = [part - (end - count) for part, end, count in zip(parts, ends, rows, strict=True)]
    chosen = dict(zip(sets, some, strict=True))
    return RowSample(
        {name: table.take(chosen[name]) for name, (table, _) in sets.items()},
        np.concatenate([each.inputs.take(chosen[name]) for name, (_, each) in sets.items()]),
        np.concatenate([row_weights(each)[chosen[name]] for name, (_, each) in sets.items()]),
    )


def row_weights(encoded: EncodedRows) -> Floats:
    """Return the weights of rows, 1 without any, (rows,)."""
    if encoded.weights is None:
        return np.ones(len(encoded.inputs))
    return encoded.weights


def input_indices(layout: Layout) -> dict[str, Indices]:
    """Return the indices of each column's inputs in the encoded matrix, by column in order."""
    indices: dict[str, list[int]] = {}
    for block, span in layout.slices():
        indices.setdefault(block.column, []).extend(range(span.start, span.stop))
    return {column: np.array(found, np.int64) for column, found in indices.items()}


def cut(text: str, characters: int) -> str:
    """Cut a text to at most so many characters."""
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def written(value: Any) -> str:  # noqa: ANN401 — what a cell of a table may hold
    """Format a table's value."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)
