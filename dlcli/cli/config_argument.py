"""The argument CONFIG: reads a config, and explains what else was given instead of one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.errors import ConfigError, DlcliError, RunError, UsageError, did_you_mean, listed

if TYPE_CHECKING:
    from dlcli.config.config_file import ConfigFile
    from dlcli.runs.run import Run

_EXTENSIONS = (".yaml", ".yml")
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def read_config(path: Path, settings: Sequence[str]) -> ConfigFile:
    """Read a config, with overrides from the command line.

    Raises:
        UsageError: for a table, a folder or a missing file, with the command to use instead; or for
            a file that can't be read.
        ConfigError: with all problems of the config.
    """
    from dlcli.config.config_file import load_config

    try:
        return load_config(path, settings)
    except (UsageError, ConfigError) as error:
        if message := _explain_mistake(path, error):
            raise UsageError(f"{path}: {message}") from None
        raise


def namesake(path: Path) -> Path | None:
    """Return the config of the same name with another extension, if it exists."""
    added = (Path(f"{path}{extension}") for extension in _EXTENSIONS)
    changed = (path.with_suffix(extension) for extension in _EXTENSIONS if path.suffix)
    return next((each for each in (*added, *changed) if each.is_file()), None)


def is_config_name(path: Path) -> bool:
    """Return whether a name has the extension of a config."""
    return path.suffix.lower() in _EXTENSIONS


def reads_like_file(path: Path) -> bool:
    """Return whether a name has the extension of a config or a table."""
    return path.suffix.lower() in (*_EXTENSIONS, *_TABLES, *_SPREADSHEETS)


def _explain_mistake(path: Path, error: DlcliError) -> str | None:
    """Describe what the path is instead of a config, and what to do; None if it is a config."""
    if path.is_dir():
        return _explain_folder(path)
    if not os.path.lexists(path):
        return f"no such file{_suggestion(path)}"
    is_mapping = isinstance(error, ConfigError) and all(each.path for each in error.problems)
    if is_mapping or path.suffix.lower() in _EXTENSIONS:
        return None
    if path.suffix.lower() in _SPREADSHEETS:
        command = _init_command(path.with_suffix(".csv"))
        return f"is a spreadsheet, expected a config; export the sheet as CSV, then: {command}"
    is_file = path.is_file()  # a pipe can be read only once
    return _explain_table(path) if is_file and _is_table(path) else None


def _explain_folder(path: Path) -> str:
    from dlcli.runs.run_folder import open_run

    try:
        why, config = _config_within(open_run(path))
        again = shlex.join(["dlcli", "train", str(config)])
        return f"is a run folder, expected a config; {why}: {again}"
    except RunError:
        inside = [str(path / name) for name in config_names(path)]
        return "is a folder, expected a config" + (f"; try {listed(inside)}" if inside else "")


def _config_within(run: Run) -> tuple[str, Path]:
    """Return the config in a run folder that can be trained, and the purpose of training it.

    Raises:
        RunError: if the run is damaged.
    """
    from dlcli.runs.manifest import RunFile

    if run.kind == "tune" and run.has(RunFile.BEST):
        return "to train the best config", run.path / RunFile.BEST
    if run.kind == "cv" and run.has(RunFile.REFIT):
        return "to train on all rows", run.path / RunFile.REFIT
    return "to train it again", run.resolved_path()


def _suggestion(path: Path) -> str:
    if similar := namesake(path):
        return f"; did you mean '{similar}'?"
    return did_you_mean(path.name, config_names(path.parent))


def config_names(folder: Path) -> list[str]:
    """Return the names of the YAML files in a folder, sorted."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    shown = (name for name in names if not name.startswith("."))
    return [name for name in shown if Path(name).suffix.lower() in _EXTENSIONS]


def _is_table(path: Path) -> bool:
    """Return whether a file that is not a YAML mapping is a table, by its header."""
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
    next_to, here = namesake(_config_of(path)), namesake(Path(_config_of(path).name))
    if made := next_to or here:
        return f"{expected}; did you mean '{made}'?"
    return f"{expected}; write one with: {_init_command(path)}"


def _init_command(table: Path) -> str:
    """Return the command that writes a config for a table."""
    options = ["--target", "COLUMN", "--output", _config_of(table).name]
    return shlex.join(["dlcli", "init", str(table), *options])


def _config_of(table: Path) -> Path:
    """Return the path at which the config of a table would be expected."""
    plain = table.with_suffix("") if table.suffix.lower() in (".gz", ".zst") else table
    return plain.with_suffix(".yaml")
