"""The Keras engine: `Model.fit` with Keras callbacks, the reference for the compiled engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dlcli.config import Config, EarlyStopping, ReduceOnPlateau
from dlcli.keras_model import weights_of
from dlcli.training.divergence import check_finite
from dlcli.training.early_stopping import direction
from dlcli.training.job import (
    NO_CHECKPOINTS,
    Arrays,
    Checkpointer,
    History,
    Job,
    Progress,
    Snapshot,
    TrainingResult,
    assign_values,
    shortest,
    specs_of,
    values_of,
)
from dlcli.training.objectives import Learner, build_learner
from dlcli.training.randomness import epoch_order

Batch = tuple[Any, ...]
ROWS_VALIDATED_AT_ONCE = 1024
_COUNTERS = {
    keras.callbacks.EarlyStopping: ("wait", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter"),
}
"""The state of callbacks besides their best value."""


def fit(
    job: Job, progress: Progress, checkpointer: Checkpointer = NO_CHECKPOINTS
) -> TrainingResult:
    """Train with `Model.fit`.

    Snapshots are taken at the end of an epoch: `fit` can't be resumed within one.

    Args:
        job: the job.
        progress: receives each epoch.
        checkpointer: stores snapshots, and may have one to resume from.

    Raises:
        TrainingError: if the loss becomes NaN or infinite, or a snapshot can't be stored.
        Interrupted: if the checkpointer ends training.
    """
    config, learner = job.config, build_learner(job)
    is_weighted = job.train.weights is not None
    learner.model.compile(
        learner.optimizer,
        loss=learner.loss,
        metrics=None if is_weighted else learner.metrics,
        weighted_metrics=learner.metrics if is_weighted else None,
        jit_compile=False,
    )
    record = _Record(job, learner, progress)
    monitors = [*_monitors(config)]
    snapshots = _Snapshots(job, learner, monitors, record.history, checkpointer)
    callbacks: list[keras.callbacks.Callback] = [*monitors, record, snapshots]
    first = job.epochs if snapshots.is_stopped else snapshots.epoch
    learner.model.fit(
        _batches(job, min(first, job.epochs - 1)),  # `fit` reads a batch in any case
        initial_epoch=first,
        epochs=job.epochs,
        steps_per_epoch=job.steps,
        validation_data=_validation(job),
        validation_batch_size=ROWS_VALIDATED_AT_ONCE,
        shuffle=False,
        callbacks=callbacks,
        verbose=0,
    )
    stopping = next((item for item in callbacks if isinstance(item, _EarlyStopping)), None)
    best = None
    if stopping is not None and stopping.best_weights is not None:
        best = stopping.best_epoch + 1
    return TrainingResult(weights_of(learner.model, job.network), record.history, best)


def _batches(job: Job, first: int) -> Iterator[Batch]:
    """Yield the batches of all epochs from one on, each epoch in its own order."""
    rows, size = len(job.train.inputs), job.config.batch_size
    for epoch in range(first, job.epochs):
        order = epoch_order(rows, job.train.inputs.width, job.config.seed, epoch)
        for start in range(0, rows, size):
            batch = order[start : start + size]
            yield _part(job.train.inputs.take(batch), job.labels, job.loss_weights, batch)


def _part(matrix: Any, labels: Any, weights: Any, rows: Any) -> Batch:  # noqa: ANN401
    part = (matrix, labels[rows])
    return part if weights is None else (*part, weights[rows])


def _validation(job: Job) -> Batch | None:
    if job.validation is None:
        return None
    rows = job.validation
    whole = rows.inputs.part(0, len(rows.inputs))
    return _part(whole, job.validation_labels, rows.weights, slice(None))


def _monitors(config: Config) -> Iterator[keras.callbacks.Callback]:
    schedule = config.learning_rate_schedule
    if isinstance(schedule, ReduceOnPlateau):
        yield keras.callbacks.ReduceLROnPlateau(
            mode=direction(schedule.monitor), **schedule.model_dump(exclude={"name"})
        )
    if config.early_stopping is not None:
        yield _EarlyStopping(config.early_stopping)


class _EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's, with an explicit direction instead of one guessed from a name."""

    def __init__(self, section: EarlyStopping) -> None:
        super().__init__(mode=direction(section.monitor), **section.model_dump())


class _Record(keras.callbacks.Callback):
    """Set the moment for dropout masks, record the history, and stop at a non-finite loss."""

    def __init__(self, job: Job, learner: Learner, progress: Progress) -> None:
        super().__init__()
        self.job = job
        self.learner = learner
        self.progress = progress
        self.history: dict[str, list[float]] = {}
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.learner.moment.assign(np.array([self.epoch, batch], dtype=np.uint32))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        check_finite(float((logs or {})["loss"]), self.epoch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        given = logs or {}
        values = {name: float(given[name]) for name in self.job.columns if name in given}
        values["learning_rate"] = self._rate(given)
        values = {name: shortest(value) for name, value in values.items()}
        check_finite(values.get("val_loss", 0.0), epoch + 1)
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        self.progress(epoch + 1, values)

    def _rate(self, given: dict[str, Any]) -> float:
        """Return the learning rate of the epoch's last step."""
        if "learning_rate" in given:  # before ReduceLROnPlateau changed it
            return float(given["learning_rate"])
        return float(self.learner.rate())


class _Snapshots(keras.callbacks.Callback):
    """Take snapshots at the end of epochs; must be the last callback.

    Args:
        job: the job.
        learner: its Keras objects; a snapshot to resume from sets their variables.
        monitors: the callbacks for early stopping and the plateau.
        history: the history that another callback records; a snapshot to resume from sets it.
        checkpointer: stores snapshots.
    """

    def __init__(
        self,
        job: Job,
        learner: Learner,
        monitors: Sequence[keras.callbacks.Callback],
        history: History,
        checkpointer: Checkpointer,
    ) -> None:
        super().__init__()
        self._learner = learner
        self._monitors = monitors
        self._history = history
        self._checkpointer = checkpointer
        self._newest = Snapshot(self._arrays(0), {})
        earlier = checkpointer.latest(job, specs_of(self._newest.arrays))
        if earlier is None:
            checkpointer.save(self._newest)
            return
        self._newest = earlier
        history.update({name: list(values) for name, values in earlier.history.items()})
        assign_values(learner.variables, earlier.arrays)

    @property
    def epoch(self) -> int:
        """The epoch to continue with, from 0."""
        return int(self._newest.arrays["epoch"])

    @property
    def is_stopped(self) -> bool:
        """Whether early stopping has ended training."""
        return any(
            isinstance(monitor, keras.callbacks.EarlyStopping)
            and int(self._newest.arrays[f"monitor/{index}/stopped_epoch"]) > 0
            for index, monitor in enumerate(self._monitors)
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the state of the callbacks, which they reset when training begins."""
        for index, monitor in enumerate(self._monitors):
            _restore(monitor, self._newest.arrays, f"monitor/{index}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take a snapshot, and store it if one is due."""
        history = {name: list(values) for name, values in self._history.items()}
        snapshot = Snapshot(self._arrays(epoch + 1), history)
        if snapshot.is_finite:  # else the next loss will show it
            self._newest = snapshot
            if self._checkpointer.is_due:
                self._checkpointer.save(snapshot)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Store the newest snapshot if training is to end."""
        if self._checkpointer.is_ending:
            self._checkpointer.save(self._newest)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Store the last snapshot."""
        self._checkpointer.save(self._newest)

    def _arrays(self, epoch: int) -> dict[str, NDArray[Any]]:
        arrays = {**values_of(self._learner.variables), "epoch": np.array(epoch)}
        for index, monitor in enumerate(self._monitors):
            arrays |= _state_of(monitor, self._learner.model, f"monitor/{index}")
        return arrays


def _state_of(
    monitor: keras.callbacks.Callback, model: keras.Model, name: str
) -> dict[str, NDArray[Any]]:
    """Copy the state of a callback: its best value, if there is one, its counters, its weights."""
    best = getattr(monitor, "best", None)
    state = {name: np.array([best is not None, best or 0.0], np.float64)}
    for counter in _counters(monitor):
        state[f"{name}/{counter}"] = np.array(getattr(monitor, counter, 0), np.int64)
    if getattr(monitor, "restore_best_weights", False):
        kept = monitor.best_weights
        state[f"{name}/has_weights"] = np.array(kept is not None)
        weights = model.get_weights() if kept is None else kept
        state |= {f"{name}/{index}": np.array(array) for index, array in enumerate(weights)}
    return state


def _restore(monitor: keras.callbacks.Callback, arrays: Arrays, name: str) -> None:
    has_best, best = arrays[name].tolist()
    monitor.best = best if has_best else None
    for counter in _counters(monitor):
        setattr(monitor, counter, int(arrays[f"{name}/{counter}"]))
    if getattr(monitor, "restore_best_weights", False) and bool(arrays[f"{name}/has_weights"]):
        count = len(monitor.model.get_weights())
        monitor.best_weights = [np.array(arrays[f"{name}/{index}"]) for index in range(count)]


def _counters(monitor: keras.callbacks.Callback) -> tuple[str, ...]:
    return next(names for kind, names in _COUNTERS.items() if isinstance(monitor, kind))
