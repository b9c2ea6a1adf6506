"""Initializers: the weights before the first step, under Keras's names.

Their seeds follow from the config's own. Left out: `stft` (a transform's matrix, not a start).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from dlcli.config.section import Conflict, NonNegative, Number, OneOf, Positive, Section


class Constant(Section):
    """Every weight the same."""

    name: Literal["constant"] = "constant"
    value: Number = 0.0
    """The weight."""


class GlorotNormal(Section):
    """Normal, cut at two deviations, of variance 2/(inputs + units)."""

    name: Literal["glorot_normal"] = "glorot_normal"


class GlorotUniform(Section):
    """Uniform within ±√(6/(inputs + units)); Keras's default."""

    name: Literal["glorot_uniform"] = "glorot_uniform"


class HeNormal(Section):
    """Normal, cut at two deviations, of variance 2/inputs; made for ReLU."""

    name: Literal["he_normal"] = "he_normal"


class HeUniform(Section):
    """Uniform within ±√(6/inputs); made for ReLU."""

    name: Literal["he_uniform"] = "he_uniform"


class Identity(Section):
    """The identity matrix, times gain."""

    name: Literal["identity"] = "identity"
    gain: Number = 1.0
    """Factor."""


class LecunNormal(Section):
    """Normal, cut at two deviations, of variance 1/inputs; made for SELU."""

    name: Literal["lecun_normal"] = "lecun_normal"


class LecunUniform(Section):
    """Uniform within ±√(3/inputs)."""

    name: Literal["lecun_uniform"] = "lecun_uniform"


class Ones(Section):
    """Every weight 1."""

    name: Literal["ones"] = "ones"


class Orthogonal(Section):
    """A random matrix with orthogonal columns or rows, times gain."""

    name: Literal["orthogonal"] = "orthogonal"
    gain: Number = 1.0
    """Factor."""


class RandomNormal(Section):
    """Normal."""

    name: Literal["random_normal"] = "random_normal"
    mean: Number = 0.0
    """Mean."""
    stddev: NonNegative = 0.05
    """Standard deviation."""


class RandomUniform(Section):
    """Uniform."""

    name: Literal["random_uniform"] = "random_uniform"
    minval: Number = -0.05
    """Lower end."""
    maxval: Number = 0.05
    """Upper end."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields an upper end below the lower one."""
        if self.maxval < self.minval:
            yield "maxval", f"is below minval ({self.minval:g})"


class TruncatedNormal(Section):
    """Normal, cut at two deviations."""

    name: Literal["truncated_normal"] = "truncated_normal"
    mean: Number = 0.0
    """Mean."""
    stddev: NonNegative = 0.05
    """Standard deviation before the cut."""


class VarianceScaling(Section):
    """Of variance scale/fan, whatever the layer's size."""

    name: Literal["variance_scaling"] = "variance_scaling"
    scale: Positive = 1.0
    """Numerator of the variance."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """Denominator: inputs, units, or their mean."""
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"
    """Shape of the distribution."""


class Zeros(Section):
    """Every weight 0; right for biases, stops a kernel from learning."""

    name: Literal["zeros"] = "zeros"


Initializer = Annotated[
    Constant
    | GlorotNormal
    | GlorotUniform
    | HeNormal
    | HeUniform
    | Identity
    | LecunNormal
    | LecunUniform
    | Ones
    | Orthogonal
    | RandomNormal
    | RandomUniform
    | TruncatedNormal
    | VarianceScaling
    | Zeros,
    OneOf("initializer"),
]
