"""The layers of a network, in the order of the data flow, without TensorFlow.

Keras layers train the network; NumPy predicts with it.

Each layer defines the names and shapes of its weights, and computes its output for prediction. The
`Front` precedes the first hidden layer. It does not change most inputs. Periodic encodings turn
numbers into sine waves, embeddings turn category indices into rows of a trained table, and images
are augmented, in training only. The order of its output is: unchanged inputs, periodic encodings,
embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property, partial
from itertools import chain, groupby
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.category import EmbeddingTable
from dlcli.columns.exposure import ExposureForm
from dlcli.columns.image import Augmentation, ImageForm
from dlcli.columns.layout import Layout
from dlcli.columns.number_encoders import PeriodicForm, PeriodicLinearForm
from dlcli.config.config_schema import BatchNormalization, Hidden, Output
from dlcli.config.layer_choices import (
    Activation,
    BiasRegularizer,
    Initializer,
    KernelRegularizer,
    Linear,
)
from dlcli.encoding.encoded_rows import Inputs
from dlcli.network.activations import Floats, function_of

ROWS_AT_ONCE = 8192
"""Maximum number of rows of a forward pass, which limits the memory of activations."""
NUMBERS_AT_ONCE = 2**26
"""Maximum number of elements of the input matrix, which limits it to 256 MiB for wide rows."""
Weights = Mapping[str, Floats]
"""Weights by name: `hidden_1/kernel`."""


@dataclass(frozen=True)
class Weight:
    """The name and shape of a layer's array."""

    name: str
    """`<layer>/<role>`: `hidden_1/kernel`."""
    shape: tuple[int, ...]
    trainable: bool = True
    """True if the optimizer changes it; batch statistics update moving means and variances."""

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
        return self.finish(self.products(x, arrays), arrays)

    def products(self, x: Floats, arrays: Weights) -> Floats:
        """Return x·kernel, (rows, units)."""
        products: Floats = x @ arrays[f"{self.name}/kernel"]
        return products

    def finish(self, products: Floats, arrays: Weights) -> Floats:
        """Return the output for x·kernel, (rows, units), which is overwritten."""
        if self.use_bias:
            products += arrays[f"{self.name}/bias"]
        return self._activate(products)

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
    """The activation of a Dense layer, separate if batch normalization precedes it."""

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
    """Sets a random share of the units to 0 in each training step; does nothing in prediction."""

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
    """sin(2π·x·c) and cos(2π·x·c) for each input x and each of its trained frequencies c."""

    kind: ClassVar[str] = "Periodic"
    name: str
    columns: tuple[int, ...]
    """The inputs, as columns of the encoded matrix."""
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

    @property
    def sources(self) -> tuple[int, ...]:
        """The column of the encoded matrix from which each output is computed."""
        return 2 * tuple(column for column in self.columns for _ in range(self.frequencies))

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, all inputs) to (rows, units): the sines of all inputs, then the cosines."""
        phases = matrix[:, self.columns, np.newaxis] * arrays[f"{self.name}/kernel"]
        phases = (phases * np.float32(2 * np.pi)).reshape(len(matrix), -1)
        return np.concatenate([np.sin(phases), np.cos(phases)], axis=1)


@dataclass(frozen=True)
class PeriodicLinearLayer:
    """Each input x, and linear maps of cos(2π·(x·c + b)) with trained c and b for each input."""

    kind: ClassVar[str] = "Periodic"
    name: str
    columns: tuple[int, ...]
    """The inputs, as columns of the encoded matrix."""
    form: PeriodicLinearForm

    @property
    def units(self) -> int:
        """The width of the output."""
        return len(self.columns) * self.form.units

    @property
    def maps(self) -> str:
        """The name of the layer of the linear maps."""
        return f"{self.name}_maps"

    @property
    def weights(self) -> tuple[Weight, ...]:
        """Frequencies and phases, (inputs, frequencies); kernel and bias of each input's maps."""
        inputs, frequencies, maps = len(self.columns), self.form.frequencies, self.form.units - 1
        return (
            Weight(f"{self.name}/kernel", (inputs, frequencies)),
            Weight(f"{self.name}/bias", (inputs, frequencies)),
            Weight(f"{self.maps}/kernel", (inputs, frequencies, maps)),
            Weight(f"{self.maps}/bias", (inputs, maps)),
        )

    @property
    def sources(self) -> tuple[int, ...]:
        """The column of the encoded matrix from which each output is computed."""
        return tuple(column for column in self.columns for _ in range(self.form.units))

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, all inputs) to (rows, units): each input, followed by its maps."""
        x = matrix[:, self.columns, np.newaxis]
        phases = x * arrays[f"{self.name}/kernel"] + arrays[f"{self.name}/bias"]
        waves = np.cos(phases * np.float32(2 * np.pi))
        kernel = arrays[f"{self.maps}/kernel"]
        # A product for each input, (inputs, rows, maps), several times as fast as einsum.
        maps = (waves.transpose(1, 0, 2) @ kernel).transpose(1, 0, 2) + arrays[f"{self.maps}/bias"]
        return np.concatenate([x, maps], axis=2).reshape(len(matrix), -1)


@dataclass(frozen=True)
class EmbeddingLayer:
    """Looks up the row of a trained table; the input is the row's index."""

    kind: ClassVar[str] = "Embedding"
    name: str
    column: int
    """The input, as a column of the encoded matrix."""
    rows: int
    """The number of rows of the table. The last one is for values that no training row has, and
    stays 0."""
    units: int
    feature: str
    """The column of the user's table."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The table, (rows, units)."""
        return (Weight(f"{self.name}/embeddings", (self.rows, self.units)),)

    @property
    def sources(self) -> tuple[int, ...]:
        """The column of the encoded matrix from which each output is computed."""
        return (self.column,) * self.units

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, all inputs) to (rows, units)."""
        indices = matrix[:, self.column].astype(np.int64)
        selected: Floats = arrays[f"{self.name}/embeddings"][indices]
        return selected


@dataclass(frozen=True)
class AugmentLayer:
    """Augments images at random in each training step; does nothing in prediction."""

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
Periodic = PeriodicLayer | PeriodicLinearLayer
FrontLayer = Periodic | EmbeddingLayer
AnyLayer = FrontLayer | Layer


@dataclass(frozen=True)
class Front:
    """The layers before the first hidden one."""

    inputs: int
    """The width of the encoded matrix."""
    unchanged: tuple[int, ...]
    """The columns of the encoded matrix that pass unchanged."""
    periodic: tuple[Periodic, ...] = ()
    embeddings: tuple[EmbeddingLayer, ...] = ()
    augments: tuple[AugmentLayer, ...] = ()
    exposure: int | None = None
    """The column of the encoded matrix that multiplies the output of the network, if any."""

    @property
    def units(self) -> int:
        """The width of the output."""
        return len(self.unchanged) + sum(layer.units for layer in self.trained)

    @property
    def trained(self) -> tuple[FrontLayer, ...]:
        """The layers with weights, in the order of the output."""
        return (*self.periodic, *self.embeddings)

    @property
    def is_identity(self) -> bool:
        """Whether the output is the encoded matrix, except for augmentation."""
        return len(self.unchanged) == self.inputs

    def forward(self, matrix: Floats, arrays: Weights) -> Floats:
        """Map (rows, inputs) to (rows, units)."""
        if self.is_identity:
            return matrix
        outputs = [layer.forward(matrix, arrays) for layer in self.trained]
        unchanged = np.take(matrix, self.unchanged, axis=1)  # several times faster than an index
        return np.concatenate([unchanged, *outputs], axis=1)


def build_front(layout: Layout) -> Front:
    """List the layers that the blocks of a layout need."""
    starts = np.cumsum([0, *(len(block.inputs) for block in layout.blocks)]).tolist()
    unchanged: list[int] = []
    periodic: list[tuple[PeriodicForm | PeriodicLinearForm, int]] = []
    embeddings: list[EmbeddingLayer] = []
    augments: list[AugmentLayer] = []
    exposure: int | None = None
    for block, start in zip(layout.blocks, starts, strict=False):
        form = block.form
        if block.encoding not in (None, layout.encoding):
            continue
        if isinstance(form, ExposureForm):
            exposure = start
        elif isinstance(form, EmbeddingTable):
            name = f"embedding_{len(embeddings) + 1}"
            embeddings.append(EmbeddingLayer(name, start, form.rows, form.units, block.column))
        elif isinstance(form, PeriodicForm | PeriodicLinearForm):
            periodic.append((form, start))
        else:
            unchanged += range(start, start + len(block.inputs))
        if isinstance(form, ImageForm) and form.augmentation is not None:
            name = f"augmentation_{len(augments) + 1}"
            augments.append(AugmentLayer(name, start, form.shape, form.augmentation))
    grouped = _group_by_form(periodic)
    layers = grouped, tuple(embeddings), tuple(augments)
    return Front(layout.width, tuple(unchanged), *layers, exposure)


def _group_by_form(
    periodic: Sequence[tuple[PeriodicForm | PeriodicLinearForm, int]],
) -> tuple[Periodic, ...]:
    """Make one layer for all inputs whose periodic encodings have the same parameters."""
    ordered = sorted(periodic, key=lambda pair: (len(astuple(pair[0])), astuple(pair[0])))
    layers: list[Periodic] = []
    for form, group in groupby(ordered, key=lambda pair: pair[0]):
        columns = tuple(column for _, column in group)
        name = f"periodic_{len(layers) + 1}"
        if isinstance(form, PeriodicLinearForm):
            layers.append(PeriodicLinearLayer(name, columns, form))
        else:
            layers.append(PeriodicLayer(name, columns, form.frequencies, form.deviation))
    return tuple(layers)


def activation_of(layer: AnyLayer) -> Activation | None:
    """Return the activation of a layer that has one."""
    return layer.activation if isinstance(layer, DenseLayer | ActivationLayer) else None


def _function(activation: Activation) -> Callable[[Floats], Floats]:
    """Return an activation with its parameters; its caller suppresses NumPy's warnings."""
    return partial(function_of(activation.name), **activation.model_dump(exclude={"name"}))


@dataclass(frozen=True)
class Network:
    """Layers in order, from the encoded matrix to the output."""

    front: Front
    """The layers before the first hidden one."""
    layers: tuple[Layer, ...]
    layout: Layout
    """The blocks of the encoded matrix."""

    @property
    def inputs(self) -> int:
        """The width of the encoded matrix."""
        return self.front.inputs

    @property
    def outputs(self) -> int:
        """The width of the output."""
        return self.layers[-1].units

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All weights, in the order of the layers."""
        return tuple(weight for layer in self.weighted for weight in layer.weights)

    @property
    def weighted(self) -> tuple[AnyLayer, ...]:
        """The layers that may have weights, starting with the front."""
        return (*self.front.trained, *self.layers)

    @property
    def first_kernel(self) -> str:
        """The name of the weights of the first Dense layer."""
        return self.layers[0].weights[0].name

    @property
    def columns_of_inputs(self) -> NDArray[np.int64]:
        """The index of the table's column for each input of the first Dense layer, (inputs,)."""
        names = [block.column for block in self.layout.blocks for _ in block.inputs]
        indices = {name: at for at, name in enumerate(dict.fromkeys(names))}
        read, front = np.array([indices[name] for name in names], np.int64), self.front
        sources = [*front.unchanged, *chain(*(layer.sources for layer in front.trained))]
        return read[sources]

    @property
    def parameters(self) -> int:
        """The number of elements of all weights."""
        return sum(weight.size for weight in self.weights)

    @property
    def trainable_parameters(self) -> int:
        """The number of elements of trainable weights."""
        return sum(weight.size for weight in self.weights if weight.trainable)

    def forward(self, inputs: Inputs, arrays: Weights) -> Floats:
        """Compute the output.

        Args:
            inputs: encoded rows.
            arrays: the weights by name.

        Returns:
            The output on the scale of training, before conversion to the target's unit, (rows,
            outputs).
        """
        return forward_each(inputs, [(self, arrays)])[0]

    def layer_outputs(self, matrix: Floats, arrays: Weights) -> Iterator[tuple[AnyLayer, Floats]]:
        """Yield each of the `weighted` layers with its output for some rows.

        Args:
            matrix: encoded rows, (rows, inputs).
            arrays: the weights by name.
        """
        for front_layer in self.front.trained:
            yield front_layer, front_layer.forward(matrix, arrays)
        x = self.front.forward(matrix, arrays)
        for layer in self.layers:
            with np.errstate(all="ignore"):
                x = layer.forward(x, arrays)
                if layer is self.layers[-1]:
                    x = self.with_exposure(x, matrix)
            yield layer, x

    def with_exposure(self, outputs: Floats, matrix: Floats) -> Floats:
        """Multiply the outputs of the last layer by the exposures of the rows, if there are any.

        Args:
            outputs: the outputs of the last layer, (rows, outputs).
            matrix: encoded rows, (rows, inputs).
        """
        at = self.front.exposure
        return outputs if at is None else outputs * matrix[:, at : at + 1]


def forward_each(inputs: Inputs, members: Sequence[tuple[Network, Weights]]) -> list[Floats]:
    """Compute the outputs of several members of an ensemble, see `Network.forward`.

    Args:
        inputs: encoded rows; each part of them is read once.
        members: the layers of each member, and its weights by name.
    """
    own = inputs.own  # each worker of a cluster computes its own rows
    parts: list[list[Floats]] = [[] for _ in members]
    with np.errstate(all="ignore"):  # an output may overflow float32
        rows = rows_at_once(own.width)
        for start in range(0, max(len(own), 1), rows):
            matrix = own.part(start, start + rows)
            for outputs, (network, arrays) in zip(parts, members, strict=True):
                x = network.front.forward(matrix, arrays)
                for layer in network.layers:
                    x = layer.forward(x, arrays)
                outputs.append(network.with_exposure(x, matrix))
    return [
        inputs.gather(outputs[0] if len(outputs) == 1 else np.concatenate(outputs))
        for outputs in parts
    ]


def rows_at_once(width: int, most: int | None = None) -> int:
    """Return the number of rows to process at once, at least one.

    Args:
        width: number of inputs of a row.
        most: the maximum number of rows; if omitted, `ROWS_AT_ONCE`.
    """
    return min(most or ROWS_AT_ONCE, max(1, NUMBERS_AT_ONCE // max(1, width)))


def build_network(layout: Layout, hidden: Sequence[Hidden], output: Output) -> Network:
    """Build the network of a config.

    A hidden layer consists of Dense, then batch normalization, activation and dropout, if
    configured.

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


@dataclass(frozen=True)
class LayerSummary:
    """Summary of a layer; `None` for values that depend on the data or don't apply to the layer."""

    name: str
    """`hidden_1`, `hidden_1_dropout`, `output`."""
    kind: str
    """Keras's name for it: `Dense`, `BatchNormalization`, `Activation`, `Dropout`, `Embedding`; or
    `Periodic`."""
    inputs: int | None = None
    """Width of the input."""
    units: int | None = None
    """Width of the output."""
    parameters: int | None = None
    """Number of values in its weights."""
    activation: str | None = None
    """The activation function."""
    column: str | None = None
    """The column that an embedding looks up."""
    rate: float | None = None
    """The share of units that dropout sets to 0."""


def summarize(network: Network) -> tuple[LayerSummary, ...]:
    """Summarize each layer of a network, in order."""
    return tuple(map(_summarize_layer, network.weighted))


def _summarize_layer(layer: AnyLayer) -> LayerSummary:
    activation = activation_of(layer)
    inputs = 1 if isinstance(layer, EmbeddingLayer) else layer.units
    if isinstance(layer, DenseLayer):
        inputs = layer.inputs
    elif isinstance(layer, PeriodicLayer):
        inputs = len(layer.columns)
    return LayerSummary(
        name=layer.name,
        kind=layer.kind,
        inputs=inputs,
        units=layer.units,
        parameters=sum(weight.size for weight in layer.weights),
        activation=None if activation is None else activation.name,
        column=layer.feature if isinstance(layer, EmbeddingLayer) else None,
        rate=layer.rate if isinstance(layer, DropoutLayer) else None,
    )
