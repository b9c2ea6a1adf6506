"""A trained network with its encoding, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import AliasChoices, Field

from dlcli.arrays import Indices
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config
from dlcli.encoding.column_types import words_to_read
from dlcli.encoding.encoded_rows import InMemoryInputs, Inputs
from dlcli.encoding.table_encoding import Encoding, row_weights
from dlcli.errors import DataError, named_columns
from dlcli.metrics.statistic import Metrics
from dlcli.network.layers import Network, Weights, rows_at_once
from dlcli.prediction.conformal import REPORTED_LEVEL, Conformal
from dlcli.prediction.predictions import Predictions
from dlcli.safe_files import Document
from dlcli.tables.column import column_kind
from dlcli.tables.few_rows import FewRows, Reading, few_rows
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.number_notation import Notation
from dlcli.tables.source_files import Source
from dlcli.tables.stored_columns import IN_MEMORY, Storage
from dlcli.tables.table import Table
from dlcli.tables.table_files import MissingWords, read_table
from dlcli.tasks.inference import AnyTask, drop_missing_targets
from dlcli.tasks.task import DecodedRows, Outputs, Task

MAX_ROWS_AT_ONCE = 65_536
"""Most rows that are encoded at once, so that a long table needs no large matrix."""
MOST_ROWS = 64
"""Most rows that `few_rows` takes as they are: more are faster as a table."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics of the rows of a table."""

    table: Table
    """The rows that were encoded, to which problems refer: without those left out for want of a
    target."""
    warning: str
    """A message about these, if there are any."""
    evaluated: Table
    """The rows that the metrics are computed from."""
    metrics: Metrics
    decoded: DecodedRows
    """The evaluated rows with their true values and predictions."""
    interval: dict[str, object] | None
    """The `level`, `coverage` and `mean_width` of intervals, or `mean_size` of prediction sets, if
    requested. Rows of weight 0 are omitted; all other rows count equally."""
    shortfall: str
    """A note if these contain fewer true values than chance explains."""

    @property
    def rows(self) -> int:
        """The number of evaluated rows."""
        return self.evaluated.rows

    @property
    def without_weight(self) -> int:
        """The number of these that have weight 0, and so count in no metric."""
        weights = self.decoded.weights
        return 0 if weights is None else int(np.count_nonzero(weights == 0))


class EnsembleMember(Document):
    """The training of one member of an ensemble."""

    seed: int
    """Its random seed."""
    task: AnyTask
    """The task, with the scaling of the member's own training rows."""
    rows: Annotated[int, Field(ge=1)]
    """Number of rows that it was trained on."""
    best_epoch: Annotated[int, Field(ge=1)] | None
    """The epoch, from 1, that its weights are from; `None`: the last."""
    history: Mapping[str, tuple[float, ...]]
    """Values of each epoch, by column of history.csv."""

    @property
    def epochs(self) -> int:
        """The number of epochs that were run."""
        return max(map(len, self.history.values()), default=0)


class Ensemble(Document):
    """The members of an ensemble, in order."""

    format: Literal[1] = 1
    members: tuple[EnsembleMember, ...]
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | None = Field(
        validation_alias=AliasChoices("learning_rate_multiplier", "feature_scale")
    )
    """That of their scaling layer; `None`: they were trained without one. Runs of earlier versions
    have it as `feature_scale`."""

    def chosen(self, config: Config) -> Config:
        """Return the config of a run with the value that training chose for an `auto`."""
        return config.with_scaling_layer(self.learning_rate_multiplier)


def member_weight(number: int, name: str) -> str:
    """Return a weight's name among those of an ensemble: `member_1/output/bias`."""
    return f"member_{number}/{name}"


@dataclass(frozen=True)
class Predictor:
    """A trained network with its encoding, or the networks of an ensemble."""

    config: Config
    """The run's resolved config."""
    encoding: Encoding
    """From tables to matrices."""
    network: Network
    """The layers."""
    weights: Weights
    """The trained weights by name; those of an ensemble as `member_weight` names them."""
    tasks: tuple[Task, ...] = ()
    """The task of each member of an ensemble."""
    conformal: Conformal | None = None
    """Held-out errors, if predictions are to have prediction intervals or prediction sets."""
    level: float = REPORTED_LEVEL
    """The share of new rows whose true value these are to contain."""

    def __getstate__(self) -> dict[str, object]:
        """Return what is pickled: the fields alone, as what is cached can be made again."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each weight by name; `member_weight` names those of an ensemble."""
        shapes = {weight.name: weight.shape for weight in self.network.weights}
        if not self.tasks:
            return shapes
        return {
            member_weight(number, name): shape
            for number in range(1, len(self.tasks) + 1)
            for name, shape in shapes.items()
        }

    @property
    def uncertainty(self) -> str:
        """A note on how far the coverage of intervals may be off their level; empty if hardly."""
        return self.conformal.uncertainty(self.level) if self.conformal else ""

    @cached_property
    def task(self) -> Task:
        """The prediction task, see `Task.for_loss`."""
        return self.encoding.task.for_loss(self.config.loss)

    @property
    def members(self) -> int:
        """The number of networks."""
        return len(self.tasks) or 1

    def read(
        self,
        source: Source | MemoryTable,
        storage: Storage = IN_MEMORY,
        others: Sequence[str] | None = None,
    ) -> Table:
        """Read a table as training read its own.

        Args:
            source: the table.
            storage: where to keep the rows.
            others: the only columns to read in addition to the network's columns, where a file
                allows that: Parquet. [default: all]

        Raises:
            UsageError: for a file that isn't there.
            DataError: for a file that is no table.
        """
        features = [feature.column for feature in self.encoding.features]
        columns = None if others is None else {*features, *others}
        table = read_table(source, self.missing_words, self.config.data.format, storage, columns)
        return table.written_like(self.encoding.notations)

    def batch(self, rows: pa.Table, file: str, before: int = 0) -> Table:
        """Take some rows of a longer table. Numbers in texts are read in training's notations.

        Args:
            rows: the rows, in types that `read_table` has.
            file: the table's file, for messages.
            before: the number of rows that precede them there.
        """
        numbers = np.arange(before + 1, before + 1 + rows.num_rows, dtype=np.int64)
        words = {name: self.missing_words(name) for name in rows.column_names}
        return Table(file, rows, numbers, words, notations=self.encoding.notations)

    def reads_alike_in_batches(self, schema: pa.Schema) -> bool:
        """Return whether `batch` reads any rows of a file as `read` does.

        It does not if numbers are texts, whose notation all values of a column decide.
        """
        texts = {field.name for field in schema if column_kind(field.type) == "text"}
        numbers = (each for each in self.encoding.features if each.reads_numbers)
        return texts.isdisjoint(each.column for each in numbers)

    @property
    def rows_at_once(self) -> int:
        """The most rows that are encoded at once."""
        return rows_at_once(self.network.inputs, MAX_ROWS_AT_ONCE)

    def predict(self, rows: Table | FewRows, problems: ValueProblems) -> Predictions:
        """Predict rows.

        Args:
            rows: rows with the columns that training read, in any order; the target isn't needed.
            problems: records values that can't be encoded or that training didn't see.

        Returns:
            The predictions, in the order of the rows.

        Raises:
            DataError: for columns that the table doesn't have, or values that can't be encoded.
        """
        if isinstance(rows, FewRows):
            return self.predict_encoded(self.encoding.transform(rows, problems))
        if not rows.rows:
            return self._predict_none(rows)
        parts = (self.encoding.transform(part, problems) for part in rows.parts(self.rows_at_once))
        return Predictions.concatenate([self.predict_encoded(part) for part in parts])

    def _predict_none(self, table: Table) -> Predictions:
        """Return the predictions of no rows, of the types that those of some have."""
        if not table.columns:  # a table of Arrow has no rows then
            raise DataError("has no columns", file=table.file)
        fields = table.data.schema
        missing = pa.table([pa.nulls(1, each.type) for each in fields], names=fields.names)
        predictions = self.predict(self.batch(missing, table.file), ValueProblems(lenient=True))
        return predictions.take(np.empty(0, np.int64))

    def few_rows(
        self, records: Sequence[object], table: Callable[[], Table], file: str
    ) -> FewRows | Table:
        """Take rows as they are, which `predict` encodes many times as fast as a table of them.

        Args:
            records: a mapping of columns to values for each row.
            table: reads the same rows as a table.
            file: the table's name in messages.

        Returns:
            The table for many rows, or if something about them is rare.
        """
        if not 0 < len(records) <= MOST_ROWS:
            return table()
        return few_rows(records, self._readings, table, file)

    @cached_property
    def missing_words(self) -> MissingWords:
        """A function of a column's name: the words that count as missing in it."""
        return words_to_read(self.config.data, self.config.input.features or {})

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        columns = (each.column for each in self.encoding.features)
        return {name: Reading(self.missing_words(name), self.notation(name)) for name in columns}

    def notation(self, column: str) -> Notation:
        """Return the notation of a column of the training table."""
        return self.encoding.notations.get(column, Notation())

    def predict_zeros(self) -> Predictions:
        """Predict one row of zeros, which shows the types of all outputs."""
        return self.predict_encoded(InMemoryInputs(np.zeros((1, self.network.inputs), np.float32)))

    def predict_encoded(self, inputs: Inputs) -> Predictions:
        """Predict encoded rows."""
        if self.conformal is None:
            return self.decode(self.outputs(inputs))
        numbers = range(1, self.members + 1)
        each = [self.network.forward(inputs, self.weights_of(number)) for number in numbers]

        def predict(chosen: Sequence[int]) -> Predictions:
            return self.decode(self._average([each[number - 1] for number in chosen], chosen))

        predictions = predict(numbers)
        folds = [predict(chosen) for chosen in self.members_by_fold] or [predictions]
        return replace(predictions, regions=self.conformal.regions(predictions, folds, self.level))

    @property
    def members_by_fold(self) -> list[range]:
        """For each fold, the members that are validated on it, from 1; none without folds."""
        folds = self.config.ensemble_folds or 0
        return [range(fold + 1, len(self.tasks) + 1, folds) for fold in range(folds)]

    def outputs(self, inputs: Inputs, numbers: Sequence[int] | None = None) -> Outputs:
        """Return the network's outputs as trained on; for an ensemble their average.

        Args:
            inputs: the encoded rows.
            numbers: the members of an ensemble to average, from 1; all if omitted.

        Returns:
            (rows, units).
        """
        chosen = numbers or range(1, self.members + 1)
        outputs = [self.network.forward(inputs, self.weights_of(number)) for number in chosen]
        return self._average(outputs, chosen)

    def predict_by_fold(
        self, inputs_of: Callable[[Indices], Inputs], folds: Sequence[Indices]
    ) -> Predictions:
        """Predict rows that members were trained on, each by the members that were not.

        Args:
            inputs_of: returns the encoded inputs of rows, given their indices.
            folds: the indices of the rows of each fold, which together are all rows once.
        """
        outputs = np.empty((sum(map(len, folds)), self.network.outputs))
        for numbers, rows in zip(self.members_by_fold, folds, strict=True):
            outputs[rows] = self.outputs(inputs_of(rows), numbers)
        return self.decode(outputs)

    def _average(self, outputs: Sequence[Outputs], numbers: Sequence[int]) -> Outputs:
        mean = outputs[0]
        if self.tasks:
            mean = self.task.average(outputs, [self.tasks[number - 1] for number in numbers])
        return np.asarray(self.with_floor(mean))

    def with_floor(self, mean: Any) -> Any:  # noqa: ANN401
        """Apply `output.probability_floor` to the members' mean, an array or a value of a graph."""
        floor = self.config.output.probability_floor
        assert floor != "auto"  # resolved
        return mean if floor is None else self.task.with_floor(mean, floor)

    def weights_of(self, number: int) -> Weights:
        """Return the weights of a member by name; those of a single network are of member 1."""
        if not self.tasks:
            return self.weights
        names = [weight.name for weight in self.network.weights]
        return {name: self.weights[member_weight(number, name)] for name in names}

    def decode(self, outputs: Outputs) -> Predictions:
        """Return the predictions of a network's outputs as trained on, (rows, units)."""
        return Predictions(self.task, outputs)

    def unread_columns(self, table: Table, keep: Sequence[str] = ()) -> list[str]:
        """Return the columns of a table that training did not have and that nothing reads.

        Args:
            table: the table.
            keep: columns that are passed through.
        """
        data, features = self.config.data, self.config.input.features or {}
        known = {*features, *data.reserved, *keep}
        return [name for name in (*table.columns, *table.unread) if name not in known]

    @property
    def metric_columns(self) -> list[str]:
        """The columns that metrics are computed from, in addition to the predictions."""
        weight = self.config.data.sample_weight
        return [*self.task.columns, *([] if weight is None else [weight])]

    def evaluate(
        self, table: Table, problems: ValueProblems, *, reject: bool = False
    ) -> Evaluation:
        """Predict a table and compare the predictions with its target.

        Args:
            table: rows with the columns that training read, target and weight included.
            problems: records values that can't be encoded or that training didn't see. If it is
                lenient, rows whose target or weight can't be used are omitted.
            reject: omit rows with any other value that can't be encoded, too, and record those
                without a target among them.

        Raises:
            DataError: for columns that the table doesn't have; for values that can't be encoded,
                unless `problems` is lenient; or if no row is left.
        """
        weight = self.config.data.sample_weight
        absent = [column for column in self.metric_columns if column not in table.columns]
        if absent:
            message = f"has no {named_columns(absent)}, which metrics are computed from"
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
