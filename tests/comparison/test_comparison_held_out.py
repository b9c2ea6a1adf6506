"""Held-out rows read back from a run's predictions: the same metrics as when they were stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.scaling import LinearScaling
from dlcli.config.training_choices import Hinge, Poisson
from dlcli.errors import RunError
from dlcli.prediction.predictions import HeldOut, Predictions
from dlcli.tables.table import Table
from dlcli.tasks.classification import Binary, Multiclass, Multilabel
from dlcli.tasks.regression import Counts, Regression
from dlcli.tasks.task import StoredPredictions, Task

SCALED = LinearScaling(name="standard", offset=2.0, scale=3.0)
BARE = LinearScaling(name="none")
COLUMNS = {
    "n": [1.5, 2.0, 4.25, 8.0],
    "m": [0.0, -1.0, 2.0, 3.0],
    "count": [0, 3, 2, 1],
    "kind": ["cat", "dog", "cat", "cow"],
    "digit": [7, 9, 9, 7],
    "is": [True, False, False, True],
    "p": [1, 0, 1, 1],
    "q": [0, 0, 1, 0],
    "tags": ["a|b", "", "b", "a"],
}
TABLE = Table("rows.csv", pa.table(COLUMNS), np.arange(1, 5))
KINDS = Multiclass(columns=("kind",), classes=("cat", "cow", "dog"))
DIGITS = Binary(columns=("digit",), classes=("7", "9"), stored="integer")
TRUTHS = Binary(columns=("is",), classes=("false", "true"), stored="boolean")
CASES: dict[str, tuple[Task, int]] = {
    "a number": (Regression(columns=("n",), scalings=(SCALED,)), 1),
    "numbers": (Regression(columns=("n", "m"), scalings=(SCALED, BARE)), 2),
    "a count": (Counts(columns=("count",), scalings=(BARE,)).for_loss(Poisson()), 1),
    "classes": (KINDS, 3),
    "two classes": (DIGITS, 1),
    "two outputs": (TRUTHS, 2),
    "a margin": (TRUTHS.for_loss(Hinge()), 1),
    "labels": (Multilabel(columns=("p", "q"), labels=("p", "q")), 2),
    "labels of one text": (Multilabel(columns=("tags",), labels=("a", "b"), delimiter="|"), 2),
}


def stored(predictions: Predictions, weights: np.ndarray | None) -> pa.Table:
    return pa.table(
        {
            "row": [1, 2, 3, 4],
            "split": ["test"] * 4,
            **({} if weights is None else {"weight": weights}),
            **predictions.truth(TABLE),
            **predictions.columns(),
        }
    )


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.0, 2.5, 1.0])])
@pytest.mark.parametrize("case", CASES)
def test_the_metrics_are_those_that_were_taken_of_the_predictions(case, weights):
    target, width = CASES[case]
    outputs = np.random.default_rng(5).uniform(0.05, 0.95, (4, width)).astype(np.float32)
    if width > 1 and target.kind == "classes":
        outputs /= outputs.sum(axis=1, keepdims=True)
    predictions = Predictions(target, outputs)
    columns = StoredPredictions(stored(predictions, weights), "here").of_split("test")

    held = HeldOut.of(columns, target)
    expected = target.metrics(predictions.with_truth(TABLE, weights))
    for name, value in target.metrics(held).items():
        if value is None or isinstance(value, list | dict):
            assert value == expected[name], name
        else:
            assert value == pytest.approx(expected[name], rel=1e-9), name
    assert held.rows == (4 if weights is None else 3)  # without the one of weight 0


def table(**changes: object) -> StoredPredictions:
    columns = {"row": [1, 2], "split": ["test"] * 2, "target": [1.0, 2.0], "prediction": [1.0, 2.5]}
    return StoredPredictions(pa.table({**columns, **changes}), "run/predictions.parquet")


NUMBER = Regression(columns=("n",), scalings=(BARE,))


@pytest.mark.parametrize(
    ("columns", "finding"),
    [
        ({"prediction": [1.0, None]}, "column 'prediction' lacks values"),
        ({"prediction": ["a", "b"]}, "column 'prediction' holds string"),
        ({"row": [[1], [2]]}, "column 'row' holds list<item: int64>"),
        ({"weight": [1.0, -1.0]}, "column 'weight' holds invalid weights"),
        ({"weight": [1.0, float("nan")]}, "column 'weight' holds invalid weights"),
    ],
)
def test_columns_that_hold_something_else_are_refused(columns, finding):
    with pytest.raises(RunError) as caught:
        HeldOut.of(table(**columns), NUMBER)
    assert str(caught.value) == f"run/predictions.parquet: {finding}; train it again"


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(RunError) as caught:
        HeldOut.of(table(), KINDS)
    assert "holds a value that its encoding doesn't list" in str(caught.value)
    with pytest.raises(RunError) as caught:
        two = Regression(columns=("n", "m"), scalings=(BARE, BARE))
        HeldOut.of(table(), two)
    assert "column 'target_n' is missing or occurs twice" in str(caught.value)
