"""Suites of whole processes: the tutorial's job, and how fast the command line answers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.processes import ROOT, output, wall_seconds
from benchmarks.runner import Case, Figures

DLCLI = (sys.executable, "-m", "dlcli")
LINE = ROOT / "configs" / "line.yaml"


def tutorial_cases(folder: Path) -> Iterator[Case]:
    """Yields the tutorial's job, from the shell's prompt to the shell's prompt.

    Args:
        folder: a place for runs.
    """
    runs = (folder / f"tutorial-{number}" for number in count())
    yield Case("dlcli train", lambda: _train(next(runs)))
    yield _python("import tensorflow", "import tensorflow; tensorflow.keras.layers")
    yield Case("Keras script", _script)


def start_up_cases(folder: Path) -> Iterator[Case]:
    """Yields what answers without TensorFlow.

    Args:
        folder: a place for a config with a mistake, a run and a row to predict.
    """
    wrong, row, run = folder / "wrong.yaml", folder / "row.csv", folder / "run"
    wrong.write_text(LINE.read_text(encoding="utf-8").replace("epochs:", "epoch:"), "utf-8")
    row.write_text("x\n5\n", "utf-8")
    output([*DLCLI, "train", LINE, "--set", "epochs=1", "--output", run])
    yield _process("dlcli --help", *DLCLI, "--help")
    yield _python("import click", "import click")
    yield _process("config error", *DLCLI, "train", wrong, exit_code=2)
    yield _process("predict a row", *DLCLI, "predict", run, row)


def _train(run: Path) -> Figures:
    seconds = wall_seconds([*DLCLI, "train", LINE, "--output", run])
    log = (run / "events.jsonl").read_text(encoding="utf-8")
    trained = next(e for e in map(json.loads, log.splitlines()) if e["event"] == "trained")
    return {"wall_seconds": seconds, "training_seconds": trained["seconds"]}


def _script() -> Figures:
    start = time.perf_counter()
    printed = output([sys.executable, "-m", "benchmarks.rivals.tutorial"])
    seconds = time.perf_counter() - start
    return {"wall_seconds": seconds, "training_seconds": float(printed)}


def _python(name: str, code: str) -> Case:
    return _process(name, sys.executable, "-c", code)


def _process(name: str, *command: str | Path, exit_code: int = 0) -> Case:
    def measure() -> Figures:
        return {"wall_seconds": wall_seconds(command, exit_code)}

    return Case(name, measure)
