"""The list of layers as a functional `tf.keras` model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from dlcli.config import Activation, Section
from dlcli.keras_model.front import AugmentFactory, apply_front
from dlcli.keras_model.initializers import seeded
from dlcli.network import (
    ActivationLayer,
    DenseLayer,
    DropoutLayer,
    Layer,
    Network,
    NormalizationLayer,
)
from dlcli.tasks import NumberTarget, TargetEncoder

DropoutFactory = Callable[[DropoutLayer], keras.layers.Layer]
RegularizerFactory = Callable[[Section, str], keras.regularizers.Regularizer]


def plain_dropout(layer: DropoutLayer) -> keras.layers.Layer:
    """Keras's own Dropout: for a model that leaves dlcli."""
    return keras.layers.Dropout(layer.rate, name=layer.name)


def plain_regularizer(section: Section, weight: str) -> keras.regularizers.Regularizer:
    """Keras's own regularizer of a section's name and parameters, whatever weight it prices."""
    return getattr(keras.regularizers, type(section).__name__)(**parameters_of(section))


def build_model(
    network: Network,
    *,
    seed: int,
    precision: str = "float32",
    dropout: DropoutFactory = plain_dropout,
    augment: AugmentFactory | None = None,
    regularizer: RegularizerFactory = plain_regularizer,
) -> keras.Model:
    """Builds a model with one named Keras layer for each layer of the network.

    Args:
        network: the layers.
        seed: what the first weights follow from, each array by its own name.
        precision: the Keras dtype policy of all layers but the output, which stays float32 under a
            mixed one (https://keras.io/api/mixed_precision/).
        dropout: makes the dropout layers.
        augment: makes the layers that vary images; a model that leaves dlcli has none.
        regularizer: makes the price of a weight, given its name.

    Returns:
        Encoded rows (rows, inputs) in, the output as trained on (rows, outputs) out.
    """
    inputs = keras.Input((network.inputs,), name="input", dtype=_storage(precision))
    x = apply_front(network.front, inputs, seed, augment)
    for layer in network.layers:
        policy = _storage(precision) if layer is network.layers[-1] else precision
        x = _apply(layer, x, _Factories(seed, policy, dropout, regularizer))
    return keras.Model(inputs, x, name="network")


def build_portable_model(network: Network, target: TargetEncoder) -> keras.Model:
    """Builds the model for the user's own Keras code, without trained weights.

    Returns:
        Encoded rows (rows, inputs) in; probabilities or the target's own unit (rows, outputs) out.
    """
    model = build_model(network, seed=0)
    if not isinstance(target, NumberTarget):
        return model
    scale = [scaling.scale for scaling in target.scalings]
    offset = [scaling.offset for scaling in target.scalings]
    y = model.output
    if any(scale_ != 1 for scale_ in scale) or any(offset):
        y = keras.layers.Rescaling(scale, offset, name="unit")(y)
    if target.scalings[0].name == "log":
        y = keras.ops.expm1(y)
    return keras.Model(model.input, y, name="network")


def parameters_of(section: Section) -> dict[str, Any]:
    """A section's parameters as keyword arguments of the Keras object of the same name."""
    parameters = section.model_dump(exclude={"name"})
    return {key: list(v) if isinstance(v, tuple) else v for key, v in parameters.items()}


@dataclass(frozen=True)
class _Factories:
    """What makes the parts of a layer."""

    seed: int
    precision: str
    dropout: DropoutFactory
    regularizer: RegularizerFactory

    def initializer(self, section: Section, weight: str) -> keras.initializers.Initializer:
        """What a weight is before the first step."""
        return seeded(type(section).__name__, self.seed, weight, **parameters_of(section))

    def price(self, section: Section | None, weight: str) -> keras.regularizers.Regularizer | None:
        """What a weight costs, if anything."""
        return None if section is None else self.regularizer(section, weight)


def _apply(layer: Layer, x: keras.KerasTensor, made: _Factories) -> keras.KerasTensor:
    precision = made.precision
    if isinstance(layer, DenseLayer):
        return _dense(layer, x, made)
    if isinstance(layer, NormalizationLayer):
        return keras.layers.BatchNormalization(
            **layer.parameters.model_dump(), name=layer.name, dtype=precision
        )(x)
    if isinstance(layer, ActivationLayer):
        if not layer.activation.is_default:
            return _parametric(layer.activation, x)
        return keras.layers.Activation(layer.activation.name, name=layer.name, dtype=precision)(x)
    return made.dropout(layer)(x)


def _dense(layer: DenseLayer, x: keras.KerasTensor, made: _Factories) -> keras.KerasTensor:
    plain = layer.activation.is_default
    kernel, bias = f"{layer.name}/kernel", f"{layer.name}/bias"
    x = keras.layers.Dense(
        layer.units,
        activation=layer.activation.name if plain else None,
        use_bias=layer.use_bias,
        kernel_initializer=made.initializer(layer.kernel_initializer, kernel),
        bias_initializer=made.initializer(layer.bias_initializer, bias),
        kernel_regularizer=made.price(layer.kernel_regularizer, kernel),
        bias_regularizer=made.price(layer.bias_regularizer, bias),
        name=layer.name,
        dtype=made.precision,
    )(x)
    return x if plain else _parametric(layer.activation, x)


def _parametric(activation: Activation, x: keras.KerasTensor) -> keras.KerasTensor:
    """An activation with parameters of its own, as an operation that loads without dlcli."""
    return getattr(keras.activations, activation.name)(x, **parameters_of(activation))


def _storage(precision: str) -> str:
    """The policy of what is never computed in half precision."""
    return "float32" if precision.startswith("mixed_") else precision
