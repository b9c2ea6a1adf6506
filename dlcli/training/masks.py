"""Dropout whose mask follows from (seed, epoch, step, layer): the same in every engine."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from dlcli.network import DropoutLayer
from dlcli.training.bits import random_bits

_WORD = 2**32


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
        moment = tf.convert_to_tensor(self.moment)
        bits = random_bits(rows, self.units, self.seed, self.place, moment)
        kept = bits >= tf.constant(round(self.rate * _WORD), tf.uint32)
        return tf.where(kept, inputs / (1 - self.rate), tf.zeros_like(inputs))
