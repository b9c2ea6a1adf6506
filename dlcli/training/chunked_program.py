"""Training programs that load rows to the device in chunks, from disk or from each worker.

`StreamingProgram` reads chunks in the order in which their rows are used, and prepares each chunk
while it trains on the previous one. Its steps use the same numbers in batches of the same shape as
`ResidentProgram`, so the weights are the same.

`ClusterProgram` is for a cluster in which each worker holds a share of the rows. The batches have
the same rows in the same steps as on one machine. A worker computes the loss and the gradient of
its rows of a batch, however many these are. One sum over all workers gives the loss, the gradient
and the sums for the metrics of the whole batch. So the state after each step is the same for all
workers, and any of them could store a checkpoint. `Collectives` provides these sums and messages
with TensorFlow's collective operations: `MultiWorkerMirroredStrategy` starts the server of this
worker, connects it to the other workers, monitors their health, and provides the operations.
Keras's `fit` does not run under that strategy in Keras 3
(https://github.com/keras-team/keras/issues/20585).
"""

from __future__ import annotations

import functools
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
from tensorflow.python.eager import context

from dlcli.cluster import LOST_WORKER, Cluster, ConnectedWorkers
from dlcli.encoding.encoded_rows import Inputs, ShardedInputs
from dlcli.errors import UsageError, WorkerError
from dlcli.training import compiled_program
from dlcli.training.compiled_program import DeviceRows, State
from dlcli.training.objectives import BatchShare, Learner, build_learner
from dlcli.training.randomness import order_parts
from dlcli.training_job import Job

_MESSAGE_NUMBERS = 2**20
"""4-byte numbers that are sent at once: larger tensors take several times as long per number."""
_HEAD_NUMBERS = 128
"""8-byte numbers that are sent first: the size of a message and its beginning."""
_SUMS_MEASURED = 20
_HEALTH_SECONDS = 10
"""The time between two checks of the other workers; three failed checks end training."""

_SECONDS_TO_FINISH = 60
"""The time that worker 0 has to store the run while the other workers wait."""

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""The errors of an operation if a worker can't be reached."""
_OF_WORKERS = ("Collective", "/job:worker", "peer", "Socket closed", "check alive")
"""Parts of their messages."""


@dataclass(frozen=True)
class Chunk:
    """The rows of some steps of an epoch."""

    first: int
    """The first step."""
    stop: int
    """The step after the last."""
    block: DeviceRows
    """The rows in the order of use; all chunks have the same size."""


class ChunkedProgram(compiled_program.Program):
    """Programs over chunks of rows; a chunk has the steps from `first` to before `stop`."""

    agree: Callable[[int], int] | None = None
    """In a cluster, a function that returns worker 0's number."""

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self._train_values = self.compiled(self.train_values)
        self._evaluate_block = self.compiled(self._evaluate_in_loop)
        self._close = self.compiled(self.close_epoch)

    @abstractmethod
    def chunks(self, epoch: int, step: int) -> Iterator[Any]:
        """Yield the chunks of all epochs, beginning at a given step.

        The last chunk of the first epoch is always included, since that epoch must still be ended.
        """

    @abstractmethod
    def advance(self, chunk: Any, state: State, upto: int) -> State:  # noqa: ANN401
        """Run the steps of a chunk from the state's to before another."""

    def validation_inputs(self) -> tuple[Inputs, slice | NDArray[np.int64]]:
        """Return the inputs of the validation rows to evaluate, and the rows' indices."""
        assert self.job.validation is not None
        return self.job.validation.inputs, slice(None)

    def _validation_blocks(self) -> Iterator[DeviceRows]:
        """Yield the validation rows in order, in parts."""
        job = self.job
        if job.validation is None or job.validation_labels is None:
            return
        inputs, rows = self.validation_inputs()
        labels, weights = job.validation_labels[rows], job.validation.weights
        weights = None if weights is None else weights[rows]
        at_once = compiled_program.ROWS_VALIDATED_AT_ONCE
        size = compiled_program.rows_per_chunk(inputs.width, at_once)
        for start in range(0, len(inputs), size):
            matrix = inputs.part(start, start + size)
            yield DeviceRows.of(matrix, labels, weights, slice(start, start + size))

    def _evaluate_in_loop(self, block: DeviceRows, total: tf.Tensor) -> tf.Tensor:
        """Call `evaluate` as `ResidentProgram` does: in a loop if loops are kept as functions.

        Outside such loops TensorFlow computes layers with oneDNN, which rounds differently.
        """
        if not self.keeps_loops:
            return self.evaluate(block, total)

        def one(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return index + 1, self.evaluate(block, total)

        return tf.while_loop(lambda index, _: index < 1, one, (tf.constant(0), total))[1]

    def dispatches(self, state: State) -> compiled_program.Dispatches:
        """Run the remaining epochs over chunks of rows."""
        pace = compiled_program.Pace(self.job, self.agree)
        nothing = np.empty((0, len(self.job.columns) + 1))
        for chunk in compiled_program.prefetch(self.chunks(int(state.epoch), int(state.step))):
            while int(state.step) < chunk.stop:
                started = time.perf_counter()
                upto = min(int(state.step) + pace.steps, chunk.stop)
                state = self.advance(chunk, state, upto)
                yield state, nothing  # waits for the result
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
            # Padding is not read or has weight 0.
            matrix = job.train.inputs.take(index)
            block = DeviceRows.of(matrix, job.labels, weights, index, size)
            yield Chunk(first, stop, block)

    def advance(self, chunk: Chunk, state: State, upto: int) -> State:
        """Run the steps of a chunk from the state's to before another."""
        result: State = self.run(chunk.block, tf.constant(chunk.first), state, tf.constant(upto))
        return result

    def _run(self, block: DeviceRows, first: tf.Tensor, state: State, upto: tf.Tensor) -> State:
        """Run steps of one epoch.

        Args:
            block: the rows of some steps.
            first: the first of these steps, int32.
            state: the state before.
            upto: the step to end before, int32.
        """

        def batch(step: tf.Tensor) -> DeviceRows:
            # Not a slice: XLA would treat its start as a constant and compile again for each chunk.
            size = self.job.batch_size
            index = (step - first) * size + tf.range(size)
            return block.map(lambda whole: tf.gather(whole, index))

        total = self.steps(functools.partial(self.step, batch, state.epoch), state, upto)
        return state._replace(total=total, step=upto)


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


@dataclass(frozen=True)
class ShareOfChunk(Chunk):
    """This worker's rows of some steps of an epoch."""

    positions: tf.Tensor
    """The index of each row in its batch, int64 (rows,)."""
    starts: tf.Tensor
    """The index of the first row of each step, and the number of rows, int32 (steps + 1,)."""


class ClusterProgram(ChunkedProgram):
    """Programs of the steps and of the end of an epoch.

    They run as TensorFlow graphs: a worker's number of rows differs from batch to batch, and XLA
    would compile for each number.

    Args:
        job: the job; its inputs are `ShardedInputs`.
    """

    def __init__(self, job: Job) -> None:
        assert isinstance(job.train.inputs, ShardedInputs)
        self.inputs = job.train.inputs
        assert isinstance(self.inputs.shares.workers, Collectives)
        self.collectives = self.inputs.shares.workers

        share = BatchShare(add_up=self._sum_over_workers)
        super().__init__(job, build_learner(job, share=share), jit_compile=False)

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
        inputs, weights, size = self.inputs, job.loss_weights, job.batch_size
        is_own = inputs.shares.owners == self.collectives.rank
        for first, stop, index in chunk_orders(job, epoch, step):
            at = np.flatnonzero(is_own[index])
            rows = index[at]
            matrix = inputs.held.take(inputs.shares.indices[rows])
            block = DeviceRows.of(matrix, job.labels, weights, rows)
            starts = np.searchsorted(at, np.arange(stop - first + 1) * size).astype(np.int32)
            positions = tf.constant(at % size, tf.int64)
            yield ShareOfChunk(first, stop, block, positions, tf.constant(starts))

    def advance(self, chunk: ShareOfChunk, state: State, upto: int) -> State:
        """Run the steps of a chunk from the state's to before another."""
        weights = () if chunk.block.weights is None else (chunk.block.weights,)
        arguments = (
            *(chunk.block.matrix, chunk.block.labels, *weights, chunk.positions, chunk.starts),
            *(tf.constant(chunk.first), tf.constant(upto), *state),
        )
        if self._steps is None:
            # With one signature it is traced once, as on the other workers: each trace of a
            # collective operation gets the next number, by which workers match it.
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
        # A sample that all workers hold.
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
        block = DeviceRows(matrix, labels, weights[0] if weights else None)

        def share_of_step(step: tf.Tensor) -> tf.Tensor:
            start, stop = starts[step - first], starts[step - first + 1]
            batch = block.map(lambda whole: whole[start:stop])
            return self._share_of_step(batch, positions[start:stop], state.epoch, step)

        return state._replace(total=self.steps(share_of_step, state, upto), step=upto)

    def _share_of_step(
        self,
        batch: DeviceRows,
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

        The gradient of an embedding has an entry for each row of the batch: if several rows have
        the same category, Keras's optimizers square each entry, not their sum.

        Args:
            gradient: the gradient of this worker's rows; None for a constant output.
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
        """Sum over all workers; the gradient is also summed, since all parts depend on the sum."""

        def summed(own: tf.Tensor) -> Any:  # noqa: ANN401
            return self.collectives.sum(own), self.collectives.sum

        return tf.custom_gradient(summed)(tensor)

    def close_epoch(
        self, state: State, values: compiled_program.EpochValues, validation_loss: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        """End an epoch after each worker has evaluated its validation rows; see `Program`."""
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


class Collectives(ConnectedWorkers):
    """The workers of a cluster, with sums of tensors over them.

    TensorFlow must not have run an operation in this process yet.

    Args:
        cluster: the workers, which all create this object at the same time.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        CollectiveAllReduceExtended._check_health_interval = _HEALTH_SECONDS
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": cluster.addresses}),
            task_type="worker",
            task_id=cluster.rank,
            num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        )
        try:
            with translated():
                self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except RuntimeError as error:
            raise UsageError(f"TensorFlow already runs in this process: {error}") from None
        self._all_gather = self._gather_program()

    def sum(self, tensor: tf.Tensor) -> tf.Tensor:
        """Return the sum of a tensor over all workers, the same bits on each."""

        # `all_reduce` also registers a gradient, for which TensorFlow keeps the graph forever.
        def reduce_all(strategy: tf.distribute.Strategy, own: tf.Tensor) -> tf.Tensor:
            pairs = [(own, own.device)]
            return strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, pairs)[0]

        def reduce(own: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.merge_call(reduce_all, args=(tf.identity(own),))

        return self._strategy.run(reduce, args=(tensor,))

    def sum_all(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the sum of each tensor over all workers, by one operation.

        Args:
            tensors: numbers of any shapes and types, which are summed in the type of the first.
        """
        kind = tensors[0].dtype
        flat = tf.concat([tf.reshape(tf.cast(each, kind), [-1]) for each in tensors], axis=0)
        sizes = [each.shape.num_elements() for each in tensors]
        parts = tf.split(self.sum(flat), sizes)
        return [
            tf.cast(tf.reshape(part, each.shape), each.dtype)
            for part, each in zip(parts, tensors, strict=True)
        ]

    def seconds_per_sum(self, numbers: int) -> float:
        """Measure the duration of a sum of so many numbers; all workers call this at the same time.

        Args:
            numbers: at least as many as a training step sums.
        """

        def repeat() -> tf.Tensor:
            _, last = tf.while_loop(
                lambda step, _: step < _SUMS_MEASURED,
                lambda step, _: (step + 1, self.sum(tf.ones(numbers))),
                (0, tf.ones(numbers)),
            )
            return last[0]

        program = tf.function(repeat, autograph=False)
        with translated():
            program().numpy()  # also traces it
            start = time.perf_counter()
            program().numpy()
        return (time.perf_counter() - start) / _SUMS_MEASURED

    def gather_bytes(self, message: bytes | memoryview) -> list[bytes | memoryview]:
        """Return the message of each worker, see `ConnectedWorkers`."""
        with translated():
            head = np.zeros(_HEAD_NUMBERS, np.int64)
            head[0] = len(message)
            short = head[1:].view(np.uint8)  # as most are; sent together with the size
            beginning = np.frombuffer(message, np.uint8)[: len(short)]
            short[: len(beginning)] = beginning
            heads = self._all_gather(tf.constant(head)).numpy().reshape(self.size, -1)
            sizes = heads[:, 0].tolist()
            if max(sizes) <= len(short):
                return [each[1:].tobytes()[:size] for each, size in zip(heads, sizes, strict=True)]
            received = [np.empty(size, np.uint8) for size in sizes]
            step = 4 * _MESSAGE_NUMBERS
            for start in range(0, max(sizes), step):
                part = message[start : start + step]
                padded = part if len(part) % 8 == 0 else bytes(part) + bytes(-len(part) % 8)
                whole = self._all_gather(tf.constant(np.frombuffer(padded, np.int64)))
                parts, at = whole.numpy().view(np.uint8), 0
                for content in received:
                    own = content[start : start + step]
                    own[:] = parts[at : at + len(own)]
                    at += len(own) + -len(own) % 8
            return [content.data for content in received]

    def finish(self) -> None:
        """Wait at a barrier; a worker that has left it or can't be reached needs no more messages.

        Without the barrier, the last message of a worker that exits at once can be lost.
        """
        with suppress(tf.errors.OpError):
            context.context().wait_at_barrier("dlcli-finished", _SECONDS_TO_FINISH * 1000)

    def _gather_program(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def gather(own: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_gather(tf.identity(own), axis=0)

        def program(own: tf.Tensor) -> tf.Tensor:
            return self._strategy.run(gather, args=(own,))

        # One signature, so it is traced once: each trace gets another number, by which workers
        # match it.
        signature = [tf.TensorSpec([None], tf.int64)]
        compiled: Callable[[tf.Tensor], tf.Tensor]
        compiled = tf.function(program, autograph=False, input_signature=signature)
        return compiled


@contextmanager
def translated() -> Iterator[None]:
    """Convert TensorFlow errors that mean that another worker has exited.

    Raises:
        WorkerError: instead of them.
    """
    try:
        yield
    except _LOST as error:
        if any(words in str(error) for words in _OF_WORKERS):
            raise WorkerError(LOST_WORKER) from None
        raise
