"""Worker processes: what they report, how they end, and who does the work of lost ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from optuna.storages import InMemoryStorage

import dlcli
from dlcli.errors import ConfigError, DivergenceError, Interrupted, TrainingError
from dlcli.pipeline import search, worker_pool
from dlcli.pipeline.events import Events
from dlcli.pipeline.search import tune
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import SearchAccess, SearchSettings
from dlcli.pipeline.worker_pool import run_workers, threads_per_worker, worker_name
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import StopOnSignal
from tests.pipeline.tuning import worker_tasks
from tests.pipeline.tuning.search_examples import Recorder, line_file
from tests.pipeline.tuning.study_examples import finish, plan

ROOT = Path(dlcli.__file__).parents[1]
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
NUMBER = 4711


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def stop(tmp_path):
    return StopOnSignal(RunWriter(tmp_path), lambda: "2 trials", resumable=True)


def is_alive(number):
    """Return whether a process runs; an ended one may not have been waited for yet."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


# What workers report, and the work of lost ones


@pytest.mark.slow
@POSIX
def test_workers_share_the_work_and_the_others_continue_if_one_is_killed(stop, recorder, tmp_path):
    lost = []
    run_workers(partial(worker_tasks.die_first, tmp_path, 6), 3, stop, recorder, lost.append)

    [started] = recorder.named("started")
    assert lost == [started["process"]]
    assert sorted(fields["piece"] for fields in recorder.named("did")) == [1, 2, 3, 4, 5]
    processes = {fields["process"] for fields in recorder.named("did")}
    assert not processes & {os.getpid(), *lost}
    assert recorder.named("warning") == [
        {
            "message": f"worker process {lost[0]} was ended by SIGKILL, perhaps because memory ran "
            "out; another worker takes over its job"
        }
    ]


@pytest.mark.slow
@POSIX
def test_the_work_of_the_last_worker_is_done_by_another(stop, recorder, tmp_path):
    lost = []
    run_workers(partial(worker_tasks.die_last, tmp_path), 2, stop, recorder, lost.append)

    assert len(lost) == 1
    assert len(recorder.named("did")) == 1


@pytest.mark.slow
@POSIX
def test_if_all_are_killed_the_work_ends_with_the_way_out(stop, recorder):
    lost = []
    with pytest.raises(TrainingError) as caught:
        run_workers(worker_tasks.die, 2, stop, recorder, lost.append)

    assert len(lost) == 2
    assert str(caught.value) == (
        snapshot(
            "2 workers ended before all jobs were done, the last one was ended by SIGKILL, perhaps "
            "because memory ran out; try fewer 'jobs' or units, or a smaller batch_size"
        )
    )


@pytest.mark.slow
def test_an_error_of_one_worker_ends_all_and_is_raised_unchanged(stop, recorder, tmp_path):
    with pytest.raises(ConfigError) as caught:
        run_workers(partial(worker_tasks.fail_at_once, tmp_path), 2, stop, recorder)

    assert str(caught.value) == snapshot("a.yaml:3:4: hidden[0].units: is too many")
    assert [problem.path for problem in caught.value.problems] == ["hidden[0].units"]
    assert "in fail_at_once" in str(caught.value.__cause__)
    assert not any(is_alive(fields["process"]) for fields in recorder.named("started"))


@pytest.mark.slow
def test_a_sent_error_keeps_its_attributes_and_notes(stop, recorder):
    with pytest.raises(DivergenceError) as caught:
        run_workers(worker_tasks.diverge, 1, stop, recorder)
    assert (str(caught.value), caught.value.epoch) == ("the loss is NaN", 7)
    assert caught.value.__notes__ == ["use less"]


@pytest.mark.slow
def test_an_error_that_can_not_be_pickled_is_sent_as_its_text(stop, recorder):
    with pytest.raises(RuntimeError) as caught:
        run_workers(worker_tasks.raise_local, 1, stop, recorder)
    assert str(caught.value) == "Local: words"


@pytest.mark.parametrize(
    ("threads", "jobs", "expected"),
    [("auto", 1, 8), ("auto", 2, 4), ("auto", 3, 2), ("auto", 99, 1), (3, 4, 3)],
)
def test_each_worker_has_its_share_of_the_threads(monkeypatch, threads, jobs, expected):
    monkeypatch.setattr(worker_pool, "available_processors", lambda: 8)

    assert threads_per_worker(threads, jobs) == expected


# How they end


def start_parent(folder):
    """Start a parent of two workers, and wait until they work."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.tuning.worker_parent", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return parent, [int(parent.stdout.readline()) for _ in range(2)]


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, marks=pytest.mark.release),  # as test_cv_jobs has it of folds
        signal.SIGINT,
    ],
)
def test_a_signal_ends_all_workers_and_says_how_to_resume(tmp_path, number):
    """SIGINT is sent to all processes, as a terminal does."""
    parent, processes = start_parent(tmp_path)
    if number == signal.SIGTERM:
        parent.terminate()
    else:
        os.killpg(parent.pid, number)
    output, errors = parent.communicate(timeout=60)

    assert (parent.returncode, errors) == (128 + number, "")
    assert output == (
        f"{number.name} after 2 trials; resume with: dlcli train --resume {tmp_path}\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == set(map(str, processes))


@pytest.mark.slow
@POSIX
def test_workers_end_when_their_parent_is_killed(tmp_path):
    parent, processes = start_parent(tmp_path)
    parent.kill()
    parent.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not any(map(is_alive, processes))


@POSIX
def test_a_worker_that_ignores_signals_is_killed_in_the_end(stop, monkeypatch):
    monkeypatch.setattr(worker_pool, "GRACE_SECONDS", 0.5)

    def fail(event):
        raise RuntimeError(event.process)

    with pytest.raises(RuntimeError) as caught:
        run_workers(worker_tasks.ignore_signals, 1, stop, fail)
    assert not is_alive(caught.value.args[0])


# Trials of workers


@pytest.fixture
def storage():
    return InMemoryStorage()


def study_of_worker(storage, run, name, monkeypatch):
    """Return a study in which a process of that name has started a trial."""
    study = Study(plan(trials=3), storage, run)
    monkeypatch.setattr("dlcli.pipeline.search_study.worker_name", lambda: name)
    study.ask()
    return study


def evaluate_with_workers(folder, study, run_them, monkeypatch, url=None):
    """Evaluate candidates in two processes, in whose place a function is called."""
    monkeypatch.setattr(search, "run_workers", run_them)
    access = SearchAccess(folder, study.run, url, jobs=2)
    search._evaluate_candidates(RunWriter(folder), None, study, access, Events())


def test_only_the_trial_of_the_lost_process_is_retried(storage, tmp_path, monkeypatch):
    """Other searches and machines have processes of the same number."""
    study_of_worker(storage, "theirs", worker_name(NUMBER), monkeypatch)
    study_of_worker(storage, "ours", f"another-host-{NUMBER}", monkeypatch)
    study = study_of_worker(storage, "ours", worker_name(NUMBER), monkeypatch)
    url = "postgresql+psycopg://host/name"
    evaluate_with_workers(tmp_path, study, lambda *given: given[-1](NUMBER), monkeypatch, url)

    states = [trial.state.name for trial in study._study.trials]
    assert states == ["RUNNING", "RUNNING", "FAIL", "WAITING"]


def test_a_trial_without_a_worker_is_retried_once_all_have_ended(storage, tmp_path, monkeypatch):
    study = Study(plan(trials=2), storage, "ours")
    study._study.ask()  # as by a process that is killed before it has stored anything
    ended = []

    def run_them(*_):
        while ended and (running := study.ask()) is not None:
            finish(study, running)
        ended.append(len(study.results()))

    evaluate_with_workers(tmp_path, study, run_them, monkeypatch)
    assert ended == [0, 2]


def test_a_signal_to_workers_says_how_many_trials_are_finished(storage, tmp_path, monkeypatch):
    study = Study(plan(trials=3), storage)
    finish(study, study.ask())

    def run_them(task, jobs, stop, *_):
        stop.signal = signal.SIGINT
        stop.check()

    with pytest.raises(Interrupted) as error:
        evaluate_with_workers(tmp_path, study, run_them, monkeypatch)
    assert str(error.value) == (
        f"SIGINT after 1 trial; resume with: dlcli.resume({str(tmp_path)!r})"
    )
    assert error.value.exit_code == 130


@POSIX
@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_workers")
def test_a_search_has_each_trial_once_though_a_worker_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "train_finalists", lambda *given: given[2])
    recorder, killed = Recorder(), []

    def kill_first(event):
        recorder(event)
        if event.kind == "trial" and not killed:
            killed.append(event.result.worker)
            os.kill(int(event.result.worker.rpartition("-")[2]), signal.SIGKILL)

    space = "{optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}"
    tuning = f"tune={{trials: 12, sampler: random, pruner: none, space: {space}}}"
    file = line_file(tmp_path, overrides=["epochs=400", "batch_size=4", tuning])
    run = tune(file, SearchSettings(jobs=2), tmp_path / "run", kill_first)

    trials = run.search.trials
    assert [trial.number for trial in trials] == list(range(12))
    assert {trial.state for trial in trials} == {"complete"}
    assert len({trial.values["optimizer.learning_rate"] for trial in trials}) == 12
    assert sum(trial.worker == killed[0] for trial in trials) < 12
    assert worker_name() not in {trial.worker for trial in trials}
    [warning] = recorder.named("warning")
    assert "was ended by SIGKILL" in warning["message"]
    assert sorted(fields["number"] for fields in recorder.named("trial")) == list(range(12))
