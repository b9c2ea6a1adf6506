"""What ends a cross-validation when a signal comes: finished folds are kept by then."""

from __future__ import annotations

from dlcli.errors import Interrupted, plural
from dlcli.pipeline.keeping import Interruptible
from dlcli.runs import RunWriter, resume_command


class FoldKeeper(Interruptible):
    """Ends the training of a fold when it is told to, and keeps nothing of it.

    Args:
        writer: the run.
        folds: how many there are over all repeats.
    """

    def __init__(self, writer: RunWriter, folds: int) -> None:
        super().__init__(writer, 0)
        self.finished = 0
        """How many folds are kept."""
        self._folds = folds

    def _end_if_told(self) -> None:
        if self.signal is None:
            return
        self._writer.has_partial_results = True  # what was planned is enough to go on from
        done = f"after {self.finished:,} of {plural(self._folds, 'fold')}"
        way_on = f"go on with: {resume_command(self._writer.path)}"
        raise Interrupted(f"{self.signal.name} {done}; {way_on}", self.signal)
