"""The record of a metric, and the forms of metrics: functions of sums, rankings and medians.

A metric has a form for each kind of target for which it is defined. A form returns the metric of
given rows as a `Statistic`, which gives the value and the confidence interval. If a metric is a
function of sums over rows, its form contains the formula of the summed terms. The value in each
epoch of training is computed by the same formula, traced by another library, see `Traced`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from dlcli.arrays import Floats, LazyModule, np

if TYPE_CHECKING:
    from dlcli.metrics import calibration
    from dlcli.metrics import statistic as statistics
else:
    calibration = LazyModule("dlcli.metrics.calibration")
    statistics = LazyModule("dlcli.metrics.statistic")

Kind = Literal["numbers", "two classes", "classes", "labels"]
"""The kinds of targets for which metrics have different forms."""
IntervalMethod = Literal["wilson", "studentized", "delong", "own", "bca"]
"""The method of the confidence interval of a metric, see `intervals`."""
Operand = Any
"""A NumPy array, or a traced value of a training program, see `Traced`."""


# Rows


@dataclass(frozen=True)
class Rows:
    """The true values, predictions and weights of rows, as arrays or traced values."""

    true: Operand
    """The true values; see the subclass for the shape."""
    outputs: Operand
    """The predictions; see the subclass for the shape."""
    weights: Operand
    """Row weights, (rows,), all above 0; `None` in a training program, which weights the sums."""
    costs: Operand = None
    """The cost of each predicted class (columns) by true class (rows); `None` if unknown. With
    a first axis for the rows, the costs differ by row."""

    kind: ClassVar[Kind]
    has_probabilities: ClassVar[bool] = True
    """True if the outputs for classes and labels are probabilities."""

    @classmethod
    def of(cls, true: Operand, outputs: Operand, weights: Operand | None = None) -> Self:
        """Return the rows with a weight above 0.

        Args:
            true: true values; see the subclass for the shape.
            outputs: predictions; see the subclass for the shape.
            weights: non-negative row weights, (rows,); 1 each if omitted.
        """
        # As int64, because sums of booleans or bytes would overflow.
        weights, true, outputs = statistics.positive_weights(
            weights, np.asarray(true, dtype=np.int64), statistics.as_floats(outputs)
        )
        return cls(true, outputs, weights)


class NumberRows(Rows):
    """Numbers, (rows, columns), and their predictions in the same unit."""

    kind = "numbers"

    @classmethod
    def of(cls, true: Operand, outputs: Operand, weights: Operand | None = None) -> Self:
        """Return the rows with a weight above 0, in Fortran order."""
        weights, true, outputs = statistics.positive_weights(
            weights, statistics.as_floats(true), statistics.as_floats(outputs)
        )
        return cls(np.asfortranarray(true), np.asfortranarray(outputs), weights)

    @cached_property
    def errors(self) -> Operand:
        """`e = ŷ - y`, (rows, columns)."""
        return self.outputs - self.true


@dataclass(frozen=True)
class LabelRows(Rows):
    """Labels, 1 if a row has the label, else 0, and their probabilities, both (rows, labels).

    A label is predicted if its probability is above 0.5, as in Keras's `BinaryAccuracy`.
    """

    kind: ClassVar[Kind] = "labels"
    border: Operand = 0.5
    """The probability above which a label is predicted; (rows, 1) if it differs by row."""

    @cached_property
    def decided(self) -> Operand:
        """1 for a predicted label, else 0, (rows, labels)."""
        return np.where(self.outputs > self.border, 1, 0)

    @cached_property
    def is_right(self) -> Operand:
        """Whether a decision is correct, (rows, labels)."""
        return (self.outputs > self.border) == (self.true > 0)

    @cached_property
    def of_truth(self) -> Operand:
        """The probability of the true value of each label, (rows, labels)."""
        return np.where(self.true == 1, self.outputs, 1 - self.outputs)


@dataclass(frozen=True)
class PairRows(LabelRows):
    """Two classes, 1 for the second one, else 0, and its probability, both (rows, 1)."""

    kind = "two classes"
    classes: ClassVar[int] = 2

    @classmethod
    def of(cls, true: Operand, outputs: Operand, weights: Operand | None = None) -> Self:
        """Return the rows with a weight above 0, given as (rows,) or (rows, 1)."""
        return super().of(np.reshape(true, (-1, 1)), np.reshape(outputs, (-1, 1)), weights)

    @property
    def by_class(self) -> LabelRows:
        """The classes as labels."""
        return _by_class(self.true, self.decided, self.classes)


@dataclass(frozen=True)
class MarginRows(PairRows):
    """Two classes, 1 for the second one, else 0, and a margin, both (rows, 1).

    The second class is predicted if the margin is above 0.
    """

    has_probabilities = False
    border: Operand = 0.0


@dataclass(frozen=True)
class ClassRows(Rows):
    """Class indices, (rows,), and the probabilities of all classes, (rows, classes).

    The most probable class is predicted; ties go to the first class.
    """

    kind = "classes"
    class_weights: tuple[float, ...] = ()
    """Weights by which probabilities are multiplied before the largest product is chosen."""
    minimizes_costs: bool = False
    """Whether the class of least expected cost is predicted."""

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.outputs.shape[1])

    @cached_property
    def decided(self) -> Operand:
        """The indices of the predicted classes, (rows,)."""
        if self.minimizes_costs:
            return np.argmin(self.outputs @ self.costs, axis=1)
        return choose_class(self.outputs, self.class_weights)

    @cached_property
    def is_right(self) -> Operand:
        """Whether the predicted class is correct, (rows, 1)."""
        return (self.decided == self.true)[:, np.newaxis]

    @cached_property
    def of_truth(self) -> Operand:
        """The probability of the true class, (rows, 1)."""
        return np.take_along_axis(self.outputs, self.true[:, np.newaxis], axis=1)

    @property
    def by_class(self) -> LabelRows:
        """The classes as labels."""
        columns = self.true[:, np.newaxis], self.decided[:, np.newaxis]
        return _by_class(*columns, self.classes)


TIED = 1e-6
"""Relative difference up to which products of weight and probability are equal. For a constant
prediction with balanced weights, all are equal up to rounding; its class is the most frequent."""


def choose_class(probabilities: Operand, class_weights: tuple[float, ...]) -> Operand:
    """Return the class with the largest product of weight and probability, (rows,).

    Args:
        probabilities: the probabilities of all classes, (rows, classes).
        class_weights: the weight of each class; empty for equal weights.
    """
    if not class_weights:
        return np.argmax(probabilities, axis=1)
    products = probabilities * np.array(class_weights)
    tied = products >= products.max(axis=1, keepdims=True) * (1 - TIED)
    return np.argmax(np.where(tied, probabilities, -1.0), axis=1)


def weighted_threshold(class_weights: tuple[float, ...]) -> float:
    """Return the probability above which the second of two classes is predicted.

    With the weights v and w of both classes, w·p > v·(1 − p) if p > v / (v + w).
    """
    first, second = class_weights
    share = first / (first + second)
    return share * (1 + math.copysign(TIED, 0.5 - share))


def _by_class(true: Operand, decided: Operand, classes: int) -> LabelRows:
    """Return true and predicted class indices, both (rows, 1), as labels, (rows, classes)."""
    is_true, is_decided = (np.where(each == np.arange(classes), 1, 0) for each in (true, decided))
    return LabelRows(is_true, is_decided, None)


# Forms


@dataclass(frozen=True)
class Form(ABC):
    """A metric for one kind of target."""

    keras: str | None = field(default=None, kw_only=True)
    """The Keras metric that replaces it during training, if any."""
    interval: IntervalMethod = field(default="bca", kw_only=True)
    """The method of the confidence interval."""

    @abstractmethod
    def statistic(self, rows: Any) -> statistics.Statistic:  # noqa: ANN401
        """Return the metric of rows as a function of their weights."""

    def suits(self, rows: Rows) -> bool:
        """Return whether the metric is defined for rows of this kind with these outputs."""
        return True

    @property
    def is_trained(self) -> bool:
        """True if training can compute it in each epoch."""
        return self.keras is not None


class SumForm(Form):
    """A metric that is a function of sums over rows."""

    @property
    def is_trained(self) -> bool:
        return True

    def statistic(self, rows: Any) -> statistics.Statistic:  # noqa: ANN401
        terms = tuple(term.T.astype(np.float64) for term in self.terms(rows))
        return statistics.FunctionOfSums(rows.weights, terms, self.value)

    @abstractmethod
    def terms(self, rows: Any) -> tuple[Operand, ...]:  # noqa: ANN401
        """Return the terms that are summed over rows, each (rows, parts)."""

    @abstractmethod
    def value(self, *sums: Operand) -> Operand:
        """Return the metric, (...), for the sums of the terms, each (..., parts).

        If it is undefined, it is 0 or NaN, as in Keras's history.
        """


@dataclass(frozen=True)
class MeanOf(SumForm):
    """The weighted mean of a loss, or its root, averaged over several outputs or labels."""

    loss: Callable[[Any], Operand]
    """Returns the loss of each output or label of rows, (rows, parts)."""
    root: bool = False
    """Whether to take the square root of each mean."""
    needs_probabilities: bool = False
    """Whether the loss is undefined for margins."""
    interval: IntervalMethod = field(default="studentized", kw_only=True)

    def statistic(self, rows: Rows) -> statistics.Statistic:
        return statistics.Mean(rows.weights, self.loss(rows).T, root=self.root)

    def suits(self, rows: Rows) -> bool:
        return rows.has_probabilities or not self.needs_probabilities

    def terms(self, rows: Rows) -> tuple[Operand, ...]:
        losses = self.loss(rows)
        return losses, np.ones_like(losses[:, :1])

    def value(self, *sums: Operand) -> Operand:
        means = _ratios(*sums)
        return np.mean(np.sqrt(means) if self.root else means, axis=-1)


@dataclass(frozen=True)
class MedianOf(Form):
    """The weighted median of a loss, averaged over several outputs."""

    loss: Callable[[Any], Operand]
    """See `MeanOf`."""

    def statistic(self, rows: Rows) -> statistics.Statistic:
        return statistics.Median(rows.weights, self.loss(rows).T)


class ExplainedVariance(SumForm):
    """The coefficient of determination, see `RSquared`."""

    def statistic(self, rows: NumberRows) -> statistics.Statistic:
        return statistics.RSquared(rows.weights, rows.true.T, rows.errors.T)

    def terms(self, rows: NumberRows) -> tuple[Operand, ...]:
        true = rows.true
        return np.ones_like(true[:, :1]), true, np.square(true), np.square(rows.errors)

    def value(self, *sums: Operand) -> Operand:
        weights, true, squares, errors = sums
        r2 = 1 - errors / (squares - true * (true / weights))
        # Keras returns 0 for a constant target.
        return np.mean(np.where(np.isinf(r2), 0.0, r2), axis=-1)


class CostOf(Form):
    """The mean cost of the predicted classes."""

    def suits(self, rows: Rows) -> bool:
        return rows.costs is not None

    def statistic(self, rows: Any) -> statistics.Statistic:  # noqa: ANN401
        true, decided = (each.reshape(-1) for each in (rows.true, rows.decided))
        by_row = rows.costs if rows.costs.ndim == 3 else rows.costs[np.newaxis]
        costs = by_row[np.arange(len(true)) % len(by_row), true, decided]
        return statistics.Mean(rows.weights, costs[np.newaxis])


class CalibrationOf(Form):
    """The calibration error, see `calibration`."""

    def suits(self, rows: Rows) -> bool:
        return rows.has_probabilities

    def statistic(self, rows: Rows) -> statistics.Statistic:
        outputs, true = rows.outputs, rows.true
        if rows.kind == "classes":  # the most probable class
            likeliest = np.argmax(outputs, axis=1)
            true = (likeliest == true)[:, np.newaxis]
            outputs = np.take_along_axis(outputs, likeliest[:, np.newaxis], axis=1)
        observed = true.T.astype(np.float64)
        return calibration.CalibrationError(rows.weights, outputs.T, observed)


class _RatioForm(SumForm):
    """A ratio of two sums over rows."""

    def statistic(self, rows: Rows) -> statistics.Statistic:
        numerators, denominators = (each[:, 0] for each in self.terms(rows))
        return statistics.Ratio(rows.weights, numerators, denominators)

    def value(self, *sums: Operand) -> Operand:
        return np.sum(_ratios(*sums), axis=-1)  # removes the axis, which has one part


@dataclass(frozen=True)
class RatioOf(_RatioForm):
    """A ratio of two sums over all decisions."""

    numerator: Callable[[LabelRows], Operand]
    """Returns the term of each decision in the numerator, (rows, labels)."""
    denominator: Callable[[LabelRows], Operand]
    """Returns the term of each decision in the denominator, (rows, labels). Wilson's interval
    applies only to two classes, where the ratio is a share of rows."""

    def terms(self, rows: LabelRows) -> tuple[Operand, ...]:
        return tuple(np.sum(each, axis=1, keepdims=True) for each in self.of_each(rows))

    def of_each(self, rows: LabelRows) -> tuple[Operand, Operand]:
        """Return the terms of each label, both (rows, labels)."""
        return self.numerator(rows), self.denominator(rows)


@dataclass(frozen=True)
class HitRate(_RatioForm):
    """The share of rows that are hits."""

    hits: Callable[[Any], Operand]
    """Returns whether each row is a hit, (rows, 1)."""
    more_classes_than: int = 0
    """The number of classes up to which every row would be a hit."""
    interval: IntervalMethod = field(default="wilson", kw_only=True)

    def suits(self, rows: Rows) -> bool:
        return bool(rows.outputs.shape[1] > self.more_classes_than)

    def terms(self, rows: Rows) -> tuple[Operand, ...]:
        hits = self.hits(rows)
        return hits, np.ones_like(hits)


class _MeanOfRatios(SumForm):
    """The mean of the defined ratios of two sums; 0 if no ratio is defined."""

    def value(self, *sums: Operand) -> Operand:
        count = np.sum(np.where(sums[1] > 0, 1.0, 0.0), axis=-1)
        return np.sum(_ratios(*sums), axis=-1) / np.maximum(count, 1.0)


@dataclass(frozen=True)
class MeanOverClasses(_MeanOfRatios):
    """The mean over classes of a ratio, such as the recall of each class.

    Classes for which the ratio is undefined are omitted.
    """

    ratio: RatioOf
    counts_predicted: bool
    """See `ClassMean`."""

    def statistic(self, rows: ClassRows | PairRows) -> statistics.Statistic:
        true, decided = (each.reshape(-1) for each in (rows.true, rows.decided))
        return statistics.ClassMean(
            rows.weights, true, decided, rows.classes, self.counts_predicted
        )

    def terms(self, rows: ClassRows | PairRows) -> tuple[Operand, ...]:
        return self.ratio.of_each(rows.by_class)


@dataclass(frozen=True)
class MeanOverLabels(_MeanOfRatios):
    """The mean of a metric of two classes over the labels for which it is defined."""

    form: RatioOf | RankingOf

    def statistic(self, rows: LabelRows) -> statistics.Statistic:
        columns = zip(rows.true.T, rows.outputs.T, strict=True)
        pairs = [PairRows(t[:, np.newaxis], p[:, np.newaxis], rows.weights) for t, p in columns]
        return statistics.LabelMean(rows.weights, tuple(map(self.form.statistic, pairs)))

    @property
    def is_trained(self) -> bool:
        return self.form.is_trained

    def terms(self, rows: LabelRows) -> tuple[Operand, ...]:
        assert isinstance(self.form, RatioOf)
        return self.form.of_each(rows)


@dataclass(frozen=True)
class RankingOf(Form):
    """The area under a curve, from the order of rows by the score of the second class."""

    curve: Literal["roc", "precision_recall"]

    def statistic(self, rows: PairRows) -> statistics.Statistic:
        return statistics.Ranking(rows.weights, rows.true[:, 0], rows.outputs[:, 0], self.curve)


def _ratios(numerators: Operand, denominators: Operand) -> Operand:
    """Return the ratios; 0 if undefined, because numerators are 0 where denominators are 0."""
    return numerators / np.where(denominators > 0, denominators, 1.0)


# Records


Center = Callable[[Operand, Operand], Operand]
"""Returns the constant prediction that optimizes a metric, (columns,), for numbers,
(rows, columns), and their row weights, (rows,) or `None`."""


def weighted_mean(values: Operand, weights: Floats | None) -> Floats:
    """Return `Σ w y / Σ w` of each column, which minimizes squared errors and deviances."""
    return np.asarray(np.average(values.astype(np.float64), axis=0, weights=weights))


def quantile_center(share: float) -> Center:
    """Return a function that computes the weighted quantile of each column.

    It minimizes the pinball loss with this quantile; the median minimizes absolute errors.

    Args:
        share: the probability of the quantile, 0.5 for the median.
    """

    def center(values: Operand, weights: Floats | None) -> Floats:
        rows = np.ones(len(values)) if weights is None else weights
        return np.array([statistics.weighted_quantile(column, rows, share) for column in values.T])

    return center


@dataclass(frozen=True)
class Metric:
    """The record of a metric, which is listed in `METRICS`."""

    name: str
    """The name in configs, tables and JSON."""
    higher_is_better: bool
    forms: Mapping[Kind, Form]
    """The form for each kind of target for which the metric is defined."""
    aliases: tuple[str, ...] = ()
    """The names in Keras and scikit-learn, except for spellings without underscores."""
    bounds: tuple[float, float] = (0.0, math.inf)
    """The smallest and the largest possible value."""
    title: str = ""
    """The name for people; if empty, it is derived from the name, see `label`."""
    mean_over_parts_of: str | None = None
    """The metric of two classes whose mean over classes or labels this metric is, if any. In a
    config for classes or labels, the name of that metric stands for this metric."""
    of_loss: bool = False
    """True if the metric is computed only after training with a loss that is compared by it."""
    companions: tuple[Metric, ...] = ()
    """Other metrics of a loss that is compared by this metric, such as the explained deviance."""
    of_positive_class: bool = False
    """True if exchanging the two classes changes the metric."""
    of_order: bool = False
    """True if the metric depends only on the order of rows, which a constant prediction lacks."""
    has_target_unit: bool = False
    """True if the metric is in the unit of the target."""
    in_percent: bool = False
    """True if sentences show it in percent."""
    is_summary: bool = False
    """True if the header of an exported script shows it."""
    of_parts: bool = False
    """True if reports show it for each target column or label."""
    root_of: str | None = None
    """The metric of which it is the square root, if any; fewer rows suffice for a reliable standard
    error of that metric."""
    center: Center = weighted_mean
    """The constant prediction of numbers that optimizes the metric."""
    script: Mapping[Kind, str] = field(default_factory=dict)
    """The code of the same metric in Keras, for exported scripts, by kind of target."""
    script_units: int | None = None
    """The number of outputs for which Keras's metric is the same; any number if omitted."""

    def by_formula(self, formula: Callable[[Operand, Operand], Operand], center: Center) -> Metric:
        """Return the metric as the mean of a loss, in the unit of the target.

        Args:
            formula: maps true and predicted numbers to losses, all (rows, columns).
            center: returns the constant prediction that minimizes the loss.
        """
        form = MeanOf(lambda rows: formula(rows.true, rows.outputs))
        return replace(self, forms={"numbers": form}, center=center)

    @property
    def label(self) -> str:
        """The name for people: `R²`, `RMSE`, `log loss`."""
        return self.title or self.name.replace("_", " ")

    def typical_error(self, value: float, rows: int) -> float:
        """Return an approximate standard error of a value, for choosing the number of digits.

        It is √(p(1 − p)/n) for a share, after adding two rows of either kind (Agresti and Coull
        1998), value / √n for an error, and half of this for the root of an error.

        Args:
            value: the value of the metric.
            rows: the number of evaluated rows.
        """
        least, most = self.bounds
        if (least, most) == (0.0, 1.0):
            share = (rows * min(1.0, max(0.0, value)) + 2) / (rows + 4)
            return math.sqrt(share * (1 - share) / (rows + 4))
        size = most - value if math.isinf(least) else value
        return size / math.sqrt(rows) / (2 if self.root_of else 1)

    @property
    def is_trained(self) -> bool:
        """True if training can compute it in each epoch."""
        return any(form.is_trained for form in self.forms.values())
