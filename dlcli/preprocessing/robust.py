"""Scaling that outliers neither disturb nor escape."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from dlcli.config import Robust
from dlcli.preprocessing.fitted import Fitted
from dlcli.preprocessing.linear import Floats

_FAR = 1e150
"""Where a number is its limit in float64, and its square still no infinity."""


class RobustScaling(Fitted):
    """limit·u/√(1 + u²) with u = (x − median)/scale/limit."""

    name: Literal["robust"] = "robust"
    median: float
    """The training rows' median."""
    scale: Annotated[float, Field(gt=0)]
    """The training rows' interquartile range, or what stands for it."""
    limit: Annotated[float, Field(gt=0)]
    """What no scaled value goes beyond."""

    def apply(self, values: Floats) -> Floats:
        """Scales values in their own unit, (rows,)."""
        with np.errstate(over="ignore"):
            ratios = np.clip((values - self.median) / self.scale / self.limit, -_FAR, _FAR)
        scaled: Floats = self.limit * (ratios / np.sqrt(1 + ratios * ratios))
        return scaled


def fit_robust(scaling: Robust, values: Floats) -> RobustScaling:
    """Takes median and scale from training rows.

    As in RealMLP (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491), half the range stands
    in for an interquartile range of 0. A constant column, which becomes 0 there whatever comes
    later, is only moved to 0.

    Args:
        scaling: its limit.
        values: the rows' values without gaps, (rows,).
    """
    least, low, median, high, greatest = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    scale = (high - low) or (greatest - least) / 2 or 1.0
    return RobustScaling(median=median, scale=scale, limit=scaling.limit)
