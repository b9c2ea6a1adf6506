"""What workers do in tests, in processes of their own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from dlcli.errors import ConfigError, DivergenceError, Interrupted, Problem


def greet(tell):
    tell("hello", {"process": os.getpid()})


def take_turns(folder: Path, count: int, tell):
    """Does each piece of work once, whoever comes first."""
    for at in range(count):
        try:
            (folder / str(at)).touch(exist_ok=False)
        except FileExistsError:
            continue
        tell("did", {"piece": at, "process": os.getpid()})
        time.sleep(0.05)


def die_first(folder: Path, count: int, tell):
    """The first to come begins a piece of work and is killed; the others do what there is."""
    try:
        (folder / "died").touch(exist_ok=False)
    except FileExistsError:
        take_turns(folder, count, tell)
        return
    (folder / "0").touch()
    tell("begun", {"process": os.getpid()})
    os.kill(os.getpid(), signal.SIGKILL)


def die_last(folder: Path, tell):
    """One finds nothing to do and ends; the other is killed once it has."""
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        if (folder / "left").exists():
            (folder / "left").unlink()
            tell("did", {})
        return
    (folder / "left").touch()
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def die(tell):
    os.kill(os.getpid(), signal.SIGKILL)


def fail_at_once(folder: Path, tell):
    """One is wrong, the other would go on for ever."""
    try:
        (folder / "failed").touch(exist_ok=False)
    except FileExistsError:
        sleep(tell)
    raise ConfigError([Problem("hidden[0].units", "is too many", "a.yaml:3:4")])


def diverge(tell):
    error = DivergenceError("the loss is NaN", 7)
    error.add_note("use less")
    raise error


def stumble(tell):
    raise ValueError("what nobody has thought of")


def sleep(tell):
    """Goes on until it is told to end."""
    tell("sleeps", {"process": os.getpid()})
    while True:
        time.sleep(0.01)


def end_well(folder: Path, tell):
    """Tidies up when it is told to end, and says so."""

    def heed(*_):
        raise Interrupted("SIGTERM", signal.SIGTERM)

    signal.signal(signal.SIGTERM, heed)
    try:
        sleep(tell)
    finally:
        (folder / str(os.getpid())).touch()


def heed_nothing(tell):
    """Doesn't end until it is killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep(tell)
