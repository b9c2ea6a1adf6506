"""Tasks of worker processes in tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from dlcli.errors import ConfigError, DivergenceError, Interrupted, Position, Problem
from dlcli.pipeline.events import Event


class StartedEvent(Event, kind="started"):
    """A process has begun."""

    process: int


class DidEvent(Event, kind="did"):
    """A piece of work is done."""

    piece: int
    process: int


def share_work(folder: Path, count: int, listener):
    """Do each piece of work once, whichever process comes first."""
    for at in range(count):
        try:
            (folder / str(at)).touch(exist_ok=False)
        except FileExistsError:
            continue
        listener(DidEvent(piece=at, process=os.getpid()))
        time.sleep(0.05)


def die_first(folder: Path, count: int, listener):
    """The first process takes a piece of work and is killed; the others do the rest."""
    try:
        (folder / "died").touch(exist_ok=False)
    except FileExistsError:
        share_work(folder, count, listener)
        return
    (folder / "0").touch()
    listener(StartedEvent(process=os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def die_last(folder: Path, listener):
    """The second process finds nothing to do and ends; then the first one is killed."""
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        if (folder / "left").exists():
            (folder / "left").unlink()
            listener(DidEvent(piece=0, process=os.getpid()))
        return
    (folder / "left").touch()
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def die(listener):
    os.kill(os.getpid(), signal.SIGKILL)


def fail_at_once(folder: Path, listener):
    """The first process fails; the other works until it is ended."""
    try:
        (folder / "failed").touch(exist_ok=False)
    except FileExistsError:
        work_forever(listener)
    raise ConfigError([Problem("hidden[0].units", "is too many", Position("a.yaml", 3, 4))])


def diverge(listener):
    error = DivergenceError("the loss is NaN", 7)
    error.add_note("use less")
    raise error


def work_forever(listener):
    listener(StartedEvent(process=os.getpid()))
    while True:
        time.sleep(0.01)


def clean_up(folder: Path, listener):
    """Work until SIGTERM arrives, and leave a file when it does."""

    def handle(*_):
        raise Interrupted("SIGTERM", signal.SIGTERM)

    signal.signal(signal.SIGTERM, handle)
    try:
        work_forever(listener)
    finally:
        (folder / str(os.getpid())).touch()


def ignore_signals(listener):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work_forever(listener)


def evaluate_forever(*_):
    """Be in the middle of a trial, as the file `evaluating` in the current folder shows."""
    Path("evaluating").touch()
    while True:
        time.sleep(1)


def raise_local(listener):
    """Raise an error of a class that another process can't import."""

    class Local(Exception):
        """A class of this function."""

    raise Local("words")
