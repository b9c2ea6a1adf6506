"""A training that diverged keeps its last finite weights, in a run that is there to start from."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot

from dlcli import training_job
from dlcli.cli.program import main
from dlcli.config.config_file import load_config
from dlcli.errors import DivergenceError
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import fit, load_tensorflow
from dlcli.pipeline.preflight import row_storage
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.pipeline.train_run import train
from dlcli.runs import run_writer
from dlcli.runs.run_folder import latest_run, open_run

pytestmark = pytest.mark.usefixtures("no_linear_baseline")

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, storage: STORAGE}
hidden:
  - {units: 8, activation: relu, dropout: 0.1}
optimizer: sgd
learning_rate_schedule: {name: piecewise_constant, boundaries: [3], values: [RATE]}
output: {scaling: none}
epochs: 9
batch_size: 16
engine: ENGINE
"""
ENGINES = {
    "graph": ("{name: compiled, jit_compile: false}", "memory"),
    "XLA": ("{name: compiled, jit_compile: true}", "memory"),
    "rows on disk": ("{name: compiled, jit_compile: false}", "disk"),
    "Keras": ("keras", "memory"),
}
THIRD = ("epochs=3", "learning_rate_schedule=constant")
KEPT = "to start from these: overrides={'initial_weights': 'runs/t'}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows()


def write_rows():
    lot = np.random.default_rng(0)
    x = lot.normal(size=(100, 2)).round(3)
    lines = [f"{a},{b},{a - b:.3f},{100 * a:g}" for a, b in x.tolist()]
    Path("rows.csv").write_text("\n".join(["a,b,y,large", *lines]) + "\n")


def config_of(engine="graph", rate="1e9", *settings):
    name, storage = ENGINES[engine]
    text = CONFIG.replace("ENGINE", name).replace("STORAGE", storage).replace("RATE", rate)
    Path("t.yaml").write_text(text)
    return load_config(Path("t.yaml"), settings)


def diverged(file):
    with pytest.raises(DivergenceError) as caught:
        train(file)
    return caught.value


@pytest.fixture(scope="module")
def until_the_third(tmp_path_factory):
    """Fit once with an engine until the last finite epoch; the history, the weights as bytes."""

    @cache
    def get(engine, *settings):
        folder = tmp_path_factory.mktemp("third")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            write_rows()
            file, events = config_of(engine, "1e9", *settings, *THIRD), Events()
            with row_storage(file, folder / "run", events) as storage:
                rows, plan = prepare(file, events, storage)
                load_tensorflow(file.config, events)
                fitted = fit(encode_sets(rows, events), plan)
        return fitted.training.history, as_bytes(fitted.training.weights)

    return get


@pytest.fixture(scope="module")
def diverged_once(tmp_path_factory):
    """The run folder of a training that diverged."""
    folder = tmp_path_factory.mktemp("diverged")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_rows()
        diverged(config_of())
    return folder / "runs" / "t"


@pytest.fixture
def diverged_run(diverged_once):
    """runs/t, a copy of the training that diverged."""
    shutil.copytree(diverged_once, "runs/t")


@pytest.fixture
def each_step_is_kept(monkeypatch):
    """A dispatch takes a step, and a checkpoint follows; how many epochs had begun at each."""
    for name in ("FIRST_SECONDS", "SECONDS_PER_DISPATCH"):
        monkeypatch.setattr(f"dlcli.training.compiled_program.{name}", 0.0)
    monkeypatch.setattr(training_job, "OVERHEAD", 0)
    begun, keep = [], training_job.RunCheckpointer.save

    def keep_and_note(keeper, checkpoint):
        begun.append(checkpoint.begun)
        keep(keeper, checkpoint)

    monkeypatch.setattr(training_job.RunCheckpointer, "save", keep_and_note)
    return begun


@pytest.fixture
def only_two_are_kept(monkeypatch):
    """None of an earlier epoch stays when there are two of this one."""
    monkeypatch.setattr(run_writer, "_dispensable", lambda folders: folders[:-2])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["graph", "Keras"])
def test_the_weights_are_those_at_the_end_of_the_last_finite_epoch(engine, until_the_third):
    check_kept(until_the_third(engine), engine)


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine",
    [
        "graph",
        # Checkpoints under XLA are those of test_training_checkpoints.
        pytest.param("XLA", marks=pytest.mark.release),
        "rows on disk",
    ],
)
def test_they_are_also_if_checkpoints_are_of_the_epoch_that_diverges(
    engine, until_the_third, each_step_is_kept
):
    check_kept(until_the_third(engine), engine, "checkpoint.seconds=1.0e-9")
    assert each_step_is_kept.count(3) > 1
    assert each_step_is_kept.count(4) > 1
    assert each_step_is_kept.count(0) == 1, "it has begun anew"


@pytest.mark.slow
def test_they_are_also_if_all_checkpoints_are_of_that_epoch(
    until_the_third, each_step_is_kept, only_two_are_kept
):
    check_kept(until_the_third("graph"), "graph", "checkpoint.seconds=1.0e-9")
    assert each_step_is_kept.count(0) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("each_step_is_kept", "only_two_are_kept")
def test_nothing_is_kept_if_all_checkpoints_are_and_training_cannot_start_over(monkeypatch):
    """As when a training goes on that had started from weights of another run."""
    monkeypatch.setattr("dlcli.training_job.Job.can_begin", property(lambda job: job.until is None))
    error = diverged(config_of("graph", "1e9", "checkpoint.seconds=1.0e-9"))
    assert "in epoch 4" in str(error)
    assert not any("kept" in note for note in error.__notes__)
    assert not Path("runs").exists()


def check_kept(third, engine, *settings):
    """Check that what a diverged training keeps is the third epoch's history and weights."""
    error = diverged(config_of(engine, "1e9", *settings))
    assert str(error) == f"training diverged: the loss became {error_loss(error)} in epoch 4"
    assert error.__notes__[-1] == (
        f"  the last finite weights (after 3 epochs) are kept in runs/t; {KEPT}"
    )
    run = open_run(Path("runs/t"))
    run.verify()
    assert run.kind == "diverged"
    assert (run.history, weights(run)) == third
    assert not (run.path / "checkpoint").exists()


def error_loss(error):
    return "nan" if "nan" in str(error) else "inf"


def weights(run):
    return as_bytes(run.predictor.weights)


def as_bytes(arrays):
    return {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.slow
def test_an_epoch_whose_loss_alone_was_finite_is_not_the_last():
    """As when the last step of an epoch leads out of the numbers, which its loss doesn't see."""
    settings = ("data.target=large", "data.validation=null", "batch_size=100", "epochs=4")
    file = config_of("graph", "1e38", *settings)
    error = diverged(file)
    assert str(error).endswith("' is no longer finite after the last step")
    assert "(after 3 epochs) are kept" in error.__notes__[-1]
    run = open_run(Path("runs/t"))
    assert len(run.history["loss"]) == 3
    assert all(np.isfinite(array).all() for array in run.predictor.weights.values())


@pytest.mark.slow
def test_the_best_until_then_are_kept_if_these_were_wanted(until_the_third):
    best = "early_stopping.restore_best_weights=true"
    error = diverged(config_of("graph", "1e9", best))
    history, expected = until_the_third("graph", best)
    epoch = 1 + history["val_loss"].index(min(history["val_loss"]))
    assert f"  the last finite weights (the best so far, of epoch {epoch}) " in error.__notes__[-1]
    assert weights(open_run(Path("runs/t"))) == expected


@pytest.mark.slow
def test_where_nothing_was_trained_nothing_is_kept():
    error = diverged(config_of("graph", "1e9", "optimizer.learning_rate=1e9"))
    assert "in epoch 1" in str(error)
    assert not any("kept" in note for note in error.__notes__)
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("diverged_run")
def test_training_may_start_from_it(until_the_third):
    run = train(config_of("graph", "0.01", "initial_weights=runs/t"))
    fresh, _ = until_the_third("graph")
    assert run.history["loss"][0] < fresh["loss"][0]
    assert run.metrics


@pytest.mark.slow
@pytest.mark.usefixtures("diverged_run")
def test_it_is_no_run_to_predict_with():
    result = CliRunner().invoke(main, ["predict", "runs/t", "rows.csv"])
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == (
        snapshot(
            "error: runs/t: diverged; to start from its last finite weights: "
            "--set initial_weights=runs/t; or choose another run\n"
        )
    )


@pytest.mark.usefixtures("diverged_run")
def test_it_is_never_the_latest():
    assert latest_run(["train"]) is None
