"""Worker processes, each with its own TensorFlow, that share the trials of a search."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from dlcli.errors import Interrupted, TrainingError, plural
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.events import Listener
from dlcli.runs import RunWriter, resume_command

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


Work = Callable[[Listener], None]
"""What a process does and tells of; it can be pickled, as a function of a module can. It ends in
good order when SIGTERM comes."""

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_ENDED = 128 + signal.SIGTERM


@dataclass(eq=False)
class Worker:
    """A process that works."""

    process: SpawnProcess
    inbox: Connection
    """Brings the name and fields of each event, in the end a `Failure` or `None`."""
    is_done: bool = False
    """Whether it has found nothing more to do."""

    @classmethod
    def begun(cls, work: Work) -> Worker:
        """One that begins now."""
        context = get_context("spawn")  # a fork would share locks of threads that it doesn't have
        inbox, outbox = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(work, outbox), daemon=True)
        process.start()
        outbox.close()  # so that the worker's end is the last of it
        return cls(process, inbox)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Keeps signals waiting, also from processes that begin meanwhile, until they can heed them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _held_back())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(work: Work, outbox: Connection) -> None:
    """Is a worker, in a process of its own."""
    _end_with_parent()
    _heed_parent_alone()
    try:
        work(lambda event, fields: outbox.send((event, fields)))
    except Interrupted:
        sys.exit(_ENDED)
    except Exception as error:
        outbox.send(Failure.of(error))
    else:
        outbox.send(None)
    outbox.close()


def _heed_parent_alone() -> None:
    """Leaves to the parent what a terminal sends to all: it tells workers to end by SIGTERM."""
    signal.signal(signal.SIGTERM, _exit)
    for number in _held_back():
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _held_back())


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(_ENDED)


def _end_with_parent() -> None:
    """Ends this process at once when the one is gone that began it, however it has ended."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(_ENDED)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Failure:
    """An exception on its way to another process."""

    kind: type[Exception]
    arguments: tuple[Any, ...]
    facts: Mapping[str, Any]
    """Its attributes, notes among them."""
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What is known of an exception; of one that can't be taken apart, its text."""
        trace = traceback.format_exc()
        failure = cls(type(error), error.args, dict(vars(error)), trace)
        try:
            ForkingPickler.dumps(failure)  # as a pipe between processes does
        except Exception:  # what can't be sent may raise anything
            return cls(RuntimeError, (f"{type(error).__name__}: {error}",), {}, trace)
        return failure

    def error(self) -> Exception:
        """The exception again, caused by what it was in the other process."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.facts)
        error.__cause__ = RuntimeError(f"in a worker process:\n{self.trace}")
        return error


def _held_back() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]


_MOMENT = 0.1
"""Seconds from one look at signals to the next."""
_GRACE = 30.0
"""Seconds that a worker has to come to a point where it can end."""


def work_together(
    work: Work,
    jobs: int,
    writer: RunWriter,
    listener: Listener,
    lost: Callable[[int], None] = lambda _: None,
) -> None:
    """Has processes do a work until there is none left.

    Args:
        work: what each does.
        jobs: how many there are.
        writer: the run that they work for, which the caller holds.
        listener: is told what they tell, and of those that were lost.
        lost: is told the number of a process that was killed, or crashed, so that what it was at
            can be done by another; the others go on meanwhile.

    Raises:
        Interrupted: if a signal has come; all workers have ended then.
        TrainingError: if all were killed.
        DlcliError: that has ended one of them; the others were ended, too.
    """
    keeper = StopOnSignal(writer, str)
    crew = _Crew(work, jobs, keeper, listener, lost)
    try:
        with keeper.handling_signals():
            crew.work()
    except Interrupted:
        assert keeper.signal is not None
        way_on = f"; resume with: {resume_command(writer.path)}" if writer.can_resume else ""
        raise Interrupted(f"{keeper.signal.name}{way_on}", keeper.signal) from None


def threads_each(threads: int | Literal["auto"], jobs: int) -> int | Literal["auto"]:
    """The CPU threads of each of several processes: its part of all, unless that was settled."""
    if jobs == 1 or threads != "auto":
        return threads
    return max(1, _cores() // jobs)


def _cores() -> int:
    """CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class _Crew:
    """The processes that work, as the one sees them that began them."""

    def __init__(
        self,
        work: Work,
        jobs: int,
        keeper: StopOnSignal,
        listener: Listener,
        lost: Callable[[int], None],
    ) -> None:
        self._work = work
        self._jobs = jobs
        self._keeper = keeper
        self._listener = listener
        self._lost = lost
        self._losses = 0
        self._lost_since = False
        self._last = ""
        self._workers: list[Worker] = []
        self._is_told_to_end = False

    def work(self) -> None:
        """Begins as many as there should be, and listens until nothing is left to do."""
        patience = _GRACE
        try:
            self._begin(self._jobs)
            self._listen()
            while self._lost_since and not self._keeper.is_ending:
                self._check_worth()
                self._begin(1)  # the others may have found nothing to do before that one was lost
                self._listen()
        except KeyboardInterrupt:  # a second Ctrl-C
            patience = 0.0
            raise
        finally:
            self._end(patience)

    def _listen(self) -> None:
        """Takes in what workers tell, until all have ended."""
        self._lost_since = False
        while at_work := [worker for worker in self._workers if not worker.inbox.closed]:
            self._pass_signal_on()
            ready = wait([worker.inbox for worker in at_work], _MOMENT)
            for worker in at_work:
                if worker.inbox in ready:
                    self._hear(worker)

    def _begin(self, count: int) -> None:
        with signals_held_back():
            self._workers += [Worker.begun(self._work) for _ in range(count)]

    def _pass_signal_on(self) -> None:
        if self._keeper.is_ending and not self._is_told_to_end:
            self._is_told_to_end = True
            for worker in self._workers:
                worker.process.terminate()

    def _hear(self, worker: Worker) -> None:
        """Takes what a worker says, or that it says nothing any more."""
        try:
            message = worker.inbox.recv()
        except (EOFError, OSError):
            worker.inbox.close()
            self._part_from(worker)
            return
        if isinstance(message, Failure):
            raise message.error()
        if message is None:
            worker.is_done = True
        else:
            self._listener(*message)

    def _part_from(self, worker: Worker) -> None:
        """Sees how a worker has ended that says nothing any more."""
        worker.process.join(_GRACE)
        if worker.is_done or self._keeper.is_ending:
            return
        self._lost_since = True
        self._losses += 1
        number, self._last = worker.process.pid, _how_ended(worker.process.exitcode)
        assert number is not None
        self._lost(number)
        message = f"worker process {number} {self._last}; what it was at is left to another"
        self._listener("warning", {"message": message})

    def _check_worth(self) -> None:
        """Refuses to begin another if all were lost, or too many.

        Raises:
            TrainingError: saying how they have ended.
        """
        if self._losses <= 2 * self._jobs and any(worker.is_done for worker in self._workers):
            return
        raise TrainingError(
            f"{plural(self._losses, 'worker')} ended before the work was done, the last "
            f"of them {self._last}; give it fewer --jobs, or less units or batch_size"
        )

    def _end(self, patience: float) -> None:
        """Ends those that are left: at a point where they can, or at once."""
        alive = [worker.process for worker in self._workers if worker.process.is_alive()]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + patience
        for process in alive:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for worker in self._workers:
            worker.inbox.close()


def _how_ended(code: int | None) -> str:
    if code is None:
        return "closed its pipe"
    if code >= 0:
        return f"ended with exit code {code}"
    names = {each.value: each.name for each in signal.Signals}
    name = names.get(-code, f"signal {-code}")
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
