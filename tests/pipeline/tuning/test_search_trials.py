"""Trials one after the other, until there are enough or the time is over."""

from __future__ import annotations

import signal
import time
from types import SimpleNamespace

import pytest
from optuna.storages import InMemoryStorage

from dlcli.cluster import NO_OTHERS
from dlcli.errors import DataError, Interrupted
from dlcli.pipeline import search_trials
from dlcli.pipeline.events import Events
from dlcli.pipeline.search_plan import TimeBudget
from dlcli.pipeline.search_study import Study
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import StopOnSignal
from tests.pipeline.tuning.search_examples import Recorder
from tests.pipeline.tuning.study_examples import finish, plan, result_of


class Clock:
    """A clock that tests set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def evaluating(monkeypatch):
    """Replace the evaluation of candidates: give a function of values and reporter."""

    def replace(before=lambda values, reporter: None):
        def evaluate(context, values, reporter, stop):
            before(dict(values), reporter)
            return result_of(values)

        monkeypatch.setattr(search_trials, "evaluate_candidate", evaluate)

    return replace


@pytest.fixture
def tried(evaluating):
    """The values of evaluated candidates, in order."""
    found = []
    evaluating(lambda values, reporter: found.append(values))
    return found


@pytest.fixture
def stop(tmp_path):
    return StopOnSignal(RunWriter(tmp_path), lambda: "2 trials", resumable=True)


def run(study, stop, budget=None):
    recorder, context = (
        Recorder(),
        SimpleNamespace(splits=(None, None), fits=SimpleNamespace(workers=NO_OTHERS)),
    )
    search_trials.run_trials(context, study, budget or TimeBudget(None), stop, Events(recorder))
    return recorder


def test_the_original_config_is_evaluated_first_and_once(tried, stop):
    storage = InMemoryStorage()
    recorder = run(Study(plan(trials=2), storage), stop)
    run(Study(plan(trials=2), storage), stop)

    assert [values == {} for values in tried] == [True, False, False]
    names = [event for event, _ in recorder.events]
    assert names == ["progress", "default", "trial", "progress", "trial"]


def test_a_finished_trial_is_reported_with_the_best_so_far(tried, stop):
    study = Study(plan(trials=2), InMemoryStorage())
    reported = run(study, stop).named("trial")

    values = [result.value for result in study.results()]
    counts = [(each["number"], each["ended"], each["of"]) for each in reported]
    assert counts == [(0, 1, 2), (1, 2, 2)]
    assert [each["best_value"] for each in reported] == [values[0], min(values)]
    assert [each["of_folds"] for each in reported] == [2, 2]


def test_no_trial_starts_once_the_time_is_over(evaluating, stop, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("dlcli.pipeline.search_plan.time.time", clock)

    def take_time(values, reporter):
        clock.now += 4.0

    evaluating(take_time)
    study = Study(plan(trials=None), InMemoryStorage())
    run(study, stop, TimeBudget(10.0))  # the original config takes 4 of them

    assert len(study.results()) == 2
    assert study.spent == 12.0


def test_the_time_of_earlier_processes_counts(tried, stop):
    study = Study(plan(trials=None), InMemoryStorage())
    finish(study, study.ask())
    run(study, stop, TimeBudget(10.0, time.time() - 10.0))

    assert tried == []


def test_one_candidate_is_evaluated_however_short_the_time_is(tried, stop):
    study = Study(plan(trials=None), InMemoryStorage())
    run(study, stop, TimeBudget(10.0, time.time() - 10.0))

    assert [values == {} for values in tried] == [True, False]


@pytest.mark.parametrize("reports", [True, False])
def test_a_trial_that_others_consider_dead_is_left_to_them(evaluating, stop, reports):
    storage = InMemoryStorage()
    study, other = Study(plan(trials=2), storage), Study(plan(trials=2), storage)
    found = []

    def lose_first(values, reporter):
        found.append(values)
        if len(found) == 2:  # the first is the original config
            other.retry_lost(lambda worker: True)
        if reports:
            reporter.progress(1)(1, 3, {"val_loss": 0.5})

    evaluating(lose_first)
    recorder = run(study, stop)

    assert found[2] == found[1]  # there is no other process to retry it
    assert [fields["number"] for fields in recorder.named("trial")] == [0, 1]
    assert len(study.results()) == 2


def test_a_trial_that_an_error_has_ended_is_retried(evaluating, stop):
    def fail(values, reporter):
        raise DataError("can't be read")

    evaluating(fail)
    study = Study(plan(trials=1), InMemoryStorage())
    with pytest.raises(DataError):
        run(study, stop)

    assert (study.unfinished, study.results(), study.retry_lost()) == (0, (), 1)


def test_a_signal_between_two_trials_ends_the_search(tried, stop, tmp_path):
    stop.signal = signal.SIGINT

    with pytest.raises(Interrupted) as error:
        run(Study(plan(), InMemoryStorage()), stop)
    assert str(error.value) == (
        f"SIGINT after 2 trials; resume with: dlcli.resume({str(tmp_path)!r})"
    )
    assert tried == []


def test_intermediate_values_of_candidates_are_stored_but_not_of_the_original_config(
    evaluating, stop, monkeypatch
):
    stored = []
    evaluating(lambda values, reporter: reporter.progress(1)(1, 3, {"val_loss": 0.5}))
    study = Study(plan(trials=1, epochs=10), InMemoryStorage())
    monkeypatch.setattr(study, "report", lambda running, value, step: stored.append((value, step)))
    run(study, stop)

    assert stored == [(0.5, 3)]


def test_a_shared_search_waits_for_the_trials_of_others(tried, stop, monkeypatch):
    storage = InMemoryStorage()
    study, other = Study(plan(trials=2), storage), Study(plan(trials=2), storage)
    theirs = other.ask()
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            finish(other, theirs)

    monkeypatch.setattr(Study, "is_shared", True)
    monkeypatch.setattr(search_trials.time, "sleep", sleep)
    study.default = result_of({}, 1.0)
    run(study, stop)

    assert len(waits) == 3
    assert len(study.results()) == 2


def test_trials_of_dead_processes_are_retried_by_a_waiting_one(tried, stop, monkeypatch):
    study = Study(plan(trials=1), InMemoryStorage())
    theirs = study.ask()
    retry = study.retry_lost
    monkeypatch.setattr(Study, "is_shared", True)
    monkeypatch.setattr(search_trials.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(study, "retry_lost", lambda: retry(lambda worker: True))
    run(study, stop)

    assert [result.values for result in study.results()] == [theirs.values]
