"""What chance leaves open in the value of a candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcli.comparison import (
    LEAST,
    MOST_UNDEFINED,
    HeldOut,
    Means,
    Proportion,
    Replicates,
    Statistic,
    Z,
    measures_of,
    replicate,
)
from dlcli.metrics import Array, Floats, Number, as_floats, counted, finite
from dlcli.pipeline.selection.folds import deviation_of

_SEED = 0
"""What draws follow from, so that the same rows give the same error."""


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
    """The standard error of a metric of some rows, the network as it is.

    Of a share of rows, half of Wilson's interval over `z`, which is not 0 where all rows are right;
    else from what each row pushes the metric, where that is known; else the deviation of resamples.

    Args:
        held: the rows.
        metric: its name in `metrics.json`, with or without `val_` in front.

    Returns:
        `None` if rows don't tell, or there is no such metric of the target.
    """
    rows = held.counted()
    measure = measures_of(rows).get(metric.removeprefix("val_")) if rows.rows > 1 else None
    if measure is None:
        return None
    if measure.proportion is not None:
        return _of_share(measure.proportion)
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(_of_statistic(measure.statistic, rows.rows))


def standard_error_of_mean(values: Array, weight: Array | None = None) -> Number:
    """The standard error of a weighted mean over rows, `√(Σ w² (v - m)²) / Σ w`.

    As of the loss of each row. With equal weights and `n` rows it is `S / √n` but for the factor
    `√((n - 1) / n)`.

    Args:
        values: (rows,)
        weight: (rows,)
    """
    weights, known = counted(weight, as_floats(values))
    if len(known) < 2:
        return None
    statistic = Means(known[:, np.newaxis], (1.0,), as_floats(weights))
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(_of_statistic(statistic, len(known)))


def _of_share(proportion: Proportion) -> Number:
    """`√(p (1 - p) / n + z² / 4n²) / (1 + z² / n)`: see `share_interval`."""
    share, size = proportion.share, proportion.size
    if not size:
        return None
    half = math.sqrt(share * (1 - share) / size + Z**2 / (4 * size**2))
    return half / (1 + Z**2 / size)


def _of_statistic(statistic: Statistic, rows: int) -> float:
    if isinstance(statistic, Means):
        return float(statistic.errors(np.ones((1, rows)))[0])
    pushes = statistic.influences()
    if pushes is not None:
        return math.sqrt(float(pushes @ pushes))
    replicates = replicate({"": statistic}, rows, _SEED, LEAST)[""]
    return replicates.error if replicates.error is not None else _deviation(replicates)


def _deviation(replicates: Replicates) -> float:
    values: Floats = replicates.values[np.isfinite(replicates.values)]
    if len(values) < (1 - MOST_UNDEFINED) * len(replicates.values):
        return math.nan
    return float(np.std(values, ddof=1))
