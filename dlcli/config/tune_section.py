"""The section `tune`: the search space, the choice of candidates, and their comparison."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, WithJsonSchema

from dlcli.errors import did_you_mean
from dlcli.metrics.definitions import METRICS
from dlcli.schema import section
from dlcli.schema.yaml_document import Path, format_path, parse_path

DEFAULT_TRIALS = 50
"""Maximum number of candidates, if neither a number nor a time is set."""
HIDDEN_LAYERS = "hidden_layers"
"""The key of a search space for the settings of all hidden layers."""
MAX_LAYERS = 100
"""Maximum number of hidden layers of a candidate."""
MAX_CHOICES = 1000
_EXACT = 2**53
"""The largest integer up to which floats represent all integers exactly."""

if TYPE_CHECKING:
    TuneMetric = str
else:
    TuneMetric = Literal[("val_loss", *(f"val_{name}" for name in METRICS))]
"""The loss, and the metrics with a known direction, of the validation rows."""
_METRIC_NAMES = [form for name in get_args(TuneMetric) for form in (name, name[4:])]


def _add_prefix(name: object) -> object:
    """Add the prefix `val_` to the name of a metric."""
    name = section.to_metric(name)
    return f"val_{name}" if f"val_{name}" in get_args(TuneMetric) else name


_DURATION = r"^(?=[0-9])([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def _parse_duration(value: object) -> object:
    """Convert a duration such as `1h30m` to seconds."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        parts = re.findall(r"([0-9]+)([hms])", value)
        return sum(int(count) * _SECONDS[unit] for count, unit in parts)
    return value


Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    BeforeValidator(
        _parse_duration,
        json_schema_input_type=Annotated[float, Field(gt=0)]
        | Annotated[str, Field(pattern=_DURATION)],
    ),
    section.Expected("seconds, or a time such as 90s, 10m or 1h30m"),
]
Folds = Annotated[int, Field(ge=2, le=1000), section.Expected("an integer from 2 to 1,000")]
End = Annotated[
    Annotated[int, Field(ge=-_EXACT, le=_EXACT)] | Annotated[float, Field(allow_inf_nan=False)],
    section.Expected("a number"),
]
Step = Annotated[
    Annotated[int, Field(gt=0, le=_EXACT)] | Annotated[float, Field(gt=0, allow_inf_nan=False)],
    section.Expected("a number above 0"),
]


class Range(section.Section):
    """A range of numbers; integers if low, high and step are integers."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("min", "lower", "from", "start"), "low"),
        **dict.fromkeys(("max", "upper", "to", "stop", "end"), "high"),
    }

    low: End
    """Smallest number, in the unit of the setting."""
    high: End
    """Largest number, which is included."""
    log: section.Flag = False
    """Draw numbers uniformly on a logarithmic scale. Use it for ranges over several powers of ten,
    such as those for learning rates."""
    step: Step | None = None
    """Distance between two numbers. Omitted: 1 for integers; other ranges are continuous."""

    @property
    def is_integer(self) -> bool:
        """True if all values are integers."""
        return all(isinstance(each, int | None) for each in (self.low, self.high, self.step))

    @property
    def count(self) -> int | None:
        """Number of values; `None` for a continuous range."""
        if self.step is None:
            return int(self.high) - int(self.low) + 1 if self.is_integer else None
        low, high, step = (Decimal(repr(each)) for each in (self.low, self.high, self.step))
        return int((high - low) / step) + 1

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield ends in the wrong order, and impossible steps."""
        if self.low >= self.high:
            yield "high", f"expected a number greater than low ({self.low}), got {self.high}"
        elif self.step is not None and self.step > self.high - self.low:
            yield "step", f"expected a step of at most high - low, got {self.step}"
        if self.log and self.low <= 0:
            yield "low", f"expected a number above 0 with log: true, got {self.low}"
        if self.log and self.step is not None:
            yield "step", "can't be combined with log: true; omit one of them"


def _parse_variation(value: object) -> object:
    """Return a range or a list of choices."""
    if isinstance(value, Mapping | Range):
        return Range.model_validate(value)
    if not isinstance(value, tuple):
        forms = "a list of choices or a range such as {low: 1, high: 3}"
        raise section.not_as_expected(forms, value)
    if not 2 <= len(value) <= MAX_CHOICES:
        way_out = "; set it in the config itself" if value else ""
        raise section.value_error(
            f"expected from 2 to {MAX_CHOICES} choices, got {len(value)}{way_out}"
        )
    for at, choice in enumerate(value):
        if choice in value[:at]:
            raise section.value_error(f"has the choice {section.shown(choice)} twice")
    return value


def _parse_setting(value: object) -> object:
    """Return a range, a list of choices, or a mapping of settings to these."""
    if isinstance(value, Mapping):
        keys = [*Range.model_fields, *Range.synonyms]
        if not any(key in keys or did_you_mean(str(key), keys) for key in value):
            return _NESTED.validate_python(value)
    return _parse_variation(value)


Choices = Annotated[tuple[object, ...], Field(min_length=2, max_length=MAX_CHOICES)]
Variation = Annotated[
    Range | tuple[object, ...],
    PlainValidator(_parse_variation, json_schema_input_type=Range | Choices),
]
Nested = Mapping[str, Variation]
_NESTED: TypeAdapter[Nested] = TypeAdapter(Nested, config=ConfigDict(defer_build=True))
Space = Annotated[
    Mapping[
        str,
        Annotated[
            Range | tuple[object, ...] | Nested,
            PlainValidator(_parse_setting, json_schema_input_type=Range | Choices | Nested),
        ],
    ],
    Field(json_schema_extra={"minProperties": 1}),
    section.Described("paths of settings, each with a list of choices or a range"),
]


def varied(space: Space) -> Iterator[tuple[tuple[str, ...], Range | tuple[object, ...]]]:
    """Yield each range or list of choices of a search space, with its keys."""
    for key, value in space.items():
        if isinstance(value, Mapping):
            for inner, variation in value.items():
                yield (key, inner), variation
        else:
            yield (key,), value


Settings = Annotated[Mapping[str, object], Field(json_schema_extra={"minProperties": 1})]
"""Settings by their paths, each with its value; those of all hidden layers are below
`hidden_layers`."""


def assigned(settings: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield each value of settings, with its keys."""
    for key, value in settings.items():
        if key == HIDDEN_LAYERS and isinstance(value, Mapping):
            for inner, below in value.items():
                yield (key, inner), below
        else:
            yield (key,), value


_SPACE: TypeAdapter[Space] = TypeAdapter(Space, config=ConfigDict(defer_build=True))


def _parse_variants(value: object) -> object:
    """Return a search space, or a list of settings."""
    if not isinstance(value, tuple):
        return _SPACE.validate_python(value)
    if not value:
        raise section.value_error("is empty; list the settings of each further group, or omit it")
    for at, settings in enumerate(value):
        if not isinstance(settings, Mapping):
            example = "{optimizer.learning_rate: 0.003}"
            forms = f"the settings of each group, such as {example}, in item {at + 1}"
            raise section.not_as_expected(forms, settings)
    return value


Groups = Annotated[tuple[Settings, ...], Field(min_length=1)]
Variants = Annotated[
    Space | tuple[Settings, ...],
    PlainValidator(_parse_variants, json_schema_input_type=Space | Groups),
    section.Described(
        "paths of settings, each with a list of choices or a range; or a list of mappings from "
        "paths of settings to values"
    ),
]


class Tpe(section.Choice, name="tpe"):
    """Tree-structured Parzen estimator.

    The first candidates are random; later ones resemble the best candidates so far. Bergstra et
    al., Algorithms for Hyper-Parameter Optimization (2011).
    """

    startup_trials: section.NonNegativeInt = 10
    """Number of random candidates at the beginning."""


class RandomSampler(section.Choice, name="random"):
    """Each candidate is drawn at random."""


class Grid(section.Choice, name="grid"):
    """Each combination of values is evaluated once. Ranges must be integers or have a step."""


class MedianPruning(section.Choice, name="median"):
    """Stop a candidate that is worse than the median of earlier candidates at the same epoch.

    This rule (Golovin et al., Google Vizier, 2017) applies during the first fold or, if there are
    no folds, throughout training. After each fold, the mean metric of the candidate over its folds
    so far is compared with those of earlier candidates over the same folds. Because these means
    differ little, only a candidate in the worst quarter is then stopped.
    """

    startup_trials: section.NonNegativeInt = 5
    """Number of candidates that are trained completely before the first one may be stopped."""
    warmup: section.Fraction = 0.2
    """Fraction of the maximum number of epochs, in [0, 1). No candidate is stopped before it has
    been trained for this many epochs."""


class NoPruner(section.Choice, name="none"):
    """No candidate is stopped early."""


Sampler = Annotated[Tpe | RandomSampler | Grid, section.OneOf("sampler")]
Pruner = Annotated[MedianPruning | NoPruner, section.OneOf("pruner")]


class Tune(section.Section):
    """Search space and settings of `dlcli tune`; other commands ignore them."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "n_trials": "trials",
        "timeout": "time",
        "cv": "folds",
        "objective": "metric",
        "monitor": "metric",
        "search_space": "space",
    }

    metric: Annotated[
        TuneMetric, BeforeValidator(_add_prefix), WithJsonSchema({"enum": _METRIC_NAMES})
    ] = "val_loss"
    """Loss or metric that the search optimizes, on held-out rows. You may omit the prefix `val_`.

    Examples: [val_loss, r2]
    """
    trials: section.PositiveInt | None = None
    """Maximum number of candidates, that is, of configs that the search evaluates. Omitted: no
    maximum if `time` is set; all combinations with the sampler `grid`; else 50.

    Examples: [50]
    """
    time: Seconds | None = None
    """Time limit, in seconds or with units such as 90s, 10m or 1h30m. After this time, no new
    candidate is started. If `trials` is also set, the search ends when either limit is reached.
    Omitted: no limit.

    Examples: [10m]
    """
    space: Space | None = None
    """Settings to vary: each key is the path of a setting, and each value is a list of choices or a
    range. Settings below `hidden_layers` apply to all hidden layers; `hidden_layers.number` is the
    number of layers. Quote keys with an index, such as `"hidden[0].units"`. Omitted: the number of
    layers, units, dropout and learning rate are varied, in ranges that depend on the number of
    rows.

    Examples: [{batch_size: [32, 64, 128], hidden_layers: {dropout: {low: 0.0, high: 0.5}}}]
    """
    folds: Folds | None = None
    """Number of folds, if candidates are evaluated by cross-validation. Omitted: an ensemble with
    folds is evaluated on its out-of-fold rows, and a single network on the validation rows. If
    `space` is also omitted and there are fewer than 1,000 rows, a single network is evaluated by
    cross-validation with 5 folds.

    Examples: [5]
    """
    sampler: Sampler = Tpe()
    """Method that chooses the next candidate.

    Examples: [random]
    """
    pruner: Pruner = MedianPruning()
    """Rule that stops an unpromising candidate early."""

    @property
    def most_trials(self) -> int | None:
        """Maximum number of candidates; `None` if only time or the end of a grid is the limit."""
        if self.trials is not None or self.time is not None or isinstance(self.sampler, Grid):
            return self.trials
        return DEFAULT_TRIALS

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield settings that can't be varied at all, together or on a grid."""
        fixed = FIXED if self.metric != "val_loss" else {**FIXED, **_FIXED_FOR_LOSS}
        if self.space is not None:
            yield from space_conflicts("space", self.space, fixed)
        if isinstance(self.sampler, Grid):
            if self.space is None:
                message = "grid requires space, because the default space has a continuous range"
                yield "sampler", message
            for keys, values in varied(self.space or {}):
                if isinstance(values, Range) and values.count is None:
                    message = "has infinitely many values for a grid"
                    yield ("space", *keys), f"{message}; add a step, or list choices"


FIXED: Mapping[Path, str] = {
    ("data",): "candidates are compared on the same rows",
    ("name",): "it has no effect on the network",
    ("tune",): "it defines the search",
    ("metrics",): "they have no effect on the network; to compare by a metric, set tune.metric",
    ("decision",): "it has no effect on the network",
    ("initial_weights",): "they fit only one network architecture",
    ("initial_encoding",): "it fits only one set of columns",
    ("output", "units"): "they follow from the target",
    ("engine",): "it affects speed, not results",
    ("device",): "it affects speed, not results",
    ("threads",): "they affect speed, not results",
    ("time",): "it limits a single training run; vary epochs",
    ("checkpoint",): "it affects storage, not results",
    ("explanation",): "it affects explanations, not predictions",
}
"""Settings that are the same for all candidates, and why."""
_OTHER_LOSS = "it changes the loss that candidates are compared by; set another tune.metric"
_FIXED_FOR_LOSS: Mapping[Path, str] = {
    ("loss",): _OTHER_LOSS,
    ("output", "activation"): _OTHER_LOSS,  # numbers are scaled only for a linear one
    ("output", "scaling"): _OTHER_LOSS,
}
"""Settings that must also be the same if losses are compared."""


def space_conflicts(
    name: str, space: Space, fixed: Mapping[Path, str]
) -> Iterator[section.Conflict]:
    """Yield settings that can't be varied, alone or together.

    Args:
        name: the key of the search space.
        space: the search space.
        fixed: settings that can't be varied, and why.
    """
    if not space:
        yield name, "is empty; list the settings to vary, or omit it"
    yield from _path_conflicts((name,), space, fixed)
    hidden = space.get("hidden")
    if isinstance(hidden, Range) or (
        isinstance(hidden, tuple) and all(map(section.is_number, hidden))
    ):
        yield (
            (name, "hidden"),
            "expected a list of layer lists to choose from; to vary the units of all layers, "
            "write hidden_layers: {units: [16, 32]}",
        )
    yield from _layer_conflicts((name,), space)


def settings_conflicts(
    above: Path, settings: Mapping[str, object], fixed: Mapping[Path, str]
) -> Iterator[section.Conflict]:
    """Yield settings that a group of networks can't have, alone or together.

    Args:
        above: the path of the settings.
        settings: values by the paths of settings.
        fixed: the settings that always have the config's value, each with the reason.
    """
    if not settings:
        yield above, "is empty; the first group already has the settings of the config"
    yield from _path_conflicts(above, settings, fixed, are_values=True)
    yield from _layer_conflicts(above, settings, are_values=True)


def _layer_conflicts(
    above: Path, settings: Mapping[str, object], *, are_values: bool = False
) -> Iterator[section.Conflict]:
    """Yield problems of the settings of all hidden layers, and of their number."""
    layers = settings.get(HIDDEN_LAYERS, {})
    if not isinstance(layers, Mapping):
        forms = "{number: ..., units: ...}"
        yield (*above, HIDDEN_LAYERS), f"expected keys, as in {HIDDEN_LAYERS}: {forms}"
        return
    yield from _path_conflicts((*above, HIDDEN_LAYERS), layers, fixed={}, are_values=True)
    varied_in_all = {path: keys for keys, path in _paths_in_all_layers(settings)}
    in_one_key = {
        ".".join(keys): path for keys, path in _paths_in_all_layers(settings) if len(keys) == 1
    }
    for keys, path in _paths_in_all_layers(settings):
        if len(keys) > 1 and (message := _overlap(path, in_one_key)):
            yield (*above, *keys), message
    if varied_in_all and "hidden" in settings:
        keys = next(iter(varied_in_all.values()))[:1]
        yield (*above, *keys), "can't be combined with 'hidden'; choose one of them"
    yield from _conflicts_of_one_layer(above, settings, varied_in_all)
    if ("number",) not in varied_in_all:
        return
    keys = varied_in_all["number",]
    number = layers["number"] if len(keys) > 1 else settings[str(keys[0])]
    counts: tuple[object, ...] = number if isinstance(number, tuple) else (number,)
    expected = f"expected integers from 0 to {MAX_LAYERS}, choices or low and high"
    if are_values:
        counts = (number,)
        expected = f"expected an integer from 0 to {MAX_LAYERS}"
    elif isinstance(number, Range):
        step = () if number.step is None else (number.step,)
        counts = (number.low, number.high, *step)
    for count in counts:
        if not (section.is_number(count) and isinstance(count, int) and 0 <= count <= MAX_LAYERS):
            yield (*above, *keys), f"{expected}, got {section.shown(count)}"
            break


def _paths_in_all_layers(settings: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield each setting of all hidden layers: its keys, and its path within a layer.

    `hidden_layers.units` may also be written as one key.
    """
    for keys, _ in assigned(settings):
        with suppress(ValueError):  # reported with all other paths
            path = tuple(step for key in keys for step in parse_path(key))
            if path[0] == HIDDEN_LAYERS and len(path) > 1:
                yield keys, path[1:]


def _conflicts_of_one_layer(
    above: Path, settings: Mapping[str, object], varied_in_all: Mapping[Path, Path]
) -> Iterator[section.Conflict]:
    """Yield settings of one hidden layer that are also varied in all hidden layers."""
    for key in settings:
        with suppress(ValueError):
            first, *steps = parse_path(key)
            if first != "hidden" or not steps:
                continue
            own = tuple(steps[1:])
            for path in varied_in_all:
                size = min(len(own), len(path))
                if path != ("number",) and path[:size] == own[:size]:
                    other = format_path((HIDDEN_LAYERS, *path))
                    yield (
                        (*above, key),
                        f"can't be combined with '{other}', which varies all layers; choose one "
                        "of them",
                    )
                    break


def _path_conflicts(
    above: Path,
    settings: Mapping[str, object],
    fixed: Mapping[Path, str],
    *,
    are_values: bool = False,
) -> Iterator[section.Conflict]:
    """Yield settings that can't be varied, alone or together with an earlier setting.

    Args:
        above: keys above the settings.
        settings: what to vary, by path.
        fixed: settings that can't be varied, and why.
        are_values: whether `settings` has a value for each setting, which may be a mapping.
    """
    paths: dict[str, Path] = {}
    for key, value in settings.items():
        try:
            path = parse_path(key)
        except ValueError as error:
            yield (*above, key), str(error)
            continue
        message = _error(path, value, fixed, are_values)
        if path != (HIDDEN_LAYERS,):  # its settings are checked separately
            message = message or _overlap(path, paths)
            paths[key] = path
        if message:
            yield (*above, key), message


def _error(path: Path, value: object, fixed: Mapping[Path, str], are_values: bool) -> str | None:
    """Return why a path can't be varied, or None."""
    if isinstance(value, Mapping) and path != (HIDDEN_LAYERS,):
        if path == ("hidden",):
            below = ("number" if key == "layers" else key for key in value)
            return f"write {HIDDEN_LAYERS}: {{{', '.join(f'{key}: ...' for key in below)}}}"
        if len(path) == 1 and (near := did_you_mean(str(path[0]), [HIDDEN_LAYERS])):
            return f"unknown key{near}"
        if not are_values:
            whole = format_path((*path, next(iter(value))))
            return f"expected full paths of settings, such as {whole}: {{low: ..., high: ...}}"
    if path[0] == "hidden" and len(path) > 1 and isinstance(path[1], str):
        rest = format_path(path[1:])
        all_layers = f"{HIDDEN_LAYERS}: {{{rest}: ...}} for all layers"
        return f"expected {all_layers}, or hidden[0].{rest} for one layer"
    for other, reason in fixed.items():
        if path[: len(other)] == other:
            return f"can't be varied: {reason}"
        if other[: len(path)] == path:
            return f"can't be varied, because it contains '{format_path(other)}': {reason}"
    return None


def _overlap(path: Path, others: Mapping[str, Path]) -> str | None:
    """Return the message for a path that equals, contains or is part of another varied path."""
    for key, other in others.items():
        shorter, longer = sorted((path, other), key=len)
        if longer[: len(shorter)] != shorter:
            continue
        if longer == shorter:
            return f"is varied twice: here and as '{key}'"
        whole, part = format_path(shorter), format_path(longer)
        is_choice = whole in ("optimizer", "learning_rate_schedule", "loss")
        way_out = f"; vary '{whole}.name' instead" if is_choice else ""
        return f"'{part}' is part of '{whole}', which is also varied{way_out}"
    return None
