"""The explanation of a finished training, for every kind of column and target."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mixed_table import FEATURES, mixed_table, write_images

from dlcli.config.config_file import load_config
from dlcli.errors import DivergenceError, RunError
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitResult
from dlcli.pipeline.members import FittedMember
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.pipeline.run_recording import TypeReasons
from dlcli.pipeline.train_run import explain_result, train
from dlcli.prediction.predictor import MemberModel
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run, open_run

pytestmark = pytest.mark.usefixtures("compiled_once")

ROWS = 120


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_rows(**columns):
    with Path("rows.csv").open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(columns)
        lines.writerows(zip(*columns.values(), strict=True))


def config_of(text):
    Path("run.yaml").write_text(text)
    return load_config(Path("run.yaml"))


def explanation(text):
    """Explain a network with its first weights: most of these tests need no training."""
    from dlcli.keras_model import build_model, weights_of
    from dlcli.training_job import Job

    file = config_of(text)
    rows, plan = prepare(file, Events())
    rows = encode_sets(rows, Events())
    head, network, task = plan.head, plan.network, rows.encoding.task
    job = Job(file.config, network, head, task, rows.encoded["train"])
    complete = file.config.model_copy(update={"loss": head.loss, "output": head.output})
    weights = weights_of(build_model(network, seed=0), network)
    trained = SimpleNamespace(weights=weights)
    member = FittedMember(0, 0, None, None, trained, MemberModel(network, task))
    return explain_result(FitResult(complete, rows, plan, job, (member,), 0.0))


LOT = np.random.default_rng(0)
A, B = LOT.normal(size=(2, ROWS)).round(3)
W = LOT.uniform(0.5, 2, ROWS).round(2)
SPLIT = "validation: 0.2, test: 0.2"
HIDDEN = "hidden: [{units: 8, activation: relu, batch_normalization: true, dropout: 0.1}]\n"
SHORT = HIDDEN + "epochs: 2\n"


@pytest.mark.slow
def test_every_type_of_column_is_explained():
    write_images(Path())
    columns = mixed_table().to_pydict()
    write_rows(**columns)
    text = f"data: {{train: rows.csv, target: y, {SPLIT}}}\ninput:\n{FEATURES}{SHORT}"
    found = explanation(text)
    types = {column.name: column.type for column in found.columns}
    assert types == {
        "y": "numeric",
        **dict.fromkeys(("size", "depth", "age", "height", "weight", "phase"), "numeric"),
        **{"guessed": "numeric", "price": "numeric", "fresh": "boolean", "hired": "datetime"},
        **{"colour": "categorical", "town": "categorical", "guessed_words": "categorical"},
        **{"notes": "text", "title": "text", "photo": "image"},
    }
    read = set(types) - {"y"}
    assert all(column.inputs for column in found.columns if column.name in read)
    assert {each.column for each in found.importances} == read
    assert found.importance_metric == "rmse"
    assert {each.column for each in found.partial_dependences} < read - {"notes", "title", "photo"}
    assert len(found.worst) == 16
    assert set(found.worst[0].values) == read
    assert found.worst[0].values["photo"] in ("dark.png", "light.png")
    assert [(layer.name, layer.kind) for layer in found.layers[:2]] == [
        ("periodic_1", "Periodic"),
        ("embedding_1", "Embedding"),
    ]
    assert all(layer.first_gradient and layer.last_gradient for layer in found.layers[:2])
    assert found.rows == {"train": 24, "validation": 8, "test": 8}
    assert found.sampled_rows == {"train": 24, "held_out": 16}


CLASSES = np.where(A > 0.3, "no", np.where(B > 0, "yes", "maybe"))
TARGETS = {
    "classes": ({"y": CLASSES}, "", "target: y", "log_loss", ("maybe", "no", "yes")),
    "two weighted classes": (
        {"y": A > 0, "w": W},
        "class_weight: balanced\n",
        "target: y, sample_weight: w",
        "log_loss",
        ("false", "true"),
    ),
    "margins": ({"y": A > 0}, "loss: squared_hinge\n", "target: y", "hinge", ("true",)),
    "labels": (
        {"u": (A > 0) * 1, "v": (A + B / 4 > 0.5) * 1},
        "",
        "target: {column: [u, v], type: multi_label}",
        "log_loss",
        ("u", "v"),
    ),
    "numbers": (
        {"u": A, "v": 9 * A - B, "w": W},
        "",
        "target: [u, v], sample_weight: w",
        "rmse",
        ("u", "v"),
    ),
    "counts": (
        {"y": np.exp(A).round().astype(int)},
        "",
        "target: {column: y, type: count}",
        "rmse",
        ("y",),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TARGETS)
def test_every_kind_of_target_is_explained(kind):
    columns, settings, target, metric, outputs = TARGETS[kind]
    write_rows(a=A, b=B, **columns)
    text = f"data: {{train: rows.csv, {target}, {SPLIT}}}\n{settings}{HIDDEN}"
    found = explanation(f"{text}epochs: 1\n")
    assert (found.importance_metric, found.outputs) == (metric, outputs)
    assert {each.column for each in found.importances} == {"a", "b"}
    stored = [point.predictions for each in found.partial_dependences for point in each.points]
    assert {len(predictions) for predictions in stored} <= {len(outputs)}
    errors = [row.error for row in found.worst]
    assert errors == sorted(errors, reverse=True)
    assert len(errors) == 20
    roles = {column.name: column.role for column in found.columns}
    assert roles == {
        **dict.fromkeys(columns, "target"),
        **({"w": "weight"} if "w" in columns else {}),
        **dict.fromkeys("ab", "feature"),
    }


def test_without_held_out_rows_only_dependences_over_training_rows_are_explained():
    write_rows(a=A, b=B, y=3 * A)
    found = explanation("data: {train: rows.csv, target: y}\nhidden: []\nepochs: 2\n")
    assert found.sampled_rows == {"train": ROWS}
    assert (found.importances, found.importance_metric, found.worst) == ((), None, ())
    assert {each.column for each in found.partial_dependences} == {"a", "b"}


@pytest.mark.slow
def test_training_stores_it():
    write_rows(a=A, b=B, y=3 * A)
    text = f"data: {{train: rows.csv, target: y, {SPLIT}}}\nhidden: []\n"
    run = train(config_of(f"{text}optimizer: {{name: adam, learning_rate: 0.1}}\nepochs: 40\n"))
    found = run.explanation
    first, second = found.importances
    assert (first.column, second.column) == ("a", "b")
    assert first.increase > 10 * abs(second.increase)
    [layer] = found.layers
    assert layer.last_gradient < layer.first_gradient / 10


@pytest.mark.slow
def test_out_of_fold_rows_are_no_other_rows_than_those_of_training():
    write_rows(a=A, b=B, y=3 * A)
    text = "data: {train: rows.csv, target: y}\nhidden: []\nensemble: {members: 2}\nepochs: 1\n"
    found = train(config_of(text)).explanation
    assert found.rows["validation"] == found.rows["train"]
    assert not any(sum(column.histogram.held_out) for column in found.columns)


@pytest.fixture
def writer():
    with new_run(Path("runs/writer"), "writer") as writer:
        yield writer
        writer.finish()


def prepared_with(text):
    return prepare(config_of(text), Events())[0]


def test_the_reasons_are_those_stored_when_the_run_began(writer):
    write_rows(a=A, b=B, y=CLASSES)
    text = "data: {train: rows.csv, target: y}\nhidden: []\nepochs: 1\n"
    TypeReasons(target="first of y", columns={"a": "first"}).store(writer)
    found = TypeReasons.applied(prepared_with(text), writer)
    reasons = {name: decision.reason for name, decision in found.decisions.items()}
    assert reasons == {"a": "first", "b": "all values are numbers"}
    assert found.task.reason == "first of y"


def test_a_run_of_before_without_stored_reasons_has_those_of_now(writer):
    write_rows(a=A, y=CLASSES)
    prepared = prepared_with("data: {train: rows.csv, target: y}\nhidden: []\nepochs: 1\n")
    assert TypeReasons.applied(prepared, writer).decisions["a"].reason == "all values are numbers"


def test_damaged_reasons_are_refused(writer):
    write_rows(a=A, y=CLASSES)
    prepared = prepared_with("data: {train: rows.csv, target: y}\nhidden: []\nepochs: 1\n")
    for text in ('{"format": 1, "target": 7, "columns": {}}', '{"format"', "[]"):
        (writer.path / RunFile.TYPES).write_text(text)
        with pytest.raises(RunError, match="types.json"):
            TypeReasons.applied(prepared, writer)


@pytest.mark.slow
def test_a_training_that_diverged_leaves_what_it_came_to():
    write_rows(a=A, b=B, y=3 * A)
    schedule = "{name: piecewise_constant, boundaries: [3], values: [1e9]}"
    text = f"data: {{train: rows.csv, target: y, {SPLIT}}}\n{HIDDEN}output: {{scaling: none}}\n"
    text += f"epochs: 9\noptimizer: sgd\nlearning_rate_schedule: {schedule}\n"
    with pytest.raises(DivergenceError):
        train(config_of(text))
    found = open_run(Path("runs/run")).explanation
    assert {layer.name for layer in found.layers if layer.last_gradient} == {
        "hidden_1",
        "hidden_1_normalization",
        "output",
    }
    assert [column.name for column in found.columns] == ["y", "a", "b"]


@pytest.mark.slow
def test_it_is_bounded_whatever_the_table_holds():
    classes = [f"class {n % 50} " + "long " * 60 for n in range(300)]
    columns = {f"x{n}": LOT.normal(size=300).round(3) for n in range(210)}
    columns |= {f"c{n}": [f"category {at}" for at in range(300)] for n in range(3)}
    columns["text"] = ["word " * 200 + f"{n % 7}" for n in range(300)]
    write_rows(**columns, y=classes)
    features = "input: {features: {text: text, 'c*': categorical, '*': auto}}\n"
    text = f"data: {{train: rows.csv, target: y, {SPLIT}}}\n{features}{SHORT}"
    found = explanation(text)
    assert (len(found.columns), found.unlisted_columns) == (200, 15)
    assert len(found.importances) == 200
    assert len(found.partial_dependences) == 6
    assert len(found.outputs) == 20
    assert max(len(each.points) for each in found.partial_dependences) == 24
    assert max(len(row.target) for row in found.worst) == 200
    assert len(found.model_dump_json()) < 500_000
