"""When epochs ended, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A moment of training."""

    seconds: float
    """Since training began."""
    epochs: int
    """Epochs done by then."""


class Stopwatch:
    """Notes when epochs end; it starts as it is made."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._start = time.perf_counter()

    def mark(self, epochs: int) -> None:
        """Notes that so many epochs are done."""
        self.marks.append(Mark(time.perf_counter() - self._start, epochs))


def last_of_each_burst(marks: Sequence[Mark], gap: float) -> list[Mark]:
    """Leaves of marks that follow one another within `gap` seconds only the last.

    A compiled dispatch tells its epochs all at once when it ends.
    """
    following = [*marks[1:], Mark(float("inf"), 0)]
    pairs = zip(marks, following, strict=True)
    return [mark for mark, after in pairs if after.seconds - mark.seconds > gap]


def figures(marks: Sequence[Mark]) -> dict[str, float]:
    """Sums marks up.

    Args:
        marks: in order; the last one ends training.

    Returns:
        `training_seconds` to the last mark; if there are several, `epoch_seconds` between the first
        mark and the end of the last epoch, for each epoch; and `compile_seconds`: what the epochs
        before the first mark took beyond that, with all that comes only once.
    """
    first, last = marks[0], marks[-1]
    if last.epochs == first.epochs:
        return {"training_seconds": last.seconds}
    done = next(mark for mark in marks if mark.epochs == last.epochs)
    pace = (done.seconds - first.seconds) / (done.epochs - first.epochs)
    return {
        "epoch_seconds": pace,
        "compile_seconds": max(0.0, first.seconds - first.epochs * pace),
        "training_seconds": last.seconds,
    }
