"""Output, loss and metrics against the target: what contradicts it, and what would fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dlcli.config import ACTIVATIONS, LOSSES, Activation, Config, Loss, Unscaled, format_path
from dlcli.errors import ConfigError, Problem, did_you_mean
from dlcli.network.head import Head, fill_in, metrics_of, units_for
from dlcli.tasks import TargetKind

Found = Iterator[tuple[str, str]]
"""The paths of keys, and what is wrong with each."""


def resolve_head(config: Config, target: TargetKind) -> Head:
    """Fills in what the config leaves out of output, loss and metrics.

    Args:
        config: reads `output`, `loss`, `metrics`, `class_weight` and what is monitored.
        target: what is predicted.

    Raises:
        ConfigError: with everything in which they contradict the target.
    """
    head = fill_in(config, target)
    problems = [Problem(path, message) for path, message in _contradictions(head, config, target)]
    if problems:
        raise ConfigError(problems)
    return head


def _contradictions(head: Head, config: Config, target: TargetKind) -> Found:
    yield from _of_the_loss(head.loss, target)
    yield from _of_the_output(head, config, target)
    yield from _of_the_metrics(head, target)
    yield from _of_the_monitors(head, config)
    yield from _of_the_class_weights(config, target)


def _of_the_loss(loss: Loss, target: TargetKind) -> Found:
    if target.form in loss.fits:
        return
    if target.form == "number" and "numbers" in loss.fits:
        message = f"'{loss.name}' is for several numbers, and the target is {target.name} alone"
        yield "loss", message
        return
    if target.form in ("number", "numbers"):
        message = f"'{loss.name}' is for classes, and the target {target.name} {_is(target)}"
    else:
        message = f"'{loss.name}' does not fit {_the(target)} of the target {target.name}"
    fitting = [other.model_fields["name"].default for other in LOSSES if target.form in other.fits]
    yield "loss", f"{message}; use one of {', '.join(fitting)}{_declared_otherwise(loss, target)}"


def _declared_otherwise(loss: Loss, target: TargetKind) -> str:
    """Another way out, where a target of another type would fit the loss."""
    if target.form == "number":
        return ", or data.target: {column: ..., type: categorical}"
    if target.form == "numbers" and "labels" in loss.fits:
        return ", or data.target: {column: [...], type: multi_label}"
    if len(target.labels) > 1 and target.delimiter is None and "numbers" in loss.fits:
        return ", or data.target: {column: [...], type: numeric}"
    return ""


def _of_the_output(head: Head, config: Config, target: TargetKind) -> Found:
    output, wanted = head.output, units_for(target, head.loss)
    is_number = target.form in ("number", "numbers")
    if output.scaling is not None and not is_number:
        what = "labels" if target.labels else "classes"
        yield "output.scaling", f"is for numbers, and the target {target.name} is {what}"
    if output.units != wanted:
        yield "output.units", f"expected {wanted} ({_why(target, head.loss)}), got {output.units}"
    elif config.output.activation is not None:
        # One that was filled in fits its loss, and of a loss that fits nothing it was said.
        yield from _of_the_activation(config.output.activation, head, is_number)
    if is_number and head.loss.needs_original_scale and output.scaling not in (None, Unscaled()):
        yield "output.scaling", f"'{head.loss.name}' needs the target's own unit; use none"


def _of_the_activation(activation: Activation, head: Head, is_number: bool) -> Found:
    loss, path = head.loss, "output.activation"
    if head.output.units == 1 and activation.across_units:
        instead = "linear" if is_number else "sigmoid"
        yield path, f"'{activation.name}' of one unit is constant; use {instead}"
    elif loss.output not in activation.gives:
        use = ", ".join(_activations_for(loss))
        yield path, f"'{activation.name}' does not fit the loss '{loss.name}'; use {use}"


def _activations_for(loss: Loss) -> list[str]:
    """The names of the activations that a loss takes, the usual one first."""
    fitting = [activation for activation in ACTIVATIONS if loss.output in activation.gives]
    fitting.sort(key=lambda activation: not isinstance(loss.default_activation, activation))
    return [activation.model_fields["name"].default for activation in fitting]


def _of_the_metrics(head: Head, target: TargetKind) -> Found:
    fitting = metrics_of(target, head.loss)
    for at, metric in enumerate(head.metrics):
        if metric not in fitting:
            message = f"'{metric}' does not fit {_the(target)} of {target.name}"
            yield f"metrics[{at}]", f"{message}; use {', '.join(fitting)}"


def _of_the_monitors(head: Head, config: Config) -> Found:
    known = {"loss", *head.metrics}
    for key in ("early_stopping", "learning_rate_schedule"):
        monitor = getattr(getattr(config, key), "monitor", "loss")
        if monitor.removeprefix("val_") not in known:
            yield f"{key}.monitor", f"'{monitor}' is not measured; add it to metrics"


def _of_the_class_weights(config: Config, target: TargetKind) -> Found:
    if config.class_weight and target.labels:
        yield (
            "class_weight",
            f"is for classes, of which a row has one, and the target {target.name} is labels; "
            "weigh rows by data.weight, or rare labels by loss: {name: "
            "binary_focal_crossentropy, apply_class_balancing: true, alpha: ...}",
        )
    elif config.class_weight and not target.classes:
        yield "class_weight", f"the target {target.name} is a number and has no classes"
    elif isinstance(config.class_weight, Mapping):
        for name in config.class_weight:
            if name not in target.classes:
                near = did_you_mean(name, target.classes) or f"; there are {_some(target.classes)}"
                yield format_path(("class_weight", name)), f"no such class{near}"


def _is(target: TargetKind) -> str:
    """What numbers are, behind `the target ...`."""
    noun = "count" if target.counts else "number"
    return f"is a {noun}" if target.form == "number" else f"are {noun}s"


def _the(target: TargetKind) -> str:
    """What is predicted, before `of the target ...`."""
    if target.classes:
        return f"the {len(target.classes)} classes"
    return f"the {len(target.labels)} labels" if target.labels else "the numbers"


def _why(target: TargetKind, loss: Loss) -> str:
    if target.form == "two classes" and loss.output != "shares":
        return f"one probability for two classes with '{loss.name}'"
    if target.classes or target.labels:
        return f"one for each of {_the(target)} {_some(target.classes or target.labels)}"
    return f"one for each of the target's columns {target.name}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
