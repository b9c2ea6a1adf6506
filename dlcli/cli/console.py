"""Output of commands: results, new files, and messages on standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, Literal

import click

from dlcli.errors import printable

if TYPE_CHECKING:
    from dlcli.reports.views import View
    from dlcli.schema.urls import Location

Label = Literal["error", "warning", "note"]

QUIET = "dlcli.quiet"
"""Key in Click's `meta` that is set by `-q`."""
_NARROWEST = 40
"""Minimum width of output on a terminal, in columns."""
_COLORS: dict[Label, str] = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_message(label: Label, text: str) -> None:
    """Print a message to standard error on one line; `-q` suppresses notes."""
    if label == "note" and is_quiet():
        return
    shown = click.style(label, _COLORS[label], bold=True) if _has_color() else label
    print_line(f"{shown}: {printable(text)}")


def print_line(line: str) -> None:
    """Print a line to standard error; ignore a full disk or a closed terminal."""
    with ignoring_lost_output():
        click.echo(line, err=True)


def print_next(**lines: str) -> None:
    """Print what was written and the next command to standard error, unless `-q` is set.

    Args:
        lines: the lines, by the word before the colon: `run: runs/bikes`.
    """
    if not is_quiet():
        for word, text in lines.items():
            print_line(f"{word}: {printable(text)}")


def print_summary(lines: Iterable[str]) -> None:
    """Print the lines of a summary to standard error, unless `-q` is set."""
    if not is_quiet():
        for line in lines:
            print_line(printable(line))


@contextmanager
def ignoring_lost_output() -> Iterator[None]:
    """Continue if standard error can't be written to: a full disk, a closed terminal.

    A pipe whose reader has ended is an error.
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


# Results


def refuse_existing_path(path: Location) -> None:
    """Raise `UsageError` if the path already exists, or if the URL can't be written to."""
    if not isinstance(path, Path):
        from dlcli.tables.remote_files import check_writable

        check_writable(path)
    else:
        from dlcli.safe_files import refuse_existing_file

        refuse_existing_file(path)


@contextmanager
def open_output(output: Location | None) -> Iterator[BinaryIO]:
    """Open standard output, or a new file that gets its final name when the block succeeds.

    Raises:
        UsageError: if the file can't be created.
        OSError: naming the file, if it can't be written.
    """
    if output is None:
        yield sys.stdout.buffer
        return
    from dlcli.safe_files import open_new_file

    if not isinstance(output, Path):
        from dlcli.tables.remote_files import upload

        with TemporaryDirectory(prefix="dlcli-") as folder:
            file = Path(folder) / "output"
            with open_new_file(file) as stream:
                yield stream
            upload(file, output)
        return
    with open_new_file(output) as stream:
        yield stream


def print_json(document: object) -> None:
    """Print a result as one line of JSON."""
    click.echo(json.dumps(document, allow_nan=False))


def write_page(view: View, output: Path) -> None:
    """Write a result as a new, self-contained HTML file."""
    from dlcli.reports.report_files import to_html

    page = to_html(view)
    with open_output(output) as stream:
        stream.write(page.encode())


def print_view(view: View, least_width: int = 0) -> None:
    """Print a result as text in the width of the terminal.

    Args:
        view: the result.
        least_width: minimum width in columns, and the width without a terminal, where it is
            unlimited by default.
    """
    from dlcli.reports.views import render_text

    width = output_width(least_width or sys.maxsize)
    click.echo(render_text(view, max(width, least_width)))


def output_width(without_terminal: int = sys.maxsize) -> int:
    """Return the width of standard output in columns.

    Args:
        without_terminal: the width if standard output is not a terminal.
    """
    if not sys.stdout.isatty():
        return without_terminal
    return max(shutil.get_terminal_size().columns, _NARROWEST)
