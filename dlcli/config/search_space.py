"""The search space of a config: its dimensions, its candidates, and whether all are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Literal

import yaml

from dlcli.config.config_file import ConfigFile, line_and_column, put, validated
from dlcli.config.config_schema import Hidden
from dlcli.config.section import MAX_PROBLEMS, shown
from dlcli.config.tune_section import Range, Tune
from dlcli.config.yaml_document import (
    CoreDumper,
    Document,
    Path,
    child,
    empty_mapping,
    format_path,
    parse_path,
    printable,
    scalar,
)
from dlcli.errors import ConfigError, Problem, did_you_mean, listed

Value = bool | int | float | str | None
"""A scalar of a config. A choice that is a list or a mapping is identified by its YAML text."""

LAYERS = "hidden.layers"
"""The dimension of the number of hidden layers."""
_MAX_CHARACTERS = 200
_UNKNOWN = "unknown key"


# Dimensions


@dataclass(frozen=True)
class Dimension:
    """One varied setting."""

    path: str
    """The setting as `--set` takes it; `hidden.layers`, `hidden.units` and so on for all hidden
    layers."""
    kind: Literal["float", "integer", "choice"]
    low: float | int | None = None
    """Smallest and largest value of a range, which is reached by its steps."""
    high: float | int | None = None
    step: float | int | None = None
    """Distance between values: 1 for integers by default; `None` for continuous ranges, and with
    `log`."""
    log: bool = False
    """Whether values are uniform on a logarithmic scale."""
    choices: tuple[object, ...] = ()
    """The choices as in the config."""
    place: Path = ()
    """Path of the dimension's declaration in the config."""

    @cached_property
    def labels(self) -> tuple[Value, ...]:
        """The choices as scalars."""
        return tuple(map(_label, self.choices))

    @property
    def of_layers(self) -> Path | None:
        """Path within each hidden layer, if the dimension varies all of them."""
        is_nested = len(self.place) == 4 and self.path != LAYERS  # tune, space, hidden, the key
        return parse_path(str(self.place[-1])) if is_nested else None

    @property
    def size(self) -> int | None:
        """Number of values; `None` for a continuous range."""
        if self.kind == "choice":
            return len(self.choices)
        if self.low is None or self.high is None or (self.kind == "float" and self.step is None):
            return None
        return round((self.high - self.low) / (self.step or 1)) + 1

    def value(self, index: int) -> Value:
        """Return one of the values, in order."""
        if self.kind == "choice":
            return self.labels[index]
        assert self.low is not None
        step = 1 if self.step is None else self.step
        if self.kind == "integer":
            return int(self.low + index * step)
        return float(Decimal(repr(self.low)) + index * Decimal(repr(step)))


def dimensions_of(tune: Tune) -> tuple[Dimension, ...]:
    """Return the dimensions of a search space, in the order of the config."""
    return tuple(_dimension(keys, varied) for keys, varied in tune.varied)


def _dimension(keys: tuple[str, ...], varied: Range | tuple[object, ...]) -> Dimension:
    path = format_path(tuple(step for key in keys for step in parse_path(key)))
    place = ("tune", "space", *keys)
    if isinstance(varied, tuple):
        return Dimension(path, "choice", choices=varied, place=place)
    if varied.is_integer:
        step = None if varied.log else varied.step or 1
        low, high = int(varied.low), int(varied.high)
        high -= (high - low) % int(step or 1)
        return Dimension(path, "integer", low, high, step, varied.log, place=place)
    ends = float(varied.low), float(varied.high)
    found = Dimension(path, "float", *ends, varied.step, varied.log, place=place)
    if varied.count is None:
        return found
    return replace(found, high=float(str(found.value(varied.count - 1))))


def _label(choice: object) -> Value:
    if choice is None or isinstance(choice, bool | int | float | str):
        return choice

    def plain(value: object) -> object:  # lists instead of tuples
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    text: str = yaml.dump(
        plain(choice),
        Dumper=CoreDumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
    )
    return text.strip()


# Candidates


def candidate(file: ConfigFile, values: Mapping[str, Value]) -> ConfigFile:
    """Return the config with other values and without `tune`.

    Args:
        file: the config.
        values: by path of the dimension; other settings stay as in the config.

    Raises:
        ConfigError: if a value is not in the search space, or the config with all of them is
            invalid.
    """
    try:
        return _candidate(file, values)
    except ConfigError as error:
        text = ", ".join(f"{path}: {shown(value)}" for path, value in values.items())
        text = text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 3] + "..."
        # Values may come from a storage that others write to, so they may not be printable.
        problems = [
            replace(
                each,
                path=printable(each.path),
                message=printable(f"{each.message} (with {text})"),
            )
            for each in error.problems
        ]
        raise ConfigError(problems) from None


def _candidate(file: ConfigFile, values: Mapping[str, Value]) -> ConfigFile:
    """Return a candidate; errors don't list its values."""
    root = copy(file.document.root)
    root.value = [(key, value) for key, value in root.value if key.value != "tune"]
    problems: list[Problem] = []
    for dimension in _dimensions_with_values(file, values):
        try:
            _set(root, file.document, dimension, values[dimension.path])
        except ConfigError as error:
            for problem in error.problems:
                if not dimension.of_layers and problem.path != dimension.path:
                    message = f"{problem.path}: {problem.message}"
                    problem = replace(problem, path=dimension.path, message=message)
                problems.append(problem)
    document = Document(file.document.name, root)
    try:
        config = validated(document)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return replace(file, config=config, document=document)


def _dimensions_with_values(file: ConfigFile, values: Mapping[str, Value]) -> Iterator[Dimension]:
    """Yield the dimensions of some values, the number of layers first."""
    tune = file.config.tune
    found = {each.path: each for each in dimensions_of(tune)} if tune else {}
    if unknown := [path for path in values if path not in found]:
        varied = f"; tune.space has {listed(found)}" if found else ""
        raise ConfigError([Problem(unknown[0], f"is not varied{varied}")])
    yield from sorted(map(found.__getitem__, values), key=lambda each: each.path != LAYERS)


def _set(root: yaml.MappingNode, source: Document, dimension: Dimension, value: Value) -> None:
    """Set the value of a dimension, in each hidden layer if it varies all of them."""
    node = _node(source, dimension, value)
    if dimension.path == LAYERS:
        # Each layer is like the first one of the config.
        assert isinstance(value, int)  # the schema of `tune` allows no other
        layers = child(root, "hidden")
        assert isinstance(layers, yaml.SequenceNode)  # the config itself is valid
        stack = copy(layers)
        stack.value = (layers.value[:1] or [empty_mapping(layers.start_mark)]) * value
        put(root, ("hidden",), stack)
    elif dimension.of_layers:
        layers = child(root, "hidden")
        assert isinstance(layers, yaml.SequenceNode)
        for index in range(len(layers.value)):
            put(root, ("hidden", index, *dimension.of_layers), node)
    else:
        put(root, parse_path(dimension.path), node)


def _node(document: Document, dimension: Dimension, value: Value) -> yaml.Node:
    """Return a value as a node at the position of its dimension."""
    node: yaml.Node | None = document.root
    for step in dimension.place:
        node = node and child(node, step)
    assert node is not None  # dimensions come from the document
    assert node.start_mark is not None  # the parser sets it
    if dimension.kind == "choice":
        if value not in dimension.labels:
            labels = listed(list(map(str, dimension.labels)))
            message = f"expected one of {labels}, got {shown(value)}"
            raise ConfigError([Problem(dimension.path, message)])
        chosen = child(node, dimension.labels.index(value))
        assert chosen is not None
        return chosen
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (dimension.kind == "integer" and not isinstance(value, int)):
        expected = "an integer" if dimension.kind == "integer" else "a number"
        raise ConfigError([Problem(dimension.path, f"expected {expected}, got {shown(value)}")])
    return scalar("int" if isinstance(value, int) else "float", repr(value), node.start_mark)


# Checks of the whole space


Faults = Mapping[tuple[str, str], Problem]
"""Problems of a candidate by path and message."""


@dataclass(frozen=True)
class _Trial:
    """A candidate with one value of a dimension and the first values of all others."""

    dimension: Dimension
    key: str | int
    """Key of the value below the dimension: `low`, `high` or the index of a choice."""
    value: Value
    faults: Faults


_Trials = Sequence[_Trial]
"""Those of one dimension. The first ones of all dimensions are the same candidate."""


def check_tune(file: ConfigFile) -> None:
    """Check each choice and both ends of each range, with the first values of other dimensions.

    Does nothing for a config without `tune`.

    Raises:
        ConfigError: with all problems, in the order of the text.
    """
    if file.config.tune is None:
        return
    dimensions = dimensions_of(file.config.tune)
    found: list[Problem] = []
    if not file.config.hidden and all(each.path != LAYERS for each in dimensions):
        message = "varies the hidden layers, and there are none; let 'layers' vary, too"
        places = [dimension.place for dimension in dimensions if dimension.of_layers]
        found += [file.document.problem(place, message) for place in places]
    found += _space_problems(file, _trials(file, dimensions))
    found = sorted(dict.fromkeys(found), key=line_and_column)
    if len(found) > MAX_PROBLEMS:
        more = f"and {len(found) - MAX_PROBLEMS} more problems"
        found = [*found[:MAX_PROBLEMS], file.document.problem(("tune", "space"), more)]
    if found:
        raise ConfigError(found)


def _trials(file: ConfigFile, dimensions: Sequence[Dimension]) -> list[_Trials]:
    ends = {each.path: list(_ends(each)) for each in dimensions}
    base = {path: values[0][1] for path, values in ends.items()}
    first = _faults(file, base)
    return [
        [
            _Trial(each, key, value, _faults(file, {**base, each.path: value}) if at else first)
            for at, (key, value) in enumerate(ends[each.path])
        ]
        for each in dimensions
    ]


def _ends(dimension: Dimension) -> Iterator[tuple[str | int, Value]]:
    """Yield the values to try with their keys; the largest number of layers first."""
    if dimension.kind == "choice":
        found: list[tuple[str | int, Value]] = list(enumerate(dimension.labels))
    else:
        found = [("low", dimension.low), ("high", dimension.high)]
    is_layers = dimension.path == LAYERS
    yield from sorted(found, key=lambda end: -int(str(end[1]))) if is_layers else found


def _faults(file: ConfigFile, values: Mapping[str, Value]) -> Faults:
    """Return the problems of a candidate; only those of the first of equal layers."""
    try:
        _candidate(file, values)
    except ConfigError as error:
        problems = error.problems
        if LAYERS in values:
            problems = tuple(each for each in problems if not re.match(r"hidden\[[^0]", each.path))
        return {(each.path, each.message): each for each in problems}
    return {}


def _space_problems(file: ConfigFile, trials: Sequence[_Trials]) -> Iterator[Problem]:
    """Yield the problems of candidates, located in the search space."""
    first = trials[0][0].faults
    causes = {fault: _cause(fault, trials) for fault in first}
    for of_dimension in trials:
        for fault, problem in first.items():
            if causes[fault] is of_dimension:
                is_always = all(fault in each.faults for each in of_dimension)
                yield _space_problem(file, of_dimension[0], problem, is_always=is_always)
        for trial in of_dimension[1:]:
            for fault, problem in trial.faults.items():
                if fault not in first:
                    yield _space_problem(file, trial, problem)
    for fault, problem in first.items():
        if causes[fault] is None:
            note = "(with the first value of each setting in tune.space)"
            yield Problem(problem.path, f"{problem.message} {note}", problem.position)


def _cause(fault: tuple[str, str], trials: Sequence[_Trials]) -> _Trials | None:
    """Return the dimension that causes a problem of the first values of all dimensions."""
    path = parse_path(fault[0]) if fault[0] else ()

    def overlap(of_dimension: _Trials) -> int:
        target = _target(of_dimension[0].dimension, path)
        if path[: len(target)] == target:
            return 2 * len(target)
        return 2 * len(path) - 1 if target[: len(path)] == path else 0

    nearest = max(trials, key=overlap)
    if overlap(nearest) > 0:
        return nearest
    with_exceptions = (each for each in trials if any(fault not in one.faults for one in each))
    return next(with_exceptions, None)


def _target(dimension: Dimension, path: Path) -> Path:
    """Return the path that a dimension sets, in the layer of another path if it sets all."""
    if dimension.path == LAYERS:
        return ("hidden",)
    if dimension.of_layers is None:
        return parse_path(dimension.path)
    return ("hidden", *(path[1:2] or (0,)), *dimension.of_layers)


def _space_problem(
    file: ConfigFile, trial: _Trial, problem: Problem, *, is_always: bool = False
) -> Problem:
    """Locate the problem of a candidate in the search space.

    Args:
        file: the config.
        trial: the value that causes it.
        problem: the problem as located in the candidate.
        is_always: whether all values of the dimension cause it.
    """
    dimension, path = trial.dimension, parse_path(problem.path) if problem.path else ()
    target = _target(dimension, path)
    if problem.message.startswith(_UNKNOWN) and target[: len(path)] == path:
        message = _unknown_key_message(dimension, len(path), problem.message)
        return file.document.problem(dimension.place, message, of_key=True)
    is_always = is_always or dimension.path == LAYERS  # no number of layers is wrong by itself
    place = dimension.place if is_always else (*dimension.place, trial.key)
    if dimension.path == LAYERS or path[: len(target)] != target:
        return file.document.problem(place, f"{problem.path}: {problem.message}".removeprefix(": "))
    rest, message = path[len(target) :], problem.message
    if dimension.kind == "float" and "integer" in message:
        message += "; for integers, write both ends without a point or exponent"
    of_key = bool(rest) and message.startswith(_UNKNOWN)
    return file.document.problem((*place, *rest), message, of_key=of_key)


def _unknown_key_message(dimension: Dimension, depth: int, message: str) -> str:
    """Return the message for an unknown key, which suggests the full path of a similar one."""
    path = dimension.of_layers or parse_path(dimension.path)
    at = depth - 1 - (2 if dimension.of_layers else 0)
    if dimension.of_layers and at == 0:
        known = ["layers", *Hidden.model_fields]
        near = did_you_mean(str(path[0]), known)
        message = _UNKNOWN + (near or f"; allowed: {', '.join(known)}")
    similar = re.search("did you mean '(.+)'", message)
    if similar is None:
        return message
    whole = format_path((*path[:at], similar[1], *path[at + 1 :]))
    return f"{_UNKNOWN}; did you mean '{whole}'?"
