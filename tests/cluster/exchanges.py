"""Workers as threads of the test, which exchange messages through memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import TypeVar

from dlcli.errors import DlcliError
from dlcli.tables.sharded_table import Exchange

Result = TypeVar("Result")
SECONDS = 60
"""To wait for the other threads."""


class ThreadExchange:
    """The exchange of one thread."""

    def __init__(self, rank: int, messages: list[bytes | memoryview], barrier: Barrier) -> None:
        self.rank = rank
        self.size = len(messages)
        self._messages = messages
        self._barrier = barrier

    def gather(self, message: bytes | memoryview) -> list[bytes | memoryview]:
        self._messages[self.rank] = message
        self._barrier.wait(SECONDS)
        received = [*self._messages]
        self._barrier.wait(SECONDS)
        return received


def on_workers(size: int, work: Callable[[Exchange], Result]) -> list[Result | Exception]:
    """Return the result of each of several workers, or its error."""
    messages, barrier = list[bytes | memoryview]([b""] * size), Barrier(size)

    def run(rank: int) -> Result | Exception:
        try:
            return work(ThreadExchange(rank, messages, barrier))
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
