"""The matrix products of training alone, with NumPy's sgemm: a lower bound for any engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import EpochEnd, Stopwatch
from benchmarks.workloads import EncodedData, Workload

Floats = NDArray[np.float32]


class _Products:
    """The products of one Dense layer at each step, into preallocated arrays.

    Args:
        inputs: inputs of the layer.
        units: units of the layer.
        rows: maximum number of rows of a batch.
    """

    def __init__(self, inputs: int, units: int, rows: int) -> None:
        rng = np.random.default_rng(1)
        self.kernel = rng.standard_normal((inputs, units), dtype=np.float32)
        self.kernel_gradient = np.empty_like(self.kernel)
        self.outputs = np.empty((rows, units), np.float32)
        self.output_gradient = rng.standard_normal((rows, units), dtype=np.float32)
        self.input_gradient = np.empty((rows, inputs), np.float32)

    def forward(self, batch: Floats) -> Floats:
        """Return the outputs of the layer, (rows, units)."""
        return np.matmul(batch, self.kernel, out=self.outputs[: len(batch)])

    def backward(self, batch: Floats, *, with_inputs: bool) -> None:
        """Compute the gradient of the kernel, and on request that of the inputs."""
        gradient = self.output_gradient[: len(batch)]
        np.matmul(batch.T, gradient, out=self.kernel_gradient)
        if with_inputs:
            np.matmul(gradient, self.kernel.T, out=self.input_gradient[: len(batch)])


def train(workload: Workload, data: EncodedData, epochs: int) -> list[EpochEnd]:
    """Compute the matrix products of this number of epochs, and nothing else."""
    stopwatch, size = Stopwatch(), workload.batch_size
    layers = [_Products(inputs, units, size) for inputs, units in workload.layers]
    for epoch in range(1, epochs + 1):
        for start in range(0, workload.rows, size):
            _step(layers, data.matrix[start : start + size])
        stopwatch.record(epoch)
    return stopwatch.ends


def _step(layers: list[_Products], batch: Floats) -> None:
    inputs = [batch]
    for layer in layers:
        inputs.append(layer.forward(inputs[-1]))
    for number in reversed(range(len(layers))):
        layers[number].backward(inputs[number], with_inputs=number > 0)
