"""Compare the error of monotone networks with that of free ones, on tables whose truth is monotone.

`python -m benchmarks.monotone [--splits 5] [--json FILE]` trains `dlcli train` on 60 % of the rows
of each table, with and without `monotone`, and prints the RMSE on the other rows: its mean over
splits, and the ratio to that of the free network, with a 95 % confidence interval.

The tables are synthetic, because only then is the truth known to be monotone: products, steps and
saturation of monotone columns, and interactions with other columns that may have any effect.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from scipy import stats

Columns = NDArray[np.float64]
ROWS = 2000
"""Rows of a table, of which 60 % are for training and validation."""
LARGEST_RATIO = 1.02
"""Largest accepted ratio of the errors."""


@dataclass(frozen=True)
class Truth:
    """A table: its target follows from uniform columns, with noise."""

    columns: int
    """Number of columns x0, x1, ..., with values from 0 to 1."""
    increasing: tuple[int, ...]
    decreasing: tuple[int, ...]
    target: Callable[[Columns], Columns]
    """Returns the mean of the target, (rows,), from the columns, (columns, rows)."""
    noise: float
    """Standard deviation of the noise."""


TRUTHS = {
    # Rises and saturates in four columns, with one product.
    "saturation": Truth(
        5,
        (0, 1, 2, 3, 4),
        (),
        lambda x: np.tanh(4 * x[0]) + 2 * x[1] * x[2] + x[3] ** 3 + x[4],
        0.3,
    ),
    # Rises in two columns and falls in two, at a rate that depends on two free columns.
    "interactions": Truth(
        6,
        (0, 1),
        (2, 3),
        lambda x: (
            (1 + np.sin(6 * x[4])) * (x[0] - x[2])
            + 2 * np.sqrt(x[1])
            - np.exp(x[3]) * x[5]
            + np.cos(5 * x[5])
        ),
        0.3,
    ),
    # Smooth steps, as of tariffs: rises in two columns, falls in one; two are free.
    "steps": Truth(
        5,
        (0, 1),
        (2,),
        lambda x: (
            1 / (1 + np.exp(-30 * (x[0] - 0.5)))
            + np.maximum(x[1] - 0.6, 0) * 3
            - np.maximum(x[2], x[3]) * 2
            + np.abs(x[4] - 0.5)
        ),
        0.2,
    ),
}
CONFIG = """\
seed: {seed}
data: {{train: {table}.csv, target: y, validation: 0.15, test: 0.4}}
input:
  features:
{features}
hidden:
  - {{units: 64, activation: relu}}
  - {{units: 64, activation: relu}}
optimizer: {{name: adam, learning_rate: 0.003}}
learning_rate_schedule: cosine_decay
epochs: 60
batch_size: 64
early_stopping: {{patience: 60}}
"""


def write_table(name: str, folder: Path) -> None:
    """Write the rows of a table as CSV."""
    truth, rng = TRUTHS[name], np.random.default_rng([*name.encode()])
    x = rng.uniform(size=(truth.columns, ROWS))
    y = truth.target(x) + truth.noise * rng.normal(size=ROWS)
    header = ",".join([*(f"x{at}" for at in range(truth.columns)), "y"])
    rows = np.column_stack([*x, y])
    np.savetxt(folder / f"{name}.csv", rows, "%.5f", ",", header=header, comments="")


def write_config(name: str, folder: Path, seed: int, *, is_monotone: bool) -> Path:
    """Write the config of a network, and return its path."""
    truth = TRUTHS[name]
    directions = dict.fromkeys(truth.increasing, "increasing")
    directions |= dict.fromkeys(truth.decreasing, "decreasing")
    lines = []
    for at in range(truth.columns):
        monotone = f", monotone: {directions[at]}" if is_monotone and at in directions else ""
        lines.append(f"    x{at}: {{type: numeric{monotone}}}")
    kind = "monotone" if is_monotone else "free"
    path = folder / f"{name}-{kind}-{seed}.yaml"
    path.write_text(CONFIG.format(seed=seed, table=name, features="\n".join(lines)), "utf-8")
    return path


def errors_of(name: str, folder: Path, splits: int) -> dict[str, list[float]]:
    """Return the RMSE of the monotone and of the free network on the test rows of each split."""
    write_table(name, folder)
    errors: dict[str, list[float]] = {"monotone": [], "free": []}
    for seed in range(splits):
        for kind, found in errors.items():
            config = write_config(name, folder, seed, is_monotone=kind == "monotone")
            run = folder / config.stem
            command = ("train", str(config), "--output", str(run), "--quiet")
            subprocess.run(
                [sys.executable, "-m", "dlcli", *command], check=True, stdout=subprocess.DEVNULL
            )
            metrics = json.loads((run / "metrics.json").read_text("utf-8"))
            found.append(float(metrics["test"]["rmse"]))
    return errors


def ratio_of(errors: dict[str, list[float]]) -> tuple[float, float]:
    """Return the geometric mean of the ratios of errors, and the half-width of its interval."""
    logs = np.log(errors["monotone"]) - np.log(errors["free"])
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    ratio = float(np.exp(logs.mean()))
    return ratio, ratio * float(half)


def main() -> None:
    """Measure each table; exit with 1 if a ratio is too large."""
    parser = argparse.ArgumentParser("benchmarks.monotone", description=__doc__)
    parser.add_argument("--splits", type=int, default=5, help="Number of random splits.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write all errors to a file.")
    options = parser.parse_args()
    shown = Table("table", "monotone", "free", "noise", "ratio", box=SIMPLE)
    results, ratios = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, truth in TRUTHS.items():
            results[name] = errors_of(name, Path(folder), options.splits)
            ratio, half = ratio_of(results[name])
            ratios.append(ratio)
            means = [f"{np.mean(each):.4f}" for each in results[name].values()]
            shown.add_row(name, *means, f"{truth.noise}", f"{ratio:.3f} ± {half:.3f}")
    Console().print(shown)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    sys.exit(max(ratios) > LARGEST_RATIO)


if __name__ == "__main__":
    main()
