"""Snapshots of `Model.fit`, taken at the end of an epoch, the state of its callbacks included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.snapshots import (
    Arrays,
    Checkpointer,
    History,
    Snapshot,
    assign_values,
    kinds_of,
    values_of,
)

_COUNTERS = {
    keras.callbacks.EarlyStopping: ("wait", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter"),
}
"""What the callbacks remember from epoch to epoch besides their best value."""


class Snapshots(keras.callbacks.Callback):
    """Keeps snapshots; must be the last of the callbacks.

    Args:
        job: what is trained.
        learner: the model and what moves it. If there is a snapshot to go on from, it is given the
            values that it had.
        watchers: early stopping and the plateau, if there are such.
        history: what was measured at each epoch, which others write; it is given that of the
            snapshot.
        keeper: keeps them.
    """

    def __init__(
        self,
        job: Job,
        learner: Learner,
        watchers: Sequence[keras.callbacks.Callback],
        history: History,
        keeper: Checkpointer,
    ) -> None:
        super().__init__()
        self._learner = learner
        self._watchers = watchers
        self._history = history
        self._keeper = keeper
        self._newest = Snapshot(self._arrays(0), {})
        earlier = keeper.earlier(job, kinds_of(self._newest.arrays))
        if earlier is None:
            keeper.keep(self._newest)
            return
        self._newest = earlier
        history.update({name: list(values) for name, values in earlier.history.items()})
        assign_values(learner.variables, earlier.arrays)

    @property
    def epoch(self) -> int:
        """The epoch to go on with, from 0."""
        return int(self._newest.arrays["epoch"])

    @property
    def is_stopped(self) -> bool:
        """Whether early stopping has ended training."""
        return any(
            isinstance(watcher, keras.callbacks.EarlyStopping)
            and int(self._newest.arrays[f"watcher/{place}/stopped_epoch"]) > 0
            for place, watcher in enumerate(self._watchers)
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the callbacks back what they had in mind before they forgot it for this."""
        for place, watcher in enumerate(self._watchers):
            _remind(watcher, self._newest.arrays, f"watcher/{place}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes a snapshot, and keeps it if that is due."""
        history = {name: list(values) for name, values in self._history.items()}
        snapshot = Snapshot(self._arrays(epoch + 1), history)
        if snapshot.is_finite:  # else the next loss will tell
            self._newest = snapshot
            if self._keeper.is_due:
                self._keeper.keep(snapshot)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps the newest snapshot if training is to end."""
        if self._keeper.is_ending:
            self._keeper.keep(self._newest)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the last snapshot."""
        self._keeper.keep(self._newest)

    def _arrays(self, epoch: int) -> dict[str, NDArray[Any]]:
        arrays = {**values_of(self._learner.variables), "epoch": np.array(epoch)}
        for place, watcher in enumerate(self._watchers):
            arrays |= _memory(watcher, self._learner.model, f"watcher/{place}")
        return arrays


def _memory(
    watcher: keras.callbacks.Callback, model: keras.Model, name: str
) -> dict[str, NDArray[Any]]:
    """What a callback remembers: its best value, if there is one, its counters, its weights."""
    best = getattr(watcher, "best", None)
    memory = {name: np.array([best is not None, best or 0.0], np.float64)}
    for counter in _counters(watcher):
        memory[f"{name}/{counter}"] = np.array(getattr(watcher, counter, 0), np.int64)
    if getattr(watcher, "restore_best_weights", False):
        kept = watcher.best_weights
        memory[f"{name}/has_weights"] = np.array(kept is not None)
        weights = model.get_weights() if kept is None else kept
        memory |= {f"{name}/{place}": np.array(array) for place, array in enumerate(weights)}
    return memory


def _remind(watcher: keras.callbacks.Callback, arrays: Arrays, name: str) -> None:
    has_best, best = arrays[name].tolist()
    watcher.best = best if has_best else None
    for counter in _counters(watcher):
        setattr(watcher, counter, int(arrays[f"{name}/{counter}"]))
    if getattr(watcher, "restore_best_weights", False) and bool(arrays[f"{name}/has_weights"]):
        count = len(watcher.model.get_weights())
        watcher.best_weights = [np.array(arrays[f"{name}/{place}"]) for place in range(count)]


def _counters(watcher: keras.callbacks.Callback) -> tuple[str, ...]:
    return next(names for kind, names in _COUNTERS.items() if isinstance(watcher, kind))
