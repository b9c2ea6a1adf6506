"""What becomes of trials whose processes are ended, and of the search."""

from __future__ import annotations

import signal

import pytest
from optuna.storages import InMemoryStorage

from dlcli.errors import Interrupted
from dlcli.pipeline import Events
from dlcli.pipeline import search as course
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import Site
from dlcli.pipeline.trial_records import worker_name
from dlcli.runs import RunWriter
from tests.pipeline.tuning.planned import came_to, plan

NUMBER = 4711


@pytest.fixture
def storage():
    return InMemoryStorage()


def asked_by(storage, run, name, monkeypatch):
    """A study, of which a process of that name has begun a trial."""
    study = Study(plan(trials=3), storage, run)
    monkeypatch.setattr("dlcli.pipeline.search_study.worker_name", lambda: name)
    study.ask()
    return study


def try_all(folder, study, together, monkeypatch, url=None):
    """Tries candidates in two processes, which do what `together` does."""
    monkeypatch.setattr(course, "work_together", together)
    site = Site(folder, study.run, url)
    course._try_all(RunWriter(folder), None, study, site, 2, Events(lambda *_: None))


def test_of_all_processes_of_a_number_the_one_that_was_lost_is_taken_for_dead(
    storage, tmp_path, monkeypatch
):
    asked_by(storage, "theirs", worker_name(NUMBER), monkeypatch)
    asked_by(storage, "ours", f"another-host-{NUMBER}", monkeypatch)
    study = asked_by(storage, "ours", worker_name(NUMBER), monkeypatch)
    shared = "postgresql+psycopg://host/name"
    try_all(tmp_path, study, lambda *given: given[-1](NUMBER), monkeypatch, shared)

    states = [trial.state.name for trial in study._study.trials]
    assert states == ["RUNNING", "RUNNING", "FAIL", "WAITING"]


def test_what_a_process_of_this_folder_has_not_come_to_name_is_tried_again_in_the_end(
    storage, tmp_path, monkeypatch
):
    study = Study(plan(trials=2), storage, "ours")
    study._study.ask()  # as a process that is killed before it has stored anything
    places = []

    def together(*_):
        while places and (asked := study.ask()) is not None:
            study.tell(asked, came_to(asked))
        places.append(len(study.results()))

    try_all(tmp_path, study, together, monkeypatch)
    assert places == [0, 2]


def test_a_signal_to_several_processes_tells_how_many_trials_have_ended(
    storage, tmp_path, monkeypatch
):
    study = Study(plan(trials=3), storage)
    asked = study.ask()
    study.tell(asked, came_to(asked))

    def together(*_):
        raise Interrupted("SIGINT", signal.SIGINT)

    with pytest.raises(Interrupted) as error:
        try_all(tmp_path, study, together, monkeypatch)
    assert str(error.value) == (
        f"SIGINT after 1 trial; resume with: dlcli train --resume {tmp_path}"
    )
    assert error.value.exit_code == 130
