"""The search spaces of a config: their dimensions, their candidates, and a check of their values.

`tune.space` has the candidates of a search, `ensemble.vary` the settings of an ensemble's networks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Literal

import numpy as np
import yaml

from dlcli import errors
from dlcli.columns.numeric_encodings import NumericEncoding, Varied
from dlcli.config.config_file import (
    ConfigFile,
    first_problems,
    make_config,
    put,
    to_plain,
    validated,
)
from dlcli.config.config_schema import Config, Hidden
from dlcli.config.data_section import Input
from dlcli.config.tune_section import HIDDEN_LAYERS, Range, Settings, Space, Tune, assigned, varied
from dlcli.schema import yaml_document
from dlcli.schema.section import is_number, shown

Value = bool | int | float | str | None
"""A scalar of a config. A choice that is a list or a mapping is identified by its YAML text."""

LAYERS = f"{HIDDEN_LAYERS}.number"
"""The dimension of the number of hidden layers."""
_MAX_CHARACTERS = 200
_TUNE: yaml_document.Path = ("tune", "space")
_VARY: yaml_document.Path = ("ensemble", "vary")


# Dimensions


@dataclass(frozen=True)
class Dimension:
    """One varied setting."""

    path: str
    """The setting as in `--set`; below `hidden_layers`, the setting of all hidden layers."""
    kind: Literal["float", "integer", "choice"]
    low: float | int | None = None
    """Smallest and largest value of a range; the steps reach the largest one."""
    high: float | int | None = None
    step: float | int | None = None
    """Distance between values: 1 for integers by default; `None` for continuous ranges and with
    `log`."""
    log: bool = False
    """True if values are uniform on a logarithmic scale."""
    choices: tuple[object, ...] = ()
    """The choices as in the config."""
    declaration: yaml_document.Path = ()
    """Path of the dimension in the config."""
    is_list: bool = True
    """False if the declaration of a choice is its only value, see `_dimensions_of_groups`."""

    @cached_property
    def labels(self) -> tuple[Value, ...]:
        """The choices as scalars."""
        return tuple(
            choice
            if choice is None or isinstance(choice, bool | int | float | str)
            else yaml_document.dump_yaml(to_plain(choice), flow=True, width=2**30).strip()
            for choice in self.choices
        )

    @property
    def of_layers(self) -> yaml_document.Path | None:
        """Path within each hidden layer, if the dimension varies all of them."""
        first, *rest = yaml_document.parse_path(self.path)
        return tuple(rest) if first == HIDDEN_LAYERS and self.path != LAYERS else None

    @property
    def size(self) -> int | None:
        """Number of values; `None` for a continuous range."""
        if self.kind == "choice":
            return len(self.choices)
        if self.low is None or self.high is None or (self.kind == "float" and self.step is None):
            return None
        return round((self.high - self.low) / (self.step or 1)) + 1

    def at(self, quantile: float) -> Value:
        """Return the value at a quantile of the uniform distribution over the values.

        Args:
            quantile: in [0, 1).
        """
        if self.size is not None and not self.log:
            return self.value(int(quantile * self.size))
        assert self.low is not None and self.high is not None
        low, high = float(self.low), float(self.high)
        found = low * (high / low) ** quantile if self.log else low + quantile * (high - low)
        return round(found) if self.kind == "integer" else float(f"{found:.3g}")

    def value(self, index: int) -> Value:
        """Return one of the values, in order."""
        if self.kind == "choice":
            return self.labels[index]
        assert self.low is not None
        step = 1 if self.step is None else self.step
        if self.kind == "integer":
            return int(self.low + index * step)
        return float(Decimal(repr(self.low)) + index * Decimal(repr(step)))


def dimensions_of(space: Space | None) -> tuple[Dimension, ...]:
    """Return the dimensions of a search space, in the order of the config."""
    return tuple(_dimension(keys, values) for keys, values in varied(space or {}))


def count_combinations(dimensions: Sequence[Dimension]) -> int | None:
    """Return the number of combinations of values; `None` if a range is continuous."""
    sizes = [dimension.size for dimension in dimensions]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _dimension(keys: tuple[str, ...], values: Range | tuple[object, ...]) -> Dimension:
    path = _path(keys)
    declaration = (*_TUNE, *keys)
    if isinstance(values, tuple):
        return Dimension(path, "choice", choices=values, declaration=declaration)
    if values.is_integer:
        step = None if values.log else values.step or 1
        low, high = int(values.low), int(values.high)
        high -= (high - low) % int(step or 1)
        return Dimension(path, "integer", low, high, step, values.log, declaration=declaration)
    ends = float(values.low), float(values.high)
    found = Dimension(path, "float", *ends, values.step, values.log, declaration=declaration)
    if values.count is None:
        return found
    return replace(found, high=float(str(found.value(values.count - 1))))


def _path(keys: tuple[str, ...]) -> str:
    """Return the path of a setting with these keys, which are paths themselves."""
    return yaml_document.format_path(
        tuple(step for key in keys for step in yaml_document.parse_path(key))
    )


def _dimensions_of_groups(vary: Sequence[Settings]) -> list[tuple[Dimension, ...]]:
    """Return the settings of each group of a list, as choices with one value."""
    return [
        tuple(
            Dimension(
                _path(keys),
                "choice",
                choices=(value,),
                declaration=(*_TUNE, at, *keys),
                is_list=False,
            )
            for keys, value in assigned(settings)
        )
        for at, settings in enumerate(vary)
    ]


# The default space

_FEW_ROWS = 1_000
"""Rows below which a validation share of 15 % is too small to choose candidates; not measured."""
_UNITS = ((500, "[16, 32, 64]"), (5_000, "[32, 64, 128]"), (50_000, "[64, 128, 256]"))
"""Units to try below a number of rows: tens of rows per unit, as in `dlcli init`, and up to four
times as many units."""
_MOST_UNITS = "[128, 256, 512]"
"""Units to try for more rows."""


def default_tune(config: Config, rows: int, *, for_ensemble: bool = False) -> str:
    """Return the default search of a config, as the YAML below `tune`.

    Encodings, weight decay and activations are not varied, unlike in the published search spaces of
    RealMLP and TabM. With 12 trials of one network on 4 tables of about 1,000 rows, the best
    candidate was not clearly better on 3 outer folds: its error, relative to this space, was 0.98
    [0.94, 1.03] with three encodings, and 0.97 [0.91, 1.03] with encodings, weight decay,
    activations and a range of dropout. The trials took 1.4 and 1.7 times as long.

    Args:
        config: its held-out rows, `hidden`, learning rate and `input.scaling_layer` are used.
        rows: number of rows of the training file.
        for_ensemble: whether to omit settings that must be the same in all networks of an ensemble.
    """
    data, rate = config.data, config.optimizer.learning_rate
    few = rows < _FEW_ROWS and isinstance(data.validation, float)
    folds = f"folds: {min(5, rows)}\n" if few or not config.has_validation else ""
    units = next((units for limit, units in _UNITS if rows < limit), _MOST_UNITS)
    if config.ensemble is not None and config.hidden:  # larger than a single network
        own = max(layer.units for layer in config.hidden)
        units = str([max(own // 2, 1), own, 2 * own])
    # Layers that are added to a linear model would be linear.
    activation = "" if config.hidden else "    activation: [relu, gelu]\n"
    # The layer helps on most tables and harms on some.
    multiplier = None if for_ensemble else config.input.scaling_multiplier
    layers = f"[null, {{learning_rate_multiplier: {multiplier:g}}}]" if multiplier else ""
    scaling = f"  input.scaling_layer: {layers}\n" if layers else ""
    return (
        f"{folds}"
        "space:\n"
        "  hidden_layers:\n"
        "    number: [1, 2, 3]\n"
        f"    units: {units}\n"
        f"{activation}"
        "    dropout: [0.0, 0.1, 0.3]\n"
        f"  optimizer.learning_rate: {{low: {rate / 10:g}, high: {rate * 10:g}, log: true}}\n"
        f"{scaling}"
    )


def with_search_space(file: ConfigFile, rows: int, *, for_ensemble: bool = False) -> ConfigFile:
    """Return a config with its search space or with the default one.

    Args:
        file: the config.
        rows: number of rows of the training file.
        for_ensemble: see `default_tune`.
    """
    tune = file.config.tune
    if tune is not None and tune.space is not None:
        return file
    text = default_tune(file.config, rows, for_ensemble=for_ensemble)
    default = yaml_document.compose(text, "the default search space")
    assert isinstance(default, yaml.MappingNode)
    root = _copied(file.document.root)
    for key, node in default.value:
        if tune is None or not tune.differs(key.value):
            put(root, ("tune", key.value), node)
    document = yaml_document.YamlDocument(file.document.name, root)
    return replace(file, config=validated(document), document=document)


def _copied(root: yaml.MappingNode) -> yaml.MappingNode:
    """Return a mapping that `put` can change without a change of the original."""
    return yaml.MappingNode(root.tag, [*root.value], root.start_mark)


# Candidates


def candidate(file: ConfigFile, values: Mapping[str, Value]) -> ConfigFile:
    """Return the config with other values and without `tune`.

    Args:
        file: the config.
        values: values by the paths of their dimensions; other settings stay as in the config.

    Raises:
        errors.ConfigError: if a value is not in the search space, or if the values together are
            invalid.
    """
    try:
        return _candidate(file, _dimensions(file), values)
    except errors.ConfigError as error:
        raise errors.ConfigError([_with_values(each, values) for each in error.problems]) from None


def _dimensions(file: ConfigFile) -> tuple[Dimension, ...]:
    tune = file.config.tune
    return dimensions_of(tune.space if tune else None)


def _with_values(problem: errors.Problem, values: Mapping[str, Value]) -> errors.Problem:
    """Add the values that cause a problem to its message."""
    pairs = (f"{path}: {shown(value)}" for path, value in values.items())
    text = errors.truncate(", ".join(pairs), _MAX_CHARACTERS)
    # Other processes write to the storage of a search, so values may contain control characters.
    message = errors.printable(f"{problem.message} (with {text})")
    return replace(problem, path=errors.printable(problem.path), message=message)


def _candidate(
    file: ConfigFile, of_space: Sequence[Dimension], values: Mapping[str, Value]
) -> ConfigFile:
    """Return a candidate; its errors don't list the values."""
    dimensions = {each.path: each for each in of_space}
    if unknown := [path for path in values if path not in dimensions]:
        known = f"; tune.space has {errors.listed(dimensions)}" if dimensions else ""
        raise errors.ConfigError([errors.Problem(unknown[0], f"is not in the search space{known}")])
    root = _copied(file.document.root)
    root.value = [(key, value) for key, value in root.value if key.value != "tune"]
    problems: list[errors.Problem] = []
    # The number of layers is set first; other values are set in each layer.
    for path in sorted(values, key=lambda path: path != LAYERS):
        try:
            _set(root, file.document, dimensions[path], values[path])
        except errors.ConfigError as error:
            problems += error.problems
    document = yaml_document.YamlDocument(file.document.name, root)
    try:
        config = validated(document)
    except errors.ConfigError as error:
        problems += error.problems
    if problems:
        raise errors.ConfigError(problems)
    return replace(file, config=config, document=document)


def _set(
    root: yaml.MappingNode, source: yaml_document.YamlDocument, dimension: Dimension, value: Value
) -> None:
    """Set the value of a dimension, in all hidden layers if it varies all of them."""
    node = _node(source, dimension, value)
    layers = yaml_document.child(root, "hidden")
    assert layers is not None  # the config itself is valid
    if dimension.path == LAYERS:
        # Each layer is like the first one of the config.
        assert isinstance(value, int)  # as the schema of `tune` requires
        stack = copy(layers)
        stack.value = (layers.value[:1] or [yaml_document.empty_mapping(layers.start_mark)]) * value
        put(root, ("hidden",), stack)
    elif dimension.of_layers:
        for index in range(len(layers.value)):
            put(root, ("hidden", index, *dimension.of_layers), node)
    else:
        put(root, yaml_document.parse_path(dimension.path), node)


def _node(document: yaml_document.YamlDocument, dimension: Dimension, value: Value) -> yaml.Node:
    """Return a value as a node at its position in the search space."""
    if dimension.kind == "choice":
        if value not in dimension.labels:
            labels = errors.listed(list(map(str, dimension.labels)))
            message = f"expected one of {labels}, got {shown(value)}"
            raise errors.ConfigError([errors.Problem(dimension.path, message)])
        index = (dimension.labels.index(value),) if dimension.is_list else ()
        return document.node((*dimension.declaration, *index))
    if not is_number(value) or (dimension.kind == "integer" and not isinstance(value, int)):
        expected = "an integer" if dimension.kind == "integer" else "a number"
        raise errors.ConfigError(
            [errors.Problem(dimension.path, f"expected {expected}, got {shown(value)}")]
        )
    ends = [key for key in ("low", "high") if getattr(dimension, key) == value]
    mark = document.node((*dimension.declaration, *ends[:1])).start_mark
    return yaml_document.scalar("int" if isinstance(value, int) else "float", repr(value), mark)


# The settings of an ensemble's networks


def draw_settings(config: Config) -> list[dict[str, Value]]:
    """Return the settings of each group of an ensemble's networks, see `ensemble.vary`.

    The first group has the settings of the config. The values of the others are listed in `vary`,
    or are a Latin hypercube sample of its ranges (McKay, Beckman and Conover, 1979): each setting
    takes values from all parts of its range, as far as there are groups.

    Returns:
        For each group, values by the paths of their dimensions; the same for equal configs.
    """
    ensemble = config.ensemble
    if ensemble is None or ensemble.vary is None:
        return [{}]
    if isinstance(ensemble.vary, tuple):
        return [{}, *map(_only_values, _dimensions_of_groups(ensemble.vary))]
    dimensions = dimensions_of(ensemble.vary)
    from scipy.stats import qmc

    sampler = qmc.LatinHypercube(len(dimensions), rng=np.random.default_rng(config.seed))
    sample = sampler.random(ensemble.groups - 1).tolist()
    pairs = (zip(dimensions, quantiles, strict=True) for quantiles in sample)
    return [{}, *({each.path: each.at(quantile) for each, quantile in row} for row in pairs)]


def _only_values(dimensions: Sequence[Dimension]) -> dict[str, Value]:
    """Return the value of each choice with one value, by its path."""
    return {each.path: each.labels[0] for each in dimensions}


def with_settings(config: Config, settings: Mapping[str, Value]) -> Config:
    """Return the config of a network of an ensemble.

    Args:
        config: the config of the ensemble.
        settings: values of `draw_settings`.

    Raises:
        errors.ConfigError: if a value is not in `ensemble.vary`, or if the values together are
            invalid.
    """
    if not settings:
        return config
    assert config.ensemble is not None
    file, vary = _with_networks_as_candidates(make_config(config)), config.ensemble.vary
    if isinstance(vary, tuple):
        groups = _dimensions_of_groups(vary)
        group = next((each for each in groups if _only_values(each) == settings), None)
        if group is None:
            message = "has a value that no item of ensemble.vary has with these settings"
            raise errors.ConfigError([errors.Problem(next(iter(settings)), message)])
        found = _candidate(file, group, settings).config
    else:
        found = candidate(file, settings).config
    return found.model_copy(update={"ensemble": config.ensemble, "tune": config.tune})


def varied_input(config: Config) -> Input:
    """Return the section `input` with the encodings of all networks of an ensemble."""
    encodings: list[NumericEncoding] = []
    for settings in draw_settings(config):
        encoding = with_settings(config, settings).input.encoding
        if encoding not in encodings:
            encodings.append(encoding)
    if len(encodings) < 2:
        return config.input
    return config.input.model_copy(update={"encoding": Varied(encodings=tuple(encodings))})


def _with_networks_as_candidates(file: ConfigFile) -> ConfigFile:
    """Return a config whose search space is `ensemble.vary`, at the positions of the file.

    If `vary` is a list, only the document has it as search space, see `_dimensions_of_groups`.
    """
    config, root, vary = file.config, _copied(file.document.root), file.document.node(_VARY)
    assert config.ensemble is not None
    alike = copy(file.document.node(_VARY[:1]))
    alike.value = [(key, node) for key, node in alike.value if key.value not in ("vary", "select")]
    put(root, _VARY[:1], alike)
    root.value = [(key, node) for key, node in root.value if key.value != "tune"]
    put(root, _TUNE, vary)
    ensemble = config.ensemble.model_copy(update={"vary": None, "select": "all"})
    tune = None
    if not isinstance(config.ensemble.vary, tuple):
        tune = Tune(space=config.ensemble.vary)
    config = config.model_copy(update={"tune": tune, "ensemble": ensemble})
    document = yaml_document.YamlDocument(file.document.name, root)
    return replace(file, config=config, document=document)


# Check of the whole space


_Fault = tuple[str, str]
"""Path and message of a problem; they identify it in several candidates."""


def check_vary(file: ConfigFile) -> None:
    """Check the settings of an ensemble's networks, see `check_tune`."""
    if file.config.ensemble is None or file.config.ensemble.vary is None:
        return
    above, own = yaml_document.format_path(_TUNE), yaml_document.format_path(_VARY)
    candidates = _with_networks_as_candidates(file)
    try:
        if isinstance(file.config.ensemble.vary, tuple):
            _check_groups(candidates, _dimensions_of_groups(file.config.ensemble.vary))
        else:
            check_tune(candidates)
    except errors.ConfigError as error:
        found = error.problems
        problems = [
            replace(
                each,
                path=each.path.replace(above, own, 1),
                message=each.message.replace(above, own),
            )
            for each in found
        ]
        raise errors.ConfigError(problems) from None


def _check_groups(file: ConfigFile, groups: Sequence[Sequence[Dimension]]) -> None:
    """Check the config of each group of a list.

    Raises:
        errors.ConfigError: with all problems, in the order of the text.
    """
    found: list[errors.Problem] = []
    for at, dimensions in enumerate(groups):
        for dimension in dimensions:
            if message := _layer_error(file, dimension, dimensions):
                found.append(file.document.problem(dimension.declaration, message, of_key=True))
        if found:
            continue
        values = _only_values(dimensions)
        own = {*_positions(file.document.node((*_TUNE, at)))}
        for problem in _faults(file, dimensions, values).values():
            is_located = problem.position.line and problem.position in own
            found.append(problem if is_located else _with_values(problem, values))
    if found:
        raise errors.ConfigError(first_problems(found, file.document))


def check_tune(file: ConfigFile) -> None:
    """Check each choice and both ends of each range, with the first values of other dimensions.

    A config without `tune` passes.

    Raises:
        errors.ConfigError: with all problems, in the order of the text.
    """
    if file.config.tune is None:
        return
    of_space = dimensions_of(file.config.tune.space)
    dimensions: list[Dimension] = []
    found: list[errors.Problem] = []
    for dimension in of_space:
        if message := _layer_error(file, dimension, of_space):
            found.append(file.document.problem(dimension.declaration, message, of_key=True))
        else:
            dimensions.append(dimension)
    values = {each.path: _values_to_check(each) for each in dimensions}
    first = {path: of_dimension[0] for path, of_dimension in values.items()}
    first_faults = _faults(file, dimensions, first)
    causes: dict[_Fault, dict[str, Value]] = {fault: {} for fault in first_faults}
    for path in first:
        trials = [
            (value, _faults(file, dimensions, {**first, path: value})) for value in values[path][1:]
        ]
        for value, faults in trials:
            new = [problem for fault, problem in faults.items() if fault not in first_faults]
            found += [_located(file, dimensions, problem, {path: value}) for problem in new]
        for fault in first_faults:
            if any(fault not in faults for _, faults in trials):
                causes[fault][path] = first[path]
    for fault, problem in first_faults.items():
        found.append(_located(file, dimensions, problem, causes[fault]))
    # A value of all layers has the same problem in each layer.
    unique = {(each.position, each.message): each for each in reversed(found)}
    if unique:
        raise errors.ConfigError(first_problems(unique.values(), file.document))


def _layer_error(
    file: ConfigFile, dimension: Dimension, dimensions: Sequence[Dimension]
) -> str | None:
    """Return why a setting can't vary in all hidden layers or in one of them, or None."""
    if dimension.of_layers is None:
        return _index_error(file, dimension, dimensions)
    known = ["number", *Hidden.model_fields]
    key = str(dimension.of_layers[0])
    if key not in known:
        return f"unknown key{errors.did_you_mean_or_all(key, known)}"
    if file.config.hidden or any(each.path == LAYERS for each in dimensions):
        return None
    return "varies the hidden layers, but the config has none; also vary 'number'"


def _index_error(
    file: ConfigFile, dimension: Dimension, dimensions: Sequence[Dimension]
) -> str | None:
    """Return why a setting can't vary in one hidden layer: some candidates don't have the layer."""
    path = yaml_document.parse_path(dimension.path)
    if path[0] != "hidden" or len(path) == 1 or not isinstance(path[1], int):
        return None
    layers = len(file.config.hidden)
    counts = next((_values_to_check(each) for each in dimensions if each.path == LAYERS), None)
    if path[1] < (layers if counts is None else int(str(counts[-1]))):
        return None
    if counts is not None:
        return f"does not exist with {LAYERS}: {counts[-1]}; increase this number"
    has = errors.plural(layers, "layer")
    return f"the config has {has}; add the new layer to the config, or vary {LAYERS}"


def _values_to_check(dimension: Dimension) -> list[Value]:
    """Return all choices or both ends of a range; the largest number of layers first."""
    is_choice = dimension.kind == "choice"
    values = [*(dimension.labels if is_choice else (dimension.low, dimension.high))]
    if dimension.path == LAYERS:
        values.sort(key=lambda value: -int(str(value)))
    return values


def _faults(
    file: ConfigFile, dimensions: Sequence[Dimension], values: Mapping[str, Value]
) -> dict[_Fault, errors.Problem]:
    """Return the problems of a candidate; for equal layers, only problems of the first layer."""
    try:
        _candidate(file, dimensions, values)
    except errors.ConfigError as error:
        return {
            (each.path, each.message): each
            for each in error.problems
            if LAYERS not in values or not re.match(r"hidden\[[^0]", each.path)
        }
    return {}


def _located(
    file: ConfigFile,
    dimensions: list[Dimension],
    problem: errors.Problem,
    causes: Mapping[str, Value],
) -> errors.Problem:
    """Add the values that cause a problem of a candidate, unless its position shows them.

    Args:
        file: the config.
        dimensions: the dimensions of the search space.
        problem: the problem, at a value of the search space or elsewhere in the config.
        causes: the values that cause the problem; empty if all values do.
    """
    if (message := _unknown_path(problem)) is not None:
        problem = replace(problem, message=message)
    if not problem.position.line:  # Python and --set have one position for all
        key = problem.path.rpartition(".")[2]
        dimensions = [each for each in dimensions if each.path.rpartition(".")[2] == key]
    for dimension in dimensions:
        declaration = dimension.declaration
        if problem.position not in _positions(file.document.node(declaration)):
            continue
        if not causes:
            position = file.document.problem(declaration, "", of_key=True).position
            return replace(problem, position=position)
        if dimension.kind == "float" and "integer" in problem.message:
            hint = "for integers, write both ends without a decimal point or exponent"
            problem = replace(problem, message=f"{problem.message}; {hint}")
        if list(causes) == [dimension.path]:
            return problem
    if causes:
        return _with_values(problem, causes)
    note = "(with the first value of each setting in tune.space)"
    return replace(problem, message=f"{problem.message} {note}")


def _unknown_path(problem: errors.Problem) -> str | None:
    """Return the message for a path of a search space that resembles no key of a config."""
    known = list(Config.model_fields)
    if problem.message != f"unknown key{errors.did_you_mean_or_all(problem.path, known)}":
        return None
    if errors.did_you_mean(problem.path, known):
        return None
    in_layers = errors.most_similar(problem.path, list(Hidden.model_fields))
    near = f"; did you mean '{HIDDEN_LAYERS}.{in_layers}'?" if in_layers else ""
    return (
        f"unknown setting; expected '{HIDDEN_LAYERS}' or the path of a setting, such as "
        f"optimizer.learning_rate or batch_size{near}"
    )


def _positions(node: yaml.Node) -> Iterator[errors.Position]:
    """Yield the positions of a node and of all nodes below it."""
    yield yaml_document.position_of(node)
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        for below in item if isinstance(item, tuple) else (item,):
            yield from _positions(below)
