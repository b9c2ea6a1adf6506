"""A cross-validation that is interrupted anywhere is resumed, with the same result."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.errors import DivergenceError, Interrupted, RunError
from dlcli.pipeline import baselines
from dlcli.pipeline.cross_validation import cross_validate
from dlcli.runs.run_folder import open_run
from tests.pipeline.cross_validation.small_rows import cv, write_groups_of_folds
from tests.recorded import recorded, recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once", "handles_signals")

SETTINGS = ("input.features=[x, group]", "data.validation=0.2", "data.test=0.2")


class Killed(BaseException):
    """The end of the process, as far as a test in one process can have it."""


def killed_at(count, event="fold", settings=SETTINGS, **options):
    """Begins a cross-validation that ends as soon as it has events so many events."""
    left = [count]

    def listener(emitted):
        left[0] -= emitted.kind == event
        if left == [0]:
            raise Killed

    with pytest.raises(Killed):
        cv(*settings, listener=listener, **options)
    [folder] = Path("runs").iterdir()
    return folder


def document(run):
    return run.cross_validation.model_dump(exclude={"results": {"__all__": {"seconds"}}})


def check_equal(run, uninterrupted):
    run.verify()
    assert document(run) == document(uninterrupted)
    assert run.predictions.table.equals(uninterrupted.predictions.table)
    for name in ("config.yaml", "resolved.yaml", "refit.yaml"):
        assert (run.path / name).read_bytes() == (uninterrupted.path / name).read_bytes(), name
    assert sorted(os.listdir(run.path)) == sorted(os.listdir(uninterrupted.path))


@pytest.mark.slow
def test_finished_folds_are_kept_and_the_result_is_that_of_an_uninterrupted_one(outcomes):
    folder = killed_at(3, repeats=2)
    del outcomes[:]
    events = []
    run = cross_validate(folder, listener=recorded_in(events))
    assert len(outcomes) == 5
    assert ("kept", {"folds": 3, "of": 8}) in events
    check_equal(run, cv(*SETTINGS, repeats=2, output=Path("runs/uninterrupted")))


@pytest.mark.slow
def test_a_resumed_one_warns_of_the_values_that_any_fold_lacks():
    write_groups_of_folds()
    settings = ("input.features={group: categorical}", "epochs=1")

    def warnings(begin):
        found = []
        begin(lambda event: found.append(event) if event.kind == "warning" else None)
        return [event.message for event in found]

    of_all = warnings(lambda listener: cv(*settings, listener=listener, output=Path("runs/all")))
    assert "4 rows with an unknown category ('e', 'f')" in of_all[0]
    Path("runs/all").rename("all")
    folder = killed_at(3, settings=settings)
    assert warnings(lambda listener: cross_validate(folder, listener=listener)) == of_all


@pytest.fixture
def several_at_once(monkeypatch):
    """Sets how many folds are trained at a time; those here are too small for more than one."""

    def set_count(count):
        monkeypatch.setattr("dlcli.pipeline.members.networks_at_once", lambda *_: count)

    return set_count


@pytest.mark.slow
def test_the_number_of_folds_trained_at_a_time_changes_nothing(several_at_once):
    """Nor does it for the linear models that a gate needs."""
    gates = "gates={test.mae: {better_than: linear}}"
    settings = (*SETTINGS, gates, "hidden=[{units: 3, activation: relu}]")
    one_by_one = cv(*settings, repeats=2)
    several_at_once(3)
    events, threads = [], set()

    def listener(event):
        events.append(recorded(event))
        threads.add(threading.current_thread())

    run = cv(*settings, repeats=2, output=Path("runs/at-once"), listener=listener)
    assert len(threads) > 2  # the main one begins and ends it
    check_equal(run, one_by_one)
    folds = [(fields["repeat"], fields["fold"]) for name, fields in events if name == "fold"]
    assert sorted(folds) == [(repeat, fold) for repeat in (1, 2) for fold in (1, 2, 3, 4)]
    first = [fields["done"] for name, fields in events if name == "progress"]
    assert first == sorted(first)


@pytest.mark.slow
def test_folds_trained_at_a_time_are_kept_if_it_is_interrupted(several_at_once):
    several_at_once(3)
    folder = killed_at(3)
    assert len([*(folder / "folds").glob("[0-9]*")]) >= 3
    run = cross_validate(folder)
    check_equal(run, cv(*SETTINGS, output=Path("runs/uninterrupted")))


@pytest.mark.slow
def test_one_that_was_interrupted_after_its_last_fold_trains_none_again(outcomes):
    folder = killed_at(4)
    del outcomes[:]
    check_equal(cross_validate(folder), cv(*SETTINGS, output=Path("runs/uninterrupted")))
    assert len(outcomes) == 4  # those of the uninterrupted one


@pytest.mark.slow
def test_one_that_was_interrupted_in_its_refit_is_resumed_there():
    folder = killed_at(1, "trained", refit=True)
    assert open_run_fails(folder / "refit")
    run = cross_validate(folder)
    uninterrupted = cv(*SETTINGS, refit=True, output=Path("runs/uninterrupted"))
    check_equal(run, uninterrupted)
    for name in ("weights.npz", "metrics.json", "history.csv"):
        ours, theirs = (each.path / "refit" / name for each in (run, uninterrupted))
        assert ours.read_bytes() == theirs.read_bytes(), name


def open_run_fails(folder):
    with pytest.raises(RunError, match="unfinished"):
        open_run(folder)
    return True


def test_rows_that_have_changed_meanwhile_are_refused():
    folder = killed_at(2)
    Path("rows.csv").write_text(Path("rows.csv").read_text().replace("3,d,6", "3,d,7"))
    with pytest.raises(RunError, match="rows.csv: has changed since the run started"):
        cross_validate(folder)


def test_a_config_that_has_changed_meanwhile_is_refused():
    folder = killed_at(2)
    config = (folder / "resolved.yaml").read_text()
    (folder / "resolved.yaml").write_text(config.replace("epochs: 2", "epochs: 3"))
    with pytest.raises(RunError) as caught:
        cross_validate(folder)
    assert str(caught.value) == (
        f"{folder}/folds/1: belongs to another config; restore the run from a copy or train it again"
    )


def test_a_plan_that_is_malformed_is_refused():
    folder = killed_at(2)
    (folder / "folds" / "plan.json").write_text('{"folds": 1, "repeats": 1, "refit": false}')
    with pytest.raises(RunError) as caught:
        cross_validate(folder)
    assert str(caught.value) == (
        f"{folder}: its plan is malformed at 'folds': Input should be greater than or equal to 2; "
        "start the cross-validation again"
    )


def test_what_is_kept_of_other_rows_is_refused():
    folder = killed_at(2)
    (folder / "folds" / "plan.json").write_text('{"folds": 3, "repeats": 1, "refit": false}')
    with pytest.raises(RunError) as caught:
        cross_validate(folder)
    assert str(caught.value) == (
        f"{folder}: the stored result of fold 1 of repeat 1 belongs to other rows; start the "
        "cross-validation again"
    )


def test_a_training_is_no_cross_validation_to_go_on_with():
    killed_at(1, "trained", refit=True)
    with pytest.raises(RunError) as caught:
        cross_validate(Path("runs/rows-cv/refit"))
    assert str(caught.value) == (
        snapshot(
            "runs/rows-cv/refit: is an unfinished training, not a cross-validation; resume with: dlcli "
            "cv --resume runs/rows-cv"
        )
    )


def test_a_signal_ends_it_after_what_is_finished():
    def listener(event):
        if event.kind == "fold":
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        cv(*SETTINGS, listener=listener)
    assert caught.value.exit_code == 143
    assert str(caught.value) == (
        snapshot("SIGTERM after 1 of 4 folds; resume with: dlcli cv --resume runs/rows-cv")
    )
    assert sorted(os.listdir("runs/rows-cv/folds")) == ["1", "plan.json"]


def test_a_signal_in_the_refit_reports_how_to_resume_the_cross_validation():
    def listener(event):
        if event.kind == "epoch" and event.epoch == 1:
            signal.raise_signal(signal.SIGTERM)  # SIGINT may be ignored where tests run

    with pytest.raises(Interrupted) as caught:
        cv(*SETTINGS, listener=listener, refit=True)
    assert caught.value.exit_code == 143
    assert str(caught.value).endswith("; resume with: dlcli cv --resume runs/rows-cv")


@pytest.mark.slow
def test_a_killed_cross_validation_is_resumed(forks):
    uninterrupted = cv(*SETTINGS, output=Path("runs/uninterrupted"))
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = forks.start(
        *("cv", "rows.yaml", "--folds", "4", "--output", "runs/killed", "--json"), *settings
    )
    command.wait_for("fold")
    command.kill()
    assert command.end().code == -signal.SIGKILL
    command = forks.start("cv", "--resume", "runs/killed", "--json")
    [first] = [event for event in command.wait_for("kept") if event["event"] == "kept"]
    command.kill()
    assert (command.end().code, first["of"]) == (-signal.SIGKILL, 4)
    command = forks.start("cv", "--resume", "runs/killed", "--json")
    assert command.end().code == 0
    [last] = [event for event in command.events() if event["event"] == "kept"]
    assert 1 <= first["folds"] <= last["folds"]
    check_equal(open_run(Path("runs/killed")), uninterrupted)


@pytest.mark.slow
def test_linear_models_that_gates_need_are_kept_with_their_folds():
    settings = (*SETTINGS, "hidden=[{units: 2, activation: tanh}]")
    settings += ("gates={test.rmse: {better_than: linear}}",)
    folder = killed_at(2, settings=settings)
    run = cross_validate(folder)
    uninterrupted = cv(*settings, output=Path("runs/uninterrupted"))
    check_equal(run, uninterrupted)
    assert run.gates == uninterrupted.gates
    stored = run.predictions.table
    errors = stored["linear_prediction"].to_numpy() - stored["target"].to_numpy()
    found = run.cross_validation.against_linear
    assert found.metric == "rmse"
    assert found.baseline == pytest.approx(np.sqrt(np.mean(errors**2)))


@pytest.mark.slow
def test_without_a_linear_model_in_a_fold_there_is_no_linear_baseline(monkeypatch):
    calls = []

    def fails_once(*arguments):
        calls.append(arguments)
        if len(calls) in (2, 3):
            raise DivergenceError("the loss is NaN in epoch 1", 1)
        return fit_linear(*arguments)

    fit_linear = baselines.fit_linear
    monkeypatch.setattr(baselines, "fit_linear", fails_once)
    events = []
    run = cv(
        *SETTINGS,
        "hidden=[{units: 2, activation: tanh}]",
        "gates={test.rmse: {better_than: linear}}",
        listener=recorded_in(events),
    )
    assert len(calls) == 4
    message = "there is no linear baseline: the loss is NaN in epoch 1"
    assert events.count(("warning", {"message": message})) == 1
    assert run.gates[0].failures == (
        "test.rmse (rows of all folds): there is no linear baseline to compare with",
    )
    assert run.cross_validation.against_linear is None
    assert run.predictions.table.column_names == [
        *("row", "repeat", "fold", "target", "prediction"),
    ]


@pytest.mark.slow
def test_a_resumed_cross_validation_has_the_groups_of_its_columns():
    run = cross_validate(killed_at(2, by=("group",)))
    [found] = run.groups.columns
    assert sorted(each.group for each in found.groups) == list("abcd")
    assert sum(each.rows for each in found.groups) == run.cross_validation.rows
