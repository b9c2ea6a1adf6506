"""Candidates given up before their end: what was reported of them, and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dlcli.config import Dimension, MedianPruning, Pruner
from dlcli.pipeline.tuning.goal import LOSS, Goal

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

    from dlcli.pipeline.fit import Progress

_KEPT_AFTER_PARTS = 75.0
"""Per cent of the candidates that are trained on after each fold."""
LOOKS = 10
"""How often a training is looked at, at most: each time is stored."""


class Pruned(Exception):  # noqa: N818  (it is no error)
    """A candidate is given up."""


class Steps:
    """The steps at which candidates are compared: epochs of the first part, then parts.

    Args:
        epochs: of the config as given.
        most: of any candidate.
    """

    def __init__(self, epochs: int, most: int) -> None:
        self.epochs = epochs
        self.most = most
        self.every = max(1, -(-epochs // LOOKS))

    def looks_at(self, epoch: int) -> bool:
        """Whether an epoch, from 1, is one of those that are looked at."""
        return epoch % self.every == 0

    def after_part(self, number: int) -> int:
        """The step at which so many parts are judged: it comes after all epochs."""
        return self.most + number


class Watch:
    """Looks at a candidate as it is trained, and gives it up if others were better by then.

    Args:
        goal: what is looked at.
        steps: when.
        report: stores a value at a step, and says whether the candidate is to be given up.
        with_epochs: whether epochs are looked at, or parts alone.
    """

    def __init__(
        self,
        goal: Goal,
        steps: Steps,
        report: Callable[[float, int], bool],
        *,
        with_epochs: bool = True,
    ) -> None:
        self.last: float | None = None
        """The value that was looked at last."""
        self.epochs = 0
        """Epochs that were trained of the part at hand."""
        self._goal = goal
        self._steps = steps
        self._report = report
        self._with_epochs = with_epochs

    def progress(self, part: int) -> Progress:
        """What is told of each epoch of a part, from 0; it raises `Pruned`."""
        looks = part == 0 and self._with_epochs
        self.epochs = 0

        def tell(epoch: int, values: Mapping[str, float]) -> None:
            self.epochs = epoch
            if looks and self._steps.looks_at(epoch):
                self._look(values.get(self._goal.metric), epoch)

        return tell

    def after(self, parts: int, value: float | None) -> None:
        """Is told the mean over the parts so far, from 1 of them.

        Raises:
            Pruned: if the candidate is given up.
        """
        self._look(value, self._steps.after_part(parts))

    def _look(self, value: float | None, step: int) -> None:
        if value is None or not math.isfinite(value):
            return
        self.last = value
        if self._report(value, step):
            raise Pruned


def pruner_of(section: Pruner, steps: Steps) -> BasePruner:
    """Optuna's pruner: by the median at epochs, and after a fold the worst quarter.

    Means over folds lie close together, and a fold costs little once its program is there: half of
    the good candidates would be given up for a difference that is noise.
    """
    from optuna.pruners import BasePruner, MedianPruner, NopPruner, PercentilePruner

    if not isinstance(section, MedianPruning):
        return NopPruner()
    at_epochs = MedianPruner(section.startup_trials, math.ceil(section.warmup * steps.epochs))
    after_parts = PercentilePruner(_KEPT_AFTER_PARTS, section.startup_trials)

    class ByStep(BasePruner):
        """One of them, by what was looked at last."""

        def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
            is_part = (trial.last_step or 0) > steps.most
            return (after_parts if is_part else at_epochs).prune(study, trial)

    return ByStep()


def can_prune_at_epochs(goal: Goal, dimensions: Sequence[Dimension]) -> bool:
    """Whether what epochs show can be compared.

    `val_loss` of an epoch holds the price of the regularizers, which differs between candidates
    with different ones.
    """
    is_priced = any("regularizer" in each.path or each.path == "hidden" for each in dimensions)
    return goal.name != LOSS or not is_priced
