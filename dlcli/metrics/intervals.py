"""Metrics and differences of metrics with their 95 % confidence intervals.

The record of a metric names its method:

- `wilson`: Wilson's interval, for a share of rows.
- `studentized`: SciPy's `bootstrap` of the studentized mean, for example of a loss.
- `delong`: DeLong's interval on the logit scale, for the area under a ROC curve.
- `own`: the statistic's own interval, see `CalibrationError.own_interval`.
- `bca`: SciPy's BCa `bootstrap`, for every other metric.

Differences and means use other methods:

- Difference of two shares of the same rows: Bonett and Price's interval.
- Difference of other metrics of the same rows: the bootstrap of the difference.
- Difference of metrics of different rows: Zou and Donner's interval, from the intervals of both.
- Mean over folds: Nadeau and Bengio's corrected interval.

A bootstrap interval is at least as long as Student's. The methods were chosen by simulation;
`python -m benchmarks.coverage` prints how often the intervals contain the true value. SciPy is
imported in functions, because its import is slow.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Floats
from dlcli.metrics.definitions import is_higher_better, metric_bounds
from dlcli.metrics.statistic import (
    Mean,
    Ratio,
    Statistic,
    Z,
    effective_size,
    finite,
    mean_of_all,
    wilson_interval,
)
from dlcli.safe_files import Document

Statistics = Mapping[str, Statistic]
"""Metrics of the same rows by name."""
Ends = tuple[float, float]
"""Lower and upper end of an interval."""
Bootstrap = Any
"""SciPy's `BootstrapResult`."""
Verdict = Literal["better", "worse", "not_significant", "same", "unknown"]

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
"""The probability that the true value is below an interval; the same for above it."""
MANY = 2_000
"""Number of rows above which metrics are approximately normal, so Student's interval suffices. For
a metric that sorts the rows for each label, it is the number of rows times labels."""
FEWEST = 10
"""Number of rows below which resampling is not reliable."""
_MOST = 2_000
"""Number of resamples for few rows."""
_LEAST = 400
"""Number of resamples for many rows or labels."""
_WORK = 2_000_000
"""Total number of drawn rows, above which there are fewer resamples."""
_AT_ONCE = 2**20
"""Number of rows drawn at once: 8 MB of counts."""
_MOST_UNDEFINED = 0.1
"""Maximum share of resamples without a value, such as an AUC without one of its classes."""
_MOST_WITHOUT_ERROR = 0.001
"""Maximum share of resamples without a standard error."""
_NO_ERROR = 1e-6
"""Ratio to the standard error of all rows below which the standard error of a resample counts as
0."""
_ROUNDING = 1e-12
"""Relative difference up to which values are equal except for rounding errors."""
_SEED = 0
"""Seed of all draws, so equal runs have equal intervals."""
NO_SPREAD = "the same in every bootstrap resample, so its uncertainty is unknown"
UNDEFINED = "undefined in too many bootstrap resamples"
TOO_FEW = f"fewer than {FEWEST} rows"
ONE_ROW = "a single row has most of the weight"
NO_VALUE = "undefined on these rows"
TOO_LARGE = "too large for a float"


class Estimate(Document):
    """A value with its 95 % confidence interval."""

    value: float | None = None
    """The value; `None` if undefined."""
    lower: float | None = None
    upper: float | None = None
    """The ends of the interval; `None` if undefined."""
    reason: str | None = None
    """The reason if the value or the interval is undefined."""

    @property
    def ends(self) -> Ends | None:
        """Both ends of the interval; `None` if undefined."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)


class DifferenceEstimate(Estimate):
    """The difference of a metric between two runs."""

    verdict: Verdict = "unknown"
    """`better` or `worse`: the interval does not contain 0, so the difference is statistically
    significant. `not_significant`: the interval contains 0. `same`: the difference is 0 in every
    resample. `unknown`: the interval is undefined."""


def estimate_statistics(
    statistics: Statistics, resamples: int | None = None
) -> dict[str, Estimate]:
    """Estimate each metric with its interval.

    Args:
        statistics: the metrics of the same rows, by name.
        resamples: number of resamples. [default: fewer for more rows]
    """
    return {
        name: _estimate(each.value, _interval(each, resamples), metric_bounds(name))
        for name, each in statistics.items()
    }


def estimate_statistic_differences(
    first: Statistics, second: Statistics, *, paired: bool, resamples: int | None = None
) -> dict[str, DifferenceEstimate]:
    """Estimate the difference of each metric from another run, with its interval.

    Args:
        first: metrics of the other run.
        second: metrics of this run.
        paired: whether both belong to the same rows with the same weights, in the same order.
        resamples: number of resamples. [default: fewer for more rows]
    """
    found = {}
    for name in first:
        if name not in second:
            continue
        before, after = first[name], second[name]
        if before.value is None or after.value is None:
            found[name] = DifferenceEstimate(reason=NO_VALUE)
            continue
        if paired:
            ends = _paired_interval(before, after, resamples)
            if not isinstance(ends, str):
                ends = _possible_ends(name, ends, before, after, resamples)
        else:
            pair = (estimate_statistics({name: each}, resamples)[name] for each in (before, after))
            ends = unpaired_interval(*pair)
        value = finite(after.value - before.value)
        found[name] = difference_estimate(name, value, ends, paired=paired)
    return found


def difference_estimate(
    name: str, value: float | None, ends: Ends | str | None, *, paired: bool = True
) -> DifferenceEstimate:
    """Return a difference with the verdict from its interval.

    Args:
        name: the name of the metric.
        value: the difference; `None` if undefined.
        ends: its interval, or the reason if it is undefined; `None` if the difference is undefined.
        paired: whether both metrics belong to the same rows.
    """
    least, most = metric_bounds(name)
    estimate = _estimate(value, ends, (least - most, most - least))
    if estimate.ends is None:
        is_same = paired and estimate.reason == NO_SPREAD and value == 0
        verdict: Verdict = "same" if is_same else "unknown"
    elif estimate.ends[0] <= 0 <= estimate.ends[1]:
        verdict = "not_significant"
    else:
        verdict = "better" if (estimate.ends[0] > 0) == is_higher_better(name) else "worse"
    return DifferenceEstimate(**dict(estimate), verdict=verdict)


def _estimate(value: float | None, ends: Ends | str | None, bounds: Ends) -> Estimate:
    """Return a value with its interval, clipped to bounds, or with the reason that `ends` gives."""
    if ends is None or isinstance(ends, str):
        return Estimate(value=value, reason=ends)
    return Estimate(value=value, lower=max(bounds[0], ends[0]), upper=min(bounds[1], ends[1]))


def mean_estimate(estimates: Sequence[Estimate | None]) -> Estimate:
    """Return the mean of estimates over repeats with the same rows; `None` is undefined.

    The ends are the means of the ends of all repeats. Repeats contain the same rows, so more
    repeats do not narrow the interval. The standard deviation of a mean is at most the mean of the
    standard deviations, so the interval is wide enough for the mean. It is undefined if the
    interval of any repeat is undefined.
    """
    known = [each for each in estimates if each is not None and each.value is not None]
    value = mean_of_all(each.value for each in known)
    if known and len(known) < len(estimates):
        missing = len(estimates) - len(known)
        return Estimate(value=value, reason=f"undefined in {missing} of {len(estimates)} repeats")
    lower, upper = mean_of_all(each.lower for each in known), mean_of_all(e.upper for e in known)
    if lower is None or upper is None:
        reasons = (each.reason for each in estimates if each is not None and each.reason)
        return Estimate(value=value, reason=next(reasons, None))
    return Estimate(value=value, lower=lower, upper=upper)


# Intervals


def _interval(statistic: Statistic, resamples: int | None) -> Ends | str | None:
    """Return the interval of a metric; `None` if it is undefined."""
    if statistic.value is None:
        return None
    if statistic.interval == "wilson":
        assert isinstance(statistic, Ratio)
        return share_interval(statistic)
    if statistic.interval == "delong":
        return auc_interval(statistic)
    return statistic.own_interval() or _resampled_interval(statistic, resamples)


def _paired_interval(first: Statistic, second: Statistic, resamples: int | None) -> Ends | str:
    """Return the interval of the difference of two metrics of the same rows."""
    if first.interval == second.interval == "wilson":
        assert isinstance(first, Ratio) and isinstance(second, Ratio)
        if np.array_equal(first.denominators, second.denominators):
            return paired_share_interval(first, second)
    return _resampled_interval(second.minus(first), resamples)


def _possible_ends(
    name: str, ends: Ends, first: Statistic, second: Statistic, resamples: int | None
) -> Ends:
    """Clip the interval of a difference to the differences that are possible.

    Student's interval is symmetric. If errors have a long tail, its lower end may be below the
    negative of the first MSE, although the second MSE is not negative. With the bounds `a` and `b`
    of the metric and the intervals of both runs, a difference is at least `a - u₁` and `l₂ - b`,
    and at most `b - l₁` and `u₂ - a`. The lower limits are not above 0 and the upper limits not
    below 0, so they don't change the verdict. Zou and Donner's interval is always within them.
    """
    least, most = metric_bounds(name)
    assert first.value is not None and second.value is not None
    is_possible = ends[0] >= max(least - first.value, second.value - most) and ends[1] <= min(
        most - first.value, second.value - least
    )
    if is_possible:
        return ends
    one, other = (_interval(each, resamples) for each in (first, second))
    low, high = one if isinstance(one, tuple) else (least, most)
    lower, upper = other if isinstance(other, tuple) else (least, most)
    return (
        max(ends[0], least - min(high, most), max(lower, least) - most),
        min(ends[1], most - max(low, least), min(upper, most) - least),
    )


def unpaired_interval(first: Estimate, second: Estimate) -> Ends | str:
    """Return the interval of the difference of two metrics of different rows, from their intervals.

    With the estimates `d = θ₂ - θ₁`: `d - √((θ₂ - l₂)² + (u₁ - θ₁)²)` to `d + √((u₂ - θ₂)² + (θ₁ -
    l₁)²)`, so it has the skewness of both intervals. For shares: Newcombe, Statistics in Medicine
    17 (1998), method 10; for other metrics: Zou and Donner, Statistics in Medicine 27 (2008). In
    simulated samples of 50 rows with accuracies of 0.95 and 0.97, SciPy's bootstrap of two samples
    contains the true difference in 80 % of samples, this interval in 99 %.
    """
    if second.value is None or second.ends is None or first.value is None or first.ends is None:
        return second.reason or first.reason or UNDEFINED
    (lower, upper), (least, most) = second.ends, first.ends
    below = math.hypot(second.value - lower, most - first.value)
    above = math.hypot(upper - second.value, first.value - least)
    return second.value - first.value - below, second.value - first.value + above


def share_interval(share: Ratio) -> Ends:
    """Return the Wilson interval of a share of rows, with the effective number of weighted rows.

    Its coverage is good for any number of rows: Brown, Cai and DasGupta, Statistical Science 16
    (2001).
    """
    size = effective_size(share.weights[share.denominators > 0])
    return wilson_interval(float(share.of(share.weights)), size)


def auc_interval(auc: Statistic) -> Ends | str:
    """Return DeLong's interval of the area under a ROC curve, or the reason if it is undefined.

    `logit θ ± t s / (θ (1 - θ))`, where `s²` is the variance of DeLong, DeLong and Clarke-Pearson,
    Biometrics 44 (1988), and `t` is Student's quantile, see `_resampled_interval`. Qin and
    Hotilovac, Statistical Methods in Medical Research 17 (2008), compare intervals on the logit
    scale with others. At 0 and 1, it is Wilson's interval for the number of rows of the rarer
    class. In simulated samples of 50 rows with an AUC of 0.95 and about 5 positive rows, it
    contains the true AUC in 99 % of samples, SciPy's BCa interval in 85 %.
    """
    found = _students_interval(auc)
    if isinstance(found, str):
        return found
    from scipy.special import expit, logit

    value, error, half = found
    if math.isnan(error):
        return UNDEFINED
    if error <= _ROUNDING:
        return wilson_interval(value, float(auc.supports[0])) if value in (0, 1) else NO_SPREAD
    lower, upper = expit(logit(value) + np.array([-half, half]) / (value * (1 - value)))
    return float(lower), float(upper)


def paired_share_interval(first: Ratio, second: Ratio) -> Ends:
    """Return Bonett and Price's interval of the difference of two shares of the same rows.

    Let `a` be the number of rows that count only in the second share, `b` the number of rows that
    count only in the first, `p = (a + 1) / (n + 2)` and `q = (b + 1) / (n + 2)`. The interval is
    `p - q ± z √((p + q - (p - q)²) / (n + 2))`: Bonett and Price, Journal of Educational and
    Behavioral Statistics 37 (2012). It has good coverage even if the shares differ in few or no
    rows, where resampling underestimates the variation.

    Args:
        first: the share that is subtracted.
        second: the other share, of the same rows with the same weights.
    """
    counts = first.denominators > 0
    weights = first.weights[counts]
    before, after = first.numerators[counts] > 0, second.numerators[counts] > 0
    size = effective_size(weights)
    scale = size / weights.sum()
    gained = (weights[after & ~before].sum() * scale + 1) / (size + 2)
    lost = (weights[before & ~after].sum() * scale + 1) / (size + 2)
    half = Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (size + 2))
    return float(gained - lost - half), float(gained - lost + half)


def standard_error(statistic: Statistic) -> float | None:
    """Return the standard error of a metric of rows, for a fixed network.

    For a share of rows, it is half of Wilson's interval divided by `z`, which is positive even for
    the shares 0 and 1. For any other metric, it is computed from the influences of the rows. It is
    `None` if there are too few rows.
    """
    if len(statistic.weights) < 2 or statistic.value is None:
        return None
    if statistic.interval == "wilson":
        assert isinstance(statistic, Ratio)
        lower, upper = share_interval(statistic)
        return (upper - lower) / (2 * Z)
    return finite(statistic.standard_error())


def _students_interval(statistic: Statistic) -> tuple[float, float, float] | str:
    """Return a metric, its standard error and half of Student's interval, or a reason.

    Student's interval is `θ ± t √(n / (n - 1)) s`, where `n` is the effective number of rows, but
    at most the number of rows that determine the metric: for an AUC, the rows of the rarer class.
    """
    size = effective_size(statistic.weights)
    if len(statistic.weights) < FEWEST:
        return TOO_FEW
    if size < 2:
        return ONE_ROW
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        value, error = float(statistic.of(statistic.weights)), statistic.standard_error()
    size = min(size, float(np.max(statistic.supports, initial=2)))
    half = student_quantile(1 - TAIL, size - 1) * math.sqrt(size / (size - 1)) * error
    return value, error, half


def _resampled_interval(statistic: Statistic, resamples: int | None) -> Ends | str:
    """Return the bootstrap interval, at least as long as Student's, or the reason if undefined.

    For two equally good models, the distribution of the differences is about symmetric, and
    Student's interval has the right coverage. Resampling underestimates the variation due to a few
    decisive rows: in simulated samples of 100 rows, one in 20 of which is positive, its intervals
    of differences of log losses exclude 0 in 18 % of samples, Student's in 4 %. If the distribution
    is skewed, the bootstrap interval has the better coverage. With many rows, Student's interval
    suffices.
    """
    found = _students_interval(statistic)
    if isinstance(found, str):
        return found
    value, error, half = found
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        rounding = _ROUNDING * max(statistic.magnitude, abs(value))
        drawn: Ends | str | None = None
        if len(statistic.weights) * statistic.sorts > MANY:
            drawn = NO_SPREAD if error <= rounding else (math.nan, math.nan)
        elif statistic.interval == "studentized" and error > rounding:
            drawn = _studentized_interval(statistic, value, error, resamples)
        if drawn is None:
            drawn = _bca_interval(statistic, rounding, resamples)
        if isinstance(drawn, str):
            return drawn
        lower, upper = np.fmin(value - half, drawn[0]), np.fmax(value + half, drawn[1])
    return (float(lower), float(upper)) if np.isfinite([lower, upper]).all() else UNDEFINED


def _studentized_interval(
    mean: Statistic, point: float, error: float, resamples: int | None
) -> Ends | None:
    """Return the interval of the studentized bootstrap.

    With the standard error `s*` of each resample, `t* = (θ* - θ) / s*` has about the distribution
    of `(θ - θ₀) / s`, where `θ₀` is the true value, so the interval is from `θ - s t*(97.5 %)` to
    `θ - s t*(2.5 %)`: Hall, Annals of Statistics 16 (1988). Skewed errors make it longer on the
    side of their long tail. In simulated samples of 50 Laplace errors, the union of this interval
    and Student's contains the true RMSE in 94 % of samples, SciPy's BCa interval in 90 %.

    Returns:
        The interval; `None` if too many resamples have no standard error, because only a few rows
        differ from the others.
    """
    assert isinstance(mean, Mean)

    def ratios(counts: Floats) -> Floats:
        errors = mean.errors(counts)
        values = (mean.of(counts * mean.weights) - point) / errors
        return np.where(errors > _NO_ERROR * error, values, np.nan)

    values = _bootstrap(mean, ratios, resamples).bootstrap_distribution
    defined = np.isfinite(values)
    if defined.mean() < 1 - _MOST_WITHOUT_ERROR:
        return None
    low, high = np.quantile(values[defined], (TAIL, 1 - TAIL))
    return point - float(high) * error, point - float(low) * error


def _bca_interval(statistic: Statistic, rounding: float, resamples: int | None) -> Ends | str:
    """Return the BCa interval of Efron, JASA 82 (1987), or the reason if it is undefined.

    An end is NaN if SciPy can't compute it.

    Args:
        statistic: the metric.
        rounding: the largest difference of two values that count as equal.
        resamples: number of resamples. [default: fewer for more rows]
    """

    def values(counts: Floats) -> Floats:
        return statistic.of(counts * statistic.weights)

    drawn = _bootstrap(statistic, values, resamples)
    defined = np.isfinite(drawn.bootstrap_distribution)
    if defined.mean() < 1 - _MOST_UNDEFINED:
        return UNDEFINED
    drawn.bootstrap_distribution = drawn.bootstrap_distribution[defined]
    if np.ptp(drawn.bootstrap_distribution) <= rounding:
        return NO_SPREAD
    ends = _bootstrap(statistic, values, 0, drawn).confidence_interval
    return float(ends.low), float(ends.high)


def _bootstrap(
    statistic: Statistic,
    values: Callable[[Floats], Floats],
    resamples: int | None,
    drawn: Bootstrap = None,
) -> Bootstrap:
    """Draw rows, and return SciPy's bootstrap of a function of the counts of drawn rows.

    Args:
        statistic: the metric of the rows.
        values: maps the counts, `(resamples, rows)`, to values, `(resamples,)`.
        resamples: number of resamples. [default: fewer for more rows]
        drawn: an earlier result, for which to compute the BCa interval without further resamples.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    rows = len(statistic.weights)
    if resamples is None:
        resamples = int(np.clip(_WORK // (rows * statistic.sorts), _LEAST, _MOST))

    def of_rows(indices: NDArray[np.int64], axis: int) -> Floats:  # noqa: ARG001  # the last
        lines = indices.reshape(-1, indices.shape[-1])
        cells = lines + rows * np.arange(len(lines))[:, np.newaxis]
        counts = np.bincount(cells.ravel(), minlength=len(lines) * rows)
        found = values(counts.reshape(-1, rows).astype(np.float64))
        return found.reshape(indices.shape[:-1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        return bootstrap(
            (np.arange(rows),),
            of_rows,
            n_resamples=resamples,
            batch=max(1, _AT_ONCE // rows),
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile" if drawn is None else "BCa",
            bootstrap_result=drawn,
            rng=np.random.default_rng([_SEED, rows]),
        )


def student_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def corrected_interval(
    values: Floats,
    weights: Floats,
    ratio: float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the weighted mean over folds with the corrected resampled interval.

    The interval is `m ± t √((Σ p² + ratio) S²)` with the shares `p = w / Σ w`, the variance `S² = Σ
    (v - m)² / (J - 1)` over `J` folds, and Student's `t` with `J - 1` degrees of freedom: Nadeau
    and Bengio, Inference for the Generalization Error, Machine Learning 52 (2003), section 3. For
    folds of equal weight, `Σ p²` is `1 / J`. The variance `S² / J` would assume independent folds,
    but the networks share most of their training rows. The variance has no unbiased estimator:
    Bengio and Grandvalet, JMLR 5 (2004). The corrected interval is usually conservative.

    Args:
        values: the metric of each fold, `(folds,)`; at least one.
        weights: the weights of the folds, `(folds,)`.
        ratio: the number of evaluated rows divided by the number of training rows in a fold.
        bounds: the smallest and largest possible value of the metric.
    """
    shares = weights / weights.sum()
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(shares @ values)
        squares = float(np.sum((values - value) ** 2))
    if not math.isfinite(squares):
        return Estimate(value=finite(value), reason=TOO_LARGE)
    if len(values) < 2:
        return Estimate(value=value, reason="a single fold has no spread")
    if np.ptp(values) <= _ROUNDING * abs(value):
        return Estimate(value=value, reason="the same in every fold, so its uncertainty is unknown")
    freedom = len(values) - 1
    variance = (float(shares @ shares) + ratio) * squares / freedom
    half = student_quantile(1 - TAIL, freedom) * math.sqrt(variance)
    ends = value - half, value + half
    return _estimate(value, ends if np.isfinite(ends).all() else TOO_LARGE, bounds)
