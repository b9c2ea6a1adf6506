"""Scalings of numbers: how values in their own unit become what a network reads or learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlcli.config.section import Expected, OneOf, Positive, Section

Quantiles = Annotated[int, Field(ge=2, le=100_000), Expected("an integer from 2 to 100000")]


class Standard(Section):
    """(x − mean)/standard deviation of the training rows."""

    name: Literal["standard"] = "standard"


class Robust(Section):
    """z = (x − median)/interquartile range of the training rows, then z/√(1 + (z/limit)²).

    The second step leaves usual values nearly as they are and keeps outliers within ±limit
    (RealMLP, Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491).
    """

    name: Literal["robust"] = "robust"
    limit: Positive = 3.0
    """What no input goes beyond."""


class MinMax(Section):
    """(x − least)/(greatest − least): 0 to 1 in the training rows, and maybe beyond in others."""

    name: Literal["minmax"] = "minmax"


class Quantile(Section):
    """The normal distribution's value at x's rank among the training rows, from −5.2 to 5.2."""

    name: Literal["quantile"] = "quantile"
    quantiles: Quantiles = 1000
    """Most quantiles of the training rows that are kept; between them are straight lines."""


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
