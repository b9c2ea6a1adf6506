"""What both engines train: a model with its loss, optimizer and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import keras
import tensorflow as tf

from dlcli.keras_model import assign_weights, build_model
from dlcli.training.augmentation import AugmentedImages
from dlcli.training.job import Job
from dlcli.training.masks import MaskedDropout
from dlcli.training.numbers import Numbers
from dlcli.training.objectives import keras_loss, keras_metrics, keras_optimizer, keras_regularizer
from dlcli.training.snapshots import MODEL


@dataclass(frozen=True)
class Learner:
    """A model and what moves it."""

    model: keras.Model
    """The network, with dlcli's dropout masks and varied images."""
    optimizer: keras.optimizers.Optimizer
    """How a step follows from the gradients."""
    loss: keras.losses.Loss
    """What is made small, without the price of large weights."""
    metrics: list[keras.metrics.Metric]
    """What each epoch also shows."""
    moment: tf.Variable
    """Epoch and step within it, from 0, which an engine sets before each step: uint32 (2,)."""
    numbers: Numbers
    """What the program reads when it runs, if several jobs share it."""

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """All that a step changes, by name."""
        groups = {MODEL: self.model.variables, "optimizer/": self.optimizer.variables}
        return {
            f"{group}{place}": variable
            for group, variables in groups.items()
            for place, variable in enumerate(variables)
        }

    def rate(self) -> tf.Tensor:
        """The learning rate of the last step; before the first, that of the first."""
        rate = self._inner._learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            return rate(tf.maximum(tf.convert_to_tensor(self._inner._iterations) - 1, 0))
        return tf.convert_to_tensor(rate)

    def set_rate(self, rate: tf.Tensor) -> None:
        """Changes a learning rate that follows no schedule."""
        self._inner._learning_rate.assign(rate)

    @property
    def _inner(self) -> keras.optimizers.Optimizer:
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)


def build_learner(job: Job, *, shared: bool = False) -> Learner:
    """Builds what a job trains, with the weights that it starts from.

    Args:
        job: what to train on what.
        shared: whether other jobs of the same program follow, with other numbers.
    """
    config, dropouts, augments = job.config, count(), count()
    numbers = Numbers(job, shared=shared)
    moment = tf.Variable([0, 0], dtype=tf.uint32, trainable=False)
    model = build_model(
        job.network,
        seed=config.seed,
        precision=config.precision,
        dropout=lambda layer: MaskedDropout(
            layer, numbers.rate(layer), config.seed, next(dropouts), moment
        ),
        augment=lambda images: AugmentedImages(images, config.seed, next(augments), moment),
        regularizer=lambda section, weight: keras_regularizer(section, weight, numbers),
    )
    if job.initial_weights is not None:
        assign_weights(model, job.network, job.initial_weights)
    optimizer = keras_optimizer(config, job.steps, numbers)
    # `fit` would do so where nothing has values yet, and schedule_free_adamw copies the weights.
    optimizer.build(model.trainable_variables)
    outputs, loss = job.network.outputs, job.head.loss
    metrics = keras_metrics(job.head.metrics, job.target, outputs, loss, numbers)
    return Learner(model, optimizer, keras_loss(loss), metrics, moment, numbers)
