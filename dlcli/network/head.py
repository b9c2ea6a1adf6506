"""The head of a network: output, loss and metrics, with defaults from the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dlcli.columns.scaling import DivideByMean, OutputScaling, Unscaled
from dlcli.config.config_schema import Config, Gate, Output
from dlcli.config.layer_choices import Activation
from dlcli.config.training_choices import Loss
from dlcli.errors import ConfigError, Problem, did_you_mean_or_all
from dlcli.metrics.definitions import COST
from dlcli.schema.section import members_of
from dlcli.schema.yaml_document import format_path
from dlcli.tasks.task import Task

_FLOOR_ROWS = 5
"""An automatic floor has the effect of this number of training rows with equal probabilities. On
23 classification fits, it lowers the log loss by 4.5 % on average and never raises it by 1 %."""
_UNSCALED = "requires an unscaled target"
_MOST_FLOOR = 0.1
"""The largest automatic floor, for fewer than 50 rows."""


@dataclass(frozen=True)
class Head:
    """Output, loss and metrics, complete."""

    output: Output
    """The output layer, with units and activation, and with a scaling for numeric targets."""
    loss: Loss
    """The loss that training minimizes."""
    metrics: tuple[str, ...]
    """The metrics that are computed after each epoch, in addition to the loss."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Metric names that mean another metric for this target, with the names used in results."""

    def for_rows(self, rows: int) -> Head:
        """Return the head with an automatic `output.probability_floor` as a number.

        Args:
            rows: the number of training rows.
        """
        if self.output.probability_floor != "auto":
            return self
        floor = float(f"{min(_FLOOR_ROWS / rows, _MOST_FLOOR):.3g}")
        return replace(self, output=self.output.model_copy(update={"probability_floor": floor}))

    def resolve(self, config: Config) -> Config:
        """Return a config with the settings of this head."""
        update = {"output": self.output, "loss": self.loss, "metrics": self.metrics}
        return rename_metrics(config, self.renamed).model_copy(update=update)


def resolve_head(config: Config, task: Task) -> Head:
    """Complete omitted settings of output, loss and metrics.

    Args:
        config: its `output`, `loss`, `metrics`, `class_weight`, `data.prevalence`, `gates`,
            `tune.metric` and monitors are read.
        task: the task.

    Raises:
        ConfigError: with all settings that contradict the task.
    """
    loss = config.loss or task.default_loss(config.output)
    renamed = task.renamed_metrics(loss)
    config = rename_metrics(config, renamed)
    activation = config.output.activation or loss.default_activation
    update = {
        "units": config.output.units or task.output_units(loss),
        "activation": activation,
        "scaling": config.output.scaling or task.default_scaling(loss, activation),
    }
    metrics = config.metrics if config.metrics is not None else task.epoch_metrics(loss)[:1]
    head = Head(config.output.model_copy(update=update), loss, metrics, renamed)
    if problems := [*_problems(head, config, task)]:
        raise ConfigError(problems)
    return head


def rename_metrics(config: Config, renamed: Mapping[str, str]) -> Config:
    """Return a config in which each metric has the same name everywhere.

    Args:
        config: `metrics`, monitors, `gates` and `tune.metric` are read.
        renamed: the new names of metrics, see `Task.renamed_metrics`.
    """

    def name_of(name: str, prefix: str) -> str:
        bare = name.removeprefix(prefix)
        return name[: len(name) - len(bare)] + renamed.get(bare, bare)

    if not renamed:
        return config
    update: dict[str, object] = {}
    if config.metrics is not None:
        update["metrics"] = tuple(dict.fromkeys(renamed.get(name, name) for name in config.metrics))
    for key in ("early_stopping", "learning_rate_schedule"):
        if (monitor := getattr(getattr(config, key), "monitor", None)) is not None:
            named = {"monitor": name_of(monitor, "val_")}
            update[key] = getattr(config, key).model_copy(update=named)
    if config.gates:
        gates: dict[str, Gate] = {}
        for name, gate in config.gates.items():
            present = name_of(name, f"{name.partition('.')[0]}.")
            if present != name and present in config.gates:
                message = f"is the same as {present}, which also has a gate; remove one of them"
                raise ConfigError([Problem(format_path(("gates", name)), message)])
            gates[present] = gate
        update["gates"] = gates
    if config.tune is not None:
        named = {"metric": name_of(config.tune.metric, "val_")}
        update["tune"] = config.tune.model_copy(update=named)
    return config.model_copy(update=update)


def _problems(head: Head, config: Config, task: Task) -> Iterator[Problem]:
    loss, misfit = head.loss, f"does not fit the target {task.name} ({task.words})"
    if task.form not in loss.fits:
        losses = members_of(Loss).items()
        fitting = ", ".join(name for name, other in losses if task.form in other.fits)
        message = f"'{loss.name}' {misfit}; use one of {fitting}{task.other_type_for(loss)}"
        yield Problem("loss", message)
    yield from _output_problems(head, config, task)
    yield from _exposure_problems(loss, config)
    yield from _monotone_problems(head.output, config, task)
    yield from _metric_problems(head, config, task, misfit)
    if config.class_weight:
        for name, message in task.class_weight_problems(config.class_weight):
            path = ("class_weight",) if name is None else ("class_weight", name)
            yield Problem(format_path(path), message)
    if (prevalence := config.data.prevalence) is not None:
        for name, message in task.prevalence_problems(prevalence, loss, head.output):
            place = ("data", "prevalence") if name is None else ("data", "prevalence", name)
            yield Problem(format_path(place), message)
    if config.decision is not None:
        if not task.for_loss(loss).has_probabilities and task.classes:
            message = f"requires probabilities, but '{loss.name}' has none; use another loss"
            yield Problem("decision", message)
        else:
            for key, message in task.decision_problems(config.decision):
                yield Problem("decision" if key is None else f"decision.{key}", message)


def _monotone_problems(output: Output, config: Config, task: Task) -> Iterator[Problem]:
    """Yield monotone columns whose effect the output can't guarantee."""
    activation = output.activation
    if activation is None or activation.is_monotone:
        return
    monotone = (name for name, each in (config.input.features or {}).items() if each.direction)
    for column in monotone:
        message = f"can't be guaranteed with the output activation '{activation.name}'; "
        if not activation.across_units:
            message += "choose an activation that never falls"
        elif len(task.classes) == 2:
            message += "use loss: binary_crossentropy, with one output unit"
        else:
            message += "use a target of two classes, labels or numbers, or omit it"
        yield Problem(format_path(("input", "features", column, "monotone")), message)


def _metric_problems(head: Head, config: Config, task: Task, misfit: str) -> Iterator[Problem]:
    epoch_metrics, known = task.epoch_metrics(head.loss), task.metric_names(head.loss)
    if config.decision is not None and config.decision.costs is not None:
        known = (*known, COST.name)
    for index, metric in enumerate(head.metrics):
        if metric not in epoch_metrics:
            message = f"'{metric}' {misfit}; use one or more of {', '.join(epoch_metrics)}"
            yield Problem(f"metrics[{index}]", message)
    for key in ("early_stopping", "learning_rate_schedule"):
        monitor = getattr(getattr(config, key), "monitor", "loss")
        name = monitor.removeprefix("val_")
        if name not in {"loss", *epoch_metrics, *head.metrics}:
            message = f"'{monitor}' {misfit}; use one of loss, {', '.join(epoch_metrics)}"
            yield Problem(f"{key}.monitor", message)
        elif name not in {"loss", *head.metrics}:
            yield Problem(f"{key}.monitor", f"'{monitor}' is not computed; add it to metrics")
    for gate in config.gates or ():
        measured = gate.partition(".")[2]
        if measured not in known:
            message = f"'{measured}' {misfit}{did_you_mean_or_all(measured, known)}"
            yield Problem(format_path(("gates", gate)), message)
    if (tune := config.tune) and tune.metric.removeprefix("val_") not in ("loss", *known):
        held_out = [f"val_{name}" for name in ("loss", *known)]
        message = f"'{tune.metric}' {misfit}{did_you_mean_or_all(tune.metric, held_out)}"
        yield Problem("tune.metric", message)


def _exposure_problems(loss: Loss, config: Config) -> Iterator[Problem]:
    if config.data.exposure is not None and not loss.allows_exposure:
        known = [name for name, other in members_of(Loss).items() if other.allows_exposure]
        others = ", ".join(known)
        way = loss.exposure_advice or f"omit it, or use one of the losses {others}"
        message = f"'{loss.name}' has no exposure; {way}"
        yield Problem("data.exposure", message)


def _output_problems(head: Head, config: Config, task: Task) -> Iterator[Problem]:
    output, loss, units = head.output, head.loss, task.output_units(head.loss)
    activation, has_numbers = config.output.activation, task.outcome == "numbers"
    if output.scaling is not None and not has_numbers:
        message = f"requires a numeric target, but the target is {task.name} ({task.words})"
        yield Problem("output.scaling", message)
    if output.probability_floor is not None and not task.for_loss(loss).has_probabilities:
        what = f"'{loss.name}' trains a margin" if task.classes else f"the target is {task.words}"
        yield Problem("output.probability_floor", f"requires probabilities, but {what}; omit it")
    if output.units != units:
        message = f"expected {units} ({task.explain_units(loss)}), got {output.units}"
        yield Problem("output.units", message)
    elif activation is not None:  # the default activation of a loss fits it
        if units == 1 and activation.across_units:
            message = f"'{activation.name}' is constant for a single unit; use "
            yield Problem("output.activation", message + ("linear" if has_numbers else "sigmoid"))
        elif loss.output not in activation.gives:
            others = members_of(Activation).items()
            names = [name for name, other in others if loss.output in other.gives]
            names.sort(key=lambda name: name != loss.default_activation.name)
            message = f"'{activation.name}' does not fit the loss '{loss.name}'; use "
            yield Problem("output.activation", message + ", ".join(names))
    fitting: list[OutputScaling] = [Unscaled(), *[DivideByMean()] * loss.scales_with_target]
    if has_numbers and loss.needs_original_scale and output.scaling not in (None, *fitting):
        usable = " or ".join(each.name for each in fitting[::-1])
        requires = "can't be trained on a shifted target" if len(fitting) > 1 else _UNSCALED
        yield Problem("output.scaling", f"'{loss.name}' {requires}; use {usable}")
