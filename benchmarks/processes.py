"""Run and time processes in the environment that all measurements share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout that is measured."""
DLCLI = (sys.executable, "-m", "dlcli")

_SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
"""Variables that may make NumPy run kernels of another processor, or Python compile each module."""


def output(command: Sequence[str | Path]) -> str:
    """Run a command in the checkout and return its standard output.

    Raises:
        subprocess.CalledProcessError: if it fails; contains its standard error.
    """
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


def wall_seconds(command: Sequence[str | Path], exit_code: int = 0) -> float:
    """Run a command in the checkout and return its duration.

    Raises:
        subprocess.CalledProcessError: if it ends with another exit code.
    """
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != exit_code:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return seconds


def environment() -> dict[str, str]:
    """Return the environment variables of all measured processes."""
    kept = {name: value for name, value in os.environ.items() if name not in _SLOWING}
    return {**kept, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
