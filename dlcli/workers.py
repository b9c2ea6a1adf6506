"""Messages between the workers of a cluster, and the one worker of a training without a cluster.

All workers run the same program and call the methods of `Workers` at the same time, so each
receives the same results and comes to the same conclusions. A single worker has only its own.
"""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlcli import errors
from dlcli.cluster import ALONE, Cluster

Arrays = Mapping[str, NDArray[Any]]
Result = TypeVar("Result")


class Workers:
    """The workers that train together, as one of them knows them; of this class there is one.

    Args:
        cluster: their addresses, and the number of this one.
    """

    def __init__(self, cluster: Cluster = ALONE) -> None:
        self.cluster = cluster

    @property
    def rank(self) -> int:
        """The number of this worker, from 0."""
        return self.cluster.rank

    @property
    def size(self) -> int:
        """The number of workers."""
        return self.cluster.size

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """Return the value of each worker, all of which JSON can represent.

        Raises:
            TrainingError: if one of them has ended, or can't be reached.
        """
        return [value]

    def gather_arrays(self, arrays: Arrays) -> list[Arrays]:
        """Return the arrays of each worker, by name."""
        return [arrays]

    def gather_bytes(self, message: bytes | memoryview) -> Sequence[bytes | memoryview]:
        """Return the message of each worker."""
        return [message]

    def seconds_per_sum(self, numbers: int) -> float:
        """Measure how long a sum of so many numbers over all workers takes."""
        return 0.0

    def agree(self, work: Callable[[], Result]) -> Result:
        """Do something that may fail on a single worker; then it fails on all of them.

        Args:
            work: does it, without an exchange of messages.

        Raises:
            DlcliError: of the first worker on which it failed.
        """
        return work()


NO_OTHERS = Workers()
"""The one worker of a training without a cluster."""


class ConnectedWorkers(Workers, ABC):
    """Several workers, which exchange messages."""

    @abstractmethod
    def gather_bytes(self, message: bytes | memoryview) -> Sequence[bytes | memoryview]:
        """Return the message of each worker; all call it at the same time.

        Raises:
            TrainingError: if one of them has ended, or can't be reached.
        """

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """Return the value of each worker, by JSON."""
        messages = self.gather_bytes(json.dumps(value).encode())
        return [json.loads(bytes(each)) for each in messages]

    def gather_arrays(self, arrays: Arrays) -> list[Arrays]:
        """Return the arrays of each worker, by NumPy's own format."""
        stream = io.BytesIO()
        named = {f"_{name}": array for name, array in arrays.items()}
        np.savez(stream, **named)  # type: ignore[arg-type]
        found: list[Arrays] = []
        for each in self.gather_bytes(stream.getbuffer()):
            with np.load(io.BytesIO(each), allow_pickle=False) as stored:
                found.append({name[1:]: stored[name] for name in stored})
        return found

    def agree(self, work: Callable[[], Result]) -> Result:
        """Do something on each worker, and exchange how it ended."""
        results: list[Result] = []
        self.gather_results(lambda: results.append(work()))
        return results[0]

    def gather_results(self, work: Callable[[], Any]) -> list[Any]:
        """Return what each worker's `work` returns, which JSON can represent; see `agree`."""
        result = None
        error: errors.DlcliError | None = None
        try:
            result = work()
        except errors.DlcliError as failed:
            error = failed
        except MemoryError:
            error = errors.WorkerError("out of memory; use more workers, or data.storage: disk")
        failure = error and [type(error).__name__, str(error), getattr(error, "__notes__", [])]
        found = self.gather([failure, result])
        for rank, (each, _) in enumerate(found):
            if each is not None:
                raise (error if rank == self.rank else None) or _error_of(rank, *each)
        return [result for _, result in found]


def _error_of(rank: int, name: str, message: str, notes: Sequence[str]) -> errors.DlcliError:
    """Return the error of another worker, with the same exit code."""
    kinds = {
        kind.__name__: kind for kind in (errors.DataError, errors.RunError, errors.TrainingError)
    }
    error: errors.DlcliError
    if name == "ConfigError":
        error = errors.ConfigError([errors.Problem("", message)])
    elif name == "UsageError":
        error = errors.UsageError(message)
    else:
        error = kinds.get(name, errors.WorkerError)("")
        # Rows are the same for all, a disk is the worker's own.
        error.args = (message if name == "DataError" else f"worker {rank}: {message}",)
    for note in notes:
        error.add_note(note)
    return error
