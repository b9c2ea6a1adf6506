"""Samples of rows, the errors of their predictions, and the held-out rows with the largest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.data_checks import draw, number
from dlcli.encoding import EncodedRows, Indices, Layout, Matrix
from dlcli.errors import truncate
from dlcli.explanation.explanation_document import WorstRow
from dlcli.metrics import finite
from dlcli.prediction import Predictions
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table
from dlcli.tasks import Task

Floats = NDArray[np.float64]

MOST_NUMBERS = 2**22
"""Most inputs of all sampled rows, so that wide rows need no large matrix: 16 MiB."""
MOST_ROWS = 20
MOST_COLUMNS = 20
MOST_CHARACTERS = 200

Sets = Mapping[str, tuple[Table, EncodedRows]]
"""The rows of each set, and the same encoded."""


@dataclass(frozen=True, eq=False)
class RowSample:
    """Sampled rows of one or several sets."""

    tables: Mapping[str, Table]
    """The rows of each set."""
    matrix: Matrix
    """The same encoded, one set after the other, (rows, inputs)."""
    weights: Floats
    """Their weights, 1 without any, (rows,)."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.matrix)

    def numbers(self, column: str) -> Floats:
        """Return a column's numbers, NaN where missing, (rows,)."""
        parts = [table.column(column).numbers().values for table in self.tables.values()]
        return np.concatenate(parts)

    def texts(self, column: str) -> NDArray[np.object_]:
        """Return a column's canonical texts, None where missing, (rows,)."""
        return np.concatenate([table.texts(column) for table in self.tables.values()])


def sample_rows(sets: Sets, most: int) -> RowSample:
    """Sample rows at random, always the same ones.

    Args:
        sets: the rows to sample; at least one set.
        most: most rows to sample; fewer if they are very wide.
    """
    rows = [len(encoded.inputs) for _, encoded in sets.values()]
    width = max(encoded.inputs.width for _, encoded in sets.values())
    indices = draw(np.arange(sum(rows)), max(1, min(most, MOST_NUMBERS // max(width, 1))))
    ends = np.cumsum(rows)
    parts = np.split(indices, np.searchsorted(indices, ends[:-1]))
    some = [part - (end - count) for part, end, count in zip(parts, ends, rows, strict=True)]
    chosen = dict(zip(sets, some, strict=True))
    return RowSample(
        {name: table.take(chosen[name]) for name, (table, _) in sets.items()},
        np.concatenate([each.inputs.take(chosen[name]) for name, (_, each) in sets.items()]),
        np.concatenate([row_weights(each)[chosen[name]] for name, (_, each) in sets.items()]),
    )


def row_weights(encoded: EncodedRows) -> Floats:
    """Return the weights of rows, 1 without any, (rows,)."""
    if encoded.weights is None:
        return np.ones(len(encoded.inputs))
    return encoded.weights


def input_indices(layout: Layout) -> dict[str, Indices]:
    """Return the indices of each column's inputs in the encoded matrix, by column in order."""
    indices: dict[str, list[int]] = {}
    for block, span in layout.slices():
        indices.setdefault(block.column, []).extend(range(span.start, span.stop))
    return {column: np.array(found, np.int64) for column, found in indices.items()}


def written(value: Any) -> str:  # noqa: ANN401 — what a cell of a table may hold
    """Format a table's value."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


# Errors


@dataclass(frozen=True, eq=False)
class TrueValues:
    """The true values of rows, with which predictions are compared."""

    values: NDArray[Any]
    """Numbers in their own unit or 0 and 1 for labels, (rows, outputs), or class indices,
    (rows,)."""
    units: Floats
    """The unit of differences: 1, or that of each of several numbers, (outputs,)."""

    def row_errors(self, predictions: Predictions) -> Floats:
        """Return the error of each row, (rows,).

        That is the size of the difference, for several numbers the largest; −ln p for the
        probability p of the true class, and its mean over labels; for a margin m the hinge
        max(0, 1 − y·m) with y = ±1. NaN counts as the largest error.
        """
        errors, is_numbers = self._output_errors(predictions)
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
        errors, is_numbers = self._output_errors(predictions)
        with np.errstate(all="ignore"):
            if is_numbers:
                means = np.average(np.square(errors), axis=0, weights=weights)
                return finite(float(np.sqrt(means).mean()))
            return finite(float(np.average(errors.mean(axis=1), weights=weights)))

    def _output_errors(self, predictions: Predictions) -> tuple[Floats, bool]:
        """Return the error of each output, (rows, outputs), and whether it is of numbers."""
        with np.errstate(all="ignore"):
            errors = predictions.errors(self.values) / self.units
        return errors, predictions.task.outcome == "numbers"


def read_true_values(task: Task, tables: Iterable[Table], units: Floats) -> TrueValues:
    """Read the true values of rows.

    Args:
        task: what is predicted.
        tables: the rows, one table after the other.
        units: see `target_units`.
    """
    values = np.concatenate([task.values(table, ValueIssues()) for table in tables])
    return TrueValues(values, units)


def target_units(task: Task, train: Table) -> Floats:
    """Return the unit of differences: 1, or the standard deviation of each of several numbers.

    Args:
        task: what is predicted.
        train: training rows.

    Returns:
        The units, (outputs,) or (1,).
    """
    if task.outcome != "numbers" or task.width == 1:
        return np.ones(1)
    deviations = task.values(train, ValueIssues()).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)


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
        worst, shown = table.take(order), predicted.take(order)
        truth, guesses = shown.truth(worst), shown.columns()
        texts = {column: worst.texts(column) for column in columns[:MOST_COLUMNS]}
        for at, error in enumerate(errors[order].tolist()):
            file, row = worst.where(at)
            found.append(
                WorstRow(
                    file=file if has_files else None,
                    row=row,
                    split=name,
                    target=_text(truth, "target", at, task),
                    prediction=_text(guesses, "prediction", at, task),
                    error=error,
                    values={
                        column: None if each[at] is None else truncate(each[at], MOST_CHARACTERS)
                        for column, each in texts.items()
                    },
                )
            )
    return tuple(sorted(found, key=lambda row: -row.error)[:MOST_ROWS])  # stable


def _text(columns: Mapping[str, pa.Array], kind: str, at: int, task: Task) -> str:
    """Write a row's target or prediction, as `predictions.parquet` has it.

    Several numbers follow their names; of columns of labels the names of the row's labels are
    listed.
    """
    found = {name: column[at].as_py() for name, column in columns.items() if name.startswith(kind)}
    if kind in found:
        return truncate(written(found[kind]), MOST_CHARACTERS)
    named = {name.removeprefix(f"{kind}_"): value for name, value in found.items()}
    texts = {name: written(value) for name, value in named.items()}
    return truncate(task.row_text(named, texts), MOST_CHARACTERS)
