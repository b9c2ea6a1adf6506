"""Training with the live view on a terminal, beside training that shows nothing."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.processes import ROOT, environment
from benchmarks.runner import Case, Figures
from benchmarks.whole import DLCLI, LINE

EPOCHS = 200_000
"""Epochs of four rows: some ten thousand a second, each of which the view is told."""
LIVE, QUIET = "live view", "--quiet"


def terminal_cases(folder: Path, epochs: int = EPOCHS) -> Iterator[Case]:
    """Yields a training on a terminal, and the same without anything shown.

    Args:
        folder: a place for runs.
        epochs: how many are trained.
    """
    runs = (folder / f"terminal-{number}" for number in count())
    yield Case(QUIET, lambda: _train(next(runs), epochs, QUIET))
    yield Case(LIVE, lambda: _train(next(runs), epochs))


def _train(run: Path, epochs: int, *options: str) -> Figures:
    command = [*DLCLI, "train", LINE, "--set", f"epochs={epochs}", "--output", run, *options]
    pictures = _on_a_terminal(command).count(b"epochs/s")
    log = (run / "events.jsonl").read_text(encoding="utf-8")
    trained = next(e for e in map(json.loads, log.splitlines()) if e["event"] == "trained")
    return {"training_seconds": trained["seconds"], "pictures": pictures}


def _on_a_terminal(command: list[str | Path]) -> bytes:
    """What a process writes to a terminal of 80 columns that stands for its standard error.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    parts: list[bytes] = []
    reader = threading.Thread(target=lambda: parts.extend(_read(ours)))
    reader.start()
    variables = {**environment(), "TERM": "xterm-256color"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=theirs, check=False
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    written = b"".join(parts)
    if done.returncode:
        text = written.decode(errors="replace")
        raise subprocess.CalledProcessError(done.returncode, command, stderr=text)
    return written


def _read(terminal: int) -> Iterator[bytes]:
    """Yields what comes until the other side is closed, as a terminal that keeps up does."""
    with suppress(OSError):  # which is how Linux tells of that
        while part := os.read(terminal, 2**16):
            yield part
