"""Trials one after the other, until there are enough or the time is over."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
from optuna.storages import InMemoryStorage

from dlcli.errors import DataError, Interrupted
from dlcli.pipeline import Events, TrialResult
from dlcli.pipeline import search_trials as running
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.objective import Goal, Steps
from dlcli.pipeline.search_context import Budget
from dlcli.pipeline.search_study import Study
from dlcli.runs import RunWriter
from tests.pipeline.tuning.planned import came_to, plan

WORK = SimpleNamespace(goal=Goal("val_loss"), steps=Steps(10, 10), prunes_at_epochs=True)


class Clock:
    """Tells the time that tests set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def tries(monkeypatch):
    """What was tried, in order; each comes to its learning rate."""
    found = []

    def try_values(work, values, watch, keeper):
        found.append(dict(values))
        return came_to(SimpleNamespace(values=values))

    monkeypatch.setattr(running, "try_values", try_values)
    return found


@pytest.fixture
def keeper(tmp_path):
    return StopOnSignal(RunWriter(tmp_path), lambda: "2 trials", resumable=True)


def run(study, keeper, budget=None, events=None):
    told = []
    listener = Events(lambda event, fields: told.append((event, fields)))
    running.run_trials(WORK, study, budget or Budget(None), keeper, events or listener)
    return told


def test_the_config_as_given_is_tried_first_and_once(tries, keeper):
    storage = InMemoryStorage()
    told = run(Study(plan(trials=2), storage), keeper)
    run(Study(plan(trials=2), storage), keeper)

    assert [values == {} for values in tries] == [True, False, False]
    assert [event for event, _ in told] == ["progress", "default", "trial", "progress", "trial"]


def test_a_trial_is_told_once_it_is_stored_with_the_best_so_far(tries, keeper):
    study = Study(plan(trials=2), InMemoryStorage())
    told = [fields for event, fields in run(study, keeper) if event == "trial"]

    values = [result.value for result in study.results()]
    assert [(each["number"], each["ended"], each["of"]) for each in told] == [(0, 1, 2), (1, 2, 2)]
    assert [each["best_value"] for each in told] == [values[0], min(values)]


def test_no_trial_begins_once_the_time_is_over(monkeypatch, keeper):
    clock = Clock()

    def try_values(work, values, watch, keeper):
        clock.now += 4.0
        return came_to(SimpleNamespace(values=values))

    monkeypatch.setattr(running, "try_values", try_values)
    study = Study(plan(trials=None), InMemoryStorage())
    run(study, keeper, Budget(10.0, clock=clock))  # the config as given takes 4 of them

    assert len(study.results()) == 2
    assert study.spent == 12.0


def test_the_time_that_earlier_processes_took_counts(tries, keeper):
    study = Study(plan(trials=None), InMemoryStorage())
    asked = study.ask()
    study.tell(asked, came_to(asked))
    run(study, keeper, Budget(10.0, spent=10.0))

    assert tries == []


def test_however_short_the_time_is_a_candidate_is_tried_after_the_config_as_given(tries, keeper):
    study = Study(plan(trials=None), InMemoryStorage())
    run(study, keeper, Budget(10.0, spent=10.0))

    assert [values == {} for values in tries] == [True, False]


@pytest.mark.parametrize("reports", [True, False])
def test_a_trial_that_others_took_for_dead_is_left_to_them(monkeypatch, keeper, reports):
    storage = InMemoryStorage()
    study, other = Study(plan(trials=2), storage), Study(plan(trials=2), storage)
    tried = []

    def try_values(work, values, watch, keeper):
        tried.append(values)
        if len(tried) == 2:  # the first is the config as given
            other.mend(lambda worker: True)
        if reports:
            watch.progress(0)(3, {"val_loss": 0.5})
        return came_to(SimpleNamespace(values=values))

    monkeypatch.setattr(running, "try_values", try_values)
    told = run(study, keeper)

    assert tried[2] == tried[1]  # here nobody else is there to try it again
    assert [fields["number"] for event, fields in told if event == "trial"] == [0, 1]
    assert len(study.results()) == 2


def test_a_trial_that_an_error_has_ended_is_tried_again(monkeypatch, keeper):
    def try_values(work, values, watch, keeper):
        raise DataError("can't be read")

    monkeypatch.setattr(running, "try_values", try_values)
    study = Study(plan(trials=1), InMemoryStorage())
    with pytest.raises(DataError):
        run(study, keeper)

    assert (study.under_way, study.results(), study.mend()) == (0, (), 1)


def test_a_signal_between_two_trials_ends_the_search(tries, keeper, tmp_path):
    keeper.signal = signal.SIGINT

    with pytest.raises(Interrupted) as error:
        run(Study(plan(), InMemoryStorage()), keeper)
    assert str(error.value) == (
        f"SIGINT after 2 trials; resume with: dlcli train --resume {tmp_path}"
    )
    assert tries == []


def test_what_is_reported_may_end_a_candidate(monkeypatch, keeper):
    reported = []

    def try_values(work, values, watch, keeper):
        watch.progress(0)(3, {"val_loss": 0.5})
        return came_to(SimpleNamespace(values=values))

    monkeypatch.setattr(running, "try_values", try_values)
    study = Study(plan(trials=1), InMemoryStorage())
    monkeypatch.setattr(study, "report", lambda asked, value, step: reported.append((value, step)))
    run(study, keeper)

    assert reported == [(0.5, 3)]  # that of the config as given is compared with none


def test_in_a_storage_that_is_shared_what_others_are_at_is_waited_for(tries, keeper, monkeypatch):
    storage = InMemoryStorage()
    study, other = Study(plan(trials=2), storage), Study(plan(trials=2), storage)
    theirs = other.ask()
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            other.tell(theirs, came_to(theirs))

    monkeypatch.setattr(Study, "is_shared", True)
    monkeypatch.setattr(running.time, "sleep", sleep)
    study.default = TrialResult(
        number=None, state="complete", values={}, value=1.0, standard_error=None, seconds=1.0
    )
    run(study, keeper)

    assert len(waited) == 3
    assert len(study.results()) == 2


def test_what_others_are_at_who_are_gone_is_tried_by_who_waits(tries, keeper, monkeypatch):
    study = Study(plan(trials=1), InMemoryStorage())
    theirs = study.ask()
    mend = study.mend
    monkeypatch.setattr(Study, "is_shared", True)
    monkeypatch.setattr(running.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(study, "mend", lambda: mend(lambda worker: True))
    run(study, keeper)

    assert [result.values for result in study.results()] == [theirs.values]
