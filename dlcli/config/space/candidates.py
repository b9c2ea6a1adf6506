"""A candidate of a search: the config itself, with other values put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace

import yaml

from dlcli.config.document import Document, child
from dlcli.config.load import ConfigFile, validated
from dlcli.config.overrides import put, scalar
from dlcli.config.paths import Path, parse_path, printable
from dlcli.config.section import shown
from dlcli.config.space.dimensions import LAYERS, Dimension, Value, dimensions_of
from dlcli.errors import ConfigError, Problem, listed

_MOST_SIGNS = 200


def candidate(file: ConfigFile, values: Mapping[str, Value]) -> ConfigFile:
    """The config with other values put in, as `--set` does, and without what it searches for.

    Args:
        file: the config, which stays as it is.
        values: by path of the dimension; what isn't named stays as the config has it.

    Raises:
        ConfigError: if a value is not of the space, or the config with all of them doesn't fit the
            schema.
    """
    try:
        return unexplained_candidate(file, values)
    except ConfigError as error:
        beside = ", ".join(f"{path}: {shown(value)}" for path, value in values.items())
        beside = beside if len(beside) <= _MOST_SIGNS else beside[: _MOST_SIGNS - 3] + "..."
        problems = [_beside(each, beside) for each in error.problems]
        raise ConfigError(problems) from None


def _beside(problem: Problem, values: str) -> Problem:
    """The same problem with the values; they may come from a storage that others write to."""
    message = printable(f"{problem.message} (with {values})")
    return replace(problem, path=printable(problem.path), message=message)


def unexplained_candidate(file: ConfigFile, values: Mapping[str, Value]) -> ConfigFile:
    """The same, with errors that don't say which values were put in."""
    root = copy(file.document.root)
    root.value = [(key, value) for key, value in root.value if key.value != "tune"]
    problems: list[Problem] = []
    for dimension in _named(file, values):
        try:
            _vary(root, file.document, dimension, values[dimension.path])
        except ConfigError as error:
            problems += (_of_dimension(each, dimension) for each in error.problems)
    document = Document(file.document.name, root)
    try:
        config = validated(document)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return replace(file, config=config, document=document)


def _of_dimension(problem: Problem, dimension: Dimension) -> Problem:
    """A problem on the way to where a dimension's values go, as one of the dimension."""
    if dimension.of_layers or problem.path == dimension.path:
        return problem
    message = f"{problem.path}: {problem.message}"
    return replace(problem, path=dimension.path, message=message)


def _vary(root: yaml.MappingNode, source: Document, dimension: Dimension, value: Value) -> None:
    """Puts a value wherever its dimension varies something."""
    node = _node(source, dimension, value)
    if dimension.path == LAYERS:
        _stack(root, value)
    for path in _targets(root, dimension):
        put(root, path, node)


def _named(file: ConfigFile, values: Mapping[str, Value]) -> Iterator[Dimension]:
    """The dimensions that have a value, first how many layers there are."""
    tune = file.config.tune
    found = {each.path: each for each in dimensions_of(tune)} if tune else {}
    if strange := [path for path in values if path not in found]:
        varied = f"; tune.space has {listed(found)}" if found else ""
        raise ConfigError([Problem(strange[0], f"is not varied{varied}")])
    yield from sorted(map(found.__getitem__, values), key=lambda each: each.path != LAYERS)


def _node(document: Document, dimension: Dimension, value: Value) -> yaml.Node:
    """A value as YAML, in the place where the space has it."""
    node: yaml.Node | None = document.root
    for step in dimension.place:
        node = node and child(node, step)
    assert node is not None  # dimensions come from the document
    assert node.start_mark is not None  # the parser marks all that it makes
    if dimension.kind == "choice":
        if value not in dimension.labels:
            message = (
                f"expected one of {listed(list(map(str, dimension.labels)))}, got {shown(value)}"
            )
            raise ConfigError([Problem(dimension.path, message)])
        chosen = child(node, dimension.labels.index(value))
        assert chosen is not None
        return chosen
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (dimension.kind == "integer" and not isinstance(value, int)):
        wanted = "an integer" if dimension.kind == "integer" else "a number"
        raise ConfigError([Problem(dimension.path, f"expected {wanted}, got {shown(value)}")])
    return scalar("int" if isinstance(value, int) else "float", repr(value), node.start_mark)


def _stack(root: yaml.MappingNode, count: Value) -> None:
    """Makes the network of so many layers, each as its first one was."""
    assert isinstance(count, int)  # the schema allows no others to vary
    node = child(root, "hidden")
    assert isinstance(node, yaml.SequenceNode)  # the config as given fits the schema
    hidden = copy(node)
    blank = yaml.MappingNode("tag:yaml.org,2002:map", [], node.start_mark)
    hidden.value = (node.value[:1] or [blank]) * count
    put(root, ("hidden",), hidden)


def _targets(root: yaml.MappingNode, dimension: Dimension) -> Iterator[Path]:
    """Where a dimension's value goes."""
    inside = dimension.of_layers
    if inside is None:
        yield from () if dimension.path == LAYERS else (parse_path(dimension.path),)
        return
    hidden = child(root, "hidden")
    assert isinstance(hidden, yaml.SequenceNode)
    for index in range(len(hidden.value)):
        yield ("hidden", index, *inside)
