"""The program: its commands in the order of the help; a message and exit code for each failure."""

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

from dlcli import __version__
from dlcli.cli.config_commands import init, inspect, schema, validate
from dlcli.cli.options import VERBOSE
from dlcli.cli.prediction_commands import evaluate, predict
from dlcli.cli.run_commands import compare, diagnose, report
from dlcli.cli.training_commands import cv, train, tune
from dlcli.errors import ConfigError, DlcliError, Interrupted, OutOfMemoryError, printable

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


class Commands(click.Group):
    """Commands in the order in which they were added, with one place for all failures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; every failure becomes a message and an exit code."""
        with explain_failures(ctx), handle_signals():
            return super().invoke(ctx)


@click.group(
    "dlcli",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
For completion with the Tab key, add to your shell's start-up file
  bash:  eval "$(_DLCLI_COMPLETE=bash_source dlcli)"
  zsh:   eval "$(_DLCLI_COMPLETE=zsh_source dlcli)"
  fish:  _DLCLI_COMPLETE=fish_source dlcli | source

\b
Exit codes: 0 done, 1 unexpected failure, 2 usage or config, 3 data, 4 training, 5 run folder,
130 SIGINT (Ctrl-C), 143 SIGTERM, 129 SIGHUP.
""",
)
@click.version_option(__version__, prog_name="dlcli")
def main() -> None:
    """One YAML file in; a trained, explained and portable Dense network out.

    Start with a config for your own table:

    \b
      dlcli init data.csv --target price --output price.yaml
      dlcli train price.yaml
      dlcli predict new.csv

    Or start with a shipped example: `dlcli init --example iris`. See `dlcli COMMAND --help` for the
    options of a command.
    """  # noqa: D301  (Click's mark for lines to leave as they are)


for _command in (
    *(train, predict, evaluate, report, compare, diagnose, cv, tune),
    *(init, inspect, validate, schema),
):
    main.add_command(_command)
