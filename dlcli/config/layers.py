"""The `hidden` and `output` sections: the stack of Dense layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from dlcli.config.activations import Activation, Linear
from dlcli.config.initializers import GlorotUniform, Initializer, Zeros
from dlcli.config.regularizers import BiasRegularizer, KernelRegularizer
from dlcli.config.scalings import OutputScaling
from dlcli.config.section import Conflict, Expected, Flag, Fraction, Positive, Section

Units = Annotated[int, Field(gt=0, le=1_000_000), Expected("a positive integer up to 1000000")]


class BatchNormalization(Section):
    """Keeps each unit's mean near 0 and deviation near 1 (Ioffe & Szegedy 2015)."""

    momentum: Fraction = 0.99
    """Share of the running mean and variance kept at each step."""
    epsilon: Positive = 0.001
    """Keeps the divisor from 0."""
    center: Flag = True
    """Whether an offset is learned."""
    scale: Flag = True
    """Whether a factor is learned."""


def _switched(value: object) -> Any:  # noqa: ANN401
    """`true` is batch normalization as Keras has it, `false` is none."""
    if isinstance(value, bool):
        return {} if value else None
    return value


Normalization = Annotated[
    BatchNormalization | None,
    BeforeValidator(_switched, json_schema_input_type=BatchNormalization | bool | None),
]


class _Dense(Section):
    """What a hidden layer and the output have in common."""

    use_bias: Flag = True
    """Whether each unit adds an offset of its own."""
    kernel_initializer: Initializer = GlorotUniform()
    """The kernel before the first step."""
    bias_initializer: Initializer = Zeros()
    """The bias before the first step."""
    kernel_regularizer: KernelRegularizer | None = None
    """A price on large kernel weights."""
    bias_regularizer: BiasRegularizer | None = None
    """A price on large biases."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields what is said of a bias that isn't there."""
        if not self.use_bias:
            keys = ("bias_initializer", "bias_regularizer")
            yield from self.without_effect(*keys, because="with use_bias: false")


class Hidden(_Dense):
    """A layer between: Dense, then batch normalization, activation and dropout, as asked."""

    units: Units
    """Width of the layer."""
    activation: Activation = Linear()
    """What happens to the weighted sums; without one, layers add nothing to each other."""
    batch_normalization: Normalization = None
    """`true`, or its parameters, between the weighted sums and the activation."""
    dropout: Fraction = 0.0
    """Share of the units that are silent at each training step, in [0, 1)."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields an activation over units where there is one only."""
        yield from super().conflicts()
        if self.units == 1 and self.activation.across_units:
            yield "activation", f"'{self.activation.name}' of one unit is constant"


class Output(_Dense):
    """The last layer; what is left out follows from the target."""

    units: Units | None = None
    """One for a number or two classes, else one a class, label or column."""
    activation: Activation | None = None
    """linear for numbers, exponential for counts, sigmoid for two classes or labels, softmax for
    more classes."""
    scaling: OutputScaling | None = None
    """The unit in which numbers are trained; standard, if left out, where that can be."""
