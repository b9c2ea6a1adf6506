"""The workloads that are trained: sizes, network, epochs, and random rows.

The interpreters of other libraries import this module, so it requires only NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Workload:
    """A network to train with Adam on random rows; workers read it as JSON."""

    name: str
    """Name for `--only`."""
    rows: int
    """Training rows."""
    inputs: int
    """Columns of the encoded matrix."""
    hidden: tuple[int, ...]
    """Units of each hidden layer, with ReLU."""
    classes: int
    """Number of classes of the softmax; 0: one number, with mean squared error."""
    batch_size: int
    """Rows per step; the last, smaller batch is also used."""
    epochs: int
    """Epochs of every rival, and of dlcli in comparisons that include compilation."""
    long: int
    """Epochs of rivals that compile, enough to measure the time after compilation."""
    dropout: float = 0.0
    """Dropout rate after each hidden layer."""
    validation_rows: int = 0
    """Rows for early stopping, which never stops."""
    rivals: tuple[str, ...] = ("Keras fit", "JAX", "PyTorch", "scikit-learn")
    """Names of the rivals of dlcli."""
    is_quick: bool = False
    """True if `--quick` includes it."""

    @property
    def outputs(self) -> int:
        """Units of the output layer."""
        return self.classes or 1

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and units of each Dense layer."""
        widths = (self.inputs, *self.hidden, self.outputs)
        return tuple(zip(widths[:-1], widths[1:], strict=True))

    @property
    def plain(self) -> Workload:
        """The same workload without dropout and validation."""
        return replace(self, dropout=0.0, validation_rows=0)


_SMALL = Workload("small", 1_000, 10, (32,), 0, 32, epochs=10, long=4_000, is_quick=True)
_DIGITS = Workload("digits", 1_797, 64, (128, 64), 10, 32, epochs=10, long=400, is_quick=True)
_TABLE = Workload("table", 100_000, 50, (256, 256), 0, 1024, epochs=10, long=20)
_MNIST = Workload("mnist", 20_000, 784, (512, 512), 10, 128, epochs=10, long=20)

WORKLOADS = (
    _SMALL,
    _DIGITS,
    _TABLE,
    replace(_MNIST, rivals=("NumPy sgemm", *_MNIST.rivals)),
    replace(_TABLE, name="large", rows=1_000_000, epochs=3, long=3),
    Workload("wide", 2_000, 5_000, (64,), 0, 32, epochs=10, long=50),
    replace(_MNIST, name="dropout", dropout=0.2, rivals=("Keras fit", "JAX", "PyTorch")),
    replace(_DIGITS, name="validation", validation_rows=360, rivals=("Keras fit",), is_quick=False),
)
"""All workloads; digits and mnist only have the sizes of those data sets."""


@dataclass(frozen=True)
class EncodedData:
    """Encoded training rows and validation rows."""

    matrix: NDArray[np.float32]
    """(rows, inputs)."""
    target: NDArray[Any]
    """Numbers, float32 (rows, 1), or class indices, int64 (rows,)."""
    validation_matrix: NDArray[np.float32]
    """(validation rows, inputs)."""
    validation_target: NDArray[Any]
    """Targets of validation rows, like `target`."""


def random_data(workload: Workload) -> EncodedData:
    """Return the rows of a workload from a fixed seed, the same for every rival and machine."""
    rng = np.random.default_rng(0)
    return EncodedData(
        *_draw(rng, workload, workload.rows), *_draw(rng, workload, workload.validation_rows)
    )


def _draw(
    rng: np.random.Generator, workload: Workload, rows: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    matrix = rng.standard_normal((rows, workload.inputs), dtype=np.float32)
    if workload.classes:
        return matrix, rng.integers(0, workload.classes, rows)
    return matrix, 2 * matrix[:, :1] + np.sin(matrix[:, 1:2])
