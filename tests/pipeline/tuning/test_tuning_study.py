"""The trials of a search: how many there are, and what becomes of those that are interrupted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage

from dlcli.errors import RunError, UsageError
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.trial_records import DEFAULT, RESULT
from tests.pipeline.tuning.planned import LAYERS, RATE, UNITS, came_to, plan

ORIGIN = {"config": "c" * 64, "data": ["d" * 64]}


@pytest.fixture
def storage():
    return InMemoryStorage()


def run_all(study):
    """Carries out what is left; gives the values by place."""
    found = {}
    while (asked := study.ask()) is not None:
        found[asked.place] = dict(asked.values)
        study.tell(asked, came_to(asked))
    return found


def numbers(study):
    return [result.number for result in study.results()]


def test_there_are_as_many_trials_as_planned(storage):
    study = Study(plan(trials=5), storage)
    run_all(study)

    assert numbers(study) == [0, 1, 2, 3, 4]
    assert study.ask() is None


def test_several_processes_share_the_trials(storage):
    first, second = Study(plan(trials=3), storage), Study(plan(trials=3), storage)
    asked = [first.ask(), second.ask(), first.ask()]

    assert [each.place for each in asked] == [0, 1, 2]
    assert second.ask() is None


def test_a_trial_that_was_given_back_is_tried_again_with_its_values(storage):
    study = Study(plan(trials=2), storage)
    lost = study.ask()
    study.give_back(lost)
    study.mend()
    again = study.ask()

    assert (again.place, again.values) == (0, lost.values)


def test_a_trial_that_has_ended_is_not_given_back(storage):
    study = Study(plan(trials=1), storage)
    ended = study.ask()
    study.tell(ended, came_to(ended))
    study.give_back(ended)

    assert (numbers(study), study.mend()) == ([0], 0)


def test_a_trial_of_a_dead_process_is_tried_again_with_its_values(storage):
    lost = Study(plan(trials=2), storage, "a").ask()
    study = Study(plan(trials=2), storage, "a")

    assert study.mend(lambda worker: worker["run"] == "a") == 1
    again = study.ask()
    assert (again.place, again.values) == (0, lost.values)


def test_a_candidate_that_has_ended_three_processes_is_tried_no_more(storage):
    for death in (1, 2, 3):
        study = Study(plan(trials=2), storage, "a")
        asked = study.ask()
        assert asked.place == 0
        assert study.mend(lambda worker: worker["run"] == "a") == 1, death

    [given_up] = study.results()
    assert (given_up.number, given_up.state, given_up.values) == (0, "failed", asked.values)
    assert given_up.problem == "its process was killed each of 3 times, as if memory ran out"
    assert list(run_all(study)) == [1]


def test_a_trial_that_was_interrupted_by_its_user_may_be_so_any_number_of_times(storage):
    study = Study(plan(trials=2), storage, "a")
    for _ in range(5):
        study.give_back(study.ask())
        study.mend()

    assert sorted(run_all(study)) == [0, 1]


def test_a_trial_of_a_living_process_is_left_to_it(storage):
    theirs = Study(plan(trials=2), storage, "theirs")
    asked = theirs.ask()
    ours = Study(plan(trials=2), storage, "ours")

    assert ours.mend(lambda worker: worker.get("run") == "ours") == 0
    theirs.tell(asked, came_to(asked))
    assert list(run_all(ours)) == [1]


def test_a_trial_that_its_process_did_not_come_to_name_is_tried_again(storage):
    study = Study(plan(trials=2), storage)
    study._study.ask()  # as a process that is killed before it has stored anything
    study.mend(lambda worker: not worker)

    assert sorted(run_all(study)) == [0, 1]


def test_a_trial_that_nobody_has_named_for_long_is_tried_again(storage, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("dlcli.pipeline.search_study.time.monotonic", lambda: now[0])
    study = Study(plan(trials=2), storage)
    study._study.ask()  # as a process that is killed before it has stored anything

    assert study.mend() == 0
    now[0] += 80
    assert study.mend() == 0
    now[0] += 20
    assert study.mend() == 1
    assert sorted(run_all(study)) == [0, 1]


def test_mending_twice_tries_nothing_twice(storage):
    study = Study(plan(trials=3), storage)
    study.give_back(study.ask())

    assert (study.mend(), study.mend()) == (1, 0)
    assert sorted(run_all(study)) == [0, 1, 2]


def test_a_place_that_two_have_mended_at_once_is_tried_once(storage):
    study = Study(plan(trials=2), storage)
    study.give_back(study.ask())
    for _ in range(2):
        study._study.enqueue_trial({}, user_attrs={"place": 0})
    asked = study.ask()

    assert asked.place == 0
    study.tell(asked, came_to(asked))
    assert list(run_all(study)) == [1]
    assert numbers(study) == [0, 1]


def test_a_trial_that_failed_counts_and_is_not_tried_again(storage):
    study = Study(plan(trials=2), storage)
    asked = study.ask()
    study.tell(asked, came_to(asked, state="failed", problem="diverged"))
    study.mend(lambda _: True)

    assert list(run_all(study)) == [1]
    assert [(result.state, result.problem) for result in study.results()] == [
        ("failed", "diverged"),
        ("complete", None),
    ]


def test_a_trial_that_failed_has_no_value_for_optuna_whatever_was_reported(storage):
    study = Study(plan(trials=1), storage)
    asked = study.ask()
    study.report(asked, 0.001, 3)
    study.tell(asked, came_to(asked, state="failed", problem="diverged"))

    [trial] = study._study.trials
    assert (trial.state.name, trial.values) == ("PRUNED", None)


def test_what_was_looked_at_is_part_of_the_result(storage):
    study = Study(plan(trials=1), storage, most_epochs=10)
    asked = study.ask()
    for step, value in ((5, 0.4), (10, 0.3), (11, 0.2)):  # the last is no epoch
        study.report(asked, value, step)
    study.tell(asked, came_to(asked))

    assert study.results()[0].intermediate == ((5, 0.4), (10, 0.3))


def test_results_are_in_order_of_their_places(storage):
    study = Study(plan(trials=3), storage)
    asked = [study.ask() for _ in range(3)]
    for each in reversed(asked):
        study.tell(each, came_to(each))

    assert numbers(study) == [0, 1, 2]


def test_what_the_config_as_given_came_to_is_kept(storage):
    study = Study(plan(), storage)
    assert study.default is None
    study.default = came_to(study.ask(), 0.25)

    assert Study(plan(), storage).default.value == 0.25


def test_the_time_that_was_spent_is_that_of_its_own_trials(storage):
    ours, theirs = Study(plan(), storage, "ours"), Study(plan(), storage, "theirs")
    for study, spent in ((ours, 10.0), (theirs, 99.0), (ours, 25.0)):
        asked = study.ask()
        study.tell(asked, came_to(asked), spent)

    assert ours.spent == 25.0


def test_a_study_is_joined_by_whoever_begins_with_the_same(storage):
    Study(plan(), storage).agree(ORIGIN)
    Study(plan(), storage).agree(dict(ORIGIN))


@pytest.mark.parametrize(
    ("other", "what"), [({"config": "e" * 64}, "config"), ({"data": ["e" * 64]}, "data")]
)
def test_a_study_of_something_else_is_refused(storage, other, what):
    Study(plan(), storage).agree(ORIGIN)

    with pytest.raises(UsageError) as error:
        Study(plan(), storage).agree({**ORIGIN, **other})
    assert str(error.value) == (
        f"the study 'planned' in that storage was begun with another {what}; give this one a name "
        "of its own: --set name=..."
    )


def test_a_study_that_dlcli_has_not_begun_is_refused(storage):
    study = Study(plan(), storage)
    study._study.ask()

    with pytest.raises(UsageError, match="begun with another config"):
        study.agree(ORIGIN)


@pytest.mark.parametrize("stored", [{"state": "complete"}, "text", {"state": 1}, None, [1]])
def test_what_somebody_else_has_stored_is_refused(storage, stored):
    study = Study(plan(), storage)
    asked = study.ask()
    study.tell(asked, came_to(asked))
    [trial] = study._study.trials
    storage._trials = getattr(storage, "_trials", {})
    storage.get_trial(trial._trial_id).user_attrs[RESULT] = stored

    with pytest.raises(RunError, match="^the study 'planned': trial 0 is malformed at"):
        study.results()


def test_a_default_that_somebody_else_has_stored_is_refused(storage):
    study = Study(plan(), storage)
    study._study.set_user_attr(DEFAULT, {"state": "complete"})

    with pytest.raises(RunError) as error:
        _ = study.default
    assert str(error.value) == (
        "the study 'planned': what its config came to is malformed at 'values': Field required; "
        "search again"
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["tell", "kill", "kill before a word", "give back"]), max_size=14),
    st.sampled_from(["random", "tpe", "grid"]),
)
def test_killed_at_any_time_a_search_tries_what_an_undisturbed_one_does(fates, sampler):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlcli.pipeline.search_study.MOST_DEATHS", 99)
        check_killed(fates, sampler)


def check_killed(fates, sampler):
    how = plan([UNITS, LAYERS] if sampler == "grid" else [RATE, UNITS], sampler=sampler, trials=6)
    undisturbed = run_all(Study(how, InMemoryStorage()))
    storage, found = InMemoryStorage(), {}
    study = Study(how, storage)
    for fate in fates:
        if fate == "kill before a word":
            if study._has_more():
                study._study.ask()
        elif (asked := study.ask()) is not None and fate == "tell":
            assert asked.place not in found
            found[asked.place] = dict(asked.values)
            study.tell(asked, came_to(asked))
            continue
        elif asked is not None and fate == "give back":
            study.give_back(asked)
        study = Study(how, storage)
        study.mend(lambda _: True)
    found |= run_all(study)

    assert found == undisturbed
    assert numbers(study) == [0, 1, 2, 3, 4, 5]
