"""The encodings of numbers as inputs: the sections of the config."""

from typing import Annotated

from pydantic import Field

from dlcli.schema import section


class Direct(section.Choice, name="none"):
    """One input: the scaled number."""


class Periodic(section.Choice, name="periodic"):
    """The inputs sin(2π·c·x) and cos(2π·c·x) of the scaled number x, for several frequencies c.

    The frequencies are trained; their initial values are drawn from a normal distribution with mean
    0 (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556, section 3.3).
    """

    frequencies: section.PositiveInt = 8
    """Number of frequencies of each column. Each frequency yields two inputs."""
    deviation: section.Positive = 0.1
    """Standard deviation of the initial frequencies, in periods per unit of the scaled number."""


class PeriodicLinear(section.Choice, name="periodic_linear"):
    """The scaled number x, and linear combinations of waves cos(2π·(c·x + b)).

    The frequencies c, the phases b and the coefficients are trained, separately for each column.
    This is the encoding PBLD of RealMLP (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491,
    section 3).
    """

    aliases = ("pbld",)
    frequencies: section.PositiveInt = 16
    """Number of waves of each column."""
    deviation: section.Positive = 0.1
    """Standard deviation of the initial frequencies, in periods per unit of the scaled number."""
    units: Annotated[int, Field(ge=2, le=1024), section.Expected("an integer from 2 to 1,024")] = 4
    """Number of inputs from each column: the scaled number, and `units` − 1 linear combinations of
    its waves."""


class PiecewiseLinear(section.Choice, name="piecewise_linear"):
    """One input for each bin of the values: 0 below the bin, 1 above it, and linear inside it.

    The edges of the bins are quantiles of the training rows. Two exceptions: the input of the first
    bin is also linear below it, and the input of the last bin is also linear above it (Gorishniy et
    al. 2022, https://arxiv.org/abs/2203.05556, section 3.2).
    """

    bins: section.PositiveInt = 16
    """Maximum number of bins. There are fewer bins if quantiles are equal."""


NumericEncoding = Annotated[
    Direct | Periodic | PeriodicLinear | PiecewiseLinear, section.OneOf("encoding")
]


class Varied(section.Choice, name="varied"):
    """Several encodings; each network of an ensemble reads one of them, see `ensemble.vary`.

    It is not part of the config language.
    """

    encodings: tuple[NumericEncoding, ...]
    """The different sections `input.encoding` of the networks."""
