"""The layers of a network, in the order in which data pass them, known without TensorFlow.

Each knows its weights by name and shape, and what it does to a matrix at prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dlcli.config import (
    Activation,
    BatchNormalization,
    BiasRegularizer,
    Initializer,
    KernelRegularizer,
)
from dlcli.network.activations import ACTIVATIONS, Floats

Arrays = Mapping[str, Floats]
"""Weights by name: `hidden_1/kernel`."""


@dataclass(frozen=True)
class Weight:
    """One array that a layer keeps."""

    name: str
    """`<layer>/<role>`: `hidden_1/kernel`."""
    shape: tuple[int, ...]
    trainable: bool = True
    """Whether steps change it; running means and variances follow the batches instead."""

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class DenseLayer:
    """activation(x·kernel + bias)."""

    name: str
    inputs: int
    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: KernelRegularizer | None
    bias_regularizer: BiasRegularizer | None

    @property
    def weights(self) -> tuple[Weight, ...]:
        """Kernel (inputs, units) and bias (units,)."""
        kernel = Weight(f"{self.name}/kernel", (self.inputs, self.units))
        return (kernel, Weight(f"{self.name}/bias", (self.units,))) if self.use_bias else (kernel,)

    def forward(self, x: Floats, arrays: Arrays) -> Floats:
        """(rows, inputs) to (rows, units)."""
        sums: Floats = x @ arrays[f"{self.name}/kernel"]
        if self.use_bias:
            sums = sums + arrays[f"{self.name}/bias"]
        return activate(self.activation, sums)


@dataclass(frozen=True)
class NormalizationLayer:
    """(x − moving mean)/√(moving variance + epsilon)·gamma + beta, per unit."""

    name: str
    units: int
    parameters: BatchNormalization

    @property
    def weights(self) -> tuple[Weight, ...]:
        """gamma, beta, moving mean and moving variance, (units,) each, as Keras orders them."""
        gamma = [Weight(f"{self.name}/gamma", (self.units,))] if self.parameters.scale else []
        beta = [Weight(f"{self.name}/beta", (self.units,))] if self.parameters.center else []
        moving = [
            Weight(f"{self.name}/{role}", (self.units,), trainable=False)
            for role in ("moving_mean", "moving_variance")
        ]
        return (*gamma, *beta, *moving)

    def forward(self, x: Floats, arrays: Arrays) -> Floats:
        """(rows, units) to (rows, units)."""
        variance = arrays[f"{self.name}/moving_variance"]
        scale = 1 / np.sqrt(variance + np.float32(self.parameters.epsilon))
        if self.parameters.scale:
            scale = scale * arrays[f"{self.name}/gamma"]
        y: Floats = (x - arrays[f"{self.name}/moving_mean"]) * scale
        return y + arrays[f"{self.name}/beta"] if self.parameters.center else y


@dataclass(frozen=True)
class ActivationLayer:
    """An activation apart from its Dense layer, behind batch normalization."""

    name: str
    units: int
    activation: Activation

    @property
    def weights(self) -> tuple[Weight, ...]:
        """None."""
        return ()

    def forward(self, x: Floats, arrays: Arrays) -> Floats:
        """(rows, units) to (rows, units)."""
        return activate(self.activation, x)


@dataclass(frozen=True)
class DropoutLayer:
    """Silences a share of the units at each training step; does nothing at prediction."""

    name: str
    units: int
    rate: float

    @property
    def weights(self) -> tuple[Weight, ...]:
        """None."""
        return ()

    def forward(self, x: Floats, arrays: Arrays) -> Floats:
        """The very matrix."""
        return x


Layer = DenseLayer | NormalizationLayer | ActivationLayer | DropoutLayer


def activate(activation: Activation, x: Floats) -> Floats:
    """Applies an activation with its parameters, (rows, units) to (rows, units)."""
    return ACTIVATIONS[activation.name](x, **activation.model_dump(exclude={"name"}))
