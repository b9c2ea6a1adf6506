"""The end of the program: a message and an exit code for each kind of failure, and signals."""

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

from dlcli.errors import ConfigError, DlcliError, Interrupted, OutOfMemoryError, printable

VERBOSE = "dlcli.verbose"
"""Key in Click's `meta` that `-v` sets."""

_UNEXPECTED = 1
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
_BROKEN_PIPE = 128 + 13  # what a shell reports of a program that was ended by SIGPIPE


class _Terminated(SystemExit):
    """SIGTERM was received."""


@contextmanager
def explain_failures(ctx: click.Context) -> Iterator[None]:
    """Turn every failure of a block into a message on standard error and an exit code."""
    try:
        yield
        sys.stdout.flush()  # a full disk or a closed pipe shows up here
    except (click.ClickException, click.exceptions.Exit):
        raise  # Click's own: wrong usage, and --help
    except DlcliError as error:
        _exit(_error_lines(error), error.exit_code, at_once=isinstance(error, OutOfMemoryError))
    except KeyboardInterrupt as error:
        _exit(["interrupted", *_notes(error)], _INTERRUPTED)
    except _Terminated as error:
        _exit(["terminated", *_notes(error)], _TERMINATED)
    except BrokenPipeError:
        _discard_output()
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        _discard_output()
        where = printable(str(error.filename or "standard output"))
        _exit([f"error: {where}: {error.strerror or error}", *_notes(error)], _UNEXPECTED)
    except MemoryError as error:
        message = "error: out of memory; use fewer rows, fewer units or a smaller batch_size"
        _exit([message, *_notes(error)], _UNEXPECTED)
    except Exception as error:
        if ctx.meta.get(VERBOSE):
            traceback.print_exc()
        lines = [
            f"error: unexpected {type(error).__name__}: {printable(str(error))}",
            "this is a bug in dlcli: run again with -v for the traceback, and report it",
        ]
        _exit([*lines, *_notes(error)], _UNEXPECTED)


@contextmanager
def handle_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that half-written files are removed.

    Signals that are ignored, as under `nohup`, stay ignored.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        if number == signal.SIGTERM:
            raise _Terminated(_TERMINATED)  # a signal handler must not print
        sys.exit(128 + number)  # after SIGHUP there is no terminal to print to

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, leave) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _error_lines(error: DlcliError) -> list[str]:

    if isinstance(error, Interrupted):
        return [f"ended by {printable(str(error))}"]
    if not isinstance(error, ConfigError):
        return [f"error: {printable(str(error))}", *_notes(error)]
    lines = [f"error: {printable(str(problem))}" for problem in error.problems]
    return [*lines, f"{len(lines)} problems"] if len(lines) > 1 else lines


def _notes(error: BaseException) -> list[str]:
    """Return the notes that were added to an error, with control characters escaped."""
    return [printable(note) for note in getattr(error, "__notes__", ())]


def _exit(lines: list[str], code: int, *, at_once: bool = False) -> NoReturn:
    """Print lines to standard error and end the program.

    Args:
        lines: the message.
        code: the exit code.
        at_once: skip what libraries do at exit, where TensorFlow may crash after running out of
            memory; everything has been saved by then.
    """
    with suppress(OSError):  # the terminal may be gone, or the disk full; the exit code remains
        for line in lines:
            click.echo(line, err=True)
    if at_once and sys.stderr is sys.__stderr__:  # not when called from within another program
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _discard_output() -> None:
    """Redirect standard output to nowhere, or Python would fail again when it flushes at exit."""
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
