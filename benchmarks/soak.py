"""Send requests to `dlcli serve` for a long time, and check that its memory stays constant.

`python -m benchmarks.soak --minutes 60` trains *penguins* for two epochs and serves it with two
workers and an API key. Eight clients send small and large, malformed, unauthorized and aborted
requests. Each minute, the server reloads the run (SIGHUP); every three minutes, one of its workers
is killed. It prints the memory of all processes of the server (proportional set size) each minute,
and fails if

- a response has the status 500;
- a connection fails in a minute in which no worker was killed;
- the memory in the last third of the minutes is more than 10 % above the one in the second third.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.few_rows import read_rows
from benchmarks.processes import DLCLI, ROOT, environment, output

KEY = "benchmark"
CLIENTS = 8
PAUSE = 0.05
"""Mean time between two requests of a client in seconds."""
MINUTES_BETWEEN_KILLS = 3
MOST_GROWTH = 0.1
ROWS = (1, 1, 1, 32, 1000)
"""Rows of a request, drawn at random."""
FAILED = "no response"


def main() -> None:
    """Print a line for each minute, and fail if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    minutes = parser.parse_args().minutes
    failures: list[str] = []
    used: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "penguins"
        config = ROOT / "configs" / "penguins.yaml"
        output([*DLCLI, "train", config, "--set", "epochs=2", "--output", run])
        server, port = _start(run)
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                for minute in range(1, minutes + 1):
                    found = Counter[int | str]()
                    end = time.monotonic() + 60
                    running = [clients.submit(_send, port, end, seed) for seed in range(CLIENTS)]
                    server.send_signal(signal.SIGHUP)
                    if is_kill := minute % MINUTES_BETWEEN_KILLS == 0:
                        os.kill(random.choice(_workers(server.pid)), signal.SIGKILL)
                    for each in running:
                        found += each.result()
                    used.append(sum(map(_memory, (server.pid, *_workers(server.pid)))))
                    counts = ", ".join(
                        f"{name}: {n:,}" for name, n in sorted(found.items(), key=str)
                    )
                    print(f"{minute:3} min  {used[-1] / 2**20:6.1f} MB  {counts}", flush=True)
                    failures += [f"minute {minute}: status 500"] * bool(found[500])
                    if found[FAILED] and not is_kill:
                        failures.append(f"minute {minute}: {found[FAILED]} without a response")
        finally:
            server.terminate()
            server.wait(30)
    third = len(used) // 3
    if third:
        growth = median(used[2 * third :]) / median(used[third : 2 * third]) - 1
        print(f"growth from the second to the last third: {100 * growth:+.1f} %")
        if growth > MOST_GROWTH:
            failures.append("the memory grows")
    if failures:
        sys.exit("\n".join(failures))


def _start(run: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server; return it and its port when it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [*DLCLI, "serve", run, "--port", str(port), "--workers", "2", "--quiet"]
    variables = environment() | {"DLCLI_API_KEY": KEY}
    server = subprocess.Popen(command, env=variables)
    for _ in range(300):
        try:
            if _request(port, "GET", "/v2/health/ready") == http.client.OK:
                return server, port
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise TimeoutError("the server did not become ready in 30 s")


def _send(port: int, end: float, seed: int) -> Counter[int | str]:
    """Send requests until a time; return the number of responses by status."""
    draw, counts = random.Random(f"{seed} {end}"), Counter[int | str]()
    rows = [*islice(cycle(read_rows(ROOT / "data" / "penguins.csv")), max(ROWS))]
    while time.monotonic() < end:
        body = json.dumps(rows[: draw.choice(ROWS)]).encode()
        kind = draw.choice(("good", "good", "good", "malformed", "unauthorized", "aborted"))
        key = {} if kind == "unauthorized" else {"X-API-Key": KEY}
        try:
            if kind == "aborted":
                with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
                    half.sendall(
                        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
                    )
                counts[kind] += 1
            else:
                sent = draw.randbytes(100) if kind == "malformed" else body
                counts[_request(port, "POST", "/predict", sent, key)] += 1
        except (OSError, http.client.HTTPException):
            counts[FAILED] += 1
        time.sleep(draw.expovariate(1 / PAUSE))
    return counts


def _request(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> int:
    """Send a request over a new connection and return the status of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            method, path, body, {"Content-Type": "application/json", **(headers or {})}
        )
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _workers(pid: int) -> list[int]:
    """Return the worker processes of the server, without Python's resource tracker."""
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [pid for pid in children if b"resource_tracker" not in _command(pid)]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _memory(pid: int) -> int:
    """Return the proportional set size of a process in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
