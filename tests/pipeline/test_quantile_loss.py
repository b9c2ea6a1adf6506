"""Quantiles of a number are trained, stored, predicted and evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError
from dlcli.pipeline.preflight import check
from dlcli.pipeline.retraining import distill
from dlcli.pipeline.train_run import train
from dlcli.runs.run_folder import open_run
from dlcli.tables.table_files import read_table

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 120)).round(3)
Y = (10 + 3 * A - 2 * B + (1 + 0.5 * (A > 0)) * RNG.normal(size=120)).round(3)
LEVELS = [0.1, 0.5, 0.9]
# scikit-learn 1.9.1: mean_pinball_loss of QuantileRegressor(quantile=..., alpha=0).
REGRESSION = [0.20115183952840773, 0.47622496440457096, 0.23007778237305251]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{a},{b},{y},{2 * y}" for a, b, y in zip(A, B, Y, strict=True)]
    Path("t.csv").write_text("\n".join(["a,b,y,z", *lines]) + "\n")


def config_for(more="", data="target: y", levels=LEVELS):
    Path("t.yaml").write_text(
        f"data: {{train: t.csv, {data}}}\ninput: {{features: [a, b]}}\n"
        f"loss: {{name: quantile, levels: {levels}}}\n{more}"
    )
    return load_config(Path("t.yaml"))


LINEAR = (
    "hidden: []\nepochs: 400\nbatch_size: 120\noptimizer: {name: adam, learning_rate: 0.05}\n"
    "learning_rate_schedule: cosine_decay\n"
)
SMALL = "hidden: [{units: 4, activation: tanh}]\nepochs: 3\n"


@pytest.mark.slow
def test_a_network_without_hidden_layers_has_the_loss_of_quantile_regression():
    metrics = train(config_for(LINEAR), Path("run")).metrics["train"]
    found = [each["pinball_loss"] for each in metrics["by_level"].values()]
    assert found == pytest.approx(REGRESSION, rel=0.01)


@pytest.mark.slow
def test_the_baselines_are_quantiles():
    run = train(config_for(SMALL), Path("run"))
    found = json.loads(Path("run/baselines.json").read_text())
    assert found["linear"]["train"]["pinball_loss"] == pytest.approx(np.mean(REGRESSION), rel=0.01)
    below = [each["share_below"] for each in found["constant"]["train"]["by_level"].values()]
    assert below == pytest.approx(LEVELS, abs=1 / 120)
    assert run.history.keys() == {"loss", "pinball_loss", "learning_rate"}


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["", "ensemble: {members: 2}\n"], ids=["one", "folds"])
def test_predictions_have_a_column_for_each_level_and_corrected_intervals(ensemble):
    data = "target: y, test: 0.25" + ("" if ensemble else ", validation: 0.25")
    run = train(config_for(SMALL + ensemble, data), Path("run"))
    stored = run.required_predictions.table
    names = [f"prediction_{level}" for level in LEVELS]
    assert {"target", "prediction", *names} <= {*stored.column_names}
    quantiles = np.stack([stored[name].to_numpy() for name in names])
    assert (np.diff(quantiles, axis=0) >= 0).all()
    assert stored["prediction"].to_numpy().tolist() == quantiles[1].tolist()
    coverage = run.conformal.test[0]
    assert sum(each.rows for each in coverage) == 30
    assert run.metrics["test"]["by_level"].keys() == {"0.1", "0.5", "0.9"}


@pytest.mark.slow
def test_keras_code_gets_the_same_quantiles():
    import keras

    run = train(config_for(SMALL), Path("run"))
    table = read_table(Path("t.csv"))
    inputs = run.predictor.encoding.transform(table, ValueProblems()).part(0, table.rows)
    model = keras.models.load_model("run/model.keras")
    expected = run.predictor.predict(table, ValueProblems()).decoded
    np.testing.assert_allclose(np.asarray(model(inputs)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ("[0.5, 0.1]", "levels: must be ascending and different, such as [0.1, 0.5, 0.9]"),
        ("[0.5, 0.5]", "levels: must be ascending and different, such as [0.1, 0.5, 0.9]"),
        ("[0, 0.5]", "expected a number between 0 and 1, got 0"),
        ("[]", "expected a list of 1 to 25 numbers between 0 and 1"),
    ],
)
def test_levels_that_are_no_levels_are_refused(levels, message):
    with pytest.raises(ConfigError) as caught:
        check(config_for(SMALL, levels=levels))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("more", "data", "message"),
    [
        ("", "target: [y, z]", "'quantile' does not fit the target 'y', 'z' (2 numbers)"),
        (
            "output: {units: 2}\n",
            "target: y",
            "output.units: expected 3 (one for each of the levels of the loss 'quantile'), got 2",
        ),
    ],
)
def test_settings_that_contradict_the_levels_are_refused(more, data, message):
    with pytest.raises(ConfigError) as caught:
        check(config_for(SMALL + more, data))
    assert message in str(caught.value)


@pytest.mark.slow
def test_quantiles_are_not_distilled():
    train(config_for(f"{SMALL}ensemble: {{members: 2}}\n"), Path("run"))
    with pytest.raises(ConfigError, match="can't be combined with the loss 'quantile'"):
        distill(open_run(Path("run")), Path("student"))
