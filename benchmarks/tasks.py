"""Tables of classes and candidates for plain Keras scripts, which read them as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
"""Row numbers, ascending."""


@dataclass(frozen=True)
class Layer:
    """A hidden layer: Dense, batch normalization, activation, dropout."""

    units: int
    activation: str
    dropout: float
    """Dropout rate."""
    momentum: float | None
    """Momentum of batch normalization; `None` for no batch normalization."""


@dataclass(frozen=True)
class Candidate:
    """The settings that a search varies."""

    hidden: tuple[Layer, ...]
    learning_rate: float
    batch_size: int


@dataclass(frozen=True)
class Task:
    """A table of classes, the settings of training, and the candidates."""

    table: str
    """A CSV file of numbers and a column of classes."""
    target: str
    """The column of classes."""
    test: float
    """Share of test rows among all rows."""
    validation: float
    """Share of validation rows: of all rows for a search, of the training rows of a fold."""
    folds: int
    """Number of folds for cross-validation."""
    optimizer: str
    """`adam` or `adamw`."""
    weight_decay: float
    """Weight decay of `adamw`."""
    warmup_epochs: float | None
    """Warmup before a cosine decay of the learning rate; `None` for a constant learning rate."""
    is_balanced: bool
    """True if the loss has balanced class weights."""
    metrics: tuple[str, ...]
    """Metrics of each epoch, by dlcli's names."""
    epochs: int
    """Maximum number of epochs."""
    patience: int
    """Patience of early stopping, in epochs."""
    candidates: tuple[Candidate, ...]
    """One for cross-validation."""

    def write(self, path: Path) -> None:
        """Write the task as JSON."""
        path.write_text(json.dumps(asdict(self)), "utf-8")


def read_task(path: Path) -> Task:
    """Read a task that `Task.write` has written."""
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    candidates = tuple(map(_candidate, fields["candidates"]))
    return Task(**fields | {"metrics": tuple(fields["metrics"]), "candidates": candidates})


def _candidate(fields: dict[str, Any]) -> Candidate:
    return Candidate(**fields | {"hidden": tuple(Layer(**layer) for layer in fields["hidden"])})


@dataclass(frozen=True)
class Rows:
    """Rows of a table of classes, read and split without dlcli."""

    matrix: NDArray[np.float32]
    """(rows, inputs)."""
    labels: NDArray[np.int64]
    """Class indices, (rows,)."""
    classes: int
    """Number of classes."""

    def take(self, indices: Indices) -> Rows:
        """Return some of the rows."""
        return Rows(self.matrix[indices], self.labels[indices], self.classes)

    def standardized_by(self, training: Rows) -> Rows:
        """Return the rows standardized with the mean and deviation of the training rows."""
        mean, deviation = training.matrix.mean(axis=0), training.matrix.std(axis=0)
        matrix = (self.matrix - mean) / np.where(deviation > 0, deviation, 1)
        return Rows(matrix, self.labels, self.classes)

    def split(self, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Split off a stratified share of the rows; return the rest, and the share."""
        rest, held_out = next(iter(self.folds(round(1 / share), rng)))
        return self.take(rest), self.take(held_out)

    def folds(self, count: int, rng: np.random.Generator) -> Iterator[tuple[Indices, Indices]]:
        """Yield the training rows and the held-out rows of stratified folds."""
        order = rng.permutation(len(self.labels))
        order = order[np.argsort(self.labels[order], kind="stable")]
        fold = np.empty(len(order), np.int64)
        fold[order] = np.arange(len(order)) % count
        for number in range(count):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def read_rows(task: Task) -> Rows:
    """Read the table of a task."""
    with Path(task.table).open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    table = np.array(rows)
    position = names.index(task.target)
    classes, labels = np.unique(table[:, position], return_inverse=True)
    return Rows(np.delete(table, position, axis=1).astype(np.float32), labels, len(classes))
