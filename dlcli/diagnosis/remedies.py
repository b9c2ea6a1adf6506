"""Changes of a config that more than one rule proposes; none where they would change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from dlcli.config import (
    EXTREME_RATE_FACTOR,
    L2,
    Config,
    ConstantLearningRate,
    Image,
    LeakyRelu,
    Linear,
    Relu,
    Section,
    Setting,
    format_path,
    typical_learning_rate,
)
from dlcli.diagnosis.finding import Patch, number

_LIGHT, _HEAVY = 0.3, 0.5
"""Shares of dropout: what one begins with, and the most that is usual (Srivastava et al. 2014)."""
_PRICE = 0.001
"""The l2 that one begins with."""
_HIGHEST_PRICE = 0.1
_MOST_UNITS = 4096
_PATIENCE = 10

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


def present(*patches: Patch | None) -> tuple[Patch, ...]:
    """Those of some patches that there are."""
    return tuple(patch for patch in patches if patch is not None)


def each_hidden(config: Config, key: str, value: str, places: Iterable[int] = ()) -> list[Setting]:
    """One setting for a key of all hidden layers, or some."""
    chosen = list(places) or range(len(config.hidden))
    return [(f"{format_path(('hidden', at))}.{key}", value) for at in chosen]


def dropout(config: Config) -> Patch | None:
    """More dropout in each hidden layer that has little."""
    least = min((layer.dropout for layer in config.hidden), default=1.0)
    share = _LIGHT if least < _LIGHT else _HEAVY
    places = [at for at, layer in enumerate(config.hidden) if layer.dropout < share]
    if not places:
        return None
    why = "silences units by chance in each training step, so that none can learn rows by heart"
    return Patch("dropout", why, tuple(each_hidden(config, "dropout", f"{share:g}", places)))


def weight_price(config: Config) -> Patch | None:
    """A price on large weights, or a higher one."""
    found = [layer.kernel_regularizer for layer in config.hidden]
    prices = [each.l2 if isinstance(each, L2) else 0.0 for each in found]
    others = [each for each in found if each is not None and not isinstance(each, L2)]
    price = max(10 * max(prices, default=0.0), _PRICE)
    if not found or others or price > _HIGHEST_PRICE:
        return None
    value = f"{{name: l2, l2: {number(price)}}}"
    why = "puts a price on large weights, which makes what is learned smoother"
    return Patch("l2", why, tuple(each_hidden(config, "kernel_regularizer", value)))


def fewer_units(config: Config) -> Patch | None:
    """Half the units of each hidden layer."""
    if not config.hidden or min(layer.units for layer in config.hidden) < 4:
        return None
    why = "leaves less room to learn rows by heart"
    return Patch("fewer-units", why, _units(config, lambda units: units // 2))


def more_units(config: Config, factor: int = 4) -> Patch | None:
    """Wider hidden layers; a first one, if there is none."""
    if not config.hidden:
        return another_layer(config)
    if max(layer.units for layer in config.hidden) * factor > _MOST_UNITS:
        return None
    why = "gives each layer more to tell rows apart by"
    return Patch("more-units", why, _units(config, lambda units: units * factor))


def _units(config: Config, change: Callable[[int], int]) -> tuple[Setting, ...]:
    return tuple(
        (f"{format_path(('hidden', at))}.units", str(change(layer.units)))
        for at, layer in enumerate(config.hidden)
    )


def another_layer(config: Config) -> Patch:
    """One more hidden layer, of as many units as the last."""
    at = len(config.hidden)
    units = config.hidden[-1].units if config.hidden else 32
    value = f"{{units: {max(units, 8)}, activation: relu}}"
    why = "lets the network build on what the layers below it have found"
    return Patch("layer", why, ((format_path(("hidden", at)), value),))


def bend(config: Config) -> Patch | None:
    """An activation for hidden layers that have none."""
    places = [at for at, layer in enumerate(config.hidden) if layer.activation == Linear()]
    if not places:
        return None
    why = "bends the line: layers without an activation are together no more than one layer"
    return Patch("relu", why, tuple(each_hidden(config, "activation", "relu", places)))


def epochs(config: Config, factor: int) -> Patch:
    """More epochs."""
    why = "goes on for longer"
    return Patch("epochs", why, (("epochs", str(config.epochs * factor)),))


def rate(config: Config, factor: float) -> Patch:
    """Another learning rate."""
    learning_rate = float(f"{config.optimizer.learning_rate * factor:.2g}")
    times = f"{factor:g} times" if factor > 1 else f"a {_PARTS[round(1 / factor)]} of"
    why = f"takes steps of {times} the length"
    name = f"rate-times-{factor:g}" if factor > 1 else f"rate-{_PARTS[round(1 / factor)]}"
    return Patch(name, why, (("optimizer.learning_rate", f"{learning_rate:g}"),))


_PARTS = {3: "third", 10: "tenth"}


def to_usual_rate(config: Config) -> Patch | None:
    """The optimizer's usual rate, where that is far below the one there is."""
    usual = typical_learning_rate(config.optimizer)
    if config.optimizer.learning_rate <= EXTREME_RATE_FACTOR * usual:
        return None
    why = f"takes the rate that {config.optimizer.name} usually has"
    return Patch("usual-rate", why, (("optimizer.learning_rate", f"{usual:g}"),))


def falling_rate(config: Config) -> Patch | None:
    """A rate that goes down to 0, where it is constant."""
    if not isinstance(config.learning_rate_schedule, ConstantLearningRate):
        return None
    why = "lets the steps become smaller towards the end, so that training settles"
    return Patch("cosine", why, (("learning_rate_schedule", "cosine_decay"),))


def reduced_rate(config: Config) -> Patch | None:
    """A rate that goes down whenever the loss stands still, where it is constant."""
    if not isinstance(config.learning_rate_schedule, ConstantLearningRate):
        return None
    monitor = "val_loss" if config.data.has_validation else "loss"
    value = f"{{name: reduce_on_plateau, monitor: {monitor}, factor: 0.3, patience: 5}}"
    why = "makes the steps smaller whenever the loss stands still"
    return Patch("on-plateau", why, (("learning_rate_schedule", value),))


def clipping(config: Config) -> Patch | None:
    """A limit to the length of a step's gradient, where there is none."""
    if any(getattr(config.optimizer, key) for key in _CLIPS):
        return None
    why = "cuts gradients to length 1, so that no single step goes far"
    return Patch("clipnorm", why, (("optimizer.clipnorm", "1.0"),))


def normalization(config: Config) -> Patch | None:
    """Batch normalization in each hidden layer that has none."""
    places = [at for at, layer in enumerate(config.hidden) if layer.batch_normalization is None]
    if not places:
        return None
    why = "keeps what each layer passes on near mean 0 and deviation 1 (Ioffe & Szegedy 2015)"
    return Patch(
        "normalized", why, tuple(each_hidden(config, "batch_normalization", "true", places))
    )


def rectified(config: Config, places: Iterable[int] = ()) -> Patch | None:
    """ReLU with the first weights that suit it, for layers with another activation."""
    chosen = [
        at
        for at in (list(places) or range(len(config.hidden)))
        if not isinstance(config.hidden[at].activation, Relu | LeakyRelu)
    ]
    if not chosen:
        return None
    settings = [
        *each_hidden(config, "activation", "relu", chosen),
        *each_hidden(config, "kernel_initializer", "he_normal", chosen),
    ]
    why = (
        "takes relu, whose slope does not fade, and the first weights that suit it (He et al. 2015)"
    )
    return Patch("relu", why, tuple(settings))


def fewer_layers(config: Config) -> Patch | None:
    """The first half of the hidden layers."""
    if len(config.hidden) < 3:
        return None
    kept = [compact(layer) for layer in config.hidden[: len(config.hidden) // 2]]
    why = "has fewer layers for the gradient to come through"
    return Patch("fewer-layers", why, (("hidden", json.dumps(kept)),))


def earlier_stop(config: Config) -> Patch | None:
    """An end at the best epoch, where there are rows to tell it by."""
    stopping, optimizer = config.early_stopping, config.optimizer
    averaged = optimizer.use_ema and optimizer.ema_overwrite_frequency is None
    if not config.data.has_validation or averaged or (stopping and stopping.restore_best_weights):
        return None
    why = "ends once validation rows are predicted no better, and keeps the best epoch's weights"
    value = f"{{monitor: val_loss, patience: {_PATIENCE}}}"
    return Patch("early-stopping", why, (("early_stopping", value),))


def augmentation(config: Config) -> Patch | None:
    """Images that vary from step to step, where they don't."""
    images = {
        name: feature
        for name, feature in (config.input.features or {}).items()
        if isinstance(feature, Image) and feature.augmentation is None
    }
    settings = tuple(
        (
            f"{format_path(('input', 'features', name))}.augmentation",
            f"{{shift: {_shift(feature)}}}",
        )
        for name, feature in images.items()
    )
    why = "moves images a little in each step, which makes more of them"
    return Patch("augmentation", why, settings) if settings else None


def _shift(feature: Image) -> int:
    """A tenth of the shorter side, at least one pixel and less than the side."""
    side = min(feature.shape[:2])
    return min(max(1, side // 10), side - 1)


def compact(section: Section) -> object:
    """A section as one writes it: what differs from the defaults."""
    return dict(_told(section))


def _told(section: Section) -> Iterator[tuple[str, object]]:
    for key, value in section:
        if key == "name" or section.differs(key) or type(section).model_fields[key].is_required():
            yield key, compact(value) if isinstance(value, Section) else value
