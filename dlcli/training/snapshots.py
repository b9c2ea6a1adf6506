"""What it takes to stop training and go on later as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlcli.run import ArrayKind

Arrays = Mapping[str, NDArray[Any]]
History = dict[str, list[float]]


@dataclass(frozen=True)
class Snapshot:
    """Where training is."""

    arrays: Arrays
    """Every variable and counter, by name."""
    history: Mapping[str, Sequence[float]]
    """A value for each epoch so far, by column of history.csv."""

    @property
    def epochs(self) -> int:
        """How many epochs have ended."""
        return len(self.history.get("loss", ()))

    @property
    def is_finite(self) -> bool:
        """Whether the model's weights are numbers, so that it is worth going on from here."""
        weights = (array for name, array in self.arrays.items() if name.startswith(MODEL))
        return all(np.isfinite(array).all() for array in weights)


class Keeper(Protocol):
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

    def earlier(self, kinds: Mapping[str, ArrayKind]) -> Snapshot | None:
        """The snapshot to go on from, if there is one.

        Args:
            kinds: what each array must be, by name.

        Raises:
            RunError: if there were some, and none can be read.
        """


class _Forgetful:
    """Keeps nothing."""

    is_due = False
    is_ending = False

    def keep(self, snapshot: Snapshot) -> None:
        """Forgets it."""

    def earlier(self, kinds: Mapping[str, ArrayKind]) -> Snapshot | None:
        """None: all training begins anew."""


NOBODY: Keeper = _Forgetful()
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


def kinds_of(arrays: Arrays) -> dict[str, ArrayKind]:
    """What arrays of a later time must be like."""
    return {name: ArrayKind(array.shape, array.dtype) for name, array in arrays.items()}
