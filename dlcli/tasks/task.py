"""The task: the kind of target, and everything that follows from it; and stored predictions."""

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
from dlcli.metrics.metric import Metric, Rows
from dlcli.metrics.statistic import Metrics, Statistic
from dlcli.tables.table import Table

TargetValues = NDArray[Any]
"""True or predicted values: numbers in their own unit, (rows, columns); indices of classes,
(rows,); or for each label 1 if a row has it, else 0, (rows, labels)."""
Outputs = NDArray[np.floating[Any]]
"""Outputs of a network, (rows, units)."""
MOST_FIGURES = 3


@dataclass(frozen=True)
class DecodedRows:
    """True values and decoded outputs of some rows."""

    values: TargetValues
    """The true values."""
    decoded: Outputs
    """See `Task.decode`."""
    weights: Floats | None
    """The rows' weights, (rows,), if they have any."""


class Task(Fitted):
    """A prediction task: the kind of target, its columns, and its classes or labels.

    A task knows all that follows from its target: how it is encoded, which output, losses and
    metrics suit it, how outputs become predictions, and how these are measured, stored, shown and
    worded. It is inferred from the rows by `infer_task`; `fit` adds statistics of training rows.

    What outputs mean follows from the loss, too: `for_loss` returns the task by which the outputs
    of a trained network become predictions, and by which these are measured, stored and shown.
    """

    kind: str
    """Discriminates the kinds of tasks in JSON."""
    columns: tuple[str, ...]
    """The target's columns."""
    classes: tuple[str, ...] = ()
    """The classes by name, in the order of the outputs, one of which each row has; the second of
    two is the positive one. Empty for other tasks."""
    labels: tuple[str, ...] = ()
    """The labels by name, in the order of the outputs, any of which a row may have. Empty for other
    tasks."""
    reason: str = Field(default="", exclude=True)
    """Why this task was chosen: `declared`, or what the rows show. Empty once it is fitted."""

    rows_type: ClassVar[type[Rows]]
    """The rows of which metrics are taken, with decoded outputs."""
    usual_loss: ClassVar[type[Loss]]
    """The loss of a config that names none, as a rule."""
    ranking_metric: ClassVar[Metric] = AUC
    """The metric of the order of classes or labels, whatever their probabilities."""
    summary_metrics: ClassVar[tuple[Metric, ...]] = (AUC, MACRO_F1, ACCURACY, LOG_LOSS)
    """The usual metrics of a result at a glance."""
    type: ClassVar[Literal["numeric", "count", "categorical", "multi_label"]]
    """The type by which the config declares the target."""
    outcome: ClassVar[Literal["numbers", "classes", "labels"]]
    """The prediction for a row: numbers, one of several classes, or any of several labels."""
    has_probabilities: ClassVar[bool] = True
    """True if outputs are probabilities; false for numbers and margins."""
    error_metric: ClassVar[Metric | None] = LOG_LOSS
    """The metric that is the mean of `errors`, or their squares' root; `None` for the hinge."""
    charts: ClassVar[tuple[str, ...]]
    """The charts that show predictions well, in the order of a report."""

    # Description.

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
    def has_column_per_output(self) -> bool:
        """True if each number or label has its own column."""
        return len(self.columns) == self.width

    @property
    def class_column(self) -> str | None:
        """The column of the classes to predict; `None` for numbers and labels."""
        return self.columns[0] if self.classes else None

    @property
    def class_values(self) -> NDArray[Any]:
        """The classes as the target's table stores them, (classes,); texts are objects."""
        return np.array([], dtype=object)

    @property
    def words(self) -> str:
        """The target in words: `a number`, `3 classes`."""
        return f"{self.width:,} {self.outcome}"

    @abstractmethod
    def describe(self, columns: str, names: str) -> str:
        """Describe the target: `species, one of 3 classes: setosa, ...`.

        Args:
            columns: the columns, as they are to be shown.
            names: the classes or labels, as they are to be shown.
        """

    # Encoding.

    def fit(self, scaling: OutputScaling | None, train: Table) -> Self:
        """Fit the scaling of numbers on training rows; classes and labels have none.

        Args:
            scaling: of numbers; without one they are trained as they are.
            train: the training rows.

        Raises:
            DataError: for a target that can't be encoded.
        """
        return self.model_copy(update={"reason": ""})

    @abstractmethod
    def encode(self, table: Table, problems: ValueProblems) -> TargetValues:
        """Encode the target of rows as the network is trained on it.

        Returns:
            Scaled numbers, float32 (rows, columns); indices of classes, int64 (rows,); or 1 for
            each label that a row has and 0 for the others, float32 (rows, labels).

        Raises:
            DataError: for a value that is missing or can't be encoded, unless the problems are
                lenient; the row's encoding is then without meaning.
        """

    def values(self, table: Table, problems: ValueProblems) -> TargetValues:
        """Return the true values of rows; they differ from `encode` by the scaling of numbers."""
        return self.encode(table, problems)

    # Output, loss and metrics.

    @property
    def form(self) -> TargetForm:
        """The form of the target by which losses declare what they fit."""
        kind = self.rows_type.kind
        return "number" if kind == "numbers" and self.width == 1 else kind

    def output_units(self, loss: Loss) -> int:
        """Return the number of units that the output needs under a loss."""
        return self.width

    def explain_units(self, loss: Loss) -> str:
        """Explain the number of units: `one for each of the target's columns 'y'`."""
        return f"one for each of the {self.words} {first_names(self.names)}"

    def accepts_units(self, units: int) -> bool:
        """Return whether outputs of so many units can be decoded."""
        return units == self.width

    def default_loss(self, output: Output) -> Loss:
        """Return the loss of a config that names none.

        Args:
            output: the config's section, which may ask for units or an activation.
        """
        return self.usual_loss()

    def default_scaling(self, loss: Loss, activation: Activation) -> OutputScaling | None:
        """Return the scaling of a config that names none; none for classes and labels."""
        return None

    def comparison_metric(self, config: Config) -> Metric:
        """Return the metric by which a network is compared with the simplest models.

        It is a proper one, which the training optimizes, where there is one: the log loss of
        probabilities; for numbers see there. Class weights and losses other than cross-entropy move
        probabilities on purpose, so that their ranking is compared.

        Args:
            config: the resolved config.
        """
        assert config.loss is not None  # resolved
        metric = config.loss.comparison_metric
        is_proper = metric is not None and self.rows_type.kind in metric.forms
        if metric is None or not is_proper or config.class_weight is not None:
            return self.ranking_metric
        return metric

    @property
    def loss_metric(self) -> Metric | None:
        """The metric of the loss that outputs are trained by, if there is one."""
        return None

    @property
    def default_metric(self) -> Metric:
        """The metric of each epoch of a config that names none."""
        return ACCURACY

    def headlines(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        """Return the one or two metrics that summarize a result in a sentence.

        Args:
            named: the config's metrics, the most important first.
            metrics: the metrics of rows; only defined ones are returned.
        """
        main = main_metric(named, metrics)
        return (main,) if main else ()

    def figures(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        """Return the few metrics that summarize a result at a glance; see `headlines`."""
        usual = (each.name for each in self.summary_metrics)
        found = dict.fromkeys((*self.headlines(named, metrics), *usual))
        return tuple(name for name in found if metrics.get(name) is not None)[:MOST_FIGURES]

    @property
    def error_name(self) -> str:
        """The name of the mean of `errors`: `rmse`, `log_loss` or `hinge`."""
        return "hinge" if self.error_metric is None else self.error_metric.name

    def metric_names(self, loss: Loss) -> tuple[str, ...]:
        """Return the names of the metrics of a set of rows that are single numbers."""
        task, decoded = self.for_loss(loss), np.empty((0, self.width))
        return tuple(task.statistics(DecodedRows(task.predict(decoded), decoded, None)))

    def epoch_metrics(self, loss: Loss) -> tuple[str, ...]:
        """Return those that can be shown at each epoch, the default one first."""
        kind = self.rows_type.kind
        known = self.metric_names(loss)
        names = [name for name in known if METRICS[name].forms[kind].is_trained]
        return tuple(sorted(names, key=lambda name: name != self.default_metric.name))

    def renamed_metrics(self, loss: Loss) -> dict[str, str]:
        """Return names that mean the mean over classes or labels of the metric of two classes."""
        known = self.metric_names(loss)
        means = ((METRICS[name].mean_over_parts_of, name) for name in known)
        return {
            metric: name for metric, name in means if metric is not None and metric not in known
        }

    def other_type_for(self, loss: Loss) -> str:
        """Return the setting under which the target would suit a loss that doesn't fit it, if any.

        It is the end of a message: `, or data.target: {column: ..., type: categorical}`.
        """
        return ""

    @abstractmethod
    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        """Yield the problems of the config's class weights, each with its key if it has one."""

    def check_values(self, loss: Loss, tables: Sequence[Table]) -> None:
        """Refuse target values for which a loss is undefined.

        Args:
            loss: the loss.
            tables: all rows with a target.

        Raises:
            DataError: for a negative value where the loss takes its logarithm, with its row.
        """

    def training_warnings(self, output: Output, train: Table) -> Iterator[str]:
        """Yield reasons why training rows can't be fitted, such as values out of reach.

        Args:
            output: complete, with activation and scaling.
            train: the training rows.
        """
        return iter(())

    # Training.

    def loss_labels(self, encoded: TargetValues, loss: Loss, units: int) -> TargetValues:
        """Bring an encoded target into the form that a loss compares with the output.

        Args:
            encoded: from `encode`.
            loss: the loss.
            units: the output's width.

        Returns:
            Numbers and labels as they are; of classes 0 and 1, float32 (rows, 1), for one unit, or
            one-hot rows, float32 (rows, units), where the loss needs them, or indices, int32
            (rows,).
        """
        return encoded

    def loss_weights(
        self, encoded: TargetValues, weights: Floats | None, class_weight: ClassWeight | None
    ) -> NDArray[np.float32] | None:
        """Return row weights times the weights of the rows' classes, (rows,).

        Args:
            encoded: from `encode`.
            weights: the rows' weights, (rows,), if they have any.
            class_weight: the config's; only tasks with classes have any.
        """
        return None if weights is None else weights.astype(np.float32)

    @property
    def output_unit(self) -> OutputUnit | None:
        """The conversion of outputs to the target's own unit; only numbers have one."""
        return None

    # Predictions.

    def for_loss(self, loss: Loss | None) -> Task:
        """Return the task for the outputs of a network that was trained with a loss.

        Args:
            loss: the resolved config's.
        """
        return self

    def decode(self, outputs: Outputs) -> Outputs:
        """Decode a network's outputs to the form that metrics compare with true values.

        Returns:
            Numbers in their own unit, (rows, columns); of two classes the probability or margin of
            the second, (rows, 1); else the probability of each class or label, (rows, names).
        """
        return outputs

    def average(self, outputs: Sequence[Outputs], tasks: Sequence[Self]) -> Outputs:
        """Return the outputs whose decoded form is the mean of the members' of an ensemble.

        Args:
            outputs: those of each member as trained on, (rows, units).
            tasks: the task of each, whose scaling of numbers is fitted to its training rows.

        Returns:
            Outputs that `decode` of this task decodes, (rows, units).
        """
        return np.asarray(np.mean(outputs, axis=0, dtype=np.float64))

    @abstractmethod
    def predict(self, decoded: Outputs) -> TargetValues:
        """Return the predicted values of decoded outputs, in the form of true values."""

    def probabilities(self, outputs: Outputs) -> Outputs:
        """Return the probability of each class or label, (rows, names), if outputs have any."""
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
        """Return the outputs of a model that has seen only the target of its training rows.

        Args:
            train: the training rows.
            weights: their weights, (rows,), if they have any.
            config: the resolved config, for the output's width and `comparison_metric`.

        Returns:
            The output as trained on, (units,): the mean Σwy / Σw of each column of numbers, or the
            weighted median, which minimizes it, if they are compared by the absolute error; the
            share of each class, as scikit-learn's `DummyClassifier(strategy="prior")` has it, or a
            margin of 1 on the side of the more frequent class, and of -1 where both are as
            frequent; the share of each label.
        """

    # Evaluation.

    def metrics(self, rows: DecodedRows) -> Metrics:
        """Compute all metrics of a set of rows; also those of each of several numbers or labels."""
        return metric_values(self.statistics(rows))

    def statistics(self, rows: DecodedRows) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights."""
        made = self.rows_type.of(rows.values, rows.decoded, rows.weights)
        return statistics_of(made, self.loss_metric)

    @abstractmethod
    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        """Measure how far a network's outputs are from the true values.

        Returns:
            |y − ŷ| of each number in its own unit, (rows, columns); −ln p with the probability p of
            the true class, (rows, 1), or of having or not having each label, (rows, labels); for a
            margin m the hinge max(0, 1 − y·m) with y = ±1, (rows, 1).
        """

    @property
    def score_names(self) -> tuple[str, ...]:
        """A name for each probability of a row, or for each decoded output without any."""
        return self.names

    # Columns of stored predictions.

    @abstractmethod
    def value_columns(self, values: TargetValues, prefix: str) -> dict[str, pa.Array]:
        """Return values as columns of a table, as the target's own table stores them.

        Args:
            values: true or predicted ones.
            prefix: `target` or `prediction`; several columns are named `<prefix>_<column>`.
        """

    @abstractmethod
    def value_lists(self, values: TargetValues, prefix: str) -> dict[str, list[Any]]:
        """Return values as `value_columns` does, in lists of Python's own."""

    def score_columns(self, outputs: Outputs) -> dict[str, Outputs]:
        """Return the columns `probability_<name>` or `margin` of a network's outputs, (rows,)."""
        columns = zip(self.names, self.probabilities(outputs).T, strict=True)
        return {f"probability_{name}": column for name, column in columns}

    @abstractmethod
    def read_values(self, columns: StoredPredictions, prefix: str) -> TargetValues:
        """Read values back from stored columns.

        Raises:
            RunError: for columns that are damaged or of another task.
        """

    def read_decoded(self, columns: StoredPredictions) -> Floats:
        """Read decoded outputs back from stored columns.

        Raises:
            RunError: for columns that are damaged or of another task.
        """
        return columns.floats(*self.decoded_columns)

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        """The names of the stored columns that hold decoded outputs."""
        return tuple(f"probability_{name}" for name in self.names)

    def row_text(self, values: Mapping[str, object], texts: Mapping[str, str]) -> str:
        """Word the values of one row that has several columns: `u: 1.5, v: 2`.

        Args:
            values: by column or label.
            texts: the same as text.
        """
        return ", ".join(f"{name}: {text}" for name, text in texts.items())


class OutputUnit(Fitted):
    """The conversion of outputs z to the target's own unit: z·scale + offset, or e^… − 1."""

    scale: tuple[float, ...]
    """One for each column."""
    offset: tuple[float, ...]
    is_log: bool
    """True if the exponential minus 1 is taken at the end."""
    names: tuple[str, ...]
    """The scaling's name for each column."""


def refuse_missing(table: Table, column: str, problems: ValueProblems, hint: str = "") -> None:
    """Refuse a target without a value.

    Args:
        table: the rows.
        column: the target's column.
        problems: records such rows, if it is lenient.
        hint: a note at the end of the message.

    Raises:
        DataError: for the first such row, unless `problems` is lenient.
    """
    message = f"the target is missing; remove such rows from the file{hint}"
    problems.refuse(table.missing(column), table, column, lambda _: message)


@dataclass(frozen=True)
class StoredPredictions:
    """A table of predictions from a run folder, which may hold anything."""

    table: pa.Table
    path: str
    """The table's path, for messages."""
    task_file: str = "encoding"
    """Name of the file that lists the known classes, for messages."""

    def of_split(self, split: str) -> StoredPredictions:
        """Return the rows of one set."""
        sets = self._cast("split", "string")
        wanted = strings([split], pa.string())
        return replace(self, table=self.table.filter(pc.equal(sets, wanted[0])))

    def filtered(self, rows: NDArray[np.bool_]) -> StoredPredictions:
        """Return the rows that are marked, (rows,)."""
        return replace(self, table=self.table.take(integers(np.flatnonzero(rows))))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Return whether there is a column of a name."""
        return name in self.table.column_names

    def floats(self, *names: str) -> Floats:
        """Read numbers, or true and false as 1 and 0, (rows, names)."""
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
        """Read the index of each value among known ones, (rows,).

        Raises:
            RunError: for any other value.
        """
        values = self._cast(name, "string")
        indices = pc.index_in(values, value_set=strings(known, pa.string()))
        if indices.null_count:
            raise self._damaged(name, f"holds a value that its {self.task_file} doesn't list")
        return to_numpy(pc.cast(indices, "int64"), np.int64)

    def _cast(self, name: str, storage: str) -> pa.ChunkedArray:
        """Return a column as another type.

        Raises:
            RunError: if it isn't there, lacks values, or can't be cast.
        """
        found = self.table.schema.get_all_field_indices(name)
        if len(found) != 1:
            raise self._damaged(name, "is missing, or there twice")
        column = self.table.column(found[0])
        if column.null_count:
            raise self._damaged(name, "lacks values")
        try:
            if pa.types.is_boolean(column.type) and storage == "double":
                column = pc.cast(column, "int8")
            return pc.cast(column, storage)
        except pa.ArrowException:
            raise self._damaged(name, f"holds {str(column.type)[:60]}") from None

    def _damaged(self, name: str, finding: str) -> RunError:
        return RunError(f"{self.path}: column '{name[:60]}' {finding}; train it again")
