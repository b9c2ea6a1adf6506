"""Measure how fast predictions are explained.

`python -m benchmarks.explain` trains eight networks of 128-128-128-1 on 2,000 × 20 random numbers,
and computes the Shapley values of new rows with the background rows of the run. It prints the wall
and CPU seconds for 1,000 rows and for one row in a warm process (medians), and the standard error
of the values, relative to the mean effect of the most important column. The targets are 15 s for
1,000 rows and 50 ms for one row on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.processes import DLCLI, output
from dlcli.explanation.shapley import ShapleyExplainer, ShapleyValues
from dlcli.runs.run_folder import opened_network

MEMBERS = 8
COLUMNS = 20
TRAINING_ROWS = 2_000
CONFIG = f"""\
data: {{train: rows.parquet, target: y}}
hidden: [{", ".join(["{units: 128, activation: ACTIVATION}"] * 3)}]
optimizer: {{name: adamw, learning_rate: 1.0e-3}}
epochs: 20
batch_size: 128
early_stopping: {{patience: 20}}
ensemble: {{members: {MEMBERS}}}
explanation: {{background_rows: BACKGROUND}}
"""


def main() -> None:
    """Print the seconds for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 1_000])
    parser.add_argument("--activation", default="silu")
    parser.add_argument("--background", type=int, default=32, help="Background rows.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures.")
    arguments = parser.parse_args()
    explainer = trained(arguments.activation, arguments.background)
    rng = np.random.default_rng(1)
    found = {}
    print("  rows      wall       CPU   pairs   standard error")
    for rows in arguments.rows:
        matrix = rng.standard_normal((rows, COLUMNS), dtype=np.float32)
        figures = measure(partial(explainer.explain, matrix), arguments.rounds)
        found[rows] = figures
        print(
            f"{rows:6,} {figures['wall']:8.3f}s {figures['cpu']:8.3f}s "
            f"{figures['pairs']:7.0f} {figures['standard_error']:16.2%}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def trained(activation: str, background: int) -> ShapleyExplainer:
    """Train the ensemble, and return its explainer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((TRAINING_ROWS, COLUMNS), dtype=np.float32)
    y = 2 * x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3] + 0.1 * x[:, 4:].sum(axis=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        columns = {f"x{at}": column for at, column in enumerate(x.T)}
        parquet.write_table(pa.table({**columns, "y": y}), path / "rows.parquet")
        config = CONFIG.replace("ACTIVATION", activation).replace("BACKGROUND", str(background))
        (path / "config.yaml").write_text(config, "utf-8")
        output([*DLCLI, "train", path / "config.yaml", "--output", path / "run"])
        with opened_network(path / "run", with_background=True) as run:
            assert run.background is not None
            return ShapleyExplainer(run.predictor, run.background)


def measure(explain: Callable[[], ShapleyValues], rounds: int) -> dict[str, float]:
    """Return the medians of wall and CPU seconds, and the precision of the values."""
    values = explain()
    wall, cpu = [], []
    for _ in range(rounds if len(values) > 1 else 10 * rounds):
        start = time.perf_counter(), time.process_time()
        explain()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    effects = np.abs(values.values).mean(axis=(0, 2))
    error = np.sqrt((values.standard_errors**2).mean()) / effects.max()
    pairs = values.pairs or 0
    return {
        "wall": median(wall),
        "cpu": median(cpu),
        "pairs": pairs,
        "standard_error": float(error),
    }


if __name__ == "__main__":
    main()
