"""Store checkpoints while a network is trained, and stop when a signal arrives."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import numpy as np

from dlcli import is_command_line
from dlcli.cluster import TERMINATING, Handler, replacing_handlers
from dlcli.errors import Interrupted, RunError, plural
from dlcli.runs.file_formats import ArraySpec, weight_specs
from dlcli.runs.resume_files import Checkpoint
from dlcli.runs.run_writer import RunWriter
from dlcli.safe_files import damaged
from dlcli.training_job import NO_CHECKPOINTS, Checkpointer, Job, TrainingResult
from dlcli.workers import Workers

_BEST_EPOCH = "best_epoch"
"""The array of a finished member; 0 for the last epoch."""
OVERHEAD = 10
"""The time between checkpoints is at least this many times the time to store one."""


@contextmanager
def handling_terminating(handler: Handler) -> Iterator[None]:
    """Handle the signals that end training within a block.

    In the process of another program, whose signals these are, and in any other thread than the
    main one, which receives none, this does nothing.

    Args:
        handler: what is called, or what is done with them.
    """
    is_main = threading.current_thread() is threading.main_thread()
    with replacing_handlers(TERMINATING if is_main and is_command_line.get() else (), handler):
        yield


class SignalStop:
    """Ends work when a signal arrives; a subclass says what is finished then."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The signal that arrived first."""

    @property
    def is_ending(self) -> bool:
        """True if the work is to end."""
        return self.signal is not None

    def check(self) -> None:
        """End the work if a signal has arrived.

        Raises:
            Interrupted: saying what is finished and how to resume.
        """
        raise NotImplementedError

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Let the first terminating signal end the work: a training once a checkpoint is stored.

        A second Ctrl-C ends it at once; see `handling_terminating`.

        Raises:
            Interrupted: if a signal has arrived since the last checkpoint was stored.
        """
        with handling_terminating(self._handle):
            yield
        self.check()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


class StopOnSignal(SignalStop, Checkpointer):
    """A checkpointer that stores nothing, and ends training when a signal arrives.

    Whatever is interrupted under it starts over when the run is resumed.

    Args:
        writer: the run.
        describe: gives what is finished, for the message: `3 epochs`, `2 of 5 folds`.
        resumable: whether the run can be resumed from what the folder holds from the beginning.
    """

    def __init__(
        self, writer: RunWriter, describe: Callable[[], str], *, resumable: bool = False
    ) -> None:
        super().__init__()
        self._writer = writer
        self._describe = describe
        self._resumable = resumable

    def save(self, checkpoint: Checkpoint) -> None:
        """Discard a checkpoint.

        Raises:
            Interrupted: if a signal has arrived.
        """
        self.check()

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Discard the result of a member of an ensemble.

        Raises:
            Interrupted: if a signal has arrived.
        """
        self.check()

    def check(self) -> None:
        """End the run if a signal has arrived.

        Raises:
            Interrupted: saying what is finished and how to resume.
        """
        if self.signal is None:
            return
        if self._resumable:
            self._writer.has_partial_results = True
        message = f"{self.signal.name} after {self._describe()}; {self._writer.way_to_resume}"
        raise Interrupted(message, self.signal)


class RunCheckpointer(StopOnSignal):
    """Stores the checkpoints of a training in its run folder, and loads the newest to resume.

    Args:
        writer: the run.
        seconds: how long to wait from one checkpoint of a network to the next.
        on_resume: is called with the number of finished epochs when the training of a network is
            resumed, and with its number in an ensemble.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        writer: RunWriter,
        seconds: float,
        on_resume: Callable[[int, int | None], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(writer, self._describe_finished)
        self.seconds = seconds
        self.on_resume = on_resume
        self.clock = clock
        self._epochs = 0
        """Number of epochs before the latest checkpoint that this process has stored."""
        self._member: int | None = None
        self._members: dict[int, RunCheckpointer] = {}
        self._next = clock() + seconds

    @property
    def is_due(self) -> bool:
        """True if a checkpoint is wanted now: it is time for one, or training is to end."""
        return self.is_ending or self.clock() >= self._next

    def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint.

        Raises:
            TrainingError: if it can't be stored.
            Interrupted: if a signal has arrived.
        """
        start = self.clock()
        self._writer.write_checkpoint(checkpoint, self._member)
        end = self.clock()
        self._epochs = checkpoint.epochs
        self._next = end + max(self.seconds, OVERHEAD * (end - start))
        self.check()

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Checkpoint | None:
        """Return the newest checkpoint that is not past the end of a job; `None` without one.

        Args:
            job: what is trained.
            kinds: shape and dtype of each array, by name.

        Raises:
            RunError: if none of those that are stored can be read, or the newest does not belong to
                such a job; or if there is none for a job that can't start over.
        """

        def is_usable(checkpoint: Checkpoint) -> bool:
            return job.until is None or checkpoint.begun <= job.until

        checkpoint = self._writer.read_checkpoint(kinds, is_usable, self._member)
        if checkpoint is None:
            if not job.can_begin:
                message = "has no checkpoint to resume from; train it again"
                raise RunError(f"{self._writer.path}: {message}")
            return None
        if problem := job.problem(checkpoint):
            raise damaged(self._writer.path, f"its checkpoint {problem}")
        self.on_resume(checkpoint.epochs, self._member)
        return checkpoint

    def of_member(self, number: int) -> RunCheckpointer:
        """Return the checkpointer of a member of an ensemble, numbered from 1."""
        self._members[number] = member = _MemberCheckpointer(self, self._writer, number)
        return member

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Store the result of a finished member, which is not trained again on resuming.

        Raises:
            TrainingError: if it can't be stored.
        """
        self._writer.write_member(number, _as_checkpoint(result))

    def finished_member(self, number: int, job: Job) -> TrainingResult | None:
        """Return the stored result of a member; `None` if it is not finished.

        Args:
            number: from 1.
            job: what it is trained by.

        Raises:
            RunError: if it is damaged, or doesn't belong to the job.
        """
        specs = weight_specs({weight.name: weight.shape for weight in job.network.weights})
        kinds = {**specs, _BEST_EPOCH: ArraySpec((), np.dtype(np.int64))}
        stored = self._writer.read_member(number, kinds)
        if stored is None:
            return None
        best = int(stored.arrays[_BEST_EPOCH])
        if tuple(stored.history) != (*job.columns, "learning_rate") or not (
            0 <= best <= stored.epochs <= job.config.epochs
        ):
            raise damaged(self._writer.path, f"its member {number} is of another training")
        return _as_result(stored)

    def _describe_finished(self) -> str:
        members = [*self._members.values()]  # threads begin others at any time
        if not members:
            return plural(self._epochs, "epoch")
        epochs = sum(member._epochs for member in members)
        return f"{plural(epochs, 'epoch')} of {plural(len(members), 'member')}"


class _MemberCheckpointer(RunCheckpointer):
    """The checkpointer of a member of an ensemble, which ends when its run does."""

    def __init__(self, run: RunCheckpointer, writer: RunWriter, number: int) -> None:
        super().__init__(writer, run.seconds, run.on_resume, run.clock)
        self._run = run
        self._member = number

    @property
    def is_ending(self) -> bool:
        return self._run.is_ending

    def check(self) -> None:
        self._run.check()


class SharedCheckpointer(Checkpointer):
    """The checkpointer of a cluster: worker 0 stores and loads, and all resume from the same.

    Args:
        workers: those of the cluster.
        own: the checkpointer of worker 0; that of others is not used.
    """

    def __init__(self, workers: Workers, own: Checkpointer) -> None:
        self._workers = workers
        self._own = own if workers.rank == 0 else NO_CHECKPOINTS

    @property
    def is_due(self) -> bool:
        """True if a checkpoint is wanted now."""
        return self._own.is_due

    @property
    def is_ending(self) -> bool:
        """True if training is to end."""
        return self._own.is_ending

    def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint on worker 0."""
        self._own.save(checkpoint)

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Checkpoint | None:
        """Return the newest checkpoint of worker 0, see `RunCheckpointer.latest`."""
        return self._of_worker_0(lambda: self._own.latest(job, kinds))

    def _of_worker_0(self, load: Callable[[], Checkpoint | None]) -> Checkpoint | None:
        """Return to all workers what worker 0 loads."""
        found = self._workers.agree(load)
        history = self._workers.gather(None if found is None else found.history)[0]
        if history is None:
            return None
        arrays = self._workers.gather_arrays({} if found is None else found.arrays)[0]
        return Checkpoint(arrays, history)

    def of_member(self, number: int) -> Checkpointer:
        """Return the checkpointer of a member, whose checkpoints are worker 0's, too."""
        return SharedCheckpointer(self._workers, self._own.of_member(number))

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Store the result of a finished member on worker 0."""
        self._own.save_member(number, result)

    def finished_member(self, number: int, job: Job) -> TrainingResult | None:
        """Return the stored result of a member, see `RunCheckpointer.finished_member`."""

        def load() -> Checkpoint | None:
            result = self._own.finished_member(number, job)
            return None if result is None else _as_checkpoint(result)

        found = self._of_worker_0(load)
        return None if found is None else _as_result(found)


def shared_checkpointer(workers: Workers, own: Checkpointer) -> Checkpointer:
    """Return the checkpointer of all workers, of which each has one of its own."""
    return own if workers.size == 1 else SharedCheckpointer(workers, own)


def _as_checkpoint(result: TrainingResult) -> Checkpoint:
    """Return the form in which the result of a member is stored."""
    arrays = {**result.weights, _BEST_EPOCH: np.array(result.best_epoch or 0)}
    return Checkpoint(arrays, result.history)


def _as_result(checkpoint: Checkpoint) -> TrainingResult:
    weights = {name: array for name, array in checkpoint.arrays.items() if name != _BEST_EPOCH}
    history = {name: [*values] for name, values in checkpoint.history.items()}
    return TrainingResult(weights, history, int(checkpoint.arrays[_BEST_EPOCH]) or None)
