"""The config's `data` section: its files, and the columns that it wants of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcli.config import Config, ConfigFile, Data, Files, GroupSplit, Ignored, TimeSplit
from dlcli.encoding import choose_features
from dlcli.errors import ConfigError, Problem, did_you_mean
from dlcli.tables import Source, Table, expand, name_of, read_header, read_table
from dlcli.tasks import TargetKind, infer_target

Header = tuple[str, tuple[str, ...]]
"""A table's file, as messages name it, and its columns."""


@dataclass(frozen=True)
class Sources:
    """The tables that a config names."""

    train: Table
    """The rows to deal out, or all to train on."""
    validation: Table | None
    """The table of a validation file."""
    test: Table | None
    """The table of a test file."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those that there are."""
        return tuple(t for t in (self.train, self.validation, self.test) if t is not None)


def read_sources(file: ConfigFile, folder: Path | None = None) -> Sources:
    """Reads the tables that a config names.

    Args:
        file: the config.
        folder: where to keep their rows; without one they are in memory.

    Raises:
        UsageError: for a file that isn't there.
        ConfigError: for a column of `data` that a table doesn't have.
        DataError: for a file that is no table.
    """
    data = file.config.data

    def read(files: Files) -> Table:
        return read_table(_resolved(file, files), data.missing, data.format, folder)

    train = read(data.train)

    def read_held_out(source: float | Files | None) -> Table | None:
        if source is None or isinstance(source, float):
            return None
        return read(source).written_like(train.notations)

    sources = Sources(train, read_held_out(data.validation), read_held_out(data.test))
    check_headers(file.config, [(table.file, table.columns) for table in sources.tables])
    return sources


def check_headers(config: Config, headers: Sequence[Header]) -> None:
    """Compares the columns that a config names with those that its tables have.

    Args:
        config: reads `data` and `input`.
        headers: those of the tables, that of the training rows first.

    Raises:
        ConfigError: with every column that isn't there.
    """
    train, *others = headers
    problems = [*_absent_split(config.data, train)]
    for header in headers:
        problems += _absent_columns(config.data, header)
    try:
        chosen = choose_features(config.input, train[1], config.reserved)
        read = [column for column, wish in chosen.items() if not isinstance(wish, Ignored)]
        problems += [problem for header in others for problem in _absent_features(read, header)]
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(dict.fromkeys(problems))  # a file may serve twice


def _absent_columns(data: Data, header: Header) -> Iterator[Problem]:
    """Yields a problem for each column that `data` wants of every table, and this one lacks."""
    for at, column in enumerate(data.target.columns):
        index = "" if isinstance(data.target.column, str) else f"[{at}]"
        yield from _absent(f"data.target.column{index}", column, header)
    if data.weight is not None:
        yield from _absent("data.weight", data.weight, header)


def _absent_split(data: Data, header: Header) -> Iterator[Problem]:
    """Yields a problem if the rows to deal out lack the column that they are dealt out by."""
    if isinstance(data.split, GroupSplit | TimeSplit):
        yield from _absent("data.split.column", data.split.column, header)


def _absent(path: str, column: str, header: Header) -> Iterator[Problem]:
    file, columns = header
    if column not in columns:
        near = did_you_mean(column, columns) or f"; there are {', '.join(columns[:12])}"
        yield Problem(path, f"no column '{column}' in {file}{near}")


def _absent_features(read: Sequence[str], header: Header) -> Iterator[Problem]:
    """Yields a problem if held-out rows lack columns that the network reads."""
    file, columns = header
    known = set(columns)
    absent = [column for column in read if column not in known]
    if absent:
        named = ", ".join(f"'{column}'" for column in absent)
        hint = did_you_mean(absent[0], columns) if len(absent) == 1 else ""
        message = f"{file} has no column {named}, which the network reads{hint}"
        yield Problem("input.features", message)


def read_headers(file: ConfigFile) -> list[Header]:
    """The headers of the tables that a config names, that of the training rows first.

    Raises:
        UsageError: for a file that isn't there.
        DataError: for a file that is no table, or files of one table that differ in columns.
    """
    data = file.config.data
    sources = [_resolved(file, files) for files in data.files]
    return [(name_of(source), read_header(source, data.format)) for source in sources]


def data_files(file: ConfigFile) -> list[Path]:
    """The files that a config names, relative to the current folder.

    Raises:
        UsageError: for a glob that matches nothing.
    """
    return [path for files in file.config.data.files for path in expand(_resolved(file, files))]


def _resolved(file: ConfigFile, files: Files) -> Source:
    """Files that a config names, relative to the current folder."""
    return file.resolve(files) if isinstance(files, str) else [*map(file.resolve, files)]


def target_of(file: ConfigFile, sources: Sources) -> TargetKind:
    """What the target is, over all labelled rows."""
    return infer_target(file.config.data.target, sources.tables)
