"""What watches the epochs: which way is better, and when a loss has left the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from dlcli.config import printable
from dlcli.errors import DivergenceError
from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.training.causes import likely_causes
from dlcli.training.job import Job, Weights

Progress = Callable[[int, Mapping[str, float]], None]
"""Is told of each epoch, counted from 1, with its column values of history.csv."""


def direction(monitor: str) -> str:
    """Which way a monitored value improves, in Keras's words: `min` or `max`."""
    return "max" if HIGHER_IS_BETTER.get(monitor.removeprefix("val_"), False) else "min"


def check_finite(loss: float, epoch: int, job: Job) -> None:
    """Stops a run whose loss is no number any more; notes say what may have led there.

    Args:
        loss: the loss so far in this epoch, or the validation loss at its end.
        epoch: counted from 1.
        job: for what may have led there.

    Raises:
        DivergenceError: if it is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise _diverged(f"the loss became {loss} in epoch {epoch}", epoch, job)


def check_weights(weights: Weights, epoch: int, job: Job) -> None:
    """Stops a run whose last step left the numbers, which no loss has shown; with notes, too.

    Args:
        weights: what training ended with.
        epoch: the last one, from 1.
        job: for what may have led there.

    Raises:
        DivergenceError: if any of them is NaN or infinite.
    """
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise _diverged(f"the last step left no numbers in '{name}'", epoch, job)


def _diverged(what: str, epoch: int, job: Job) -> DivergenceError:
    error = DivergenceError(f"training diverged: {what}", epoch)
    for cause in likely_causes(job):
        error.add_note(f"  {printable(str(cause))}")  # it may name a column
    return error


def shortest(value: float) -> float:
    """A float32 value as the float64 that prints shortest: 0.01 rather than 0.009999999776."""
    return float(str(np.float32(value)))
