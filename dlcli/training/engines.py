"""Training of a job by the chosen engine, and the device on which it runs."""

from __future__ import annotations

import os
import re
import traceback

import tensorflow as tf

from dlcli import errors, training_job
from dlcli.cluster import available_processors
from dlcli.config.config_schema import CompiledEngine, Engine
from dlcli.encoding.encoded_rows import stored_inputs
from dlcli.training import compiled_engine, keras_engine, linear_engine
from dlcli.training.compiled_engine import ProgramCache
from dlcli.training.linear_engine import LinearEngine
from dlcli.training.process_settings import deterministic_tensorflow

_OUT_OF_MEMORY = ("out of memory", "out_of_memory", "resource_exhausted", "bad_alloc")
"""Texts of errors without a type of their own, as of XLA and the GPU libraries."""
_MENTIONS_MEMORY = re.compile("memory|alloc|oom", re.IGNORECASE)
_OPERATION = re.compile(r"\{\{function_node [^}]*\}\} ")
"""Matches the name of the operation, which TensorFlow writes before its message."""
_OWN_PROCESS: set[int] = set()
"""The process that TensorFlow was prepared in. A fork of it lacks its threads, and would wait for
them forever."""
_MOST_LETTERS = 200
"""Most characters of TensorFlow's message, which may be pages long."""


def prepare_device(device: str, threads: int | str, gpu: int = 0) -> training_job.Device:
    """Choose the device. A GPU's memory is allocated as needed.

    Args:
        device: `cpu`, `gpu`, or `auto` for a GPU if there is one.
        threads: number of threads, or `auto` for those that TensorFlow already runs with in this
            process, else for all that it may use.
        gpu: the index of the GPU to use; if there are fewer, they are shared in turn.

    Raises:
        ConfigError: if a GPU is requested and there is none.
        UsageError: if TensorFlow already runs in this process with another device or threads, or
            in the process that this one is a fork of, or builds a graph or a model of several
            devices where this is called.
    """
    if _OWN_PROCESS - {os.getpid()}:
        raise errors.UsageError(
            "TensorFlow already runs in the process that this one is a fork of, and would hang in "
            "this one; start it by multiprocessing.get_context('spawn') instead"
        )
    _OWN_PROCESS.add(os.getpid())
    if not tf.executing_eagerly() or tf.distribute.has_strategy():
        where = "tf.Graph.as_default(), a tf.function and the scope of a tf.distribute strategy"
        raise errors.UsageError(
            f"training can't be part of another program; call it outside of {where}"
        )
    gpus = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        way_out = f"use auto or cpu, or install its libraries, {errors.install_command('gpu')}"
        message = f"TensorFlow sees no GPU on this machine; {way_out}"
        raise errors.ConfigError([errors.Problem("device", message)])
    try:
        own = gpus[gpu % len(gpus) :][:1] if gpus else []
        tf.config.set_visible_devices(own, "GPU")
        for each in own:
            tf.config.experimental.set_memory_growth(each, True)
    except RuntimeError:
        message = "TensorFlow already runs in this process with another device"
        raise errors.UsageError(f"{message}; start a new one") from None
    return training_job.Device("gpu" if gpus else "cpu", _set_threads(threads), len(gpus))


def _set_threads(threads: int | str) -> int:
    """Set the number of threads, and return it.

    Raises:
        UsageError: if TensorFlow already runs with another number.
    """
    count = available_processors() if threads == "auto" else int(threads)
    setting = tf.config.threading
    try:
        setting.set_intra_op_parallelism_threads(count)
        setting.set_inter_op_parallelism_threads(count)
    except RuntimeError:  # it runs already, maybe with the same number; 0 means all processors
        running: int = setting.get_intra_op_parallelism_threads() or available_processors()
        if threads not in ("auto", running):
            message = f"TensorFlow already runs in this process with threads: {running}"
            raise errors.UsageError(f"{message}; set these, or start a new process") from None
        return running
    return count


def train_job(
    job: training_job.Job,
    engine: Engine | LinearEngine,
    progress: training_job.EpochProgress,
    checkpointer: training_job.Checkpointer = training_job.NO_CHECKPOINTS,
    programs: ProgramCache | None = None,
) -> training_job.TrainingResult:
    """Train a job, or resume it.

    Args:
        job: the job.
        engine: the choice of `choose_engine`, or `LinearEngine` where it suits.
        progress: receives each epoch.
        checkpointer: stores checkpoints, and may have one to resume from.
        programs: those of earlier jobs, one of which may be reused.

    Raises:
        TrainingError: if the loss or the weights become NaN or infinite, memory runs out, or a
            checkpoint can't be stored.
        RunError: if there are checkpoints, and none can be resumed from.
        Interrupted: if the checkpointer ends training.
    """
    try:
        with deterministic_tensorflow():
            if isinstance(engine, LinearEngine):
                trained = linear_engine.fit(job, progress, checkpointer)
            elif isinstance(engine, CompiledEngine):
                jit_compile = engine.jit_compile is True
                trained = compiled_engine.run(job, jit_compile, progress, checkpointer, programs)
            else:
                trained = keras_engine.fit(job, progress, checkpointer)
    except (MemoryError, tf.errors.OpError) as error:
        if shortage := _out_of_memory(error, job):
            raise shortage from None
        raise
    training_job.check_weights(trained.weights, trained.epochs)
    return trained


def _out_of_memory(
    error: MemoryError | tf.errors.OpError, job: training_job.Job
) -> errors.OutOfMemoryError | None:
    """Return the error to report when memory ran out; `None` if the cause is another."""
    text = str(error)
    is_typed = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    if not is_typed and not any(words in text.lower() for words in _OUT_OF_MEMORY):
        return None
    traceback.clear_frames(error.__traceback__)  # they hold the memory
    line = next((line for line in text.splitlines() if _MENTIONS_MEMORY.search(line)), "")
    line = _OPERATION.sub("", errors.printable(line)).partition(" [Op:")[0].strip(" .")
    if len(line) > _MOST_LETTERS:
        line = line[:_MOST_LETTERS].rstrip() + "..."
    matrix = stored_inputs(job.train.inputs).matrix
    remedy = "take fewer units or a smaller batch_size"
    if matrix is not None and matrix.nbytes >= 4 * job.network.parameters:
        remedy = "take a smaller batch_size, fewer units, or leave rows on disk: "
        remedy += errors.override("data.storage", "disk")
    return errors.OutOfMemoryError(f"training ran out of memory{line and f': {line}'}; {remedy}")
