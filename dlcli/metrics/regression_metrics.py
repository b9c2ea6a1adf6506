"""Metrics of predicted numbers.

Of several outputs, each metric is the plain mean over them, and undefined if it is so for one. So
`rmse` is the mean of the roots, not the root of `mse`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcli.metrics.statistic import (
    Array,
    Floats,
    Mean,
    Median,
    Metrics,
    RSquared,
    Statistic,
    as_floats,
    positive_weights,
)


def regression_metrics(
    target: Array,
    prediction: Array,
    weight: Array | None = None,
    *,
    names: Sequence[str] = (),
    deviance: bool = False,
) -> Metrics:
    """Compute the metrics of predicted numbers.

    Args:
        target: true numbers, shape `(rows,)` or `(rows, outputs)`.
        prediction: predicted numbers in the same unit, of the same shape.
        weight: non-negative row weights, shape `(rows,)`; 1 each if omitted.
        names: of the outputs.
        deviance: whether the predictions are means of counts, which the deviance measures.

    Returns:
        The value of each of `regression_statistics`, `None` where it is undefined. Of several
        outputs with names, `by_column` has the same of each.
    """
    statistics = regression_statistics(target, prediction, weight, deviance=deviance)
    metrics: Metrics = {name: each.value for name, each in statistics.items()}
    if len(names) > 1:
        columns = zip(as_columns(target).T, as_columns(prediction).T, strict=True)
        each = (regression_metrics(*pair, weight=weight, deviance=deviance) for pair in columns)
        metrics["by_column"] = dict(zip(names, each, strict=True))
    return metrics


@np.errstate(over="ignore", invalid="ignore")  # a value that overflows is undefined
def regression_statistics(
    target: Array, prediction: Array, weight: Array | None = None, *, deviance: bool = False
) -> dict[str, Statistic]:
    """Return the metrics of predicted numbers as functions of the row weights.

    Arguments are those of `regression_metrics`.
    """
    weight, target, prediction = positive_weights(
        weight, as_columns(target), as_columns(prediction)
    )
    statistics: dict[str, Statistic] = {
        "mse": mean_squared_error(target, prediction, weight),
        "rmse": root_mean_squared_error(target, prediction, weight),
        "mae": mean_absolute_error(target, prediction, weight),
        "r2": r_squared(target, prediction, weight),
        "median_absolute_error": median_absolute_error(target, prediction, weight),
    }
    if deviance:
        statistics["poisson_deviance"] = poisson_deviance(target, prediction, weight)
    return statistics


def mean_squared_error(target: Floats, prediction: Floats, weights: Array) -> Mean:
    """Mean squared error, `Σ w (ŷ - y)² / Σ w`."""
    return Mean(weights, _by_output((prediction - target) ** 2))


def root_mean_squared_error(target: Floats, prediction: Floats, weights: Array) -> Mean:
    """Root mean squared error, `√(Σ w (ŷ - y)² / Σ w)`."""
    return Mean(weights, _by_output((prediction - target) ** 2), root=True)


def mean_absolute_error(target: Floats, prediction: Floats, weights: Array) -> Mean:
    """Mean absolute error, `Σ w |ŷ - y| / Σ w`."""
    return Mean(weights, _by_output(np.abs(prediction - target)))


def median_absolute_error(target: Floats, prediction: Floats, weights: Array) -> Median:
    """The weighted median of `|ŷ - y|`."""
    return Median(weights, _by_output(np.abs(prediction - target)))


def r_squared(target: Floats, prediction: Floats, weights: Array) -> RSquared:
    """Coefficient of determination, `1 - Σ w (ŷ - y)² / Σ w (y - ȳ)²`.

    Undefined for a constant target, and so for a single row.
    """
    return RSquared(weights, _by_output(target), _by_output(prediction - target))


def poisson_deviance(target: Floats, prediction: Floats, weights: Array) -> Mean:
    """The mean of `2 (y ln(y / ŷ) - y + ŷ)`, where `0 ln 0` is 0; 0 for a perfect prediction.

    Undefined where 0 is predicted for a count above 0. McCullagh and Nelder, Generalized Linear
    Models (1989), section 2.3.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(target > 0, target * np.log(target / prediction), 0.0)
    return Mean(weights, _by_output(2 * (logarithm - target + prediction)))


def _by_output(values: Floats) -> Floats:
    """Values of shape `(rows, outputs)` with the rows of each output in a row of memory."""
    return np.ascontiguousarray(values.T)


def as_columns(numbers: Array) -> Floats:
    """Numbers of shape `(rows,)` or `(rows, outputs)` as `(rows, outputs)`."""
    floats = as_floats(numbers)
    return floats[:, np.newaxis] if floats.ndim == 1 else floats
