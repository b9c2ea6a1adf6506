"""Keras's activations in NumPy, for predictions that never load TensorFlow.

Each function has the name, parameters and defaults of a function in `keras.activations`, and gives
the same results as Keras on TensorFlow. It requires pre-activations of shape `(rows, units)`,
float32 or float64, does not change them, and returns a matrix of the same shape and dtype, with
infinities and NaN where Keras has them. `activate` applies a function by name.

`glu`, `sparsemax`, `swish` and `hard_swish` are not implemented, because the config has none of
them. `softmax` and `log_softmax` normalize over the last axis, the units of a Dense layer.

Exported models use the same functions, applied to values of a graph instead of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A matrix of float32 or float64."""


def activate(name: str, x: Floats, **parameters: float | None) -> Floats:
    """Apply an activation by name, without warnings about infinities and NaN."""
    with np.errstate(all="ignore"):
        return function_of(name)(x, **parameters)


def function_of(name: str) -> Callable[..., Floats]:
    """Return the function of an activation; NumPy warns if its values overflow."""
    function: Callable[..., Floats] = globals()[name]
    return function


def linear(x: Floats) -> Floats:
    """`x` itself, not a copy."""
    return x


def relu(
    x: Floats,
    *,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Floats:
    """`x` above the threshold, at most `max_value`; `negative_slope * (x - threshold)` below."""
    # np.where costs ten times as much as a maximum, and nearly every network uses the default.
    positive: Floats = np.maximum(x, 0) if threshold == 0 else np.where(x > threshold, x, 0)
    if max_value is not None:
        positive = np.clip(positive, 0, max_value)
    if negative_slope == 0:
        return positive
    below: Floats = np.maximum(threshold - x, 0)
    return positive - negative_slope * below


def relu6(x: Floats) -> Floats:
    """`min(max(x, 0), 6)`."""
    return np.clip(x, 0, 6)


def leaky_relu(x: Floats, *, negative_slope: float = 0.2) -> Floats:
    """`x` above 0, else `negative_slope * x`."""
    return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)


def elu(x: Floats, *, alpha: float = 1.0) -> Floats:
    """`x` above 0, else `alpha * (exp(x) - 1)` (Clevert et al. 2016, arXiv:1511.07289)."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


def celu(x: Floats, *, alpha: float = 1.0) -> Floats:
    """`max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)` (Barron 2017, arXiv:1704.07483)."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


def selu(x: Floats) -> Floats:
    """`scale * elu(x, alpha)`, which keeps mean 0 and variance 1 through the layers.

    The constants are the fixed point of Klambauer et al. 2017 (arXiv:1706.02515).
    """
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


def hard_tanh(x: Floats) -> Floats:
    """`min(max(x, -1), 1)`."""
    return np.clip(x, -1, 1)


def hard_sigmoid(x: Floats) -> Floats:
    """`relu6(x + 3) / 6`: a straight line from 0 at -3 to 1 at 3."""
    return relu6(x + 3) / 6


def hard_silu(x: Floats) -> Floats:
    """`x * hard_sigmoid(x)` (Howard et al. 2019, arXiv:1905.02244)."""
    return x * hard_sigmoid(x)


def hard_shrink(x: Floats, *, threshold: float = 0.5) -> Floats:
    """`x` where `|x| > threshold`, else 0."""
    return np.where(np.abs(x) > threshold, x, 0)


def soft_shrink(x: Floats, *, threshold: float = 0.5) -> Floats:
    """`x` moved towards 0 by the threshold where `|x|` exceeds it, else 0."""
    return np.where(x > threshold, x - threshold, np.where(x < -threshold, x + threshold, 0))


def tanh_shrink(x: Floats) -> Floats:
    """`x - tanh(x)`."""
    return x - np.tanh(x)


def threshold(x: Floats, *, threshold: float, default_value: float) -> Floats:
    """`x` above the threshold, else the default value."""
    return np.where(x > threshold, x, default_value)


def exponential(x: Floats) -> Floats:
    """`exp(x)`."""
    return np.exp(x)


def sigmoid(x: Floats) -> Floats:
    """`1 / (1 + exp(-x))`."""
    # This needs no case for negative x: where exp(-x) overflows, the quotient is correctly 0.
    return 1 / (1 + np.exp(-x))


def silu(x: Floats) -> Floats:
    """`x * sigmoid(x)` (Ramachandran et al. 2017, arXiv:1710.05941)."""
    return x * sigmoid(x)


def softplus(x: Floats) -> Floats:
    """`log(1 + exp(x))`, in a form without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_sigmoid(x: Floats) -> Floats:
    """`log(sigmoid(x))`, as `-softplus(-x)`."""
    return -softplus(-x)


def mish(x: Floats) -> Floats:
    """`x * tanh(softplus(x))` (Misra 2019, arXiv:1908.08681)."""
    return x * np.tanh(softplus(x))


def gelu(x: Floats, *, approximate: bool = False) -> Floats:
    """`x` times the standard normal distribution function at `x`.

    The exact form of that function is `erfc(-x / sqrt(2)) / 2`, the approximate form `(1 +
    tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2` (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    """
    if approximate:
        # Products, because NumPy's x**3 costs dozens of times as much.
        angle: Floats = np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x)))
        return 0.5 * x * (1 + angle)
    try:
        from scipy.special import erfc  # imported here, since most networks do not need SciPy
    except ImportError:
        # The server's image lacks SciPy. This takes eight times as long, in double precision too;
        # for a million values, both gave the same float32 results.
        erfc = np.frompyfunc(math.erfc, 1, 1)
    tail: Floats = erfc(x * -0.7071067811865476).astype(x.dtype, copy=False)
    return 0.5 * x * tail


def tanh(x: Floats) -> Floats:
    """`(exp(x) - exp(-x)) / (exp(x) + exp(-x))`."""
    return np.tanh(x)


def softsign(x: Floats) -> Floats:
    """`x / (1 + |x|)`."""
    size: Floats = np.abs(x)
    return x / (1 + size)


def squareplus(x: Floats, *, b: float = 4) -> Floats:
    """`(x + sqrt(x**2 + b)) / 2` (Barron 2021, arXiv:2112.11687)."""
    return (x + np.sqrt(x * x + b)) / 2


def sparse_plus(x: Floats) -> Floats:
    """0 up to -1, `(x + 1)**2 / 4` up to 1, then `x`."""
    return np.where(x <= -1, 0, np.where(x < 1, 0.25 * np.square(x + 1), x))


def sparse_sigmoid(x: Floats) -> Floats:
    """0 up to -1, 1 from 1 on, the line `(x + 1) / 2` between (arXiv:1901.02324)."""
    return 0.5 * (hard_tanh(x) + 1)


def softmax(x: Floats) -> Floats:
    """`exp(x) / sum(exp(x))` over the units of a row, computed from `x - max(x)`."""
    powers: Floats = np.exp(x - x.max(axis=-1, keepdims=True))
    total: Floats = powers.sum(axis=-1, keepdims=True)
    return powers / total


def log_softmax(x: Floats) -> Floats:
    """`log(softmax(x))`, computed without the softmax, which may round to 0."""
    shifted: Floats = x - x.max(axis=-1, keepdims=True)
    total: Floats = np.exp(shifted).sum(axis=-1, keepdims=True)
    return shifted - np.log(total)
