"""A cross-validation from beginning to end, of every kind of target."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.errors import ConfigError, DataError, DivergenceError, Problem
from dlcli.runs.run_folder import open_run
from tests.pipeline.cross_validation.small_rows import cv
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once")

FILES = {
    *("config.yaml", "resolved.yaml", "environment.json", "events.jsonl"),
    *("cv.json", "refit.yaml", "predictions.parquet"),
}


def write_targets():
    """Writes rows.csv with a target of each kind."""
    lines = [
        f"{x},{2 * x},{'yes' if x > 9 else 'no'},{'abc'[x % 3]},{x % 2},{x // 10},{x % 5},{x}"
        for x in range(20)
    ]
    Path("rows.csv").write_text("\n".join(["x,y,two,three,p,q,count,w", *lines]) + "\n")


KINDS = {
    "a number": (["data.target=y"], "numbers", (), "random", "mse"),
    "several numbers": (
        ["data.target=[y, x]", "input.features=[w]"],
        "numbers",
        (),
        "random",
        "r2",
    ),
    "a count": (
        ["data.target={column: count, type: count}"],
        *("numbers", (), "random", "poisson_deviance"),
    ),
    "two classes": (["data.target=two"], "classes", ("no", "yes"), "stratified", "auc"),
    "a margin": (
        ["data.target=two", "loss=hinge"],
        *("classes", ("no", "yes"), "stratified", "accuracy"),
    ),
    "three classes": (
        ["data.target=three"],
        *("classes", ("a", "b", "c"), "stratified", "log_loss"),
    ),
    "labels": (["data.target=[p, q]"], "labels", ("p", "q"), "random", "macro_f1"),
    "weighted rows": (["data.target=y", "data.sample_weight=w"], "numbers", (), "random", "mae"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_is_evaluated_on_held_out_rows(kind):
    write_targets()
    settings, task, classes, split, metric = KINDS[kind]
    run = cv("input.features=[x]", *settings, folds=2)
    found = run.cross_validation
    assert (found.task, found.classes, found.split) == (task, classes, split)
    assert found.pooled[metric].value is not None
    assert found.constant[metric] is not None
    assert [each.problem for each in found.results] == [None, None]
    table = run.predictions.table
    assert sorted(table["row"].to_pylist()) == list(range(1, 21))
    assert set(table["repeat"].to_pylist()) == {1}


def test_rows_without_a_target_are_in_no_fold():
    lines = Path("rows.csv").read_text().splitlines()
    Path("rows.csv").write_text("\n".join([*lines[:3], "7,a,", *lines[3:]]) + "\n")
    warnings = []
    run = cv(listener=lambda event: warnings.append(event) if event.kind == "warning" else None)
    assert run.cross_validation.rows == 20
    assert sorted(run.predictions.table["row"].to_pylist()) == [1, 2, *range(4, 22)]
    assert [event.message for event in warnings] == [
        "rows.csv: 1 of 21 rows has no target ('y') and is skipped: row 3"
    ]


def test_metrics_and_constants_are_those_of_the_predictions_that_are_stored(outcomes):
    run = cv("input.features=[x]")
    found, table = run.cross_validation, run.predictions.table
    y, said = (np.array(table[name].to_pylist()) for name in ("target", "prediction"))
    fold = np.array(table["fold"].to_pylist())
    np.testing.assert_array_equal(y, 2 * (np.array(table["row"].to_pylist()) - 1))
    assert found.pooled["mae"].value == pytest.approx(np.abs(y - said).mean())
    means = np.array([y[fold != each].mean() for each in fold])
    assert found.constant["mae"] == pytest.approx(np.abs(y - means).mean())
    for each, outcome in zip(found.results, outcomes, strict=True):
        inside = fold == each.fold
        assert each.metrics["mae"] == pytest.approx(np.abs(y - said)[inside].mean())
        assert each.constant["mae"] == pytest.approx(np.abs(y - means)[inside].mean())
        assert (each.train, each.held_out, each.inputs, each.parameters) == (15, 5, 1, 2)
        assert each.history["epoch"] == (1.0, 2.0)
        assert each.history["loss"] == tuple(outcome.training.history["loss"])


def test_the_folder_is_a_finished_run_of_its_own_kind():
    run = cv("input.features=[x]", folds=2)
    assert (run.kind, run.path) == ("cv", Path("runs/rows-cv"))
    assert set(run.manifest.files) == FILES
    assert set(os.listdir(run.path)) == {*FILES, "manifest.json"}
    open_run(run.path).verify()


def test_a_long_name_is_cut_to_what_a_folder_may_have():
    run = cv("input.features=[x]", f"name={'n' * 64}", folds=2)
    assert run.path.name == "n" * 61 + "-cv"


def test_events_tell_of_the_rows_the_device_each_fold_and_the_result():
    told = []
    cv("data.test=0.2", "input.features=[x]", folds=2, listener=recorded_in(told))
    names = [event for event, _ in told if event != "progress"]
    assert names == [
        *("rows", "target", "features", "network", "device", "run"),
        "warning",  # x numbers the rows
        *("fold", "fold", "result"),
    ]
    folds = [fields for event, fields in told if event == "fold"]
    assert [(each["repeat"], each["fold"], each["of"], each["epochs"]) for each in folds] == [
        *((1, 1, 2, 2), (1, 2, 2, 2))
    ]
    result = told[-1][1]
    assert result["run"] == "runs/rows-cv"
    assert set(result["metrics"]["mae"]) == {"value", "lower", "upper", "reason"}
    assert (result["main_metric"], result["best_epochs"], result["refit"]) == ("mae", 2, None)


@pytest.mark.slow
def test_on_request_all_rows_are_trained_on_at_the_end():
    run = cv("data.validation=0.2", "data.test=0.2", "input.features=[x]", folds=2, refit=True)
    refit = open_run(run.path / "refit")
    assert refit.kind == "train"
    assert set(refit.metrics) == {"train", "test"}
    [dealt] = [event for event in refit.events() if event["event"] == "data"]
    assert dealt["rows"] == {"train": 16, "test": 4}
    assert len(refit.history["loss"]) == run.cross_validation.best_epochs == 2


@pytest.mark.parametrize(
    "error",
    [
        DivergenceError("training diverged", 2),
        ConfigError([Problem("data.storage", "training requires at least 9.00 GB")]),
    ],
    ids=["diverged", "too large for the memory"],
)
def test_a_refit_that_fails_is_a_warning_and_the_folds_stay(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr("dlcli.pipeline.cross_validation.train_child_run", fail)
    told = []
    run = cv("input.features=[x]", folds=2, refit=True, listener=recorded_in(told))
    assert ("warning", {"message": f"the final training on all rows failed: {error}"}) in told
    assert (run.kind, told[-1][1]["refit"]) == ("cv", None)


# One row far out is too much for the fold that learns from it, and for that alone.
FAR = ("input={features: [x], scaling: none}", "optimizer.learning_rate=1e-3", "epochs=200")


def write_far_row():
    lines = [f"{x / 20},a,{x / 10}" for x in range(19)]
    Path("rows.csv").write_text("\n".join(["x,group,y", *lines, "1e6,a,1"]) + "\n")


def test_a_fold_that_diverges_is_reported_and_the_others_are_trained():
    write_far_row()
    run = cv(*FAR, folds=2)
    found = run.cross_validation
    [failed] = [each for each in found.results if each.problem]
    [other] = [each for each in found.results if not each.problem]
    assert failed.problem.startswith("training diverged: the loss became ")
    assert (failed.metrics, failed.inputs, failed.parameters, failed.held_out) == ({}, 1, 2, 10)
    assert math.isfinite(other.metrics["mae"])
    assert set(run.predictions.table["fold"].to_pylist()) == {other.fold}


def test_folds_that_all_diverge_are_an_error_and_leave_nothing():
    write_far_row()
    with pytest.raises(DivergenceError) as caught:
        cv(
            "input={features: [x], scaling: none}",
            "optimizer.learning_rate=1e6",
            "epochs=200",
            folds=2,
        )
    assert str(caught.value).startswith("all 2 folds failed, the first with: training diverged: ")
    assert not Path("runs").exists()


def test_weights_that_may_have_seen_the_folds_are_refused():
    with pytest.raises(ConfigError) as caught:
        cv("initial_weights=runs/earlier")
    assert str(caught.value) == (
        snapshot(
            "--set 'initial_weights=runs/earlier': may have been trained on rows that are held out here, so metrics would be too optimistic; omit it: overrides={'initial_weights': None}"
        )
    )


def test_rows_that_wait_on_disk_are_refused():
    with pytest.raises(
        ConfigError, match="'data.storage=disk': 'disk' works only for a single training"
    ):
        cv("data.storage=disk")


def test_too_few_rows_are_an_error_of_the_data_and_leave_nothing():
    with pytest.raises(DataError, match="20 rows, expected at least 21: one for each fold"):
        cv(folds=21)
    assert not Path("runs").exists()


def write_odd_row():
    """Writes rows.csv with a number x so large that only a scaling that has seen it bears it."""
    lines = [f"{3e38 if x == 13 else x / 1000},{2 * x}" for x in range(20)]
    Path("rows.csv").write_text("\n".join(["x,y", *lines]) + "\n")


def test_a_fold_that_cannot_be_evaluated_has_a_reason_and_the_others_are_trained():
    write_odd_row()
    told = []
    run = cv("input.features={x: numeric}", folds=2, listener=recorded_in(told))
    found = run.cross_validation
    [failed] = [each for each in found.results if each.problem]
    problem = (
        "rows.csv: row 14, column 'x': scaled numbers must be within ±3.4e+38 "
        "(float32), but 3e+38 becomes 5.1e+40"
    )
    assert failed.problem == problem
    assert (failed.held_out, failed.inputs, failed.parameters, failed.epochs) == (10, 0, 0, 0)
    assert set(run.predictions.table["fold"].to_pylist()) == {3 - failed.fold}
    problems = {fields["fold"]: fields["problem"] for event, fields in told if event == "fold"}
    assert problems == {failed.fold: problem, 3 - failed.fold: None}
    assert found.notes[0] == (
        "1 of 2 folds failed, so metrics cover only the other folds; a network trained on all "
        "rows may also fail"
    )


def test_rows_that_no_fold_can_be_steered_by_are_an_error_of_the_data_and_leave_nothing():
    Path("more.csv").write_text("x,group,y\nodd,a,1\n")
    with pytest.raises(DataError) as caught:
        cv("input.features=[x]", "data.validation=more.csv", folds=2)
    assert str(caught.value).endswith(
        "more.csv: row 1, column 'x': expected a finite number, got 'odd'"
    )
    assert not Path("runs").exists()


def test_a_fold_with_too_few_rows_for_validation_is_refused_before_any_is_trained(outcomes):
    rows = [f"{x},{'abc'[x % 3]},{2 * x}" for x in range(30)]
    Path("rows.csv").write_text("\n".join(["x,group,y", *rows]) + "\n")
    split = "data.split={name: group, column: group}"
    with pytest.raises(DataError) as caught:
        cv("input.features=[x]", split, "data.validation=0.2", folds=2)
    assert str(caught.value) == (
        snapshot("rows.csv: column 'group': 1 group, expected at least 2: one for each set")
    )
    [note] = caught.value.__notes__
    assert note == (
        "  this happens in fold 1 of repeat 1, because data.validation holds out training rows; "
        "choose another 'folds', or omit data.validation: overrides={'data.validation': None}"
    )
    assert outcomes == []
    assert not Path("runs").exists()


def test_a_config_that_does_not_fit_its_rows_is_refused_with_its_position():
    with pytest.raises(ConfigError) as caught:
        cv("data.target=z")
    assert str(caught.value) == (
        snapshot(
            "--set 'data.target=z': data.target.column: no column 'z' in rows.csv; the table has x, group, y"
        )
    )
