"""Values that stand apart from all others."""

from __future__ import annotations

from dlcli.data_checks.sample import Floats

FEWEST_OTHERS = 10
"""Different values that there must be, for one to stand apart from them."""


def is_far(value: float, others: Floats) -> bool:
    """Whether a value lies farther from the nearest of the others than those lie from each other.

    Args:
        value: less or greater than all others.
        others: the others, ascending, not empty.
    """
    low, high = float(others[0]), float(others[-1])
    return max(low - value, value - high) > high - low
