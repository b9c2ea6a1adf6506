"""The Keras model against the network's layers, and its initial weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.columns.layout import plain_layout
from dlcli.config.config_schema import Hidden, Output
from dlcli.config.layer_choices import Activation, Initializer, KernelRegularizer
from dlcli.keras_model import assign_weights, build_model, weights_of
from dlcli.network.layers import NormalizationLayer, build_network
from dlcli.schema.section import members_of


def names(choice):
    """The names of a choice's options that need no parameter."""
    return [
        name
        for name, section in members_of(choice).items()
        if not any(field.is_required() for field in section.model_fields.values())
    ]


def network(*hidden, inputs=3, **output):
    sections = [Hidden.model_validate(section) for section in hidden]
    output = {"units": 2, "activation": "linear", **output}
    return build_network(plain_layout(inputs), sections, Output.model_validate(output))


def first_weights(*hidden, seed=7, **output):
    net = network(*hidden, **output)
    return weights_of(build_model(net, seed=seed), net)


LAYERS = st.fixed_dictionaries(
    {"units": st.integers(2, 5), "activation": st.sampled_from(names(Activation))},
    optional={
        "use_bias": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.5]),
        "batch_normalization": st.booleans()
        | st.fixed_dictionaries({"center": st.booleans(), "scale": st.booleans()}),
    },
)


@pytest.mark.slow
@given(st.lists(LAYERS, max_size=3), st.integers(1, 4), st.booleans())
def test_layers_shapes_and_parameters_are_those_of_keras(hidden, inputs, use_bias):
    net = network(*hidden, inputs=inputs, use_bias=use_bias)
    model = build_model(net, seed=0)
    assert [weight.shape for weight in net.weights] == [tuple(w.shape) for w in model.weights]
    assert net.parameters == model.count_params()
    trainable = [weight.trainable for weight in net.weights]
    assert trainable == [weight.trainable for weight in model.weights]
    found = [model.get_layer(layer.name).output.shape for layer in net.layers]
    assert found == [(None, layer.units) for layer in net.layers]
    assert model.output_shape == (None, net.outputs)


def test_the_names_of_weights_are_the_paths_that_keras_gives_them():
    net = network({"units": 2, "batch_normalization": True}, {"units": 2, "dropout": 0.5})
    model = build_model(net, seed=0)
    assert [weight.name for weight in net.weights] == [weight.path for weight in model.weights]


def test_batch_normalization_reaches_keras_with_its_parameters():
    parameters = {"momentum": 0.5, "epsilon": 0.25, "center": False, "scale": False}
    net = network({"units": 2, "batch_normalization": parameters})
    layer = build_model(net, seed=0).get_layer("hidden_1_normalization")
    assert {key: getattr(layer, key) for key in parameters} == parameters
    assert isinstance(net.layers[1], NormalizationLayer)


@pytest.mark.parametrize("name", names(KernelRegularizer))
def test_each_regularizer_reaches_keras(name):
    net = network({"units": 2, "kernel_regularizer": name, "bias_initializer": "ones"})
    (loss,) = build_model(net, seed=0).losses
    assert np.isfinite(float(loss))


def test_a_regularizer_reaches_keras_with_its_parameters():
    l2, ones = {"name": "l2", "l2": 0.5}, "ones"
    hidden = {"units": 2, "kernel_initializer": ones, "bias_initializer": ones}
    net = network({**hidden, "kernel_regularizer": l2, "bias_regularizer": {"name": "l1"}})
    # 3 × 2 ones squared, times 0.5; and 2 ones, times 0.01.
    assert sorted(map(float, build_model(net, seed=0).losses)) == pytest.approx([0.02, 3.0])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_halves_the_products_but_neither_weights_nor_output(policy):
    relu = {"name": "relu", "max_value": 2.0}
    net = network({"units": 2, "activation": relu, "batch_normalization": True, "dropout": 0.5})
    model = build_model(net, seed=0, precision=policy)
    half = policy.removeprefix("mixed_")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    hidden = [layer for layer in net.layers[:-1] if layer.name != "hidden_1_dropout"]
    assert {model.get_layer(layer.name).output.dtype for layer in hidden if layer.weights} == {half}
    assert model.output.dtype == "float32"


@pytest.mark.parametrize("name", names(Initializer))
def test_each_initializer_gives_the_initial_weights_of_its_layer(name):
    seeds = {"seed": 1}, {"seed": 2}
    kernels = [
        first_weights({"units": 4, "kernel_initializer": name}, **seed)["hidden_1/kernel"]
        for seed in seeds
    ]
    assert kernels[0].shape == (3, 4)
    is_drawn = name not in {"constant", "identity", "ones", "zeros"}
    assert np.array_equal(*kernels) != is_drawn


@pytest.mark.parametrize(
    ("initializer", "kernel"),
    [
        ({"name": "constant", "value": 0.25}, [[0.25, 0.25], [0.25, 0.25]]),
        ({"name": "identity", "gain": 3.0}, [[3, 0], [0, 3]]),
        ({"name": "random_normal", "mean": 2.0, "stddev": 0.0}, [[2, 2], [2, 2]]),
    ],
)
def test_an_initializer_reaches_keras_with_its_parameters(initializer, kernel):
    net = network(inputs=2, kernel_initializer=initializer)
    assert weights_of(build_model(net, seed=0), net)["output/kernel"].tolist() == kernel


def test_a_seed_gives_the_same_initial_weights_whatever_was_drawn_before():
    first = first_weights({"units": 4})
    keras.utils.set_random_seed(99)
    again = first_weights({"units": 4})
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_each_array_has_a_stream_of_its_own():
    uniform = {"name": "random_uniform"}
    square = {"units": 3, "kernel_initializer": uniform, "bias_initializer": uniform}
    weights = first_weights(square, square)
    assert not np.array_equal(weights["hidden_1/kernel"], weights["hidden_2/kernel"])
    assert not np.array_equal(weights["hidden_1/bias"], weights["hidden_2/bias"])
    assert not np.array_equal(weights["hidden_1/kernel"][0], weights["hidden_1/bias"])


def test_another_layer_does_not_change_the_initial_weights_of_the_earlier_ones():
    short = first_weights({"units": 4})
    long = first_weights({"units": 4}, {"units": 4})
    assert np.array_equal(short["hidden_1/kernel"], long["hidden_1/kernel"])
    assert np.array_equal(short["output/kernel"], long["output/kernel"])


def test_assigned_weights_are_the_ones_that_are_read_back():
    net = network({"units": 4, "batch_normalization": True})
    lot = np.random.default_rng(0)
    arrays = {w.name: lot.normal(size=w.shape).astype(np.float32) for w in net.weights}
    model = build_model(net, seed=0)
    assign_weights(model, net, arrays)
    found = weights_of(model, net)
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
