"""XLA and TensorFlow's graph on random shapes: measure how well dlcli chooses between them.

`python -m benchmarks.engines` draws networks, batch sizes and numbers of epochs, measures both
engines, and reports the regret: the time of the engine that `choose_engine` returns, divided by the
time of the faster one. The constants in `dlcli.training_job` are fitted to its JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.rivals.dlcli_engine import SECONDS_BETWEEN_DISPATCHES
from benchmarks.timing import EpochEnd, Stopwatch, figures, last_of_each_burst
from dlcli.columns.layout import plain_layout
from dlcli.config.config_schema import CompiledEngine, Config
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.network.head import resolve_head
from dlcli.network.layers import build_network
from dlcli.pipeline.fit import quiet_tensorflow
from dlcli.tasks.regression import Regression
from dlcli.training_job import Job, choose_engine

with quiet_tensorflow():
    from dlcli.training.engines import prepare_device, train_job

SECONDS = 0.5
"""Duration of the measurement of steps after compiling."""
MOST_STEPS = 8
"""Maximum number of steps per epoch."""
MOST_ENTRIES = 2e7
"""Maximum number of entries of the input matrix."""
MOST_OPERATIONS = 6e9
"""Maximum number of floating-point operations per step."""
OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw")


@dataclass(frozen=True)
class Shape:
    """A network and its training."""

    inputs: int
    units: tuple[int, ...]
    batch_size: int
    steps: int
    """Steps per epoch."""
    optimizer: str
    dropout: float
    batch_normalization: bool
    epochs: int
    """Epochs of the training for which the engine is chosen."""

    def job(self, rng: np.random.Generator, epochs: int) -> Job:
        """Return a job with random rows."""
        layer = {"activation": "relu", "dropout": self.dropout}
        if self.batch_normalization:
            layer["batch_normalization"] = True
        config = Config.model_validate(
            {
                "data": {"train": "rows.csv", "target": "y"},
                "hidden": tuple({"units": units, **layer} for units in self.units),
                "optimizer": self.optimizer,
                "metrics": (),
                "epochs": epochs,
                "batch_size": self.batch_size,
            }
        )
        task = Regression(columns=("y",))
        head = resolve_head(config, task)
        network = build_network(plain_layout(self.inputs), config.hidden, head.output)
        rows = self.steps * self.batch_size
        matrix = rng.standard_normal((rows, self.inputs), dtype=np.float32)
        encoded = EncodedRows(InMemoryInputs(matrix), matrix[:, :1])
        return Job(config, network, head, task, encoded, None)


def draw_shape(rng: np.random.Generator) -> Shape:
    """Draw a shape whose steps are not too large to measure."""

    def between(low: float, high: float) -> int:
        return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))

    while True:
        inputs, batch = between(5, 10_000), between(8, 8_192)
        units = tuple(between(8, 1_024) for _ in range(rng.integers(0, 5)))
        widths = (inputs, *units, 1)
        weights = sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
        if batch * inputs <= MOST_ENTRIES and 6 * batch * weights <= MOST_OPERATIONS:
            break
    return Shape(
        inputs,
        units,
        batch,
        steps=int(min(MOST_STEPS, MOST_ENTRIES // (batch * inputs))),
        optimizer=str(rng.choice(OPTIMIZERS)),
        dropout=0.2 if units and rng.random() < 0.3 else 0.0,
        batch_normalization=bool(units and rng.random() < 0.2),
        epochs=between(3, 3_000),
    )


class _MeasuredError(Exception):
    """Stops a training after its measurement."""


def measure(job: Job, *, jit_compile: bool) -> tuple[float, float]:
    """Return the seconds of an engine for compiling, and per epoch."""
    stopwatch = Stopwatch()
    ends = stopwatch.ends

    def progress(epoch: int, values: Mapping[str, float]) -> None:
        stopwatch.record(epoch)
        is_after_dispatch = ends[-1].seconds - ends[-2:][0].seconds > SECONDS_BETWEEN_DISPATCHES
        is_long = ends[-1].seconds - ends[0].seconds > SECONDS
        if is_after_dispatch and is_long and len(_dispatches(ends)) > 1:
            raise _MeasuredError

    with suppress(_MeasuredError):
        train_job(job, CompiledEngine(jit_compile=jit_compile), progress)
    found = figures(_dispatches(ends))
    return found["compile_seconds"], found["epoch_seconds"]


def _dispatches(ends: Sequence[EpochEnd]) -> list[EpochEnd]:
    """Return the last epoch of each dispatch that was reported completely."""
    return last_of_each_burst(ends[:-1], SECONDS_BETWEEN_DISPATCHES)


def main() -> None:
    """Measure shapes, and report the regret."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--shapes", type=int, default=100, help="number of shapes")
    parser.add_argument("--seed", type=int, default=0, help="seed of the shapes")
    parser.add_argument("--json", type=Path, help="file for the measurements")
    options = parser.parse_args()
    prepare_device("cpu", "auto")
    rng, found = np.random.default_rng(options.seed), []
    for _ in range(options.shapes):
        shape = draw_shape(rng)
        found.append(compare(shape, rng))
        print(_line(shape, found[-1]), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(found, indent=1), "utf-8")
    regrets = sorted(each["regret"] for each in found)
    print(f"regret: median {median(regrets):.3f}, largest {regrets[-1]:.2f}")


def compare(shape: Shape, rng: np.random.Generator) -> dict[str, Any]:
    """Measure both engines on a shape; return its features, seconds and regret."""
    job = shape.job(rng, epochs=10**7)
    once, epoch = zip(*(measure(job, jit_compile=jit) for jit in (False, True)), strict=True)
    total = [a + shape.epochs * b for a, b in zip(once, epoch, strict=True)]
    chosen = choose_engine(
        job.config.model_copy(update={"epochs": shape.epochs}),
        job.network,
        len(job.train.inputs),
    )
    index = int(chosen == CompiledEngine(jit_compile=True))
    return {
        **asdict(shape),
        "layers": len(job.network.layers),
        "parameters": job.network.parameters,
        "once": once,
        "epoch": epoch,
        "chosen": index,
        "regret": total[index] / min(total),
    }


def _line(shape: Shape, found: Mapping[str, Any]) -> str:
    graph, xla = (1e6 * seconds / shape.steps for seconds in found["epoch"])
    widths = "-".join(map(str, (shape.inputs, *shape.units, 1)))
    return (
        f"{widths:28} batch {shape.batch_size:5} {shape.optimizer:8} graph {graph:9.0f} µs, "
        f"XLA {xla:9.0f} µs a step, {shape.epochs:5} epochs, regret {found['regret']:.2f}"
    )


if __name__ == "__main__":
    main()
