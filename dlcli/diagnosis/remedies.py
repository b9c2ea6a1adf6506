"""Findings of rules, and the config changes that they suggest."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dlcli.config.config_file import to_short
from dlcli.config.config_schema import Config, Hidden
from dlcli.config.layer_choices import L2, Linear
from dlcli.config.training_choices import ConstantLearningRate, Optimizer
from dlcli.errors import by_caller
from dlcli.schema.yaml_document import format_path

Setting = tuple[str, str]
"""Path of a key, and a value for it."""
EXTREME_RATE_FACTOR = 2.0
"""Multiple of the typical learning rate above which a rate is extreme."""
_LIGHT, _HEAVY = 0.3, 0.5
"""Dropout rates: a usual first value, and the highest usual one (Srivastava et al. 2014)."""
_PENALTY = 0.001
"""A usual first value of `l2`."""
_HIGHEST_PENALTY = 0.1
_MOST_UNITS = 4096
_PATIENCE = 10
_AVERAGED = 5
"""Number of networks to average: most of the gain of many, at five times the training time."""
_PARTS = {3: "third", 10: "tenth"}


@dataclass(frozen=True)
class Patch:
    """A change of the config that may help."""

    name: str
    """Short name, also for a folder: `dropout`."""
    why: str
    """The effect, in one line."""
    settings: tuple[Setting, ...]
    """Paths and values to set; at least one."""
    networks: int = 1
    """The number of networks to train instead of one, about the factor of the training time."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings in the format of `load_config`."""
        return tuple(f"{path}={value}" for path, value in self.settings)

    @property
    def options(self) -> str:
        """The settings as command-line options, quoted for a shell."""
        return shlex.join(word for override in self.overrides for word in ("--set", override))

    @property
    def advice(self) -> str:
        """The options, or in Python the equivalent argument; for numbers and texts."""
        values = {path: _number_or_text(value) for path, value in self.settings}
        return by_caller(self.options, f"overrides={values}")

    def command(self, config: Path) -> str:
        """Return the command that trains a run's config with this patch, quoted for a shell.

        It names the new run after the patch, so the runs of two suggestions have different names.

        Args:
            config: the `resolved.yaml` of the run.
        """
        run = re.sub("[^A-Za-z0-9._-]", "-", config.absolute().parent.name).lstrip("._-")
        name = f"{run[: _LONGEST_NAME - len(self.name) - 1] or 'run'}-{self.name}"
        command = shlex.join(["dlcli", "train", str(config)])
        return f"{command} {self.options} --set name={name}"


_LONGEST_NAME = 64
"""Maximum length of the name of a run."""


def _number_or_text(value: str) -> float | str:
    with suppress(ValueError):
        return int(value)
    with suppress(ValueError):
        return float(value)
    return value


@dataclass(frozen=True)
class Finding:
    """The result of a rule that found a problem."""

    rule: str
    """Name of the rule: `overfitting`."""
    observation: str
    """The evidence, with its numbers."""
    meaning: str
    """The usual meaning of the evidence."""
    patches: tuple[Patch, ...]
    """Changes to try, the most promising first; empty if no config change can help."""
    source: str
    """The literature behind the rule, with the year."""
    title: str = ""
    """The title for people. [default: the name of the rule]"""

    @property
    def heading(self) -> str:
        """The title, else the name of the rule in words."""
        return self.title or self.rule.replace("_", " ")


def number(value: float) -> str:
    """Format a number to three significant digits."""
    return f"{float(f'{value:.3g}'):.12g}"


def percent(share: float) -> str:
    """Format a share as a percentage."""
    return f"{number(100 * share)} %"


# Patches; `None` where a change would have no effect.


def present(*patches: Patch | None) -> tuple[Patch, ...]:
    """Drop patches that are `None` or have the same settings as an earlier one."""
    distinct: dict[tuple[Setting, ...], Patch] = {}
    for patch in patches:
        if patch is not None:
            distinct.setdefault(patch.settings, patch)
    return tuple(distinct.values())


Applies = Callable[[Hidden], object]
"""Returns true for a hidden layer to change."""
Layers = Collection[int] | None
"""Indices of hidden layers; `None` for all."""


def change_hidden(
    config: Config,
    name: str,
    why: str,
    applies: Applies = bool,
    among: Layers = None,
    **changes: str,
) -> Patch | None:
    """Set keys of the hidden layers that meet a condition.

    Args:
        config: the config to change.
        name: name of the patch.
        why: its effect.
        applies: the condition; all layers if omitted.
        among: the layers to look at.
        changes: values by key of a hidden layer.
    """
    layers = [(at, layer) for at, layer in enumerate(config.hidden) if among is None or at in among]
    paths = [format_path(("hidden", at)) for at, layer in layers if applies(layer)]
    settings = [(f"{path}.{key}", value) for key, value in changes.items() for path in paths]
    return Patch(name, why, tuple(settings)) if settings else None


def dropout(config: Config) -> Patch | None:
    """Increase the dropout of hidden layers with little dropout."""
    least = min((layer.dropout for layer in config.hidden), default=1.0)
    rate = _LIGHT if least < _LIGHT else _HEAVY
    why = "drops random units in each training step, which reduces overfitting"
    value = f"{rate:g}"
    return change_hidden(config, "dropout", why, lambda layer: layer.dropout < rate, dropout=value)


def averaging(config: Config) -> Patch | None:
    """Average several networks, if the config has one network and validation rows."""
    others = config.ensemble or config.distill or config.initial_weights
    if others is not None or not config.data.has_validation:
        return None
    why = f"averages {_AVERAGED} networks with different random seeds, which reduces random errors"
    settings = (("ensemble", f"{{members: {_AVERAGED}, folds: none}}"),)
    return Patch("averaging", why, settings, networks=_AVERAGED)


def general(config: Config) -> tuple[Patch, ...]:
    """Return changes that often help a single network, whatever the findings."""
    if config.ensemble is not None or not config.data.has_validation:
        return ()
    return present(
        early_stopping(config),
        cosine_decay(config),
        dropout(config),
        learning_rate(config, 1 / 3),
        fewer_units(config),
        more_units(config),
    )


def no_scaling_layer(config: Config) -> Patch | None:
    """Remove the scaling layer."""
    if config.input.scaling_layer is None:
        return None
    why = "removes the scaling layer, whose weights learn fast and may fit noise"
    return Patch("no-scaling-layer", why, (("input.scaling_layer", "null"),))


def weight_penalty(config: Config) -> Patch | None:
    """Add an L2 penalty on large weights, or increase it."""
    found = [layer.kernel_regularizer for layer in config.hidden]
    penalty = max([_PENALTY, *(10 * each.l2 for each in found if isinstance(each, L2))])
    if any(each and not isinstance(each, L2) for each in found) or penalty > _HIGHEST_PENALTY:
        return None
    why = "penalizes large weights, which makes predictions smoother"
    value = f"{{name: l2, l2: {number(penalty)}}}"
    return change_hidden(config, "l2", why, kernel_regularizer=value)


def unregularized(config: Config) -> Patch | None:
    """Remove dropout and weight penalties."""
    settings = tuple(
        (f"{format_path(('hidden', at))}.{key}", value)
        for key, value in (("dropout", "0.0"), ("kernel_regularizer", "null"))
        for at, layer in enumerate(config.hidden)
        if getattr(layer, key)
    )
    why = "removes regularization, which limits what the network can fit"
    return Patch("unregularized", why, settings) if settings else None


def fewer_units(config: Config) -> Patch | None:
    """Halve the units of each hidden layer."""
    if not config.hidden or min(layer.units for layer in config.hidden) < 4:
        return None
    why = "reduces the capacity to memorize rows"
    return Patch("fewer-units", why, _scaled_units(config, 1 / 2))


def more_units(config: Config) -> Patch | None:
    """Quadruple the units of the hidden layers; if there is no layer, add one."""
    if not config.hidden:
        return another_layer(config)
    if max(layer.units for layer in config.hidden) * 4 > _MOST_UNITS:
        return None
    why = "gives each layer more capacity"
    return Patch("more-units", why, _scaled_units(config, 4))


def _scaled_units(config: Config, factor: float) -> tuple[Setting, ...]:
    return tuple(
        (f"{format_path(('hidden', at))}.units", str(int(layer.units * factor)))
        for at, layer in enumerate(config.hidden)
    )


def another_layer(config: Config) -> Patch:
    """Add a hidden layer with as many units as the last."""
    units = config.hidden[-1].units if config.hidden else 32
    value = f"{{units: {max(units, 8)}, activation: relu}}"
    why = "lets the network combine the features of earlier layers"
    return Patch("layer", why, ((format_path(("hidden", len(config.hidden))), value),))


def fewer_layers(config: Config) -> Patch | None:
    """Keep the first half of the hidden layers."""
    if len(config.hidden) < 3:
        return None
    kept = to_short(config.hidden[: len(config.hidden) // 2])
    why = "shortens the path of the gradient"
    return Patch("fewer-layers", why, (("hidden", json.dumps(kept)),))


def nonlinear(config: Config) -> Patch | None:
    """Add an activation to hidden layers without one."""
    why = "makes the network nonlinear: layers without an activation equal one linear layer"
    return change_hidden(
        config, "relu", why, lambda layer: layer.activation == Linear(), activation="relu"
    )


def normalization(config: Config) -> Patch | None:
    """Add batch normalization to hidden layers without it."""
    why = "keeps the outputs of each layer near mean 0 and variance 1 (Ioffe & Szegedy 2015)"
    return change_hidden(
        config,
        "normalized",
        why,
        lambda layer: layer.batch_normalization is None,
        batch_normalization="true",
    )


def rectified(config: Config, among: Layers = None) -> Patch | None:
    """Use ReLU, with suitable initial weights, in layers with another activation."""
    why = (
        "uses relu, whose gradient does not vanish, with matching initial weights (He et al. 2015)"
    )

    def is_other(layer: Hidden) -> bool:
        return layer.activation.name not in ("relu", "leaky_relu")

    changes = {"activation": "relu", "kernel_initializer": "he_normal"}
    return change_hidden(config, "relu", why, is_other, among, **changes)


def initial_weights(
    config: Config, initializer: str, why: str, among: Layers = None, *instead_of: str
) -> Patch | None:
    """Use an initializer in layers whose initializer is from another family.

    Args:
        config: the config to change.
        initializer: name of the initializer; its family is the part before `_`.
        why: its effect.
        among: the layers to look at.
        instead_of: other families that are as good, which stay.
    """
    family = initializer.partition("_")[0]

    def is_other(layer: Hidden) -> bool:
        return not layer.kernel_initializer.name.startswith((f"{family}_", *instead_of))

    return change_hidden(config, family, why, is_other, among, kernel_initializer=initializer)


def more_epochs(config: Config, factor: int) -> Patch:
    """Train for more epochs, or for all of them."""
    if config.stop_after_epoch is not None:
        return Patch("epochs", "trains to the end", (("stop_after_epoch", "null"),))
    return Patch("epochs", "trains for longer", (("epochs", str(config.epochs * factor)),))


def learning_rate(config: Config, factor: float) -> Patch:
    """Multiply the learning rate."""
    rate = float(f"{config.optimizer.learning_rate * factor:.2g}")
    name = f"rate-times-{factor:g}" if factor > 1 else f"rate-{_PARTS[round(1 / factor)]}"
    change = f"multiplies the learning rate by {factor:g}"
    why = change if factor > 1 else f"divides the learning rate by {round(1 / factor)}"
    return Patch(name, why, (("optimizer.learning_rate", f"{rate:g}"),))


def typical_learning_rate(optimizer: Optimizer) -> float:
    """Return the typical learning rate: Keras's default, or 1 for Adadelta, as in its paper."""
    return 1.0 if optimizer.name == "adadelta" else type(optimizer)().learning_rate


def times_typical(rate: float, optimizer: Optimizer) -> str:
    """Compare a learning rate with the typical one: `10,000 times the usual 0.001 of adam`."""
    usual = typical_learning_rate(optimizer)
    times = rate / usual
    shown = f"{times:,.0f}" if 10 <= times < 1e9 else f"{times:.3g}"
    return f"{shown} times the usual {usual:g} of {optimizer.name}"


def usual_learning_rate(config: Config) -> Patch | None:
    """Use the optimizer's usual learning rate if the configured one is far higher."""
    usual = typical_learning_rate(config.optimizer)
    if config.optimizer.learning_rate <= EXTREME_RATE_FACTOR * usual:
        return None
    why = f"uses the usual learning rate of {config.optimizer.name}"
    return Patch("usual-rate", why, (("optimizer.learning_rate", f"{usual:g}"),))


def cosine_decay(config: Config) -> Patch | None:
    """Decrease a constant learning rate to 0, unless it is far too high from the beginning."""
    if usual_learning_rate(config) is not None:
        return None
    why = "decays the learning rate towards the end, so training converges"
    return _schedule(config, "cosine", why, "cosine_decay")


def reduce_on_plateau(config: Config) -> Patch | None:
    """Decrease a constant learning rate whenever the loss stops improving."""
    monitor = "val_loss" if config.has_validation else "loss"
    value = f"{{name: reduce_on_plateau, monitor: {monitor}, factor: 0.3, patience: 5}}"
    why = "reduces the learning rate whenever the loss stops improving"
    return _schedule(config, "on-plateau", why, value)


def _schedule(config: Config, name: str, why: str, value: str) -> Patch | None:
    if not isinstance(config.learning_rate_schedule, ConstantLearningRate):
        return None
    return Patch(name, why, (("learning_rate_schedule", value),))


def clipping(config: Config) -> Patch | None:
    """Clip gradients if they are not clipped."""
    keys = ("clipnorm", "clipvalue", "global_clipnorm")
    if any(getattr(config.optimizer, key) for key in keys):
        return None
    why = "clips gradients to norm 1, so a batch with an extreme gradient has less influence"
    return Patch("clipnorm", why, (("optimizer.clipnorm", "1.0"),))


def early_stopping(config: Config) -> Patch | None:
    """Add early stopping if there are validation rows."""
    stopping, optimizer = config.early_stopping, config.optimizer
    averaged = optimizer.use_ema and optimizer.ema_overwrite_frequency is None
    if not config.has_validation or averaged or (stopping and stopping.restore_best_weights):
        return None
    why = "stops once the validation loss no longer improves, and keeps the best epoch's weights"
    value = f"{{monitor: val_loss, patience: {_PATIENCE}}}"
    return Patch("early-stopping", why, (("early_stopping", value),))


def augmentation(config: Config) -> Patch | None:
    """Augment the images of columns without augmentation."""
    settings = []
    for name, feature in (config.input.features or {}).items():
        if (value := feature.augmentation_to_try) is not None:
            path = f"{format_path(('input', 'features', name))}.augmentation"
            settings.append((path, value))
    why = "shifts images slightly in each step (data augmentation)"
    return Patch("augmentation", why, tuple(settings)) if settings else None
