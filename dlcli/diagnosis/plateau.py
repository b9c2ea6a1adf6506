"""A loss that stands still above what it could reach, because of the length of its steps."""

from __future__ import annotations

from dlcli.config import ConstantLearningRate
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.curve import Curve, scale
from dlcli.diagnosis.error import SURE
from dlcli.diagnosis.finding import Finding, number, percent
from dlcli.diagnosis.fit import learned_nothing, learned_well
from dlcli.diagnosis.gap import overfitting
from dlcli.diagnosis.rate import is_varied, rate_too_high
from dlcli.diagnosis.remedies import falling_rate, present, rate, reduced_rate

SOME = 0.06
"""Noise of an epoch's loss, as a share of it, that shorter steps would take away."""
FEWEST = 16
"""Epochs of which a half show whether a loss stands still."""


def plateau(case: Case) -> Finding | None:
    """A training loss that has stood still for half of the epochs and trembles, at one rate.

    The noise of the gradients keeps steps of constant length from settling; the loss stays higher
    by what is in proportion to the rate (Bottou, Curtis & Nocedal 2018, theorem 4.6). Where dropout
    and the like make it tremble, too, this can't be told apart, and nothing is said.
    """
    train = Curve.of(case.curve("loss"))
    late = train.part(1 / 2, 1)
    is_constant = isinstance(case.config.learning_rate_schedule, ConstantLearningRate)
    if case.diverged or not is_constant or is_varied(case.config) or 2 * len(late) < FEWEST:
        return None
    if not _is_flat(late) or learned_nothing(case) or learned_well(case):
        return None
    size = scale(train, late.level, case.config.loss)
    noise = late.wobble / size if size > 0 else 0.0
    if noise < SOME or rate_too_high(case) or overfitting(case):
        return None
    return Finding(
        rule="plateau",
        saw=f"training loss has stood still at {number(late.level)} for the last {len(late)} "
        f"epochs, and trembles by {percent(noise)} of it, at a constant learning rate",
        means="steps of one length cannot settle in the valley that they have found; shorter ones "
        "towards the end can",
        patches=present(
            falling_rate(case.config), reduced_rate(case.config), rate(case.config, 1 / 3)
        ),
        source="Goodfellow, Bengio & Courville, Deep Learning (2016), section 8.3.1; "
        "Bottou, Curtis & Nocedal, Optimization Methods for Large-Scale Machine Learning (2018)",
    )


def _is_flat(curve: Curve) -> bool:
    """Whether it leads nowhere, or not farther than it trembles."""
    is_chance = abs(curve.slope) <= SURE * curve.slope_error
    return is_chance or abs(curve.slope) * len(curve) <= SURE * curve.wobble
