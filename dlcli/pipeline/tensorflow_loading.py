"""Load TensorFlow without its log, and prepare the device."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlcli.config import Config
from dlcli.pipeline.events import Events

if TYPE_CHECKING:
    from dlcli.training import Device

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own switch: where the user has set it lower, its log is left alone."""

_SILENT = "3"


def load_tensorflow(config: Config, events: Events) -> Device:
    """Load TensorFlow and prepare the device; quick if that was done already.

    Args:
        config: reads `device` and `threads`.
        events: receives the device.

    Raises:
        ConfigError: for a GPU where there is none.
        UsageError: if TensorFlow already runs in this process with other threads.
    """
    with quiet_tensorflow(), pause_collection():
        from dlcli.training import prepare_device

        device = prepare_device(config.device, config.threads)
    events.emit("device", device=device.name, threads=device.threads)
    return device


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Suppress what TensorFlow's C++ code writes to standard error while it is loaded.

    It writes before its own switch is read, so the file descriptor itself is redirected. Errors
    are exceptions and pass.
    """
    if os.environ.setdefault(LOG_LEVEL, _SILENT) != _SILENT:
        yield
        return
    try:
        original = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


@contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Suppress TensorFlow's warnings about several programs in one process, which are intended.

    Fits of different shapes have programs of their own, which TensorFlow takes for one program that
    is traced again and again.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)  # one for each block, as they may be nested
    try:
        yield
    finally:
        logger.removeFilter(is_other)


@contextmanager
def pause_collection() -> Iterator[None]:
    """Pause garbage collection while many objects are loaded that stay.

    Loading TensorFlow makes about a million objects; searching them for garbage again and again
    takes a tenth of the time. Afterwards it is on, even if the program started without it: models
    are cyclic garbage when they are no longer needed.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
