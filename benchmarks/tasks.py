"""What is to be chosen by experiment: plain data, which rivals read as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A hidden layer: Dense, batch normalization, activation, dropout."""

    units: int
    activation: str
    dropout: float
    """Share of units silenced."""
    momentum: float | None
    """Of batch normalization; none: there is none."""


@dataclass(frozen=True)
class Candidate:
    """What a search varies."""

    hidden: tuple[Layer, ...]
    learning_rate: float
    batch_size: int


@dataclass(frozen=True)
class Task:
    """A table of classes, what is trained on it, and the candidates among which to choose."""

    table: str
    """A CSV file of numbers and a column of classes."""
    target: str
    """That column."""
    test: float
    """Share of all rows, which take no part."""
    validation: float
    """Share of rows that tell when to stop: of all for a search, of what a fold learns from."""
    folds: int
    """Parts of the rows that take part; of cross-validation alone."""
    optimizer: str
    """`adam` or `adamw`."""
    weight_decay: float
    """Of `adamw`."""
    warmup_epochs: float | None
    """Of a learning rate that then falls as a cosine; none: it stays."""
    is_balanced: bool
    """Whether classes count alike in the loss."""
    metrics: tuple[str, ...]
    """What each epoch also shows, by dlcli's names."""
    epochs: int
    """At most."""
    patience: int
    """Epochs without a lower validation loss after which training ends."""
    candidates: tuple[Candidate, ...]
    """One for cross-validation."""

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(asdict(self)), "utf-8")


def read_task(path: Path) -> Task:
    """Reads what `Task.write` has written."""
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    candidates = tuple(map(_candidate, fields["candidates"]))
    return Task(**fields | {"metrics": tuple(fields["metrics"]), "candidates": candidates})


def _candidate(fields: dict[str, Any]) -> Candidate:
    return Candidate(**fields | {"hidden": tuple(Layer(**layer) for layer in fields["hidden"])})
