"""Early stopping and ReduceLROnPlateau in the compiled program, with Keras's semantics.

Each epoch's value is compared in float64, as Keras's callbacks compare Python floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dlcli.config.config_schema import EarlyStopping
from dlcli.config.training_choices import ReduceOnPlateau
from dlcli.metrics.definitions import is_higher_better
from dlcli.training.objectives import Learner
from dlcli.training_job import Job


def direction(monitor: str) -> str:
    """Return the direction in which a monitored value improves, `min` or `max`."""
    return "max" if is_higher_better(monitor) else "min"


class State(NamedTuple):
    """The state of training besides its variables; scalars, by their names in a checkpoint."""

    epoch: tf.Tensor
    """The epoch, from 0, int32."""
    step: tf.Tensor
    """The next step within it, from 0, int32."""
    total: tf.Tensor
    """Sum of this epoch's losses so far, each times its rows."""
    stopping_value: tf.Tensor
    """Early stopping's best value, negated if higher is better, float64."""
    stopping_wait: tf.Tensor
    """Epochs since then, int32."""
    best_epoch: tf.Tensor
    """The epoch of that value, from 0, int32; -1 before there is one."""
    plateau_value: tf.Tensor
    """The plateau's best value, negated if higher is better, float64."""
    plateau_wait: tf.Tensor
    """Epochs since then, int32."""
    cooldown: tf.Tensor
    """Epochs until the plateau counts again, int32."""
    stopped: tf.Tensor
    """True if early stopping has ended training."""

    @classmethod
    def start(cls) -> State:
        """Return the state before the first step."""
        zero, none = tf.constant(0), tf.constant(np.inf, tf.float64)
        total = tf.constant(0.0, keras.config.floatx())
        best_epoch, stopped = tf.constant(-1), tf.constant(False)
        return cls(zero, zero, total, none, zero, best_epoch, none, zero, zero, stopped)


class EpochMonitor:
    """Compare each epoch with the best one, keep the best weights and reduce the learning rate.

    Args:
        job: has early stopping and the schedule.
        learner: has the weights and the learning rate.
    """

    def __init__(self, job: Job, learner: Learner) -> None:
        schedule = job.config.learning_rate_schedule
        self.stopping = job.config.early_stopping
        self.plateau = schedule if isinstance(schedule, ReduceOnPlateau) else None
        self.learner = learner
        self.restores = self.stopping is not None and self.stopping.restore_best_weights
        self._weights = learner.model.weights if self.restores else []
        self.best_weights = [
            tf.Variable(weight.value, trainable=False, shape=weight.value.shape)
            for weight in self._weights
        ]
        """The best epoch's weights, if they are kept."""

    def update(self, state: State, values: Mapping[str, tf.Tensor]) -> State:
        """Evaluate an epoch.

        Args:
            state: the state after its last step.
            values: the epoch's values, by column of history.csv; scalars.
        """
        if self.plateau is not None:
            state = self._update_plateau(state, self.plateau, _signed(self.plateau, values))
        if self.stopping is not None:
            state = self._update_stopping(state, self.stopping, _signed(self.stopping, values))
        return state

    def restore_best(self, state: State) -> None:
        """Set the model to its best epoch's weights, if they are kept."""
        if int(state.best_epoch) >= 0:
            for best, weight in zip(self.best_weights, self._weights, strict=True):
                weight.assign(best)

    def _update_stopping(self, state: State, section: EarlyStopping, value: tf.Tensor) -> State:
        epoch = state.epoch
        counts = epoch >= section.start_from_epoch
        is_first = epoch == section.start_from_epoch
        better = counts & (is_first | (value + section.min_delta < state.stopping_value))
        for best, weight in zip(self.best_weights, self._weights, strict=True):
            best.assign(tf.where(better, weight.value, best))
        wait = tf.where(better, 0, state.stopping_wait + tf.cast(counts, tf.int32))
        ended = counts & ~better & (wait >= section.patience) & (epoch > 0)
        return state._replace(
            stopping_value=tf.where(better, value, state.stopping_value),
            stopping_wait=wait,
            best_epoch=tf.where(better, epoch, state.best_epoch),
            stopped=state.stopped | ended,
        )

    def _update_plateau(self, state: State, section: ReduceOnPlateau, value: tf.Tensor) -> State:
        cooling = state.cooldown > 0
        cooldown = state.cooldown - tf.cast(cooling, tf.int32)
        better = (state.epoch == 0) | (value + section.min_delta < state.plateau_value)
        counted = ~better & (cooldown == 0)
        wait = tf.where(cooling | better, 0, state.plateau_wait) + tf.cast(counted, tf.int32)
        rate = tf.cast(self.learner.rate(), tf.float64)
        is_due = counted & (wait >= section.patience)
        reduced = is_due & (rate > float(np.float32(section.min_lr)))
        lower = tf.maximum(rate * section.factor, section.min_lr)
        self.learner.set_rate(tf.where(reduced, lower, rate))
        return state._replace(
            plateau_value=tf.where(better, value, state.plateau_value),
            plateau_wait=tf.where(reduced, 0, wait),
            cooldown=tf.where(reduced, section.cooldown, cooldown),
        )


def _signed(section: EarlyStopping | ReduceOnPlateau, values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Return the monitored value such that smaller is better; float64."""
    value = tf.cast(values[section.monitor], tf.float64)
    return -value if direction(section.monitor) == "max" else value
