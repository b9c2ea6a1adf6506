"""Measure predictions of many rows in Parquet files, by `dlcli predict` and in Ray Data.

`python -m benchmarks.batch_prediction` writes a table of numbers and one column of categories in
several files, trains a network on a thousand rows, and predicts all rows: by the command with one
and two processes, and in Ray Data, if it is installed. The rivals do only what the same predictions
require: the encoding and matrix products of this network in NumPy, and the exported graph in
onnxruntime. They read the same files, with one thread per process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.processes import DLCLI, add_numbers, environment, output
from dlcli import load

NUMBERS = [f"x{number}" for number in range(10)]
COLORS = [f"color {number}" for number in range(12)]
CONFIG = """\
data: {train: train.parquet, target: y}
hidden: [{units: 64, activation: relu}, {units: 64, activation: relu}]
epochs: 1
"""
BATCH_ROWS = 65_536
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
JOBS = (1, 2)


@dataclass(frozen=True)
class Measured:
    """One prediction of all rows."""

    engine: str
    model: str
    jobs: int
    seconds: float
    """Wall time of the whole process; in Ray Data without its start."""
    cpu_seconds: float | None
    """CPU time of all processes; unknown for Ray."""
    peak_bytes: int | None
    """The maximum resident memory of the largest process."""


class Model:
    """Predictions by `Model.predict_batch`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Predict a batch."""
        return self._model.predict_batch(rows)

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401
        return load(self._folder / "run")


class InNumpy(Model):
    """The same predictions by the encoding and matrix products of this network in NumPy."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Predict a batch."""
        offsets, scales, colors, weights, target = self._numbers
        x = np.empty((rows.num_rows, len(NUMBERS) + len(COLORS)), np.float32)
        for at, name in enumerate(NUMBERS):
            x[:, at] = (rows[name].to_numpy() - offsets[at]) / scales[at]
        encoded = rows["color"].combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        order = np.array([colors.index(each) for each in encoded.dictionary.to_pylist()])
        x[:, len(NUMBERS) :] = np.eye(len(COLORS), dtype=np.float32)[
            order[encoded.indices.to_numpy()]
        ]
        for kernel, bias in weights[:-1]:
            x = np.maximum(x @ kernel + bias, 0)
        kernel, bias = weights[-1]
        outputs = (x @ kernel + bias)[:, 0].astype(np.float64)
        return pa.table({"prediction": outputs * target.scale + target.offset})

    @cached_property
    def _numbers(self) -> tuple[Any, ...]:
        predictor = self._model.predictor
        features = {each.column: each for each in predictor.encoding.features}
        scalings = [features[name].scaling for name in NUMBERS]
        layers = ("hidden_1", "hidden_2", "output")
        weights = [
            (predictor.weights[f"{name}/kernel"], predictor.weights[f"{name}/bias"])
            for name in layers
        ]
        return (
            [each.offset for each in scalings],
            [each.scale for each in scalings],
            [*features["color"].categories],
            weights,
            predictor.task.scalings[0],
        )


class InOnnxruntime(Model):
    """The same predictions by the exported graph."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Predict a batch."""
        columns = {name: rows[name].to_numpy() for name in [*NUMBERS, "color"]}
        [found] = self._session.run(["prediction"], columns)
        return pa.table({"prediction": found})

    @cached_property
    def _session(self) -> Any:  # noqa: ANN401
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return InferenceSession(self._folder / "onnx" / "model.onnx", options)


MODELS = {"dlcli": Model, "NumPy": InNumpy, "onnxruntime": InOnnxruntime}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cases, print the table, and write JSON on request."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="dlcli-batches-", dir=options.folder) as temporary:
        folder = Path(temporary)
        prepare(folder, options.rows, options.files)
        measured = [
            case() for _ in range(options.rounds) for case in cases(folder, with_ray=_has_ray())
        ]
    Console().print(report(measured, options.rows))
    if not _has_ray():
        print("Ray is not installed: pip install -e '.[ray]'", file=sys.stderr)
    if options.json:
        text = json.dumps([asdict(each) for each in measured], indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")


def prepare(folder: Path, rows: int, files: int) -> None:
    """Write the files, train the network, and export it."""
    rng = np.random.default_rng(0)
    (folder / "rows").mkdir()
    schema = _random_rows(rng, 1).drop_columns("y").schema
    for number in range(files):
        count = rows * (number + 1) // files - rows * number // files
        with pq.ParquetWriter(folder / "rows" / f"part-{number}.parquet", schema) as writer:
            for start in range(0, count, BATCH_ROWS):
                batch = _random_rows(rng, min(BATCH_ROWS, count - start))
                writer.write_table(batch.drop_columns("y"))
    pq.write_table(_random_rows(rng, 1000), folder / "train.parquet")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    output([*DLCLI, "train", folder / "config.yaml", "--quiet", "--output", folder / "run"])
    onnx = ["--format", "onnx", "--output", folder / "onnx"]
    output([*DLCLI, "export", folder / "run", *onnx])


def cases(folder: Path, *, with_ray: bool) -> Iterator[Callable[[], Measured]]:
    """Yield the measurements of a round."""
    for jobs in JOBS:
        for model in MODELS:
            yield partial(measure, folder, "processes", model, jobs)
    if with_ray:
        for model in MODELS:
            yield partial(measure, folder, "Ray Data", model, 2)


def measure(folder: Path, engine: str, model: str, jobs: int) -> Measured:
    """Predict all rows once in separate processes, and check some of the predictions.

    Raises:
        RuntimeError: if a process fails.
        AssertionError: if the predictions differ from dlcli's.
    """
    target = folder / "predictions"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.batch_prediction", "--case", engine, model]
    command += [str(jobs), str(folder)]
    if (engine, model) == ("processes", "dlcli"):
        command = [*DLCLI, "predict", str(folder / "run"), str(folder / "rows")]
        command += ["--output", str(target), "--jobs", str(jobs), "--quiet"]
    start = time.perf_counter()
    with (folder / "output").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, env={**environment(), **ONE_THREAD}, stdout=log, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        printed = log.read()
    if process.returncode:
        raise RuntimeError(f"{engine}, {model}: {printed}")
    check(folder)
    if engine == "Ray Data":
        return Measured(engine, model, jobs, float(printed.splitlines()[-1]), None, None)
    cpu = used.ru_utime + used.ru_stime
    return Measured(engine, model, jobs, seconds, cpu, used.ru_maxrss * 1024)


def check(folder: Path) -> None:
    """Compare the number and sum of the predictions with dlcli's."""
    found = ds.dataset(folder / "predictions", exclude_invalid_files=True)
    expected = folder / "expected.json"
    rows, total = 0, 0.0
    # Use little memory, because a child process starts with the peak memory of its parent.
    for batch in found.to_batches(columns=["prediction"], batch_readahead=1, fragment_readahead=1):
        rows += batch.num_rows
        total += float(np.abs(batch["prediction"].to_numpy()).sum())
    if not expected.exists():
        expected.write_text(json.dumps([rows, total]), encoding="utf-8")
    summary = json.loads(expected.read_text(encoding="utf-8"))
    assert rows == summary[0]
    assert np.isclose(total, summary[1], rtol=1e-5)


def predict_in_processes(folder: Path, model: Model, jobs: int) -> None:
    """Predict the files in several processes."""
    files = sorted((folder / "rows").iterdir())
    (folder / "predictions").mkdir()
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(partial(_predict_file, model, folder / "predictions"), files, chunksize=1)


def _predict_file(model: Model, target: Path, file: Path) -> None:
    source, writer = pq.ParquetFile(file), None
    for batch in source.iter_batches(BATCH_ROWS):
        predicted = model(pa.Table.from_batches([batch]))
        writer = writer or pq.ParquetWriter(target / file.name, predicted.schema)
        writer.write_table(predicted)
    if writer is not None:
        writer.close()


def predict_in_ray(folder: Path, model: Model, jobs: int) -> float:
    """Predict all files in Ray Data, and return the seconds from reading to the last file."""
    import ray

    ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    start = time.perf_counter()
    rows = ray.data.read_parquet(str(folder / "rows"))
    predicted = rows.map_batches(model, batch_format="pyarrow", batch_size=BATCH_ROWS)
    predicted.write_parquet(str(folder / "predictions"))
    return time.perf_counter() - start


def report(measured: Sequence[Measured], rows: int) -> Table:
    """Return a table with a row per case: medians over the rounds."""
    table = Table(title=f"{rows:,} rows", box=SIMPLE)
    for head in ("engine", "model", "jobs", "rows a second", "ratio", "CPU seconds", "MB"):
        table.add_column(head, justify="left" if head in ("engine", "model") else "right")
    keys = dict.fromkeys((each.engine, each.jobs, each.model) for each in measured)
    seconds = {
        key: [e.seconds for e in measured if (e.engine, e.jobs, e.model) == key] for key in keys
    }
    for engine, jobs, model in keys:
        own, first = seconds[engine, jobs, model], seconds[engine, jobs, "dlcli"]
        ratios = [one / other for one, other in zip(first, own, strict=True)]
        same = [e for e in measured if (e.engine, e.jobs, e.model) == (engine, jobs, model)]
        used = [each.cpu_seconds for each in same if each.cpu_seconds is not None]
        peaks = [each.peak_bytes for each in same if each.peak_bytes is not None]
        table.add_row(
            engine,
            model,
            str(jobs),
            f"{rows / statistics.median(own):,.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{statistics.median(used):.1f}" if used else "-",
            f"{statistics.median(peaks) / 1e6:.0f}" if peaks else "-",
        )
    return table


def _random_rows(rng: np.random.Generator, count: int) -> pa.Table:
    numbers = {name: rng.normal(size=count) for name in NUMBERS}
    color = rng.integers(0, len(COLORS), count)
    y = sum(numbers.values()) + color
    words = pa.DictionaryArray.from_arrays(pa.array(color), pa.array(COLORS)).cast(pa.string())
    return pa.table({**numbers, "color": words, "y": y})


def _has_ray() -> bool:
    return find_spec("ray") is not None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch_prediction", description=__doc__
    )
    add_numbers(
        parser,
        (
            ("rows", 1_000_000, "Number of rows."),
            ("files", 8, "Number of files."),
            ("rounds", 1, "Number of measurements of each case."),
        ),
    )
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="for temporary files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each measurement")
    return parser.parse_args(arguments)


def run_case(engine: str, name: str, jobs: str, folder: str) -> None:
    """Run a case in this process."""
    model = MODELS[name](Path(folder))
    if engine == "Ray Data":
        print(predict_in_ray(Path(folder), model, int(jobs)))
    else:
        predict_in_processes(Path(folder), model, int(jobs))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        from benchmarks import batch_prediction  # other processes can import its classes

        batch_prediction.run_case(*sys.argv[2:])
    else:
        main()
