"""Suite of tables larger than memory: trained on from disk by a process that may not hold them.

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
from dlcli.config import load_config
from dlcli.pipeline import train

COLUMNS = 300
"""Numbers of a row, its target aside."""
ROWS = (1_000_000, 4_000_000)
"""Sizes of the tables: 1.2 and 4.8 GB."""
LIMIT = 4_500_000_000
"""Bytes of address space that the process may take: less than the larger table. TensorFlow takes
1.7 GB of it, and the stacks and arenas of its threads another."""

_ROWS_AT_ONCE = 50_000
_CONFIG = """\
data: {train: TABLE, target: y, validation: 0.01, test: 0.01, storage: disk}
hidden:
  - {units: 64, activation: relu}
epochs: 1
batch_size: 4096
"""


def memory_cases(folder: Path, sizes: Sequence[int] = ROWS) -> Iterator[Case]:
    """Yields the training of tables of some sizes, each in a process of its own.

    Args:
        folder: a place for the tables, and for what is made of them: four times their bytes.
        sizes: how many rows they have.
    """
    runs = (folder / f"memory-{number}" for number in itertools.count())
    for rows in sizes:
        name = f"memory-{rows}"
        write_table(folder / f"{name}.parquet", rows)
        config = folder / f"{name}.yaml"
        config.write_text(_CONFIG.replace("TABLE", f"{name}.parquet"), "utf-8")
        yield Case(case_name(rows), partial(_measure, config, runs))


def case_name(rows: int) -> str:
    """What tables call a size."""
    return f"{rows:,} rows"


def write_table(path: Path, rows: int) -> None:
    """Writes numbers, and a target that follows from them, some rows at a time."""
    random = np.random.default_rng(0)
    weights = random.standard_normal(COLUMNS, np.float32)
    names = [*(f"x{number}" for number in range(COLUMNS)), "y"]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, _ROWS_AT_ONCE):
            x = random.standard_normal((COLUMNS, min(_ROWS_AT_ONCE, rows - start)), np.float32)
            y = weights @ x + random.standard_normal(x.shape[1], np.float32)
            writer.write_table(pa.table([*x, y], schema))


def _measure(config: Path, runs: Iterator[Path]) -> Figures:
    worker: list[str | Path] = [sys.executable, "-m", "benchmarks.memory"]
    figures: Figures = json.loads(output([*worker, config, next(runs), str(LIMIT)]))
    return figures


def measure(config: Path, run: Path, limit: int) -> dict[str, float]:
    """Trains from disk under a limit.

    Args:
        config: what to train on what.
        run: where to.
        limit: bytes of address space.

    Returns:
        The seconds it took, and the most bytes that this process ever held, alone and over those of
        the table.
    """
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    start = time.perf_counter()
    train(load_config(config), run)
    seconds, peak = time.perf_counter() - start, peak_bytes()
    table = config.with_suffix(".parquet").stat().st_size
    return {"step_seconds": seconds, "peak_bytes": peak, "table_share": peak / table}


if __name__ == "__main__":
    *paths, limit = sys.argv[1:]
    print(json.dumps(measure(*map(Path, paths), int(limit))))
