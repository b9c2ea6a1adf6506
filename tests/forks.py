"""Commands in forks of one process that has loaded TensorFlow.

Loading it takes most of the time of a short training.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.forked import Ended, Process, load, run_command


class Forks:
    """Runs commands, one at a time, in the current folder and environment.

    Args:
        log: an empty folder for their output.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_load)

    def run(self, *arguments: str, module: str = "", merged: bool = False) -> Ended:
        """Run a command to its end; see `start`."""
        return self.start(*arguments, module=module, merged=merged).end()

    def start(
        self,
        *arguments: str,
        module: str = "",
        merged: bool = False,
        patches: Mapping[str, object] | None = None,
    ) -> Command:
        """Start a command.

        Args:
            arguments: after the name of the program.
            module: what `python -m` runs; by default dlcli.
            merged: whether errors are printed to the output.
            patches: values of attributes that it is to find changed, by their full names.
        """
        for name in ("output", "errors"):
            (self._log / name).write_text("")
        given = ([*arguments], module, merged, Path.cwd(), self._log, {**os.environ}, patches or {})
        return Command(self._pool, self._log, self._pool.submit(_start, *given).result())

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


class Command:
    """A command that was started."""

    def __init__(self, pool: ProcessPoolExecutor, log: Path, pid: int) -> None:
        self.pid = pid
        self._log = log
        self._ended = pool.submit(_wait)

    def events(self) -> list[dict[str, Any]]:
        """The complete events until now, of a command with `--json`."""
        *lines, _ = (self._log / "output").read_text("utf-8").split("\n")
        return [json.loads(line) for line in lines]

    def wait_for(self, event: str, epoch: int = 0, count: int = 1) -> list[dict[str, Any]]:
        """Wait for events of that name, and of that epoch or a later one; the events so far."""
        has_ended = False
        while not has_ended:
            has_ended = self._ended.done()
            events = self.events()
            awaited = [
                each for each in events if each["event"] == event and each.get("epoch", 0) >= epoch
            ]
            if len(awaited) >= count:
                return events
            time.sleep(0.005)
        raise AssertionError(self.end().errors)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, by default the one that ends it at once."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait for its end, and force it after ten minutes."""
        try:
            return self._ended.result(600)
        except TimeoutError:
            self.kill()
            return self._ended.result()


_running: list[Process] = []
"""The command of the process that is forked."""


def _load() -> None:
    # Tests may run where signals are ignored, as in the background of a shell.
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    load()


def _start(
    arguments: list[str],
    module: str,
    merged: bool,
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    patches: Mapping[str, object],
) -> int:
    def command() -> int:
        os.environ.clear()
        os.environ.update(environment)
        for name, value in patches.items():
            owner, _, attribute = name.rpartition(".")
            setattr(import_module(owner), attribute, value)
        if merged:
            os.dup2(1, 2)
        return run_module(module, arguments) if module else run_command(arguments)

    _running[:] = [Process(command, folder, log)]
    return _running[0].pid


def run_module(name: str, arguments: list[str]) -> int:
    """Do what `python -m` does, and return the exit code."""
    sys.argv[1:] = arguments
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _wait() -> Ended:
    ended = _running[0].wait()
    assert ended is not None
    return ended
