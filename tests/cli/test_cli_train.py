"""`dlcli train`: its events, its result and its end."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import chdir
from pathlib import Path

import pytest

from dlcli.errors import TrainingError
from dlcli.pipeline.events import (
    DeviceEvent,
    EpochEvent,
    TrainedEvent,
    TrainingResultEvent,
    WarningEvent,
)
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run
from tests.cli.conftest import make_run

LINE = """\
data: {train: line.csv, target: y}
input: {features: {x: numeric}, scaling: none}
hidden: []
output: {scaling: none}
loss: mean_squared_error
optimizer: {name: sgd, learning_rate: 0.01}
epochs: 3
"""

METRICS = {"train": {"mse": 0.25}}
EVENTS = [
    DeviceEvent(device="cpu", threads=1, gpus=0),
    WarningEvent(message="line.csv: odd"),
    EpochEvent(epoch=1, of=2, values={"loss": 0.5, "learning_rate": 0.01}),
    EpochEvent(epoch=2, of=2, values={"loss": 0.25, "learning_rate": 0.01}),
    TrainedEvent(epochs=2, best_epoch=2, seconds=1.5),
    TrainingResultEvent(
        run="runs/line", epochs=2, metrics=METRICS, baselines={}, verdicts=BaselineComparison()
    ),
]
VERDICTS = {"differences": {}, "conclusions": {}, "nearly_perfect": None, "leaks": {}}
LINES = [
    {"event": "device", "device": "cpu", "threads": 1, "gpus": 0},
    {"event": "warning", "message": "line.csv: odd"},
    {"event": "epoch", "epoch": 1, "of": 2, "loss": 0.5, "learning_rate": 0.01},
    {"event": "epoch", "epoch": 2, "of": 2, "loss": 0.25, "learning_rate": 0.01},
    {"event": "trained", "epochs": 2, "best_epoch": 2, "seconds": 1.5},
    {
        **{"event": "result", "run": "runs/line", "epochs": 2, "metrics": METRICS},
        **{"baselines": {}, "verdicts": VERDICTS},
    },
]


@pytest.fixture
def line(folder):
    Path("line.csv").write_text("x,y\n0,0\n1,1\n2,2\n3,3\n")
    Path("line.yaml").write_text(LINE)


@pytest.fixture
def untrained(line, monkeypatch, tmp_path_factory):
    """Emits the events of a training, and trains nothing."""

    with chdir(tmp_path_factory.mktemp("another")):
        Path("line.csv").write_text("x,y\n0,0\n1,1\n2,2\n3,3\n")
        Path("line.yaml").write_text(LINE)
        make_run("line", kernel=1, bias=0)
        names = ("resolved.yaml", "encoding.json")
        resolved, encoding = [Path("runs/line", name).read_text() for name in names]

    def train(file, output, listener, finish):
        for event in EVENTS:
            listener(event)
        with new_run(Path("runs/line"), "line") as writer:
            writer.write_resolved(resolved)
            writer.write_json(RunFile.METRICS, {"train": {"mse": 0.25}})
            writer.write_text(RunFile.ENCODING, encoding)
            return writer.finish()

    monkeypatch.setattr("dlcli.pipeline.train_run.train", train)


@pytest.fixture
def broken(line, monkeypatch):
    """Fails after the result of a training."""

    def train(file, output, listener, finish):
        listener(EVENTS[-1])
        raise TrainingError("disk full")

    monkeypatch.setattr("dlcli.pipeline.train_run.train", train)


@pytest.mark.usefixtures("untrained")
def test_events_are_on_standard_error_and_the_result_on_standard_output(dlcli):
    result = dlcli("train", "line.yaml")
    assert result.stderr.splitlines() == [
        "device    cpu, 1 thread",
        "warning: line.csv: odd",
        "epoch 1/2  loss 0.5",
        "epoch 2/2  loss 0.25",
        "trained   2 epochs in 1.5 s",
    ]
    assert result.stdout.splitlines() == [
        *("     train", "MSE   0.25", ""),
        "On the training rows, MSE is 0.25.",
        "No rows were held out, so performance on new rows is unknown; hold out rows with: "
        "--set data.validation=0.15 --set data.test=0.15",
        *("", "run: runs/line", "report: dlcli report runs/line"),
    ]


@pytest.mark.usefixtures("untrained")
def test_json_is_a_line_an_event_the_last_the_result(dlcli):
    result = dlcli("train", "line.yaml", "--json")
    assert result.stderr == ""
    assert [json.loads(line) for line in result.stdout.splitlines()] == LINES


@pytest.mark.usefixtures("untrained")
def test_quiet_leaves_warnings_and_the_result(dlcli):
    result = dlcli("train", "line.yaml", "--quiet")
    assert result.stderr == "warning: line.csv: odd\n"
    assert result.stdout.endswith("run: runs/line\nreport: dlcli report runs/line\n")


@pytest.mark.usefixtures("untrained")
def test_quiet_json_is_the_result_alone_and_warnings_stay_text(dlcli):
    result = dlcli("train", "line.yaml", "--json", "--quiet")
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["result"]
    assert result.stderr == "warning: line.csv: odd\n"


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_run_that_is_not_whole_has_no_result(options, dlcli):
    result = dlcli("train", "line.yaml", *options)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == "error: disk full\n"


@pytest.mark.usefixtures("line")
def test_an_output_that_exists_is_refused_at_once(dlcli):
    Path("mine").mkdir()
    result = dlcli("train", "line.yaml", "--output", "mine")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "mine: already exists" in result.stderr


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ("hidden=[{units: 0}]", 2, "hidden[0].units"),
        ("data.target=z", 2, "no column 'z'"),
        ("data.train=none.csv", 2, "none.csv: no such file"),
        ("loss=binary_crossentropy", 2, "--set 'loss=binary_crossentropy': "),
        ("data.validation=0.9", 3, "rows"),
    ],
)
def test_a_mistake_is_explained_and_leaves_no_run(setting, code, message, dlcli):
    result = dlcli("train", "line.yaml", "--set", setting)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("runs").exists()


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("words", "found"),
    [(["epochs", "10"], "epochs"), (["epochs", "=", "3"], "epochs"), (["epochs=", "3"], "epochs=")],
)
def test_spaces_in_a_setting_are_answered_with_how_to_write_it(words, found, dlcli):
    result = dlcli("train", "line.yaml", "--set", *words)
    first = f"error: --set {found}: write --set epochs=VALUE, without spaces"
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, first)


@pytest.mark.slow
@pytest.mark.usefixtures("line")
def test_a_training_from_beginning_to_end(forks):
    done = forks.run("train", "line.yaml")
    assert done.code == 0
    assert [line.split()[0] for line in done.errors.splitlines()] == [
        *("data", "target", "features", "network", "loss", "engine", "device"),
        *("epoch", "epoch", "epoch", "trained", "baselines"),
    ]
    assert done.output.endswith(
        "\n\nrun: runs/line\nreport: dlcli report runs/line\ndiagnosis: dlcli diagnose runs/line\n"
    )
    assert Path("runs/line/manifest.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("line")
def test_every_line_for_machines_is_json(forks):
    """In a process of its own, test_a_config_trains_to_the_same_weights_again has them so, too."""
    done = forks.run("train", "line.yaml", "--json", "--output", "out")
    events = [json.loads(line)["event"] for line in done.output.splitlines()]
    assert events.count("epoch") == 3
    assert events[-1] == "result"
    assert done.errors == ""
    assert Path("out/manifest.json").exists()


@pytest.mark.usefixtures("line")
def test_a_run_to_finish_must_be_named(dlcli):
    result = dlcli("train", "line.yaml", "--finish")
    assert result.exit_code == 2
    assert "--finish requires the run to end: --resume RUN --finish" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_training_prints_how_to_resume_it(name, code, forks):
    command = forks.start("train", "line.yaml", "--json", "--set", "epochs=100000000")
    command.wait_for("epoch")
    assert os.listdir("runs") == ["line"]
    command.kill(getattr(signal, name))
    ended = command.end()
    assert ended.code == code
    way_on = "resume with: dlcli train --resume runs/line"
    way_to_end = "  or end it with the best epoch so far: dlcli train --resume runs/line --finish"
    lines = rf"ended by {name} after [\d,]+ epochs; {way_on}\n{way_to_end}\n"
    assert re.fullmatch(lines, ended.errors)
    assert Path("runs/line/checkpoint").is_dir()
