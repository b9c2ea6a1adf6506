"""Explain the predictions for rows of a table, for the command and for the Python API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.arrays import Indices, Matrix
from dlcli.config.config_schema import Explaining
from dlcli.errors import DataError, RunError, UsageError, by_caller, option, plural, truncate
from dlcli.explanation.background import MOST_SAMPLED, choose_background
from dlcli.explanation.shapley import ShapleyExplainer, ShapleyValues
from dlcli.pipeline.table_prediction import BadRows, Report, RowDifferences
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tables.table import Table

MOST_CELL_CHARACTERS = 40
_USUAL_ROWS = Explaining().background_rows


@dataclass(frozen=True)
class ExplainedTable:
    """Rows of a table, and the Shapley values of their predictions."""

    table: Table
    """The explained rows."""
    rows: Indices
    """Their positions in the whole table, from 1, (rows,)."""
    values: ShapleyValues
    differences: RowDifferences
    """The differences of the explained rows from the training rows."""

    def texts(self) -> dict[str, list[str | None]]:
        """Return the values of each column that the network reads, as short texts."""
        return {
            column: [
                None if text is None else truncate(text, MOST_CELL_CHARACTERS)
                for text in self.table.texts(column)
            ]
            for column in self.values.columns
        }


def explanation_json(
    values: ShapleyValues, at: int, texts: Mapping[str, Sequence[str | None]] | None = None
) -> dict[str, object]:
    """Return the explanation of a row for JSON, the column with the largest effect first.

    Args:
        values: the Shapley values.
        at: the index of the row.
        texts: the values of each column, (rows,), which are also returned.
    """
    explained, prediction, effects, errors = values.shown(at)
    order = np.argsort(-np.abs(effects), kind="stable").tolist()
    columns = [
        {
            "column": values.columns[index],
            **({} if texts is None else {"value": texts[values.columns[index]][at]}),
            "shapley": float(effects[index]),
            "standard_error": float(errors[index]),
        }
        for index in order
    ]
    return {
        "explained": explained,
        "prediction": prediction,
        "mean_prediction": values.shown_mean(at),
        "columns": columns,
    }


def explanations_json(
    values: ShapleyValues, rows: Sequence[dict[str, object]]
) -> dict[str, object]:
    """Return the explanations of several rows for JSON, see `explanation_json`."""
    return {
        "unit": values.unit,
        "background_rows": values.background_rows,
        "permutation_pairs": values.pairs,
        "rows": rows,
    }


def background_from(
    predictor: Predictor, source: Source | MemoryTable, bad_rows: BadRows
) -> Matrix:
    """Choose background rows from a table, (rows, inputs).

    Args:
        predictor: the network.
        source: the table.
        bad_rows: the treatment of values that can't be encoded.

    Raises:
        DataError: if the table has no rows, lacks columns, or has values that can't be encoded.
    """
    table = predictor.read(source, others=())
    if not table.rows:
        raise DataError("has no rows", file=table.file)
    count = predictor.config.explanation.background_rows or _USUAL_ROWS
    some = np.linspace(0, table.rows - 1, min(table.rows, MOST_SAMPLED)).astype(np.int64)
    matrix = predictor.encode(table.take(some), bad_rows.new_record())
    return choose_background(predictor, matrix, count)


def stored_background(run: Run) -> Matrix:
    """Return the background rows of a run, (rows, inputs).

    Raises:
        UsageError: if the run has none.
        RunError: if they are damaged.
    """
    if (found := run.background) is None:
        what = "the training file or a part of it"
        raise UsageError(
            f"{run.location}: contains no training rows to compare with; add "
            f"{by_caller('--background FILE', 'background=DATA')}, {what}"
        )
    return found


def explain_table(
    explainer: ShapleyExplainer,
    source: Source | MemoryTable,
    report: Report,
    bad_rows: BadRows,
    rows: Sequence[int] | None = None,
    most: int | None = None,
) -> ExplainedTable:
    """Explain the predictions for rows of a table.

    Args:
        explainer: computes the values.
        source: the table.
        report: receives notes about the file.
        bad_rows: the treatment of values that can't be encoded.
        rows: the positions of the rows, from 1; if omitted, all rows.
        most: the maximum number of rows if `rows` is omitted; a note reports further rows.

    Raises:
        UsageError: for a row that the table does not have.
        DataError: if the table has no rows, lacks columns, or has values that can't be encoded.
    """
    predictor = explainer.predictor
    table = predictor.read(source, others=())
    for note in sorted(table.file_notes, key=lambda note: note.is_doubtful):
        report("warning" if note.is_doubtful else "note", note.message)
    chosen = choose_rows(table, report, rows, most)
    some = table.take(chosen)
    problems = bad_rows.new_record()
    values = explainer.explain(predictor.encode(some, problems))
    if not np.isfinite(values.predictions).all() or not np.isfinite(values.values).all():
        raise RunError("a prediction is not finite, so it can't be explained")
    return ExplainedTable(some, chosen + 1, values, RowDifferences.of(problems, some))


def choose_rows(
    table: Table, report: Report, rows: Sequence[int] | None, most: int | None
) -> Indices:
    """Return the indices of the rows to explain.

    Args:
        table: the table.
        report: receives a note if not all rows are explained.
        rows: the positions of the rows, from 1; if omitted, all rows.
        most: the maximum number of rows if `rows` is omitted.

    Raises:
        UsageError: for a row that the table does not have.
        DataError: if the table has no rows.
    """
    if not table.rows:
        raise DataError("has no rows", file=table.file)
    if rows is None:
        chosen = np.arange(table.rows if most is None else min(table.rows, most))
        if len(chosen) < table.rows:
            first = plural(len(chosen), "row")
            message = f"explained the first {first} of {table.rows:,}; choose others with --rows"
            report("note", f"{table.file}: {message}")
    else:
        wrong = [row for row in rows if not 1 <= row <= table.rows]
        if wrong:
            message = f"{table.file} has the rows 1 to {table.rows:,}, got {wrong[0]:,}"
            raise UsageError(f"{option('rows')}: {message}")
        chosen = np.array(rows, np.int64) - 1
    return chosen
