"""One thing done to a table: `python -m benchmarks.steps STEP DATA RUN OUTPUT`, a process each."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from benchmarks.worker import peak_bytes
from dlcli.config import load_config
from dlcli.encoding import Matrix, fit_encoding, type_columns
from dlcli.network import ROWS_AT_ONCE
from dlcli.prediction import Predictor, assemble, choose_format, write_rows
from dlcli.preprocessing import ValueIssues
from dlcli.runs import open_run
from dlcli.tables import floats, read_table


def measure(step: Callable[[], object]) -> dict[str, float]:
    """Times a step when it is done for the second time.

    The first time a process uses memory, it waits for the system to clear it, and on a virtual
    machine for the host as well: that may take longer than all else, and differs from run to run.

    Returns:
        The seconds, and the most bytes that this process ever held.
    """
    step()
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    return {"step_seconds": seconds, "peak_bytes": peak_bytes()}


def read(data: Path) -> pa.Table:
    """Reads Parquet by pyarrow alone."""
    return parquet.read_table(data)


def read_csv(data: Path) -> pa.Table:
    """Reads CSV by pyarrow alone, which finds out types."""
    return csv.read_csv(data)


def encode(data: Path, run: Path) -> None:
    """Reads a table, and makes the matrix that a run's network reads."""
    encoding = Predictor.load(open_run(run)).encoding
    encoding.transform(read_table(str(data)), ValueIssues())


def fit(data: Path, run: Path) -> None:
    """Reads a table, settles the types of its columns, and fits an encoding to all its rows."""
    predictor = Predictor.load(open_run(run))
    config = load_config(run / "config.yaml").config
    table = read_table(str(data))
    decisions = type_columns(config.input, table, config.data.reserved)
    fit_encoding(decisions, config.input, table, predictor.encoding.task)


def floor(data: Path, run: Path, made: Path) -> None:
    """Reads a table, multiplies matrices of the network's sizes, and writes a column of Parquet."""
    rows = read(data).num_rows
    layers = Predictor.load(open_run(run)).network.layers
    kernels = [np.ones(layer.weights[0].shape, np.float32) for layer in layers]
    matrix = np.ones((ROWS_AT_ONCE, len(kernels[0])), np.float32)
    outputs = [_products(matrix[: rows - at], kernels) for at in range(0, rows, ROWS_AT_ONCE)]
    values = floats(np.concatenate(outputs)[:, 0])
    parquet.write_table(pa.table({"prediction": values}), made)


def _products(matrix: Matrix, kernels: Sequence[Matrix]) -> Matrix:
    for kernel in kernels:
        matrix = matrix @ kernel
    return matrix


def predict(data: Path, run: Path, made: Path) -> None:
    """Does what the verb `predict` does."""
    predictor = Predictor.load(open_run(run))
    table = read_table(str(data))
    rows = assemble(predictor.predict(table, ValueIssues()), table)
    with made.open("wb") as stream:
        write_rows(rows, choose_format(None, made), stream)


def steps(data: Path, run: Path, made: Path) -> Mapping[str, Callable[[], object]]:
    """All steps by name."""
    return {
        "read": partial(read, data),
        "read_csv": partial(read_csv, data),
        "encode": partial(encode, data, run),
        "fit": partial(fit, data, run),
        "floor": partial(floor, data, run, made),
        "predict": partial(predict, data, run, made),
    }


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    data, run, made = map(Path, paths)
    print(json.dumps(measure(steps(data, run, made)[name])))
