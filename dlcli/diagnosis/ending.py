"""Training that ended too soon."""

from __future__ import annotations

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.curve import Curve, scale
from dlcli.diagnosis.error import SURE
from dlcli.diagnosis.finding import Finding, number, percent
from dlcli.diagnosis.rate import FEWEST, rate_too_low, stopped_early
from dlcli.diagnosis.remedies import epochs, present, rate

LEFT = 0.04
"""Share of a loss's whole fall that comes in the last fifth of the epochs, from which on it has not
settled. A fall that comes near its end exponentially gains 4 % there once it has lasted for three
time constants, when 95 % of its way are behind it."""
MATTERS = 0.01
"""The same as a share of the loss itself."""
_LAST = 0.8


def still_improving(case: Case) -> Finding | None:
    """A loss that falls to the last epoch: of validation rows, where there are some."""
    name = "val_loss" if case.curve("val_loss") else "loss"
    curve = Curve.of(case.curve(name))
    if case.diverged or len(curve) < FEWEST or stopped_early(case) or rate_too_low(case):
        return None
    last = curve.part(_LAST, 1)
    gain = last.slope * len(last)
    is_sure = last.slope > SURE * last.slope_error
    size = abs(scale(curve, curve.values[-1], case.config.loss))
    is_much = gain > LEFT * curve.fall and gain > MATTERS * size
    if not (curve.fall > 0 and is_much and is_sure):
        return None
    words = "validation loss" if name == "val_loss" else "training loss"
    return Finding(
        rule="still_improving",
        saw=f"{words} still fell at the end: from {number(last.values[0])} to "
        f"{number(last.values[-1])} in the last {len(last)} of {len(curve)} epochs, "
        f"{percent(gain / curve.fall)} of its whole fall",
        means="training ended before it was done",
        patches=present(epochs(case.config, 3), rate(case.config, 3)),
        source="Goodfellow, Bengio & Courville, Deep Learning (2016), section 7.8; "
        "Prechelt, Early Stopping - But When? (1998)",
    )
