"""A network as a functional Keras model, and its weights by name."""

from __future__ import annotations

import inspect
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dlcli.config.training_choices import WeightKind
from dlcli.network import layers
from dlcli.network.layers import Network
from dlcli.network.monotone import bounds_of
from dlcli.prediction.predictor import Predictor
from dlcli.schema.section import Section
from dlcli.tasks.task import Task


def plain_dropout(layer: layers.DropoutLayer) -> keras.layers.Layer:
    """Return Keras's Dropout, for a model that is used without dlcli."""
    return keras.layers.Dropout(layer.rate, name=layer.name)


def plain_regularizer(section: Section, weight: str) -> keras.regularizers.Regularizer:
    """Return Keras's regularizer for a section; it is the same for any weight."""
    return getattr(keras.regularizers, type(section).__name__)(**parameters_of(section))


def parameters_of(section: Section) -> dict[str, Any]:
    """Return the parameters of a section as keyword arguments of the Keras class with its name."""
    parameters = section.model_dump(exclude={"name"})
    return {key: list(v) if isinstance(v, tuple) else v for key, v in parameters.items()}


@dataclass(frozen=True)
class Factories:
    """Functions that create layers or their parts; training uses other variants."""

    dropout: Callable[[layers.DropoutLayer], keras.layers.Layer] = plain_dropout
    augment: Callable[[layers.AugmentLayer], keras.layers.Layer] | None = None
    """Creates the layers that augment images; `None` omits them."""
    regularizer: Callable[[Section, str], keras.regularizers.Regularizer] = plain_regularizer
    """Creates the regularizer of a weight, given its name."""
    normalization: Callable[..., keras.layers.Layer] = keras.layers.BatchNormalization
    """Creates a batch normalization layer from the arguments of Keras's class."""
    activation: Callable[[str], str | Callable[[Any], Any]] = str
    """Returns the Keras activation for the name of an activation without parameters."""
    dense: Callable[[layers.DenseLayer], type[keras.layers.Dense]] = lambda _: keras.layers.Dense
    """Returns the class of a Dense layer."""


PLAIN = Factories()
SCALING_LAYER = "scaling_layer"
"""The name of the weights that `with_scaling_layer` adds to a layer."""


def build_model(
    network: Network, *, seed: int, precision: str = "float32", factories: Factories = PLAIN
) -> keras.Model:
    """Build a model with one named Keras layer for each layer of the network.

    Args:
        network: the layers.
        seed: seed of the initial weights; each array also depends on its name.
        precision: the Keras dtype policy of all layers except the output, which is float32 with a
            mixed policy (https://keras.io/api/mixed_precision/).
        factories: functions that create some of the layers.

    Returns:
        A model from encoded rows, (rows, inputs), to scaled outputs, (rows, outputs).
    """
    storage = "float32" if precision.startswith("mixed_") else precision
    inputs = keras.Input((network.inputs,), name="input", dtype=storage)
    x = _apply_front(network.front, inputs, seed, factories)
    for layer in network.layers:
        policy = storage if layer is network.layers[-1] else precision
        if isinstance(layer, layers.DenseLayer):
            x = _dense(layer, seed, policy, factories)(x)
        elif isinstance(layer, layers.NormalizationLayer):
            settings = layer.parameters.model_dump()
            x = factories.normalization(**settings, name=layer.name, dtype=policy)(x)
        elif isinstance(layer, layers.DropoutLayer):
            x = factories.dropout(layer)(x)
        elif layer.activation.is_default:
            activation = factories.activation(layer.activation.name)
            x = keras.layers.Activation(activation, name=layer.name, dtype=policy)(x)
        if (
            isinstance(layer, layers.DenseLayer | layers.ActivationLayer)
            and not layer.activation.is_default
        ):
            # An operation instead of a layer of dlcli, so the model loads without dlcli.
            apply = getattr(keras.activations, layer.activation.name)
            x = apply(x, **parameters_of(layer.activation))
    if (at := network.front.exposure) is not None:
        x = x * inputs[:, at : at + 1]
    return keras.Model(inputs, x, name="network")


def build_portable_model(network: Network, task: Task) -> keras.Model:
    """Build the model for use in Keras code, without trained weights.

    Returns:
        A model from encoded rows, (rows, inputs), to probabilities, or to numbers in the unit of
        the target, (rows, outputs).
    """
    model = build_model(network, seed=0)
    if (unit := task.output_unit) is None:
        return model
    y = model.output
    if any(scale != 1 for scale in unit.scale) or any(unit.offset):
        y = keras.layers.Rescaling([*unit.scale], [*unit.offset], name="unit")(y)
    if unit.is_log:
        y = keras.ops.expm1(y)
    return keras.Model(model.input, y, name="network")


def build_trained_model(predictor: Predictor) -> keras.Model:
    """Build the trained model for use in Keras code; for an ensemble, the mean of its members.

    Args:
        predictor: the network, or the networks of an ensemble.

    Returns:
        A model from encoded rows, (rows, inputs), to the mean of the probabilities of all members,
        with `output.probability_floor`, or to the mean of their numbers in the unit of the target,
        (rows, outputs).
    """
    models = []
    for number in range(1, predictor.members + 1):
        network = predictor.network_of(number)
        model = build_portable_model(network, predictor.task_of(number))
        assign_weights(model, network, predictor.weights_of(number))
        models.append(model)
    if len(models) == 1:
        inputs, mean = models[0].input, models[0].output
    else:
        inputs = keras.Input((predictor.network.inputs,), name="input")
        outputs = []
        for number, model in enumerate(models, start=1):
            model.name = f"member_{number}"
            outputs.append(model(inputs))
        weights = [each.weight for each in predictor.models]
        if len({*weights}) == 1:
            mean = keras.layers.Average(name="mean")(outputs)
        else:
            shares = np.array(weights) / sum(weights)
            pairs = zip(outputs, shares.tolist(), strict=True)
            scaled = [keras.layers.Rescaling(share)(each) for each, share in pairs]
            mean = keras.layers.Add(name="mean")(scaled)
    if predictor.task.levels:
        mean = keras.ops.sort(mean, axis=-1)
    return keras.Model(inputs, predictor.with_floor(mean), name="network")


def weights_of(model: keras.Model, network: Network) -> layers.Weights:
    """Copy the weights of a model by name, such as `hidden_1/kernel`.

    The first kernel includes the factors of the scaling layer. Weights of a monotone network are
    within their bounds, although Keras's moving average of weights (`use_ema`) may exceed them.
    """
    arrays = {name: variable.value.numpy() for name, variable in named_variables(model, network)}
    first = model.get_layer(network.layers[0].name)
    arrays[network.first_kernel] = keras.ops.convert_to_tensor(first.kernel).numpy()
    clipped = ((name, bounds.clip(arrays[name])) for name, bounds in bounds_of(network).items())
    return {**arrays, **dict(clipped)}


def assign_weights(model: keras.Model, network: Network, arrays: layers.Weights) -> None:
    """Set the weights of a model to arrays with the same names and shapes."""
    for name, variable in named_variables(model, network):
        variable.assign(arrays[name])


def named_variables(model: keras.Model, network: Network) -> Iterator[tuple[str, keras.Variable]]:
    """Yield each weight of a network with its name, except the weights of a scaling layer."""
    for name, weights in groupby(network.weights, key=lambda weight: weight.name.split("/")[0]):
        named = [each for each in model.get_layer(name).weights if each.name != SCALING_LAYER]
        for weight, variable in zip(weights, named, strict=True):
            yield weight.name, variable


def weight_kinds(
    model: keras.Model, network: Network
) -> Iterator[tuple[WeightKind, keras.Variable]]:
    """Yield each trainable weight of a model with its kind."""
    of_front = {weight.name for layer in network.front.trained for weight in layer.weights}
    named = {id(variable): name for name, variable in named_variables(model, network)}
    for variable in model.trainable_variables:
        name = named.get(id(variable))
        if name is None:
            yield "scaling_layer", variable
        elif name in of_front:
            yield "encodings", variable
        else:
            yield "kernels" if name.endswith("/kernel") else "biases", variable


def with_scaling_layer(
    dense: type[keras.layers.Dense], multiplier: float, columns: NDArray[np.int64]
) -> type[keras.layers.Dense]:
    """Derive a Dense layer with a learned weight of each column, for training.

    The weights multiply the rows of the kernel instead of the inputs, because training computes the
    gradient of the kernel anyway.

    Args:
        dense: the class of the layer.
        multiplier: the learning rate of these weights, relative to the other weights.
        columns: the index of the column of each input, (inputs,).
    """

    class Scaled(dense):
        def build(self, input_shape: tuple[int | None, ...]) -> None:
            super().build(input_shape)
            self._changes = self.add_weight((columns.max() + 1,), "zeros", name=SCALING_LAYER)

        @property
        def kernel(self) -> Any:  # noqa: ANN401
            scales = keras.ops.take(1 + multiplier * self._changes, columns)
            return super().kernel * keras.ops.expand_dims(scales, 1)

    return Scaled


def _dense(
    layer: layers.DenseLayer, seed: int, policy: str, factories: Factories
) -> keras.layers.Dense:
    """Return a Dense layer; an activation with parameters is applied after it."""
    settings: dict[str, Any] = {}
    for part in ("kernel", "bias"):
        weight, initializer = f"{layer.name}/{part}", getattr(layer, f"{part}_initializer")
        parameters, kind = parameters_of(initializer), type(initializer).__name__
        settings[f"{part}_initializer"] = _seeded(kind, seed, weight, **parameters)
        if (penalty := getattr(layer, f"{part}_regularizer")) is not None:
            settings[f"{part}_regularizer"] = factories.regularizer(penalty, weight)
    if layer.activation.is_default:
        settings["activation"] = factories.activation(layer.activation.name)
    made = factories.dense(layer)
    return made(layer.units, use_bias=layer.use_bias, name=layer.name, dtype=policy, **settings)


def _seeded(
    kind: str,
    seed: int,
    weight: str,
    **parameters: Any,  # noqa: ANN401
) -> keras.initializers.Initializer:
    """Return a Keras initializer whose seed depends on the seed of the config and the weight."""
    initializer = getattr(keras.initializers, kind)
    if "seed" in inspect.signature(initializer).parameters:
        stream = np.random.SeedSequence([seed, zlib.crc32(weight.encode())])
        parameters["seed"] = int(stream.generate_state(1)[0] >> 1)
    return initializer(**parameters)


def _apply_front(
    front: layers.Front, x: keras.KerasTensor, seed: int, factories: Factories
) -> keras.KerasTensor:
    """Apply augmentation, embeddings and periodic encodings to (rows, inputs).

    These layers keep the precision of the inputs, because half precision can't represent the
    indices of many categories.
    """
    if factories.augment is not None:
        for images in front.augments:
            x = factories.augment(images)(x)
    if front.is_identity:
        return x
    parts = [_columns(x, front.unchanged)] if front.unchanged else []
    for layer in front.trained:
        if isinstance(layer, layers.EmbeddingLayer):
            parts.append(_embedding(layer, x, seed))
        elif isinstance(layer, layers.PeriodicLinearLayer):
            parts.append(_maps_of_waves(layer, x, seed))
        else:
            parts.append(_waves(layer, x, seed))
    return keras.layers.Concatenate(name="front", dtype=x.dtype)(parts) if parts[1:] else parts[0]


def _embedding(layer: layers.EmbeddingLayer, x: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    indices = keras.ops.cast(x[:, layer.column], "int32")
    embedding = keras.layers.Embedding(
        layer.rows,
        layer.units,
        embeddings_initializer=_seeded("RandomUniform", seed, f"{layer.name}/embeddings"),
        name=layer.name,
        dtype=x.dtype,
    )
    y = embedding(indices)
    table = embedding.embeddings.value.numpy().copy()
    table[-1] = 0  # categories without a training row
    embedding.embeddings.assign(table)
    return y


def _waves(layer: layers.PeriodicLayer, x: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    kernel = f"{layer.name}/kernel"
    products = keras.layers.EinsumDense(
        "ri,if->rif",
        output_shape=(len(layer.columns), layer.frequencies),
        kernel_initializer=_seeded("RandomNormal", seed, kernel, stddev=layer.deviation),
        name=layer.name,
        dtype=x.dtype,
    )(_columns(x, layer.columns))
    phases = keras.layers.Flatten(dtype=x.dtype)(products * (2 * math.pi))
    return keras.layers.Concatenate(dtype=x.dtype)([keras.ops.sin(phases), keras.ops.cos(phases)])


def _maps_of_waves(
    layer: layers.PeriodicLinearLayer, x: keras.KerasTensor, seed: int
) -> keras.KerasTensor:
    inputs, form = len(layer.columns), layer.form

    def uniform(limit: float, weight: str) -> keras.initializers.Initializer:
        return _seeded("RandomUniform", seed, weight, minval=-limit, maxval=limit)

    numbers = _columns(x, layer.columns)
    kernel = f"{layer.name}/kernel"
    phases = keras.layers.EinsumDense(
        "ri,if->rif",
        output_shape=(inputs, form.frequencies),
        bias_axes="if",
        kernel_initializer=_seeded("RandomNormal", seed, kernel, stddev=form.deviation),
        bias_initializer=uniform(0.5, f"{layer.name}/bias"),
        name=layer.name,
        dtype=x.dtype,
    )(numbers)
    limit = 1 / math.sqrt(form.frequencies)
    maps = keras.layers.EinsumDense(
        "rif,ifu->riu",
        output_shape=(inputs, form.units - 1),
        bias_axes="iu",
        kernel_initializer=uniform(limit, f"{layer.maps}/kernel"),
        bias_initializer=uniform(limit, f"{layer.maps}/bias"),
        name=layer.maps,
        dtype=x.dtype,
    )(keras.ops.cos(phases * (2 * math.pi)))
    each = keras.layers.Reshape((inputs, 1), dtype=x.dtype)(numbers)
    joined = keras.layers.Concatenate(axis=-1, dtype=x.dtype)([each, maps])
    return keras.layers.Flatten(dtype=x.dtype)(joined)


def _columns(x: keras.KerasTensor, indices: tuple[int, ...]) -> keras.KerasTensor:
    """Return some inputs, (rows, columns), as a slice if they are adjacent."""
    start, stop = indices[0], indices[-1] + 1
    if indices == tuple(range(start, stop)):
        return x[:, start:stop]
    return keras.ops.take(x, indices, axis=1)
