"""What watches the epochs: which way is better, and when a loss has left the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dlcli.metrics import HIGHER_IS_BETTER

Progress = Callable[[int, Mapping[str, float]], None]
"""Is told of each epoch, counted from 1, with its column values of history.csv."""


def direction(monitor: str) -> str:
    """Which way a monitored value improves, in Keras's words: `min` or `max`."""
    return "max" if HIGHER_IS_BETTER.get(monitor.removeprefix("val_"), False) else "min"


def shortest(value: float) -> float:
    """A float32 value as the float64 that prints shortest: 0.01 rather than 0.009999999776."""
    return float(str(np.float32(value)))
