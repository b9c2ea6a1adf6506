"""Standard errors of a candidate's metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcli.comparison import HeldOut
from dlcli.metrics import (
    Array,
    Mean,
    Number,
    Share,
    as_floats,
    finite,
    positive_weights,
    share_error,
)
from dlcli.pipeline.selection.folds import deviation_of


def standard_error_of_folds(values: Sequence[Number]) -> Number:
    """`S / √k` of the values of `k` folds; `None` of less than two.

    As the rule of one standard error takes it (Breiman, Friedman, Olshen and Stone, Classification
    and Regression Trees, 1984, 3.4.3), folds for independent.

    Args:
        values: the metric of each fold; those that are undefined are left out.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    deviation = deviation_of(known)
    return None if deviation is None else deviation / math.sqrt(len(known))


def standard_error_of_rows(held: HeldOut, metric: str) -> Number:
    """Return the standard error of a metric of some rows, the network as it is.

    Of a share of rows, half of Wilson's interval over `z`, which is not 0 where all rows are right;
    else from the influence of each row.

    Args:
        held: the rows.
        metric: its name in `metrics.json`, with or without `val_` in front.

    Returns:
        `None` if too few rows show it, or there is no such metric of the target.
    """
    statistic = held.statistics().get(metric.removeprefix("val_"))
    if statistic is None or len(statistic.weights) < 2 or statistic.value is None:
        return None
    if isinstance(statistic, Share):
        return share_error(statistic)
    return finite(statistic.standard_error())


def standard_error_of_mean(values: Array, weight: Array | None = None) -> Number:
    """Return the standard error of a weighted mean over rows, `√(Σ w² (v - m)²) / Σ w`.

    As of the loss of each row. With equal weights and `n` rows it is `S / √n` but for the factor
    `√((n - 1) / n)`.

    Args:
        values: shape `(rows,)`.
        weight: shape `(rows,)`; 1 each if omitted.
    """
    weights, known = positive_weights(weight, as_floats(values))
    if len(known) < 2:
        return None
    return finite(Mean(weights, known[np.newaxis]).standard_error())
