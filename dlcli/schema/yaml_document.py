"""YAML documents: values with line and column, and paths of values.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema) instead of
PyYAML's: `1e-3` is a number, `no` and `2024-12-31` are strings, `010` is ten.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml

from dlcli.errors import ConfigError, Position, Problem, UsageError, by_caller, printable, truncate

try:
    from yaml import CSafeDumper as _Dumper
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml is slower
    from yaml import SafeDumper as _Dumper  # type: ignore[assignment]
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_BYTES = 2**23
"""Maximum size of a config in bytes, enough for a resolved config with 100,000 columns."""
MAX_DEPTH = 40
MAX_VALUES = 100_000
"""Maximum number of keys and values of a short text, including aliases; a long text may contain
more."""
MAX_DIGITS = 400
_CHARACTERS_PER_VALUE = 6
"""Lower bound of the usual number of characters of a key or a value."""
_MOST_SECTIONS = 1_000
"""Maximum number of keys of a mapping, or of mappings in a list."""
_COSTS = ("decision", "costs")
_BY_COLUMN = (
    ("input", "features"),
    ("data", "missing"),
    ("data", "prevalence"),
    ("class_weight",),
    _COSTS,
)
"""The paths of mappings with a key for each column or class, which have no such maximum.
Mappings directly below `_COSTS` also have a key for each class."""

Path = tuple[str | int, ...]
"""The keys and indices of a value, from the top of a config; written as `hidden[1].units`."""


# Paths


_STEP = re.compile(
    r"""\[(?P<index>\d{1,9})\]
    | \['(?P<quoted>[^']*)'\]
    | \[(?P<json>"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")\]
    | (?:^|\.)(?P<key>[^\[\].'"][^\[\].]*)""",
    re.X | re.S,
)
_PLAIN_KEY = re.compile(r"[\w*?-]+")


def parse_path(text: str) -> Path:
    """Parse a path such as `hidden[1].units` or `input.features['a.b'].type`.

    Args:
        text: keys separated by dots, and indices or quoted keys in brackets. A key must be quoted
            if it contains a dot, a bracket or `=`, or begins with a quote. In double quotes, it is
            a JSON string, for keys with quotes or unprintable characters.

    Returns:
        Keys as text, indices as integers.

    Raises:
        ValueError: if the text is not a path.
    """
    steps: list[str | int] = []
    end = 0
    while end < len(text):
        step = _STEP.match(text, end)
        if step is None:
            raise ValueError(printable(f"can't read '{text}' as a path at '{text[end:]}'"))
        if step["index"] is not None:
            steps.append(int(step["index"]))
        elif step["json"] is not None:
            steps.append(str(json.loads(step["json"], strict=False)))
        else:
            steps.append(step["quoted"] if step["quoted"] is not None else step["key"])
        end = step.end()
    if not steps:
        raise ValueError("expected a path such as hidden[0].units, got nothing")
    return tuple(steps)


def format_path(path: Path) -> str:
    """Format a path for `parse_path`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            is_printable = step.isprintable()
            quoted = json.dumps(step, ensure_ascii=not is_printable)
            text += f"['{step}']" if is_printable and "'" not in step else f"[{quoted}]"
    return text


# Text


_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML forbids (https://yaml.org/spec/1.2.2/#51-character-set)."""


def read_text(path: FilePath) -> str:
    """Read the text of a config.

    Raises:
        UsageError: if the file doesn't exist or can't be read.
        ConfigError: if it has more than 8 MiB or is not UTF-8 (or UTF-16 with a byte order mark).
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        message = f"is over {MAX_BYTES >> 20} MiB, too large for a config"
        raise ConfigError([Problem("", message, Position(str(path), 1, 1))])
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(error.encoding, "replace").lstrip("\ufeff")
        byte = f"byte 0x{error.object[error.start]:02x}"
        message = f"{byte} is not {error.encoding.upper()}; save the file as UTF-8"
        raise ConfigError([Problem("", message, _end_of(before, str(path)))]) from None


def _end_of(text: str, name: str) -> Position:
    """Return the position of the character after a text."""
    lines = f"{text}|".splitlines()
    return _position(name, len(lines), len(lines[-1]))


def _check_characters(text: str, name: str) -> None:
    """Raise `ConfigError` for the first character that YAML forbids."""
    if (found := _FORBIDDEN.search(text)) is None:
        return
    sign = found[0]
    if "\ud800" <= sign <= "\udfff":  # an undecodable argument
        message = "is not UTF-8"
    elif sign == "\0":
        message = "has a NUL character; save the file as UTF-8"
    else:
        message = f"has the character U+{ord(sign):04X}, which YAML forbids; remove it"
    raise ConfigError([Problem("", message, _end_of(text[: found.start()], name))])


# Nodes


_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", r"(?:~|null|Null|NULL|)"),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)"),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"),
    ("float", r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"),
    ("float", r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"),
)


class _CoreLoader(_Loader):
    """PyYAML's safe loader with the core schema's scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _name, _pattern in _CORE:
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(f"{_pattern}$"), None)


class CoreDumper(_Dumper):
    """PyYAML's safe dumper, with quotes if the core schema would read a string as another type."""

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: object) -> bool:
        """Write repeated lists and mappings in full, without anchors."""
        return True


def dump_yaml(value: object, *, flow: bool | None = None, width: int = 100) -> str:
    """Write dicts, lists and scalars as YAML.

    Args:
        value: the value.
        flow: whether to use braces and brackets; `None` uses them only for the innermost level.
        width: the preferred line length in characters.
    """
    style: dict[str, Any] = {"default_flow_style": flow, "sort_keys": False, "width": width}
    text: str = yaml.dump(value, Dumper=CoreDumper, allow_unicode=True, **style)
    return text


@dataclass(frozen=True)
class YamlDocument:
    """A parsed config."""

    name: str
    """The file, as named by the user."""
    root: yaml.MappingNode
    """The top-level mapping."""

    def problem(self, path: Path, message: str, *, of_key: bool = False) -> Problem:
        """Return a problem located at a value, or at its key."""
        if of_key:
            parent = self.node(path[:-1])
            keys = [key for key, _ in parent.value if key.value == path[-1]]
            position = position_of(keys[-1] if keys else parent)
        else:
            position = position_of(self.node(path))
        return Problem(format_path(path), printable(message), position)

    def located(self, problem: Problem) -> Problem:
        """Add the position to a problem without one."""
        if problem.position.name:
            return problem
        node = self.node(parse_path(problem.path) if problem.path else ())
        return Problem(problem.path, problem.message, position_of(node))

    def node(self, path: Path) -> yaml.Node:
        """Return the node at a path, or else its nearest existing parent."""
        node: yaml.Node = self.root
        for step in path:
            below = child(node, step)
            if below is None:
                break
            node = below
        return node


def child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    """Return the child of a node at a key or index, or `None`."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item
    return None


def scalar(tag: str, text: str, mark: yaml.Mark) -> yaml.ScalarNode:
    """Return a scalar node.

    Args:
        tag: the type: `null`, `bool`, `int`, `float` or `str`.
        text: the value as YAML.
        mark: its position.
    """
    return yaml.ScalarNode(_TAG + tag, text, mark)


def empty_mapping(mark: yaml.Mark | None) -> yaml.MappingNode:
    """Return a mapping node without keys."""
    return yaml.MappingNode(f"{_TAG}map", [], mark)


def position_of(node: yaml.Node | yaml.Event) -> Position:
    """Return the position of a node, in a file or in a `--set` argument."""
    mark = node.start_mark
    assert mark is not None  # the parser sets it
    return _position(mark.name, mark.line + 1, mark.column + 1)


def _position(name: str, line: int, column: int) -> Position:
    """Return a position; without line and column for an argument or a config from Python."""
    return Position(name, line, column) if name and not name.startswith("--set") else Position(name)


# Parsing


def parse(text: str, name: str) -> YamlDocument:
    """Parse the text of a config without checking its keys.

    Raises:
        ConfigError: if the text is not YAML, or not a mapping.
    """
    root = compose(text, name)
    if root is None:
        way_out = by_caller("'dlcli init DATA'", "'dlcli.starter_config(DATA, target=...)'")
        message = f"is empty; start from {way_out}"
        raise ConfigError([Problem("", message, Position(name, 1, 1))])
    if not isinstance(root, yaml.MappingNode):
        message = "expected keys and values (data: ..., hidden: ...) at the top"
        raise ConfigError([Problem("", message, position_of(root))])
    return YamlDocument(name, root)


def compose(text: str, name: str) -> yaml.Node | None:
    """Compose one YAML document into nodes.

    Raises:
        ConfigError: if the text is not YAML, or nested too deeply.
    """

    def stream() -> io.StringIO:
        content = io.StringIO(text)
        content.name = name  # shown in the parser's marks
        return content

    _check_characters(text, name)
    try:
        depth = count = 0
        limit = _most_values(len(text))
        for event in yaml.parse(stream(), Loader=_CoreLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            count += isinstance(event, yaml.NodeEvent)
            if depth > MAX_DEPTH:
                raise ConfigError([Problem("", _TOO_DEEP, position_of(event))])
            if count > limit:
                message = f"has more than {limit:,} keys and values, too many for its length"
                raise ConfigError([Problem("", message, position_of(event))])
        node: yaml.Node | None = yaml.compose(stream(), Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, text, name)]) from None
    return node


def _most_values(characters: int) -> int:
    """Return the maximum number of keys and values of a text."""
    return max(MAX_VALUES, characters // _CHARACTERS_PER_VALUE)


_TOO_DEEP = f"is nested more than {MAX_DEPTH} deep"
_PLAIN_MESSAGES = {
    "found another document": "a second YAML document begins; a config must be a single "
    "document: remove the '---'",
    "maximum nesting depth": _TOO_DEEP,
}
"""Replacements for parser messages that are not about syntax."""


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, name: str) -> Problem:
    mark, message = error.problem_mark, " ".join(str(error.problem).split())
    if "could not find expected ':'" in message and error.context_mark is not None:
        mark = error.context_mark  # the start of the key, not its end
    assert mark is not None  # the parser sets it
    position = _position(mark.name, mark.line + 1, mark.column + 1)
    for words, plain in _PLAIN_MESSAGES.items():
        if words in message:
            return Problem("", plain, position)
    return Problem("", f"not YAML: {message}{_syntax_hint(error, message, text, mark)}", position)


def _syntax_hint(error: yaml.MarkedYAMLError, message: str, text: str, mark: yaml.Mark) -> str:
    """Return how to correct an error of the parser, in parentheses; empty if unknown."""
    rest = (text.splitlines() + [""])[mark.line][mark.column :]
    hint = ""
    if "tab character" in message or rest.startswith("\t"):
        hint = " (indent with spaces, not tabs)"
    elif "cannot start any token" in message:
        hint = f" (a text that begins with {rest[:1]} needs quotes)"
    elif key := _key_with_brackets(text, mark):
        hint = f""" (a key with brackets needs quotes here: "{key}")"""
    elif pair := re.match(r"(\w+):(\S.*)", rest):
        hint = f" (write a space after the colon: '{pair[1]}: {pair[2]}')"
    elif bracket := _open_bracket_hint(error, message, text, mark):
        hint = f" ({bracket})"
    elif indentation := _indentation_hint(text, mark.line):
        hint = f" ({indentation})"
    elif "mapping values are not allowed" in message:
        hint = (
            " (is the line indented too far, or does a line before it lack a colon?"
            " A text with ': ' needs quotes)"
        )
    elif "unexpected end of stream" in message and error.context_mark is not None:
        hint = f" (the quote in line {error.context_mark.line + 1} is not closed)"
    elif "expected <document start>" in message:
        hint = " (a config is one mapping, and this text follows its end)"
    return hint


def _open_bracket_hint(
    error: yaml.MarkedYAMLError, message: str, text: str, mark: yaml.Mark
) -> str:
    """Return the line of the bracket that is still open, if the parser fails in a later line."""
    opened = error.context_mark
    if "did not find expected ','" not in message or opened is None or opened.line == mark.line:
        return ""
    if "\n" not in text.strip():  # a setting of the command line
        return ""
    return f"the bracket in line {opened.line + 1} is not closed, or a comma is missing"


@dataclass(frozen=True)
class _Block:
    """A list or the keys of a mapping in lines above an error."""

    column: int
    """The column of its items, from 0."""
    is_list: bool
    line: int
    """The last line with an item, from 0."""
    name: str
    """The key in this line, or a dash."""

    def __str__(self) -> str:
        name = "the dash" if self.is_list else f"'{self.name}'"
        return f"{name} in line {self.line + 1} (column {self.column + 1})"


_KEY = r"""[\w*][^:]*?|'[^']*'|"[^"]*\""""
_LINE = re.compile(rf"""(?P<dashes>(?:-[ ]+)*)(?:(?P<key>{_KEY})[ ]*:(?:[ ]+(?P<value>.*))?$)?""")


def _indentation_hint(text: str, line: int) -> str:
    """Return what to align a line with whose indentation is wrong; empty if it is right.

    Args:
        text: the config.
        line: the line that the parser refuses, from 0.
    """
    lines = text.splitlines()
    if line >= len(lines):
        return ""
    used = [at for at, each in enumerate(lines[:line]) if each.split("#")[0].strip()]
    if any(re.match(r"\+ *[\w-]", lines[at]) for at in (*used, line)):
        return "copied from a diff? remove the lines that begin with '-', and the '+' of the others"
    column, parts = _parts(lines[line])
    is_list = bool(parts["dashes"])
    if not used or not (is_list or parts["key"]):
        return ""
    last, above = used[-1], _parts(lines[used[-1]])[1]
    if not (above["dashes"] or above["key"]):
        return ""  # this line may lack a colon
    blocks = _open_blocks(lines, used)
    if is_list and not any(block.is_list for block in blocks):
        value = re.sub(r"\s+#.*", "", above["value"] or "")
        remedy = f"remove it if this list belongs to '{above['key']}'"
        return (
            printable(f"line {last + 1} already has the value {value}; {remedy}") if value else ""
        )
    if column == 0 and min(block.column for block in blocks) > 0:
        first = used[0] + 1
        return f"line {first} is indented and this line is not; begin both in column 1"
    same = [block for block in blocks if block.is_list == is_list]
    if not same or column in (block.column for block in same):
        return ""
    near = [block for block in same if block.column > column][:1]
    near = [*near, *[block for block in same if block.column < column][-1:]]
    name = "the dash" if is_list else f"'{parts['key']}'"
    return printable(f"align {name} with {' or '.join(map(str, near))}")


def _parts(line: str) -> tuple[int, re.Match[str]]:
    """Return the indentation of a line, and its dashes, key and value."""
    content = line.lstrip(" ")
    parts = _LINE.match(content)
    assert parts is not None  # all parts are optional
    return len(line) - len(content), parts


def _open_blocks(lines: list[str], used: list[int]) -> list[_Block]:
    """Return the blocks that the last of some lines belongs to, from the outermost inwards."""
    blocks: list[_Block] = []
    for at in used:
        column, parts = _parts(lines[at])
        starts = [(column + dash.start(), "-") for dash in re.finditer("-", parts["dashes"])]
        if parts["key"]:
            starts.append((column + parts.start("key"), parts["key"]))
        for start, name in starts:
            is_list = name == "-"
            blocks = [
                block
                for block in blocks
                if block.column < start or (block.column == start and is_list and not block.is_list)
            ]
            blocks.append(_Block(start, is_list, at, name))
    return blocks


def _key_with_brackets(text: str, mark: yaml.Mark) -> str | None:
    """Return the key without quotes that a bracket at a position belongs to, or None.

    In braces, YAML reads the bracket of `{hidden[0].units: 8}` as the beginning of a list.
    """
    line = (text.splitlines() + [""])[mark.line]
    before = re.search(r"(?<![\w.])[\w.]+$", line[: mark.column])  # begins only at a word: linear
    after = re.match(r"(?:\[[^\]]*\][\w.]*)+(?=\s*:)", line[mark.column :])
    return printable(before[0] + after[0]) if before and after else None


# Values


class Values:
    """Converts nodes to dicts, tuples and scalars, and collects their problems."""

    def __init__(self, document: YamlDocument) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self._count = 0
        end = document.root.end_mark
        self._limit = _most_values(end.index if end else 0)

    def of(self, node: yaml.Node, path: Path = ()) -> object:
        """Return the value of a node.

        Raises:
            ConfigError: if aliases expand to too many values.
        """
        self._count += 1
        if self._count > self._limit or len(path) > MAX_DEPTH:
            raise ConfigError([self.document.problem(path[:1], "its aliases expand without bound")])
        if node.tag not in _TAGS[type(node)]:
            self._refuse_tag(node, path)
            return None
        if _has_too_many(node, path):
            message = f"has {len(node.value):,} entries, more than {_MOST_SECTIONS:,}"
            self.problems.append(self.document.problem(path, message))
            return None
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.of(item, (*path, at)) for at, item in enumerate(node.value))
        tag = node.tag.removeprefix(_TAG)
        if tag == "float" and _WHOLE.fullmatch(node.value) and path[:2] != _SPACE:
            return int(float(node.value))
        try:
            return _SCALARS[tag](node.value)
        except (ValueError, KeyError):
            text = truncate(node.value, 40)
            self.problems.append(self.document.problem(path, f"can't read '{text}' as {tag}"))
        return None

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                message = "a key must be text, not a list or a mapping"
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

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        message = f"the tag '{node.tag.replace(_TAG, '!!')}' is not allowed"
        self.problems.append(Problem(format_path(path), printable(message), position_of(node)))


def _has_too_many(node: yaml.Node, path: Path) -> bool:
    if len(node.value) <= _MOST_SECTIONS or isinstance(node, yaml.ScalarNode):
        return False
    if isinstance(node, yaml.MappingNode):
        return path not in _BY_COLUMN and path[:-1] != _COSTS
    return any(isinstance(item, yaml.CollectionNode) for item in node.value)


_WHOLE = re.compile(r"[-+]?[0-9]+[eE]\+?[0-9]{1,2}")
"""An integer in scientific notation, such as `1e3`."""
_SPACE = ("tune", "space")
"""The path where `1e3` stays a float, because a range of floats differs from one of integers."""


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:  # Python can't print larger ones, and no key allows them
        raise ValueError(text)
    return int(text, 0 if text.startswith(("0o", "0x")) else 10)


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


_SCALARS: dict[str, Callable[[str], object]] = {
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": _float,
    "str": str,
}
_TAGS: dict[type[yaml.Node], set[str]] = {
    yaml.MappingNode: {f"{_TAG}map"},
    yaml.SequenceNode: {f"{_TAG}seq"},
    yaml.ScalarNode: {_TAG + name for name in _SCALARS},
}
