"""Definitions of all metrics with their better direction and bounds, and of calibration.

Definitions are those of scikit-learn, see
https://scikit-learn.org/stable/modules/model_evaluation.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dlcli.metrics.statistic import (
    Array,
    ClassMean,
    Floats,
    LabelMean,
    Mean,
    Median,
    Metrics,
    Number,
    Ranking,
    Ratio,
    RSquared,
    Share,
    Statistic,
    as_floats,
    positive_weights,
)

TOP = 3

HIGHER_IS_BETTER: Mapping[str, bool] = MappingProxyType(
    {
        "mse": False,
        "rmse": False,
        "mae": False,
        "r2": True,
        "median_absolute_error": False,
        "poisson_deviance": False,
        "accuracy": True,
        "balanced_accuracy": True,
        "subset_accuracy": True,
        "auc": True,
        "average_precision": True,
        "precision": True,
        "recall": True,
        "f1": True,
        "micro_precision": True,
        "micro_recall": True,
        "micro_f1": True,
        "macro_f1": True,
        "log_loss": False,
        "brier": False,
        "top_3_accuracy": True,
    }
)
"""Every metric that is a single number, and so can be compared."""
_LARGEST: Mapping[str, float] = MappingProxyType(
    {"log_loss": -math.log(np.finfo(np.float64).eps), "brier": 1.0}
)
"""The most that a metric can be which is better if lower, unless it may be anything."""

_SIGNED_LOSSES = ("poisson", "cosine_similarity", "kl_divergence")
"""Losses that can be below 0 for some targets."""


def metric_values(statistics: Mapping[str, Statistic]) -> Metrics:
    """Return each metric's value as JSON can hold it, `None` where it is undefined.

    Those of classes have also a `confusion` matrix, `[[tn, fp], [fn, tp]]` of two classes: the
    weight of each true class by predicted class.
    """
    values: Metrics = {name: each.value for name, each in statistics.items()}
    decided = statistics.get("balanced_accuracy")
    if isinstance(decided, ClassMean):
        values["confusion"] = decided.confusion().tolist()
    return values


def main_metric(named: Sequence[str], metrics: Mapping[str, object]) -> str | None:
    """Return the main metric of a run: the first of the config, or else of all, with a value.

    Args:
        named: the config's metrics.
        metrics: those of the network on some rows.
    """
    wanted = (name for name in (*named, *HIGHER_IS_BETTER) if name in HIGHER_IS_BETTER)
    return next((name for name in wanted if metrics.get(name) is not None), None)


def metric_bounds(metric: str | None, loss: str | None = None) -> tuple[float, float]:
    """Return the least and the most that a metric can be.

    Args:
        metric: its name, with or without `val_` in front.
        loss: the name of the loss, if the metric is the loss; if omitted, it may be anything.
    """
    if metric in ("loss", "val_loss") and loss is not None and loss not in _SIGNED_LOSSES:
        return 0.0, math.inf
    name = (metric or "").removeprefix("val_")
    if name not in HIGHER_IS_BETTER:
        return -math.inf, math.inf
    most = _LARGEST.get(name, 1.0 if HIGHER_IS_BETTER[name] else math.inf)
    return -math.inf if name == "r2" else 0.0, most


# Numbers


@np.errstate(over="ignore", invalid="ignore")  # a value that overflows is undefined
def regression_statistics(
    target: Array, prediction: Array, weight: Array | None = None, *, deviance: bool = False
) -> dict[str, Statistic]:
    """Return the metrics of predicted numbers as functions of the row weights.

    With the errors `e = ŷ - y`: `mse` is `Σ w e² / Σ w` and `rmse` its root, `mae` is
    `Σ w |e| / Σ w`, `r2` is `1 - Σ w e² / Σ w (y - ȳ)²`, undefined for a constant target, and
    `median_absolute_error` the weighted median of `|e|`. Of several outputs, each is the plain mean
    over them, and undefined if it is so for one: `rmse` is the mean of the roots, not the root of
    `mse`.

    Args:
        target: true numbers, shape `(rows, outputs)`.
        prediction: predicted numbers in the same unit, of the same shape.
        weight: non-negative row weights, shape `(rows,)`; 1 each if omitted.
        deviance: whether the predictions are means of counts, which the deviance measures.
    """
    weight, target, prediction = positive_weights(weight, as_floats(target), as_floats(prediction))
    error = _by_output(prediction - target)
    statistics: dict[str, Statistic] = {
        "mse": Mean(weight, error**2),
        "rmse": Mean(weight, error**2, root=True),
        "mae": Mean(weight, np.abs(error)),
        "r2": RSquared(weight, _by_output(target), error),
        "median_absolute_error": Median(weight, np.abs(error)),
    }
    if deviance:
        statistics["poisson_deviance"] = poisson_deviance(target, prediction, weight)
    return statistics


def poisson_deviance(target: Floats, prediction: Floats, weights: Array) -> Mean:
    """Return the mean of `2 (y ln(y / ŷ) - y + ŷ)`, where `0 ln 0` is 0; 0 if perfect.

    Undefined where 0 is predicted for a count above 0. McCullagh and Nelder, Generalized Linear
    Models (1989), section 2.3.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(target > 0, target * np.log(target / prediction), 0.0)
    return Mean(weights, _by_output(2 * (logarithm - target + prediction)))


def _by_output(values: Floats) -> Floats:
    """Return values, `(rows, outputs)`, with those of each output next to each other in memory."""
    return np.ascontiguousarray(values.T)


# Classes and labels


def binary_statistics(
    target: Array, positive: Array, weight: Array | None = None, *, probabilistic: bool = True
) -> dict[str, Statistic]:
    """Return the metrics of two classes as functions of the row weights.

    A row is predicted as class 1 if its probability is above 0.5, or its margin above 0, as by
    Keras's `BinaryAccuracy`. `balanced_accuracy` is the mean recall of the classes that occur;
    `auc` is undefined unless both occur, `average_precision` unless class 1 does.

    Args:
        target: true classes, 0 or 1, shape `(rows,)`.
        positive: the probability of class 1, or a margin that grows with it, shape `(rows,)`.
        weight: non-negative row weights, shape `(rows,)`; 1 each if omitted.
        probabilistic: whether `positive` is a probability.
    """
    weight, target, positive = positive_weights(weight, _as_indices(target), as_floats(positive))
    predicted = decide(positive, probabilistic=probabilistic)
    statistics: dict[str, Statistic] = {
        "accuracy": accuracy(target, predicted, weight),
        "balanced_accuracy": ClassMean(weight, target, predicted, 2, "recall"),
        "auc": Ranking(weight, target, positive, "auc"),
        "average_precision": Ranking(weight, target, positive, "average_precision"),
        "precision": precision(target, predicted, weight),
        "recall": recall(target, predicted, weight),
        "f1": f1(target, predicted, weight),
    }
    if probabilistic:
        of_truth = np.where(target == 1, positive, 1 - positive)
        statistics["log_loss"] = log_loss(of_truth, weight)
        statistics["brier"] = brier_score(target, positive, weight)
    return statistics


def decision_metrics(target: Array, predicted: Array, weight: Array) -> dict[str, Number]:
    """Compute the metrics of predicting class 1 for some rows, such as above a threshold.

    Args:
        target: true classes, 0 or 1, shape `(rows,)`.
        predicted: predicted classes, 0 or 1, shape `(rows,)`.
        weight: row weights, shape `(rows,)`.

    Returns:
        `precision`, `recall`, `f1`, `accuracy`, and `selected`, the share of predicted rows.
    """
    target, predicted = _as_indices(target), _as_indices(predicted)
    return {
        "precision": precision(target, predicted, weight).value,
        "recall": recall(target, predicted, weight).value,
        "f1": f1(target, predicted, weight).value,
        "accuracy": accuracy(target, predicted, weight).value,
        "selected": Share(weight, predicted, np.ones(len(target))).value,
    }


def multiclass_statistics(
    target: Array, probabilities: Array, weight: Array | None = None
) -> dict[str, Statistic]:
    """Return the metrics of several classes as functions of the row weights.

    The most probable class is the predicted one; of equally probable classes the first.
    `balanced_accuracy` is the mean recall of the classes that occur, `macro_f1` the mean F1 of
    those that occur or are predicted.
    `top_3_accuracy` is among the metrics if there are more than three classes.

    Args:
        target: indices of the true classes, shape `(rows,)`.
        probabilities: a probability for every class, shape `(rows, classes)`.
        weight: non-negative row weights, shape `(rows,)`; 1 each if omitted.
    """
    weight, target, probabilities = positive_weights(
        weight, _as_indices(target), as_floats(probabilities)
    )
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    of_truth = np.take_along_axis(probabilities, target[:, np.newaxis], axis=1)[:, 0]
    statistics: dict[str, Statistic] = {
        "accuracy": accuracy(target, predicted, weight),
        "balanced_accuracy": ClassMean(weight, target, predicted, classes, "recall"),
        "macro_f1": ClassMean(weight, target, predicted, classes, "f1"),
        "log_loss": log_loss(of_truth, weight),
    }
    if classes > TOP:
        statistics[f"top_{TOP}_accuracy"] = top_k_accuracy(target, probabilities, weight, TOP)
    return statistics


def multilabel_statistics(
    target: Array, probabilities: Array, weight: Array | None = None
) -> dict[str, Statistic]:
    """Return the metrics of labels as functions of the row weights.

    `accuracy` is the share of right decisions on labels, `subset_accuracy` the share of rows of
    which every label is right. `auc`, `average_precision` and `macro_f1` are means over the labels
    for which they are defined, `micro_precision`, `micro_recall` and `micro_f1` those of all
    decisions, `log_loss` and `brier` means over all labels. A row is predicted to have the labels
    that are more probable than 0.5.

    Args:
        target: 1 for each label that a row has and 0 for the others, shape `(rows, labels)`.
        probabilities: of each label for itself, shape `(rows, labels)`.
        weight: non-negative row weights, shape `(rows,)`; 1 each if omitted.
    """
    weight, target, probabilities = positive_weights(
        weight, _as_indices(target), as_floats(probabilities)
    )
    predicted = decide(probabilities)
    right, hits = predicted == target, (predicted & target).sum(axis=1)
    labels = [
        binary_statistics(truth, positive, weight)
        for truth, positive in zip(target.T, probabilities.T, strict=True)
    ]

    def over_labels(metric: str) -> LabelMean:
        return LabelMean(weight, tuple(label[metric] for label in labels))

    of_truth = np.where(target == 1, probabilities, 1 - probabilities)
    return {
        "accuracy": Mean(weight, right.mean(axis=1)[np.newaxis]),
        "subset_accuracy": Share(weight, right.all(axis=1), np.ones(len(target))),
        "auc": over_labels("auc"),
        "average_precision": over_labels("average_precision"),
        "macro_f1": over_labels("f1"),
        "micro_precision": Ratio(weight, hits, predicted.sum(axis=1)),
        "micro_recall": Ratio(weight, hits, target.sum(axis=1)),
        "micro_f1": Ratio(weight, 2 * hits, (predicted + target).sum(axis=1)),
        "log_loss": log_loss(of_truth, weight),
        "brier": brier_score(target, probabilities, weight),
    }


def accuracy(target: Array, predicted: Array, weights: Array) -> Share:
    """Return the share of rows whose predicted class is the true one."""
    return Share(weights, predicted == target, np.ones(len(target)))


def precision(target: Array, predicted: Array, weights: Array) -> Share:
    """Return `tp / (tp + fp)`; undefined unless class 1 is predicted."""
    return Share(weights, predicted & target, predicted)


def recall(target: Array, predicted: Array, weights: Array) -> Share:
    """Return `tp / (tp + fn)`; undefined unless class 1 occurs."""
    return Share(weights, predicted & target, target)


def f1(target: Array, predicted: Array, weights: Array) -> Ratio:
    """Return `2 tp / (2 tp + fp + fn)`, the harmonic mean of precision and recall.

    Undefined unless class 1 occurs or is predicted.
    """
    return Ratio(weights, 2 * (predicted & target), predicted + target)


def log_loss(of_truth: Floats, weights: Array) -> Mean:
    """Return the mean of `-ln p`, see `cross_entropy`.

    Args:
        of_truth: the probability of the true class, `(rows,)` or `(rows, labels)`.
        weights: `(rows,)`.
    """
    return Mean(weights, np.atleast_2d(cross_entropy(of_truth).T))


def cross_entropy(of_truth: Array) -> Floats:
    """Return `-ln p` of the probability `p` of the truth, clipped to `[eps, 1 - eps]`."""
    eps = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(as_floats(of_truth), eps, 1 - eps)))


def brier_score(target: Array, probabilities: Floats, weights: Array) -> Mean:
    """Return the mean squared error of the probability of class 1.

    Brier, Verification of Forecasts Expressed in Terms of Probability, Monthly Weather Review 78
    (1950).

    Args:
        target: 0 or 1, `(rows,)` or `(rows, labels)`.
        probabilities: of 1, of the same shape.
        weights: `(rows,)`.
    """
    return Mean(weights, np.atleast_2d(((probabilities - target) ** 2).T))


def top_k_accuracy(target: Array, probabilities: Floats, weights: Array, k: int) -> Share:
    """Return the share of rows whose class is among the `k` most probable, first of equal ones."""
    of_truth = np.take_along_axis(probabilities, target[:, np.newaxis], axis=1)
    earlier = np.arange(probabilities.shape[1]) < target[:, np.newaxis]
    before = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
    return Share(weights, np.count_nonzero(before, axis=1) < k, np.ones(len(target)))


def decide(positive: Array, *, probabilistic: bool = True) -> NDArray[np.int64]:
    """Return 1 where a probability is above 0.5, or a margin above 0, else 0."""
    return (positive > (0.5 if probabilistic else 0.0)).astype(np.int64)


def _as_indices(target: Array) -> NDArray[np.int64]:
    """Return class indices as int64; sums of booleans or bytes would overflow."""
    return np.asarray(target, dtype=np.int64)


def stored_confusion(value: object) -> Floats | None:
    """Return a stored confusion matrix, true by predicted class; `None` for anything else.

    A run folder may come from a stranger. At least one of its weights of rows is not 0.
    """
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1] or not matrix.any():
        return None
    with np.errstate(all="ignore"):
        is_finite = np.isfinite(2 * matrix.sum())  # F1 takes twice the sum
    return matrix if is_finite and matrix.min() >= 0 else None


# Calibration


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of similar predicted probability."""

    predicted: float
    """Their mean probability."""
    observed: float
    """The share of them that is positive."""
    rows: int
    share: float
    """Their share of the weight of all rows."""


def calibration_curve(
    target: Array, probabilities: Floats, weights: Floats, bins: int = 10
) -> list[CalibrationBin]:
    """Compare probabilities with observed frequencies in bins of equal width.

    Args:
        target: 1 or true for the positive rows, shape `(rows,)`.
        probabilities: of being positive, from 0 to 1, shape `(rows,)`; 1 is in the last bin.
        weights: row weights, shape `(rows,)`.
        bins: number of bins; empty ones are omitted.
    """
    # Rounding may put a probability just outside 0 to 1.
    index = np.clip((probabilities * bins).astype(np.int64), 0, bins - 1)
    total = weights.sum()
    result = []
    for at in range(bins):
        rows = index == at
        weight = weights[rows].sum()
        if weight > 0:
            predicted = np.average(probabilities[rows], weights=weights[rows])
            observed = np.average(target[rows], weights=weights[rows])
            count = int(np.count_nonzero(rows))
            share = float(weight / total)
            result.append(CalibrationBin(float(predicted), float(observed), count, share))
    return result


def expected_calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the expected calibration error, `Σ share · |observed - predicted|`.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    return sum(each.share * abs(each.observed - each.predicted) for each in bins)
