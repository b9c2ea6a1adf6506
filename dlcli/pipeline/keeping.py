"""Where training is, kept in its run folder: from time to time, and when a signal ends it."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from dlcli.errors import Interrupted, RunError, plural
from dlcli.runs import ArraySpec, Checkpoint, RunWriter, damaged, resume_command

if TYPE_CHECKING:
    from dlcli.training import Job, Snapshot

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_SHARE = 10
"""A checkpoint is taken at most once in so many times as long as it takes to store one."""


class Checkpointer:
    """Keeps the snapshots of a training as checkpoints of its run.

    Args:
        writer: the run.
        seconds: how long to wait from one to the next.
        resumed: is told after how many epochs training goes on, if it does.
        clock: tells the time, in seconds.
    """

    def __init__(
        self,
        writer: RunWriter,
        seconds: float,
        resumed: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kept = 0
        """How many there are of this process."""
        self.signal: signal.Signals | None = None
        """What has told training to end."""
        self._writer = writer
        self._seconds = seconds
        self._resumed = resumed
        self._clock = clock
        self._next = clock() + seconds
        self._epochs = 0

    @property
    def is_due(self) -> bool:
        """Whether it is time for a snapshot, or training is to end."""
        return self.is_ending or self._clock() >= self._next

    @property
    def is_ending(self) -> bool:
        """Whether training is to end."""
        return self.signal is not None

    def keep(self, snapshot: Snapshot) -> None:
        """Stores a snapshot.

        Raises:
            TrainingError: if it can't be stored.
            Interrupted: if training is to end.
        """
        start = self._clock()
        self._writer.write_checkpoint(Checkpoint(snapshot.arrays, snapshot.history))
        end = self._clock()
        self.kept += 1
        self._epochs = snapshot.epochs
        self._next = end + max(self._seconds, _SHARE * (end - start))
        self._end_if_told()

    def earlier(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Snapshot | None:
        """The newest snapshot that was stored and is not past the end of a job, if there is one.

        Args:
            job: what is trained.
            kinds: what each array must be, by name.

        Raises:
            RunError: if there were some, and none can be read, or what was read is of no such job;
                or if there is none for a job that can't begin anew.
        """
        from dlcli.training import Snapshot

        def serves(checkpoint: Checkpoint) -> bool:
            begun = Snapshot(checkpoint.arrays, checkpoint.history).begun
            return job.until is None or begun <= job.until

        checkpoint = self._writer.read_checkpoint(kinds, serves)
        if checkpoint is None:
            if not job.can_begin:
                message = "has no checkpoint to go on from; train it again"
                raise RunError(f"{self._writer.path}: {message}")
            return None
        snapshot = Snapshot(checkpoint.arrays, checkpoint.history)
        if complaint := snapshot.complaint(job):
            raise damaged(self._writer.path, f"its checkpoint {complaint}")
        self._resumed(snapshot.epochs)
        return snapshot

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Lets the first signal that ends a program end training once a snapshot is stored.

        A second Ctrl-C ends it at once. Signals that are ignored, as by `nohup`, stay so. In any
        other thread than the first, Python hears no signals, and this does nothing.

        Raises:
            Interrupted: if a signal has come since the last snapshot was stored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
        heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._heed) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self._end_if_told()

    def _end_if_told(self) -> None:
        if self.signal is not None:
            done = plural(self._epochs, "epoch")
            way_on = f"go on with: {resume_command(self._writer.path)}"
            raise Interrupted(f"{self.signal.name} after {done}; {way_on}", self.signal)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


class Interruptible(Checkpointer):
    """Ends when it is told to, and keeps nothing: what is trained after the network begins anew.

    Args:
        writer: the run.
        epochs: how many the network was trained.
    """

    def __init__(self, writer: RunWriter, epochs: int) -> None:
        super().__init__(writer, math.inf)
        self._epochs = epochs

    def keep(self, snapshot: Snapshot) -> None:
        """Forgets a snapshot.

        Raises:
            Interrupted: if training is to end.
        """
        self._end_if_told()

    def earlier(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Snapshot | None:
        """None."""
        return None
