"""Arguments and options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli.console import QUIET, refuse_existing_path
from dlcli.errors import ConfigError, Problem, UsageError, local_path_advice

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from dlcli.config.decision_section import Decision
    from dlcli.schema.urls import Location
    from dlcli.tables.database_locations import DataLocation

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Adds an option to a command."""
PATH = click.Path(path_type=Path)
VERBOSE = "dlcli.verbose"
"""Key in Click's `meta` that is set by `-v`."""


class _Location(click.ParamType["DataLocation | None"]):
    """A path, or the URL of a table or a run.

    Args:
        is_local: refuse URLs.
        is_new: the path is to be created and must not exist yet.
        or_folder: an existing folder is allowed.
        or_stdout: `-` is allowed; it means standard output and is converted to `None`.
        or_database: the URL of a database or a table in it is allowed.
    """

    name = "path"

    def __init__(
        self,
        *,
        is_local: bool = False,
        is_new: bool = False,
        or_folder: bool = False,
        or_stdout: bool = False,
        or_database: bool = False,
    ) -> None:
        self.is_local, self.is_new = is_local, is_new
        self.or_folder, self.or_stdout, self.or_database = or_folder, or_stdout, or_database

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> DataLocation | None:
        """Return the path, the URL or the database.

        Raises:
            UsageError: for a URL with a secret, a URL instead of a local path, a database instead
                of a file, or an existing path that is to be created.
        """
        location: Location = Path(str(value))
        if "://" in str(value):
            from dlcli.tables.database_locations import DatabaseLocation, locate_data

            found = locate_data(str(value))
            if isinstance(found, DatabaseLocation):
                if not self.or_database:
                    raise UsageError(f"{found}: is a database, expected a file")
                return found
            location = found
            if self.is_local and not isinstance(location, Path):
                raise UsageError(local_path_advice(location))
        if self.or_stdout and location == Path("-"):
            return None
        if self.is_new and not (self.or_folder and os.path.isdir(location)):
            refuse_existing_path(location)
        return location

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete paths."""
        return PATH.shell_complete(ctx, param, incomplete)


LOCATION, LOCAL = _Location(), _Location(is_local=True)
DATA = _Location(or_database=True)


class Number(click.ParamType[float]):
    """A number with a requirement.

    Args:
        expected: the requirement in words.
        parse: converts a text to a number.
        is_valid: checks the requirement.
    """

    name = "number"

    def __init__(
        self, expected: str, parse: Callable[[str], float], is_valid: Callable[[float], bool]
    ) -> None:
        self.expected, self.parse, self.is_valid = expected, parse, is_valid

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or raise Click's error for a wrong parameter."""
        with suppress(ValueError):
            if self.is_valid(number := self.parse(str(value))):
                return number
        raise click.BadParameter(f"expected {self.expected}, got {value}", ctx, param)


def integer(low: int, high: int) -> Number:
    """Return the type of integers of a range."""
    expected = f"an integer from {low} to {high:,}"
    return Number(expected, int, lambda number: low <= number <= high)


def share_of(text: str) -> float | None:
    """Return a share between 0 and 1; `None` for another text."""
    with suppress(ValueError):
        number = float(text)
        return number if 0 < number < 1 else None
    return None


def _check_level(ctx: click.Context, parameter: click.Parameter, level: str | None) -> float | None:
    """Return the level of prediction intervals, a share between 0 and 1."""
    if level is None:
        return None
    text, number = level.strip(), math.nan
    with suppress(ValueError):
        number = float(text.removesuffix("%"))
    is_percentage = text.endswith("%") or number > 1
    if not is_percentage and 0 < number < 1:
        return number
    share = number if number < 1 else number / 100  # 0.9% means 90 %
    is_meant = is_percentage and 0 < share < 1
    way_out = f"; for {100 * share:g} % write {share:g}" if is_meant else ""
    raise click.BadParameter(f"expected a share between 0 and 1, got {text}{way_out}")


def _set_verbose(ctx: click.Context, parameter: click.Parameter, verbose: bool) -> None:
    if verbose:
        ctx.meta[VERBOSE] = True
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")


def _set_quiet(ctx: click.Context, parameter: click.Parameter, quiet: bool) -> None:
    if quiet:
        ctx.meta[QUIET] = True


def combined(*options: Option) -> Option:
    """Combine several options, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a config value: epochs=50. Repeatable.",
)

json_object = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)

VERBOSITY = (
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="Print only the result, warnings and errors.",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Show TensorFlow's log and tracebacks.",
    ),
)
"""The options of every command."""


def output(metavar: str, text: str, *names: str, **form: bool) -> Option:
    """Make an option for a file or folder that a command creates.

    Args:
        metavar: placeholder in the help.
        text: its help.
        *names: names of the option. [default: `-o` and `--output`]
        **form: allowed paths, see `_Location`. [default: a new local path]
    """
    new = _Location(is_new=True, **(form or {"is_local": True}))
    return click.option(*(names or ("-o", "--output")), type=new, metavar=metavar, help=text)


def output_file(content: str) -> Option:
    """Make the option for a file that a command writes instead of printing it.

    Args:
        content: what the file contains.
    """
    text = f"New file for {content}. [default: standard output]"
    return output("FILE", text, is_local=True, or_stdout=True)


def interval(text: str) -> Option:
    """Make the option for the level of prediction intervals, with its help."""
    return click.option("--interval", "level", metavar="LEVEL", callback=_check_level, help=text)


def _parse_decision(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[Decision | None] | None:
    """Return the decision in a tuple; `None` if the option is not set."""
    if text is None:
        return None
    from dlcli.config.config_file import parse_decision

    try:
        return (parse_decision(text),)
    except ConfigError as error:
        places = (each.path.removeprefix("decision").lstrip(".") for each in error.problems)
        names = (": ".join(filter(None, ("--decision", place))) for place in places)
        pairs = zip(names, error.problems, strict=True)
        raise ConfigError([Problem(name, each.message) for name, each in pairs]) from error


decision = click.option(
    "--decision",
    metavar="RULE",
    callback=_parse_decision,
    help="Another rule for the predicted class, as in the config: 'threshold: 0.3', "
    "'maximize: f1' or 'costs: {false_positive: 1, false_negative: 20}'; or 'default' for no "
    "rule, so the most probable class is predicted. `maximize` uses the out-of-fold or validation "
    "rows of the run, never DATA. [if omitted: the rule of the run]",
)


by = click.option(
    "--by",
    multiple=True,
    metavar="COLUMNS",
    help="Also compute the metrics of each group of rows with the same value of a column: "
    "sex,region groups rows by each of two columns, sex*region by the pairs of their values. "
    "Numbers are divided into ranges. Repeatable.",
)


def jobs(work: str, share: str = "an equal share of the CPU threads") -> Option:
    """Make the option for parallel processes.

    Args:
        work: the task of the processes.
        share: the threads of each process.
    """
    return click.option(
        "--jobs",
        type=integer(1, 1024),
        metavar="N",
        help=f"Number of parallel processes that {work}, each with {share}. [default: 1]",
    )
