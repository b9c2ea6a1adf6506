"""Keras's activations in NumPy, for predictions that never load TensorFlow.

Each function computes what the one of the same name in `keras.activations` does on TensorFlow, with
the same parameters and defaults. It takes pre-activations of shape `(rows, units)`, float32 or
float64, and returns a matrix of the same shape and dtype; what it was given stays as it is. Where
Keras gives an infinity or NaN, so do these, without a warning: a network's weights may well lead
there, and the caller judges the result.

Left out, as in the config: `glu`, `sparsemax`, `swish` and `hard_swish`. The softmax family works
over the last axis, a Dense layer's units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A matrix of float32 or float64."""

_silent = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def linear(x: Floats) -> Floats:
    """`x`, the very array."""
    return x


@_silent
def relu(
    x: Floats,
    *,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Floats:
    """`x` above the threshold, at most `max_value`; `negative_slope * (x - threshold)` below."""
    # np.where costs ten times a maximum, and nearly every network takes the default.
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


@_silent
def leaky_relu(x: Floats, *, negative_slope: float = 0.2) -> Floats:
    """`x` above 0, else `negative_slope * x`."""
    return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)


@_silent
def elu(x: Floats, *, alpha: float = 1.0) -> Floats:
    """`x` above 0, else `alpha * (exp(x) - 1)` (Clevert et al. 2016, arXiv:1511.07289)."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


@_silent
def celu(x: Floats, *, alpha: float = 1.0) -> Floats:
    """`max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)` (Barron 2017, arXiv:1704.07483)."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


@_silent
def selu(x: Floats) -> Floats:
    """`scale * elu(x, alpha)`, which keeps mean 0 and variance 1 through the layers.

    The constants are the fixed point of Klambauer et al. 2017 (arXiv:1706.02515).
    """
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


def hard_tanh(x: Floats) -> Floats:
    """`x` held within -1 and 1."""
    return np.clip(x, -1, 1)


def hard_sigmoid(x: Floats) -> Floats:
    """`relu6(x + 3) / 6`: a straight line from 0 at -3 to 1 at 3."""
    return relu6(x + 3) / 6


@_silent
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


@_silent
def exponential(x: Floats) -> Floats:
    """`exp(x)`."""
    return np.exp(x)


@_silent
def sigmoid(x: Floats) -> Floats:
    """`1 / (1 + exp(-x))`."""
    # No branch on the sign: where exp(-x) overflows, the quotient is 0, which is the value rounded.
    return 1 / (1 + np.exp(-x))


@_silent
def silu(x: Floats) -> Floats:
    """`x * sigmoid(x)` (Ramachandran et al. 2017, arXiv:1710.05941)."""
    return x * sigmoid(x)


def softplus(x: Floats) -> Floats:
    """`log(1 + exp(x))`, written so that no exponential overflows."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_sigmoid(x: Floats) -> Floats:
    """`log(sigmoid(x))`, as `-softplus(-x)`."""
    return -softplus(-x)


@_silent
def mish(x: Floats) -> Floats:
    """`x * tanh(softplus(x))` (Misra 2019, arXiv:1908.08681)."""
    return x * np.tanh(softplus(x))


@_silent
def gelu(x: Floats, *, approximate: bool = False) -> Floats:
    """`x` times the standard normal distribution function at `x`.

    Exactly, that function is `erfc(-x / sqrt(2)) / 2`; approximately,
    `(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2` (Hendrycks & Gimpel 2016,
    arXiv:1606.08415).
    """
    if approximate:
        # Products, because NumPy's x**3 costs dozens of times as much.
        angle: Floats = np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x)))
        return 0.5 * x * (1 + angle)
    return 0.5 * x * _erfc(x * -0.7071067811865476)


def tanh(x: Floats) -> Floats:
    """`(exp(x) - exp(-x)) / (exp(x) + exp(-x))`."""
    return np.tanh(x)


@_silent
def softsign(x: Floats) -> Floats:
    """`x / (1 + |x|)`."""
    size: Floats = np.abs(x)
    return x / (1 + size)


@_silent
def squareplus(x: Floats, *, b: float = 4) -> Floats:
    """`(x + sqrt(x**2 + b)) / 2` (Barron 2021, arXiv:2112.11687)."""
    return (x + np.sqrt(x * x + b)) / 2


@_silent
def sparse_plus(x: Floats) -> Floats:
    """0 up to -1, `(x + 1)**2 / 4` up to 1, then `x`."""
    return np.where(x <= -1, 0, np.where(x < 1, 0.25 * np.square(x + 1), x))


def sparse_sigmoid(x: Floats) -> Floats:
    """0 up to -1, 1 from 1 on, the line `(x + 1) / 2` between (arXiv:1901.02324)."""
    return 0.5 * (hard_tanh(x) + 1)


@_silent
def softmax(x: Floats) -> Floats:
    """`exp(x) / sum(exp(x))` over the units of a row, shifted so that the largest term is 1."""
    powers: Floats = np.exp(x - x.max(axis=-1, keepdims=True))
    total: Floats = powers.sum(axis=-1, keepdims=True)
    return powers / total


@_silent
def log_softmax(x: Floats) -> Floats:
    """`log(softmax(x))`, without leaving the logarithm."""
    shifted: Floats = x - x.max(axis=-1, keepdims=True)
    total: Floats = np.exp(shifted).sum(axis=-1, keepdims=True)
    return shifted - np.log(total)


ACTIVATIONS: Mapping[str, Callable[..., Floats]] = {
    function.__name__: function
    for function in (
        celu,
        elu,
        exponential,
        gelu,
        hard_shrink,
        hard_sigmoid,
        hard_silu,
        hard_tanh,
        leaky_relu,
        linear,
        log_sigmoid,
        log_softmax,
        mish,
        relu,
        relu6,
        selu,
        sigmoid,
        silu,
        soft_shrink,
        softmax,
        softplus,
        softsign,
        sparse_plus,
        sparse_sigmoid,
        squareplus,
        tanh,
        tanh_shrink,
        threshold,
    )
}
"""Every activation by its name in Keras."""


def _erfc(x: Floats) -> Floats:
    """The complementary error function, `2 / sqrt(pi)` times the integral of `exp(-t**2)` from `x`.

    Rational approximations of Cephes (S. L. Moshier, `ndtr.c`, netlib.org/cephes): `erf(x) / x` as
    a quotient in `x**2` up to 1, and `erfc(x) * exp(x**2)` as one in `x` beyond. Cephes changes
    once more at 8; the second quotient is kept there, where values below 1e-28 lose some digits.

    Returns:
        Values within 1e-14 (float64) or 5e-6 (float32) of the true ones, relatively, up to `x = 8`.
    """
    size = np.abs(x)
    squares = np.square(np.minimum(size, 1))
    result = 1 - x * (_polynomial(squares, _NEAR[0]) / _polynomial(squares, _NEAR[1]))
    far = size > 1
    result[far] = _erfc_tail(x[far])
    return result


def _erfc_tail(x: Floats) -> Floats:
    """`erfc` where `|x| > 1`, by `erfc(-x) = 2 - erfc(x)` for the negative ones."""
    # From 30 on the result is 0 in either dtype, and the polynomials of float32 would overflow.
    size = np.minimum(np.abs(x), 30)
    tail: Floats = np.exp(-size * size) * (_polynomial(size, _FAR[0]) / _polynomial(size, _FAR[1]))
    return np.where(x < 0, 2 - tail, tail)


def _polynomial(x: Floats, coefficients: Sequence[float]) -> Floats:
    """The polynomial at `x` by Horner's rule, in place; highest power first."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result


_NEAR = (
    (
        9.60497373987051638749e0,
        9.00260197203842689217e1,
        2.23200534594684319226e3,
        7.00332514112805075473e3,
        5.55923013010394962768e4,
    ),
    (
        1.0,
        3.35617141647503099647e1,
        5.21357949780152679795e2,
        4.59432382970980127987e3,
        2.26290000613890934246e4,
        4.92673942608635921086e4,
    ),
)
"""Numerator and denominator of `erf(x) / x` in `x**2`, for `|x| <= 1`."""

_FAR = (
    (
        2.46196981473530512524e-10,
        5.64189564831068821977e-1,
        7.46321056442269912687e0,
        4.86371970985681366614e1,
        1.96520832956077098242e2,
        5.26445194995477358631e2,
        9.34528527171957607540e2,
        1.02755188689515710272e3,
        5.57535335369399327526e2,
    ),
    (
        1.0,
        1.32281951154744992508e1,
        8.67072140885989742329e1,
        3.54937778887819891062e2,
        9.75708501743205489753e2,
        1.82390916687909736289e3,
        2.24633760818710981792e3,
        1.65666309194161350182e3,
        5.57535340817727675546e2,
    ),
)
"""Numerator and denominator of `erfc(x) * exp(x**2)` in `x`, for `x > 1`."""
