"""Suite of a long table: how fast it is read, encoded and predicted, beside pyarrow and NumPy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pyarrow import csv, parquet

from benchmarks.mixed import CONFIG, mixed_table
from benchmarks.processes import output
from benchmarks.runner import Case, Figures

ROWS = 1_000_000
_TRAINING_ROWS = 20_000


def encoding_cases(folder: Path, rows: int = ROWS) -> Iterator[Case]:
    """Yields what is done to a table of mixed columns, each in a process of its own.

    Args:
        folder: a place for the table, and for a run that was trained on some of its rows.
        rows: how many the table has.
    """
    table = mixed_table(rows)
    stored, text, run = folder / "mixed.parquet", folder / "mixed.csv", folder / "mixed-run"
    parquet.write_table(table, stored)
    csv.write_csv(table, text)
    parquet.write_table(table.slice(0, _TRAINING_ROWS), folder / "train.parquet")
    config = folder / "mixed.yaml"
    config.write_text(CONFIG, "utf-8")
    output([sys.executable, "-m", "dlcli", "train", config, "--output", run])

    def case(name: str, step: str, data: Path, made: str = "") -> Case:
        return Case(name, partial(_measure, step, data, run, folder / made))

    yield case("pyarrow read", "read", stored)
    yield case("dlcli encode", "encode", stored)
    yield case("dlcli fit", "fit", stored)
    yield case("read, products, write", "floor", stored, "floor.parquet")
    yield case("dlcli predict", "predict", stored, "predictions.parquet")
    yield case("dlcli predict to CSV", "predict", stored, "predictions.csv")
    yield case("pyarrow read of CSV", "read_csv", text)
    yield case("dlcli encode of CSV", "encode", text)


def _measure(step: str, data: Path, run: Path, made: Path) -> Figures:
    worker: list[str | Path] = [sys.executable, "-m", "benchmarks.steps", step, data, run, made]
    figures: Figures = json.loads(output(worker))
    return figures
