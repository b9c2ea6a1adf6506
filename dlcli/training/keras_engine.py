"""The Keras engine: `Model.fit` with Keras callbacks, the reference for the compiled engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.callbacks import EarlyStopping
from numpy.typing import NDArray

from dlcli import training_job
from dlcli.config.config_schema import Config
from dlcli.config.training_choices import ReduceOnPlateau
from dlcli.keras_model import weights_of
from dlcli.runs.run_writer import Checkpoint
from dlcli.training.compiled_program import direction
from dlcli.training.objectives import Learner, build_learner
from dlcli.training.randomness import epoch_order

KerasBatch = tuple[Any, ...]
ROWS_VALIDATED_AT_ONCE = 1024


def fit(
    job: training_job.Job,
    progress: training_job.EpochProgress,
    checkpointer: training_job.Checkpointer = training_job.NO_CHECKPOINTS,
) -> training_job.TrainingResult:
    """Train with `Model.fit`; see `train_job`.

    Checkpoints are created at the end of epochs, because `fit` can't be resumed within an epoch.
    """
    learner = build_learner(job, is_reference=True)
    is_weighted = job.train.weights is not None
    learner.model.compile(
        learner.optimizer,
        loss=learner.loss,
        metrics=None if is_weighted else learner.metrics,
        weighted_metrics=learner.metrics if is_weighted else None,
        jit_compile=False,
    )
    monitors = _monitors(job.config, learner.model)
    stopping = next((each for each in monitors if isinstance(each, EarlyStopping)), None)
    recorder = _Recorder(job, learner, monitors, progress, checkpointer)
    first = job.epochs if stopping is not None and stopping.stopped_epoch > 0 else recorder.epoch
    validation = None
    if (held_out := job.validation) is not None:
        whole = held_out.inputs.part(0, len(held_out.inputs))
        validation = _batch(whole, job.validation_labels, held_out.weights, slice(None))
    learner.model.fit(
        _batches(job, min(first, job.epochs - 1)),  # `fit` reads at least one batch
        initial_epoch=first,
        epochs=job.epochs,
        steps_per_epoch=job.steps,
        validation_data=validation,
        validation_batch_size=ROWS_VALIDATED_AT_ONCE,
        shuffle=False,
        callbacks=[*monitors, recorder],
        verbose=0,
    )
    best = None
    if stopping is not None and stopping.best_weights is not None:
        best = stopping.best_epoch + 1
    weights = weights_of(learner.model, job.network)
    return training_job.TrainingResult(weights, recorder.history, best)


def _batches(job: training_job.Job, first: int) -> Iterator[KerasBatch]:
    """Yield the batches of the epochs from `first` on; each epoch has a different order."""
    rows, size = len(job.train.inputs), job.config.batch_size
    for epoch in range(first, job.epochs):
        order = epoch_order(rows, job.train.inputs.width, job.config.seed, epoch)
        for start in range(0, rows, size):
            batch = order[start : start + size]
            yield _batch(job.train.inputs.take(batch), job.labels, job.loss_weights, batch)


def _batch(matrix: Any, labels: Any, weights: Any, rows: Any) -> KerasBatch:  # noqa: ANN401
    batch = (matrix, labels[rows])
    return batch if weights is None else (*batch, weights[rows])


def _monitors(config: Config, model: keras.Model) -> list[keras.callbacks.Callback]:
    """Return Keras's callbacks, with explicit directions instead of guesses from names."""
    schedule, stopping = config.learning_rate_schedule, config.early_stopping
    monitors: list[keras.callbacks.Callback] = []
    if isinstance(schedule, ReduceOnPlateau):
        options = schedule.model_dump(exclude={"name"})
        mode = direction(schedule.monitor)
        monitors.append(keras.callbacks.ReduceLROnPlateau(mode=mode, **options))
    if stopping is not None:
        mode = direction(stopping.monitor)
        monitors.append(ToleratingEarlyStopping(mode=mode, **stopping.model_dump()))
    for monitor in monitors:
        monitor.set_model(model)
        monitor.on_train_begin()  # creates its state
    return monitors


class ToleratingEarlyStopping(EarlyStopping):
    """Early stopping that does not count epochs with almost the best value.

    Args:
        tolerance: see `early_stopping.tolerance`.
        options: those of Keras's callback, with its `mode`.
    """

    def __init__(self, *, tolerance: float, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._tolerance = tolerance

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Count the epoch, or restart the count if its value is almost the best."""
        value = (logs or {}).get(self.monitor)
        if self._tolerance and value is not None and self.best is not None:
            worse = value - self.best if self.mode == "min" else self.best - value
            if worse < self._tolerance:
                self.wait = -1  # Keras adds 1
        super().on_epoch_end(epoch, logs)


class _Recorder(keras.callbacks.Callback):
    """Set the keys of random layers, record epochs, store checkpoints; must be the last callback.

    Args:
        job: the job.
        learner: its Keras objects, whose variables are restored from a checkpoint.
        monitors: the callbacks for early stopping and the plateau, which are also restored.
        progress: receives each epoch.
        checkpointer: stores checkpoints.
    """

    def __init__(
        self,
        job: training_job.Job,
        learner: Learner,
        monitors: Sequence[keras.callbacks.Callback],
        progress: training_job.EpochProgress,
        checkpointer: training_job.Checkpointer,
    ) -> None:
        super().__init__()
        self._columns = job.columns
        self._learner = learner
        self._begin_step = tf.function(learner.begin_step)
        self._monitors = monitors
        self._progress = progress
        self._checkpointer = checkpointer
        self._newest = training_job.first_checkpoint(job, self._arrays(0), checkpointer)
        training_job.assign_values(learner.variables, self._newest.arrays)
        self.history: training_job.History = {
            name: [*each] for name, each in self._newest.history.items()
        }
        self.epoch = int(self._newest.arrays["epoch"])
        self.on_train_begin()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the state of the callbacks, because they reset it when training begins."""
        for index, monitor in enumerate(self._monitors):
            _restore(monitor, self._newest.arrays, f"monitor/{index}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._begin_step(tf.constant(self.epoch), tf.constant(batch))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop at a non-finite loss; store the newest checkpoint if training is about to end."""
        training_job.check_finite(float((logs or {})["loss"]), self.epoch + 1)
        if self._checkpointer.is_ending:
            self._checkpointer.save(self._newest)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the epoch, create a checkpoint, and store it if one is due."""
        logs = logs or {}
        rate = logs.get("learning_rate")  # before ReduceLROnPlateau changes it
        values = {name: float(logs[name]) for name in self._columns}
        values["learning_rate"] = float(self._learner.rate() if rate is None else rate)
        training_job.record_epoch(values, self.history, self._progress)
        history = {name: list(values) for name, values in self.history.items()}
        checkpoint = Checkpoint(self._arrays(epoch + 1), history)
        if training_job.is_finite(checkpoint):
            self._newest = checkpoint
            if self._checkpointer.is_due:
                self._checkpointer.save(checkpoint)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Store the last checkpoint."""
        self._checkpointer.save(self._newest)

    def _arrays(self, epoch: int) -> dict[str, NDArray[Any]]:
        arrays = {**training_job.values_of(self._learner.variables), "epoch": np.array(epoch)}
        for index, monitor in enumerate(self._monitors):
            arrays |= _state_of(monitor, f"monitor/{index}")
        return arrays


def _state_of(monitor: keras.callbacks.Callback, name: str) -> dict[str, NDArray[Any]]:
    """Copy the state of a callback: its best value, its counters and its best weights."""
    state = {name: np.array([monitor.best is not None, monitor.best or 0.0], np.float64)}
    for counter in _counters(monitor):
        state[f"{name}/{counter}"] = np.array(getattr(monitor, counter), np.int64)
    if getattr(monitor, "restore_best_weights", False):
        best = monitor.best_weights
        state[f"{name}/has_weights"] = np.array(best is not None)
        weights = monitor.model.get_weights() if best is None else best
        state |= {f"{name}/{index}": np.array(array) for index, array in enumerate(weights)}
    return state


def _restore(monitor: keras.callbacks.Callback, arrays: training_job.Arrays, name: str) -> None:
    has_best, best = arrays[name].tolist()
    monitor.best = best if has_best else None
    for counter in _counters(monitor):
        setattr(monitor, counter, int(arrays[f"{name}/{counter}"]))
    if getattr(monitor, "restore_best_weights", False) and bool(arrays[f"{name}/has_weights"]):
        count = len(monitor.model.get_weights())
        monitor.best_weights = [np.array(arrays[f"{name}/{index}"]) for index in range(count)]


def _counters(monitor: keras.callbacks.Callback) -> tuple[str, ...]:
    """Return the names of the counters in the state of a callback."""
    if isinstance(monitor, EarlyStopping):
        return ("wait", "best_epoch", "stopped_epoch")
    return ("wait", "cooldown_counter")
