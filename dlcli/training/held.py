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

from dlcli.encoding import Rows
from dlcli.training.blocks import Block, on_device
from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.program import Program, State


class HeldProgram(Program):
    """One compiled program over a job's rows, which lie on the device.

    Args:
        job: what to train on what.
        learner: the model and what moves it.
        epochs_at_once: epochs that a dispatch is given orders for.
        jit_compile: whether XLA compiles it.
    """

    def __init__(self, job: Job, learner: Learner, epochs_at_once: int, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self.epochs_at_once = epochs_at_once
        self.train = on_device(self._placed(job.train), job.labels, job.loss_weights)
        self.validation: Block | None = None
        if job.validation is not None:
            held_out = self._placed(job.validation)
            self.validation = on_device(held_out, job.validation_labels, job.validation.weights)
        self._compiled = tf.function(self._run, jit_compile=jit_compile, autograph=False)

    def _placed(self, rows: Rows) -> tf.Tensor:
        """The inputs of rows on the device, where they may lie already."""
        placed, matrix = self.job.placed, rows.inputs.matrix
        if id(matrix) not in placed:  # which the job keeps, so that no other takes its place
            placed[id(matrix)] = tf.constant(matrix, dtype=keras.config.floatx())
        return placed[id(matrix)]

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
        end = tf.minimum(first + self.epochs_at_once, self.job.epochs)
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
