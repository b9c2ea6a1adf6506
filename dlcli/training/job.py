"""The job of an engine, its result, and the snapshots from which training is resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Config
from dlcli.encoding import EncodedRows
from dlcli.network import Head, Network
from dlcli.runs import ArraySpec
from dlcli.tasks import Task

Weights = Mapping[str, NDArray[np.floating[Any]]]
Arrays = Mapping[str, NDArray[Any]]
History = dict[str, list[float]]
"""Values of each epoch, by column of history.csv."""
Progress = Callable[[int, Mapping[str, float]], None]
"""Receives each epoch, counted from 1, with its values by column of history.csv."""
MODEL = "model/"
"""Prefix of the names of the model's own variables in a snapshot."""


@dataclass(frozen=True)
class Job:
    """A network to train on rows."""

    config: Config
    """Seed, optimizer, schedule, epochs, batch size, early stopping, precision."""
    network: Network
    """The layers."""
    head: Head
    """Loss and metrics."""
    task: Task
    """The task: the form of labels, their weights, and the unit of metrics."""
    train: EncodedRows
    """Training rows."""
    validation: EncodedRows | None = None
    """Validation rows."""
    initial_weights: Weights | None = None
    """Initial weights instead of the initializers'."""
    until: int | None = None
    """The epoch to end after, if not the last; schedules are not affected."""
    placed: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """Inputs that are on the device already: shared by jobs over the same rows, of which one is
    derived from the other. See `ResidentProgram.load_rows`."""

    @property
    def epochs(self) -> int:
        """The epoch after which training ends at the latest."""
        return self.config.epochs if self.until is None else self.until

    @property
    def can_begin(self) -> bool:
        """Whether it can start at its first epoch; a resumed job may lack its initial weights."""
        return self.config.initial_weights is None or self.initial_weights is not None

    @property
    def batch_size(self) -> int:
        """Rows per step: as configured, or all if there are fewer."""
        return min(self.config.batch_size, len(self.train.inputs))

    @property
    def steps(self) -> int:
        """Steps per epoch; the last one takes the remaining rows."""
        return -(-len(self.train.inputs) // self.batch_size)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of an epoch's values, in the order of history.csv."""
        measured = ("loss", *self.head.metrics)
        held_out = () if self.validation is None else tuple(f"val_{name}" for name in measured)
        return (*measured, *held_out)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The training target in the loss's form."""
        return self.task.loss_labels(self.train.target, self.head.loss, self.network.outputs)

    @cached_property
    def validation_labels(self) -> NDArray[Any] | None:
        """The validation target in the loss's form."""
        if self.validation is None:
            return None
        return self.task.loss_labels(self.validation.target, self.head.loss, self.network.outputs)

    @cached_property
    def loss_weights(self) -> NDArray[np.float32] | None:
        """The training rows' weights, class weights included, (rows,)."""
        return self.task.loss_weights(
            self.train.target, self.train.weights, self.config.class_weight
        )


@dataclass(frozen=True)
class TrainingResult:
    """A trained network."""

    weights: Weights
    """The weights by name."""
    history: Mapping[str, list[float]]
    """Values of each epoch: loss, metrics, learning_rate."""
    best_epoch: int | None
    """The epoch, from 1, that the weights are from; `None`: the last."""

    @property
    def epochs(self) -> int:
        """Number of epochs that were run."""
        return len(self.history["loss"])


@dataclass(frozen=True)
class Snapshot:
    """The complete state of a training, from which it is resumed to the bit."""

    arrays: Arrays
    """Every variable and counter, by name. `epoch` is the number of completed epochs, `step` that
    of steps in the next one, for engines that can stop within an epoch."""
    history: Mapping[str, Sequence[float]]
    """Values of each completed epoch, by column of history.csv."""

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return len(self.history.get("loss", ()))

    @property
    def begun(self) -> int:
        """Number of epochs that have begun: within an epoch one more than completed ones."""
        return self.epochs + (self._step > 0)

    @property
    def is_finite(self) -> bool:
        """Whether all weights of the model are finite, so that it is worth resuming."""
        weights = (array for name, array in self.arrays.items() if name.startswith(MODEL))
        return all(np.isfinite(array).all() for array in weights)

    def complaint(self, job: Job) -> str:
        """Return why this can't be a state of a job, though names and shapes fit; empty if it can.

        A checkpoint may come from a stranger and hold any numbers.
        """
        epoch, epochs, step = int(self.arrays["epoch"]), job.config.epochs, self._step
        if not (0 <= step <= job.steps and 0 <= epoch * job.steps + step <= epochs * job.steps):
            return f"is at step {step} of {job.steps} after {epoch} of {epochs} epochs"
        bests = (int(value) for name, value in self.arrays.items() if name.endswith("best_epoch"))
        if any(not -1 <= best < max(epoch, 1) for best in bests):
            return f"has its best epoch after the {epoch} completed ones"
        if self.epochs != epoch:
            return f"is after {epoch} epochs, and its history has {self.epochs}"
        names = (*job.columns, "learning_rate") if epoch else ()
        if tuple(self.history) != names:
            columns, wanted = (", ".join(each) or "nothing" for each in (self.history, names))
            return f"has a history of {columns}; expected {wanted}"
        return ""

    @property
    def _step(self) -> int:
        return int(self.arrays.get("step", 0))


class Checkpointer(Protocol):
    """Stores snapshots, and decides when one is due."""

    @property
    def is_due(self) -> bool:
        """Whether it is time for a snapshot, or training is to end."""

    @property
    def is_ending(self) -> bool:
        """Whether training is to end, so that even an older snapshot is to be stored now."""

    def save(self, snapshot: Snapshot) -> None:
        """Store a snapshot.

        Raises:
            TrainingError: if it can't be stored.
            Interrupted: if training is to end.
        """

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Snapshot | None:
        """Return the snapshot to resume from: the newest one not past the end of the job.

        Args:
            job: the job.
            kinds: shape and dtype that each array must have, by name.

        Raises:
            RunError: if there are some, and none can be read or belongs to such a job.
        """


class _NoCheckpoints:
    """Store nothing."""

    is_due = False
    is_ending = False

    def save(self, snapshot: Snapshot) -> None:
        """Discard it."""

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Snapshot | None:
        """Return `None`: training starts from the beginning."""


NO_CHECKPOINTS: Checkpointer = _NoCheckpoints()


def values_of(variables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Copy the values of variables, by name."""
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def assign_values(variables: Mapping[str, Any], arrays: Arrays) -> None:
    """Set variables to values of the same names."""
    for name, variable in variables.items():
        variable.assign(arrays[name])


def specs_of(arrays: Arrays) -> dict[str, ArraySpec]:
    """Return the shapes and dtypes of arrays."""
    return {name: ArraySpec(array.shape, array.dtype) for name, array in arrays.items()}


def shortest(value: float) -> float:
    """Return the float64 that prints like a float32: 0.01 instead of 0.009999999776."""
    return float(str(np.float32(value)))
