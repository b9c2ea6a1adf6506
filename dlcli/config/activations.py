"""Activations: what a layer does to its weighted sums, under Keras's names.

Left out: `glu` (halves the width), `swish` and `hard_swish` (second names), and `sparsemax` (Keras
3.15 sums up its threshold wrongly: its shares don't sum to 1). Formulas:
https://keras.io/api/layers/activations/.
"""

from __future__ import annotations

from typing import Annotated, Literal

from dlcli.config.section import Flag, NonNegative, Number, OneOf, Positive, Section


class Celu(Section):
    """x above 0, alpha·(exp(x/alpha) − 1) below: an ELU with a continuous slope."""

    name: Literal["celu"] = "celu"
    alpha: Positive = 1.0
    """Where the negative side levels off: at −alpha."""


class Elu(Section):
    """x above 0, alpha·(exp(x) − 1) below."""

    name: Literal["elu"] = "elu"
    alpha: Positive = 1.0
    """Where the negative side levels off: at −alpha."""


class Exponential(Section):
    """exp(x): for outputs that are positive."""

    name: Literal["exponential"] = "exponential"


class Gelu(Section):
    """x·Φ(x), with the normal distribution's Φ: a smooth ReLU."""

    name: Literal["gelu"] = "gelu"
    approximate: Flag = False
    """Whether Φ is approximated by a hyperbolic tangent."""


class HardShrink(Section):
    """x outside ±threshold, 0 inside."""

    name: Literal["hard_shrink"] = "hard_shrink"
    threshold: NonNegative = 0.5
    """Half the width of the silent zone."""


class HardSigmoid(Section):
    """x/6 + 1/2, cut to [0, 1]."""

    name: Literal["hard_sigmoid"] = "hard_sigmoid"


class HardSilu(Section):
    """x · hard_sigmoid(x)."""

    name: Literal["hard_silu"] = "hard_silu"


class HardTanh(Section):
    """x, cut to [−1, 1]."""

    name: Literal["hard_tanh"] = "hard_tanh"


class LeakyRelu(Section):
    """x above 0, negative_slope·x below."""

    name: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: NonNegative = 0.2
    """Slope for x below 0."""


class Linear(Section):
    """x itself: for outputs that are numbers."""

    name: Literal["linear"] = "linear"


class LogSigmoid(Section):
    """log(sigmoid(x))."""

    name: Literal["log_sigmoid"] = "log_sigmoid"


class LogSoftmax(Section):
    """log(softmax(x)) over the units."""

    name: Literal["log_softmax"] = "log_softmax"


class Mish(Section):
    """x · tanh(softplus(x))."""

    name: Literal["mish"] = "mish"


class Relu(Section):
    """max(x, 0): the usual choice for hidden layers."""

    name: Literal["relu"] = "relu"
    negative_slope: NonNegative = 0.0
    """Slope below the threshold."""
    max_value: NonNegative | None = None
    """Upper limit; none if left out."""
    threshold: Number = 0.0
    """Where the unit starts to answer."""


class Relu6(Section):
    """min(max(x, 0), 6)."""

    name: Literal["relu6"] = "relu6"


class Selu(Section):
    """A scaled ELU that keeps mean 0 and variance 1; goes with `lecun_normal` kernels."""

    name: Literal["selu"] = "selu"


class Sigmoid(Section):
    """1/(1 + exp(−x)): the probability of the second of two classes."""

    name: Literal["sigmoid"] = "sigmoid"


class Silu(Section):
    """x · sigmoid(x), also called swish."""

    name: Literal["silu"] = "silu"


class SoftShrink(Section):
    """x drawn towards 0 by threshold, 0 within ±threshold."""

    name: Literal["soft_shrink"] = "soft_shrink"
    threshold: NonNegative = 0.5
    """How far x is drawn towards 0."""


class Softmax(Section):
    """exp(x), scaled to sum 1 over the units: the probabilities of several classes."""

    name: Literal["softmax"] = "softmax"


class Softplus(Section):
    """log(1 + exp(x)): a smooth ReLU, and for outputs that are positive."""

    name: Literal["softplus"] = "softplus"


class Softsign(Section):
    """x/(1 + |x|)."""

    name: Literal["softsign"] = "softsign"


class SparsePlus(Section):
    """0 up to −1, (x + 1)²/4 up to 1, x beyond."""

    name: Literal["sparse_plus"] = "sparse_plus"


class SparseSigmoid(Section):
    """(x + 1)/2, cut to [0, 1]."""

    name: Literal["sparse_sigmoid"] = "sparse_sigmoid"


class Squareplus(Section):
    """(x + √(x² + b))/2: a smooth ReLU without exponentials."""

    name: Literal["squareplus"] = "squareplus"
    b: NonNegative = 4.0
    """How round the corner at 0 is; 0 gives a ReLU."""


class Tanh(Section):
    """The hyperbolic tangent, in (−1, 1)."""

    name: Literal["tanh"] = "tanh"


class TanhShrink(Section):
    """x − tanh(x)."""

    name: Literal["tanh_shrink"] = "tanh_shrink"


class Threshold(Section):
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
