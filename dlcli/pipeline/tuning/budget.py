"""How long trials may begin."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Budget:
    """The time in which trials may begin.

    Args:
        seconds: how long; `None`: without end.
        spent: what of it earlier processes have used up.
        clock: tells the time, in seconds.
    """

    def __init__(
        self,
        seconds: float | None,
        spent: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._began = clock() - spent

    @property
    def spent(self) -> float:
        """Seconds so far, those of earlier processes included."""
        return self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds in which trials may still begin; infinite without a limit."""
        return max(0.0, self._seconds - self.spent)

    @property
    def is_over(self) -> bool:
        """Whether no trial may begin any more."""
        return self.left <= 0.0
