"""What is trained: sizes, network, epochs. Plain data, which workers read as JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Workload:
    """A network to train with Adam on random rows."""

    name: str
    """What `--only` calls it."""
    rows: int
    """Rows that train."""
    inputs: int
    """Columns of the encoded matrix."""
    hidden: tuple[int, ...]
    """Units of each hidden layer; ReLU follows."""
    classes: int
    """Softmax over so many classes; 0: one number, with mean squared error."""
    batch_size: int
    """Rows a step; the last, smaller batch counts."""
    epochs: int
    """Epochs of every rival, and of dlcli to be compared with compiling included."""
    long: int
    """Epochs of rivals that compile, so that the time after compiling is long enough to read."""
    dropout: float = 0.0
    """Share of units silenced after each hidden layer."""
    validation_rows: int = 0
    """Rows that early stopping watches, though it never stops."""
    rivals: tuple[str, ...] = ("Keras fit", "JAX", "PyTorch", "scikit-learn")
    """What dlcli is compared with."""
    is_quick: bool = False
    """Whether it belongs to `--quick`."""

    @property
    def outputs(self) -> int:
        """Width of the network's output."""
        return self.classes or 1

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and units of each Dense layer."""
        widths = (self.inputs, *self.hidden, self.outputs)
        return tuple(zip(widths[:-1], widths[1:], strict=True))

    @property
    def plain(self) -> Workload:
        """The same without dropout and validation."""
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
"""All workloads; mnist is of that size only: every row is random."""
