"""Early stopping and the plateau, inside the compiled program, with Keras's semantics.

Each epoch's value is compared in float64, as Keras's callbacks compare Python's floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dlcli.config import EarlyStopping, ReduceOnPlateau
from dlcli.training.job import Job
from dlcli.training.learner import Learner
from dlcli.training.watching import direction


class Best(NamedTuple):
    """The best monitored value so far; scalars."""

    value: tf.Tensor
    """The value, smaller being better, float64."""
    wait: tf.Tensor
    """Epochs since, int32."""


class Watch(NamedTuple):
    """What is remembered from epoch to epoch; scalars."""

    stopping: Best
    """Of early stopping."""
    best_epoch: tf.Tensor
    """The epoch of early stopping's best value, from 0, int32; -1 before there is one."""
    plateau: Best
    """Of the plateau."""
    cooldown: tf.Tensor
    """Epochs that the plateau will still not count, int32."""
    stopped: tf.Tensor
    """Whether early stopping has ended training."""


class Watches:
    """Compares each epoch with the best so far, keeps the best weights and lowers the rate.

    Args:
        job: for early stopping and the schedule.
        learner: whose weights are kept and whose rate is lowered.
    """

    def __init__(self, job: Job, learner: Learner) -> None:
        schedule = job.config.learning_rate_schedule
        self.stopping = job.config.early_stopping
        self.plateau = schedule if isinstance(schedule, ReduceOnPlateau) else None
        self.learner = learner
        self.restores = self.stopping is not None and self.stopping.restore_best_weights
        weights = learner.model.weights if self.restores else []
        self._kept = [(tf.Variable(weight.value, trainable=False), weight) for weight in weights]

    @property
    def kept(self) -> list[tf.Variable]:
        """The best epoch's weights, if they are kept."""
        return [best for best, _ in self._kept]

    def start(self) -> Watch:
        """What is remembered before the first epoch."""
        none = Best(tf.constant(np.inf, tf.float64), tf.constant(0))
        return Watch(none, tf.constant(-1), none, tf.constant(0), tf.constant(False))

    def update(self, watch: Watch, values: Mapping[str, tf.Tensor], epoch: tf.Tensor) -> Watch:
        """Takes in an epoch.

        Args:
            watch: what is remembered.
            values: what the epoch measured, by column of history.csv; scalars.
            epoch: from 0.
        """
        if self.plateau is not None:
            watch = self._watch_plateau(watch, self.plateau, values, epoch)
        if self.stopping is not None:
            watch = self._watch_stopping(watch, self.stopping, values, epoch)
        return watch

    def restore(self, watch: Watch) -> None:
        """Gives the model its best epoch's weights back, if they are kept."""
        if self.restores and int(watch.best_epoch) >= 0:
            for best, weight in self._kept:
                weight.assign(best)

    def _watch_stopping(
        self,
        watch: Watch,
        section: EarlyStopping,
        values: Mapping[str, tf.Tensor],
        epoch: tf.Tensor,
    ) -> Watch:
        counts = epoch >= section.start_from_epoch
        value = _signed(section, values)
        is_first = epoch == section.start_from_epoch
        better = counts & (is_first | (value + section.min_delta < watch.stopping.value))
        self._keep(better)
        wait = tf.where(better, 0, watch.stopping.wait + tf.cast(counts, tf.int32))
        best = Best(tf.where(better, value, watch.stopping.value), wait)
        ended = counts & ~better & (wait >= section.patience) & (epoch > 0)
        best_epoch = tf.where(better, epoch, watch.best_epoch)
        return watch._replace(stopping=best, best_epoch=best_epoch, stopped=watch.stopped | ended)

    def _watch_plateau(
        self,
        watch: Watch,
        section: ReduceOnPlateau,
        values: Mapping[str, tf.Tensor],
        epoch: tf.Tensor,
    ) -> Watch:
        cooling = watch.cooldown > 0
        cooldown = watch.cooldown - tf.cast(cooling, tf.int32)
        value = _signed(section, values)
        better = (epoch == 0) | (value + section.min_delta < watch.plateau.value)
        counted = ~better & (cooldown == 0)
        wait = tf.where(cooling | better, 0, watch.plateau.wait) + tf.cast(counted, tf.int32)
        reduced = self._reduce(section, counted & (wait >= section.patience))
        return watch._replace(
            plateau=Best(tf.where(better, value, watch.plateau.value), tf.where(reduced, 0, wait)),
            cooldown=tf.where(reduced, section.cooldown, cooldown),
        )

    def _keep(self, better: tf.Tensor) -> None:
        for best, weight in self._kept:
            best.assign(tf.where(better, weight.value, best))

    def _reduce(self, section: ReduceOnPlateau, due: tf.Tensor) -> tf.Tensor:
        """Lowers the rate if that is due and it is not at its lowest; tells whether it was."""
        rate = tf.cast(self.learner.rate(), tf.float64)
        reduced = due & (rate > float(np.float32(section.min_lr)))
        lower = tf.maximum(rate * section.factor, section.min_lr)
        self.learner.set_rate(tf.where(reduced, lower, rate))
        return reduced


def _signed(section: EarlyStopping | ReduceOnPlateau, values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The monitored value, so that smaller is better; float64."""
    value = tf.cast(values[section.monitor], tf.float64)
    return -value if direction(section.monitor) == "max" else value
