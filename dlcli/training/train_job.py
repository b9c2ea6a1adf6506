"""Training of a job by the chosen engine."""

from __future__ import annotations

import re
import traceback

import tensorflow as tf

from dlcli.config import CompiledEngine, Engine
from dlcli.errors import OutOfMemoryError, printable
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
    try:
        if isinstance(engine, CompiledEngine):
            jit_compile = engine.jit_compile is True
            trained = compiled_engine.run(job, jit_compile, progress, checkpointer, programs)
        else:
            trained = keras_engine.fit(job, progress, checkpointer)
    except (MemoryError, tf.errors.OpError) as error:
        if shortage := _out_of_memory(error, job):
            raise shortage from None
        raise
    check_weights(trained.weights, trained.epochs)
    return trained


def _out_of_memory(error: MemoryError | tf.errors.OpError, job: Job) -> OutOfMemoryError | None:
    """Return the error to report when memory ran out; `None` if the cause is another."""
    text = str(error)
    is_typed = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    if not is_typed and not any(words in text.lower() for words in _OUT_OF_MEMORY):
        return None
    traceback.clear_frames(error.__traceback__)  # they hold the memory
    line = next((line for line in text.splitlines() if _MENTIONS_MEMORY.search(line)), "")
    line = printable(line).partition(" [Op:")[0].strip(" .")
    if len(line) > _MOST_LETTERS:
        line = line[:_MOST_LETTERS].rstrip() + "..."
    matrix = job.train.inputs.matrix
    remedy = "take fewer units or a smaller batch_size"
    if matrix is not None and matrix.nbytes >= 4 * job.network.parameters:
        remedy = "take a smaller batch_size, fewer units, or leave rows on disk: "
        remedy += "--set data.storage=disk"
    return OutOfMemoryError(f"training ran out of memory{line and f': {line}'}; {remedy}")
