"""The `tune` section: what is varied, how candidates are chosen, and what they are judged by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from dlcli.config.ranges import Range, Space
from dlcli.config.section import (
    Conflict,
    Expected,
    Fraction,
    NonNegativeInt,
    OfKey,
    OneOf,
    PositiveInt,
    Section,
    shown,
)
from dlcli.config.variables import layer_faults, space_faults
from dlcli.errors import did_you_mean

DEFAULT_TRIALS = 50
"""Candidates that are tried, where neither their number nor a time is given."""
MOST_LAYERS = 100
"""Most hidden layers of a candidate."""

TuneMetric = Literal[
    "val_loss",
    "val_mse",
    "val_rmse",
    "val_mae",
    "val_r2",
    "val_median_absolute_error",
    "val_poisson_deviance",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_subset_accuracy",
    "val_auc",
    "val_average_precision",
    "val_precision",
    "val_recall",
    "val_f1",
    "val_micro_precision",
    "val_micro_recall",
    "val_micro_f1",
    "val_macro_f1",
    "val_log_loss",
    "val_brier",
    "val_top_3_accuracy",
]
"""The loss, and the metrics of which it is known which way is up; of the rows that judge."""
_BARE = tuple(name.removeprefix("val_") for name in get_args(TuneMetric))
_NAMES = (*get_args(TuneMetric), *_BARE)


def _judging(name: object) -> object:
    """A metric's own name is short for the metric of the rows that judge."""
    if not isinstance(name, str):
        message = f"expected the name of a loss or metric, got {shown(name)}"
    elif name not in _NAMES:
        way_out = did_you_mean(name, _NAMES) or f"; allowed: {', '.join(_BARE)}"
        message = f"unknown metric '{name}'{way_out}"
    else:
        return name if name.startswith("val_") else f"val_{name}"
    raise PydanticCustomError("choice", "{message}", {"message": message})


_TIME = r"^(?=[0-9])([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def _seconds(value: object) -> object:
    """A time in words, such as 1h30m, in seconds."""
    if isinstance(value, str) and re.fullmatch(_TIME, value):
        parts = re.findall(r"([0-9]+)([hms])", value)
        return sum(int(count) * _SECONDS[unit] for count, unit in parts)
    return value


Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": _TIME},
            ]
        }
    ),
    Expected("seconds, or a time such as 90s, 10m or 1h30m"),
]
Folds = Annotated[int, Field(ge=2, le=1000), Expected("an integer from 2 to 1000")]


class Tpe(Section):
    """Some by lot, then such as the best so far: tree-structured Parzen estimator.

    Bergstra et al., Algorithms for Hyper-Parameter Optimization (2011).
    """

    name: Literal["tpe"] = "tpe"
    startup_trials: NonNegativeInt = 10
    """Candidates by lot before that."""


class RandomSampler(Section):
    """Each by lot."""

    name: Literal["random"] = "random"


class Grid(Section):
    """Every combination once; ranges need whole numbers or a step."""

    name: Literal["grid"] = "grid"


class MedianPruning(Section):
    """A candidate is given up that is worse than the median of those before it.

    They are compared at the same epoch of the first fold: Golovin et al., Google Vizier (2017).
    After each fold, only one in the worst quarter is given up, since means over folds lie close.
    """

    name: Literal["median"] = "median"
    startup_trials: NonNegativeInt = 5
    """Candidates that are trained to their end before any is given up."""
    warmup: Fraction = 0.2
    """Share of the epochs that each may train in any case."""


class NoPruner(Section):
    """Every candidate is trained to its end."""

    name: Literal["none"] = "none"


Sampler = Annotated[Tpe | RandomSampler | Grid, OneOf("sampler")]
Pruner = Annotated[MedianPruning | NoPruner, OneOf("pruner")]


class Tune(Section):
    """What `dlcli tune` searches for; nothing else reads it."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "n_trials": "trials",
        "timeout": "time",
        "cv": "folds",
        "objective": "metric",
        "monitor": "metric",
        "search_space": "space",
    }

    metric: Annotated[
        TuneMetric, BeforeValidator(_judging), WithJsonSchema({"enum": list(_NAMES)})
    ] = "val_loss"
    """What candidates are compared by: the loss or a metric of the rows that judge, its name with
    or without `val_`."""
    trials: PositiveInt | None = None
    """Most candidates that are tried; if left out, 50, or all of a grid, or as many as `time`
    allows."""
    time: Seconds | None = None
    """How long new candidates are begun, in seconds or as 10m; with `trials`, whichever ends
    first."""
    space: Space
    """Settings by their path, each with a list of choices or a range; below `hidden`, settings of
    all hidden layers alike, and `layers`, how many there are."""
    folds: Folds | None = None
    """Parts of the rows, each of which judges a network trained on the others; if left out, the
    validation rows judge."""
    sampler: Sampler = Tpe()
    """How candidates are chosen."""
    pruner: Pruner = MedianPruning()
    """When a candidate is given up before its end."""

    @property
    def most_trials(self) -> int | None:
        """Most candidates that are tried; `None` if time alone, or the grid's end, is the limit."""
        if self.trials is not None or self.time is not None or isinstance(self.sampler, Grid):
            return self.trials
        return DEFAULT_TRIALS

    def conflicts(self) -> Iterator[Conflict]:
        """Yields what can't be varied at all, together, or step by step."""
        keys = {
            key: next(iter(value), None) if isinstance(value, Mapping) else None
            for key, value in self.space.items()
        }
        for key, fault in space_faults(keys, by_loss=self.metric == "val_loss"):
            yield ("space", key), OfKey(fault)
        if not self.space:
            yield "space", "names no setting to vary"
        yield from self._layer_conflicts()
        if isinstance(self.sampler, Grid):
            for place, varied in self.varied:
                if isinstance(varied, Range) and varied.count is None:
                    way_out = "give it a step, or list choices"
                    yield ("space", *place), f"has no end of values for a grid; {way_out}"

    @property
    def varied(self) -> Iterator[tuple[tuple[str, ...], Range | tuple[object, ...]]]:
        """Each range or list of choices, with its keys below `space`."""
        for key, value in self.space.items():
            if isinstance(value, Mapping):
                for inner, variation in value.items():
                    yield (key, inner), variation
            else:
                yield (key,), value

    def _layer_conflicts(self) -> Iterator[Conflict]:
        nest = self.space.get("hidden")
        if isinstance(nest, Range) or (isinstance(nest, tuple) and all(map(_is_number, nest))):
            yield ("space", "hidden"), _NO_STACKS
        if not isinstance(nest, Mapping):
            return
        for key, fault in layer_faults(nest):
            yield ("space", "hidden", key), OfKey(fault)
        layers = nest.get("layers")
        for strange in [] if layers is None else _no_counts(layers)[:1]:
            wanted = f"expected whole numbers from 0 to {MOST_LAYERS}, choices or low and high"
            yield ("space", "hidden", "layers"), f"{wanted}, got {shown(strange)}"


_NO_STACKS = (
    "expected stacks of layers to choose from; to vary the units of all layers, write as in "
    "hidden: {units: [16, 32]}"
)


def _no_counts(layers: Range | tuple[object, ...]) -> list[object]:
    """What can't be a number of layers."""
    if isinstance(layers, Range):
        step = [] if layers.step is None else [layers.step]
        layers = (layers.low, layers.high, *step)
    return [each for each in layers if not _is_count(each)]


def _is_count(value: object) -> bool:
    """Whether a network may have so many layers."""
    return isinstance(value, int) and _is_number(value) and 0 <= value <= MOST_LAYERS


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
