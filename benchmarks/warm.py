"""Commands in processes of their own that needn't load TensorFlow: forked from one that has.

Loading takes most of a short training's time, and comes before it has written anything.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Ended:
    """How a command has ended."""

    code: int
    """Its exit code, or the signal that ended it, negative."""
    output: str
    """What it wrote to standard output."""
    errors: str
    """What it wrote to standard error."""


class Command:
    """A command of dlcli that runs.

    Args:
        arguments: after the program's name.
        folder: its current folder.
        log: a folder, which is there, for what it writes to standard output and error.
    """

    def __init__(self, arguments: Sequence[str | Path], folder: Path, log: Path) -> None:
        self._output, self._errors = log / "output", log / "errors"
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; NumPy's and Arrow's know that they may be forked.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            self._run([*map(str, arguments)], folder)
        self._child = child

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal, by default that which ends it at once, with nothing tidied up."""
        os.kill(self._child, number)

    def wait(self, seconds: float | None = None) -> Ended | None:
        """Waits for its end.

        Args:
            seconds: how long at most; without, as long as it takes.

        Returns:
            How it has ended; `None` if it still runs.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            child, status = os.waitpid(self._child, 0 if until is None else os.WNOHANG)
            if child:
                texts = (path.read_text("utf-8") for path in (self._output, self._errors))
                return Ended(os.waitstatus_to_exitcode(status), *texts)
            time.sleep(0.001)
        return None

    def _run(self, arguments: list[str], folder: Path) -> NoReturn:
        """Is the command, in the forked process, as if the shell had started it."""
        code = 1
        try:
            for descriptor, path in ((1, self._output), (2, self._errors)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            os.chdir(folder)
            code = _exit_code(arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def load() -> None:
    """Loads all that a training needs, but starts nothing that a fork would lack."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import dlcli.cli
    import dlcli.keras_model
    import dlcli.pipeline.train_run
    import dlcli.training  # noqa: F401


def _exit_code(arguments: list[str]) -> int:
    from dlcli.cli import main

    try:
        main(arguments, prog_name="dlcli")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
