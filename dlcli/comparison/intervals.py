"""From resamples to an interval.

Two ways, chosen by simulation (`python -m benchmarks.coverage` prints what they cover):

- of means, such as a loss, the **studentised bootstrap**: with the standard error `s*` of each
  resample, `t* = (θ* - θ) / s*` varies as `(θ - truth) / s` does, so that the interval is from
  `θ - s t*(97.5 %)` to `θ - s t*(2.5 %)`. Hall, Annals of Statistics 16 (1988). Errors that are
  skewed make it longer on the side that few rows tell of.
- of all else, **BCa**: quantiles of `θ*`, corrected by its bias `z₀` and acceleration `a`, at
  `Φ(z₀ + (z₀ + z) / (1 - a (z₀ + z)))`; Efron, JASA 82 (1987). `z` belongs to the expanded tail.

Of 30 normal errors the plain percentiles of the RMSE hold the truth in 90 of 100 samples, BCa in
92, and these in 95. Heavier tails ask for more rows: of 30 Laplace errors these hold it in 91.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.comparison.proportions import Ends
from dlcli.comparison.quantiles import NORMAL, TAIL, Z, expanded_tail, quantiles
from dlcli.comparison.resampling import MOST_UNDEFINED, Replicates
from dlcli.metrics import Floats

FEWEST = 10
"""Rows below which resampling tells nothing to rely on."""
_MOST_WITHOUT_ERROR = 0.001
"""The share of resamples that may have no standard error."""
_NO_ERROR = 1e-6
"""Of the rows' own error; what is less is none."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Unknown:
    """Why there is no interval."""

    reason: str


TOO_FEW = Unknown(f"fewer than {FEWEST} rows")
NO_SPREAD = Unknown("the same in every resample of the rows, which then can't tell how far off")
UNDEFINED = Unknown("undefined in too many resamples of the rows")


def interval_of(replicates: Replicates, rows: int) -> Ends | Unknown:
    """The 95 % interval of a metric, or of a difference of two.

    Args:
        replicates: what resamples say.
        rows: how many were resampled; of two sets of rows, the lesser.
    """
    if rows < FEWEST:
        return TOO_FEW
    with np.errstate(over="ignore", invalid="ignore"):
        ends = _interval(replicates, rows)
    return ends if isinstance(ends, Unknown) or np.isfinite(ends).all() else UNDEFINED


def _interval(replicates: Replicates, rows: int) -> Ends | Unknown:
    if not len(replicates.values) and replicates.error is not None:
        return _normal(replicates.point, replicates.error)
    defined = np.isfinite(replicates.values)
    if defined.mean() < 1 - MOST_UNDEFINED:
        return UNDEFINED
    values = replicates.values[defined]
    if np.ptp(values) <= _ROUNDING * max(1.0, abs(replicates.point)):
        return NO_SPREAD
    if replicates.error is not None and replicates.errors is not None:
        ends = _studentised(replicates.point, values, replicates.error, replicates.errors[defined])
        if ends is not None:
            return ends
    return _accelerated(replicates.point, values, replicates.pushes, rows)


def _normal(point: float, error: float) -> Ends | Unknown:
    if not np.isfinite(error):
        return UNDEFINED
    return (point - Z * error, point + Z * error) if error > _ROUNDING * abs(point) else NO_SPREAD


def _studentised(point: float, values: Floats, error: float, errors: Floats) -> Ends | None:
    """The studentised bootstrap's interval; none if it hangs on resamples without any error.

    Such are drawn where but a few rows differ from all others, and might be missed.
    """
    has_error = errors > _NO_ERROR * error
    if has_error.mean() < 1 - _MOST_WITHOUT_ERROR:
        return None
    ratios = (values[has_error] - point) / errors[has_error]
    low, high = quantiles(ratios, TAIL, 1 - TAIL)
    return point - high * error, point - low * error


def _accelerated(point: float, values: Floats, pushes: Floats, rows: int) -> Ends:
    """The BCa interval, with the tails expanded for few rows."""
    bias = _bias(point, values)
    acceleration = _acceleration(pushes)
    tail = expanded_tail(rows)
    lower, upper = (
        _corrected(NORMAL.inv_cdf(probability), bias, acceleration)
        for probability in (tail, 1 - tail)
    )
    low, high = quantiles(values, lower, upper)
    return low, high


def _bias(point: float, values: Floats) -> float:
    """`z₀ = Φ⁻¹(share of resamples below the value itself)`; those at it count half."""
    at = np.abs(values - point) <= _ROUNDING * max(1.0, abs(point))
    below = (values < point) & ~at
    share = (below.sum() + at.sum() / 2) / len(values)
    least = 0.5 / len(values)
    return NORMAL.inv_cdf(float(np.clip(share, least, 1 - least)))


def _acceleration(pushes: Floats) -> float:
    """`a = Σ u³ / (6 (Σ u²)^1.5)`, a sixth of the skewness of what parts of the rows push."""
    largest = np.max(np.abs(pushes), initial=0.0)
    if largest == 0:
        return 0.0
    scaled = pushes / largest  # whose cubes don't overflow
    return float(np.sum(scaled**3) / (6 * np.sum(scaled**2) ** 1.5))


def _corrected(z: float, bias: float, acceleration: float) -> float:
    """The probability whose quantile ends the interval."""
    shifted = bias + z
    room = 1 - acceleration * shifted
    if room <= 0:  # beyond what any resample shows
        return float(shifted > 0)
    return NORMAL.cdf(bias + shifted / room)
