"""Networks and predictions as graphs: the same outputs as dlcli's, for each task and activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from dlcli.columns.category import EmbeddingTable
from dlcli.columns.layout import Block, Layout
from dlcli.columns.number_encoders import PeriodicForm, PeriodicLinearForm
from dlcli.config.config_file import make_config
from dlcli.config.layer_choices import Activation
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.encoding.table_encoding import Encoding
from dlcli.exports.agreement import compare
from dlcli.exports.litert_format import FORMAT as LITERT
from dlcli.exports.model_graph import activate, forward, predict
from dlcli.exports.model_interface import outputs_of, outputs_of_model
from dlcli.exports.onnx_format import IR_VERSION, OPSETS, Node, OnnxOperations
from dlcli.exports.saved_model_format import TensorflowOperations
from dlcli.network.activations import activate as activate_by_dlcli
from dlcli.network.layers import build_network
from dlcli.prediction.conformal import Conformal
from dlcli.prediction.predictor import MemberModel, Predictor, member_weight
from dlcli.schema.section import members_of
from dlcli.tasks.decision import FittedDecision
from dlcli.tasks.task import Task

RNG = np.random.default_rng(3)
WIDE = np.concatenate([RNG.normal(0, 3, (40, 5)), RNG.choice([-1.0, 0.0, 1.0, 30], (10, 5))])


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test draw the same numbers, whichever ran before it."""
    monkeypatch.setitem(globals(), "RNG", np.random.default_rng(3))


def run_graph(
    ops: OnnxOperations, outputs: Mapping[str, Node], matrix: np.ndarray
) -> dict[str, np.ndarray]:
    nodes = [ops.output(node, name) for name, node in outputs.items()]
    kinds = [
        8 if node.dtype == object else helper.np_dtype_to_tensor_dtype(node.dtype) for node in nodes
    ]
    pairs = zip(nodes, kinds, strict=True)
    infos = [helper.make_tensor_value_info(node.name, kind, None) for node, kind in pairs]
    rows = helper.make_tensor_value_info("matrix", 1, ["rows", matrix.shape[1]])
    graph = helper.make_graph(ops.nodes, "graph", [rows], infos, ops.constants)
    opsets = [helper.make_opsetid(*each) for each in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = session.run([*outputs], {"matrix": matrix})
    return dict(zip(outputs, values, strict=True))


def activations() -> list[Any]:
    plain = {name: {} for name in members_of(Activation)}
    plain["threshold"] = {"threshold": 0.5, "default_value": -1.0}
    other: list[tuple[str, dict[str, Any]]] = [
        ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("elu", {"alpha": 0.5}),
        ("celu", {"alpha": 2.0}),
        ("hard_shrink", {"threshold": 1.0}),
        ("soft_shrink", {"threshold": 1.0}),
        ("gelu", {"approximate": True}),
        ("squareplus", {"b": 1.0}),
    ]
    return [(name, members_of(Activation)[name](**more)) for name, more in [*plain.items(), *other]]


@pytest.mark.parametrize(("name", "activation"), activations())
def test_an_activation_is_dlclis(name: str, activation: Any) -> None:
    ops = OnnxOperations()

    y = activate(ops, activation, ops.input("matrix", np.float32))

    matrix = WIDE.astype(np.float32)
    check_activation(name, activation, run_graph(ops, {"y": y}, matrix)["y"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "activation"), activations())
def test_an_activation_by_tensorflow_is_dlclis(name: str, activation: Any) -> None:
    import tensorflow as tf

    y = activate(TensorflowOperations(), activation, tf.constant(WIDE, tf.float32))

    check_activation(name, activation, y.numpy())


def check_activation(name: str, activation: Any, found: np.ndarray) -> None:
    options = activation.model_dump(exclude={"name"})
    expected = activate_by_dlcli(name, WIDE.astype(np.float32), **options)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_waves_embeddings_and_normalization_are_dlclis() -> None:
    waves, table = PeriodicForm(3, 0.5), EmbeddingTable(4, 2)
    blocks = (
        Block("plain", "numeric", ("plain",)),
        Block("first wave", "numeric", ("first wave",), waves),
        Block("word", "index", ("word",), table),
        Block("second wave", "numeric", ("second wave",), waves),
        Block("third wave", "numeric", ("third wave",), PeriodicForm(2, 0.5)),
        Block("map", "numeric", ("map",), PeriodicLinearForm(3, 0.5, 3)),
        Block("other map", "numeric", ("other map",), PeriodicLinearForm(3, 0.5, 3)),
    )
    config = make_config(
        {
            "data": {"train": ":memory:", "target": "y"},
            "hidden": [
                {"units": 4, "batch_normalization": True, "activation": "tanh", "dropout": 0.5},
                {"units": 3, "batch_normalization": {"scale": False, "center": False}},
            ],
            "output": {"units": 2, "activation": "linear", "use_bias": False},
            "epochs": 1,
        }
    ).config
    network = build_network(Layout(blocks), config.hidden, config.output)
    weights = {
        each.name: RNG.uniform(0.5, 1.5, each.shape).astype("f4") for each in network.weights
    }
    matrix = RNG.normal(size=(20, 7)).astype(np.float32)
    matrix[:, 2] = np.arange(20) % 4
    expected = network.forward(InMemoryInputs(matrix), weights)
    ops = OnnxOperations()

    y = forward(ops, network, ops.input("matrix", np.float32), weights)

    found = run_graph(ops, {"y": y}, matrix)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


LOG = {"name": "log1p", "offset": 2.0, "scale": 0.5}
STANDARD = {"name": "standard", "offset": -3.0, "scale": 12.0}
COLORS = {"kind": "multiclass", "columns": ["y"], "classes": ["blue", "green", "red"]}
TASKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a number": (
        {"loss": "mse", "output": {"units": 1, "activation": "linear"}},
        {"kind": "regression", "columns": ["y"], "scalings": [LOG]},
    ),
    "three quantiles": (
        {
            "loss": {"name": "quantile", "levels": [0.1, 0.4, 0.9]},
            "output": {"units": 3, "activation": "linear"},
        },
        {"kind": "regression", "columns": ["y"], "scalings": [LOG]},
    ),
    "a quantile": (
        {
            "loss": {"name": "quantile", "levels": [0.8]},
            "output": {"units": 1, "activation": "linear"},
        },
        {"kind": "counts", "columns": ["y"], "scalings": [STANDARD]},
    ),
    "two numbers": (
        {"loss": "mse", "output": {"units": 2, "activation": "linear"}},
        {"kind": "regression", "columns": ["u", "v"], "scalings": [STANDARD, STANDARD]},
    ),
    "two classes, one unit": (
        {"loss": "binary_crossentropy", "output": {"units": 1, "activation": "sigmoid"}},
        {"kind": "binary", "columns": ["y"], "classes": ["0", "1"], "stored": "integer"},
    ),
    "two classes, two units": (
        {"loss": "categorical_crossentropy", "output": {"units": 2, "activation": "softmax"}},
        {"kind": "binary", "columns": ["y"], "classes": ["false", "true"], "stored": "boolean"},
    ),
    "two classes with a floor": (
        {
            "loss": "binary_crossentropy",
            "output": {"units": 1, "activation": "sigmoid", "probability_floor": 0.2},
        },
        {"kind": "binary", "columns": ["y"], "classes": ["0", "1"], "stored": "integer"},
    ),
    "two weighted classes": (
        {"loss": "binary_crossentropy", "output": {"units": 1, "activation": "sigmoid"}},
        {
            "kind": "binary",
            "columns": ["y"],
            "classes": ["0", "1"],
            "frequencies": [0.8, 0.2],
            "class_weights": [1, 4],
        },
    ),
    "three weighted classes": (
        {"output": {"units": 3, "activation": "softmax"}, "loss": "categorical_crossentropy"},
        {**COLORS, "frequencies": [0.5, 0.3, 0.2], "class_weights": [1, 2, 9]},
    ),
    "a margin": (
        {"loss": "hinge", "output": {"units": 1, "activation": "linear"}},
        {"kind": "binary", "columns": ["y"], "classes": ["ja", "nein, nie"]},
    ),
    "three classes": (
        {"output": {"units": 3, "activation": "softmax"}, "loss": "categorical_crossentropy"},
        COLORS,
    ),
    "classes of whole numbers with a floor": (
        {
            "output": {"units": 3, "activation": "softmax", "probability_floor": 0.2},
            "loss": "categorical_crossentropy",
        },
        {**COLORS, "classes": ["1", "2", "4"], "stored": "integer"},
    ),
    "two classes at a threshold": (
        {"loss": "binary_crossentropy", "output": {"units": 1, "activation": "sigmoid"}},
        {"kind": "binary", "columns": ["y"], "classes": ["no", "yes"]},
    ),
    "three classes with costs": (
        {"output": {"units": 3, "activation": "softmax"}, "loss": "categorical_crossentropy"},
        COLORS,
    ),
    "labels with a floor": (
        {
            "loss": "binary_crossentropy",
            "output": {"units": 2, "activation": "sigmoid", "probability_floor": 0.2},
        },
        {"kind": "multilabel", "columns": ["a", "b"], "labels": ["a", "b"], "stored": "boolean"},
    ),
}


DECISIONS = {
    "two classes at a threshold": FittedDecision(threshold=0.8, objective="f1"),
    "three classes with costs": FittedDecision(
        costs=((0, 1, 4), (2, 0, 9), (1, 5, 0)), objective="cost"
    ),
}


def predictor_of(name: str, members: int) -> Predictor:
    """Return a network with random weights, or several, with held-out errors of two folds."""
    settings, task = TASKS[name]
    targets = task["columns"][0] if len(task["columns"]) == 1 else task["columns"]
    ensemble = {"ensemble": {"members": members}} if members > 1 else {}
    data = {"train": ":memory:", "target": targets}
    network = {"hidden": [{"units": 4, "activation": "tanh"}], **settings, **ensemble}
    config = make_config({"data": data, "epochs": 1, **network}).config
    feature = {"encoding": "number", "low": -1.0, "high": 1.0, "fill": None, "indicator": False}
    features = [{**feature, "column": each, "scaling": {"name": "none"}} for each in "abc"]
    encoding = Encoding.model_validate_json(_json({"features": features, "task": task}))
    built = build_network(encoding.layout, config.hidden, config.output)
    models, arrays = [], [(each.name, each) for each in built.weights]
    if members > 1:  # with different layers and weights
        hidden = (config.hidden, config.hidden * 2)
        networks = [build_network(encoding.layout, each, config.output) for each in hidden]
        models = [
            MemberModel(networks[at % 2], _other_scale(encoding.task, at), 1.0 + at % 3)
            for at in range(members)
        ]
        arrays = [
            (member_weight(number, each.name), each)
            for number, model in enumerate(models, start=1)
            for each in model.network.weights
        ]
    weights = {name: RNG.normal(0, 1.5, each.shape).astype(np.float32) for name, each in arrays}
    decision = DECISIONS.get(name)
    predictor = Predictor(config, encoding, built, weights, tuple(models), decision=decision)
    if encoding.task.outcome == "labels":
        return predictor
    folds = config.ensemble_folds or 1
    columns = encoding.task.width if encoding.task.outcome == "numbers" else 1
    scores = RNG.exponential(0.3, (columns, folds, 21))
    conformal = Conformal(
        rows=(62,) * folds,
        stride=3,
        scores=tuple(tuple(tuple(sorted(fold)) for fold in each) for each in scores.tolist()),
        bounds=(None, 5e3),
    )
    return replace(predictor, conformal=conformal, level=0.8)


@pytest.mark.parametrize("name", DECISIONS)
def test_the_meaning_of_a_class_states_its_decision(name: str) -> None:
    [found] = [
        each for each in outputs_of_model(predictor_of(name, 1)) if each.name == "prediction"
    ]
    words = {
        "two classes at a threshold": "`yes` if its probability is above 0.8",
        "three classes with costs": "the class of least expected cost",
    }
    assert found.meaning == f"The predicted class: {words[name]}."


@pytest.mark.parametrize("name", ["two weighted classes", "three weighted classes", *DECISIONS])
def test_a_class_changes_only_if_a_probability_changes_by_the_margin(name: str) -> None:
    task, draw = predictor_of(name, 1).task, np.random.default_rng(0)
    shares = draw.dirichlet(np.ones(task.width), 2000)
    others = draw.dirichlet(np.ones(task.width), 2000)
    near = shares + draw.random((2000, 1)) * 0.1 * (others - shares)

    chosen, other = (
        task.predict(each if task.width > 2 else each[:, 1:]) for each in (shares, near)
    )

    moved = np.abs(near - shares).max(axis=1)
    assert (chosen != other).sum() > 20
    assert (moved >= task.margins(shares) - 1e-5)[chosen != other].all()


def test_a_level_is_not_rounded_to_all_rows() -> None:
    predictor = replace(predictor_of("three classes", 1), level=0.995)
    [found] = [each for each in outputs_of_model(predictor) if each.name == "prediction_set"]
    assert "the 99.5 % prediction set" in found.meaning


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def _other_scale(task: Task, at: int) -> Task:
    scalings = getattr(task, "scalings", ())
    changed = tuple(each.model_copy(update={"scale": each.scale + at / 9}) for each in scalings)
    return task.model_copy(update={"scalings": changed}) if scalings else task


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_predictions_by_tensorflow_are_dlclis(name: str) -> None:
    predictor = predictor_of(name, members=4)
    matrix = RNG.normal(0, 1, (300, 3)).astype(np.float32)
    expected = outputs_of(predictor.predict_encoded(InMemoryInputs(matrix)))

    outputs = predict(TensorflowOperations(), predictor, matrix)

    found = {name: array.numpy() for name, array in outputs.items()}
    if found["prediction"].dtype == object:
        found["prediction"] = np.array([each.decode() for each in found["prediction"]])
    of_numbers = predictor.task.outcome == "numbers"
    assert compare(expected, found, of_numbers=of_numbers).failures == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "two classes, two units",
        "three classes",
        "three weighted classes",
        "two classes at a threshold",
        "three classes with costs",
        "classes of whole numbers with a floor",
    ],
)
def test_predictions_by_litert_are_dlclis_and_of_the_types_described(
    name: str, tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    predictor = predictor_of(name, members=1)
    matrix = RNG.normal(0, 1, (300, 3)).astype(np.float32)
    expected = outputs_of(predictor.predict_encoded(InMemoryInputs(matrix)))

    exported = LITERT.describe(predictor)
    LITERT.write(exported, tmp_path)

    columns = {name: matrix[:, [at]].ravel() for at, name in enumerate("abc")}
    found = LITERT.load(tmp_path)(columns)
    assert compare(expected, found, of_numbers=False).failures == ()
    model = Interpreter(model_path=str(tmp_path / "model.tflite"))
    types = {key: array.dtype for key, array in model.get_signature_runner()(**columns).items()}
    assert types == {each.name: each.type for each in exported.outputs}


def test_classes_with_commas_are_told_apart_in_the_meanings_of_outputs() -> None:
    outputs = outputs_of_model(predictor_of("a margin", members=1))

    meanings = {each.name: each.meaning for each in outputs}
    assert meanings["margin"] == "Above 0 for `nein, nie`."
    assert meanings["prediction_set"].endswith(": `ja`, `nein, nie`.")


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("name", TASKS)
def test_predictions_and_their_regions_are_dlclis(name: str, members: int) -> None:
    predictor = predictor_of(name, members)
    matrix = RNG.normal(0, 1, (300, 3)).astype(np.float32)
    expected = outputs_of(predictor.predict_encoded(InMemoryInputs(matrix)))
    ops = OnnxOperations()

    outputs = predict(ops, predictor, ops.input("matrix", np.float32))

    found = run_graph(ops, outputs, matrix)
    assert list(found) == list(expected)
    of_numbers = predictor.task.outcome == "numbers"
    agreement = compare(expected, found, of_numbers=of_numbers)
    assert agreement.failures == ()
    assert all(count >= 299 for count in agreement.equal.values())
    assert all(share < 1e-6 for share in agreement.relative_difference.values())


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("name", ["two classes, one unit", "a margin", "three classes"])
def test_the_set_of_an_undefined_output_is_dlclis(name: str, members: int) -> None:
    predictor = predictor_of(name, members)
    matrix = np.array([[np.nan, 0, 0], [0, 0, 0]], np.float32)
    expected = outputs_of(predictor.predict_encoded(InMemoryInputs(matrix)))
    ops = OnnxOperations()

    outputs = predict(ops, predictor, ops.input("matrix", np.float32))

    found = run_graph(ops, outputs, matrix)
    assert expected["prediction_set"][0].sum() == 1  # the predicted class
    np.testing.assert_array_equal(found["prediction_set"], expected["prediction_set"])
