"""Encoding suite: read, encode and predict a long table of mixed columns.

`python -m benchmarks.encodings STEP DATA RUN OUTPUT` measures one step in a separate process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, parquet

from benchmarks.processes import DLCLI, output
from benchmarks.runner import Case, Figures
from benchmarks.worker import peak_bytes
from dlcli.arrays import Matrix, blanked, floats, integers, strings
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.encoding.column_types import type_columns
from dlcli.encoding.table_encoding import fit_encoding
from dlcli.network.layers import rows_at_once
from dlcli.prediction.prediction_tables import assemble, choose_format, write_rows
from dlcli.runs.run_folder import open_run
from dlcli.tables.table_files import read_table

ROWS = 1_000_000
CATEGORIES = (3, 10, 30, 100, 1_000, 5_000)
"""Number of categories of each categorical column."""
CONFIG = """\
data: {train: train.parquet, target: target}
input:
  features:
    category_5: &many
      {type: categorical, max_categories: 5000, encoding: {name: embedding, units: 8}}
    category_6: *many
    "time_?": datetime
    "*": auto
hidden:
  - {units: 64, activation: relu}
  - {units: 32, activation: relu}
epochs: 1
batch_size: 1024
"""
"""Uses all columns: 199 inputs, or 213 with the embeddings."""

_TRAINING_ROWS = 20_000
_MISSING_SHARE = 0.05


def encoding_cases(folder: Path, rows: int = ROWS) -> Iterator[Case]:
    """Yield the steps on a table of mixed columns, each in a separate process.

    Args:
        folder: for the table, and for a run trained on some of its rows.
        rows: length of the table.
    """
    table = mixed_table(rows)
    stored, text, run = folder / "mixed.parquet", folder / "mixed.csv", folder / "mixed-run"
    parquet.write_table(table, stored)
    csv.write_csv(table, text)
    parquet.write_table(table.slice(0, _TRAINING_ROWS), folder / "train.parquet")
    config = folder / "mixed.yaml"
    config.write_text(CONFIG, "utf-8")
    output([*DLCLI, "train", config, "--output", run])

    def case(name: str, step: str, data: Path, result: str = "") -> Case:
        return Case(name, partial(_measure, step, data, run, folder / result))

    yield case("pyarrow read", "read", stored)
    yield case("dlcli encode", "encode", stored)
    yield case("dlcli fit", "fit", stored)
    yield case("read, products, write", "lower_bound", stored, "lower_bound.parquet")
    yield case("dlcli predict", "predict", stored, "predictions.parquet")
    yield case("dlcli predict to CSV", "predict", stored, "predictions.csv")
    yield case("pyarrow read of CSV", "read_csv", text)
    yield case("dlcli encode of CSV", "encode", text)


def _measure(step: str, data: Path, run: Path, result: Path) -> Figures:
    module: list[str | Path] = [sys.executable, "-m", "benchmarks.encodings"]
    figures: Figures = json.loads(output([*module, step, data, run, result]))
    return figures


def mixed_table(rows: int) -> pa.Table:
    """Return a random table of 30 columns and a target, from a fixed seed.

    There are 14 columns of floats, 4 of integers, 2 of numbers stored as text, 2 of booleans, 2 of
    times and 6 of categories. Every second column has missing values.
    """
    rng = np.random.default_rng(0)
    columns = {f"float_{n}": floats(rng.standard_normal(rows)) for n in range(1, 15)}
    for n in range(1, 5):
        columns[f"integer_{n}"] = integers(rng.integers(0, 10 ** (n + 1), rows))
    for n in range(1, 3):
        decimals = floats(np.round(rng.standard_normal(rows), n + 1))
        columns[f"number_as_text_{n}"] = decimals.cast(pa.string())
        columns[f"boolean_{n}"] = integers(rng.integers(0, 2, rows)).cast(pa.bool_())
        seconds = rng.integers(1_500_000_000, 1_700_000_000, rows)
        columns[f"time_{n}"] = integers(seconds).cast(pa.timestamp("s"))
    for n, count in enumerate(CATEGORIES, start=1):
        names = strings([f"value {number}" for number in range(count)], pa.string())
        columns[f"category_{n}"] = names.take(integers(_skewed(rng, count, rows)))
    target = pc.add(columns["float_1"], columns["boolean_2"].cast(pa.float64()))
    for name in list(columns)[::2]:
        missing = np.flatnonzero(rng.random(rows) < _MISSING_SHARE)
        columns[name] = blanked(columns[name], missing)
    return pa.table({**columns, "target": target})


def _skewed(rng: np.random.Generator, count: int, rows: int) -> NDArray[np.int64]:
    """Return random category indices, where low ones are more frequent, (rows,)."""
    return (count * rng.random(rows) ** 2).astype(np.int64)


def measure(step: Callable[[], object]) -> dict[str, float]:
    """Run a step twice and time the second run.

    When a process uses memory for the first time, the operating system clears it, and so does the
    host of a virtual machine. This time varies, and may exceed the time of the step.

    Returns:
        The seconds, and the peak memory of the process in bytes.
    """
    step()
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    return {"step_seconds": seconds, "peak_bytes": peak_bytes()}


def encode(data: Path, run: Path) -> None:
    """Read a table, and encode it for the network of a run."""
    encoding = open_run(run).predictor.encoding
    encoding.transform(read_table(str(data)), ValueProblems())


def fit(data: Path, run: Path) -> None:
    """Read a table, infer the types of its columns, and fit an encoding to all rows."""
    predictor = open_run(run).predictor
    config = load_config(run / "config.yaml").config
    table = read_table(str(data))
    decisions = type_columns(config.input, table, config.data.reserved)
    fit_encoding(decisions, config.input, table, predictor.encoding.task)


def lower_bound(data: Path, run: Path, result: Path) -> None:
    """Read a table, multiply matrices of the network's sizes, and write a column of Parquet."""
    rows = parquet.read_table(data).num_rows
    layers = open_run(run).predictor.network.layers
    kernels = [np.ones(layer.weights[0].shape, np.float32) for layer in layers]
    inputs = len(kernels[0])
    matrix = np.ones((rows_at_once(inputs), inputs), np.float32)
    starts = range(0, rows, len(matrix))
    outputs = [_products(matrix[: rows - start], kernels) for start in starts]
    values = floats(np.concatenate(outputs)[:, 0])
    parquet.write_table(pa.table({"prediction": values}), result)


def _products(matrix: Matrix, kernels: Sequence[Matrix]) -> Matrix:
    for kernel in kernels:
        matrix = matrix @ kernel
    return matrix


def predict(data: Path, run: Path, result: Path) -> None:
    """Read a table, predict it and write the predictions, as `dlcli predict` does."""
    predictor = open_run(run).predictor
    table = read_table(str(data))
    rows = assemble(predictor.predict(table, ValueProblems()), table)
    with result.open("wb") as stream:
        write_rows(rows, choose_format(None, result), stream)


def steps(data: Path, run: Path, result: Path) -> Mapping[str, Callable[[], object]]:
    """Return all steps by name."""
    return {
        "read": partial(parquet.read_table, data),
        "read_csv": partial(csv.read_csv, data),
        "encode": partial(encode, data, run),
        "fit": partial(fit, data, run),
        "lower_bound": partial(lower_bound, data, run, result),
        "predict": partial(predict, data, run, result),
    }


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    data, run, result = map(Path, paths)
    print(json.dumps(measure(steps(data, run, result)[name])))
