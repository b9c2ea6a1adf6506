"""YAML text to plain values, each with the line and column it stands in.

The scalars are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema),
whatever the library would take them for: `1e-3` is a number, `no` and `2024-12-31` are texts, `010`
is ten.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from dlcli.config.paths import Path, format_path, parse_path, printable
from dlcli.config.text import find_forbidden, place_behind
from dlcli.errors import ConfigError, Problem

try:
    from yaml import CSafeDumper as _Dumper
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: slower, the same
    from yaml import SafeDumper as _Dumper  # type: ignore[assignment]
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_DEPTH = 40
MAX_VALUES = 500_000
"""Values that a short text may have with its aliases; a long one may spell out more."""
MAX_DIGITS = 400
_CHARACTERS_A_VALUE = 8
"""Fewer than a value and its key usually take."""

_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", r"(?:~|null|Null|NULL|)"),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)"),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"),
    ("float", r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"),
    ("float", r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"),
)


class _CoreLoader(_Loader):
    """PyYAML's safe parser, with the core schema's scalars and no others."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _name, _pattern in _CORE:
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(f"{_pattern}$"), None)


@dataclass(frozen=True)
class Document:
    """A config's text, taken apart."""

    name: str
    """The file, as the user named it."""
    root: yaml.MappingNode
    """The mapping at the top."""

    def position(self, path: Path) -> str:
        """Where a value stands, or the nearest mapping or list that would hold it.

        Returns:
            `iris.yaml:7:12`, or the `--set` argument that the value came from.
        """
        return position_of(self._node(path))

    def problem(self, path: Path, message: str, *, of_key: bool = False) -> Problem:
        """A problem with the value at a path, or with its last key."""
        position = self._key_position(path) if of_key else self.position(path)
        return Problem(format_path(path), printable(message), position)

    def located(self, problem: Problem) -> Problem:
        """The same problem with its position, if it had none."""
        if problem.position:
            return problem
        position = self.position(parse_path(problem.path) if problem.path else ())
        return Problem(problem.path, problem.message, position)

    def _node(self, path: Path) -> yaml.Node:
        node: yaml.Node = self.root
        for step in path:
            below = child(node, step)
            if below is None:
                break
            node = below
        return node

    def _key_position(self, path: Path) -> str:
        holder = self._node(path[:-1])
        keys = [key for key, _ in holder.value if key.value == path[-1]]
        return position_of(keys[-1] if keys else holder)


def position_of(node: yaml.Node | yaml.Event) -> str:
    """Where a node or event stands: `iris.yaml:7:12`, or the `--set` argument that it came from."""
    mark = node.start_mark
    assert mark is not None  # the parser marks all that it makes
    return _position(mark.name, f"{mark.line + 1}:{mark.column + 1}")


def _position(name: str, place: str) -> str:
    return name if name.startswith("--set") else f"{name}:{place}"


def parse(text: str, name: str) -> Document:
    """Takes a config's text apart, without judging its keys.

    Raises:
        ConfigError: for text that is no YAML or not a mapping.
    """
    root = compose(text, name)
    if root is None:
        message = "is empty; start from 'dlcli init DATA'"
        raise ConfigError([Problem("", message, f"{name}:1:1")])
    if not isinstance(root, yaml.MappingNode):
        message = "expected keys and values (data: ..., hidden: ...) at the top"
        raise ConfigError([Problem("", message, position_of(root))])
    return Document(name, root)


def compose(text: str, name: str) -> yaml.Node | None:
    """Composes one YAML document into nodes.

    Raises:
        ConfigError: for text that is no YAML, or nested or repeated without bound.
    """
    if forbidden := find_forbidden(text):
        message, before = forbidden
        raise ConfigError([Problem("", message, _position(name, place_behind(before)))])
    try:
        depth = 0
        for event in yaml.parse(_named(text, name), Loader=_CoreLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ConfigError([Problem("", _TOO_DEEP, position_of(event))])
        node: yaml.Node | None = yaml.compose(_named(text, name), Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, text, name)]) from None
    return node


def _named(text: str, name: str) -> io.StringIO:
    stream = io.StringIO(text)
    stream.name = name  # what the parser's marks carry
    return stream


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, name: str) -> Problem:
    mark, message = error.problem_mark, " ".join(str(error.problem).split())
    assert mark is not None  # the parser marks all that it stumbles over
    position = _position(name, f"{mark.line + 1}:{mark.column + 1}")
    for words, plainer in _PLAINER.items():
        if words in message:
            return Problem("", plainer, position)
    line = (text.splitlines() + [""])[mark.line]
    return Problem("", f"not YAML: {message}{_hint(message, line[mark.column :])}", position)


_TOO_DEEP = f"is nested more than {MAX_DEPTH} deep"
_PLAINER = {
    "found another document": "a second document begins; one config a file: remove the '---'",
    "maximum nesting depth": _TOO_DEEP,
}
"""What the parser says that is not about wrong YAML, in other words."""


def _hint(message: str, rest: str) -> str:
    """What to do about a message of the parser, by the rest of the line."""
    if "tab character" in message or rest.startswith("\t"):
        return " (indent with spaces, not tabs)"
    if "cannot start any token" in message:
        return f" (a text that begins with {rest[:1]} needs quotes)"
    if "expected <document start>" in message:
        return " (a config is one mapping, and this comes behind its end)"
    return ""


class Values:
    """Turns nodes into dicts, tuples and scalars, and collects what is wrong with them."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self._count = 0
        end = document.root.end_mark
        self._most = max(MAX_VALUES, end.index // _CHARACTERS_A_VALUE if end else 0)

    def of(self, node: yaml.Node, path: Path = ()) -> object:
        """The value of a node.

        Raises:
            ConfigError: if aliases repeat values without bound.
        """
        self._count += 1
        if self._count > self._most or len(path) > MAX_DEPTH:
            raise ConfigError([self.document.problem(path[:1], "its aliases expand without bound")])
        if node.tag not in _TAGS[type(node)]:
            self._refuse_tag(node, path)
            return None
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.of(item, (*path, at)) for at, item in enumerate(node.value))
        return self._scalar(node, path)

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                message = "a key must be a text, not a list or a mapping"
                self.problems.append(Problem(format_path(path), message, position_of(key)))
                continue
            below = (*path, key.value)
            if key.tag not in _TAGS[yaml.ScalarNode]:
                self._refuse_tag(key, below)
            if key.value in seen:
                problem = Problem(format_path(below), "is given twice", position_of(key))
                self.problems.append(problem)
            seen.add(key.value)
            yield key.value, self.of(value, below)

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        tag = node.tag.removeprefix(_TAG)
        try:
            return _SCALARS[tag](node.value)
        except ValueError:
            shown = node.value if len(node.value) <= 40 else node.value[:37] + "..."
            self.problems.append(self.document.problem(path, f"can't read '{shown}' as {tag}"))
        return None

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        message = f"the tag '{node.tag.replace(_TAG, '!!')}' is not allowed"
        self.problems.append(Problem(format_path(path), printable(message), position_of(node)))


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:  # Python can't print them all, and no key takes them
        raise ValueError(text)
    return int(text, 0 if text.startswith(("0o", "0x")) else 10)


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_SCALARS: dict[str, Callable[[str], object]] = {
    "null": lambda _: None,
    "bool": _boolean,
    "int": _integer,
    "float": _float,
    "str": str,
}
_TAGS: dict[type[yaml.Node], set[str]] = {
    yaml.MappingNode: {f"{_TAG}map"},
    yaml.SequenceNode: {f"{_TAG}seq"},
    yaml.ScalarNode: {_TAG + name for name in _SCALARS},
}


def child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    """What stands below a node under a key or an index, or nothing."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item
    return None


class CoreDumper(_Dumper):
    """PyYAML's safe writer, which quotes what the core schema would read as something else."""

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: object) -> bool:
        """Writes equal lists and mappings out each time, without anchors."""
        return True
