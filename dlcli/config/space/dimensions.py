"""What a config varies, one dimension for each setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Literal

import yaml

from dlcli.config.document import CoreDumper
from dlcli.config.paths import Path, format_path, parse_path
from dlcli.config.ranges import Range
from dlcli.config.tuning import Tune

Value = bool | int | float | str | None
"""A scalar of a config. A choice that is a list or a mapping goes by its text as YAML."""

LAYERS = "hidden.layers"
"""The dimension that says how many hidden layers there are."""


@dataclass(frozen=True)
class Dimension:
    """One thing that is varied."""

    path: str
    """The setting, as `--set` takes it; `hidden.layers`, `hidden.units` and so on for all hidden
    layers alike."""
    kind: Literal["float", "integer", "choice"]
    low: float | int | None = None
    """The ends of a range, both included and both reached by its steps."""
    high: float | int | None = None
    step: float | int | None = None
    """Distance from one value to the next: 1 for whole numbers, unless another is given; `None` for
    all numbers between, and with `log`."""
    log: bool = False
    """Whether equal ratios are equally likely."""
    choices: tuple[object, ...] = ()
    """What may be chosen, as the config has it."""
    place: Path = ()
    """Where the config says so."""

    @cached_property
    def labels(self) -> tuple[Value, ...]:
        """What the choices go by."""
        return tuple(map(_label, self.choices))

    @property
    def of_layers(self) -> Path | None:
        """Where in each hidden layer it is, if it varies all of them alike."""
        inside = len(self.place) == 4 and self.path != LAYERS  # tune, space, hidden, the key
        return parse_path(str(self.place[-1])) if inside else None

    @property
    def size(self) -> int | None:
        """How many values there are; `None` for all numbers between."""
        if self.kind == "choice":
            return len(self.choices)
        if self.low is None or self.high is None or (self.kind == "float" and self.step is None):
            return None
        return round((self.high - self.low) / (self.step or 1)) + 1

    def value(self, index: int) -> Value:
        """One of the values, in their order."""
        if self.kind == "choice":
            return self.labels[index]
        assert self.low is not None
        step = 1 if self.step is None else self.step
        if self.kind == "integer":
            return int(self.low + index * step)
        return float(Decimal(repr(self.low)) + index * Decimal(repr(step)))


def dimensions_of(tune: Tune) -> tuple[Dimension, ...]:
    """What a config varies, in its order."""
    return tuple(_dimension(keys, varied) for keys, varied in tune.varied)


def _dimension(keys: tuple[str, ...], varied: Range | tuple[object, ...]) -> Dimension:
    steps = [step for key in keys for step in parse_path(key)]
    path, place = format_path(tuple(steps)), ("tune", "space", *keys)
    if isinstance(varied, tuple):
        return Dimension(path, "choice", choices=varied, place=place)
    if varied.is_whole:
        step = None if varied.log else varied.step or 1
        low, high = int(varied.low), int(varied.high)
        high -= (high - low) % int(step or 1)
        return Dimension(path, "integer", low, high, step, varied.log, place=place)
    found = Dimension(
        path, "float", float(varied.low), float(varied.high), varied.step, varied.log, place=place
    )
    if varied.count is None:
        return found
    return replace(found, high=float(str(found.value(varied.count - 1))))


def _label(choice: object) -> Value:
    """What a choice goes by."""
    if choice is None or isinstance(choice, bool | int | float | str):
        return choice
    text: str = yaml.dump(
        _plain(choice),
        Dumper=CoreDumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
    )
    return text.strip()


def _plain(value: object) -> object:
    """A value with lists in the place of tuples, as YAML is written from it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
