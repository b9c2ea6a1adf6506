"""The NumPy activations against Keras's own, and `erfc` against the standard library's."""

from __future__ import annotations

import inspect
import sys

import keras
import numpy as np
import pytest

from dlcli.network import activations
from dlcli.network.activations import activate

OMITTED = {"glu", "sparsemax", "swish", "hard_swish"}
NOT_ACTIVATIONS = {"get", "serialize", "deserialize"}

PARAMETERS = [
    ("celu", {"alpha": 0.3}),
    ("celu", {"alpha": 2.5}),
    ("elu", {"alpha": 0.3}),
    ("gelu", {"approximate": True}),
    ("hard_shrink", {"threshold": 1.5}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("leaky_relu", {"negative_slope": 1.5}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 2.0}),
    ("relu", {"max_value": 6}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"threshold": -1.0}),
    ("relu", {"negative_slope": 0.1, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": -1.0}),
    ("soft_shrink", {"threshold": 1.5}),
    ("squareplus", {"b": 0.5}),
    ("threshold", {"threshold": 1.0, "default_value": -2.0}),
    ("threshold", {"threshold": -0.5, "default_value": 7}),
]
NAMES = {
    name
    for name, function in vars(activations).items()
    if inspect.isfunction(function) and function not in (activate, activations.function_of)
}
CASES = [(name, {}) for name in sorted(NAMES - {"threshold"})] + PARAMETERS

SMALL = np.array([0.0, 1e-30, 1e-8, 1e-3])
LARGE = np.array([20.0, 80.0, 100.0, 750.0, 1e4, 1e30, np.inf])
LINE = np.concatenate([-LARGE, -SMALL, SMALL, LARGE, np.linspace(-8, 8, 129)])


def grid(name, dtype):
    """A value a row beside constants, then rows of several units, for the softmax family."""
    beside = np.stack([LINE, np.full_like(LINE, 0.25), np.full_like(LINE, -1.0)], axis=1)
    rows = np.random.default_rng(0).normal(scale=[[0.1], [1.0], [10.0]] * 20, size=(60, 3))
    x = np.concatenate([beside, rows, [[0.0, 0.0, 0.0]]]).astype(dtype)
    # Keras's softmax of a row with an infinity is NaN throughout or in part, by dtype.
    return x[~np.isposinf(x).any(axis=1)] if name == "softmax" else x


def unit_of(name, parameters, dtype):
    """The relative size of the last place to which Keras computes."""
    # TensorFlow rounds the slope of a leaky ReLU and the constants of GELU to float32 whatever
    # the dtype of the input.
    single = name in {"gelu", "leaky_relu"} or "negative_slope" in parameters
    return np.finfo("float32" if single else dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_it_computes_what_keras_computes(name, parameters, dtype):
    x = grid(name, dtype)
    expected = np.asarray(getattr(keras.activations, name)(keras.ops.array(x), **parameters))
    # Two correct implementations of exp, tanh and erfc differ by a few units in the last place
    # (TensorFlow's float32 ones are the coarsest), in the tails by some more, since exp(y) turns
    # y's rounding of half a unit into |y| halves. What is left of 1 + tanh(y) near -1, a unit or
    # two, GELU multiplies by x / 2 at x = -5: the absolute part.
    unit = unit_of(name, parameters, dtype)
    result = activate(name, x, **parameters)
    np.testing.assert_allclose(result, expected, rtol=16 * unit, atol=8 * unit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_it_keeps_dtype_and_shape_and_leaves_its_input_alone(name, parameters, dtype):
    x = grid(name, dtype)
    before = x.copy()
    result = activate(name, x, **parameters)
    assert (result.dtype, result.shape) == (x.dtype, x.shape)
    np.testing.assert_array_equal(x, before)


def test_gelu_is_the_same_to_the_bit_without_scipy(monkeypatch):
    x = grid("gelu", np.float32)
    by_scipy = activate("gelu", x)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    np.testing.assert_array_equal(activate("gelu", x), by_scipy)


def test_the_names_are_all_of_keras_but_the_omitted_ones():
    public = {name for name in dir(keras.activations) if not name.startswith("_")}
    assert public - NOT_ACTIVATIONS - OMITTED == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_its_parameters_and_defaults_are_those_of_keras(name):
    def defaults(function):
        _, *parameters = inspect.signature(function).parameters.values()
        return {each.name: each.default for each in parameters if each.name != "axis"}

    assert defaults(getattr(activations, name)) == defaults(getattr(keras.activations, name))


def test_sigmoid_of_a_very_negative_number_is_zero_without_a_warning():
    assert activate("sigmoid", np.array([[-1000.0, 0.0, 1000.0]])).tolist() == [[0, 0.5, 1]]


def test_softplus_of_a_large_number_is_the_number():
    assert activate("softplus", np.array([[1000.0, -1000.0]])).tolist() == [[1000, 0]]


def test_exponential_of_a_large_number_is_infinite_without_a_warning():
    assert activate("exponential", np.array([[1000.0]])).tolist() == [[np.inf]]
