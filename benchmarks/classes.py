"""A table of numbers and a column of classes, as a script without dlcli reads and deals it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks import Task

Places = NDArray[np.int64]
"""Which rows, in ascending order."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table of classes."""

    matrix: NDArray[np.float32]
    """(rows, inputs)."""
    labels: NDArray[np.int64]
    """The places of their classes, (rows,)."""
    classes: int
    """How many there are."""

    def take(self, places: Places) -> Rows:
        """Some of them."""
        return Rows(self.matrix[places], self.labels[places], self.classes)

    def scaled_by(self, others: Rows) -> Rows:
        """The same in standard units of others."""
        mean, deviation = others.matrix.mean(axis=0), others.matrix.std(axis=0)
        matrix = (self.matrix - mean) / np.where(deviation > 0, deviation, 1)
        return Rows(matrix, self.labels, self.classes)

    def shares(self, share: float, random: np.random.Generator) -> tuple[Rows, Rows]:
        """The rest, and so many of each class."""
        first = next(iter(self.parts(round(1 / share), random)))
        return self.take(first[0]), self.take(first[1])

    def parts(self, count: int, random: np.random.Generator) -> Iterator[tuple[Places, Places]]:
        """Yields each of so many parts of all classes alike: the rest, and the part."""
        order = random.permutation(len(self.labels))
        order = order[np.argsort(self.labels[order], kind="stable")]
        part = np.empty(len(order), np.int64)
        part[order] = np.arange(len(order)) % count
        for number in range(count):
            yield np.flatnonzero(part != number), np.flatnonzero(part == number)


def read_rows(task: Task) -> Rows:
    """Reads the table of a task."""
    with Path(task.table).open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    table = np.array(rows)
    at = names.index(task.target)
    classes, labels = np.unique(table[:, at], return_inverse=True)
    return Rows(np.delete(table, at, axis=1).astype(np.float32), labels, len(classes))
