"""Suites of whole processes: start-up, small and default trainings, the report, the live view."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.processes import DLCLI, ROOT, environment, output, process_figures, wall_seconds
from benchmarks.runner import Case, Figures

LINE = ROOT / "configs" / "line.yaml"

SMALL_CONFIG = """\
seed: 7
data: {train: TABLE, target: diagnosis, validation: 0.15, test: 0.15}
hidden:
  - {units: 32, activation: relu}
epochs: 100
"""
TENSORFLOW = "import tensorflow"
"""The case that only loads TensorFlow and Keras."""
_LOAD = "import tensorflow; tensorflow.keras.layers"

REPORT_ROWS = (1_000, 1_000_000)
"""Sizes of the reported tables."""
_REPORT_COLUMNS = 30
_REPORT_CLASSES = 3
_REPORT_CONFIG = """\
data: {train: TABLE, target: kind, validation: 0.15, test: 0.15}
hidden:
  - {units: 32, activation: relu}
epochs: 2
batch_size: 4096
"""

STARTER_ROWS = (1_000, 10_000, 100_000)
"""Sizes of the tables that are trained by the default config."""
_STARTER_NUMBERS = 18

TERMINAL_EPOCHS = 200_000
"""Number of epochs of four rows: some ten thousand per second, each of which updates the view."""
LIVE, QUIET = "live view", "--quiet"


def tutorial_cases(folder: Path) -> Iterator[Case]:
    """Yield the tutorial's job by dlcli and by a plain Keras script, and importing TensorFlow.

    Args:
        folder: for the runs.
    """
    runs = (folder / f"tutorial-{number}" for number in count())
    yield Case("dlcli train", lambda: _train(next(runs)))
    yield _python(TENSORFLOW, _LOAD)
    yield Case("Keras script", _script)


def small_table_cases(folder: Path) -> Iterator[Case]:
    """Yield a small training from prompt to prompt, by dlcli and by a plain Keras script.

    Args:
        folder: for the config and the runs.
    """
    config, runs = folder / "small-table.yaml", (folder / f"small-{n}" for n in count())
    table = ROOT / "data" / "breast_cancer.csv"
    config.write_text(SMALL_CONFIG.replace("TABLE", json.dumps(str(table))), "utf-8")
    script = (sys.executable, "-m", "benchmarks.rivals.small_table")
    loading = (sys.executable, "-c", _LOAD)
    yield Case(
        "dlcli train",
        lambda: process_figures([*DLCLI, "train", config, "--output", next(runs)]),
    )
    yield Case(TENSORFLOW, lambda: process_figures(loading))
    yield Case("Keras script", lambda: process_figures(script))


def _train(run: Path) -> Figures:
    seconds = wall_seconds([*DLCLI, "train", LINE, "--output", run])
    return {"wall_seconds": seconds, "training_seconds": _trained(run)["seconds"]}


def _trained(run: Path) -> dict[str, Any]:
    """Return the event at the end of training, from the log of a run."""
    log = (run / "events.jsonl").read_text(encoding="utf-8")
    return next(event for event in map(json.loads, log.splitlines()) if event["event"] == "trained")


def _script() -> Figures:
    start = time.perf_counter()
    printed = output([sys.executable, "-m", "benchmarks.rivals.tutorial"])
    seconds = time.perf_counter() - start
    return {"wall_seconds": seconds, "training_seconds": float(printed)}


def start_up_cases(folder: Path) -> Iterator[Case]:
    """Yield commands that don't load TensorFlow.

    Args:
        folder: for an invalid config, a run and a row to predict.
    """
    invalid, row, run = folder / "invalid.yaml", folder / "row.csv", folder / "run"
    invalid.write_text(LINE.read_text(encoding="utf-8").replace("epochs:", "epoch:"), "utf-8")
    row.write_text("x\n5\n", "utf-8")
    output([*DLCLI, "train", LINE, "--set", "epochs=1", "--output", run])
    yield _process("dlcli --help", *DLCLI, "--help")
    yield _python("import click", "import click")
    yield _process("config error", *DLCLI, "train", invalid, exit_code=2)
    yield _process("predict a row", *DLCLI, "predict", run, row)


def _python(name: str, code: str) -> Case:
    return _process(name, sys.executable, "-c", code)


def _process(name: str, *command: str | Path, exit_code: int = 0) -> Case:
    def measure() -> Figures:
        return {"wall_seconds": wall_seconds(command, exit_code)}

    return Case(name, measure)


def starter_cases(folder: Path, sizes: Sequence[int] = STARTER_ROWS) -> Iterator[Case]:
    """Yield trainings by the configs that `dlcli init` writes for tables of several sizes.

    Args:
        folder: for the tables, the configs and the runs.
        sizes: numbers of rows.
    """
    runs = (folder / f"starter-{number}" for number in count())
    for rows in sizes:
        table, config = folder / f"starter-{rows}.parquet", folder / f"starter-{rows}.yaml"
        _write_numbers(table, rows)
        output([*DLCLI, "init", table, "--target", "y", "--output", config])
        yield Case(starter_case_name(rows), partial(_train_starter, config, runs))


def starter_case_name(rows: int) -> str:
    """Return the name of the case of this number of rows."""
    return f"dlcli train, {rows:,} rows"


def _train_starter(config: Path, runs: Iterator[Path]) -> Figures:
    return process_figures([*DLCLI, "train", config, "--output", next(runs)])


def _write_numbers(path: Path, rows: int) -> None:
    """Write numbers and two categories, and a number that depends on them, from a fixed seed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(_STARTER_NUMBERS, rows)).astype(np.float32)
    eight, four = rng.integers(0, 8, rows), rng.integers(0, 4, rows)
    effects = np.sin(2 * x[0]) + 0.3 * x[1] + 0.5 * x[2] * x[3] + 0.3 * eight + 0.3 * (four == 2)
    columns = {f"x{number}": column for number, column in enumerate(x)}
    names = np.array([*"abcdefgh"])
    categories = {"letter": names[eight], "other letter": names[four]}
    y = effects + rng.normal(scale=0.3, size=rows)
    parquet.write_table(pa.table({**columns, **categories, "y": y}), path)


def report_cases(folder: Path) -> Iterator[Case]:
    """Yield the report page of runs on tables of several sizes.

    Args:
        folder: for the tables and the runs.
    """
    for rows in REPORT_ROWS:
        name = f"report-{rows}"
        _write_classes(folder / f"{name}.parquet", rows)
        config, run = folder / f"{name}.yaml", folder / name
        config.write_text(_REPORT_CONFIG.replace("TABLE", f"{name}.parquet"), "utf-8")
        output([*DLCLI, "train", config, "--output", run])
        yield Case(report_case_name(rows), partial(_report, run))


def report_case_name(rows: int) -> str:
    """Return the name of the case of this number of rows."""
    return f"dlcli report, {rows:,} rows"


def _write_classes(path: Path, rows: int) -> None:
    """Write random numbers, and a class that depends on some of them, from a fixed seed."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(rows, _REPORT_COLUMNS)).astype(np.float32)
    scores = matrix[:, :_REPORT_CLASSES] + rng.normal(size=(rows, _REPORT_CLASSES))
    names = np.array([f"kind {number}" for number in range(_REPORT_CLASSES)])
    columns = {f"x{number}": column for number, column in enumerate(matrix.T)}
    parquet.write_table(pa.table({**columns, "kind": names[scores.argmax(axis=1)]}), path)


def _report(run: Path) -> Figures:
    seconds = wall_seconds([*DLCLI, "report", run])
    return {"wall_seconds": seconds, "page_bytes": (run / "report.html").stat().st_size}


def terminal_cases(folder: Path, epochs: int = TERMINAL_EPOCHS) -> Iterator[Case]:
    """Yield a training with the live view on a terminal, and the same with `--quiet`.

    Args:
        folder: for the runs.
        epochs: number of epochs.
    """
    runs = (folder / f"terminal-{number}" for number in count())
    yield Case(QUIET, lambda: _train_on_terminal(next(runs), epochs, QUIET))
    yield Case(LIVE, lambda: _train_on_terminal(next(runs), epochs))


def _train_on_terminal(run: Path, epochs: int, *options: str) -> Figures:
    settings = ("--set", f"epochs={epochs}")
    text = _run_on_terminal([*DLCLI, "train", LINE, *settings, "--output", run, *options])
    return {"training_seconds": _trained(run)["seconds"], "updates": text.count(b"epochs/s")}


def _run_on_terminal(command: list[str | Path]) -> bytes:
    """Run a process with a terminal of 80 columns as standard error, and return this output.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    import pty
    import termios

    reading_end, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    parts: list[bytes] = []
    reader = threading.Thread(target=lambda: parts.extend(_read(reading_end)))
    reader.start()
    variables = {**environment(), "TERM": "xterm-256color"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=terminal, check=False
    )
    os.close(terminal)
    reader.join()
    os.close(reading_end)
    written = b"".join(parts)
    if done.returncode:
        text = written.decode(errors="replace")
        raise subprocess.CalledProcessError(done.returncode, command, stderr=text)
    return written


def _read(terminal: int) -> Iterator[bytes]:
    """Yield the output to a terminal until it is closed."""
    with suppress(OSError):  # Linux reports the end of a closed terminal as an error
        while part := os.read(terminal, 2**16):
            yield part
