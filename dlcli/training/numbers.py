"""The numbers of a job that its program need not be made for.

A program that serves one job has them as constants. One that several jobs share has them as
variables, which each job sets before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import keras
import numpy as np
import tensorflow as tf

from dlcli.config import L1, L2, Optimizer, OrthogonalRegularizer, PiecewiseConstant, Section
from dlcli.network import DenseLayer, DropoutLayer, Layer
from dlcli.tasks import NumberTarget
from dlcli.training.job import Job

Number: TypeAlias = Any
"""A constant, or what a shared program reads it from."""

_WORD = 2**32
_FACTORS: dict[type[Section], str] = {L1: "l1", L2: "l2", OrthogonalRegularizer: "factor"}
"""Regularizers that have one factor, by its name. Keras's `L1L2` leaves out of the program whatever
has a factor of 0, so its factors belong to that."""
AnyRegularizer = TypeVar("AnyRegularizer", bound=Section | None)

_ROLES = ("kernel_regularizer", "bias_regularizer")


@dataclass(frozen=True)
class Rate:
    """The share of its units that a dropout layer silences."""

    threshold: Number
    """Bits below this silence a unit: the share times 2**32."""
    kept: Number
    """The share that is kept."""

    @classmethod
    def of(cls, rate: float) -> Rate:
        """That of a layer that is never trained at another."""
        return cls(round(rate * _WORD), 1 - rate)


class Numbers:
    """The numbers of jobs with one program.

    Args:
        job: the first of them.
        shared: whether others follow.
    """

    def __init__(self, job: Job, *, shared: bool = False) -> None:
        self.shared = shared
        self._values = dict(_numbers_of(job))
        self._variables: dict[str, tf.Variable] = {}
        if shared:
            self._variables = {
                name: tf.Variable(value, trainable=False) for name, value in self._values.items()
            }

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        """A number by name: a constant, or the variable that holds it."""
        return self._variables[name] if self.shared else self._values[name].tolist()

    def rate(self, layer: DropoutLayer) -> Rate:
        """That of a dropout layer."""
        return Rate(self[f"{layer.name}/threshold"], self[f"{layer.name}/kept"])

    def variable(self, name: str) -> tf.Variable | None:
        """What a shared program reads a number from; none if it is a constant."""
        return self._variables.get(name)

    def load(self, job: Job) -> None:
        """Takes the numbers of another job with the same program."""
        for name, value in _numbers_of(job):
            self._variables[name].assign(value)


def as_tensor(number: Number, dtype: tf.DType | str) -> tf.Tensor:
    """A number as part of a program."""
    if isinstance(number, tf.Variable):
        return tf.cast(number, dtype)
    return tf.constant(number, dtype)


def factor(weight: str) -> str:
    """The name of a regularizer's factor, by the weight that it prices."""
    return f"{weight}/factor"


def factor_key(section: Section | None) -> str | None:
    """Which parameter of a regularizer is a number that programs need not be made for."""
    return None if section is None else _FACTORS.get(type(section))


def without_numbers(layer: Layer) -> Layer:
    """A layer as all look that differ from it in such numbers only."""
    if isinstance(layer, DropoutLayer):
        return replace(layer, rate=0.5)
    if not isinstance(layer, DenseLayer):
        return layer
    return replace(
        layer,
        kernel_regularizer=_plain(layer.kernel_regularizer),
        bias_regularizer=_plain(layer.bias_regularizer),
    )


def optimizer_without_numbers(job: Job) -> Optimizer:
    """An optimizer likewise."""
    section = job.config.optimizer
    names = [name for name, _ in _optimizer_numbers(job)]
    return section.model_copy(update=dict.fromkeys(names, 0.5))


def _plain(section: AnyRegularizer) -> AnyRegularizer:
    key = factor_key(section)
    return section if section is None or key is None else section.model_copy(update={key: 1.0})


def _numbers_of(job: Job) -> Iterator[tuple[str, np.ndarray[Any, Any] | np.generic]]:
    yield "rows", np.int32(len(job.train.inputs))
    yield "validation_rows", np.int32(0 if job.validation is None else len(job.validation.inputs))
    yield "epochs", np.int32(job.epochs)
    yield from _optimizer_numbers(job)
    for layer in job.network.layers:
        if isinstance(layer, DropoutLayer):
            rate = Rate.of(layer.rate)
            yield f"{layer.name}/threshold", np.uint32(rate.threshold)
            yield f"{layer.name}/kept", np.float64(rate.kept)
        if isinstance(layer, DenseLayer):
            yield from _factors(layer)
    if isinstance(job.target, NumberTarget):
        yield "scale", np.array([each.scale for each in job.target.scalings])
        yield "offset", np.array([each.offset for each in job.target.scalings])


def _optimizer_numbers(job: Job) -> Iterator[tuple[str, np.generic]]:
    """Yields the learning rate and the weight decay, under their own names."""
    if not isinstance(job.config.learning_rate_schedule, PiecewiseConstant):
        # Schedules compute in float32 whatever the weights are, as Keras takes their constants for.
        yield "learning_rate", np.float32(job.config.optimizer.learning_rate)
    decay = getattr(job.config.optimizer, "weight_decay", None)
    if decay is not None:
        yield "weight_decay", _floats()(decay)


def _floats() -> type[np.floating[Any]]:
    """The type of weights."""
    return np.float64 if keras.config.floatx() == "float64" else np.float32


def _factors(layer: DenseLayer) -> Iterator[tuple[str, np.generic]]:
    for role in _ROLES:
        section = getattr(layer, role)
        if (key := factor_key(section)) is not None:
            weight = f"{layer.name}/{role.removesuffix('_regularizer')}"
            yield factor(weight), _floats()(getattr(section, key))
