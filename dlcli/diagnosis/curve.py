"""A loss over the epochs: how it falls, and how much of its movement is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean, median

from dlcli.config import CosineSimilarity, Loss, Poisson

_NORMAL = 1.4826
"""What makes a median deviation the standard deviation of a normal distribution."""
_LARGEST = 3.5e38
"""The end of float32."""


@dataclass(frozen=True)
class Curve:
    """The values of a loss, one an epoch, all finite."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Curve:
        """A curve, up to the first value that float32 doesn't have, as losses do."""
        return cls(tuple(takewhile(lambda value: abs(value) <= _LARGEST, values)))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def fall(self) -> float:
        """From the first epoch to the last."""
        return self.values[0] - self.values[-1]

    def part(self, start: float, stop: float) -> Curve:
        """The epochs from one share of them to another: the last fifth from 0.8 to 1."""
        first = min(math.floor(start * len(self)), len(self) - 1)
        last = max(math.ceil(stop * len(self)), first + 1)
        return Curve(self.values[first:last])

    @property
    def level(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def mean(self) -> float:
        """The mean."""
        return fmean(self.values)

    @property
    def wobble(self) -> float:
        """The standard deviation of an epoch's noise.

        It comes from second differences, which leave out a level and any steady fall, of white
        noise have √6 times its deviation, and are largest where a loss leaps to and fro; and from
        their median, which single leaps don't move. (Gasser, Sroka & Jennen-Steinmetz 1986)
        """
        if len(self) < 3:
            return 0.0
        first, second, third = self.values[:-2], self.values[1:-1], self.values[2:]
        bends = [abs(a - 2 * b + c) for a, b, c in zip(first, second, third, strict=True)]
        return _NORMAL * median(bends) / math.sqrt(6)

    @property
    def slope(self) -> float:
        """The fall an epoch, by the least squares of a straight line."""
        middle, mean = (len(self) - 1) / 2, self.mean
        spread = sum((at - middle) ** 2 for at in range(len(self)))
        joint = sum((at - middle) * (value - mean) for at, value in enumerate(self.values))
        return -joint / spread if spread else 0.0

    @property
    def slope_error(self) -> float:
        """The standard error of the slope that the noise alone gives it: σ·√(12/(n³ − n))."""
        count = len(self)
        return self.wobble * math.sqrt(12 / (count**3 - count)) if count > 1 else 0.0


def is_from_zero(loss: Loss | None) -> bool:
    """Whether the least that a loss can be is 0, so that shares of its level mean something.

    That of Poisson is the mean of y − y·log y, which may be anything, and that of the cosine −1;
    on the way there they may pass through 0.
    """
    return not isinstance(loss, Poisson | CosineSimilarity)


def scale(curve: Curve, level: float, loss: Loss | None) -> float:
    """What changes of a loss are large or small by.

    Args:
        curve: the whole curve.
        level: the loss where the change is.
        loss: what the curve shows.

    Returns:
        The level; where it means nothing, the whole fall to the lowest value if that is more, so
        that what counts as large is large beside both.
    """
    if is_from_zero(loss) or not curve.values:
        return level
    return max(abs(level), curve.values[0] - min(curve.values))
