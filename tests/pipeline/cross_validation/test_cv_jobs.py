"""Folds that are trained by several processes have the results of one process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from dlcli.errors import DataError, Interrupted, TrainingError
from dlcli.pipeline import cross_validation
from dlcli.pipeline.cross_validation import cross_validate, run_fold_worker, unclaimed_folds
from dlcli.pipeline.worker_pool import threads_per_worker
from dlcli.runs.run_writer import RunWriter
from tests.pipeline.cross_validation.small_rows import cv, write_groups_of_folds
from tests.pipeline.cross_validation.test_cv_resume import SETTINGS, check_equal, killed_at
from tests.recorded import recorded_in

CORES = f"threads={os.cpu_count()}"
"""As TensorFlow has in this process."""


@pytest.fixture
def in_this_process(monkeypatch):
    """Has workers run in this process; the number of workers of each call."""
    calls = []

    def run_workers(task, jobs, stop, listener):
        calls.append(jobs)
        task(listener)

    monkeypatch.setattr(cross_validation, "run_workers", run_workers)
    return calls


@pytest.mark.slow
def test_a_worker_trains_the_folds_that_no_other_process_has_taken():
    folder = killed_at(2)
    trained = []
    other = unclaimed_folds(RunWriter(folder), [SimpleNamespace(number=3)])
    assert next(other).number == 3
    run_fold_worker(folder, {}, recorded_in(trained))
    assert [(name, fields["fold"]) for name, fields in trained] == [("fold", 4)]


@pytest.mark.slow
def test_the_result_is_that_of_one_process(in_this_process):
    events = []
    run = cv(
        *SETTINGS,
        CORES,
        jobs=3,
        repeats=2,
        output=Path("runs/jobs"),
        listener=recorded_in(events),
    )
    assert in_this_process == [3]
    assert [fields["fold"] for name, fields in events if name == "fold"] == [1, 2, 3, 4] * 2
    assert "device" not in dict(events)
    check_equal(run, cv(*SETTINGS, CORES, repeats=2, output=Path("runs/alone")))


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_values_that_folds_lack_are_warned_of_once(in_this_process, monkeypatch, jobs):
    def threads_per_worker(threads, jobs=1):
        return 7 if jobs == 1 else threads

    monkeypatch.setattr(cross_validation, "threads_per_worker", threads_per_worker)
    write_groups_of_folds()
    messages = []

    def listen(event):
        if event.kind == "warning" and "held-out" in event.message:
            messages.append(event.message)

    settings = ("input.features={group: categorical}", "epochs=1", CORES)
    run = cv(*settings, listener=listen, jobs=jobs)
    assert messages == [
        "held-out rows of rows.csv: column 'group': 4 rows with an unknown category "
        "('e', 'f'): encoded as zeros; in 2 of 4 folds"
    ]
    threads = {1: os.cpu_count(), 2: 7}[jobs]  # a share of them is for folds in parallel
    assert f"\nthreads: {threads}\n" in (run.path / "refit.yaml").read_text()


@pytest.mark.slow
def test_finished_folds_are_kept_and_no_more_workers_start_than_folds_are_left(in_this_process):
    folder = killed_at(3)
    events = []
    run = cross_validate(folder, listener=recorded_in(events), jobs=4)
    assert in_this_process == [1]
    assert dict(events)["kept"] == {"folds": 3, "of": 4}
    check_equal(run, cv(*SETTINGS, output=Path("runs/alone")))


@pytest.mark.slow
def test_a_cross_validation_that_lacks_no_fold_starts_no_worker(in_this_process):
    folder = killed_at(4)
    cross_validate(folder, jobs=2)
    assert in_this_process == []


@pytest.mark.usefixtures("in_this_process")
def test_if_all_folds_fail_the_error_is_that_of_one_process():
    rows = [f"{x}{'' if x % 5 else 'a'},{x}\n" for x in range(1, 21)]
    Path("rows.csv").write_text("x,y\n" + "".join(rows))
    messages = []
    for jobs in (1, 2):
        with pytest.raises(DataError) as caught:
            cv("input.features={x: numeric}", CORES, jobs=jobs)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_if_workers_are_lost_finished_folds_can_be_resumed(monkeypatch):
    def run_workers(task, jobs, stop, listener):
        def until_first(event):
            listener(event)
            raise TrainingError("all were killed")

        task(until_first)

    monkeypatch.setattr(cross_validation, "run_workers", run_workers)
    with pytest.raises(TrainingError) as caught:
        cv(*SETTINGS, CORES, jobs=2)
    assert caught.value.__notes__ == ["resume with: dlcli.resume('runs/rows-cv')"]


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_workers")
def test_several_processes_train_the_same_bits():
    run = cv(*SETTINGS, "threads=1", jobs=2, output=Path("runs/jobs"))
    alone = cv(*SETTINGS, CORES, output=Path("runs/alone"))
    found, wanted = run.cross_validation, alone.cross_validation
    assert found.pooled == wanted.pooled
    assert run.predictions.table.equals(alone.predictions.table)


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_workers", "handles_signals")
def test_a_signal_ends_all_processes_and_each_has_a_share_of_the_threads():
    def listener(event):
        if event.kind == "fold":
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        cv(*SETTINGS, "epochs=20000", jobs=2, listener=listener, folds=6)
    assert caught.value.exit_code == 143
    assert str(caught.value).endswith("of 6 folds; resume with: dlcli cv --resume runs/rows-cv")
    threads = threads_per_worker("auto", 2)
    assert f"\nthreads: {threads}\n" in Path("runs/rows-cv/resolved.yaml").read_text()
