"""Arguments and options that several verbs share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dlcli.cli.endings import VERBOSE
from dlcli.errors import UsageError

if TYPE_CHECKING:
    from dlcli.runs import Run

Command = TypeVar("Command", bound=Callable[..., None])

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Gives a command an option."""
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


def _new_run(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuses before the work what would be refused after it.

    Raises:
        UsageError: if there is something at the path.
    """
    if path is not None and os.path.lexists(path):
        from dlcli.runs import existing_folder_advice

        raise UsageError(f"{path}: exists already; {existing_folder_advice(path)}")
    return path


def check_alone(given: Mapping[str, object]) -> None:
    """Refuses what can't be changed of a run that goes on.

    Args:
        given: what was given beside `--resume`, by name; nothing, if it wasn't.
    """
    named = [name for name, value in given.items() if value]
    if named:
        raise click.UsageError(
            f"--resume goes on with what the run began with, and takes no {' and no '.join(named)}."
        )


def _new_file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Takes `-` for standard output, as DATA takes it for standard input."""
    return None if path == Path("-") else not_there(ctx, parameter, path)


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
    help="Put a value into the config, as in --set 'hidden[0].units=64'; a name with a dot or "
    "bracket in it stands in quotes: --set 'input.features[\"a.b\"]=numeric'. Files are relative "
    "to the config's folder. Repeatable.",
)


def run_to_make(suffix: str) -> Option:
    """The option for the run folder of a verb.

    Args:
        suffix: what its usual name has behind the config's.
    """
    return click.option(
        "--output",
        type=PATH,
        metavar="RUN",
        callback=_new_run,
        help=f"The run folder to make. If left out: runs/NAME{suffix}, where NAME is the config's "
        f"own or its file's, or runs/NAME{suffix}-2 and so on if that is taken.",
    )


def run_to_resume(which: str, promise: str) -> Option:
    """The option for a run folder to go on with.

    Args:
        which: what kind of folder that is.
        promise: what becomes of what is there.
    """
    return click.option(
        "--resume",
        "run",
        type=PATH,
        metavar="RUN",
        help=f"Go on with the run folder RUN, {which}, in the place of CONFIG. {promise}",
    )


def narrated(command: Command) -> Command:
    """Gives a command the options for how it tells what happens."""
    as_json = click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON lines instead, one for each event; the last is the result.",
    )
    quiet = click.option("--quiet", is_flag=True, help="Tell only warnings, errors and the result.")
    return as_json(quiet(command))


def together(name: str, keys: Sequence[str], options: Sequence[Option]) -> Option:
    """Gives a command several options as one mapping of those that were given.

    Args:
        name: the command's parameter.
        keys: the options' own names.
        options: the options, in the order of the help.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def bundled(**given: Any) -> None:  # noqa: ANN401
            values = {key: given.pop(key) for key in keys}
            command(**given, **{name: {key: value for key, value in values.items() if value}})

        decorated: Callable[..., Any] = bundled
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


@dataclass(frozen=True)
class BadRows:
    """What becomes of rows with a value that can't be used."""

    are_errors: bool
    """Whether the first is an error, and the end."""
    rejected: Path | None
    """A new file for them, if they are rejected."""


def _remember(ctx: click.Context, parameter: click.Parameter, policy: str) -> None:
    ctx.meta[_POLICY] = policy


def _bad_rows(ctx: click.Context, parameter: click.Parameter, rejected: Path | None) -> BadRows:
    """Refuses a file for rows that won't be rejected or of no format, and rejecting without one."""
    policy = ctx.meta[_POLICY]
    if policy == "reject" and rejected is None:
        message = "--on-bad-row reject needs --rejected FILE, to write the rejected rows to"
        raise click.UsageError(message, ctx)
    if policy != "reject" and rejected is not None:
        raise click.UsageError("--rejected FILE is for --on-bad-row reject", ctx)
    if rejected is not None:
        from dlcli.prediction import choose_format

        choose_format(None, rejected)
    return BadRows(policy == "error", not_there(ctx, parameter, rejected))


_POLICY = "dlcli.on_bad_row"


def on_bad_row(command: Command) -> Command:
    """Gives a command the options for rows with a value that can't be used."""
    policy = click.option(
        "--on-bad-row",
        type=click.Choice(["error", "warn", "reject"]),
        default="error",
        show_default=True,
        is_eager=True,
        expose_value=False,
        callback=_remember,
        help="What to do with a value that can't be read, or that the config forbids. error: stop. "
        "warn: warn, and count it as missing, or leave its row out if it is the target's. "
        "reject: set its row aside, in the file of --rejected.",
    )
    file = click.option(
        "--rejected",
        "bad_rows",
        type=PATH,
        metavar="FILE",
        callback=_bad_rows,
        help="Write rejected rows to a new file, each with the reason: CSV, Parquet or JSON lines, "
        "by its ending.",
    )
    return policy(file(command))


output_file = click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    callback=_new_file,
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
    """The run that was named, or the latest training, which is then said on standard error."""
    from dlcli.runs import latest_run, open_run

    if path is not None:
        run = open_run(path)
        run.require_network()
        return run
    return said(latest_run())


def said(run: Run) -> Run:
    """A run that was not named, once standard error has named it."""
    from dlcli.config import printable

    click.echo(f"run: {printable(str(run.path))}, the latest", err=True)
    return run
