"""The matrix products of training alone, in NumPy's sgemm: what no engine can go without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.marks import Mark, Stopwatch
from benchmarks.rows import Rows
from benchmarks.workloads import Workload

Floats = NDArray[np.float32]


class _Products:
    """The products of one Dense layer at each step, into arrays that are there already.

    Args:
        inputs: width of what the layer reads.
        units: width of what it gives.
        rows: most rows of a batch.
    """

    def __init__(self, inputs: int, units: int, rows: int) -> None:
        random = np.random.default_rng(1)
        self.kernel = random.standard_normal((inputs, units), dtype=np.float32)
        self.gradient = np.empty_like(self.kernel)
        self.outputs = np.empty((rows, units), np.float32)
        self.errors = random.standard_normal((rows, units), dtype=np.float32)
        self.earlier = np.empty((rows, inputs), np.float32)

    def forward(self, batch: Floats) -> Floats:
        """What the layer gives, (rows, units)."""
        return np.matmul(batch, self.kernel, out=self.outputs[: len(batch)])

    def backward(self, batch: Floats, *, passes_on: bool) -> None:
        """The kernel's gradient, and that of what it read unless nothing asks for it."""
        errors = self.errors[: len(batch)]
        np.matmul(batch.T, errors, out=self.gradient)
        if passes_on:
            np.matmul(errors, self.kernel.T, out=self.earlier[: len(batch)])


def train(workload: Workload, rows: Rows, epochs: int) -> list[Mark]:
    """Multiplies what as many epochs of training multiply; it learns nothing."""
    stopwatch, size = Stopwatch(), workload.batch_size
    layers = [_Products(inputs, units, size) for inputs, units in workload.layers]
    for epoch in range(1, epochs + 1):
        for start in range(0, workload.rows, size):
            _step(layers, rows.matrix[start : start + size])
        stopwatch.mark(epoch)
    return stopwatch.marks


def _step(layers: list[_Products], batch: Floats) -> None:
    reads = [batch]
    for layer in layers:
        reads.append(layer.forward(reads[-1]))
    for place in reversed(range(len(layers))):
        layers[place].backward(reads[place], passes_on=place > 0)
