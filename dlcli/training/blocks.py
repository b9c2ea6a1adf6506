"""Rows on the device, as a program takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class Block(NamedTuple):
    """Rows on the device."""

    matrix: tf.Tensor
    """(rows, inputs)."""
    labels: tf.Tensor
    """In the loss's form, (rows, ...)."""
    weights: tf.Tensor | None
    """(rows,), or none."""

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Block:
        """Does the same to each of the parts."""
        return Block(*(None if part is None else function(part) for part in self))


def slice_rows(whole: tf.Tensor, start: tf.Tensor, count: int) -> tf.Tensor:
    """Neighbouring rows, (count, ...)."""
    begin = [start] + [0] * (len(whole.shape) - 1)
    return tf.slice(whole, begin, [count, *whole.shape[1:]])


def filled(array: NDArray[Any], missing: int) -> NDArray[Any]:
    """An array with so many rows of zeros more, (rows + missing, ...)."""
    if not missing:
        return array
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])


def on_device(matrix: Any, labels: Any, weights: Any) -> Block:  # noqa: ANN401
    """Rows as constants on the device, numbers in Keras's float type."""
    floats = keras.config.floatx()
    labels = tf.constant(labels)
    return Block(
        tf.constant(matrix, dtype=floats),
        tf.cast(labels, floats) if labels.dtype.is_floating else labels,
        None if weights is None else tf.constant(weights, dtype=floats),
    )
