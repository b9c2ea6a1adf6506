"""The linear baseline: the network without its hidden layers, trained by a recipe of its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dlcli.config import (
    Adam,
    AutoEngine,
    Config,
    Constant,
    CosineDecay,
    EarlyStopping,
    Exponential,
    Linear,
    Output,
    Zeros,
)
from dlcli.data_checks import draw
from dlcli.encoding import EncodedRows, InMemoryInputs
from dlcli.network import Head, Network, activation_of, build_network
from dlcli.tasks import NumberTarget

if TYPE_CHECKING:
    from dlcli.training import Job

UPDATES = 1_000
"""About how many steps are taken, whatever the table."""
RATE = 0.1
"""Adam's first learning rate, in standard deviations of a number; half a cosine leads to 0."""
RATE_OF_EXPONENTS = 5.0
"""The most of it over all inputs together, where the output is an exponential: a step that moves a
hundred weights by 0.1 each would multiply it by e^10."""
ROWS = 512
"""Rows a step, or all if there are fewer: without the noise of small batches, the best epoch is
none that was lucky on the validation rows."""
FEWEST_ROWS = 32
"""The same where rows are wide."""
NUMBERS = 2**29
"""About how many inputs are read in all, if the rows are wide; and of validation rows likewise."""
_NARROW = 32
"""Inputs below which a row takes as long as one of so many."""
_FEW = 32
"""Epochs up to which all validation rows are read."""
PARAMETERS = 1_000_000
"""A linear model of so many is small, whatever the network."""


def is_linear(network: Network) -> bool:
    """Whether no hidden layer bends anything, so that a linear model can do the same."""
    activations = map(activation_of, network.layers[:-1])
    return all(activation is None or isinstance(activation, Linear) for activation in activations)


def is_affordable(network: Network) -> bool:
    """Whether a linear model on the same inputs fits where the network did.

    One of 100,000 inputs and 10,000 classes has a thousand times the weights of a network with a
    narrow layer between. Adam, the best epoch and the gradient take five numbers for each weight;
    of a fourth as many weights, that is about what a network takes at least: itself and its
    gradient.
    """
    front = sum(weight.size for layer in network.front.trained for weight in layer.weights)
    parameters = front + (network.front.units + 1) * network.outputs
    return parameters <= max(PARAMETERS, network.parameters // 4)


def linear_job(job: Job) -> Job:
    """The network without its hidden layers, to train on the same rows.

    Kept are the encoding with embeddings and waves, the output's units, activation and scaling, the
    loss, the weights of rows and classes, and the seed. Not kept are regularizers, initializers and
    `use_bias` of the output, optimizer, schedule, engine and precision: Adam takes some `UPDATES`
    steps at a rate that falls to 0, from what predicts about the mean, and the best weights by
    `val_loss` count if there are validation rows; of very many, some by lot.

    Args:
        job: what the network was trained on.
    """
    rate, bias = _start(job)
    given = job.head.output
    output = Output(
        units=given.units,
        activation=given.activation,
        scaling=given.scaling,
        kernel_initializer=Zeros(),
        bias_initializer=Constant(value=bias),
    )
    network = build_network(job.network.layout, (), output)
    config = _config(job, network.inputs, rate).model_copy(update={"output": output})
    head = Head(output, job.head.loss, ())
    judges = job.validation and judging_rows(job.validation, config.epochs)
    return replace(
        job,
        config=config,
        network=network,
        head=head,
        validation=judges,
        initial_weights=None,
        until=None,
    )


def judging_rows(validation: EncodedRows, epochs: int) -> EncodedRows:
    """The validation rows that choose the best epoch: all, or some by lot, always the same.

    A small table has many epochs, and after each of them these rows are read.

    Args:
        validation: all of them.
        epochs: how many there will be.
    """
    width = max(validation.inputs.width, _NARROW)
    most = max(ROWS, NUMBERS // (epochs * width))
    rows = len(validation.inputs)
    if epochs <= _FEW or rows <= most:
        return validation
    some = draw(np.arange(rows), most)
    weights = None if validation.weights is None else validation.weights[some]
    return EncodedRows(
        InMemoryInputs(validation.inputs.take(some)), validation.target[some], weights
    )


def _config(job: Job, width: int, rate: float) -> Config:
    """The recipe: a function of how many rows and inputs there are."""
    rows = len(job.train.inputs)
    batch = batch_size(rows, width)
    epochs = max(1, round(UPDATES / -(-rows // batch)))
    stopping = None if job.validation is None else EarlyStopping(patience=epochs)  # never stops
    return job.config.model_copy(
        update={
            "hidden": (),
            "metrics": (),
            "optimizer": Adam(learning_rate=rate),
            "learning_rate_schedule": CosineDecay(),
            "epochs": epochs,
            "batch_size": batch,
            "early_stopping": stopping,
            "initial_weights": None,
            "engine": AutoEngine(),
            "precision": "float32",
        }
    )


def batch_size(rows: int, width: int) -> int:
    """Rows a step.

    Large tables are read once, in `UPDATES` steps; of wide ones fewer rows are read at a time.

    Args:
        rows: how many there are.
        width: numbers of each.
    """
    usual = max(min(ROWS, NUMBERS // (UPDATES * width)), FEWEST_ROWS)
    return min(max(usual, -(-rows // UPDATES)), rows)


def _start(job: Job) -> tuple[float, float]:
    """Adam's rate and the first bias.

    A target of numbers that is trained on as it is may lie anywhere, and Adam's steps are of a
    size of their own: so they begin at the mean, and are as large as the target's deviation.
    """
    activation = job.head.output.activation
    assert activation is not None  # resolved
    if not isinstance(job.target, NumberTarget) or math.isfinite(activation.bounds[1]):
        return RATE, 0.0
    mean = float(job.train.target.mean(dtype="float64"))
    if isinstance(activation, Exponential):
        rate = min(RATE, RATE_OF_EXPONENTS / job.network.front.units)
        return rate, math.log(mean) if mean > 0 else 0.0
    deviation = float(job.train.target.std(axis=0, dtype="float64").max())
    return RATE * (deviation or 1.0), mean
