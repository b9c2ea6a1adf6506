"""The NumPy forward pass and the stored `model.keras` agree.

Both compute in float32, each in its own order, so they differ by rounding: the promise is 1e-5 of
the output's scale. Two things would make that unfair, and the data avoid them. A hard threshold
turns the last bit of a sum into a jump, and both sides of it are right, so rows whose sums come
near one are left out. And behind an exponential a rounding error is as large as its values, so that
layers upon it can lift it beyond any bound: stacks have none, but it is tested alone.
"""

from __future__ import annotations

import dataclasses
import os

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.columns.layout import plain_layout
from dlcli.columns.scaling import LinearScaling
from dlcli.config.config_schema import Hidden, Output
from dlcli.config.layer_choices import Activation, Linear
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.keras_model import assign_weights, build_portable_model
from dlcli.network.layers import DenseLayer, build_network
from dlcli.prediction.predictions import Predictions
from dlcli.schema.section import members_of
from dlcli.tasks.classification import Multilabel, classification
from dlcli.tasks.regression import Regression

# Keras's own `Model.save` asks NumPy for a copy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

DEFAULT = [name for name in members_of(Activation) if name != "threshold"]
PARAMETRIC = [
    {"name": "celu", "alpha": 0.3},
    {"name": "elu", "alpha": 2.5},
    {"name": "gelu", "approximate": True},
    {"name": "hard_shrink", "threshold": 0.2},
    {"name": "leaky_relu", "negative_slope": 0.01},
    {"name": "relu", "negative_slope": 0.1},
    {"name": "relu", "max_value": 0.5},
    {"name": "relu", "threshold": 0.3},
    {"name": "relu", "threshold": -0.3},
    {"name": "relu", "negative_slope": 0.1, "max_value": 0.5, "threshold": 0.3},
    {"name": "soft_shrink", "threshold": 0.2},
    {"name": "squareplus", "b": 0.0},
    {"name": "threshold", "threshold": 0.1, "default_value": -2.0},
]
ACTIVATIONS = [*DEFAULT, *PARAMETRIC]
SCALINGS = {
    "standard": LinearScaling(name="standard", offset=30.0, scale=4.0),
    "log1p": LinearScaling(name="log1p", offset=2.0, scale=0.5),
    "none": LinearScaling(name="none"),
}


def numbers(*scalings):
    columns = tuple(f"y{at}" for at in range(len(scalings)))
    return Regression(columns=columns, scalings=tuple(SCALINGS[name] for name in scalings))


def classes(count):
    names = tuple("abcde"[:count])
    return classification("y", names, "text")


def labels(*names):
    return Multilabel(columns=names, labels=names)


ENDS = {
    "standardized number": (numbers("standard"), "linear"),
    "logarithmic number": (numbers("log1p"), "linear"),
    "number as it is": (numbers("none"), "linear"),
    "positive number": (numbers("none"), "softplus"),
    "standardized numbers": (numbers("standard", "standard", "standard"), "linear"),
    "logarithmic numbers": (numbers("log1p", "log1p"), "linear"),
    "shares": (numbers("none", "none", "none"), "softmax"),
    "two classes": (classes(2), "sigmoid"),
    "two classes by hard_sigmoid": (classes(2), "hard_sigmoid"),
    "two classes by sparse_sigmoid": (classes(2), "sparse_sigmoid"),
    "two classes with two units": (classes(2), "softmax"),
    "margin": (classes(2), "tanh"),
    "five classes": (classes(5), "softmax"),
    "labels": (labels("a", "b", "c"), "sigmoid"),
    "count": (numbers("none"), "exponential"),
}
"""Each kind of target, with the output's activation."""


def network_for(end, *hidden, **output):
    target, activation = ENDS[end]
    units = target.width
    if units == 2 and target.outcome == "classes" and activation != "softmax":
        units = 1
    sections = [Hidden.model_validate(section) for section in hidden]
    end_ = Output.model_validate({"units": units, "activation": activation, **output})
    return build_network(plain_layout(4), sections, end_)


def some_weights(network, seed):
    """Weights that keep sums near a deviation of 1, and statistics as of real batches."""
    lot = np.random.default_rng(seed)

    def draw(weight):
        role = weight.name.partition("/")[2]
        if role == "kernel":
            return lot.normal(size=weight.shape) / np.sqrt(weight.shape[0])
        if role in {"gamma", "moving_variance"}:
            return lot.uniform(0.5, 2, size=weight.shape)
        return lot.normal(scale=0.3, size=weight.shape)

    return {weight.name: draw(weight).astype(np.float32) for weight in network.weights}


def far_from_jumps(network, matrix, arrays):
    """The rows without a sum within 1e-4 of a point where an activation jumps."""
    fair = np.ones(len(matrix), dtype=bool)
    x = matrix
    for layer in network.layers:
        activation = getattr(layer, "activation", Linear())
        is_dense = isinstance(layer, DenseLayer)
        before = dataclasses.replace(layer, activation=Linear()) if is_dense else None
        sums = before.forward(x, arrays) if before else x
        if activation.name in {"hard_shrink", "threshold", "relu"}:
            fair &= (np.abs(np.abs(sums) - abs(activation.threshold)) > 1e-4).all(axis=1)
        x = layer.forward(x, arrays)
    return matrix[fair]


def check_agreement(network, target, seed, folder):
    arrays = some_weights(network, seed)
    model = build_portable_model(network, target)
    assign_weights(model, network, arrays)
    path = folder / "model.keras"
    model.save(path)
    matrix = np.random.default_rng(seed).normal(size=(64, 4)).astype(np.float32)
    matrix = far_from_jumps(network, matrix, arrays)
    assert len(matrix) > 32
    expected = np.asarray(keras.models.load_model(path, safe_mode=True)(matrix))
    predictions = Predictions(target, network.forward(InMemoryInputs(matrix), arrays))
    is_number = target.outcome == "numbers"
    result = predictions.decoded if is_number else predictions.outputs
    assert np.isfinite(expected).all()
    scale = np.abs(expected).max(axis=0)
    assert (np.abs(result - expected) <= 1e-5 * scale).all()
    return expected


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_they_agree_for_every_activation(activation, tmp_path):
    hidden = {"units": 6, "activation": activation}
    check_agreement(network_for("number as it is", hidden), numbers("none"), 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", {"name": "elu", "alpha": 2.5}], ids=str)
def test_they_agree_for_an_activation_after_batch_normalization(activation, tmp_path):
    hidden = {"units": 6, "activation": activation, "batch_normalization": True}
    check_agreement(network_for("number as it is", hidden), numbers("none"), 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_they_agree_for_every_kind_of_target(end, tmp_path):
    network = network_for(end, {"units": 6, "activation": "relu"})
    check_agreement(network, ENDS[end][0], 2, tmp_path)


@st.composite
def stacks(draw):
    """Up to three hidden layers with every option that changes a prediction, and an end."""
    layers = st.fixed_dictionaries(
        {
            "units": st.integers(2, 6),  # Keras warns of a softmax over one unit
            "activation": st.sampled_from([a for a in ACTIVATIONS if a != "exponential"]),
            "use_bias": st.booleans(),
            "dropout": st.sampled_from([0.0, 0.4]),
            "batch_normalization": st.just(False)
            | st.fixed_dictionaries(
                {
                    "center": st.booleans(),
                    "scale": st.booleans(),
                    "epsilon": st.sampled_from([1e-3, 0.1]),
                }
            ),
        }
    )
    return draw(st.lists(layers, max_size=3)), draw(st.sampled_from(sorted(ENDS)))


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("DLCLI_FUZZ", "15")))
@given(stacks(), st.booleans(), st.integers(0, 2**32 - 1))
def test_they_agree_for_every_stack(tmp_path_factory, stack, use_bias, seed):
    hidden, end = stack
    network = network_for(end, *hidden, use_bias=use_bias)
    check_agreement(network, ENDS[end][0], seed, tmp_path_factory.mktemp("stack"))


@pytest.mark.parametrize("end", ["two classes with two units", "five classes"])
def test_the_stored_model_gives_probabilities(end, tmp_path):
    output = check_agreement(network_for(end), ENDS[end][0], 3, tmp_path)
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-6)
    assert (output > 0).all()


def stored_line(scaling, tmp_path):
    """The stored model of y = x as trained on, at 0 and 2."""
    target = numbers(scaling)
    network = build_network(
        plain_layout(1), [], Output.model_validate({"units": 1, "activation": "linear"})
    )
    model = build_portable_model(network, target)
    ones = {"output/kernel": np.ones((1, 1)), "output/bias": np.zeros(1)}
    assign_weights(model, network, ones)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    return np.asarray(loaded(np.array([[0.0], [2.0]], np.float32)))[:, 0]


def test_the_stored_model_gives_the_unit_of_a_standardized_target(tmp_path):
    assert stored_line("standard", tmp_path).tolist() == [30, 38]  # 4z + 30


def test_the_stored_model_gives_the_unit_of_a_logarithmic_target(tmp_path):
    expected = [np.exp(2.0) - 1, np.exp(3.0) - 1]  # exp(z/2 + 2) − 1
    np.testing.assert_allclose(stored_line("log1p", tmp_path), expected, rtol=1e-6)


def test_a_logarithmic_target_keeps_its_digits_near_zero(tmp_path):
    # exp(y) − 1 in float32 would leave steps of 6e-8, a thousandth of these values.
    target = Regression(
        columns=("y",), scalings=(LinearScaling(name="log1p", offset=3e-5, scale=1e-5),)
    )
    check_agreement(network_for("number as it is"), target, 4, tmp_path)


def test_the_stored_model_needs_nothing_of_dlcli(tmp_path):
    network = network_for("logarithmic number", {"units": 2, "activation": PARAMETRIC[9]})
    build_portable_model(network, numbers("log1p")).save(tmp_path / "model.keras")
    layers = keras.models.load_model(tmp_path / "model.keras").operations
    assert all(type(layer).__module__.startswith("keras.") for layer in layers)
