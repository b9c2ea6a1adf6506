"""Arguments and options that several verbs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli.endings import VERBOSE
from dlcli.errors import UsageError

if TYPE_CHECKING:
    from dlcli.run import Run

RunAndData = tuple[Path | None, Path]
"""A run folder, if one was named, and a data file."""


def _run_and_data(
    ctx: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]
) -> RunAndData:
    if len(paths) not in (1, 2):
        raise click.UsageError(f"expected [RUN] DATA, got {len(paths)} arguments", ctx)
    run, data = paths if len(paths) == 2 else (None, paths[0])
    return run, data


def not_there(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuses before the work what would be refused after it.

    Raises:
        UsageError: if there is something at the path.
    """
    if path is not None and os.path.lexists(path):
        raise UsageError(f"{path}: exists already; name another, or remove this one first")
    return path


def _speak_up(ctx: click.Context, parameter: click.Parameter, verbose: bool) -> None:
    if verbose:
        ctx.meta[VERBOSE] = True
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")


PATH = click.Path(path_type=Path)

run_and_data = click.argument(
    "paths", nargs=-1, type=PATH, metavar="[RUN] DATA", callback=_run_and_data
)

settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Put a value into the config, as in --set 'hidden[0].units=64'; files are relative to the "
    "config's folder. Repeatable.",
)

output_file = click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    callback=not_there,
    help="Write to a new file instead of standard output.",
)

verbose = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_speak_up,
    help="Show TensorFlow's own log, and the traceback of an unexpected failure.",
)


def chosen_run(path: Path | None) -> Run:
    """The run that was named, or the latest, which is then said on standard error."""
    from dlcli.config.paths import printable
    from dlcli.run import latest_run, open_run

    if path is not None:
        return open_run(path)
    run = latest_run()
    click.echo(f"run: {printable(str(run.path))}, the latest", err=True)
    return run
