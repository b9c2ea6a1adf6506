"""How the program ends: exit codes, and a message for each kind of failure."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import click

from dlcli.errors import ConfigError, DlcliError, Interrupted, OutOfMemoryError

VERBOSE = "dlcli.verbose"
"""Key of what `-v` leaves in Click's `meta`."""

_UNEXPECTED = 1
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
_BROKEN_PIPE = 128 + 13  # as the shell says of a program that SIGPIPE has ended
_TERMINATING = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class _Terminated(SystemExit):
    """SIGTERM has come."""


@contextmanager
def explained_failures(ctx: click.Context) -> Iterator[None]:
    """Turns every failure of a block into a message on standard error and an exit code."""
    try:
        yield
        sys.stdout.flush()  # a full disk shows here, or a reader who has seen enough
    except (click.ClickException, click.exceptions.Exit):
        raise  # Click's own: wrong usage, and --help
    except DlcliError as error:
        _end(_lines(error), error.exit_code, at_once=isinstance(error, OutOfMemoryError))
    except KeyboardInterrupt as error:
        _end(["interrupted", *_notes(error)], _INTERRUPTED)
    except _Terminated as error:
        _end(["terminated", *_notes(error)], _TERMINATED)
    except BrokenPipeError:
        _abandon_output()
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        _abandon_output()
        _end(_system_error(error), _UNEXPECTED)
    except MemoryError as error:
        message = "error: out of memory; give it fewer rows, or less units or batch_size"
        _end([message, *_notes(error)], _UNEXPECTED)
    except Exception as error:
        if ctx.meta.get(VERBOSE):
            traceback.print_exc()
        _end(_bug(error), _UNEXPECTED)


@contextmanager
def obeyed_signals() -> Iterator[None]:
    """Lets the signals that end a program end it in good order: what is half-written is removed."""
    numbers = [getattr(signal, name) for name in _TERMINATING if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _exit) for number in heeded}  # not those of `nohup`
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    if number == signal.SIGTERM:
        raise _Terminated(_TERMINATED)  # told once the stack is unwound: a handler can't well print
    sys.exit(128 + number)  # of SIGHUP nobody is left to be told


def _lines(error: DlcliError) -> list[str]:
    from dlcli.config import printable

    if isinstance(error, Interrupted):
        return [f"ended by {printable(str(error))}"]
    if not isinstance(error, ConfigError):
        return [f"error: {printable(str(error))}", *_notes(error)]
    lines = [f"error: {printable(str(problem))}" for problem in error.problems]
    return [*lines, f"{len(lines)} problems"] if len(lines) > 1 else lines


def _system_error(error: OSError) -> list[str]:
    from dlcli.config import printable

    where = printable(str(error.filename or "standard output"))
    return [f"error: {where}: {error.strerror or error}", *_notes(error)]


def _bug(error: Exception) -> list[str]:
    from dlcli.config import printable

    return [
        f"error: unexpected {type(error).__name__}: {printable(str(error))}",
        "this is a bug in dlcli: run again with -v for the traceback, and report it",
        *_notes(error),
    ]


def _notes(error: BaseException) -> list[str]:
    """What was added to an error on its way."""
    from dlcli.config import printable

    return [printable(note) for note in getattr(error, "__notes__", ())]


def _end(lines: list[str], code: int, *, at_once: bool = False) -> NoReturn:
    """Ends the program.

    Args:
        lines: what is told.
        code: the exit code.
        at_once: leave out what libraries do at the exit, where TensorFlow may crash once it has run
            out of memory; everything is stored by then.
    """
    with suppress(OSError):  # of a terminal that is gone, or a full disk: the code tells, too
        for line in lines:
            click.echo(line, err=True)
    if at_once and sys.stderr is sys.__stderr__:  # else who calls it is not to end with it
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _abandon_output() -> None:
    """Sends what is still unwritten nowhere, or Python would fail once more at its exit."""
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
