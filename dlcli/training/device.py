"""Device and threads of a process, set before TensorFlow's first operation."""

from __future__ import annotations

import os
from dataclasses import dataclass

import tensorflow as tf

from dlcli.errors import ConfigError, Problem, UsageError


@dataclass(frozen=True)
class Device:
    """The device of a process."""

    name: str
    """`cpu` or `gpu`."""
    threads: int
    """CPU threads within and between operations."""


def prepare_device(device: str, threads: int | str) -> Device:
    """Choose the device and make TensorFlow deterministic on it.

    Operations whose order of summation may vary are replaced or refused
    (`tf.config.experimental.enable_op_determinism`), and a GPU's memory is allocated as needed.

    Args:
        device: `cpu`, `gpu`, or `auto` for a GPU if there is one.
        threads: number of threads, or `auto` for all that this process may use.

    Raises:
        ConfigError: if a GPU is requested and there is none.
        UsageError: if TensorFlow already runs in this process with other threads.
    """
    gpus = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        message = "TensorFlow sees no GPU on this machine; use auto or cpu, or install dlcli[gpu]"
        raise ConfigError([Problem("device", message)])
    count = _processors() if threads == "auto" else int(threads)
    try:
        tf.config.set_visible_devices(gpus, "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        _set_threads(count)
    except RuntimeError:
        message = "TensorFlow already runs in this process with another device or other threads"
        raise UsageError(f"{message}; start a new one") from None
    tf.config.experimental.enable_op_determinism()
    # TensorFlow's graph optimizer takes a quarter of a small job's time and makes no step of Dense
    # networks faster; XLA has its own optimizer.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return Device("gpu" if gpus else "cpu", count)


def _set_threads(count: int) -> None:
    threading = tf.config.threading
    now = (
        threading.get_intra_op_parallelism_threads(),
        threading.get_inter_op_parallelism_threads(),
    )
    try:
        threading.set_intra_op_parallelism_threads(count)
        threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:  # it runs already, maybe with the same number; 0 means all processors
        if any((each or _processors()) != count for each in now):
            raise


def _processors() -> int:
    """Return the number of processors that this process may use, or of all if that is unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
