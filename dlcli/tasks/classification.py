"""Tasks whose target is one of several classes: binary and multiclass."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dlcli.config import (
    BinaryCrossentropy,
    ClassWeight,
    Loss,
    MetricName,
    Output,
    Softmax,
    SparseCategoricalCrossentropy,
    TargetForm,
)
from dlcli.errors import did_you_mean
from dlcli.metrics import Statistic, binary_statistics, multiclass_statistics
from dlcli.preprocessing import Floats, ValueIssues
from dlcli.tables import Table, floats, integers, strings
from dlcli.tasks.task import (
    EVEN,
    DecodedRows,
    Outputs,
    StoredColumns,
    Task,
    Values,
    cross_entropy,
    first_names,
    refuse_missing,
)

StorageType = Literal["text", "integer", "boolean"]

_PATTERNS = {
    "integer": re.compile(r"0|-?[1-9][0-9]{0,17}"),
    "boolean": re.compile(r"true|false"),
}
"""Names of classes that can be stored with a type of their own."""
_ARROW_TYPES = {"text": pa.string(), "integer": pa.int64(), "boolean": pa.bool_()}


class _Classes(Task):
    """What binary and multiclass tasks have in common."""

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    stored: StorageType = "text"
    """The type of the target's column, which predictions have, too."""

    type: ClassVar[Literal["numeric", "count", "categorical", "multi_label"]] = "categorical"
    outcome: ClassVar[Literal["numbers", "classes", "labels"]] = "classes"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("expected two or more classes, all different")
        if self.labels:
            raise ValueError("classes have no labels")
        if self.stored != "text" and not all(map(_PATTERNS[self.stored].fullmatch, self.classes)):
            raise ValueError(f"the classes are not of the type '{self.stored}'")
        return self

    @property
    def width(self) -> int:
        return len(self.classes)

    @property
    def words(self) -> str:
        return f"{self.width:,} classes"

    def describe(self, columns: str, names: str) -> str:
        return f"{columns}, one of {self.words}: {names}"

    def charts(self, *, has_margin: bool = False) -> tuple[str, ...]:
        probabilistic = () if has_margin else ("calibration",)
        return ("confusion", "roc", "precision_recall", *probabilistic)

    # Encoding.

    def encode(self, table: Table, issues: ValueIssues) -> NDArray[np.int64]:
        (column,) = self.columns
        refuse_missing(table, column, issues)
        codes, texts = table.codes(column)
        index = {name: at for at, name in enumerate(self.classes)}
        known = np.array([*(index.get(text, -1) for text in texts), -1], dtype=np.int64)
        indices = known[codes]
        shown = table.column(column).shown
        message = f"{{}} is none of the classes ({', '.join(self.classes[:10])})".format
        wrong = (indices < 0) & (codes >= 0)
        issues.refuse(wrong, table, column, lambda at: message(shown(at)))
        return indices

    # Output, loss and metrics.

    def output_units(self, loss: Loss) -> int:
        return self.width

    def explain_units(self, loss: Loss) -> str:
        return f"one for each of the {self.words} {first_names(self.classes)}"

    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        for name in class_weight if isinstance(class_weight, Mapping) else ():
            if name not in self.classes:
                near = did_you_mean(name, self.classes)
                yield name, f"no such class{near or f'; there are {first_names(self.classes)}'}"

    # Training.

    def loss_labels(self, encoded: Values, loss: Loss, units: int) -> Values:
        if units == 1:
            return encoded[:, np.newaxis].astype(np.float32)
        if loss.one_hot:
            return np.asarray(encoded[:, np.newaxis] == np.arange(units), dtype=np.float32)
        return encoded.astype(np.int32)

    def loss_weights(
        self, encoded: Values, weights: Floats | None, class_weight: ClassWeight | None
    ) -> NDArray[np.float32] | None:
        """Return row weights times the weights of the rows' classes, (rows,).

        `balanced` gives class c the weight Σw / (classes · Σw of c), as scikit-learn does, over the
        classes that the rows have; a class that a mapping doesn't name has weight 1.
        """
        if class_weight is None:
            return super().loss_weights(encoded, weights, None)
        weights = np.ones(len(encoded)) if weights is None else weights
        if isinstance(class_weight, Mapping):
            factors = np.array([class_weight.get(name, 1.0) for name in self.classes])
        else:
            sums = np.bincount(encoded, weights, minlength=self.width)
            present = sums > 0
            factors = sums.sum() / (present.sum() * np.where(present, sums, 1.0))
        product: Floats = weights * factors[encoded]
        return product.astype(np.float32)

    # Predictions.

    def decode(self, outputs: Outputs) -> Outputs:
        return outputs

    def constant_outputs(
        self, train: Table, weights: Floats | None, units: int, *, has_margin: bool = False
    ) -> Floats:
        counts = np.bincount(self.encode(train, ValueIssues()), weights, minlength=self.width)
        if has_margin:
            return np.array([1.0 if counts[1] > counts[0] else -1.0])
        shares: Floats = counts / counts.sum()
        return shares[-units:]

    # Evaluation.

    def error_name(self, *, has_margin: bool = False) -> str:
        return "hinge" if has_margin else "log_loss"

    def errors(self, values: Values, outputs: Outputs, *, has_margin: bool = False) -> Floats:
        probabilities = self.probabilities(outputs, has_margin=has_margin)
        if probabilities is None:
            sides = np.where(values == 1, 1.0, -1.0)[:, np.newaxis]
            hinges: Floats = np.maximum(0.0, 1.0 - sides * outputs)
            return hinges
        return cross_entropy(np.take_along_axis(probabilities, values[:, np.newaxis], axis=1))

    # Columns of stored predictions.

    def value_columns(self, values: Values, prefix: str) -> dict[str, pa.Array]:
        classes = strings(self.classes, pa.string()).cast(_ARROW_TYPES[self.stored])
        return {prefix: classes.take(integers(values))}

    def read_values(self, columns: StoredColumns, prefix: str) -> Values:
        return columns.indices(prefix, self.classes)


class Binary(_Classes):
    """One of two classes; probabilities and margins are those of the second."""

    kind: Literal["binary"] = "binary"
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]

    @property
    def form(self) -> TargetForm:
        return "two classes"

    def charts(self, *, has_margin: bool = False) -> tuple[str, ...]:
        probabilistic = () if has_margin else ("thresholds",)
        return (*super().charts(has_margin=has_margin), *probabilistic)

    def output_units(self, loss: Loss) -> int:
        return 2 if loss.output == "shares" else 1

    def explain_units(self, loss: Loss) -> str:
        if loss.output == "shares":
            return super().explain_units(loss)
        return f"one probability for two classes with '{loss.name}'"

    def accepts_units(self, units: int) -> bool:
        return units in (1, 2)

    def default_loss(self, output: Output) -> Loss:
        is_softmax = isinstance(output.activation, Softmax) and output.units != 1
        if output.units in (None, 1) and not is_softmax:
            return BinaryCrossentropy()
        return SparseCategoricalCrossentropy()

    def epoch_metrics(self, loss: Loss) -> tuple[MetricName, ...]:
        return ("accuracy", "auc", "precision", "recall", "f1")

    def decode(self, outputs: Outputs) -> Outputs:
        return outputs[:, -1:]

    def predict(self, decoded: Outputs, *, has_margin: bool = False) -> NDArray[np.int64]:
        threshold = 0.0 if has_margin else EVEN
        return (decoded[:, 0] > threshold).astype(np.int64)

    def probabilities(self, outputs: Outputs, *, has_margin: bool = False) -> Outputs | None:
        if has_margin:
            return None
        return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs

    def statistics(self, rows: DecodedRows) -> dict[str, Statistic]:
        return binary_statistics(
            rows.values, rows.decoded[:, 0], rows.weights, probabilistic=not rows.has_margin
        )

    def _example(self) -> tuple[Values, Floats]:
        return np.arange(2), np.array([[0.0], [0.5]])

    def score_names(self, *, has_margin: bool = False) -> tuple[str, ...]:
        return self.classes[1:] if has_margin else self.classes

    def score_columns(self, outputs: Outputs, *, has_margin: bool = False) -> dict[str, pa.Array]:
        if has_margin:
            return {"margin": floats(outputs[:, 0])}
        return super().score_columns(outputs)

    def decoded_columns(self, *, has_margin: bool = False) -> tuple[str, ...]:
        return ("margin",) if has_margin else super().decoded_columns()[1:]


class Multiclass(_Classes):
    """One of three or more classes."""

    kind: Literal["multiclass"] = "multiclass"
    classes: Annotated[tuple[str, ...], Field(min_length=3)]

    @property
    def form(self) -> TargetForm:
        return "classes"

    def default_loss(self, output: Output) -> Loss:
        return SparseCategoricalCrossentropy()

    def epoch_metrics(self, loss: Loss) -> tuple[MetricName, ...]:
        if self.width > 3:
            return ("accuracy", "f1", "top_3_accuracy")
        return ("accuracy", "f1")

    def predict(self, decoded: Outputs, *, has_margin: bool = False) -> NDArray[np.int64]:
        indices: NDArray[np.int64] = decoded.argmax(axis=1)
        return indices

    def statistics(self, rows: DecodedRows) -> dict[str, Statistic]:
        return multiclass_statistics(rows.values, rows.decoded, rows.weights)

    def _example(self) -> tuple[Values, Floats]:
        return np.arange(self.width), np.eye(self.width)


def classification(
    column: str, classes: tuple[str, ...], stored: StorageType = "text", reason: str = ""
) -> Binary | Multiclass:
    """Return the task for two or more classes of a column."""
    kind = Binary if len(classes) == 2 else Multiclass
    return kind(columns=(column,), classes=classes, stored=stored, reason=reason)


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names in order: numbers by value, then all others alphabetically."""

    def rank(name: str) -> tuple[float, str]:
        try:
            value = float(name)
        except ValueError:
            value = math.inf
        return value if math.isfinite(value) else math.inf, name

    return tuple(sorted(set(names), key=rank))


def storage_type(column: str, table: Table, classes: Sequence[str]) -> StorageType:
    """Return the type of a table's column of classes that can represent all of them."""
    if table.column(column).kind == "boolean" and all(map(_PATTERNS["boolean"].fullmatch, classes)):
        return "boolean"
    return "integer" if all(map(_PATTERNS["integer"].fullmatch, classes)) else "text"
