"""The list of a network's layers: what Keras builds, and what NumPy predicts with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.config.activations import Activation, Linear
from dlcli.config.layers import Hidden, Output
from dlcli.network.activations import Floats
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

    inputs: int
    """Width of the encoded matrix."""
    layers: tuple[Layer, ...]

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return self.layers[-1].units

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All weights, in the order of the layers."""
        return tuple(weight for layer in self.layers for weight in layer.weights)

    @property
    def parameters(self) -> int:
        """How many numbers the weights hold."""
        return sum(weight.size for weight in self.weights)

    def forward(self, matrix: Floats, arrays: Arrays) -> Floats:
        """Predicts.

        Args:
            matrix: encoded rows, (rows, inputs).
            arrays: the weights by name.

        Returns:
            The output as trained on, before any unit is given back, (rows, outputs).
        """
        # An output may well leave float32's range; the caller judges it.
        with np.errstate(all="ignore"):
            parts = [
                self._forward(matrix[start : start + ROWS_AT_ONCE], arrays)
                for start in range(0, len(matrix), ROWS_AT_ONCE)
            ]
        empty = np.zeros((0, self.outputs), dtype=matrix.dtype)
        return np.concatenate(parts) if parts else empty

    def _forward(self, x: Floats, arrays: Arrays) -> Floats:
        for layer in self.layers:
            x = layer.forward(x, arrays)
        return x


def build_network(inputs: int, hidden: Sequence[Hidden], output: Output) -> Network:
    """Lists the layers that a config asks for.

    In a hidden layer: Dense, then batch normalization, activation and dropout, each if asked for.

    Args:
        inputs: width of the encoded matrix.
        hidden: the hidden layers.
        output: the output with units and activation.
    """
    layers: list[Layer] = []
    width = inputs
    for number, section in enumerate(hidden, start=1):
        layers += _hidden_layers(f"hidden_{number}", width, section)
        width = section.units
    assert output.units is not None and output.activation is not None  # resolved
    layers.append(_dense("output", width, output.units, output.activation, output))
    return Network(inputs, tuple(layers))


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
