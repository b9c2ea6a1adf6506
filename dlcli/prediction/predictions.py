"""A network's outputs, as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.metrics import (
    Metrics,
    binary_metrics,
    multiclass_metrics,
    multilabel_metrics,
    regression_metrics,
)
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table, floats, integers, strings
from dlcli.tasks import ClassTarget, LabelTarget, NumberTarget, TargetEncoder

_EVEN = 0.5
"""The probability above which a class or label is predicted."""


@dataclass(frozen=True)
class Predictions:
    """What a network says of some rows."""

    target: TargetEncoder
    """What was predicted."""
    outputs: NDArray[np.floating[Any]]
    """The network's outputs as trained on, (rows, outputs)."""
    has_margin: bool = False
    """Whether the one output for two classes is a margin around 0, not a probability."""
    has_deviance: bool = False
    """Whether numbers were learned as means of counts, and are scored by the deviance, too."""

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """The predictions of some rows, in the order given."""
        return replace(self, outputs=self.outputs[rows])

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Predicted numbers in their own unit, (rows, columns)."""
        assert isinstance(self.target, NumberTarget)
        return self.target.decode(self.outputs)

    @property
    def places(self) -> NDArray[np.int64]:
        """The places of the predicted classes, (rows,)."""
        assert isinstance(self.target, ClassTarget)
        if len(self.target.classes) == 2:
            return (self._positive > (0.0 if self.has_margin else _EVEN)).astype(np.int64)
        places: NDArray[np.int64] = self.outputs.argmax(axis=1)
        return places

    @property
    def _positive(self) -> NDArray[np.floating[Any]]:
        """Probability or margin of the second of two classes, (rows,), from one output or two."""
        return self.outputs[:, -1]

    @cached_property
    def probabilities(self) -> NDArray[np.floating[Any]] | None:
        """A probability for each class or label, (rows, names); none for numbers and margins."""
        if isinstance(self.target, NumberTarget) or self.has_margin:
            return None
        if isinstance(self.target, ClassTarget) and self.outputs.shape[1] == 1:
            return np.concatenate([1 - self.outputs, self.outputs], axis=1)
        return self.outputs

    def truth(self, table: Table) -> dict[str, pa.Array]:
        """The true values as columns: `target`, or for several columns `target_<column>`.

        Args:
            table: the rows predicted, with their target.
        """
        if isinstance(self.target, LabelTarget):
            return _marked(self.target, self.target.encode(table, ValueIssues()) > 0, "target")
        if isinstance(self.target, ClassTarget):
            return {
                "target": _classes(self.target).take(
                    integers(self.target.encode(table, ValueIssues()))
                )
            }
        names = [f"target_{column}" for column in self.target.columns]
        names = names if len(names) > 1 else ["target"]
        values = self.target.values(table, ValueIssues())
        return {name: floats(values[:, at]) for at, name in enumerate(names)}

    def columns(self) -> dict[str, pa.Array]:
        """The columns that a table of predictions has, by name.

        `prediction` (for several columns `prediction_<column>`), and for classes and labels
        `probability_<class>` for each, or `margin`, above 0 for the second class.
        """
        if isinstance(self.target, LabelTarget):
            columns = _marked(self.target, self.outputs > _EVEN, "prediction")
            return {**columns, **self._probability_columns(self.target.labels)}
        if isinstance(self.target, NumberTarget):
            names = [f"prediction_{column}" for column in self.target.columns]
            names = names if len(names) > 1 else ["prediction"]
            return {name: floats(self.numbers[:, at]) for at, name in enumerate(names)}
        columns = {"prediction": _classes(self.target).take(integers(self.places))}
        if self.has_margin:
            return {**columns, "margin": floats(self.outputs[:, 0])}
        return {**columns, **self._probability_columns(self.target.classes)}

    def _probability_columns(self, names: Sequence[str]) -> dict[str, pa.Array]:
        assert self.probabilities is not None
        pairs = zip(names, self.probabilities.T, strict=True)
        return {f"probability_{name}": floats(values) for name, values in pairs}

    def score(self, table: Table, weights: NDArray[np.float64] | None) -> Metrics:
        """Compares with the true target.

        Args:
            table: the rows predicted, with their target.
            weights: the rows' weights, (rows,), if they have any.

        Raises:
            DataError: for a target that is missing or can't be read.
        """
        if isinstance(self.target, NumberTarget):
            return regression_metrics(
                self.target.values(table, ValueIssues()),
                self.numbers,
                weights,
                names=self.target.columns,
                deviance=self.has_deviance,
            )
        truth = self.target.encode(table, ValueIssues())
        if isinstance(self.target, LabelTarget):
            return multilabel_metrics(truth, self.outputs, weights, names=self.target.labels)
        if len(self.target.classes) == 2:
            return binary_metrics(truth, self._positive, weights, probabilistic=not self.has_margin)
        return multiclass_metrics(truth, self.outputs, weights)


def _classes(target: ClassTarget) -> pa.Array:
    """The classes as their table stores them, (classes,)."""
    types = {"integer": pa.int64(), "boolean": pa.bool_(), "text": pa.string()}
    return strings(target.classes, pa.string()).cast(types[target.stored])


def _marked(target: LabelTarget, marks: NDArray[np.bool_], name: str) -> dict[str, pa.Array]:
    """The labels of each row, (rows, labels), as their table stores them.

    Returns:
        A column `<name>_<label>` for each label, or `<name>` alone with the labels as text.
    """
    if target.delimiter is not None:
        texts, places = target.join(marks)
        return {name: strings(texts, pa.string()).take(integers(places))}
    storage = pa.bool_() if target.stored == "boolean" else pa.int64()
    columns = zip(target.labels, marks.T.astype(np.int64), strict=True)
    return {f"{name}_{label}": integers(values).cast(storage) for label, values in columns}
