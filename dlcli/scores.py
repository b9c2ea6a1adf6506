"""Metrics over a whole set, exact and in float64.

Each of the three functions scores one kind of target and answers in values that JSON can hold.
Definitions, row weights included, are those of scikit-learn's `sklearn.metrics`
(https://scikit-learn.org/stable/modules/model_evaluation.html), with one difference: where a
metric has no value (a denominator of zero, a result that is not finite) the answer is `None`, not a
number chosen in its place. A row of weight zero counts as if it were not there; without any rows
every metric is `None`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Number = float | None
Score = Number | list[list[float]]
"""A metric's value, `None` where it is undefined, or the rows of a confusion matrix."""

HIGHER_IS_BETTER: Mapping[str, bool] = MappingProxyType(
    {
        "mse": False,
        "rmse": False,
        "mae": False,
        "r2": True,
        "median_absolute_error": False,
        "accuracy": True,
        "balanced_accuracy": True,
        "auc": True,
        "average_precision": True,
        "precision": True,
        "recall": True,
        "f1": True,
        "log_loss": False,
        "brier": False,
        "macro_f1": True,
        "top_3_accuracy": True,
    }
)
"""Every metric that can be compared, and which way is up; a confusion matrix can't be."""

TOP = 3


@np.errstate(over="ignore", invalid="ignore")  # what overflows is answered by None
def score_numbers(
    target: Array, prediction: Array, weight: Array | None = None
) -> dict[str, Score]:
    """Scores predicted numbers.

    Several outputs are scored one by one; each metric is the plain mean over them, and `None` if
    it is undefined for one of them. So `rmse` is the mean of the roots, not the root of `mse`.

    Args:
        target: true numbers, shape `(rows,)` or `(rows, outputs)`.
        prediction: predicted numbers in the same unit, of as many rows and outputs.
        weight: non-negative row weights, shape `(rows,)`; 1 each if left out.

    Returns:
        `mse`, `rmse`, `mae`, `r2` and `median_absolute_error`. `r2` is undefined for a constant
        target, and so for a single row.
    """
    weight, target, prediction = _counted(weight, _columns(target), _columns(prediction))
    outputs = [
        _score_output(*columns, weight) for columns in zip(target.T, prediction.T, strict=True)
    ]
    return {name: _mean_if_defined(output[name] for output in outputs) for name in outputs[0]}


def score_binary(
    target: Array, positive: Array, weight: Array | None = None, *, probabilistic: bool = True
) -> dict[str, Score]:
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
    weight, target, positive = _counted(weight, _classes(target), _floats(positive))
    predicted = (positive > (0.5 if probabilistic else 0.0)).astype(np.int64)
    confusion = _confusion(target, predicted, weight, classes=2)
    return {
        "accuracy": _mean(predicted == target, weight),
        "balanced_accuracy": _mean_of_defined(_recalls(confusion)),
        **_score_ranking(target, positive, weight),
        "precision": _precisions(confusion)[1],
        "recall": _recalls(confusion)[1],
        "f1": _f1s(confusion)[1],
        **(_score_probability(target, positive, weight) if probabilistic else {}),
        "confusion": confusion.tolist(),
    }


def score_classes(
    target: Array, probabilities: Array, weight: Array | None = None
) -> dict[str, Score]:
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
    weight, target, probabilities = _counted(weight, _classes(target), _floats(probabilities))
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = _confusion(target, predicted, weight, classes)
    of_truth = np.take_along_axis(probabilities, target[:, np.newaxis], axis=1)
    scores: dict[str, Score] = {
        "accuracy": _mean(predicted == target, weight),
        "balanced_accuracy": _mean_of_defined(_recalls(confusion)),
        "macro_f1": _mean_of_defined(_f1s(confusion)),
        "log_loss": _log_loss(of_truth[:, 0], weight),
    }
    if classes > TOP:
        place = _places_before(target, probabilities, of_truth)
        scores[f"top_{TOP}_accuracy"] = _mean(place < TOP, weight)
    return {**scores, "confusion": confusion.tolist()}


def _score_output(target: Floats, prediction: Floats, weight: Array) -> dict[str, Number]:
    """The metrics of one output, from target and prediction of shape `(rows,)`."""
    error = prediction - target
    mse = _mean(error**2, weight)
    return {
        "mse": mse,
        "rmse": None if mse is None else math.sqrt(mse),
        "mae": _mean(np.abs(error), weight),
        "r2": _r2(target, error, weight),
        "median_absolute_error": _median(np.abs(error), weight),
    }


def _r2(target: Floats, error: Floats, weight: Array) -> Number:
    """The coefficient of determination, `1 - Σ w e² / Σ w (y - ȳ)²`, where `ȳ = Σ w y / Σ w`."""
    # Measured from its first value a constant target is exactly zero; its mean, being rounded, may
    # miss it by a bit, and r2 would be a huge negative number.
    shifted = target - target[:1]
    mean = _mean(shifted, weight)
    if mean is None:
        return None
    unexplained = _ratio(np.sum(weight * error**2), np.sum(weight * (shifted - mean) ** 2))
    return None if unexplained is None else 1.0 - unexplained


def _median(values: Floats, weight: Array) -> Number:
    """The weighted median.

    With the values in rising order and `W_i` the weight of the first `i` of them, it is the first
    value with `W_i > W/2`, or, where some `W_i` is just `W/2`, the mean of the i-th value and the
    next. So whole weights stand for repeated rows, and equal weights give the common median.
    """
    if not len(values):
        return None
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    half = reached[-1] / 2
    # Fractional weights add up to half only nearly: ten times 0.1 is not quite 1.
    rounding = 1e-9 * half
    lower, upper = np.searchsorted(reached, [half - rounding, half + rounding])
    return _finite((values[order[lower]] + values[order[upper]]) / 2)


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
        "auc": _ratio(np.sum(zeros * (ones_reached - ones / 2)), ones.sum() * zeros.sum()),
        "average_precision": _ratio(np.sum(ones * precision), ones.sum()),
    }


def _score_probability(target: Array, positive: Floats, weight: Array) -> dict[str, Number]:
    """How far the probability of class 1 is from the truth; `brier` is its mean squared error."""
    return {
        "log_loss": _log_loss(np.where(target == 1, positive, 1 - positive), weight),
        "brier": _mean((positive - target) ** 2, weight),
    }


def _log_loss(of_truth: Floats, weight: Array) -> Number:
    """The mean of `-ln p`; `p`, the true class's probability, is clipped to `[eps, 1 - eps]`."""
    eps = np.finfo(np.float64).eps
    return _mean(-np.log(np.clip(of_truth, eps, 1 - eps)), weight)


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


def _confusion(target: Array, predicted: Array, weight: Array, classes: int) -> Array:
    """The weight of each pair of true (row) and predicted class (column); whole without weights."""
    cells = np.bincount(target * classes + predicted, weight, minlength=classes**2)
    matrix: Array = cells.reshape(classes, classes).astype(weight.dtype)
    return matrix


def _precisions(confusion: Array) -> list[Number]:
    """For each class, the share of its predictions that is right."""
    return _ratios(confusion.diagonal(), confusion.sum(axis=0))


def _recalls(confusion: Array) -> list[Number]:
    """For each class, the share of its rows that is found."""
    return _ratios(confusion.diagonal(), confusion.sum(axis=1))


def _f1s(confusion: Array) -> list[Number]:
    """For each class, `2 tp / (2 tp + fp + fn)`, the harmonic mean of precision and recall."""
    return _ratios(2 * confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1))


def _columns(numbers: Array) -> Floats:
    """Numbers of shape `(rows,)` or `(rows, outputs)` as `(rows, outputs)`."""
    floats = _floats(numbers)
    return floats[:, np.newaxis] if floats.ndim == 1 else floats


def _floats(values: Array) -> Floats:
    """The values in the precision of all sums; what is float32 gains no digits, but loses none."""
    return np.asarray(values, dtype=np.float64)


def _classes(target: Array) -> NDArray[np.int64]:
    """Class indices, fit to compute with: as a boolean or a byte they would overflow."""
    return np.asarray(target, dtype=np.int64)


def _counted(weight: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """The weight, whole ones if it is `None`, and the arrays, less their rows of weight zero."""
    if weight is None:
        return np.ones(len(arrays[0]), dtype=np.int64), *arrays
    counts = weight > 0
    return _floats(weight)[counts], *(array[counts] for array in arrays)


def _mean(values: Array, weight: Array) -> Number:
    """The weighted mean, `Σ w v / Σ w`, of values of shape `(rows,)`."""
    return _finite(np.average(values, weights=weight)) if len(values) else None


def _mean_if_defined(scores: Iterable[Number]) -> Number:
    """The mean of the scores; undefined as soon as one of them is."""
    values = list(scores)
    return None if None in values else _mean_of_defined(values)


def _mean_of_defined(scores: Iterable[Number]) -> Number:
    """The mean of those scores that are defined."""
    values = [score for score in scores if score is not None]
    return float(np.mean(values)) if values else None


def _ratios(numerators: Array, denominators: Array) -> list[Number]:
    """The ratio of each pair."""
    return [_ratio(*pair) for pair in zip(numerators, denominators, strict=True)]


def _ratio(numerator: float, denominator: float) -> Number:
    """A ratio, undefined if the denominator is zero."""
    return _finite(numerator / denominator) if denominator else None


def _finite(value: float) -> Number:
    """The value as a plain float; JSON knows neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None
