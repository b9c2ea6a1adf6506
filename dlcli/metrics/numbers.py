"""Metrics of predicted numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcli.metrics.arithmetic import (
    Array,
    Floats,
    Metrics,
    Number,
    as_columns,
    counted,
    finite,
    mean,
    mean_if_defined,
    ratio,
)

_ROUNDING = 1e-12
"""What sums of squares are rounded by: an r2 that is nearer to 0 is that of the mean, exactly 0."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows is answered by None
def regression_metrics(
    target: Array,
    prediction: Array,
    weight: Array | None = None,
    *,
    names: Sequence[str] = (),
    deviance: bool = False,
) -> Metrics:
    """Scores predicted numbers.

    Several outputs are scored one by one; each metric is the plain mean over them, and `None` if
    it is undefined for one of them. So `rmse` is the mean of the roots, not the root of `mse`.

    Args:
        target: true numbers, shape `(rows,)` or `(rows, outputs)`.
        prediction: predicted numbers in the same unit, of as many rows and outputs.
        weight: non-negative row weights, shape `(rows,)`; 1 each if left out.
        names: of several outputs.
        deviance: whether the predictions are means of counts, to be judged as such.

    Returns:
        `mse`, `rmse`, `mae`, `r2` and `median_absolute_error`. `r2` is undefined for a constant
        target, and so for a single row. For counts `poisson_deviance`, undefined where 0 is
        predicted and more comes. Of several outputs with names, `by_column` has the same of each.
    """
    weight, target, prediction = counted(weight, as_columns(target), as_columns(prediction))
    outputs = [
        _score_output(*columns, weight, deviance=deviance)
        for columns in zip(target.T, prediction.T, strict=True)
    ]
    scores: Metrics = {
        name: mean_if_defined(output[name] for output in outputs) for name in outputs[0]
    }
    if len(names) > 1:
        scores["by_column"] = {
            name: dict(output) for name, output in zip(names, outputs, strict=True)
        }
    return scores


def _score_output(
    target: Floats, prediction: Floats, weight: Array, *, deviance: bool
) -> dict[str, Number]:
    """The metrics of one output, from target and prediction of shape `(rows,)`."""
    error = prediction - target
    mse = mean(error**2, weight)
    scores = {
        "mse": mse,
        "rmse": None if mse is None else math.sqrt(mse),
        "mae": mean(np.abs(error), weight),
        "r2": _r2(target, error, weight),
        "median_absolute_error": _median(np.abs(error), weight),
    }
    if deviance:
        scores["poisson_deviance"] = _poisson_deviance(target, prediction, weight)
    return scores


def _poisson_deviance(target: Floats, prediction: Floats, weight: Array) -> Number:
    """The mean of `2 (y ln(y / ŷ) - y + ŷ)`, where `0 ln 0` is 0; 0 for a perfect prediction."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(target > 0, target * np.log(target / prediction), 0.0)
    return mean(2 * (logarithm - target + prediction), weight)


def _r2(target: Floats, error: Floats, weight: Array) -> Number:
    """The coefficient of determination, `1 - Σ w e² / Σ w (y - ȳ)²`, where `ȳ = Σ w y / Σ w`."""
    # Measured from its first value a constant target is exactly zero; its mean, being rounded, may
    # miss it by a bit, and r2 would be a huge negative number.
    shifted = target - target[:1]
    middle = mean(shifted, weight)
    if middle is None:
        return None
    unexplained = ratio(np.sum(weight * error**2), np.sum(weight * (shifted - middle) ** 2))
    if unexplained is None:
        return None
    score = 1.0 - unexplained
    return 0.0 if abs(score) < _ROUNDING else score


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
    return finite((values[order[lower]] + values[order[upper]]) / 2)
