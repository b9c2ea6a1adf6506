"""A network that adds nothing to the simplest models."""

from __future__ import annotations

import math

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.error import SURE, baseline_error, error_of, is_better_somehow
from dlcli.diagnosis.finding import Finding, Patch
from dlcli.diagnosis.fit import WELL

MATTERS = 0.05
"""Part of the constant model's error by which a network that has learned something is better."""
LITTLE = 0.1
"""Part of the linear model's error by which hidden layers that add something make it smaller."""
_SOURCE = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 11.2; "
    "Hand, Classifier Technology and the Illusion of Progress (2006)"
)


def no_better_than_constant(case: Case) -> Finding | None:
    """Held-out rows are predicted no better than by always the same answer."""
    split = _independent(case)
    error, constant = error_of(case, split), baseline_error(case, "constant", split)
    if error is None or constant is None or error.share < (1 - MATTERS) * constant.share:
        return None
    if is_better_somehow(case, split, MATTERS):
        return None
    return Finding(
        rule="no_better_than_constant",
        saw=f"{split} rows have {error.words}, and {constant.words} by always the same answer",
        means="what the network has learned doesn't help with rows that it hasn't seen: the "
        "columns may tell nothing of the target, or training went wrong; look at the table first, "
        "with `dlcli inspect`",
        patches=(),
        source=_SOURCE,
    )


def no_better_than_linear(case: Case) -> Finding | None:
    """Held-out rows are predicted no better than by a linear model, as far as they can tell.

    The most that may have been gained is what was, and two standard errors more: that must be
    little. A gain of more than these is real, and nothing is said of it, however little it is. Both
    models are judged by the same rows, so that the errors of two sets of rows are more than enough.
    """
    split = _independent(case)
    error, linear = error_of(case, split), baseline_error(case, "linear", split)
    if not case.config.hidden or error is None or linear is None or linear.share < WELL:
        return None
    doubt = SURE * math.hypot(error.deviation, linear.deviation)
    gain = linear.share - error.share
    if gain > doubt or gain + doubt >= LITTLE * linear.share:
        return None
    return Finding(
        rule="no_better_than_linear",
        saw=f"{split} rows have {error.words}, and {linear.words} by a linear model",
        means="the hidden layers add nothing to a straight line: there is nothing bent to learn, "
        "there are too few rows to learn it from, or training went wrong",
        patches=(
            Patch("linear", "is the linear model, with no hidden layer", (("hidden", "[]"),)),
        ),
        source=_SOURCE,
    )


def _independent(case: Case) -> str:
    """Validation rows; without any test rows, which then are all that is held out."""
    return "validation" if "validation" in case.metrics else "test"
