"""What ends a search when a signal comes: finished trials are kept by then."""

from __future__ import annotations

from collections.abc import Callable

from dlcli.errors import Interrupted, plural
from dlcli.pipeline.keeping import Interruptible
from dlcli.runs import RunWriter, resume_command


class TrialKeeper(Interruptible):
    """Ends the training of a candidate when it is told to, and keeps nothing of it.

    Args:
        writer: the run.
        trials: how many have ended.
    """

    def __init__(self, writer: RunWriter, trials: Callable[[], int]) -> None:
        super().__init__(writer, 0)
        self._trials = trials

    def check(self) -> None:
        """Ends between two trials, if a signal has come.

        Raises:
            Interrupted: if one has.
        """
        self._end_if_told()

    def _end_if_told(self) -> None:
        if self.signal is None:
            return
        self._writer.has_partial_results = True
        done = plural(self._trials(), "trial")
        way_on = f"go on with: {resume_command(self._writer.path)}"
        raise Interrupted(f"{self.signal.name} after {done}; {way_on}", self.signal)
