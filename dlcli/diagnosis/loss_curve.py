"""A loss over the epochs: its trend, and the noise around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean, median

from dlcli.config import CosineSimilarity, Loss, Poisson

_NORMAL = 1.4826
"""Ratio of standard deviation to median absolute deviation of a normal distribution."""
_LARGEST = 3.5e38
"""Beyond the range of float32."""


@dataclass(frozen=True)
class Curve:
    """The values of a loss, one an epoch, all finite."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Curve:
        """Make a curve of the values before the first one that float32 can't hold."""
        return cls(tuple(takewhile(lambda value: abs(value) <= _LARGEST, values)))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def fall(self) -> float:
        """The decrease from the first epoch to the last."""
        return self.values[0] - self.values[-1]

    def part(self, start: float, stop: float) -> Curve:
        """Return the epochs between two shares of them: the last fifth is from 0.8 to 1."""
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
    def noise(self) -> float:
        """The standard deviation of an epoch's noise.

        It is estimated by second differences: they cancel a level and a steady trend, have √6 times
        the standard deviation of white noise, and are largest for a loss that oscillates. Their
        median is robust against single jumps. (Gasser, Sroka & Jennen-Steinmetz 1986)
        """
        if len(self) < 3:
            return 0.0
        first, second, third = self.values[:-2], self.values[1:-1], self.values[2:]
        bends = [abs(a - 2 * b + c) for a, b, c in zip(first, second, third, strict=True)]
        return _NORMAL * median(bends) / math.sqrt(6)

    @property
    def slope(self) -> float:
        """The decrease per epoch of the least-squares line."""
        middle, mean = (len(self) - 1) / 2, self.mean
        spread = sum((at - middle) ** 2 for at in range(len(self)))
        joint = sum((at - middle) * (value - mean) for at, value in enumerate(self.values))
        return -joint / spread if spread else 0.0

    @property
    def slope_error(self) -> float:
        """The standard error of the slope due to noise: σ·√(12/(n³ − n))."""
        count = len(self)
        return self.noise * math.sqrt(12 / (count**3 - count)) if count > 1 else 0.0


def has_minimum_zero(loss: Loss | None) -> bool:
    """Whether the loss can't fall below 0, so that shares of its level are meaningful.

    Poisson's minimum, the mean of y − y·log y, may have any value, and the cosine similarity's is
    −1; both may cross 0 on the way.
    """
    return not isinstance(loss, Poisson | CosineSimilarity)


def scale_of(curve: Curve, level: float, loss: Loss | None) -> float:
    """Return the size against which changes of a loss are compared.

    Args:
        curve: the whole curve.
        level: the loss where the change is.
        loss: the loss function.

    Returns:
        The level; for a loss that may cross 0 the decrease to its lowest value if that is larger.
    """
    if has_minimum_zero(loss) or not curve.values:
        return level
    return max(abs(level), curve.values[0] - min(curve.values))
