"""Early stopping and ReduceLROnPlateau as part of the compiled program, with Keras's semantics.

Each epoch's value is compared in float64, as Keras's callbacks compare Python floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dlcli.config import EarlyStopping, ReduceOnPlateau
from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.training.job import Job
from dlcli.training.objectives import Learner


def direction(monitor: str) -> str:
    """Return the direction in which a monitored value improves, `min` or `max`."""
    return "max" if HIGHER_IS_BETTER.get(monitor.removeprefix("val_"), False) else "min"


class Best(NamedTuple):
    """The best monitored value so far; scalars."""

    value: tf.Tensor
    """The value, negated if higher is better, float64."""
    wait: tf.Tensor
    """Epochs since then, int32."""


class MonitorState(NamedTuple):
    """What is remembered from epoch to epoch; scalars."""

    stopping: Best
    """For early stopping."""
    best_epoch: tf.Tensor
    """The epoch of early stopping's best value, from 0, int32; -1 before there is one."""
    plateau: Best
    """For the plateau."""
    cooldown: tf.Tensor
    """Epochs until the plateau counts again, int32."""
    stopped: tf.Tensor
    """Whether early stopping has ended training."""


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
        weights = learner.model.weights if self.restores else []
        self._best = [(tf.Variable(weight.value, trainable=False), weight) for weight in weights]

    @property
    def best_weights(self) -> list[tf.Variable]:
        """The best epoch's weights, if they are kept."""
        return [best for best, _ in self._best]

    def start(self) -> MonitorState:
        """Return the state before the first epoch."""
        none = Best(tf.constant(np.inf, tf.float64), tf.constant(0))
        return MonitorState(none, tf.constant(-1), none, tf.constant(0), tf.constant(False))

    def update(
        self, state: MonitorState, values: Mapping[str, tf.Tensor], epoch: tf.Tensor
    ) -> MonitorState:
        """Evaluate an epoch.

        Args:
            state: the state before it.
            values: the epoch's values, by column of history.csv; scalars.
            epoch: counted from 0.
        """
        if self.plateau is not None:
            state = self._update_plateau(state, self.plateau, values, epoch)
        if self.stopping is not None:
            state = self._update_stopping(state, self.stopping, values, epoch)
        return state

    def restore_best(self, state: MonitorState) -> None:
        """Set the model to its best epoch's weights, if they are kept."""
        if self.restores and int(state.best_epoch) >= 0:
            for best, weight in self._best:
                weight.assign(best)

    def _update_stopping(
        self,
        state: MonitorState,
        section: EarlyStopping,
        values: Mapping[str, tf.Tensor],
        epoch: tf.Tensor,
    ) -> MonitorState:
        counts = epoch >= section.start_from_epoch
        value = _signed(section, values)
        is_first = epoch == section.start_from_epoch
        better = counts & (is_first | (value + section.min_delta < state.stopping.value))
        for best_weight, weight in self._best:
            best_weight.assign(tf.where(better, weight.value, best_weight))
        wait = tf.where(better, 0, state.stopping.wait + tf.cast(counts, tf.int32))
        best = Best(tf.where(better, value, state.stopping.value), wait)
        ended = counts & ~better & (wait >= section.patience) & (epoch > 0)
        best_epoch = tf.where(better, epoch, state.best_epoch)
        return state._replace(stopping=best, best_epoch=best_epoch, stopped=state.stopped | ended)

    def _update_plateau(
        self,
        state: MonitorState,
        section: ReduceOnPlateau,
        values: Mapping[str, tf.Tensor],
        epoch: tf.Tensor,
    ) -> MonitorState:
        cooling = state.cooldown > 0
        cooldown = state.cooldown - tf.cast(cooling, tf.int32)
        value = _signed(section, values)
        better = (epoch == 0) | (value + section.min_delta < state.plateau.value)
        counted = ~better & (cooldown == 0)
        wait = tf.where(cooling | better, 0, state.plateau.wait) + tf.cast(counted, tf.int32)
        reduced = self._reduce_rate(section, counted & (wait >= section.patience))
        return state._replace(
            plateau=Best(tf.where(better, value, state.plateau.value), tf.where(reduced, 0, wait)),
            cooldown=tf.where(reduced, section.cooldown, cooldown),
        )

    def _reduce_rate(self, section: ReduceOnPlateau, due: tf.Tensor) -> tf.Tensor:
        """Reduce the learning rate if due and above its minimum; return whether it was."""
        rate = tf.cast(self.learner.rate(), tf.float64)
        reduced = due & (rate > float(np.float32(section.min_lr)))
        lower = tf.maximum(rate * section.factor, section.min_lr)
        self.learner.set_rate(tf.where(reduced, lower, rate))
        return reduced


def _signed(section: EarlyStopping | ReduceOnPlateau, values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Return the monitored value such that smaller is better; float64."""
    value = tf.cast(values[section.monitor], tf.float64)
    return -value if direction(section.monitor) == "max" else value
