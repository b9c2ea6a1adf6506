"""Metrics and differences of metrics with their 95 % confidence intervals, by resampling rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dlcli.metrics.intervals import (
    NO_SPREAD,
    UNDEFINED,
    Ends,
    Estimate,
    Unknown,
    auc_interval,
    bca_interval,
    normal_interval,
    paired_share_interval,
    share_interval,
    studentized_interval,
    unpaired_interval,
)
from dlcli.metrics.metric_registry import HIGHER_IS_BETTER, metric_bounds
from dlcli.metrics.statistic import Floats, Mean, Number, Ranking, Share, Statistic, difference

Statistics = Mapping[str, Statistic]
"""Metrics of the same rows by name."""
Verdict = Literal["better", "worse", "not_significant", "same", "unknown"]

MANY = 10_000
"""Rows beyond which metrics are approximately normal, and the standard error is enough."""
FEWEST = 10
"""Rows below which resampling is not reliable."""
TOO_FEW = Unknown(f"fewer than {FEWEST} rows")
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
_ROUNDING = 1e-12
_SEED = 0
"""Seed of all draws, so that the same runs always give the same intervals."""


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
        if name in roots and not isinstance(found, Unknown):
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
    return {name: _difference(name, values[name], ends.get(name)) for name in names}


def _minus(value: Number, other: Number) -> Number:
    return None if value is None or other is None else value - other


def _closed_interval(statistic: Statistic) -> Ends | Unknown | None:
    """Return the interval of a metric that has one without resampling."""
    if isinstance(statistic, Share):
        return share_interval(statistic)
    if isinstance(statistic, Ranking) and statistic.metric == "auc":
        return auc_interval(statistic) if len(statistic.weights) >= FEWEST else TOO_FEW
    return None


def _estimate(name: str, value: float | None, ends: Ends | Unknown | None) -> Estimate:
    if ends is None or isinstance(ends, Unknown):
        return Estimate(value, reason=None if ends is None else ends.reason)
    least, most = metric_bounds(name)
    return Estimate(value, max(least, ends[0]), min(most, ends[1]))


def _paired_intervals(
    firsts: Statistics, seconds: Statistics, resamples: int | None
) -> Iterator[tuple[str, Ends | Unknown]]:
    drawn: dict[str, Statistic] = {}
    for name, first in firsts.items():
        second = seconds[name]
        if isinstance(first, Share) and isinstance(second, Share) and first.counts_as(second):
            yield name, paired_share_interval(first, second)
        else:
            drawn[name] = difference(first, second)
    yield from resampled_intervals(drawn, resamples).items()


def _difference(name: str, value: float | None, ends: Ends | Unknown | None) -> DifferenceEstimate:
    if ends is None:
        return DifferenceEstimate(value)
    if isinstance(ends, Unknown):
        is_same = ends is NO_SPREAD and value == 0
        verdict: Verdict = "same" if is_same else "unknown"
        return DifferenceEstimate(value, reason=ends.reason, verdict=verdict)
    lower, upper = ends
    if lower <= 0 <= upper:
        return DifferenceEstimate(value, lower, upper, verdict="not_significant")
    is_better = (lower > 0) == HIGHER_IS_BETTER[name]
    return DifferenceEstimate(value, lower, upper, verdict="better" if is_better else "worse")


def resampled_intervals(
    statistics: Statistics, resamples: int | None = None
) -> dict[str, Ends | Unknown]:
    """Return the 95 % confidence interval of each metric, by resampling rows.

    Of very many rows it is the normal interval, without resampling.

    Args:
        statistics: of the same rows, by name.
        resamples: number of resamples. [default: depends on the number of rows]
    """
    found: dict[str, Ends | Unknown] = {}
    drawn: dict[str, Statistic] = {}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, each in statistics.items():
            rows = len(each.weights)
            if rows < FEWEST:
                found[name] = TOO_FEW
            elif rows > MANY or (each.sorts > 1 and rows * each.sorts > _MOST_SORTED):
                found[name] = normal_interval(float(each.of(each.weights)), each.standard_error())
            else:
                drawn[name] = each
        for name, (values, errors) in _resample(drawn, resamples).items():
            found[name] = _interval(drawn[name], values, errors)
    return {
        name: ends if isinstance(ends, Unknown) or np.isfinite(ends).all() else UNDEFINED
        for name, ends in found.items()
    }


def _interval(statistic: Statistic, values: Floats, errors: Floats | None) -> Ends | Unknown:
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
    if np.ptp(values) <= _ROUNDING * max(1.0, abs(point)):
        return NO_SPREAD
    influences, ends = statistic.influences(), None
    if isinstance(statistic, Mean) and errors is not None:
        error, is_loss = statistic.standard_error(), not statistic.signs
        ends = studentized_interval(
            point, values, error, errors[defined], influences, is_loss=is_loss
        )
    return bca_interval(point, values, influences) if ends is None else ends


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
