"""Measure requests per second of `dlcli serve` and other servers on one core.

`python -m benchmarks.serving` trains shipped configs for two epochs, and starts for each config:

- `dlcli serve`, with and without intervals;
- fastapi with a pydantic model of the columns, which also predicts with dlcli;
- the exported ONNX graph, with intervals, in onnxruntime behind a bare ASGI application with
  orjson;
- the same graph in MLflow's scoring server and in MLServer, with `--rivals-python` of
  an environment with mlflow, mlserver, onnxruntime and orjson.

Each server is a process bound to one core, and 8 connections from another core send requests with
1, 32 and 1,000 rows, to the servers in turn. It prints medians over the rounds: requests per
second, the 99th percentile of the response time in milliseconds, and CPU microseconds per request,
which hardly depend on other load, also relative to the first server. Servers whose libraries are
not installed are skipped.

Results on one of two cores, medians of seven rounds, for MLflow and MLServer of three:

                      requests/s of 1 row    CPU µs of a request of 1, 32, 1000 rows
    steering  dlcli                  2585              373     622    17925
              dlcli, intervals       1983              489     765    19574
              fastapi, pydantic      1678              578    1232    28438
              onnxruntime            2882              333     478     6174
              MLflow                  239             4127    4438    39167
              MLServer                683             1442    1253     5187
    penguins  dlcli                  1821              538    2563    32000
              dlcli, intervals       1501              651    2763    39524
              fastapi, pydantic      1329              737    3420    44737
              onnxruntime            1865              520     975    12889
              MLflow                  171             5681    8734    74444
              MLServer                570             1696    2234    11712
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.few_rows import ROOT, read_rows
from benchmarks.processes import DLCLI, environment, output
from dlcli.serving.served_model import ServedModel

CONFIGS = ("steering", "penguins")
SIZES = (1, 32, 1000)
CONNECTIONS = 8
SERVERS = {
    "dlcli": (),
    "dlcli, intervals": (),
    "fastapi, pydantic": ("fastapi",),
    "onnxruntime": ("onnxruntime", "onnx"),
}
"""The servers, with the libraries that they need."""
RIVALS = ("MLflow", "MLServer")
"""Servers that run in a separate environment."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    pid: int
    port: int

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of its process."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass(frozen=True)
class Round:
    """The measurements of a server in a round."""

    requests_a_second: float
    p99: float
    """The 99th percentile of the response time, in milliseconds."""
    cpu: float
    """CPU time per request, in microseconds."""


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--only", nargs="+", default=CONFIGS, choices=CONFIGS)
    parser.add_argument("--rivals-python", help="the interpreter of MLflow and MLServer")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    print("table     rows  server              requests/s   p99 ms   CPU µs   ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            run = Path(folder) / name
            config = ROOT / "configs" / f"{name}.yaml"
            output([*DLCLI, "train", config, "--set", "epochs=2", "--output", run])
            with ExitStack() as stack:
                servers = [*_started(stack, run, cores[0], arguments.rivals_python)]
                os.sched_setaffinity(0, cores[1:] or cores)
                for size in SIZES:
                    rows = _rows(run, name, size)
                    _measure(name, servers, rows, arguments.rounds, arguments.seconds)


def _rows(run: Path, name: str, count: int) -> list[dict[str, object]]:
    """Return rows without missing values, which MLServer's protocol can't represent."""
    columns = ServedModel.load(name, run).columns
    rows = read_rows(ROOT / "data" / f"{name}.csv")
    needed = [{column: row[column] for column in columns} for row in rows]
    complete = [row for row in needed if None not in row.values()]
    return [*islice(cycle(complete), count)]


def request_of(server: str, rows: Sequence[dict[str, object]]) -> tuple[str, bytes]:
    """Return the path and body of a prediction request."""
    if server == "MLflow":
        return "/invocations", json.dumps({"dataframe_records": rows}).encode()
    if server != "MLServer":
        return "/predict", json.dumps(rows).encode()
    inputs = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        kind = "BYTES" if any(isinstance(value, str) for value in values) else "FP64"
        inputs.append({"name": name, "shape": [len(rows)], "datatype": kind, "data": values})
    return "/v2/models/model/infer", json.dumps({"inputs": inputs}).encode()


def _started(stack: ExitStack, run: Path, core: int, rivals: str | None) -> Iterator[Server]:
    """Start all servers whose libraries are installed."""
    graph = run.with_suffix(".onnx")
    for name, needed in SERVERS.items():
        if any(find_spec(library) is None for library in needed):
            print(f"{name}: not installed")
            continue
        if name == "onnxruntime":
            output([*DLCLI, "export", run, "--format", "onnx", "--output", graph])
        yield stack.enter_context(listening(name, run, core))
    for name in RIVALS if rivals and graph.exists() else ():
        yield stack.enter_context(listening(name, run, core, rivals))


@contextmanager
def listening(name: str, run: Path, core: int, python: str = sys.executable) -> Iterator[Server]:
    """Start a server of a run on one core, and stop it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [python, "-m", "benchmarks.serving_rivals", name, str(run), str(port)]
    if name.startswith("dlcli"):
        interval = ("--interval", "0.9") if "intervals" in name else ()
        command = [*DLCLI, "serve", str(run), "--port", str(port), "--quiet", *interval]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env={**environment(), **threads}, cwd=ROOT, stderr=subprocess.DEVNULL
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield Server(name, process.pid, port)
    finally:
        process.terminate()
        process.wait()


def _measure(
    table: str,
    servers: Sequence[Server],
    rows: Sequence[dict[str, object]],
    rounds: int,
    seconds: float,
) -> None:
    requests = {server.name: request_of(server.name, rows) for server in servers}

    def measured(server: Server, seconds: float) -> Round:
        path, body = requests[server.name]
        return ask(server, body, seconds, path)

    for server in servers:
        measured(server, seconds / 4)  # warm
    each = [[measured(server, seconds) for server in servers] for _ in range(rounds)]
    for at, server in enumerate(servers):
        ratio = median(row[at].cpu / row[0].cpu for row in each)
        found = [row[at] for row in each]
        speed, p99 = median(r.requests_a_second for r in found), median(r.p99 for r in found)
        cpu = median(r.cpu for r in found)
        figures = f"{speed:10.0f} {p99:8.2f} {cpu:8.0f} {ratio:7.2f}"
        print(f"{table:9} {len(rows):4}  {server.name:19} {figures}", flush=True)


def ask(server: Server, body: bytes, seconds: float, path: str = "/predict") -> Round:
    """Send requests over several connections, each of which waits for its response."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    request, took = head.encode() + body, list[float]()
    start, used = time.perf_counter(), server.cpu_seconds
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for _ in range(CONNECTIONS):
            made = socket.create_connection(("127.0.0.1", server.port))
            connection = stack.enter_context(made)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, [b"", time.perf_counter()])
            connection.sendall(request)
        while time.perf_counter() - start < seconds or len(took) < CONNECTIONS:
            for key, _ in selector.select(seconds):
                asker: socket.socket = key.fileobj  # type: ignore[assignment]
                key.data[0] += asker.recv(1 << 20)
                if not is_complete(key.data[0]):
                    continue
                now = time.perf_counter()
                took.append(now - key.data[1])
                key.data[:] = [b"", now]
                asker.sendall(request)
    elapsed, used = time.perf_counter() - start, server.cpu_seconds - used
    p99 = sorted(took)[int(0.99 * len(took))]
    return Round(len(took) / elapsed, p99 * 1e3, used / len(took) * 1e6)


def is_complete(answer: bytes) -> bool:
    """Return whether a response is complete.

    Raises:
        SystemExit: if the response is an error.
    """
    head, end, body = answer.partition(b"\r\n\r\n")
    if end and not head.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"the server answers: {answer.decode()}")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(end) and len(body) >= int(length)


if __name__ == "__main__":
    main()
