"""Metrics of fixed predictions as functions of row weights.

Integer weights describe a resample of the rows, so the bootstrap calls the function that computes
the metric with weights of shape `(resamples, rows)` instead of `(rows,)`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Number = float | None
MetricValue = Number | list[list[float]] | dict[str, "Metrics"]
"""The value of a metric, `None` if undefined; a confusion matrix; or the metrics of each column or
label by name."""
Metrics = dict[str, MetricValue]

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
_FEWEST = 3
"""Number of rows of a class or label below which the variation of its metric is unknown."""
_MOST_WITH_FEW = 0.1
"""Maximum share of classes or labels with fewer rows."""
_STEP = 1e-6
"""The step of central differences, relative to a sum."""
_ROUNDING = 1e-12
"""Relative rounding error of sums of squares; a smaller R² counts as exactly 0."""


@dataclass(frozen=True)
class Statistic(ABC):
    """A metric of rows with positive weights."""

    weights: Array
    """Row weights, `(rows,)`."""
    interval: str = field(default="bca", kw_only=True)
    """The method of its confidence interval, see `IntervalMethod`."""

    @abstractmethod
    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights; NaN if undefined.

        Args:
            weights: shape `(rows,)` or `(resamples, rows)`.

        Returns:
            Shape `()` or `(resamples,)`.
        """

    @abstractmethod
    def influences(self) -> Floats:
        """Return each row's influence on the metric, `(rows,)`.

        It is the row's weight times the derivative of the metric with respect to the weight. The
        sum of squares is the variance, by the infinitesimal jackknife: Efron, The Jackknife, the
        Bootstrap and Other Resampling Plans (1982), chapter 6.
        """

    @property
    def supports(self) -> Array:
        """The number of rows of each class or label that determine the metric."""
        return np.array([len(self.weights)])

    @property
    def sorts(self) -> int:
        """The number of times that `of` sorts the rows, which takes most of the time."""
        return 1

    @property
    def magnitude(self) -> float:
        """The magnitude of the values, to which rounding errors of the metric are relative."""
        return 1.0

    def own_interval(self) -> tuple[float, float] | None:
        """Return the 95 % confidence interval of a metric with a special one, else `None`."""
        return None

    def minus(self, other: Statistic) -> Statistic:
        """Return the difference from another metric of the same rows."""
        return Difference(self.weights, other, self)

    @property
    def value(self) -> Number:
        """The metric for the weights of the rows; `None` if undefined."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return finite(float(self.of(self.weights)))

    def standard_error(self) -> float:
        """Return the standard error; NaN if classes or labels have too few rows.

        The deviation of a single row is 0, and two rows are missing in one resample of seven.
        """
        supports = self.supports
        if not len(supports) or np.mean(supports < _FEWEST) > _MOST_WITH_FEW:
            return math.nan
        with np.errstate(over="ignore", invalid="ignore"):
            influences = self.influences()
            return math.sqrt(float(influences @ influences))


@dataclass(frozen=True)
class Mean(Statistic):
    """The weighted mean of a loss, `Σ w v / Σ w`, or its root, averaged over several outputs.

    `errors` returns the standard error of each resample by the delta method for ratios. With the
    mean `m_j` of each output and the derivative `g_j` of the metric with respect to it, the
    influence of a row is `u = w Σ g_j (v_j - m_j) / Σ w`.
    """

    losses: Floats
    """The loss of each row, `(outputs, rows)`."""
    root: bool = False
    signs: tuple[int, ...] = ()
    """1 for each output, and -1 for each subtracted output; empty if all are 1."""

    @property
    def magnitude(self) -> float:
        """The size of the largest loss, or its root."""
        largest = _largest(self.losses)
        return math.sqrt(largest) if self.root else largest

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        means = weighted_sum(self.losses, weights) / weights.sum(axis=-1, keepdims=True)
        values = np.sqrt(means) if self.root else means
        return np.asarray((values * self._signs).sum(axis=-1) / self._outputs)

    def errors(self, counts: Floats) -> Floats:
        """Return the standard error in each resample, `(resamples,)`.

        Args:
            counts: the number of times each row is in each resample, `(resamples, rows)`.
        """
        weighted = counts * self.weights
        deviations = self._deviations(weighted)
        squares = np.einsum("br,br,br->b", counts * self.weights**2, deviations, deviations)
        return np.asarray(np.sqrt(squares) / weighted.sum(axis=1))

    def influences(self) -> Floats:
        """Return each row's influence on the metric."""
        deviations = self._deviations(self.weights[np.newaxis])[0]
        return np.asarray(self.weights * deviations / self.weights.sum())

    def minus(self, other: Statistic) -> Statistic:
        """Return the difference from another metric; the difference of two means is a mean."""
        if not isinstance(other, Mean):
            return super().minus(other)
        negative = tuple((-other._signs).tolist())
        losses = np.vstack([self.losses, other.losses])
        return replace(self, losses=losses, signs=(*self._signs.tolist(), *negative))

    @property
    def _signs(self) -> NDArray[np.int64]:
        return np.array(self.signs or (1,) * len(self.losses))

    @property
    def _outputs(self) -> int:
        return int(np.sum(self._signs > 0))

    def _deviations(self, weights: Array) -> Floats:
        """Return `Σ g_j (v_j - m_j)`, `(resamples, rows)`."""
        means = weighted_sum(self.losses, weights) / weights.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = 0.5 / np.sqrt(means) if self.root else np.ones_like(means)
        slopes = np.where(np.isfinite(slopes), slopes, 0.0) * self._signs / self._outputs
        return np.asarray(slopes @ self.losses - np.sum(slopes * means, axis=1, keepdims=True))


@dataclass(frozen=True)
class FunctionOfSums(Statistic):
    """A metric that is a smooth function of weighted sums over rows, `f(Σ w t_1, Σ w t_2, ...)`."""

    terms: tuple[Floats, ...]
    """`t_1`, `t_2`, ..., each `(parts, rows)`."""
    function: Callable[..., Any]
    """Maps sums, each `(parts,)` or `(resamples, parts)`, to `()` or `(resamples,)`."""

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        return np.asarray(self.function(*(weighted_sum(term, weights) for term in self.terms)))

    def influences(self) -> Floats:
        """Return each row's influence on the metric, `w Σ t_j ∂f/∂s_j`, by central differences."""
        sums = [weighted_sum(term, self.weights) for term in self.terms]
        joined, ends = np.concatenate(sums), np.cumsum([len(each) for each in sums])[:-1]
        steps = np.diag(_STEP * np.maximum(np.abs(joined), 1.0))
        above, below = (
            np.asarray(self.function(*np.split(joined + sign * steps, ends, axis=1)))
            for sign in (1, -1)
        )
        slopes = (above - below) / (2 * steps.diagonal())
        return np.asarray(self.weights * (slopes @ np.concatenate(self.terms)))


@dataclass(frozen=True)
class Ratio(Statistic):
    """A ratio of sums, `Σ w a / Σ w b`."""

    numerators: Array
    """`a`, `(rows,)`."""
    denominators: Array
    """`b`, `(rows,)`."""

    @property
    def supports(self) -> Array:
        """The number of rows of each class or label."""
        return np.array([each for each in [np.count_nonzero(self.denominators)] if each])

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        return ratio(
            weighted_sum(self.numerators, weights), weighted_sum(self.denominators, weights)
        )

    def influences(self) -> Floats:
        """Return each row's influence on the metric, `w (a - r b) / Σ w b`."""
        value = self.of(self.weights)
        deviations = self.numerators - self.denominators * value
        total = weighted_sum(self.denominators, self.weights)
        return np.asarray(self.weights * deviations / total)


@dataclass(frozen=True)
class ClassMean(Statistic):
    """The mean recall or F1 over the classes for which it is defined.

    With the weight `h` of correct rows, `t` of the rows of a class and `p` of the rows predicted as
    the class, recall is `h / t` and F1 is `2 h / (t + p)`.
    """

    target: Array
    """Class indices, `(rows,)`."""
    predicted: Array
    """Predicted class indices, `(rows,)`."""
    classes: int
    counts_predicted: bool
    """True for F1, whose ratio includes the rows predicted as a class and the rows of the class."""

    @property
    def supports(self) -> Array:
        """The number of rows of each class or label."""
        rows = np.bincount(self.target, minlength=self.classes)
        return rows[rows > 0]

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        numerators, denominators = self._sums(weights)
        return mean_of_finite(ratio(numerators, denominators))

    def influences(self) -> Floats:
        """Return each row's influence on the metric."""
        numerators, denominators = self._sums(self.weights)
        defined = denominators > 0
        totals = np.where(defined, denominators, np.inf)
        factor = 2.0 if self.counts_predicted else 1.0
        slopes = numerators / totals**2
        deviations = (self.target == self.predicted) * (factor / totals)[self.target]
        deviations -= slopes[self.target]
        deviations -= slopes[self.predicted] if self.counts_predicted else 0.0
        return np.asarray(self.weights * deviations / defined.sum())

    def confusion(self) -> Array:
        """Return the weight of each pair of true (row) and predicted class (column).

        Whole numbers for whole weights.
        """
        cells = class_sums(
            self.target * self.classes + self.predicted, self.weights, self.classes**2
        )
        return np.asarray(cells.reshape(self.classes, self.classes).astype(self.weights.dtype))

    def _sums(self, weights: Array) -> tuple[Floats, Floats]:
        """Numerator and denominator for each class, `(classes,)` or `(resamples, classes)`."""
        hits = class_sums(self.target, weights * (self.target == self.predicted), self.classes)
        of_class = class_sums(self.target, weights, self.classes)
        if not self.counts_predicted:
            return hits, of_class
        return 2 * hits, of_class + class_sums(self.predicted, weights, self.classes)


@dataclass(frozen=True)
class ThresholdCounts:
    """The weights of the positive and negative rows at each distinct score, in descending order.

    `p_k` and `n_k` are the weights of the positive and negative rows at the k-th highest score,
    `P_k` and `N_k` their sums up to k, and `P` and `N` the sums over all scores. Arrays have the
    shape `(thresholds,)`, or `(resamples, thresholds)` for weights of resamples.
    """

    thresholds: Floats
    """The distinct scores, descending, `(thresholds,)`."""
    positives_at: Floats
    """`p_k`"""
    negatives_at: Floats
    """`n_k`"""

    @classmethod
    def of(cls, target: Array, scores: Array, weights: Array) -> ThresholdCounts:
        """Sort rows by score, and add up the weights of rows with the same score.

        Args:
            target: 1 or true for the positive rows, shape `(rows,)`.
            scores: the scores, higher for more likely positive rows, shape `(rows,)`.
            weights: row weights, shape `(rows,)` or `(resamples, rows)`.
        """
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        first = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]][: len(falling)])
        is_positive = target[order].astype(np.bool_)
        sorted_weights = weights[..., order]

        def at_each_score(selected: Array) -> Floats:
            kept = np.where(selected, sorted_weights, 0.0)
            no_ties = len(first) == len(order)
            return kept if no_ties else np.asarray(np.add.reduceat(kept, first, axis=-1))

        return cls(falling[first], at_each_score(is_positive), at_each_score(~is_positive))

    @cached_property
    def true_positives(self) -> Floats:
        """`P_k`, the weight of the positive rows that score at least as high as each threshold."""
        return np.cumsum(self.positives_at, axis=-1)

    @cached_property
    def false_positives(self) -> Floats:
        """`N_k`, the weight of the negative rows that score at least as high as each threshold."""
        return np.cumsum(self.negatives_at, axis=-1)

    @cached_property
    def positives(self) -> Floats:
        """`P`, shape `()` or `(resamples,)`."""
        return np.asarray(self.positives_at.sum(axis=-1))

    @cached_property
    def negatives(self) -> Floats:
        """`N`, shape `()` or `(resamples,)`."""
        return np.asarray(self.negatives_at.sum(axis=-1))

    @property
    def is_defined(self) -> bool:
        """True if there are rows of both classes."""
        return bool(np.all(self.positives > 0) and np.all(self.negatives > 0))

    @np.errstate(divide="ignore", invalid="ignore")
    def roc_auc(self) -> Floats:
        """Return the area under the ROC curve, `Σ n_k (P_k - p_k / 2) / (P N)`.

        It is the probability that a positive row scores higher than a negative row, where ties
        count half (the Mann-Whitney statistic): Hanley and McNeil, Radiology 143 (1982). NaN
        without rows of both classes.
        """
        above = np.sum(self.negatives_at * (self.true_positives - self.positives_at / 2), axis=-1)
        return np.asarray(above / (self.positives * self.negatives))

    @np.errstate(divide="ignore", invalid="ignore")
    def average_precision(self) -> Floats:
        """Return the average precision, `Σ p_k / P · P_k / (P_k + N_k)`; NaN without positive rows.

        It is the area under the step function of precision against recall.
        """
        precision = self.true_positives / (self.true_positives + self.false_positives)
        steps = np.where(self.positives_at > 0, self.positives_at * precision, 0.0)
        return np.asarray(steps.sum(axis=-1) / self.positives)

    def roc_curve(self) -> tuple[Floats, Floats]:
        """Return the false and the true positive rates, both `(thresholds + 1,)` from 0 to 1."""
        false_rate = np.concatenate([[0.0], self.false_positives / self.negatives])
        return false_rate, np.concatenate([[0.0], self.true_positives / self.positives])

    def precision_recall_curve(self) -> tuple[Floats, Floats]:
        """Return the recall and the precision at each threshold, both `(thresholds,)`."""
        selected = self.true_positives + self.false_positives
        return self.true_positives / self.positives, self.true_positives / selected


@dataclass(frozen=True)
class Ranking(Statistic):
    """The area under the ROC curve or the average precision."""

    target: Array
    """1 for positive rows, else 0, `(rows,)`."""
    scores: Floats
    """The scores, higher for more likely positive rows, `(rows,)`."""
    curve: Literal["roc", "precision_recall"]
    """The curve whose area is computed."""

    @property
    def supports(self) -> Array:
        """The number of rows of each class or label."""
        positives = int(np.count_nonzero(self.target))
        negatives = len(self.target) - positives
        rows = min(positives, negatives) if self.curve == "roc" else positives
        return np.array([rows] if rows else [], dtype=np.int64)

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        counts = ThresholdCounts.of(self.target, self.scores, weights)
        return counts.roc_auc() if self.curve == "roc" else counts.average_precision()

    def influences(self) -> Floats:
        """Return each row's influence on the metric."""
        counts = ThresholdCounts.of(self.target, self.scores, self.weights)
        index = np.searchsorted(-counts.thresholds, -self.scores)
        of_positive, of_negative = (
            _auc_deviations(counts) if self.curve == "roc" else _precision_deviations(counts)
        )
        deviations = np.where(self.target == 1, of_positive[index], of_negative[index])
        return np.asarray(self.weights * deviations)


def _auc_deviations(counts: ThresholdCounts) -> tuple[Floats, Floats]:
    """Return the deviations `(V - AUC) / Σ w` of positive and negative rows at each threshold.

    For a positive row, `V` is the share of negative rows with a lower score; for a negative row, it
    is the share of positive rows with a higher score. Ties count half, and `Σ w` is the weight of
    the own class: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988).
    """
    auc = counts.roc_auc()
    reached = counts.false_positives - counts.negatives_at / 2
    of_positive = 1 - reached / counts.negatives
    of_negative = (counts.true_positives - counts.positives_at / 2) / counts.positives
    return (of_positive - auc) / counts.positives, (of_negative - auc) / counts.negatives


def _precision_deviations(counts: ThresholdCounts) -> tuple[Floats, Floats]:
    """Return the derivatives of the average precision by the weights at each threshold.

    The average precision is `Σ w p / Σ w` over the positive rows, where `p` is the precision at
    their score. A row changes the precision at its own score and at all lower scores.
    """
    selected = counts.true_positives + counts.false_positives
    precision = counts.true_positives / selected
    of_positive, of_negative = (
        np.cumsum((counts.positives_at * slope / selected**2)[::-1])[::-1]
        for slope in (counts.false_positives, -counts.true_positives)
    )
    own = precision - counts.average_precision()
    return (own + of_positive) / counts.positives, of_negative / counts.positives


@dataclass(frozen=True)
class RSquared(Statistic):
    """The coefficient of determination, averaged over several outputs.

    It is `1 - Σ w e² / Σ w (y - ȳ)²` with `ȳ = Σ w y / Σ w`, and NaN for a constant target.
    """

    target: Floats
    """`y`, `(outputs, rows)`."""
    error: Floats
    """`e = ŷ - y`, `(outputs, rows)`."""

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        each = [self._of_output(*columns, weights) for columns in zip(*self._columns, strict=True)]
        return np.asarray(np.mean(each, axis=0))

    def influences(self) -> Floats:
        """Return each row's influence on the metric."""
        total = np.zeros(len(self.weights))
        for shifted, error in zip(*self._columns, strict=True):
            deviations = (shifted - np.average(shifted, weights=self.weights)) ** 2
            spread, unexplained = self.weights @ deviations, self.weights @ error**2
            with np.errstate(divide="ignore", invalid="ignore"):
                total += (unexplained / spread * deviations - error**2) / spread
        return np.asarray(self.weights * total / len(self.target))

    @property
    def _columns(self) -> tuple[Floats, Floats]:
        # Subtracting the first value makes a constant target exactly zero. Otherwise, the rounding
        # error of the mean could make R² a huge negative number.
        return self.target - self.target[:, :1], self.error

    def _of_output(self, shifted: Floats, error: Floats, weights: Array) -> Floats:
        mean = (weights * shifted).sum(axis=-1, keepdims=True) / weights.sum(axis=-1, keepdims=True)
        spread = np.sum(weights * (shifted - mean) ** 2, axis=-1)
        constant = spread <= _ROUNDING * np.sum(weights * shifted**2, axis=-1)
        unexplained = ratio(np.sum(weights * error**2, axis=-1), np.where(constant, 0.0, spread))
        return np.asarray(np.where(np.abs(1 - unexplained) < _ROUNDING, 0.0, 1 - unexplained))


@dataclass(frozen=True)
class Median(Statistic):
    """The weighted median of a loss, averaged over several outputs.

    Sort the values in ascending order, and let `W_i` be the weight of the first `i` values and `W`
    the total weight. The median is the first value with `W_i > W/2`, or the mean of the i-th value
    and the next one if `W_i` is exactly `W/2`. So integer weights are equivalent to repeated rows,
    and equal weights give the usual median.
    """

    losses: Floats
    """The loss of each row, `(outputs, rows)`."""

    @property
    def magnitude(self) -> float:
        """The size of the largest loss."""
        return _largest(self.losses)

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        if not len(self.weights):
            return np.asarray(np.nan)
        each = [weighted_quantile(losses, weights, 0.5) for losses in self.losses]
        return np.asarray(np.mean(each, axis=0))

    def influences(self) -> Floats:
        """Return each row's influence on the metric, `w sign(v - m) / (2 f Σ w)`.

        The density `f` at the median is estimated from the ends of the 95 % confidence interval of
        the median: Woodruff, JASA 47 (1952).
        """
        half = min(0.4, Z / 2 / math.sqrt(max(1.0, effective_size(self.weights))))
        total = np.zeros(len(self.weights))
        for losses in self.losses:
            low, middle, high = (
                weighted_quantile(losses, self.weights, 0.5 + shift) for shift in (-half, 0, half)
            )
            total += np.sign(losses - middle) / 2 * (high - low) / (2 * half)
        return np.asarray(self.weights * total / self.weights.sum() / len(self.losses))


def weighted_quantile(values: Floats, weights: Array, share: float) -> Floats:
    """Return a weighted quantile, defined as in `Median` with `share` in place of 1/2.

    Args:
        values: shape `(rows,)`.
        weights: shape `(..., rows)`.
        share: the probability of the quantile, 0.5 for the median.

    Returns:
        Shape `(...)`.
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[..., order], axis=-1)
    wanted = reached[..., -1:] * share
    # Sums of fractional weights are rounded: ten times 0.1 is not exactly 1.
    rounding = 1e-9 * wanted
    lower = np.count_nonzero(reached < wanted - rounding, axis=-1)
    upper = np.count_nonzero(reached < wanted + rounding, axis=-1)
    ordered = values[order]
    return np.asarray((ordered[lower] + ordered[upper]) / 2)


@dataclass(frozen=True)
class LabelMean(Statistic):
    """The mean of a metric over the labels for which it is defined."""

    labels: tuple[Statistic, ...]

    @property
    def supports(self) -> Array:
        """The number of rows of each class or label."""
        return np.concatenate([label.supports for label in self.labels])

    @property
    def sorts(self) -> int:
        """The sum over the labels."""
        return sum(label.sorts for label in self.labels)

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        return mean_of_finite(np.stack([label.of(weights) for label in self.labels], axis=-1))

    def influences(self) -> Floats:
        """Return each row's influence on the metric."""
        defined = [label for label in self.labels if len(label.supports)]
        total = sum((label.influences() for label in defined), np.zeros(len(self.weights)))
        return np.asarray(total / max(1, len(defined)))


@dataclass(frozen=True)
class Difference(Statistic):
    """The difference of two metrics of the same rows."""

    first: Statistic
    second: Statistic
    """The metric from which the first is subtracted."""

    @property
    def supports(self) -> Array:
        """The number of rows of each class or label."""
        return np.concatenate([self.first.supports, self.second.supports])

    @property
    def sorts(self) -> int:
        """The larger number of both metrics."""
        return max(self.first.sorts, self.second.sorts)

    @property
    def magnitude(self) -> float:
        """The larger magnitude of both metrics."""
        return max(self.first.magnitude, self.second.magnitude)

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        return self.second.of(weights) - self.first.of(weights)

    def influences(self) -> Floats:
        """Return each row's influence on the metric."""
        return self.second.influences() - self.first.influences()


# Sums


def effective_size(weights: Array) -> float:
    """Return the effective number of rows, `(Σ w)² / Σ w²`: Kish, Survey Sampling (1965), 11.7."""
    squares = float(np.sum(np.square(weights, dtype=np.float64)))
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _largest(values: Array) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def weighted_sum(values: Array, weights: Array) -> Floats:
    """Return `Σ w v` over the rows.

    Args:
        values: shape `(rows,)` or `(outputs, rows)`.
        weights: shape `(rows,)` or `(resamples, rows)`.

    Returns:
        Shape `()`, `(outputs,)`, `(resamples,)` or `(resamples, outputs)`.
    """
    if weights.ndim == 1:  # NumPy's pairwise sum is more exact than a matrix product
        return np.asarray((values * weights).sum(axis=-1))
    return np.asarray(weights @ values.T)


def class_sums(classes: Array, weights: Array, count: int) -> Floats:
    """Return the weight of each of `count` classes, `(count,)` or `(resamples, count)`."""
    if weights.ndim == 1:
        return np.asarray(np.bincount(classes, weights, count))
    return np.stack([np.bincount(classes, line, count) for line in weights])


def ratio(numerators: Floats, denominators: Floats) -> Floats:
    """Return the ratio of each pair; NaN if the denominator is zero."""
    undefined = np.full(np.shape(denominators), np.nan)
    return np.asarray(np.divide(numerators, denominators, out=undefined, where=denominators != 0))


def mean_of_finite(values: Floats) -> Floats:
    """Return the mean of the finite values over the last axis; NaN if there are none."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def wilson_interval(value: float, size: float) -> tuple[float, float]:
    """Return the Wilson interval of a share `p` of `n` rows; `n` may be a fraction.

    `(p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)`. For 20 correct rows of 20, it is from
    0.84 to 1, while resampling would give only 1. Wilson, JASA 22 (1927).
    """
    ratio = Z**2 / size
    half = Z * math.sqrt((value * (1 - value) + ratio / 4) / size)
    lower, upper = ((value + ratio / 2 + each) / (1 + ratio) for each in (-half, half))
    return lower if value > 0 else 0.0, upper if value < 1 else 1.0


# Input and output


def as_floats(values: Array) -> Floats:
    """Return values as float64, the precision of all sums."""
    return np.asarray(values, dtype=np.float64)


def positive_weights(weight: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """Return weights and arrays without rows of weight 0; the weights are integer 1s if `None`."""
    if weight is None:
        return np.ones(len(arrays[0]), dtype=np.int64), *arrays
    counts = weight > 0
    return as_floats(weight)[counts], *(array[counts] for array in arrays)


def mean_of_defined(values: Iterable[Number]) -> Number:
    """Return the mean of the defined values; `None` if there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def mean_of_all(values: Iterable[Number]) -> Number:
    """Return the mean of values; `None` if any value is undefined, or there are no values."""
    known = list(values)
    defined = [value for value in known if value is not None]
    if not defined or len(defined) < len(known):
        return None
    return math.fsum(value / len(defined) for value in defined)  # the plain sum may overflow


def finite(value: Number) -> Number:
    """Return a value as a plain float; `None` if it is `None` or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def finite_number(value: object) -> Number:
    """Return a value from a file as a float; `None` unless it is a number and finite as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return finite(value)
    except OverflowError:  # an integer with more than 308 digits
        return None
