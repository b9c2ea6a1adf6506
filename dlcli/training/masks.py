"""Dropout whose mask follows from (seed, epoch, step, layer): the same in every engine.

Keras's own Dropout draws one mask as a plain graph and another one under XLA. Here, a counter (the
entry's place in the batch) and a key (seed, layer, epoch, step) go through a mixer of 32-bit
integers, which is exact everywhere. The mixer is `lowbias32` of
https://github.com/skeeto/hash-prospector: two rounds of shift and multiply, with every input bit
moving every output bit nearly half of the time.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from dlcli.network import DropoutLayer

_WORD = 2**32


def _mix(x: tf.Tensor) -> tf.Tensor:
    """The mixer, on uint32 of any shape."""
    shift = tf.bitwise.right_shift
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(16, tf.uint32)))
    x *= tf.constant(0x7FEB352D, tf.uint32)
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(15, tf.uint32)))
    x *= tf.constant(0x846CA68B, tf.uint32)
    return tf.bitwise.bitwise_xor(x, shift(x, tf.constant(16, tf.uint32)))


def mask_bits(
    rows: tf.Tensor | int, units: int, seed: int, layer: int, moment: tf.Tensor
) -> tf.Tensor:
    """Random bits for each entry of a batch.

    Args:
        rows: rows of the batch.
        units: width of the layer.
        seed: the config's seed, below 2**32.
        layer: which dropout layer, counted from 0.
        moment: epoch and step within it, both from 0, uint32 (2,).

    Returns:
        uint32, (rows, units).
    """
    key = _mix(tf.constant(seed, tf.uint32))
    for part in (tf.constant(layer, tf.uint32), moment[0], moment[1]):
        key = _mix(key + part + tf.constant(0x9E3779B9, tf.uint32))
    counter = tf.range(tf.cast(rows * units, tf.int64))
    bits = _mix(tf.cast(counter, tf.uint32) + key)
    bits = _mix(tf.bitwise.bitwise_xor(bits, _mix(key)))
    return tf.reshape(bits, (-1, units))


class MaskedDropout(keras.layers.Layer):
    """Keras's Dropout with dlcli's masks: kept entries are divided by 1 − rate."""

    def __init__(self, layer: DropoutLayer, seed: int, place: int, moment: tf.Variable) -> None:
        super().__init__(name=layer.name)
        self.rate = layer.rate
        self.units = layer.units
        self.seed = seed
        self.place = place
        self.moment = moment
        """Epoch and step, which the engine sets before each step; uint32 (2,)."""

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401
        """(rows, units) to (rows, units)."""
        if not training:
            return inputs
        rows = tf.shape(inputs)[0]
        bits = mask_bits(rows, self.units, self.seed, self.place, tf.convert_to_tensor(self.moment))
        kept = bits >= tf.constant(round(self.rate * _WORD), tf.uint32)
        return tf.where(kept, inputs / (1 - self.rate), tf.zeros_like(inputs))
