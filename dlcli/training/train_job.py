"""Training of a job by the chosen engine."""

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
from dlcli.training.job import NO_CHECKPOINTS, Checkpointer, Job, Progress, TrainingResult
from dlcli.training.program_cache import ProgramCache

_OUT_OF_MEMORY = ("out of memory", "out_of_memory", "resource_exhausted", "bad_alloc")
"""Texts of errors without a type of their own, as of XLA and the GPU libraries."""
_MENTIONS_MEMORY = re.compile("memory|alloc|oom", re.IGNORECASE)
_MOST_LETTERS = 200
"""Most characters of TensorFlow's message, which may be pages long."""


def train_job(
    job: Job,
    engine: Engine,
    progress: Progress,
    checkpointer: Checkpointer = NO_CHECKPOINTS,
    programs: ProgramCache | None = None,
) -> TrainingResult:
    """Train a job, or resume it.

    Args:
        job: the job.
        engine: the choice of `choose_engine`.
        progress: receives each epoch.
        checkpointer: stores snapshots, and may have one to resume from.
        programs: those of earlier jobs, one of which may be reused.

    Raises:
        TrainingError: if the loss or the weights become NaN or infinite, memory runs out, or a
            snapshot can't be stored.
        RunError: if there are snapshots, and none can be resumed from.
        Interrupted: if the checkpointer ends training.
    """
    with _explained_shortage(job):
        if isinstance(engine, CompiledEngine):
            jit_compile = engine.jit_compile is True
            trained = compiled_engine.run(job, jit_compile, progress, checkpointer, programs)
        else:
            trained = keras_engine.fit(job, progress, checkpointer)
    check_weights(trained.weights, trained.epochs)
    return trained


@contextmanager
def _explained_shortage(job: Job) -> Iterator[None]:
    """Say what to do when the machine's or the device's memory runs out.

    Raises:
        OutOfMemoryError: if it does.
    """
    try:
        yield
    except (MemoryError, tf.errors.OpError) as error:
        if not _is_shortage(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the memory
        found = _finding(error)
        message = f"training ran out of memory{found and f': {found}'}"
        raise OutOfMemoryError(f"{message}; {_remedy(job)}") from None


def _is_shortage(error: MemoryError | tf.errors.OpError) -> bool:
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return True
    return any(word in str(error).lower() for word in _OUT_OF_MEMORY)


def _finding(error: Exception) -> str:
    """Return the first line that mentions memory, if there is one."""
    found = (line for line in str(error).splitlines() if _MENTIONS_MEMORY.search(line))
    line = printable(next(found, "")).partition(" [Op:")[0].strip(" .")
    return line if len(line) <= _MOST_LETTERS else line[:_MOST_LETTERS].rstrip() + "..."


def _remedy(job: Job) -> str:
    matrix = job.train.inputs.matrix
    if matrix is None or matrix.nbytes < 4 * job.network.parameters:
        return "take fewer units or a smaller batch_size"
    return "take a smaller batch_size, fewer units, or leave rows on disk: --set data.storage=disk"
