"""Networks that learn the predictions of an ensemble, and their comparison with it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow as tf
from click.testing import CliRunner
from inline_snapshot import snapshot

import dlcli
from dlcli.cli.program import main
from dlcli.comparison import ComparedRun, compare, estimate_difference
from dlcli.config.config_file import load_config, load_config_of_run
from dlcli.config.training_choices import BinaryCrossentropy
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import ConfigError, ExportError, Interrupted, RunError, UsageError
from dlcli.pipeline import baselines
from dlcli.pipeline.cross_validation import cross_validate
from dlcli.pipeline.distillation import distill_rows, find_teacher
from dlcli.pipeline.events import Events
from dlcli.pipeline.preflight import check
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.pipeline.retraining import distill, reproduce
from dlcli.pipeline.train_run import train
from dlcli.prediction.distillation_document import Distillation, ModelSize, TeacherDifference
from dlcli.reports.distillation_section import distillation_sentences, distillation_table
from dlcli.reports.report_files import render_report
from dlcli.reports.views import View, render_text
from dlcli.runs.run_folder import open_run
from dlcli.training import compiled_program
from dlcli.training.objectives import SoftLabelLoss, keras_loss

pytestmark = pytest.mark.usefixtures("handles_signals")

ROWS = 80
CONFIG = """\
data: {{train: rows.csv, target: {target}, test: 0.2}}
input: {{features: {{a: numeric, b: numeric, c: categorical}}}}
hidden: [{{units: 3, activation: tanh}}]
epochs: 3
early_stopping: {{patience: 3}}
ensemble: {{members: 3}}
seed: 3
"""
TARGETS = {
    "number": "y",
    "numbers": "[y, z]",
    "two classes": "is_high",
    "classes": "level",
    "labels": "[is_high, is_far]",
}
SOFT = ("data.validation=0.2", "distill.synthetic_rows=0")


def table():
    """Three features, and targets of several kinds that depend on them."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    y = 5 + 3 * a - b + rng.normal(scale=0.5, size=ROWS)
    names = np.array(["low", "middle", "high"])
    return pa.table(
        {
            "a": a,
            "b": b,
            "c": [f"c{row % 4}" for row in range(ROWS)],
            "y": y,
            "z": 10 * b + a,
            "is_high": (y > 5).astype(int),
            "is_far": (b > 0).astype(int),
            "level": names[np.digitize(y, [3, 7])],
        }
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "is_affordable", lambda network: False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Returns the ensemble of a kind of target, trained once."""
    trained = {}

    def teacher(kind):
        if kind not in trained:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(baselines, "is_affordable", lambda network: False)
                path = tmp_path_factory.mktemp("teacher")
                patch.chdir(path)
                pyarrow.csv.write_csv(table(), path / "rows.csv")
                (path / "t.yaml").write_text(CONFIG.format(target=TARGETS[kind]))
                trained[kind] = path / train(load_config(Path("t.yaml"))).path
        return open_run(trained[kind])

    return teacher


def student(teacher, *settings):
    """The config of a network that learns from a run."""
    loss = "categorical_crossentropy" if teacher.task.kind == "multiclass" else None
    own = ("ensemble=null", "distill.teacher=.", *([f"loss={loss}"] if loss else ()))
    return load_config_of_run(teacher.resolved_path(), (*own, *SOFT, *settings))


def distilled(teacher, *settings):
    """The prepared training rows of a network that learns from a run, and their labels."""
    file = student(teacher, *settings)
    rows, plan = prepare(file, Events())
    rows = encode_sets(rows, Events())
    return rows, distill_rows(find_teacher(file), rows, plan)


def out_of_fold(teacher, rows):
    """What the ensemble predicted for training rows, in the form of the loss, from its file."""
    names = [name for name in teacher.task.decoded_columns]
    known = {
        each["row"]: [each[name] for name in names]
        for each in teacher.predictions.table.to_pylist()
        if each["split"] == "validation"
    }
    found = np.array([known[row] for row in rows.split.train.row_numbers.tolist()])
    if teacher.task.outcome != "numbers":
        return found
    scalings = rows.encoding.task.scalings
    return (found - [each.offset for each in scalings]) / [each.scale for each in scalings]


@pytest.mark.parametrize("kind", TARGETS)
def test_labels_are_the_mean_of_target_and_out_of_fold_prediction(teachers, kind):
    teacher = teachers(kind)
    rows, found = distilled(teacher, "distill.target_weight=0.25")
    target = rows.encoded["train"].target
    if kind == "classes":
        target = np.eye(3)[target]
    expected = 0.25 * target.reshape(len(target), -1) + 0.75 * out_of_fold(teacher, rows)
    np.testing.assert_allclose(found.labels, expected, rtol=1e-5, atol=1e-6)
    assert found.encoded is rows.encoded["train"]


@pytest.mark.parametrize("kind", ["number", "classes"])
def test_synthetic_rows_mix_columns_and_have_the_prediction_of_all_members(teachers, kind):
    teacher = teachers(kind)
    rows, found = distilled(teacher, "distill.synthetic_rows=2", "input.encoding=none")
    own = rows.encoded["train"]
    count = len(own.inputs)
    before, inputs = own.inputs.part(0, count), found.encoded.inputs.part(0, 3 * count)
    assert len(found.labels) == len(inputs) == 3 * count
    np.testing.assert_array_equal(inputs[:count], before)
    synthetic = inputs[count:]
    for column in range(inputs.shape[1]):  # no value that training rows do not have
        assert np.isin(synthetic[:, column], before[:, column]).all()
    swapped = (synthetic[:, 0] != np.tile(before[:, 0], 2)).mean()
    assert 0.1 < swapped < 0.5
    # Encoded as by the teacher, whose statistics are from more rows.
    scaling, theirs = (each.encoding.features[0].scaling for each in (rows, teacher))
    given = synthetic.astype(np.float64)
    for column, (mine, other) in enumerate(
        (one.scaling, two.scaling)
        for one, two in zip(rows.encoding.features[:2], teacher.encoding.features[:2], strict=True)
    ):
        given[:, column] = (
            given[:, column] * mine.scale + mine.offset - other.offset
        ) / other.scale
    assert scaling != theirs
    outputs = teacher.predictor.outputs(InMemoryInputs(given.astype(np.float32)))
    decoded = teacher.predictor.task.decode(outputs)
    if kind == "number":
        own_scaling = rows.encoding.task.scalings[0]
        decoded = (decoded - own_scaling.offset) / own_scaling.scale
    np.testing.assert_allclose(found.labels[count:], decoded, rtol=1e-3, atol=1e-4)
    again = distilled(teacher, "distill.synthetic_rows=2")[1]
    np.testing.assert_array_equal(again.labels, found.labels)


def test_the_loss_reads_soft_labels_and_not_the_true_ones():
    loss = SoftLabelLoss(keras_loss(BinaryCrossentropy()), 1)
    result = float(loss(tf.constant([[0.25, 1.0], [0.5, 0.0]]), tf.constant([[0.5], [0.2]])))
    first = -np.log(0.5)
    second = -(0.5 * np.log(0.2) + 0.5 * np.log(0.8))
    assert result == pytest.approx((first + second) / 2, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TARGETS)
def test_both_engines_train_the_same_network(teachers, kind):
    """Keras's `fit` computes loss and metrics on its own; metrics are of the true target."""
    teacher = teachers(kind)
    runs = [
        train(student(teacher, f"engine={engine}", "distill.synthetic_rows=1"), Path(engine))
        for engine in ("compiled", "keras")
    ]
    for name, values in runs[0].history.items():
        assert values == pytest.approx(runs[1].history[name], rel=1e-4, abs=1e-5), name
    found = runs[0].distillation
    assert found.rows == 16
    assert found.network.weights * 3 == found.ensemble.weights
    assert found.network.bytes < found.ensemble.bytes
    metric = next(iter(found.differences))
    pair = ComparedRun.of(teacher), ComparedRun.of(runs[0])
    expected = estimate_difference(*pair, "test", metric)
    each = found.differences[metric]
    assert (each.value, each.lower, each.upper) == (expected.value, expected.lower, expected.upper)
    assert each.teacher == teacher.metrics["test"][metric]
    assert "Comparison with the ensemble" in render_report(runs[0])


@pytest.mark.slow
def test_metrics_of_an_epoch_are_those_of_the_true_target(teachers):
    """The accuracy of the last epoch, without dropout and steps too small to matter."""
    settings = ("optimizer={name: sgd, learning_rate: 1e-9}", "metrics=[accuracy, auc]")
    run = train(student(teachers("two classes"), *settings), Path("run"))
    for name in ("accuracy", "auc"):
        tolerance = {"abs": 0.02} if name == "auc" else {"rel": 1e-6}
        for split, column in (("train", name), ("validation", f"val_{name}")):
            assert run.history[column][-1] == pytest.approx(run.metrics[split][name], **tolerance)


@pytest.mark.slow
def test_a_distilled_run_is_resumed_and_reproduced_to_the_bit(teachers, monkeypatch):
    for name in ("FIRST_SECONDS", "SECONDS_PER_DISPATCH"):  # a dispatch takes a step
        monkeypatch.setattr(compiled_program, name, 0.0)

    def interrupt(event):
        if event.kind == "epoch" and event.epoch == 2:
            signal.raise_signal(signal.SIGTERM)

    teacher, settings = teachers("classes"), ["optimizer.learning_rate=0.01"]
    whole = distill(teacher, Path("whole"), overrides=settings)
    with pytest.raises(Interrupted, match="SIGTERM after 2 epochs"):
        distill(teacher, Path("run"), interrupt, settings)
    run = train(Path("run"))
    for name in ("weights.npz", "history.csv", "metrics.json"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert not reproduce(run).differing


def test_a_run_is_not_resumed_after_its_teacher_has_changed(teachers, folder):
    def interrupt(event):
        if event.kind == "epoch" and event.epoch == 1:
            signal.raise_signal(signal.SIGTERM)

    copy = folder / "at" / "runs" / "t"
    teacher = teachers("number")
    shutil.copytree(teacher.path.parent.parent, folder / "at")
    with pytest.raises(Interrupted):
        distill(open_run(copy), Path("run"), interrupt, SOFT)
    shutil.rmtree(copy)
    train(load_config(folder / "at" / "t.yaml", ["seed=4"]), copy)
    with pytest.raises(UsageError, match="has no out-of-fold prediction of"):
        train(Path("run"))
    shutil.rmtree(copy)
    train(load_config(folder / "at" / "t.yaml", ["epochs=2"]), copy)
    with pytest.raises(RunError, match=r"run: the ensemble in distill\.teacher has changed since"):
        train(Path("run"))


def test_a_teacher_of_other_data_is_named_with_its_data(teachers, folder):
    teacher = teachers("number")
    pyarrow.csv.write_csv(table().slice(1), folder / "other.csv")
    with pytest.raises(RunError) as caught:
        # A path is relative to the current folder, not to the run folder.
        distill(teacher, Path("run"), overrides=("data.train=other.csv",))
    # The folder of the teacher has another number if the tests run in parallel.
    assert str(caught.value).replace(teacher.path.parent.parent.name, "AT") == snapshot(
        "../AT/runs/t: was trained on 'rows.csv', whose content differs from 'other.csv' in this config; distillation requires the same data: choose another teacher, or train it again"
    )
    assert not Path("run").exists()


def test_a_teacher_of_an_earlier_version_of_the_data_is_named(teachers, folder):
    shutil.copytree(teachers("number").path.parent.parent, folder / "at")
    pyarrow.csv.write_csv(table().slice(1), folder / "at" / "rows.csv")
    with pytest.raises(RunError) as caught:
        distill(open_run(folder / "at" / "runs" / "t"), Path("run"))
    assert str(caught.value).replace(str(folder), "AT") == snapshot(
        "at/runs/t: was trained on 'rows.csv', whose content differs from 'at/rows.csv' in this config; distillation requires the same data: choose another teacher, or train it again"
    )


def test_only_settings_of_the_user_are_blamed(teachers):
    with pytest.raises(ConfigError) as caught:
        distill(teachers("number"), Path("run"), overrides=("ensemble={members: 2}",))
    assert [str(each) for each in caught.value.problems] == snapshot(
        [
            "--set 'ensemble={members: 2}': can't be combined with distill, which trains one network; omit it"
        ]
    )


def refusal(teacher, *settings):
    with pytest.raises((UsageError, ConfigError)) as caught:
        check(student(teacher, *settings))
    text = str(caught.value).replace(str(teacher.path), "RUN")
    return text.replace(f"{teacher.path.parent.parent}/", "")


def test_a_config_that_can_not_learn_from_the_run_is_refused(teachers):
    numbers, classes = teachers("number"), teachers("classes")
    assert refusal(numbers, "seed=4") == snapshot(
        "RUN: has no out-of-fold prediction of 9 training rows, such as row 26 of rows.csv; use the same seed, data.split and data.test as there"
    )
    assert refusal(classes, "loss=sparse_categorical_crossentropy") == snapshot(
        "--set 'loss=sparse_categorical_crossentropy': 'sparse_categorical_crossentropy' can't use probabilities; use categorical_crossentropy"
    )
    assert refusal(teachers("two classes"), "loss=hinge", "output.activation=linear") == snapshot(
        "--set 'loss=hinge': 'hinge' can't use probabilities; use binary_crossentropy"
    )
    assert refusal(numbers, "data.target=z") == snapshot(
        "RUN: has another target; choose a run with 'z'"
    )
    assert refusal(numbers, "data.storage=disk", "distill.synthetic_rows=1") == snapshot(
        "--set 'distill.synthetic_rows=1': requires data.storage: memory; set distill.synthetic_rows: 0"
    )
    with pytest.raises(ConfigError) as caught:
        student(numbers, "ensemble={members: 2}", "data.validation=null")
    assert str(caught.value.problems[0]) == snapshot(
        "--set 'ensemble={members: 2}': can't be combined with distill, which trains one network; omit it"
    )
    with pytest.raises(ConfigError, match="trained on the validation rows; use test rows"):
        student(numbers, "gates={validation.mae: {at_most: 1}}")
    with pytest.raises(ConfigError, match="was trained on rows that are held out here"):
        cross_validate(student(numbers))


@pytest.mark.slow
def test_a_run_without_out_of_fold_predictions_is_refused(teachers, folder):
    path = teachers("two classes").path.parent.parent / "t.yaml"
    messages = []
    for name, settings in {
        "single": ("ensemble=null", "data.validation=0.2"),
        "shared": ("ensemble.folds=none", "data.validation=0.2"),
        "margins": ("loss=hinge",),
    }.items():
        run = train(load_config(path, settings), Path(name))
        with pytest.raises(UsageError) as caught:
            distill(run)
        messages.append(str(caught.value))
    assert messages == snapshot(
        [
            "single: is a single network; only an ensemble with folds can be distilled; create its config with dlcli init, or train one without data.validation and with --set ensemble.members=8",
            "shared: its members share all training rows, so it has no out-of-fold predictions; only an ensemble with folds can be distilled; create its config with dlcli init, or train one without data.validation and with --set ensemble.members=8",
            "margins: its loss 'hinge' gives margins, and distillation requires probabilities; use binary_crossentropy",
        ]
    )
    assert not Path("runs").exists()


def test_the_command_distills_a_run(teachers):
    teacher = teachers("number")
    arguments = ["distill", str(teacher.path), "--json", "--set", "hidden[0].units=2"]
    answer = CliRunner().invoke(main, arguments, catch_exceptions=False)
    *_, last = map(json.loads, answer.stdout.splitlines())
    assert last["run"] == "runs/t-distilled"
    found = last["distillation"]
    assert found["rows"] == 16
    run = open_run(Path("runs/t-distilled"))
    assert run.config.hidden[0].units == 2
    assert run.config.data.validation == 0.15
    assert run.distillation.model_dump(mode="json") == found
    assert run.distillation.network.milliseconds > 0
    assert find_teacher(run.config_file).path.resolve() == teacher.path.resolve()


@pytest.mark.slow
def test_an_ensemble_of_a_table_in_memory_is_distilled_in_python():
    config = CONFIG.format(target="y").replace("train: rows.csv, ", "")
    config = config.replace(", test: 0.2", "")
    ensemble = dlcli.train(config, table(), progress=False)
    with pytest.raises(UsageError, match=r"dlcli\.distill\(run, table\)"):
        dlcli.distill(ensemble)
    events = []
    run = dlcli.distill(
        ensemble, table(), overrides={"distill.synthetic_rows": 0}, progress=events.append
    )
    found = run.distillation
    assert (found["rows"], found["differences"]) == (0, {})
    assert ensemble.distillation is None
    assert "on new rows with dlcli compare --data" in str(run)
    with pytest.raises(UsageError, match=r"the ensemble in distill\.teacher was trained on all of"):
        run.model.predict(table(), interval=0.9)
    with pytest.raises(ExportError, match="it learned from an ensemble, which a script can't read"):
        run.export("python", "script")
    [note] = [each for each in compare([ensemble.folder, run.folder]).notes if "much too" in each]
    assert note.startswith("the validation metrics of 'runs/run-distilled' are much too optimistic")


def test_a_table_compares_accuracy_size_and_time():
    models = {
        "network": ModelSize(weights=10, bytes=2_000, milliseconds=0.25),
        "ensemble": ModelSize(weights=30, bytes=5_000, milliseconds=0.25),
    }
    accuracy = TeacherDifference(
        value=-0.02, lower=-0.05, upper=0.01, verdict="not_significant", network=0.9, teacher=0.92
    )
    found = Distillation(teacher="runs/t", rows=100, differences={"accuracy": accuracy}, **models)
    assert render_text(View(blocks=(distillation_table(found),))) == snapshot("""\
Comparison with the ensemble runs/t on 100 test rows
                           network  ensemble  difference [95 % CI], or share
accuracy                    90.0 %    92.0 %  −2.0 points [−5.0, +1.0]
weights                         10        30  33 % of the ensemble
size of the weights in kB        2         5  40 % of the ensemble
prediction of a row in ms     0.25      0.25  100 % of the ensemble\
""")
    assert [*distillation_sentences(found)] == snapshot([])
    assert [*distillation_sentences(Distillation(teacher="runs/t", **models))] == snapshot(
        [
            "There are no test rows, so the metrics are not compared with those of the ensemble. To compare them, train the ensemble with data.test: 0.15 and distill it again, or compare both runs on new rows with dlcli compare --data."
        ]
    )
