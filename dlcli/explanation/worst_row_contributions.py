"""The contributions of columns to the predictions of the rows with the largest errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlcli.arrays import Indices, Matrix
from dlcli.explanation import prediction_analysis as analysis
from dlcli.explanation.explanation_document import (
    MOST_CONTRIBUTIONS,
    Contribution,
    RowContributions,
    WorstRow,
)
from dlcli.explanation.shapley import ShapleyExplainer, ShapleyValues
from dlcli.metrics.statistic import Floats
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.tables.table import Table

MOST_EXPLAINED = 4
"""Maximum number of rows whose predictions are explained."""
_MOST_EXACT_WORK = 4e9
"""Maximum number of multiplications for exact values of all rows, about 0.2 s on a core."""
_MOST_WORK = 2e10
"""Maximum number of multiplications for all rows, about a second on a core; the predictions of a
larger network are not explained."""


@dataclass(frozen=True, eq=False)
class RowExplainers:
    """Explains held-out rows by the networks that predict them."""

    predictor: Predictor
    background: Matrix
    """The encoded background rows, (background rows, inputs)."""
    folds: Sequence[Indices] = ()
    """If the held-out rows are the folds of an ensemble, the row indices of each fold."""

    def explain(self, matrix: Matrix, indices: Indices) -> list[ShapleyValues] | None:
        """Explain rows.

        Args:
            matrix: the encoded rows, (rows, inputs).
            indices: the index of each row in its set, (rows,).

        Returns:
            The values of each row; `None` if it would take too long.
        """
        predictors, chosen = [self.predictor], np.zeros(len(indices), np.int64)
        if self.folds:
            predictors = [
                self.predictor.of_members(each) for each in self.predictor.members_by_fold
            ]
            chosen = np.array([self._fold_of(index) for index in indices.tolist()])
        found: dict[int, ShapleyValues] = {}
        for number in np.unique(chosen).tolist():
            rows = np.flatnonzero(chosen == number)
            explainer = ShapleyExplainer(
                predictors[number], self.background, most_exact_work=_MOST_EXACT_WORK
            )
            if explainer.work_of_row * len(indices) > _MOST_WORK:
                return None
            values = explainer.explain(matrix[rows])
            found |= {row: values.take(np.array([at])) for at, row in enumerate(rows.tolist())}
        return [found[row] for row in range(len(indices))]

    def _fold_of(self, index: int) -> int:
        return next(number for number, fold in enumerate(self.folds) if index in fold)


def explain_worst(
    explainers: RowExplainers,
    sets: analysis.Sets,
    worst: Sequence[tuple[WorstRow, int]],
    predictions: Callable[[str], Predictions],
    units: Floats,
) -> tuple[WorstRow, ...]:
    """Add the contributions of columns to the first few of the rows with the largest errors.

    If there are several numbers or labels, the one with the largest error is explained; if there
    are several classes, the predicted class.

    Args:
        explainers: of the network.
        sets: the held-out rows of each set.
        worst: the rows with their indices, see `worst_rows`.
        predictions: returns the predictions for a set.
        units: see `target_units`.
    """
    first, task = worst[:MOST_EXPLAINED], explainers.predictor.task
    if not first:
        return ()
    matrix = np.concatenate([sets[row.split][1].inputs.take(np.array([at])) for row, at in first])
    values = explainers.explain(matrix, np.array([index for _, index in first]))
    if values is None:
        return tuple(row for row, _ in worst)
    explained = []
    for (row, index), each in zip(first, values, strict=True):
        table = sets[row.split][0].take(np.array([index]))
        if task.outcome != "classes" and len(each.outputs) > 1:
            truth = analysis.read_true_values(task, [table], units)
            errors, _ = truth.output_errors(predictions(row.split).take(np.array([index])))
            each = replace(each, chosen=errors.argmax(axis=1))
        explained.append(row.model_copy(update={"contributions": _contributions(each, table)}))
    return (*explained, *(row for row, _ in worst[len(first) :]))


def _contributions(values: ShapleyValues, table: Table) -> RowContributions | None:
    """Return the contributions to the prediction of a single row; `None` if it is not finite."""
    name, prediction, effects, errors = values.shown(0)
    if not (np.isfinite(effects).all() and np.isfinite(prediction)):
        return None
    order = np.argsort(-np.abs(effects), kind="stable")
    largest = [at for at in order[:MOST_CONTRIBUTIONS].tolist() if effects[at] != 0]
    others = np.delete(effects, largest)
    return RowContributions(
        explained=name,
        unit=values.unit,
        prediction=prediction,
        mean_prediction=values.shown_mean(0),
        columns=tuple(
            Contribution(
                column=values.columns[at],
                value=analysis.cell_text(table.texts(values.columns[at])[0]),
                shapley=float(effects[at]),
                standard_error=float(errors[at]),
            )
            for at in largest
        ),
        other_columns=len(others),
        others=float(others.sum()),
    )
