"""A metric as one record, and what metrics are made of: sums over rows, order and medians.

A metric has one form for each kind of target that it is defined for. A form returns the metric of
given rows as a `Statistic`, from which value and confidence interval follow. Where a metric is a
function of sums over rows, the form is the formula of what is summed, and so is its value at each
epoch of training: the same formula, traced by another library, see `Traced`.
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
    from dlcli.metrics import statistic as statistics
else:
    statistics = LazyModule("dlcli.metrics.statistic")

Kind = Literal["numbers", "two classes", "classes", "labels"]
"""The kinds of targets that metrics tell apart."""
IntervalMethod = Literal["wilson", "studentized", "delong", "bca"]
"""The method of a metric's confidence interval, see `intervals`: Wilson's of a share of rows, the
studentized bootstrap of a mean over rows, DeLong's of an area under a ROC curve, or the BCa
bootstrap of anything else."""
Operand = Any
"""An array of NumPy, or a value of a training program in its place; see `Traced`."""


# Rows


@dataclass(frozen=True)
class Rows:
    """Rows whose predictions are evaluated: arrays, or traced values of a training program."""

    true: Operand
    outputs: Operand
    weights: Operand
    """Row weights, (rows,), all above 0; a training program weighs the sums by itself."""

    kind: ClassVar[Kind]
    has_probabilities: ClassVar[bool] = True
    """True if outputs of classes and labels are probabilities."""

    @classmethod
    def of(cls, true: Operand, outputs: Operand, weights: Operand | None = None) -> Self:
        """Return the rows of a weight above 0.

        Args:
            true: true values, see the kind of rows.
            outputs: predictions, see the kind of rows.
            weights: non-negative row weights, (rows,); 1 each if omitted.
        """
        # Sums of booleans or bytes would overflow.
        weights, true, outputs = statistics.positive_weights(
            weights, np.asarray(true, dtype=np.int64), statistics.as_floats(outputs)
        )
        return cls(true, outputs, weights)


class NumberRows(Rows):
    """Numbers, (rows, columns), and their predictions in the same unit."""

    kind = "numbers"

    @classmethod
    def of(cls, true: Operand, outputs: Operand, weights: Operand | None = None) -> Self:
        """Return the rows of a weight above 0, the numbers of a column next to each other."""
        weights, true, outputs = statistics.positive_weights(
            weights, statistics.as_floats(true), statistics.as_floats(outputs)
        )
        return cls(np.asfortranarray(true), np.asfortranarray(outputs), weights)

    @cached_property
    def errors(self) -> Operand:
        """`e = ŷ - y`, (rows, columns)."""
        return self.outputs - self.true


class LabelRows(Rows):
    """1 for each label that a row has, else 0, and probabilities, both (rows, labels).

    Labels more probable than 0.5 are predicted, as by Keras's `BinaryAccuracy`.
    """

    kind: ClassVar[Kind] = "labels"
    _border: ClassVar[float] = 0.5

    @cached_property
    def decided(self) -> Operand:
        """1 for what is predicted, else 0."""
        return np.where(self.outputs > self._border, 1, 0)

    @cached_property
    def is_right(self) -> Operand:
        """Whether a decision is the true one, (rows, labels)."""
        return (self.outputs > self._border) == (self.true > 0)

    @cached_property
    def of_truth(self) -> Operand:
        """The probability of the truth of each decision."""
        return np.where(self.true == 1, self.outputs, 1 - self.outputs)


class PairRows(LabelRows):
    """1 for the second of two classes, else 0, and its probability, both (rows, 1)."""

    kind = "two classes"
    classes: ClassVar[int] = 2

    @classmethod
    def of(cls, true: Operand, outputs: Operand, weights: Operand | None = None) -> Self:
        """Return the rows of a weight above 0, given as (rows,) or (rows, 1)."""
        return super().of(np.reshape(true, (-1, 1)), np.reshape(outputs, (-1, 1)), weights)

    @property
    def by_class(self) -> LabelRows:
        """The rows with a decision on each class."""
        return _by_class(self.true, self.decided, self.classes)


class MarginRows(PairRows):
    """1 for the second of two classes, else 0, and a margin above 0 for it, both (rows, 1)."""

    has_probabilities = False
    _border = 0.0


class ClassRows(Rows):
    """Indices of several classes, (rows,), and a probability for each, (rows, classes).

    The most probable class is predicted; of equally probable classes the first.
    """

    kind = "classes"

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.outputs.shape[1])

    @cached_property
    def decided(self) -> Operand:
        """Indices of the predicted classes, (rows,)."""
        return np.argmax(self.outputs, axis=1)

    @cached_property
    def is_right(self) -> Operand:
        """Whether the predicted class is the true one, (rows, 1)."""
        return (self.decided == self.true)[:, np.newaxis]

    @cached_property
    def of_truth(self) -> Operand:
        """The probability of the true class, (rows, 1)."""
        return np.take_along_axis(self.outputs, self.true[:, np.newaxis], axis=1)

    @property
    def by_class(self) -> LabelRows:
        """The rows with a decision on each class."""
        columns = self.true[:, np.newaxis], self.decided[:, np.newaxis]
        return _by_class(*columns, self.classes)


def _by_class(true: Operand, decided: Operand, classes: int) -> LabelRows:
    """Return whether rows are of each class and predicted to be, from indices, (rows, 1)."""
    is_true, is_decided = (np.where(each == np.arange(classes), 1, 0) for each in (true, decided))
    return LabelRows(is_true, is_decided, None)


# Forms


@dataclass(frozen=True)
class Form(ABC):
    """A metric of one kind of target."""

    keras: str | None = field(default=None, kw_only=True)
    """The Keras metric that stands in for it during training; `None` if none does."""
    interval: IntervalMethod = field(default="bca", kw_only=True)
    """The method of its confidence interval."""

    @abstractmethod
    def statistic(self, rows: Any) -> statistics.Statistic:  # noqa: ANN401
        """Return the metric of rows of its kind as a function of their weights."""

    def suits(self, rows: Rows) -> bool:
        """Return whether the metric is one of such rows."""
        return True

    @property
    def is_trained(self) -> bool:
        """True if it can be shown at each epoch of training."""
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
        """Return what is summed over rows, each (rows, parts)."""

    @abstractmethod
    def value(self, *sums: Operand) -> Operand:
        """Return the metric of the sums of the terms, (..., parts).

        Where it is undefined, it is 0 or NaN, as at the epochs of Keras.
        """


@dataclass(frozen=True)
class MeanOf(SumForm):
    """The weighted mean of a loss, or its root; of several outputs or labels the plain mean."""

    loss: Callable[[Any], Operand]
    """Returns the loss of each part of rows, (rows, parts)."""
    root: bool = False
    needs_probabilities: bool = False
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
    """The weighted median of a loss; of several outputs the plain mean."""

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
        # As Keras has it for a constant target.
        return np.mean(np.where(np.isinf(r2), 0.0, r2), axis=-1)


class _RatioForm(SumForm):
    """A ratio of two sums over rows."""

    def statistic(self, rows: Rows) -> statistics.Statistic:
        numerators, denominators = (each[:, 0] for each in self.terms(rows))
        return statistics.Ratio(rows.weights, numerators, denominators)

    def value(self, *sums: Operand) -> Operand:
        return np.sum(_ratios(*sums), axis=-1)  # of one part


@dataclass(frozen=True)
class RatioOf(_RatioForm):
    """A ratio of two sums over decisions; of several labels over all of them."""

    numerator: Callable[[LabelRows], Operand]
    """Returns what is summed for each decision, (rows, labels)."""
    denominator: Callable[[LabelRows], Operand]
    """See `numerator`. The interval is Wilson's only for two classes, where the numerator counts
    some of the rows that the denominator counts."""

    def terms(self, rows: LabelRows) -> tuple[Operand, ...]:
        return tuple(np.sum(each, axis=1, keepdims=True) for each in self.of_each(rows))

    def of_each(self, rows: LabelRows) -> tuple[Operand, Operand]:
        """Return numerators and denominators of each label, both (rows, labels)."""
        return self.numerator(rows), self.denominator(rows)


@dataclass(frozen=True)
class HitRate(_RatioForm):
    """The share of rows that are hits."""

    hits: Callable[[Any], Operand]
    """True for the hits, (rows, 1)."""
    more_classes_than: int = 0
    """Classes up to which every row is a hit."""
    interval: IntervalMethod = field(default="wilson", kw_only=True)

    def suits(self, rows: Rows) -> bool:
        return bool(rows.outputs.shape[1] > self.more_classes_than)

    def terms(self, rows: Rows) -> tuple[Operand, ...]:
        hits = self.hits(rows)
        return hits, np.ones_like(hits)


class _MeanOfRatios(SumForm):
    """The mean of the ratios of two sums that are defined; 0 if there are none."""

    def value(self, *sums: Operand) -> Operand:
        count = np.sum(np.where(sums[1] > 0, 1.0, 0.0), axis=-1)
        return np.sum(_ratios(*sums), axis=-1) / np.maximum(count, 1.0)


@dataclass(frozen=True)
class MeanOverClasses(_MeanOfRatios):
    """The mean over classes of a ratio, for which a row's decision is whether it is of the class.

    Classes for which the ratio is undefined don't count.
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
    """The mean over labels of a metric of two classes; labels without it don't count."""

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
    """A metric of the order of rows by the probability or margin of the second class."""

    curve: Literal["roc", "precision_recall"]

    def statistic(self, rows: PairRows) -> statistics.Statistic:
        return statistics.Ranking(rows.weights, rows.true[:, 0], rows.outputs[:, 0], self.curve)


def _ratios(numerators: Operand, denominators: Operand) -> Operand:
    """Return the ratios, whose numerators are 0 where the denominators are; 0 if undefined."""
    return numerators / np.where(denominators > 0, denominators, 1.0)


# Records


Center = Callable[[Operand, Operand], Operand]
"""Returns the constant prediction that is best by a metric, (columns,), for numbers,
(rows, columns), and the weights of rows, (rows,), if they have any."""


def weighted_mean(values: Operand, weights: Floats | None) -> Floats:
    """Return the mean Σwy / Σw of each column, which is best for squared errors and deviances."""
    return np.asarray(np.average(values.astype(np.float64), axis=0, weights=weights))


def quantile_center(share: float) -> Center:
    """Return the function of the weighted quantile of each column; 0.5 is the median.

    It is best for the pinball loss of the share; the median for absolute errors.
    """

    def center(values: Operand, weights: Floats | None) -> Floats:
        rows = np.ones(len(values)) if weights is None else weights
        return np.array([statistics.weighted_quantile(column, rows, share) for column in values.T])

    return center


@dataclass(frozen=True)
class Metric:
    """A metric: everything that is known about it.

    It is listed in `METRICS`, and all that is said about metrics elsewhere follows from there.
    """

    name: str
    """Its name in configs, tables and JSON."""
    higher_is_better: bool
    forms: Mapping[Kind, Form]
    """Its form for each kind of target that has it."""
    aliases: tuple[str, ...] = ()
    """Its names in Keras and scikit-learn, except for spellings without underscores."""
    bounds: tuple[float, float] = (0.0, math.inf)
    """The least and the most that it can be."""
    title: str = ""
    """Its name for people, if that is not the name with spaces, see `label`."""
    mean_over_parts_of: str | None = None
    """The metric of two classes whose mean over classes or labels this one is, if it is one: its
    name means this metric for targets of these kinds."""
    of_loss: bool = False
    """True if only the targets have it that were trained by a loss which is compared by it."""
    of_positive_class: bool = False
    """True if it is of the second of two classes, so that it changes if they are exchanged."""
    of_order: bool = False
    """True if it depends on the order of rows alone, which a constant prediction leaves open."""
    has_target_unit: bool = False
    """True if it is in the unit of the target."""
    in_percent: bool = False
    """True if sentences show it in percent."""
    is_summary: bool = False
    """True if the heading of a script shows it."""
    of_parts: bool = False
    """True if reports show it for each column of numbers, and each label."""
    root_of: str | None = None
    """The metric that it is the root of, whose standard error is reliable for fewer rows."""
    center: Center = weighted_mean
    """The constant prediction of numbers that is best by it."""
    script: Mapping[Kind, str] = field(default_factory=dict)
    """Code of Keras's own metric for a script, for kinds where Keras has the same one."""
    script_units: int | None = None
    """The number of outputs for which it is the same; any if omitted."""

    def by_formula(self, formula: Callable[[Operand, Operand], Operand], center: Center) -> Metric:
        """Return the metric as the mean of a loss with parameters, of numbers in their own unit.

        Args:
            formula: of the true and the predicted numbers, (rows, columns).
            center: the constant prediction that is best by it.
        """
        form = MeanOf(lambda rows: formula(rows.true, rows.outputs))
        return replace(self, forms={"numbers": form}, center=center)

    @property
    def label(self) -> str:
        """Its name for people: `R²`, `RMSE`, `log loss`."""
        return self.title or self.name.replace("_", " ")

    def typical_error(self, value: float, rows: int) -> float:
        """Return roughly the standard error of a value, enough to know how many digits to show.

        Shares have √(p(1 − p)/n), after adding two rows of either kind; errors have about their
        size / √n, and roots of them half of that.
        """
        least, most = self.bounds
        if (least, most) == (0.0, 1.0):
            share = (rows * min(1.0, max(0.0, value)) + 2) / (rows + 4)
            return math.sqrt(share * (1 - share) / (rows + 4))
        size = most - value if math.isinf(least) else value
        return size / math.sqrt(rows) / (2 if self.root_of else 1)

    @property
    def is_trained(self) -> bool:
        """True if it can be shown at each epoch of training."""
        return any(form.is_trained for form in self.forms.values())
