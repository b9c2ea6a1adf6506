"""Training programs over rows that come to the device in chunks, from disk or from each worker.

`StreamingProgram` reads chunks in the order in which their rows are used, each prepared while the
one before is trained on. Its steps take the same numbers in batches of the same shape as those of
`ResidentProgram`, so that the weights are the same.

`ClusterProgram` is for a cluster, in which each worker has a share of the rows. Batches are those
of one machine: the same rows in the same steps. A worker computes the loss and the gradient of its
rows of a batch, however many these are, and one sum over all workers gives those of the whole
batch, together with what the metrics add up. So the state after each step is the same for all
workers, and any of them could store a checkpoint.
"""

from __future__ import annotations

import functools
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.encoding.encoded_rows import Inputs, ShardedInputs, is_resident
from dlcli.training import compiled_program
from dlcli.training.collectives import Collectives, translated
from dlcli.training.epoch_monitor import State
from dlcli.training.objectives import Learner, build_learner
from dlcli.training.randomness import order_parts
from dlcli.training_job import Job


@dataclass(frozen=True)
class Chunk:
    """The rows of some steps of an epoch."""

    first: int
    """The first step."""
    stop: int
    """The step after the last."""
    block: compiled_program.DeviceRows
    """The rows in the order in which they are used; all chunks have the same size."""


class ChunkedProgram(compiled_program.Program):
    """Programs over chunks of rows, each of which has the steps from `first` to before `stop`."""

    agree: Callable[[int], int] | None = None
    """A function that returns worker 0's number, in a cluster."""

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self._train_values = self.compiled(self.train_values)
        self._evaluate_block = self.compiled(self._evaluate_in_loop)
        self._close = self.compiled(self.close_epoch)

    @abstractmethod
    def chunks(self, epoch: int, step: int) -> Iterator[Any]:
        """Yield the chunks of all epochs, beginning at a step of one of them.

        The last chunk of the first epoch always comes, as that epoch is still to be ended.
        """

    @abstractmethod
    def advance(self, chunk: Any, state: State, upto: int) -> State:  # noqa: ANN401
        """Run the steps of a chunk from the state's to before another."""

    def validation_inputs(self) -> tuple[Inputs, slice | NDArray[np.int64]]:
        """Return the inputs of the validation rows to evaluate, and which of all rows they are."""
        assert self.job.validation is not None
        return self.job.validation.inputs, slice(None)

    def _validation_blocks(self) -> Iterator[compiled_program.DeviceRows]:
        """Yield the validation rows in order, some at a time."""
        job = self.job
        if job.validation is None or job.validation_labels is None:
            return
        inputs, rows = self.validation_inputs()
        labels, weights = job.validation_labels[rows], job.validation.weights
        weights = None if weights is None else weights[rows]
        size = compiled_program.validation_chunk_rows(inputs.width)
        for start in range(0, len(inputs), size):
            some = slice(start, start + size)
            yield compiled_program.DeviceRows.of(
                inputs.part(start, start + size),
                labels[some],
                None if weights is None else weights[some],
            )

    def _evaluate_in_loop(self, block: compiled_program.DeviceRows, total: tf.Tensor) -> tf.Tensor:
        """Call `evaluate` as `ResidentProgram` does, in a loop if these are kept as functions.

        TensorFlow computes layers outside of such loops by oneDNN, which rounds otherwise.
        """
        if not self.keeps_loops:
            return self.evaluate(block, total)

        def one(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return index + 1, self.evaluate(block, total)

        return tf.while_loop(lambda index, _: index < 1, one, (tf.constant(0), total))[1]

    def remaining_dispatches(self, state: State) -> compiled_program.Dispatches:
        """Run the remaining epochs over rows that come in chunks."""
        pace = compiled_program.Pace(self.job, self.agree)
        nothing = np.empty((0, len(self.job.columns) + 1))
        for chunk in compiled_program.prefetch(self.chunks(int(state.epoch), int(state.step))):
            while int(state.step) < chunk.stop:
                started = time.perf_counter()
                upto = min(int(state.step) + pace.steps, chunk.stop)
                state = self.advance(chunk, state, upto)
                yield state, nothing  # which waits for it
                pace.adapt(time.perf_counter() - started)
            if chunk.stop == self.job.steps:
                state, written = self.end_epoch(state)
                yield state, written
                if bool(state.stopped):
                    return

    def end_epoch(self, state: State) -> tuple[State, NDArray[Any]]:
        """End an epoch; return the next state and the row of history, (1, columns)."""
        values = self._train_values(state)
        loss = tf.constant(0.0, keras.config.floatx())
        for block in self._validation_blocks():
            loss = self._evaluate_block(block, loss)
        state, row = self._close(state, values, loss)
        return state, row.numpy()[np.newaxis]


class StreamingProgram(ChunkedProgram):
    """Compiled programs over chunks of rows that don't fit in memory as one matrix.

    Args:
        job: the job.
        learner: its Keras objects.
        jit_compile: whether XLA compiles them.
    """

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self.run = self.compiled(self._run)

    def chunks(self, epoch: int, step: int) -> Iterator[Chunk]:
        """Yield the chunks of all epochs, see `ChunkedProgram`."""
        job = self.job
        weights, size = job.loss_weights, _chunk_size(job)
        for first, stop, index in chunk_orders(job, epoch, step):
            # Padding is not read, or has weight 0.
            block = compiled_program.DeviceRows.of(
                compiled_program.pad(job.train.inputs.take(index), size),
                compiled_program.pad(job.labels[index], size),
                None if weights is None else compiled_program.pad(weights[index], size),
            )
            yield Chunk(first, stop, block)

    def advance(self, chunk: Chunk, state: State, upto: int) -> State:
        """Run the steps of a chunk from the state's to before another."""
        result: State = self.run(chunk.block, tf.constant(chunk.first), state, tf.constant(upto))
        return result

    def _run(
        self, block: compiled_program.DeviceRows, first: tf.Tensor, state: State, upto: tf.Tensor
    ) -> State:
        """Run steps of one epoch.

        Args:
            block: the rows of some steps.
            first: the first of these steps, int32.
            state: the state before.
            upto: the step to end before, int32.
        """

        def batch(step: tf.Tensor) -> compiled_program.DeviceRows:
            # Not a slice: XLA would treat its start as constant and compile anew for each chunk.
            size = self.job.batch_size
            index = (step - first) * size + tf.range(size)
            return block.map(lambda whole: tf.gather(whole, index))

        total = self.steps(functools.partial(self.step, batch, state.epoch), state, upto)
        return state._replace(total=total, step=upto)


def are_resident(job: Job) -> bool:
    """Return whether all rows of a job are a matrix in memory while they are trained on."""
    return all(is_resident(rows.inputs) for rows in (job.train, job.validation) if rows)


@contextmanager
def program_of_chunks(job: Job, jit_compile: bool) -> Iterator[ChunkedProgram]:
    """Open the program of a job whose rows come in chunks; see `open_program`.

    Raises:
        WorkerError: if another worker has ended.
    """
    if not isinstance(job.train.inputs, ShardedInputs):
        learner = build_learner(job, jit_compile=jit_compile)
        yield StreamingProgram(job, learner, jit_compile)
        return
    with translated():
        yield ClusterProgram(job)


def chunk_orders(job: Job, epoch: int, step: int) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield the first step, the step after the last, and the rows of each chunk, see above."""
    size = _chunk_size(job)
    for number in range(epoch, job.epochs):
        order = order_parts(len(job.train.inputs), job.train.inputs.width, job.config.seed, number)
        done = step if number == epoch else 0
        for chunk, index in enumerate(_regroup(order, size)):
            first = chunk * size // job.batch_size
            stop = first + -(-len(index) // job.batch_size)
            if done < stop or stop == job.steps:
                yield first, stop, index


def _chunk_size(job: Job) -> int:
    size = compiled_program.rows_per_chunk(job.train.inputs.width, job.batch_size)
    return min(size, job.steps * job.batch_size)


def _regroup(parts: Iterator[NDArray[np.int64]], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield the same indices in arrays of one size; the last may be smaller."""
    held = np.empty(0, dtype=np.int64)
    for part in parts:
        held = np.concatenate([held, part])
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if len(held):
        yield held


class ShareOfChunk(NamedTuple):
    """This worker's rows of some steps of an epoch."""

    first: int
    """The first step."""
    stop: int
    """The step after the last."""
    block: compiled_program.DeviceRows
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

    @property
    def keeps_loops(self) -> bool:
        """False: workers match their sums by the rounds of lowered loops."""
        return False

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
            block = compiled_program.DeviceRows.of(
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
            matrix: the rows, see `DeviceRows`.
            labels: their labels.
            rest: the weights if rows have any; positions and starts, see `ShareOfChunk`; the first
                step, and the one to end before, int32; the state before.
        """
        *weights, positions, starts, first, upto = rest[: -len(State._fields)]
        state = State(*rest[-len(State._fields) :])
        block = compiled_program.DeviceRows(matrix, labels, weights[0] if weights else None)

        def share_of_step(step: tf.Tensor) -> tf.Tensor:
            start, stop = starts[step - first], starts[step - first + 1]
            batch = block.map(lambda whole: whole[start:stop])
            return self._share_of_step(batch, positions[start:stop], state.epoch, step)

        return state._replace(total=self.steps(share_of_step, state, upto), step=upto)

    def _share_of_step(
        self,
        batch: compiled_program.DeviceRows,
        positions: tf.Tensor,
        epoch: tf.Tensor,
        step: tf.Tensor,
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
        self, state: State, values: compiled_program.EpochValues, validation_loss: tf.Tensor
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
