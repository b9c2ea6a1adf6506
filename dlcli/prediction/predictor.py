"""A trained network with its encoding, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from dlcli.arrays import Indices, Matrix
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config
from dlcli.config.search_space import Value
from dlcli.encoding.column_types import words_to_read
from dlcli.encoding.encoded_rows import InMemoryInputs, Inputs
from dlcli.encoding.table_encoding import Encoding, row_weights
from dlcli.errors import DataError, UsageError, named_columns, option
from dlcli.metrics.intervals import DifferenceEstimate, Estimate
from dlcli.metrics.statistic import Metrics
from dlcli.network.layers import Network, Weights, forward_each, rows_at_once
from dlcli.prediction.conformal import REPORTED_LEVEL, Conformal
from dlcli.prediction.predictions import Predictions
from dlcli.safe_files import Document
from dlcli.tables.column import column_kind
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.few_rows import FewRows, NumberRows, Reading, few_rows
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.number_notation import Notation
from dlcli.tables.source_files import Source
from dlcli.tables.stored_columns import IN_MEMORY, Storage
from dlcli.tables.table import Rows, Table
from dlcli.tables.table_files import MissingWords, read_table
from dlcli.tables.table_formats import TableFormat
from dlcli.tasks import prior_shift
from dlcli.tasks.decision import FittedDecision
from dlcli.tasks.inference import AnyTask, drop_missing_targets
from dlcli.tasks.task import DecodedRows, Outputs, Task

MAX_ROWS_AT_ONCE = 65_536
"""Maximum number of rows that are encoded at once, to limit the memory for long tables."""
MOST_ROWS = 64
"""Maximum number of rows that `few_rows` accepts; more rows are faster as a table."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics of the rows of a table."""

    table: Table
    """The encoded rows, to which problems refer; rows without a target are omitted."""
    warning: str
    """A message about the omitted rows, if there are any."""
    evaluated: Table
    """The rows from which the metrics are computed."""
    metrics: Metrics
    decoded: DecodedRows
    """The evaluated rows with their true values and predictions."""
    interval: dict[str, object] | None
    """`level`, `coverage` and `mean_width` of prediction intervals, or `mean_size` of prediction
    sets, if requested. Rows of weight 0 are omitted; all other rows count equally."""
    shortfall: str
    """A note if the coverage is lower than chance explains, see `Conformal.shortfall`."""

    @property
    def rows(self) -> int:
        """The number of evaluated rows."""
        return self.evaluated.rows

    @property
    def without_weight(self) -> int:
        """The number of evaluated rows with weight 0, which do not affect metrics."""
        weights = self.decoded.weights
        return 0 if weights is None else int(np.count_nonzero(weights == 0))


class EnsembleMember(Document):
    """The training of one member of an ensemble."""

    seed: int
    """The random seed."""
    settings: Mapping[str, Value] = {}
    """Its settings that differ from the config, see `ensemble.vary`."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Its weight in the mean of the members."""
    task: AnyTask
    """The task, with the scaling of the member's own training rows."""
    rows: Annotated[int, Field(ge=1)]
    """Number of training rows."""
    best_epoch: Annotated[int, Field(ge=1)] | None
    """The epoch, from 1, of its weights; `None` for the last."""
    history: Mapping[str, tuple[float, ...]]
    """Values of each epoch, by column of history.csv."""

    @property
    def epochs(self) -> int:
        """The number of trained epochs."""
        return max(map(len, self.history.values()), default=0)


class EnsembleGroup(Document):
    """The networks of an ensemble that have the same settings, one for each fold."""

    settings: Mapping[str, Value]
    """Their settings that differ from the config, by path, see `ensemble.vary`."""
    share: Annotated[float, Field(ge=0, le=1)]
    """Their share of the mean, in [0, 1]; 0 if they are removed."""
    value: Estimate
    """The metric on the out-of-fold rows without the other groups."""


class Selection(Document):
    """The selection of the groups of an ensemble, see `ensemble.select`.

    Weights and epochs are chosen on the out-of-fold rows, so the metrics of these rows are too
    optimistic.
    """

    metric: str | None
    """The name of the main metric; `None` if all metrics are undefined on the out-of-fold rows."""
    value: Estimate
    """An estimate of this metric for the ensemble, on the out-of-fold rows."""
    difference: DifferenceEstimate
    """An estimate of the difference in this metric: the ensemble minus the first group of networks
    (see `groups`), which has the settings of the config. It also has a `verdict`."""
    groups: tuple[EnsembleGroup, ...]
    """The groups of networks with the same settings, in the order of their training. Each is an
    object with its `settings` (path and value); its `share` of the mean prediction, from 0 to 1;
    and `value`, an estimate of the metric for this group alone. The networks of a group with share
    0 are removed."""


class Ensemble(Document):
    """The members of an ensemble, in order."""

    format: Literal[1] = 1
    members: tuple[EnsembleMember, ...]
    selection: Selection | None = None
    """The selection of its groups; `None` if all members predict."""
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | None = Field(
        validation_alias=AliasChoices("learning_rate_multiplier", "feature_scale")
    )
    """The multiplier of their scaling layer; `None` if they have no scaling layer. Its name in runs
    of earlier versions is `feature_scale`."""

    def chosen(self, config: Config) -> Config:
        """Return the config of a run, with `auto` replaced by the value that training chose."""
        return config.with_scaling_layer(self.learning_rate_multiplier)


@dataclass(frozen=True)
class MemberModel:
    """A trained network of an ensemble, without its weights."""

    network: Network
    """The layers."""
    task: Task
    """The task, with the scaling of its training rows."""
    weight: float = 1.0
    """Its weight in the mean of the members."""


def member_weight(number: int, name: str) -> str:
    """Return the name of a member's weight in an ensemble: `member_1/output/bias`."""
    return f"member_{number}/{name}"


@dataclass(frozen=True)
class Predictor:
    """A trained network with its encoding, or the networks of an ensemble."""

    config: Config
    """The run's resolved config."""
    encoding: Encoding
    """The encoding of tables as matrices."""
    network: Network
    """The layers; for an ensemble, the layers of the first member."""
    weights: Weights
    """The trained weights by name; for an ensemble, see `member_weight`."""
    models: tuple[MemberModel, ...] = ()
    """The members of an ensemble; empty for a single network."""
    conformal: Conformal | None = None
    """Held-out errors, if prediction intervals or prediction sets are requested."""
    level: float = REPORTED_LEVEL
    """The level of the prediction intervals or prediction sets."""
    prior_ratios: tuple[float, ...] = ()
    """The ratio of new to old frequency of each class, see `with_prevalence`."""
    decision: FittedDecision | None = None
    """The decision for a class; `None` for the most probable class, and for other targets."""

    def __getstate__(self) -> dict[str, object]:
        """Return the fields for pickling, without cached values."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each weight by name; for an ensemble, see `member_weight`."""
        if not self.models:
            return {weight.name: weight.shape for weight in self.network.weights}
        return {
            member_weight(number, weight.name): weight.shape
            for number, model in enumerate(self.models, start=1)
            for weight in model.network.weights
        }

    @property
    def uncertainty(self) -> str:
        """A note on the uncertainty of the coverage; empty if it is small."""
        return self.conformal.uncertainty(self.level) if self.conformal else ""

    @cached_property
    def task(self) -> Task:
        """The prediction task, see `Task.for_loss`."""
        task = self.encoding.task.for_loss(self.config.loss)
        return (
            task if self.decision is None else task.model_copy(update={"decision": self.decision})
        )

    @property
    def members(self) -> int:
        """The number of networks."""
        return len(self.models) or 1

    def read(
        self,
        source: Source | MemoryTable | DatabaseQuery,
        storage: Storage = IN_MEMORY,
        others: Sequence[str] | None = None,
    ) -> Table:
        """Read a table in the same way as the training table.

        Args:
            source: the table.
            storage: the storage for the rows.
            others: the only columns to read in addition to the network's columns, if the file is
                Parquet. [default: all]

        Raises:
            UsageError: if the file does not exist.
            DataError: if the file is not a table.
        """
        columns = None if others is None else {*self.columns, *others}
        table = read_table(source, self.missing_words, self.table_format, storage, columns)
        return table.written_like(self.encoding.notations)

    @property
    def table_format(self) -> TableFormat:
        """The format of files, which is that of training or a plain one.

        A number of lines at the end applies to the training file; in others, they may be rows.
        """
        form = self.config.data.table_format
        footer = form.footer if isinstance(form.footer, str) else ""
        return replace(form, columns=self.columns, footer=footer)

    def batch(self, rows: pa.Table, file: str, before: int = 0) -> Table:
        """Return some rows of a longer table, with the number notations of the training table.

        Args:
            rows: the rows, in the types of `read_table`.
            file: the table's file, for messages.
            before: the number of preceding rows in the file.
        """
        numbers = np.arange(before + 1, before + 1 + rows.num_rows, dtype=np.int64)
        words = {name: self.missing_words(name) for name in rows.column_names}
        return Table(file, rows, numbers, words, notations=self.encoding.notations)

    def reads_alike_in_batches(self, schema: pa.Schema) -> bool:
        """Return whether `batch` reads the rows of a file in the same way as `read`.

        It does not if numbers are texts, whose notation depends on all values of a column.
        """
        texts = {field.name for field in schema if column_kind(field.type) == "text"}
        numbers = [each.column for each in self.encoding.features if each.reads_numbers]
        return texts.isdisjoint([*numbers, *self.cost_columns])

    @property
    def rows_at_once(self) -> int:
        """The maximum number of rows that are encoded at once."""
        return rows_at_once(self.network.inputs, MAX_ROWS_AT_ONCE)

    def predict(self, rows: Table | FewRows, problems: ValueProblems) -> Predictions:
        """Predict rows.

        Args:
            rows: rows with the columns that training read, in any order; the target isn't needed.
            problems: records values that can't be encoded or that are not in the training rows.

        Returns:
            The predictions, in the order of the rows.

        Raises:
            DataError: if the table lacks columns, or values can't be encoded.
        """
        if not isinstance(rows, FewRows):
            if not rows.rows:
                return self._predict_none(rows)
            of_parts = rows.parts(self.rows_at_once)
            parts = (self.encoding.transform(part, problems) for part in of_parts)
            found = Predictions.concatenate([self.predict_encoded(part) for part in parts])
        else:
            found = self.predict_encoded(self.encoding.transform(rows, problems))
        return self.with_costs(found, rows, problems)

    def with_costs(
        self, predictions: Predictions, rows: Rows, problems: ValueProblems
    ) -> Predictions:
        """Return predictions of rows with the rows' costs, if the decision depends on them.

        Args:
            predictions: the predictions of the rows.
            rows: the rows, with the columns of costs.
            problems: records costs that can't be used.

        Raises:
            DataError: for missing columns or costs.
        """
        costs = None if self.decision is None else self.decision.row_costs(rows, problems)
        return predictions if costs is None else replace(predictions, costs=costs)

    @property
    def cost_columns(self) -> tuple[str, ...]:
        """The columns of costs that differ by row."""
        columns = {} if self.decision is None else self.decision.cost_columns
        return tuple(dict.fromkeys(columns.values()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that predictions need: the features, then the columns of costs."""
        features = (each.column for each in self.encoding.features)
        return tuple(dict.fromkeys([*features, *self.cost_columns]))

    def encode(self, table: Table | FewRows, problems: ValueProblems) -> Matrix:
        """Encode rows.

        Args:
            table: rows with the columns that training read, in any order.
            problems: records values that can't be encoded or that are not in the training rows.

        Returns:
            The inputs of the network, float32, (rows, inputs).

        Raises:
            DataError: see `predict`.
        """
        if isinstance(table, FewRows):
            few = self.encoding.transform(table, problems)
            return few.part(0, len(few))
        inputs = np.empty((table.rows, self.network.inputs), np.float32)
        end = 0
        for part in table.parts(self.rows_at_once):
            start, end = end, end + part.rows
            inputs[start:end] = self.encoding.transform(part, problems).part(0, part.rows)
        return inputs

    def _predict_none(self, table: Table) -> Predictions:
        """Return empty predictions of the same types as predictions of rows."""
        if not table.columns:  # an Arrow table without columns has no rows
            raise DataError("has no columns", file=table.file)
        fields = table.data.schema
        missing = pa.table([pa.nulls(1, each.type) for each in fields], names=fields.names)
        predictions = self.predict(self.batch(missing, table.file), ValueProblems(lenient=True))
        return predictions.take(np.empty(0, np.int64))

    def few_rows(
        self, records: Sequence[object], table: Callable[[], Table], file: str
    ) -> FewRows | Table:
        """Return rows in a form that `predict` encodes many times as fast as a table.

        Args:
            records: a mapping of columns to values for each row.
            table: returns the same rows as a table.
            file: the table's name in messages.

        Returns:
            The rows; as a table if there are many, or in rare cases.
        """
        if not 0 < len(records) <= MOST_ROWS:
            return table()
        return few_rows(records, self._readings, table, file)

    def number_rows(
        self, matrix: NDArray[np.float64], names: Sequence[str], table: Callable[[], Table]
    ) -> FewRows | Table:
        """Return a matrix of numbers in a form that `predict` encodes faster than a table.

        Args:
            matrix: the numbers, NaN where missing, (rows, names).
            names: the name of each column.
            table: returns the same rows as a table.

        Returns:
            The rows; as a table if there are many or none, or for infinite numbers.
        """
        if not 0 < len(matrix) <= self.rows_at_once or np.isinf(matrix).any():
            return table()
        return NumberRows(matrix, names, self._readings, table, "X")

    @cached_property
    def missing_words(self) -> MissingWords:
        """A function that returns the words for missing values of a column."""
        return words_to_read(self.config.data, self.config.input.features or {})

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        return {
            name: Reading(self.missing_words(name), self.notation(name)) for name in self.columns
        }

    def notation(self, column: str) -> Notation:
        """Return the number notation of a column of the training table."""
        return self.encoding.notations.get(column, Notation())

    def predict_zeros(self) -> Predictions:
        """Predict one row of zeros, which shows the types of all outputs."""
        return self.predict_encoded(InMemoryInputs(np.zeros((1, self.network.inputs), np.float32)))

    def predict_encoded(self, inputs: Inputs) -> Predictions:
        """Predict encoded rows."""
        if self.conformal is None:
            return self.decode(self.outputs(inputs))
        numbers = range(1, self.members + 1)
        each = self._forward_each(inputs, numbers)

        def predict(chosen: Sequence[int]) -> Predictions:
            return self.decode(self._average([each[number - 1] for number in chosen], chosen))

        predictions = predict(numbers)
        folds = [predict(chosen) for chosen in self.members_by_fold] or [predictions]
        return replace(predictions, regions=self.conformal.regions(predictions, folds, self.level))

    @property
    def members_by_fold(self) -> list[range]:
        """The numbers of the members that are validated on each fold; empty without folds."""
        folds, count = self.config.ensemble_folds or 0, len(self.models)
        return [range(fold + 1, count + 1, folds) for fold in range(min(folds, count))]

    def outputs(self, inputs: Inputs, numbers: Sequence[int] | None = None) -> Outputs:
        """Return the network's outputs before decoding; for an ensemble, their average.

        Args:
            inputs: the encoded rows.
            numbers: the numbers, from 1, of the members to average; all if omitted.

        Returns:
            (rows, units).
        """
        chosen = numbers or range(1, self.members + 1)
        return self._average(self._forward_each(inputs, chosen), chosen)

    def _forward_each(self, inputs: Inputs, numbers: Sequence[int]) -> list[Outputs]:
        """Return the outputs of members, each (rows, units)."""
        pairs = [(self.network_of(number), self.weights_of(number)) for number in numbers]
        return [*forward_each(inputs, pairs)]

    def predict_by_fold(
        self, inputs_of: Callable[[Indices], Inputs], folds: Sequence[Indices]
    ) -> Predictions:
        """Predict training rows of an ensemble, each by the members that were not trained on it.

        Args:
            inputs_of: returns the encoded inputs of rows, given their indices.
            folds: the indices of the rows of each fold, which together contain each row once.
        """
        outputs = np.empty((sum(map(len, folds)), self.network.outputs))
        for numbers, rows in zip(self.members_by_fold, folds, strict=True):
            outputs[rows] = self.outputs(inputs_of(rows), numbers)
        return self.decode(outputs)

    def mean_of_members(self, outputs: Sequence[Outputs]) -> Outputs:
        """Return the outputs before decoding, (rows, units), given those of each member."""
        return self._average(outputs, range(1, self.members + 1))

    def _average(self, outputs: Sequence[Outputs], numbers: Sequence[int]) -> Outputs:
        mean = outputs[0]
        if self.models:
            chosen = [self.models[number - 1] for number in numbers]
            tasks, weights = [each.task for each in chosen], [each.weight for each in chosen]
            mean = self.task.average(outputs, tasks, weights)
        return np.asarray(self.with_floor(mean))

    def with_floor(self, mean: Any) -> Any:  # noqa: ANN401
        """Apply `output.probability_floor` to the members' mean, an array or a value of a graph."""
        floor = self.config.output.probability_floor
        assert floor != "auto"  # resolved
        return mean if floor is None else self.task.with_floor(mean, floor)

    def of_members(self, numbers: Sequence[int]) -> Predictor:
        """Return the predictor of some members of an ensemble, without prediction intervals.

        Args:
            numbers: the numbers of the members, from 1.
        """
        models = tuple(self.models[number - 1] for number in numbers)
        weights = {
            member_weight(new, name): values
            for new, number in enumerate(numbers, start=1)
            for name, values in self.weights_of(number).items()
        }
        network = models[0].network
        return replace(self, network=network, weights=weights, models=models, conformal=None)

    def network_of(self, number: int) -> Network:
        """Return the layers of a member; a single network is member 1."""
        return self.models[number - 1].network if self.models else self.network

    def task_of(self, number: int) -> Task:
        """Return the task of a member; a single network is member 1."""
        return self.models[number - 1].task if self.models else self.task

    def weights_of(self, number: int) -> Weights:
        """Return the weights of a member by name; a single network is member 1."""
        if not self.models:
            return self.weights
        names = [weight.name for weight in self.network_of(number).weights]
        return {name: self.weights[member_weight(number, name)] for name in names}

    def decode(self, outputs: Outputs) -> Predictions:
        """Return the predictions of outputs before decoding, (rows, units)."""
        if self.prior_ratios:
            outputs = prior_shift.shift(outputs, self.prior_ratios)
        return Predictions(self.task, outputs)

    def with_prevalence(self, prevalence: Mapping[str, float]) -> Predictor:
        """Return the predictor with probabilities for other frequencies of the classes.

        Args:
            prevalence: the frequency of some classes; the others share the rest in proportion to
                their current frequencies.

        Raises:
            UsageError: for a target without classes, frequencies that do not fit, or probabilities
                that can't be converted.
        """
        task, config, name = self.task, self.config, option("prevalence")
        assert config.loss is not None  # resolved
        for key, problem in task.prevalence_problems(prevalence, config.loss, config.output):
            raise UsageError(f"{name}{'' if key is None else f' {key}'}: {problem}")
        if self.conformal is not None:
            other = option("interval")
            raise UsageError(f"{name} can't be combined with {other}, whose coverage would change")
        known = task.prevalence or task.frequencies
        if not known:
            raise UsageError(f"{name}: the run is of an earlier version; train it again")
        new = prior_shift.complete_frequencies(prevalence, task.classes, known)
        for name_of_class, old in zip(task.classes, known, strict=True):
            if not old and name_of_class in prevalence:
                raise UsageError(f"{name} {name_of_class}: no training row has this class")
        ratios = tuple(b / a if a else 1.0 for a, b in zip(known, new, strict=True))
        return replace(self, prior_ratios=ratios)

    @property
    def encoders(self) -> dict[str, FeatureEncoder]:
        """The encoder of each column that the network reads."""
        return {each.column: each for each in self.encoding.features}

    def unread_columns(self, table: Table, keep: Sequence[str] = ()) -> list[str]:
        """Return the columns of a table that are not in the training table and not used.

        Args:
            table: the table.
            keep: columns that are copied to the output.
        """
        data, features = self.config.data, self.config.input.features or {}
        known = {*features, *data.reserved, *keep}
        return [name for name in (*table.columns, *table.unread) if name not in known]

    @property
    def metric_columns(self) -> list[str]:
        """The columns from which metrics are computed, in addition to the predictions."""
        weight = self.config.data.sample_weight
        return [*self.task.columns, *([] if weight is None else [weight])]

    def evaluate(
        self, table: Table, problems: ValueProblems, *, reject: bool = False
    ) -> Evaluation:
        """Predict a table and compare the predictions with its target.

        Args:
            table: rows with the columns that training read, including target and weight.
            problems: records values that can't be encoded or that are not in the training rows. If
                it is lenient, rows with an unusable target or weight are omitted.
            reject: whether to omit all rows with a value that can't be encoded, and to record rows
                without a target among them.

        Raises:
            DataError: if the table lacks columns, if values can't be encoded and `problems` is not
                lenient, or if all rows are omitted.
        """
        weight = self.config.data.sample_weight
        absent = [column for column in self.metric_columns if column not in table.columns]
        if absent:
            message = f"has no {named_columns(absent)}, which the metrics need"
            raise DataError(message, file=table.file)
        warning, data = "", self.config.data
        if data.on_missing_target == "drop" and not reject:
            table, warning = drop_missing_targets(data.target, table)
        self.task.encode(table, problems)
        row_weights(table, weight, problems)
        omitted = problems.bad_indices
        used, predictions = table, self.predict(table, problems)
        omitted = problems.bad_indices if reject else omitted
        if len(omitted):
            rows = np.delete(np.arange(table.rows), omitted)
            if not len(rows):
                bad = next(problems.bad_rows())
                file, row = table.where(bad.index)
                message = f"{bad.reason}; no row is left to compute metrics from"
                raise DataError(message, file=file, row=row, column=bad.column)
            used, predictions = table.take(rows), predictions.take(rows)
        weights = row_weights(used, weight, ValueProblems())
        decoded = predictions.with_truth(used, weights)
        metrics, interval, shortfall = self.task.metrics(decoded), None, ""
        if predictions.regions is not None:
            rows = np.arange(used.rows) if weights is None else np.flatnonzero(weights)
            values = self.task.values(used, ValueProblems())[rows]
            regions = predictions.regions.take(rows)
            interval = {"level": self.level, **regions.summary(values)}
            if self.conformal is not None and len(rows):
                lowest = float(regions.coverage(values).min())
                shortfall = self.conformal.shortfall(self.level, lowest, len(rows))
        return Evaluation(table, warning, used, metrics, decoded, interval, shortfall)
