"""One of several processes at one work, as the one sees it that began it, and from within."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from dlcli.errors import Interrupted
from dlcli.pipeline.events import Listener

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
