"""Measure how fast a few rows are predicted in a warm process, as rows and as a table.

`python -m benchmarks.few_rows` trains shipped configs for two epochs, and predicts rows of their
tables by `Predictor.few_rows` and by `read` and `predict`, which are interleaved. It prints
medians of CPU time, and fails if the predictions differ.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.processes import DLCLI, output
from dlcli.columns.value_problems import ValueProblems
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run_folder import open_run
from dlcli.tables.memory_tables import memory_table

ROOT = Path(__file__).parents[1]
CONFIGS = ("steering", "penguins", "reviews", "breast_cancer", "diabetes")
SIZES = (1, 8, 64)
_CALLS = 5
"""Number of calls that are timed together, because the CPU clock is coarse."""

Row = Mapping[str, object]


def main() -> None:
    """Print the medians of each table and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", nargs="+", default=CONFIGS, choices=CONFIGS)
    arguments = parser.parse_args()
    print("table           rows   as table     as rows   ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            config, run = ROOT / "configs" / f"{name}.yaml", Path(folder) / name
            output([*DLCLI, "train", config, "--set", "epochs=2", "--output", run])
            predictor = open_run(run).predictor
            rows = read_rows(ROOT / "data" / f"{name}.csv")
            for size in SIZES:
                table, quick = measure(predictor, rows[:size], arguments.rounds)
                seconds = f"{table * 1e6:8.0f} µs {quick * 1e6:8.0f} µs"
                print(f"{name:15} {size:4} {seconds} {table / quick:7.1f}")


def read_rows(path: Path) -> list[dict[str, object]]:
    """Read the rows of a CSV file in the form of JSON from a client."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(stream)]


def _value(text: str) -> object:
    if text in ("", "NA"):
        return None
    try:
        return float(text)
    except ValueError:
        return text


def measure(predictor: Predictor, rows: Sequence[Row], rounds: int) -> tuple[float, float]:
    """Return the median CPU seconds of predicting rows as a table, and as rows."""

    def as_table() -> object:
        problems = ValueProblems()
        return predictor.predict(predictor.read(memory_table(rows)), problems).outputs

    def as_rows() -> object:
        few = predictor.few_rows(rows, lambda: sys.exit("the rows are left to the table"), "rows")
        return predictor.predict(few, ValueProblems()).outputs

    if not np.array_equal(as_table(), as_rows()):  # type: ignore[arg-type]
        sys.exit("the predictions differ")
    each = [(_seconds(as_table), _seconds(as_rows)) for _ in range(rounds)]
    table, quick = zip(*each, strict=True)
    return median(table), median(quick)


def _seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in range(_CALLS):
        function()
    return (time.process_time() - start) / _CALLS


if __name__ == "__main__":
    main()
