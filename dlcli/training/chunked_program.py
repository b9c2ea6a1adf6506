"""Training programs that load rows to the device in chunks, from disk or from each worker.

`StreamingProgram` reads chunks in the order in which their rows are used, and prepares each chunk
while it trains on the previous one. Its steps use the same numbers in batches of the same shape as
`ResidentProgram`, so the weights are the same.

`ClusterProgram` is for a cluster in which each worker has a share of the rows. The batches contain
the same rows as on one machine. Each worker computes the loss and the gradient of its rows in a
batch, whose number varies. One sum over all workers gives the loss, the gradient and the sums for
the metrics of the whole batch. So the state after each step is the same for all workers, and any of
them could store a checkpoint.

`Collectives` provides these sums and messages by TensorFlow's collective operations:
`MultiWorkerMirroredStrategy` starts the server of this worker, connects it to the other workers,
monitors their health, and provides the operations. In Keras 3, `fit` does not support this strategy
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
"""Number of 4-byte numbers that are sent at once; larger tensors take several times as long per
number."""
_HEAD_NUMBERS = 128
"""Number of 8-byte numbers that are sent first: the size of a message and its beginning."""
_SUMS_MEASURED = 20
_HEALTH_SECONDS = 10
"""Time between two health checks of the other workers; three failed checks end training."""
_SECONDS_TO_FINISH = 60
"""Maximum time for which workers wait for others at the end, while worker 0 stores the run."""

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""The errors of an operation if a worker can't be reached."""
_OF_WORKERS = ("Collective", "/job:worker", "peer", "Socket closed", "check alive")
"""Parts of the messages of such errors."""


@dataclass(frozen=True)
class Chunk:
    """The rows of some steps of an epoch."""

    first: int
    """The first step."""
    stop: int
    """The step after the last one."""
    block: DeviceRows
    """The rows in the order in which they are used."""


class ChunkedProgram(compiled_program.Program):
    """Programs over chunks of rows, see `Chunk`."""

    agree: Callable[[int], int] | None = None
    """In a cluster, a function that returns the number of worker 0, see `Pace`."""

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self._train_values = self.compiled(self.train_values)
        self._evaluate_block = self.compiled(self._evaluate_in_loop)
        self._close = self.compiled(self.close_epoch)

    @abstractmethod
    def chunks(self, epoch: int, step: int) -> Iterator[Any]:
        """Yield the chunks of all epochs, beginning at a given step.

        The last chunk of the first epoch is always included, because the epoch must still be ended.
        """

    @abstractmethod
    def advance(self, chunk: Any, state: State, upto: int) -> State:  # noqa: ANN401
        """Run the steps of a chunk from the current step to the step before `upto`."""

    def validation_inputs(self) -> tuple[Inputs, slice | NDArray[np.int64]]:
        """Return the inputs of the validation rows to evaluate, and the indices of these rows."""
        assert self.job.validation is not None
        return self.job.validation.inputs, slice(None)

    def _validation_blocks(self) -> Iterator[DeviceRows]:
        """Yield the validation rows in order, in parts."""
        job = self.job
        if job.validation is None or job.validation_labels is None:
            return
        inputs, rows = self.validation_inputs()
        inputs = self.on_device(inputs)
        labels, weights = job.validation_labels[rows], job.validation.weights
        weights = None if weights is None else weights[rows]
        at_once = compiled_program.ROWS_VALIDATED_AT_ONCE
        size = compiled_program.rows_per_chunk(inputs.width, at_once)
        for start in range(0, len(inputs), size):
            matrix = inputs.part(start, start + size)
            yield DeviceRows.of(matrix, labels, weights, slice(start, start + size))

    def _evaluate_in_loop(self, block: DeviceRows, total: tf.Tensor) -> tf.Tensor:
        """Call `evaluate` in a loop if loops are kept as functions, as in `ResidentProgram`.

        Outside such loops, TensorFlow computes layers with oneDNN, which has other rounding errors.
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
                yield state, nothing  # the consumer waits for the result
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
        jit_compile: whether XLA compiles the programs.
    """

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        super().__init__(job, learner, jit_compile)
        self.run = self.compiled(self._run)

    def chunks(self, epoch: int, step: int) -> Iterator[Chunk]:
        """Yield the chunks of all epochs, see `ChunkedProgram`."""
        job, inputs = self.job, self.on_device(self.job.train.inputs)
        weights, size = job.loss_weights, _chunk_size(job, inputs.width)
        for first, stop, index in chunk_orders(job, inputs.width, epoch, step):
            # The padding is not read, or has weight 0.
            matrix = inputs.take(index)
            block = DeviceRows.of(matrix, job.labels, weights, index, size)
            yield Chunk(first, stop, block)

    def advance(self, chunk: Chunk, state: State, upto: int) -> State:
        """Run the steps of a chunk from the current step to the step before `upto`."""
        result: State = self.run(chunk.block, tf.constant(chunk.first), state, tf.constant(upto))
        return result

    def _run(self, block: DeviceRows, first: tf.Tensor, state: State, upto: tf.Tensor) -> State:
        """Run steps of one epoch.

        Args:
            block: the rows of the steps of a chunk.
            first: the first step of the chunk, int32.
            state: the state before the steps.
            upto: the step after the last one to run, int32.
        """

        def batch(step: tf.Tensor) -> DeviceRows:
            # Not a slice, because XLA would compile for each chunk, with its start as a constant.
            size = self.job.batch_size
            index = (step - first) * size + tf.range(size)
            return block.map(lambda whole: tf.gather(whole, index))

        total = self.steps(functools.partial(self.step, batch, state.epoch), state, upto)
        return state._replace(total=total, step=upto)


def chunk_orders(
    job: Job, width: int, epoch: int, step: int
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield the first step, the step after the last one, and the row indices of each chunk.

    Args:
        job: the job.
        width: numbers of a row on the device.
        epoch: the first epoch, from 0.
        step: the first step in this epoch, from 0.
    """
    size = _chunk_size(job, width)
    for number in range(epoch, job.epochs):
        order = order_parts(len(job.train.inputs), job.train.inputs.width, job.config.seed, number)
        done = step if number == epoch else 0
        for chunk, index in enumerate(_regroup(order, size)):
            first = chunk * size // job.batch_size
            stop = first + -(-len(index) // job.batch_size)
            if done < stop or stop == job.steps:
                yield first, stop, index


def _chunk_size(job: Job, width: int) -> int:
    size = compiled_program.rows_per_chunk(width, job.batch_size)
    return min(size, job.steps * job.batch_size)


def _regroup(parts: Iterator[NDArray[np.int64]], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield the same indices in arrays of equal size, except that the last may be smaller."""
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
    """The rows of this worker in some steps of an epoch."""

    positions: tf.Tensor
    """The index of each row in its batch, int64 (rows,)."""
    starts: tf.Tensor
    """The index of the first row of each step; the last value is the number of rows, int32
    (steps + 1,)."""


class ClusterProgram(ChunkedProgram):
    """Programs for the steps and the end of an epoch on the workers of a cluster.

    They run as TensorFlow graphs, because XLA would compile for each number of rows that a worker
    has in a batch.

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
        """The program of the steps; `None` before the types of its arguments are known."""
        self._agree = self.compiled(self.collectives.sum, [tf.TensorSpec([], tf.int32)])

    @property
    def keeps_loops(self) -> bool:
        """False, because workers match their sums by the iterations of lowered loops."""
        return False

    def agree(self, number: int) -> int:
        """Return the number of worker 0."""
        return int(self._agree(tf.constant(0 if self.collectives.rank else number)))

    def chunks(self, epoch: int, step: int) -> Iterator[ShareOfChunk]:
        """Yield the rows of this worker in the chunks of all epochs; see `ChunkedProgram`."""
        job, held = self.job, self.on_device(self.inputs.held)
        shares, weights, size = self.inputs.shares, job.loss_weights, job.batch_size
        is_own = shares.owners == self.collectives.rank
        for first, stop, index in chunk_orders(job, held.width, epoch, step):
            at = np.flatnonzero(is_own[index])
            rows = index[at]
            matrix = held.take(shares.indices[rows])
            block = DeviceRows.of(matrix, job.labels, weights, rows)
            starts = np.searchsorted(at, np.arange(stop - first + 1) * size).astype(np.int32)
            positions = tf.constant(at % size, tf.int64)
            yield ShareOfChunk(first, stop, block, positions, tf.constant(starts))

    def advance(self, chunk: ShareOfChunk, state: State, upto: int) -> State:
        """Run the steps of a chunk from the current step to the step before `upto`."""
        weights = () if chunk.block.weights is None else (chunk.block.weights,)
        arguments = (
            *(chunk.block.matrix, chunk.block.labels, *weights, chunk.positions, chunk.starts),
            *(tf.constant(chunk.first), tf.constant(upto), *state),
        )
        if self._steps is None:
            # With one signature, it is traced once. All workers must trace the same number of
            # times, because they match collective operations by the number of the trace.
            signature = [
                tf.TensorSpec([None, *each.shape[1:]] if each.shape.rank else [], each.dtype)
                for each in arguments
            ]
            self._steps = self.compiled(self._run, signature)
        result: State = self._steps(*arguments)
        return result

    def validation_inputs(self) -> tuple[Inputs, NDArray[np.int64]]:
        """Return the inputs of the validation rows of this worker; see `ChunkedProgram`."""
        validation = self.job.validation
        assert validation is not None
        if isinstance(validation.inputs, ShardedInputs):
            return validation.inputs.own, validation.inputs.shares.own
        # All workers have the same sample, of which each evaluates a part.
        rows = np.arange(self.collectives.rank, len(validation.inputs), self.collectives.size)
        return validation.select(rows).inputs, rows

    def _run(self, matrix: tf.Tensor, labels: tf.Tensor, *rest: tf.Tensor) -> State:
        """Run steps of one epoch.

        Args:
            matrix: the inputs, see `DeviceRows`.
            labels: the labels, see `DeviceRows`.
            rest: the row weights, if there are any; the positions and starts, see `ShareOfChunk`;
                the first step of the chunk and the step after the last one to run, int32; and the
                state before the steps.
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
        """Update the weights once; return the loss of the whole batch times its number of rows."""
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
        """Return tensors whose sums over all workers give the gradient of the batch.

        The gradient of an embedding keeps one entry for each row of the batch, because Keras's
        optimizers square the entries of rows with the same category, not their sum.

        Args:
            gradient: the gradient of the rows of this worker; `None` for a constant output.
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
        """Sum over all workers, and also sum the gradient, because all losses use the sum."""

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
    """The workers of a cluster, with sums of tensors over all workers.

    Create it before TensorFlow runs an operation in this process.

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
        """Return the sum of a tensor over all workers, bit-identical on all of them."""

        # Not `all_reduce`, because TensorFlow would keep the graph of its gradient forever.
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
            tensors: tensors of any shapes and dtypes, which are summed in the dtype of the first.
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
        """Measure the duration of a sum over all workers, which must all call this method.

        Args:
            numbers: how many numbers are summed, such as in a training step.
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
            short = head[1:].view(np.uint8)  # most messages are short and fit here
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
        """Wait for all workers at a barrier, and ignore workers that can't be reached.

        Without the barrier, the last message of a worker that exits can be lost.
        """
        with suppress(tf.errors.OpError):
            context.context().wait_at_barrier("dlcli-finished", _SECONDS_TO_FINISH * 1000)

    def _gather_program(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def gather(own: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_gather(tf.identity(own), axis=0)

        def program(own: tf.Tensor) -> tf.Tensor:
            return self._strategy.run(gather, args=(own,))

        # With one signature, it is traced once, see `ClusterProgram.advance`.
        signature = [tf.TensorSpec([None], tf.int64)]
        compiled: Callable[[tf.Tensor], tf.Tensor]
        compiled = tf.function(program, autograph=False, input_signature=signature)
        return compiled


@contextmanager
def translated() -> Iterator[None]:
    """Replace TensorFlow errors that mean that another worker has exited.

    Raises:
        WorkerError: in place of such an error.
    """
    try:
        yield
    except _LOST as error:
        if any(words in str(error) for words in _OF_WORKERS):
            raise WorkerError(LOST_WORKER) from None
        raise
