"""Training of a job by the chosen engine, its device, and the settings of the process.

During training, TensorFlow replaces or refuses operations whose order of summation varies
(`tf.config.experimental.enable_op_determinism`). Its graph optimizer is off: it takes a quarter of
the time of a small job and does not speed up the steps of Dense layers. XLA has a separate
optimizer.
"""

from __future__ import annotations

import math
import os
import re
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework import config  # has settings that tf.config lacks

from dlcli import errors, keras_model, training_job
from dlcli.cluster import available_processors
from dlcli.config.config_schema import CompiledEngine, Engine
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.network.layers import Weights
from dlcli.training import compiled_engine, keras_engine, linear_engine
from dlcli.training.compiled_engine import ProgramCache
from dlcli.training.linear_engine import LinearEngine
from dlcli.training.objectives import loss_of

_OUT_OF_MEMORY = ("out of memory", "out_of_memory", "resource_exhausted", "bad_alloc")
"""Parts of the messages of errors without a specific type, such as errors of XLA and of the GPU
libraries."""
_MENTIONS_MEMORY = re.compile("memory|alloc|oom", re.IGNORECASE)
_OPERATION = re.compile(r"\{\{function_node [^}]*\}\} ")
"""The pattern of the name of the operation at the beginning of a TensorFlow message."""
_OWN_PROCESS: set[int] = set()
"""The ID of the process in which TensorFlow was prepared. A forked process lacks the threads of
TensorFlow and would wait for them forever."""
_MOST_LETTERS = 200
"""Maximum number of characters shown of a TensorFlow message, which may be pages long."""


def prepare_device(device: str, threads: int | str, gpu: int = 0) -> training_job.Device:
    """Choose the device. The memory of a GPU is allocated as needed.

    Args:
        device: `cpu`, `gpu`, or `auto` for a GPU if there is one.
        threads: number of threads; `auto`: the number with which TensorFlow already runs in this
            process, else all available processors.
        gpu: the index of the GPU, modulo the number of GPUs.

    Raises:
        ConfigError: if a GPU is requested and there is none.
        UsageError: if TensorFlow already runs in this process with another device or number of
            threads, or in the parent of this forked process; or for a call within a graph or a
            distribution strategy.
    """
    if _OWN_PROCESS - {os.getpid()}:
        raise errors.UsageError(
            "TensorFlow already runs in the parent of this forked process and would hang in this "
            "one; start the process with multiprocessing.get_context('spawn') instead"
        )
    _OWN_PROCESS.add(os.getpid())
    if not tf.executing_eagerly() or tf.distribute.has_strategy():
        where = "tf.Graph.as_default(), a tf.function or the scope of a tf.distribute strategy"
        raise errors.UsageError(f"can't train inside {where}; move the call outside")
    gpus = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        way_out = f"use auto or cpu, or install the GPU libraries: {errors.install_command('gpu')}"
        message = f"TensorFlow finds no GPU on this machine; {way_out}"
        raise errors.ConfigError([errors.Problem("device", message)])
    try:
        own = gpus[gpu % len(gpus) :][:1] if gpus else []
        tf.config.set_visible_devices(own, "GPU")
        for each in own:
            tf.config.experimental.set_memory_growth(each, True)
    except RuntimeError:
        message = "TensorFlow already runs in this process with another device"
        raise errors.UsageError(f"{message}; start a new process") from None
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
    except RuntimeError:  # it already runs, maybe with this number; 0 means all processors
        running: int = setting.get_intra_op_parallelism_threads() or available_processors()
        if threads not in ("auto", running):
            message = f"TensorFlow already runs in this process with threads: {running}"
            raise errors.UsageError(f"{message}; set this number or start a new process") from None
        return running
    return count


class _Trainings:
    """Counts the trainings in all threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._before = (False, False)

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Make TensorFlow deterministic within a block; blocks in other threads may overlap."""
        with self._lock:
            if not self._count:
                self._before = _settings()
                _change(is_deterministic=True, is_unoptimized=True)
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    _change(*self._before)


def _settings() -> tuple[bool, bool]:
    options = tf.config.optimizer.get_experimental_options()
    return config.is_op_determinism_enabled(), bool(options.get("disable_meta_optimizer", False))


def _change(is_deterministic: bool, is_unoptimized: bool) -> None:
    change = config.enable_op_determinism if is_deterministic else config.disable_op_determinism
    change()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": is_unoptimized})


deterministic_tensorflow = _Trainings().deterministic


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
        engine: the result of `choose_engine`, or a suitable `LinearEngine`.
        progress: receives each epoch.
        checkpointer: stores checkpoints, and may provide one to resume from.
        programs: programs of earlier jobs to reuse.

    Raises:
        TrainingError: if the loss or the weights become NaN or infinite, memory runs out, or a
            checkpoint can't be stored.
        RunError: if there are checkpoints, but none is usable.
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
    """Return the error to report if memory ran out; `None` for any other cause."""
    text = str(error)
    is_typed = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    if not is_typed and not any(words in text.lower() for words in _OUT_OF_MEMORY):
        return None
    traceback.clear_frames(error.__traceback__)  # they reference the memory
    line = next((line for line in text.splitlines() if _MENTIONS_MEMORY.search(line)), "")
    line = _OPERATION.sub("", errors.printable(line)).partition(" [Op:")[0].strip(" .")
    if len(line) > _MOST_LETTERS:
        line = line[:_MOST_LETTERS].rstrip() + "..."
    stored = job.train.inputs.stored
    remedy = "use fewer units or a smaller batch_size"
    if isinstance(stored, InMemoryInputs) and stored.dense.size >= job.network.parameters:
        remedy = "use a smaller batch_size or fewer units, or keep the rows on disk: "
        remedy += errors.override("data.storage", "disk")
    return errors.OutOfMemoryError(f"training ran out of memory{line and f': {line}'}; {remedy}")


@deterministic_tensorflow()
def gradient_norms(
    job: training_job.Job, weights: Weights, rows: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, float]]:
    """Measure the gradient of the loss of a job over some training rows as one batch.

    The loss includes row and class weights, but no regularization penalty. Batch normalization uses
    the mean and variance of the batch, as in a training step. Dropout and augmentation are omitted,
    so the result is not random. With mixed precision, it is computed in float32.

    Args:
        job: the job.
        weights: the trained weights, by name.
        rows: indices of training rows.

    Returns:
        For the initial and for the trained weights, the Euclidean norm of the gradient of each
        layer, by name. The norms for the initial weights are empty if training started from the
        weights of another run, because a resumed run does not have them.
    """
    precision = job.config.precision
    model = keras_model.build_model(
        job.network,
        seed=job.config.seed,
        precision="float32" if precision.startswith("mixed_") else precision,
        factories=keras_model.Factories(
            dropout=lambda layer: keras.layers.Identity(name=layer.name)
        ),
    )
    first = {} if job.config.initial_weights is not None else _norms(job, model, rows)
    keras_model.assign_weights(model, job.network, weights)
    return first, _norms(job, model, rows)


def _norms(job: training_job.Job, model: keras.Model, rows: NDArray[np.int64]) -> dict[str, float]:
    """Return the Euclidean norm of the gradient of the weights of each layer, by name."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        outputs = model(tf.constant(job.train.inputs.take(rows)), training=True)
        weights = None if job.loss_weights is None else tf.constant(job.loss_weights[rows])
        loss = loss_of(job)(tf.constant(job.labels[rows]), outputs, weights)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    squares = {}
    for variable, gradient in zip(variables, gradients, strict=True):
        # A constant output has no gradient; the gradient of an embedding has only some rows.
        dense = np.zeros(1) if gradient is None else tf.convert_to_tensor(gradient).numpy()
        squares[variable.path] = float(np.square(dense.astype(np.float64)).sum())
    norms = {}
    for layer in job.network.weighted:
        if layer.weights:
            trained = model.get_layer(layer.name).trainable_variables
            norms[layer.name] = math.sqrt(sum(squares[variable.path] for variable in trained))
    return norms
