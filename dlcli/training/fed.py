"""Programs over rows that come to the device in turn, as they don't lie in memory as one matrix.

The rows of some steps come as a chunk, in the order in which they are taken; while it is trained
on, the next one is made. The steps are those of `held.py`, on the same numbers in batches of the
same shape, so they give the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.training.blocks import Block, on_device
from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.order import order_parts
from dlcli.training.program import ROWS_VALIDATED_AT_ONCE, Program, State, Values

CHUNK_BYTES = 2**26
"""Size of a chunk, and of what is validated at once."""


@dataclass(frozen=True)
class Chunk:
    """The rows of some steps of an epoch."""

    first: int
    """The first step."""
    stop: int
    """The step behind the last."""
    block: Block
    """The rows in the order in which they are taken; as many in each chunk."""


def train_chunks(job: Job, epoch: int = 0, step: int = 0) -> Iterator[Chunk]:
    """Yields the chunks of all epochs, from a step of one of them on.

    The last chunk of the first epoch comes in any case, as that epoch is still to end.
    """
    size = _rows_of(CHUNK_BYTES, job.train.inputs.width, job.batch_size, job.steps)
    rows = len(job.train.inputs)
    for number in range(epoch, job.epochs):
        order = order_parts(rows, job.train.inputs.width, job.config.seed, number)
        done = step if number == epoch else 0
        for place, index in enumerate(_pieces(order, size)):
            first = place * size // job.batch_size
            stop = first + -(-len(index) // job.batch_size)
            if done < stop or stop == job.steps:
                yield Chunk(first, stop, _padded(job, index, size))


def validation_blocks(job: Job) -> Iterator[Block]:
    """Yields the held-out rows in order, some at a time."""
    assert job.validation is not None and job.validation_labels is not None
    inputs, weights = job.validation.inputs, job.validation.weights
    total = -(-len(inputs) // ROWS_VALIDATED_AT_ONCE)
    size = _rows_of(CHUNK_BYTES, inputs.width, ROWS_VALIDATED_AT_ONCE, total)
    for start in range(0, len(inputs), size):
        rows = slice(start, start + size)
        yield on_device(
            inputs.part(start, start + size),
            job.validation_labels[rows],
            None if weights is None else weights[rows],
        )


class FedProgram(Program):
    """Compiled programs over chunks of a job's rows.

    Args:
        job: what to train on what.
        learner: the model and what moves it.
        jit_compile: whether XLA compiles them.
    """

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)

        def compiled(function: Any) -> Any:  # noqa: ANN401
            return tf.function(function, jit_compile=jit_compile, autograph=False)

        self.run = compiled(self._run)
        self._train_values = compiled(self.train_values)
        self._judge_block = compiled(self.judge)
        self._close = compiled(self._closed)

    def end(self, state: State) -> tuple[State, NDArray[Any]]:
        """Ends an epoch; its row of history, (1, columns)."""
        values = self._train_values(state)
        loss = tf.constant(0.0, keras.config.floatx())
        for block in validation_blocks(self.job) if self.job.validation is not None else ():
            loss = self._judge_block(block, loss)
        state, row = self._close(state, values, loss)
        return state, row.numpy()[np.newaxis]

    def _run(self, block: Block, first: tf.Tensor, state: State, upto: tf.Tensor) -> State:
        """Runs steps of one epoch.

        Args:
            block: the rows of some steps.
            first: the first of these steps, int32.
            state: where training is.
            upto: the step to end before, int32.
        """

        def batch(step: tf.Tensor, rows: int) -> Block:
            # No slice: XLA would take its start for a constant, and compile anew for each chunk.
            index = (step - first) * self.job.batch_size + tf.range(rows)
            return block.map(lambda whole: tf.gather(whole, index))

        return state._replace(total=self.steps(batch, state, upto), step=upto)

    def _closed(self, state: State, values: Values, loss: tf.Tensor) -> tuple[State, tf.Tensor]:
        if self.job.validation is not None:
            values = values | self.held_out_values(loss)
        return self.close(state, values)


def _rows_of(size: int, width: int, multiple: int, most: int) -> int:
    """How many rows make up so many bytes: a multiple, and at most so many times that."""
    times = size // (4 * max(width, 1) * multiple)
    return max(1, min(times, most)) * multiple


def _pieces(parts: Iterator[NDArray[np.int64]], size: int) -> Iterator[NDArray[np.int64]]:
    """The same indices in pieces of one size; the last may be smaller."""
    held = np.empty(0, dtype=np.int64)
    for part in parts:
        held = np.concatenate([held, part])
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if len(held):
        yield held


def _padded(job: Job, index: NDArray[np.int64], size: int) -> Block:
    """Rows on the device, with zeros behind them, which nothing reads or weights of 0 meet."""
    weights = job.loss_weights
    return on_device(
        _filled(job.train.inputs.take(index), size),
        _filled(job.labels[index], size),
        None if weights is None else _filled(weights[index], size),
    )


def _filled(values: NDArray[Any], size: int) -> NDArray[Any]:
    if len(values) == size:
        return values
    filled = np.zeros((size, *values.shape[1:]), dtype=values.dtype)
    filled[: len(values)] = values
    return filled
