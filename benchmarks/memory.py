"""Memory suite: train from disk on tables larger than memory, with limited address space.

`python -m benchmarks.memory CONFIG RUN LIMIT` is one measurement.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.processes import output
from benchmarks.runner import Case, Figures
from benchmarks.worker import peak_bytes
from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train

COLUMNS = 300
"""Number of features, all numeric."""
ROWS = (1_000_000, 4_000_000)
"""Sizes of the tables: 1.2 and 4.8 GB."""
LIMIT = 4_500_000_000
"""Address space of the process in bytes: less than the larger table. TensorFlow's libraries use 1.7
GB of it, and the stacks and arenas of its threads 1 GB."""

_ROWS_AT_ONCE = 50_000
CONFIG = """\
data: {train: TABLE, target: y, validation: 0.01, test: 0.01, storage: disk}
hidden:
  - {units: 64, activation: relu}
epochs: 1
batch_size: 4096
"""
"""The config of all trainings; TABLE stands for the file."""


def memory_cases(
    folder: Path, sizes: Sequence[int] = ROWS, columns: int = COLUMNS
) -> Iterator[Case]:
    """Yield trainings on tables of several sizes, each in a separate process.

    Args:
        folder: the folder for tables and runs, which need four times the size of the tables.
        sizes: numbers of rows.
        columns: number of features.
    """
    runs = (folder / f"memory-{number}" for number in itertools.count())
    for rows in sizes:
        name = f"memory-{rows}"
        write_table(folder / f"{name}.parquet", rows, columns)
        config = folder / f"{name}.yaml"
        config.write_text(CONFIG.replace("TABLE", f"{name}.parquet"), "utf-8")
        yield Case(case_name(rows), partial(_measure, config, runs))


def case_name(rows: int) -> str:
    """Return the name of the case of this number of rows."""
    return f"{rows:,} rows"


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write random numbers, and a target that depends on them, in blocks of rows."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(columns, np.float32)
    names = [*(f"x{number}" for number in range(columns)), "y"]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, _ROWS_AT_ONCE):
            x = rng.standard_normal((columns, min(_ROWS_AT_ONCE, rows - start)), np.float32)
            y = weights @ x + rng.standard_normal(x.shape[1], np.float32)
            writer.write_table(pa.table([*x, y], schema))


def _measure(config: Path, runs: Iterator[Path]) -> Figures:
    module: list[str | Path] = [sys.executable, "-m", "benchmarks.memory"]
    figures: Figures = json.loads(output([*module, config, next(runs), str(LIMIT)]))
    return figures


def measure(config: Path, run: Path, limit: int) -> dict[str, float]:
    """Train from disk under a limit.

    Args:
        config: the config.
        run: the run folder.
        limit: bytes of address space.

    Returns:
        The seconds, and the peak memory of this process, in bytes and divided by the size of the
        table.
    """
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    start = time.perf_counter()
    train(load_config(config), run)
    seconds, peak = time.perf_counter() - start, peak_bytes()
    table = config.with_suffix(".parquet").stat().st_size
    return {"step_seconds": seconds, "peak_bytes": peak, "table_share": peak / table}


if __name__ == "__main__":
    config_path, run_path, limit_text = sys.argv[1:]
    print(json.dumps(measure(Path(config_path), Path(run_path), int(limit_text))))
