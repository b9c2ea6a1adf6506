"""Numbers as how far they fill each of several bins."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from dlcli.encoding.columns.number_column import NumberColumn
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block
from dlcli.preprocessing import Floats, Increasing, ValueIssues, quantile_points, refuse_overflow
from dlcli.tables import Table


class PiecewiseLinearEncoder(NumberColumn):
    """A number: filled where missing, then an input for each bin, 0 before it and 1 behind it.

    Within the bin from a to b the input is (x − a)/(b − a), and so it is below the first bin and
    above the last, which go on.
    """

    encoding: Literal["piecewise_linear"] = "piecewise_linear"
    edges: Annotated[Increasing, Field(min_length=2)]
    """Where bins begin and end."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        bins = tuple(f"{self.column} {a}..{b}" for a, b in pairwise(_told_apart(self.edges)))
        return (Block(self.column, "numeric", bins), *self.indicator_blocks)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        values = self.read(table, "none", out, issues)
        edges = np.array(self.edges)
        # By the inner edges alone, the outer bins go on.
        bins = np.searchsorted(edges[1:-1], values, side="right")
        with np.errstate(over="ignore"):
            shares = (values - edges[bins]) / np.diff(edges)[bins]
        places = np.arange(len(edges) - 1)
        out[:, : len(places)] = places < bins[:, np.newaxis]
        filled = refuse_overflow(shares, values, table, self.column, issues)
        out[np.arange(len(out)), bins] = filled


def fit_edges(bins: int, values: Floats) -> tuple[float, ...]:
    """Ends bins at quantiles of the training rows, of which equal ones are one.

    Args:
        bins: most bins.
        values: the rows' values without gaps, (rows,).

    Returns:
        The edges; a constant column has a single bin as wide as its value, at least 1, so that it
        is only moved to 0.
    """
    edges: list[float] = np.unique(quantile_points(values, bins + 1)).tolist()
    if len(edges) == 1:
        edges.append(edges[0] + max(1.0, abs(edges[0])))
    return tuple(edges)


def _told_apart(edges: tuple[float, ...]) -> list[str]:
    """Edges with as few digits as tell them apart, but at least three."""
    written = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(3, 18))
    return next(names for names in written if len(set(names)) == len(edges))
