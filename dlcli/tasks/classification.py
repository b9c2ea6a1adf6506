"""Tasks whose target is one of several classes, or any of several labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dlcli.arrays import Floats, integers, strings
from dlcli.columns.value_problems import ValueProblems
from dlcli.config import training_choices
from dlcli.config.config_schema import ClassWeight, Config, Output
from dlcli.config.decision_section import Decision
from dlcli.config.layer_choices import Softmax
from dlcli.errors import ConfigError, Problem, did_you_mean, first_names
from dlcli.metrics import definitions
from dlcli.metrics.metric import (
    ClassRows,
    LabelRows,
    MarginRows,
    PairRows,
    choose_class,
    weighted_mean,
    weighted_threshold,
)
from dlcli.metrics.statistic import Metrics
from dlcli.schema.yaml_document import format_path
from dlcli.tables.table import Table
from dlcli.tasks import prior_shift
from dlcli.tasks import task as base
from dlcli.tasks.decision import decision_problems, matrices_of, thresholds_of
from dlcli.tasks.task import Outputs, TargetValues, Task

StorageType = Literal["text", "integer", "boolean"]

_PATTERNS = {
    "integer": re.compile(r"0|-?[1-9][0-9]{0,17}"),
    "boolean": re.compile(r"true|false"),
}
"""Patterns of class names that can be stored as the type."""
_PYTHON_TYPES: dict[str, Callable[[str], object]] = {
    "text": str,
    "integer": int,
    "boolean": "true".__eq__,
}
_ARROW_TYPES = {"text": pa.string(), "integer": pa.int64(), "boolean": pa.bool_()}


class _Classes(Task):
    """Base of binary and multiclass tasks."""

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    stored: StorageType = "text"
    """The type of the target's column, also used for predictions."""

    type = "categorical"
    outcome = "classes"
    charts: ClassVar[tuple[str, ...]] = ("confusion", "roc", "precision_recall", "calibration")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("expected two or more classes, all different")
        if self.labels:
            raise ValueError("classes have no labels")
        if self.stored != "text" and not all(map(_PATTERNS[self.stored].fullmatch, self.classes)):
            raise ValueError(f"the classes are not of the type '{self.stored}'")
        for each in (self.frequencies, self.prevalence, self.class_weights):
            if each and (len(each) != len(self.classes) or min(each) < 0):
                raise ValueError("expected a number of 0 or more for each class")
        if 0.0 in (*self.prevalence, *self.class_weights):
            raise ValueError("expected a prevalence and a weight above 0 for each class")
        if (self.prevalence or self.class_weights) and not self.frequencies:
            raise ValueError("a prevalence and class weights require frequencies")
        return self

    summary_metrics = (
        definitions.ACCURACY,
        definitions.AUC,
        definitions.MACRO_F1,
        definitions.LOG_LOSS,
    )

    def headlines(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        """Return the main metric; for unequal classes, a robust metric precedes the accuracy.

        With costs, the mean cost replaces the accuracy, which a lower cost may reduce.
        """
        main = super().headlines(named, metrics)
        largest = definitions.largest_class(metrics, self.width)
        is_unequal = largest is not None and largest[1] >= definitions.UNEQUAL_CLASSES
        ranking = self.ranking_metric.name
        if main != (definitions.ACCURACY.name,):
            return main
        if metrics.get(definitions.COST.name) is not None:
            main = (definitions.COST.name,)
        return (ranking, *main) if is_unequal and metrics.get(ranking) is not None else main

    def figures(self, named: Sequence[str], metrics: Mapping[str, object]) -> tuple[str, ...]:
        found, rare = super().figures(named, metrics), definitions.AVERAGE_PRECISION.name
        if found[:1] == (definitions.AUC.name,) and metrics.get(rare) is not None:
            return tuple(dict.fromkeys((*found[:2], rare, *found[2:])))[: base.MOST_FIGURES]
        return found

    @property
    def class_values(self) -> NDArray[Any]:
        values = [*map(_PYTHON_TYPES[self.stored], self.classes)]
        return np.array(values, dtype=object if self.stored == "text" else None)

    def describe(self, columns: str, names: str) -> str:
        return f"{columns}, one of {self.words}: {names}"

    # Encoding.

    def encode(self, table: Table, problems: ValueProblems) -> NDArray[np.int64]:
        (column,) = self.columns
        base.refuse_missing(table, column, problems)
        codes, texts = table.codes(column)
        index = {name: at for at, name in enumerate(self.classes)}
        known = np.array([*(index.get(text, -1) for text in texts), -1], dtype=np.int64)
        indices = known[codes]
        shown = table.column(column).shown
        names = first_names(self.classes, 10)

        def problem(at: int) -> str:
            return (
                f"{shown(at)} is not one of the classes that the network was trained on ({names})"
            )

        problems.refuse((indices < 0) & (codes >= 0), table, column, problem)
        return indices

    # Output, loss and metrics.

    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        for name in class_weight if isinstance(class_weight, Mapping) else ():
            if name not in self.classes:
                near = did_you_mean(name, self.classes)
                yield name, f"no such class{near or f'; there are {first_names(self.classes)}'}"

    def prevalence_problems(
        self, prevalence: Mapping[str, float], loss: training_choices.Loss, output: Output
    ) -> Iterator[tuple[str | None, str]]:
        if reason := prior_shift.obstacle(loss, output):
            yield None, f"can't correct the probabilities, because {reason}"
        yield from prior_shift.frequency_problems(prevalence, self.classes)

    def decision_problems(self, decision: Decision) -> Iterator[tuple[str | None, str]]:
        yield from decision_problems(decision, self.classes)

    # Training.

    def loss_labels(
        self, encoded: TargetValues, loss: training_choices.Loss, units: int
    ) -> TargetValues:
        if units == 1:
            return encoded[:, np.newaxis].astype(np.float32)
        if loss.one_hot:
            return np.asarray(encoded[:, np.newaxis] == np.arange(units), dtype=np.float32)
        return encoded.astype(np.int32)

    def loss_weights(
        self, encoded: TargetValues, weights: Floats | None, class_weight: ClassWeight | None
    ) -> NDArray[np.float32] | None:
        """Return row weights times the weights of the rows' classes, (rows,).

        Like in scikit-learn, `balanced` gives class c the weight Σw / (number of classes · Σw of
        class c), over the classes in the rows. A class that a mapping omits has weight 1.
        """
        if class_weight is None:
            return super().loss_weights(encoded, weights, None)
        weights = np.ones(len(encoded)) if weights is None else weights
        product: Floats = weights * self._class_factors(encoded, weights, class_weight)[encoded]
        return product.astype(np.float32)

    def _class_factors(
        self, encoded: TargetValues, weights: Floats | None, class_weight: ClassWeight
    ) -> Floats:
        """Return the weight of each class, see `loss_weights`; 1 for a class without rows."""
        if isinstance(class_weight, Mapping):
            return np.array([class_weight.get(name, 1.0) for name in self.classes])
        sums = np.bincount(encoded, weights, minlength=self.width)
        present = sums > 0
        return np.where(present, sums.sum() / (present.sum() * np.where(present, sums, 1.0)), 1.0)

    def with_frequencies(
        self, encoded: TargetValues, weights: Floats | None, config: Config
    ) -> Self:
        task, given = self.with_class_weights(encoded, weights, config), config.data.prevalence
        if given is None:
            return task
        for name in given:
            if not task.frequencies[self.classes.index(name)]:
                path = format_path(("data", "prevalence", name))
                raise ConfigError([Problem(path, "no training row has this class")])
        known = prior_shift.complete_frequencies(given, self.classes, task.frequencies)
        return task.model_copy(update={"prevalence": known})

    def with_class_weights(
        self, encoded: TargetValues, weights: Floats | None, config: Config
    ) -> Self:
        sums = np.bincount(encoded, weights, minlength=self.width)
        update = {"frequencies": tuple((sums / (sums.sum() or 1)).tolist())}
        if not config.class_weight:
            return self.model_copy(update=update)
        assert config.loss is not None  # resolved
        if not prior_shift.obstacle(config.loss, config.output):
            factors = self._class_factors(encoded, weights, config.class_weight)
            update["class_weights"] = tuple(factors.tolist())
        return self.model_copy(update=update)

    # Predictions.

    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        counts = np.bincount(self.encode(train, ValueProblems()), weights, minlength=self.width)
        shares: Floats = counts / counts.sum()
        return shares[-1:] if config.output.units == 1 else shares

    # Evaluation.

    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        probabilities = self.probabilities(outputs)
        of_truth = np.take_along_axis(probabilities, values[:, np.newaxis], axis=1)
        return np.asarray(definitions.cross_entropy(of_truth.astype(np.float64)))

    # Columns of stored predictions.

    def value_columns(self, values: TargetValues, prefix: str) -> dict[str, pa.Array]:
        classes = strings(self.classes, pa.string()).cast(_ARROW_TYPES[self.stored])
        return {prefix: classes.take(integers(values))}

    def value_lists(self, values: TargetValues, prefix: str) -> dict[str, list[Any]]:
        convert = _PYTHON_TYPES[self.stored]
        return {prefix: [convert(self.classes[index]) for index in values.tolist()]}

    def read_values(self, columns: base.StoredPredictions, prefix: str) -> TargetValues:
        return columns.indices(prefix, self.classes)


class Binary(_Classes):
    """One of two classes; the output is the probability of the second class."""

    kind: Literal["binary"] = "binary"
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    rows_type = PairRows
    usual_loss = training_choices.BinaryCrossentropy
    charts: ClassVar[tuple[str, ...]] = (*_Classes.charts, "thresholds")

    def output_units(self, loss: training_choices.Loss) -> int:
        return 2 if loss.output == "shares" else 1

    def explain_units(self, loss: training_choices.Loss) -> str:
        if loss.output == "shares":
            return super().explain_units(loss)
        return f"one probability for two classes with '{loss.name}'"

    def accepts_units(self, units: int) -> bool:
        return units in (1, 2)

    def default_loss(self, output: Output) -> training_choices.Loss:
        is_softmax = isinstance(output.activation, Softmax) and output.units != 1
        if is_softmax or output.units not in (None, 1):
            return training_choices.SparseCategoricalCrossentropy()
        return super().default_loss(output)

    def for_loss(self, loss: training_choices.Loss | None) -> Binary:
        is_margin = loss is not None and loss.output == "margin"
        return (_Margin if is_margin else Binary)(**dict(self))

    def decode(self, outputs: Outputs) -> Outputs:
        return outputs[:, -1:]

    @property
    def threshold(self) -> float:
        """The probability above which the second class is predicted.

        It is chosen by the decision, or follows from the class weights.
        """
        if self.decision is not None and self.decision.threshold is not None:
            return self.decision.threshold
        return weighted_threshold(self.class_weights) if self.class_weights else super().threshold

    def predict(self, decoded: Outputs) -> NDArray[np.int64]:
        return (decoded[:, 0] > self.threshold).astype(np.int64)

    def metric_rows(
        self, values: TargetValues, decoded: Outputs, weights: Floats | None
    ) -> PairRows:
        rows = self.rows_type.of(values, decoded, weights)
        assert isinstance(rows, PairRows)
        costs = None if self.decision is None else self.decision.cost_matrix
        return replace(rows, border=self.threshold, costs=costs)

    def predict_by_cost(self, decoded: Outputs, costs: Floats | None) -> NDArray[np.int64]:
        if costs is None:
            return self.predict(decoded)
        return (decoded > thresholds_of(costs))[:, 0].astype(np.int64)

    def _rows_by_cost(self, rows: base.DecodedRows) -> PairRows:
        made = self.metric_rows(rows.values, rows.decoded, rows.weights)
        if rows.thresholds is not None:
            positive = slice(None) if rows.weights is None else rows.weights > 0
            return replace(made, border=rows.thresholds[positive])
        if rows.costs is None:
            return made
        costs = rows.costs if rows.weights is None else rows.costs[rows.weights > 0]
        return replace(made, border=thresholds_of(costs), costs=matrices_of(costs))

    def soft_labels(self, decoded: Outputs, units: int) -> NDArray[np.float32]:
        both = self.probabilities(decoded).astype(np.float32)
        return both[:, -units:]

    def probabilities(self, outputs: Outputs) -> Outputs:
        return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        return super().decoded_columns[1:]


class _Margin(Binary):
    """One of two classes for hinge losses; the output is a margin, above 0 for the second class."""

    rows_type = MarginRows
    has_probabilities = False
    error_metric = None
    charts = ("confusion", "roc", "precision_recall")

    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        counts = np.bincount(self.encode(train, ValueProblems()), weights, minlength=2)
        return np.array([1.0 if counts[1] > counts[0] else -1.0])

    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        sides = np.where(values == 1, 1.0, -1.0)[:, np.newaxis]
        return np.asarray(np.maximum(0.0, 1.0 - sides * outputs))

    @property
    def threshold(self) -> float:
        return 0.0

    @property
    def score_names(self) -> tuple[str, ...]:
        return self.classes[1:]

    def score_columns(self, outputs: Outputs) -> dict[str, Outputs]:
        return {"margin": outputs[:, 0]}

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        return ("margin",)


class Multiclass(_Classes):
    """One of three or more classes."""

    kind: Literal["multiclass"] = "multiclass"
    classes: Annotated[tuple[str, ...], Field(min_length=3)]
    rows_type = ClassRows
    usual_loss = training_choices.SparseCategoricalCrossentropy
    ranking_metric = definitions.BALANCED_ACCURACY

    def predict(self, decoded: Outputs) -> NDArray[np.int64]:
        if self.decision is not None:
            return self.decision.predict(decoded)
        return np.asarray(choose_class(decoded, self.class_weights))

    def metric_rows(
        self, values: TargetValues, decoded: Outputs, weights: Floats | None
    ) -> ClassRows:
        rows = ClassRows.of(values, decoded, weights)
        if self.decision is not None:
            return replace(rows, costs=self.decision.cost_matrix, minimizes_costs=True)
        return replace(rows, class_weights=self.class_weights) if self.class_weights else rows


class Multilabel(Task):
    """Any number of several labels."""

    kind: Literal["multilabel"] = "multilabel"
    stored: Literal["integer", "boolean"] = "integer"
    """The type of the label columns, also used for predictions."""
    delimiter: str | None = None
    """The separator between the labels in a single column; `None` if each label has a column of
    true/false or 0 and 1."""

    type = "multi_label"
    outcome = "labels"
    rows_type = LabelRows
    usual_loss = training_choices.BinaryCrossentropy
    charts = ("roc", "precision_recall", "calibration")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.classes:
            raise ValueError("labels have no classes")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("expected labels, all different")
        if self.delimiter is None and self.columns != self.labels:
            raise ValueError("expected a column for each label, or a delimiter")
        if self.delimiter is not None and (len(self.columns) != 1 or not self.delimiter):
            raise ValueError("a delimiter must not be empty, and requires a single column")
        return self

    @property
    def has_column_per_output(self) -> bool:
        return self.delimiter is None

    def describe(self, columns: str, names: str) -> str:
        return f"which of {self.words} a row has: {names}"

    # Encoding.

    def encode(self, table: Table, problems: ValueProblems) -> NDArray[np.float32]:
        if self.delimiter is not None:
            return self._encode_texts(table, self.delimiter, problems)
        encoded = np.empty((table.rows, self.width), dtype=np.float32)
        for at, column in enumerate(self.columns):
            base.refuse_missing(table, column, problems)
            parsed = table.column(column).booleans()
            problems.refuse(parsed.unreadable, table, column, parsed.problem)
            encoded[:, at] = np.nan_to_num(parsed.values)
        return encoded

    def _encode_texts(
        self, table: Table, delimiter: str, problems: ValueProblems
    ) -> NDArray[np.float32]:
        codes, texts = table.codes(self.columns[0])
        index = {label: at for at, label in enumerate(self.labels)}
        rows = np.zeros((len(texts) + 1, self.width), dtype=np.float32)  # last row: an empty cell
        unknown: dict[int, str] = {}
        for code, text in enumerate(texts):
            for label in split_labels(text, delimiter):
                if label in index:
                    rows[code, index[label]] = 1
                else:
                    unknown[code] = label
        names = first_names(self.labels, 10)

        def problem(at: int) -> str:
            return f"'{unknown[int(codes[at])]}' is not one of the labels ({names})"

        problems.refuse(np.isin(codes, list(unknown)), table, self.columns[0], problem)
        return rows[codes]

    # Output, loss and metrics.

    def other_type_for(self, loss: training_choices.Loss) -> str:
        if self.width > 1 and self.delimiter is None and "numbers" in loss.fits:
            return "; for numbers, set data.target: {column: [...], type: numeric}"
        return ""

    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        yield (
            None,
            f"requires classes, but the target {self.name} consists of labels; weight rows by "
            "data.sample_weight, or weight rare labels by loss: {name: binary_focal_crossentropy, "
            "apply_class_balancing: true, alpha: ...}",
        )

    def training_warnings(self, output: Output, train: Table) -> Iterator[str]:
        shares = self.encode(train, ValueProblems()).mean(axis=0)
        for label, share in zip(self.labels, shares, strict=True):
            if share in (0, 1):
                rows = "all training rows have" if share else "no training row has"
                yield f"{rows} the label '{label}', so there is nothing to learn about it"

    # Predictions.

    def predict(self, decoded: Outputs) -> NDArray[np.int64]:
        return (decoded > self.threshold).astype(np.int64)

    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        return weighted_mean(self.encode(train, ValueProblems()), weights)

    # Evaluation.

    def metrics(self, rows: base.DecodedRows) -> Metrics:
        pairs = zip(rows.values.T, rows.decoded.T, strict=True)
        each = (
            definitions.metric_values(definitions.statistics_of(PairRows.of(*pair, rows.weights)))
            for pair in pairs
        )
        return {**super().metrics(rows), "by_label": dict(zip(self.labels, each, strict=True))}

    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        probabilities = outputs.astype(np.float64)
        return np.asarray(
            definitions.cross_entropy(np.where(values > 0, probabilities, 1 - probabilities))
        )

    # Columns of stored predictions.

    def value_columns(self, values: TargetValues, prefix: str) -> dict[str, pa.Array]:
        if self.delimiter is not None:
            rows, indices = np.unique(values > 0, axis=0, return_inverse=True)
            texts = [self.delimiter.join(compress(self.labels, row)) for row in rows]
            return {prefix: strings(texts, pa.string()).take(integers(indices.ravel()))}
        storage = _ARROW_TYPES[self.stored]
        columns = zip(self.labels, (values > 0).T.astype(np.int64), strict=True)
        return {f"{prefix}_{label}": integers(column).cast(storage) for label, column in columns}

    def value_lists(self, values: TargetValues, prefix: str) -> dict[str, list[Any]]:
        rows = (values > 0).tolist()
        if self.delimiter is not None:
            return {prefix: [self.delimiter.join(compress(self.labels, row)) for row in rows]}
        convert = bool if self.stored == "boolean" else int
        columns = zip(self.labels, zip(*rows, strict=True), strict=True)
        return {f"{prefix}_{label}": [*map(convert, column)] for label, column in columns}

    def read_values(self, columns: base.StoredPredictions, prefix: str) -> NDArray[np.int64]:
        if self.delimiter is None:
            stored = columns.floats(*(f"{prefix}_{label}" for label in self.labels))
            return (stored > 0).astype(np.int64)
        texts = columns.texts(prefix)
        present = {text: frozenset(split_labels(text, self.delimiter)) for text in set(texts)}
        rows = {text: [label in found for label in self.labels] for text, found in present.items()}
        values = np.array([rows[text] for text in texts], dtype=np.int64)
        return values.reshape(-1, self.width)

    def row_text(self, values: Mapping[str, object], texts: Mapping[str, str]) -> str:
        return ", ".join(name for name, value in values.items() if value)


def split_labels(text: str, delimiter: str) -> list[str]:
    """Return the labels in a text, without surrounding blanks and empty labels."""
    return [label for part in text.split(delimiter) if (label := part.strip())]


def classification(
    column: str, classes: tuple[str, ...], stored: StorageType = "text", reason: str = ""
) -> Binary | Multiclass:
    """Return the task for two or more classes of a column."""
    kind = Binary if len(classes) == 2 else Multiclass
    return kind(columns=(column,), classes=classes, stored=stored, reason=reason)


def storage_type(column: str, table: Table, classes: Sequence[str]) -> StorageType:
    """Return the storage type that can represent all classes of a column."""
    if table.column(column).kind == "boolean" and all(map(_PATTERNS["boolean"].fullmatch, classes)):
        return "boolean"
    return "integer" if all(map(_PATTERNS["integer"].fullmatch, classes)) else "text"
