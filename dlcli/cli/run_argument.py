"""The arguments RUN and DATA: explains which is missing, or that they are exchanged."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli.config_argument import is_config_name, namesake, reads_like_file
from dlcli.cli.options import LOCATION, PATH, Option
from dlcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from dlcli.schema.urls import Location

RunAndData = tuple["Location", "Location"]
"""A run folder and a data file; or the URL of one."""

_TRAINING = ("train",)


def run_argument(kinds: Collection[str] = _TRAINING) -> Option:
    """Make the argument RUN.

    Args:
        kinds: the kinds of runs of which the latest is named if the argument is missing.
    """

    def require(ctx: click.Context, parameter: click.Parameter, run: Path | None) -> Path:
        if run is None:
            raise missing_run(ctx, kinds=kinds)
        return run

    return click.argument("run", type=PATH, required=False, metavar="RUN", callback=require)


def _require_runs(
    ctx: click.Context, parameter: click.Parameter, runs: tuple[Path, ...]
) -> tuple[Path, ...]:
    if not runs:
        raise missing_run(ctx, "RUN")
    return runs


def _require_run_and_data(
    ctx: click.Context, parameter: click.Parameter, paths: tuple[Location, ...]
) -> RunAndData:
    """Return RUN and DATA.

    Raises:
        UsageError: if one is missing, or they are exchanged, with the line to type instead.
        RunError: if DATA is missing, and there is no such run.
    """
    from dlcli.runs.run_folder import is_run_folder, open_run

    if not paths:
        raise missing_run(ctx, "DATA")
    if len(paths) > 2:
        line = _line(ctx, str(paths[0]) if os.path.isdir(paths[0]) else "RUN", "*.csv")
        count = f"expected RUN DATA, got {len(paths)} arguments"
        raise UsageError(f"{count}; quote a pattern of several files: {line}")
    first, *others = paths
    if not others:
        if not isinstance(first, Path):
            raise missing_run(ctx, "RUN", str(first))
        if looks_like_missing_run(first) or (is_config_name(first) and first.is_file()):
            open_run(first)  # raises an error with the run that may be meant
        if is_run_folder(first):
            raise UsageError(
                f"missing argument 'DATA', the table: {_line(ctx, str(first), 'DATA')}"
            )
        raise missing_run(ctx, str(first))
    [data] = others
    if isinstance(data, Path) and is_run_folder(data):
        if isinstance(first, Path) and is_run_folder(first):
            line = _line(ctx, str(first), "DATA")
            raise UsageError(f"{data}: is a run folder, expected a table: {line}")
        line = _line(ctx, str(data), str(first))
        raise UsageError(f"{first}: expected a run folder first, then the data: {line}")
    return first, data


runs_argument = click.argument(
    "runs", type=PATH, nargs=-1, metavar="RUN RUN...", callback=_require_runs
)

run_and_data = click.argument(
    "paths", type=LOCATION, nargs=-1, metavar="RUN DATA", callback=_require_run_and_data
)


def looks_like_missing_run(path: Path) -> bool:
    """Return whether nothing exists at a path that reads like a run folder, not like a file."""
    if os.path.exists(path) or path == Path("-"):
        return False
    return path.parent.name == "runs" or not (reads_like_file(path) or namesake(path))


def refuse_run_folder(
    ctx: click.Context, parameter: click.Parameter, data: Location | None
) -> Location | None:
    """Return the argument DATA, which must not be a run folder."""
    from dlcli.runs.run_folder import is_run_folder

    if isinstance(data, Path) and data.is_dir() and is_run_folder(data):
        raise UsageError(f"{data}: is a run folder, expected a table")
    return data


def missing_run(ctx: click.Context, *others: str, kinds: Collection[str] = _TRAINING) -> UsageError:
    """Return the error for a missing RUN, with the latest one.

    Args:
        ctx: the context of the command.
        *others: the arguments that follow RUN.
        kinds: the kinds of runs that the command is for.
    """
    from dlcli.runs.run_folder import latest_run

    run = latest_run(kinds)
    if run is None:
        return UsageError("missing argument 'RUN', a run folder; make one: dlcli train CONFIG")
    line = _line(ctx, str(run.path), *others)
    return UsageError(f"missing argument 'RUN'; the latest run is {run.path}: {line}")


def _line(ctx: click.Context, *arguments: str) -> str:
    """Return the line to type, with the placeholder DATA as it is."""
    return f"{ctx.command_path} {shlex.join(arguments)}"
