"""A YAML file to a `Config`, and back: every problem at once, each with its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from dlcli.config.document import CoreDumper, Document, Values, parse
from dlcli.config.overrides import override
from dlcli.config.quoting import with_quotes
from dlcli.config.schema import Config
from dlcli.config.section import MOST_PROBLEMS, UNKNOWN_KEY, Section
from dlcli.config.text import MAX_BYTES, read_text
from dlcli.errors import ConfigError, Problem


@dataclass(frozen=True)
class ConfigFile:
    """A config with the text that it came from."""

    config: Config
    path: Path
    """The file, as the user named it."""
    text: str
    """The file's content, as given."""
    document: Document
    """The text, taken apart."""

    @property
    def name(self) -> str:
        """The run's name: as configured, else after the file's own without its ending."""
        return self.config.name or _run_name(self.path.stem)

    def resolve(self, file: str) -> Path:
        """A path that the config names, relative to the config's own folder."""
        return Path(os.path.normpath(self.path.parent / file))

    @contextmanager
    def located(self) -> Iterator[None]:
        """Gives every config error that passes through the place of its keys, in their order."""
        try:
            yield
        except ConfigError as error:
            problems = map(self.document.located, error.problems)
            raise ConfigError(sorted(problems, key=line_and_column)) from None


def _run_name(text: str) -> str:
    """The nearest text that `RunName` takes."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return plain[:64].rstrip("-._") or "run"


def load_config(path: Path, overrides: Sequence[str] = ()) -> ConfigFile:
    """Reads, overrides and checks a config.

    Args:
        path: the YAML file.
        overrides: `path=value` each, in order, the value as YAML.

    Raises:
        UsageError: if the file can't be read.
        ConfigError: with everything that is wrong with it.
    """
    text = read_text(path)
    document = parse(text, str(path))
    try:
        for argument in overrides:
            override(document, argument)
        return ConfigFile(validated(document), path, text, document)
    except ConfigError as error:
        raise ConfigError(with_quotes(error.problems, overrides)) from None


def validated(document: Document) -> Config:
    """Checks a document against the schema.

    Raises:
        ConfigError: with every problem, in the order of the text.
    """
    values = Values(document)
    content = values.of(document.root)
    problems, untold = values.problems, 0
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        known = {problem.path for problem in problems}
        found = [
            document.problem(line["loc"], line["msg"], of_key=line["type"] == UNKNOWN_KEY)
            for line in error.errors(include_url=False)[:MOST_PROBLEMS]
        ]
        problems += [problem for problem in found if problem.path not in known]
        untold = max(0, error.error_count() - MOST_PROBLEMS)
    if problems:
        problems.sort(key=line_and_column)
        untold += len(problems[MOST_PROBLEMS:])
        rest = [document.problem((), f"and {untold} more problems")] if untold else []
        raise ConfigError([*problems[:MOST_PROBLEMS], *rest])
    return config


def line_and_column(problem: Problem) -> list[int]:
    """Where a problem stands, to sort by; what came from an argument comes first."""
    place = re.search(r":(\d+):(\d+)$", problem.position)
    if place is None:
        return []
    return [int(number) for number in place.groups()]


def dump_config(config: Config) -> str:
    """Writes a config as YAML that `load_config` reads back the same, defaults spelt out.

    Raises:
        ConfigError: if that would be too large to be read, as with all of a million columns.
    """
    text: str = yaml.dump(
        _plain(config),
        Dumper=CoreDumper,
        default_flow_style=None,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        columns = len(config.input.features or {})
        message = f"{columns:,} columns are too many: the config with all of them would be over"
        raise ConfigError([Problem("input.features", f"{message} {MAX_BYTES >> 20} MiB")])
    return text


def _plain(value: object) -> object:
    if isinstance(value, Section):
        fields = ((key, getattr(value, key)) for key in _own_first(type(value)))
        return {key: _plain(item) for key, item in fields if item is not None or value.differs(key)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _own_first(section: type[Section]) -> list[str]:
    """The keys of a section, its own before those that it shares with its kin."""
    return sorted(section.model_fields, key=lambda key: key not in section.__annotations__)
