"""Trained models and their predictions, without TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.api.arguments import check_frequencies, check_level, column_names, table_source, warn
from dlcli.arrays import Matrix
from dlcli.columns.value_problems import Place
from dlcli.config.config_file import parse_decision
from dlcli.config.config_schema import Config
from dlcli.errors import UsageError, check_word, plural
from dlcli.explanation.shapley import ShapleyExplainer, UnitChoice
from dlcli.pipeline.table_explanation import (
    ExplainedTable,
    background_from,
    explain_table,
    stored_background,
)
from dlcli.pipeline.table_prediction import BadRows, RowDifferences, TablePrediction
from dlcli.pipeline.wanted_changes import RowChanges, Wish, changes_json, search_changes
from dlcli.prediction.prediction_tables import assemble
from dlcli.prediction.predictions import Intervals, Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.report_files import to_card
from dlcli.reports.shapley_views import changes_view, shapley_view
from dlcli.reports.views import View, render_table, render_text
from dlcli.runs.environment import TrainingData
from dlcli.runs.run_folder import opened_network
from dlcli.schema.urls import Location
from dlcli.tables.memory_tables import MemoryTable, memory_table
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

_SHOWN_ROWS = 10
_SHOWN_EXPLANATIONS = 5
_SHOWN_COLUMNS = 5
OnBadRow = Literal["error", "warn"]
Batch = TypeVar("Batch")
"""The type of an object with some rows of a table."""


@dataclass(frozen=True)
class Model:
    """A trained network, or an ensemble, with its encoding.

    It is thread-safe and can be pickled; the pickle is hardly larger than the weights.
    """

    path: Location
    """The run folder, or its URL."""
    predictor: Predictor = field(repr=False)
    training_data: TrainingData = field(repr=False)
    _by_level: dict[float, Predictor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The predictors with intervals, by requested level."""
    _background: list[Matrix] = field(default_factory=list, init=False, repr=False, compare=False)
    """The background rows of the run, once an explanation has read them."""

    @classmethod
    def of(cls, folder: Location) -> Model:
        """Load the model of a run folder.

        Raises:
            RunError: if the run is missing or damaged, or has no network.
        """
        with opened_network(folder) as run:
            return cls(folder, run.predictor, run.trained_on)

    @property
    def config(self) -> Config:
        """The complete config of the training."""
        return self.predictor.config

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of classes or labels, in the order of probabilities; empty for numbers."""
        return self.predictor.task.names

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that predictions require."""
        return self.predictor.columns

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the network's inputs, in the order of the columns of `encode`."""
        blocks = self.predictor.encoding.layout.blocks
        return tuple(name for block in blocks for name in block.inputs)

    def with_decision(self, decision: str | Mapping[str, object]) -> Model:
        """Return the model with another rule for the predicted class; probabilities do not change.

        Args:
            decision: the rule, as in the config: `"threshold: 0.3"`, `{"maximize": "f1"}`, or
                `"default"` for the most probable class.

        Raises:
            ConfigError: if the rule is invalid.
            UsageError: if the run has no probabilities of classes, or no rows to choose a threshold
                on.
        """
        with opened_network(self.path) as run:
            decided = run.decided_by(parse_decision(decision))
            return replace(self, predictor=decided.predictor)

    def encode(self, data: object, *, on_bad_row: OnBadRow = "error") -> NDArray[np.float32]:
        """Encode each row of a table as the inputs of the network, such as those of `model.keras`.

        Args:
            data: see `predict`.
            on_bad_row: see `predict`.

        Returns:
            The scaled numbers, encoded categories and so on, with shape (rows, inputs); `inputs`
            has the names of the columns.

        Raises:
            DataError: see `predict`.
        """
        bad_rows = BadRows(on_bad_row)
        predictor = self._predictor(None, on_bad_row)
        found = TablePrediction(predictor, _warn, bad_rows).encode(table_source(data))
        treatment = bad_rows.words(found.differences.bad_rows)
        self._warn_of(found.differences, found.table.file, treatment, found.table.place)
        return found.inputs

    def predict(
        self,
        data: object,
        *,
        interval: float | None = None,
        prevalence: Mapping[str, float] | None = None,
        on_bad_row: OnBadRow = "error",
    ) -> Prediction:
        """Predict each row of a table, in order; a table in memory may be empty.

        Args:
            data: a table with the training columns, see `dlcli.train`, or the path of a file; the
                target is not required.
            interval: add prediction intervals with this coverage, such as 0.9; for classes,
                prediction sets.
            prevalence: convert probabilities to other frequencies of the classes among the rows,
                such as `{"yes": 0.02}`; other classes share the rest in proportion to their
                training rows. [default: the training rows, or `data.prevalence`]
            on_bad_row: `error` refuses a value that can't be read; `warn` treats it as missing.

        Raises:
            DataError: for data that are not a table, missing columns, or values that
                can't be read.
            UsageError: if the run has no held-out rows for intervals, or probabilities can't be
                converted.
        """
        predictor = self._warned_predictor(interval, on_bad_row, prevalence)
        bad_rows, source = BadRows(on_bad_row), table_source(data)
        if isinstance(source, MemoryTable) and not source.data.num_rows:
            empty = predictor.batch(source.data, source.name)
            return Prediction(predictor.predict(empty, bad_rows.new_record()), _index_of(data))
        found = TablePrediction(predictor, _warn, bad_rows).predict(source)
        treatment = bad_rows.words(found.differences.bad_rows)
        self._warn_of(found.differences, found.table.file, treatment, found.table.place)
        return Prediction(found.predictions, _index_of(data))

    def predict_rows(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        interval: float | None = None,
        prevalence: Mapping[str, float] | None = None,
        on_bad_row: OnBadRow = "error",
    ) -> Prediction:
        """Predict a few rows: like `predict`, but many times as fast for up to 64 rows.

        Args:
            rows: for each row, a mapping from columns to values; absent columns are missing values.
            interval: see `predict`.
            prevalence: see `predict`.
            on_bad_row: see `predict`.

        Raises:
            DataError, UsageError: see `predict`.
        """
        if not isinstance(rows, list | tuple):
            return self.predict(
                rows, interval=interval, prevalence=prevalence, on_bad_row=on_bad_row
            )
        predictor = self._warned_predictor(interval, on_bad_row, prevalence)
        bad_rows = BadRows(on_bad_row)
        prediction = TablePrediction(predictor, _warn, bad_rows)
        predictions, found = prediction.predict_records(rows, table_source)
        treatment = bad_rows.words(found.bad_rows)
        self._warn_of(found, "data", treatment, lambda index: f"row {index + 1}")
        return Prediction(predictions)

    def predict_batch(
        self,
        batch: Batch,
        *,
        keep: str | Sequence[str] = (),
        interval: float | None = None,
        prevalence: Mapping[str, float] | None = None,
        on_bad_row: OnBadRow = "error",
    ) -> Batch:
        """Predict some rows of a longer table, such as the batches of Ray Data and Spark.

        Unlike `predict`, it does not warn. It reads numbers in texts in the notation of the
        training rows, such as a decimal comma, so the prediction of a row does not depend on other
        rows. The batch may be empty.

        Args:
            batch: an Arrow table or record batch, a pandas or polars data frame, or a mapping from
                columns to arrays.
            keep: one or more columns to copy, before the predictions.
            interval: see `predict`. A pickled model contains the intervals of the levels that were
                requested before. For other levels, the process needs the run folder.
            prevalence: see `predict`.
            on_bad_row: see `predict`.

        Returns:
            The columns that `dlcli predict` writes, in an object of the same type.

        Raises:
            DataError, UsageError: see `predict`; also if a column to keep is missing.
        """
        predictor = self._predictor(interval, on_bad_row, prevalence)
        rows = memory_table(batch, "batch").data
        table, kept = predictor.batch(rows, "batch"), column_names("keep", keep)
        predictions = predictor.predict(table, BadRows(on_bad_row).new_record())
        predicted = assemble(predictions, table, kept)
        # Spark does not read lists with 64-bit offsets.
        fields = [
            field.with_type(pa.list_(field.type.value_type))
            if pa.types.is_large_list(field.type) and field.name not in kept
            else field
            for field in predicted.schema
        ]
        return _like(batch, predicted.cast(pa.schema(fields)))

    def evaluate(
        self,
        data: object,
        *,
        interval: float | None = None,
        by: str | Sequence[str] = (),
        on_bad_row: OnBadRow = "error",
    ) -> dict[str, Any]:
        """Compute the metrics of the rows of a table.

        Issues a `DataWarning` if the table was used for training, because its metrics are biased.

        Args:
            data: a table that contains the target, see `dlcli.train`, or the path of a file.
            interval: also compute prediction intervals of this level, and return the share of the
                rows that they cover and their mean width.
            by: one or more columns; also compute the metrics of each group of rows with the same
                value. `sex*region` combines columns; numbers are divided into ranges.
            on_bad_row: see `predict`; `warn` omits rows whose target can't be read.

        Returns:
            The metrics by name, `None` if undefined. With an interval, `interval` is a mapping with
            `level`, `coverage` and `mean_width` (for prediction sets, `mean_size`).
            With columns, `groups` is a list with the groups and the largest differences of each
            column, as in the JSON of `dlcli evaluate --by`.

        Raises:
            DataError, UsageError: see `predict`.
        """
        predictor = self._warned_predictor(interval, on_bad_row)
        bad_rows = BadRows(on_bad_row)
        prediction = TablePrediction(predictor, _warn, bad_rows)
        columns = column_names("by", by)
        found = prediction.evaluate(table_source(data), self.training_data, columns)
        treatment = bad_rows.words(found.differences.bad_rows, found.skipped)
        table = found.evaluation.table
        self._warn_of(found.differences, table.file, treatment, table.place)
        interval_found = found.evaluation.interval
        others: dict[str, Any] = {} if interval_found is None else {"interval": interval_found}
        if found.groups is not None:
            others["groups"] = [each.model_dump(mode="json") for each in found.groups.columns]
        return {**found.evaluation.metrics, **others}

    def explain(
        self,
        data: object,
        *,
        unit: UnitChoice = "auto",
        background: object = None,
        on_bad_row: OnBadRow = "error",
    ) -> PredictionExplanation:
        """Compute how much each column contributes to the prediction of each row (Shapley values).

        For each row, the contributions of all columns add up to the prediction minus the mean
        prediction for the background rows, which are training rows in the run folder.

        Args:
            data: see `predict`.
            unit: `auto`: the unit of the target or, for classes and labels, probability;
                `log-odds`: ln(p / (1 − p)), for two classes.
            background: a table of rows to compare with, instead of those in the run folder.
            on_bad_row: see `predict`.

        Raises:
            DataError: see `predict`.
            UsageError: for a unit that the target does not have, or if the run folder contains no
                training rows and `background` is omitted.
        """
        check_word("unit", unit, ("auto", "probability", "log-odds"))
        check_word("on_bad_row", on_bad_row, ("error", "warn"))
        bad_rows = BadRows(on_bad_row)
        source = None if background is None else table_source(background)
        if source is not None:
            matrix = background_from(self.predictor, source, bad_rows)
        else:
            if not self._background:
                with opened_network(self.path, with_background=True) as run:
                    self._background.append(stored_background(run))
            matrix = self._background[0]
        explainer = ShapleyExplainer(self.predictor, matrix, unit)
        found = explain_table(explainer, table_source(data), _warn, bad_rows)
        treatment = bad_rows.words(found.differences.bad_rows)
        self._warn_of(found.differences, found.table.file, treatment, found.table.place)
        return PredictionExplanation(found, self.predictor.task, _index_of(data))

    def changes(
        self, data: object, change: str, *, fixed: str | Sequence[str] = (), most: int = 5
    ) -> PredictionChanges:
        """Find the smallest changes of one to three columns that lead to a wanted prediction.

        The new values are within the ranges and categories of the training rows, and each change is
        verified by predicting the changed row. A change of a column need not be possible in
        reality, nor cause the predicted result.

        Args:
            data: see `predict`; the search takes up to some seconds for each row.
            change: the wanted prediction: a class, such as `approved=yes`, or a bound of a number,
                such as `price>250000`.
            fixed: one or more columns that must not change.
            most: maximum number of changes of each row.

        Raises:
            DataError: see `predict`.
            UsageError: if the target has no such prediction, or the network does not read a fixed
                column.
        """
        names = column_names("fixed", fixed)
        wish = Wish.parse(change, self.predictor.task)
        if most < 1:
            raise UsageError(f"'most': expected a positive integer, got {most}")
        table = self.predictor.read(table_source(data), others=())
        with opened_network(self.path, with_background=True) as run:
            found = search_changes(run, self.predictor, table, wish, names, most)
        return PredictionChanges(tuple(found), table)

    def _predictor(
        self,
        interval: float | None,
        on_bad_row: OnBadRow,
        prevalence: Mapping[str, float] | None = None,
    ) -> Predictor:
        """Check the arguments, and return the predictor with intervals at a level."""
        predictor = self._predictor_at(interval, on_bad_row)
        if prevalence is None:
            return predictor
        check_frequencies("prevalence", prevalence)
        if predictor.decision is None or not predictor.decision.is_chosen:
            return predictor.with_prevalence(prevalence)
        with opened_network(self.path) as run:
            return run.with_prevalence(predictor, prevalence)

    def _predictor_at(self, interval: float | None, on_bad_row: OnBadRow) -> Predictor:
        check_word("on_bad_row", on_bad_row, ("error", "warn"))
        if interval is None:
            return self.predictor
        check_level(interval)
        if interval not in self._by_level:
            with opened_network(self.path) as run:
                predictor = run.predictor_at(interval)
            decision = self.predictor.decision
            self._by_level[interval] = replace(predictor, decision=decision)
        return self._by_level[interval]

    def _warned_predictor(
        self,
        interval: float | None,
        on_bad_row: OnBadRow,
        prevalence: Mapping[str, float] | None = None,
    ) -> Predictor:
        """Return the predictor, and warn if the coverage of its intervals is uncertain."""
        predictor = self._predictor(interval, on_bad_row, prevalence)
        if predictor.uncertainty:
            warn(predictor.uncertainty)
        return predictor

    def _warn_of(
        self, differences: RowDifferences, file: str, treatment: str, place: Place
    ) -> None:
        for message in differences.warnings(file, self.predictor.encoding, treatment, place):
            warn(message)


def _warn(label: str, message: str) -> None:
    """Issue warnings as Python warnings; notes are only for the command line."""
    if label == "warning":
        warn(message)


@dataclass(frozen=True)
class Prediction:
    """Predictions of the rows of a table.

    It has the Arrow PyCapsule interface, so polars, pandas 3 and DuckDB can read it.
    """

    rows: Predictions = field(repr=False)
    index: Any = field(default=None, repr=False, compare=False)
    """The index of the predicted pandas data frame; `None` for other tables."""

    def __len__(self) -> int:
        return len(self.rows.outputs)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of classes or labels; empty for numbers."""
        return self.rows.task.names

    @cached_property
    def values(self) -> NDArray[Any]:
        """The predicted values.

        - Numbers: shape (rows,), or (rows, columns) for several target columns.
        - Classes: shape (rows,). Integers or booleans if the target has this type, else texts.
        - Labels: shape (rows, labels). 1 if the row has the label, else 0.
        """
        task, values = self.rows.task, self.rows.values
        if task.outcome == "classes":
            return task.class_values[values]
        is_single = task.outcome == "numbers" and values.shape[1] == 1
        return values[:, 0] if is_single else values

    @property
    def probabilities(self) -> NDArray[np.floating[Any]] | None:
        """The probability of each class or label, (rows, names); `None` for numbers."""
        return self.rows.probabilities

    @property
    def lower(self) -> NDArray[np.floating[Any]] | None:
        """The lower ends of intervals, in the shape of `values`; `None` without intervals."""
        return self._end(0)

    @property
    def upper(self) -> NDArray[np.floating[Any]] | None:
        """The upper ends of intervals, in the shape of `values`; `None` without intervals."""
        return self._end(1)

    def _end(self, which: int) -> NDArray[np.floating[Any]] | None:
        if not isinstance(self.rows.regions, Intervals):
            return None
        ends: NDArray[np.floating[Any]] = self.rows.regions.array[:, :, which]
        return ends[:, 0] if ends.shape[1] == 1 else ends

    def to_numpy(self) -> NDArray[Any]:
        """Return `values`."""
        return self.values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401
        return np.array(self.values, dtype=dtype, copy=copy)

    def to_arrow(self) -> pa.Table:
        """Return a table with the columns that `dlcli predict` writes."""
        return pa.table(self.rows.columns())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:  # noqa: ANN401  (pandas has no types of its own)
        """Return a pandas data frame with the columns that `dlcli predict` writes.

        It has the index of the predicted data frame, so its columns can be assigned to it.
        """
        frame = self.to_arrow().to_pandas()
        return frame if self.index is None else frame.set_axis(self.index)

    def __repr__(self) -> str:
        return f"Prediction of {plural(len(self), 'row')}:\n{self._first_rows()}"

    def _repr_html_(self) -> str:
        title = f"Prediction of {plural(len(self), 'row')}"
        return to_card(View(title, blocks=(self._table(),)))

    def _first_rows(self) -> str:
        return "\n".join(render_table(self._table()))

    def _table(self) -> views.TableBlock:
        columns = self.to_arrow().slice(0, _SHOWN_ROWS).to_pydict()
        rows = tuple(tuple(map(_cell, row)) for row in zip(*columns.values(), strict=True))
        return views.TableBlock(tuple(columns), rows, text_columns=())


@dataclass(frozen=True)
class PredictionExplanation:
    """Shapley values of the predictions of the rows of a table.

    It has the Arrow PyCapsule interface, so polars, pandas 3 and DuckDB can read it.
    """

    explained: ExplainedTable = field(repr=False)
    task: Task = field(repr=False)
    index: Any = field(default=None, repr=False, compare=False)
    """The index of the explained pandas data frame; `None` for other tables."""

    def __len__(self) -> int:
        return len(self.explained.values)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that the network reads."""
        return self.explained.values.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        """The explained outputs: target columns, classes or labels; the second of two classes."""
        return self.explained.values.outputs

    @property
    def unit(self) -> str:
        """The unit of all values: `target`, `probability`, `log-odds` or `margin`."""
        return self.explained.values.unit

    @property
    def values(self) -> NDArray[np.float64]:
        """The Shapley values, (rows, columns), or (rows, columns, outputs) if there are several."""
        return self._squeezed(self.explained.values.values)

    @property
    def standard_errors(self) -> NDArray[np.float64]:
        """The standard errors of the values, in the same shape; 0 if the values are exact."""
        return self._squeezed(self.explained.values.standard_errors)

    @property
    def predictions(self) -> NDArray[np.float64]:
        """The predictions in the unit, (rows,) or (rows, outputs)."""
        return self._squeezed(self.explained.values.predictions)

    @property
    def mean_predictions(self) -> NDArray[np.float64]:
        """The mean predictions for the background rows, (outputs,)."""
        return self.explained.values.means

    @property
    def is_exact(self) -> bool:
        """True if the values are exact, not estimated from permutations."""
        return self.explained.values.is_exact

    def _squeezed(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        return array[..., 0] if array.shape[-1] == 1 else array

    def to_arrow(self) -> pa.Table:
        """Return a table with the columns that `dlcli explain --output` writes."""
        return self.explained.values.to_arrow(self.explained.rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:  # noqa: ANN401  (pandas has no types of its own)
        """Return a pandas data frame with these columns and the index of the explained one."""
        frame = self.to_arrow().to_pandas()
        return frame if self.index is None else frame.set_axis(self.index)

    def _view(self) -> View:
        found = self.explained
        some = found.rows[:_SHOWN_EXPLANATIONS].tolist()
        target = ", ".join(self.task.columns)
        return shapley_view(found.values, found.texts(), some, target, _SHOWN_COLUMNS)

    def __str__(self) -> str:
        return render_text(self._view())

    def _repr_html_(self) -> str:
        return to_card(self._view())


@dataclass(frozen=True)
class PredictionChanges:
    """The smallest changes of the rows of a table that lead to a wanted prediction."""

    found: tuple[RowChanges, ...] = field(repr=False)
    table: Table = field(repr=False)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def rows(self) -> list[dict[str, object]]:
        """The changes of each row, as in the JSON of `dlcli explain --change`.

        `is_met` is true if the prediction of the unchanged row is the wanted one. `changes` is a
        list, the smallest change first, with the new `values` of columns, the `distance` from the
        row (in standard deviations for numbers, 1 for a category) and the prediction of the
        changed row.
        """
        return [changes_json(each) for each in self.found]

    def _view(self) -> View:
        some = self.found[:_SHOWN_EXPLANATIONS]
        return changes_view(some, self.table, range(1, len(some) + 1))

    def __str__(self) -> str:
        return render_text(self._view())

    def _repr_html_(self) -> str:
        return to_card(self._view())


def _like(batch: Batch, rows: pa.Table) -> Batch:
    """Convert rows to the type of the predicted batch."""
    given: Any = batch
    library = type(given).__module__.partition(".")[0]
    if isinstance(given, pa.RecordBatch):
        whole = rows.combine_chunks().to_batches()
        converted = whole[0] if whole else pa.RecordBatch.from_pylist([], schema=rows.schema)
    elif isinstance(given, Mapping):
        converted = {name: rows.column(name).to_numpy() for name in rows.column_names}
    elif library == "pandas":
        converted = rows.to_pandas().set_axis(given.index)
    elif library == "polars":
        converted = type(given)(rows)
    else:
        converted = rows
    return cast(Batch, converted)


def _index_of(data: object) -> Any:  # noqa: ANN401  (pandas has no types of its own)
    pandas = sys.modules.get("pandas")
    return data.index if pandas and isinstance(data, pandas.DataFrame) else None


def _cell(value: object) -> str:
    """Format a predicted value: a class, a number, or a prediction set."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return fmt.number(value) if isinstance(value, float) else str(value)
