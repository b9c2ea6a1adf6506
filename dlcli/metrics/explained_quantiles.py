"""D² of quantiles: the share of the pinball loss of constant quantiles that predictions avoid.

With the quantile q of all true numbers at the level a, it is `1 - Σ l(y, ŷ) / Σ l(y, q)`, where l
is the pinball loss; for one level, it is the same as scikit-learn's `d2_pinball_score`. Koenker and
Machado, Goodness of Fit and Related Inference Processes for Quantile Regression, JASA 94 (1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.arrays import Array, Floats
from dlcli.metrics.quantiles import QuantileRows, pinball_loss
from dlcli.metrics.statistic import Mean, Statistic, ratio, weighted_quantile, weighted_sum


def of_level(rows: QuantileRows, at: int, level: float) -> dict[str, Statistic]:
    """Return the pinball loss of one level, its D² and the share of numbers up to its quantile.

    Args:
        rows: the rows with the quantiles of all levels.
        at: the index of the level.
        level: the level.
    """
    quantiles = rows.quantiles[:, at : at + 1]
    losses = pinball_loss([level], rows.true, quantiles)
    is_below = (rows.true <= quantiles).astype(np.float64)
    return {
        "pinball_loss": Mean(rows.weights, losses.T),
        "d2": ExplainedQuantiles(rows.weights, rows.true[:, 0], losses[:, 0], (level,)),
        "share_below": Mean(rows.weights, is_below.T),
    }


@dataclass(frozen=True)
class ExplainedQuantiles(Statistic):
    """The explained share of the pinball loss, summed over levels; NaN for a constant target."""

    true: Floats
    """The true numbers, (rows,)."""
    losses: Floats
    """The pinball loss of each row, summed over levels, (rows,)."""
    levels: tuple[float, ...]

    def of(self, weights: Array) -> Floats:
        """Return the metric for other weights."""
        if not len(self.true):
            return np.asarray(np.nan)
        of_constants = (weights * self._of_constants(weights)).sum(axis=-1)
        return np.asarray(1 - ratio(weighted_sum(self.losses, weights), of_constants))

    def influences(self) -> Floats:
        """Return each row's influence on the metric.

        Each quantile minimizes its loss, so a small change of the quantile does not change the sum.
        """
        of_constants = self._of_constants(self.weights)
        total = self.weights @ of_constants
        with np.errstate(divide="ignore", invalid="ignore"):
            share = self.weights @ self.losses / total
            return np.asarray(self.weights * (share * of_constants - self.losses) / total)

    def _of_constants(self, weights: Array) -> Floats:
        """Return the loss of the constant quantiles, (..., rows), for weights, (..., rows)."""
        losses = np.zeros(weights.shape)
        for level in self.levels:
            constant = weighted_quantile(self.true, weights, level)[..., np.newaxis]
            losses += pinball_loss([level], self.true, constant)
        return losses
