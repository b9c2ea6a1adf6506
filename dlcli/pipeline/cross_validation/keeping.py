"""What ends a cross-validation when a signal comes: finished folds are kept by then."""

from __future__ import annotations

from dlcli.errors import Interrupted, plural
from dlcli.pipeline.keeping import Interruptible
from dlcli.runs import Draft, resume_command


class FoldKeeper(Interruptible):
    """Ends the training of a fold when it is told to, and keeps nothing of it.

    Args:
        draft: the run.
        folds: how many there are over all repeats.
    """

    def __init__(self, draft: Draft, folds: int) -> None:
        super().__init__(draft, 0)
        self.finished = 0
        """How many folds are kept."""
        self._folds = folds

    def _end_if_told(self) -> None:
        if self.signal is None:
            return
        self._draft.has_parts = True  # what was planned is enough to go on from
        done = f"after {self.finished:,} of {plural(self._folds, 'fold')}"
        way_on = f"go on with: {resume_command(self._draft.path)}"
        raise Interrupted(f"{self.signal.name} {done}; {way_on}", self.signal)
