"""TensorFlow loaded without its log, and sooner."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own switch: where the user has set it lower, its log is left alone."""

_SILENCE = "3"


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Silences what TensorFlow's C++ writes to standard error while it is loaded.

    It writes before its own switch is read, so the file descriptor itself is turned away. Errors
    are exceptions and pass.
    """
    if os.environ.setdefault(LOG_LEVEL, _SILENCE) != _SILENCE:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Keeps back what TensorFlow says of several programs in one process, which is as it should be.

    Trainings of different shapes have programs of their own, and TensorFlow takes them for one that
    is built anew.
    """

    def is_another(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_another)  # one for each block, as they may be nested
    try:
        yield
    finally:
        logger.removeFilter(is_another)


@contextmanager
def without_collection() -> Iterator[None]:
    """Puts garbage collection off while much is loaded that stays.

    Loading TensorFlow makes some million objects, and looking through them again and again for
    garbage, of which there is none, is a tenth of its time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
