"""Each metric of some rows, in the form whose uncertainty is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlcli.comparison.held_out import HeldOut
from dlcli.comparison.proportions import Proportion
from dlcli.comparison.rankings import Ranking
from dlcli.comparison.statistics import ClassRatios, Explained, Means, Medians, Ratios, Statistic
from dlcli.metrics import Array, Floats
from dlcli.tasks import LabelTarget, NumberTarget

_TOP = 3
_EVEN = 0.5


@dataclass(frozen=True)
class Measure:
    """One metric."""

    statistic: Statistic
    """It, of resampled rows."""
    proportion: Proportion | None = None
    """It, as a share of rows, if it is one."""


Measures = dict[str, Measure]


def measures_of(held: HeldOut) -> Measures:
    """Every metric of some rows that is a single number, by its name in `metrics.json`.

    Args:
        held: rows of which each has some weight.
    """
    if isinstance(held.target, NumberTarget):
        return _of_numbers(held)
    if isinstance(held.target, LabelTarget):
        return _of_labels(held)
    return _of_two_classes(held) if held.target.width == 2 else _of_classes(held)


@np.errstate(over="ignore", invalid="ignore")  # what overflows is answered by None
def _of_numbers(held: HeldOut) -> Measures:
    error, weight = held.outputs - held.truth, held.weights
    outputs = error.shape[1]
    each = (1 / outputs,) * outputs
    measures = {
        "mse": _mean(error**2, weight),
        "rmse": Measure(Means(error**2, each, weight, root=True)),
        "mae": _mean(np.abs(error), weight),
        "r2": Measure(Explained(held.truth, held.outputs, weight)),
        "median_absolute_error": Measure(Medians(np.abs(error), weight)),
    }
    if held.has_deviance:
        measures["poisson_deviance"] = _mean(_deviances(held.truth, held.outputs), weight)
    return measures


def _deviances(target: Array, prediction: Floats) -> Floats:
    """`2 (y ln(y / ŷ) - y + ŷ)` of each number, where `0 ln 0` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(target > 0, target * np.log(target / prediction), 0.0)
    return np.asarray(2 * (logarithm - target + prediction))


def _of_two_classes(held: HeldOut) -> Measures:
    target, positive, weight = held.truth, held.outputs[:, 0], held.weights
    predicted = (positive > (0.0 if held.has_margin else _EVEN)).astype(np.int64)
    hits, everywhere = predicted == target, np.ones(held.rows, dtype=np.bool_)
    both = (predicted & target)[:, np.newaxis]
    measures = {
        "accuracy": _share(hits, everywhere, weight),
        "balanced_accuracy": Measure(ClassRatios(target, predicted, 2, weight, recall=True)),
        **_rankings(target[:, np.newaxis], held.outputs, weight),
        "precision": _share(hits, predicted == 1, weight),
        "recall": _share(hits, target == 1, weight),
        "f1": _ratio(2 * both, (predicted + target)[:, np.newaxis], weight),
    }
    if held.has_margin:
        return measures
    return {**measures, **_probabilities(target[:, np.newaxis], held.outputs, weight)}


def _of_classes(held: HeldOut) -> Measures:
    target, probabilities, weight = held.truth, held.outputs, held.weights
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    everywhere = np.ones(held.rows, dtype=np.bool_)
    of_truth = np.take_along_axis(probabilities, target[:, np.newaxis], axis=1)
    measures = {
        "accuracy": _share(predicted == target, everywhere, weight),
        "balanced_accuracy": Measure(ClassRatios(target, predicted, classes, weight, recall=True)),
        "macro_f1": Measure(ClassRatios(target, predicted, classes, weight)),
        "log_loss": _mean(_log_losses(of_truth), weight),
    }
    if classes > _TOP:
        earlier = np.arange(classes) < target[:, np.newaxis]
        before = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
        is_near = np.count_nonzero(before, axis=1) < _TOP
        measures[f"top_{_TOP}_accuracy"] = _share(is_near, everywhere, weight)
    return measures


def _of_labels(held: HeldOut) -> Measures:
    target, probabilities, weight = held.truth, held.outputs, held.weights
    predicted = (probabilities > _EVEN).astype(np.int64)
    right, both = predicted == target, predicted & target

    def of_all(counts: Array) -> Array:
        return np.asarray(counts.sum(axis=1, keepdims=True))

    return {
        "accuracy": _mean(right, weight),
        "subset_accuracy": _share(right.all(axis=1), np.ones(held.rows, np.bool_), weight),
        **_rankings(target, probabilities, weight),
        "macro_f1": _ratio(2 * both, predicted + target, weight),
        "micro_precision": _ratio(of_all(both), of_all(predicted), weight),
        "micro_recall": _ratio(of_all(both), of_all(target), weight),
        "micro_f1": _ratio(2 * of_all(both), of_all(predicted + target), weight),
        **_probabilities(target, probabilities, weight),
    }


def _rankings(target: Array, scores: Floats, weight: Floats) -> Measures:
    names: tuple[Literal["auc"], Literal["average_precision"]] = ("auc", "average_precision")
    return {name: Measure(Ranking(name, target, scores, weight)) for name in names}


def _probabilities(target: Array, probabilities: Floats, weight: Floats) -> Measures:
    """How far probabilities of 1 are from the truth, (rows, labels) both."""
    of_truth = np.where(target == 1, probabilities, 1 - probabilities)
    return {
        "log_loss": _mean(_log_losses(of_truth), weight),
        "brier": _mean((probabilities - target) ** 2, weight),
    }


def _log_losses(of_truth: Floats) -> Floats:
    eps = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(of_truth, eps, 1 - eps)))


def _mean(values: Array, weight: Floats) -> Measure:
    """The mean over rows, of what is a mean over outputs."""
    over_outputs = np.asarray(values, np.float64).mean(axis=1, keepdims=True)
    return Measure(Means(over_outputs, (1.0,), weight))


def _ratio(numerators: Array, denominators: Array, weight: Floats) -> Measure:
    return Measure(Ratios(numerators.astype(np.float64), denominators.astype(np.float64), weight))


def _share(hits: Array, among: Array, weight: Floats) -> Measure:
    """The share of hits among some rows."""
    statistic = _ratio((hits & among)[:, np.newaxis], among[:, np.newaxis], weight).statistic
    return Measure(statistic, Proportion(hits & among, among, weight))
