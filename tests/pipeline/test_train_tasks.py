"""Each kind of target goes all the way: trained, stored, predicted, scored, and in plain Keras."""

from __future__ import annotations

import csv
import json
import math
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, DataError
from dlcli.pipeline.preflight import check
from dlcli.pipeline.train_run import train
from dlcli.runs.manifest import RunFile
from dlcli.tables.table_files import read_table

# Keras's own `Model.save` asks NumPy for a copy in the way of NumPy 1.
pytestmark = [
    pytest.mark.usefixtures("compiled_once", "no_linear_baseline"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ROWS = 24
X = [(at - ROWS / 2 + 0.5) / 4 for at in range(ROWS)]
"""From -2.875 to 2.875."""
RAIN, SNOW = [x > 0 for x in X], [x < -1 for x in X]
COLUMNS = {
    "x": X,
    "rain": [int(mark) for mark in RAIN],
    "snow": [str(mark).lower() for mark in SNOW],
    "dry": [str(not mark).lower() for mark in RAIN],
    "cold": [int(mark) for mark in SNOW],
    "tags": ["|".join(["rain"] * r + ["snow"] * s) for r, s in zip(RAIN, SNOW, strict=True)],
    "n": [round(math.exp(x)) for x in X],
    "u": [2 * x + 10 for x in X],
    "v": [100 * x - 1000 for x in X],
}
TARGETS = {
    "columns of labels": "target: [rain, cold]",
    "columns of truth": "target: [snow, dry]",
    "delimited labels": "target: {column: tags, type: multi_label, delimiter: '|'}",
    "count": "target: {column: n, type: count}",
    "numbers": "target: [u, v]",
}
METRICS = {
    "columns of labels": "accuracy, subset_accuracy, auc, macro_f1, micro_f1",
    "columns of truth": "micro_precision, micro_recall",
    "delimited labels": "accuracy",
    "count": "poisson_deviance, mae",
    "numbers": "mae",
}


def write_rows(folder):
    with (folder / "t.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(COLUMNS)
        lines.writerows(zip(*COLUMNS.values(), strict=True))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)


def config_for(target, more="", engine="auto", folder=Path()):
    (folder / "t.yaml").write_text(
        f"data: {{train: t.csv, test: 0.25, {TARGETS.get(target, target)}}}\n"
        "input: {features: [x]}\nhidden: [{units: 4, activation: tanh}]\n"
        f"optimizer: {{name: adam, learning_rate: 0.05}}\nepochs: 60\nengine: {engine}\n{more}"
    )
    return load_config(folder / "t.yaml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns the run of a target, which is trained once."""
    folder = tmp_path_factory.mktemp("tasks")
    write_rows(folder)

    @cache
    def train_once(target, engine):
        file = config_for(target, f"metrics: [{METRICS[target]}]\n", engine, folder)
        return train(file, folder / f"{target} {engine}")

    return lambda target, engine="compiled": train_once(target, engine)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "engine"),
    [
        *((target, "compiled") for target in TARGETS),
        # test_training_equality has the engines train the same labels.
        pytest.param("columns of labels", "keras", marks=pytest.mark.release),
    ],
)
def test_a_run_predicts_and_evaluates_as_plain_keras_does(target, engine, trained):
    run = trained(target, engine)
    predictor, table = run.predictor, read_table(Path("t.csv"))
    predictions = predictor.predict(table, ValueProblems())
    model = keras.models.load_model(run.path / "model.keras")
    expected = np.asarray(
        model(predictor.encoding.transform(table, ValueProblems()).part(0, table.rows))
    )
    numbers = target in ("count", "numbers")
    result = predictions.decoded if numbers else predictions.probabilities
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)
    scores = predictor.evaluate(table, ValueProblems()).metrics
    assert scores["r2"] > 0.8 if numbers else scores["accuracy"] > 0.85
    metrics = METRICS[target].split(", ")
    assert list(run.history) == ["loss", *metrics, "learning_rate"]
    assert set(metrics) < set(run.metrics["test"])


@pytest.mark.slow
@pytest.mark.parametrize("target", ["columns of labels", "delimited labels", "count"])
def test_a_resolved_config_names_the_type_and_trains_the_same_network_again(target, trained):
    run = trained(target)
    file = load_config(run.resolved_path())
    kind = "count" if target == "count" else "multi_label"
    assert file.config.data.target.type == kind
    again = train(file, Path("again"))
    assert (again.path / "weights.npz").read_bytes() == (run.path / "weights.npz").read_bytes()
    assert again.read_text(RunFile.ENCODING) == run.read_text(RunFile.ENCODING)


@pytest.mark.parametrize("target", TARGETS)
def test_a_config_is_checked_without_training(target):
    assert check(config_for(target)).layers[-1].units == (1 if target == "count" else 2)


@pytest.mark.slow
def test_held_out_labels_stand_beside_their_predictions(trained):
    from pyarrow.parquet import read_table as read_parquet

    run = trained("delimited labels")
    found = read_parquet(run.path / "predictions.parquet").to_pydict()
    assert found["target"] == [COLUMNS["tags"][row - 1] for row in found["row"]]
    names = ["row", "split", "target", "prediction", "probability_rain", "probability_snow"]
    assert list(found) == names
    run = trained("columns of truth")
    found = read_parquet(run.path / "predictions.parquet").to_pydict()
    assert found["target_snow"] == [SNOW[row - 1] for row in found["row"]]
    assert {type(value) for value in found["prediction_dry"]} == {bool}


@pytest.mark.slow
def test_metrics_tell_of_each_label_and_of_each_column(trained):
    metrics = trained("columns of labels").metrics["test"]
    assert list(metrics["by_label"]) == ["rain", "cold"]
    assert metrics["by_label"]["rain"]["accuracy"] <= 1
    metrics = trained("numbers").metrics["test"]
    both = [metrics["by_column"][name]["mae"] for name in ("u", "v")]
    assert metrics["mae"] == pytest.approx(sum(both) / 2)
    assert both[0] < 10 < 1000  # in the unit of u, not that of v


@pytest.mark.slow
def test_an_inferred_target_of_counts_takes_the_poisson_loss(trained):
    metrics = train(config_for("target: n", "loss: poisson\n")).metrics
    assert metrics["test"]["poisson_deviance"] >= 0
    encoding = json.loads(trained("count").read_text(RunFile.ENCODING))
    assert encoding["task"]["kind"] == "counts"


def test_labels_are_not_stratified():
    file = config_for("split: stratified, target: [rain, cold]")
    with pytest.raises(ConfigError, match="'rain', 'cold' is labels; use random"):
        train(file)


def test_a_value_that_is_no_count_is_reported_with_its_row_and_leaves_no_run():
    Path("t.csv").write_text("x,n\n1,0\n2,1.5\n3,2\n4,3\n")
    with pytest.raises(DataError, match=r"t.csv: row 2, column 'n': a count must be .* got 1.5"):
        train(config_for("count"))
    assert not Path("runs").exists()
