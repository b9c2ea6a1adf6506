"""The list of a network's layers: what Keras builds, and what NumPy predicts with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.config import Activation, Hidden, Linear, Output
from dlcli.encoding import Inputs, Layout
from dlcli.network.activations import Floats
from dlcli.network.front import Front, build_front
from dlcli.network.kinds import AnyLayer
from dlcli.network.layers import (
    ActivationLayer,
    Arrays,
    DenseLayer,
    DropoutLayer,
    Layer,
    NormalizationLayer,
    Weight,
)

ROWS_AT_ONCE = 8192
"""Rows a forward pass takes at once, so that a large table needs no large activations."""


@dataclass(frozen=True)
class Network:
    """Layers in order, from the encoded matrix to the output."""

    front: Front
    """What comes before the first layer."""
    layers: tuple[Layer, ...]
    layout: Layout
    """What the encoded matrix is made of."""

    @property
    def inputs(self) -> int:
        """Width of the encoded matrix."""
        return self.front.inputs

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return self.layers[-1].units

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All weights, in the order of the layers."""
        return tuple(weight for layer in self.weighted for weight in layer.weights)

    @property
    def weighted(self) -> tuple[AnyLayer, ...]:
        """The layers that may have weights, those of the front first."""
        return (*self.front.trained, *self.layers)

    @property
    def parameters(self) -> int:
        """How many numbers the weights hold."""
        return sum(weight.size for weight in self.weights)

    def forward(self, inputs: Inputs, arrays: Arrays) -> Floats:
        """Predicts.

        Args:
            inputs: encoded rows.
            arrays: the weights by name.

        Returns:
            The output as trained on, before any unit is given back, (rows, outputs).
        """
        # An output may well leave float32's range; the caller judges it.
        with np.errstate(all="ignore"):
            parts = [
                self._forward(inputs.part(start, start + ROWS_AT_ONCE), arrays)
                for start in range(0, len(inputs), ROWS_AT_ONCE)
            ]
        empty = np.zeros((0, self.outputs), dtype=np.float32)
        return np.concatenate(parts) if parts else empty

    def passed(self, matrix: Floats, arrays: Arrays) -> Iterator[tuple[AnyLayer, Floats]]:
        """Yields each of the `weighted` layers with what it makes of some rows.

        Args:
            matrix: encoded rows, (rows, inputs).
            arrays: the weights by name.
        """
        made = self.front.made(matrix, arrays)
        yield from zip(self.front.trained, made, strict=True)
        x = self.front.joined(matrix, made)
        del made
        for layer in self.layers:
            x = layer.forward(x, arrays)
            yield layer, x

    def _forward(self, matrix: Floats, arrays: Arrays) -> Floats:
        for _, output in self.passed(matrix, arrays):
            last = output
        return last


def build_network(layout: Layout, hidden: Sequence[Hidden], output: Output) -> Network:
    """Lists the layers that a config asks for.

    In a hidden layer: Dense, then batch normalization, activation and dropout, each if asked for.

    Args:
        layout: the inputs.
        hidden: the hidden layers.
        output: the output with units and activation.
    """
    front = build_front(layout)
    layers: list[Layer] = []
    width = front.units
    for number, section in enumerate(hidden, start=1):
        layers += _hidden_layers(f"hidden_{number}", width, section)
        width = section.units
    assert output.units is not None and output.activation is not None  # resolved
    layers.append(_dense("output", width, output.units, output.activation, output))
    return Network(front, tuple(layers), layout)


def _hidden_layers(name: str, inputs: int, section: Hidden) -> Iterator[Layer]:
    units, activation = section.units, section.activation
    if section.batch_normalization is None:
        yield _dense(name, inputs, units, activation, section)
    else:
        yield _dense(name, inputs, units, Linear(), section)
        yield NormalizationLayer(f"{name}_normalization", units, section.batch_normalization)
        yield ActivationLayer(f"{name}_activation", units, activation)
    if section.dropout:
        yield DropoutLayer(f"{name}_dropout", units, section.dropout)


def _dense(
    name: str, inputs: int, units: int, activation: Activation, section: Hidden | Output
) -> DenseLayer:
    return DenseLayer(
        name=name,
        inputs=inputs,
        units=units,
        activation=activation,
        use_bias=section.use_bias,
        kernel_initializer=section.kernel_initializer,
        bias_initializer=section.bias_initializer,
        kernel_regularizer=section.kernel_regularizer,
        bias_regularizer=section.bias_regularizer,
    )
