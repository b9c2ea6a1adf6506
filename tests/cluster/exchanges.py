"""Workers as threads of the test, which exchange messages through memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import TypeVar

from dlcli.cluster import Cluster, ConnectedWorkers, Workers
from dlcli.errors import DlcliError

Result = TypeVar("Result")
SECONDS = 60
"""To wait for the other threads."""


class ThreadWorkers(ConnectedWorkers):
    """The workers as one thread knows them."""

    def __init__(self, rank: int, messages: list[bytes | memoryview], barrier: Barrier) -> None:
        super().__init__(Cluster(tuple(f"localhost:{port}" for port in range(len(messages))), rank))
        self._messages = messages
        self._barrier = barrier

    def gather_bytes(self, message: bytes | memoryview) -> list[bytes | memoryview]:
        self._messages[self.rank] = message
        self._barrier.wait(SECONDS)
        received = [*self._messages]
        self._barrier.wait(SECONDS)
        return received


def on_workers(size: int, work: Callable[[Workers], Result]) -> list[Result | Exception]:
    """Return the result of each of several workers, or its error."""
    messages, barrier = list[bytes | memoryview]([b""] * size), Barrier(size)

    def run(rank: int) -> Result | Exception:
        try:
            return work(ThreadWorkers(rank, messages, barrier))
        except DlcliError as error:  # which all have
            return error
        except Exception as error:
            barrier.abort()  # the others wait for it
            return error

    with ThreadPoolExecutor(size) as pool:
        results = list(pool.map(run, range(size)))
    for result in results:
        if isinstance(result, Exception) and not isinstance(
            result, DlcliError | BrokenBarrierError
        ):
            raise result
    return results
