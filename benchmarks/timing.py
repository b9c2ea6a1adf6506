"""Record when epochs end, and compute the time per epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochEnd:
    """The end of an epoch."""

    seconds: float
    """Since the start of training."""
    epochs: int
    """Number of epochs completed by then."""


class Stopwatch:
    """Records the ends of epochs; it starts when it is created."""

    def __init__(self) -> None:
        self.ends: list[EpochEnd] = []
        self._start = time.perf_counter()

    def record(self, epochs: int) -> None:
        """Record that this number of epochs is completed."""
        self.ends.append(EpochEnd(time.perf_counter() - self._start, epochs))


def last_of_each_burst(ends: Sequence[EpochEnd], gap: float) -> list[EpochEnd]:
    """Keep only the last of epochs that are reported within `gap` seconds of each other.

    A compiled dispatch reports all of its epochs when it ends.
    """
    following = [*ends[1:], EpochEnd(float("inf"), 0)]
    pairs = zip(ends, following, strict=True)
    return [end for end, after in pairs if after.seconds - end.seconds > gap]


def figures(ends: Sequence[EpochEnd]) -> dict[str, float]:
    """Compute the durations of a training.

    Args:
        ends: the ends in order; the last one is the end of training.

    Returns:
        `training_seconds` until the last end. If there are several, also `epoch_seconds`, the time
        per epoch from the first end to the end of the last epoch, and `compile_seconds`, the
        additional time before the first end, which occurs only once.
    """
    first, last = ends[0], ends[-1]
    if last.epochs == first.epochs:
        return {"training_seconds": last.seconds}
    done = next(end for end in ends if end.epochs == last.epochs)
    pace = (done.seconds - first.seconds) / (done.epochs - first.epochs)
    return {
        "epoch_seconds": pace,
        "compile_seconds": max(0.0, first.seconds - first.epochs * pace),
        "training_seconds": last.seconds,
    }
