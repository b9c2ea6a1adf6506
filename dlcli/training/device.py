"""Where training runs, with how many threads: set once a process, before the first operation."""

from __future__ import annotations

import os
from dataclasses import dataclass

import tensorflow as tf

from dlcli.errors import ConfigError, Problem, UsageError


@dataclass(frozen=True)
class Device:
    """Where training runs."""

    name: str
    """`cpu` or `gpu`."""
    threads: int
    """CPU threads within and between operations."""


def prepare_device(device: str, threads: int | str) -> Device:
    """Chooses the device and makes TensorFlow exact on it.

    Operations that would add in a changing order are replaced or refused
    (`tf.config.experimental.enable_op_determinism`), and a GPU's memory grows as needed.

    Args:
        device: `cpu`, `gpu`, or `auto` for a GPU if there is one.
        threads: how many, or `auto` for all that this process may use.

    Raises:
        ConfigError: if a GPU is asked for and none is there.
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
    # TensorFlow's graph optimizer costs a quarter of a small job and speeds no step of a Dense
    # network up; XLA has an optimizer of its own.
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
    except RuntimeError:  # it runs already, perhaps with just as many; 0 stands for all there are
        if any((each or _processors()) != count for each in now):
            raise


def _processors() -> int:
    """The processors that this process may use; all there are where the system doesn't tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
