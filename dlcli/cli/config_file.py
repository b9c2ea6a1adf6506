"""The config that a verb was given, or what is there in its place."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.errors import ConfigError, DlcliError, RunError, UsageError, did_you_mean, listed

if TYPE_CHECKING:
    from dlcli.config import ConfigFile
    from dlcli.runs import Run

_ENDINGS = (".yaml", ".yml")
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def read_config(path: Path, settings: Sequence[str]) -> ConfigFile:
    """Reads a config, with the settings of the command line.

    Raises:
        UsageError: for a table, a folder or nothing in its place, with the way out; or a file that
            can't be read.
        ConfigError: with everything that is wrong with it.
    """
    from dlcli.config import load_config

    try:
        return load_config(path, settings)
    except (UsageError, ConfigError) as error:
        if message := _mistaken(path, error):
            raise UsageError(f"{path}: {message}") from None
        raise


def namesake(path: Path) -> Path | None:
    """The config that is called so but for its ending, if there is one."""
    added = (Path(f"{path}{ending}") for ending in _ENDINGS)
    changed = (path.with_suffix(ending) for ending in _ENDINGS if path.suffix)
    return next((each for each in (*added, *changed) if each.is_file()), None)


def reads_like_file(path: Path) -> bool:
    """Whether a name is that of a config or a table, rather than of a run folder."""
    return path.suffix.lower() in (*_ENDINGS, *_TABLES, *_SPREADSHEETS)


def _mistaken(path: Path, error: DlcliError) -> str | None:
    """What is there in the place of a config, and what to do; nothing if it is one."""
    if path.is_dir():
        return _folder(path)
    if not os.path.lexists(path):
        return f"there is no such file{_near(path)}"
    is_mapping = isinstance(error, ConfigError) and all(each.path for each in error.problems)
    if is_mapping or path.suffix.lower() in _ENDINGS:
        return None
    if path.suffix.lower() in _SPREADSHEETS:
        start = _start(path.with_suffix(".csv"))
        return f"is a spreadsheet, a config was expected; export its sheet as CSV, then: {start}"
    return _table(path) if _is_table(path) else None


def _folder(path: Path) -> str:
    from dlcli.runs import open_run

    try:
        why, config = _config_within(open_run(path))
        again = shlex.join(["dlcli", "train", str(config)])
        return f"is a run folder, a config was expected; {why}: {again}"
    except RunError:
        inside = [str(path / name) for name in _configs(path)]
        return "is a folder, a config was expected" + (f"; try {listed(inside)}" if inside else "")


def _config_within(run: Run) -> tuple[str, Path]:
    """The config of a run that is to be trained, and what comes of that.

    Raises:
        RunError: if it is damaged.
    """
    if run.kind == "tune" and run.has("best.yaml"):
        return "to train what was found", run.path / "best.yaml"
    if run.kind == "cv" and run.has("refit.yaml"):
        return "to train on all rows", run.path / "refit.yaml"
    return "to train it again", run.resolved_path()


def _near(path: Path) -> str:
    same = namesake(path)
    return f"; did you mean '{same}'?" if same else did_you_mean(path.name, _configs(path.parent))


def _configs(folder: Path) -> list[str]:
    """The names of a folder's YAML files, sorted."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if Path(name).suffix.lower() in _ENDINGS]


def _is_table(path: Path) -> bool:
    """Whether a file that is no YAML mapping is a table, by its header."""
    from dlcli.tables import read_header

    try:
        columns = read_header(path)
    except DlcliError:
        return False
    if path.suffix.lower() in _TABLES:
        return True
    is_yaml = columns[0].startswith("#") or any(":" in name for name in columns)  # a broken one
    return len(columns) > 1 and not is_yaml


def _table(path: Path) -> str:
    expected = "is a table, a config was expected"
    beside, here = namesake(_config_of(path)), namesake(Path(_config_of(path).name))
    if made := beside or here:
        return f"{expected}; did you mean '{made}'?"
    return f"{expected}; write one with: {_start(path)}"


def _start(table: Path) -> str:
    """The command that writes a config for a table."""
    options = ["--target", "COLUMN", "--output", _config_of(table).name]
    return shlex.join(["dlcli", "init", str(table), *options])


def _config_of(table: Path) -> Path:
    """Where a table's config would be expected."""
    plain = table.with_suffix("") if table.suffix.lower() in (".gz", ".zst") else table
    return plain.with_suffix(".yaml")
