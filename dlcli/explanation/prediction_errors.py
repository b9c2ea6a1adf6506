"""Errors of predictions, and the held-out rows with the largest errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.explanation.explanation_document import WorstRow
from dlcli.explanation.row_samples import Sets, cut, row_weights, written
from dlcli.metrics import finite
from dlcli.prediction import Predictions, Predictor
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table
from dlcli.tasks import Task

Floats = NDArray[np.float64]

MOST_ROWS = 20
MOST_COLUMNS = 20
MOST_CHARACTERS = 200


@dataclass(frozen=True, eq=False)
class TrueValues:
    """The true values of rows, with which predictions are compared."""

    task: Task
    values: NDArray[Any]
    """Numbers in their own unit or 0 and 1 for labels, (rows, outputs), or class indices,
    (rows,)."""
    units: Floats
    """The unit of differences of numbers, (outputs,)."""

    def row_errors(self, predictions: Predictions) -> Floats:
        """Return the error of each row, (rows,).

        That is the size of the difference, for several numbers the largest; −ln p for the
        probability p of the true class, and its mean over labels; for a margin m the hinge
        max(0, 1 − y·m) with y = ±1. NaN counts as the largest error.
        """
        errors = self._output_errors(predictions)
        is_numbers = self.task.outcome == "numbers"
        rows: Floats = errors.max(axis=1) if is_numbers else errors.mean(axis=1)
        return np.nan_to_num(rows, nan=np.finfo(np.float64).max)

    def error(self, predictions: Predictions, weights: Floats) -> float | None:
        """Return the error of all rows: √(mean of squares), or the mean of the rows' errors.

        For several numbers it is the mean over their roots.

        Args:
            predictions: of the rows.
            weights: of the rows, (rows,).

        Returns:
            The error; None if all weights are 0, or if it is not finite.
        """
        if not weights.sum() > 0:
            return None
        errors = self._output_errors(predictions)
        with np.errstate(all="ignore"):
            if self.task.outcome == "numbers":
                means = np.average(np.square(errors), axis=0, weights=weights)
                return finite(float(np.sqrt(means).mean()))
            return finite(float(np.average(errors.mean(axis=1), weights=weights)))

    def _output_errors(self, predictions: Predictions) -> Floats:
        """Return the error of each output, (rows, outputs)."""
        with np.errstate(all="ignore"):
            errors = predictions.errors(self.values)
            return errors / self.units if self.task.outcome == "numbers" else errors


def read_true_values(task: Task, tables: Iterable[Table], units: Floats) -> TrueValues:
    """Read the true values of rows.

    Args:
        task: what is predicted.
        tables: the rows, one table after the other.
        units: see `target_units`.
    """
    values = np.concatenate([task.values(table, ValueIssues()) for table in tables])
    return TrueValues(task, values, units)


def target_units(task: Task, train: Table) -> Floats:
    """Return the unit of differences: 1, or the standard deviation of each of several numbers.

    Args:
        task: what is predicted.
        train: training rows.

    Returns:
        The units, (outputs,).
    """
    if task.outcome != "numbers" or task.width == 1:
        return np.ones(task.width)
    deviations = task.values(train, ValueIssues()).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)


def error_metric(predictor: Predictor) -> str:
    """Return the name of the error: `rmse` of numbers, `hinge` of margins, else `log_loss`."""
    loss = predictor.config.loss
    assert loss is not None  # resolved
    return predictor.task.error_name(has_margin=loss.output == "margin")


def worst_rows(
    task: Task,
    sets: Sets,
    predictions: Callable[[str], Predictions],
    units: Floats,
    columns: Sequence[str],
) -> tuple[WorstRow, ...]:
    """Return the held-out rows with the largest errors; rows of weight 0 do not count.

    Args:
        task: what is predicted.
        sets: the held-out rows of each set.
        predictions: returns those of a set.
        units: see `target_units`.
        columns: the columns to show, the most important first.
    """
    has_files = any(table.files for table, _ in sets.values())
    found = []
    for name, (table, encoded) in sets.items():
        predicted, weights = predictions(name), row_weights(encoded)
        errors = read_true_values(task, [table], units).row_errors(predicted)
        order = np.argsort(-np.where(weights > 0, errors, -1.0), kind="stable")[:MOST_ROWS]
        order = order[weights[order] > 0]
        rows = _describe_rows(table.take(order), predicted.take(order), columns[:MOST_COLUMNS])
        for (file, facts), error in zip(rows, errors[order].tolist(), strict=True):
            file_name = file if has_files else None
            found.append(WorstRow(split=name, file=file_name, error=error, **facts))
    return tuple(sorted(found, key=lambda row: -row.error)[:MOST_ROWS])  # stable


def _describe_rows(
    table: Table, predictions: Predictions, columns: Sequence[str]
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the file of each row, and what is shown of it."""
    truth, predicted = predictions.truth(table), predictions.columns()
    texts = {column: table.texts(column) for column in columns}
    for at in range(table.rows):
        file, row = table.where(at)
        values = {
            column: None if each[at] is None else cut(each[at], MOST_CHARACTERS)
            for column, each in texts.items()
        }
        yield (
            file,
            {
                "row": row,
                "target": _text(truth, "target", at, predictions.task),
                "prediction": _text(predicted, "prediction", at, predictions.task),
                "values": values,
            },
        )


def _text(columns: Mapping[str, pa.Array], kind: str, at: int, task: Task) -> str:
    """Write a row's target or prediction, as `predictions.parquet` has it.

    Several numbers follow their names; of columns of labels the names of the row's labels are
    listed.
    """
    found = {name: column[at].as_py() for name, column in columns.items() if name.startswith(kind)}
    if kind in found:
        return cut(written(found[kind]), MOST_CHARACTERS)
    named = {name.removeprefix(f"{kind}_"): value for name, value in found.items()}
    texts = {name: written(value) for name, value in named.items()}
    return cut(task.row_text(named, texts), MOST_CHARACTERS)
