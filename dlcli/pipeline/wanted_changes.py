"""Search the smallest changes of a table's rows that lead to a wanted prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import UsageError, did_you_mean, did_you_mean_or_all, option
from dlcli.explanation.changes import Candidates, Change, find_changes
from dlcli.explanation.explanation_document import ColumnStatistics
from dlcli.explanation.prediction_analysis import input_indices
from dlcli.metrics.statistic import Floats
from dlcli.pipeline.client_columns import served_columns
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

_COMPARISONS = (">=", "<=", ">", "<")


@dataclass(frozen=True)
class Wish:
    """A wanted prediction: a class, or a bound of a number."""

    task: Task
    index: int
    """The index of the class or of the target column."""
    comparison: str = ""
    """`>=`, `<=`, `>` or `<` for numbers."""
    bound: float = 0.0

    @classmethod
    def parse(cls, text: str, task: Task) -> Wish:
        """Parse a wish such as `approved=yes`, `price>250000` or `price<=100`.

        Raises:
            UsageError: if it does not fit the task.
        """
        name = option("change")
        at = min((at for at in map(text.find, "=<>") if at >= 0), default=-1)
        column, value = text[:at].strip(), text[at:].strip()
        if task.outcome == "labels":
            raise UsageError(f"{name}: requires a target of numbers or classes, not labels")
        if at <= 0 or column not in task.columns:
            expected = f"{task.columns[0]}{'>' if task.outcome == 'numbers' else '='}VALUE"
            near = did_you_mean(column, task.columns) if at > 0 else ""
            raise UsageError(f"{name}: expected {expected}, got {text}{near}")
        if task.outcome == "classes":
            wanted = value.removeprefix("=").strip()
            if wanted not in task.classes:
                known = did_you_mean_or_all(wanted, task.classes)
                raise UsageError(f"{name}: no class '{wanted}'{known}")
            return cls(task, task.classes.index(wanted))
        sign = next((each for each in _COMPARISONS if value.startswith(each)), "")
        try:
            bound = float(value.removeprefix(sign))
        except ValueError:
            bound = math.nan
        if not sign or not math.isfinite(bound):
            message = f"expected a bound such as {column}>100 or {column}<=100, got {text}"
            raise UsageError(f"{name}: {message}")
        return cls(task, task.columns.index(column), sign, bound)

    def score(self, predictions: Predictions) -> Floats:
        """Return how near predictions are to the wish: larger is nearer, (rows,)."""
        scores = predictions.scores
        if self.comparison:
            sign = 1.0 if self.comparison.startswith(">") else -1.0
            return sign * scores[:, self.index]
        if scores.shape[1] == 1:  # a margin
            return scores[:, 0] * (1.0 if self.index else -1.0)
        return scores[:, self.index]

    def is_met(self, predictions: Predictions) -> NDArray[np.bool_]:
        """Return whether predictions are as wanted, (rows,)."""
        if not self.comparison:
            return np.asarray(predictions.values == self.index)
        values = predictions.scores[:, self.index]
        compare = {">=": np.greater_equal, "<=": np.less_equal, ">": np.greater, "<": np.less}
        return np.asarray(compare[self.comparison](values, self.bound))


@dataclass(frozen=True)
class RowChanges:
    """The changes of a row, each verified by predicting the changed row."""

    is_met: bool
    """True if the prediction of the unchanged row is the wanted one."""
    before: Predictions
    changes: Sequence[tuple[Change, Predictions]]
    """The changes, the smallest first, with the prediction of the changed row."""


def search_changes(
    run: Run, predictor: Predictor, rows: Table, wish: Wish, fixed: Sequence[str], most: int
) -> list[RowChanges]:
    """Return the smallest changes of each row that lead to the wanted prediction.

    Args:
        run: the run, with the ranges and categories of its training rows.
        predictor: the network.
        rows: the rows.
        wish: the wanted prediction.
        fixed: the columns that must not change.
        most: the maximum number of changes of each row.

    Raises:
        UsageError: if the network does not read a fixed column.
        DataError: for values that can't be encoded.
    """
    if predictor.cost_columns:
        message = "can't be combined with a decision by costs in a column"
        raise UsageError(f"{option('change')} {message}; train with a threshold")
    names = tuple(feature.column for feature in predictor.encoding.features)
    for name in fixed:
        if name not in names:
            raise UsageError(f"{option('fixed')}: no column '{name}'{did_you_mean(name, names)}")
    known = {each.name: each for each in run.explanation.columns}
    along = {
        column.name: _whole(column.along) if _is_whole(known.get(column.name)) else column.along
        for column in served_columns(run, predictor)
        if column.along and column.name not in fixed
    }
    spreads = {name: each.deviation for name, each in known.items()}
    return [
        _of_row(predictor, rows.take(np.array([at])), along, spreads, wish, most)
        for at in range(rows.rows)
    ]


def _is_whole(column: ColumnStatistics | None) -> bool:
    """Return whether the training rows only have whole numbers, which the bins show."""
    if column is None or column.histogram is None:
        return False
    return all(edge % 1 == 0.5 for edge in column.histogram.edges)  # see `bin_edges`


def _whole(values: Sequence[object]) -> list[object]:
    """Return values with rounded numbers, each once."""
    rounded = (round(value) if isinstance(value, float) else value for value in values)
    return [*dict.fromkeys(rounded)]


def _of_row(
    predictor: Predictor,
    row: Table,
    along: Mapping[str, Sequence[object]],
    spreads: Mapping[str, float | None],
    wish: Wish,
    most: int,
) -> RowChanges:
    before = predictor.predict(row, ValueProblems())
    if wish.is_met(before)[0]:
        return RowChanges(True, before, ())
    matrix = predictor.encode(row, ValueProblems())
    indices = input_indices(predictor.encoding.layout)
    candidates = []
    for column, values in along.items():
        table = _with_values(row, {column: values})
        inputs = predictor.encode(table, ValueProblems(lenient=True))[:, indices[column]]
        distances = _distances(row, column, values, spreads.get(column))
        changed = np.flatnonzero(
            (inputs != matrix[:, indices[column]]).any(axis=1) & (distances > 0)
        )
        if len(changed):
            kept = [values[at] for at in changed.tolist()]
            candidates.append(
                Candidates(column, kept, distances[changed], inputs[changed], indices[column])
            )
    found = find_changes(predictor, matrix, candidates, wish.score, wish.is_met, most)
    verified = []
    for change in found:
        table = _with_values(row, {name: [value] for name, value in change.values.items()})
        after = predictor.predict(table, ValueProblems(lenient=True))
        if wish.is_met(after)[0]:
            verified.append((change, after))
    return RowChanges(False, before, verified)


def _with_values(row: Table, values: Mapping[str, Sequence[object]]) -> Table:
    """Return copies of a row with other values of some columns."""
    count = len(next(iter(values.values())))
    copies = row.take(np.zeros(count, np.int64))
    data = copies.data
    columns = {name: data.column(name) for name in copies.columns}
    columns |= {name: pa.array([*some]) for name, some in values.items()}
    notations = {name: each for name, each in row.notations.items() if name not in values}
    return Table(
        row.file, pa.table(columns), copies.row_numbers, row.missing_words, notations=notations
    )


def _distances(row: Table, column: str, values: Sequence[object], spread: float | None) -> Floats:
    """Return the distance of each value: in standard deviations for numbers, else 1."""
    numbers = [value for value in values if type(value) in (int, float)]
    if len(numbers) < len(values) or not spread:
        return np.ones(len(values))
    current = row.column(column).numbers().values[0]
    if not math.isfinite(current):
        return np.ones(len(values))
    return np.asarray(np.abs(np.array(numbers, np.float64) - current) / spread)


def changes_json(found: RowChanges) -> dict[str, object]:
    """Return the changes of a row for JSON."""
    changes = [
        {"values": dict(change.values), "distance": change.distance, **_first(after)}
        for change, after in found.changes
    ]
    return {**_first(found.before), "is_met": found.is_met, "changes": changes}


def _first(predictions: Predictions) -> dict[str, object]:
    """Return the prediction of a row by column."""
    return {name: values[0] for name, values in predictions.lists().items()}
