"""Measure how fast tables are read from a local S3-compatible server, and from local files.

`python -m benchmarks.remote_tables` writes a table as CSV and as Parquet, and reads each from the
disk and from moto's server, which runs in a separate process, interleaved. It prints medians of
rows per second of wall time, of the CPU time of the reading process, and of the ratio within each
round. It fails if the rows differ. moto is written in Python, so its time is most of the
difference.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
from pyarrow.fs import S3FileSystem

from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table

COLUMNS = 20
BUCKET = "benchmark"
_START_SECONDS = 30


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, s3_server():
        folder = Path(name)
        write_tables(folder, arguments.rows)
        files = S3FileSystem(
            endpoint_override=os.environ["AWS_ENDPOINT_URL"], allow_bucket_creation=True
        )
        files.create_dir(BUCKET)
        for path in folder.iterdir():
            with files.open_output_stream(f"{BUCKET}/{path.name}") as stream:
                stream.write(path.read_bytes())
        print(f"{arguments.rows:,} rows of {COLUMNS} numbers, medians of {arguments.rounds} rounds")
        print("format                  rows/s local      rows/s S3   time ratio   CPU ratio")
        for title, file, columns in (
            ("CSV", "table.csv", None),
            ("Parquet", "table.parquet", None),
            ("Parquet, 2 columns", "table.parquet", ["c0", "c7"]),
        ):
            sources = (str(folder / file), f"s3://{BUCKET}/{file}")
            rounds = [measure(sources, columns) for _ in range(arguments.rounds)]
            local, remote = (
                arguments.rows / median(each[at][0] for each in rounds) for at in (0, 1)
            )
            ratios = [
                median(there[clock] / here[clock] for here, there in rounds) for clock in (0, 1)
            ]
            numbers = f"{local:15,.0f} {remote:14,.0f} {ratios[0]:12.2f} {ratios[1]:11.2f}"
            print(f"{title:20} {numbers}")


def write_tables(folder: Path, rows: int) -> None:
    """Write random numbers as CSV and as Parquet."""
    numbers = np.random.default_rng(0).random((COLUMNS, rows), np.float32)
    table = pa.table({f"c{at}": column for at, column in enumerate(numbers)})
    csv.write_csv(table, folder / "table.csv")
    parquet.write_table(table, folder / "table.parquet", row_group_size=100_000)


def measure(
    sources: Sequence[str], columns: Sequence[str] | None
) -> tuple[tuple[float, float], ...]:
    """Return the wall and CPU seconds of reading each of two sources, which must be equal."""
    tables, seconds = [], []
    for source in sources:
        wall, cpu = time.perf_counter(), time.process_time()
        tables.append(read_table(source, columns=columns))
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    if not _equal(*tables):
        sys.exit(f"{sources[1]} is read otherwise than {sources[0]}")
    return tuple(seconds)


def _equal(first: Table, second: Table) -> bool:
    return isinstance(first.data, pa.Table) and first.data.equals(second.data)


@contextmanager
def s3_server() -> Iterator[None]:
    """Run moto's server, and set the environment variables with its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    quiet = subprocess.DEVNULL
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:
        try:
            _wait_for(int(port), server)
            yield
        finally:
            server.terminate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("moto's server does not start; install it: pip install -e '.[dev]'")


if __name__ == "__main__":
    main()
