"""Images that vary from step to step: moved, mirrored and made noisy, in training only.

What happens to a row follows from (seed, epoch, step, layer) and the row's place in the batch, as
with dropout, so that all engines see the same images.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from dlcli.network import AugmentLayer
from dlcli.training.bits import random_bits

_FIRST_STREAM = 2**31


class AugmentedImages(keras.layers.Layer):
    """Varies the images among the inputs, each row in its own way.

    Args:
        images: where they are, and how they vary.
        seed: the config's seed.
        place: which layer that varies images, counted from 0.
        moment: epoch and step, which the engine sets before each step; uint32 (2,).
    """

    def __init__(self, images: AugmentLayer, seed: int, place: int, moment: tf.Variable) -> None:
        super().__init__(name=images.name, autocast=False)
        self.images = images
        self.seed = seed
        self.stream = _FIRST_STREAM + 2 * place
        self.moment = moment

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401
        """(rows, inputs) to (rows, inputs)."""
        if not training:
            return inputs
        start, stop = self.images.start, self.images.stop
        varied = self._noisy(self._moved(inputs[:, start:stop]))
        return tf.concat([inputs[:, :start], varied, inputs[:, stop:]], axis=1)

    def _moved(self, pixels: tf.Tensor) -> tf.Tensor:
        """Mirrors half of the images, and moves all, (rows, pixels)."""
        shift, flip = self.images.augmentation.shift, self.images.augmentation.flip
        if not (shift or flip):
            return pixels
        bits = self._bits(pixels, 3, self.stream)
        down, right = (_uniform(bits[:, at], 2 * shift + 1) - shift for at in (0, 1))
        mirrored = _uniform(bits[:, 2], 2) * int(flip)
        return move_images(pixels, self.images.shape, down, right, mirrored)

    def _noisy(self, pixels: tf.Tensor) -> tf.Tensor:
        """Adds normal noise, (rows, pixels)."""
        deviation = self.images.augmentation.noise
        if not deviation:
            return pixels
        half = -(-pixels.shape[1] // 2)
        # A stream of its own, so that noise doesn't change how images are moved.
        bits = self._bits(pixels, 2 * half, self.stream + 1)
        noise = _normal(bits[:, :half], bits[:, half:], pixels.dtype)
        return pixels + deviation * noise[:, : pixels.shape[1]]

    def _bits(self, pixels: tf.Tensor, width: int, stream: int) -> tf.Tensor:
        moment = tf.convert_to_tensor(self.moment)
        return random_bits(tf.shape(pixels)[0], width, self.seed, stream, moment)


def move_images(
    pixels: tf.Tensor,
    shape: tuple[int, int, int],
    down: tf.Tensor,
    right: tf.Tensor,
    mirrored: tf.Tensor,
) -> tf.Tensor:
    """Mirrors images, then moves them; what comes in is 0.

    Args:
        pixels: rows of columns of channels, (rows, pixels).
        shape: (height, width, channels).
        down: pixels that each image moves down, less than its height, int32 (rows,).
        right: pixels that each image moves to the right, less than its width, int32 (rows,).
        mirrored: 1 where left and right change places, else 0, int32 (rows,).

    Returns:
        (rows, pixels).
    """
    height, width, channels = shape
    rows = tf.range(height) - down[:, tf.newaxis]
    columns = tf.range(width) - right[:, tf.newaxis]
    inside = _within(rows, height)[:, :, tf.newaxis] & _within(columns, width)[:, tf.newaxis, :]
    columns = tf.where(mirrored[:, tf.newaxis] == 1, width - 1 - columns, columns)
    places = rows[:, :, tf.newaxis] * width + columns[:, tf.newaxis, :]
    places = tf.reshape(tf.where(inside, places, 0), (-1, height * width))
    inside = tf.reshape(inside, (-1, height * width, 1))
    grid = tf.reshape(pixels, (-1, height * width, channels))
    moved = tf.gather(grid, places, batch_dims=1)
    moved = tf.where(inside, moved, tf.zeros_like(moved))
    return tf.reshape(moved, (-1, height * width * channels))


def _within(places: tf.Tensor, end: int) -> tf.Tensor:
    return (places >= 0) & (places < end)


def _uniform(bits: tf.Tensor, end: int) -> tf.Tensor:
    """Whole numbers from 0 to below an end, int32, as the upper half of bits · end."""
    return tf.cast(tf.bitwise.right_shift(tf.cast(bits, tf.int64) * end, 32), tf.int32)


def _normal(radius: tf.Tensor, angle: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Standard normal numbers: r·cos(2π·v), then r·sin(2π·v), with r = √(−2·ln u).

    Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645.

    Args:
        radius: bits for u in (0, 1], uint32 (rows, n).
        angle: bits for v in [0, 1), uint32 (rows, n).
        dtype: what to compute in.

    Returns:
        (rows, 2n).
    """
    u = (_upper_bits(radius, dtype) + 1) / 2**24
    v = _upper_bits(angle, dtype) * (2 * math.pi / 2**24)
    return tf.tile(tf.sqrt(-2 * tf.math.log(u)), [1, 2]) * tf.concat([tf.cos(v), tf.sin(v)], axis=1)


def _upper_bits(bits: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The upper 24 bits as a whole number, which float32 holds exactly, as it does the next one."""
    return tf.cast(
        tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.int32), dtype
    )
