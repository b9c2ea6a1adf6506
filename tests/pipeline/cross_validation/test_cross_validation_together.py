"""What all folds say together, of hand-made folds."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest

from dlcli.config import MeanSquaredError, Output
from dlcli.errors import RunError
from dlcli.network import Head
from dlcli.pipeline import FoldResult, Plan
from dlcli.pipeline.cv_document import FinishedFold, combine_folds
from dlcli.tasks import Binary, Regression
from tests.pipeline.cross_validation.small_rows import dataset_and_folds

NUMBERS = Regression(columns=("y",))
CLASSES = Binary(columns=("y",), classes=("a", "b"))
HEAD = Head(Output(), MeanSquaredError(), ("mae",))


def combined(folds, target=NUMBERS, repeats=1, head=HEAD):
    config, dataset, _ = dataset_and_folds(Plan(folds=2), "seed=7")
    example = SimpleNamespace(head=head, encoding=SimpleNamespace(target=target))
    return combine_folds(folds, "rows", config, repeats, dataset, example, "runs/x")


def fold(number, columns, constant, repeat=1, **changes):
    rows = len(next(iter(columns.values()), ()))
    counts = {"train": 10, "validation": 0, "held_out": rows, "inputs": 1, "parameters": 2}
    result = FoldResult(
        repeat=repeat,
        fold=number,
        **counts,
        epochs=number,
        best_epoch=None,
        seconds=0.5,
        metrics=changes.pop("metrics", {}),
        train_metrics={},
        constant=changes.pop("alone", {}),
        history={},
        problem=changes.pop("problem", None),
    )
    places = {
        "row": list(range(1, rows + 1)),
        "repeat": [repeat] * rows,
        "fold": [number] * rows,
    }
    return FinishedFold(result, constant, pa.table({**places, **columns}) if columns else None)


TWO = [
    fold(1, {"target": [0.0, 2.0], "prediction": [1.0, 2.0]}, (5.0,), metrics={"mae": 0.5}),
    fold(2, {"target": [4.0, 6.0], "prediction": [4.0, 3.0]}, (1.0,), metrics={"mae": 1.5}),
]


def test_metrics_are_of_all_rows_and_their_means_of_the_folds():
    found = combined(TWO)
    assert found.pooled["mae"].value == 1.0  # (1 + 0 + 0 + 3) / 4
    assert found.pooled["mse"].value == 2.5  # (1 + 0 + 0 + 9) / 4
    assert found.pooled["r2"].value == 0.5  # 1 - 10 / 20
    assert found.by_fold["mae"].value == 1.0
    assert found.deviations["mae"] == pytest.approx(math.sqrt(0.5))
    assert (found.main_metric, found.best_epochs) == ("mae", 2)  # epochs 1 and 2: 1.5, rounded up


def test_the_constant_model_says_of_each_fold_what_its_training_rows_say():
    found = combined(TWO)
    assert found.constant["mae"] == 4.0  # (5 + 3 + 3 + 5) / 4
    assert found.constant["mse"] == 17.0  # (25 + 9 + 9 + 25) / 4


def test_repeats_are_averaged():
    again = fold(1, {"target": [0.0, 4.0], "prediction": [2.0, 4.0]}, (0.0,), repeat=2)
    other = fold(2, {"target": [2.0, 6.0], "prediction": [2.0, 12.0]}, (0.0,), repeat=2)
    found = combined([*TWO, again, other], repeats=2)
    assert found.pooled["mae"].value == 1.5  # 1 and 2
    assert found.constant["mae"] == 3.5  # 4 and 3


def test_a_constant_model_orders_no_rows_though_its_shares_differ_by_fold():
    columns = {"target": ["a", "b"], "prediction": ["a", "b"], "probability_a": [0.9, 0.2]}
    columns["probability_b"] = [0.1, 0.8]
    alone = {"auc": 0.5, "average_precision": 0.5}
    first = fold(1, columns, (0.4,), alone=alone)
    second = fold(2, {**columns, "target": ["b", "b"]}, (0.2,), alone=dict.fromkeys(alone))
    found = combined([first, second], CLASSES)
    assert (found.constant["auc"], found.constant["average_precision"]) == (0.5, 0.5)
    assert found.constant["accuracy"] == 0.25  # 'a' throughout


def test_a_fold_that_failed_is_left_out_and_told_of():
    lost = fold(2, {}, (), problem="training diverged: the loss became inf in epoch 2")
    found = combined([TWO[0], lost])
    assert found.pooled["mae"].value == 0.5
    assert found.constant["mae"] == 4.0
    assert found.best_epochs == 1
    assert found.notes[0].startswith("1 of 2 folds failed")


def test_what_was_asked_stands_in_the_document():
    found = combined(TWO)
    kept = {"name", "target", "task", "classes", "split", "column", "folds", "repeats", "seed"}
    assert found.model_dump(include={*kept, "rows", "set_aside"}) == {
        "name": "rows",
        "target": ("y",),
        "task": "numbers",
        "classes": (),
        "split": "random",
        "column": None,
        "folds": 2,
        "repeats": 1,
        "seed": 7,
        "rows": 20,
        "set_aside": 0,
    }


def test_predictions_of_another_target_are_refused():
    with pytest.raises(RunError) as caught:
        combined([replace(TWO[0], constant=(1.0, 2.0)), TWO[1]])
    message = "runs/x: what is kept of its folds is of another target; begin it again"
    assert str(caught.value) == message


def test_predictions_with_other_columns_are_refused():
    odd = replace(TWO[1], predictions=TWO[1].predictions.append_column("odd", [[1, 2]]))
    with pytest.raises(RunError) as caught:
        combined([TWO[0], odd])
    message = "runs/x: what is kept of its folds doesn't fit together; begin it again"
    assert str(caught.value) == message
