"""The order in which an epoch takes its rows: a function of (seed, epoch) and nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
"""Rows of a block, which lie together on disk."""
GROUP = 256
"""Blocks that are in memory together."""
TWO_LEVEL_ROWS = 4 * BLOCK * GROUP
"""Rows from which on the order is two-level, in memory as from disk."""


def epoch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Shuffles the rows of one epoch.

    Up to `TWO_LEVEL_ROWS` each order is equally likely. Beyond, blocks are shuffled, and then the
    rows within each group of blocks, so that a table larger than memory is read in long pieces.

    Args:
        rows: how many there are.
        seed: the config's seed.
        epoch: counted from 0.

    Returns:
        Indices of the rows, (rows,).
    """
    random = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    if rows <= TWO_LEVEL_ROWS:
        return random.permutation(rows)
    blocks = random.permutation(-(-rows // BLOCK))
    groups = []
    for start in range(0, len(blocks), GROUP):
        group = blocks[start : start + GROUP, np.newaxis] * BLOCK + np.arange(BLOCK)
        groups.append(random.permutation(group[group < rows]))
    return np.concatenate(groups)
