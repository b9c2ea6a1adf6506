"""What a network makes of its inputs before the first hidden layer, in Keras's own layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras

from dlcli.keras_model.initializers import seeded
from dlcli.network import AugmentLayer, EmbeddingLayer, Front, WavesLayer

AugmentFactory = Callable[[AugmentLayer], keras.layers.Layer]


def apply_front(
    front: Front, x: keras.KerasTensor, seed: int, augment: AugmentFactory | None
) -> keras.KerasTensor:
    """Applies a front to encoded rows.

    All of it is computed in the inputs' own precision, as half of it could not tell the places of
    many categories apart.

    Args:
        front: what to apply.
        x: encoded rows, (rows, inputs).
        seed: what the first weights follow from.
        augment: makes the layers that vary images; without it they are left out.

    Returns:
        (rows, units).
    """
    if augment is not None:
        for images in front.augments:
            x = augment(images)(x)
    if not front.trained:
        return x
    passed = [_columns(x, front.passing)] if front.passing else []
    made = [_apply(layer, x, seed) for layer in front.trained]
    parts = [*passed, *made]
    return keras.layers.Concatenate(name="front", dtype=x.dtype)(parts) if parts[1:] else parts[0]


def _apply(
    layer: WavesLayer | EmbeddingLayer, x: keras.KerasTensor, seed: int
) -> keras.KerasTensor:
    if isinstance(layer, EmbeddingLayer):
        return _embedded(layer, x, seed)
    return _waves(layer, x, seed)


def _embedded(layer: EmbeddingLayer, x: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    places = keras.ops.cast(x[:, layer.place], "int32")
    embedding = keras.layers.Embedding(
        layer.rows,
        layer.units,
        embeddings_initializer=seeded("RandomUniform", seed, f"{layer.name}/embeddings"),
        name=layer.name,
        dtype=x.dtype,
    )
    y = embedding(places)
    table = embedding.embeddings.value.numpy().copy()
    table[-1] = 0
    embedding.embeddings.assign(table)
    return y


def _waves(layer: WavesLayer, x: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    products = keras.layers.EinsumDense(
        "ri,if->rif",
        output_shape=(len(layer.places), layer.frequencies),
        kernel_initializer=seeded(
            "RandomNormal", seed, f"{layer.name}/kernel", stddev=layer.deviation
        ),
        name=layer.name,
        dtype=x.dtype,
    )(_columns(x, layer.places))
    phases = keras.layers.Flatten(dtype=x.dtype)(products * (2 * math.pi))
    return keras.layers.Concatenate(dtype=x.dtype)([keras.ops.sin(phases), keras.ops.cos(phases)])


def _columns(x: keras.KerasTensor, places: tuple[int, ...]) -> keras.KerasTensor:
    """Some of the inputs, as a slice where they are neighbours."""
    start, stop = places[0], places[-1] + 1
    if places == tuple(range(start, stop)):
        return x[:, start:stop]
    return keras.ops.take(x, places, axis=1)
