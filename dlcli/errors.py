"""What can go wrong on purpose: every expected failure, and the exit code it ends the program with.

::

    DlcliError                1   an unexpected failure, unless a branch says otherwise
    ├── UsageError            2   what was typed can't be done
    ├── ConfigError           2   a config that can't be carried out: all its problems at once
    ├── DataError             3   what only the rows of a table can show
    ├── TrainingError         4   training could not be stored, or
    │   ├── DivergenceError   4   its loss or weights are no numbers any more
    │   └── OutOfMemoryError  4   there is not enough memory for it
    ├── RunError              5   a run folder that is missing, unfinished or damaged
    └── Interrupted         130   a signal ended training, which can go on: 128 + its number

Messages say where, what came, what was wanted and the way out; the command line prints them as
they are, without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path


class DlcliError(Exception):
    """Base of every failure that dlcli expects and explains."""

    exit_code = 1


class UsageError(DlcliError):
    """What was typed can't be done: an unknown name, a file that exists, a missing input."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config."""

    path: str
    """Where in the config, as `--set` takes it: `hidden[1].units`; empty for the whole of it."""
    message: str
    """What came, what was wanted, the way out; one line, no full stop."""
    position: str = ""
    """Where in the text: `iris.yaml:7:12`, or the `--set` argument; empty where not yet known."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.position, self.path, self.message) if part)


class ConfigError(DlcliError):
    """A config that can't be carried out.

    Args:
        problems: all that is wrong with it, in the order of the text.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(DlcliError):
    """What only the rows of a table can show.

    Args:
        message: what came, what was wanted, the way out.
        file: the table's file, as the user named it.
        row: the row, counted from 1 after the header.
        column: the column's name.
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
        spot = [f"row {row}"] if row is not None else []
        spot += [f"column '{column}'"] if column is not None else []
        where = [str(file)] if file is not None else []
        where += [", ".join(spot)] if spot else []
        super().__init__(": ".join([*where, message]))


class TrainingError(DlcliError):
    """Training diverged, or its result could not be stored."""

    exit_code = 4


class DivergenceError(TrainingError):
    """The loss or the weights are no numbers any more.

    Args:
        message: what was seen.
        epoch: the epoch in which it was, from 1.
    """

    def __init__(self, message: str, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(message)


class OutOfMemoryError(TrainingError):
    """Training ran out of memory, after which TensorFlow may not even end well."""


class Interrupted(DlcliError):
    """Training was told to end, and has left what it takes to go on.

    Args:
        message: where, and how to go on.
        signal: the signal that told it.
    """

    def __init__(self, message: str, signal: int) -> None:
        self.exit_code = 128 + signal
        super().__init__(message)


class RunError(DlcliError):
    """A run folder that is missing, unfinished, damaged or of another format."""

    exit_code = 5


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The nearest of the known names as a question, ready to append to a message.

    Args:
        name: what was written.
        known: what could have been written.

    Returns:
        `"; did you mean 'units'?"`, or an empty string if nothing is near.
    """
    near = [other for other in known if name.lower() == other.lower()]
    near += difflib.get_close_matches(name, known, n=1)
    near += [other for other in known if name.lower() == _initials(other)]
    return f"; did you mean '{near[0]}'?" if near else ""


def listed(names: Collection[str], most: int = 5) -> str:
    """The first few of some names: `'a', 'b', ...`.

    Args:
        names: all of them.
        most: how many are shown.
    """
    shown = [f"'{name}'" for name in islice(names, most)]
    return ", ".join([*shown, "..."] if len(names) > most else shown)


def plural(count: int, noun: str) -> str:
    """How many of something there are: `1 row`, `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _initials(name: str) -> str:
    """What people shorten a name to: `mse` for `mean_squared_error`."""
    return "".join(word[:1] for word in name.split("_"))
