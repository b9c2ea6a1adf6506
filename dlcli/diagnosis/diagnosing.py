"""All rules, asked in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dlcli.diagnosis.balance import imbalance
from dlcli.diagnosis.baseline import no_better_than_constant, no_better_than_linear
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.divergence import divergence
from dlcli.diagnosis.ending import still_improving
from dlcli.diagnosis.finding import Finding
from dlcli.diagnosis.fit import underfitting
from dlcli.diagnosis.gap import overfitting
from dlcli.diagnosis.gradients import exploding_gradients, vanishing_gradients
from dlcli.diagnosis.plateau import plateau
from dlcli.diagnosis.rate import rate_too_high, rate_too_low
from dlcli.diagnosis.scaling import unscaled_inputs, unscaled_target
from dlcli.diagnosis.sizes import no_validation, small_validation
from dlcli.diagnosis.units import dead_units, saturated_units
from dlcli.runs import Run

Rule = Callable[[Case], Finding | None]
"""Looks at a case, and says nothing of a healthy one."""

CAUSES: tuple[Rule, ...] = (
    unscaled_inputs,
    unscaled_target,
    divergence,
    exploding_gradients,
    vanishing_gradients,
    rate_too_high,
    dead_units,
    saturated_units,
    rate_too_low,
)
"""What keeps a network from learning: each leads to what those after it see."""
CONSEQUENCES: tuple[Rule, ...] = (
    underfitting,
    plateau,
    still_improving,
    no_better_than_constant,
    no_better_than_linear,
)
"""What a network that is kept from learning shows, whatever keeps it: asked if no cause was found,
as whoever mends that will look again."""
RULES: tuple[Rule, ...] = (
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
"""All, the most important first."""


def diagnose(run: Run) -> tuple[Finding, ...]:
    """Says what stands out in a run, the most important first.

    Args:
        run: a finished run, or one that has diverged.

    Raises:
        RunError: for a file of it that is damaged.
    """
    return tuple(examine(Case.of(run)))


def examine(case: Case) -> Iterator[Finding]:
    """Yields what each rule finds."""
    is_explained = False
    for rule in RULES:
        if is_explained and rule in CONSEQUENCES:
            continue
        if found := rule(case):
            is_explained = is_explained or rule in CAUSES
            yield found
