"""The end of a network: output, loss and metrics, completed from the task and checked with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dlcli.config import (
    ACTIVATIONS,
    LOSSES,
    Activation,
    Config,
    Loss,
    MetricName,
    Output,
    Unscaled,
    format_path,
)
from dlcli.errors import ConfigError, Problem
from dlcli.tasks import Task

Problems = Iterator[tuple[str, str]]
"""The paths of keys, and what is wrong with each."""


@dataclass(frozen=True)
class Head:
    """Output, loss and metrics, complete."""

    output: Output
    """With units and activation, and for numbers a scaling."""
    loss: Loss
    """The loss that training minimizes."""
    metrics: tuple[MetricName, ...]
    """The metrics that each epoch shows besides."""

    @property
    def has_margin(self) -> bool:
        """Whether the one output for two classes is a margin around 0, not a probability."""
        return bool(self.loss.output == "margin")

    @property
    def has_deviance(self) -> bool:
        """Whether numbers are trained as means of counts, which have a Poisson deviance."""
        return bool(self.loss.name == "poisson")


def resolve_head(config: Config, task: Task) -> Head:
    """Complete what the config omits of output, loss and metrics.

    Args:
        config: its `output`, `loss`, `metrics`, `class_weight` and monitors are read.
        task: what is predicted.

    Raises:
        ConfigError: with everything in which they contradict the task.
    """
    loss = config.loss or task.default_loss(config.output)
    activation = config.output.activation or loss.default_activation
    update = {
        "units": config.output.units or task.output_units(loss),
        "activation": activation,
        "scaling": config.output.scaling or task.default_scaling(loss, activation),
    }
    metrics = config.metrics if config.metrics is not None else task.epoch_metrics(loss)[:1]
    head = Head(config.output.model_copy(update=update), loss, metrics)
    problems = [Problem(path, message) for path, message in _problems(head, config, task)]
    if problems:
        raise ConfigError(problems)
    return head


def _problems(head: Head, config: Config, task: Task) -> Problems:
    if task.form not in head.loss.fits:
        yield "loss", _misfit(head.loss, task)
    yield from _output_problems(head, config, task)
    fitting = task.epoch_metrics(head.loss)
    for at, metric in enumerate(head.metrics):
        if metric not in fitting:
            message = f"'{metric}' does not fit the target {task.name} ({task.words})"
            yield f"metrics[{at}]", f"{message}; use {', '.join(fitting)}"
    for key in ("early_stopping", "learning_rate_schedule"):
        monitor = getattr(getattr(config, key), "monitor", "loss")
        if monitor.removeprefix("val_") not in {"loss", *head.metrics}:
            yield f"{key}.monitor", f"'{monitor}' is not measured; add it to metrics"
    if config.class_weight:
        for name, message in task.class_weight_problems(config.class_weight):
            yield format_path(("class_weight", *([] if name is None else [name]))), message


def _misfit(loss: Loss, task: Task) -> str:
    fitting = [other.model_fields["name"].default for other in LOSSES if task.form in other.fits]
    message = f"'{loss.name}' does not fit the target {task.name} ({task.words})"
    return f"{message}; use one of {', '.join(fitting)}{task.other_type_for(loss)}"


def _output_problems(head: Head, config: Config, task: Task) -> Problems:
    output, loss, units = head.output, head.loss, task.output_units(head.loss)
    has_numbers = task.outcome == "numbers"
    if output.scaling is not None and not has_numbers:
        yield "output.scaling", f"is for numbers, not for the target {task.name} ({task.words})"
    if output.units != units:
        message = f"expected {units} ({task.explain_units(loss)}), got {output.units}"
        yield "output.units", message
    elif config.output.activation is not None:  # the default one of a loss fits it
        yield from _activation_problems(config.output.activation, head, has_numbers=has_numbers)
    if has_numbers and loss.needs_original_scale and output.scaling not in (None, Unscaled()):
        yield "output.scaling", f"'{loss.name}' needs the target's own unit; use none"


def _activation_problems(activation: Activation, head: Head, *, has_numbers: bool) -> Problems:
    loss, path = head.loss, "output.activation"
    if head.output.units == 1 and activation.across_units:
        instead = "linear" if has_numbers else "sigmoid"
        yield path, f"'{activation.name}' of one unit is constant; use {instead}"
    elif loss.output not in activation.gives:
        fitting = [each for each in ACTIVATIONS if loss.output in each.gives]
        fitting.sort(key=lambda each: not isinstance(loss.default_activation, each))
        names = ", ".join(each.model_fields["name"].default for each in fitting)
        yield path, f"'{activation.name}' does not fit the loss '{loss.name}'; use {names}"
