"""TensorFlow's settings of the whole process, which belong to the program that trains.

While anything is trained, operations whose order of summation may vary are replaced or refused
(`tf.config.experimental.enable_op_determinism`), and TensorFlow's graph optimizer is off: it takes
a quarter of a small job's time and makes no step of Dense networks faster; XLA has its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from tensorflow.python.framework import config  # has what tf.config lacks


class _Trainings:
    """The trainings of this process, in any of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._before = (False, False)

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Let TensorFlow repeat its bits within a block, of which several may run at a time."""
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
