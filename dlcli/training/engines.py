"""The way from a job to trained weights, whichever engine it takes."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from dlcli.config import CompiledEngine, Engine, printable
from dlcli.errors import OutOfMemoryError
from dlcli.training import compiled_engine, keras_engine
from dlcli.training.divergence import check_weights
from dlcli.training.job import Job, TrainingResult
from dlcli.training.programs import Programs
from dlcli.training.snapshots import NOBODY, Checkpointer
from dlcli.training.watching import Progress

_OUT_OF_MEMORY = ("out of memory", "out_of_memory", "resource_exhausted", "bad_alloc")
"""How it is told by what has no kind of error for it, as XLA and the libraries of GPUs."""
_SPEAKS_OF_MEMORY = re.compile("memory|alloc|oom", re.IGNORECASE)
_MOST_LETTERS = 200
"""How much of what TensorFlow says is told: it may add pages on what lies where."""


def train_job(
    job: Job,
    engine: Engine,
    progress: Progress,
    keeper: Checkpointer = NOBODY,
    programs: Programs | None = None,
) -> TrainingResult:
    """Trains a job, or goes on with it.

    Args:
        job: what to train on what.
        engine: as `choose_engine` settled it.
        progress: is told of each epoch.
        keeper: keeps snapshots, and may have one to go on from.
        programs: those of earlier jobs, which this one may use again.

    Raises:
        TrainingError: if the loss or the weights leave the numbers, memory runs out, or a snapshot
            can't be stored.
        RunError: if no snapshot that there is can be gone on from.
        Interrupted: if the keeper was told to end.
    """
    with _explained_shortage(job):
        if isinstance(engine, CompiledEngine):
            jit_compile = engine.jit_compile is True
            trained = compiled_engine.run(job, jit_compile, progress, keeper, programs)
        else:
            trained = keras_engine.fit(job, progress, keeper)
    check_weights(trained.weights, trained.epochs)
    return trained


@contextmanager
def _explained_shortage(job: Job) -> Iterator[None]:
    """Says what to do when memory runs out, be it the machine's or the device's.

    Raises:
        OutOfMemoryError: if it does.
    """
    try:
        yield
    except (MemoryError, tf.errors.OpError) as error:
        if not _is_shortage(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
        found = _finding(error)
        message = f"training ran out of memory{found and f': {found}'}"
        raise OutOfMemoryError(f"{message}; {_remedy(job)}") from None


def _is_shortage(error: MemoryError | tf.errors.OpError) -> bool:
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return True
    return any(word in str(error).lower() for word in _OUT_OF_MEMORY)


def _finding(error: Exception) -> str:
    """The first line that tells of memory, if one does."""
    found = (line for line in str(error).splitlines() if _SPEAKS_OF_MEMORY.search(line))
    line = printable(next(found, "")).partition(" [Op:")[0].strip(" .")
    return line if len(line) <= _MOST_LETTERS else line[:_MOST_LETTERS].rstrip() + "..."


def _remedy(job: Job) -> str:
    matrix = job.train.inputs.matrix
    if matrix is None or matrix.nbytes < 4 * job.network.parameters:
        return "take fewer units or a smaller batch_size"
    return "take a smaller batch_size, fewer units, or leave rows on disk: --set data.storage=disk"
