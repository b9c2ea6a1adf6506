"""Whole trainings, tracked by both tools at once."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dlcli.tracking.mlflow_tracker import connect

CONFIG = """\
data: {train: line.csv, validation: 0.25, target: y}
hidden: [{units: 2, activation: relu}]
metrics: [mae]
epochs: 30
checkpoint: {seconds: 0.1}
"""
BOTH = ("--tensorboard", "--mlflow")


@pytest.fixture(autouse=True)
def line(store):
    numbers = (7 * row % 40 for row in range(40))  # in an order that is no row index
    rows = "".join(f"{x},{2 * x}\n" for x in numbers)
    Path("line.csv").write_text(f"x,y\n{rows}")
    Path("line.yaml").write_text(CONFIG)


def history(name):
    with Path("runs/line/history.csv").open() as file:
        return [(int(row["epoch"]), float(row[name])) for row in csv.DictReader(file)]


def by_tensorboard(part, tag):
    events = EventAccumulator(f"runs/line/tensorboard/{part}")
    events.Reload()
    return [(point.step, pytest.approx(point.value, rel=1e-6)) for point in events.Scalars(tag)]


def by_mlflow(name):
    (run,) = connect().client.search_runs(["0"])
    points = connect().client.get_metric_history(run.info.run_id, name)
    return run, [(point.step, point.value) for point in points]


@pytest.mark.slow
def test_a_training_is_tracked_and_its_output_is_unchanged(forks):
    done = forks.run("train", "line.yaml", *BOTH)
    assert done.code == 0, done.errors
    run, losses = by_mlflow("loss")
    told = done.errors.replace("pipx run ", "")  # where only the extra is installed
    assert [line for line in told.splitlines() if line.startswith("tracking")] == [
        "tracking  TensorBoard: runs/line/tensorboard; view with: tensorboard --logdir runs",
        f"tracking  MLflow: {os.environ['MLFLOW_TRACKING_URI']}, run {run.info.run_id}; view with: "
        f"mlflow ui --backend-store-uri {os.environ['MLFLOW_TRACKING_URI']}",
    ]
    labels = {line.split()[0] for line in done.errors.splitlines()}
    assert labels == {
        *("data", "target", "features", "network", "loss", "engine", "device"),
        *("tracking", "epoch", "trained", "baselines"),
    }
    links = ["run: runs/line", "report: dlcli report runs/line"]
    assert done.output.splitlines()[-3:] == [*links, "diagnosis: dlcli diagnose runs/line"]
    assert run.info.status == "FINISHED"
    assert losses == history("loss")
    assert by_tensorboard("train", "loss") == history("loss")
    assert by_tensorboard("validation", "mae") == history("val_mae")
    artifacts = {file.path for file in connect().client.list_artifacts(run.info.run_id)}
    manifest = json.loads(Path("runs/line/manifest.json").read_text())
    assert {"manifest.json", *manifest["files"]} <= artifacts
    assert forks.run("validate", "runs/line").code == 0


@pytest.mark.slow
def test_an_interrupted_training_is_resumed_in_both(forks):
    command = forks.start(
        *("train", "line.yaml", *BOTH, "--json", "--set", "epochs=1100", "--set", "metrics=[]"),
        patches={"dlcli.training.compiled_program.FIRST_SECONDS": 0.001},  # not all epochs at once
    )
    command.wait_for("epoch")
    command.kill(signal.SIGTERM)
    assert command.end().code == 143
    assert by_mlflow("loss")[0].info.status == "KILLED"

    done = forks.run("train", "--resume", "runs/line", *BOTH, "--quiet")
    assert (done.code, done.errors) == (0, "")
    run, losses = by_mlflow("loss")
    assert run.info.status == "FINISHED"
    told = by_tensorboard("train", "loss")
    every = dict(history("loss"))
    for points in (losses, told):
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps))
        assert set(range(1, 501)) | set(range(502, 1001, 2)) | {1100} <= set(steps)
        assert points == [(step, every[step]) for step in steps]
