"""Workers of this machine, as forks of a process that has loaded TensorFlow.

`python -m tests.cluster.forked_workers COUNT ARGUMENT ...` has each of them run a command of dlcli.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.forked import Ended, Process, run_command
from dlcli.cluster import TF_CONFIG, Cluster, free_ports

MOST_SECONDS = 240


def run_workers(count: int, work: Callable[[Cluster], int]) -> list[Ended]:
    """Call a function in several processes that form a cluster.

    Args:
        count: the number of workers.
        work: takes the cluster as its worker knows it, and returns the exit code.

    Returns:
        The end of each worker, by rank.
    """
    addresses = tuple(f"localhost:{port}" for port in free_ports(count))
    with TemporaryDirectory() as folder:
        workers = []
        for rank in range(count):
            log = Path(folder, str(rank))
            log.mkdir()
            function = partial(_within_time, work, Cluster(addresses, rank))
            workers.append(Process(function, Path.cwd(), log))
        ends = [worker.wait() for worker in workers]
    return [end for end in ends if end is not None]


def _within_time(work: Callable[[Cluster], int], cluster: Cluster) -> int:
    signal.alarm(MOST_SECONDS)
    return work(cluster)


def _run_as_worker(arguments: list[str], cluster: Cluster) -> int:
    os.environ[TF_CONFIG] = cluster.tf_config
    return run_command(arguments)


def main(count: int, arguments: list[str]) -> int:
    """Run a command in each worker, print what they print, and return the largest exit code."""
    ends = run_workers(count, partial(_run_as_worker, arguments))
    for end in ends:
        sys.stdout.write(end.output)
        sys.stderr.write(end.errors)
    return max(abs(end.code) for end in ends)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
