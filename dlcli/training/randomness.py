"""Random numbers that depend only on seed, epoch, step and layer: row order, dropout, augmentation.

Keras and TensorFlow draw different numbers in a graph and with XLA. Here an integer hash, which is
exact everywhere, is applied to a counter (the index of the entry in the batch) and a key (seed,
stream, epoch, step), so all engines draw the same numbers. The hash is `lowbias32` of
https://github.com/skeeto/hash-prospector: two rounds of shift and multiply, in which each input bit
flips each output bit in nearly half of the cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.encoding.encoded_rows import block_rows
from dlcli.network.layers import AugmentLayer, DropoutLayer, Network

Number: TypeAlias = Any
"""A constant, or the variable from which a shared program reads it."""
Draw: TypeAlias = Callable[[tf.Tensor | int, tf.Tensor | int, int], tf.Tensor]
"""Draws `random_bits` for a job, given the number of rows, the width and the stream."""
_FIRST_AUGMENTATION_STREAM = 2**31
"""The first stream of augmentation layers, which use two streams each. Dropout layers use the
streams 0, 1, 2, ..."""
GROUP = 256
"""Number of blocks whose rows are shuffled together."""
WHOLE_GROUPS = 4
"""Maximum number of groups in a table that is shuffled as a whole."""


def epoch_order(rows: int, width: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the shuffled row indices of an epoch, (rows,); see `order_parts`."""
    return np.concatenate(list(order_parts(rows, width, seed, epoch)))


def order_parts(rows: int, width: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Yield the shuffled row indices of an epoch, in parts.

    In a table of up to `WHOLE_GROUPS` groups of blocks, all orders are equally likely. In larger
    tables, the blocks are shuffled, then the rows within each group of blocks, so a table that
    exceeds memory is read in long pieces.

    Args:
        rows: number of rows.
        width: number of inputs.
        seed: the seed of the config.
        epoch: the epoch, from 0.

    Yields:
        Row indices; all parts together contain each row once.
    """
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    size = block_rows(width)
    if rows <= WHOLE_GROUPS * GROUP * size:
        yield rng.permutation(rows)
        return
    blocks = rng.permutation(-(-rows // size))
    for start in range(0, len(blocks), GROUP):
        group = blocks[start : start + GROUP, np.newaxis] * size + np.arange(size)
        yield rng.permutation(group[group < rows])


def streams_of(network: Network) -> tuple[int, ...]:
    """Return the streams from which the layers of a network draw."""
    dropouts = sum(isinstance(layer, DropoutLayer) for layer in network.layers)
    first = _FIRST_AUGMENTATION_STREAM
    return *range(dropouts), *range(first, first + 2 * len(network.front.augments))


def stream_keys(seed: int, streams: Sequence[int]) -> NDArray[np.uint32]:
    """Return the key of each stream, uint32 (streams,)."""
    part = tf.constant(streams, tf.uint32)
    keys: NDArray[np.uint32] = _combine(_hash(tf.constant(seed, tf.uint32)), part).numpy()
    return keys


def step_keys(keys: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Return the keys for the random bits of a step.

    Args:
        keys: the keys of the streams, uint32 (streams,).
        epoch: the epoch, from 0.
        step: the step within the epoch, from 0.

    Returns:
        For each stream, the keys for two applications of the hash, uint32 (streams, 2).
    """
    for part in (epoch, step):
        keys = _combine(keys, tf.cast(part, tf.uint32))
    return tf.stack([keys, _hash(keys)], axis=1)


def random_bits(
    rows: tf.Tensor | int,
    width: tf.Tensor | int,
    keys: tf.Tensor,
    positions: tf.Tensor | None = None,
) -> tf.Tensor:
    """Draw random bits for each entry of a batch.

    Args:
        rows: number of rows.
        width: number of entries per row.
        keys: the keys of a stream, see `step_keys`, uint32 (2,).
        positions: the index of each row in the batch, int64 (rows,); omitted for all rows.

    Returns:
        Independent bits, uint32 (rows, width).
    """
    first, second = tf.unstack(keys)
    if positions is None:
        counter = tf.range(tf.cast(rows * width, tf.int64))
    else:
        entries = positions[:, tf.newaxis] * width + tf.range(width, dtype=tf.int64)
        counter = tf.reshape(entries, [-1])
    bits = _hash(tf.cast(counter, tf.uint32) + first)
    bits = _hash(tf.bitwise.bitwise_xor(bits, second))
    return tf.reshape(bits, (-1, width))


def _combine(keys: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """Return keys that also depend on another number."""
    return _hash(keys + part + tf.constant(0x9E3779B9, tf.uint32))


def _hash(x: tf.Tensor) -> tf.Tensor:
    """Hash numbers, uint32 of any shape."""
    shift, half = tf.bitwise.right_shift, tf.constant(16, tf.uint32)
    x = tf.bitwise.bitwise_xor(x, shift(x, half))
    x *= tf.constant(0x7FEB352D, tf.uint32)
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(15, tf.uint32)))
    x *= tf.constant(0x846CA68B, tf.uint32)
    return tf.bitwise.bitwise_xor(x, shift(x, half))


class MaskedDropout(keras.layers.Layer):
    """Keras's Dropout with dlcli's masks.

    Args:
        name: the name of the layer.
        threshold: the rate times 2**32; a unit is dropped if its random bits are below it.
        scale: the factor of the remaining units, 1 / (1 − rate).
        draw: see `Draw`.
        index: the index of the layer among the dropout layers, from 0.
    """

    def __init__(self, name: str, threshold: Number, scale: Number, draw: Draw, index: int) -> None:
        super().__init__(name=name)
        self.threshold = threshold
        self.scale = scale
        self.draw = draw
        self.index = index

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401
        """Map (rows, units) to (rows, units)."""
        if not training:
            return inputs
        bits = self.draw(size_of(inputs, 0), size_of(inputs, 1), self.index)
        is_kept = bits >= as_tensor(self.threshold, tf.uint32)
        # The gradient of a product needs fewer operations than the gradient of `where`.
        return inputs * (tf.cast(is_kept, inputs.dtype) * as_tensor(self.scale, inputs.dtype))


def size_of(tensor: tf.Tensor, axis: int) -> tf.Tensor | int:
    """Return the size of an axis, as a constant if it is known during tracing."""
    size = tensor.shape[axis]
    return tf.shape(tensor)[axis] if size is None else int(size)


def as_tensor(number: Number, dtype: tf.DType | str) -> tf.Tensor:
    """Convert a number to a tensor; a shared program reads it at runtime."""
    if isinstance(number, tf.Variable):
        return tf.cast(number, dtype)
    return tf.constant(number, dtype)


class AugmentedImages(keras.layers.Layer):
    """Augments the images among the inputs, each row differently.

    Args:
        images: the inputs that are images, and their augmentation.
        draw: see `Draw`.
        index: the index of the layer among the augmentation layers, from 0.
    """

    def __init__(self, images: AugmentLayer, draw: Draw, index: int) -> None:
        super().__init__(name=images.name, autocast=False)
        self.images = images
        self.draw = draw
        self.stream = _FIRST_AUGMENTATION_STREAM + 2 * index

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401
        """Map (rows, inputs) to (rows, inputs)."""
        if not training:
            return inputs
        start, stop = self.images.start, self.images.stop
        augmented = self._add_noise(self._move(inputs[:, start:stop]))
        return tf.concat([inputs[:, :start], augmented, inputs[:, stop:]], axis=1)

    def _move(self, pixels: tf.Tensor) -> tf.Tensor:
        """Flip half of the images at random, and shift all images, (rows, pixels)."""
        shift, flip = self.images.augmentation.shift, self.images.augmentation.flip
        if not (shift or flip):
            return pixels
        bits = self.draw(size_of(pixels, 0), 3, self.stream)
        down, right = (_uniform(bits[:, at], 2 * shift + 1) - shift for at in (0, 1))
        flipped = _uniform(bits[:, 2], 2) * int(flip)
        return move_images(pixels, self.images.shape, down, right, flipped)

    def _add_noise(self, pixels: tf.Tensor) -> tf.Tensor:
        """Add normal noise, (rows, pixels)."""
        deviation = self.images.augmentation.noise
        if not deviation:
            return pixels
        half = -(-pixels.shape[1] // 2)
        # From a separate stream, so noise does not affect the shifts.
        bits = self.draw(size_of(pixels, 0), 2 * half, self.stream + 1)
        noise = _normal(bits[:, :half], bits[:, half:], pixels.dtype)
        return pixels + deviation * noise[:, : pixels.shape[1]]


def move_images(
    pixels: tf.Tensor,
    shape: tuple[int, int, int],
    down: tf.Tensor,
    right: tf.Tensor,
    flipped: tf.Tensor,
) -> tf.Tensor:
    """Flip images, then shift them; new pixels are 0.

    Args:
        pixels: the pixels in the order height, width, channels, (rows, pixels).
        shape: (height, width, channels).
        down: shift of each image down, less than its height, int32 (rows,).
        right: shift of each image to the right, less than its width, int32 (rows,).
        flipped: 1 for images that are mirrored horizontally, else 0, int32 (rows,).

    Returns:
        The pixels in the same order, (rows, pixels).
    """
    height, width, channels = shape
    rows = tf.range(height) - down[:, tf.newaxis]
    columns = tf.range(width) - right[:, tf.newaxis]
    is_inside = _within(rows, height)[:, :, tf.newaxis] & _within(columns, width)[:, tf.newaxis, :]
    columns = tf.where(flipped[:, tf.newaxis] == 1, width - 1 - columns, columns)
    indices = rows[:, :, tf.newaxis] * width + columns[:, tf.newaxis, :]
    indices = tf.reshape(tf.where(is_inside, indices, 0), (-1, height * width))
    is_inside = tf.reshape(is_inside, (-1, height * width, 1))
    grid = tf.reshape(pixels, (-1, height * width, channels))
    moved = tf.gather(grid, indices, batch_dims=1)
    moved = tf.where(is_inside, moved, tf.zeros_like(moved))
    return tf.reshape(moved, (-1, height * width * channels))


def _within(indices: tf.Tensor, end: int) -> tf.Tensor:
    return (indices >= 0) & (indices < end)


def _uniform(bits: tf.Tensor, end: int) -> tf.Tensor:
    """Map 32 random bits to integers in [0, end), int32: the upper half of bits · end."""
    return tf.cast(tf.bitwise.right_shift(tf.cast(bits, tf.int64) * end, 32), tf.int32)


def _normal(radius: tf.Tensor, angle: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Map random bits to standard normal numbers.

    With r = √(−2·ln u), these are r·cos(2π·v) and r·sin(2π·v): Box and Muller 1958,
    https://doi.org/10.1214/aoms/1177706645.

    Args:
        radius: bits for u in (0, 1], uint32 (rows, n).
        angle: bits for v in [0, 1), uint32 (rows, n).
        dtype: dtype of the result.

    Returns:
        The cosines, then the sines, (rows, 2n).
    """
    u = (_upper_bits(radius, dtype) + 1) / 2**24
    v = _upper_bits(angle, dtype) * (2 * math.pi / 2**24)
    return tf.tile(tf.sqrt(-2 * tf.math.log(u)), [1, 2]) * tf.concat([tf.cos(v), tf.sin(v)], axis=1)


def _upper_bits(bits: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return the upper 24 bits as a number, which is exact in float32, as is its successor."""
    upper = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))
    return tf.cast(tf.cast(upper, tf.int32), dtype)
