"""`--set 'hidden[0].units=64'`: any key of a config, by the path that error messages print."""

from __future__ import annotations

import re
from copy import copy

import yaml

from dlcli.config.document import Document, child, compose, position_of
from dlcli.config.paths import Path, format_path, parse_path, printable
from dlcli.config.schema import Config
from dlcli.config.section import Section
from dlcli.config.tuning import Tune
from dlcli.errors import ConfigError, Problem

_ARGUMENT = re.compile(r"""(?P<path>(?:[^='"]|'[^']*'|"(?:[^"\\]|\\.)*")+)=(?P<value>.*)""", re.S)

_SECTIONS: dict[Path, type[Section]] = {(): Config, ("tune",): Tune}
"""Where choices stand that have a default."""


def override(document: Document, argument: str) -> None:
    """Puts one value into a document, which it changes.

    Args:
        document: the config.
        argument: `path=value`, the value as YAML.

    Raises:
        ConfigError: if the argument can't be read, or its path leads into a value that has no keys.
    """
    name = label(argument)
    try:
        path, text = read_argument(argument)
    except ValueError as error:
        raise ConfigError([Problem("", str(error), name)]) from None
    put(document.root, path, compose(text, name) or scalar("null", "", _mark(name)))


def put(root: yaml.MappingNode, path: Path, value: yaml.Node) -> None:
    """Puts a node where a path leads to, and whatever is still missing on the way there.

    Args:
        root: the top of a document; of its nodes it alone is changed, all below it are copied.
        path: where to.
        value: the node; what is made on the way there is said to come from the same place.

    Raises:
        ConfigError: if the path leads into a value that has no keys.
    """
    mark = value.start_mark
    assert mark is not None  # the parser marks all that it makes
    parent: yaml.Node = root
    for end in range(1, len(path)):
        parent = _descend(parent, path[:end], mark)
    _put(parent, path, value, mark)


def read_argument(argument: str) -> tuple[Path, str]:
    """Reads an argument as a path and the text of a value.

    Raises:
        ValueError: if it can't be read so.
    """
    parts = _ARGUMENT.fullmatch(argument)
    if parts is None:
        raise ValueError("expected path=value, as in hidden[0].units=64")
    return parse_path(parts["path"].strip()), parts["value"]


def label(argument: str) -> str:
    """What messages call an argument."""
    return f"--set '{printable(argument)}'"


def _descend(parent: yaml.Node, path: Path, mark: yaml.Mark) -> yaml.Node:
    """The node below, made into a mapping if it was a short form or wasn't there."""
    below = child(parent, path[-1])
    if isinstance(below, yaml.CollectionNode):
        node = copy(below)  # aliases share a node, and only this place is to change
        node.value = list(below.value)
    else:
        node = yaml.MappingNode("tag:yaml.org,2002:map", [], mark)
        lone = _default_name(path, mark) if below is None or below.tag.endswith(":null") else below
        if lone is not None and not _is_nameless(path):
            node.value.append((scalar("str", _short_key(path), mark), lone))
    _put(parent, path, node, mark)
    return node


def _is_nameless(path: Path) -> bool:
    """Tells whether the short form at this place (`true`, `balanced`) stands for no key."""
    return path == ("class_weight",) or (path[0], path[-1]) == ("hidden", "batch_normalization")


def _short_key(path: Path) -> str:
    """The key that a lone name is short for, at this place."""
    if path[-1] == "target":
        return "column"
    return "type" if path[:2] == ("input", "features") and len(path) == 3 else "name"


def _default_name(path: Path, mark: yaml.Mark) -> yaml.Node | None:
    """What a choice is if it is left out, so that a parameter can be set on it: adam."""
    field = _SECTIONS[path[:-1]].model_fields.get(str(path[-1])) if path[:-1] in _SECTIONS else None
    default = getattr(field and field.default, "name", None)
    return scalar("str", default, mark) if isinstance(default, str) else None


def _put(parent: yaml.Node, path: Path, value: yaml.Node, mark: yaml.Mark) -> None:
    """Puts a node under the last step of a path: one of a mapping's keys, or a list's items."""
    step = path[-1]
    if isinstance(parent, yaml.SequenceNode):
        length = len(parent.value)
        if not isinstance(step, int) or step > length:
            message = f"is a list of {length}; expected an index up to [{length}]"
            raise ConfigError([Problem(format_path(path[:-1]), message, position_of(value))])
        parent.value[step : step + 1] = [value]
    elif isinstance(step, int):
        message = "expected a list here, to take an item of"
        raise ConfigError([Problem(format_path(path[:-1]), message, position_of(value))])
    else:
        keys = [key.value for key, _ in parent.value]
        at = keys.index(step) if step in keys else len(keys)
        parent.value[at : at + 1] = [(scalar("str", step, mark), value)]


def scalar(tag: str, text: str, mark: yaml.Mark) -> yaml.ScalarNode:
    """A value without parts, of a type of the core schema.

    Args:
        tag: the type: `null`, `bool`, `int`, `float` or `str`.
        text: the value, as YAML has it.
        mark: where it stands.
    """
    return yaml.ScalarNode(f"tag:yaml.org,2002:{tag}", text, mark)


def _mark(name: str) -> yaml.Mark:
    return yaml.Mark(name, 0, 0, 0, None, 0)
