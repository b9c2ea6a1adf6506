"""Random rows: equal for every rival and every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Rows:
    """Encoded rows to train on, and rows to validate on."""

    matrix: NDArray[np.float32]
    """(rows, inputs)."""
    target: NDArray[Any]
    """Numbers, float32 (rows, 1), or the places of classes, int64 (rows,)."""
    validation_matrix: NDArray[np.float32]
    """(validation rows, inputs)."""
    validation_target: NDArray[Any]
    """As `target`."""


def random_rows(workload: Workload) -> Rows:
    """Makes a workload's rows from a fixed seed."""
    random = np.random.default_rng(0)
    matrix, target = _draw(random, workload, workload.rows)
    validation_matrix, validation_target = _draw(random, workload, workload.validation_rows)
    return Rows(matrix, target, validation_matrix, validation_target)


def _draw(
    random: np.random.Generator, workload: Workload, rows: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    matrix = random.standard_normal((rows, workload.inputs), dtype=np.float32)
    if workload.classes:
        return matrix, random.integers(0, workload.classes, rows)
    return matrix, 2 * matrix[:, :1] + np.sin(matrix[:, 1:2])
