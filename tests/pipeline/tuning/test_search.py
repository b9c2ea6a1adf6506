"""A search from its config to its results."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from dlcli.config.config_file import load_config, to_plain
from dlcli.errors import ConfigError, Interrupted, RunError, TrainingError, UsageError
from dlcli.pipeline import search
from dlcli.pipeline.run_recording import recorded
from dlcli.pipeline.search import StudyRecord, tune
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import SearchSettings, stop_of_search
from dlcli.pipeline.train_run import train
from dlcli.pipeline.worker_pool import worker_name
from dlcli.runs.manifest import is_unfinished, resume_command
from dlcli.runs.run_folder import open_run
from dlcli.runs.run_writer import RunWriter
from tests.pipeline.tuning import worker_tasks
from tests.pipeline.tuning.search_examples import WAVE, Recorder, line_file, wave_rows

pytestmark = pytest.mark.usefixtures("compiled_once", "no_linear_baseline")

RATE = "optimizer.learning_rate"


class Ended(Exception):
    """Something has ended the search."""


class Ending(Recorder):
    """A listener that ends the search after a number of events of a name."""

    def __init__(self, event, count=1):
        super().__init__()
        self._event = event
        self._count = count

    def __call__(self, event):
        super().__call__(event)
        if len(self.named(self._event)) == self._count:
            raise Ended


def start(folder, listener=None, settings=None, overrides=(), run="run"):
    """Search for the learning rate of a line."""
    file = line_file(folder, overrides=overrides)
    return tune(file, settings or SearchSettings(), folder / run, listener or Recorder())


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """An uninterrupted search: its run, and its events."""
    recorder = Recorder()
    return start(tmp_path_factory.mktemp("line"), recorder), recorder


@pytest.fixture
def no_finalists(monkeypatch):
    """Omit the training of finalists, which takes most of the time."""
    monkeypatch.setattr(search, "train_finalists", lambda *given: given[2])


def trials_of(run):
    """Return the trials of a search without times and processes."""
    return [trial.model_dump(exclude={"seconds", "worker"}) for trial in run.search.trials]


@pytest.mark.slow
def test_a_search_reports_its_steps(line):
    others = ("progress", "warning")  # x rises by row, which is warned of
    assert [event for event, _ in line[1].events if event not in others] == [
        *("rows", "target", "features", "network", "run", "device", "default"),
        *["trial"] * 4,
        *("finalist", "finalist", "result"),
    ]


@pytest.mark.slow
def test_the_best_learning_rate_is_found(line):
    found = line[0].search

    assert found.trial(found.best).values == {RATE: 0.05}
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]
    assert found.default.value > found.trial(found.best).value


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
def test_without_a_search_space_the_default_is_reported_searched_and_stored(tmp_path):
    recorder = Recorder()
    overrides = ["tune={trials: 1, metric: rmse, folds: 2}", "epochs=2"]
    run = start(tmp_path, recorder, overrides=overrides)

    [event] = recorder.named("space")
    assert set(event) == {"rows", "trials", "folds", "held_out", "space"}
    assert (event["rows"], event["trials"], event["folds"]) == (60, 1, 2)
    assert event["space"]["hidden_layers"]["units"] == [16, 32, 64]
    stored = load_config(run.resolved_path()).config.tune
    assert {key: to_plain(value) for key, value in stored.space.items()} == event["space"]
    assert sorted(recorder.named("trial")[0]["values"]) == [
        *(
            "hidden_layers.activation",
            "hidden_layers.dropout",
            "hidden_layers.number",
            "hidden_layers.units",
            RATE,
        )
    ]


@pytest.mark.slow
def test_a_finished_search_is_complete(line):
    run = open_run(line[0].path)

    assert run.kind == "tune"
    run.verify()
    assert not (run.path / "lock").exists()
    with pytest.raises(RunError) as error:
        tune(run.path)
    assert str(error.value) == f"{run.path}: is finished; there is nothing to train"


@pytest.mark.slow
def test_the_best_config_trains_the_finalist_again(line, tmp_path):
    file = load_config(line[0].path / "best.yaml")
    again = train(file, tmp_path / "again")

    assert file.config.tune is None
    assert again.metrics == open_run(line[0].path / "best").metrics


@pytest.mark.slow
def test_finalists_are_compared_on_the_test_rows(line):
    finalists = {each.name: each for each in line[0].search.finalists}

    assert list(finalists) == ["default", "best"]
    assert finalists["best"].split == "test"
    assert finalists["best"].verdict == "better"


@pytest.mark.slow
def test_optuna_reads_the_journal(line):
    from optuna import load_study
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    backend = JournalFileBackend(str(line[0].path / "study.journal"))
    study = load_study(study_name="line", storage=JournalStorage(backend))

    assert study.best_params == {RATE: 0.05}


@pytest.mark.slow
@pytest.mark.parametrize(("event", "count"), [("default", 1), ("trial", 2), ("finalist", 1)])
def test_an_interrupted_search_resumes_to_the_same_result(line, tmp_path, request, event, count):
    if event != "finalist":
        request.getfixturevalue("no_finalists")
    with pytest.raises(Ended) as ended:
        start(tmp_path, Ending(event, count))
    assert ended.value.__notes__ == [f"resume with: dlcli.resume({str(tmp_path / 'run')!r})"]
    recorder = Recorder()
    run = tune(tmp_path / "run", SearchSettings(), listener=recorder)

    assert trials_of(run) == trials_of(line[0])
    assert (run.path / "best.yaml").read_bytes() == (line[0].path / "best.yaml").read_bytes()
    finished = sum(fields["trials"] for fields in recorder.named("earlier"))
    assert len(recorder.named("trial")) == 4 - finished


@pytest.mark.slow
def test_before_a_trial_is_finished_nothing_is_left_of_a_search(tmp_path):
    with pytest.raises(Ended):
        start(tmp_path, Ending("device"), run="runs/run")

    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trials", "message"),
    [
        (2, "all 2 candidates failed to train; the first problem: training"),
        (1, "the only candidate failed to train; training"),
    ],
)
def test_nothing_is_left_if_no_candidate_can_be_trained(tmp_path, trials, message):
    with pytest.raises(TrainingError) as error:
        space = f"tune.space={{{RATE}: [1e30, 1e31]}}"
        start(tmp_path, overrides=[space, f"tune.trials={trials}"])
    assert str(error.value) == f"{message} diverged: the loss became nan in epoch 1"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
def test_a_candidate_that_diverges_has_a_result_and_the_others_are_evaluated(tmp_path):
    run = start(tmp_path, overrides=[f"tune.space={{{RATE}: [1e30, 0.05]}}"])

    first, second = run.search.trials
    assert (first.state, first.value) == ("failed", None)
    assert first.problem.startswith("training diverged: the loss became")
    assert second.state == "complete"


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
def test_candidates_are_evaluated_on_folds(tmp_path):
    found = start(tmp_path, overrides=["tune.folds=3", "tune.pruner=none"]).search
    best = found.trial(found.best)

    assert len(best.folds) == 3
    assert best.value == pytest.approx(sum(best.folds) / 3)
    assert (found.rows, found.set_aside) == (45, 15)


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
def test_test_rows_have_no_influence_on_trials(tmp_path):
    """The test rows are in a file, so that they can differ while the training rows do not."""
    runs = []
    for name, factor in (("one", 2), ("other", -50)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "new.csv").write_text(f"x,y\n1,{factor}\n2,{2 * factor}\n3,4\n")
        runs.append(start(tmp_path / name, overrides=["data.test=new.csv"]))

    assert trials_of(runs[0]) == trials_of(runs[1])


@pytest.mark.release
def test_a_planted_optimum_is_found(tmp_path):
    """Only 64 units can fit the wave, and only with a rate that is neither high nor low.

    For releases: that the best rate of four is found, and compared, is tested with less training.
    """
    (tmp_path / "wave.csv").write_text(wave_rows())
    (tmp_path / "wave.yaml").write_text(WAVE)
    file = load_config(tmp_path / "wave.yaml")
    found = tune(file, SearchSettings(), tmp_path / "run").search
    best = found.trial(found.best)

    assert best.values["hidden_layers.units"] == 64
    assert 1e-3 < best.values[RATE] < 1e-1
    assert {each.name: each.verdict for each in found.finalists}["best"] == "better"


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
def test_two_searches_share_a_storage(tmp_path):
    settings = SearchSettings(storage=f"sqlite:///{tmp_path}/study.db")
    recorder = Recorder()
    first = start(tmp_path, settings=settings, run="first")
    second = start(tmp_path, recorder, settings, run="second")

    assert trials_of(first) == trials_of(second)
    assert recorder.named("trial") == []
    record = json.loads((tmp_path / "first" / "study.json").read_text())
    assert record["storage"] == f"sqlite:///{tmp_path}/study.db"

    with pytest.raises(UsageError, match="^the study 'line' in this storage was started with anot"):
        start(tmp_path, settings=settings, overrides=["epochs=21"], run="third")
    assert not (tmp_path / "third").exists()


@pytest.mark.slow
def test_a_database_that_is_lost_between_two_trials_ends_the_search(tmp_path, monkeypatch):
    def lost(*_):
        raise StorageInternalError from OperationalError("SELECT 1", {}, Exception("no connection"))

    monkeypatch.setattr(Study, "retry_lost", lost)
    url = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(TrainingError) as error:
        start(tmp_path, settings=SearchSettings(storage=url))
    assert str(error.value) == f"{url}: trials can no longer be stored: no connection"


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists", "preloaded_workers")
def test_several_processes_try_the_same_candidates(line, tmp_path):
    run = start(tmp_path, settings=SearchSettings(jobs=2))

    assert trials_of(run) == trials_of(line[0])
    processes = {trial.worker for trial in run.search.trials}
    assert run.search.workers == len(processes)
    assert worker_name() not in processes


@pytest.mark.slow
def test_a_search_resumes_after_its_reader_has_ended(tmp_path):
    def listener(event):
        if event.kind == "trial":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        start(tmp_path, listener)
    recorder = Ending("earlier")
    with pytest.raises(Ended):
        tune(tmp_path / "run", SearchSettings(), listener=recorder)

    assert recorder.events[-1] == ("earlier", {"trials": 1, "of": 4})


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The folder of a search that was interrupted after its first trial."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(Ended):
        start(folder, Ending("trial"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study.json", "study.journal", "resolved.yaml"])
def test_a_search_with_a_changed_file_is_not_resumed(interrupted, tmp_path, name):
    shutil.copytree(interrupted, tmp_path / "copy")
    (tmp_path / "copy" / "run" / name).write_text('{"op_code": "no such"}\n')

    with pytest.raises(RunError):
        tune(tmp_path / "copy" / "run", SearchSettings())


@pytest.mark.slow
def test_a_search_with_other_rows_is_not_resumed(interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "copy")
    (tmp_path / "copy" / "line.csv").write_text("x,y\n1,2\n")

    with pytest.raises(RunError, match="has changed since the run started"):
        tune(tmp_path / "copy" / "run", SearchSettings())


@pytest.mark.slow
def test_a_search_that_is_resumed_in_a_storage_without_its_trials_warns_that_it_starts_over(
    tmp_path,
):
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("study", "other")]
    with pytest.raises(Ended):
        start(tmp_path, Ending("trial"), SearchSettings(storage=urls[0]))
    for url in urls:
        recorder = Ending("device")
        with pytest.raises(Ended):
            tune(tmp_path / "run", SearchSettings(storage=url), listener=recorder)
        warnings = [
            fields["message"]
            for fields in recorder.named("warning")
            if fields["message"].startswith("the study")
        ]
        resume = f"dlcli.resume({str(tmp_path / 'run')!r}, storage='{urls[0]}')"
        assert warnings == [] or (url, warnings) == (
            urls[1],
            [
                "the study 'line' has no trials in this storage, so the search starts over. If "
                f"the trials are in another storage, stop this search and resume with: {resume}"
            ],
        )
    assert warnings


def test_an_invalid_candidate_is_reported_before_anything_is_created(tmp_path):
    with pytest.raises(ConfigError, match=r"expected a positive integer, got 0"):
        start(tmp_path, overrides=["tune.space={batch_size: [16, 0]}"])
    assert not (tmp_path / "run").exists()


def test_a_shared_storage_has_to_be_named_again(tmp_path):
    settings = SearchSettings(storage="postgresql://me:secret@host/db")
    writer = RunWriter(tmp_path)
    StudyRecord.new(line_file(tmp_path), settings).store(writer)

    with pytest.raises(UsageError) as error:
        StudyRecord.read(writer).check_storage(None, writer)
    assert str(error.value) == (
        f"{tmp_path}: its trials are in a shared storage; repeat the option: "
        f"dlcli.resume({str(tmp_path)!r}, storage='postgresql://me:***@host/db')"
    )
    assert "secret" not in (tmp_path / "study.json").read_text()


def test_an_interrupted_search_names_its_shared_storage_in_the_command_that_resumes_it(tmp_path):
    settings = SearchSettings(storage="postgresql://me:secret@host/db")
    writer = RunWriter(tmp_path)
    StudyRecord.new(line_file(tmp_path), settings).store(writer)
    stop = stop_of_search(writer)
    stop.signal = signal.SIGTERM

    with pytest.raises(Interrupted) as error:
        stop.check()
    assert str(error.value) == (
        "SIGTERM after 0 trials; resume with: "
        f"dlcli.resume({str(tmp_path)!r}, storage='postgresql://me:***@host/db')"
    )


@pytest.mark.parametrize("content", ["", "[]", '{"storage": 1}'])
def test_the_command_that_resumes_a_search_with_a_damaged_record_names_no_storage(
    tmp_path, content
):
    (tmp_path / "study.json").write_text(content)
    assert resume_command(tmp_path) == f"dlcli.resume({str(tmp_path)!r})"


def test_a_storage_in_the_folder_is_not_named(tmp_path):
    writer = RunWriter(tmp_path)
    StudyRecord.new(line_file(tmp_path), SearchSettings()).store(writer)

    with pytest.raises(UsageError) as error:
        StudyRecord.read(writer).check_storage("sqlite:///study.db", writer)
    assert str(error.value) == f"{tmp_path}: its trials are in this folder; omit 'storage'"


@pytest.mark.parametrize("name", ["houses", "h" * 64])
def test_a_long_name_is_shortened(tmp_path, name):
    file = line_file(tmp_path, overrides=[f"name={name}"])
    with recorded(file, "tune", None, Recorder()) as recording:
        assert recording.name == name[:59] + "-tune"


# Ended from outside

OVERRIDES = [
    f"tune.space={{{RATE}: {{low: 1e-4, high: 5e-2, log: true}}}}",
    "tune.sampler=tpe",
    "tune.trials=12",
]


def end_command(command, number, trials, seconds):
    """Send a signal some time after a number of trials; return the exit code and last line."""
    command.wait_for("trial", count=trials)
    time.sleep(seconds)
    command.kill(number)
    ended = command.end()
    return ended.code, ended.errors.splitlines()[-1:]


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
def test_the_trial_of_a_machine_that_dies_is_taken_over_and_no_file_has_the_password(
    tmp_path, monkeypatch, forks
):
    """What dies is a search in a run folder of its own, of which others know by the database."""
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///file:study.db?uri=true&password=swordfish"
    line_file(tmp_path)
    command = forks.start(
        *("tune", "line.yaml", "--storage", url, "--output", "dies", "--json"),
        patches={"dlcli.pipeline.search_trials.evaluate_candidate": worker_tasks.evaluate_forever},
    )
    while not (tmp_path / "evaluating").exists():
        time.sleep(0.01)
    command.kill()
    assert command.end().code == -signal.SIGKILL
    assert is_unfinished(tmp_path / "dies")

    for name, seconds in (("HEARTBEAT_SECONDS", 1), ("GRACE_SECONDS", 2)):
        monkeypatch.setattr(f"dlcli.pipeline.search_study.{name}", seconds)
    for name, value in (("_POLL_SECONDS", 0.1), ("_POLLS_PER_CHECK", 1)):
        monkeypatch.setattr(f"dlcli.pipeline.search_trials.{name}", value)
    run = start(tmp_path, settings=SearchSettings(storage=url), run="survives")

    found = run.search
    assert [(each.number, each.state) for each in found.trials] == [
        (number, "complete") for number in range(4)
    ]
    assert {each.worker for each in found.trials} == {worker_name()}
    assert found.default is not None
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert [each for each in files if b"swordfish" in each.read_bytes()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_finalists")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_search_ended_by_signals_at_random_moments_tries_what_an_uninterrupted_one_does(
    tmp_path, monkeypatch, forks
):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(5)
    start(tmp_path, overrides=OVERRIDES, run="uninterrupted")

    overrides = [part for each in OVERRIDES for part in ("--set", each)]
    command = forks.start("tune", "line.yaml", *overrides, "--output", "run", "--json")
    code, [message] = end_command(command, signal.SIGTERM, 2, 0.0)
    assert code == 143
    assert message.startswith("ended by SIGTERM after ")
    assert message.endswith("; resume with: dlcli tune --resume run")

    command = forks.start("tune", "--resume", "run", "--json")
    code, _ = end_command(command, signal.SIGKILL, rng.randint(1, 4), rng.uniform(0, 0.2))
    assert code == -signal.SIGKILL

    assert trials_of(tune(tmp_path / "run")) == trials_of(open_run(tmp_path / "uninterrupted"))
