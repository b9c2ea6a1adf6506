"""Run dlcli's commands in processes forked from one that has loaded TensorFlow.

Loading TensorFlow takes most of the time of a short training, and happens before the training has
written anything.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

_LOADED = (
    *("dlcli.cli.program", "dlcli.pipeline.train_run", "dlcli.training.engines"),
    # Modules that the others import on use; they take a fifth of the time of a short training.
    *(
        "dlcli.cluster",
        "dlcli.runs.documents",
        "dlcli.reports.training_report",
        "dlcli.tracking.tracked_events",
    ),
    *("pyarrow.csv", "pyarrow.parquet", "scipy.special"),
)
"""The modules that a training needs."""


@dataclass(frozen=True)
class Ended:
    """The end of a process."""

    code: int
    """Exit code, or the negative number of the signal that ended it."""
    output: str
    """Text on standard output."""
    errors: str
    """Text on standard error."""


class Process:
    """A function that runs in a forked process.

    Args:
        function: returns the exit code.
        folder: the current folder of the process.
        log: an existing folder for the files that receive standard output and error.
    """

    def __init__(self, function: Callable[[], int], folder: Path, log: Path) -> None:
        self._output, self._errors = log / "output", log / "errors"
        with warnings.catch_warnings():
            # Python 3.12 warns about threads, but the threads of NumPy and Arrow support forking.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            self._run(function, folder)
        self.pid = child

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, by default SIGKILL, which ends the process without cleanup."""
        os.kill(self.pid, number)

    def wait(self, seconds: float | None = None) -> Ended | None:
        """Wait for the process to end.

        Args:
            seconds: time limit. [default: none]

        Returns:
            The end of the process; `None` if it still runs after the time limit.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            child, status = os.waitpid(self.pid, 0 if deadline is None else os.WNOHANG)
            if child:
                texts = (
                    path.read_text("utf-8", errors="replace") if path.exists() else ""
                    for path in (self._output, self._errors)
                )
                return Ended(os.waitstatus_to_exitcode(status), *texts)
            time.sleep(0.001)
        return None

    def _run(self, function: Callable[[], int], folder: Path) -> NoReturn:
        """Call the function in the forked process, as if a shell had started a program."""
        code = 1
        try:
            for descriptor, path in ((1, self._output), (2, self._errors)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            os.chdir(folder)
            code = function()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def start_command(arguments: Sequence[str | Path], folder: Path, log: Path) -> Process:
    """Start a command of dlcli.

    Args:
        arguments: the arguments of the command, without the name of the program.
        folder: the current folder of the command.
        log: an existing folder for the files that receive standard output and error.
    """
    return Process(partial(run_command, [*map(str, arguments)]), folder, log)


def load() -> None:
    """Import all modules for a training, without starting threads, which a fork would lack."""
    from dlcli.pipeline.fit import pause_collection, quiet_tensorflow

    with quiet_tensorflow(), pause_collection():
        for name in _LOADED:
            import_module(name)


def run_command(arguments: list[str]) -> int:
    """Run a command of dlcli in this process, and return its exit code."""
    from dlcli.cli.program import main

    try:
        main(arguments, prog_name="dlcli")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
