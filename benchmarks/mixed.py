"""A table of columns of all types, made of random numbers from a fixed seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.tables import blanked, floats, integers, strings

CATEGORIES = (3, 10, 30, 100, 1_000, 5_000)
"""How many values each column of categories has."""
CONFIG = """\
data: {train: train.parquet, target: target}
input:
  features:
    category_5: &many
      {type: categorical, max_categories: 5000, encoding: {name: embedding, units: 8}}
    category_6: *many
    "time_?": datetime
    "*": auto
hidden:
  - {units: 64, activation: relu}
  - {units: 32, activation: relu}
epochs: 1
batch_size: 1024
"""
"""Reads all of its columns; 199 inputs become of them, and 213 with embeddings looked up."""

_MISSING_SHARE = 0.05


def mixed_table(rows: int) -> pa.Table:
    """Makes 30 columns and a target.

    There are 14 columns of floats, 4 of integers, 2 of numbers stored as text, 2 of true and false,
    2 of times and 6 of categories. Every second one has gaps.

    Args:
        rows: how many.
    """
    random = np.random.default_rng(0)
    columns = {f"float_{n}": floats(random.standard_normal(rows)) for n in range(1, 15)}
    for n in range(1, 5):
        columns[f"integer_{n}"] = integers(random.integers(0, 10 ** (n + 1), rows))
    for n in range(1, 3):
        decimals = floats(np.round(random.standard_normal(rows), n + 1))
        columns[f"number_as_text_{n}"] = decimals.cast(pa.string())
        columns[f"boolean_{n}"] = integers(random.integers(0, 2, rows)).cast(pa.bool_())
        moments = random.integers(1_500_000_000, 1_700_000_000, rows)
        columns[f"time_{n}"] = integers(moments).cast(pa.timestamp("s"))
    for n, count in enumerate(CATEGORIES, start=1):
        words = strings([f"value {place}" for place in range(count)], pa.string())
        columns[f"category_{n}"] = words.take(integers(_skewed(random, count, rows)))
    target = pc.add(columns["float_1"], columns["boolean_2"].cast(pa.float64()))
    for name in list(columns)[::2]:
        gaps = np.flatnonzero(random.random(rows) < _MISSING_SHARE)
        columns[name] = blanked(columns[name], gaps)
    return pa.table({**columns, "target": target})


def _skewed(random: np.random.Generator, count: int, rows: int) -> NDArray[np.int64]:
    """Places of categories, of which the first are the most frequent, (rows,)."""
    return (count * random.random(rows) ** 2).astype(np.int64)
