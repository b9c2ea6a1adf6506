"""Calibration: predicted probabilities, compared with the frequency of what they predict.

Rows are sorted by their probability and grouped into bins of about equal weight. The calibration
error is the mean over bins of |observed frequency − mean probability|, weighted by their shares:
Naeini, Cooper and Hauskrecht (AAAI 2015); bins of equal size: Nguyen and O'Connor (EMNLP 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlcli.arrays import Floats, Indices
from dlcli.metrics.statistic import Array, Statistic, Z, class_sums, effective_size, wilson_interval

MOST_BINS = 10
"""Maximum number of bins."""
_ROWS_PER_BIN = 10
"""Minimum number of rows in a bin, so the error is undefined for fewer rows."""
_ROUNDING = 1e-12
"""Errors below it are due to rounding."""
_HALF_NORMAL = math.sqrt(2 / math.pi)
"""The mean of |x| for a standard normal x."""


@dataclass(frozen=True)
class CalibrationError(Statistic):
    """The expected calibration error, `Σ |Σ w (y − p)| / Σ w` with the inner sum over a bin.

    For several labels, it is the mean over labels.
    """

    predicted: Floats
    """The probability `p` of each label, `(labels, rows)`."""
    observed: Floats
    """`y`: 1 if the label is true, else 0, `(labels, rows)`."""

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights, with the bins of the original weights."""
        shape = weights.shape[:-1]
        if self._bins is None:
            return np.full(shape, np.nan)
        total = np.zeros(shape)
        for bins, residuals in zip(self._bins, self._residuals, strict=True):
            total = total + np.abs(class_sums(bins, weights * residuals, MOST_BINS)).sum(axis=-1)
        found = np.asarray(total / (weights.sum(axis=-1) * len(self._residuals)))
        return np.where(found < _ROUNDING, 0.0, found)

    def influences(self) -> Floats:
        """Return each row's influence on the metric, `w (± (y − p) − error) / Σ w`."""
        found = np.full(len(self.weights), -float(self.of(self.weights)))
        for bins, residuals in zip(self._bins or (), self._residuals, strict=False):
            signs = np.sign(class_sums(bins, self.weights * residuals, MOST_BINS))
            found += signs[bins] * residuals / len(self._residuals)
        return np.asarray(self.weights * found / self.weights.sum())

    def own_interval(self) -> tuple[float, float]:
        """Return a 95 % confidence interval, which includes 0 if probabilities may be exact.

        Chance alone makes the error positive. Let `s` be the standard error of the contribution of
        each bin. If all probabilities are exact, the contributions are half-normal, so the error
        has the mean `√(2/π) Σ s` and the variance `(1 − 2/π) Σ s²`. By the triangle inequality, the
        error exceeds its true value by no more than such a sum, so the lower end is
        `error − √(2/π) Σ s − z √((1 − 2/π) Σ s²)`. The upper end is `error + z √(Σ s²)`. In
        simulated samples of 50 to 5,000 rows, the interval contains the true value in 92 to 100 %
        of samples, and 0 in 97 % if probabilities are exact.
        """
        lower = upper = 0.0
        for bins, residuals, probabilities in zip(
            self._bins or (), self._residuals, self.predicted, strict=False
        ):
            sums = class_sums(bins, self.weights * residuals, MOST_BINS)
            errors = self._bin_errors(bins, residuals, probabilities)
            error, squares = float(np.abs(sums).sum()) / self.weights.sum(), errors @ errors
            chance = _HALF_NORMAL * errors.sum() + Z * math.sqrt((1 - _HALF_NORMAL**2) * squares)
            lower += max(0.0, error - chance)
            upper += min(1.0, error + Z * math.sqrt(squares))
        labels = len(self._residuals)
        return float(lower / labels), float(upper / labels)

    @property
    def by_chance(self) -> float:
        """The mean error of exact probabilities on these rows."""
        found = 0.0
        for bins, probabilities in zip(self._bins or (), self.predicted, strict=False):
            found += _HALF_NORMAL * self._chance_errors(bins, probabilities).sum()
        return float(found / len(self.predicted))

    def _bin_errors(self, bins: Indices, residuals: Floats, probabilities: Floats) -> Floats:
        """Return the standard error of each bin's contribution.

        It is at least the standard error for exact probabilities, because a bin in which nothing
        happened has no spread.
        """
        sums = class_sums(bins, self.weights * residuals, MOST_BINS)
        totals = class_sums(bins, self.weights, MOST_BINS)
        means = sums / np.where(totals > 0, totals, 1.0)
        squares = class_sums(bins, (self.weights * (residuals - means[bins])) ** 2, MOST_BINS)
        spread = np.sqrt(squares) / self.weights.sum()
        return np.asarray(np.maximum(spread, self._chance_errors(bins, probabilities)))

    def _chance_errors(self, bins: Indices, probabilities: Floats) -> Floats:
        """Return the standard error of each bin's contribution for exact probabilities."""
        variances = np.clip(probabilities * (1 - probabilities), 0.0, None)
        squares = class_sums(bins, self.weights**2 * variances, MOST_BINS)
        return np.asarray(np.sqrt(squares) / self.weights.sum())

    @cached_property
    def _residuals(self) -> Floats:
        return self.observed - self.predicted

    @cached_property
    def _bins(self) -> list[Indices] | None:
        """The bin of each row, for each label; `None` for too few rows."""
        if not (count := number_of_bins(len(self.weights))):
            return None
        return [equal_bins(each, self.weights, count) for each in self.predicted]


def number_of_bins(rows: int) -> int:
    """Return the number of bins for a number of rows; 0 if there are too few rows."""
    return min(MOST_BINS, rows // _ROWS_PER_BIN)


def equal_bins(probabilities: Floats, weights: Array, bins: int) -> Indices:
    """Return the index of each row's bin, (rows,), from 0, for bins of about equal weight.

    Rows with the same probability are in the same bin, so bins may be empty.

    Args:
        probabilities: the probabilities, (rows,).
        weights: row weights, (rows,), all above 0.
        bins: the number of bins.
    """
    distinct, index = np.unique(probabilities, return_inverse=True)
    sums = np.bincount(index.ravel(), weights, minlength=len(distinct))
    middles = (np.cumsum(sums) - sums / 2) / sums.sum()
    # Rounding errors must not move a row across an edge.
    of_each: Indices = np.minimum(np.round(middles * bins, 9).astype(np.int64), bins - 1)
    return of_each[index.ravel()]


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with similar predicted probabilities."""

    predicted: float
    """The mean predicted probability."""
    observed: float
    """The share of positive rows."""
    lower: float
    upper: float
    """The 95 % confidence interval of this share, by Wilson's method."""
    rows: int
    share: float
    """The share of the total weight."""


def calibration_curve(
    target: Array, probabilities: Floats, weights: Floats, bins: int
) -> list[CalibrationBin]:
    """Compare probabilities with observed frequencies in bins of about equal weight.

    Args:
        target: 1 or true for the positive rows, shape `(rows,)`.
        probabilities: the probabilities of the positive class, shape `(rows,)`.
        weights: row weights, shape `(rows,)`, all above 0.
        bins: number of bins; empty bins are omitted.
    """
    index, result = equal_bins(probabilities, weights, bins), []
    for at in np.unique(index):
        rows = index == at
        weight = weights[rows]
        predicted = float(np.average(probabilities[rows], weights=weight))
        observed = float(np.average(target[rows], weights=weight))
        ends = wilson_interval(observed, effective_size(weight))
        share = float(weight.sum() / weights.sum())
        result.append(CalibrationBin(predicted, observed, *ends, len(weight), share))
    return result
