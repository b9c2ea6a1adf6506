"""A run that was interrupted ends with what it has, says so, and is reproduced to the bit."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, Interrupted, RunError, UsageError
from dlcli.pipeline import baselines
from dlcli.pipeline.distillation import require_teacher
from dlcli.pipeline.retraining import reproduce
from dlcli.pipeline.train_run import train
from dlcli.reports.report_files import to_html, view_of
from dlcli.reports.views import render_text
from dlcli.runs.manifest import Manifest
from dlcli.runs.run_folder import open_run
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("handles_signals")

ROWS = 60
CONFIG = """\
data: {train: rows.csv, target: y}
hidden: [{units: 3, activation: tanh, dropout: 0.2}]
optimizer: {name: adam, learning_rate: 0.05}
learning_rate_schedule: cosine_decay
epochs: 400
early_stopping: {patience: 400}
seed: 3
"""
SINGLE = ("data.validation=0.25",)
ENSEMBLE = ("ensemble={members: 4}", "epochs=4")
SAME_BITS = ("weights.npz", "history.csv", "metrics.json", "conformal.json", "predictions.parquet")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with the table; no linear baseline, which would take longer."""
    monkeypatch.setattr(baselines, "is_affordable", lambda network: False)
    monkeypatch.setattr("dlcli.training.compiled_program.FIRST_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    y = 5 + 3 * a - b + rng.normal(size=ROWS)
    pyarrow.csv.write_csv(pa.table({"a": a, "b": b, "y": y}), tmp_path / "rows.csv")
    Path("c.yaml").write_text(CONFIG)


def config(*settings):
    return load_config(Path("c.yaml"), settings)


def interrupted(*settings, epoch=5, member=None):
    """Interrupt a training in an epoch; the error."""

    def interrupt(event):
        if event.kind == "epoch" and (event.member, event.epoch) == (member, epoch):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        train(config(*settings), Path("run"), interrupt)
    return caught.value


def check_equal(run, other):
    for name in SAME_BITS:
        assert (run.path / name).read_bytes() == (other.path / name).read_bytes(), name


@pytest.mark.parametrize("engine", ["engine={name: compiled, jit_compile: false}", "engine=keras"])
def test_the_best_epoch_so_far_is_kept(engine):
    error = interrupted(*SINGLE, engine)
    assert error.__notes__ == [
        "  or end it with the best epoch so far: dlcli train --resume run --finish"
    ]
    events = []
    run = train(Path("run"), listener=recorded_in(events), finish=True)
    last = run.epochs
    assert 5 <= last < 400
    (ended,) = [fields for kind, fields in events if kind == "early_end"]
    assert (ended["unit"], ended["after"], ended["of"]) == ("epoch", last, 400)
    assert (run.config.epochs, run.config.stop_after_epoch) == (400, last)
    (trained,) = [fields for kind, fields in events if kind == "trained"]
    assert trained["best_epoch"] == int(np.argmin(run.history["val_loss"])) + 1
    rates = run.history["learning_rate"]  # of a schedule for 400 epochs
    steps = 2 * 400
    assert rates[-1] == pytest.approx(0.025 * (1 + np.cos(np.pi * (2 * last - 1) / steps)))
    check_equal(run, train(config(*SINGLE, engine, f"stop_after_epoch={last}"), Path("direct")))
    assert reproduce(run).differing == ()
    with pytest.raises(RunError, match="is finished; there is nothing to train"):
        train(Path("run"), finish=True)
    assert "of 400: training was ended" in to_html(view_of(run))


def test_an_ensemble_keeps_its_finished_networks():
    interrupted(*ENSEMBLE, epoch=2, member=3)
    run = train(Path("run"), finish=True)
    assert run.config.ensemble.stop_after_member == 2
    whole = train(config(*ENSEMBLE), Path("whole"))
    weights, expected = run.predictor.weights, whole.predictor.weights
    assert len(weights) * 2 == len(expected)
    assert all(np.array_equal(array, expected[name]) for name, array in weights.items())
    # The out-of-fold rows are the rows of the first two of four folds, with the same predictions.
    by_row = {each["row"]: each["prediction"] for each in whole.predictions.table.to_pylist()}
    kept = run.predictions.table.to_pylist()
    assert len(kept) == ROWS / 2
    assert all(by_row[each["row"]] == each["prediction"] for each in kept)
    errors = [each["prediction"] - each["target"] for each in kept]
    assert run.metrics["validation"]["mse"] == pytest.approx(np.mean(np.square(errors)))
    assert "On 30 out-of-fold rows" in render_text(view_of(run))
    assert run.explanation.rows == {"train": ROWS, "validation": ROWS / 2}
    assert reproduce(run).differing == ()
    assert [len(each) for each in run.conformal.scores[0]] == [15, 15]
    with pytest.raises(UsageError, match="ended before each fold had a network"):
        require_teacher(run)


def test_groups_of_networks_are_kept_whole():
    varied = "ensemble={members: 6, folds: 2, vary: [{epochs: 3}, {epochs: 2}], select: greedy}"
    interrupted(varied, "epochs=4", epoch=1, member=6)
    run = train(Path("run"), finish=True)
    assert run.config.ensemble.stop_after_member == 4
    assert len(run.ensemble.selection.groups) == 2


def test_a_kill_while_the_end_is_stored_does_no_harm(monkeypatch):
    interrupted(*SINGLE)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "describe", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(Path("run"), finish=True)
    assert not Path("run/manifest.json").exists()
    run = train(Path("run"))
    assert run.epochs == run.config.stop_after_epoch
    assert open_run(Path("run")).verify() is None
    check_equal(run, reproduce(run).again)


def test_a_run_without_a_finished_network_is_not_ended():
    error = interrupted(*ENSEMBLE, epoch=2, member=1)
    assert not hasattr(error, "__notes__")
    with pytest.raises(RunError) as caught:
        train(Path("run"), finish=True)
    assert str(caught.value) == (
        "run: no network is finished, so there is nothing to keep; resume with: "
        "dlcli train --resume run"
    )
    assert train(Path("run")).config.ensemble.stop_after_member is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("stop_after_epoch=400",), "has no effect on 400 epochs; omit it"),
        (("stop_after_epoch=4", "time=10m"), "can't be combined with time"),
        (("ensemble={members: 4, stop_after_member: 4}",), "has no effect on 4 members; omit it"),
        (
            ("ensemble={members: 6, folds: 2, vary: [{epochs: 3}, {epochs: 2}], "
             "stop_after_member: 3}",),
            "expected a multiple of the 2 folds, got 3",
        ),
    ],
)  # fmt: skip
def test_ends_without_effect_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        config(*settings)
