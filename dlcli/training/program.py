"""The parts of the program that a dispatch runs: steps, and what ends an epoch.

`held.py` makes one program of them over rows that lie on the device, `fed.py` several over rows
that come there in turn. A dispatch may begin and end in the middle of an epoch: `State` carries
on, with the epoch's losses so far in `total`. Once a loss is no number, so is `total`, and all
loops end. An epoch's last, smaller batch is filled up with rows of weight 0 (see `Program.pads`),
or has a step of its own shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.compiler.tf2xla.python.xla import optimization_barrier

from dlcli.network import NormalizationLayer
from dlcli.training.blocks import Block, on_device, slice_rows
from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.snapshots import Arrays, assign_values, values_of
from dlcli.training.watches import Watch, Watches

ROWS_VALIDATED_AT_ONCE = 4096


Values = dict[str, tf.Tensor]
"""What an epoch is measured by, by name."""


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


_NAMES = (
    *("epoch", "step", "total", "stopping/value", "stopping/wait", "best_epoch"),
    *("plateau/value", "plateau/wait", "cooldown", "stopped"),
)
"""What the numbers of a state are called in a snapshot."""


Fetch = Callable[[tf.Tensor, int], Block]
"""Gives the batch of a step, with so many rows."""


class Program:
    """What every program is made of.

    Args:
        job: what to train on what.
        learner: the model and what moves it.
        jit_compile: whether XLA compiles it, or TensorFlow runs it as a graph.
    """

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        self.job = job
        self.learner = learner
        self.jit_compile = jit_compile
        self.watches = Watches(job, learner)
        self._build_metrics()

    @property
    def is_filled(self) -> bool:
        """Whether blocks are filled up, so that jobs with a few rows more or less can share them.

        Batch normalization would see the rows that fill up a batch.
        """
        return self.learner.numbers.shared and not is_normalized(self.job)

    @property
    def rows(self) -> int | tf.Tensor:
        """Training rows, int32 where the program is told only when it runs."""
        numbers = self.learner.numbers
        return numbers["rows"] if self.is_filled else len(self.job.train.inputs)

    @property
    def weighs_metrics(self) -> bool:
        """Whether rows have weights in metrics, too; those of classes alone count in the loss."""
        return self.job.train.weights is not None

    @property
    def last_rows(self) -> int:
        """Rows of an epoch's last batch, in the job at hand."""
        return len(self.job.train.inputs) - (self.job.steps - 1) * self.job.batch_size

    @property
    def pads(self) -> bool:
        """Whether the last, smaller batch is filled up with rows of weight 0.

        So one program fits all batches. Batch normalization would see the rows that fill up, and
        gets a program of its own for the last batch.
        """
        is_smaller = self.last_rows < self.job.batch_size and not is_normalized(self.job)
        return self.is_filled or is_smaller

    def start(self) -> State:
        """The state before the first step."""
        zero = tf.constant(0)
        return State(zero, zero, tf.constant(0.0, keras.config.floatx()), self.watches.start())

    def arrays(self, state: State) -> dict[str, NDArray[Any]]:
        """All that training goes on from, by name."""
        return {**values_of(self._variables), **values_of(_by_name(state))}

    def restore(self, arrays: Arrays) -> State:
        """Goes back to where training was when these arrays were taken."""
        assign_values(self._variables, arrays)
        start = self.start()
        numbers = [
            tf.constant(arrays[name], number.dtype) for name, number in _by_name(start).items()
        ]
        state: State = tf.nest.pack_sequence_as(start, numbers)
        return state

    @property
    def _variables(self) -> dict[str, Any]:
        metrics = [variable for metric in self.learner.metrics for variable in metric.variables]
        return {
            **self.learner.variables,
            **{f"metrics/{place}": variable for place, variable in enumerate(metrics)},
            **{f"best/{place}": weight for place, weight in enumerate(self.watches.kept)},
        }

    def finish(self, state: State) -> None:
        """Gives the model the weights that training ends with, as `fit` does."""
        self.learner.optimizer.finalize_variable_values(self.learner.model.trainable_variables)
        self.watches.restore(state.watch)

    def steps(self, fetch: Fetch, state: State, upto: tf.Tensor) -> tf.Tensor:
        """Runs the steps of one epoch from the state's up to another; the sum of their losses."""
        apart = self.last_rows < self.job.batch_size and not self.pads
        full = tf.minimum(upto, self.job.steps - 1) if apart else upto

        def goes_on(step: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
            return (step < full) & tf.math.is_finite(total)

        def one(step: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss = self._step(fetch, state.epoch, step, self.job.batch_size)
            return step + 1, total + loss

        _, total = tf.while_loop(goes_on, one, (state.step, state.total))
        if not apart:
            return total
        last = self.job.steps - 1
        return tf.cond(
            (upto > last) & tf.math.is_finite(total),
            lambda: total + self._step(fetch, state.epoch, tf.constant(last), self.last_rows),
            lambda: total,
        )

    def _step(self, fetch: Fetch, epoch: tf.Tensor, step: tf.Tensor, rows: int) -> tf.Tensor:
        """Moves the weights once; the batch's loss times its rows."""
        learner = self.learner
        learner.moment.assign(tf.cast(tf.stack([epoch, step]), tf.uint32))
        batch = fetch(step, rows)
        count = tf.minimum(self.rows - step * self.job.batch_size, rows)
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

    def train_values(self, state: State) -> Values:
        """What an epoch that has had its steps is measured by; the metrics begin again."""
        rows = tf.cast(self.rows, keras.config.floatx())
        return {"loss": state.total / rows, **self._results()}

    def held_out_values(self, loss: tf.Tensor) -> Values:
        """What the held-out rows are measured by, given the mean of their losses."""
        values = {"loss": loss + self._price(), **self._results()}
        return {f"val_{name}": value for name, value in values.items()}

    def close(self, state: State, values: Values) -> tuple[State, tf.Tensor]:
        """Ends an epoch: watches what it was measured by, and makes a row of history of it."""
        row = [values[name] for name in self.job.columns] + [self.learner.rate()]
        history = tf.stack([tf.cast(value, keras.config.floatx()) for value in row])
        watch = self.watches.update(state.watch, values, state.epoch)
        nothing = tf.zeros_like(state.step), tf.zeros_like(state.total)
        return State(state.epoch + 1, *nothing, watch), history

    def judge(self, block: Block, total: tf.Tensor) -> tf.Tensor:
        """Adds the shares of some held-out rows to the mean loss of all; metrics take them in, too.

        Shares, since a graph may fold a sum's rows times and its division, and round otherwise than
        where these are apart.
        """
        block = self._without_filling(block)
        rows = block.matrix.shape[0]
        full, rest = divmod(rows, ROWS_VALIDATED_AT_ONCE)

        def one(place: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start = place * ROWS_VALIDATED_AT_ONCE
            part = block.map(lambda whole: slice_rows(whole, start, ROWS_VALIDATED_AT_ONCE))
            return place + 1, total + self._judge(part)

        if full:
            _, total = tf.while_loop(lambda place, _: place < full, one, (tf.constant(0), total))
        if rest:
            total += self._judge(block.map(lambda whole: whole[rows - rest :]))
        return total

    def _without_filling(self, block: Block) -> Block:
        """Held-out rows, those that only fill the block up with a weight of 0."""
        if not self.is_filled:
            return block
        is_real = tf.range(block.matrix.shape[0]) < self.learner.numbers["validation_rows"]
        real = tf.cast(is_real, block.matrix.dtype)
        return block._replace(weights=_product(block.weights, real))

    def _judge(self, part: Block) -> tf.Tensor:
        part = Block(*self._apart(part))
        outputs = self.learner.model(part.matrix, training=False)
        loss = self.learner.loss(part.labels, outputs, sample_weight=part.weights)
        weighs = self.weighs_metrics or self.is_filled
        self._measure(part.labels, outputs, part.weights if weighs else None)
        variables = [variable for metric in self.learner.metrics for variable in metric.variables]
        loss, *values = self._apart([loss, *(variable.value for variable in variables)])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return loss * self._share(part.matrix.shape[0])

    def _share(self, rows: int) -> Any:  # noqa: ANN401
        """So many of the held-out rows, as a share of all."""
        if self.is_filled:
            return rows / tf.cast(self.learner.numbers["validation_rows"], keras.config.floatx())
        assert self.job.validation is not None
        return rows / len(self.job.validation.inputs)

    def _apart(self, tensors: Sequence[tf.Tensor | None]) -> list[tf.Tensor | None]:
        """The same, which XLA doesn't fuse with what comes before or behind.

        So what is computed between two of these rounds in the same way in every program.
        """
        if not self.jit_compile:
            return list(tensors)
        there = [tensor for tensor in tensors if tensor is not None]
        passed = iter(optimization_barrier(*there))
        return [None if tensor is None else next(passed) for tensor in tensors]

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
        job, one = self.job, slice(0, 1)
        first = on_device(job.train.inputs.part(0, 1), job.labels[one], None)
        outputs = self.learner.model(first.matrix, training=False)
        self._measure(first.labels, outputs, None)
        self._results()


def is_normalized(job: Job) -> bool:
    """Whether a job's network has batch normalization."""
    return any(isinstance(layer, NormalizationLayer) for layer in job.network.layers)


def _by_name(state: State) -> dict[str, tf.Tensor]:
    return dict(zip(_NAMES, tf.nest.flatten(state), strict=True))


def _product(weights: tf.Tensor | None, real: tf.Tensor | None) -> tf.Tensor | None:
    """The weights of rows, 0 for those that only fill up."""
    if weights is None or real is None:
        return real if weights is None else weights
    return weights * real
