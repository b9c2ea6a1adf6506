"""The metric that a search optimizes: its value for a trained network, and pruning by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.comparison import read_rows
from dlcli.config import Dimension, MedianPruning, Pruner
from dlcli.metrics import HIGHER_IS_BETTER, finite
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
_MAX_REPORTS = 10
"""Epochs at which a candidate is compared with others, at most; each value is stored."""
_KEPT_AFTER_FOLD = 75.0
"""Percentage of the candidates that are trained on after a fold."""


@dataclass(frozen=True)
class Objective:
    """The metric that a search optimizes."""

    metric: str
    """Its name in the config: `val_loss`, `val_accuracy`, ..."""

    @property
    def name(self) -> str:
        """Its name in `metrics.json`, or `loss`."""
        return self.metric.removeprefix("val_")

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """The direction in which it is optimized."""
        return "maximize" if HIGHER_IS_BETTER.get(self.name, False) else "minimize"


@dataclass(frozen=True)
class Evaluation:
    """A network, evaluated on the held-out rows of one fold."""

    value: float | None
    """The metric that is optimized; `None` if it is undefined."""
    standard_error: float | None
    """Its standard error over rows."""
    metrics: Mapping[str, float | None]
    """All metrics that are single numbers."""
    parameters: int
    epochs: int
    best_epoch: int


def evaluate(result: FitResult, objective: Objective) -> Evaluation:
    """Evaluate a trained network on its held-out rows.

    The loss is the weighted mean over rows. It has no regularization penalty, which `val_loss` has:
    the penalty differs between candidates, and is no error of the predictions.
    """
    name = result.evaluation_set
    predictions, trained = result.predictions(name), result.training
    metrics = dict(scalar_metrics(result.metrics(name)))
    if objective.name == LOSS:
        losses, weights = row_losses(result, name), result.encoded[name].weights
        has_weight = weights is None or weights.sum() > 0
        value = finite(np.average(losses, weights=weights)) if has_weight else None
        error = standard_error_of_mean(losses, weights)
        metrics = {LOSS: value, **metrics}
    else:
        columns = StoredPredictions(result.prediction_table(name), "the predictions")
        rows = read_rows(columns, predictions.task, has_deviance=predictions.has_deviance)
        value = metrics.get(objective.name)
        error = standard_error_of_rows(rows, objective.name)
    best_epoch = trained.best_epoch or trained.epochs
    return Evaluation(value, error, metrics, result.parameters, trained.epochs, best_epoch)


def row_losses(result: FitResult, name: str) -> NDArray[np.float64]:
    """Return the loss of each row of a set, (rows,), without weights and regularization penalty."""
    from dlcli.training import keras_loss

    section, predictions = result.job.head.loss, result.predictions(name)
    loss = keras_loss(section)
    loss.reduction = "none"
    encoded, width = result.encoded[name].target, predictions.outputs.shape[1]
    labels = predictions.task.loss_labels(encoded, section, width)
    return np.asarray(loss(labels, predictions.outputs), dtype=np.float64)


@dataclass(frozen=True)
class ComparisonSteps:
    """The steps at which candidates are compared: epochs of the first fold, then folds."""

    epochs: int
    """Epochs of the original config."""
    max_epochs: int
    """Most epochs of any candidate."""

    @property
    def interval(self) -> int:
        """Epochs from one comparison to the next."""
        return max(1, math.ceil(self.epochs / _MAX_REPORTS))

    def after_fold(self, number: int) -> int:
        """Return the step at which a fold, from 1, is finished; it follows all epochs."""
        return self.max_epochs + number


class TrialReporter:
    """Reports intermediate values of a candidate to Optuna, and ends it when it is pruned.

    Args:
        objective: the metric.
        steps: when to report.
        report: stores a value at a step, and returns whether to prune the candidate.
        at_epochs: whether to report epochs, or folds alone.
    """

    def __init__(
        self,
        objective: Objective,
        steps: ComparisonSteps,
        report: Callable[[float, int], bool] = lambda *_: False,
        *,
        at_epochs: bool = True,
    ) -> None:
        self.last: float | None = None
        """The last reported value."""
        self.epochs = 0
        """Finished epochs of the current fold."""
        self._objective = objective
        self._steps = steps
        self._report = report
        self._at_epochs = at_epochs

    def progress(self, fold: int) -> Progress:
        """Return the progress function of a fold, from 1; it raises `optuna.TrialPruned`."""
        self.epochs = 0

        def progress(epoch: int, values: Mapping[str, float]) -> None:
            self.epochs = epoch
            if fold == 1 and self._at_epochs and epoch % self._steps.interval == 0:
                self._report_value(values.get(self._objective.metric), epoch)

        return progress

    def finish_fold(self, number: int, value: float | None) -> None:
        """Report the mean over the folds so far.

        Raises:
            optuna.TrialPruned: if the candidate is pruned.
        """
        self._report_value(value, self._steps.after_fold(number))

    def _report_value(self, value: float | None, step: int) -> None:
        from optuna import TrialPruned

        if value is None or not math.isfinite(value):
            return
        self.last = value
        if self._report(value, step):
            raise TrialPruned


def make_pruner(section: Pruner, steps: ComparisonSteps) -> BasePruner:
    """Return Optuna's pruner: by the median at epochs; after a fold the worst quarter.

    Means over folds differ little, and a further fold is cheap once its program is compiled: the
    median would prune half of the good candidates for a difference that is noise.
    """
    from optuna.pruners import BasePruner, MedianPruner, NopPruner, PercentilePruner

    if not isinstance(section, MedianPruning):
        return NopPruner()
    at_epochs = MedianPruner(section.startup_trials, math.ceil(section.warmup * steps.epochs))
    after_folds = PercentilePruner(_KEPT_AFTER_FOLD, section.startup_trials)

    class PrunerByStep(BasePruner):
        """Applies one of them; Optuna has no pruner with two thresholds."""

        def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
            is_fold = (trial.last_step or 0) > steps.max_epochs
            return (after_folds if is_fold else at_epochs).prune(study, trial)

    return PrunerByStep()


def can_prune_at_epochs(objective: Objective, dimensions: Sequence[Dimension]) -> bool:
    """Whether the values of epochs can be compared between candidates.

    `val_loss` of an epoch contains the regularization penalty, which differs between candidates
    with different regularizers.
    """
    has_penalty = any("regularizer" in each.path or each.path == "hidden" for each in dimensions)
    return objective.name != LOSS or not has_penalty
