"""Messages on standard error: errors, warnings and notes, their labels in color on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click

from dlcli.errors import printable

Label = Literal["error", "warning", "note"]

QUIET = "dlcli.quiet"
"""Key in Click's `meta` that `-q` sets."""
_COLORS: dict[Label, str] = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_message(label: Label, text: str) -> None:
    """Print a message to standard error, on one line; no note if `-q` is given."""
    if label == "note" and is_quiet():
        return
    shown = click.style(label, _COLORS[label], bold=True) if _has_color() else label
    print_line(f"{shown}: {printable(text)}")


def print_line(line: str) -> None:
    """Print a line to standard error, if it can be written to."""
    with ignoring_lost_output():
        click.echo(line, err=True)


@contextmanager
def ignoring_lost_output() -> Iterator[None]:
    """Continue if standard error can't be written to: a full disk, a terminal that is gone.

    Only a pipe whose reader has ended is an error, as the reader wants no more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def is_quiet() -> bool:
    """Return whether only warnings, errors and the result are printed."""
    context = click.get_current_context(silent=True)
    return context is not None and QUIET in context.meta


def _has_color() -> bool:
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not is_plain and is_terminal()


def is_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
