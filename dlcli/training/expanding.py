"""Expansion of compact rows to the inputs of a network within a program.

The inputs are bit-identical to the results of `dlcli.columns.layout.Expansion.expand`.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dlcli.columns.layout import Expansion, Run
from dlcli.training.randomness import size_of

MOST_TABULATED = 512
"""Maximum number of bins whose inputs are read from a table: 1 MiB."""


def expand(expansion: Expansion, compact: tf.Tensor, *, by_input: bool) -> tf.Tensor:
    """Return the inputs of compact rows, (rows, inputs).

    Args:
        expansion: the runs of blocks.
        compact: the compact rows, (rows, stored numbers).
        by_input: whether to compute each input, which is faster with XLA and on GPUs, instead of
            copying parts of rows.
    """
    widths = [run.compact_width for run in expansion.runs]
    parts = tf.split(compact, widths, axis=1) if widths[1:] else [compact]
    pairs = zip(expansion.runs, parts, strict=True)
    inputs = [_expand_run(run, part, by_input=by_input) for run, part in pairs]
    return tf.concat(inputs, axis=1) if inputs[1:] else inputs[0]


def _expand_run(run: Run, compact: tf.Tensor, *, by_input: bool) -> tf.Tensor:
    if run.form is None:
        return compact
    rows, size = size_of(compact, 0), run.inputs
    numbers = tf.reshape(compact, (rows, run.blocks, run.compact_width // run.blocks))
    index, every = numbers[:, :, :1], tf.range(size, dtype=compact.dtype)
    if run.form == "one_hot":
        inputs = tf.cast(every == index, compact.dtype)
    elif by_input or size > MOST_TABULATED:
        inputs = tf.where(every < index, tf.ones_like(index), tf.zeros_like(index))
        inputs = tf.where(every == index, numbers[:, :, 1:], inputs)
    else:
        # Copies of a few long parts take less time than operations on each input.
        steps = tf.constant(np.tri(size, k=-1), compact.dtype)
        flat_index = tf.reshape(tf.cast(index, tf.int32), [-1])
        flat = tf.reshape(tf.gather(steps, flat_index), [-1])
        at = tf.range(rows * run.blocks) * size + flat_index
        values = tf.reshape(numbers[:, :, 1], [-1])
        inputs = tf.tensor_scatter_nd_update(flat, at[:, tf.newaxis], values)
    return tf.reshape(inputs, (rows, run.width))
