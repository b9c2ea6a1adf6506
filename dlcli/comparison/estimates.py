"""Metrics, and differences of metrics, with what they leave open."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlcli.comparison.held_out import HeldOut
from dlcli.comparison.intervals import FEWEST, NO_SPREAD, Unknown, interval_of
from dlcli.comparison.measures import Measure, Measures, measures_of
from dlcli.comparison.proportions import (
    Ends,
    Proportion,
    paired_interval,
    share_interval,
    unpaired_interval,
)
from dlcli.comparison.resampling import Replicates, replicate, resamples_for
from dlcli.comparison.statistics import Difference, Means, Statistic
from dlcli.metrics import HIGHER_IS_BETTER

Verdict = Literal["better", "worse", "noise", "same", "unknown"]
_SEED = 0
"""What all draws follow from, so that runs compare alike each time."""


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval."""

    value: float | None
    """`None` where it is undefined."""
    lower: float | None = None
    upper: float | None = None
    """The ends; `None` where there is no interval."""
    reason: str | None = None
    """Why there is none."""


@dataclass(frozen=True)
class Contrast(Estimate):
    """What a metric of a run has over that of the first run."""

    verdict: Verdict = "unknown"
    """`better` or `worse`: by more than noise, as the interval leaves 0 out. `noise`: not so.
    `same`: without any difference on these rows. `unknown`: without an interval."""


def estimate_metrics(
    held: HeldOut, only: Collection[str] | None = None, resamples: int | None = None
) -> dict[str, Estimate]:
    """Every metric of some rows that is a single number, with its interval.

    Args:
        held: the rows.
        only: the metrics that are wanted, if not all.
        resamples: how many to draw, if not as many as the rows are worth.
    """
    values = _numbers(held, only)
    counted = held.counted()
    measures = _defined(measures_of(counted), values)
    drawn = {name: each.statistic for name, each in measures.items() if not each.proportion}
    replicates = _replicates(drawn, counted.rows, resamples or _worth(counted))
    return {
        name: _estimate(name, value, _ends(name, measures, replicates, counted.rows))
        for name, value in values.items()
    }


def contrast_metrics(
    first: HeldOut,
    second: HeldOut,
    *,
    paired: bool,
    only: Collection[str] | None = None,
    resamples: int | None = None,
) -> dict[str, Contrast]:
    """What each metric has over that of another run.

    Args:
        first: rows that the other run has predicted.
        second: rows that this run has predicted.
        paired: whether they are the same rows with the same weights, in the same order.
        only: the metrics that are wanted, if not all.
        resamples: how many to draw, if not as many as the rows are worth.
    """
    before, after = _numbers(first, only), _numbers(second, only)
    values = {name: _minus(after[name], before[name]) for name in before if name in after}
    one, other = first.counted(), second.counted()
    pairs = _pairs(_defined(measures_of(one), values), measures_of(other))
    drawn = resamples or min(_worth(one), _worth(other))
    found = _paired(pairs, one.rows, drawn) if paired else _unpaired(pairs, one, other, drawn)
    ends = dict(found)
    return {name: _contrast(name, value, ends.get(name)) for name, value in values.items()}


def _numbers(held: HeldOut, only: Collection[str] | None) -> dict[str, float | None]:
    """The metrics that are single numbers."""
    return {
        name: value
        for name, value in held.scores().items()
        if (value is None or isinstance(value, float)) and (only is None or name in only)
    }


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _defined(measures: Measures, values: Mapping[str, float | None]) -> Measures:
    return {name: each for name, each in measures.items() if values.get(name) is not None}


def _worth(held: HeldOut) -> int:
    return resamples_for(held.rows, held.outputs.shape[1])


def _replicates(
    statistics: Mapping[str, Statistic], rows: int, resamples: int, seed: int = _SEED
) -> dict[str, Replicates]:
    if rows < FEWEST:
        return {name: Replicates(math.nan, np.empty(0), np.empty(0)) for name in statistics}
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows has no interval
        return replicate(statistics, rows, seed, resamples) if statistics else {}


def _ends(
    name: str, measures: Measures, replicates: Mapping[str, Replicates], rows: int
) -> Ends | Unknown | None:
    """The interval of a metric; none if it is undefined."""
    if name not in measures:
        return None
    measure = measures[name]
    if measure.proportion:
        return share_interval(measure.proportion)
    if not (isinstance(measure.statistic, Means) and measure.statistic.root):
        return interval_of(replicates[name], rows)
    ends = interval_of(replicates[name].squared(), rows)
    if isinstance(ends, Unknown):
        return ends
    return math.sqrt(max(0.0, ends[0])), math.sqrt(max(0.0, ends[1]))


def _estimate(name: str, value: float | None, ends: Ends | Unknown | None) -> Estimate:
    if ends is None or isinstance(ends, Unknown):
        return Estimate(value, reason=None if ends is None else ends.reason)
    least, most = (
        (-math.inf if name == "r2" else 0.0),
        (1.0 if HIGHER_IS_BETTER[name] else math.inf),
    )
    return Estimate(value, max(least, ends[0]), min(most, ends[1]))


def _pairs(first: Measures, second: Measures) -> dict[str, tuple[Measure, Measure]]:
    return {name: (measure, second[name]) for name, measure in first.items() if name in second}


def _paired(
    pairs: Mapping[str, tuple[Measure, Measure]], rows: int, resamples: int
) -> Iterator[tuple[str, Ends | Unknown]]:
    statistics: dict[str, Statistic] = {}
    for name, (first, second) in pairs.items():
        shares = first.proportion, second.proportion
        if shares[0] and shares[1] and _are_of_the_same_rows(shares[0], shares[1]):
            yield name, paired_interval(shares[0], shares[1])
        else:
            statistics[name] = _difference(first.statistic, second.statistic)
    for name, replicates in _replicates(statistics, rows, resamples).items():
        yield name, interval_of(replicates, rows)


def _are_of_the_same_rows(first: Proportion, second: Proportion) -> bool:
    return bool(np.array_equal(first.among, second.among))


def _difference(first: Statistic, second: Statistic) -> Statistic:
    if isinstance(first, Means) and isinstance(second, Means):
        return second.minus(first)
    return Difference(first, second)


def _unpaired(
    pairs: Mapping[str, tuple[Measure, Measure]], first: HeldOut, second: HeldOut, resamples: int
) -> Iterator[tuple[str, Ends | Unknown]]:
    one: dict[str, Statistic] = {}
    other: dict[str, Statistic] = {}
    for name, (before, after) in pairs.items():
        if before.proportion and after.proportion:
            yield name, unpaired_interval(before.proportion, after.proportion)
        else:
            one[name], other[name] = before.statistic, after.statistic
    subtrahends = _replicates(one, first.rows, resamples)
    minuends = _replicates(other, second.rows, resamples, seed=_SEED + 1)
    for name, replicates in minuends.items():
        difference = replicates.minus(subtrahends[name])
        yield name, interval_of(difference, min(first.rows, second.rows))


def _contrast(name: str, value: float | None, ends: Ends | Unknown | None) -> Contrast:
    if ends is None:
        return Contrast(value)
    if isinstance(ends, Unknown):
        is_same = ends is NO_SPREAD and value == 0
        return Contrast(value, reason=ends.reason, verdict="same" if is_same else "unknown")
    lower, upper = ends
    return Contrast(value, lower, upper, verdict=_verdict(lower, upper, HIGHER_IS_BETTER[name]))


def _verdict(lower: float, upper: float, higher_is_better: bool) -> Verdict:
    if lower <= 0 <= upper:
        return "noise"
    return "better" if (lower > 0) == higher_is_better else "worse"
