"""The arguments CONFIG, RUN and DATA, with messages for missing and mistaken ones."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli.options import DATA, PATH, Option
from dlcli.errors import ConfigError, DlcliError, RunError, UsageError, did_you_mean_file, listed

if TYPE_CHECKING:
    from dlcli.config.config_file import ConfigFile
    from dlcli.runs.run import Run
    from dlcli.schema.urls import Location
    from dlcli.tables.database_locations import DataLocation

RunAndData = tuple["Location", "DataLocation"]
"""A run folder and a table, or their URLs."""
_TRAINING = ("train",)
_EXTENSIONS = (".yaml", ".yml")
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".xlsx", ".xlsb", ".xls", ".ods")


def read_config(path: Path, settings: Sequence[str]) -> ConfigFile:
    """Read a config, with overrides from the command line.

    The config of an older run may contain names of an earlier version.

    Raises:
        UsageError: for a table, a folder or a missing file, with the command to use instead, and
            for an unreadable file.
        ConfigError: with all problems of the config.
    """
    from dlcli.config.config_file import has_earlier_names, load_config, load_config_of_run

    try:
        return load_config(path, settings)
    except (UsageError, ConfigError) as error:
        if message := _explain_mistake(path, error):
            raise UsageError(f"{path}: {message}") from None
        if isinstance(error, ConfigError) and path.is_file() and has_earlier_names(path):
            from dlcli.runs.run_folder import is_run_folder

            if is_run_folder(path.parent):
                return load_config_of_run(path, settings)
        raise


def _namesake(path: Path) -> Path | None:
    """Return an existing config with the same name and another extension."""
    added = (Path(f"{path}{extension}") for extension in _EXTENSIONS)
    changed = (path.with_suffix(extension) for extension in _EXTENSIONS if path.suffix)
    return next((each for each in (*added, *changed) if each.is_file()), None)


def _explain_mistake(path: Path, error: DlcliError) -> str | None:
    """Describe what the path is instead of a config, and the way out; None for a config."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        if similar := _namesake(path):
            return f"no such file; did you mean '{similar}'?"
        return f"no such file{did_you_mean_file(path.name, config_names(path.parent))}"
    except OSError:  # such as a folder that may not be read
        return None
    if path.is_dir():
        return _explain_folder(path)
    is_mapping = isinstance(error, ConfigError) and all(each.path for each in error.problems)
    if is_mapping or path.suffix.lower() in _EXTENSIONS:
        return None
    is_file = path.is_file()  # a pipe can be read only once
    return _explain_table(path) if is_file and _is_table(path) else None


def _explain_folder(path: Path) -> str:
    """Describe a folder that was given instead of a config, with the config inside to train."""
    from dlcli.runs.manifest import RunFile
    from dlcli.runs.run_folder import open_run

    try:
        run = open_run(path)
        if run.kind == "tune" and run.has(RunFile.BEST):
            why, config = "to train the best config", run.path / RunFile.BEST
        elif run.kind == "cv" and run.has(RunFile.REFIT):
            why, config = "to train on all rows", run.path / RunFile.REFIT
        else:
            why, config = "to train it again", run.resolved_path()
    except RunError:
        inside = [str(path / name) for name in config_names(path)]
        return "is a folder, expected a config" + (f"; try {listed(inside)}" if inside else "")
    again = shlex.join(["dlcli", "train", str(config)])
    return f"is a run folder, expected a config; {why}: {again}"


def config_names(folder: Path) -> list[str]:
    """Return the names of the YAML files in a folder, sorted."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    shown = (name for name in names if not name.startswith("."))
    return [name for name in shown if Path(name).suffix.lower() in _EXTENSIONS]


def _is_table(path: Path) -> bool:
    """Return whether a file that is not a YAML mapping has the header of a table."""
    from dlcli.tables.table_files import read_header

    try:
        columns = read_header(path)
    except DlcliError:
        return False
    if path.suffix.lower() in _TABLES:
        return True
    is_yaml = columns[0].startswith("#") or any(":" in name for name in columns)  # a broken config
    return len(columns) > 1 and not is_yaml


def _explain_table(path: Path) -> str:
    expected = "is a table, expected a config"
    next_to, here = _namesake(_config_of(path)), _namesake(Path(_config_of(path).name))
    if made := next_to or here:
        return f"{expected}; did you mean '{made}'?"
    return f"{expected}; create one with: {_init_command(path)}"


def _init_command(table: Path) -> str:
    """Return the command that creates a config for a table."""
    options = ["--target", "COLUMN", "--output", _config_of(table).name]
    return shlex.join(["dlcli", "init", str(table), *options])


def _config_of(table: Path) -> Path:
    """Return the usual path of the config for a table."""
    from dlcli.tables.table_formats import is_compressed

    plain = table.with_suffix("") if is_compressed(table.name) else table
    return plain.with_suffix(".yaml")


# RUN and DATA


def run_argument(kinds: Collection[str] = _TRAINING) -> Option:
    """Make the argument RUN, an opened run.

    Args:
        kinds: kinds of runs to suggest the latest of if the argument is missing.
    """

    def open_one(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Run:
        from dlcli.runs.run_folder import open_run

        if path is None:
            raise missing_run(ctx, kinds=kinds)
        return open_run(path)

    return click.argument("run", type=PATH, required=False, metavar="RUN", callback=open_one)


def _open_runs(
    ctx: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]
) -> list[Run]:
    from dlcli.runs.run_folder import open_run

    if not paths:
        raise missing_run(ctx, "RUN")
    return [open_run(path) for path in paths]


def _require_run_and_data(
    ctx: click.Context, parameter: click.Parameter, paths: tuple[DataLocation, ...]
) -> RunAndData:
    """Return RUN and DATA.

    Raises:
        UsageError: if one is missing or they are swapped, with the command to type.
        RunError: if DATA is missing and the run does not exist.
    """
    from dlcli.runs.run_folder import is_run_folder, open_run
    from dlcli.schema.urls import Url

    if not paths:
        raise missing_run(ctx, "DATA")
    if len(paths) > 2:
        line = _line(ctx, str(paths[0]) if os.path.isdir(str(paths[0])) else "RUN", "*.csv")
        count = f"expected RUN DATA, got {len(paths)} arguments"
        raise UsageError(f"{count}; quote a glob pattern: {line}")
    first, *others = paths
    if not others:
        if not isinstance(first, Path):
            raise missing_run(ctx, "RUN", str(first))
        if looks_like_missing_run(first) or (
            first.suffix.lower() in _EXTENSIONS and first.is_file()
        ):
            open_run(first)  # its error suggests a similar run
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
    if not isinstance(first, Path | Url):
        raise UsageError(f"{first}: is a database, expected a run folder")
    return first, data


runs_argument = click.argument(
    "runs", type=PATH, nargs=-1, metavar="RUN RUN...", callback=_open_runs
)

run_and_data = click.argument(
    "paths", type=DATA, nargs=-1, metavar="RUN DATA", callback=_require_run_and_data
)


def looks_like_missing_run(path: Path) -> bool:
    """Return whether a path does not exist and looks like a run folder rather than a file."""
    if os.path.exists(path) or path == Path("-"):
        return False
    is_file_name = path.suffix.lower() in (*_EXTENSIONS, *_TABLES)
    return path.parent.name == "runs" or not (is_file_name or _namesake(path))


def refuse_run_folder(
    ctx: click.Context, parameter: click.Parameter, data: DataLocation | None
) -> DataLocation | None:
    """Check that the argument DATA is not a run folder."""
    from dlcli.runs.run_folder import is_run_folder

    if isinstance(data, Path) and data.is_dir() and is_run_folder(data):
        raise UsageError(f"{data}: is a run folder, expected a table")
    return data


def missing_run(ctx: click.Context, *others: str, kinds: Collection[str] = _TRAINING) -> UsageError:
    """Return the error for a missing RUN, with the latest run.

    Args:
        ctx: the context of the command.
        *others: the arguments after RUN.
        kinds: the kinds of runs that the command accepts.
    """
    from dlcli.runs.run_folder import latest_run

    run = latest_run(kinds)
    if run is None:
        return UsageError("missing argument 'RUN', a run folder; create one: dlcli train CONFIG")
    line = _line(ctx, str(run.path), *others)
    return UsageError(f"missing argument 'RUN'; the latest run is {run.path}: {line}")


def _line(ctx: click.Context, *arguments: str) -> str:
    """Return the command to type."""
    return f"{ctx.command_path} {shlex.join(arguments)}"
