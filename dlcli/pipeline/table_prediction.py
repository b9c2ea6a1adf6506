"""Predict or evaluate the rows of a table, for the commands and for the Python API.

Each message about the rows is worded here, and passed to the caller's `Report`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa

from dlcli.arrays import Matrix
from dlcli.columns.value_problems import ColumnProblems, Place, ValueProblems
from dlcli.encoding.table_encoding import Encoding, difference_lines, find_differences
from dlcli.errors import by_caller, in_cell
from dlcli.prediction.groups import Groups, columns_to_read, measure_groups, split_names
from dlcli.prediction.prediction_tables import Format, assemble
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Evaluation, Predictor
from dlcli.runs.environment import TrainingData
from dlcli.runs.run import Run
from dlcli.tables.few_rows import FewRows
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tables.table import Table

Report = Callable[[Literal["warning", "note"], str], None]
"""Receives a message for the user."""
Treatment = Literal["error", "warn", "reject"]
_SHOWN_BAD_VALUES = 3
"""Maximum number of values that can't be used that are listed."""


@dataclass(frozen=True)
class BadRows:
    """The treatment of rows with a value that can't be encoded."""

    treatment: Treatment = "error"
    """Refuse such a value, treat it as missing, or write its row to another file."""
    rejected: Path | None = None
    """The file or folder for rejected rows."""
    hint: str = ""
    """A note for the error about such a value."""

    def new_record(self) -> ValueProblems:
        """Return an empty record of values that can't be encoded."""
        return ValueProblems(lenient=self.treatment != "error", hint=self.hint)

    def words(self, count: int, skipped: int = 0) -> str:
        """Describe what is done with such rows.

        Args:
            count: the number of rows.
            skipped: the number of these rows that are omitted because of an unusable target.
        """
        if self.rejected is not None:
            return f"rejected and written to {self.rejected}"
        if not skipped:
            return "treated as missing"
        if skipped == count:
            return "skipped"
        return f"{skipped} of them skipped, the rest treated as missing"


@dataclass(frozen=True)
class PredictionOptions:
    """The options for the prediction of a table or a folder, in Python and on the command line."""

    keep: tuple[str, ...] = ()
    """Columns to pass through, before the predictions."""
    spreadsheet_safe: bool = False
    bad_rows: BadRows = BadRows()
    form: Format | None = None
    """The format of all parts; if omitted, the format of each file, or Parquet for Arrow files."""
    level: float | None = None
    prevalence: Mapping[str, float] = field(default_factory=dict)
    """Other frequencies of the classes, see `Predictor.with_prevalence`; empty for none."""

    def predictor(self, run: Run) -> Predictor:
        """Return the network of a run, with intervals and for the frequencies of the classes.

        Raises:
            RunError, UsageError: see `Run.predictor_at` and `Run.with_prevalence`.
        """
        predictor = run.predictor_at(self.level)
        return run.with_prevalence(predictor, self.prevalence) if self.prevalence else predictor

    def rows(self, predictions: Predictions, table: Table, problems: ValueProblems) -> pa.Table:
        """Return the rows to write: columns to keep and predictions, without rejected rows."""
        rejected = problems.bad_indices if self.bad_rows.rejected else None
        return assemble(predictions, table, self.keep, rejected)


@dataclass
class RowDifferences:
    """The differences of the rows of any number of files from the training rows."""

    rows: int = 0
    bad_rows: int = 0
    """Rows with a value that can't be encoded."""
    examples: list[str] = field(default_factory=list)
    """The first such values: `row 3, column 'age': REASON`, after the file if there are several."""
    columns: defaultdict[str, ColumnProblems] = field(
        default_factory=lambda: defaultdict(ColumnProblems)
    )

    @classmethod
    def of(
        cls, problems: ValueProblems, rows: Table | FewRows, *, with_file: bool = False
    ) -> RowDifferences:
        """Return the record of encoding a table, without its rows.

        Args:
            problems: recorded when the table was encoded.
            rows: the rows.
            with_file: whether examples also name a single file.
        """
        examples = []
        for bad in islice(problems.bad_rows(), _SHOWN_BAD_VALUES + 1):
            table = rows.table
            file, row = table.where(bad.index)
            cell = in_cell(bad.reason, row, bad.column)
            examples.append(f"{file}: {cell}" if with_file or table.files else cell)
        return cls(rows.rows, len(problems.bad_indices), examples, problems.columns)

    def add(self, other: RowDifferences) -> None:
        """Add the differences of other rows."""
        self.rows += other.rows
        self.bad_rows += other.bad_rows
        self.examples = [*self.examples, *other.examples][: _SHOWN_BAD_VALUES + 1]
        for name, column in other.columns.items():
            self.columns[name].add(column)
            self.columns[name].limit_values()

    def warnings(
        self, file: str, encoding: Encoding, treatment: str = "", place: Place | None = None
    ) -> Iterator[str]:
        """Yield warnings of values that can't be used, and of differences from training rows.

        Args:
            file: the name of the file or the folder.
            encoding: fitted on training rows.
            treatment: what is done with rows that have values that can't be used.
            place: names the row of an index.
        """
        if self.bad_rows:
            yield f"{file}: {self._bad_rows_text(treatment)}"
        found = find_differences(encoding, self.rows, self.columns)
        for line in difference_lines(found, place):
            lists_all = by_caller("; --json lists all", "") if line.rest else ""
            yield f"{file}: {line.text}{lists_all}"

    def to_json(self, encoding: Encoding) -> dict[str, object]:
        """Describe the differences from the training rows for JSON; all counts are of rows.

        Args:
            encoding: fitted on training rows.

        Returns:
            `bad_rows`, with a value that can't be used; and `differences`, an object for each
            column that has any of: `unreadable`; `unseen`, with the rows of the most frequent
            `unseen_values`; `outside` the `training_range`, of two numbers or ISO 8601 dates;
            `without_tokens`; `missing`, with `missing_share` and `training_missing_share`.
        """
        found = find_differences(encoding, self.rows, self.columns)
        return {
            "bad_rows": self.bad_rows,
            "differences": {each.column: each.to_json() for each in found},
        }

    def _bad_rows_text(self, treatment: str) -> str:
        shown = self.examples
        if len(shown) > _SHOWN_BAD_VALUES:
            shown = [*shown[:_SHOWN_BAD_VALUES], "..."]
        rows = "1 row has a value" if self.bad_rows == 1 else f"{self.bad_rows} rows have values"
        return f"{rows} that can't be used, {treatment}: {'; '.join(shown)}"


@dataclass(frozen=True)
class PredictedTable:
    """A table and its predictions."""

    table: Table
    predictions: Predictions
    problems: ValueProblems
    """Values that can't be used or that training didn't see."""
    differences: RowDifferences


@dataclass(frozen=True)
class EncodedTable:
    """A table and its encoded rows."""

    table: Table
    inputs: Matrix
    """The inputs of the network, float32, (rows, inputs)."""
    differences: RowDifferences


@dataclass(frozen=True)
class EvaluatedTable:
    """A table and its metrics."""

    table: Table
    evaluation: Evaluation
    problems: ValueProblems
    """Values that can't be used or that training didn't see, of `evaluation.table`."""
    differences: RowDifferences
    groups: Groups | None = None
    """The metrics of groups, if requested."""

    @property
    def omitted(self) -> int:
        """The number of rows that no metrics are computed from."""
        return self.table.rows - self.evaluation.rows

    @property
    def skipped(self) -> int:
        """The number of these with a value that can't be used."""
        return self.evaluation.table.rows - self.evaluation.rows


@dataclass(frozen=True)
class TablePrediction:
    """The prediction or evaluation of tables."""

    predictor: Predictor
    """The model."""
    report: Report
    """Receives what was detected about a file, and doubts about metrics."""
    bad_rows: BadRows
    """The treatment of values that can't be encoded."""

    def predict(self, source: Source | MemoryTable, keep: Sequence[str] = ()) -> PredictedTable:
        """Predict each row of a table, in order.

        Args:
            source: the table.
            keep: columns to read in addition to the network's columns.

        Raises:
            DataError: if the source is not a table, lacks columns, or has values that can't be
                encoded.
        """
        problems = self.bad_rows.new_record()
        table = self._read(source, keep)
        predictions = self.predictor.predict(table, problems)
        return PredictedTable(table, predictions, problems, RowDifferences.of(problems, table))

    def encode(self, source: Source | MemoryTable) -> EncodedTable:
        """Encode each row of a table, in order.

        Args:
            source: the table.

        Raises:
            DataError: see `predict`.
        """
        problems = self.bad_rows.new_record()
        table = self._read(source)
        inputs = self.predictor.encode(table, problems)
        return EncodedTable(table, inputs, RowDifferences.of(problems, table))

    def predict_records(
        self, records: Sequence[object], as_source: Callable[[object], Source | MemoryTable]
    ) -> tuple[Predictions, RowDifferences]:
        """Predict rows that are mappings, like `predict`, but many times as fast for few rows.

        Args:
            records: a mapping of columns to values for each row.
            as_source: converts the rows to a table.

        Raises:
            DataError: see `predict`.
        """
        problems = self.bad_rows.new_record()
        rows = self.predictor.few_rows(records, lambda: self._read(as_source(records)), "data")
        return self.predictor.predict(rows, problems), RowDifferences.of(problems, rows)

    def evaluate(
        self,
        source: Source | MemoryTable,
        trained_on: TrainingData,
        by: Sequence[str] = (),
    ) -> EvaluatedTable:
        """Compute the metrics of the rows of a table.

        Args:
            source: a table that contains the target.
            trained_on: the tables that the model was trained on, whose metrics are too optimistic.
            by: columns whose groups are also evaluated; their names may be joined by commas.

        Raises:
            DataError: see `Predictor.evaluate`.
        """
        problems, predictor = self.bad_rows.new_record(), self.predictor
        others = columns_to_read([*by, *predictor.config.group_columns])
        table = self._read(source, [*predictor.metric_columns, *others])
        if warning := trained_on.warning(source, table.file):
            self.report("warning", warning)
        rejects = self.bad_rows.treatment == "reject"
        evaluation = predictor.evaluate(table, problems, reject=rejects)
        for message in filter(None, (evaluation.warning, evaluation.shortfall)):
            self.report("warning", f"{table.file}: {message}")
        differences = RowDifferences.of(problems, evaluation.table)
        groups = None
        if by:
            task, rows, decoded = predictor.task, evaluation.evaluated, evaluation.decoded
            names, file = split_names(by, rows.columns), table.file
            groups = measure_groups(task, rows, decoded, names, predictor.encoders, rows=file)
        return EvaluatedTable(table, evaluation, problems, differences, groups)

    def _read(self, source: Source | MemoryTable, others: Sequence[str] = ()) -> Table:
        """Read a table; all of its columns if rejected rows are written."""
        reads_all = self.bad_rows.rejected is not None
        table = self.predictor.read(source, others=None if reads_all else others)
        for note in sorted(table.file_notes, key=lambda note: note.is_doubtful):
            self.report("warning" if note.is_doubtful else "note", note.message)
        return table
