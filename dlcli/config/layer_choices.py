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
    never_falls: ClassVar[bool] = True
    """True if the output never falls as x rises, with the default parameters."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return self.reach

    @property
    def is_monotone(self) -> bool:
        """True if the output never falls as x rises, given the parameters."""
        return self.never_falls


class Celu(_Activation, name="celu"):
    """x if x > 0, else alpha·(exp(x/alpha) − 1): an ELU with a continuous slope."""

    alpha: Positive = 1.0
    """For x far below 0, the output approaches −alpha."""


class Elu(_Activation, name="elu"):
    """x if x > 0, else alpha·(exp(x) − 1)."""

    alpha: Positive = 1.0
    """For x far below 0, the output approaches −alpha."""


class Exponential(_Activation, name="exponential"):
    """exp(x), for positive outputs."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)


class Gelu(_Activation, name="gelu"):
    """x·Φ(x), where Φ is the normal distribution function: a smooth ReLU."""

    never_falls = False

    approximate: Flag = False
    """Approximate Φ by a hyperbolic tangent."""


class HardShrink(_Activation, name="hard_shrink"):
    """0 if |x| ≤ threshold, else x."""

    threshold: NonNegative = 0.5
    """Largest absolute value that becomes 0."""


class HardSigmoid(_Activation, name="hard_sigmoid"):
    """x/6 + 1/2, clipped to [0, 1]."""

    gives = ("number", "positive", "probability")
    reach = (0.0, 1.0)


class HardSilu(_Activation, name="hard_silu"):
    """x · hard_sigmoid(x)."""

    never_falls = False
    aliases = ("hard_swish", "hardswish")


class HardTanh(_Activation, name="hard_tanh"):
    """x, clipped to [−1, 1]."""

    gives = ("number", "margin")
    reach = (-1.0, 1.0)


class LeakyRelu(_Activation, name="leaky_relu"):
    """x if x > 0, else negative_slope·x."""

    negative_slope: NonNegative = 0.2
    """Slope below 0."""


class Linear(_Activation, name="linear"):
    """x, unchanged: for outputs that are numbers."""

    aliases = ("identity",)
    gives = ("number", "margin")


class LogSigmoid(_Activation, name="log_sigmoid"):
    """log(sigmoid(x))."""


class LogSoftmax(_Activation, name="log_softmax"):
    """log(softmax(x)), where softmax is computed over the units."""

    across_units = True
    never_falls = False


class Mish(_Activation, name="mish"):
    """x · tanh(softplus(x))."""

    never_falls = False


class Relu(_Activation, name="relu"):
    """max(x, 0): the standard choice for hidden layers."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)
    negative_slope: NonNegative = 0.0
    """Slope below the threshold."""
    max_value: NonNegative | None = None
    """Maximum output. Omitted: none."""
    threshold: Number = 0.0
    """Value above which the output is x."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value, given the parameters."""
        low = -math.inf if self.negative_slope else min(0.0, self.threshold)
        return low, math.inf if self.max_value is None else self.max_value

    @property
    def is_monotone(self) -> bool:
        """True unless the output falls at a threshold below 0."""
        return self.threshold >= 0


class Relu6(_Activation, name="relu6"):
    """min(max(x, 0), 6)."""

    gives = ("number", "positive")
    reach = (0.0, 6.0)


class Selu(_Activation, name="selu"):
    """A scaled ELU that keeps mean 0 and variance 1; use it with `lecun_normal` kernels."""


class Sigmoid(_Activation, name="sigmoid"):
    """1/(1 + exp(−x)): the probability of the second of two classes, or of a label."""

    aliases = ("logistic",)
    gives = ("number", "positive", "probability")
    reach = (0.0, 1.0)


class Silu(_Activation, name="silu"):
    """x · sigmoid(x), also called swish."""

    never_falls = False
    aliases = ("swish",)


class SoftShrink(_Activation, name="soft_shrink"):
    """0 if |x| ≤ threshold; other x move toward 0 by the threshold."""

    threshold: NonNegative = 0.5
    """Distance by which x moves toward 0."""


class Softmax(_Activation, name="softmax"):
    """exp(x), divided by its sum over the units: the probabilities of several classes."""

    gives = ("number", "positive", "shares")
    reach = (0.0, 1.0)
    across_units = True
    never_falls = False


class Softplus(_Activation, name="softplus"):
    """log(1 + exp(x)): a smooth ReLU, also for positive outputs."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)


class Softsign(_Activation, name="softsign"):
    """x/(1 + |x|)."""

    gives = ("number", "margin")
    reach = (-1.0, 1.0)


class SparsePlus(_Activation, name="sparse_plus"):
    """0 if x ≤ −1, (x + 1)²/4 if −1 < x < 1, else x."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)


class SparseSigmoid(_Activation, name="sparse_sigmoid"):
    """(x + 1)/2, clipped to [0, 1]."""

    gives = ("number", "positive", "probability")
    reach = (0.0, 1.0)


class Squareplus(_Activation, name="squareplus"):
    """(x + √(x² + b))/2: a smooth ReLU without exponentials."""

    gives = ("number", "positive")
    reach = (0.0, math.inf)
    b: NonNegative = 4.0
    """Smoothness at 0. With 0, the function is ReLU."""


class Tanh(_Activation, name="tanh"):
    """The hyperbolic tangent, in (−1, 1)."""

    gives = ("number", "margin")
    reach = (-1.0, 1.0)


class TanhShrink(_Activation, name="tanh_shrink"):
    """x − tanh(x)."""


class Threshold(_Activation, name="threshold"):
    """x if x > threshold, else default_value."""

    threshold: Number
    """Value above which the output is x."""
    default_value: Number
    """Output for all other x."""

    @property
    def is_monotone(self) -> bool:
        """True if the output does not fall at the threshold."""
        return self.default_value <= self.threshold


Activation = Annotated[_Activation, OneOf("activation")]


class _Initializer(Choice):
    """A distribution of initial weights."""


class Constant(_Initializer, name="constant"):
    """The same number for all weights."""

    value: Number = 0.0
    """This number."""


class GlorotNormal(_Initializer, name="glorot_normal"):
    """Truncated normal distribution of variance 2/(inputs + units)."""


class GlorotUniform(_Initializer, name="glorot_uniform"):
    """Uniform distribution in ±√(6/(inputs + units)); Keras's default."""


class HeNormal(_Initializer, name="he_normal"):
    """Truncated normal distribution of variance 2/inputs, for ReLU (He et al. 2015)."""


class HeUniform(_Initializer, name="he_uniform"):
    """Uniform distribution in ±√(6/inputs), for ReLU (He et al. 2015)."""


class Identity(_Initializer, name="identity"):
    """The identity matrix, multiplied by `gain`."""

    gain: Number = 1.0
    """Factor."""


class LecunNormal(_Initializer, name="lecun_normal"):
    """Truncated normal distribution of variance 1/inputs, for SELU."""


class LecunUniform(_Initializer, name="lecun_uniform"):
    """Uniform distribution in ±√(3/inputs)."""


class Ones(_Initializer, name="ones"):
    """1 for all weights."""


class Orthogonal(_Initializer, name="orthogonal"):
    """A random matrix with orthogonal columns or rows, multiplied by `gain`."""

    gain: Number = 1.0
    """Factor."""


class RandomNormal(_Initializer, name="random_normal"):
    """Normal distribution."""

    mean: Number = 0.0
    """Mean."""
    stddev: NonNegative = 0.05
    """Standard deviation."""


class RandomUniform(_Initializer, name="random_uniform"):
    """Uniform distribution from `minval` to `maxval`."""

    minval: Number = -0.05
    """Smallest weight."""
    maxval: Number = 0.05
    """Largest weight."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield `maxval` below `minval`."""
        if self.maxval < self.minval:
            yield "maxval", f"is below minval ({self.minval:g})"


class TruncatedNormal(_Initializer, name="truncated_normal"):
    """Normal distribution, truncated at two standard deviations from the mean."""

    mean: Number = 0.0
    """Mean."""
    stddev: NonNegative = 0.05
    """Standard deviation before truncation."""


class VarianceScaling(_Initializer, name="variance_scaling"):
    """A distribution with variance `scale`/fan, where `mode` defines fan."""

    scale: Positive = 1.0
    """Numerator of the variance."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """Fan is the number of inputs (`fan_in`), the number of units (`fan_out`), or the mean of both
    (`fan_avg`)."""
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"
    """Type of distribution."""


class Zeros(_Initializer, name="zeros"):
    """0 for all weights. Use it for biases: with a kernel of zeros, all units stay identical."""


Initializer = Annotated[_Initializer, OneOf("initializer")]


class L1(Choice, name="l1"):
    """l1 · Σ|w|: drives small weights to 0."""

    l1: NonNegative = 0.01
    """Factor of the sum of absolute weights, which is added to the loss."""


class L2(Choice, name="l2"):
    """l2 · Σw²: keeps weights small."""

    l2: NonNegative = 0.01
    """Factor of the sum of squared weights, which is added to the loss."""


class L1L2(Choice, name="l1_l2"):
    """l1 · Σ|w| + l2 · Σw²."""

    l1: NonNegative = 0.0
    """Factor of the sum of absolute weights."""
    l2: NonNegative = 0.0
    """Factor of the sum of squared weights."""


class OrthogonalRegularizer(Choice, name="orthogonal_regularizer"):
    """A penalty if the rows or columns of a kernel are not orthogonal to each other."""

    factor: NonNegative = 0.01
    """Factor of the penalty."""
    mode: Literal["rows", "columns"] = "rows"
    """Whether rows or columns become orthogonal."""


KernelRegularizer = Annotated[L1 | L2 | L1L2 | OrthogonalRegularizer, OneOf("regularizer")]
BiasRegularizer = Annotated[L1 | L2 | L1L2, OneOf("regularizer")]
