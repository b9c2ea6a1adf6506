"""Messages on standard error: errors, warnings and notes, their labels in color on a terminal."""

from __future__ import annotations

import os
import sys
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
    click.echo(f"{shown}: {printable(text)}", err=True)


def is_quiet() -> bool:
    """Return whether only warnings, errors and the result are printed."""
    context = click.get_current_context(silent=True)
    return context is not None and QUIET in context.meta


def _has_color() -> bool:
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not is_plain and sys.stderr is not None and sys.stderr.isatty()
