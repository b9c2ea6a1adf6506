"""Why a training may have diverged: what lies far from usual, and how to try again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcli.config import (
    EXTREME_RATE_FACTOR,
    Config,
    ExponentialDecay,
    Hidden,
    MeanAbsolutePercentageError,
    Optimizer,
    Output,
    PiecewiseConstant,
    Setting,
    format_path,
    typical_learning_rate,
)
from dlcli.training.job import Job
from dlcli.training.scales import input_scales, target_scales

MOST = 3
"""How many causes are told."""
FAR_WEIGHT = 10.0
"""How large first weights, or those of rows, may be before that moves outputs too far."""
HALF_PRECISION_END = 65_504
"""The largest number of float16."""

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True)
class Cause:
    """Something far from usual."""

    weight: float
    """How far: what is told first lies farthest."""
    finding: str
    """What was found, with its numbers."""
    settings: tuple[Setting, ...]
    """What to try instead."""

    def __str__(self) -> str:
        settings = " ".join(f"--set {shlex.quote(f'{key}={to}')}" for key, to in self.settings)
        return f"{self.finding}; try {settings}"


def likely_causes(job: Job) -> list[Cause]:
    """What may have led a job out of the numbers, the likeliest first.

    Args:
        job: what was trained on what.
    """
    rates = list(_rates(job.config))
    scales = [*input_scales(job), *target_scales(job)]
    found = [
        *rates,
        *(Cause(scale.excess, scale.finding, scale.settings) for scale in scales),
        *_row_weights(job),
        *_activations(job),
        *_first_weights(job.config),
        *_ratios(job),
        *_precision(job.config),
    ]
    found.sort(key=lambda cause: cause.weight, reverse=True)
    if not rates and all(scale.moves_weights for scale in scales):
        found += _clipping(job.config.optimizer)
    if all(cause.weight <= 0 for cause in found):
        found.append(_smaller_steps(job.config.optimizer))
    return found[:MOST]


def _rates(config: Config) -> Iterator[Cause]:
    optimizer, schedule = config.optimizer, config.learning_rate_schedule
    rate, usual = optimizer.learning_rate, typical_learning_rate(optimizer)
    times = f"times the usual {usual:g} of {optimizer.name}"
    if rate > EXTREME_RATE_FACTOR * usual:
        finding = f"optimizer.learning_rate {rate:g} is {rate / usual:.3g} {times}"
        yield Cause(rate / usual, finding, (("optimizer.learning_rate", f"{usual:g}"),))
    highest = rate
    if isinstance(schedule, PiecewiseConstant):
        highest = max(schedule.values, default=0.0)
    elif isinstance(schedule, ExponentialDecay) and schedule.decay_rate > 1:
        with np.errstate(over="ignore"):
            grown = np.float64(schedule.decay_rate) ** (config.epochs / schedule.decay_epochs)
        highest = rate * float(grown)
    if highest > max(rate, EXTREME_RATE_FACTOR * usual):
        finding = f"learning_rate_schedule rises to {highest:.3g}, {highest / usual:.3g} {times}"
        yield Cause(highest / usual, finding, (("learning_rate_schedule", "constant"),))


def _row_weights(job: Job) -> Iterator[Cause]:
    """A loss that is the multiple of what it would be without weights, and its steps with it."""
    if job.loss_weights is None:
        return
    mean, rate = float(job.loss_weights.mean()), job.config.optimizer.learning_rate
    if mean > FAR_WEIGHT:
        finding = f"a row counts {mean:.3g} times on average, and steps grow with that"
        yield Cause(mean, finding, (("optimizer.learning_rate", f"{rate / mean:.2g}"),))


def _activations(job: Job) -> Iterator[Cause]:
    """Exponentials, which leave float32 at exp(88.7)."""
    assert job.head.output.activation is not None  # resolved
    layers = [("output", job.head.output.activation.name)]
    layers += [
        (format_path(("hidden", at)), hidden.activation.name)
        for at, hidden in enumerate(job.config.hidden)
    ]
    for path, name in layers:
        if name == "exponential":
            finding = f"{path}.activation is exponential, which no number holds from exp(89) on"
            yield Cause(30, finding, ((f"{path}.activation", "softplus"),))


def _first_weights(config: Config) -> Iterator[Cause]:
    """Initializers that don't keep outputs near 1."""
    layers: list[tuple[str, Hidden | Output]] = [("output", config.output)]
    layers += [(format_path(("hidden", at)), hidden) for at, hidden in enumerate(config.hidden)]
    for path, layer in layers:
        for key in ("kernel_initializer", "bias_initializer"):
            section = getattr(layer, key)
            sizes = {name: abs(value) for name, value in section if isinstance(value, float)}
            name = max(sizes, key=lambda name: sizes[name], default="")
            if name and sizes[name] > FAR_WEIGHT:
                finding = f"{path}.{key} {section.name} has {name} {getattr(section, name):g}"
                usual = type(layer).model_fields[key].default.name
                yield Cause(sizes[name], finding, ((f"{path}.{key}", usual),))


def _ratios(job: Job) -> Iterator[Cause]:
    """A loss that is divided by a target near 0."""
    if not isinstance(job.head.loss, MeanAbsolutePercentageError):
        return
    sizes = np.abs(job.train.target)
    least, mean = float(sizes.min()), float(sizes.mean())
    if least < mean / 100:
        finding = f"the loss divides by the target, which comes as near to 0 as {least:g}"
        settings = (("loss", "mean_absolute_error"),)
        yield Cause(mean / max(least, mean * 1e-7), finding, settings)


def _precision(config: Config) -> Iterator[Cause]:
    if config.precision == "mixed_float16":
        finding = f"precision mixed_float16 has no number beyond {HALF_PRECISION_END}"
        yield Cause(20, finding, (("precision", "mixed_bfloat16"),))


def _clipping(optimizer: Optimizer) -> Iterator[Cause]:
    """Steps that are as long as the gradients; those of all but SGD are measured by others."""
    if optimizer.name == "sgd" and not any(getattr(optimizer, key) for key in _CLIPS):
        finding = "steps of sgd are as long as the gradients, which nothing clips"
        yield Cause(0, finding, (("optimizer.clipnorm", "1.0"),))


def _smaller_steps(optimizer: Optimizer) -> Cause:
    finding = "learning rate, inputs and target are as usual: smaller steps may do"
    rate = f"{optimizer.learning_rate / 10:g}"
    return Cause(0, finding, (("optimizer.learning_rate", rate),))
