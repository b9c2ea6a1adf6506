"""Scaling of numbers to the normal distribution, by their rank."""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from dlcli.config import Quantile
from dlcli.preprocessing.fitted import Fitted
from dlcli.preprocessing.linear import Floats
from dlcli.preprocessing.quantiles import Increasing, quantile_points

_LEAST_SHARE = 1e-7
"""Stands in for a share of 0, whose normal value would be −∞, as in scikit-learn."""


class QuantileScaling(Fitted):
    """Straight lines between quantiles of the training rows, and level beyond the outer ones."""

    name: Literal["quantile"] = "quantile"
    points: Increasing
    """Quantiles, in the column's unit."""
    normals: Increasing
    """The normal distribution's quantile at the share of each."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.points or len(self.points) != len(self.normals):
            raise ValueError("each point needs a normal value")
        return self

    def apply(self, values: Floats) -> Floats:
        """Scales values in their own unit, (rows,)."""
        return np.interp(values, self.points, self.normals)


def fit_quantile(scaling: Quantile, values: Floats) -> QuantileScaling:
    """Takes quantiles from training rows.

    At the quantiles it is scikit-learn's `QuantileTransformer(output_distribution="normal")`: the
    inverse normal distribution function at their shares, within ±5.2. It differs in three ways.
    Between them the normal values lie on straight lines, not the shares, so that encoding needs no
    inverse. Equal quantiles are one point at their mean share, the outer ones too: a column that is
    0 in most rows isn't torn apart there, and one that is constant becomes 0. And what lies beyond
    the training rows gets the value of the nearest of them.

    Args:
        scaling: how many quantiles at most; there are no more than rows.
        values: the rows' values without gaps, (rows,).
    """
    count = max(2, min(scaling.quantiles, len(values)))
    points, place = np.unique(quantile_points(values, count), return_inverse=True)
    shares = np.bincount(place, weights=np.linspace(0, 1, count)) / np.bincount(place)
    inverse = NormalDist().inv_cdf
    normals = map(inverse, np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE).tolist())
    return QuantileScaling(points=tuple(points.tolist()), normals=tuple(normals))
