"""The exceptions of expected failures, each with the exit code of the program.

::

    DlcliError                1   an unexpected failure, unless a subclass differs
    ├── UsageError            2   a command that can't be carried out
    ├── ConfigError           2   an invalid config, with all its problems
    ├── DataError             3   invalid data
    ├── TrainingError         4   a training that could not be stored, or
    │   ├── DivergenceError   4   whose loss or weights became NaN or infinite
    │   ├── OutOfMemoryError  4   that ran out of memory
    │   └── WorkerError       4   that lost one of its workers
    ├── RunError              5   a run folder that is missing, unfinished or damaged
    ├── RequirementError      6   a result that is not as required
    ├── ExportError           7   a model that can't be exported, or predicts otherwise
    └── Interrupted         130   a signal, after which training can be resumed: 128 + its number

Messages state where, what came, what was expected and the way out; the command line prints them
unchanged, without a traceback.
"""

from __future__ import annotations

import difflib
import math
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from dlcli import is_command_line

UNDEFINED = "-"
"""Shown where there is no value."""


class DlcliError(Exception):
    """Base class of expected failures; they can be sent to another process."""

    exit_code = 1
    is_reported = False
    """True if another worker of a cluster prints it."""
    names_way_to_resume = False
    """True if its message has the command that resumes the run."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling would call the constructor with the text.
        return type(self).__new__, (type(self), *self.args), self.__dict__


class DataWarning(UserWarning):
    """Something about the data or the config that may spoil a training or its metrics."""


class UsageError(DlcliError):
    """A command that can't be carried out: an unknown name, an existing file, a missing input."""

    exit_code = 2


class Position(NamedTuple):
    """The position of a problem in a config."""

    name: str = ""
    """The file as the user named it, or the `--set` argument; empty if it is not known."""
    line: int = 0
    """Line and column, counted from 1; 0 in an argument."""
    column: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.line else self.name


@dataclass(frozen=True)
class Problem:
    """A problem of a config."""

    path: str
    """Path of the key as `--set` takes it, `hidden[1].units`; empty for the whole config."""
    message: str
    """The value, what was expected, and the way out, on one line without a period."""
    position: Position = Position()

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.position), self.path, self.message)))


class ConfigError(DlcliError):
    """An invalid config.

    Args:
        problems: all problems, in the order of the text.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(DlcliError):
    """Invalid data, as only the rows of a table can show.

    Args:
        message: what came, what was expected, and the way out.
        file: the file as the user named it.
        row: the row, counted from 1 after the header.
        column: the name of the column.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.message, self.row, self.column = message, row, column
        where = [str(file)] if file is not None else []
        super().__init__(": ".join([*where, in_cell(message, row, column)]))


class TrainingError(DlcliError):
    """A training that diverged, or whose result could not be stored."""

    exit_code = 4


class DivergenceError(TrainingError):
    """A training whose loss or weights became NaN or infinite.

    Args:
        message: what happened.
        epoch: the epoch, from 1.
    """

    def __init__(self, message: str, epoch: int) -> None:
        self.epoch = epoch
        self.member = 1
        """Which network of an ensemble, from 1."""
        super().__init__(message)


class OutOfMemoryError(TrainingError):
    """A training that ran out of memory, after which TensorFlow may crash at exit."""


class WorkerError(TrainingError):
    """A worker of a cluster that has ended, did not come, or can't be reached."""


class Interrupted(DlcliError):
    """A training that a signal ended, and that can be resumed.

    Args:
        message: where it ended, and how to resume.
        signal: number of the signal.
    """

    names_way_to_resume = True

    def __init__(self, message: str, signal: int) -> None:
        self.exit_code = 128 + signal
        super().__init__(message)


class RunError(DlcliError):
    """A run folder that is missing, unfinished, damaged or of another format."""

    exit_code = 5


class RequirementError(DlcliError):
    """A result that is not as required, such as a run that is not reproduced; it is kept."""

    exit_code = 6


class ExportError(DlcliError):
    """A model that a format can't express, or an exported one that predicts otherwise."""

    exit_code = 7


def in_cell(message: str, row: int | None, column: str | None) -> str:
    """Begin a message with the cell that it is about, as far as it is known.

    Returns:
        `row 3, column 'age': MESSAGE`, `row 3: MESSAGE`, or the message alone.
    """
    cell = [f"row {row}"] if row is not None else []
    cell += [f"column '{column}'"] if column is not None else []
    return f"{', '.join(cell)}: {message}" if cell else message


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return the most similar of the known names as a question, to append to a message.

    Returns:
        `"; did you mean 'units'?"`, or an empty string if none is similar.
    """
    found = most_similar(name, known)
    return "" if found is None else f"; did you mean '{found}'?"


def most_similar(name: str, known: Sequence[str]) -> str | None:
    """Return the most similar of the known names, or `None` if none is similar.

    Args:
        name: what was written.
        known: allowed names.
    """
    plain = name.lower()
    near = [other for other in known if plain == other.lower()]
    longer = [other for other in known if plain in other.lower().split("_")]
    near += longer if len(longer) == 1 else []
    if any(len(name) < 3 * len(other) for other in known):  # a longer one is never similar
        near += difflib.get_close_matches(name, known, n=1)
    near += [other for other in known if plain == _initials(other)]
    return near[0] if near else None


def did_you_mean_or_all(name: str, known: Sequence[str]) -> str:
    """Return the most similar of the known names, or else all of them, to append to a message."""
    return did_you_mean(name, known) or f"; allowed: {', '.join(known)}"


def option(name: str, value: object = "") -> str:
    """Name an option of a command in a message, or in Python the argument of the same name.

    Args:
        name: of the argument; an option has dashes for its underscores.
        value: of the option, if it is shown.

    Returns:
        `--output`, or in Python `'output'`; with a value `--interval 0.9`, or `interval=0.9`.
    """
    if is_command_line.get():
        return f"--{name.replace('_', '-')} {value}".rstrip()
    return f"{name}={value}" if str(value) else f"'{name}'"


def shown_argument(value: object) -> str:
    """Show an argument of Python in a message: a text or number as it is, of others the type."""
    is_short = value is None or isinstance(value, str | Real)
    return repr(value) if is_short else type(value).__name__


def check_word(name: str, value: object, words: Sequence[str | None]) -> None:
    """Raise `UsageError` for an argument of Python that is none of some words."""
    if not (value is None or isinstance(value, str)) or value not in words:
        *others, last = map(repr, words)
        expected = f"{', '.join(others)} or {last}"
        raise UsageError(f"{name}: expected {expected}, got {shown_argument(value)}")


def by_caller(command: str, python: str) -> str:
    """Return what to type: a command in a shell, or in Python what does the same."""
    return command if is_command_line.get() else python


def override(path: str, value: str | float | None) -> str:
    """Return how to set a key of the config, to append to a message.

    Returns:
        `--set epochs=5`, or in Python `overrides={'epochs': 5}`.
    """
    written = "null" if value is None else value
    command = f"--set {shlex.quote(f'{path}={written}')}"
    return by_caller(command, f"overrides={ {path: value} }")


def install_command(extra: str) -> str:
    """Return the command that installs an extra of dlcli, to append to a message."""
    return f"in the folder of dlcli's source: pip install -e '.[{extra}]'"


def require_packages(needed_by: str, extra: str, *packages: str) -> None:
    """Check that packages of an extra are installed, without loading them.

    Args:
        needed_by: the command or option that needs them.
        extra: the extra of dlcli.
        packages: import names.

    Raises:
        UsageError: with the command that installs them.
    """
    for package in packages:
        spec = find_spec(package)
        if spec is None or spec.origin is None:  # a mere folder of that name has no origin
            raise UsageError(
                f"{needed_by} needs the package {package}, which is not installed; install it "
                f"{install_command(extra)}"
            )


def local_path_advice(url: str) -> str:
    """Return the message for a URL where a local file or folder is to be made."""
    return f"{url}: only predictions are written to URLs; name a local path, and copy it from there"


def first_names(names: Collection[str], most: int = 5) -> str:
    """Return the first few of some names: `a, b, ...`.

    Args:
        names: all names.
        most: maximum number of names shown.
    """
    shown = islice(names, most)
    return ", ".join([*shown, "..."] if len(names) > most else shown)


def listed(names: Collection[str], most: int = 5) -> str:
    """Quote the first few of some names as `first_names` does: `'a', 'b', ...`."""
    return first_names([f"'{name}'" for name in names], most)


def predicted_target(*, of_several: bool) -> str:
    """Name what a single column of a table predicts: of a target of several columns one of them."""
    return "a column of the target" if of_several else "the target"


_MOST_COLUMNS = 12


def named_columns(names: Collection[str]) -> str:
    """Name columns: `column 'a'`, `columns 'a', 'b'`."""
    return f"column{'s' * (len(names) > 1)} {listed(names, _MOST_COLUMNS)}"


def absent_columns(read: Collection[str], columns: Collection[str]) -> str:
    """Return what a table lacks of the columns that a network reads, as an error; else nothing.

    For a single one, the nearest name is suggested of those that the network doesn't read.

    Args:
        read: the columns that the network reads.
        columns: those of the table.
    """
    known = set(columns)
    absent = [column for column in read if column not in known]
    if not absent:
        return ""
    others = sorted(known.difference(read))
    hint = did_you_mean(absent[0], others) if len(absent) == 1 else ""
    return f"has no {named_columns(absent)}, which the network reads{hint}"


def joined(names: Sequence[str]) -> str:
    """Join at least one name as a sentence does: `a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def printable(text: str) -> str:
    """Return a text on one line, with line ends and control characters as escapes."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def display_width(text: str) -> int:
    """Return the width of a text in columns of a terminal.

    A wide character of East Asia and an emoji take two, a combining one none.
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    combining = sum(unicodedata.category(sign) in ("Mn", "Me", "Cf") for sign in text)
    return len(text) + wide - combining


def padded(text: str, width: int, *, left: bool = True) -> str:
    """Return a text with blanks up to a width in columns of a terminal, see `display_width`.

    Args:
        text: the text.
        width: columns.
        left: whether the text is at the left.
    """
    blanks = " " * (width - display_width(text))
    return text + blanks if left else blanks + text


def truncate(text: str, most: int) -> str:
    """Cut a text to a number of characters, of which the last are dots if some are missing."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def are_years(low: float, high: float) -> bool:
    """Return whether numbers between these are likely to be years: 1700 to 2100.

    Few other whole numbers, such as indices of rows, begin and end there.
    """
    return low >= 1700 and high <= 2100


def number(value: object) -> str:
    """Format a number to four significant digits, or whole, with separators of thousands.

    Args:
        value: anything, as documents of a stranger's run may hold.

    Returns:
        `0.1235`, `12,346`, `1,234,567`, `1.5e-05`, `nan`; a dash for what is no number.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return UNDEFINED
    try:
        size = abs(real := float(value))
    except OverflowError:  # an integer of more than 308 digits
        return UNDEFINED
    if not math.isfinite(size) or size >= 1e15 or 0 < size < 1e-4:
        return f"{real:.4g}"
    return f"{real:,.0f}" if size >= 1e4 else f"{float(f'{real:.4g}'):,.12g}"


def _initials(name: str) -> str:
    """Return the common abbreviation of a name: `mse` for `mean_squared_error`."""
    return "".join(word[:1] for word in name.split("_"))
