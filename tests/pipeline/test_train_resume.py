"""A run that is ended anywhere goes on as if nothing had happened, to the bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.kills import CONFIG, REPRODUCIBLE_FILES
from dlcli.cli.program import main
from dlcli.config.config_file import dump_config, load_config
from dlcli.pipeline import baselines, train_run
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.run_recording import resolved_config
from dlcli.runs.environment import collect_environment, fingerprint
from dlcli.runs.manifest import RunFile, locked
from dlcli.runs.run_folder import new_run, open_run
from dlcli.runs.run_writer import Checkpoint

CHEAPER = {
    "{patience: 60, start_from_epoch: 100}": "{patience: 30, start_from_epoch: 30}",
    "units: 512": "units: 64",
    "{seconds: 1.0e-3}": "{seconds: 0.01}\nengine: {name: compiled, jit_compile: false}",
}
"""Ends training after some sixty epochs instead of two hundred, and compiles no XLA."""
KERAS = (
    *("--set", "engine=keras", "--set", "batch_size=64", "--set", "epochs=40"),
    *("--set", "optimizer.learning_rate=0.03", "--set", "learning_rate_schedule.patience=3"),
    *("--set", "early_stopping.start_from_epoch=0"),
)
"""A kill at epoch 18 comes while the plateau waits."""
RESUME = ("train", "--resume", "runs/run")
WAY_ON = "resume with: dlcli train --resume runs/run"
WAY_TO_END = "  or end it with the best epoch so far: dlcli train --resume runs/run --finish"
UPDATES = 20
"""Steps of the linear model to which a run is compared."""
PATCHES = {
    "dlcli.training_job.OVERHEAD": 0,
    "dlcli.pipeline.baselines.UPDATES": UPDATES,
    "dlcli.training.compiled_program.FIRST_SECONDS": 0.005,
}
"""Tests may run where it takes long to store a checkpoint, of which there would be too few.

Nor is there one before the end of the first dispatch.
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder with a config and its rows."""
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path)
    return tmp_path


def write_config(folder):
    lot = np.random.default_rng(0)
    x = lot.normal(size=(400, 8)).round(3)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + lot.normal(scale=0.5, size=400)
    names = ",".join([*(f"x{at}" for at in range(8)), "y"])
    lines = [",".join(map(str, row)) for row in np.column_stack([x, y.round(3)]).tolist()]
    (folder / "rows.csv").write_text("\n".join([names, *lines]) + "\n")
    config = CONFIG
    for before, after in CHEAPER.items():
        assert before in config
        config = config.replace(before, after)
    (folder / "run.yaml").write_text(config)


@pytest.fixture
def start(forks):
    """Starts a command; one at a time, see `Forks`."""
    return lambda *arguments: forks.start(*arguments, "--json", patches=PATCHES)


def ended_by(number, epoch, command):
    """Has a signal end a command once it has events of an epoch; its events, code and errors."""
    command.wait_for("epoch", epoch)
    command.kill(number)
    ended = command.end()
    return command.events(), ended.code, ended.errors


def to_the_end(command):
    """Has a command end by itself; its events."""
    ended = command.end()
    assert (ended.code, ended.errors) == (0, "")
    return command.events()


def resumed_after(events):
    """After how many epochs training went on."""
    return next(event["epochs"] for event in events if event["event"] == "resumed")


def check_equal(run, uninterrupted):
    open_run(run).verify()
    assert names(run) == names(uninterrupted)
    for name in {*REPRODUCIBLE_FILES}.intersection(names(run)):
        assert (run / name).read_bytes() == (uninterrupted / name).read_bytes(), name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The run that nothing has happened to."""
    return train_uninterrupted(tmp_path_factory.mktemp("uninterrupted"))


def train_uninterrupted(folder, *settings):
    """Trains in this process, where TensorFlow is loaded already."""
    write_config(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "UPDATES", UPDATES)
        patch.chdir(folder)
        assert call("train", "run.yaml", *settings).exit_code == 0
    return folder / "runs" / "run"


def kill_and_resume(start, epoch, *settings):
    """Begins a training, kills it once it is at an epoch, and goes on to the end.

    Returns:
        after how many epochs it went on.
    """
    _, code, _ = ended_by(signal.SIGKILL, epoch, start("train", "run.yaml", *settings))
    assert code == -signal.SIGKILL
    return resumed_after(to_the_end(start(*RESUME)))


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_the_uninterrupted_one(uninterrupted, start):
    assert kill_and_resume(start, 30) > 10
    check_equal(Path("runs/run"), uninterrupted)


@pytest.mark.slow
def test_a_run_that_is_killed_can_end_with_the_best_epoch_so_far(folder, start):
    _, code, _ = ended_by(signal.SIGKILL, 30, start("train", "run.yaml"))
    assert code == -signal.SIGKILL
    events = to_the_end(start(*RESUME, "--finish"))
    (end,) = [event for event in events if event["event"] == "early_end"]
    (folder / "shorter").mkdir()
    shorter = train_uninterrupted(folder / "shorter", "--set", f"stop_after_epoch={end['after']}")
    for name in ("weights.npz", "history.csv", "metrics.json", "resolved.yaml"):
        assert (folder / "runs/run" / name).read_bytes() == (shorter / name).read_bytes(), name


@pytest.mark.release
def test_a_killed_run_of_the_keras_engine_ends_as_the_uninterrupted_one(folder, start):
    (folder / "uninterrupted").mkdir()
    uninterrupted = train_uninterrupted(folder / "uninterrupted", *KERAS)
    assert kill_and_resume(start, 18, *KERAS) > 0
    check_equal(Path("runs/run"), uninterrupted)


@pytest.mark.slow
def test_a_run_on_disk_that_signals_end_ends_as_the_uninterrupted_one(uninterrupted, start):
    """SIGTERM and SIGHUP are handled like SIGINT, and tested where the program handles them."""
    arguments, after = ("train", "run.yaml", "--set", "data.storage=disk"), 0
    for name, epoch in (("SIGKILL", 1), ("SIGINT", 20)):
        number = getattr(signal, name)
        events, code, errors = ended_by(number, epoch, start(*arguments))
        if name == "SIGKILL":
            assert code == -number
        else:
            assert code == 128 + number
            assert after <= resumed_after(events)
            after = int(re.search(r"\d+", errors)[0])
            assert errors == f"ended by {name} after {after} epochs; {WAY_ON}\n{WAY_TO_END}\n"
            assert names(Path("runs")) == ["run"]
            assert after >= epoch
        arguments = RESUME
    environment = Path("runs/run/environment.json")
    environment.write_text(environment.read_text().replace('"keras": "', '"keras": "0'))
    events = to_the_end(start(*arguments))
    assert resumed_after(events) == after
    keras = open_run(uninterrupted).environment["keras"]
    assert [event["message"] for event in events if event["event"] == "warning"] == [
        f"runs/run: keras was 0{keras} and is now {keras}; the weights may differ from an "
        "uninterrupted run"
    ]
    check_equal(Path("runs/run"), uninterrupted)


@pytest.mark.slow
def test_a_run_whose_training_is_complete_is_finished_and_not_trained(uninterrupted, start):
    twin, obstacle = Path("runs/twin"), Path("runs/run/weights.npz")
    twin.mkdir(parents=True)
    for name in ("config.yaml", "resolved.yaml", "environment.json"):
        shutil.copy(uninterrupted / name, twin / name)
    command = start("train", "run.yaml")
    events = command.wait_for("epoch")
    check_refused_while_training(command.pid)
    obstacle.mkdir()
    ended = command.end()
    assert [event["message"] for event in events if event["event"] == "warning"] == [
        "runs/twin is an unfinished run of the same config; resume with: "
        "dlcli train --resume runs/twin"
    ]
    assert ended.code == 4
    assert ended.errors == (
        f"error: {obstacle}: could not be stored: Is a directory; make sure that it is "
        "writable, "
        f"then {WAY_ON}\n"
    )
    obstacle.rmdir()
    events = to_the_end(start(*RESUME))
    epochs = len(open_run(uninterrupted).history["loss"])
    assert resumed_after(events) == epochs
    assert "epoch" not in [event["event"] for event in events]
    check_equal(Path("runs/run"), uninterrupted)


def check_refused_while_training(pid):
    result = call(*RESUME)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == (
        f"error: runs/run: process {pid} is training it; wait until it ends, or stop it\n"
    )
    result = call("train", "run.yaml", "--output", "runs/run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: runs/run: already exists; process {pid} is training it; choose a new folder with "
        "--output\n"
    )


def call(*arguments):
    """Calls the program in this process."""
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def no_training(monkeypatch):
    """Fail a test that loads TensorFlow."""

    def load(*_):
        raise AssertionError("it came to training")

    monkeypatch.setattr(train_run, "load_tensorflow", load)


@pytest.fixture
def unfinished(folder, no_training):
    """runs/run, which was ended after an epoch."""
    file = load_config(Path("run.yaml"))
    prepared = prepare(file, Events())
    with pytest.raises(KeyboardInterrupt), new_run(None, "run") as writer:
        writer.write_text(RunFile.CONFIG, file.text)
        writer.write_resolved(dump_config(resolved_config(file, *prepared, writer.path, threads=1)))
        data = [fingerprint(Path("rows.csv"))]
        environment = collect_environment(seed=0, threads=1, device="cpu", data=data)
        writer.write_json(RunFile.ENVIRONMENT, environment)
        writer.write_checkpoint(Checkpoint({"model/0": np.zeros(2)}, {"loss": [0.5]}))
        raise KeyboardInterrupt
    return Path("runs/run")


def refusal(*arguments, code=5):
    """The lines on standard error, all else being as it was."""
    before = contents(Path())
    result = call("train", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert contents(Path()) == before
    return result.stderr.splitlines()


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_a_config_is_not_trained_into_its_unfinished_run(unfinished):
    assert refusal("run.yaml", "--output", "runs/run", code=2) == [
        f"error: runs/run: already exists; it is unfinished; {WAY_ON}"
    ]


def test_a_second_trainer_ends_at_once(unfinished):
    with locked(unfinished):
        assert refusal(*RESUME[1:]) == [
            f"error: runs/run: process {os.getpid()} is training it; wait until it ends, or stop it"
        ]


class TestData:
    """The rows must be those that training began with."""

    pytestmark = pytest.mark.usefixtures("unfinished")

    def test_that_have_changed_are_refused(self):
        Path("rows.csv").write_text(Path("rows.csv").read_text().replace("9", "8", 1))
        assert refusal(*RESUME[1:]) == [
            "error: rows.csv: has changed since the run started; restore the file, or train again",
        ]

    def test_that_are_gone_are_missed(self):
        Path("rows.csv").unlink()
        missing = "error: runs/run/resolved.yaml:4:10: data.train: rows.csv: no such file"
        assert refusal(*RESUME[1:], code=2) == [missing, WAY_ON]

    def test_that_were_read_from_a_pipe_cannot_be_read_again(self):
        change_environment(lambda fields: fields["data"][0].update(sha256=None))
        assert refusal(*RESUME[1:]) == [
            "error: rows.csv: can be read only once, like a pipe; store its rows in a file "
            "and train on that",
        ]

    @pytest.mark.parametrize(("data", "count"), [([], 0), ([{}, {}], 2), ("rows.csv", 0)])
    def test_must_be_as_many_files(self, data, count):
        change_environment(lambda fields: fields.update(data=data))
        assert refusal(*RESUME[1:]) == [
            f"error: runs/run: started with {count} data files, now there are 1; train it again",
        ]


def change_environment(change):
    path = Path("runs/run/environment.json")
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs: 1\n", "data: is required"),
        ("", "is empty; start from 'dlcli init DATA'"),
    ],
)
def test_a_damaged_resolved_config_is_refused(text, problem):
    Path("runs/run/resolved.yaml").write_text(text)
    assert refusal(*RESUME[1:]) == [
        f"error: runs/run: its resolved.yaml can't be read: {problem}; train it again"
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run.yaml"], "CONFIG"),
        (["--set", "epochs=3"], "--set"),
        (["--output", "runs/other"], "--output"),
        (["run.yaml", "--set", "epochs=3", "--output", "a"], "CONFIG and --set and --output"),
    ],
)
def test_going_on_takes_nothing_else(arguments, named):
    first = refusal(*RESUME[1:], *arguments, code=2)[0]
    used = "the config and the options of the interrupted run"
    assert first == f"error: --resume uses {used}; remove {named}"


def test_a_run_that_is_finished_does_not_go_on(no_training):
    with new_run(None, "run") as writer:
        writer.finish()
    assert refusal(*RESUME[1:]) == ["error: runs/run: is finished; there is nothing to train"]


@pytest.mark.usefixtures("unfinished")
def test_a_run_that_is_not_there_is_missed():
    assert refusal("--resume", "runs/rum") == [
        "error: runs/rum: no such run folder; did you mean 'runs/run'?"
    ]


def test_what_is_no_run_does_not_go_on():
    Path("runs").mkdir()
    assert refusal("--resume", "runs") == [
        "error: runs: has no config.yaml, so it is not a run, or it ended before training started; "
        "train "
        "it again"
    ]
    assert refusal("--resume", "run.yaml") == [
        "error: run.yaml: expected a run folder, got a config; train it first: dlcli train run.yaml"
    ]
