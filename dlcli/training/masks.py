"""Dropout whose mask follows from (seed, epoch, step, layer): the same in every engine."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from dlcli.network import DropoutLayer
from dlcli.training.bits import random_bits
from dlcli.training.numbers import Rate, as_tensor


class MaskedDropout(keras.layers.Layer):
    """Keras's Dropout with dlcli's masks: kept entries are divided by 1 − rate.

    Args:
        layer: its name and units.
        rate: the share of units that is silenced.
        seed: the config's seed.
        place: which dropout layer, counted from 0.
        moment: epoch and step, which the engine sets before each step; uint32 (2,).
    """

    def __init__(
        self, layer: DropoutLayer, rate: Rate, seed: int, place: int, moment: tf.Variable
    ) -> None:
        super().__init__(name=layer.name)
        self.rate = rate
        self.units = layer.units
        self.seed = seed
        self.place = place
        self.moment = moment

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401
        """(rows, units) to (rows, units)."""
        if not training:
            return inputs
        rows = tf.shape(inputs)[0]
        moment = tf.convert_to_tensor(self.moment)
        bits = random_bits(rows, self.units, self.seed, self.place, moment)
        kept = bits >= as_tensor(self.rate.threshold, tf.uint32)
        share = as_tensor(self.rate.kept, inputs.dtype)
        return tf.where(kept, inputs / share, tf.zeros_like(inputs))
