"""The distinct texts of columns, of many short ones together.

A call of Arrow takes longer than its work on some hundred texts. So the distinct texts of many
short columns are parts of one array, and what is computed of them is computed for all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.tables.arrow_arrays import integers, mask_to_numpy, to_numpy

Results = tuple[NDArray[Any], ...]
"""Arrays with an entry for each text, (texts,)."""
Function = Callable[[pa.Array, str], Results]
"""Computes results of texts, (texts,), and of an argument such as a pattern."""


@dataclass(frozen=True, eq=False)
class DistinctTexts:
    """The distinct texts of a column, in the order of their first row."""

    every: pa.Array
    """Those of all columns that share what is computed, one column after the other."""
    part: slice
    """Where those of this column are."""
    counts: NDArray[np.int64]
    """Number of rows that have each, (distinct texts,)."""
    computed: dict[tuple[Function, str], Results] = field(default_factory=dict)
    """Earlier results of `compute`, shared by all columns."""

    @cached_property
    def texts(self) -> pa.Array:
        """The texts, (distinct texts,)."""
        return self.every[self.part]

    @cached_property
    def words(self) -> list[str]:
        """The texts as Python's."""
        return list(self.texts.to_pylist())

    def first(self, count: int) -> DistinctTexts:
        """Return the first texts alone, if there are more than so many."""
        if len(self.counts) <= count:
            return self
        return DistinctTexts(self.texts[:count], slice(0, count), self.counts[:count])

    def compute(self, function: Function, argument: str) -> Results:
        """Return what a function computes of each text, with an argument."""
        key = (function, argument)
        if key not in self.computed:
            self.computed[key] = function(self.every, argument)
        return tuple(results[self.part] for results in self.computed[key])

    def matches(self, pattern: str) -> NDArray[np.bool_]:
        """Return which texts match a pattern of RE2, (distinct texts,)."""
        return self.compute(_matches, pattern)[0]

    def count_matches(self, pattern: str) -> NDArray[np.int32]:
        """Return how often a pattern of RE2 matches each text, (distinct texts,)."""
        counts: NDArray[np.int32] = self.compute(_count_matches, pattern)[0]
        return counts


def _matches(texts: pa.Array, pattern: str) -> Results:
    return (mask_to_numpy(pc.match_substring_regex(texts, pattern)),)


def _count_matches(texts: pa.Array, pattern: str) -> Results:
    return (to_numpy(pc.count_substring_regex(texts, pattern), np.int32),)


def count_texts(texts: pa.ChunkedArray) -> DistinctTexts:
    """Return the distinct ones among a column's texts, none of which is null, (rows,)."""
    counted = texts.value_counts()
    distinct = counted.field("values").cast(pa.string())
    counts = to_numpy(counted.field("counts"), np.int64)
    return DistinctTexts(distinct, slice(0, len(distinct)), counts)


def count_together(
    texts: pa.Array, indices: NDArray[np.int32], owners: NDArray[np.int64], columns: int
) -> tuple[NDArray[np.int64], list[DistinctTexts]]:
    """Find the distinct texts of each of many columns.

    Args:
        texts: the distinct texts of all columns, (texts,).
        indices: the index of each value's text, one column after the other, (values,).
        owners: the number of each value's column, from 0, (values,).
        columns: how many columns there are.

    Returns:
        codes: the index of each value among the distinct texts of its column, (values,).
        distinct: these, (columns,).
    """
    size = max(len(texts), 1)
    pairs = integers(owners * size + indices).dictionary_encode()
    numbers = to_numpy(pairs.indices, np.int32)
    found, at = np.divmod(to_numpy(pairs.dictionary, np.int64), size)
    every = texts.take(integers(at)).cast(pa.string())
    counts = np.bincount(numbers, minlength=len(found))
    computed: dict[tuple[Function, str], Results] = {}
    edges = np.searchsorted(found, np.arange(columns + 1))
    parts = [slice(start, stop) for start, stop in pairwise(edges.tolist())]
    distinct = [DistinctTexts(every, part, counts[part], computed) for part in parts]
    return numbers - edges[owners], distinct
