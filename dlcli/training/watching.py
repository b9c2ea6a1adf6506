"""What watches the epochs: which way is better, and when a loss has left the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from dlcli.config.schema import Config
from dlcli.errors import TrainingError
from dlcli.scores import HIGHER_IS_BETTER

Progress = Callable[[int, Mapping[str, float]], None]
"""Is told of each epoch, counted from 1, with its column values of history.csv."""


def direction(monitor: str) -> str:
    """Which way a monitored value improves, in Keras's words: `min` or `max`."""
    return "max" if HIGHER_IS_BETTER.get(monitor.removeprefix("val_"), False) else "min"


def check_finite(loss: float, epoch: int, config: Config) -> None:
    """Stops a run whose loss is no number any more.

    Args:
        loss: the loss so far in this epoch.
        epoch: counted from 1.
        config: for what may have led there.

    Raises:
        TrainingError: if it is NaN or infinite.
    """
    if math.isfinite(loss):
        return
    rate = config.optimizer.learning_rate
    raise TrainingError(
        f"training diverged: the loss became {loss} in epoch {epoch}\n"
        f"  likely: steps that are too large; try --set optimizer.learning_rate={rate / 10:g}, or "
        "--set optimizer.clipnorm=1.0\n"
        "  or: inputs or a target far from 1 without scaling; see input.scaling, output.scaling"
    )


def shortest(value: float) -> float:
    """A float32 value as the float64 that prints shortest: 0.01 rather than 0.009999999776."""
    return float(str(np.float32(value)))
