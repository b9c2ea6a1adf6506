"""The order in which an epoch takes its rows: a function of (shape, seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding import block_rows

GROUP = 256
"""Blocks that are mixed with one another."""
WHOLE_GROUPS = 4
"""A table of so many groups is still shuffled as a whole."""


def epoch_order(rows: int, width: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Shuffles the rows of one epoch: `order_parts` in one piece, (rows,)."""
    return np.concatenate(list(order_parts(rows, width, seed, epoch)))


def order_parts(rows: int, width: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Shuffles the rows of one epoch, some at a time.

    Up to `WHOLE_GROUPS` groups of blocks, each order is equally likely. Beyond, blocks are
    shuffled, and then the rows within each group of blocks, so that a table larger than memory is
    read in long pieces.

    Args:
        rows: how many there are.
        width: numbers of each.
        seed: the config's seed.
        epoch: counted from 0.

    Yields:
        Indices of rows, which make up all of them.
    """
    random = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    size = block_rows(width)
    if rows <= WHOLE_GROUPS * GROUP * size:
        yield random.permutation(rows)
        return
    blocks = random.permutation(-(-rows // size))
    for start in range(0, len(blocks), GROUP):
        group = blocks[start : start + GROUP, np.newaxis] * size + np.arange(size)
        yield random.permutation(group[group < rows])
