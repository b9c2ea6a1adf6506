"""TensorFlow without its log."""

from __future__ import annotations

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
