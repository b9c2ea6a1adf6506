"""Train on a table that is larger than the memory of all workers together.

`python -m benchmarks.cluster_memory` writes a table of 20 GB, and trains one epoch on it with two
workers on this machine. It fails if a worker uses more than 3 GB of anonymous memory, which
excludes libraries and the file cache. The disk needs three times the table's size.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.memory import CONFIG, write_table
from benchmarks.processes import DLCLI, ROOT, add_numbers, environment

_POLL_SECONDS = 0.5


@dataclass
class Measured:
    """The measurements of a training."""

    seconds: float
    """Wall time of the whole command."""
    peaks: list[int]
    """The maximum anonymous memory of each worker, in bytes."""
    report: str
    """The last lines of output, with the training time."""


def train(folder: Path, workers: int) -> Measured:
    """Train in a folder that contains the table.

    Args:
        folder: the folder with `table.parquet`, which also stores the workers' rows.
        workers: the number of workers.

    Raises:
        subprocess.CalledProcessError: if the training fails.
    """
    config = folder / "config.yaml"
    config.write_text(CONFIG.replace("TABLE", "table.parquet"), "utf-8")
    options = ["--set", "data.validation=null", "--set", "data.test=null"]
    options += ["--output", str(folder / "run"), "--workers", str(workers)]
    command = [*DLCLI, "train", str(config), *options]
    start, peaks = time.perf_counter(), dict[int, int]()
    with tempfile.TemporaryFile("w+") as lines:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment(), "TMPDIR": str(folder)},
            stdout=lines,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            for worker, size in _anonymous_bytes(process.pid).items():
                peaks[worker] = max(peaks.get(worker, 0), size)
            time.sleep(_POLL_SECONDS)
        lines.seek(0)
        report = lines.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=report)
    return Measured(time.perf_counter() - start, sorted(peaks.values()), report)


def _anonymous_bytes(parent: int) -> dict[int, int]:
    """Return the anonymous memory of each child process, by process ID."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        except (OSError, ValueError):  # it has ended
            continue
        if int(lines["PPid"]) == parent and "RssAnon" in lines:
            found[int(lines["Pid"])] = 1024 * int(lines["RssAnon"].split()[0])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table, train, and print the measurements."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster_memory", description=__doc__
    )
    add_numbers(
        parser,
        (
            ("rows", 10_000_000, "Rows of the table."),
            ("columns", 500, "Columns of float32."),
            ("workers", 2, "Number of workers."),
            ("limit", 3_000_000_000, "Bytes of memory that each worker may have."),
        ),
    )
    parser.add_argument("--folder", type=Path, help="Where to make a temporary folder.")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dlcli-cluster-", dir=options.folder) as name:
        folder = Path(name)
        write_table(folder / "table.parquet", options.rows, options.columns - 1)
        size = (folder / "table.parquet").stat().st_size
        os.sync()
        found = train(folder, options.workers)
    table = Table("table", "workers", "limit", "peak of each", "seconds", box=SIMPLE)
    peaks = ", ".join(f"{peak / 1e9:.2f} GB" for peak in found.peaks)
    limit = f"{options.limit / 1e9:.2f} GB"
    seconds = f"{found.seconds:,.0f}"
    table.add_row(f"{size / 1e9:.2f} GB", str(options.workers), limit, peaks, seconds)
    sys.stdout.write(found.report)
    Console().print(table)
    sys.exit(max(found.peaks) > options.limit)


if __name__ == "__main__":
    main()
