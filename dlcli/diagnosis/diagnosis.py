"""All rules, applied in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.data_rules import (
    imbalance,
    no_validation,
    small_validation,
    unscaled_inputs,
    unscaled_target,
)
from dlcli.diagnosis.divergence_rules import divergence_findings
from dlcli.diagnosis.finding import Finding
from dlcli.diagnosis.fit_rules import (
    no_better_than_constant,
    no_better_than_linear,
    overfitting,
    underfitting,
)
from dlcli.diagnosis.gradient_and_unit_rules import (
    dead_units,
    exploding_gradients,
    saturated_units,
    vanishing_gradients,
)
from dlcli.diagnosis.loss_curve_rules import plateau, rate_too_high, rate_too_low, still_improving
from dlcli.runs import Run

Rule = Callable[[Case], Finding | None]
"""Return a finding, or `None` for a healthy run."""

SCALES: tuple[Rule, ...] = (unscaled_inputs, unscaled_target)
CAUSES: tuple[Rule, ...] = (
    exploding_gradients,
    vanishing_gradients,
    rate_too_high,
    dead_units,
    saturated_units,
    rate_too_low,
)
"""Causes of a network that doesn't learn; each may lead to the following ones."""
CONSEQUENCES: tuple[Rule, ...] = (
    underfitting,
    plateau,
    still_improving,
    no_better_than_constant,
    no_better_than_linear,
)
"""Consequences of any such cause: applied only if no cause was found."""
RULES: tuple[Rule, ...] = (
    *SCALES,
    *CAUSES,
    imbalance,
    underfitting,
    overfitting,
    plateau,
    still_improving,
    no_better_than_constant,
    no_better_than_linear,
    small_validation,
    no_validation,
)
"""All rules, the most important first."""


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
    is_explained = case.diverged
    for rule in RULES:
        if (is_explained and rule in CONSEQUENCES) or (case.diverged and rule in SCALES):
            continue
        if found := rule(case):
            is_explained = is_explained or rule in (*SCALES, *CAUSES)
            yield found
