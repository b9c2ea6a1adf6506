"""Learning-rate schedules: how the optimizer's rate changes, counted in epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from dlcli.config.section import (
    Conflict,
    Expected,
    Flag,
    Monitor,
    NonNegative,
    NonNegativeInt,
    OneOf,
    OpenFraction,
    Positive,
    PositiveInt,
    Section,
    Share,
)


class ConstantLearningRate(Section):
    """The optimizer's rate throughout."""

    name: Literal["constant"] = "constant"


class ExponentialDecay(Section):
    """rate · decay_rate^(epoch/decay_epochs), at every step."""

    name: Literal["exponential_decay"] = "exponential_decay"
    decay_epochs: Positive
    """Epochs over which the rate is multiplied by decay_rate once."""
    decay_rate: Positive
    """Factor, usually below 1."""
    staircase: Flag = False
    """Whether the rate falls at once after each decay_epochs, instead of smoothly."""


class PiecewiseConstant(Section):
    """The optimizer's rate up to the first boundary, then one of values after each."""

    name: Literal["piecewise_constant"] = "piecewise_constant"
    boundaries: Annotated[tuple[PositiveInt, ...], Expected("a list of epochs")]
    """Epochs after which the rate changes, rising."""
    values: Annotated[tuple[Positive, ...], Expected("a list of rates above 0")]
    """The rate after each boundary."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields boundaries that don't rise and lists of different lengths."""
        if list(self.boundaries) != sorted(set(self.boundaries)):
            yield "boundaries", "expected epochs that rise"
        if len(self.values) != len(self.boundaries):
            wanted, came = len(self.boundaries), len(self.values)
            yield "values", f"expected as many rates as boundaries ({wanted}), got {came}"


class CosineDecay(Section):
    """Half a cosine from the optimizer's rate to alpha times it (Loshchilov & Hutter 2017)."""

    name: Literal["cosine_decay"] = "cosine_decay"
    warmup_epochs: NonNegative = 0.0
    """Epochs over which the rate first rises from 0."""
    decay_epochs: Positive | None = None
    """Epochs of the fall after that; all the rest if left out."""
    alpha: Share = 0.0
    """The last rate, as a share of the first."""


class ReduceOnPlateau(Section):
    """The rate is multiplied by factor whenever the monitored value has stopped improving."""

    name: Literal["reduce_on_plateau"] = "reduce_on_plateau"
    monitor: Monitor = "val_loss"
    """What is watched: a column of history.csv."""
    factor: OpenFraction = 0.1
    """Factor of the rate."""
    patience: NonNegativeInt = 10
    """Epochs without improvement that are waited for."""
    min_delta: NonNegative = 1e-4
    """Smallest change that counts as improvement, in the monitored unit."""
    cooldown: NonNegativeInt = 0
    """Epochs after a reduction that are not counted."""
    min_lr: NonNegative = 0.0
    """Lowest rate."""


Schedule = Annotated[
    ConstantLearningRate | ExponentialDecay | PiecewiseConstant | CosineDecay | ReduceOnPlateau,
    OneOf("schedule"),
]
