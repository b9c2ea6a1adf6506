"""Metrics and differences of metrics with their 95 % confidence intervals.

- Of a share of rows: Wilson's; of the difference of two of the same rows: Bonett and Price's.
- Of the area under a ROC curve: DeLong's variance on the logit scale, with Student's quantile; of
  the difference of two of the same rows: DeLong's variance, with Student's quantile.
- Of means, such as a loss: the studentized bootstrap.
- Of all other metrics: the BCa bootstrap.
- Of all other differences on the same rows: the same, but at least as long as Student's.
- Of a difference on different rows: Zou and Donner's, from the intervals of both.
- Of a mean over folds: Nadeau and Bengio's corrected interval.

They were chosen by simulation; `python -m benchmarks.coverage` prints how often they contain the
true value. SciPy is imported inside functions, as it takes long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dlcli.metrics.definitions import HIGHER_IS_BETTER, metric_bounds
from dlcli.metrics.statistic import (
    Floats,
    Mean,
    Number,
    Ranking,
    Share,
    Statistic,
    Z,
    difference,
    effective_size,
    finite,
    mean_of_all,
)

Statistics = Mapping[str, Statistic]
"""Metrics of the same rows by name."""
Ends = tuple[float, float]
"""Lower and upper end of an interval."""
Interval = Ends | str
"""An interval; or the reason why there is none."""
Verdict = Literal["better", "worse", "not_significant", "same", "unknown"]

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
"""The probability that the true value is below an interval, and that it is above."""
_MOST_WITHOUT_ERROR = 0.001
"""The share of resamples that may have no standard error."""
_NO_ERROR = 1e-6
"""A resample has no standard error if it is below this share of the rows' own."""
_ROUNDING = 1e-12
MANY = 10_000
"""Rows beyond which metrics are approximately normal, and the standard error is enough."""
FEWEST = 10
"""Rows below which resampling is not reliable."""
_MOST = 2_000
"""Resamples of a table of few rows."""
_LEAST = 400
"""Resamples of a table of many rows."""
_MOST_SORTED = 20_000
"""Rows times labels beyond which sorting takes too long for resampling."""
_WORK = 4_000_000
"""Rows drawn in all, beyond which resamples get fewer."""
_AT_ONCE = 2**20
"""Rows drawn at once: 8 MB of counts."""
_MOST_UNDEFINED = 0.1
"""The share of resamples that may be without a value, such as an AUC without one of its classes."""
_SEED = 0
"""Seed of all draws, so that the same runs always give the same intervals."""
NO_SPREAD = "the same in every resample of the rows, so its uncertainty is unknown"
UNDEFINED = "undefined in too many resamples of the rows"
TOO_FEW = f"fewer than {FEWEST} rows"
ONE_ROW = "a single row has most of the weight"
NO_VALUE = "undefined on these rows"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % confidence interval."""

    value: float | None
    """`None` where it is undefined."""
    lower: float | None = None
    upper: float | None = None
    """The ends; `None` where there is no interval."""
    reason: str | None = None
    """Why there is none."""


@dataclass(frozen=True)
class DifferenceEstimate(Estimate):
    """A metric of a run minus that of another run."""

    verdict: Verdict = "unknown"
    """`better` or `worse`: statistically significant, as the interval does not contain 0.
    `not_significant`: it does. `same`: no difference on these rows. `unknown`: no interval."""


def estimate_statistics(
    statistics: Statistics, resamples: int | None = None
) -> dict[str, Estimate]:
    """Estimate each metric with its interval.

    The interval of the root of a mean is from the roots of the ends of the mean's interval.

    Args:
        statistics: of the same rows, by the name of the metric.
        resamples: number of resamples. [default: depends on the number of rows]
    """
    defined = {name: each for name, each in statistics.items() if each.value is not None}
    ends = {name: _closed_interval(each) for name, each in defined.items()}
    roots = {
        name: replace(each, root=False)
        for name, each in defined.items()
        if isinstance(each, Mean) and each.root and len(each.losses) == 1
    }
    drawn = {name: roots.get(name, each) for name, each in defined.items() if ends[name] is None}
    for name, found in resampled_intervals(drawn, resamples).items():
        if name in roots and not isinstance(found, str):
            found = math.sqrt(max(0.0, found[0])), math.sqrt(max(0.0, found[1]))
        ends[name] = found
    return {name: _estimate(name, each.value, ends.get(name)) for name, each in statistics.items()}


def estimate_statistic_differences(
    first: Statistics, second: Statistics, *, paired: bool, resamples: int | None = None
) -> dict[str, DifferenceEstimate]:
    """Estimate the difference of each metric from that of another run, with its interval.

    Args:
        first: metrics of the other run.
        second: metrics of this run.
        paired: whether both are of the same rows with the same weights, in the same order.
        resamples: number of resamples. [default: depends on the number of rows]
    """
    names = [name for name in first if name in second]
    values = {name: _minus(second[name].value, first[name].value) for name in names}
    defined = [name for name in names if values[name] is not None]
    firsts, seconds = ({name: each[name] for name in defined} for each in (first, second))
    if paired:
        ends = dict(_paired_intervals(firsts, seconds, resamples))
    else:
        before, after = (estimate_statistics(each, resamples) for each in (firsts, seconds))
        ends = {name: unpaired_interval(before[name], after[name]) for name in defined}
    return {
        name: difference_estimate(name, values[name], ends.get(name), paired=paired)
        for name in names
    }


def _minus(value: Number, other: Number) -> Number:
    return None if value is None or other is None else value - other


def _closed_interval(statistic: Statistic) -> Interval | None:
    """Return the interval of a metric that has one without resampling."""
    if isinstance(statistic, Share):
        return share_interval(statistic)
    if isinstance(statistic, Ranking) and statistic.metric == "auc":
        return auc_interval(statistic) if len(statistic.weights) >= FEWEST else TOO_FEW
    return None


def _estimate(name: str, value: float | None, ends: Interval | None) -> Estimate:
    if ends is None or isinstance(ends, str):
        return Estimate(value, reason=ends)
    least, most = metric_bounds(name)
    return Estimate(value, max(least, ends[0]), min(most, ends[1]))


def _paired_intervals(
    firsts: Statistics, seconds: Statistics, resamples: int | None
) -> Iterator[tuple[str, Interval]]:
    drawn: dict[str, Statistic] = {}
    for name, first in firsts.items():
        second = seconds[name]
        if isinstance(first, Share) and isinstance(second, Share) and first.counts_as(second):
            yield name, paired_share_interval(first, second)
        elif isinstance(first, Ranking) and isinstance(second, Ranking) and name == "auc":
            is_enough = len(first.weights) >= FEWEST
            yield name, paired_auc_interval(first, second) if is_enough else TOO_FEW
        else:
            drawn[name] = difference(first, second)
    for name, ends in resampled_intervals(drawn, resamples).items():
        yield name, ends if isinstance(ends, str) else _reaching_students(drawn[name], ends)


def _reaching_students(difference: Statistic, ends: Ends) -> Ends:
    """Return an interval of a difference that reaches as far as Student's on both sides.

    Of two equally good models, the differences of rows are about symmetric, and Student's
    `d ± t s` excludes 0 as rarely as it should. Resampling sees too little of the few rows that
    decide: of 225 rows, one in 20 of which is positive, its intervals of log losses and average
    precisions exclude 0 in 11 and 12 % of simulated samples, and these in 5 and 4 %. Where two
    models differ, the differences are skewed, and resampling contains the true one more often than
    Student's.

    Args:
        difference: of two metrics of the same rows.
        ends: the interval by resampling.
    """
    size, error = effective_size(difference.weights), difference.standard_error()
    if not math.isfinite(error) or size <= 1:
        return ends
    value = float(difference.of(difference.weights))
    half = student_quantile(1 - TAIL, size - 1) * math.sqrt(size / (size - 1)) * error
    return min(ends[0], value - half), max(ends[1], value + half)


def difference_estimate(
    name: str, value: float | None, ends: Interval | None, *, paired: bool = True
) -> DifferenceEstimate:
    """Return a difference with the verdict that follows from its interval.

    Args:
        name: of the metric.
        value: the difference; `None` where it is undefined.
        ends: its interval, or why there is none.
        paired: whether both metrics are of the same rows.
    """
    if ends is None:
        return DifferenceEstimate(value, reason=NO_VALUE if value is None else None)
    if isinstance(ends, str):
        is_same = paired and ends == NO_SPREAD and value == 0
        verdict: Verdict = "same" if is_same else "unknown"
        return DifferenceEstimate(value, reason=ends, verdict=verdict)
    least, most = metric_bounds(name)
    lower, upper = max(least - most, ends[0]), min(most - least, ends[1])
    if lower <= 0 <= upper:
        return DifferenceEstimate(value, lower, upper, verdict="not_significant")
    is_better = (lower > 0) == HIGHER_IS_BETTER[name]
    return DifferenceEstimate(value, lower, upper, verdict="better" if is_better else "worse")


def mean_estimate(estimates: Sequence[Estimate | None]) -> Estimate:
    """Return the mean of estimates over repeats with the same rows; `None` is undefined.

    The ends are the means of the repeats' ends. Repeats bring no new rows, so that the interval
    gets no narrower with their number; and as the deviation of a mean is at most the mean of the
    deviations, it is wide enough for the mean of repeats that differ. There is none where any
    repeat has none.
    """
    known = [each for each in estimates if each is not None and each.value is not None]
    value = mean_of_all(each.value for each in known)
    if known and len(known) < len(estimates):
        missing = len(estimates) - len(known)
        return Estimate(value, reason=f"undefined in {missing} of {len(estimates)} repeats")
    lower, upper = mean_of_all(each.lower for each in known), mean_of_all(e.upper for e in known)
    if lower is None or upper is None:
        reasons = (each.reason for each in estimates if each is not None and each.reason)
        return Estimate(value, reason=next(reasons, None))
    return Estimate(value, lower, upper)


def resampled_intervals(
    statistics: Statistics, resamples: int | None = None
) -> dict[str, Interval]:
    """Return the 95 % confidence interval of each metric, by resampling rows.

    Of very many rows it is the normal interval, without resampling.

    Args:
        statistics: of the same rows, by name.
        resamples: number of resamples. [default: depends on the number of rows]
    """
    found: dict[str, Interval] = {}
    drawn: dict[str, Statistic] = {}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, each in statistics.items():
            rows = len(each.weights)
            if rows < FEWEST:
                found[name] = TOO_FEW
            elif effective_size(each.weights) < 2:
                found[name] = ONE_ROW
            elif rows > MANY or (each.sorts > 1 and rows * each.sorts > _MOST_SORTED):
                found[name] = normal_interval(float(each.of(each.weights)), each.standard_error())
            else:
                drawn[name] = each
        for name, (values, errors) in _resample(drawn, resamples).items():
            found[name] = _interval(drawn[name], values, errors)
    return {
        name: ends if isinstance(ends, str) or np.isfinite(ends).all() else UNDEFINED
        for name, ends in found.items()
    }


def _interval(statistic: Statistic, values: Floats, errors: Floats | None) -> Interval:
    """Return the interval of a metric from its resamples.

    Args:
        statistic: the metric.
        values: its value in each resample, `(resamples,)`; NaN where it is undefined.
        errors: the standard error of each resample, `(resamples,)`, of a mean.
    """
    defined = np.isfinite(values)
    if defined.mean() < 1 - _MOST_UNDEFINED:
        return UNDEFINED
    point, values = float(statistic.of(statistic.weights)), values[defined]
    rounding = _ROUNDING * max(statistic.magnitude, abs(point))
    if np.ptp(values) <= rounding:
        return NO_SPREAD
    ends = None
    if isinstance(statistic, Mean) and errors is not None:
        ends = studentized_interval(statistic, point, values, errors[defined])
    if ends is None:
        ends = bca_interval(point, values, statistic.influences(), rounding)
    return ends


def _resample(
    statistics: Statistics, resamples: int | None
) -> dict[str, tuple[Floats, Floats | None]]:
    """Return the values, and the standard errors of means, of each resample."""
    if not statistics:
        return {}
    rows = len(next(iter(statistics.values())).weights)
    values: dict[str, list[Floats]] = {name: [] for name in statistics}
    errors: dict[str, list[Floats]] = {name: [] for name in statistics}
    for counts in draw_counts(rows, resamples or default_resamples(statistics)):
        for name, each in statistics.items():
            values[name].append(each.of(counts * each.weights))
            if isinstance(each, Mean):
                errors[name].append(each.errors(counts))
    return {
        name: (np.concatenate(values[name]), np.concatenate(found) if found else None)
        for name, found in errors.items()
    }


def default_resamples(statistics: Statistics) -> int:
    """Return the number of resamples: fewer for more rows and for metrics that sort."""
    rows, sorts = max((len(each.weights), each.sorts) for each in statistics.values())
    return int(np.clip(_WORK // max(1, rows * sorts), _LEAST, _MOST))


def draw_counts(rows: int, resamples: int) -> Iterator[Floats]:
    """Yield how often each row is drawn in some of the resamples, `(some, rows)`."""
    rng = np.random.default_rng([_SEED, rows])
    at_once = max(1, _AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        drawn = rng.integers(0, rows, (some, rows))
        drawn += rows * np.arange(some)[:, np.newaxis]
        counts = np.bincount(drawn.ravel(), minlength=some * rows)
        yield counts.reshape(some, rows).astype(np.float64)


# Intervals


def student_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def chi_squared_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of the chi-squared distribution with `freedom` degrees of freedom."""
    from scipy.special import chdtri

    return float(chdtri(freedom, 1 - probability))


def share_interval(share: Share) -> Ends:
    """Return the Wilson interval of a share of rows.

    `(p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)`; Wilson, JASA 22 (1927). Of 20 rows
    that are all hit it is 0.84 to 1, where resampling could only repeat the 1. It covers well at
    any size: Brown, Cai and DasGupta, Statistical Science 16 (2001).
    """
    value = float(share.of(share.weights))
    middle = (value + Z**2 / (2 * share.size)) / (1 + Z**2 / share.size)
    half = Z * share_error(share)
    return (0.0 if value == 0 else middle - half, 1.0 if value == 1 else middle + half)


def share_error(share: Share) -> float:
    """Return half of Wilson's interval over `z`, a standard error that is not 0 at 0 and 1."""
    value, size = float(share.of(share.weights)), share.size
    return math.sqrt(value * (1 - value) / size + Z**2 / (4 * size**2)) / (1 + Z**2 / size)


def standard_error(statistic: Statistic) -> Number:
    """Return the standard error of a metric of some rows, the network as given.

    Of a share of rows it is `share_error`, else it follows from the influence of each row. `None`
    if there are too few rows to tell.
    """
    if len(statistic.weights) < 2 or statistic.value is None:
        return None
    if isinstance(statistic, Share):
        return share_error(statistic)
    return finite(statistic.standard_error())


def paired_share_interval(first: Share, second: Share) -> Ends:
    """Return Bonett and Price's interval of the difference of two shares of the same rows.

    With `a` rows that are hit in the second only and `b` in the first only, `p = (a + 1) / (n + 2)`
    and `q = (b + 1) / (n + 2)`: `p - q ± z √((p + q - (p - q)²) / (n + 2))`; Bonett and Price,
    Journal of Educational and Behavioral Statistics 37 (2012). It covers where the two disagree on
    few rows or none, and resampling shows too little or nothing.

    Args:
        first: the share that is subtracted.
        second: another, of the same rows with the same weights.
    """
    counts = first.denominators > 0
    weights = first.weights[counts]
    before, after = first.numerators[counts] > 0, second.numerators[counts] > 0
    size = effective_size(weights)
    scale = size / weights.sum()
    gained = (weights[after & ~before].sum() * scale + 1) / (size + 2)
    lost = (weights[before & ~after].sum() * scale + 1) / (size + 2)
    half = Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (size + 2))
    return max(-1.0, float(gained - lost - half)), min(1.0, float(gained - lost + half))


def unpaired_interval(first: Estimate, second: Estimate) -> Interval:
    """Return the interval of the difference of two metrics of different rows, from those of each.

    With the estimates `d = θ₂ - θ₁`: `d - √((θ₂ - l₂)² + (u₁ - θ₁)²)` to
    `d + √((u₂ - θ₂)² + (θ₁ - l₁)²)`, so that it is skewed as they are. Newcombe, Statistics in
    Medicine 17 (1998), method 10, of shares; Zou and Donner, Statistics in Medicine 27 (2008), of
    all else.
    """
    if second.value is None or second.lower is None or second.upper is None:
        return second.reason or UNDEFINED
    if first.value is None or first.lower is None or first.upper is None:
        return first.reason or UNDEFINED
    difference = second.value - first.value
    below = math.hypot(second.value - second.lower, first.upper - first.value)
    above = math.hypot(second.upper - second.value, first.value - first.lower)
    return difference - below, difference + above


def auc_interval(auc: Ranking) -> Interval:
    """Return the interval of an area under a ROC curve: DeLong's variance on the logit scale.

    `logit θ ± t s / (θ (1 - θ))`, where `s² = s₁² + s₀²` are the variances due to the positive and
    the negative rows (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988), and `t` is Student's
    quantile of Welch's degrees of freedom, `s⁴ / Σ (s_c⁴ / (n_c - 1))`. Qin and Hotilovac,
    Statistical Methods in Medical Research 17 (2008), compare intervals on the logit scale with
    others. At 0 and 1, where `s` is 0, the end is that of Newcombe's method 5, Statistics in
    Medicine 25 (2006).
    """
    positive = auc.target == 1
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        return UNDEFINED
    value = float(auc.of(auc.weights))
    if value in (0.0, 1.0):
        sizes = (effective_size(auc.weights[of_class]) for of_class in (positive, ~positive))
        end = _newcombe_end(*sizes)
        return (end, 1.0) if value else (0.0, 1 - end)
    half = _delong_half_length(auc, auc.influences())
    if half is None:
        return NO_SPREAD
    middle, half = math.log(value / (1 - value)), half / (value * (1 - value))
    lower, upper = (1 / (1 + math.exp(-min(end, 700))) for end in (middle - half, middle + half))
    return lower, upper


def paired_auc_interval(first: Ranking, second: Ranking) -> Interval:
    """Return the interval of the difference of two areas under ROC curves of the same rows.

    `d ± t s`, with DeLong's variance of the difference and `t` as in `auc_interval`. Of two equally
    good rankings of 7 positive and 218 negative rows it excludes 0 in 2.5 % of simulated samples,
    and the BCa interval in 18 %; of 40 and 185 in 5 % instead of 10 %.
    """
    positive = first.target == 1
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        return UNDEFINED
    value = float(second.of(second.weights) - first.of(first.weights))
    half = _delong_half_length(first, second.influences() - first.influences())
    return NO_SPREAD if half is None else (max(-1.0, value - half), min(1.0, value + half))


def _delong_half_length(auc: Ranking, influences: Floats) -> float | None:
    """Return `t s` of an area or a difference of areas, see `auc_interval`; `None` if `s` is 0.

    Args:
        auc: the classes of the rows, and their weights.
        influences: of each row, `(rows,)`.
    """
    classes = auc.target == 1, auc.target != 1
    sizes = [effective_size(auc.weights[of_class]) for of_class in classes]
    if min(sizes) <= 1:  # a single row has nearly all of the weight
        return None
    of_classes = [influences[of_class] for of_class in classes]
    parts = [
        float(each @ each) * size / (size - 1) for each, size in zip(of_classes, sizes, strict=True)
    ]
    variance = sum(parts)
    if variance <= _ROUNDING**2:
        return None
    shares = [part / variance for part in parts]
    freedom = 1 / sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    return student_quantile(1 - TAIL, freedom) * math.sqrt(variance)


def _newcombe_end(positives: float, negatives: float) -> float:
    """Return the lower end of the interval of an AUC of 1.

    The `t` with `(1 - t)² = z² t (1 - t) (1 + h (1 - t) / (2 - t) + h t / (1 + t)) / (m n)`, where
    `h = (m + n) / 2 - 1`.
    """
    from scipy.optimize import brentq

    half = (positives + negatives) / 2 - 1

    def excess(t: float) -> float:
        spread = 1 + half * (1 - t) / (2 - t) + half * t / (1 + t)
        return 1 - t - Z**2 * t * spread / (positives * negatives)

    return float(brentq(excess, 0.0, 1.0))


def normal_interval(point: float, error: float) -> Interval:
    """Return `θ ± z s`."""
    if not np.isfinite(error):
        return UNDEFINED
    return (point - Z * error, point + Z * error) if error > _ROUNDING * abs(point) else NO_SPREAD


def studentized_interval(mean: Mean, point: float, values: Floats, errors: Floats) -> Ends | None:
    """Return the interval of the studentized bootstrap.

    With the standard error `s*` of each resample, `t* = (θ* - θ) / s*` varies as
    `(θ - truth) / s` does, so that the interval is from `θ - s t*(97.5 %)` to `θ - s t*(2.5 %)`.
    Hall, Annals of Statistics 16 (1988). Skewed errors make it longer on the side of their long
    tail. Few rows show too little of that, so the tail there is expanded, see `expanded_tail`: by
    the number of rows, or for a loss by its effective number, `(Σ v)² / Σ v²` of the losses `v`.
    In simulations of 30 rows the interval of the mean square of Laplace errors contains the true
    value in 95 % of samples instead of 91 %, of errors with Student's t of 5 degrees of freedom in
    94 % instead of 91 %, and of normal errors in 96 % instead of 95 %. Logarithms or roots of the
    mean instead make no difference.

    Args:
        mean: the metric; a loss, whose values are not negative, or a difference of losses.
        point: its value.
        values: its value in each resample, `(resamples,)`.
        errors: the standard error of each resample, `(resamples,)`.

    Returns:
        `None` if too many resamples have no error: only a few rows differ from all others.
    """
    error, influences = mean.standard_error(), mean.influences()
    has_error = errors > _NO_ERROR * error
    if has_error.mean() < 1 - _MOST_WITHOUT_ERROR:
        return None
    ratios = (values[has_error] - point) / errors[has_error]
    rows = float(len(influences))
    is_loss = not mean.signs and point > 0
    size = max(2.0, 1 / (1 / rows + (error / point) ** 2)) if is_loss else rows
    skewness, expanded = acceleration(influences), expanded_tail(size)
    below, above = (expanded if sign * skewness > 0 else TAIL for sign in (1, -1))
    low, high = np.quantile(ratios, (below, 1 - above))
    return float(point - high * error), float(point - low * error)


def bca_interval(point: float, values: Floats, influences: Floats, rounding: float) -> Ends:
    """Return the BCa interval, with the tails expanded for few rows.

    Quantiles of the resampled values, corrected by bias `z₀` and acceleration `a`, at
    `Φ(z₀ + (z₀ + z) / (1 - a (z₀ + z)))`; Efron, JASA 82 (1987). `scipy.stats.bootstrap` has no row
    weights and no standard errors of resamples, and computes `a` by leaving out each row: for the
    F1 of 10,000 rows that takes 30 times as long.

    Args:
        point: the metric of the rows.
        values: the metric of each resample, `(resamples,)`.
        influences: of each row, `(rows,)`.
        rounding: the largest difference of two values that counts as none.
    """
    from scipy.special import ndtr, ndtri

    tie = np.abs(values - point) <= rounding
    share = np.mean((values < point) & ~tie) + np.mean(tie) / 2
    least = 0.5 / len(values)
    bias = ndtri(np.clip(share, least, 1 - least))
    tail = expanded_tail(len(influences))
    shifted = bias + ndtri([tail, 1 - tail])
    shrink = 1 - acceleration(influences) * shifted
    beyond = shrink <= 0  # beyond what any resample shows
    corrected = ndtr(bias + shifted / np.where(beyond, 1.0, shrink))
    low, high = np.quantile(values, np.where(beyond, shifted > 0, corrected))
    return float(low), float(high)


def acceleration(influences: Floats) -> float:
    """Return `Σ u³ / (6 (Σ u²)^1.5)`, a sixth of the skewness of the rows' influences."""
    largest = np.max(np.abs(influences), initial=0.0)
    if not 0 < largest < math.inf:
        return 0.0
    scaled = influences / largest  # whose cubes don't overflow
    return float(np.sum(scaled**3) / (6 * np.sum(scaled**2) ** 1.5))


def expanded_tail(rows: float) -> float:
    """Return the tail to cut off resampled values, which is below `TAIL` for few rows.

    `Φ(-√(n / (n - 1)) t)` allows for resamples varying less than samples, by `(n - 1) / n`, and for
    the spread being an estimate. Hesterberg, What Teachers Should Know About the Bootstrap, The
    American Statistician 69 (2015), section 5.3.
    """
    from scipy.special import ndtr

    factor = math.sqrt(rows / (rows - 1))
    return float(ndtr(-factor * student_quantile(1 - TAIL, rows - 1)))


def corrected_interval(
    values: Floats,
    weights: Floats,
    ratio: float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the weighted mean over folds with the corrected resampled interval.

    `m ± t √((Σ p² + ratio) S²)` with the shares `p = w / Σ w`, so that `Σ p²` is `1 / J` of `J`
    folds that count alike, `S² = Σ (v - m)² / (J - 1)`, and Student's `t` of `J - 1` degrees of
    freedom: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52 (2003),
    section 3. `S² / J` alone would take folds for independent; but their networks share most of
    their training rows, and no estimate of their variance is unbiased: Bengio and Grandvalet,
    JMLR 5 (2004). The corrected one is conservative more often than not.

    Args:
        values: the metric of each fold, `(folds,)`; at least one.
        weights: how much each counts, `(folds,)`.
        ratio: the number of evaluated rows over that of training rows, in a fold.
        bounds: the least and the most that the metric can be.
    """
    shares = weights / weights.sum()
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(shares @ values)
        squares = float(np.sum((values - value) ** 2))
    if not math.isfinite(squares):
        return Estimate(finite(value), reason="beyond what a float holds")
    if len(values) < 2:
        return Estimate(value, reason="a single fold has no spread")
    if np.ptp(values) <= _ROUNDING * abs(value):
        return Estimate(value, reason="the same in every fold, so its uncertainty is unknown")
    freedom = len(values) - 1
    variance = (float(shares @ shares) + ratio) * squares / freedom
    half = student_quantile(1 - TAIL, freedom) * math.sqrt(variance)
    lower, upper = finite(max(bounds[0], value - half)), finite(min(bounds[1], value + half))
    if lower is None or upper is None:
        return Estimate(value, reason="beyond what a float holds")
    return Estimate(value, lower, upper)
