"""The Keras engine: `Model.fit` with Keras callbacks, the reference for all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from dlcli.config import Config, EarlyStopping, ReduceOnPlateau
from dlcli.keras_model import weights_of
from dlcli.training.divergence import check_finite
from dlcli.training.job import Job, TrainingResult
from dlcli.training.keras_snapshots import Snapshots
from dlcli.training.learner import Learner, build_learner
from dlcli.training.order import epoch_order
from dlcli.training.snapshots import NOBODY, Checkpointer
from dlcli.training.watching import Progress, direction, shortest

Batch = tuple[Any, ...]

ROWS_VALIDATED_AT_ONCE = 1024


def fit(job: Job, progress: Progress, keeper: Checkpointer = NOBODY) -> TrainingResult:
    """Trains with `Model.fit`.

    Snapshots are of the end of an epoch: `fit` has no way into one.

    Args:
        job: what to train on what.
        progress: is told of each epoch.
        keeper: keeps snapshots, and may have one to go on from.

    Raises:
        TrainingError: if the loss leaves the numbers, or a snapshot can't be stored.
        Interrupted: if the keeper was told to end.
    """
    config, learner = job.config, build_learner(job)
    _compile(learner, weighted=job.train.weights is not None)
    record = _Record(job, learner, progress)
    watchers = [*_watchers(config)]
    snapshots = Snapshots(job, learner, watchers, record.history, keeper)
    callbacks: list[keras.callbacks.Callback] = [*watchers, record, snapshots]
    first = job.epochs if snapshots.is_stopped else snapshots.epoch
    learner.model.fit(
        _batches(job, min(first, job.epochs - 1)),  # `fit` looks at a batch in any case
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


def _compile(learner: Learner, weighted: bool) -> None:
    learner.model.compile(
        learner.optimizer,
        loss=learner.loss,
        metrics=None if weighted else learner.metrics,
        weighted_metrics=learner.metrics if weighted else None,
        jit_compile=False,
    )


def _batches(job: Job, first: int) -> Iterator[Batch]:
    """Yields the batches of all epochs from one on, each epoch in its own order."""
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


def _watchers(config: Config) -> Iterator[keras.callbacks.Callback]:
    schedule = config.learning_rate_schedule
    if isinstance(schedule, ReduceOnPlateau):
        yield keras.callbacks.ReduceLROnPlateau(
            mode=direction(schedule.monitor), **schedule.model_dump(exclude={"name"})
        )
    if config.early_stopping is not None:
        yield _EarlyStopping(config.early_stopping)


class _EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's, with a direction that is said rather than guessed from a name."""

    def __init__(self, section: EarlyStopping) -> None:
        super().__init__(mode=direction(section.monitor), **section.model_dump())


class _Record(keras.callbacks.Callback):
    """Tells the dropout masks the time, keeps the history, and stops at a loss that is none."""

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
        """The learning rate of the epoch's last step."""
        if "learning_rate" in given:  # as ReduceLROnPlateau found it
            return float(given["learning_rate"])
        return float(self.learner.rate())
