"""Scalings of numbers: how values in their own unit become what a network reads or learns."""

from __future__ import annotations

from typing import Annotated, Literal

from dlcli.config.section import OneOf, Positive, PositiveInt, Section


class Standard(Section):
    """(x − mean)/standard deviation of the training rows."""

    name: Literal["standard"] = "standard"


class Robust(Section):
    """z = (x − median)/interquartile range of the training rows, then z/√(1 + (z/limit)²).

    The second step leaves usual values nearly as they are and keeps outliers within ±limit
    (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491, section 3.2).
    """

    name: Literal["robust"] = "robust"
    limit: Positive = 3.0
    """What no input goes beyond."""


class MinMax(Section):
    """(x − least)/(greatest − least) of the training rows: from 0 to 1."""

    name: Literal["minmax"] = "minmax"


class Quantile(Section):
    """The normal distribution's value at x's share among the training rows, whatever their own."""

    name: Literal["quantile"] = "quantile"
    quantiles: PositiveInt = 1000
    """Most points of the distribution that are kept; between them it is a straight line."""


class Log(Section):
    """Standard scaling of log(1 + x); negative values are errors."""

    name: Literal["log"] = "log"


class Divide(Section):
    """x/by, for columns whose range is known: pixels."""

    name: Literal["divide"] = "divide"
    by: Positive
    """Divisor, in the column's unit."""


class Unscaled(Section):
    """x itself."""

    name: Literal["none"] = "none"


Scaling = Annotated[
    Standard | Robust | MinMax | Quantile | Log | Divide | Unscaled, OneOf("scaling")
]
OutputScaling = Annotated[Standard | Log | Unscaled, OneOf("scaling")]
