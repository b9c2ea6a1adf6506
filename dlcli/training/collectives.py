"""Sums and messages across the workers of a cluster, by TensorFlow's collective operations.

`MultiWorkerMirroredStrategy` starts the server of this worker, connects it to the others, watches
their health, and gives the operations. The training itself is dlcli's own loop: Keras's `fit` does
not run under that strategy in Keras 3 (https://github.com/keras-team/keras/issues/20585).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended

from dlcli.cluster import LOST_WORKER, Cluster
from dlcli.errors import UsageError, WorkerError
from dlcli.workers import ConnectedWorkers

_MESSAGE_NUMBERS = 2**20
"""Numbers of 4 bytes that are sent at once: larger tensors go several times as slowly."""
_HEAD_NUMBERS = 128
"""Numbers of 8 bytes that are sent first: the size of a message, and its beginning."""
_SUMS_MEASURED = 20
_HEALTH_SECONDS = 10
"""The time between two checks of the other workers; three that fail end training."""


_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""The errors of an operation whose workers can't all be reached."""
_OF_WORKERS = ("Collective", "/job:worker", "peer", "Socket closed", "check alive")
"""Texts of their messages."""


class Collectives(ConnectedWorkers):
    """The workers as this process knows them, with sums of tensors.

    TensorFlow must not have run an operation in this process yet.

    Args:
        cluster: the workers, which all are about to do the same.
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
        """Return the sum of the tensor over all workers, the same bits for each of them."""

        # `all_reduce` does the same with a gradient, for which TensorFlow keeps the graph for good.
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
        """Measure how long a sum of so many numbers takes; all workers call it at the same time.

        Args:
            numbers: as many as a step of training sums, at least.
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
            program().numpy()  # which also traces it
            start = time.perf_counter()
            program().numpy()
        return (time.perf_counter() - start) / _SUMS_MEASURED

    def gather_bytes(self, message: bytes | memoryview) -> list[bytes | memoryview]:
        """Return the message of each worker, see `ConnectedWorkers`."""
        with translated():
            head = np.zeros(_HEAD_NUMBERS, np.int64)
            head[0] = len(message)
            short = head[1:].view(np.uint8)  # most messages are, and are sent with their size
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

    def _gather_program(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def gather(own: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_gather(tf.identity(own), axis=0)

        def program(own: tf.Tensor) -> tf.Tensor:
            return self._strategy.run(gather, args=(own,))

        # One signature, so that it is traced once: each trace gets a number of its own, by which
        # the workers find each other.
        signature = [tf.TensorSpec([None], tf.int64)]
        compiled: Callable[[tf.Tensor], tf.Tensor]
        compiled = tf.function(program, autograph=False, input_signature=signature)
        return compiled


@contextmanager
def translated() -> Iterator[None]:
    """Explain errors of TensorFlow that mean that another worker has ended.

    Raises:
        WorkerError: in place of them.
    """
    try:
        yield
    except _LOST as error:
        if any(words in str(error) for words in _OF_WORKERS):
            raise WorkerError(LOST_WORKER) from None
        raise
