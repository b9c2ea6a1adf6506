"""A search from its config to what it has found."""

from __future__ import annotations

import json
import shutil

import pytest

from dlcli.config import load_config
from dlcli.errors import ConfigError, RunError, TrainingError, UsageError
from dlcli.pipeline import Search, SearchSettings, resume_tuning, train, tune
from dlcli.pipeline import search as course
from dlcli.pipeline.finalists import Finals
from dlcli.pipeline.search import Known, tune_name
from dlcli.pipeline.trial_records import worker_name
from dlcli.runs import RunWriter, open_run
from tests.pipeline.tuning.searches import WAVE, line_file, wave_rows

pytestmark = pytest.mark.slow


class Ended(Exception):
    """Something has ended the search."""


class Ear:
    """Hears what is told, and may end the search after so many of an event."""

    def __init__(self, ends_after=None, count=1):
        self.heard = []
        self._ends_after = ends_after
        self._count = count

    def __call__(self, event, fields):
        self.heard.append((event, fields))
        if [name for name, _ in self.heard].count(self._ends_after) == self._count:
            raise Ended

    def events(self):
        return [event for event, _ in self.heard if event != "progress"]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A search that was not disturbed: its run, and what was told."""
    folder = tmp_path_factory.mktemp("line")
    ear = Ear()
    return tune(line_file(folder), SearchSettings(), folder / "run", ear), ear


@pytest.fixture
def no_finalists(monkeypatch):
    """Leaves out what comes after the trials, and takes most of the time."""
    monkeypatch.setattr(course, "train_finalists", lambda *_: Finals((), ()))


def trials_of(run):
    """What the trials of a search came to, without times and processes."""
    exclude = {"seconds", "worker"}
    return [trial.model_dump(exclude=exclude) for trial in Search.of(run).trials]


def test_a_search_tells_its_story(line):
    assert line[1].events() == [
        *("rows", "target", "features", "network", "run", "device", "default"),
        *["trial"] * 4,
        *("finalist", "finalist", "result"),
    ]


def test_the_best_learning_rate_is_found(line):
    search = Search.of(line[0])

    assert search.trial(search.best).values == {"optimizer.learning_rate": 0.05}
    assert [trial.number for trial in search.trials] == [0, 1, 2, 3]
    assert search.default.value > search.trial(search.best).value


def test_the_run_is_whole(line):
    run = open_run(line[0].path)

    assert run.kind == "tune"
    run.verify()
    assert not (run.path / "lock").exists()


def test_the_best_config_trains_as_it_stands_to_what_was_trained_in_full(line, tmp_path):
    file = load_config(line[0].path / "best.yaml")
    again = train(file, tmp_path / "again")

    assert file.config.tune is None
    assert again.read_metrics() == open_run(line[0].path / "best").read_metrics()


def test_what_was_found_is_judged_by_test_rows_beside_the_default(line):
    finalists = {each.name: each for each in Search.of(line[0]).finalists}

    assert list(finalists) == ["default", "best"]
    assert finalists["best"].split == "test"
    assert finalists["best"].verdict == "better"


def test_the_journal_is_one_that_optuna_reads(line):
    from optuna import load_study
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    backend = JournalFileBackend(str(line[0].path / "study.journal"))
    study = load_study(study_name="line", storage=JournalStorage(backend))

    assert study.best_params == {"optimizer.learning_rate": 0.05}


@pytest.mark.parametrize(("event", "count"), [("default", 1), ("trial", 2), ("finalist", 1)])
def test_ended_anywhere_a_search_goes_on_to_the_same(line, tmp_path, event, count):
    with pytest.raises(Ended) as ended:
        tune(line_file(tmp_path), SearchSettings(), tmp_path / "run", Ear(event, count))
    assert ended.value.__notes__ == [f"resume with: dlcli tune --resume {tmp_path / 'run'}"]
    ear = Ear()
    run = resume_tuning(tmp_path / "run", SearchSettings(), ear)

    assert trials_of(run) == trials_of(line[0])
    assert (run.path / "best.yaml").read_bytes() == (line[0].path / "best.yaml").read_bytes()
    assert ear.events().count("trial") == left(ear)


def left(ear):
    """How many trials had not ended when a search went on."""
    ended = [fields["trials"] for event, fields in ear.heard if event == "earlier"]
    return 4 - (ended[0] if ended else 0)


def test_before_a_trial_has_ended_nothing_is_left_of_a_search(tmp_path):
    with pytest.raises(Ended):
        tune(line_file(tmp_path), SearchSettings(), tmp_path / "runs" / "run", Ear("device"))

    assert not (tmp_path / "runs").exists()


def test_nor_is_anything_left_if_no_candidate_can_be_trained(tmp_path):
    space = "tune.space={optimizer.learning_rate: [1e30, 1e31]}"

    with pytest.raises(TrainingError) as error:
        tune(line_file(tmp_path, overrides=[space]), SearchSettings(), tmp_path / "run")
    assert str(error.value) == (
        "none of 2 candidates could be trained to its end; the first: training diverged: the loss "
        "became nan in epoch 1"
    )
    assert not (tmp_path / "run").exists()


def test_a_candidate_that_diverges_is_recorded_and_the_others_go_on(tmp_path, no_finalists):
    space = "tune.space={optimizer.learning_rate: [1e30, 0.05]}"
    run = tune(line_file(tmp_path, overrides=[space]), SearchSettings(), tmp_path / "run")

    first, second = Search.of(run).trials
    assert (first.state, first.value) == ("failed", None)
    assert first.problem.startswith("training diverged: the loss became")
    assert second.state == "complete"


def test_folds_judge_too(tmp_path, no_finalists):
    file = line_file(tmp_path, overrides=["tune.folds=3", "tune.pruner=none"])
    search = Search.of(tune(file, SearchSettings(), tmp_path / "run"))
    best = search.trial(search.best)

    assert len(best.folds) == 3
    assert best.value == pytest.approx(sum(best.folds) / 3)
    assert (search.rows, search.set_aside) == (45, 15)


def test_other_test_rows_change_no_trial(tmp_path, no_finalists):
    """The test rows are in a file, so that they can be others with the same training rows."""
    for name, factor in (("one", 2), ("other", -50)):
        (tmp_path / name).mkdir()
        line_file(tmp_path / name)
        (tmp_path / name / "new.csv").write_text(f"x,y\n1,{factor}\n2,{2 * factor}\n3,4\n")
    one, other = (
        tune(
            load_config(tmp_path / name / "line.yaml", ["data.test=new.csv"]),
            SearchSettings(),
            tmp_path / name / "run",
        )
        for name in ("one", "other")
    )

    assert trials_of(one) == trials_of(other)


def test_a_planted_answer_is_found(tmp_path):
    """Only 64 units can follow the wave, and only with a rate that is neither high nor low."""
    (tmp_path / "wave.csv").write_text(wave_rows())
    (tmp_path / "wave.yaml").write_text(WAVE)
    search = Search.of(
        tune(load_config(tmp_path / "wave.yaml"), SearchSettings(), tmp_path / "run")
    )
    best = search.trial(search.best)

    assert best.values["hidden.units"] == 64
    assert 1e-3 < best.values["optimizer.learning_rate"] < 1e-1
    assert {each.name: each.verdict for each in search.finalists}["best"] == "better"


def test_two_searches_share_a_storage(tmp_path, no_finalists):
    settings = SearchSettings(storage=f"sqlite:///{tmp_path}/study.db")
    first = tune(line_file(tmp_path), settings, tmp_path / "first")
    ear = Ear()
    second = tune(line_file(tmp_path), settings, tmp_path / "second", ear)

    assert trials_of(first) == trials_of(second)
    assert ear.events().count("trial") == 0
    known = json.loads((tmp_path / "first" / "study.json").read_text())
    assert known["storage"] == f"sqlite:///{tmp_path}/study.db"

    with pytest.raises(UsageError, match="^the study 'line' in that storage was begun with anoth"):
        tune(line_file(tmp_path, overrides=["epochs=21"]), settings, tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_several_processes_try_the_same_candidates(line, tmp_path, no_finalists):
    run = tune(line_file(tmp_path), SearchSettings(jobs=2), tmp_path / "run")

    assert trials_of(run) == trials_of(line[0])
    processes = {trial.worker for trial in Search.of(run).trials}
    assert Search.of(run).workers == len(processes)
    assert worker_name() not in processes


def test_a_search_that_no_reader_wants_to_hear_of_any_more_can_go_on(tmp_path):
    def listener(event, fields):
        if event == "trial":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        tune(line_file(tmp_path), SearchSettings(), tmp_path / "run", listener)
    with pytest.raises(Ended):
        resume_tuning(tmp_path / "run", SearchSettings(), ear := Ear("earlier"))

    assert ear.heard[-1] == ("earlier", {"trials": 1, "of": 4})


@pytest.mark.parametrize("name", ["study.json", "study.journal", "resolved.yaml"])
def test_a_search_of_which_something_was_changed_does_not_go_on(line, tmp_path, name):
    with pytest.raises(Ended):
        tune(line_file(tmp_path), SearchSettings(), tmp_path / "run", Ear("trial", 1))
    (tmp_path / "run" / name).write_text('{"op_code": "no such"}\n')

    with pytest.raises(RunError):
        resume_tuning(tmp_path / "run", SearchSettings())


def test_a_search_does_not_go_on_with_other_rows(tmp_path):
    with pytest.raises(Ended):
        tune(line_file(tmp_path), SearchSettings(), tmp_path / "run", Ear("trial", 1))
    (tmp_path / "line.csv").write_text("x,y\n1,2\n")

    with pytest.raises(RunError, match="has changed since the run began"):
        resume_tuning(tmp_path / "run", SearchSettings())


def test_what_does_not_fit_is_told_before_anything_is_made(tmp_path):
    file = line_file(tmp_path, overrides=["tune.space={batch_size: [16, 0]}"])

    with pytest.raises(ConfigError, match=r"expected a positive integer, got 0"):
        tune(file, SearchSettings(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_storage_that_is_shared_has_to_be_named_again(tmp_path):
    file = line_file(tmp_path)
    writer = RunWriter(tmp_path)
    Known.begun(file, SearchSettings(storage="postgresql://me:secret@host/db")).store(writer, {})

    with pytest.raises(UsageError) as error:
        Known.of(writer).check_named(None, writer)
    assert str(error.value) == (
        f"{tmp_path}: its trials are in a storage that is shared; name it again: dlcli tune "
        f"--resume {tmp_path} --storage 'postgresql://me:***@host/db'"
    )
    assert "secret" not in (tmp_path / "study.json").read_text()


def test_a_storage_in_the_folder_is_not_named(tmp_path):
    writer = RunWriter(tmp_path)
    Known.begun(line_file(tmp_path), SearchSettings()).store(writer, {})

    with pytest.raises(UsageError) as error:
        Known.of(writer).check_named("sqlite:///study.db", writer)
    assert str(error.value) == f"{tmp_path}: its trials are in it; leave --storage out"


def test_a_long_name_is_cut():
    assert tune_name("houses") == "houses-tune"
    assert len(tune_name("h" * 64)) == 64


def test_a_finished_search_does_not_go_on(line, tmp_path):
    shutil.copytree(line[0].path, tmp_path / "run")

    with pytest.raises(RunError) as error:
        resume_tuning(tmp_path / "run")
    assert str(error.value) == f"{tmp_path / 'run'}: is finished, there is nothing left to train"
