"""Activations: what a layer does to its weighted sums, under Keras's names.

Left out: `glu` (halves the width), `swish` and `hard_swish` (second names), and `sparsemax` (Keras
3.15 sums up its threshold wrongly: its shares don't sum to 1). Formulas:
https://keras.io/api/layers/activations/.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, get_args

from dlcli.config.section import Flag, NonNegative, Number, OneOf, Positive, Section

OutputForm = Literal["number", "positive", "margin", "probability", "shares"]
"""What an output can be read as: any number, one that is never negative, the side of 0 on which a
row lies, the probability of each unit for itself, or shares of 1 over all units."""


class _Activation(Section):
    """What the output can be told of each activation: facts, not parameters."""

    gives: ClassVar[tuple[OutputForm, ...]] = ("number",)
    """What an output with it can be read as."""
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """The least and the most that it gives."""
    across_units: ClassVar[bool] = False
    """Whether it weighs the units against each other, so that one alone is constant."""


class Celu(_Activation):
    """x above 0, alpha·(exp(x/alpha) − 1) below: an ELU with a continuous slope."""

    name: Literal["celu"] = "celu"
    alpha: Positive = 1.0
    """Where the negative side levels off: at −alpha."""


class Elu(_Activation):
    """x above 0, alpha·(exp(x) − 1) below."""

    name: Literal["elu"] = "elu"
    alpha: Positive = 1.0
    """Where the negative side levels off: at −alpha."""


class Exponential(_Activation):
    """exp(x): for outputs that are positive."""

    name: Literal["exponential"] = "exponential"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)


class Gelu(_Activation):
    """x·Φ(x), with the normal distribution's Φ: a smooth ReLU."""

    name: Literal["gelu"] = "gelu"
    approximate: Flag = False
    """Whether Φ is approximated by a hyperbolic tangent."""


class HardShrink(_Activation):
    """x outside ±threshold, 0 inside."""

    name: Literal["hard_shrink"] = "hard_shrink"
    threshold: NonNegative = 0.5
    """Half the width of the silent zone."""


class HardSigmoid(_Activation):
    """x/6 + 1/2, cut to [0, 1]."""

    name: Literal["hard_sigmoid"] = "hard_sigmoid"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive", "probability")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)


class HardSilu(_Activation):
    """x · hard_sigmoid(x)."""

    name: Literal["hard_silu"] = "hard_silu"


class HardTanh(_Activation):
    """x, cut to [−1, 1]."""

    name: Literal["hard_tanh"] = "hard_tanh"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "margin")
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)


class LeakyRelu(_Activation):
    """x above 0, negative_slope·x below."""

    name: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: NonNegative = 0.2
    """Slope for x below 0."""


class Linear(_Activation):
    """x itself: for outputs that are numbers."""

    name: Literal["linear"] = "linear"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "margin")


class LogSigmoid(_Activation):
    """log(sigmoid(x))."""

    name: Literal["log_sigmoid"] = "log_sigmoid"


class LogSoftmax(_Activation):
    """log(softmax(x)) over the units."""

    name: Literal["log_softmax"] = "log_softmax"
    across_units: ClassVar[bool] = True


class Mish(_Activation):
    """x · tanh(softplus(x))."""

    name: Literal["mish"] = "mish"


class Relu(_Activation):
    """max(x, 0): the usual choice for hidden layers."""

    name: Literal["relu"] = "relu"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    negative_slope: NonNegative = 0.0
    """Slope below the threshold."""
    max_value: NonNegative | None = None
    """Upper limit; none if left out."""
    threshold: Number = 0.0
    """Where the unit starts to answer."""


class Relu6(_Activation):
    """min(max(x, 0), 6)."""

    name: Literal["relu6"] = "relu6"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive")
    bounds: ClassVar[tuple[float, float]] = (0.0, 6.0)


class Selu(_Activation):
    """A scaled ELU that keeps mean 0 and variance 1; goes with `lecun_normal` kernels."""

    name: Literal["selu"] = "selu"


class Sigmoid(_Activation):
    """1/(1 + exp(−x)): the probability of the second of two classes, or of a label."""

    name: Literal["sigmoid"] = "sigmoid"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive", "probability")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)


class Silu(_Activation):
    """x · sigmoid(x), also called swish."""

    name: Literal["silu"] = "silu"


class SoftShrink(_Activation):
    """x drawn towards 0 by threshold, 0 within ±threshold."""

    name: Literal["soft_shrink"] = "soft_shrink"
    threshold: NonNegative = 0.5
    """How far x is drawn towards 0."""


class Softmax(_Activation):
    """exp(x), scaled to sum 1 over the units: the probabilities of several classes."""

    name: Literal["softmax"] = "softmax"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive", "shares")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    across_units: ClassVar[bool] = True


class Softplus(_Activation):
    """log(1 + exp(x)): a smooth ReLU, and for outputs that are positive."""

    name: Literal["softplus"] = "softplus"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)


class Softsign(_Activation):
    """x/(1 + |x|)."""

    name: Literal["softsign"] = "softsign"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "margin")
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)


class SparsePlus(_Activation):
    """0 up to −1, (x + 1)²/4 up to 1, x beyond."""

    name: Literal["sparse_plus"] = "sparse_plus"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)


class SparseSigmoid(_Activation):
    """(x + 1)/2, cut to [0, 1]."""

    name: Literal["sparse_sigmoid"] = "sparse_sigmoid"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive", "probability")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)


class Squareplus(_Activation):
    """(x + √(x² + b))/2: a smooth ReLU without exponentials."""

    name: Literal["squareplus"] = "squareplus"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "positive")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    b: NonNegative = 4.0
    """How round the corner at 0 is; 0 gives a ReLU."""


class Tanh(_Activation):
    """The hyperbolic tangent, in (−1, 1)."""

    name: Literal["tanh"] = "tanh"
    gives: ClassVar[tuple[OutputForm, ...]] = ("number", "margin")
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)


class TanhShrink(_Activation):
    """x − tanh(x)."""

    name: Literal["tanh_shrink"] = "tanh_shrink"


class Threshold(_Activation):
    """x above threshold, default_value elsewhere."""

    name: Literal["threshold"] = "threshold"
    threshold: Number
    """Where x begins to pass."""
    default_value: Number
    """What stands in its place below."""


Activation = Annotated[
    Celu
    | Elu
    | Exponential
    | Gelu
    | HardShrink
    | HardSigmoid
    | HardSilu
    | HardTanh
    | LeakyRelu
    | Linear
    | LogSigmoid
    | LogSoftmax
    | Mish
    | Relu
    | Relu6
    | Selu
    | Sigmoid
    | Silu
    | SoftShrink
    | Softmax
    | Softplus
    | Softsign
    | SparsePlus
    | SparseSigmoid
    | Squareplus
    | Tanh
    | TanhShrink
    | Threshold,
    OneOf("activation"),
]

ACTIVATIONS: tuple[type[Activation], ...] = get_args(get_args(Activation)[0])
"""The sections that can be chosen from."""
