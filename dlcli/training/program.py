"""The program that a dispatch runs: steps, and the ends of epochs, without Python between.

A dispatch is given the row orders of some epochs, where training is, and how many steps to take::

    while steps are left, and epochs, and the loss is a number:     _run
        take the steps of this epoch that are left, one by one      _steps, _step
        if that was its last: measure, validate, watch, record      _end

It may begin and end in the middle of an epoch: `State` carries on, with the epoch's losses so far
in `total`. Once a loss is no number, so is `total`, and all loops end. An epoch's last, smaller
batch is filled up with rows of weight 0 (see `Program.pads`), or has a step of its own shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dlcli.network import NormalizationLayer
from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.watches import Watch, Watches

ROWS_VALIDATED_AT_ONCE = 4096


class State(NamedTuple):
    """Where training is, besides its variables; scalars."""

    epoch: tf.Tensor
    """The epoch, from 0, int32."""
    step: tf.Tensor
    """The next step within it, from 0, int32."""
    total: tf.Tensor
    """This epoch's losses so far, times their rows."""
    watch: Watch
    """What early stopping and the plateau remember."""


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


class Program:
    """One compiled program over a job's rows, which lie on the device.

    Args:
        job: what to train on what.
        learner: the model and what moves it.
        epochs_at_once: epochs that a dispatch is given orders for.
        jit_compile: whether XLA compiles it.
    """

    def __init__(self, job: Job, learner: Learner, epochs_at_once: int, jit_compile: bool) -> None:
        self.job = job
        self.learner = learner
        self.epochs_at_once = epochs_at_once
        self.watches = Watches(job, learner)
        self.train = _on_device(job.train.inputs.matrix, job.labels, job.loss_weights)
        self.validation: Block | None = None
        if job.validation is not None:
            held_out = job.validation
            self.validation = _on_device(
                held_out.inputs.matrix, job.validation_labels, held_out.weights
            )
        self._build_metrics()
        self.run = tf.function(self._run, jit_compile=jit_compile, autograph=False)

    @property
    def rows(self) -> int:
        """Training rows."""
        return len(self.job.train.inputs)

    @property
    def weighs_metrics(self) -> bool:
        """Whether rows have weights in metrics, too; those of classes alone count in the loss."""
        return self.job.train.weights is not None

    @property
    def last_rows(self) -> int:
        """Rows of an epoch's last batch."""
        return self.rows - (self.job.steps - 1) * self.job.batch_size

    @property
    def pads(self) -> bool:
        """Whether the last, smaller batch is filled up with rows of weight 0.

        So one program fits all batches. Batch normalization would see the rows that fill up, and
        gets a program of its own for the last batch.
        """
        is_normalized = any(
            isinstance(layer, NormalizationLayer) for layer in self.job.network.layers
        )
        return self.last_rows < self.job.batch_size and not is_normalized

    def start(self) -> State:
        """The state before the first step."""
        zero = tf.constant(0)
        return State(zero, zero, tf.constant(0.0, keras.config.floatx()), self.watches.start())

    def finish(self, state: State) -> None:
        """Gives the model the weights that training ends with, as `fit` does."""
        self.learner.optimizer.finalize_variable_values(self.learner.model.trainable_variables)
        self.watches.restore(state.watch)

    def _run(
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
        end = tf.minimum(first + self.epochs_at_once, self.job.config.epochs)
        width = len(self.job.columns) + 1
        history = tf.zeros((self.epochs_at_once, width), keras.config.floatx())

        def goes_on(state: State, history: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
            finite = tf.math.is_finite(state.total)
            return (left > 0) & (state.epoch < end) & ~state.watch.stopped & finite

        def part(state: State, history: tf.Tensor, left: tf.Tensor) -> tuple[Any, ...]:
            upto = tf.minimum(state.step + left, self.job.steps)
            left -= upto - state.step
            order = tf.gather(orders, state.epoch - first)
            total = self._steps(order, state, upto)
            state = state._replace(step=upto, total=total)
            ended = (upto == self.job.steps) & tf.math.is_finite(total)
            state, history = tf.cond(
                ended, lambda: self._end(state, history, first), lambda: (state, history)
            )
            return state, history, left

        state, history, _ = tf.while_loop(goes_on, part, (state, history, count))
        return state, history

    def _steps(self, order: tf.Tensor, state: State, upto: tf.Tensor) -> tf.Tensor:
        """Runs the steps of one epoch from the state's up to another; the sum of their losses."""
        apart = self.last_rows < self.job.batch_size and not self.pads
        full = tf.minimum(upto, self.job.steps - 1) if apart else upto

        def goes_on(step: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
            return (step < full) & tf.math.is_finite(total)

        def one(step: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss = self._step(order, state.epoch, step, self.job.batch_size)
            return step + 1, total + loss

        _, total = tf.while_loop(goes_on, one, (state.step, state.total))
        if not apart:
            return total
        last = self.job.steps - 1
        return tf.cond(
            (upto > last) & tf.math.is_finite(total),
            lambda: total + self._step(order, state.epoch, tf.constant(last), self.last_rows),
            lambda: total,
        )

    def _step(self, order: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor, rows: int) -> tf.Tensor:
        """Moves the weights once; the batch's loss times its rows."""
        learner, start = self.learner, step * self.job.batch_size
        learner.moment.assign(tf.cast(tf.stack([epoch, step]), tf.uint32))
        index = tf.slice(order, [start], [rows])
        batch = self.train.map(lambda part: tf.gather(part, index))
        count = tf.minimum(self.rows - start, rows)
        real = tf.cast(tf.range(rows) < count, batch.matrix.dtype) if self.pads else None
        batch = batch._replace(weights=_product(batch.weights, real))
        share = tf.cast(count, keras.config.floatx())
        with tf.GradientTape() as tape:
            outputs = learner.model(batch.matrix, training=True)
            loss = learner.loss(batch.labels, outputs, sample_weight=batch.weights)
            if self.pads:
                loss *= rows / share
            loss += self._price()
            scaled = learner.optimizer.scale_loss(loss)
        variables = learner.model.trainable_variables
        learner.optimizer.apply(tape.gradient(scaled, variables), variables)
        self._measure(batch.labels, outputs, batch.weights if self.weighs_metrics else real)
        return loss * share

    def _end(self, state: State, history: tf.Tensor, first: tf.Tensor) -> tuple[State, tf.Tensor]:
        """Ends an epoch: measures, validates, watches, and writes a row of history."""
        values = {"loss": state.total / self.rows, **self._results()}
        if self.validation is not None:
            loss = self._validate(self.validation)
            held_out = {"loss": loss, **self._results()}
            values |= {f"val_{name}": value for name, value in held_out.items()}
        row = [values[name] for name in self.job.columns] + [self.learner.rate()]
        row = tf.stack([tf.cast(value, history.dtype) for value in row])
        place = [[state.epoch - first]]
        history = tf.tensor_scatter_nd_update(history, place, [row])
        watch = self.watches.update(state.watch, values, state.epoch)
        return State(
            state.epoch + 1, tf.zeros_like(state.step), tf.zeros_like(state.total), watch
        ), history

    def _validate(self, block: Block) -> tf.Tensor:
        """The loss over all held-out rows; the metrics take them in, too."""
        rows = block.matrix.shape[0]
        full, rest = divmod(rows, ROWS_VALIDATED_AT_ONCE)

        def judge(part: Block) -> tf.Tensor:
            outputs = self.learner.model(part.matrix, training=False)
            loss = self.learner.loss(part.labels, outputs, sample_weight=part.weights)
            self._measure(part.labels, outputs, part.weights if self.weighs_metrics else None)
            return loss * part.matrix.shape[0]

        def one(place: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start = place * ROWS_VALIDATED_AT_ONCE
            part = block.map(lambda whole: _rows(whole, start, ROWS_VALIDATED_AT_ONCE))
            return place + 1, total + judge(part)

        total = tf.constant(0.0, keras.config.floatx())
        if full:
            _, total = tf.while_loop(lambda place, _: place < full, one, (tf.constant(0), total))
        if rest:
            total += judge(block.map(lambda whole: whole[rows - rest :]))
        return total / rows + self._price()

    def _price(self) -> tf.Tensor:
        """What the regularizers ask for the weights."""
        return tf.add_n([*self.learner.model.losses, tf.constant(0.0, keras.config.floatx())])

    def _measure(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor | None) -> None:
        for metric in self.learner.metrics:
            metric.update_state(labels, outputs, sample_weight=weights)

    def _results(self) -> dict[str, tf.Tensor]:
        """The metrics since the last call."""
        results = {metric.name: metric.result() for metric in self.learner.metrics}
        for metric in self.learner.metrics:
            metric.reset_state()
        return results

    def _build_metrics(self) -> None:
        """Makes the variables of metrics that wait for their first rows."""
        if not self.learner.metrics:
            return
        first = self.train.map(lambda whole: whole[:1])
        outputs = self.learner.model(first.matrix, training=False)
        self._measure(first.labels, outputs, None)
        self._results()


def _product(weights: tf.Tensor | None, real: tf.Tensor | None) -> tf.Tensor | None:
    """The weights of rows, 0 for those that only fill up."""
    if weights is None or real is None:
        return real if weights is None else weights
    return weights * real


def _rows(whole: tf.Tensor, start: tf.Tensor, count: int) -> tf.Tensor:
    begin = [start] + [0] * (len(whole.shape) - 1)
    return tf.slice(whole, begin, [count, *whole.shape[1:]])


def _on_device(matrix: Any, labels: Any, weights: Any) -> Block:  # noqa: ANN401
    """Rows as constants on the device, numbers in Keras's float type."""
    floats = keras.config.floatx()
    labels = tf.constant(labels)
    return Block(
        tf.constant(matrix, dtype=floats),
        tf.cast(labels, floats) if labels.dtype.is_floating else labels,
        None if weights is None else tf.constant(weights, dtype=floats),
    )
