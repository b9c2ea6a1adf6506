"""All rules, applied in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dlcli.diagnosis import data_rules as data
from dlcli.diagnosis import fit_rules as fit
from dlcli.diagnosis import gradient_and_unit_rules as layers
from dlcli.diagnosis import loss_curve_rules as curves
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.divergence_rules import divergence_findings
from dlcli.diagnosis.finding import Finding
from dlcli.runs import Run

Rule = Callable[[Case], Finding | None]
"""Returns a finding, or `None` for a healthy run."""

SCALES: tuple[Rule, ...] = (data.unscaled_inputs, data.unscaled_target)
CAUSES: tuple[Rule, ...] = (
    *SCALES,
    layers.exploding_gradients,
    layers.vanishing_gradients,
    curves.rate_too_high,
    layers.dead_units,
    layers.saturated_units,
    curves.rate_too_low,
)
"""Causes of a network that doesn't learn; each may lead to the following ones."""
CONSEQUENCES: tuple[Rule, ...] = (
    fit.underfitting,
    curves.plateau,
    curves.still_improving,
    fit.no_better_than_constant,
    fit.no_better_than_linear,
)
"""Consequences of any such cause: applied only if no cause was found."""
RULES: tuple[Rule, ...] = (
    *CAUSES,
    data.imbalance,
    fit.underfitting,
    fit.overfitting,
    *CONSEQUENCES[1:],
    data.small_validation,
    data.no_validation,
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
            is_explained = is_explained or rule in CAUSES
            yield found
