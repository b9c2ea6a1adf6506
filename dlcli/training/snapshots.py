"""What it takes to stop training and go on later as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlcli.runs import ArraySpec
from dlcli.training.job import Job

Arrays = Mapping[str, NDArray[Any]]
History = dict[str, list[float]]


@dataclass(frozen=True)
class Snapshot:
    """Where training is."""

    arrays: Arrays
    """Every variable and counter, by name. `epoch` has ended so many, and `step` so many steps of
    the next, where a snapshot may be of the middle of one."""
    history: Mapping[str, Sequence[float]]
    """A value for each epoch so far, by column of history.csv."""

    @property
    def epochs(self) -> int:
        """How many epochs have ended."""
        return len(self.history.get("loss", ()))

    @property
    def begun(self) -> int:
        """How many epochs have begun: one more than have ended, inside of one."""
        return self.epochs + (self._step > 0)

    @property
    def is_finite(self) -> bool:
        """Whether the model's weights are numbers, so that it is worth going on from here."""
        weights = (array for name, array in self.arrays.items() if name.startswith(MODEL))
        return all(np.isfinite(array).all() for array in weights)

    def complaint(self, job: Job) -> str:
        """Why this can't be of a job, though its arrays are what they must be; empty if it can.

        A checkpoint that anybody may have made can stand anywhere.
        """
        epoch, epochs, step = int(self.arrays["epoch"]), job.config.epochs, self._step
        if not (0 <= step <= job.steps and 0 <= epoch * job.steps + step <= epochs * job.steps):
            return f"stands at step {step} of {job.steps} after {epoch} of {epochs} epochs"
        if any(not -1 <= best < max(epoch, 1) for best in self._best_epochs):
            return f"has its best epoch after the {epoch} that have ended"
        if self.epochs != epoch:
            return f"stands after {epoch} epochs, and its history has {self.epochs}"
        names = (*job.columns, "learning_rate") if epoch else ()
        if tuple(self.history) != names:
            columns, wanted = (", ".join(each) or "nothing" for each in (self.history, names))
            return f"has a history of {columns}; {wanted} was expected"
        return ""

    @property
    def _step(self) -> int:
        return int(self.arrays.get("step", 0))

    @property
    def _best_epochs(self) -> list[int]:
        """The best epochs that are remembered, from 0; -1 before there is one."""
        return [int(array) for name, array in self.arrays.items() if name.endswith("best_epoch")]


class Checkpointer(Protocol):
    """Keeps snapshots, and says when it wants one."""

    @property
    def is_due(self) -> bool:
        """Whether it is time for a snapshot, or training is to end."""

    @property
    def is_ending(self) -> bool:
        """Whether training is to end, and a snapshot is wanted now, be it of an earlier time."""

    def keep(self, snapshot: Snapshot) -> None:
        """Stores a snapshot.

        Raises:
            TrainingError: if it can't be stored.
            Interrupted: if training is to end.
        """

    def earlier(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Snapshot | None:
        """The snapshot to go on from, if there is one that is not past the end of a job.

        Args:
            job: what is trained.
            kinds: what each array must be, by name.

        Raises:
            RunError: if there were some, and none can be read, or what was read is of no such job.
        """


class _Forgetful:
    """Keeps nothing."""

    is_due = False
    is_ending = False

    def keep(self, snapshot: Snapshot) -> None:
        """Forgets it."""

    def earlier(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Snapshot | None:
        """None: all training begins anew."""


NOBODY: Checkpointer = _Forgetful()
"""Where nothing is to be kept."""
MODEL = "model/"
"""What the names of the model's own variables begin with."""


def values_of(variables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Copies of variables by name."""
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def assign_values(variables: Mapping[str, Any], arrays: Arrays) -> None:
    """Gives variables the values that they had."""
    for name, variable in variables.items():
        variable.assign(arrays[name])


def kinds_of(arrays: Arrays) -> dict[str, ArraySpec]:
    """What arrays of a later time must be like."""
    return {name: ArraySpec(array.shape, array.dtype) for name, array in arrays.items()}
