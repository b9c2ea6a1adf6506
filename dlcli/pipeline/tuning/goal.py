"""What a search is after, and how good a trained network is by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.comparison import HeldOut, read_rows
from dlcli.metrics import HIGHER_IS_BETTER, finite, mean_of_defined
from dlcli.pipeline.cv_document import scalar_metrics
from dlcli.pipeline.cv_summary import standard_error_of_rows
from dlcli.pipeline.search_document import standard_error_of_mean
from dlcli.prediction import StoredPredictions

if TYPE_CHECKING:
    from dlcli.pipeline.fit import FitResult

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
    labels = outcome.job.target.loss_labels(encoded, section, outputs.shape[1])
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
