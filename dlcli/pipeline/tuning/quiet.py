"""Optuna without its log."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keeps Optuna from telling of what it does; errors are exceptions and pass."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Heartbeats are "experimental" by name, and meant for another loop than ours.
            warnings.filterwarnings("ignore", module=r"optuna|dlcli\.tuning")
            warnings.filterwarnings("ignore", message=".*[Hh]eartbeat.*")
            yield
    finally:
        logger.setLevel(level)
