"""Metrics and differences of metrics with their 95 % confidence intervals, by resampling rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from dlcli.metrics.arithmetic import Floats
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
    unpaired_share_interval,
)
from dlcli.metrics.metric_registry import HIGHER_IS_BETTER, metric_bounds
from dlcli.metrics.statistic import Mean, Ranking, Share, Statistic, difference

Error = TypeVar("Error", float, Floats)
Statistics = Mapping[str, Statistic]
"""Metrics of the same rows by name."""
Verdict = Literal["better", "worse", "not_significant", "same", "unknown"]

MANY = 10_000
"""Rows beyond which metrics are approximately normal, and the standard error is enough."""
FEWEST = 10
"""Rows below which resampling shows nothing to rely on."""
TOO_FEW = Unknown(f"fewer than {FEWEST} rows")
_MOST = 2_000
"""Resamples of a table that is not long."""
_LEAST = 400
"""Resamples of one that is."""
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

    Args:
        statistics: of the same rows, by the name of the metric.
        resamples: number of resamples. [default: depends on the number of rows]
    """
    defined = {name: each for name, each in statistics.items() if each.value is not None}
    ends = {name: _closed_interval(each) for name, each in defined.items()}
    drawn = {name: each for name, each in defined.items() if ends[name] is None}
    for name, replicates in replicate(drawn, resamples).items():
        ends[name] = _metric_interval(drawn[name], replicates)
    return {name: _estimate(name, each.value, ends.get(name)) for name, each in statistics.items()}


def estimate_statistic_differences(
    first: Statistics, second: Statistics, *, paired: bool, resamples: int | None = None
) -> dict[str, DifferenceEstimate]:
    """Estimate what each metric has over that of another run, with its interval.

    Args:
        first: metrics of the other run.
        second: metrics of this run.
        paired: whether both are of the same rows with the same weights, in the same order.
        resamples: number of resamples. [default: depends on the number of rows]
    """
    both = {name: (first[name], second[name]) for name in first if name in second}
    values = {
        name: None if before.value is None or after.value is None else after.value - before.value
        for name, (before, after) in both.items()
    }
    defined = {name: pair for name, pair in both.items() if values[name] is not None}
    ends = dict((_paired if paired else _unpaired)(defined, resamples))
    return {name: _difference(name, value, ends.get(name)) for name, value in values.items()}


def _closed_interval(statistic: Statistic) -> Ends | Unknown | None:
    """The interval of a metric that has one without resampling."""
    if isinstance(statistic, Share):
        return share_interval(statistic)
    if isinstance(statistic, Ranking) and statistic.metric == "auc":
        return auc_interval(statistic) if len(statistic.weights) >= FEWEST else TOO_FEW
    return None


def _metric_interval(statistic: Statistic, replicates: Replicates) -> Ends | Unknown:
    """The interval of a resampled metric; of a root that of the square, of which it takes roots."""
    if not (isinstance(statistic, Mean) and statistic.root):
        return replicates.interval()
    ends = replicates.squared().interval()
    if isinstance(ends, Unknown):
        return ends
    return math.sqrt(max(0.0, ends[0])), math.sqrt(max(0.0, ends[1]))


def _estimate(name: str, value: float | None, ends: Ends | Unknown | None) -> Estimate:
    if ends is None or isinstance(ends, Unknown):
        return Estimate(value, reason=None if ends is None else ends.reason)
    least, most = metric_bounds(name)
    return Estimate(value, max(least, ends[0]), min(most, ends[1]))


def _paired(
    pairs: Mapping[str, tuple[Statistic, Statistic]], resamples: int | None
) -> Iterator[tuple[str, Ends | Unknown]]:
    drawn: dict[str, Statistic] = {}
    for name, (first, second) in pairs.items():
        if isinstance(first, Share) and isinstance(second, Share) and first.counts_as(second):
            yield name, paired_share_interval(first, second)
        else:
            drawn[name] = difference(first, second)
    for name, replicates in replicate(drawn, resamples).items():
        yield name, replicates.interval()


def _unpaired(
    pairs: Mapping[str, tuple[Statistic, Statistic]], resamples: int | None
) -> Iterator[tuple[str, Ends | Unknown]]:
    drawn: dict[str, tuple[Statistic, Statistic]] = {}
    for name, (first, second) in pairs.items():
        if isinstance(first, Share) and isinstance(second, Share):
            yield name, unpaired_share_interval(first, second)
        else:
            drawn[name] = first, second
    sides = [{name: pair[side] for name, pair in drawn.items()} for side in (0, 1)]
    if resamples is None and drawn:
        resamples = min(map(default_resamples, sides))
    subtrahends = replicate(sides[0], resamples)
    minuends = replicate(sides[1], resamples, seed=_SEED + 1)
    for name, replicates in minuends.items():
        yield name, replicates.minus(subtrahends[name]).interval()


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


@dataclass(frozen=True)
class Replicates:
    """Values of a metric, or of a difference of two, for resampled rows."""

    rows: int
    """Number of rows that were resampled; of two sets the smaller."""
    point: float
    """The value of the rows themselves."""
    values: Floats
    """The value of each resample, `(resamples,)`; NaN where it is undefined. Empty for very many
    rows."""
    influences: Floats
    """Of each row, `(rows,)`."""
    error: float | None = None
    """The standard error, of a mean or of very many rows."""
    errors: Floats | None = None
    """The standard error of each resample, `(resamples,)`, of a mean."""

    def interval(self) -> Ends | Unknown:
        """Return the 95 % confidence interval."""
        if self.rows < FEWEST:
            return TOO_FEW
        with np.errstate(over="ignore", invalid="ignore"):
            ends = self._interval()
        return ends if isinstance(ends, Unknown) or np.isfinite(ends).all() else UNDEFINED

    def _interval(self) -> Ends | Unknown:
        if not len(self.values) and self.error is not None:
            return normal_interval(self.point, self.error)
        defined = np.isfinite(self.values)
        if defined.mean() < 1 - _MOST_UNDEFINED:
            return UNDEFINED
        values = self.values[defined]
        if np.ptp(values) <= _ROUNDING * max(1.0, abs(self.point)):
            return NO_SPREAD
        if self.error is not None and self.errors is not None:
            errors = self.errors[defined]
            ends = studentized_interval(self.point, values, self.error, errors, self.influences)
            if ends is not None:
                return ends
        return bca_interval(self.point, values, self.influences, self.rows)

    def minus(self, other: Replicates) -> Replicates:
        """Return the difference from a metric of other rows."""
        drawn = len(self.values) > 0 and len(other.values) > 0
        errors = (self.error, other.error) if drawn else (self._deviation, other._deviation)
        return Replicates(
            min(self.rows, other.rows),
            self.point - other.point,
            self.values - other.values if drawn else np.empty(0),
            np.concatenate([self.influences, -other.influences]),
            _root_sum_squares(*errors),
            _root_sum_squares(self.errors, other.errors) if drawn else None,
        )

    @property
    def _deviation(self) -> float:
        """The standard error, that of the resamples if it is not known otherwise."""
        if self.error is not None:
            return self.error
        defined = self.values[np.isfinite(self.values)]
        is_known = len(defined) > max(1, (1 - _MOST_UNDEFINED) * len(self.values))
        return float(np.std(defined, ddof=1)) if is_known else math.nan

    def squared(self) -> Replicates:
        """Return the same of the square of a metric that is never negative."""
        return Replicates(
            self.rows,
            self.point**2,
            self.values**2,
            self.influences * 2 * self.point,
            None if self.error is None else 2 * self.point * self.error,
            None if self.errors is None else 2 * self.values * self.errors,
        )


def _root_sum_squares(error: Error | None, other: Error | None) -> Error | None:
    """The standard error of a difference of two independent values: `√(a² + b²)`."""
    return None if error is None or other is None else (error**2 + other**2) ** 0.5


def replicate(
    statistics: Statistics, resamples: int | None = None, seed: int = _SEED
) -> dict[str, Replicates]:
    """Resample rows, and evaluate each metric for every resample.

    Args:
        statistics: of the same rows, by name.
        resamples: number of resamples. [default: depends on the number of rows]
        seed: of the draws.
    """
    found = {}
    drawn: dict[str, Statistic] = {}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, each in statistics.items():
            rows = len(each.weights)
            is_large = rows > MANY or (each.sorts > 1 and rows * each.sorts > _MOST_SORTED)
            point = float(each.of(each.weights))
            error = each.standard_error() if is_large or isinstance(each, Mean) else None
            influences = each.influences() if FEWEST <= rows <= MANY else np.empty(0)
            found[name] = Replicates(rows, point, np.empty(0), influences, error)
            if not is_large and rows >= FEWEST:
                drawn[name] = each
        for name, (values, errors) in _resample(drawn, resamples, seed).items():
            one = found[name]
            found[name] = Replicates(one.rows, one.point, values, one.influences, one.error, errors)
    return found


def _resample(
    statistics: Statistics, resamples: int | None, seed: int
) -> dict[str, tuple[Floats, Floats | None]]:
    """Return the values, and the standard errors of means, of each resample."""
    if not statistics:
        return {}
    rows = len(next(iter(statistics.values())).weights)
    values: dict[str, list[Floats]] = {name: [] for name in statistics}
    errors: dict[str, list[Floats]] = {name: [] for name in statistics}
    for counts in draw_counts(rows, resamples or default_resamples(statistics), seed):
        for name, each in statistics.items():
            values[name].append(each.of(counts * each.weights))
            if isinstance(each, Mean):
                errors[name].append(each.errors(counts))
    return {
        name: (np.concatenate(values[name]), np.concatenate(found) if found else None)
        for name, found in errors.items()
    }


def default_resamples(statistics: Statistics) -> int:
    """Return the number of resamples that metrics of the same rows are worth."""
    rows, sorts = max((len(each.weights), each.sorts) for each in statistics.values())
    return int(np.clip(_WORK // max(1, rows * sorts), _LEAST, _MOST))


def draw_counts(rows: int, resamples: int, seed: int = _SEED) -> Iterator[Floats]:
    """Yield how often each row is drawn in some of the resamples, `(some, rows)`."""
    rng = np.random.default_rng([seed, rows])
    at_once = max(1, _AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        drawn = rng.integers(0, rows, (some, rows))
        drawn += rows * np.arange(some)[:, np.newaxis]
        counts = np.bincount(drawn.ravel(), minlength=some * rows)
        yield counts.reshape(some, rows).astype(np.float64)
