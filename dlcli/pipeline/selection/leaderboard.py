"""Which candidates are best, and which of them is the smallest that is good enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from dlcli.pipeline.selection.search import Search, TrialResult

Direction = Literal["minimize", "maximize"]
_PLACES = {"complete": 0, "pruned": 1, "failed": 2}


def leaderboard(search: Search) -> tuple[TrialResult, ...]:
    """All trials, best first.

    Complete ones by their value, those of the same value by fewer parameters, then by number; then
    pruned ones, whose values are of different epochs and not compared, and failed ones.
    """

    def place(trial: TrialResult) -> tuple[float, ...]:
        values = _merit(trial, search.direction) if trial.state == "complete" else ()
        return (_PLACES[trial.state], *values, trial.number or 0)

    return tuple(sorted(search.trials, key=place))


def best_trial(trials: Sequence[TrialResult], direction: Direction) -> TrialResult | None:
    """The complete trial of the best value; of several the smallest, then the first."""
    complete = _complete(trials)
    return min(complete, key=lambda trial: _merit(trial, direction), default=None)


def smallest_trial(trials: Sequence[TrialResult], direction: Direction) -> int | None:
    """The number of the smallest network that is good enough.

    It has the fewest parameters among the complete trials whose value is within one standard error
    of that of the best, the standard error being the best one's; of several the one of the better
    value. What is within it is no worse as far as the rows tell, and fewer parameters overfit less:
    Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984), 3.4.3; Hastie,
    Tibshirani and Friedman, The Elements of Statistical Learning (2009), 7.10.

    Args:
        trials: the config as given, which has no number, takes no part.
        direction: which way is up.

    Returns:
        The best one's own number, if nothing tells its standard error; `None` without a complete
        trial.
    """
    best = best_trial(trials, direction)
    if best is None:
        return None
    if best.standard_error is None:
        return best.number
    most = _loss(best, direction) + best.standard_error
    near = [trial for trial in _complete(trials) if _loss(trial, direction) <= most]
    return min(near, key=lambda trial: (_size(trial), *_merit(trial, direction))).number


def _complete(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Those that have a value, in order of their numbers."""
    known = [each for each in trials if each.state == "complete" and each.value is not None]
    numbered = [each for each in known if each.number is not None]
    return sorted(numbered, key=lambda trial: trial.number or 0)


def _merit(trial: TrialResult, direction: Direction) -> tuple[float, float]:
    """The smaller, the better."""
    return _loss(trial, direction), _size(trial)


def _loss(trial: TrialResult, direction: Direction) -> float:
    if trial.value is None:
        return math.inf
    return trial.value if direction == "minimize" else -trial.value


def _size(trial: TrialResult) -> float:
    return math.inf if trial.parameters is None else trial.parameters
