"""How large the loss's gradient is at each layer, where training began and where it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.keras_model import assign_weights, build_model
from dlcli.training.job import Job, Weights
from dlcli.training.objectives import keras_loss


@dataclass(frozen=True)
class GradientNorms:
    """The Euclidean norm of the gradient with respect to each layer's weights, by layer."""

    first: Mapping[str, float]
    """With the weights that the initializers gave; empty for a training that started from another
    run's, as one that is resumed has these no more."""
    last: Mapping[str, float]
    """With the trained weights."""


def gradient_norms(job: Job, weights: Weights, rows: NDArray[np.int64]) -> GradientNorms:
    """Measures the gradient of a job's loss over some training rows, taken as one batch.

    It is the loss as it is trained on, with row and class weights, but without the price of large
    weights. Batch normalization takes the rows' own mean and variance, as a training step does;
    dropout and the variation of images are left out, so that lots don't blur what is measured. It
    is computed in float32 also where training is in half precision.

    Args:
        job: what was trained on what.
        weights: the trained weights, by name.
        rows: the places of training rows.
    """
    model = _bare_model(job)
    first = {} if job.config.initial_weights is not None else _norms(job, model, rows)
    assign_weights(model, job.network, weights)
    return GradientNorms(first, _norms(job, model, rows))


def _bare_model(job: Job) -> keras.Model:
    """The network without what is drawn by lot from step to step, with its first weights."""
    precision = job.config.precision
    return build_model(
        job.network,
        seed=job.config.seed,
        precision="float32" if precision.startswith("mixed_") else precision,
        dropout=lambda layer: keras.layers.Identity(name=layer.name),
    )


def _norms(job: Job, model: keras.Model, rows: NDArray[np.int64]) -> dict[str, float]:
    """The norm of the gradient with respect to each layer's weights, by layer."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = _loss(job, model, rows)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    squares = {
        variable.path: 0.0 if gradient is None else _square(gradient)
        for variable, gradient in zip(variables, gradients, strict=True)
    }
    found = {}
    for layer in job.network.weighted:
        if layer.weights:
            trained = model.get_layer(layer.name).trainable_variables
            found[layer.name] = math.sqrt(sum(squares[variable.path] for variable in trained))
    return found


def _loss(job: Job, model: keras.Model, rows: NDArray[np.int64]) -> tf.Tensor:
    """The loss of some rows."""
    outputs = model(tf.constant(job.train.inputs.take(rows)), training=True)
    weights = None if job.loss_weights is None else tf.constant(job.loss_weights[rows])
    return keras_loss(job.head.loss)(tf.constant(job.labels[rows]), outputs, weights)


def _square(gradient: tf.Tensor | tf.IndexedSlices) -> float:
    """The sum of a gradient's squares; that of a looked-up table has only some of its rows."""
    return float(np.square(tf.convert_to_tensor(gradient).numpy().astype(np.float64)).sum())
