"""Values that several jobs may set differently in the same compiled program.

A program that serves one job has them as constants. A program that several jobs share reads them
from variables, which each job sets before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dlcli.config import L1, L2, Optimizer, OrthogonalRegularizer, PiecewiseConstant, Section
from dlcli.network import DenseLayer, DropoutLayer, Layer
from dlcli.training.job import Job
from dlcli.training.randomness import DropoutRate

_FACTORS: dict[type[Section], str] = {L1: "l1", L2: "l2", OrthogonalRegularizer: "factor"}
"""The factor of regularizers that have one. Keras's `L1L2` omits terms with a factor of 0 from the
program, so that its factors are part of the program."""
_ROLES = ("kernel_regularizer", "bias_regularizer")


class RuntimeValues:
    """The values of jobs with one program.

    Args:
        job: the first of them.
        shared: whether others follow.
    """

    def __init__(self, job: Job, *, shared: bool = False) -> None:
        self.shared = shared
        self._values = dict(_values_of(job))
        self._variables: dict[str, tf.Variable] = {}
        if shared:
            self._variables = {
                name: tf.Variable(value, trainable=False) for name, value in self._values.items()
            }

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        """Return a value: a constant, or the variable that holds it."""
        return self._variables[name] if self.shared else self._values[name].tolist()

    def dropout_rate(self, layer: DropoutLayer) -> DropoutRate:
        """Return the rate of a dropout layer."""
        return DropoutRate(self[f"{layer.name}/threshold"], self[f"{layer.name}/kept"])

    def variable(self, name: str) -> tf.Variable | None:
        """Return the variable of a shared program; `None` for a constant."""
        return self._variables.get(name)

    def load(self, job: Job) -> None:
        """Set the values of another job with the same program."""
        for name, value in _values_of(job):
            self._variables[name].assign(value)


def factor_name(weight: str) -> str:
    """Return the name of a regularizer's factor, given the weight that it penalizes."""
    return f"{weight}/factor"


def factor_key(section: Section | None) -> str | None:
    """Return the parameter of a regularizer that is a runtime value."""
    return None if section is None else _FACTORS.get(type(section))


def without_values(layer: Layer) -> Layer:
    """Return what layers have in common that differ only in runtime values."""
    if isinstance(layer, DropoutLayer):
        return replace(layer, rate=0.5)
    if not isinstance(layer, DenseLayer):
        return layer
    sections = {role: getattr(layer, role) for role in _ROLES}
    keys = {role: key for role, section in sections.items() if (key := factor_key(section))}
    return replace(
        layer, **{role: sections[role].model_copy(update={key: 1.0}) for role, key in keys.items()}
    )


def optimizer_without_values(job: Job) -> Optimizer:
    """Return what optimizers have in common that differ only in runtime values."""
    names = [name for name, _ in _optimizer_values(job)]
    return job.config.optimizer.model_copy(update=dict.fromkeys(names, 0.5))


def _values_of(job: Job) -> Iterator[tuple[str, np.ndarray[Any, Any] | np.generic]]:
    yield "rows", np.int32(len(job.train.inputs))
    yield "validation_rows", np.int32(0 if job.validation is None else len(job.validation.inputs))
    yield "epochs", np.int32(job.epochs)
    yield from _optimizer_values(job)
    for layer in job.network.layers:
        if isinstance(layer, DropoutLayer):
            rate = DropoutRate.of(layer.rate)
            yield f"{layer.name}/threshold", np.uint32(rate.threshold)
            yield f"{layer.name}/kept", np.float64(rate.kept)
        if isinstance(layer, DenseLayer):
            for role in _ROLES:
                section = getattr(layer, role)
                if (key := factor_key(section)) is not None:
                    weight = f"{layer.name}/{role.removesuffix('_regularizer')}"
                    yield factor_name(weight), _weight_type()(getattr(section, key))
    if (unit := job.task.output_unit) is not None:
        yield "scale", np.array(unit.scale)
        yield "offset", np.array(unit.offset)


def _optimizer_values(job: Job) -> Iterator[tuple[str, np.generic]]:
    """Yield learning rate and weight decay, by their names in the config."""
    if not isinstance(job.config.learning_rate_schedule, PiecewiseConstant):
        # Keras's schedules compute in float32, whatever the dtype of the weights.
        yield "learning_rate", np.float32(job.config.optimizer.learning_rate)
    decay = getattr(job.config.optimizer, "weight_decay", None)
    if decay is not None:
        yield "weight_decay", _weight_type()(decay)


def _weight_type() -> type[np.floating[Any]]:
    return np.float64 if keras.config.floatx() == "float64" else np.float32
