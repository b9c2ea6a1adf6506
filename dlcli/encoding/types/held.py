"""What there is to judge a column by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.encoding.values import ColumnSummary, Tally, count_values, describe_values
from dlcli.tables import Kind, Table, integers, mask_to_numpy

Mask = NDArray[np.bool_]

NEARLY_ALL = 0.9
"""Share of the values from which on the others are taken for strays."""
_LONGEST_SHOWN = 30


@dataclass(frozen=True, eq=False)
class Held:
    """A column, and what it holds."""

    table: Table
    """The rows looked at."""
    name: str
    """The column."""

    @cached_property
    def tally(self) -> Tally:
        """Its different values."""
        return count_values(self.table, self.name)

    @cached_property
    def values(self) -> ColumnSummary:
        """The counts behind what is decided."""
        return describe_values(self.table, self.name, self.tally)

    @property
    def kind(self) -> Kind:
        """What it is stored as."""
        return self.table.kind(self.name)

    def fitting(self, pattern: str) -> Mask:
        """Which of its different values fit a pattern of RE2, (distinct values,)."""
        fits = pc.match_substring_regex(self.tally.texts, pattern)
        return mask_to_numpy(pa.chunked_array([fits]))

    def those(self, which: Mask) -> pa.Array:
        """Some of its different values.

        Args:
            which: those to take, (distinct values,).
        """
        return self.tally.texts.take(integers(np.flatnonzero(which)))

    def frequent(self, which: Mask, most: int) -> list[str]:
        """The most frequent of them, in order; of those as frequent, the first comes first.

        Args:
            which: those to choose from, (distinct values,).
            most: how many at most.
        """
        places = np.flatnonzero(which)
        order = np.argsort(-self.tally.counts[places], kind="stable")[:most]
        texts: list[str] = self.tally.texts.take(integers(places[order])).to_pylist()
        return texts

    def first(self, which: Mask) -> str:
        """The one of them that comes first."""
        return str(self.tally.texts[int(np.argmax(which))].as_py())

    def rows(self, which: Mask) -> int:
        """The rows that hold one of them."""
        return int(self.tally.counts[which].sum())

    def share(self, which: Mask) -> float:
        """Their share of the rows with a value; 0 without any."""
        return self.rows(which) / max(int(self.tally.counts.sum()), 1)

    def without(self, words: tuple[str, ...]) -> Table:
        """The rows looked at, with some words for missing values."""
        return replace(self.table, missing_words=(*self.table.missing_words, *words))


def shortened(text: str) -> str:
    """A value for a message, cut if it is long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def percent(share: float) -> str:
    """A share, rounded down, so that only all is `100 %`."""
    return f"{math.floor(1000 * share) / 10:g} %"
