"""What rows really were, and how wrong a prediction of them is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.metrics import finite
from dlcli.prediction import Predictions, Predictor
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table
from dlcli.tasks import ClassTarget, NumberTarget, TargetEncoder

Floats = NDArray[np.float64]

_LEAST = float(np.finfo(np.float64).eps)
"""The least probability that counts, as in `scores`."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What rows really were."""

    target: TargetEncoder
    """What it is that is predicted."""
    values: NDArray[Any]
    """Numbers in their own unit or marks of labels, (rows, outputs), or places of classes,
    (rows,)."""
    units: Floats
    """What differences of numbers are measured in, (outputs,)."""

    @property
    def is_numbers(self) -> bool:
        """Whether numbers are predicted."""
        return isinstance(self.target, NumberTarget)

    def by_row(self, predictions: Predictions) -> Floats:
        """How wrong each row is, (rows,).

        The size of the difference, of several numbers the largest; −ln p for the probability p of
        the true class, and the mean of it over labels; for margins m the hinge max(0, 1 − y·m) with
        y = ±1. What is no number counts as the worst there is.
        """
        misses = self._misses(predictions)
        rows: Floats = misses.max(axis=1) if self.is_numbers else misses.mean(axis=1)
        return np.nan_to_num(rows, nan=np.finfo(np.float64).max)

    def error(self, predictions: Predictions, weights: Floats) -> float | None:
        """How wrong all rows are: √(mean of squares), or the mean of what `by_row` says.

        Of several numbers it is the plain mean over their roots.

        Args:
            predictions: of the rows.
            weights: of the rows, (rows,); None comes of weights that are all 0, or no numbers.
        """
        if not weights.sum() > 0:
            return None
        misses = self._misses(predictions)
        with np.errstate(all="ignore"):
            if self.is_numbers:
                means = np.average(np.square(misses), axis=0, weights=weights)
                return finite(float(np.sqrt(means).mean()))
            return finite(float(np.average(misses.mean(axis=1), weights=weights)))

    def _misses(self, predictions: Predictions) -> Floats:
        """How wrong each output is, (rows, outputs)."""
        with np.errstate(all="ignore"):
            if self.is_numbers:
                sizes: Floats = np.abs(predictions.numbers - self.values) / self.units
                return sizes
            if predictions.has_margin:
                sides = np.where(self.values == 1, 1.0, -1.0)[:, np.newaxis]
                hinges: Floats = np.maximum(0.0, 1.0 - sides * predictions.outputs)
                return hinges
            return -np.log(np.clip(self._of_truth(predictions), _LEAST, 1 - _LEAST))

    def _of_truth(self, predictions: Predictions) -> Floats:
        """The probability of what is true, of the class or of each label, (rows, outputs)."""
        assert predictions.probabilities is not None
        probabilities = predictions.probabilities.astype(np.float64)
        if isinstance(self.target, ClassTarget):
            return np.take_along_axis(probabilities, self.values[:, np.newaxis], axis=1)
        return np.where(self.values > 0, probabilities, 1 - probabilities)


def error_metric(predictor: Predictor) -> str:
    """The name of the error: `rmse` of numbers, `hinge` of margins, else `log_loss`."""
    if isinstance(predictor.encoding.target, NumberTarget):
        return "rmse"
    loss = predictor.config.loss
    assert loss is not None  # resolved
    return "hinge" if loss.output == "margin" else "log_loss"


def truth_of(target: TargetEncoder, tables: Iterable[Table], units: Floats) -> Truth:
    """Reads the true values of rows.

    Args:
        target: what is predicted.
        tables: the rows, one table behind the other.
        units: see `units_of`.
    """
    return Truth(target, np.concatenate([_values(target, table) for table in tables]), units)


def units_of(target: TargetEncoder, train: Table) -> Floats:
    """What differences are measured in: 1, or the deviation of each of several numbers, (outputs,).

    Args:
        target: what is predicted.
        train: training rows.
    """
    if not isinstance(target, NumberTarget) or target.width == 1:
        return np.ones(target.width)
    deviations = _values(target, train).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)


def _values(target: TargetEncoder, table: Table) -> NDArray[Any]:
    if isinstance(target, NumberTarget):
        return target.values(table, ValueIssues())
    return target.encode(table, ValueIssues())
