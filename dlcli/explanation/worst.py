"""The held-out rows that were predicted worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.encoding import InMemoryInputs
from dlcli.explanation.document import WorstRow
from dlcli.explanation.rows import LookedAt, Sets, weights_of
from dlcli.explanation.text import cut, written
from dlcli.explanation.truth import Truth, truth_of
from dlcli.prediction import Predictions, Predictor
from dlcli.tables import Table
from dlcli.tasks import Task

MOST_ROWS = 20
MOST_COLUMNS = 20
MOST_LETTERS = 200


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows of a set, with what was predicted of them."""

    table: Table
    predictions: Predictions
    errors: NDArray[np.float64]
    """How wrong each is, (rows,)."""
    weights: NDArray[np.float64]
    """(rows,); a row of weight 0 counts as if it were not there."""

    def worst(self) -> Judged:
        """Those that may be among the worst of all sets, the worst first."""
        errors = np.where(self.weights > 0, self.errors, -1.0)
        order = np.argsort(-errors, kind="stable")[:MOST_ROWS]
        order = order[self.weights[order] > 0]
        table, predictions = self.table.take(order), self.predictions.take(order)
        return Judged(table, predictions, self.errors[order], self.weights[order])


def judge_all(predictor: Predictor, sets: Sets, units: NDArray[np.float64]) -> dict[str, Judged]:
    """Predicts all rows of sets.

    Args:
        predictor: the trained network.
        sets: the rows of each, and the same encoded.
        units: see `units_of`.
    """
    judged = {}
    for name, (table, rows) in sets.items():
        predictions = predictor.predict_encoded(rows.inputs)
        errors = truth_of(predictor.encoding.task, [table], units).by_row(predictions)
        judged[name] = Judged(table, predictions, errors, weights_of(rows))
    return judged


def judge_some(predictor: Predictor, rows: LookedAt, truth: Truth) -> dict[str, Judged]:
    """Predicts the rows that are looked at.

    Args:
        predictor: the trained network.
        rows: of one or several sets.
        truth: what they really were.
    """
    predictions = predictor.predict_encoded(InMemoryInputs(rows.matrix))
    errors = truth.by_row(predictions)
    judged, start = {}, 0
    for name, table in rows.tables.items():
        at = np.arange(start, start + table.rows)
        judged[name] = Judged(table, predictions.take(at), errors[at], rows.weights[at])
        start += table.rows
    return judged


def worst_rows(sets: Mapping[str, Judged], columns: Sequence[str]) -> tuple[WorstRow, ...]:
    """The rows with the largest errors.

    Args:
        sets: the held-out rows of each set.
        columns: those to show, the most important first.
    """
    with_files = any(judged.table.files for judged in sets.values())
    found = [
        row
        for name, judged in sets.items()
        for row in _rows(name, judged.worst(), columns[:MOST_COLUMNS], with_files)
    ]
    return tuple(sorted(found, key=lambda row: -row.error)[:MOST_ROWS])  # stable


def _rows(name: str, judged: Judged, columns: Sequence[str], with_files: bool) -> list[WorstRow]:
    """All rows of a table."""
    table, predictions = judged.table, judged.predictions
    truth, predicted = predictions.truth(table), predictions.columns()
    texts = {column: table.texts(column) for column in columns}
    rows = []
    for at, error in enumerate(judged.errors.tolist()):
        file, row = table.where(at)
        values = {
            column: None if each[at] is None else cut(each[at], MOST_LETTERS)
            for column, each in texts.items()
        }
        rows.append(
            WorstRow(
                file=file if with_files else None,
                row=row,
                split=name,
                target=_text(truth, "target", at, predictions.task),
                prediction=_text(predicted, "prediction", at, predictions.task),
                error=error,
                values=values,
            )
        )
    return rows


def _text(columns: Mapping[str, pa.Array], kind: str, at: int, target: Task) -> str:
    """What a row's target or prediction is, as `predictions.parquet` has it.

    Of several numbers each stands behind its name; of columns of labels the names of those are
    there that the row has.
    """
    found = {name: column[at].as_py() for name, column in columns.items() if name.startswith(kind)}
    if kind in found:
        return cut(written(found[kind]), MOST_LETTERS)
    named = {name.removeprefix(f"{kind}_"): value for name, value in found.items()}
    texts = {name: written(value) for name, value in named.items()}
    return cut(target.row_text(named, texts), MOST_LETTERS)
