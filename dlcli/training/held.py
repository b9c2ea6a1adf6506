"""One program over rows that lie on the device: any number of steps, across epochs or within one.

A dispatch is given the row orders of some epochs, where training is, and how many steps to take::

    while steps are left, and epochs, and the loss is a number:     _run
        take the steps of this epoch that are left, one by one      Program.steps
        if that was its last: measure, validate, watch, record      _end
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.encoding import EncodedRows
from dlcli.training.blocks import Block, filled, on_device
from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.program import Program, State

ORDER_ENTRIES = 2**18
"""Row numbers that a dispatch is given at most, unless one epoch has more."""
MOST_EPOCHS = 1024
"""Epochs that a dispatch may end."""
VALIDATION_ROWS = 64
"""Of held-out rows, a block is filled up to a multiple of so many."""


class HeldProgram(Program):
    """One compiled program over a job's rows, which lie on the device.

    Args:
        job: what to train on what.
        learner: the model and what moves it.
        jit_compile: whether XLA compiles it.
    """

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self.train: Block | None = None
        self.validation: Block | None = None
        self.epochs_at_once = max(1, min(MOST_EPOCHS, ORDER_ENTRIES // len(job.train.inputs)))
        if learner.numbers.shared:
            orders = self.job.steps * self.job.batch_size
            self.epochs_at_once = max(1, min(MOST_EPOCHS, ORDER_ENTRIES // orders))
        self._compiled = tf.function(self._run, jit_compile=jit_compile, autograph=False)

    def take(self, job: Job, placed: dict[Any, Any]) -> None:
        """Takes the rows of a job of this program.

        Args:
            job: what to train on what.
            placed: inputs that lie on the device already, and these.
        """
        self.job = job
        rows = self.job.steps * self.job.batch_size
        self.train = self._block(job.train, job.labels, job.loss_weights, rows, placed)
        self.validation = None
        if job.validation is not None:
            rows = -(-len(job.validation.inputs) // VALIDATION_ROWS) * VALIDATION_ROWS
            labels, weights = job.validation_labels, job.validation.weights
            self.validation = self._block(job.validation, labels, weights, rows, placed)

    def release(self) -> None:
        """Lets go of the rows, until it takes others."""
        self.train = self.validation = None

    def _block(
        self,
        rows: EncodedRows,
        labels: NDArray[Any] | None,
        weights: NDArray[Any] | None,
        size: int,
        placed: dict[Any, Any],
    ) -> Block:
        """Rows on the device, filled up to a size if need be, where they may lie already."""
        matrix = rows.inputs.matrix
        assert matrix is not None and labels is not None
        missing = size - len(matrix) if self.is_filled else 0
        key = id(matrix), missing
        if key not in placed:  # with the matrix, so that no other takes its place
            held = tf.constant(filled(matrix, missing), dtype=keras.config.floatx())
            placed[key] = matrix, held
        weights = None if weights is None else filled(weights, missing)
        return on_device(placed[key][1], filled(labels, missing), weights)

    def run(
        self, orders: tf.Tensor, first: tf.Tensor, state: State, count: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        """Runs steps.

        Args:
            orders: the order of the rows in each of some epochs, int32 (epochs, steps · batch
                size); what the last batch has too many of is not read, or of weight 0.
            first: the epoch of the first order, int32.
            state: where training is.
            count: most steps to run, int32.

        Returns:
            Where training is then, and a row of history for each epoch ended, at the place of its
            order, (epochs, columns).
        """
        # As arguments, since TensorFlow never lets go of a graph with `silu` in it, whose gradient
        # it registers, nor of what the graph has captured.
        blocks = self.train, self.validation
        done: tuple[State, tf.Tensor] = self._compiled(orders, first, state, count, blocks)
        return done

    def _run(
        self,
        orders: tf.Tensor,
        first: tf.Tensor,
        state: State,
        count: tf.Tensor,
        blocks: tuple[Block, Block | None],
    ) -> tuple[State, tf.Tensor]:
        train, validation = blocks
        numbers = self.learner.numbers
        epochs = numbers["epochs"] if numbers.shared else self.job.epochs
        end = tf.minimum(first + self.epochs_at_once, epochs)
        width = len(self.job.columns) + 1
        history = tf.zeros((self.epochs_at_once, width), keras.config.floatx())

        def goes_on(state: State, history: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
            finite = tf.math.is_finite(state.total)
            return (left > 0) & (state.epoch < end) & ~state.watch.stopped & finite

        def part(state: State, history: tf.Tensor, left: tf.Tensor) -> tuple[Any, ...]:
            upto = tf.minimum(state.step + left, self.job.steps)
            left -= upto - state.step
            order = tf.gather(orders, state.epoch - first)
            total = self.steps(
                lambda step, rows: self._batch(train, order, step, rows), state, upto
            )
            state = state._replace(step=upto, total=total)
            ended = (upto == self.job.steps) & tf.math.is_finite(total)
            state, history = tf.cond(
                ended,
                lambda: self._end(validation, state, history, first),
                lambda: (state, history),
            )
            return state, history, left

        state, history, _ = tf.while_loop(goes_on, part, (state, history, count))
        return state, history

    def _batch(self, train: Block, order: tf.Tensor, step: tf.Tensor, rows: int) -> Block:
        index = tf.slice(order, [step * self.job.batch_size], [rows])
        return train.map(lambda whole: tf.gather(whole, index))

    def _end(
        self, validation: Block | None, state: State, history: tf.Tensor, first: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        """Ends an epoch, and writes its row of history."""
        values = self.train_values(state)
        if validation is not None:
            loss = self.judge(validation, tf.zeros_like(state.total))
            values |= self.held_out_values(loss)
        place = [[state.epoch - first]]
        state, row = self.close(state, values)
        return state, tf.tensor_scatter_nd_update(history, place, [row])
