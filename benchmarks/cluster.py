"""Measure training on several workers: the time of a sum, and rows per second.

`python -m benchmarks.cluster` runs one process with two threads, and two workers with one thread
each, in turn. On one machine they share cores and memory, which is the worst case: the time of a
sum is the time in which two busy processes copy it through the loopback device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT, environment
from benchmarks.rivals.dlcli_engine import build_job
from benchmarks.timing import Stopwatch, figures, last_of_each_burst
from benchmarks.workloads import WORKLOADS, Workload, random_data
from dlcli.cluster import Cluster, free_ports
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs, ShardedInputs
from dlcli.pipeline.fit import quiet_tensorflow
from dlcli.tables.stored_columns import RowShares
from dlcli.training_job import choose_engine

NUMBERS = (10_000, 100_000, 1_000_000, 10_000_000)
"""Sizes of the gradients that are summed."""
BATCHES = (1_024, 16_384)
EPOCHS = 4
_GAP = 1e-3


def cases() -> list[Workload]:
    """Return the compared trainings."""
    chosen = [each for each in WORKLOADS if each.name in ("mnist", "large")]
    return [
        replace(each, name=f"{each.name} {batch:,}", batch_size=batch)
        for each in chosen
        for batch in BATCHES
    ]


def measure(names: list[str], rank: int, addresses: tuple[str, ...]) -> dict[str, float]:
    """Return seconds by name, as a worker or as the only process.

    Args:
        names: the cases to train.
        rank: the index of the worker.
        addresses: the addresses of the workers; one for a single process.
    """
    with quiet_tensorflow():
        from dlcli.training.chunked_program import Collectives
        from dlcli.training.engines import prepare_device, train_job
    prepare_device("cpu", 1 if len(addresses) > 1 else 2)
    found: dict[str, float] = {}
    workers = None
    if len(addresses) > 1:
        workers = Collectives(Cluster(addresses, rank))
        for numbers in NUMBERS:
            found[f"sum {numbers}"] = workers.seconds_per_sum(numbers)
    for workload in (each for each in cases() if each.name in names):
        data = random_data(workload)
        job = build_job(workload, data, EPOCHS)
        if workers is not None:
            half = np.array_split(data.matrix, workers.size)[rank].copy()
            parts = [len(each) for each in np.array_split(data.matrix, workers.size)]
            owners = np.repeat(np.arange(workers.size, dtype=np.int32), parts)
            inputs = ShardedInputs(InMemoryInputs(half), RowShares.of(workers, owners))
            job = replace(job, train=EncodedRows(inputs, data.target))
        engine, stopwatch = choose_engine(job.config, job.network, workload.rows), Stopwatch()

        def progress(
            epoch: int, values: Mapping[str, float], stopwatch: Stopwatch = stopwatch
        ) -> None:
            stopwatch.record(epoch)

        train_job(job, engine, progress)
        stopwatch.record(EPOCHS)
        ends = figures(last_of_each_burst(stopwatch.ends, _GAP))
        found[workload.name] = ends.get("epoch_seconds", ends["training_seconds"] / EPOCHS)
    return found


def run(count: int, names: list[str]) -> dict[str, float]:
    """Run some workers; return the seconds of the slowest by name."""
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    module = [sys.executable, "-m", "benchmarks.cluster", "--only", *names, "--addresses"]
    workers = [
        subprocess.Popen(
            [*module, *addresses, "--rank", str(rank)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
        )
        for rank in range(count)
    ]
    outputs = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit(f"workers ended with {[worker.returncode for worker in workers]}")
    results = [json.loads(each) for each in outputs]
    return {name: max(each[name] for each in results) for name in results[0]}


def report(one: dict[str, float], two: dict[str, float], parameters: Mapping[str, int]) -> None:
    """Print the medians.

    Args:
        one: seconds of one process, by case.
        two: seconds of two workers, and of sums.
        parameters: the number of gradient entries of each case.
    """
    console = Console(width=110)
    table = Table("numbers", "ms a sum", box=SIMPLE, title="Sums over two workers")
    for name, seconds in two.items():
        if name.startswith("sum "):
            table.add_row(f"{int(name[4:]):,}", f"{1e3 * seconds:.2f}")
    console.print(table)
    heads = ("case, batch", "rows/s 1 process", "rows/s 2 workers", "efficiency", "gradient")
    table = Table(*heads, box=SIMPLE, title="One process of two threads, two workers of one")
    for workload in cases():
        if workload.name in one:
            rates = [workload.rows / each[workload.name] for each in (one, two)]
            ratio = f"{rates[1] / rates[0]:.2f}"
            shown = [f"{rate:,.0f}" for rate in rates]
            table.add_row(workload.name, *shown, ratio, f"{parameters[workload.name]:,}")
    console.print(table)


def main() -> None:
    """Measure in rounds, or as one of the workers."""
    parser = argparse.ArgumentParser(description="Measure training on several workers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[each.name for each in cases()])
    parser.add_argument("--addresses", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="Write the medians to this file.")
    options = parser.parse_args()
    if options.addresses is not None:
        sys.stdout.write(json.dumps(measure(options.only, options.rank, (*options.addresses,))))
        return
    rounds = [(run(1, options.only), run(2, options.only)) for _ in range(options.rounds)]
    one, two = (
        {name: statistics.median(each[at][name] for each in rounds) for name in rounds[0][at]}
        for at in (0, 1)
    )
    parameters = {
        each.name: sum((inputs + 1) * units for inputs, units in each.layers) for each in cases()
    }
    report(one, two, parameters)
    if options.json is not None:
        options.json.write_text(json.dumps({"one process": one, "two workers": two}, indent=2))


if __name__ == "__main__":
    main()
