"""Worker processes that share the trials of a search, the folds of a run, or files to predict."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import Literal

from dlcli import is_command_line
from dlcli.cluster import TERMINATING, after_parent, available_processors
from dlcli.errors import Interrupted, TrainingError, option, plural
from dlcli.pipeline.events import Listener, WarningEvent
from dlcli.training_job import SignalStop

WorkerTask = Callable[[Listener], None]
"""The work of each process. It can be pickled, ends on SIGTERM, and returns when no work remains.
"""
_TERMINATED = 128 + signal.SIGTERM
_POLL_SECONDS = 0.1
"""Time between two checks for signals."""
GRACE_SECONDS = 30.0
"""Time in which a worker must end after SIGTERM."""


def run_workers(
    task: WorkerTask,
    jobs: int,
    stop: SignalStop,
    listener: Listener,
    on_lost: Callable[[int], None] = lambda _: None,
) -> None:
    """Run a task in worker processes until no work remains.

    Args:
        task: the task of each process.
        jobs: the number of processes.
        stop: ends all processes when a signal arrives.
        listener: receives the events of all processes, and a warning for each lost process.
        on_lost: called with the number of a process that was killed or has crashed, so its work can
            be assigned to another process; the other processes continue.

    Raises:
        Interrupted: if a signal has arrived; all workers have then ended.
        TrainingError: if all processes were killed.
        DlcliError: the error of a process; the other processes have then ended.
    """
    pool = _Pool(task, jobs, stop, listener, on_lost)
    with stop.handling_signals():
        pool.run()


def threads_per_worker(threads: int | Literal["auto"], jobs: int = 1) -> int:
    """Return the number of CPU threads of each process; with `auto`, processes share them."""
    return max(1, available_processors() // jobs) if threads == "auto" else threads


def worker_name(process: int | None = None) -> str:
    """Return the name of a process of this machine, `host-pid`; of this process if omitted."""
    return f"{platform.node() or 'host'}-{os.getpid() if process is None else process}"


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    inbox: Connection
    """Receives each event, and at the end `None` or the exception that ended the worker."""
    is_done: bool = False
    """True if no work remained for the worker."""


@dataclass
class _Pool:
    """The worker processes, controlled by their parent.

    `concurrent.futures` ends all processes when one is killed, and does not transfer events.
    """

    task: WorkerTask
    jobs: int
    stop: SignalStop
    listener: Listener
    on_lost: Callable[[int], None]
    workers: list[_Worker] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """A description of the end of each lost worker."""

    def run(self) -> None:
        patience, count = GRACE_SECONDS, self.jobs
        try:
            while True:
                known = len(self.lost)
                self._start(count)
                self._listen()
                if len(self.lost) == known or self.stop.is_ending:
                    break
                self._check_losses()
                count = 1  # other workers may have ended before the lost worker's job was free
        except KeyboardInterrupt:  # the second Ctrl-C
            patience = 0.0
            raise
        finally:
            self._end(patience)

    def _start(self, count: int) -> None:
        context = get_context("spawn")  # a fork copies locks that are held by other threads
        with _blocking_signals():
            for _ in range(count):
                inbox, outbox = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(self.task, outbox), daemon=True)
                process.start()
                outbox.close()  # so the pipe is closed when the worker ends
                self.workers.append(_Worker(process, inbox))

    def _listen(self) -> None:
        """Emit the events of workers until all have ended."""
        is_passed_on = False
        while working := [worker for worker in self.workers if not worker.inbox.closed]:
            if self.stop.is_ending and not is_passed_on:
                is_passed_on = True
                for worker in self.workers:
                    worker.process.terminate()
            ready = wait([worker.inbox for worker in working], _POLL_SECONDS)
            for worker in working:
                if worker.inbox in ready:
                    self._receive(worker)

    def _receive(self, worker: _Worker) -> None:
        try:
            message = worker.inbox.recv()
        except (EOFError, OSError):
            worker.inbox.close()
            worker.process.join(GRACE_SECONDS)
            if not worker.is_done and not self.stop.is_ending:
                self._report_loss(worker.process)
            return
        if isinstance(message, Exception):
            raise message
        if message is None:
            worker.is_done = True
        else:
            self.listener(message)

    def _report_loss(self, process: SpawnProcess) -> None:
        number, reason = process.pid, _describe_end(process.exitcode)
        assert number is not None
        self.lost.append(reason)
        self.on_lost(number)
        message = f"worker process {number} {reason}; another worker takes over its job"
        self.listener(WarningEvent(message=message))

    def _check_losses(self) -> None:
        """Refuse to start another worker if all or too many workers were lost.

        Raises:
            TrainingError: with the end of the last lost worker.
        """
        is_any_done = any(worker.is_done for worker in self.workers)
        if len(self.lost) <= 2 * self.jobs and is_any_done:
            return
        raise TrainingError(
            f"{plural(len(self.lost), 'worker')} ended before all jobs were done, the last one "
            f"{self.lost[-1]}; try fewer {option('jobs')} or units, or a smaller batch_size"
        )

    def _end(self, patience: float) -> None:
        """End the remaining workers by SIGTERM, and by SIGKILL if they ignore it."""
        alive = [worker.process for worker in self.workers if worker.process.is_alive()]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + patience
        for process in alive:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for worker in self.workers:
            worker.inbox.close()


def _describe_end(code: int | None) -> str:
    if code is None:
        return "closed its pipe"
    if code >= 0:
        return f"ended with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    hint = ", perhaps because memory ran out" if names.get(-code) == "SIGKILL" else ""
    return f"was ended by {names.get(-code, f'signal {-code}')}{hint}"


@contextmanager
def _blocking_signals() -> Iterator[None]:
    """Block signals, also in new child processes, which unblock them when they can handle them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(task: WorkerTask, outbox: Connection) -> None:
    """Run a task in a worker process."""
    after_parent(partial(os._exit, _TERMINATED))
    is_command_line.set(True)
    # A terminal sends its signals to all processes; the parent sends SIGTERM instead.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    for number in TERMINATING:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATING)
    try:
        task(outbox.send)
    except Interrupted:
        sys.exit(_TERMINATED)
    except Exception as error:
        try:
            outbox.send(ExceptionWithTraceback(error, error.__traceback__))
        except Exception:  # pickling may raise any exception
            plain = RuntimeError(f"{type(error).__name__}: {error}")
            outbox.send(ExceptionWithTraceback(plain, error.__traceback__))
    else:
        outbox.send(None)
    outbox.close()
