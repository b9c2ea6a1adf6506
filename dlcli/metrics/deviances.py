"""Deviances of generalized linear models, and the share of a deviance that a model explains.

A deviance is 0 for a perfect prediction. It weights errors by the variance that a distribution has
at the predicted mean μ: μ for counts (Poisson), μ^p with 1 < p < 2 for amounts that may be 0
(Tweedie), μ² for positive amounts (gamma), and μ(1 − μ)/n for shares of n trials (binomial).
McCullagh and Nelder, Generalized Linear Models (1989), section 2.3; Jørgensen, The Theory of
Dispersion Models (1997), chapter 4. The values are the same as scikit-learn's
`mean_poisson_deviance`, `mean_tweedie_deviance` and `mean_gamma_deviance`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcli.arrays import np
from dlcli.metrics.metric import Form, Operand, SumForm
from dlcli.metrics.quantiles import pinball_loss

if TYPE_CHECKING:
    from dlcli.metrics.statistic import Statistic

_LEAST_DEVIANCE = 1e-12
"""The deviance of a constant target is 0 up to this rounding error, relative to its terms."""


@dataclass(frozen=True)
class Deviance(ABC):
    """The deviance of a distribution from which the network predicts the mean."""

    @abstractmethod
    def of(self, true: Operand, mean: Operand) -> Operand:
        """Return the deviance of each number, given its predicted mean, both (rows, columns)."""

    @abstractmethod
    def term(self, true: Operand) -> Operand:
        """Return the term of each number that the deviance from the overall mean requires."""

    @abstractmethod
    def from_mean(self, weight: Operand, total: Operand, terms: Operand) -> Operand:
        """Return the sum of the deviances of all numbers from their overall mean, (..., columns).

        Args:
            weight: the sum of the weights.
            total: the weighted sum of the numbers.
            terms: the weighted sum of their terms.
        """


class PoissonDeviance(Deviance):
    """`2 (y ln(y / ŷ) - y + ŷ)` with `0 ln 0 = 0`, for counts.

    It is undefined if 0 is predicted for a count above 0.
    """

    def of(self, true: Operand, mean: Operand) -> Operand:
        """Return the deviance of each count, see `Deviance.of`."""
        return 2 * (np.where(true > 0, true * np.log(true / mean), 0.0) - true + mean)

    def term(self, true: Operand) -> Operand:
        """Return `y ln y`."""
        return np.where(true > 0, true * np.log(true), 0.0)

    def from_mean(self, weight: Operand, total: Operand, terms: Operand) -> Operand:
        """Return `2 (Σ y ln y - Σ y ln ȳ)`."""
        return 2 * _difference(terms, total * np.log(total / weight))


@dataclass(frozen=True)
class TweedieDeviance(Deviance):
    """`2 (y^(2-p) / ((1-p)(2-p)) - y ŷ^(1-p) / (1-p) + ŷ^(2-p) / (2-p))`, for amounts from 0.

    It is undefined if 0 is predicted for an amount above 0.
    """

    power: float
    """The power p of the mean that the variance is proportional to, between 1 and 2."""

    def of(self, true: Operand, mean: Operand) -> Operand:
        """Return the deviance of each amount, see `Deviance.of`."""
        first, second = 1 - self.power, 2 - self.power
        return 2 * (
            np.power(true, second) / (first * second)
            - np.where(true > 0, true * np.power(mean, first), 0.0) / first
            + np.power(mean, second) / second
        )

    def term(self, true: Operand) -> Operand:
        """Return `y^(2-p)`."""
        return np.power(true, 2 - self.power)

    def from_mean(self, weight: Operand, total: Operand, terms: Operand) -> Operand:
        """Return `2 (Σ w ȳ^(2-p) - Σ y^(2-p)) / ((p-1)(2-p))`."""
        of_mean = weight * np.power(total / weight, 2 - self.power)
        return 2 * _difference(of_mean, terms) / ((self.power - 1) * (2 - self.power))


class GammaDeviance(Deviance):
    """`2 (ln(ŷ / y) + y / ŷ - 1)`, for amounts above 0."""

    def of(self, true: Operand, mean: Operand) -> Operand:
        """Return the deviance of each amount, see `Deviance.of`."""
        return 2 * (np.log(mean / true) + true / mean - 1)

    def term(self, true: Operand) -> Operand:
        """Return `ln y`."""
        return np.log(true)

    def from_mean(self, weight: Operand, total: Operand, terms: Operand) -> Operand:
        """Return `2 (Σ w ln ȳ - Σ ln y)`."""
        return 2 * _difference(weight * np.log(total / weight), terms)


class BinomialDeviance(Deviance):
    """`2 (y ln(y / ŷ) + (1 - y) ln((1 - y) / (1 - ŷ)))` with `0 ln 0 = 0`, for shares.

    It is that of one trial; with the number of trials as row weights, it is that of all trials. It
    is undefined if 0 is predicted for a share above 0, or 1 for a share below 1.
    """

    def of(self, true: Operand, mean: Operand) -> Operand:
        """Return the deviance of each share, see `Deviance.of`."""
        of_successes = np.where(true > 0, true * np.log(true / mean), 0.0)
        of_failures = np.where(true < 1, (1 - true) * np.log((1 - true) / (1 - mean)), 0.0)
        return 2 * (of_successes + of_failures)

    def term(self, true: Operand) -> Operand:
        """Return `y ln y + (1 - y) ln(1 - y)`."""
        return _x_log_x(true) + _x_log_x(1 - true)

    def from_mean(self, weight: Operand, total: Operand, terms: Operand) -> Operand:
        """Return `2 (Σ w (y ln y + (1 - y) ln(1 - y)) - Σ w (ȳ ln ȳ + (1 - ȳ) ln(1 - ȳ)))`."""
        return 2 * _difference(terms, weight * self.term(total / weight))


def _x_log_x(x: Operand) -> Operand:
    """Return `x ln x`, which is 0 for 0."""
    return np.where(x > 0, x * np.log(x), 0.0)


def _difference(greater: Operand, smaller: Operand) -> Operand:
    """Return a difference; exactly 0 if it is only a rounding error."""
    difference = greater - smaller
    size = np.abs(greater) + np.abs(smaller)
    return np.where(difference > _LEAST_DEVIANCE * size, difference, 0.0)


@dataclass(frozen=True)
class ExplainedDeviance(SumForm):
    """The explained share of the deviance from the mean, `1 - Σ d(y, ŷ) / Σ d(y, ȳ)`.

    It is averaged over several columns, and undefined for a constant target.
    """

    deviance: Deviance

    def statistic(self, rows: Operand) -> Statistic:
        """Return the explained share as a function of row weights; undefined if it is infinite."""
        from dlcli.metrics.statistic import FunctionOfSums

        terms = tuple(term.T.astype(np.float64) for term in self.terms(rows))
        return FunctionOfSums(
            rows.weights, terms, lambda *sums: np.mean(self._of_columns(*sums), axis=-1)
        )

    def terms(self, rows: Operand) -> tuple[Operand, ...]:
        """Return 1, the numbers, their terms and their deviances."""
        true = rows.true
        deviances = self.deviance.of(true, rows.outputs)
        return np.ones_like(true[:, :1]), true, self.deviance.term(true), deviances

    def value(self, *sums: Operand) -> Operand:
        """Return the explained share, see `SumForm.value`."""
        explained = self._of_columns(*sums)
        return np.mean(np.where(np.isinf(explained), 0.0, explained), axis=-1)

    def _of_columns(self, *sums: Operand) -> Operand:
        weight, total, terms, deviances = sums
        return 1 - deviances / self.deviance.from_mean(weight, total, terms)


@dataclass(frozen=True)
class ExplainedPinballLoss(Form):
    """The explained share of the pinball loss, summed over levels, see `ExplainedQuantiles`."""

    levels: tuple[float, ...]

    def statistic(self, rows: Operand) -> Statistic:
        """Return the explained share as a function of row weights."""
        from dlcli.metrics.explained_quantiles import ExplainedQuantiles

        losses = pinball_loss(self.levels, rows.true, rows.quantiles)
        true = rows.true[:, 0].astype(np.float64)
        return ExplainedQuantiles(rows.weights, true, losses.sum(axis=1), self.levels)


class GiniIndex(Form):
    """The normalized Gini index, averaged over several columns; undefined for negative numbers."""

    def statistic(self, rows: Operand) -> Statistic:
        """Return the index as a function of row weights."""
        from dlcli.metrics.concentration import NormalizedGini
        from dlcli.metrics.statistic import LabelMean

        pairs = zip(rows.true.T, rows.outputs.T, strict=True)
        each = tuple(NormalizedGini(rows.weights, *pair) for pair in pairs)
        return each[0] if len(each) == 1 else LabelMean(rows.weights, each)
