"""Whether a network is any better than the simplest models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcli.metrics.arithmetic import finite_number
from dlcli.metrics.direction import HIGHER_IS_BETTER

OTHERS = ("auc", "balanced_accuracy", "log_loss")
"""What tells of learning that accuracy hides: that is the same for all who never name a rare class
(Provost, Fawcett & Kohavi 1998, The case against accuracy estimation)."""
MATTERS = 0.05
"""Part of a baseline's value by which another of these must be better."""
_FREQUENT = 0.75
"""The accuracy of always the same answer from which on other classes are called rare."""


@dataclass(frozen=True)
class BaselineComparison:
    """The baselines that a network doesn't beat by the metric that it is judged by."""

    unbeaten: tuple[str, ...]
    """Those that are as good in all."""
    hidden: Mapping[str, str]
    """Those that accuracy alone calls as good, with the metric by which the network is better."""
    is_rare: bool
    """Whether a class is so frequent that naming it always is accurate."""


def main_metric(named: Sequence[str], scores: Mapping[str, object]) -> str | None:
    """The metric to judge by: the first that a config names, or else there is, with a score.

    Args:
        named: the config's metrics.
        scores: the network's, of some rows.
    """
    wanted = (name for name in (*named, *HIGHER_IS_BETTER) if name in HIGHER_IS_BETTER)
    return next((name for name in wanted if scores.get(name) is not None), None)


def compare_to_baselines(
    metric: str, scores: Mapping[str, object], baselines: Mapping[str, Mapping[str, object]]
) -> BaselineComparison:
    """Compares a network with the simplest models.

    Args:
        metric: what to judge by.
        scores: the network's, of some rows.
        baselines: those of the simplest models on the same rows, by their names.
    """
    behind = [name for name, simple in baselines.items() if _gain(metric, scores, simple) <= 0]
    others = {
        name: other
        for name in behind
        if metric == "accuracy" and (other := _better_metric(scores, baselines[name]))
    }
    constant = finite_number(baselines.get("constant", {}).get("accuracy"))
    return BaselineComparison(
        unbeaten=tuple(name for name in behind if name not in others),
        hidden=others,
        is_rare=constant is not None and constant >= _FREQUENT,
    )


def _better_metric(scores: Mapping[str, object], simple: Mapping[str, object]) -> str | None:
    """The first other metric by which a network is clearly better than a baseline."""
    for name in OTHERS:
        theirs = finite_number(simple.get(name))
        if theirs is not None and math.inf > _gain(name, scores, simple) > MATTERS * abs(theirs):
            return name
    return None


def _gain(metric: str, scores: Mapping[str, object], simple: Mapping[str, object]) -> float:
    """How much better the network is; infinite where there is nothing to compare."""
    value, theirs = finite_number(scores.get(metric)), finite_number(simple.get(metric))
    if value is None or theirs is None:
        return math.inf
    return value - theirs if HIGHER_IS_BETTER[metric] else theirs - value
