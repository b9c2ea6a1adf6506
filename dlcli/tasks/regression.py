"""Tasks whose target is one or more numbers: amounts, counts, and quantiles of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dlcli.arrays import Floats, floats
from dlcli.columns import scaling as column_scaling
from dlcli.columns.scaling import LinearScaling, OutputScaling, Unscaled
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import ClassWeight, Config, Output
from dlcli.config.layer_choices import Activation
from dlcli.config.training_choices import Loss, MeanSquaredError, Poisson, QuantileLoss
from dlcli.errors import DataError
from dlcli.metrics.definitions import MAE, R2, RMSE, metric_values
from dlcli.metrics.explained_quantiles import of_level
from dlcli.metrics.metric import Metric, NumberRows, Rows
from dlcli.metrics.quantiles import middle_of, quantile_rows
from dlcli.metrics.statistic import Metrics, weighted_quantile
from dlcli.tables.table import Table
from dlcli.tasks import task as base
from dlcli.tasks.task import Outputs, TargetValues, Task, mean_of_members

Problems = Iterator[tuple[NDArray[np.bool_], Callable[[int], str]]]
"""Whether each row has an invalid value, (rows,), and a function from its index to the problem."""


class _Numbers(Task):
    """Base of regression and counts."""

    scalings: tuple[LinearScaling, ...] = ()
    """The scaling of each column, fitted on training rows; empty before fitting."""
    loss: Any = Field(default=None, exclude=True)
    """The training loss, which may define a metric; see `for_loss`."""

    outcome = "numbers"
    has_probabilities = False
    rows_type = NumberRows
    error_metric = RMSE
    charts = ("predicted_and_true", "residuals", "deciles")
    noun: ClassVar[str]
    """The content of each column: `number`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.columns or self.scalings and len(self.columns) != len(self.scalings):
            raise ValueError("each column needs a scaling")
        if self.names:
            raise ValueError("a numeric target has no classes or labels")
        return self

    @property
    def width(self) -> int:
        return len(self.columns)

    @property
    def charts_of_loss(self) -> tuple[str, ...]:
        has_lift = self.loss is not None and self.loss.allows_exposure
        return (*["lift"] * has_lift, *["levels"] * bool(self.levels))

    @property
    def words(self) -> str:
        return f"a {self.noun}" if self.width == 1 else f"{self.width:,} {self.noun}s"

    def describe(self, columns: str, names: str) -> str:
        return f"{columns}, {self.words}" if self.width == 1 else f"{self.words}: {columns}"

    # Encoding.

    def fit(self, scaling: OutputScaling | None, train: Table) -> Self:
        wanted = scaling or Unscaled()
        bare = (LinearScaling(name=wanted.name),) * self.width
        unfitted = self.model_copy(update={"scalings": bare, "reason": ""})
        try:
            columns = unfitted.values(train, ValueProblems()).T
        except DataError as error:
            if not all(train.column(column).looks_numeric() for column in self.columns):
                error.add_note(
                    "hint: for a categorical target, set data.target.type: categorical"
                    if self.width == 1
                    else "hint: several target columns must be numbers, or labels with "
                    "type: multi_label; for classes, name one column"
                )
            raise
        fitted = tuple(wanted.fit(column) for column in columns)
        return unfitted.model_copy(update={"scalings": fitted})

    @property
    def _scalings(self) -> tuple[LinearScaling, ...]:
        return self.scalings or (LinearScaling(name="none"),) * self.width

    def encode(self, table: Table, problems: ValueProblems) -> NDArray[np.float32]:
        triples = zip(self._scalings, self.values(table, problems).T, self.columns, strict=True)
        scaled = [
            column_scaling.scale_column(scaling.apply, values, table, column, problems)
            for scaling, values, column in triples
        ]
        return np.stack(scaled, axis=1).astype(np.float32)

    def values(self, table: Table, problems: ValueProblems) -> Floats:
        columns = []
        for column, scaling in zip(self.columns, self._scalings, strict=True):
            base.refuse_missing(table, column, problems)
            parsed = table.column(column).numbers()
            problems.refuse(parsed.unreadable, table, column, parsed.problem)
            for wrong, problem in self._out_of_range(parsed.values, scaling):
                problems.refuse(wrong, table, column, problem)
            columns.append(np.nan_to_num(parsed.values))
        return np.stack(columns, axis=1)

    def _out_of_range(self, values: Floats, scaling: LinearScaling) -> Problems:
        """Yield the numbers that the target or its scaling does not allow, with the reason."""
        return column_scaling.out_of_range(scaling.name, values)

    # Output, loss and metrics.

    def output_units(self, loss: Loss) -> int:
        return self.width * loss.units_per_number

    def explain_units(self, loss: Loss) -> str:
        if loss.units_per_number > 1:
            return f"one for each of the levels of the loss '{loss.name}'"
        return f"one for each of the target's columns {self.name}"

    def default_scaling(self, loss: Loss, activation: Activation) -> OutputScaling:
        if loss.scales_with_target:
            return column_scaling.DivideByMean()
        is_free = activation.name == "linear" and not loss.needs_original_scale
        return column_scaling.Standard() if is_free else Unscaled()

    summary_metrics = (R2, RMSE, MAE)

    def headlines(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        """Return R² and an error in the target's unit; for several targets, the main metric."""
        main = super().headlines(named, metrics)
        of_loss = self.loss_metric or RMSE
        is_usual = self.width == 1 and of_loss.name in (RMSE.name, MAE.name)
        if not is_usual or metrics.get(R2.name) is None:
            return main
        errors = (*named, MAE.name, RMSE.name)
        known = (name for name in errors if name != R2.name and metrics.get(name) is not None)
        return R2.name, *list(known)[:1]

    def epoch_metrics(self, loss: Loss) -> tuple[str, ...]:
        names, first = super().epoch_metrics(loss), loss.comparison_metric
        if first is None or not loss.shows_metric:
            return names
        return tuple(sorted(names, key=lambda name: name != first.name))

    @property
    def default_metric(self) -> Metric:
        """MAE; R² for several columns, as their units may differ."""
        return MAE if self.width == 1 else R2

    def other_type_for(self, loss: Loss) -> str:
        if self.width == 1:
            if "numbers" in loss.fits:
                return "; it fits several columns as data.target"
            return "; for classes, set data.target: {column: ..., type: categorical}"
        if "labels" in loss.fits:
            return "; for labels, set data.target: {column: [...], type: multi_label}"
        return ""

    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        yield None, f"the target {self.name} is {self.words} and has no classes"

    def check_values(self, loss: Loss, tables: Sequence[Table]) -> None:
        signs = loss.requires_nonnegative or loss.requires_positive or loss.requires_nonzero
        if not (signs or loss.requires_share):
            return
        for table in tables:
            for column in self.columns:
                _refuse_undefined(table, column, loss)

    def training_warnings(self, output: Output, train: Table) -> Iterator[str]:
        assert output.activation is not None  # resolved
        low, high = output.activation.bounds
        if not (math.isfinite(low) or math.isfinite(high)):
            return
        reach = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        scaled = "" if isinstance(output.scaling, Unscaled) else ", scaled,"
        scalings = self.fit(output.scaling, train).scalings
        for column, scaling in zip(self.columns, scalings, strict=True):
            values = scaling.apply(train.numbers(column))
            if values.min() < low or values.max() > high:
                yield (
                    f"the target '{column}'{scaled} ranges from {values.min():g} to "
                    f"{values.max():g}, but the output activation "
                    f"'{output.activation.name}' only reaches {reach}; set an "
                    "output.activation that covers the range of the target, such as linear if the "
                    "loss allows it"
                )

    # Training.

    @property
    def output_unit(self) -> base.OutputUnit:
        return base.OutputUnit(
            scale=tuple(scaling.scale for scaling in self._scalings),
            offset=tuple(scaling.offset for scaling in self._scalings),
            is_log=self._scalings[0].name == "log1p",
            names=tuple(scaling.name for scaling in self._scalings),
        )

    def encode_predictions(self, predicted: TargetValues) -> NDArray[np.float32]:
        columns = zip(self._scalings, predicted.T, strict=True)
        scaled = [scaling.apply(values) for scaling, values in columns]
        return np.stack(scaled, axis=1).astype(np.float32)

    # Predictions.

    def for_loss(self, loss: Loss | None) -> _Numbers:
        if isinstance(loss, QuantileLoss):
            return _quantiles_of(self, loss)
        return self.model_copy(update={"loss": loss})

    def decode(self, outputs: Outputs) -> Floats:
        if len(self._scalings) == 1:  # fast for single rows
            return self._scalings[0].invert(outputs)
        pairs = zip(self._scalings, outputs.T, strict=True)
        return np.stack([scaling.invert(values) for scaling, values in pairs], axis=1)

    def average(
        self, outputs: Sequence[Outputs], tasks: Sequence[Self], weights: Sequence[float]
    ) -> Outputs:
        pairs = zip(tasks, outputs, strict=True)
        means = mean_of_members([task.decode(each) for task, each in pairs], weights)
        columns = zip(self._scalings, means.T, strict=True)
        return np.stack([scaling.apply(values) for scaling, values in columns], axis=1)

    def predict(self, decoded: Outputs) -> Outputs:
        return decoded

    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        values = self.values(train, ValueProblems())
        if (exposures := base.exposures_of(train, config.data.exposure)) is not None:
            assert config.loss is not None  # resolved
            values = values / exposures
            own = exposures[:, 0] ** config.loss.exposure_power
            weights = own if weights is None else own * weights
        centers = self.comparison_metric(config).center(values, weights)
        pairs = zip(self._scalings, centers, strict=True)
        return np.array([scaling.apply(np.array([center]))[0] for scaling, center in pairs])

    # Evaluation.

    def comparison_metric(self, config: Config) -> Metric:
        """Return the metric that the loss minimizes, or R² for several columns.

        Errors of several columns may have different units, so their shares are compared.
        """
        assert config.loss is not None  # resolved
        metric = config.loss.comparison_metric or MAE
        if metric.of_loss:
            return metric
        if self.width > 1:
            return R2
        return MAE if isinstance(config.output.scaling, column_scaling.Log1p) else metric

    def metrics(self, rows: base.DecodedRows) -> Metrics:
        metrics = super().metrics(rows)
        if self.width == 1:
            return metrics
        parts: dict[str, Metrics] = {}
        for at, column in enumerate(self.columns):
            part = replace(rows, values=rows.values[:, [at]], decoded=rows.decoded[:, [at]])
            parts[column] = metric_values(self.statistics(part))
        return {**metrics, "by_column": parts}

    @property
    def loss_metric(self) -> Metric | None:
        return None if self.loss is None else self.loss.comparison_metric

    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        return np.abs(self.decode(outputs) - values)

    @property
    def score_names(self) -> tuple[str, ...]:
        return self.columns

    # Columns of stored predictions.

    def value_columns(self, values: TargetValues, prefix: str) -> dict[str, pa.Array]:
        columns = zip(self._named(prefix), values.T, strict=True)
        return {name: floats(column) for name, column in columns}

    def value_lists(self, values: TargetValues, prefix: str) -> dict[str, list[Any]]:
        names = self._named(prefix)
        return {name: column.tolist() for name, column in zip(names, values.T, strict=True)}

    def score_columns(self, outputs: Outputs) -> dict[str, Outputs]:
        return {}

    def read_values(self, columns: base.StoredPredictions, prefix: str) -> TargetValues:
        return columns.floats(*self._named(prefix))

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        return self._named("prediction")

    def _named(self, prefix: str) -> tuple[str, ...]:
        if self.width == 1:
            return (prefix,)
        return tuple(f"{prefix}_{column}" for column in self.columns)


class Regression(_Numbers):
    """One or more numbers."""

    kind: Literal["regression"] = "regression"
    type = "numeric"
    noun = "number"
    usual_loss = MeanSquaredError


class Counts(_Numbers):
    """One or more counts: integers from 0; the prediction is their mean."""

    kind: Literal["counts"] = "counts"
    type = "count"
    noun = "count"
    usual_loss = Poisson

    def _out_of_range(self, values: Floats, scaling: LinearScaling) -> Problems:
        yield from super()._out_of_range(values, scaling)
        message = "a count must be a non-negative integer, got {:.12g}".format
        yield (values < 0) | (values > np.floor(values)), lambda at: message(values[at])


class _Quantiles(_Numbers):
    """Base of the quantiles of a number and of a count.

    The network has one output for each level. The quantiles of a row are its outputs in ascending
    order, so they never cross. The prediction is the quantile of the level nearest to 0.5.
    """

    @property
    def levels(self) -> tuple[float, ...]:
        levels: tuple[float, ...] = self.loss.levels
        return levels

    @property
    def middle(self) -> int:
        """The index of the level whose quantile is the prediction."""
        return middle_of(self.levels)

    @property
    def rows_type(self) -> type[Rows]:  # type: ignore[override]
        """The type of rows with all quantiles."""
        return quantile_rows(self.middle)

    def accepts_units(self, units: int) -> bool:
        return units == len(self.levels)

    # Predictions.

    def decode(self, outputs: Outputs) -> Floats:
        [scaling] = self._scalings
        return np.sort(scaling.invert(outputs), axis=1)

    def average(
        self, outputs: Sequence[Outputs], tasks: Sequence[Self], weights: Sequence[float]
    ) -> Outputs:
        [own] = self._scalings
        pairs = zip(tasks, outputs, strict=True)
        each = [task.scalings[0].invert(outputs) for task, outputs in pairs]
        return own.apply(mean_of_members(each, weights).astype(np.float64))

    def predict(self, decoded: Outputs) -> Outputs:
        return decoded[:, self.middle : self.middle + 1]

    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        [values] = self.values(train, ValueProblems()).T
        rows = np.ones(len(values)) if weights is None else weights
        centers = [weighted_quantile(values, rows, level) for level in self.levels]
        return np.asarray(self._scalings[0].apply(np.array(centers)))

    # Evaluation.

    def metrics(self, rows: base.DecodedRows) -> Metrics:
        """Compute all metrics, and for each level the loss, D² and the share of values below."""
        made: Any = self.rows_type.of(rows.values, rows.decoded, rows.weights)
        by_level = {
            f"{level:g}": metric_values(of_level(made, at, level))
            for at, level in enumerate(self.levels)
        }
        return {**super().metrics(rows), "by_level": by_level}

    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        return np.abs(self.predict(self.decode(outputs)) - values)

    # Columns of stored predictions.

    def score_columns(self, outputs: Outputs) -> dict[str, NDArray[Any]]:
        return dict(zip(self.decoded_columns, self.decode(outputs).T, strict=True))

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        return tuple(f"prediction_{level:g}" for level in self.levels)


class NumberQuantiles(_Quantiles, Regression):
    """The quantiles of a number."""

    kind: Literal["regression"] = "regression"


class CountQuantiles(_Quantiles, Counts):
    """The quantiles of a count."""

    kind: Literal["counts"] = "counts"


def _quantiles_of(task: _Numbers, loss: Any) -> _Quantiles:  # noqa: ANN401
    """Return the task of the quantiles of a numeric target.

    Args:
        task: the task of the target.
        loss: the loss, with the levels of the quantiles.
    """
    kind = CountQuantiles if isinstance(task, Counts) else NumberQuantiles
    return kind(columns=task.columns, scalings=task.scalings, reason=task.reason, loss=loss)


def _refuse_undefined(table: Table, column: str, loss: Loss) -> None:
    values = table.numbers(column)
    if loss.requires_positive:
        wrong, needed = values <= 0, "above 0"
    elif loss.requires_share:
        wrong, needed = (values < 0) | (values > 1), "from 0 to 1"
    elif loss.requires_nonnegative:
        wrong, needed = values < 0, "of 0 or more"
    else:
        wrong, needed = values == 0, "other than 0"
    message = f"the loss '{loss.name}' needs a target {needed}, got {{:g}}".format
    table.refuse(wrong, column, lambda at: message(values[at]))
