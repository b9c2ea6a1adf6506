"""Metrics of predicted classes."""

from __future__ import annotations

import numpy as np

from dlcli.metrics.arithmetic import (
    Array,
    Floats,
    Metrics,
    Number,
    as_floats,
    as_places,
    counted,
    mean,
    mean_of_defined,
    ratio,
)
from dlcli.metrics.confusion import count_pairs, f1s, precisions, recalls

TOP = 3


def binary_metrics(
    target: Array, positive: Array, weight: Array | None = None, *, probabilistic: bool = True
) -> Metrics:
    """Scores predictions of two classes; class 1 is the positive one.

    A row is predicted as class 1 if its probability is above 0.5, or its margin above 0, as by
    Keras's `BinaryAccuracy`.

    Args:
        target: true classes, 0 or 1, shape `(rows,)`.
        positive: the probability of class 1, or a margin that grows with it, shape `(rows,)`.
        weight: non-negative row weights, shape `(rows,)`; 1 each if left out.
        probabilistic: whether `positive` is a probability.

    Returns:
        `accuracy`, `balanced_accuracy` (over the classes that occur), `auc` (undefined unless both
        classes occur), `average_precision` and `recall` (undefined unless class 1 occurs),
        `precision` (undefined unless class 1 is predicted), `f1` (undefined unless class 1 occurs
        or is predicted); for probabilities `log_loss` and `brier`; and `confusion`,
        `[[tn, fp], [fn, tp]]`: true class by predicted class.
    """
    weight, target, positive = counted(weight, as_places(target), as_floats(positive))
    predicted = (positive > (0.5 if probabilistic else 0.0)).astype(np.int64)
    confusion = count_pairs(target, predicted, weight, classes=2)
    return {
        "accuracy": mean(predicted == target, weight),
        "balanced_accuracy": mean_of_defined(recalls(confusion)),
        **_score_ranking(target, positive, weight),
        "precision": precisions(confusion)[1],
        "recall": recalls(confusion)[1],
        "f1": f1s(confusion)[1],
        **(_score_probability(target, positive, weight) if probabilistic else {}),
        "confusion": confusion.tolist(),
    }


def multiclass_metrics(target: Array, probabilities: Array, weight: Array | None = None) -> Metrics:
    """Scores predictions of several classes.

    The most probable class is the predicted one; of equally probable classes the first.

    Args:
        target: indices of the true classes, shape `(rows,)`.
        probabilities: a probability for every class, shape `(rows, classes)`.
        weight: non-negative row weights, shape `(rows,)`; 1 each if left out.

    Returns:
        `accuracy`, `balanced_accuracy` (over the classes that occur), `macro_f1` (over the classes
        that occur or are predicted), `log_loss`, with more than three classes `top_3_accuracy`,
        and `confusion`: true class by predicted class.
    """
    weight, target, probabilities = counted(weight, as_places(target), as_floats(probabilities))
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = count_pairs(target, predicted, weight, classes)
    of_truth = np.take_along_axis(probabilities, target[:, np.newaxis], axis=1)
    scores: Metrics = {
        "accuracy": mean(predicted == target, weight),
        "balanced_accuracy": mean_of_defined(recalls(confusion)),
        "macro_f1": mean_of_defined(f1s(confusion)),
        "log_loss": log_loss(of_truth[:, 0], weight),
    }
    if classes > TOP:
        place = _places_before(target, probabilities, of_truth)
        scores[f"top_{TOP}_accuracy"] = mean(place < TOP, weight)
    return {**scores, "confusion": confusion.tolist()}


def _score_ranking(target: Array, positive: Floats, weight: Array) -> dict[str, Number]:
    """What depends on nothing but the order of the scores.

    With `p_k` and `n_k` the weights of class 1 and class 0 at the k-th highest distinct score,
    `P_k` and `N_k` their sums up to k, and `P` and `N` those over all:

    - `auc` is the Mann-Whitney statistic, the chance that a row of class 1 scores above one of
      class 0, ties counting half: `Σ n_k (P_k - p_k / 2) / (P N)`;
    - `average_precision` is the step-wise sum `Σ p_k / P · P_k / (P_k + N_k)`.
    """
    _, place = np.unique(-positive, return_inverse=True)
    ones = np.bincount(place, weight * target)
    zeros = np.bincount(place, weight * (1 - target))
    ones_reached = np.cumsum(ones)
    precision = ones_reached / (ones_reached + np.cumsum(zeros))
    return {
        "auc": ratio(np.sum(zeros * (ones_reached - ones / 2)), ones.sum() * zeros.sum()),
        "average_precision": ratio(np.sum(ones * precision), ones.sum()),
    }


def _score_probability(target: Array, positive: Floats, weight: Array) -> dict[str, Number]:
    """How far the probability of class 1 is from the truth; `brier` is its mean squared error."""
    return {
        "log_loss": log_loss(np.where(target == 1, positive, 1 - positive), weight),
        "brier": mean((positive - target) ** 2, weight),
    }


def log_loss(of_truth: Floats, weight: Array) -> Number:
    """The mean of `-ln p`; `p`, the true class's probability, is clipped to `[eps, 1 - eps]`."""
    eps = np.finfo(np.float64).eps
    return mean(-np.log(np.clip(of_truth, eps, 1 - eps)), weight)


def _places_before(target: Array, probabilities: Floats, of_truth: Floats) -> Array:
    """How many classes come before the true one; of equally probable ones the first comes first.

    Args:
        target: indices of the true classes, shape `(rows,)`.
        probabilities: shape `(rows, classes)`.
        of_truth: the probability of the true class, shape `(rows, 1)`.
    """
    earlier = np.arange(probabilities.shape[1]) < target[:, np.newaxis]
    before = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
    places: Array = np.count_nonzero(before, axis=1)
    return places
