"""Rows that are looked at: a part of one set or of several, so that it costs the same of any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.data_checks import draw
from dlcli.encoding import EncodedRows, Matrix
from dlcli.tables import Table

NUMBERS = 2**22
"""Most inputs of all rows that are looked at, so that wide ones need no large matrix: 16 MiB."""

Sets = Mapping[str, tuple[Table, EncodedRows]]
"""The rows of each set, and the same encoded."""


@dataclass(frozen=True, eq=False)
class LookedAt:
    """Some rows of one or several sets."""

    tables: Mapping[str, Table]
    """The rows of each set, one set behind the other."""
    matrix: Matrix
    """The same encoded, (rows, inputs)."""
    weights: NDArray[np.float64]
    """Their weights, 1 without any, (rows,)."""

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.matrix)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as numbers, NaN where there is none, (rows,)."""
        return np.concatenate(
            [table.parse_numbers(column).values for table in self.tables.values()]
        )

    def texts(self, column: str) -> NDArray[np.object_]:
        """A column's canonical texts, None where missing, (rows,)."""
        return np.concatenate([table.texts(column) for table in self.tables.values()])


def look_at(sets: Sets, most: int) -> LookedAt:
    """Takes some rows by lot, always the same; all if they are no more than that.

    Args:
        sets: where from; at least one.
        most: how many rows; fewer, if they are very wide.
    """
    rows = [len(encoded.inputs) for _, encoded in sets.values()]
    width = max(encoded.inputs.width for _, encoded in sets.values())
    places = draw(np.arange(sum(rows)), max(1, min(most, NUMBERS // max(width, 1))))
    ends = np.cumsum(rows)
    parts = np.split(places, np.searchsorted(places, ends[:-1]))
    some = [part - (end - count) for part, end, count in zip(parts, ends, rows, strict=True)]
    chosen = dict(zip(sets, some, strict=True))
    return LookedAt(
        {name: table.take(chosen[name]) for name, (table, _) in sets.items()},
        np.concatenate([each.inputs.take(chosen[name]) for name, (_, each) in sets.items()]),
        np.concatenate([weights_of(each)[chosen[name]] for name, (_, each) in sets.items()]),
    )


def weights_of(encoded: EncodedRows) -> NDArray[np.float64]:
    """The weights of rows, 1 without any, (rows,)."""
    if encoded.weights is None:
        return np.ones(len(encoded.inputs))
    return encoded.weights
