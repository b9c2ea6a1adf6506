"""After class weights, probabilities are those of the rows, and decisions those of the weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import dlcli
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, Interrupted
from dlcli.pipeline.cross_validation import CrossValidationPlan, cross_validate
from dlcli.pipeline.events import EpochEvent
from dlcli.pipeline.train_run import train
from dlcli.reports.cross_validation_report import CrossValidationRecord
from dlcli.reports.training_report import training_view
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run

pytestmark = pytest.mark.usefixtures("compiled_once", "no_linear_baseline")

CONFIG = """
data: {train: rows.csv, target: {column: y, positive_class: "yes"}, test: 0.5, split: random}
input: {features: {a: numeric, b: numeric, "*": ignored}}
hidden: []
optimizer: {name: adam, learning_rate: 0.05}
epochs: 15
batch_size: 200
"""
ROWS = 4000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with rows whose probabilities are known: column p, or p1 to p3."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, ROWS))
    p = 1 / (1 + np.exp(-(-2.5 + 1.2 * a - 0.8 * b)))
    logits = np.stack([2 + 0 * a, a, b - 1], axis=1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y3 = (rng.random((ROWS, 1)) > np.cumsum(shares, axis=1)).sum(axis=1)
    columns = {
        "a": a,
        "b": b,
        "p": p,
        **{f"p{at + 1}": shares[:, at] for at in range(3)},
        "y": np.where(rng.random(ROWS) < p, "yes", "no"),
        "z": np.array(["x", "y", "z"])[y3],
    }
    pyarrow.csv.write_csv(pa.table(columns), "rows.csv")
    Path("c.yaml").write_text(CONFIG)
    return tmp_path


def trained(name, *settings):
    return train(load_config(Path("c.yaml"), settings), Path(name))


def probabilities(run):
    """The predicted probabilities of the second class, or of all, and the true ones, of all rows."""
    table = run.predictor.read(Path("rows.csv"))
    decoded = run.predictor.predict(table, ValueProblems()).decoded
    names = ["p"] if decoded.shape[1] == 1 else ["p1", "p2", "p3"]
    return decoded, np.stack([table.column(name).numbers().values for name in names], axis=1)


def bias(run):
    return run.predictor.weights["output/bias"]


def test_corrected_probabilities_are_those_of_an_unweighted_network_and_the_truth():
    plain, balanced = trained("plain"), trained("balanced", "class_weight=balanced")
    (expected, truth), (found, _) = probabilities(plain), probabilities(balanced)
    # The standard error of the probabilities of a logistic model of 2,000 rows is about 0.01.
    assert np.abs(expected - truth).mean() < 0.02
    assert np.abs(found - truth).mean() < 0.02
    assert np.abs(found - expected).mean() < 0.02
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=0.01)
    # The decisions are those of balanced classes.
    assert balanced.metrics["test"]["recall"] > plain.metrics["test"]["recall"] + 0.3
    assert balanced.task.frequencies == pytest.approx(plain.task.frequencies)
    share = balanced.task.frequencies[1]
    assert balanced.task.threshold == pytest.approx(share, rel=1e-5)


def test_the_decisions_are_those_of_the_uncorrected_network(monkeypatch):
    corrected = trained("corrected", "class_weight={no: 1, yes: 5}")
    monkeypatch.setattr("dlcli.tasks.prior_shift.obstacle", lambda *_: "none")
    uncorrected = trained("uncorrected", "class_weight={no: 1, yes: 5}")
    assert not uncorrected.task.class_weights
    assert bias(uncorrected) - bias(corrected) == pytest.approx(np.log(5), abs=1e-6)
    columns = [run.predictions.table["prediction"] for run in (corrected, uncorrected)]
    assert columns[0] == columns[1]
    names = ("accuracy", "recall", "precision", "f1", "auc", "confusion")
    first, second = corrected.metrics["test"], uncorrected.metrics["test"]
    assert {name: first[name] for name in names} == {name: second[name] for name in names}
    assert first["log_loss"] < second["log_loss"]
    # The loss during training has the weights.
    histories = [Path(name, "history.csv").read_text() for name in ("corrected", "uncorrected")]
    assert histories[0] == histories[1]


def test_several_classes_are_corrected_and_decided_by_their_weights():
    settings = ("data.target=z", "class_weight=balanced", "epochs=25")
    found, truth = probabilities(trained("z", *settings))
    assert np.abs(found - truth).mean() < 0.02
    run = open_run(Path("z"))
    weights = np.array(run.task.class_weights)
    assert len({*np.round(weights, 3)}) == 3
    table = run.predictor.read(Path("rows.csv"))
    predicted = run.predictor.predict(table, ValueProblems()).values
    assert predicted.tolist() == (found * weights).argmax(axis=1).tolist()


@pytest.mark.slow
def test_a_cross_validation_decides_by_the_weights_of_all_rows(tmp_path):
    file = load_config(Path("c.yaml"), ("class_weight=balanced",))
    run = cross_validate(file, CrossValidationPlan(folds=2), tmp_path / "cv")
    document = run.cross_validation
    pooled = {name: each.value for name, each in document.pooled.items()}
    assert pooled["balanced_accuracy"] > 0.7
    assert document.constant["recall"] == 0
    rows = CrossValidationRecord(run, document).predicted
    right = (rows.predicted_values == 1) & (rows.values == 1)
    assert right.sum() / (rows.values == 1).sum() == pytest.approx(pooled["recall"])


@pytest.mark.slow
def test_each_member_is_corrected_by_its_own_rows():
    settings = ("ensemble={members: 3}", "class_weight=balanced", "data.split=random")
    run = trained("ensemble", *settings)
    members = run.ensemble.members
    assert len({member.task.class_weights for member in members}) == 3
    assert {member.task.frequencies for member in members} == {run.task.frequencies}
    found, truth = probabilities(run)
    assert np.abs(found - truth).mean() < 0.02
    assert run.metrics["validation"]["calibration_error"] < 0.03


def test_exported_models_agree(folder):
    keras = pytest.importorskip("keras")
    run = trained("keras", "class_weight=balanced")
    table = run.predictor.read(Path("rows.csv"))
    model = keras.saving.load_model(run.path / RunFile.MODEL, compile=False)
    outputs = model.predict(run.predictor.encode(table, ValueProblems()), verbose=0)
    found, _ = probabilities(run)
    assert outputs == pytest.approx(found, abs=1e-6)


def test_an_interrupted_run_is_resumed_to_the_bit():
    settings = ("class_weight=balanced", "checkpoint.seconds=1.0e-9")
    whole = trained("whole", *settings)

    def interrupt(event):
        if isinstance(event, EpochEvent) and event.epoch == 9:
            raise Interrupted("here", 2)

    with pytest.raises(Interrupted):
        train(load_config(Path("c.yaml"), settings), Path("part"), interrupt)
    resumed = train(Path("part"))
    names = (RunFile.WEIGHTS, RunFile.METRICS, RunFile.HISTORY, RunFile.ENCODING)
    for name in names:
        assert (whole.path / name).read_bytes() == (resumed.path / name).read_bytes(), name


def test_weights_of_another_run_start_from_its_training():
    first = trained("first", "class_weight=balanced")
    slow = ("class_weight=balanced", "optimizer.learning_rate=1e-9", "epochs=1")
    second = trained("second", *slow, "initial_weights=first")
    assert bias(second) == pytest.approx(bias(first), abs=1e-5)
    shifted = trained("shifted", *slow, "initial_weights=first", "data.prevalence={yes: 0.5}")
    third = trained("third", *slow, "initial_weights=shifted")
    assert bias(shifted) != pytest.approx(bias(first), abs=0.1)
    assert bias(third) == pytest.approx(bias(first), abs=1e-5)


def test_another_prevalence_shifts_probabilities_and_the_comparison():
    plain, rare = trained("plain"), trained("rare", "data.prevalence={yes: 0.01}")
    assert rare.task.prevalence == (0.99, 0.01)
    share = rare.task.frequencies[1]
    expected = np.log(0.01 / 0.99) - np.log(share / (1 - share))
    assert bias(rare) - bias(plain) == pytest.approx(expected, abs=1e-5)
    assert rare.verdicts.on("test")["constant"].metric == "auc"
    both = trained("both", "data.prevalence={yes: 0.01}", "class_weight=balanced")
    assert both.task.threshold == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.prevalence={maybe: 0.1}",), "no such class"),
        (("data.prevalence={yes: 0.3, no: 0.3}",), "expected a sum of 1"),
        (("data.prevalence={yes: 2}",), "expected a frequency between 0 and 1 for each class"),
        (("data.prevalence={a: 0.5}", "data.target=b"), "requires classes"),
        (
            ("data.prevalence={yes: 0.1}", "loss=binary_focal_crossentropy"),
            "can't correct the probabilities, because the loss",
        ),
    ],
)
def test_an_impossible_prevalence_is_refused(settings, message):
    Path("c.yaml").write_text(CONFIG.replace('a: numeric, b: numeric, "*": ignored', '"*": auto'))
    with pytest.raises(ConfigError) as error:
        trained("run", *settings)
    assert message in str(error.value)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ("class_weight={yes: 4}",),
            "Probabilities are corrected for the class weights; the prediction is yes if its "
            "probability is above 20.0 %.",
        ),
        (
            ("class_weight=balanced", "loss={name: binary_crossentropy, label_smoothing: 0.1}"),
            "Probabilities are not corrected for the class weights, because label_smoothing also "
            "changes them.",
        ),
        (
            ("class_weight=balanced", "output.use_bias=false"),
            "Probabilities are not corrected for the class weights, because the output has no bias.",
        ),
    ],
)
def test_the_result_states_the_effect_on_probabilities(settings, sentence):
    run = trained("run", *settings, "epochs=2")
    assert sentence in training_view(run).sentences
    assert bool(run.task.class_weights) == ("not corrected" not in sentence)


def test_a_prevalence_is_stated_with_the_frequency_of_the_training_rows():
    run = trained("run", "data.prevalence={yes: 0.02}", "epochs=2")
    [sentence] = [each for each in training_view(run).sentences if "frequencies" in each]
    share = 100 * run.task.frequencies[1]
    assert f"yes 2.0 % (training rows: {share:.1f} %)" in sentence


def test_the_stored_task_contains_the_weights(folder):
    run = trained("run", "class_weight={no: 2, yes: 6}", "epochs=1")
    task = json.loads((run.path / RunFile.ENCODING).read_text())["task"]
    assert task["class_weights"] == [2.0, 6.0]
    assert dlcli.load(run.path)
