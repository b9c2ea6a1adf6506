"""Suite of pages: how long `dlcli report` takes, and how large its page is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.processes import output, wall_seconds
from benchmarks.runner import Case, Figures
from benchmarks.whole import DLCLI

ROWS = (1_000, 1_000_000)
"""Sizes of the tables."""
COLUMNS = 30
"""Numbers of a row, its target aside."""
CLASSES = 3

_CONFIG = """\
data: {train: TABLE, target: kind, validation: 0.15, test: 0.15}
hidden:
  - {units: 32, activation: relu}
epochs: 2
batch_size: 4096
"""


def report_cases(folder: Path) -> Iterator[Case]:
    """Yields the making of the page of runs on tables of some sizes.

    Args:
        folder: a place for the tables and the runs.
    """
    for rows in ROWS:
        name = f"report-{rows}"
        write_table(folder / f"{name}.parquet", rows)
        config, run = folder / f"{name}.yaml", folder / name
        config.write_text(_CONFIG.replace("TABLE", f"{name}.parquet"), "utf-8")
        output([*DLCLI, "train", config, "--output", run])
        yield Case(case_name(rows), partial(_measure, run))


def case_name(rows: int) -> str:
    """The name of the case of so many rows."""
    return f"dlcli report, {rows:,} rows"


def write_table(path: Path, rows: int) -> None:
    """Writes numbers and a class that follows from some of them, from a fixed seed."""
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(rows, COLUMNS)).astype(np.float32)
    scores = matrix[:, :CLASSES] + chance.normal(size=(rows, CLASSES))
    kinds = np.array([f"kind {number}" for number in range(CLASSES)])[scores.argmax(axis=1)]
    columns = {f"x{number}": matrix[:, number] for number in range(COLUMNS)}
    parquet.write_table(pa.table({**columns, "kind": kinds}), path)


def _measure(run: Path) -> Figures:
    seconds = wall_seconds([*DLCLI, "report", run])
    return {"wall_seconds": seconds, "page_bytes": (run / "report.html").stat().st_size}
