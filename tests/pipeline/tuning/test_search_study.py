"""The trials of a study: how many there are, and how lost ones are retried."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from optuna.storages import InMemoryStorage

from dlcli.errors import RunError, UsageError
from dlcli.pipeline.search_study import DEFAULT, JOURNAL, RESULT, Study, open_journal
from tests.pipeline.tuning.study_examples import LAYERS, RATE, UNITS, finish, plan, result_of

FINGERPRINT = {"config": "c" * 64, "data": ["d" * 64]}


@pytest.fixture
def storage():
    return InMemoryStorage()


def run_all(study):
    """Run the trials that are left; return the values by number."""
    found = {}
    while (running := study.ask()) is not None:
        found[running.number] = dict(running.values)
        finish(study, running)
    return found


def numbers(study):
    return [result.number for result in study.results()]


def test_there_are_as_many_trials_as_planned(storage):
    study = Study(plan(trials=5), storage)
    run_all(study)

    assert numbers(study) == [0, 1, 2, 3, 4]
    assert study.ask() is None


def test_processes_share_the_trials_and_results_are_in_their_order(storage):
    first, second = Study(plan(trials=3), storage), Study(plan(trials=3), storage)
    running = [first.ask(), second.ask(), first.ask()]
    assert [each.number for each in running] == [0, 1, 2]
    assert second.ask() is None

    for each in reversed(running):
        finish(second, each)
    assert numbers(first) == [0, 1, 2]


def test_an_interrupted_trial_is_retried_with_its_values(storage):
    study = Study(plan(trials=2), storage)
    lost = study.ask()
    study.interrupt(lost)
    study.retry_lost()
    again = study.ask()

    assert (again.number, again.values) == (0, lost.values)


def test_a_finished_trial_can_not_be_interrupted(storage):
    study = Study(plan(trials=1), storage)
    running = study.ask()
    finish(study, running)
    study.interrupt(running)

    assert (numbers(study), study.retry_lost()) == ([0], 0)


def test_a_candidate_that_has_killed_three_processes_is_abandoned(storage):
    Study(plan(trials=2), storage, "a").default = result_of({})
    for death in (1, 2, 3):
        study = Study(plan(trials=2), storage, "a")
        running = study.ask()
        assert running.number == 0
        assert study.retry_lost(lambda worker: worker["run"] == "a") == 1, death

    [abandoned] = study.results()
    assert (abandoned.number, abandoned.state) == (0, "failed")
    assert abandoned.values == running.values
    assert abandoned.problem == snapshot(
        "its process was killed 3 times, perhaps because memory ran out"
    )
    assert list(run_all(study)) == [1]


def test_an_original_config_that_has_killed_three_processes_fails_and_not_the_first_candidate(
    storage,
):
    study = Study(plan(trials=2), storage, "a")
    for _ in range(3):
        study.ask()
        study.retry_lost(lambda worker: worker["run"] == "a")

    assert (study.default.state, study.default.values) == ("failed", {})
    assert study.default.problem == snapshot(
        "its process was killed 3 times, perhaps because memory ran out"
    )
    assert sorted(run_all(study)) == [0, 1]


def test_a_trial_may_be_interrupted_any_number_of_times(storage):
    study = Study(plan(trials=2), storage, "a")
    for _ in range(5):
        study.interrupt(study.ask())
        study.retry_lost()

    assert sorted(run_all(study)) == [0, 1]


def test_a_trial_of_a_living_process_is_left_to_it(storage):
    theirs = Study(plan(trials=2), storage, "theirs")
    running = theirs.ask()
    ours = Study(plan(trials=2), storage, "ours")

    assert ours.retry_lost(lambda worker: worker.get("run") == "ours") == 0
    finish(theirs, running)
    assert list(run_all(ours)) == [1]


def test_a_trial_without_a_worker_is_retried_once_that_lasts_long(storage, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("dlcli.pipeline.search_study.time.monotonic", lambda: now[0])
    study = Study(plan(trials=2), storage)
    study._study.ask()  # as by a process that is killed before it has stored anything

    assert study.retry_lost() == 0
    now[0] += 80
    assert study.retry_lost() == 0
    now[0] += 20
    assert study.retry_lost() == 1
    assert sorted(run_all(study)) == [0, 1]


def test_a_candidate_that_two_processes_retry_at_once_has_one_result(storage, monkeypatch):
    first, second = Study(plan(trials=2), storage), Study(plan(trials=2), storage)
    first.interrupt(first.ask())
    lost = [*second._lost()]
    monkeypatch.setattr(second, "_lost", lambda: lost)  # found before the first has retried it

    assert (first.retry_lost(), second.retry_lost(), first.retry_lost()) == (1, 1, 0)
    assert sorted(run_all(first)) == [0, 1]
    assert numbers(first) == [0, 1]


def test_a_trial_that_failed_counts_and_is_not_retried(storage):
    study = Study(plan(trials=2), storage)
    running = study.ask()
    study.report(running, 0.001, 3)
    finish(study, running, state="failed", problem="diverged")
    study.retry_lost(lambda _: True)

    assert list(run_all(study)) == [1]
    assert [(result.state, result.problem) for result in study.results()] == [
        ("failed", "diverged"),
        ("complete", None),
    ]
    trial = study._study.trials[0]  # for Optuna it has no value, whatever was reported
    assert (trial.state.name, trial.values) == ("PRUNED", None)


def test_results_have_the_values_that_were_reported_at_epochs(storage):
    study = Study(plan(trials=1, epochs=10), storage)
    running = study.ask()
    for step, value in ((5, 0.4), (10, 0.3), (11, 0.2)):  # the last is no epoch
        study.report(running, value, step)
    finish(study, running)

    assert study.results()[0].intermediate == ((5, 0.4), (10, 0.3))


def test_the_result_of_the_original_config_is_stored(storage):
    study = Study(plan(), storage)
    assert study.default is None
    study.default = result_of({}, 0.25)

    assert Study(plan(), storage).default.value == 0.25


def test_the_time_of_a_search_is_that_of_its_own_trials(storage):
    ours, theirs = Study(plan(), storage, "ours"), Study(plan(), storage, "theirs")
    for study, spent in ((ours, 10.0), (theirs, 99.0), (ours, 25.0)):
        finish(study, study.ask(), spent=spent)

    assert ours.spent == 25.0


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"config": "e" * 64}, "another config or another version of dlcli"),
        ({"data": ["e" * 64]}, "other data"),
    ],
)
def test_a_study_of_another_config_or_data_is_refused(storage, other, what):
    Study(plan(), storage).join(FINGERPRINT)
    Study(plan(), storage).join(dict(FINGERPRINT))

    with pytest.raises(UsageError) as error:
        Study(plan(), storage).join({**FINGERPRINT, **other})
    assert str(error.value) == (
        f"the study 'planned' in this storage was started with {what}; search again with another "
        "name: overrides={'name': '...'}"
    )


def test_a_study_that_dlcli_has_not_started_is_refused(storage):
    study = Study(plan(), storage)
    study._study.ask()

    with pytest.raises(UsageError, match="started with another config"):
        study.join(FINGERPRINT)


@pytest.mark.parametrize("stored", [{"state": "complete"}, "text", {"state": 1}, None, [1]])
def test_a_malformed_result_is_refused(storage, stored):
    study = Study(plan(), storage)
    finish(study, study.ask())
    [trial] = study._study.trials
    storage.get_trial(trial._trial_id).user_attrs[RESULT] = stored

    with pytest.raises(RunError, match="^the study 'planned': trial 0 is malformed at"):
        study.results()


def test_a_malformed_result_of_the_original_config_is_refused(storage):
    study = Study(plan(), storage)
    study._study.set_user_attr(DEFAULT, {"state": "complete"})

    with pytest.raises(RunError) as error:
        _ = study.default
    assert str(error.value) == (
        snapshot(
            "the study 'planned': the result of its config is malformed at 'values': Field required; "
            "search again"
        )
    )


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["finish", "kill", "kill early", "interrupt"]), max_size=14),
    st.sampled_from(["random", "tpe", "grid"]),
)
def test_a_search_killed_at_any_time_tries_what_an_uninterrupted_one_does(ends, sampler):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlcli.pipeline.search_study.MAX_DEATHS", 99)
        check_killed(ends, sampler)


def check_killed(ends, sampler):
    how = plan([UNITS, LAYERS] if sampler == "grid" else [RATE, UNITS], sampler=sampler, trials=6)
    uninterrupted = run_all(Study(how, InMemoryStorage()))
    storage, found = InMemoryStorage(), {}
    study = Study(how, storage)
    for end in ends:
        if end == "kill early":
            if study._has_more():
                study._study.ask()  # its process dies before it has stored any value
        elif (running := study.ask()) is not None and end == "finish":
            assert running.number not in found
            found[running.number] = dict(running.values)
            finish(study, running)
            continue
        elif running is not None and end == "interrupt":
            study.interrupt(running)
        study = Study(how, storage)
        study.retry_lost(lambda _: True)
    found |= run_all(study)

    assert found == uninterrupted
    assert numbers(study) == [0, 1, 2, 3, 4, 5]


def test_a_search_killed_after_any_write_tries_what_an_uninterrupted_one_does(tmp_path):
    """The lines of a journal up to any of them are what a process killed then has written."""
    how = plan(sampler="tpe", startup=2)
    study = Study(how, open_journal(tmp_path))
    run_all(study)
    expected = study.results()
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    assert len(lines) > 5 * len(expected)

    for count in range(1, len(lines)):
        (tmp_path / JOURNAL).write_bytes(b"".join(lines[:count]))
        resumed = Study(how, open_journal(tmp_path))
        resumed.retry_lost(lambda _: True)
        run_all(resumed)
        assert resumed.results() == expected, lines[count - 1]


def test_a_trial_that_is_ended_once_its_result_is_stored_is_complete(storage, monkeypatch):
    study = Study(plan(trials=1), storage)
    running = study.ask()
    monkeypatch.setattr(study, "_end", lambda *_: None)
    finish(study, running)
    monkeypatch.undo()
    study.interrupt(running)

    assert [trial.state.name for trial in study._trials()] == ["COMPLETE"]
    assert (numbers(study), study.retry_lost()) == ([0], 0)
