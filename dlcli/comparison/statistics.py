"""Metrics as functions of how often each row counts, many resamples at once.

Each is defined as in `dlcli.metrics`, which knows one set of rows at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from dlcli.metrics import Array, Floats

_FEWEST = 3
"""Rows of a kind below which nothing tells how far off what is taken of them is."""
_MOST_OF_FEW = 0.1
"""The share of kinds that may have fewer."""


@dataclass(frozen=True)
class Statistic(ABC):
    """A metric of resampled rows; every array that it holds has a place for each row."""

    @abstractmethod
    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,); NaN where it is undefined.

        Args:
            counts: how often each row is in each resample, (resamples, rows).
        """

    @property
    def labels(self) -> int:
        """How many orders of the rows it takes, which are what costs time."""
        return 1

    def influences(self) -> Floats | None:
        """How far each row pushes the metric, (rows,): the derivative by how often it counts.

        The squares sum up to the variance: Efron, The Jackknife, the Bootstrap and Other Resampling
        Plans (1982), chapter 6. `None` if it has no derivative; NaN where too few rows tell.
        """
        return None

    def take(self, places: Array) -> Self:
        """The metric of some of the rows."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: each[places] for name, each in held.items() if isinstance(each, np.ndarray)}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Difference(Statistic):
    """What one statistic has over another of the same rows."""

    first: Statistic
    second: Statistic

    def values(self, counts: Floats) -> Floats:
        """The difference in each resample, (resamples,)."""
        return self.second.values(counts) - self.first.values(counts)

    @property
    def labels(self) -> int:
        """How many orders of the rows it takes."""
        return max(self.first.labels, self.second.labels)

    def influences(self) -> Floats | None:
        """How far each row pushes the difference, (rows,)."""
        first, second = self.first.influences(), self.second.influences()
        return None if first is None or second is None else second - first

    def take(self, places: Array) -> Self:
        """The difference over some of the rows."""
        return replace(self, first=self.first.take(places), second=self.second.take(places))


@dataclass(frozen=True)
class Means(Statistic):
    """A weighted sum of means over rows, or of their roots: the metrics that are losses.

    Its standard error is known in each resample, too. With the means `m_j = Σ w v_j / Σ w` of each
    column, and `g_j` the derivative of the sum with respect to them, a row's influence is
    `u = w Σ g_j (v_j - m_j) / Σ w`, and the squared error `Σ u²`: the delta method for ratios.
    """

    columns: Floats
    """What means are taken of, (rows, columns)."""
    coefficients: tuple[float, ...]
    """What each mean, or its root, is multiplied by."""
    weight: Floats
    """(rows,)"""
    root: bool = False
    """Whether roots of the means are summed up."""

    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,)."""
        means, _ = self._means(counts)
        return np.asarray((np.sqrt(means) if self.root else means) @ self.coefficients)

    def errors(self, counts: Floats) -> Floats:
        """The standard error that each resample shows, (resamples,)."""
        means, totals = self._means(counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = 0.5 / np.sqrt(means) if self.root else np.ones_like(means)
            slopes = np.where(np.isfinite(slopes), slopes, 0.0) * self.coefficients
        influence = slopes @ self.columns.T - np.sum(slopes * means, axis=1, keepdims=True)
        squares = np.einsum("br,br,br->b", counts * self.weight**2, influence, influence)
        return np.asarray(np.sqrt(squares) / totals[:, 0])

    def minus(self, other: Means) -> Means:
        """The difference of two, of the same rows."""
        return replace(
            self,
            columns=np.hstack([self.columns, other.columns]),
            coefficients=(*self.coefficients, *(-each for each in other.coefficients)),
        )

    def _means(self, counts: Floats) -> tuple[Floats, Floats]:
        weighted = counts * self.weight
        totals = weighted.sum(axis=1, keepdims=True)
        return weighted @ self.columns / totals, totals


@dataclass(frozen=True)
class Ratios(Statistic):
    """The mean of those ratios of sums that are defined: precision, recall, F1 and their kin."""

    numerators: Floats
    """(rows, ratios)"""
    denominators: Floats
    """(rows, ratios)"""
    weight: Floats
    """(rows,)"""

    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,); NaN where no ratio is defined."""
        weighted = counts * self.weight
        return mean_of_ratios(weighted @ self.numerators, weighted @ self.denominators)

    def influences(self) -> Floats:
        """How far each row pushes the metric, (rows,): `w (a - r b) / Σ w b`, the mean of them."""
        totals = self.weight @ self.denominators
        defined = totals > 0
        totals = np.where(defined, totals, np.inf)
        ratios = self.weight @ self.numerators / totals
        if not enough_tell(np.count_nonzero(self.denominators, axis=0)[defined]):
            return np.full(len(self.weight), np.nan)
        each = self.numerators @ (1 / totals) - self.denominators @ (ratios / totals)
        return np.asarray(self.weight * each / defined.sum())


@dataclass(frozen=True)
class ClassRatios(Statistic):
    """The mean over classes of `2 tp / (true + predicted)`, or of `tp / true`."""

    target: Array
    """Places of the true classes, (rows,)."""
    predicted: Array
    """Places of the predicted ones, (rows,)."""
    classes: int
    weight: Floats
    """(rows,)"""
    recall: bool = False
    """Whether recalls are taken the mean of, which is the balanced accuracy; else F1."""

    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,); a class without a ratio is left out."""
        weighted = counts * self.weight
        hits = self._sums(weighted * (self.target == self.predicted), self.target)
        true = self._sums(weighted, self.target)
        if self.recall:
            return mean_of_ratios(hits, true)
        return mean_of_ratios(2 * hits, true + self._sums(weighted, self.predicted))

    def influences(self) -> Floats:
        """How far each row pushes the metric, (rows,)."""
        hit = self.target == self.predicted
        hits, true, predicted = (
            np.bincount(places, self.weight * counts, self.classes)
            for places, counts in ((self.target, hit), (self.target, 1), (self.predicted, 1))
        )
        numerators, totals = (hits, true) if self.recall else (2 * hits, true + predicted)
        defined = totals > 0
        totals = np.where(defined, totals, np.inf)
        ratios = numerators / totals**2
        own = (1.0 if self.recall else 2.0) / totals
        each = hit * own[self.target] - ratios[self.target]
        each -= 0.0 if self.recall else ratios[self.predicted]
        rows = np.bincount(self.target, minlength=self.classes)
        is_known = enough_tell(rows[defined & (rows > 0)])
        return np.asarray(self.weight * each / defined.sum() if is_known else each * np.nan)

    def _sums(self, weighted: Floats, places: Array) -> Floats:
        """The weight of each class in each resample, (resamples, classes)."""
        return np.stack([np.bincount(places, row, self.classes) for row in weighted])


@dataclass(frozen=True)
class Explained(Statistic):
    """The coefficient of determination, `1 - Σ w e² / Σ w (y - ȳ)²`: the mean over outputs."""

    target: Floats
    """(rows, outputs)"""
    prediction: Floats
    """(rows, outputs)"""
    weight: Floats
    """(rows,)"""

    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,); NaN where a target is constant."""
        weighted = counts * self.weight
        centred = self.target - self.target.mean(axis=0)
        totals = weighted.sum(axis=1, keepdims=True)
        spread = weighted @ centred**2 - (weighted @ centred) ** 2 / totals
        unexplained = weighted @ (self.prediction - self.target) ** 2
        spread[spread <= 1e-12 * (weighted @ centred**2)] = 0.0  # constant, but for rounding
        with np.errstate(divide="ignore", invalid="ignore"):
            explained = 1 - unexplained / spread
        return np.asarray(np.where(np.isfinite(explained), explained, np.nan).mean(axis=1))


@dataclass(frozen=True)
class Medians(Statistic):
    """The weighted median, as `dlcli.metrics` defines it: the mean over columns."""

    columns: Floats
    """(rows, columns)"""
    weight: Floats
    """(rows,)"""

    def values(self, counts: Floats) -> Floats:
        """The metric of each resample, (resamples,)."""
        each = [self._medians(column, counts) for column in self.columns.T]
        return np.asarray(np.mean(each, axis=0))

    def _medians(self, column: Floats, counts: Floats) -> Floats:
        order = np.argsort(column)
        reached = np.cumsum((counts * self.weight)[:, order], axis=1)
        half = reached[:, -1:] / 2
        rounding = 1e-9 * half
        lower = np.count_nonzero(reached < half - rounding, axis=1)
        upper = np.count_nonzero(reached < half + rounding, axis=1)
        sorted_column = column[order]
        return np.asarray((sorted_column[lower] + sorted_column[upper]) / 2)


def enough_tell(rows: Array) -> bool:
    """Whether so many rows of each kind, such as a class, tell how far off a metric is.

    One row has no deviation, and of two a resample in seven has none.
    """
    return len(rows) > 0 and bool(np.mean(rows < _FEWEST) <= _MOST_OF_FEW)


def mean_of_ratios(numerators: Floats, denominators: Floats) -> Floats:
    """The mean of those ratios that are defined, over (resamples, ratios); NaN of none."""
    defined = denominators > 0
    ratios = np.divide(numerators, denominators, out=np.zeros_like(numerators), where=defined)
    count = defined.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(ratios.sum(axis=1) / count)
