"""How good a trained network is by what a search is after."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.config import (
    BinaryCrossentropy,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
    load_config,
)
from dlcli.config.training_choices import CategoricalCrossentropy, Hinge, Huber
from dlcli.pipeline import Events
from dlcli.pipeline.data_loading import read_candidates
from dlcli.pipeline.fit import FitContext
from dlcli.pipeline.objective import Goal, judge, losses_of, mean_metrics
from dlcli.tasks import Binary, Multiclass, Regression
from tests.pipeline.tuning.searches import line_file

COLOURS = "x,c\n" + "".join(f"{x},{'red' if x % 3 else 'blue'}\n" for x in range(40))


def trained(file):
    """What a training of a config came to, judged by its validation rows."""
    events = Events(lambda *_: None)
    dataset = read_candidates(file, events)
    context = FitContext(dataset, file.config, events)
    split = replace(dataset.split, test=None)
    _ = context.programs
    from dlcli.training import NO_CHECKPOINTS

    return context.fit(file.config, split, lambda *_: None, NO_CHECKPOINTS)


def truth_and_said(outcome):
    """The true values of the validation rows, and the predicted ones."""
    table, predictions = outcome.tables["validation"], outcome.predictions("validation")
    return table.column("y").numbers().values, predictions.decoded[:, 0]


def classes_file(folder, rows, *overrides):
    (folder / "rows.csv").write_text(rows)
    (folder / "rows.yaml").write_text(
        "data: {train: rows.csv, target: c, validation: 0.5}\nhidden: [{units: 3}]\nepochs: 3\n"
    )
    return load_config(folder / "rows.yaml", overrides)


def test_the_direction_is_that_of_the_metric():
    assert Goal("val_loss").direction == "minimize"
    assert Goal("val_rmse").direction == "minimize"
    assert Goal("val_accuracy").direction == "maximize"


NUMBER = Regression(columns=("y",))
TWO = Binary(columns=("c",), classes=("a", "b"))
THREE = Multiclass(columns=("c",), classes=("a", "b", "c"))


def fit_result(task, loss, target, outputs):
    """Return the parts of a fit that the losses of its rows are computed from."""
    predictions = SimpleNamespace(outputs=np.array(outputs, np.float32), task=task)
    return SimpleNamespace(
        job=SimpleNamespace(head=SimpleNamespace(loss=loss)),
        encoded={"validation": SimpleNamespace(target=np.array(target))},
        predictions=lambda name: predictions,
    )


@pytest.mark.parametrize(
    ("task", "loss", "target", "outputs", "expected"),
    [
        (NUMBER, MeanSquaredError(), [[1.0], [2.0]], [[1.5], [0.0]], [0.25, 4.0]),
        (NUMBER, MeanSquaredError(), [[1.0, 2.0]], [[2.0, 4.0]], [2.5]),
        (NUMBER, Huber(delta=1.0), [[0.0], [0.0]], [[0.5], [3.0]], [0.125, 2.5]),
        (TWO, BinaryCrossentropy(), [1, 0], [[0.5], [0.75]], [math.log(2), math.log(4)]),
        (TWO, Hinge(), [1, 0], [[0.25], [0.5]], [0.75, 1.5]),
        (THREE, SparseCategoricalCrossentropy(), [2], [[0.25, 0.25, 0.5]], [math.log(2)]),
        (THREE, CategoricalCrossentropy(), [0], [[0.25, 0.25, 0.5]], [math.log(4)]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_loss_of_each_row_is_that_of_its_formula(task, loss, target, outputs, expected):
    found = losses_of(fit_result(task, loss, target, outputs), "validation")

    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_the_loss_is_the_best_val_loss_without_the_price_of_regularizers(tmp_path):
    """A rate that soon leaves the best epoch behind, whose weights are restored."""
    layer = "{units: 8, activation: tanh, kernel_regularizer: {name: l2, l2: 0.01}}"
    overrides = ["optimizer={name: adam, learning_rate: 0.3}", "early_stopping={patience: 6}"]
    outcome = trained(line_file(tmp_path, overrides=[f"hidden=[{layer}]", *overrides]))
    judgement = judge(outcome, Goal("val_loss"))

    losses = outcome.training.history["val_loss"]
    price = 0.01 * np.square(outcome.training.weights["hidden_1/kernel"]).sum()
    assert min(losses) < losses[-1]
    assert judgement.value == pytest.approx(min(losses) - price, rel=1e-4)
    assert judgement.metrics["loss"] == judgement.value


@pytest.mark.slow
def test_so_it_is_for_classes(tmp_path):
    loss = "{name: binary_crossentropy, label_smoothing: 0.1}"
    outcome = trained(classes_file(tmp_path, COLOURS, f"loss={loss}"))

    expected = outcome.training.history["val_loss"][-1]
    assert judge(outcome, Goal("val_loss")).value == pytest.approx(expected, rel=1e-4)


def test_row_weights_count_and_the_standard_error_is_that_of_a_mean_over_rows(tmp_path):
    file = line_file(tmp_path, overrides=["data.weight=w", "epochs=1"])
    rows = "\n".join(f"{x},{2 * x + 1},{x % 4}" for x in range(60))
    (tmp_path / "line.csv").write_text(f"x,y,w\n{rows}\n")
    outcome = trained(file)
    losses, weights = losses_of(outcome, "validation"), outcome.encoded["validation"].weights
    judgement = judge(outcome, Goal("val_loss"))

    value = (losses * weights).sum() / weights.sum()
    pushes = weights * (losses - value) / weights.sum()
    assert judgement.value == pytest.approx(value)
    assert judgement.standard_error == pytest.approx(np.sqrt(np.square(pushes).sum()))


def test_another_metric_is_that_of_metrics_json(tmp_path):
    outcome = trained(line_file(tmp_path))
    judgement = judge(outcome, Goal("val_mae"))

    errors = np.abs(np.subtract(*truth_and_said(outcome)))
    assert judgement.value == pytest.approx(errors.mean())
    assert judgement.standard_error == pytest.approx(errors.std() / np.sqrt(len(errors)))


def test_a_metric_that_is_undefined_has_no_value(tmp_path):
    """r2 of a target that is constant."""
    file = line_file(tmp_path, overrides=["epochs=1"])
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{x},{x < 1:d}.5\n" for x in range(60)))

    assert judge(trained(file), Goal("val_r2")).value is None


def test_metrics_over_folds_are_means_of_those_that_are_defined():
    class One:
        metrics = {"accuracy": 0.5, "auc": None}

    class Other:
        metrics = {"accuracy": 1.0, "auc": 0.75}

    assert mean_metrics([One(), Other()]) == {"accuracy": 0.75, "auc": 0.75}
