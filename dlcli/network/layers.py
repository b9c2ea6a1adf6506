"""The layers of a network, in the order in which data pass them, without TensorFlow.

Each layer has its weights by name and shape, and computes its output at prediction. Before the
first hidden layer is the `Front`, which most inputs pass unchanged; numbers may become sines and
cosines, indices of categories rows of a trained table; pixels are augmented, in training only. Its
output is in this order: unchanged inputs, periodic ones, embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import ClassVar

import numpy as np

from dlcli.columns.category import EmbeddingTable
from dlcli.columns.image import Augmentation, ImageForm
from dlcli.columns.layout import Layout
from dlcli.columns.number_encoders import PeriodicForm
from dlcli.config.config_schema import BatchNormalization
from dlcli.config.layer_choices import Activation, BiasRegularizer, Initializer, KernelRegularizer
from dlcli.network.activations import Floats, function_of

Weights = Mapping[str, Floats]
"""Weights by name: `hidden_1/kernel`."""


@dataclass(frozen=True)
class Weight:
    """The name and shape of a layer's array."""

    name: str
    """`<layer>/<role>`: `hidden_1/kernel`."""
    shape: tuple[int, ...]
    trainable: bool = True
    """True if steps change it; moving means and variances follow the batches instead."""

    @property
    def size(self) -> int:
        """The number of its elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class DenseLayer:
    """activation(x·kernel + bias)."""

    kind: ClassVar[str] = "Dense"
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

    def forward(self, x: Floats, arrays: Weights) -> Floats:
        """Map (rows, inputs) to (rows, units)."""
        sums: Floats = x @ arrays[f"{self.name}/kernel"]
        if self.use_bias:
            sums = sums + arrays[f"{self.name}/bias"]
        return self._activate(sums)

    @cached_property
    def _activate(self) -> Callable[[Floats], Floats]:
        return _function(self.activation)


@dataclass(frozen=True)
class NormalizationLayer:
    """(x − moving mean)/√(moving variance + epsilon)·gamma + beta, per unit."""

    kind: ClassVar[str] = "BatchNormalization"
    name: str
    units: int
    parameters: BatchNormalization

    @property
    def weights(self) -> tuple[Weight, ...]:
        """gamma, beta, moving mean and moving variance, (units,) each, in Keras's order."""
        gamma = [Weight(f"{self.name}/gamma", (self.units,))] if self.parameters.scale else []
        beta = [Weight(f"{self.name}/beta", (self.units,))] if self.parameters.center else []
        moving = [
            Weight(f"{self.name}/{role}", (self.units,), trainable=False)
            for role in ("moving_mean", "moving_variance")
        ]
        return (*gamma, *beta, *moving)

    def forward(self, x: Floats, arrays: Weights) -> Floats:
        """Map (rows, units) to (rows, units)."""
        variance = arrays[f"{self.name}/moving_variance"]
        scale = 1 / np.sqrt(variance + np.float32(self.parameters.epsilon))
        if self.parameters.scale:
            scale = scale * arrays[f"{self.name}/gamma"]
        y: Floats = (x - arrays[f"{self.name}/moving_mean"]) * scale
        return y + arrays[f"{self.name}/beta"] if self.parameters.center else y


@dataclass(frozen=True)
class ActivationLayer:
    """The activation of a Dense layer, separate from it where batch normalization comes between."""

    kind: ClassVar[str] = "Activation"
    name: str
    units: int
    activation: Activation
    weights: ClassVar[tuple[Weight, ...]] = ()

    def forward(self, x: Floats, arrays: Weights) -> Floats:
        """Map (rows, units) to (rows, units)."""
        return self._activate(x)

    @cached_property
    def _activate(self) -> Callable[[Floats], Floats]:
        return _function(self.activation)


@dataclass(frozen=True)
class DropoutLayer:
    """Zeros a share of the units at each training step; does nothing at prediction."""

    kind: ClassVar[str] = "Dropout"
    name: str
    units: int
    rate: float
    weights: ClassVar[tuple[Weight, ...]] = ()

    def forward(self, x: Floats, arrays: Weights) -> Floats:
        """Return the matrix unchanged."""
        return x


@dataclass(frozen=True)
class PeriodicLayer:
    """sin(2π·x·c) and cos(2π·x·c) of each input x and each of its trained frequencies c."""

    kind: ClassVar[str] = "Periodic"
    name: str
    columns: tuple[int, ...]
    """The inputs, by their columns in the encoded matrix."""
    frequencies: int
    """The number of frequencies of each input."""
    deviation: float
    """Standard deviation of the initial frequencies."""

    @property
    def units(self) -> int:
        """The width of the output."""
        return 2 * len(self.columns) * self.frequencies

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The frequencies, (inputs, frequencies)."""
        return (Weight(f"{self.name}/kernel", (len(self.columns), self.frequencies)),)

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, all inputs) to (rows, units): the sines of all inputs, then the cosines."""
        phases = matrix[:, self.columns, np.newaxis] * arrays[f"{self.name}/kernel"]
        phases = (phases * np.float32(2 * np.pi)).reshape(len(matrix), -1)
        return np.concatenate([np.sin(phases), np.cos(phases)], axis=1)


@dataclass(frozen=True)
class EmbeddingLayer:
    """The row of a trained table whose index is an input."""

    kind: ClassVar[str] = "Embedding"
    name: str
    column: int
    """The input, by its column in the encoded matrix."""
    rows: int
    """The number of rows of the table; the last one starts at 0, and no training row selects it."""
    units: int
    feature: str
    """The column of the user's table."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The table, (rows, units)."""
        return (Weight(f"{self.name}/embeddings", (self.rows, self.units)),)

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, all inputs) to (rows, units)."""
        indices = matrix[:, self.column].astype(np.int64)
        selected: Floats = arrays[f"{self.name}/embeddings"][indices]
        return selected


@dataclass(frozen=True)
class AugmentLayer:
    """Augments images, anew at each training step; does nothing at prediction."""

    name: str
    start: int
    """The first pixel's column in the encoded matrix."""
    shape: tuple[int, int, int]
    """(height, width, channels)."""
    augmentation: Augmentation

    @property
    def stop(self) -> int:
        """The column after the last pixel's."""
        height, width, channels = self.shape
        return self.start + height * width * channels


Layer = DenseLayer | NormalizationLayer | ActivationLayer | DropoutLayer
AnyLayer = PeriodicLayer | EmbeddingLayer | Layer


@dataclass(frozen=True)
class Front:
    """The layers before the first hidden one."""

    inputs: int
    """The width of the encoded matrix."""
    unchanged: tuple[int, ...]
    """The columns of the encoded matrix that pass unchanged."""
    periodic: tuple[PeriodicLayer, ...] = ()
    embeddings: tuple[EmbeddingLayer, ...] = ()
    augments: tuple[AugmentLayer, ...] = ()

    @property
    def units(self) -> int:
        """The width of the output."""
        return len(self.unchanged) + sum(layer.units for layer in self.trained)

    @property
    def trained(self) -> tuple[PeriodicLayer | EmbeddingLayer, ...]:
        """The layers with weights, in the order of the output."""
        return (*self.periodic, *self.embeddings)

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, inputs) to (rows, units)."""
        if not self.trained:
            return matrix
        outputs = [layer.forward(matrix, arrays) for layer in self.trained]
        unchanged = np.take(matrix, self.unchanged, axis=1)  # several times faster than an index
        return np.concatenate([unchanged, *outputs], axis=1)


def build_front(layout: Layout) -> Front:
    """List the layers that the blocks of a layout need."""
    starts = np.cumsum([0, *(len(block.inputs) for block in layout.blocks)]).tolist()
    unchanged: list[int] = []
    periodic: list[tuple[PeriodicForm, int]] = []
    embeddings: list[EmbeddingLayer] = []
    augments: list[AugmentLayer] = []
    for block, start in zip(layout.blocks, starts, strict=False):
        form = block.form
        if isinstance(form, EmbeddingTable):
            name = f"embedding_{len(embeddings) + 1}"
            embeddings.append(EmbeddingLayer(name, start, form.rows, form.units, block.column))
        elif isinstance(form, PeriodicForm):
            periodic.append((form, start))
        else:
            unchanged += range(start, start + len(block.inputs))
        if isinstance(form, ImageForm) and form.augmentation is not None:
            name = f"augmentation_{len(augments) + 1}"
            augments.append(AugmentLayer(name, start, form.shape, form.augmentation))
    grouped = _group_by_form(periodic)
    return Front(layout.width, tuple(unchanged), grouped, tuple(embeddings), tuple(augments))


def _group_by_form(periodic: Sequence[tuple[PeriodicForm, int]]) -> tuple[PeriodicLayer, ...]:
    """Make one layer of all inputs whose periodic forms have the same parameters."""
    ordered = sorted(periodic, key=lambda pair: (pair[0].frequencies, pair[0].deviation))
    layers: list[PeriodicLayer] = []
    for form, group in groupby(ordered, key=lambda pair: pair[0]):
        columns = tuple(column for _, column in group)
        name = f"periodic_{len(layers) + 1}"
        layers.append(PeriodicLayer(name, columns, form.frequencies, form.deviation))
    return tuple(layers)


def activation_of(layer: AnyLayer) -> Activation | None:
    """Return the activation of a layer that has one."""
    return layer.activation if isinstance(layer, DenseLayer | ActivationLayer) else None


def _function(activation: Activation) -> Callable[[Floats], Floats]:
    """Return an activation with its parameters; the network silences NumPy's warnings."""
    return partial(function_of(activation.name), **activation.model_dump(exclude={"name"}))
