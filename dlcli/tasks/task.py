"""The task, which defines everything that depends on the target; and stored predictions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from dlcli.arrays import Floats, integers, strings, to_numpy
from dlcli.columns.scaling import Fitted, OutputScaling
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import ClassWeight, Config, Output
from dlcli.config.decision_section import Decision
from dlcli.config.layer_choices import Activation
from dlcli.config.training_choices import Loss, TargetForm
from dlcli.errors import RunError, first_names
from dlcli.metrics.definitions import (
    ACCURACY,
    AUC,
    LOG_LOSS,
    MACRO_F1,
    METRICS,
    main_metric,
    metric_values,
    statistics_of,
)
from dlcli.metrics.intervals import estimate_statistic_differences, estimate_statistics
from dlcli.metrics.metric import Metric, Rows
from dlcli.metrics.statistic import Metrics, Statistic
from dlcli.tables.table import Table
from dlcli.tasks import prior_shift
from dlcli.tasks.decision import DecisionEffect, FittedDecision, fit_decision

TargetValues = NDArray[Any]
"""True or predicted values: numbers in their unit, (rows, columns); class indices, (rows,); or 1
for each label of a row and 0 for other labels, (rows, labels)."""
Outputs = NDArray[np.floating[Any]]
"""Outputs of a network, (rows, units)."""
MOST_FIGURES = 3


@dataclass(frozen=True)
class DecodedRows:
    """True values and decoded outputs of rows."""

    values: TargetValues
    """The true values."""
    decoded: Outputs
    """The decoded outputs, see `Task.decode`."""
    weights: Floats | None
    """The rows' weights, (rows,), or `None`."""
    costs: Floats | None = None
    """The costs of a false positive and a false negative, (rows, 2), if they differ by row."""
    thresholds: Floats | None = None
    """The threshold of each row, (rows, 1), if folds of a cross-validation chose their own."""


class Task(Fitted):
    """A prediction task: the kind of target, its columns, and its classes or labels.

    A task defines everything that depends on its target: the encoding, suitable outputs, losses and
    metrics, how outputs become predictions, and how predictions are evaluated, stored, shown and
    described. `infer_task` infers it from the rows, and `fit` adds statistics of the training rows.

    The meaning of outputs also depends on the loss: `for_loss` returns the task that converts the
    outputs of a trained network into predictions, and that evaluates, stores and shows them.
    """

    kind: str
    """The discriminator of task types in JSON."""
    columns: tuple[str, ...]
    """The target's columns."""
    classes: tuple[str, ...] = ()
    """The class names, in the order of the outputs; each row has one class. The second of two
    classes is the positive one. Empty for other tasks."""
    labels: tuple[str, ...] = ()
    """The label names, in the order of the outputs; a row may have any number of labels. Empty for
    other tasks."""
    frequencies: tuple[float, ...] = ()
    """The frequency of each class in the training rows; empty for other tasks, and before
    training."""
    prevalence: tuple[float, ...] = ()
    """The frequencies to which probabilities are shifted, see `data.prevalence`; empty for the
    frequencies of the training rows."""
    class_weights: tuple[float, ...] = ()
    """The weight of each class in the loss, for which probabilities are corrected; empty without
    weights, or without the correction. The predicted class is the one with the largest product of
    weight and probability."""
    reason: str = Field(default="", exclude=True)
    """The reason for this task: `declared`, or a property of the rows. Empty after fitting."""
    decision: FittedDecision | None = Field(default=None, exclude=True)
    """The decision for a class; `None` for the most probable class, and for other targets. It is
    stored in a file of the run, not with the task."""

    rows_type: ClassVar[type[Rows]]
    """The type of rows with decoded outputs that metrics accept."""
    usual_loss: ClassVar[type[Loss]]
    """The usual default loss, see `default_loss`."""
    ranking_metric: ClassVar[Metric] = AUC
    """The metric of the ranking of classes or labels, independent of calibration."""
    summary_metrics: ClassVar[tuple[Metric, ...]] = (AUC, MACRO_F1, ACCURACY, LOG_LOSS)
    """The default metrics of a summary."""
    type: ClassVar[Literal["numeric", "count", "categorical", "multi_label"]]
    """The type that declares the target in the config."""
    outcome: ClassVar[Literal["numbers", "classes", "labels"]]
    """The kind of prediction: numbers, one of several classes, or any number of labels."""
    has_probabilities: ClassVar[bool] = True
    """Whether outputs are probabilities; false for numbers and margins."""
    error_metric: ClassVar[Metric | None] = LOG_LOSS
    """The metric that is the mean of `errors`, or their root mean square; `None` for the hinge."""

    charts: ClassVar[tuple[str, ...]]
    """The charts of predictions, in the order of the report."""

    # Description.

    @property
    def charts_of_loss(self) -> tuple[str, ...]:
        """Further charts of predictions, which depend on the training loss."""
        return ()

    @property
    def name(self) -> str:
        """The quoted columns: `'u', 'v'`."""
        return ", ".join(f"'{column}'" for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or labels; empty for numbers."""
        return self.classes or self.labels

    @property
    def width(self) -> int:
        """The number of columns of numbers, classes, or labels."""
        return len(self.names)

    @property
    def threshold(self) -> float:
        """The score above which the second of two classes, or a label, is predicted."""
        return 0.5

    @property
    def has_column_per_output(self) -> bool:
        """Whether each number or label has its own column."""
        return len(self.columns) == self.width

    @property
    def class_column(self) -> str | None:
        """The column of the classes to predict; `None` for numbers and labels."""
        return self.columns[0] if self.classes else None

    @property
    def class_values(self) -> NDArray[Any]:
        """The classes in the type of the target's column, (classes,); texts are objects."""
        return np.array([], dtype=object)

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles that the outputs are; empty for other tasks."""
        return ()

    @property
    def has_interval(self) -> bool:
        """Whether outputs are several quantiles, from which prediction intervals are computed."""
        return len(self.levels) > 1

    @property
    def words(self) -> str:
        """The target in words: `a number`, `3 classes`."""
        return f"{self.width:,} {self.outcome}"

    @abstractmethod
    def describe(self, columns: str, names: str) -> str:
        """Describe the target: `species, one of 3 classes: setosa, ...`.

        Args:
            columns: the columns, formatted.
            names: the classes or labels, formatted.
        """

    # Encoding.

    def fit(self, scaling: OutputScaling | None, train: Table) -> Self:
        """Fit the scaling of numbers on training rows; classes and labels have none.

        Args:
            scaling: the scaling of numbers; `None` for unscaled numbers.
            train: the training rows.

        Raises:
            DataError: if the target can't be encoded.
        """
        return self.model_copy(update={"reason": ""})

    @abstractmethod
    def encode(self, table: Table, problems: ValueProblems) -> TargetValues:
        """Encode the target of rows for training.

        Returns:
            Scaled numbers, float32 (rows, columns); class indices, int64 (rows,); or 1 for each
            label of a row and 0 for other labels, float32 (rows, labels).

        Raises:
            DataError: if a value is missing or can't be encoded. If `problems` is lenient, the
                encoding of such a row is arbitrary instead.
        """

    def values(self, table: Table, problems: ValueProblems) -> TargetValues:
        """Return the true values of rows: like `encode`, but with unscaled numbers."""
        return self.encode(table, problems)

    # Output, loss and metrics.

    @property
    def form(self) -> TargetForm:
        """The form of the target, as declared by losses that fit it."""
        kind = self.rows_type.kind
        return "number" if kind == "numbers" and self.width == 1 else kind

    def output_units(self, loss: Loss) -> int:
        """Return the number of output units that a loss requires."""
        return self.width

    def explain_units(self, loss: Loss) -> str:
        """Return the reason for the number of units: `one for each of the target's columns 'y'`."""
        return f"one for each of the {self.words} {first_names(self.names)}"

    def accepts_units(self, units: int) -> bool:
        """Return whether outputs with this number of units can be decoded."""
        return units == self.width

    def default_loss(self, output: Output) -> Loss:
        """Return the loss for a config without one.

        Args:
            output: the config's section, which may set units or an activation.
        """
        return self.usual_loss()

    def default_scaling(self, loss: Loss, activation: Activation) -> OutputScaling | None:
        """Return the scaling for a config without one; `None` for classes and labels."""
        return None

    def comparison_metric(self, config: Config) -> Metric:
        """Return the metric for the comparison of a network with baselines.

        It is a proper score that training optimizes, if there is one: the log loss of
        probabilities; for numbers, see the subclass. Losses other than cross-entropy, another
        prevalence, and class weights without a correction change probabilities on purpose, so their
        ranking is compared instead.

        Args:
            config: the resolved config.
        """
        assert config.loss is not None  # resolved
        metric = config.loss.comparison_metric
        is_proper = metric is not None and self.rows_type.kind in metric.forms
        if metric is None or not is_proper or self.shifts_probabilities(config):
            return self.ranking_metric
        return metric

    def shifts_probabilities(self, config: Config) -> bool:
        """Return whether probabilities are not those of the training rows.

        Args:
            config: the resolved config.
        """
        if config.data.prevalence is not None:
            return True
        assert config.loss is not None  # resolved
        is_weighted = config.class_weight is not None
        return is_weighted and bool(prior_shift.obstacle(config.loss, config.output))

    @property
    def loss_metric(self) -> Metric | None:
        """The metric of the training loss, or `None`."""
        return None

    @property
    def default_metric(self) -> Metric:
        """The metric per epoch for a config without metrics."""
        return ACCURACY

    def headlines(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        """Return one or two metrics that summarize a result in a sentence.

        Args:
            named: the metrics of the config, the most important first.
            metrics: the computed metrics; only defined ones are returned.
        """
        main = main_metric(named, metrics)
        return (main,) if main else ()

    def figures(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        """Return a few metrics that summarize a result; see `headlines`."""
        usual = (each.name for each in self.summary_metrics)
        found = dict.fromkeys((*self.headlines(named, metrics), *usual))
        return tuple(name for name in found if metrics.get(name) is not None)[:MOST_FIGURES]

    @property
    def error_name(self) -> str:
        """The name of the mean of `errors`: `rmse`, `log_loss` or `hinge`."""
        return "hinge" if self.error_metric is None else self.error_metric.name

    def metric_names(self, loss: Loss) -> tuple[str, ...]:
        """Return the names of the metrics that are single numbers."""
        task = self.for_loss(loss)
        decoded = np.empty((0, len(task.decoded_columns)))
        return tuple(task.statistics(DecodedRows(task.predict(decoded), decoded, None)))

    def epoch_metrics(self, loss: Loss) -> tuple[str, ...]:
        """Return the names of the metrics that can be shown for each epoch, the default first."""
        kind = self.rows_type.kind
        known = self.metric_names(loss)
        names = [name for name in known if METRICS[name].forms[kind].is_trained]
        return tuple(sorted(names, key=lambda name: name != self.default_metric.name))

    def renamed_metrics(self, loss: Loss) -> dict[str, str]:
        """Return alternative names of binary metrics, averaged over classes or labels."""
        known = self.metric_names(loss)
        means = ((METRICS[name].mean_over_parts_of, name) for name in known)
        return {
            metric: name for metric, name in means if metric is not None and metric not in known
        }

    def other_type_for(self, loss: Loss) -> str:
        """Return a setting with which the target would fit a loss, or an empty string.

        It ends an error message:
        `; for classes, set data.target: {column: ..., type: categorical}`.
        """
        return ""

    @abstractmethod
    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        """Yield the problems of the config's class weights, each with its key or `None`."""

    def prevalence_problems(
        self, prevalence: Mapping[str, float], loss: Loss, output: Output
    ) -> Iterator[tuple[str | None, str]]:
        """Yield the problems of `data.prevalence`, each with its class or `None`."""
        yield None, f"requires classes, but the target {self.name} consists of {self.outcome}"

    def decision_problems(self, decision: Decision) -> Iterator[tuple[str | None, str]]:
        """Yield the problems of the config's decision, each with its key or `None`."""
        kind = "labels" if self.labels else "numbers"
        yield None, f"requires classes, but the target {self.name} consists of {kind}; omit it"

    def check_values(self, loss: Loss, tables: Sequence[Table]) -> None:
        """Refuse target values for which a loss is undefined.

        Args:
            loss: the loss.
            tables: all rows with a target.

        Raises:
            DataError: if a value is negative and the loss uses its logarithm; names the row.
        """

    def training_warnings(self, output: Output, train: Table) -> Iterator[str]:
        """Yield reasons why training rows can't be fitted, such as values out of range.

        Args:
            output: the resolved section, with activation and scaling.
            train: the training rows.
        """
        return iter(())

    # Training.

    def loss_labels(self, encoded: TargetValues, loss: Loss, units: int) -> TargetValues:
        """Convert an encoded target to the form that a loss compares with the output.

        Args:
            encoded: the result of `encode`.
            loss: the loss.
            units: the number of output units.

        Returns:
            Numbers and labels, unchanged. For classes: 0 and 1, float32 (rows, 1), for one unit;
            one-hot rows, float32 (rows, units), if the loss requires them; or indices, int32
            (rows,).
        """
        return encoded

    def soft_labels(self, decoded: Outputs, units: int) -> NDArray[np.float32]:
        """Convert decoded predictions of another network to the form that a loss compares.

        Args:
            decoded: the predictions, see `decode`.
            units: the number of output units.

        Returns:
            Scaled numbers, or probabilities, (rows, units).
        """
        return self.encode_predictions(decoded).astype(np.float32)

    def encode_predictions(self, predicted: TargetValues) -> TargetValues:
        """Convert predicted values, see `predict`, to the form of `encode`."""
        return predicted

    def loss_weights(
        self, encoded: TargetValues, weights: Floats | None, class_weight: ClassWeight | None
    ) -> NDArray[np.float32] | None:
        """Return row weights times the weights of the rows' classes, (rows,).

        Args:
            encoded: the result of `encode`.
            weights: the rows' weights, (rows,), or `None`.
            class_weight: the class weights of the config; only for tasks with classes.
        """
        return None if weights is None else weights.astype(np.float32)

    def with_frequencies(
        self, encoded: TargetValues, weights: Floats | None, config: Config
    ) -> Self:
        """Return the task with the frequencies of classes, and the class weights to correct for.

        Args:
            encoded: the target of the training rows, see `encode`.
            weights: the rows' weights, (rows,), or `None`.
            config: the resolved config, with `data.prevalence` and `class_weight`.
        """
        return self

    def with_class_weights(
        self, encoded: TargetValues, weights: Floats | None, config: Config
    ) -> Self:
        """Return the task as in `with_frequencies`, but without a prevalence, for any rows."""
        return self

    @property
    def unshifted_ratios(self) -> tuple[float, ...]:
        """Frequency divided by `prevalence` of each class; empty without a prevalence."""
        pairs = zip(self.frequencies, self.prevalence, strict=False)
        return tuple(old / new if old else 1.0 for old, new in pairs)

    def at_prevalence(self, rows: DecodedRows) -> DecodedRows:
        """Return held-out rows, weighted so that their classes have the frequencies `prevalence`.

        Their probabilities are already shifted to it, so a threshold is chosen for such rows.
        """
        if not self.unshifted_ratios:
            return rows
        weights = np.ones(len(rows.values)) if rows.weights is None else rows.weights
        ratios = np.array(self.unshifted_ratios)[rows.values]
        return replace(rows, weights=weights / ratios)

    @property
    def training_ratios(self) -> tuple[float, ...]:
        """The factors of the probabilities in training, relative to the predicted probabilities.

        They are w·π/π' for class weights w, the frequencies π of the training rows, and
        `prevalence` π'; empty if both are the same.
        """
        weights, ratios = self.class_weights, self.unshifted_ratios
        if not weights or not ratios:
            return weights or ratios
        return tuple(w * ratio for w, ratio in zip(weights, ratios, strict=True))

    @property
    def output_unit(self) -> OutputUnit | None:
        """The conversion of outputs to the target's unit; `None` for classes and labels."""
        return None

    # Predictions.

    def for_loss(self, loss: Loss | None) -> Task:
        """Return the task for the outputs of a network trained with a loss.

        Args:
            loss: the loss of the resolved config.
        """
        return self

    def for_folds(self, config: Config) -> Task:
        """Return the task for the networks of a cross-validation, see `for_loss`.

        Their decision is the same in all folds, so it does not depend on rows.
        """
        task = self.for_loss(config.loss)
        if config.decision is None or config.decision.needs_rows:
            return task
        return task.decided_by(fit_decision(config.decision, task.classes))

    def decided_by(self, decision: FittedDecision | None) -> Self:
        """Return the task with a decision for a class; `None` for the most probable class."""
        return self.model_copy(update={"decision": decision})

    @property
    def cost_matrix(self) -> Floats | None:
        """The costs by which the decision chooses among more than two classes, else `None`.

        The shape is (true classes, predicted classes). Two classes have a `threshold`.
        """
        is_two = len(self.classes) == 2
        return None if self.decision is None or is_two else self.decision.cost_matrix

    def margins(self, probabilities: Outputs) -> Floats:
        """Return how much a probability must change, at least, to change the predicted class.

        Args:
            probabilities: the probability of each class, (rows, classes).

        Returns:
            (rows,), at least 0.
        """
        if len(self.classes) == 2:
            return np.asarray(np.abs(probabilities[:, 1] - self.threshold))
        costs, weights = self.cost_matrix, np.array(self.class_weights or (1.0,))
        scores = probabilities * weights if costs is None else -(probabilities @ costs)
        scale = 2 * weights.max() if costs is None else costs.max() * len(self.classes)
        ordered = np.sort(scores, axis=1)
        return np.asarray((ordered[:, -1] - ordered[:, -2]) / scale)

    def decode(self, outputs: Outputs) -> Outputs:
        """Convert a network's outputs to the form that metrics compare with true values.

        Returns:
            Numbers in their unit, (rows, columns); for two classes, the probability or margin of
            the second, (rows, 1); otherwise the probability of each class or label, (rows, names).
        """
        return outputs

    def average(
        self, outputs: Sequence[Outputs], tasks: Sequence[Self], weights: Sequence[float]
    ) -> Outputs:
        """Return the outputs whose decoded form is the mean of the members of an ensemble.

        Args:
            outputs: the outputs of each member, (rows, units).
            tasks: the task of each member, with the scaling of its training rows.
            weights: the weight of each member in the mean.

        Returns:
            Outputs for `decode` of this task, (rows, units).
        """
        return mean_of_members(outputs, weights)

    @abstractmethod
    def predict(self, decoded: Outputs) -> TargetValues:
        """Return the predicted values of decoded outputs, in the same form as true values."""

    def predict_by_cost(self, decoded: Outputs, costs: Floats | None) -> TargetValues:
        """Return the predicted values by the costs of each row, see `DecodedRows.costs`."""
        return self.predict(decoded)

    def probabilities(self, outputs: Outputs) -> Outputs:
        """Return the probability of each class or label, (rows, names)."""
        return outputs

    def with_floor(self, probabilities: Any, floor: float) -> Any:  # noqa: ANN401
        """Return probabilities p as (1 − e)·p + e/k, so that none is below e/k.

        This mixes them with equal probabilities; the most probable class stays the same.

        Args:
            probabilities: outputs of the network, an array or a value of a graph, (rows, units).
            floor: the share e of the equal probabilities, see `output.probability_floor`.
        """
        return probabilities * (1 - floor) + floor / (len(self.classes) or 2)

    @abstractmethod
    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        """Return the outputs of the constant model.

        Args:
            train: the training rows.
            weights: their weights, (rows,), or `None`.
            config: the resolved config, for the number of output units and `comparison_metric`.

        Returns:
            The outputs before decoding, (units,); with `data.exposure`, for an exposure of 1. For
            numbers: the mean Σwy / Σw of each column, or
            the weighted median if the comparison metric is the absolute error, which it minimizes.
            For classes: the share of each class, like scikit-learn's
            `DummyClassifier(strategy="prior")`, or a margin of 1 for the more frequent class, and
            of -1 if both are equally frequent. For labels: the share of each label.
        """

    # Evaluation.

    def metrics(self, rows: DecodedRows) -> Metrics:
        """Compute all metrics of rows, also for each of several numbers or labels."""
        return metric_values(self.statistics(rows))

    def statistics(self, rows: DecodedRows) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights."""
        return statistics_of(self._rows_by_cost(rows), self.loss_metric)

    def _rows_by_cost(self, rows: DecodedRows) -> Rows:
        """Return rows of positive weight for metrics, decided by their own costs, if any."""
        return self.metric_rows(rows.values, rows.decoded, rows.weights)

    def decision_effect(self, rows: DecodedRows) -> DecisionEffect | None:
        """Compare the decision for a class with the usual one; `None` without a decision."""
        if self.decision is None:
            return None
        name, plain = self.decision.metric, self.decided_by(None)
        own = self._rows_by_cost(rows)
        usual = plain.metric_rows(rows.values, rows.decoded, rows.weights)
        usual = replace(usual, costs=own.costs)
        of_own = statistics_of(own)
        now, before = {name: of_own[name]}, {name: statistics_of(usual)[name]}
        limited = {each: of_own[each] for each in self.decision.constraints if each in of_own}
        return DecisionEffect(
            metric=name,
            value=estimate_statistics(now)[name],
            usual=estimate_statistics(before)[name],
            usual_threshold=plain.threshold if len(self.classes) == 2 else None,
            difference=estimate_statistic_differences(before, now, paired=True)[name],
            constrained=estimate_statistics(limited),
        )

    def metric_rows(self, values: TargetValues, decoded: Outputs, weights: Floats | None) -> Rows:
        """Return rows of positive weight in the form that metrics accept.

        Args:
            values: the true values.
            decoded: the decoded outputs, see `decode`.
            weights: the rows' weights, (rows,), or `None`.
        """
        return self.rows_type.of(values, decoded, weights)

    @abstractmethod
    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        """Return the error of each output.

        Returns:
            |y − ŷ| of each number in its unit, (rows, columns); −ln p with the probability p of the
            true class, (rows, 1), or of the true value of each label, (rows, labels); for a margin
            m, the hinge max(0, 1 − y·m) with y = ±1, (rows, 1).
        """

    @property
    def score_names(self) -> tuple[str, ...]:
        """A name for each probability, or for each decoded output if there are no probabilities."""
        return self.names

    # Columns of stored predictions.

    @abstractmethod
    def value_columns(self, values: TargetValues, prefix: str) -> dict[str, pa.Array]:
        """Return values as table columns, in the types of the target's columns.

        Args:
            values: true or predicted values.
            prefix: `target` or `prediction`; several columns are named `<prefix>_<column>`.
        """

    @abstractmethod
    def value_lists(self, values: TargetValues, prefix: str) -> dict[str, list[Any]]:
        """Return the columns of `value_columns` as Python lists."""

    def score_columns(self, outputs: Outputs) -> dict[str, Outputs]:
        """Return the columns `probability_<name>` or `margin`, (rows,), of outputs."""
        columns = zip(self.names, self.probabilities(outputs).T, strict=True)
        return {f"probability_{name}": column for name, column in columns}

    @abstractmethod
    def read_values(self, columns: StoredPredictions, prefix: str) -> TargetValues:
        """Read values back from stored columns.

        Raises:
            RunError: if columns are damaged or belong to another task.
        """

    def read_decoded(self, columns: StoredPredictions) -> Floats:
        """Read decoded outputs back from stored columns.

        Raises:
            RunError: for columns that are damaged or of another task.
        """
        return columns.floats(*self.decoded_columns)

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        """The names of the stored columns with decoded outputs."""
        return tuple(f"probability_{name}" for name in self.names)

    def row_text(self, values: Mapping[str, object], texts: Mapping[str, str]) -> str:
        """Format the values of a row with several target columns: `u: 1.5, v: 2`.

        Args:
            values: the values by column or label.
            texts: the same as text.
        """
        return ", ".join(f"{name}: {text}" for name, text in texts.items())


class OutputUnit(Fitted):
    """The conversion of outputs z to the target's unit: z·scale + offset, or e^… − 1."""

    scale: tuple[float, ...]
    """One factor per column."""
    offset: tuple[float, ...]
    is_log: bool
    """Whether the exponential minus 1 is applied at the end."""
    names: tuple[str, ...]
    """The scaling's name for each column."""


def mean_of_members(values: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
    """Return the weighted mean of the outputs of several networks, (rows, units).

    Args:
        values: the outputs of each network, (rows, units).
        weights: the weight of each network; equal weights give the bits of the plain mean.
    """
    if len({*weights}) == 1:
        return np.asarray(np.mean(values, axis=0, dtype=np.float64))
    return np.asarray(np.average(np.asarray(values, np.float64), axis=0, weights=weights))


def exposures_of(table: Table, column: str | None) -> Floats | None:
    """Return the exposures of rows, (rows, 1), or `None` without a column of exposures."""
    return None if column is None else table.numbers(column)[:, np.newaxis]


def refuse_missing(table: Table, column: str, problems: ValueProblems, hint: str = "") -> None:
    """Refuse a target without a value.

    Args:
        table: the rows.
        column: the target's column.
        problems: records such rows if it is lenient.
        hint: a note at the end of the message.

    Raises:
        DataError: for the first such row if `problems` is not lenient.
    """
    message = f"the target is missing; remove such rows from the file{hint}"
    problems.refuse(table.missing(column), table, column, lambda _: message)


@dataclass(frozen=True)
class StoredPredictions:
    """An untrusted table of predictions from a run folder."""

    table: pa.Table
    path: str
    """The table's path, for messages."""
    task_file: str = "encoding"
    """Name of the file that lists the known classes, for messages."""

    def of_split(self, split: str) -> StoredPredictions:
        """Return the rows of a split."""
        sets = self._cast("split", "string")
        wanted = strings([split], pa.string())
        return replace(self, table=self.table.filter(pc.equal(sets, wanted[0])))

    def filtered(self, rows: NDArray[np.bool_]) -> StoredPredictions:
        """Return the rows for which a mask, (rows,), is true."""
        return replace(self, table=self.table.take(integers(np.flatnonzero(rows))))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Return whether there is a column with a name."""
        return name in self.table.column_names

    def floats(self, *names: str) -> Floats:
        """Read numbers, or booleans as 1 and 0, (rows, names)."""
        each = [to_numpy(self._cast(name, "double"), np.float64) for name in names]
        return np.stack(each, axis=1)

    def integers(self, name: str) -> NDArray[np.int64]:
        """Read integers, (rows,)."""
        return to_numpy(self._cast(name, "int64"), np.int64)

    def texts(self, name: str) -> list[str]:
        """Read texts, (rows,)."""
        texts: list[str] = self._cast(name, "string").to_pylist()
        return texts

    def indices(self, name: str, known: Sequence[str]) -> NDArray[np.int64]:
        """Read the index of each value in a list of known values, (rows,).

        Raises:
            RunError: for an unknown value.
        """
        values = self._cast(name, "string")
        indices = pc.index_in(values, value_set=strings(known, pa.string()))
        if indices.null_count:
            raise self._damaged(name, f"holds a value that its {self.task_file} doesn't list")
        return to_numpy(pc.cast(indices, "int64"), np.int64)

    def _cast(self, name: str, storage: str) -> pa.ChunkedArray:
        """Return a column as another type.

        Raises:
            RunError: if the column does not exist, has missing values, or can't be cast.
        """
        found = self.table.schema.get_all_field_indices(name)
        if len(found) != 1:
            raise self._damaged(name, "is missing or occurs twice")
        column = self.table.column(found[0])
        if column.null_count:
            raise self._damaged(name, "lacks values")
        try:
            if pa.types.is_boolean(column.type) and storage == "double":
                column = pc.cast(column, "int8")
            return pc.cast(column, storage)
        except MemoryError:
            raise
        except pa.ArrowException:
            raise self._damaged(name, f"holds {str(column.type)[:60]}") from None

    def _damaged(self, name: str, finding: str) -> RunError:
        return RunError(f"{self.path}: column '{name[:60]}' {finding}; train it again")
