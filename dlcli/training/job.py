"""What an engine is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Config
from dlcli.encoding import EncodedRows
from dlcli.network import Head, Network
from dlcli.tasks import TargetEncoder
from dlcli.training.rows import labels_for, loss_weights

Weights = Mapping[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Job:
    """A network to train on rows."""

    config: Config
    """Seed, optimizer, schedule, epochs, batch size, stopping, precision."""
    network: Network
    """The layers."""
    head: Head
    """Loss and metrics."""
    target: TargetEncoder
    """The target's unit, for metrics, and its classes, for their weights."""
    train: EncodedRows
    """What is learned from."""
    validation: EncodedRows | None = None
    """What steers."""
    initial_weights: Weights | None = None
    """Where to start, instead of the initializers."""
    until: int | None = None
    """The epoch after which to end, if not the last; schedules don't change for that."""
    placed: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """Inputs that lie on the device, by what they were made of: jobs over the same rows, of which
    one is made of the other, share them. See `HeldProgram.take`."""

    @property
    def epochs(self) -> int:
        """The epoch after which training ends in any case."""
        return self.config.epochs if self.until is None else self.until

    @property
    def can_begin(self) -> bool:
        """Whether it can be trained from its beginning: one that goes on has no initial weights."""
        return self.config.initial_weights is None or self.initial_weights is not None

    @property
    def batch_size(self) -> int:
        """Rows a step: as configured, or all if there are fewer."""
        return min(self.config.batch_size, len(self.train.inputs))

    @property
    def steps(self) -> int:
        """Steps an epoch; the last one takes what rows are left."""
        return -(-len(self.train.inputs) // self.batch_size)

    @property
    def columns(self) -> tuple[str, ...]:
        """What an epoch is measured by, in the order of history.csv."""
        measured = ("loss", *self.head.metrics)
        held_out = () if self.validation is None else tuple(f"val_{name}" for name in measured)
        return (*measured, *held_out)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The training target in the loss's form."""
        return labels_for(self.head.loss, self.train.target, self.network.outputs)

    @cached_property
    def validation_labels(self) -> NDArray[Any] | None:
        """The validation target in the loss's form."""
        if self.validation is None:
            return None
        return labels_for(self.head.loss, self.validation.target, self.network.outputs)

    @cached_property
    def loss_weights(self) -> NDArray[np.float32] | None:
        """The training rows' weights, those of their classes included."""
        return loss_weights(self.train, self.config.class_weight, self.target)


@dataclass(frozen=True)
class TrainingResult:
    """A trained network."""

    weights: Weights
    """The weights by name."""
    history: Mapping[str, list[float]]
    """A value for each epoch: loss, metrics, learning_rate."""
    best_epoch: int | None
    """The epoch, from 1, that the weights are of; None: the last."""

    @property
    def epochs(self) -> int:
        """How many epochs were run."""
        return len(self.history["loss"])
