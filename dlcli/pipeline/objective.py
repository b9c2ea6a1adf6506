"""The metric that a search optimizes, its value for a trained network, and pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.comparison import HeldOut, read_rows
from dlcli.config import Dimension, MedianPruning, Pruner
from dlcli.metrics import HIGHER_IS_BETTER, finite, mean_of_defined
from dlcli.pipeline.cv_document import scalar_metrics
from dlcli.pipeline.cv_summary import standard_error_of_rows
from dlcli.pipeline.search_document import standard_error_of_mean
from dlcli.prediction import StoredPredictions

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

    from dlcli.pipeline.fit import FitResult, Progress


LOSS = "loss"


@dataclass(frozen=True)
class Goal:
    """The metric that candidates are judged by."""

    metric: str
    """By name: `val_loss`, `val_accuracy`, ..."""

    @property
    def name(self) -> str:
        """Its name in `metrics.json`, or `loss`."""
        return self.metric.removeprefix("val_")

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which way it gets better."""
        return "maximize" if HIGHER_IS_BETTER.get(self.name, False) else "minimize"

    def is_better(self, value: float, other: float) -> bool:
        """Whether one value is better than another."""
        return value > other if self.direction == "maximize" else value < other


@dataclass(frozen=True)
class Judgement:
    """What the rows that judge say of one network."""

    value: float | None
    """The metric that is judged by; `None` if it is undefined."""
    standard_error: float | None
    """What chance leaves open in it."""
    metrics: Mapping[str, float | None]
    """All metrics that are single numbers."""


def judge(outcome: FitResult, goal: Goal) -> Judgement:
    """Judges a trained network by the rows that are there for it.

    The loss is that of the rows alone. What `val_loss` adds for regularizers is left out: it is a
    price that differs from candidate to candidate, and no error of the predictions.
    """
    name = outcome.evaluation_set
    scores = outcome.metrics(name)
    metrics = scalar_metrics(scores)
    if goal.name != LOSS:
        held = held_out(outcome, name)
        return Judgement(metrics.get(goal.name), standard_error_of_rows(held, goal.name), metrics)
    losses, weights = losses_of(outcome, name), outcome.encoded[name].weights
    value = finite(np.average(losses, weights=weights)) if _counts(weights) else None
    return Judgement(value, standard_error_of_mean(losses, weights), {LOSS: value, **metrics})


def losses_of(outcome: FitResult, name: str) -> NDArray[np.float64]:
    """The loss of each row of a set, without any weights and without regularizers, (rows,)."""
    from dlcli.training import keras_loss

    section = outcome.job.head.loss
    loss = keras_loss(section)
    loss.reduction = "none"
    outputs = outcome.predictions(name).outputs
    encoded = outcome.encoded[name].target
    labels = outcome.predictions(name).task.loss_labels(encoded, section, outputs.shape[1])
    return np.asarray(loss(labels, outputs), dtype=np.float64)


def held_out(outcome: FitResult, name: str) -> HeldOut:
    """The rows of a set with what was predicted of them."""
    predictions = outcome.predictions(name)
    columns = StoredPredictions(outcome.prediction_table(name), "the predictions")
    return read_rows(columns, predictions.task, has_deviance=predictions.has_deviance)


def mean_metrics(judgements: Sequence[Judgement]) -> dict[str, float | None]:
    """The mean of each metric over folds, of those in which it is defined."""
    names = dict.fromkeys(name for each in judgements for name in each.metrics)
    return {name: mean_of_defined(each.metrics.get(name) for each in judgements) for name in names}


def _counts(weights: NDArray[np.float64] | None) -> bool:
    return weights is None or bool(weights.sum() > 0)


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
