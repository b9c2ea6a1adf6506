"""The evidence that rules examine: a run without its data, and measures of its training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, takewhile
from statistics import fmean, linear_regression, median
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field

from dlcli.columns.layout import Block
from dlcli.config.config_schema import Config
from dlcli.data_checks.target_checks import LongTail, long_tail
from dlcli.explanation.explanation_document import Explanation
from dlcli.metrics import definitions, wording
from dlcli.metrics.statistic import finite_number
from dlcli.prediction.baseline_comparison import BaselineComparison, Conclusion, Skill
from dlcli.runs.run import MetricsBySplit, Run
from dlcli.safe_files import Count, Stored

Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""An absolute value."""
STANDARD_ERRORS = 2.0
"""Number of standard errors from which a difference is significant at about 95 %."""
LEARNED_WELL = 0.1
"""Error below which training rows count as learned, so anything unusual did no harm."""
LEARNED_NOTHING = 0.9
"""Error from which almost nothing was learned."""
_SEVERAL_EPOCHS = 5
"""Number of epochs from which it is meaningful that the first one was the best."""
_LARGEST = 1e300
"""Sums of larger values may overflow."""
_NORMAL = 1.4826
"""Ratio of standard deviation to median absolute deviation of a normal distribution."""
_LARGEST_FLOAT = 3.5e38
"""Beyond the range of float32."""
_OTHERS = (
    definitions.AUC,
    definitions.AVERAGE_PRECISION,
    definitions.BALANCED_ACCURACY,
    definitions.LOG_LOSS,
    definitions.MAE,
    definitions.POISSON_DEVIANCE,
    definitions.TWEEDIE_DEVIANCE,
    definitions.GAMMA_DEVIANCE,
    definitions.BINOMIAL_DEVIANCE,
)
"""Metrics that may show learning where accuracy and R² do not: with a rare class, the most probable
class may be the same for all rows; class weights worsen accuracy and log loss on purpose; a few
outliers dominate R²."""


class Magnitudes(Stored):
    """Magnitudes of inputs, target and row weights in a training that diverged."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    """The epoch in which training diverged, from 1."""
    inputs: dict[str, Size] = {}
    """For each column, the largest absolute value of its inputs to the network in the training
    rows."""
    validation_inputs: dict[str, Size] = {}
    """The same for the validation rows; empty if there are none."""
    target: dict[str, Size] = {}
    """For each target column, its largest absolute value in the training rows, after
    `target_scaling`; empty for classes and labels."""
    target_range: tuple[Size, Size] | None = None
    """A list of two numbers: the smallest absolute value and the mean absolute value of the target
    in the training rows, after `target_scaling`; `None` for classes and labels."""
    row_weight: Size = 1.0
    """The mean weight of a training row in the loss."""


class _Rows(Stored):
    rows: dict[str, Count]


class _Warning(Stored):
    check: str | None = None
    columns: list[str] | None = None


class _Trained(Stored):
    best_epoch: Count | None = None


class _Log(Stored):
    """The log events that rules use, see `Run.parse_log`."""

    data: list[_Rows] = []
    warning: list[_Warning] = []
    diverged: list[Magnitudes] = []
    trained: list[_Trained] = []


@dataclass(frozen=True)
class Peak:
    """The largest absolute value among the inputs of a column."""

    block: Block
    size: float


@dataclass(frozen=True)
class Error:
    """The error of a model on a split: 0 is perfect, 1 is no better than a constant prediction.

    For numbers it is the unexplained share of the variance, 1 − R². For classes it is the error
    rate, divided by the error rate of a constant prediction, the most frequent class.
    """

    share: float
    deviation: float
    """The standard error of `share`: √(2/n) times the share for numbers, as for normal errors;
    √(p(1 − p)/n) for an error rate p of n rows, after adding two rows of either kind (Agresti &
    Coull 1998)."""
    metric: str
    """The name of the metric from which it is computed."""
    value: float
    """The value of that metric."""
    absolute: float | None = None
    """The mean squared error, or the error rate; `None` if several columns have different units."""

    rows: int = 0
    """The number of rows of the split."""

    @property
    def words(self) -> str:
        """The metric and its value: `accuracy 97.1 %`."""
        return f"{wording.metric_title(self.metric)} {self.value_words}"

    @property
    def value_words(self) -> str:
        """The value of the metric: `97.1 %`."""
        return wording.metric(self.metric, self.value, self.rows)

    def is_more_than(self, other: Error, by: float = 0.0) -> bool:
        """Return whether this error is larger than another, significantly and by a share."""
        uncertainty = STANDARD_ERRORS * math.hypot(self.deviation, other.deviation)
        return self.share - other.share > max(uncertainty, by)

    def on_scale_of(self, other: Error) -> Error:
        """Return this error as a share of the constant error of `other`.

        The scales of two splits differ if the target varies more in one, such as in later rows, or
        if different classes are frequent.
        """
        if not (self.share and self.absolute and other.absolute):
            return self
        share = other.share * self.absolute / other.absolute
        return replace(self, share=share, deviation=self.deviation * share / self.share)


@dataclass(frozen=True)
class Curve:
    """The values of a loss, one per epoch, all finite."""

    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def fall(self) -> float:
        """The decrease from the first epoch to the last."""
        return self.values[0] - self.values[-1]

    def part(self, start: float, stop: float) -> Curve:
        """Return the epochs between two shares of them: the last fifth is from 0.8 to 1."""
        first = min(math.floor(start * len(self)), len(self) - 1)
        last = max(math.ceil(stop * len(self)), first + 1)
        return Curve(self.values[first:last])

    @property
    def level(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def mean(self) -> float:
        """The mean."""
        return fmean(self.values)

    @property
    def noise(self) -> float:
        """The standard deviation of an epoch's noise.

        It is estimated from second differences, which cancel a level and a steady trend. They have
        √6 times the standard deviation of white noise, and are largest if a loss oscillates. Their
        median is robust against single jumps. (Gasser, Sroka & Jennen-Steinmetz 1986)
        """
        if len(self) < 3:
            return 0.0
        first, second, third = self.values[:-2], self.values[1:-1], self.values[2:]
        bends = [abs(a - 2 * b + c) for a, b, c in zip(first, second, third, strict=True)]
        return _NORMAL * median(bends) / math.sqrt(6)

    @property
    def slope(self) -> float:
        """The decrease per epoch of the least-squares line."""
        if len(self) < 2:
            return 0.0
        return -linear_regression(range(len(self)), self.values).slope

    @property
    def slope_error(self) -> float:
        """The standard error of the slope due to noise: σ·√(12/(n³ − n))."""
        count = len(self)
        return self.noise * math.sqrt(12 / (count**3 - count)) if count > 1 else 0.0


@dataclass(frozen=True)
class Case:
    """The data of a run that rules use; results that the run lacks are empty."""

    config: Config
    """The resolved config."""
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Values of each epoch, by column of history.csv. For an ensemble, only epochs in which all
    members were trained: later values are means of fewer members, and jump whenever one stops."""
    metrics: MetricsBySplit = field(default_factory=dict)
    """Final metrics by split and name; empty if training diverged."""
    baselines: Mapping[str, MetricsBySplit] = field(default_factory=dict)
    """The same for the models `constant` and `linear`."""
    comparison: BaselineComparison = field(default_factory=BaselineComparison)
    """The comparison with these models on held-out rows."""
    skill: Skill = Skill()
    """What shows that the network has learned something, see `Run.skill`."""
    tail: LongTail | None = None
    """The long tail of the target in stored rows."""
    best_epochs: Sequence[int | None] = ()
    """The epoch whose weights each network uses; `None` if training did not choose one."""
    explanation: Explanation = field(default_factory=lambda: Explanation(rows={}, sampled_rows={}))
    rows: Mapping[str, int] = field(default_factory=dict)
    """Number of rows in each split."""
    identifiers: tuple[str, ...] = ()
    """Features that only identify or number the rows."""
    peaks: tuple[Peak, ...] = ()
    """Largest inputs of the network in the training rows."""
    validation_peaks: tuple[Peak, ...] = ()
    """The same in the validation rows; only if the run diverged."""
    diverged: bool = False
    """True if the loss or the weights became NaN or infinite."""
    magnitudes: Magnitudes | None = None
    """The magnitudes at the divergence, if the run diverged."""

    @classmethod
    def of(cls, run: Run) -> Case:
        """Read a run folder.

        Raises:
            RunError: for a damaged file.
        """
        log, explanation = run.parse_log(_Log), run.explanation
        config, history, blocks = run.config, run.history, run.encoding.layout.blocks
        magnitudes = log.diverged[-1] if run.is_diverged and log.diverged else None
        rows = explanation.rows or next((each.rows for each in log.data), {})
        found = [each.columns or [] for each in log.warning if each.check == "identifiers"]
        if run.ensemble:
            config = run.ensemble.chosen(config)
            shortest = min(each.epochs for each in run.ensemble.members)
            history = {name: values[:shortest] for name, values in history.items()}
        members = run.ensemble.members if run.ensemble else ()
        best_epochs = [each.best_epoch for each in members] or [
            each.best_epoch for each in log.trained
        ]
        if config.ensemble_folds is not None and "train" in rows:
            rows = {**rows, "validation": rows["train"]}  # each is held out by some members
        return cls(
            config=config,
            history=history,
            metrics=run.metrics,
            baselines=run.baselines,
            comparison=run.verdicts,
            skill=run.skill,
            tail=_tail(run),
            best_epochs=best_epochs,
            explanation=explanation,
            rows=rows,
            identifiers=tuple(dict.fromkeys(chain.from_iterable(found))),
            peaks=peaks_of(blocks, magnitudes.inputs if magnitudes else _largest_inputs(run)),
            validation_peaks=peaks_of(blocks, magnitudes.validation_inputs if magnitudes else {}),
            diverged=run.is_diverged,
            magnitudes=magnitudes,
        )

    @property
    def conclusions(self) -> dict[str, Conclusion]:
        """The conclusion for each baseline, see `Conclusion`."""
        return self.comparison.conclude(self.config)

    def curve(self, name: str) -> Curve:
        """Return a column of history.csv before the first value that float32 can't hold."""
        values = self.history.get(name, ())
        return Curve(tuple(takewhile(lambda value: abs(value) <= _LARGEST_FLOAT, values)))

    @property
    def has_minimum_zero(self) -> bool:
        """True if the loss can't fall below 0, so shares of its level are meaningful.

        The minimum of the Poisson loss, the mean of y − y·log y, may have any value, and that of
        the cosine similarity is −1, so both may cross 0.
        """
        return self.config.loss is None or not self.config.loss.is_signed

    def scale_of(self, curve: Curve, level: float) -> float:
        """Return the size with which changes of a loss are compared.

        Args:
            curve: the whole curve.
            level: the loss where the change is.

        Returns:
            The level; for a loss that may cross 0, the decrease to its lowest value if that is
            larger.
        """
        if self.has_minimum_zero or not curve.values:
            return level
        return max(abs(level), curve.values[0] - min(curve.values))

    def error(self, split: str, model: str | None = None) -> Error | None:
        """Return the error of the network, or of a baseline, on a split; `None` if unknown."""
        metrics = (self.metrics if model is None else self.baselines.get(model, {})).get(split, {})
        rows = self.rows.get(split, 0)
        if rows < 1:
            return None
        if (r2 := _finite(metrics.get(definitions.R2.name))) is not None:
            has_unit = len(self.config.data.target.columns) == 1
            mse = _finite(metrics.get(definitions.MSE.name)) if has_unit else None
            deviation = (1 - r2) * math.sqrt(2 / rows)
            return Error(1 - r2, deviation, definitions.R2.name, r2, mse, rows)
        constant = self.baselines.get("constant", {}).get(split, {})  # labels lack class shares
        accuracy = _finite(metrics.get(definitions.ACCURACY.name))
        most = max(class_shares(metrics), default=_finite(constant.get(definitions.ACCURACY.name)))
        if accuracy is None or most is None or most >= 1:
            return None
        wrong, deviation = 1 - accuracy, proportion_error(rows, rows * (1 - accuracy))
        shares = wrong / (1 - most), deviation / (1 - most)
        return Error(*shares, definitions.ACCURACY.name, accuracy, wrong, rows)

    @property
    def learned_nothing(self) -> bool:
        """True if no metric of training rows is much better than for a constant prediction."""
        error = self.error("train")
        if error is None or error.share < LEARNED_NOTHING:
            return False
        return not any(error < LEARNED_NOTHING for error in self._other_errors("train"))

    @property
    def learned_well(self) -> bool:
        """True if training rows are predicted well."""
        error = self.error("train")
        return error is not None and error.share < LEARNED_WELL

    def _other_errors(self, split: str) -> Iterator[float]:
        """Yield errors by metrics other than accuracy and R², as shares of the constant model's."""
        metrics, constant = self.metrics.get(split, {}), self._constant_metrics(split)
        for metric in _OTHERS:
            value, other = _finite(metrics.get(metric.name)), _finite(constant.get(metric.name))
            if value is None or other is None:
                continue
            if metric.higher_is_better:
                value, other = 1 - value, 1 - other
            if other > 0:
                yield value / other

    def _constant_metrics(self, split: str) -> Mapping[str, object]:
        """Return the constant model's metrics; without baselines, derive them from class shares."""
        stored = self.baselines.get("constant", {}).get(split)
        shares = [share for share in class_shares(self.metrics.get(split, {})) if share > 0]
        if stored is not None or not shares:
            return stored or {}
        entropy = -sum(share * math.log(share) for share in shares)
        return {
            definitions.AUC.name: 0.5,
            definitions.BALANCED_ACCURACY.name: 1 / len(shares),
            definitions.LOG_LOSS.name: entropy,
        }


def overfits_at_once(best_epochs: Sequence[int | None], epochs: int) -> bool:
    """Return whether the first epoch was the best of several for at least half of the networks."""
    known = [each for each in best_epochs if each is not None]
    return bool(known) and epochs >= _SEVERAL_EPOCHS and median(known) <= 1


def peaks_of(blocks: Iterable[Block], sizes: Mapping[str, float]) -> tuple[Peak, ...]:
    """Return the columns whose largest input is known, each with this size."""
    return tuple(Peak(block, sizes[block.column]) for block in blocks if block.column in sizes)


def _tail(run: Run) -> LongTail | None:
    """Return the long tail of a numeric target in the rows with stored predictions."""
    task = run.task
    if task.outcome != "numbers" or task.type == "count" or task.width > 1:
        return None
    stored = [each for each in (run.predictions, run.sample) if each is not None]
    if not stored:
        return None
    return long_tail(np.concatenate([task.read_values(e, "target")[:, 0] for e in stored]))


def _largest_inputs(run: Run) -> dict[str, float]:
    """Return the largest absolute input of each column in training rows, where it is known.

    For numbers it follows from the range in the encoding, as every scaling is monotonic. For other
    columns, the explanation may contain it.
    """
    columns = [each for each in run.explanation.columns if each.role == "feature"]
    sizes = [(column.name, column.largest_input) for column in columns]
    sizes += [(feature.column, feature.largest_input) for feature in run.encoding.features]
    return {name: size for name, size in sizes if size is not None}


def proportion_error(rows: float, hits: float) -> float:
    """Return the standard error of a proportion, after adding two rows of either kind."""
    share = (hits + STANDARD_ERRORS) / (rows + 2 * STANDARD_ERRORS)
    return math.sqrt(max(0.0, share * (1 - share)) / (rows + 2 * STANDARD_ERRORS))


def class_shares(metrics: Mapping[str, object]) -> list[float]:
    """Return each class's share of the rows; empty without classes."""
    matrix = definitions.stored_confusion(metrics.get("confusion"))
    shares: list[float] = [] if matrix is None else (matrix.sum(axis=1) / matrix.sum()).tolist()
    return shares


def _finite(value: object) -> float | None:
    known = finite_number(value)
    return None if known is None or abs(known) > _LARGEST else known
