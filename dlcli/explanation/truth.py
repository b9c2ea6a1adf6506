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
from dlcli.tasks import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What rows really were."""

    target: Task
    """What it is that is predicted."""
    values: NDArray[Any]
    """Numbers in their own unit or marks of labels, (rows, outputs), or places of classes,
    (rows,)."""
    units: Floats
    """What differences of numbers are measured in, (outputs,)."""

    @property
    def is_numbers(self) -> bool:
        """Whether numbers are predicted."""
        return self.target.outcome == "numbers"

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
            errors = predictions.errors(self.values)
            return errors / self.units if self.is_numbers else errors


def error_metric(predictor: Predictor) -> str:
    """The name of the error: `rmse` of numbers, `hinge` of margins, else `log_loss`."""
    loss = predictor.config.loss
    assert loss is not None  # resolved
    return predictor.task.error_name(has_margin=loss.output == "margin")


def truth_of(target: Task, tables: Iterable[Table], units: Floats) -> Truth:
    """Reads the true values of rows.

    Args:
        target: what is predicted.
        tables: the rows, one table behind the other.
        units: see `units_of`.
    """
    return Truth(
        target, np.concatenate([target.values(table, ValueIssues()) for table in tables]), units
    )


def units_of(target: Task, train: Table) -> Floats:
    """What differences are measured in: 1, or the deviation of each of several numbers, (outputs,).

    Args:
        target: what is predicted.
        train: training rows.
    """
    if target.outcome != "numbers" or target.width == 1:
        return np.ones(target.width)
    deviations = target.values(train, ValueIssues()).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)
