"""Activations, initializers and regularizers, under Keras's names.

Not supported: the activations `glu` (it halves the width) and `sparsemax` (in Keras 3.15, its
outputs don't sum to 1), and the initializer `stft` (the matrix of a transform). Formulas of the
activations: https://keras.io/api/layers/activations/. Seeds of initializers follow from the seed of
the config.
"""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from dlcli.schema.section import Choice, Conflict, Flag, NonNegative, Number, OneOf, Positive

OutputForm = Literal["number", "positive", "margin", "probability", "shares"]
"""Interpretation of an output: any number, a nonnegative number, a margin whose sign is the class,
an independent probability for each unit, or probabilities that sum to 1 over all units."""


class _Activation(Choice):
    """An activation, with the properties that determine where it can be used."""

    gives: ClassVar[tuple[OutputForm, ...]] = ("number",)
    """Possible interpretations of its output."""
    reach: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """Smallest and largest value without parameters."""
    across_units: ClassVar[bool] = False
    """True if it normalizes over the units, so a single unit is constant."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return self.reach


class Celu(_Activation, name="celu"):
    """x above 0, alpha·(exp(x/alpha) − 1) below: an ELU with a continuous slope."""

    alpha: Positive = 1.0
    """Negative limit: outputs approach −alpha."""


class Elu(_Activation, name="elu"):
    """x above 0, alpha·(exp(x) − 1) below."""

    alpha: Positive = 1.0
    """Negative limit: outputs approach −alpha."""


class Exponential(_Activation, name="exponential"):
    """exp(x): for outputs that are positive."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)


class Gelu(_Activation, name="gelu"):
    """x·Φ(x), with the normal distribution's Φ: a smooth ReLU."""

    approximate: Flag = False
    """Approximate Φ by a hyperbolic tangent."""


class HardShrink(_Activation, name="hard_shrink"):
    """x outside ±threshold, 0 inside."""

    threshold: NonNegative = 0.5
    """Half the width of the interval around 0 that is set to 0."""


class HardSigmoid(_Activation, name="hard_sigmoid"):
    """x/6 + 1/2, clipped to [0, 1]."""

    gives = ("number", "positive", "probability")
    reach = (0.0, 1.0)


class HardSilu(_Activation, name="hard_silu"):
    """x · hard_sigmoid(x)."""

    aliases = ("hard_swish", "hardswish")


class HardTanh(_Activation, name="hard_tanh"):
    """x, clipped to [−1, 1]."""

    gives = ("number", "margin")
    reach = (-1.0, 1.0)


class LeakyRelu(_Activation, name="leaky_relu"):
    """x above 0, negative_slope·x below."""

    negative_slope: NonNegative = 0.2
    """Slope for x below 0."""


class Linear(_Activation, name="linear"):
    """x itself: for outputs that are numbers."""

    aliases = ("identity",)
    gives = ("number", "margin")


class LogSigmoid(_Activation, name="log_sigmoid"):
    """log(sigmoid(x))."""


class LogSoftmax(_Activation, name="log_softmax"):
    """log(softmax(x)) over the units."""

    across_units = True


class Mish(_Activation, name="mish"):
    """x · tanh(softplus(x))."""


class Relu(_Activation, name="relu"):
    """max(x, 0): the standard choice for hidden layers."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)
    negative_slope: NonNegative = 0.0
    """Slope below the threshold."""
    max_value: NonNegative | None = None
    """Upper limit. Omitted: none."""
    threshold: Number = 0.0
    """Input above which x is returned."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value, given the parameters."""
        low = -math.inf if self.negative_slope else min(0.0, self.threshold)
        return low, math.inf if self.max_value is None else self.max_value


class Relu6(_Activation, name="relu6"):
    """min(max(x, 0), 6)."""

    gives = ("number", "positive")
    reach = (0.0, 6.0)


class Selu(_Activation, name="selu"):
    """A scaled ELU that preserves mean 0 and variance 1; use it with `lecun_normal` kernels."""


class Sigmoid(_Activation, name="sigmoid"):
    """1/(1 + exp(−x)): the probability of the second of two classes, or of a label."""

    aliases = ("logistic",)
    gives = ("number", "positive", "probability")
    reach = (0.0, 1.0)


class Silu(_Activation, name="silu"):
    """x · sigmoid(x), also called swish."""

    aliases = ("swish",)


class SoftShrink(_Activation, name="soft_shrink"):
    """x moved toward 0 by threshold, 0 within ±threshold."""

    threshold: NonNegative = 0.5
    """Distance by which x is moved toward 0."""


class Softmax(_Activation, name="softmax"):
    """exp(x), divided by its sum over the units: the probabilities of several classes."""

    gives = ("number", "positive", "shares")
    reach = (0.0, 1.0)
    across_units = True


class Softplus(_Activation, name="softplus"):
    """log(1 + exp(x)): a smooth ReLU, and for outputs that are positive."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)


class Softsign(_Activation, name="softsign"):
    """x/(1 + |x|)."""

    gives = ("number", "margin")
    reach = (-1.0, 1.0)


class SparsePlus(_Activation, name="sparse_plus"):
    """0 up to −1, (x + 1)²/4 up to 1, x beyond."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)


class SparseSigmoid(_Activation, name="sparse_sigmoid"):
    """(x + 1)/2, cut to [0, 1]."""

    gives = ("number", "positive", "probability")
    reach = (0.0, 1.0)


class Squareplus(_Activation, name="squareplus"):
    """(x + √(x² + b))/2: a smooth ReLU without exponentials."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)
    b: NonNegative = 4.0
    """Smoothness at 0; 0 gives a ReLU."""


class Tanh(_Activation, name="tanh"):
    """The hyperbolic tangent, in (−1, 1)."""

    gives = ("number", "margin")
    reach = (-1.0, 1.0)


class TanhShrink(_Activation, name="tanh_shrink"):
    """x − tanh(x)."""


class Threshold(_Activation, name="threshold"):
    """x above threshold, default_value elsewhere."""

    threshold: Number
    """Input above which x is returned."""
    default_value: Number
    """Output at and below the threshold."""


Activation = Annotated[_Activation, OneOf("activation")]


class _Initializer(Choice):
    """A distribution of initial weights."""


class Constant(_Initializer, name="constant"):
    """The same value for all weights."""

    value: Number = 0.0
    """Value of the weights."""


class GlorotNormal(_Initializer, name="glorot_normal"):
    """Truncated normal distribution of variance 2/(inputs + units)."""


class GlorotUniform(_Initializer, name="glorot_uniform"):
    """Uniform distribution in ±√(6/(inputs + units)); Keras's default."""


class HeNormal(_Initializer, name="he_normal"):
    """Truncated normal distribution of variance 2/inputs, for ReLU (He et al. 2015)."""


class HeUniform(_Initializer, name="he_uniform"):
    """Uniform distribution in ±√(6/inputs), for ReLU (He et al. 2015)."""


class Identity(_Initializer, name="identity"):
    """The identity matrix times gain."""

    gain: Number = 1.0
    """Factor."""


class LecunNormal(_Initializer, name="lecun_normal"):
    """Truncated normal distribution of variance 1/inputs, for SELU."""


class LecunUniform(_Initializer, name="lecun_uniform"):
    """Uniform distribution in ±√(3/inputs)."""


class Ones(_Initializer, name="ones"):
    """1 for all weights."""


class Orthogonal(_Initializer, name="orthogonal"):
    """A random matrix with orthogonal columns or rows times gain."""

    gain: Number = 1.0
    """Factor."""


class RandomNormal(_Initializer, name="random_normal"):
    """Normal distribution."""

    mean: Number = 0.0
    """Mean."""
    stddev: NonNegative = 0.05
    """Standard deviation."""


class RandomUniform(_Initializer, name="random_uniform"):
    """Uniform distribution."""

    minval: Number = -0.05
    """Smallest weight."""
    maxval: Number = 0.05
    """Largest weight."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield `maxval` below `minval`."""
        if self.maxval < self.minval:
            yield "maxval", f"is below minval ({self.minval:g})"


class TruncatedNormal(_Initializer, name="truncated_normal"):
    """Normal distribution, truncated at two standard deviations."""

    mean: Number = 0.0
    """Mean."""
    stddev: NonNegative = 0.05
    """Standard deviation before truncation."""


class VarianceScaling(_Initializer, name="variance_scaling"):
    """A distribution of variance scale/fan, where fan is the size of the layer."""

    scale: Positive = 1.0
    """Numerator of the variance."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """Fan: the inputs, the units, or their mean."""
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"
    """Type of distribution."""


class Zeros(_Initializer, name="zeros"):
    """0 for all weights: for biases. Units of a zero kernel stay identical."""


Initializer = Annotated[_Initializer, OneOf("initializer")]


class L1(Choice, name="l1"):
    """l1 · Σ|w|: drives small weights to 0."""

    l1: NonNegative = 0.01
    """Factor of the penalty, added to the loss."""


class L2(Choice, name="l2"):
    """l2 · Σw²: keeps weights small."""

    l2: NonNegative = 0.01
    """Factor of the penalty, added to the loss."""


class L1L2(Choice, name="l1_l2"):
    """l1 · Σ|w| + l2 · Σw²."""

    l1: NonNegative = 0.0
    """Factor of the absolute values."""
    l2: NonNegative = 0.0
    """Factor of the squares."""


class OrthogonalRegularizer(Choice, name="orthogonal_regularizer"):
    """A penalty on rows or columns of a kernel that are not orthogonal to each other."""

    factor: NonNegative = 0.01
    """Factor of the penalty."""
    mode: Literal["rows", "columns"] = "rows"
    """The vectors that become orthogonal."""


KernelRegularizer = Annotated[L1 | L2 | L1L2 | OrthogonalRegularizer, OneOf("regularizer")]
BiasRegularizer = Annotated[L1 | L2 | L1L2, OneOf("regularizer")]
