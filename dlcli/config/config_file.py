"""A YAML file to a `Config` and back, with overrides and every problem at its position."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import yaml
from pydantic import ValidationError

from dlcli.config.config_schema import Config
from dlcli.config.data_section import MEMORY, Data, Files
from dlcli.config.decision_section import Decision
from dlcli.config.tune_section import Tune
from dlcli.errors import ConfigError, Position, Problem, plural, printable
from dlcli.schema.section import MAX_PROBLEMS, UNKNOWN_KEY, Choice, Section
from dlcli.schema.urls import Location, hide_secrets, locate
from dlcli.schema.yaml_document import (
    MAX_BYTES,
    Path,
    Values,
    YamlDocument,
    child,
    compose,
    dump_yaml,
    empty_mapping,
    format_path,
    parse,
    parse_path,
    position_of,
    read_text,
    scalar,
)
from dlcli.tables.database_section import DatabaseQuery

Overrides = Sequence[str] | Mapping[str, object]
"""Settings to change: a sequence of `path=value` with values in YAML, or values by their paths."""
Tables = Mapping[str, object]
"""Tables in memory, by the keys of `data` whose value is `MEMORY`."""
EDITOR_COMMENT = """\
# yaml-language-server: $schema=./dlcli.schema.json
# Editors check this file with dlcli.schema.json in the same folder (see `dlcli schema --help`).
"""
"""The beginning of a config file with a schema in the same folder."""
_IN_MEMORY = FilePath("run.yaml")
"""The path of a config without a file; runs get its name, and paths are relative to it."""


@dataclass(frozen=True)
class ConfigFile:
    """A config and the text it was read from."""

    config: Config
    path: FilePath
    """The file as the user named it."""
    text: str
    """Content of the file, without overrides."""
    document: YamlDocument
    """The parsed text, with overrides."""
    tables: Tables = field(default_factory=dict)
    queried: dict[DatabaseQuery, object] = field(default_factory=dict, compare=False)
    """The rows of queries, which are read once, so all parts of a run use the same ones."""

    @property
    def name(self) -> str:
        """Name of the run: as configured, else the file's name without its ending."""
        if self.config.name:
            return self.config.name
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem).strip("-._")
        return plain[:64].rstrip("-._") or "run"

    def resolve(self, file: str) -> FilePath:
        """Return the path of a file that the config names relative to its own folder."""
        path = self.path.parent / file
        plain = FilePath(os.path.normpath(path))
        return plain if _are_same(plain, path) else path

    def locate(self, file: str) -> Location:
        """Return the path or URL of a table, given its name in the config."""
        location = locate(file)
        return self.resolve(str(location)) if isinstance(location, FilePath) else location

    def locate_files(self, files: Files) -> Location | list[Location]:
        """Return the path or URL of one or several tables."""
        assert not isinstance(files, DatabaseQuery)
        return self.locate(files) if isinstance(files, str) else [*map(self.locate, files)]

    def locate_query(self, query: DatabaseQuery) -> DatabaseQuery:
        """Return a query with the path of its database relative to the current folder."""
        return query if query.file is None else query.with_file(self.resolve(query.file))

    def moved_data(self, path_of: Callable[[FilePath], str]) -> Data:
        """Return the section `data` with other paths to its files; URLs do not change."""

        def moved(file: str) -> str:
            location = self.locate(file)
            return path_of(location) if isinstance(location, FilePath) else str(location)

        data = self.config.data
        update: dict[str, object] = {}
        for key in data.sources:
            files = getattr(data, key)
            if isinstance(files, DatabaseQuery):
                if files.file is not None:
                    update[key] = files.with_file(path_of(self.resolve(files.file)))
            elif files != MEMORY:
                update[key] = moved(files) if isinstance(files, str) else tuple(map(moved, files))
        return data.model_copy(update=update)

    @contextmanager
    def located(self) -> Iterator[None]:
        """Add positions to config errors inside the block, and sort their problems by position."""
        try:
            yield
        except ConfigError as error:
            problems = map(self.document.located, error.problems)
            raise ConfigError(sorted(problems, key=line_and_column)) from None


def relative_path(file: FilePath, folder: FilePath) -> str:
    """Return a file's path relative to a folder, or the absolute path on another drive."""
    try:
        path = os.path.relpath(file, folder)
        if not _are_same(folder / path, file):
            path = os.path.relpath(os.path.realpath(file), os.path.realpath(folder))
    except ValueError:
        path = os.path.abspath(file)
    return FilePath(path).as_posix()


def _are_same(one: FilePath, other: FilePath) -> bool:
    """Return whether two paths lead to the same file after symbolic links are resolved."""
    try:
        return os.path.realpath(one) == os.path.realpath(other)
    except ValueError:  # a NUL character, which is refused when the file is opened
        return False


def load_config(
    path: FilePath, overrides: Overrides = (), tables: Tables | None = None
) -> ConfigFile:
    """Read, override and check a config.

    Args:
        path: the YAML file.
        overrides: settings to change.
        tables: tables in memory to read instead of files, by their keys in `data`.

    Raises:
        UsageError: if the file can't be read.
        ConfigError: with all problems of the config.
    """
    text = read_text(path)
    return _checked(text, parse(text, str(path)), path, overrides, tables)


def load_config_of_run(
    path: FilePath, overrides: Overrides = (), tables: Tables | None = None
) -> ConfigFile:
    """Read the config of a run, which may be of an earlier version; see `load_config`."""
    text = read_text(path)
    document = parse(text, str(path))
    _use_present_names(document.root)
    return _checked(text, document, path, overrides, tables)


def make_config(
    source: Config | Mapping[str, object] | str,
    overrides: Overrides = (),
    tables: Tables | None = None,
) -> ConfigFile:
    """Check a config without a file; its paths are relative to the current folder.

    Args:
        source: a config, its keys and values, or YAML.
        overrides: settings to change.
        tables: tables in memory to read instead of files, by their keys in `data`.

    Raises:
        ConfigError: with all problems of the config.
    """
    text = source if isinstance(source, str) else dump_yaml(to_plain(source))
    return _checked(text, parse(text, ""), _IN_MEMORY, overrides, tables)


def parse_decision(value: object) -> Decision | None:
    """Check the value of the option or argument `decision`, which is written as in a config.

    Args:
        value: YAML, with or without braces; or a mapping. `default` is the most probable class.

    Raises:
        ConfigError: with all problems.
    """
    if value == "default":
        return None
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        value = f"{{{value}}}"
    base = "data: {train: data.csv, target: y, validation: 0.15}\nhidden: []\nepochs: 1\n"
    given = value if isinstance(value, str) else dump_yaml(to_plain(value), flow=True)
    return make_config(f"{base}decision: {given}").config.decision


def _checked(
    text: str,
    document: YamlDocument,
    path: FilePath,
    overrides: Overrides,
    tables: Tables | None = None,
) -> ConfigFile:
    """Override values of a parsed config and check it.

    Args:
        text: YAML.
        document: the parsed text, which is modified.
        path: its file.
        overrides: settings to change.
        tables: tables in memory to read instead of files, by their keys in `data`.
    """
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            _override_value(document, key, value)
    else:
        for argument in overrides:
            override(document, argument)
    for key in tables or {}:
        _override_value(document, f"data.{key}", MEMORY)
    return ConfigFile(validated(document), path, text, document, tables or {})


def validated(document: YamlDocument) -> Config:
    """Check a document against the schema.

    Raises:
        ConfigError: with all problems, in the order of the text.
    """
    values = Values(document)
    content = values.of(document.root)
    problems, more = values.problems, 0
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        known = {problem.path for problem in problems}
        found = [
            document.problem(line["loc"], line["msg"], of_key=line["type"] == UNKNOWN_KEY)
            for line in error.errors(include_url=False)[:MAX_PROBLEMS]
        ]
        problems += [problem for problem in found if problem.path not in known]
        more = max(0, error.error_count() - MAX_PROBLEMS)
    if problems:
        raise ConfigError(first_problems(problems, document, more))
    return config


def first_problems(
    problems: Iterable[Problem], document: YamlDocument, more: int = 0
) -> Iterator[Problem]:
    """Yield the first 100 problems in the order of the text, and the number of further ones.

    Args:
        problems: the problems.
        document: the config.
        more: the number of further problems, which are not listed.
    """
    ordered = sorted(problems, key=line_and_column)
    yield from ordered[:MAX_PROBLEMS]
    if more := more + len(ordered[MAX_PROBLEMS:]):
        yield document.problem((), f"and {plural(more, 'more problem')}")


def line_and_column(problem: Problem) -> tuple[int, int]:
    """Return the position of a problem as a sort key; problems of arguments are first."""
    return problem.position.line, problem.position.column


def dump_config(config: Config) -> str:
    """Return a config as YAML with all defaults; `load_config` reads an equal config from it.

    Raises:
        ConfigError: if it would be too large to be read, as with a million columns.
    """
    text = dump_yaml(to_plain(config))
    if len(text.encode()) > MAX_BYTES:
        columns = len(config.input.features or {})
        message = f"{columns:,} columns are too many: the config would exceed"
        raise ConfigError([Problem("input.features", f"{message} {MAX_BYTES >> 20} MiB")])
    return text


def to_plain(value: object, path: Path = ()) -> object:
    """Convert sections, mappings and tuples to dicts and lists, without optional nulls.

    Args:
        value: a part of a config, or a value of Python that YAML can hold.
        path: its path, for messages.

    Raises:
        ConfigError: for any other value, with its path.
    """
    if isinstance(value, Section):
        # Keys that a section shares with all others of its kind come last.
        bases = {*Section.__mro__, Choice}
        kinds = [kind for kind in type(value).__mro__ if kind not in bases]
        own = {key for kind in kinds[:-1] or kinds for key in kind.__annotations__}
        keys = sorted(type(value).model_fields, key=lambda key: key not in own)
        fields = ((key, getattr(value, key)) for key in keys)
        return {
            key: to_plain(item) for key, item in fields if item is not None or value.differs(key)
        }
    if isinstance(value, Mapping):
        keyed = {str(key): item for key, item in value.items()}
        return {key: to_plain(item, (*path, key)) for key, item in keyed.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, (*path, at)) for at, item in enumerate(value)]
    if isinstance(value, FilePath):
        return str(value)
    is_numpy = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    plain = getattr(value, "item")() if is_numpy else value  # noqa: B009  (of an unknown type)
    if plain is None or isinstance(plain, str | bool | int | float):
        return plain
    message = f"expected text, a number, a list or a mapping, got {type(value).__name__}"
    raise ConfigError([Problem(format_path(path) if path else "", message)])


def to_short(value: object) -> object:
    """Convert a part of a config to its shortest form: `adam`, `{name: sgd, momentum: 0.9}`."""
    if isinstance(value, Section):
        names = [key for key in ("name", "type") if key in type(value).model_fields]
        if value.is_default and names and getattr(value, names[0]) is not None:
            return getattr(value, names[0])
        keys = [key for key in type(value).model_fields if key in names or value.differs(key)]
        return {key: to_short(getattr(value, key)) for key in keys}
    if isinstance(value, Mapping):
        return {str(key): to_short(item) for key, item in value.items()}
    return [to_short(item) for item in value] if isinstance(value, tuple) else value


# Overrides: `--set 'hidden[0].units=64'`


_ARGUMENT = re.compile(
    r"""(?P<path>(?:[^=\[]|\['[^']*'|\["(?:[^"\\]|\\.)*"|\[(?!['"]))+)=(?P<value>.*)""", re.S
)
_WITH_DEFAULT_CHOICES: dict[Path, type[Section]] = {(): Config, ("tune",): Tune}
"""Sections with choices that have a default."""


def override(document: YamlDocument, argument: str) -> None:
    """Set one value in a document, which is modified.

    Args:
        document: the config.
        argument: `path=value`, the value as YAML.

    Raises:
        ConfigError: if the argument can't be read, or its path leads into a value without keys.
    """
    name = f"--set '{hide_secrets(printable(argument))}'"
    try:
        path, text = _split_argument(argument)
    except ValueError as error:
        raise ConfigError([Problem("", str(error), Position(name))]) from None
    null = scalar("null", "", yaml.Mark(name, 0, 0, 0, None, 0))
    put(document.root, path, compose(text, name) or null)


def _override_value(document: YamlDocument, name: str, value: object) -> None:
    """Set one value of Python in a document, which is modified.

    Raises:
        ConfigError: if the path can't be read or leads into a value without keys, or for a value
            that YAML can't hold.
    """
    try:
        path = parse_path(name)
    except ValueError as error:
        raise ConfigError([Problem("", f"overrides: {error}")]) from None
    text = dump_yaml(to_plain(value, path), flow=True)
    node = compose(text, "")
    assert node is not None  # null is also a node
    put(document.root, path, node)


def put(root: yaml.MappingNode, path: Path, value: yaml.Node) -> None:
    """Set the node at a path, and create the mappings on the way that are missing.

    Args:
        root: the top of a document. It is modified; all nodes below it are copied first.
        path: where to set the node.
        value: the node; created mappings get its position.

    Raises:
        ConfigError: if the path leads into a value without keys.
    """
    mark = value.start_mark
    assert mark is not None  # the parser sets it
    parent: yaml.Node = root
    for end in range(1, len(path)):
        parent = _descend(parent, path[:end], path[end], mark)
    _put(parent, path, value, mark)


_SHORT_LISTS = (("input", "features"), ("data", "target"))
"""Sections that may be written as a list of columns."""


def _descend(parent: yaml.Node, path: Path, step: str | int, mark: yaml.Mark) -> yaml.Node:
    """Return the node at a path, made into a mapping if it is missing or a short form.

    Args:
        parent: the node above.
        path: the path of the node.
        step: the step that follows, a key or the index of an item.
        mark: the position of created nodes.
    """
    below, node = child(parent, path[-1]), empty_mapping(mark)
    if isinstance(below, yaml.SequenceNode) and isinstance(step, str) and path in _SHORT_LISTS:
        node.value += (
            [(scalar("str", "column", mark), below)]
            if path[-1] == "target"
            else [(column, scalar("str", "auto", mark)) for column in below.value]
        )
    elif isinstance(below, yaml.CollectionNode):
        own = copy(below)  # aliases share a node, but only this one changes
        own.value = list(below.value)
        _put(parent, path, own, mark)
        return own
    else:
        name = _default_name(path, mark) if below is None or below.tag.endswith(":null") else below
        # The short forms `true`, `auto` and `balanced` don't stand for a key.
        is_nameless = path in (("class_weight",), ("input", "scaling_layer")) or (
            (path[0], path[-1]) == ("hidden", "batch_normalization")
        )
        if name is not None and not is_nameless:
            is_feature = path[:2] == ("input", "features") and len(path) == 3
            key = "column" if path[-1] == "target" else "type" if is_feature else "name"
            node.value.append((scalar("str", key, mark), name))
        elif path == ("input", "features"):
            # Without this section, all columns are read; with one, only those that it names.
            node.value.append((scalar("str", "*", mark), scalar("str", "auto", mark)))
    _put(parent, path, node, mark)
    return node


def _default_name(path: Path, mark: yaml.Mark) -> yaml.Node | None:
    """Return the name of the default of a choice, such as adam, so its parameters can be set."""
    section = _WITH_DEFAULT_CHOICES.get(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section else None
    default = getattr(field and field.default, "name", None)
    return scalar("str", default, mark) if isinstance(default, str) else None


def _put(parent: yaml.Node, path: Path, value: yaml.Node, mark: yaml.Mark) -> None:
    """Set the node under the last step of a path: a key of a mapping, or an item of a list."""
    step = path[-1]
    if isinstance(parent, yaml.SequenceNode):
        length = len(parent.value)
        if not isinstance(step, int) or step > length:
            message = f"is a list of {length}; expected an index up to [{length}]"
            if path[:-1] == ("hidden",):
                message = f"has {plural(length, 'layer')}; use {_indices_of_layers(length)}"
            if isinstance(step, str):
                first = f"write {format_path((*path[:-1], 0, step))} for its first item"
                is_hidden = path[:-1] == ("hidden",)
                message = f"is a list; {first if is_hidden else 'set all of it'}"
            raise ConfigError([Problem(format_path(path[:-1]), message, position_of(value))])
        parent.value[step : step + 1] = [value]
    elif isinstance(step, int):
        message = "expected a list, because the path has an index"
        raise ConfigError([Problem(format_path(path[:-1]), message, position_of(value))])
    else:
        keys = [key.value for key, _ in parent.value]
        at = keys.index(step) if step in keys else len(keys)
        parent.value[at : at + 1] = [(scalar("str", step, mark), value)]


def _indices_of_layers(layers: int) -> str:
    """Return the indices that a path can have in a list of this many hidden layers."""
    new = f"hidden[{layers}] to add a layer"
    if not layers:
        return new
    last = f" to hidden[{layers - 1}]" if layers > 1 else ""
    return f"hidden[0]{last}, or {new}"


def _split_argument(argument: str) -> tuple[Path, str]:
    """Split an argument into a path and the text of a value, or raise `ValueError`."""
    parts = _ARGUMENT.fullmatch(argument)
    if parts is None:
        raise ValueError("expected path=value, as in hidden[0].units=64")
    return parse_path(parts["path"].strip()), parts["value"]


_KEYS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("data",), "weight", "sample_weight"),
    (("data", "target"), "positive", "positive_class"),
    (("input",), "feature_scale", "scaling_layer"),
    (("input", "features", "*"), "max_categories", "one_hot_values"),
    (("gates", "*"), "by", "compare"),
    (("tune", "space"), "hidden", "hidden_layers"),
    (("tune", "space", "hidden_layers"), "layers", "number"),
)
"""The path of a section, where `*` is any key, with the earlier and the present name of a key."""
_VALUES: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("input", "scaling"), "name", "log", "log1p"),
    (("input", "features", "*", "scaling"), "name", "log", "log1p"),
    (("output", "scaling"), "name", "log", "log1p"),
    (("gates", "*"), "compare", "interval", "confidence_bound"),
)
"""The path of a section, a key, and its earlier and its present value."""


def has_earlier_names(path: FilePath) -> bool:
    """Return whether a config, for example of an old run, has names of an earlier version."""
    root = parse(read_text(path), str(path)).root
    return next(_earlier_names(root), None) is not None


def _use_present_names(root: yaml.MappingNode) -> None:
    """Give keys and values their present names.

    Args:
        root: the top of a complete config, which is modified.
    """
    for node, present in _earlier_names(root):
        node.value = present  # before the next one is found, which may be below it
    for section in _sections(root, ("input",)):
        section.value = [(key, _as_section(key, value)) for key, value in section.value]


def _earlier_names(root: yaml.MappingNode) -> Iterator[tuple[yaml.Node, str]]:
    """Yield each node with an earlier name, and its present name."""
    for path, earlier, present in _KEYS:
        for section in _sections(root, path):
            for key, value in section.value:
                if key.value == earlier and _has_new_name(present, section, value):
                    yield key, present
    for path, name, earlier, present in _VALUES:
        for section in _sections(root, path):
            for key, value in section.value:
                if key.value == name and value.value == earlier:
                    yield value, present


def _sections(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[yaml.MappingNode]:
    """Yield the existing mappings at a path, in which `*` matches any key."""
    if not isinstance(node, yaml.MappingNode):
        return
    if not path:
        yield node
        return
    step, *rest = path
    below = [value for _, value in node.value] if step == "*" else [child(node, step)]
    for each in below:
        yield from _sections(each, tuple(rest))


def _as_section(key: yaml.Node, value: yaml.Node) -> yaml.Node:
    """Return the scaling layer of an earlier `feature_scale`, its learning rate multiplier."""
    is_number = value.tag.endswith((":int", ":float"))
    if key.value != "scaling_layer" or not is_number or value.start_mark is None:
        return value
    section = empty_mapping(value.start_mark)
    name = scalar("str", "learning_rate_multiplier", value.start_mark)
    section.value.append((name, value))
    return section


def _has_new_name(present: str, section: yaml.MappingNode, value: yaml.Node) -> bool:
    """Return whether a key was renamed; keys of other types and of whole stacks were not."""
    if present == "one_hot_values":
        kind = child(section, "type")
        return kind is not None and kind.value == "numeric"
    return present != "hidden_layers" or isinstance(value, yaml.MappingNode)
