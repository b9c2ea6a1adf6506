"""Whether all that a search may come to fits the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlcli.config.layers import Hidden
from dlcli.config.load import ConfigFile, line_and_column
from dlcli.config.paths import Path, format_path, parse_path
from dlcli.config.section import MOST_PROBLEMS
from dlcli.config.space.candidates import unexplained_candidate
from dlcli.config.space.dimensions import LAYERS, Dimension, Value, dimensions_of
from dlcli.errors import ConfigError, Problem, did_you_mean

_UNKNOWN = "unknown key"

Faults = Mapping[tuple[str, str], Problem]
"""What is wrong with a candidate, by path and message."""


@dataclass(frozen=True)
class _Try:
    """One value of a dimension, beside the first of all others."""

    dimension: Dimension
    key: str | int
    """Where the value stands below the dimension: `low`, `high` or the index of a choice."""
    value: Value
    faults: Faults


_Tries = Sequence[_Try]
"""Those of one dimension; the first of each dimension are all of the same candidate."""


def check_tune(file: ConfigFile) -> None:
    """Tries each choice and both ends of each range, beside the first of all others.

    Does nothing for a config without `tune`.

    Raises:
        ConfigError: with all that doesn't fit, in the order of the text.
    """
    if file.config.tune is None:
        return
    dimensions = dimensions_of(file.config.tune)
    found = [*_without_layer(file, dimensions), *_found(file, _tried(file, dimensions))]
    found = sorted(dict.fromkeys(found), key=line_and_column)
    if len(found) > MOST_PROBLEMS:
        untold = f"and {len(found) - MOST_PROBLEMS} more problems"
        found = [*found[:MOST_PROBLEMS], file.document.problem(("tune", "space"), untold)]
    if found:
        raise ConfigError(found)


def _without_layer(file: ConfigFile, dimensions: Sequence[Dimension]) -> Iterator[Problem]:
    """Yields what varies all hidden layers of a network that has none."""
    if file.config.hidden or any(each.path == LAYERS for each in dimensions):
        return
    message = "varies the hidden layers, and there are none; let 'layers' vary, too"
    for dimension in dimensions:
        if dimension.of_layers:
            yield file.document.problem(dimension.place, message)


def _tried(file: ConfigFile, dimensions: Sequence[Dimension]) -> list[_Tries]:
    """All tries."""
    ends = {each.path: list(_ends(each)) for each in dimensions}
    base = {path: values[0][1] for path, values in ends.items()}
    first = _faults(file, base)
    return [
        [
            _Try(each, key, value, _faults(file, {**base, each.path: value}) if at else first)
            for at, (key, value) in enumerate(ends[each.path])
        ]
        for each in dimensions
    ]


def _ends(dimension: Dimension) -> Iterator[tuple[str | int, Value]]:
    """Yields the values to try, most layers first, since few or none of them show little."""
    if dimension.kind == "choice":
        found: list[tuple[str | int, Value]] = list(enumerate(dimension.labels))
    else:
        found = [("low", dimension.low), ("high", dimension.high)]
    is_layers = dimension.path == LAYERS
    yield from sorted(found, key=lambda end: -int(str(end[1]))) if is_layers else found


def _faults(file: ConfigFile, values: Mapping[str, Value]) -> Faults:
    """What is wrong with a candidate; once for layers that are all the same."""
    try:
        unexplained_candidate(file, values)
    except ConfigError as error:
        problems = error.problems
        if LAYERS in values:
            problems = tuple(each for each in problems if not re.match(r"hidden\[[^0]", each.path))
        return {(each.path, each.message): each for each in problems}
    return {}


def _found(file: ConfigFile, tried: Sequence[_Tries]) -> Iterator[Problem]:
    """Yields what doesn't fit, where the space says it."""
    first = tried[0][0].faults
    blamed = {identity: _blamed(identity, tried) for identity in first}
    for tries in tried:
        for identity, problem in first.items():
            if blamed[identity] is tries:
                is_always = all(identity in each.faults for each in tries)
                yield _told(file, tries[0], problem, is_always=is_always)
        for attempt in tries[1:]:
            for identity, problem in attempt.faults.items():
                if identity not in first:
                    yield _told(file, attempt, problem)
    for identity, problem in first.items():
        if blamed[identity] is None:
            note = "(with the first value of each setting in tune.space)"
            yield Problem(problem.path, f"{problem.message} {note}", problem.position)


def _blamed(identity: tuple[str, str], tried: Sequence[_Tries]) -> _Tries | None:
    """Which dimension brings in a fault that the first values of all have."""
    path = _path(identity[0])
    nearest = max(tried, key=lambda tries: _nearness(tries[0].dimension, path))
    if _nearness(nearest[0].dimension, path) > 0:
        return nearest
    with_it_only = (tries for tries in tried if any(identity not in each.faults for each in tries))
    return next(with_it_only, None)


def _nearness(dimension: Dimension, path: Path) -> int:
    """How much of a path is that of a dimension; 0 if it leads elsewhere."""
    target = _target(dimension, path)
    if path[: len(target)] == target:
        return 2 * len(target)
    return 2 * len(path) - 1 if target[: len(path)] == path else 0


def _target(dimension: Dimension, path: Path) -> Path:
    """Where a dimension's values go, in the layer that a path leads to, if it varies all alike."""
    if dimension.path == LAYERS:
        return ("hidden",)
    if dimension.of_layers is None:
        return parse_path(dimension.path)
    return ("hidden", *(path[1:2] or (0,)), *dimension.of_layers)


def _path(text: str) -> Path:
    return parse_path(text) if text else ()


def _told(file: ConfigFile, attempt: _Try, problem: Problem, *, is_always: bool = False) -> Problem:
    """A candidate's problem as one of the space.

    Args:
        file: the config.
        attempt: which value brings it in.
        problem: as the candidate has it.
        is_always: whether all values of the dimension do.
    """
    dimension, path = attempt.dimension, _path(problem.path)
    target = _target(dimension, path)
    if problem.message.startswith(_UNKNOWN) and target[: len(path)] == path:
        message = _unknown_key(dimension, len(path), problem.message)
        return file.document.problem(dimension.place, message, of_key=True)
    is_always = is_always or dimension.path == LAYERS  # no number of them is wrong by itself
    place = dimension.place if is_always else (*dimension.place, attempt.key)
    if dimension.path == LAYERS or path[: len(target)] != target:
        return file.document.problem(place, f"{problem.path}: {problem.message}".removeprefix(": "))
    rest, message = path[len(target) :], problem.message
    if dimension.kind == "float" and "integer" in message:
        message += "; for whole numbers, write both ends without a point or exponent"
    of_key = bool(rest) and message.startswith(_UNKNOWN)
    return file.document.problem((*place, *rest), message, of_key=of_key)


def _unknown_key(dimension: Dimension, depth: int, message: str) -> str:
    """That a key is unknown, with the whole path of the one that was meant."""
    path = dimension.of_layers or parse_path(dimension.path)
    at = depth - 1 - (2 if dimension.of_layers else 0)
    if dimension.of_layers and at == 0:
        known = ["layers", *Hidden.model_fields]
        near = did_you_mean(str(path[0]), known)
        message = _UNKNOWN + (near or f"; allowed: {', '.join(known)}")
    near_key = re.search("did you mean '(.+)'", message)
    if near_key is None:
        return message
    whole = format_path((*path[:at], near_key[1], *path[at + 1 :]))
    return f"{_UNKNOWN}; did you mean '{whole}'?"
