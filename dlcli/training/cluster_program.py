"""Training programs of a cluster, in which each worker has a share of the rows.

Batches are those of one machine: the same rows in the same steps. A worker computes the loss and
the gradient of its rows of a batch, however many these are, and one sum over all workers gives
those of the whole batch, together with what the metrics add up. So the state after each step is the
same for all workers, and any of them could store a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.encoding.encoded_rows import Inputs, ShardedInputs
from dlcli.training.collectives import Collectives
from dlcli.training.compiled_program import Block, ChunkedProgram, Values, chunk_orders
from dlcli.training.epoch_monitor import State
from dlcli.training.objectives import build_learner
from dlcli.training_job import Job


class ShareOfChunk(NamedTuple):
    """This worker's rows of some steps of an epoch."""

    first: int
    """The first step."""
    stop: int
    """The step after the last."""
    block: Block
    """The rows in the order in which they are used."""
    positions: tf.Tensor
    """The index of each row in its batch, int64 (rows,)."""
    starts: tf.Tensor
    """The index of the first row of each step, and the number of rows, int32 (steps + 1,)."""


class ClusterProgram(ChunkedProgram):
    """Programs of the steps and of the end of an epoch.

    They run as TensorFlow graphs: the number of a worker's rows differs from batch to batch, and
    XLA would compile each anew.

    Args:
        job: the job; its inputs are `ShardedInputs`.
    """

    def __init__(self, job: Job) -> None:
        inputs = job.train.inputs
        assert isinstance(inputs, ShardedInputs)
        assert isinstance(inputs.shares.workers, Collectives)
        self.collectives = inputs.shares.workers

        learner = build_learner(job, sum_over_workers=self._sum_over_workers)
        super().__init__(job, learner, jit_compile=False)

        self._steps: Any = None
        """The program of the steps, once the types of its arguments are known."""
        self._agree = self.compiled(self.collectives.sum, [tf.TensorSpec([], tf.int32)])

    def agree(self, number: int) -> int:
        """Return worker 0's number."""
        return int(self._agree(tf.constant(0 if self.collectives.rank else number)))

    def chunks(self, epoch: int, step: int) -> Iterator[ShareOfChunk]:
        """Yield this worker's rows of the chunks of all epochs; see `ChunkedProgram`."""
        job = self.job
        inputs, weights, size = job.train.inputs, job.loss_weights, job.batch_size
        assert isinstance(inputs, ShardedInputs)
        is_own = inputs.shares.owners == inputs.shares.workers.rank
        for first, stop, index in chunk_orders(job, epoch, step):
            at = np.flatnonzero(is_own[index])
            rows = index[at]
            block = Block.of(
                inputs.stored.take(inputs.shares.indices[rows]),
                job.labels[rows],
                None if weights is None else weights[rows],
            )
            starts = np.searchsorted(at, np.arange(stop - first + 1) * size).astype(np.int32)
            yield ShareOfChunk(
                first, stop, block, tf.constant(at % size, tf.int64), tf.constant(starts)
            )

    def advance(self, chunk: ShareOfChunk, state: State, upto: int) -> State:
        """Run the steps of a chunk from the state's to before another."""
        weights = () if chunk.block.weights is None else (chunk.block.weights,)
        arguments = (
            *(chunk.block.matrix, chunk.block.labels, *weights, chunk.positions, chunk.starts),
            *(tf.constant(chunk.first), tf.constant(upto), *state),
        )
        if self._steps is None:
            # With one signature it is traced once, as by the other workers: each trace of a
            # collective operation gets the next number, by which workers find each other.
            signature = [
                tf.TensorSpec([None, *each.shape[1:]] if each.shape.rank else [], each.dtype)
                for each in arguments
            ]
            self._steps = self.compiled(self._run, signature)
        result: State = self._steps(*arguments)
        return result

    def validation_inputs(self) -> tuple[Inputs, NDArray[np.int64]]:
        """Return the inputs of this worker's validation rows; see `ChunkedProgram`."""
        validation = self.job.validation
        assert validation is not None
        if isinstance(validation.inputs, ShardedInputs):
            return validation.inputs.own, validation.inputs.shares.own
        # A sample that all workers have.
        rows = np.arange(self.collectives.rank, len(validation.inputs), self.collectives.size)
        return validation.select(rows).inputs, rows

    def _run(self, matrix: tf.Tensor, labels: tf.Tensor, *rest: tf.Tensor) -> State:
        """Run steps of one epoch.

        Args:
            matrix: the rows, see `Block`.
            labels: their labels.
            rest: the weights if rows have any; positions and starts, see `ShareOfChunk`; the first
                step, and the one to end before, int32; the state before.
        """
        *weights, positions, starts, first, upto = rest[: -len(State._fields)]
        state = State(*rest[-len(State._fields) :])
        block = Block(matrix, labels, weights[0] if weights else None)

        def share_of_step(step: tf.Tensor) -> tf.Tensor:
            start, stop = starts[step - first], starts[step - first + 1]
            batch = block.map(lambda whole: whole[start:stop])
            return self._share_of_step(batch, positions[start:stop], state.epoch, step)

        return state._replace(total=self.steps(share_of_step, state, upto), step=upto)

    def _share_of_step(
        self, batch: Block, positions: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor
    ) -> tf.Tensor:
        """Update the weights once; return the whole batch's loss times its rows."""
        learner, floats = self.learner, keras.config.floatx()
        learner.begin_step(epoch, step)
        learner.batch_share.positions = positions
        rows = len(self.job.train.inputs) - step * self.job.batch_size
        count = tf.cast(tf.minimum(rows, self.job.batch_size), floats)
        share = tf.cast(tf.shape(batch.matrix)[0], floats) / count

        def loss_of(outputs: tf.Tensor) -> tf.Tensor:
            loss = learner.loss(batch.labels, outputs, sample_weight=batch.weights)
            return loss * share + self._penalty() / self.collectives.size

        loss, outputs, gradients = self.differentiate(batch, loss_of)
        learner.batch_share.positions = None
        variables = learner.model.trainable_variables
        before = [tf.identity(variable.value) for variable in self.metric_variables]
        for variable in self.metric_variables:
            variable.assign(tf.zeros_like(variable))
        self._measure(batch.labels, outputs, batch.weights if self.weighs_metrics else None)
        added = [variable.value for variable in self.metric_variables]
        own = [
            self._summands(gradient, variable, positions)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        shares = (loss, own, added)
        sums = self.collectives.sum_all(tf.nest.flatten(shares))
        loss, parts, added = tf.nest.pack_sequence_as(shares, sums)
        for variable, value, more in zip(self.metric_variables, before, added, strict=True):
            variable.assign(value + more)
        learner.optimizer.apply([*map(_gradient, parts, variables)], variables)
        return loss * count

    def _summands(
        self, gradient: tf.Tensor | None, variable: keras.Variable, positions: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Return tensors whose sums over all workers make the gradient of the batch.

        That of an embedding has a row for each of the batch: where a category is that of several,
        Keras's optimizers square each of them, not their sum.

        Args:
            gradient: that of this worker's rows; None of a constant output.
            variable: the weights.
            positions: the index of each row in its batch.
        """
        if gradient is None:
            return ()
        if not isinstance(gradient, tf.IndexedSlices):
            return (tf.ensure_shape(gradient, variable.shape),)
        at, rows = positions[:, tf.newaxis], self.job.batch_size
        values = tf.scatter_nd(at, gradient.values, [rows, *variable.shape[1:]])
        return values, tf.scatter_nd(at, gradient.indices, [rows])

    def _sum_over_workers(self, tensor: tf.Tensor) -> tf.Tensor:
        """Sum over all workers; so does the gradient, whose parts depend on the sum everywhere."""

        def summed(own: tf.Tensor) -> Any:  # noqa: ANN401
            return self.collectives.sum(own), self.collectives.sum

        return tf.custom_gradient(summed)(tensor)

    def close_epoch(
        self, state: State, values: Values, validation_loss: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        """End an epoch, of which each worker has validated its rows; see `Program`."""
        if self.job.validation is not None:
            own = [variable.value for variable in self.metric_variables]
            validation_loss, *sums = self.collectives.sum_all([validation_loss, *own])
            for variable, value in zip(self.metric_variables, sums, strict=True):
                variable.assign(value)
        return super().close_epoch(state, values, validation_loss)


def _gradient(
    parts: tuple[tf.Tensor, ...], variable: keras.Variable
) -> tf.Tensor | tf.IndexedSlices | None:
    """Return the gradient of a batch, see `ClusterProgram._summands`."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return tf.IndexedSlices(*parts, dense_shape=tf.constant([*variable.shape]))
