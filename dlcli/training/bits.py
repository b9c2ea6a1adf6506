"""Random bits that follow from (seed, stream, epoch, step): the same in every engine.

Keras and TensorFlow draw one way as a plain graph and another one under XLA. Here, a counter (the
entry's place in the batch) and a key (seed, stream, epoch, step) go through a mixer of 32-bit
integers, which is exact everywhere. The mixer is `lowbias32` of
https://github.com/skeeto/hash-prospector: two rounds of shift and multiply, with every input bit
moving every output bit nearly half of the time.
"""

from __future__ import annotations

import tensorflow as tf


def random_bits(
    rows: tf.Tensor | int, width: int, seed: int, stream: int, moment: tf.Tensor
) -> tf.Tensor:
    """Random bits for each entry of a batch.

    Args:
        rows: rows of the batch.
        width: entries of a row.
        seed: the config's seed, below 2**32.
        stream: who draws, below 2**32: dropout layers are counted from 0, layers that vary images
            from 2**31.
        moment: epoch and step within it, both from 0, uint32 (2,).

    Returns:
        uint32, (rows, width).
    """
    with tf.init_scope():  # what is known beforehand is no part of a program
        known = int(_joined(_mix(tf.constant(seed, tf.uint32)), tf.constant(stream, tf.uint32)))
    key = _joined(_joined(tf.constant(known, tf.uint32), moment[0]), moment[1])
    counter = tf.range(tf.cast(rows * width, tf.int64))
    bits = _mix(tf.cast(counter, tf.uint32) + key)
    bits = _mix(tf.bitwise.bitwise_xor(bits, _mix(key)))
    return tf.reshape(bits, (-1, width))


def _joined(key: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """A key that also follows from another number."""
    return _mix(key + part + tf.constant(0x9E3779B9, tf.uint32))


def _mix(x: tf.Tensor) -> tf.Tensor:
    """The mixer, on uint32 of any shape."""
    shift = tf.bitwise.right_shift
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(16, tf.uint32)))
    x *= tf.constant(0x7FEB352D, tf.uint32)
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(15, tf.uint32)))
    x *= tf.constant(0x846CA68B, tf.uint32)
    return tf.bitwise.bitwise_xor(x, shift(x, tf.constant(16, tf.uint32)))
