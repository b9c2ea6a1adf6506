"""Narrates an experiment: the story on standard error, the result on standard output."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import click

from dlcli.cli.closing import Closing
from dlcli.cli.epochs import EpochLines, Epochs
from dlcli.cli.text import some
from dlcli.cli.transient import TransientLine
from dlcli.cli.wording import WORDS, Fields, progress_words
from dlcli.config import printable

if TYPE_CHECKING:
    from dlcli.pipeline import Listener
    from dlcli.tables import Table

_LABEL = 9  # the longest is `features`
_USUAL = 80
"""Columns of a terminal that doesn't tell."""


class Ending(Protocol):
    """Notes what the end has to tell of, as it happens."""

    result: dict[str, Any]
    """The fields of the result."""

    def note(self, event: str, fields: Fields) -> None:
        """Takes in an event."""

    def lines(self) -> Iterator[str]:
        """Yields what is printed."""


@contextmanager
def narrator(*, as_json: bool, quiet: bool, closing: Ending | None = None) -> Iterator[Listener]:
    """Gives a listener that narrates what happens, and prints the result once the run is whole.

    Args:
        as_json: print JSON lines on standard output, one an event.
        quiet: leave out all but warnings and the result.
        closing: tells the result; if left out, that of a training.
    """
    closing = closing or Closing()
    with _teller(as_json, quiet) as tell_event:

        def listen(event: str, fields: dict[str, object]) -> None:
            closing.note(event, fields)
            if event != "result":
                tell_event(event, fields)

        yield listen
    if as_json:
        _print_json("result", closing.result)
    else:
        for line in closing.lines():
            click.echo(line)


def tell(event: str, fields: Fields) -> None:
    """Tells an event on standard error."""
    if event == "warning":
        click.echo(f"warning: {printable(fields['message'])}", err=True)
    elif event in WORDS:
        for at, line in enumerate(WORDS[event](fields)):
            label = "" if at else event
            click.echo(_fitted(f"{label:<{_LABEL}} {printable(line)}"), err=True)


def warn(file: str, notes: Iterable[str]) -> None:
    """Tells what is to be known of a file's values."""
    for note in notes:
        tell("warning", {"message": f"{file}: {note}"})


def tell_understood(table: Table) -> None:
    """Tells what was understood of a table's files and is not plain to see."""
    for note in table.notes:
        click.echo(f"note: {printable(note)}", err=True)
    for message in table.warnings:
        tell("warning", {"message": message})


def tell_unread(file: str, columns: list[str]) -> None:
    """Tells which columns of a file training didn't know."""
    if columns:
        count = "a column" if len(columns) == 1 else f"{len(columns)} columns"
        note = f"{printable(file)}: ignored {count} not seen in training: {some(columns)}"
        click.echo(f"note: {note}", err=True)


class _Story:
    """Tells all events, the epochs among them in a way of their own."""

    def __init__(self) -> None:
        self._epochs: Epochs | None = None
        self._line = TransientLine()
        self._rows: int | None = None
        self._resumed = 0

    def __enter__(self) -> Listener:
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._line.close()
        if self._epochs is not None:
            self._epochs.close()

    def _tell(self, event: str, fields: dict[str, Any]) -> None:
        if event == "progress":
            if _is_terminal():
                self._line.show(progress_words(fields))
            return
        self._line.close()
        if event == "epoch":
            if self._epochs is None:
                self._epochs = _epochs(self._rows, self._resumed)
            self._epochs.show(fields)
            return
        if event == "data":
            self._rows = fields["rows"]["train"]
        elif event == "resumed":
            self._resumed = fields["epochs"]
        if self._epochs is not None:
            self._epochs.close()
        tell(event, fields)


def _teller(as_json: bool, quiet: bool) -> AbstractContextManager[Listener]:
    if quiet:
        return nullcontext(_tell_warning)
    return nullcontext(_print_event) if as_json else _Story()


def _epochs(rows: int | None, resumed: int) -> Epochs:
    """A live view, where there is a terminal that can show one.

    Args:
        rows: training rows, if they are known.
        resumed: the epochs that training goes on after.
    """
    if not _is_terminal():
        return EpochLines()
    from rich.console import Console

    from dlcli.cli.live import LiveView

    console = Console(stderr=True)
    return LiveView(console, rows, resumed=resumed) if console.is_interactive else EpochLines()


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _tell_warning(event: str, fields: dict[str, object]) -> None:
    if event == "warning":
        tell(event, fields)


def _print_event(event: str, fields: dict[str, object]) -> None:
    if event != "progress":  # which comes and goes with the clock, and nobody needs twice
        _print_json(event, fields)


def _print_json(event: str, fields: dict[str, object]) -> None:
    click.echo(json.dumps({"event": event, **fields}, allow_nan=False))


def _fitted(line: str) -> str:
    """A line broken to the terminal's width, the rest under its text; as it is without one."""
    if not _is_terminal():
        return line.rstrip()
    width = max(_columns(), 3 * _LABEL)
    indent = " " * (_LABEL + 1)
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _columns() -> int:
    """How wide the terminal is that standard error goes to, or COLUMNS if that is set.

    `shutil.get_terminal_size` asks standard output, which may go to a file.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL
    except (OSError, ValueError, AttributeError):
        return _USUAL
