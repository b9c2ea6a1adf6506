"""One measurement in a process of its own: `python -m benchmarks.worker RIVAL EPOCHS WORKLOAD`.

It is all that the interpreter of another library runs, and needs nothing beyond NumPy and that.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from typing import Any

from benchmarks.marks import figures
from benchmarks.rows import random_rows
from benchmarks.workloads import Workload

ALLOWED_BYTES = 700e6
"""What dlcli may need besides twice the encoded matrix; most of it is TensorFlow."""


def measure(rival: str, epochs: int, workload: Workload) -> dict[str, float]:
    """Trains a workload once.

    Args:
        rival: name of a module in `benchmarks.rivals`.
        epochs: how many.
        workload: what.

    Returns:
        The figures of `benchmarks.marks`, and bytes: the most that this process ever held, the
        encoded matrix, and the first over what is allowed.
    """
    module = importlib.import_module(f"benchmarks.rivals.{rival}")
    rows = random_rows(workload)
    marks = module.train(workload, rows, epochs)
    peak = peak_bytes()
    return {
        **figures(marks),
        "peak_bytes": peak,
        "matrix_bytes": rows.matrix.nbytes,
        "allowed_memory": peak / (2 * rows.matrix.nbytes + ALLOWED_BYTES),
    }


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _read(text: str) -> Workload:
    fields: dict[str, Any] = json.loads(text)
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Workload(**fields | lists)


if __name__ == "__main__":
    name, count, text = sys.argv[1:]
    print(json.dumps(measure(name, int(count), _read(text))))
