"""The task whose target is any of several labels: a column for each, or all in one column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import model_validator

from dlcli.config import (
    BinaryCrossentropy,
    ClassWeight,
    Loss,
    MetricName,
    Output,
    TargetForm,
)
from dlcli.metrics import Metrics, Statistic, multilabel_metrics, multilabel_statistics
from dlcli.preprocessing import Floats, ValueIssues
from dlcli.tables import Table, integers, strings
from dlcli.tasks.classification import sort_names
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
    weighted_mean,
)


class Multilabel(Task):
    """Any of several labels, also none or all of them."""

    kind: Literal["multilabel"] = "multilabel"
    stored: Literal["integer", "boolean"] = "integer"
    """The type of columns of labels, which predictions have, too."""
    delimiter: str | None = None
    """The separator between the labels of the only column; without one, each label has a column of
    true/false or 0 and 1."""

    type: ClassVar[Literal["numeric", "count", "categorical", "multi_label"]] = "multi_label"
    outcome: ClassVar[Literal["numbers", "classes", "labels"]] = "labels"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.classes:
            raise ValueError("labels have no classes")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("expected labels, all different")
        if self.delimiter is None and self.columns != self.labels:
            raise ValueError("each label needs a column of its name, or all of them a delimiter")
        if self.delimiter is not None and (len(self.columns) != 1 or not self.delimiter):
            raise ValueError("a delimiter is for one column")
        return self

    @property
    def width(self) -> int:
        return len(self.labels)

    @property
    def has_column_per_output(self) -> bool:
        return self.delimiter is None

    @property
    def words(self) -> str:
        return f"{self.width:,} labels"

    def describe(self, columns: str, names: str) -> str:
        return f"which of {self.words} a row has: {names}"

    def charts(self, *, has_margin: bool = False) -> tuple[str, ...]:
        return ("roc", "precision_recall", "calibration")

    # Encoding.

    def encode(self, table: Table, issues: ValueIssues) -> NDArray[np.float32]:
        if self.delimiter is not None:
            return self._encode_texts(table, self.delimiter, issues)
        encoded = np.empty((table.rows, self.width), dtype=np.float32)
        for at, column in enumerate(self.columns):
            refuse_missing(table, column, issues)
            parsed = table.column(column).booleans()
            issues.refuse(parsed.unreadable, table, column, parsed.complaint)
            encoded[:, at] = np.nan_to_num(parsed.values)
        return encoded

    def _encode_texts(
        self, table: Table, delimiter: str, issues: ValueIssues
    ) -> NDArray[np.float32]:
        codes, texts = table.codes(self.columns[0])
        index = {label: at for at, label in enumerate(self.labels)}
        rows = np.zeros(
            (len(texts) + 1, self.width), dtype=np.float32
        )  # the last for an empty cell
        unknown: dict[int, str] = {}
        for code, text in enumerate(texts):
            for label in split_labels(text, delimiter):
                if label in index:
                    rows[code, index[label]] = 1
                else:
                    unknown[code] = label
        message = f"'{{}}' is none of the labels ({', '.join(self.labels[:10])})".format
        wrong = np.isin(codes, list(unknown))
        issues.refuse(wrong, table, self.columns[0], lambda at: message(unknown[int(codes[at])]))
        return rows[codes]

    # Output, loss and metrics.

    @property
    def form(self) -> TargetForm:
        return "labels"

    def output_units(self, loss: Loss) -> int:
        return self.width

    def explain_units(self, loss: Loss) -> str:
        return f"one for each of the {self.words} {first_names(self.labels)}"

    def default_loss(self, output: Output) -> Loss:
        return BinaryCrossentropy()

    def epoch_metrics(self, loss: Loss) -> tuple[MetricName, ...]:
        return (
            "accuracy",
            "subset_accuracy",
            "auc",
            "macro_f1",
            "micro_f1",
            "micro_precision",
            "micro_recall",
        )

    def other_type_for(self, loss: Loss) -> str:
        if self.width > 1 and self.delimiter is None and "numbers" in loss.fits:
            return ", or data.target: {column: [...], type: numeric}"
        return ""

    def class_weight_problems(self, class_weight: ClassWeight) -> Iterator[tuple[str | None, str]]:
        yield (
            None,
            f"is for classes, of which a row has one, and the target {self.name} is labels; weigh "
            "rows by data.weight, or rare labels by loss: {name: binary_focal_crossentropy, "
            "apply_class_balancing: true, alpha: ...}",
        )

    def training_warnings(self, output: Output, train: Table) -> Iterator[str]:
        shares = self.encode(train, ValueIssues()).mean(axis=0)
        for label, share in zip(self.labels, shares, strict=True):
            if share in (0, 1):
                rows = "all training rows have" if share else "no training row has"
                yield f"{rows} the label '{label}', so there is nothing to learn about it"

    # Predictions.

    def decode(self, outputs: Outputs) -> Outputs:
        return outputs

    def predict(self, decoded: Outputs, *, has_margin: bool = False) -> NDArray[np.bool_]:
        return decoded > EVEN

    def constant_outputs(
        self, train: Table, weights: Floats | None, units: int, *, has_margin: bool = False
    ) -> Floats:
        return weighted_mean(self.encode(train, ValueIssues()), weights)

    # Evaluation.

    def metrics(self, rows: DecodedRows) -> Metrics:
        return multilabel_metrics(rows.values, rows.decoded, rows.weights, names=self.labels)

    def statistics(self, rows: DecodedRows) -> dict[str, Statistic]:
        return multilabel_statistics(rows.values, rows.decoded, rows.weights)

    def _example(self) -> tuple[Values, Floats]:
        return np.eye(self.width), np.eye(self.width)

    def error_name(self, *, has_margin: bool = False) -> str:
        return "log_loss"

    def errors(self, values: Values, outputs: Outputs, *, has_margin: bool = False) -> Floats:
        probabilities = outputs.astype(np.float64)
        return cross_entropy(np.where(values > 0, probabilities, 1 - probabilities))

    # Columns of stored predictions.

    def value_columns(self, values: Values, prefix: str) -> dict[str, pa.Array]:
        if self.delimiter is not None:
            rows, indices = np.unique(values > 0, axis=0, return_inverse=True)
            texts = [self.delimiter.join(compress(self.labels, row)) for row in rows]
            return {prefix: strings(texts, pa.string()).take(integers(indices.ravel()))}
        storage = pa.bool_() if self.stored == "boolean" else pa.int64()
        columns = zip(self.labels, (values > 0).T.astype(np.int64), strict=True)
        return {f"{prefix}_{label}": integers(column).cast(storage) for label, column in columns}

    def read_values(self, columns: StoredColumns, prefix: str) -> NDArray[np.int64]:
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


def find_labels(tables: Sequence[Table], column: str, delimiter: str) -> tuple[str, ...]:
    """Return all labels that a column names, in order."""
    texts = (text for table in tables for text in table.codes(column)[1])
    return sort_names(label for text in texts for label in split_labels(text, delimiter))


def split_labels(text: str, delimiter: str) -> list[str]:
    """Return the labels in a text, without surrounding blanks; empty ones are none."""
    return [label for part in text.split(delimiter) if (label := part.strip())]
