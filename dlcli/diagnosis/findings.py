"""All rules, applied in order, and the likely causes of a divergence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.columns.layout import Block
from dlcli.config import training_choices
from dlcli.config.config_schema import Config, Hidden, Output
from dlcli.diagnosis import fit_rules, remedies, setup_rules
from dlcli.diagnosis.case import Case, Magnitudes, peaks_of
from dlcli.diagnosis.remedies import Finding, Patch, present
from dlcli.runs.run import Run
from dlcli.schema.yaml_document import format_path

Rule = Callable[[Case], Finding | None]
"""Returns a finding, or `None` for a healthy run."""

CAUSES: tuple[Rule, ...] = (
    setup_rules.unscaled_inputs,
    setup_rules.unscaled_target,
    setup_rules.long_tail,
    setup_rules.exploding_gradients,
    setup_rules.vanishing_gradients,
    fit_rules.rate_too_high,
    setup_rules.dead_units,
    setup_rules.saturated_units,
    fit_rules.rate_too_low,
)
"""Causes of a network that doesn't learn; each may cause the next ones."""
CONSEQUENCES: tuple[Rule, ...] = (
    fit_rules.underfitting,
    fit_rules.plateau,
    fit_rules.still_improving,
    fit_rules.no_better_than_linear,
)
"""Consequences of any such cause: applied only if no cause was found."""
RULES: tuple[Rule, ...] = (
    setup_rules.identifiers,
    setup_rules.too_good,
    *CAUSES,
    setup_rules.imbalance,
    fit_rules.underfitting,
    fit_rules.overfitting,
    fit_rules.no_better_than_constant,
    *CONSEQUENCES[1:],
    setup_rules.small_validation,
    setup_rules.no_validation,
)
"""All rules, the most important first."""
MINOR = ("small_validation", "no_validation")
"""Rules about the sets of rows: a run with only these findings need not be diagnosed."""
RULES_AFTER_DIVERGENCE: tuple[Rule, ...] = (
    setup_rules.exploding_gradients,
    setup_rules.vanishing_gradients,
    setup_rules.dead_units,
    setup_rules.saturated_units,
    fit_rules.overfitting,
    setup_rules.small_validation,
)
"""Rules that also apply to a diverged run, which may contain its last finite weights."""
MOST = 3
"""Maximum number of causes that are reported."""
FAR_WEIGHT = 10.0
"""Size of initial weights or row weights from which they change outputs too much."""
HALF_PRECISION_END = 65_504
"""The largest finite float16."""
_SOURCE = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), sections 8.2.4 and 11.4.1; "
    "Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks (2013)"
)


def diagnose(run: Run) -> tuple[Finding, ...]:
    """Return the findings of a run, the most important first.

    Args:
        run: a finished run, or one that diverged.

    Raises:
        RunError: for a damaged file.
    """
    return tuple(examine(Case.of(run)))


def examine(case: Case) -> Iterator[Finding]:
    """Yield the findings of all rules; the causes of a divergence come first."""
    yield from divergence_findings(case)
    is_explained = False
    for rule in RULES_AFTER_DIVERGENCE if case.diverged else RULES:
        if is_explained and rule in CONSEQUENCES:
            continue
        if finding := rule(case):
            is_explained = is_explained or rule in CAUSES
            yield finding


# Causes of a divergence: extreme values in the config and the encoded rows. The pipeline reports
# them when training diverges, and `dlcli diagnose` later, from the magnitudes in the `diverged`
# event.


@dataclass(frozen=True)
class _Cause:
    excess: float
    """Ratio to a usual value, by which causes are sorted."""
    finding: Finding
    affects_steps: bool = True
    """False if it affects only the validation loss, not the steps."""


def advise_on_divergence(
    config: Config, blocks: Sequence[Block], magnitudes: Magnitudes
) -> tuple[Finding, ...]:
    """Return the likeliest causes of a divergence, with remedies.

    Args:
        config: the config, with a resolved `output` and `loss`.
        blocks: the columns as the network reads them.
        magnitudes: the magnitudes of inputs, target and row weights.
    """
    peaks = peaks_of(blocks, magnitudes.inputs)
    validation = peaks_of(blocks, magnitudes.validation_inputs)
    case = Case(
        config, peaks=peaks, validation_peaks=validation, diverged=True, magnitudes=magnitudes
    )
    return divergence_findings(case)


def divergence_findings(case: Case) -> tuple[Finding, ...]:
    """Return the likeliest causes of a divergence; empty for a run that did not diverge."""
    if not case.diverged:
        return ()
    rates, scales = [*_rates(case)], [*_scales(case)]
    causes = [*rates, *scales, *_layers(case), *_losses(case)]
    causes.sort(key=lambda cause: cause.excess, reverse=True)
    is_sgd = case.config.optimizer.name == "sgd"  # other optimizers adapt the length of steps
    clipped = remedies.clipping(case.config)
    if not rates and all(scale.affects_steps for scale in scales) and is_sgd and clipped:
        evidence = (
            "the steps of sgd are proportional to the gradients, and gradients are not clipped"
        )
        causes.append(_cause(case, 0, "unclipped_gradients", evidence, clipped))
    if all(cause.excess <= 0 for cause in causes):
        evidence = "learning rate, inputs and target are in the usual range: smaller steps may help"
        patches = remedies.learning_rate(case.config, 1 / 10), clipped
        causes.append(_cause(case, 0, "divergence", evidence, *patches))
    return tuple(cause.finding for cause in causes[:MOST])


def _cause(case: Case, excess: float, rule: str, evidence: str, *patches: Patch | None) -> _Cause:
    when = f" in epoch {case.magnitudes.epoch}" if case.magnitudes else ""
    meaning = (
        f"training diverged{when}: update steps were too large, so the loss grew until it became "
        "NaN or infinite"
    )
    return _Cause(excess, Finding(rule, evidence, meaning, present(*patches), _SOURCE))


def _rates(case: Case) -> Iterator[_Cause]:
    """Yield a learning rate that is far too high, initially or due to its schedule."""
    optimizer, schedule = case.config.optimizer, case.config.learning_rate_schedule
    rate, usual = optimizer.learning_rate, remedies.typical_learning_rate(optimizer)
    rule = "learning_rate_too_high"
    if rate > remedies.EXTREME_RATE_FACTOR * usual:
        evidence = f"optimizer.learning_rate {rate:g} is {remedies.times_typical(rate, optimizer)}"
        patches = (
            remedies.usual_learning_rate(case.config),
            remedies.learning_rate(case.config, 1 / 10),
            remedies.clipping(case.config),
        )
        yield _cause(case, rate / usual, rule, evidence, *patches)
    highest = rate
    if isinstance(schedule, training_choices.PiecewiseConstant):
        highest = max(schedule.values, default=0.0)
    elif isinstance(schedule, training_choices.ExponentialDecay) and schedule.decay_rate > 1:
        with np.errstate(over="ignore"):
            growth = np.float64(schedule.decay_rate) ** (case.config.epochs / schedule.decay_epochs)
        highest = rate * float(growth)
    if highest > max(rate, remedies.EXTREME_RATE_FACTOR * usual):
        times = remedies.times_typical(highest, optimizer)
        evidence = f"learning_rate_schedule rises to {highest:.3g}, {times}"
        patch = Patch(
            "constant-rate",
            "keeps the learning rate constant",
            (("learning_rate_schedule", "constant"),),
        )
        yield _cause(case, highest / usual, rule, evidence, patch)


def _scales(case: Case) -> Iterator[_Cause]:
    """Yield inputs of training rows far from 1, else of validation rows, and a target far from 1.

    The excess of inputs is squared, as both a step and its effect grow with an input.
    """
    if found := setup_rules.far_inputs(case, case.peaks, "inputs reach"):
        yield _Cause(found[1] ** 2, found[0])
    elif found := setup_rules.far_inputs(
        case, case.validation_peaks, "the validation rows' inputs reach"
    ):
        yield _Cause(found[1] ** 2, found[0], affects_steps=False)
    if finding := setup_rules.unscaled_target(case):
        size = max(case.magnitudes.target.values()) if case.magnitudes else setup_rules.LARGE
        yield _Cause(size / setup_rules.LARGE, finding)


def _layers(case: Case) -> Iterator[_Cause]:
    """Yield exponential activations, and initializers that don't keep outputs near 1."""
    layers: dict[str, Hidden | Output] = {"output": case.config.output}
    layers |= {format_path(("hidden", at)): layer for at, layer in enumerate(case.config.hidden)}
    for path, layer in layers.items():
        if layer.activation is not None and layer.activation.name == "exponential":
            evidence = f"{path}.activation is exponential, which overflows float32 from exp(89) on"
            why = "grows linearly instead of exponentially"
            patch = Patch("softplus", why, ((f"{path}.activation", "softplus"),))
            yield _cause(case, 30, "exponential_activation", evidence, patch)
        for key in ("kernel_initializer", "bias_initializer"):
            section = getattr(layer, key)
            sizes = {name: abs(value) for name, value in section if isinstance(value, float)}
            name = max(sizes, key=lambda name: sizes[name], default="")
            if name and sizes[name] > FAR_WEIGHT:
                evidence = f"{path}.{key} {section.name} has {name} {getattr(section, name):g}"
                usual = type(layer).model_fields[key].default.name
                why = "uses the default initializer"
                patch = Patch("initializer", why, ((f"{path}.{key}", usual),))
                yield _cause(case, sizes[name], "large_initial_weights", evidence, patch)


def _losses(case: Case) -> Iterator[_Cause]:
    """Yield causes of a large loss or gradient: row weights, a division, half precision."""
    config, magnitudes = case.config, case.magnitudes
    if magnitudes and (mean := magnitudes.row_weight) > FAR_WEIGHT:
        evidence = f"the mean weight of a row is {mean:.3g}, and steps grow with it"
        rate = f"{config.optimizer.learning_rate / mean:.2g}"
        why = "divides the learning rate by the mean weight of a row"
        patch = Patch("rate-by-weight", why, (("optimizer.learning_rate", rate),))
        yield _cause(case, mean, "large_row_weights", evidence, patch)
    divides = isinstance(config.loss, training_choices.MeanAbsolutePercentageError)
    if divides and magnitudes and magnitudes.target_range:
        least, mean = magnitudes.target_range
        if least < mean / 100:
            evidence = f"the loss divides by the target, and the target closest to 0 is {least:g}"
            patch = Patch(
                "absolute", "does not divide by the target", (("loss", "mean_absolute_error"),)
            )
            excess = mean / max(least, mean * 1e-7)
            yield _cause(case, excess, "division_by_target", evidence, patch)
    if config.precision == "mixed_float16":
        evidence = f"precision mixed_float16 overflows beyond {HALF_PRECISION_END}"
        patch = Patch(
            "bfloat16", "has the same range as float32", (("precision", "mixed_bfloat16"),)
        )
        yield _cause(case, 20, "half_precision", evidence, patch)
