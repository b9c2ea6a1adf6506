"""Rows drawn again from a set of rows, as the set was drawn from all that there might be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dlcli.comparison.statistics import Means, Statistic
from dlcli.metrics import Floats

Error = TypeVar("Error", float, Floats)

MOST = 2_000
"""Resamples of a table that is not long."""
LEAST = 400
"""Resamples of one that is."""
MANY = 10_000
"""Rows beyond which metrics are as good as normal, and a standard error says it all."""
_LARGE = 20_000
"""Rows times labels beyond which orders of them cost too much to be resampled."""
_WORK = 4_000_000
"""Rows drawn in all, beyond which resamples get fewer."""
_AT_ONCE = 2**20
"""Rows drawn at once: 8 MB of counts."""
_SUBSET = MANY // 2
"""Rows of a subset of many."""
MOST_UNDEFINED = 0.1
"""The share of resamples that may be without a value, such as an AUC without one of its classes."""
_BLOCKS = 400
"""Most parts to leave out one at a time."""


@dataclass(frozen=True)
class Replicates:
    """What resamples say of a metric, or of a difference of two."""

    point: float
    """The value over the rows themselves."""
    values: Floats
    """The value of each resample, (resamples,); NaN where it is undefined. None are drawn of very
    many rows."""
    pushes: Floats
    """How far each part of the rows pushes the value up, scaled so that their squares sum up to its
    variance, (parts,)."""
    error: float | None = None
    """The standard error."""
    errors: Floats | None = None
    """The standard error that each resample shows, (resamples,)."""

    def minus(self, other: Replicates) -> Replicates:
        """The difference from what was resampled for itself."""
        drawn = len(self.values) > 0 and len(other.values) > 0
        return Replicates(
            self.point - other.point,
            self.values - other.values if drawn else np.empty(0),
            np.concatenate([self.pushes, -other.pushes]),
            _together(self.error, other.error)
            if drawn
            else _together(self._deviation, other._deviation),
            _together(self.errors, other.errors) if drawn else None,
        )

    @property
    def _deviation(self) -> float:
        """The standard error, of resamples if it is not known otherwise."""
        if self.error is not None:
            return self.error
        defined = self.values[np.isfinite(self.values)]
        is_known = len(defined) > max(1, (1 - MOST_UNDEFINED) * len(self.values))
        return float(np.std(defined, ddof=1)) if is_known else math.nan

    def squared(self) -> Replicates:
        """The same of the square of a value that is never negative."""
        return Replicates(
            self.point**2,
            self.values**2,
            self.pushes * 2 * self.point,
            None if self.error is None else 2 * self.point * self.error,
            None if self.errors is None else 2 * self.values * self.errors,
        )


def _together(error: Error | None, other: Error | None) -> Error | None:
    """The standard error of a difference of two that are independent: `√(a² + b²)`."""
    return None if error is None or other is None else (error**2 + other**2) ** 0.5


def replicate(
    statistics: Mapping[str, Statistic], rows: int, seed: int, resamples: int
) -> dict[str, Replicates]:
    """Resamples rows, and takes each statistic of them.

    Args:
        statistics: by name.
        rows: how many there are.
        seed: what the draws follow from.
        resamples: how many are drawn.
    """
    large = {
        name: _of_many(each, rows, seed)
        for name, each in statistics.items()
        if rows > MANY or rows * each.labels > _LARGE
    }
    rest = {name: each for name, each in statistics.items() if name not in large}
    return {**large, **_resampled(rest, rows, seed, resamples)} if rest else large


def _resampled(
    statistics: Mapping[str, Statistic], rows: int, seed: int, resamples: int
) -> dict[str, Replicates]:
    values = dict(_collected(statistics, draws(rows, seed, resamples)))
    without = dict(_collected(statistics, parts_left_out(rows, seed)))
    whole = np.ones((1, rows))
    return {
        name: Replicates(
            float(statistic.values(whole)[0]),
            values[name][:, 0],
            pushes_of(without[name][:, 0]),
            float(statistic.errors(whole)[0]) if isinstance(statistic, Means) else None,
            values[name][:, 1] if isinstance(statistic, Means) else None,
        )
        for name, statistic in statistics.items()
    }


def _of_many(statistic: Statistic, rows: int, seed: int) -> Replicates:
    """A statistic of many rows, with its standard error alone.

    It follows from what each row pushes, rows of rare classes included. If that isn't known, it is
    that of subsets of `m` of the `n` rows, `√(m / (n - m))` times their deviation: Politis, Romano
    and Wolf, Subsampling (1999), chapter 2.
    """
    whole = np.ones((1, rows))
    point = float(statistic.values(whole)[0])
    if isinstance(statistic, Means):
        return Replicates(point, np.empty(0), np.empty(0), float(statistic.errors(whole)[0]))
    pushes = statistic.influences()
    if pushes is not None:
        return Replicates(point, np.empty(0), np.empty(0), math.sqrt(float(pushes @ pushes)))
    generator = np.random.default_rng([seed, rows])
    all_of_them = np.ones((1, _SUBSET))
    subsets = (generator.choice(rows, _SUBSET, replace=False) for _ in range(LEAST))
    values = [statistic.take(places).values(all_of_them)[0] for places in subsets]
    factor = math.sqrt(_SUBSET / (rows - _SUBSET))
    return Replicates(point, np.empty(0), np.empty(0), factor * float(np.std(values, ddof=1)))


def _collected(
    statistics: Mapping[str, Statistic], draws: Iterator[Floats]
) -> Iterator[tuple[str, Floats]]:
    """Yields each name with values, and errors where there are some, (resamples, 1 or 2)."""
    found: dict[str, list[Floats]] = {name: [] for name in statistics}
    for counts in draws:
        for name, each in statistics.items():
            columns = [each.values(counts)]
            columns += [each.errors(counts)] if isinstance(each, Means) else []
            found[name].append(np.stack(columns, axis=1))
    for name, parts in found.items():
        yield name, np.concatenate(parts)


def resamples_for(rows: int, labels: int = 1) -> int:
    """How many resamples a table of so many rows, each with so many labels, is worth."""
    return int(np.clip(_WORK // max(1, rows * labels), LEAST, MOST))


def draws(rows: int, seed: int, resamples: int) -> Iterator[Floats]:
    """Yields how often each row is drawn in some of the resamples, (some, rows)."""
    generator = np.random.default_rng([seed, rows])
    at_once = max(1, _AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        places = generator.integers(0, rows, (some, rows))
        places += rows * np.arange(some)[:, np.newaxis]
        counts = np.bincount(places.ravel(), minlength=some * rows)
        yield counts.reshape(some, rows).astype(np.float64)


def parts_left_out(rows: int, seed: int) -> Iterator[Floats]:
    """Yields 1 for each row but those of one part, which is a row as long as rows are few.

    Each is (some, rows).
    """
    parts = min(rows, _BLOCKS)
    part = np.random.default_rng([seed, rows, parts]).permutation(rows) % parts
    at_once = max(1, _AT_ONCE // rows)
    for start in range(0, parts, at_once):
        some = np.arange(start, min(start + at_once, parts))
        yield (part != some[:, np.newaxis]).astype(np.float64)


def pushes_of(without: Floats) -> Floats:
    """How far each part pushes a value up, from the values without it, (parts,).

    The squares sum up to the jackknife's variance, `(n - 1) / n Σ (mean - without)²`.
    """
    defined = without[np.isfinite(without)]
    if not len(defined):
        return np.empty(0)
    return np.asarray((defined.mean() - defined) * np.sqrt(1 - 1 / len(without)))
