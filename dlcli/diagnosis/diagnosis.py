"""All rules, applied in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dlcli.diagnosis import data_rules, fit_rules, layer_rules
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.divergence_rules import divergence_findings
from dlcli.diagnosis.finding import Finding
from dlcli.runs import Run

Rule = Callable[[Case], Finding | None]
"""Returns a finding, or `None` for a healthy run."""

CAUSES: tuple[Rule, ...] = (
    data_rules.unscaled_inputs,
    data_rules.unscaled_target,
    layer_rules.exploding_gradients,
    layer_rules.vanishing_gradients,
    fit_rules.rate_too_high,
    layer_rules.dead_units,
    layer_rules.saturated_units,
    fit_rules.rate_too_low,
)
"""Causes of a network that doesn't learn; each may lead to the following ones."""
CONSEQUENCES: tuple[Rule, ...] = (
    fit_rules.underfitting,
    fit_rules.plateau,
    fit_rules.still_improving,
    fit_rules.no_better_than_constant,
    fit_rules.no_better_than_linear,
)
"""Consequences of any such cause: applied only if no cause was found."""
RULES: tuple[Rule, ...] = (
    *CAUSES,
    data_rules.imbalance,
    fit_rules.underfitting,
    fit_rules.overfitting,
    *CONSEQUENCES[1:],
    data_rules.small_validation,
    data_rules.no_validation,
)
"""All rules, the most important first."""
RULES_AFTER_DIVERGENCE: tuple[Rule, ...] = (
    layer_rules.exploding_gradients,
    layer_rules.vanishing_gradients,
    layer_rules.dead_units,
    layer_rules.saturated_units,
    fit_rules.overfitting,
    data_rules.small_validation,
)
"""Rules that also apply to a run that diverged, which may have its last finite weights."""


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
