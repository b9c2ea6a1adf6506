"""Measure one training in a fresh process: `python -m benchmarks.worker RIVAL EPOCHS WORKLOAD`.

The interpreters of other libraries run this module, which needs only NumPy and that library.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.timing import figures
from benchmarks.workloads import Workload, random_data

ALLOWED_BYTES = 700e6
"""Allowed memory in addition to twice the encoded matrix; TensorFlow uses most of it."""


def measure(rival: str, epochs: int, workload: Workload) -> dict[str, float]:
    """Train a workload once.

    Args:
        rival: name of a module in `benchmarks.rivals`.
        epochs: number of epochs.
        workload: sizes and network.

    Returns:
        The figures of `benchmarks.timing`; the peak memory of the process and the size of the
        encoded matrix in bytes; and the peak divided by the allowed memory.
    """
    module = importlib.import_module(f"benchmarks.rivals.{rival}")
    data = random_data(workload)
    ends = module.train(workload, data, epochs)
    peak = peak_bytes()
    return {
        **figures(ends),
        "peak_bytes": peak,
        "matrix_bytes": data.matrix.nbytes,
        "allowed_memory": peak / (2 * data.matrix.nbytes + ALLOWED_BYTES),
    }


def peak_bytes() -> int:
    """Return the maximum resident memory of this process.

    Linux counts from the start of the program; `getrusage` includes the parent's memory at the
    fork.
    """
    with suppress(OSError):
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _read(text: str) -> Workload:
    fields: dict[str, Any] = json.loads(text)
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Workload(**fields | lists)


if __name__ == "__main__":
    name, count, text = sys.argv[1:]
    print(json.dumps(measure(name, int(count), _read(text))))
