"""Run and time processes in the environment that all measurements share."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout that is measured."""
DLCLI = (sys.executable, "-m", "dlcli")

_SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
"""Variables with which NumPy may use another processor's kernels, or Python may recompile
modules."""


def add_numbers(parser: argparse.ArgumentParser, options: Iterable[tuple[str, int, str]]) -> None:
    """Add integer options, given the name, default and meaning of each."""
    for name, value, text in options:
        help = f"{text} [default: {value:,}]"
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=help)


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


def process_figures(command: Sequence[str | Path]) -> dict[str, float]:
    """Run a command in the checkout; return its duration, its processor time and its peak memory.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace")
            raise subprocess.CalledProcessError(process.returncode, command, stderr=text)
    return {
        "wall_seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def environment() -> dict[str, str]:
    """Return the environment variables of all measured processes."""
    kept = {name: value for name, value in os.environ.items() if name not in _SLOWING}
    return {**kept, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
