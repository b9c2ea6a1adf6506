"""The list of layers and its forward pass, by hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.columns.layout import plain_layout
from dlcli.config.config_schema import Hidden, Output
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.network import layers as network_module
from dlcli.network.layers import build_network, forward_each

LINEAR = {"units": 1, "activation": "linear"}


def network(inputs, *hidden, output=None):
    sections = [Hidden.model_validate(section) for section in hidden]
    return build_network(plain_layout(inputs), sections, Output.model_validate(output or LINEAR))


def forward(net, rows, **arrays):
    named = {name.replace("__", "/"): np.array(value, np.float32) for name, value in arrays.items()}
    return net.forward(InMemoryInputs(np.array(rows, np.float32)), named)


def test_layers_are_named_by_their_number_and_part_in_the_order_data_pass_them():
    net = network(
        3,
        {"units": 4, "activation": "relu", "batch_normalization": True, "dropout": 0.5},
        {"units": 2},
    )
    assert [layer.name for layer in net.layers] == [
        "hidden_1",
        "hidden_1_normalization",
        "hidden_1_activation",
        "hidden_1_dropout",
        "hidden_2",
        "output",
    ]


def test_weights_have_names_shapes_and_counts():
    net = network(3, {"units": 4, "batch_normalization": True, "use_bias": False})
    assert [(weight.name, weight.shape) for weight in net.weights] == [
        ("hidden_1/kernel", (3, 4)),
        ("hidden_1_normalization/gamma", (4,)),
        ("hidden_1_normalization/beta", (4,)),
        ("hidden_1_normalization/moving_mean", (4,)),
        ("hidden_1_normalization/moving_variance", (4,)),
        ("output/kernel", (4, 1)),
        ("output/bias", (1,)),
    ]
    assert net.parameters == 12 + 16 + 5


def test_running_statistics_are_not_trainable():
    net = network(1, {"units": 1, "batch_normalization": True})
    fixed = [weight.name for weight in net.weights if not weight.trainable]
    assert fixed == [
        "hidden_1_normalization/moving_mean",
        "hidden_1_normalization/moving_variance",
    ]


def test_without_hidden_layers_it_is_a_linear_model():
    net = network(2)
    result = forward(net, [[1, 2], [3, 4]], output__kernel=[[10], [1]], output__bias=[0.5])
    assert result.tolist() == [[12.5], [34.5]]


def test_a_dense_layer_bends_its_weighted_sums():
    net = network(1, {"units": 2, "activation": "relu"})
    result = forward(
        net,
        [[2], [-2]],
        hidden_1__kernel=[[1, -1]],
        hidden_1__bias=[1, 0],
        output__kernel=[[1], [10]],
        output__bias=[0],
    )
    # Row 1: relu(3), relu(-2); row 2: relu(-1), relu(2).
    assert result.tolist() == [[3], [20]]


def test_batch_normalization_comes_between_the_sums_and_the_activation():
    normalization = {"epsilon": 0.25}
    hidden = {"units": 1, "activation": "relu", "batch_normalization": normalization}
    result = forward(
        network(1, hidden),
        [[3], [1]],
        hidden_1__kernel=[[1]],
        hidden_1__bias=[0],
        hidden_1_normalization__gamma=[2],
        hidden_1_normalization__beta=[-1],
        hidden_1_normalization__moving_mean=[2],
        hidden_1_normalization__moving_variance=[3.75],
        output__kernel=[[1]],
        output__bias=[0],
    )
    # (x - 2)/sqrt(3.75 + 0.25)*2 - 1 is 0 and -2.
    assert result.tolist() == [[0], [0]]
    shifted = forward(
        network(1, hidden),
        [[3], [1]],
        hidden_1__kernel=[[1]],
        hidden_1__bias=[0],
        hidden_1_normalization__gamma=[2],
        hidden_1_normalization__beta=[0.5],
        hidden_1_normalization__moving_mean=[2],
        hidden_1_normalization__moving_variance=[3.75],
        output__kernel=[[1]],
        output__bias=[0],
    )
    assert shifted.tolist() == [[1.5], [0]]


def test_dropout_does_nothing_at_prediction():
    result = forward(
        network(1, {"units": 1, "dropout": 0.9}, output={**LINEAR, "use_bias": False}),
        [[7]],
        hidden_1__kernel=[[1]],
        hidden_1__bias=[0],
        output__kernel=[[1]],
    )
    assert result.tolist() == [[7]]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5])
def test_rows_that_are_taken_in_parts_come_out_whole_and_in_order(rows, monkeypatch):
    monkeypatch.setattr(network_module, "ROWS_AT_ONCE", 2)
    matrix = [[row] for row in range(rows)] or np.zeros((0, 1))
    result = forward(network(1), matrix, output__kernel=[[2]], output__bias=[1])
    assert result.shape == (rows, 1)
    assert result[:, 0].tolist() == [2 * row + 1 for row in range(rows)]


@pytest.mark.parametrize(("numbers", "rows"), [(2, 1), (6, 2), (9, 3), (99, 4)])
def test_wide_rows_are_taken_fewer_at_a_time(numbers, rows, monkeypatch):
    monkeypatch.setattr(network_module, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(network_module, "NUMBERS_AT_ONCE", numbers)
    taken, part = [], InMemoryInputs.part

    def record(inputs, start, stop):
        taken.append(stop - start)
        return part(inputs, start, stop)

    monkeypatch.setattr(InMemoryInputs, "part", record)
    weights = {"output__kernel": [[1], [2], [3]], "output__bias": [0]}
    result = forward(network(3), [[row, row, row] for row in range(7)], **weights)
    assert result[:, 0].tolist() == [6 * row for row in range(7)]
    assert set(taken) == {rows}


def test_an_output_that_overflows_is_infinite_without_a_warning():
    net = network(1, output={"units": 1, "activation": "exponential"})
    assert forward(net, [[1000]], output__kernel=[[1]], output__bias=[0]).tolist() == [[np.inf]]


def test_members_read_each_part_of_the_rows_once(monkeypatch):
    monkeypatch.setattr(network_module, "ROWS_AT_ONCE", 2)
    taken, part = [], InMemoryInputs.part

    def record(inputs, start, stop):
        taken.append(start)
        return part(inputs, start, stop)

    monkeypatch.setattr(InMemoryInputs, "part", record)
    members = [
        {"output/kernel": np.array([[factor]], np.float32), "output/bias": np.zeros(1, np.float32)}
        for factor in (1, 10)
    ]
    rows = InMemoryInputs(np.array([[1], [2], [3]], np.float32))
    once, tenfold = forward_each(rows, [(network(1), each) for each in members])
    assert (once.tolist(), tenfold.tolist()) == ([[1], [2], [3]], [[10], [20], [30]])
    assert taken == [0, 2]
