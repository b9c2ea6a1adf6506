"""Processes of their own, in the environment that all measurements share."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout, whose dlcli is measured."""

_SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Where these are set, NumPy's matrix products may run on another machine's kernels."""


def output(command: Sequence[str | Path]) -> str:
    """Runs a command in the checkout and gives its standard output.

    Raises:
        subprocess.CalledProcessError: if it fails; its standard error is in it.
    """
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


def wall_seconds(command: Sequence[str | Path], exit_code: int = 0) -> float:
    """Times a command from its start to its end.

    Raises:
        subprocess.CalledProcessError: if it doesn't end with the exit code that it should.
    """
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != exit_code:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return seconds


def environment() -> dict[str, str]:
    """What all processes that are measured run in."""
    kept = {name: value for name, value in os.environ.items() if name not in _SLOWING}
    return {**kept, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
