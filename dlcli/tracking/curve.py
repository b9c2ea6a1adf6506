"""Which epochs of a long training are tracked."""

from __future__ import annotations

_ALL = 500
"""So many epochs are tracked without a gap."""


def is_on_curve(epoch: int) -> bool:
    """Whether an epoch is one of those that are tracked.

    All up to 500 are, then every 2nd up to 1,000, every 4th up to 2,000 and so on: wherever
    training ends after that, its last half has 250 points; ten thousand epochs have some 1,600, a
    hundred million less than 5,000. As it depends on nothing else, a training that goes on tracks
    the same ones.

    Args:
        epoch: counted from 1.
    """
    return epoch % (1 << ((epoch - 1) // _ALL).bit_length()) == 0
