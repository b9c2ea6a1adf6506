"""Statistics of layers, over rows computed by hand."""

import numpy as np
import pytest

from dlcli.columns.layout import plain_layout
from dlcli.config.config_schema import Config
from dlcli.config.layer_choices import Activation, LeakyRelu, Relu
from dlcli.explanation.explaining import MOST_LAYERS, dead_share, describe_layers, saturated_share
from dlcli.network.layers import build_network
from dlcli.schema.section import members_of

REQUIRED = {"threshold": {"threshold": 0.0, "default_value": 0.0}}
BY_NAME = {name: kind(**REQUIRED.get(name, {})) for name, kind in members_of(Activation).items()}


def network_of(inputs, hidden, **output):
    given = {
        "data": {"train": "t.csv", "target": "y"},
        "hidden": tuple(hidden),
        "output": {"units": 1, "activation": "linear", **output},
        "epochs": 1,
    }
    config = Config.model_validate(given)
    return build_network(plain_layout(inputs), config.hidden, config.output)


def described(network, matrix, arrays=None, first=None, last=None):
    weights = {each.name: np.zeros(each.shape, np.float32) for each in network.weights}
    for name, values in (arrays or {}).items():
        assert name in weights
        weights[name] = np.array(values, np.float32)
    found = describe_layers(network, weights, np.array(matrix, np.float32), first or {}, last or {})
    return {layer.name: layer for layer in found}


def test_a_unit_that_is_0_for_every_row_is_dead():
    network = network_of(1, [{"units": 4, "activation": "relu"}])
    layer = described(
        network,
        [[1], [2]],
        # outputs 1 0 0 0.5 and 2 0 0.5 0
        {"hidden_1/kernel": [[1, -1, 1, -1]], "hidden_1/bias": [0, 0, -1.5, 1.5]},
    )["hidden_1"]
    assert layer.dead == 0.25
    assert layer.saturated is None
    assert layer.output_mean == pytest.approx(4 / 8)
    assert layer.output_deviation == pytest.approx((5.5 / 8 - 0.25) ** 0.5)


def test_a_sigmoid_is_saturated_within_a_hundredth_of_0_or_1():
    network = network_of(1, [{"units": 3, "activation": "sigmoid"}])
    layer = described(network, [[1], [0]], {"hidden_1/kernel": [[4.6, -4.6, 4.5]]})["hidden_1"]
    # 0.990, 0.010 and 0.989, then 0.5 three times
    assert layer.saturated == pytest.approx(2 / 6)
    assert layer.dead is None


def test_activations_after_normalization_are_shown_where_they_are():
    section = {"units": 1, "activation": "relu", "batch_normalization": True, "dropout": 0.5}
    found = described(
        network_of(1, [section]),
        [[1], [3]],
        {
            "hidden_1/kernel": [[1]],
            "hidden_1_normalization/gamma": [1],
            "hidden_1_normalization/moving_mean": [9],
            "hidden_1_normalization/moving_variance": [1],
        },
    )
    assert [(each.name, each.kind, each.activation) for each in found.values()] == [
        ("hidden_1", "Dense", "linear"),
        ("hidden_1_normalization", "BatchNormalization", None),
        ("hidden_1_activation", "Activation", "relu"),
        ("hidden_1_dropout", "Dropout", None),
        ("output", "Dense", "linear"),
    ]
    assert found["hidden_1"].output_mean == 2
    assert (found["hidden_1"].dead, found["hidden_1_activation"].dead) == (None, 1)


def test_the_norm_is_over_all_weights_of_a_layer():
    layer = described(
        network_of(2, []), [[0, 0]], {"output/kernel": [[2], [3]], "output/bias": [6]}
    )
    assert layer["output"].weight_norm == 7
    assert (layer["output"].units, layer["output"].parameters) == (1, 3)


def test_gradients_are_those_given_and_what_is_no_number_is_none():
    network = network_of(1, [{"units": 1, "activation": "relu", "dropout": 0.5}])
    found = described(
        network, [[1]], {}, {"hidden_1": 0.5, "output": np.inf}, {"hidden_1": 2.0, "output": np.nan}
    )
    gradients = {name: (each.first_gradient, each.last_gradient) for name, each in found.items()}
    assert gradients == {
        "hidden_1": (0.5, 2.0),
        "hidden_1_dropout": (None, None),
        "output": (None, None),
    }


def test_outputs_that_overflow_have_no_mean():
    found = described(network_of(1, []), [[3e38]], {"output/kernel": [[3e38]]})
    assert (found["output"].output_mean, found["output"].output_deviation) == (None, None)


ENDS = np.array([[-1.0, 0.0, 1.0]])


def test_only_bounded_activations_that_act_alone_saturate():
    found = {n for n, each in BY_NAME.items() if saturated_share(each, ENDS) is not None}
    symmetric = {"tanh", "hard_tanh", "softsign"}
    assert found == {"sigmoid", "hard_sigmoid", "sparse_sigmoid"} | symmetric
    assert {saturated_share(BY_NAME[name], ENDS) for name in symmetric} == {2 / 3}


def test_only_rectifiers_die():
    found = {n for n, each in BY_NAME.items() if dead_share(each, ENDS) is not None}
    assert found == {"relu", "relu6", "sparse_plus"}
    assert dead_share(LeakyRelu(negative_slope=0.0), ENDS) == 1 / 3
    assert dead_share(Relu(negative_slope=0.1), ENDS) is None


def test_of_very_many_layers_the_last_are_listed():
    network = network_of(1, [{"units": 1, "activation": "linear"}] * MOST_LAYERS)
    found = list(described(network, [[1]]))
    assert len(found) == MOST_LAYERS
    assert (found[0], found[-1]) == ("hidden_2", "output")
