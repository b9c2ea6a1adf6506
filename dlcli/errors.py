"""The exceptions of expected failures, each with the exit code of the program.

::

    DlcliError                1   the base class of all expected failures
    ├── UsageError            2   a command that is not possible
    ├── ConfigError           2   an invalid config, with all its problems
    ├── DataError             3   invalid data
    ├── TrainingError         4   a training that could not be stored
    │   ├── DivergenceError   4   loss or weights became NaN or infinite
    │   ├── OutOfMemoryError  4   a training that ran out of memory
    │   └── WorkerError       4   a training that lost a worker
    ├── RunError              5   a run folder that is missing, unfinished or damaged
    ├── RequirementError      6   a result that misses a requirement
    ├── ExportError           7   a model that can't be exported with the same predictions
    └── Interrupted         130   a signal (128 + its number); training can be resumed

A message says where the problem is, what was found, what was expected and the way out. The command
line prints it unchanged, without a traceback.
"""

from __future__ import annotations

import difflib
import math
import os
import re
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
"""Shown for a missing value."""


class DlcliError(Exception):
    """Base class of expected failures; they can be sent to another process."""

    exit_code = 1
    is_reported = False
    """True if another worker of a cluster prints it."""
    names_way_to_resume = False
    """True if its message contains the command that resumes the run."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling would call the constructor with the text.
        return type(self).__new__, (type(self), *self.args), self.__dict__


class DataWarning(UserWarning):
    """A problem of the data or the config that may spoil a training or its metrics."""


class UsageError(DlcliError):
    """A command that is not possible: an unknown name, an existing file, a missing input."""

    exit_code = 2


class Position(NamedTuple):
    """The position of a problem in a config."""

    name: str = ""
    """The path of the file as given, or the `--set` argument; empty if unknown."""
    line: int = 0
    """Line and column, from 1; 0 in an argument."""
    column: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.line else self.name


@dataclass(frozen=True)
class Problem:
    """A problem of a config."""

    path: str
    """Path of the key as in `--set`, `hidden[1].units`; empty for the whole config."""
    message: str
    """The value, what was expected, and the way out, on one line without a final period."""
    position: Position = Position()

    def __str__(self) -> str:
        where = str(self.position)
        path = "" if where.startswith(f"--set '{self.path}=") else self.path
        return ": ".join(filter(None, (where, path, self.message)))


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
    """Invalid data in the rows of a table.

    Args:
        message: what was found, what was expected, and the way out.
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
        """The network of an ensemble, from 1."""
        super().__init__(message)


class OutOfMemoryError(TrainingError):
    """A training that ran out of memory; TensorFlow may then crash at exit."""


class WorkerError(TrainingError):
    """A worker of a cluster that has ended, has not started or can't be reached."""


class Interrupted(DlcliError):
    """A training that was interrupted by a signal and can be resumed.

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
    """A result that misses a requirement, such as a quality gate; the run is kept."""

    exit_code = 6


class ExportError(DlcliError):
    """A model that a format does not support, or an export with different predictions."""

    exit_code = 7


def in_cell(message: str, row: int | None, column: str | None) -> str:
    """Add the row and the column, if known, in front of a message.

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


def did_you_mean_file(name: str, known: Sequence[str]) -> str:
    """Return the most similar file name as a question; a common extension does not count."""
    stem, extension = os.path.splitext(name)
    near = [
        other
        for other in known
        if not other.endswith(extension) or most_similar(stem, [other.removesuffix(extension)])
    ]
    return did_you_mean(name, near)


_SHORT_NAME = 4
_SIMILARITY_SHORT = 0.6
"""Least similarity of names of up to four letters: `aeg` and `age` have 0.67."""
_SIMILARITY = 0.7
"""Least similarity of longer names: `churn` and `hour` have 0.67."""


def most_similar(name: str, known: Sequence[str]) -> str | None:
    """Return the most similar of the known names, or `None` if none is similar.

    Args:
        name: what was written.
        known: allowed names.
    """
    plain = name.lower()
    near = [other for other in known if plain == other.lower()]
    # A name of one or two letters may also be a part of a header with another delimiter.
    words = ((other, re.split(r"[\W_]+", other.lower())) for other in known if len(plain) > 2)
    longer = [other for other, parts in words if plain in parts]
    near += longer if len(longer) == 1 else []
    begun = [other for other in known if len(plain) > 2 and other.lower().startswith(plain)]
    near += begun if len(begun) == 1 else []
    if any(len(name) < 3 * len(other) for other in known):  # a longer one is never similar
        folded = {other.lower(): other for other in reversed(known)}
        least = _SIMILARITY_SHORT if len(plain) <= _SHORT_NAME else _SIMILARITY
        near += [folded[each] for each in difflib.get_close_matches(plain, folded, 1, least)]
    near += [other for other in known if plain == _initials(other)]
    return near[0] if near else None


def did_you_mean_or_all(name: str, known: Sequence[str]) -> str:
    """Return the most similar known name, or all known names, to append to a message."""
    return did_you_mean(name, known) or f"; allowed: {', '.join(known)}"


def option(name: str, value: object = "") -> str:
    """Return the name of an option for a message, or of the argument if called from Python.

    Args:
        name: name of the argument; the option has dashes instead of underscores.
        value: value to show.

    Returns:
        `--output`, or in Python `'output'`; with a value `--interval 0.9`, or `interval=0.9`.
    """
    if is_command_line.get():
        return f"--{name.replace('_', '-')} {value}".rstrip()
    return f"{name}={value}" if str(value) else f"'{name}'"


def shown_argument(value: object) -> str:
    """Return a text or a number as in Python, and the type of any other argument."""
    is_short = value is None or isinstance(value, str | Real)
    return repr(value) if is_short else type(value).__name__


def check_word(name: str, value: object, words: Sequence[str | None]) -> None:
    """Raise `UsageError` if an argument is not one of some words."""
    if not (value is None or isinstance(value, str)) or value not in words:
        *others, last = map(repr, words)
        expected = f"{', '.join(others)} or {last}"
        raise UsageError(f"{name}: expected {expected}, got {shown_argument(value)}")


def by_caller(command: str, python: str) -> str:
    """Return a command for a shell, or the equivalent in Python, depending on the caller."""
    return command if is_command_line.get() else python


def override(path: str, value: str | float | None) -> str:
    """Return the option that sets a key of the config, to append to a message.

    Returns:
        `--set epochs=5`, or in Python `overrides={'epochs': 5}`.
    """
    written = "null" if value is None else value
    command = f"--set {shlex.quote(f'{path}={written}')}"
    return by_caller(command, f"overrides={ {path: value} }")


def install_command(extra: str) -> str:
    """Return the command that installs an extra of dlcli, to append to a message."""
    return f"in the folder of dlcli's source: pip install '.[{extra}]'"


DISTRIBUTIONS = _WHOLE, _RUNTIME = "dlcli-keras", "dlcli-keras-runtime"
"""The distributions of dlcli; the second one lacks the packages for training."""
_DISTRIBUTIONS = {"vl_convert": "vl-convert-python"}
"""The names by which packages are installed, if they are not the import names."""


def _requirement_command(package: str) -> str:
    """Return the command that installs a package that `dlcli-keras` always requires."""
    name = _DISTRIBUTIONS.get(package, package)
    from importlib.metadata import Distribution  # slow, and rarely needed

    installed = {name: [*Distribution.discover(name=name)] for name in (_WHOLE, _RUNTIME)}
    found = (installed[_WHOLE] or installed[_RUNTIME])[:1]
    known = [each for distribution in found for each in distribution.requires or ()]
    wanted = next((each for each in known if re.match(rf"{name}\b(?!-)", each)), None)
    if wanted is None and installed[_RUNTIME] and not installed[_WHOLE]:
        return f"with {_WHOLE} in another environment, because {_RUNTIME} only predicts"
    return f"with: pip install '{wanted or name}'"


def require_packages(needed_by: str, extra: str | None, *packages: str) -> None:
    """Check that packages are installed, without loading them.

    Args:
        needed_by: the command, option or task that requires them.
        extra: the extra of dlcli that contains them; `None` for packages that dlcli always
            requires, but which an image for predictions may lack.
        packages: import names.

    Raises:
        UsageError: with the command that installs them.
    """
    for package in packages:
        spec = find_spec(package)
        if spec is None or spec.origin is None:  # a folder without a package has no origin
            command = _requirement_command(package) if extra is None else install_command(extra)
            raise UsageError(
                f"{needed_by} needs the package {package}, which is not installed; install it "
                f"{command}"
            )


def local_path_advice(url: str) -> str:
    """Return the message for a URL in place of a local file or folder."""
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
    """Return the phrase for the target, or for a column of a target with several columns."""
    return "a column of the target" if of_several else "the target"


_MOST_COLUMNS = 12
_MOST_KNOWN = 10


def named_columns(names: Collection[str]) -> str:
    """Return the phrase for some columns: `column 'a'`, `columns 'a', 'b'`."""
    return f"column{'s' * (len(names) > 1)} {listed(names, _MOST_COLUMNS)}"


def known_columns(columns: Collection[str]) -> str:
    """Return the first columns of a table and the number of the others, to append to a message."""
    if not columns:
        return ""
    rest = len(columns) - _MOST_KNOWN
    more = f" and {rest:,} more" if rest > 0 else ""
    named = ", ".join(islice(columns, _MOST_KNOWN))
    is_one = len(columns) == 1
    return f"; the table's only column is {named}" if is_one else f"; the table has {named}{more}"


def absent_columns(
    read: Collection[str], columns: Collection[str], reader: str = "the network"
) -> str:
    """Return the error for missing columns of a table, or an empty string.

    The error suggests the most similar unused column, or lists the columns of the table.

    Args:
        read: the columns that are required.
        columns: the columns of the table.
        reader: what reads them.
    """
    known = set(columns)
    absent = [column for column in read if column not in known]
    if not absent:
        return ""
    others = sorted(known.difference(read))
    hint = next(filter(None, (did_you_mean(name, others) for name in absent)), "")
    hint = hint or known_columns(columns)
    return f"has no {named_columns(absent)}, which {reader} reads{hint}"


def joined(names: Sequence[str]) -> str:
    """Join one or more names: `a`, `a and b`, `a, b and c`."""
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

    Wide East Asian characters and emojis take two columns, combining characters none.
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    combining = sum(unicodedata.category(sign) in ("Mn", "Me", "Cf") for sign in text)
    return len(text) + wide - combining


def padded(text: str, width: int, *, left: bool = True) -> str:
    """Pad a text with spaces to a width in columns of a terminal, see `display_width`.

    Args:
        text: the text.
        width: number of columns.
        left: whether the text is aligned left.
    """
    blanks = " " * (width - display_width(text))
    return text + blanks if left else blanks + text


def truncate(text: str, most: int) -> str:
    """Truncate a text to a number of characters, with three dots at the end."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def are_years(low: float, high: float) -> bool:
    """Return whether whole numbers in a range are likely to be years: 1700 to 2100."""
    return low >= 1700 and high <= 2100


def number(value: object) -> str:
    """Format a number with four significant digits or as an integer with thousands separators.

    Args:
        value: any value, because the documents of a run may be damaged.

    Returns:
        `0.1235`, `12,346`, `1,234,567`, `1.5e-05`, `nan`; a dash if it is not a number.
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
