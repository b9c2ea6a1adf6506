"""Settings that differ between the configs of runs, by the paths that `--set` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path as FilePath

from dlcli.config.config_file import ConfigFile, to_short
from dlcli.errors import printable
from dlcli.schema.section import Section
from dlcli.schema.yaml_document import Path, dump_yaml, format_path

_LAST = ("seed", "input", "data")
"""Sections that come after all others, as they are changed more rarely."""
_OMITTED = ("name", "tune")
_MOST_ITEMS = 8
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class Setting:
    """A key of the config whose value differs between runs."""

    path: str
    """As `--set` takes it: `hidden[0].units`."""
    values: tuple[object, ...]
    """The value of each run as in YAML, without defaults; `None` if it has none."""


def differing_settings(files: Sequence[ConfigFile]) -> list[Setting]:
    """Return the settings that differ between resolved configs, the most important first."""
    sections = [_top_level(file) for file in files]
    found: list[tuple[Path, tuple[object, ...]]] = []
    others = [key for key in sections[0] if key not in (*_LAST, *_OMITTED)]
    for key in (*others, *_LAST):
        found += _differences((key,), [section[key] for section in sections])
    return [Setting(format_path(path), values) for path, values in found]


def _top_level(file: ConfigFile) -> dict[str, object]:
    """Return the config's keys, with paths relative to the current folder instead of each run's."""
    config = file.config
    found = {key: getattr(config, key) for key in type(config).model_fields}
    found["data"] = file.moved_data(FilePath.as_posix)
    if config.initial_weights is not None:
        found["initial_weights"] = file.resolve(config.initial_weights).as_posix()
    return found


def _differences(path: Path, values: Sequence[object]) -> Iterator[tuple[Path, tuple[object, ...]]]:
    """Yield each path at which values differ, as deep as their types agree."""
    if all(type(value) is type(values[0]) and value == values[0] for value in values):
        return
    keys = _keys(values)
    if keys is None:
        yield path, tuple(map(to_short, values))
        return
    for key in keys:
        yield from _differences((*path, key), [_below(value, key) for value in values])


def _keys(values: Sequence[object]) -> list[str | int] | None:
    """Return the keys or indices of values of one type; `None` if they have none in common."""
    first = values[0]
    if isinstance(first, Section):
        is_one_form = all(type(value) is type(first) for value in values)
        return list(type(first).model_fields) if is_one_form else None
    mappings = [value for value in values if isinstance(value, Mapping)]
    if len(mappings) == len(values):
        return list(dict.fromkeys(key for mapping in mappings for key in mapping))
    lists = [value for value in values if isinstance(value, tuple)]
    if len(lists) == len(values) and any(isinstance(item, Section) for item in sum(lists, ())):
        return list(range(max(map(len, lists))))
    return None


def _below(value: object, key: str | int) -> object:
    if isinstance(value, Section):
        return getattr(value, str(key))
    if isinstance(value, Mapping):
        return value.get(key)
    assert isinstance(value, tuple) and isinstance(key, int)
    return value[key] if key < len(value) else None


def as_text(value: object) -> str:
    """Return a setting's value as YAML on one line, shortened if long; a dash for none."""
    if value is None:
        return "-"
    dumped = dump_yaml([_shortened(value)], flow=True, width=2**31 - 1)
    return printable(dumped.strip()[1:-1])


def _shortened(value: object) -> object:
    """Return a value with only the first few items of lists and mappings, and long strings cut."""
    if isinstance(value, list):
        rest = ["…"] if len(value) > _MOST_ITEMS else []
        return [*map(_shortened, value[:_MOST_ITEMS]), *rest]
    if isinstance(value, dict):
        kept = {key: _shortened(item) for key, item in islice(value.items(), _MOST_ITEMS)}
        return {**kept, **({"…": "…"} if len(value) > _MOST_ITEMS else {})}
    is_long = isinstance(value, str) and len(value) > _MOST_CHARACTERS
    return f"{str(value)[: _MOST_CHARACTERS - 1]}…" if is_long else value
