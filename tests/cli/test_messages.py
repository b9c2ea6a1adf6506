"""Messages on standard error: their labels are in color on a terminal only."""

from __future__ import annotations

import errno
import io
import os
from contextlib import redirect_stderr

import click
import pytest

from dlcli.cli.console import QUIET, print_message


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("label", "color"), [("error", 31), ("warning", 33), ("note", 36)])
def test_a_terminal_shows_the_label_in_color(label, color):
    with redirect_stderr(Terminal()) as terminal:
        print_message(label, "no luck")
    assert terminal.getvalue() == f"\x1b[{color}m\x1b[1m{label}\x1b[0m: no luck\n"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_is_honored(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with redirect_stderr(Terminal()) as terminal:
        print_message("error", "no luck")
    assert terminal.getvalue() == "error: no luck\n"


def test_without_a_terminal_there_is_no_color(capsys):
    print_message("error", "no luck")
    assert capsys.readouterr().err == "error: no luck\n"


def test_quiet_hides_notes_only(capsys):
    with click.Context(click.Command("verb")) as context:
        context.meta[QUIET] = True
        for label in ("error", "warning", "note"):
            print_message(label, "this")
    assert capsys.readouterr().err == "error: this\nwarning: this\n"


class Lost(Terminal):
    """A standard error that can no longer be written to."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EBADF])
def test_a_message_that_can_not_be_written_ends_nothing(number):
    with redirect_stderr(Lost(number)):
        print_message("warning", "no luck")


def test_a_reader_that_has_ended_ends_the_program():
    with redirect_stderr(Lost(errno.EPIPE)), pytest.raises(BrokenPipeError):
        print_message("warning", "no luck")
