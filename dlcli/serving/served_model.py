"""A served run: checks rows within limits and predicts them in the same way as `dlcli predict`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from dlcli.columns.column_exports import ClientColumn
from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import DataError, UsageError, did_you_mean, did_you_mean_or_all, in_cell, plural
from dlcli.explanation.shapley import ShapleyExplainer
from dlcli.pipeline.client_columns import served_columns
from dlcli.pipeline.drift import earlier_predictions
from dlcli.pipeline.table_explanation import explanation_json, explanations_json
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import MOST_ROWS, Predictor
from dlcli.runs.run import Run
from dlcli.runs.run_folder import open_run
from dlcli.tables.few_rows import MOST_CHARACTERS, FewRows
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table import Table

_Result = TypeVar("_Result")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TABLE = "the request"
"""The name of the rows in messages; responses omit it."""
MOST_PROBLEMS = 20
"""Maximum number of listed problems in a response."""
MOST_NOTES = 1_000
"""Maximum number of notes in a response."""
NOTES = "notes"
"""The key of notes in responses."""
MOST_EXPLAINED_ROWS = 1_000
_WORK_OF_EXPLANATIONS = 4e11
"""Maximum number of multiplications to explain the rows of a request, about 15 s on a core."""
_RANGES = 10
_MOST_CLASSES = 20
"""Maximum number of classes that are counted separately, to limit the number of metrics."""
_OTHER_CLASSES = "other classes"
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", list: "array"}


@dataclass(frozen=True)
class RowProblem:
    """A problem in a row."""

    message: str
    """The value that was found, and what was expected."""
    row: int | None = None
    """The row, from 1."""
    column: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the fields that are not `None`."""
        parts = {"row": self.row, "column": self.column, "message": self.message}
        return {name: part for name, part in parts.items() if part is not None}

    def __str__(self) -> str:
        return in_cell(self.message, self.row, self.column)


class RequestError(Exception):
    """The error for an invalid request.

    Args:
        status: the HTTP status, such as 400 for an unreadable body, or 422 for rows that can't be
            predicted.
        message: the problem, without details of the machine.
        problems: the problems of single rows.
        rows: number of rows that were refused.
    """

    def __init__(
        self, status: int, message: str, problems: Sequence[RowProblem] = (), rows: int = 0
    ) -> None:
        self.status, self.message, self.problems, self.rows = status, message, problems, rows
        super().__init__(message)

    @classmethod
    def of_rows(
        cls, problems: Sequence[RowProblem], rows: int, count: int | None = None
    ) -> RequestError:
        """Return the error for rows that can't be predicted.

        Args:
            problems: the first problems, at least as many as the response lists.
            rows: number of rows that were refused.
            count: number of all problems, if there are more.
        """
        more = (count or len(problems)) - 1
        others = f" ({plural(more, 'more problem')})" if more else ""
        return cls(422, f"{problems[0]}{others}", problems[:MOST_PROBLEMS], rows)

    def to_json(self) -> dict[str, object]:
        """Return the content of the response."""
        content: dict[str, object] = {"error": self.message}
        if self.problems:
            content["problems"] = [problem.to_json() for problem in self.problems]
        return content


@dataclass(frozen=True)
class Limits:
    """The limits of a request."""

    mebibytes: int = 16
    """Maximum size of the body in MiB."""
    rows: int = 10_000
    """Maximum number of rows."""
    seconds: float = 30.0
    """Maximum time from the beginning of a request to its response, in seconds."""

    def check_rows(self, count: int) -> None:
        """Check that the number of rows is within the limit and not 0.

        Raises:
            RequestError: with status 413 for too many rows, or 422 for none.
        """
        if count > self.rows:
            raise RequestError(413, f"expected at most {self.rows:,} rows, got {count:,}")
        if count == 0:
            raise RequestError(422, "expected at least one row, got none")


@dataclass(frozen=True)
class PredictedRows:
    """The predictions of the rows of a request."""

    predictions: Predictions
    problems: ValueProblems
    """The record of values that differ from the training rows."""
    rows: int

    @property
    def columns(self) -> dict[str, list[object]]:
        """The columns of `dlcli predict`, each with a value for every row."""
        return self.predictions.lists()

    @property
    def records(self) -> list[dict[str, object]]:
        """An object for each row, with the columns of `dlcli predict`."""
        columns = self.columns
        names, values = tuple(columns), zip(*columns.values(), strict=True)
        return [dict(zip(names, row, strict=True)) for row in values]

    @cached_property
    def notes(self) -> list[RowProblem]:
        """Notes on values that training did not see, in the words of `dlcli predict`, by row."""
        found = sorted(self.problems.row_notes(MOST_NOTES), key=lambda each: each[0])
        return [RowProblem(note.message, row + 1, note.column) for row, note in found]

    @property
    def listed_notes(self) -> list[dict[str, object]]:
        """The notes as objects with `row`, `column` and `message`."""
        return [note.to_json() for note in self.notes]

    @property
    def records_with_notes(self) -> list[dict[str, object]]:
        """The records; those of rows with notes contain them as `notes`."""
        records = self.records
        for note in self.notes:
            assert note.row is not None
            record = records[note.row - 1]
            listed = record.setdefault(NOTES, [])
            assert isinstance(listed, list)
            listed.append(replace(note, row=None).to_json())
        return records


@dataclass(frozen=True)
class PredictionRanges:
    """The names by which predictions are counted, so that a change of them can be noticed.

    These are the classes, or for a single number ten ranges that are equally frequent among the
    predictions of held-out rows. Other targets are not counted.
    """

    names: tuple[str, ...] = ()
    ends: tuple[float, ...] = ()
    """The upper ends of all ranges except the last; empty for classes."""

    @classmethod
    def of(cls, run: Run) -> PredictionRanges:
        """Return the ranges of a run; without held-out rows, a number has none."""
        task = run.task
        if task.outcome == "classes":
            listed = task.classes[:_MOST_CLASSES]
            return cls((*listed, _OTHER_CLASSES) if task.width > len(listed) else listed)
        earlier = earlier_predictions(run)[0]
        if task.outcome != "numbers" or task.width > 1 or earlier is None:
            return cls()
        ends = np.unique(
            np.quantile(earlier.decoded[:, 0], np.linspace(0, 1, _RANGES + 1)[1:-1])
        ).tolist()
        shown = [f"{end:.6g}" for end in ends]
        middle = (f"{low} to {high}" for low, high in pairwise(shown))
        return cls((f"up to {shown[0]}", *middle, f"above {shown[-1]}"), tuple(ends))

    def count(self, predictions: Predictions) -> dict[str, int]:
        """Count predictions by name; names without a prediction are omitted."""
        if not self.names:
            return {}
        if self.ends:
            at = np.searchsorted(self.ends, predictions.decoded[:, 0])
        else:
            at = np.minimum(predictions.values, len(self.names) - 1)
        counts = np.bincount(at, minlength=len(self.names)).tolist()
        return {name: count for name, count in zip(self.names, counts, strict=True) if count}


@dataclass(frozen=True)
class ServedModel:
    """A trained network with a name, which several threads may use."""

    name: str
    path: Path
    """The folder of the run."""
    predictor: Predictor
    inputs: tuple[ClientColumn, ...]
    """The columns that each row must have, in the order of the training table."""
    form_predictor: Predictor
    """The predictor for the form, with prediction intervals if possible."""
    ranges: PredictionRanges = PredictionRanges()
    """The names by which predictions are counted."""
    explainer: ShapleyExplainer | None = None
    """Explains predictions; `None` if the run contains no training rows to compare with."""

    @classmethod
    def load(cls, name: str, path: Path, level: float | None = None) -> ServedModel:
        """Load the network of a run.

        Args:
            name: the name of the model in URLs.
            path: the run folder.
            level: the coverage of prediction intervals or prediction sets. [default: none]

        Raises:
            RunError: if the run is missing or damaged, or has no network.
            UsageError: if the run has no held-out rows for intervals, or reads image files.
        """
        # A link may change before the last file is read.
        run = open_run(path.resolve() if path.is_dir() else path)
        run.require_network()
        predictor = run.predictor_at(level)
        files = [each.column for each in predictor.encoding.features if each.reads_files]
        if files:
            message = f"'{files[0]}' is a column of image files, which a request can't contain"
            raise UsageError(f"{path}: {message}; use dlcli predict")
        for_form = run.predictor_with_intervals(level)
        columns, background = served_columns(run, predictor), run.background
        explainer = None if background is None else ShapleyExplainer(predictor, background)
        ranges = PredictionRanges.of(run)
        return cls(name, path, predictor, columns, for_form, ranges, explainer)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of `inputs`."""
        return tuple(column.name for column in self.inputs)

    @cached_property
    def output_types(self) -> dict[str, str]:
        """The JSON type of each column of a response."""
        return output_types_of(self.predictor)

    @property
    def typical_row(self) -> dict[str, object]:
        """A typical row."""
        return {column.name: column.typical for column in self.inputs}

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(self.columns)

    @cached_property
    def _with_decimal_comma(self) -> tuple[str, ...]:
        """The numeric columns with a decimal comma in the training table."""
        features, notations = self.predictor.encoding.features, self.predictor.encoding.notations
        numbers = [each.column for each in features if each.reads_numbers]
        numbers += [name for name in self.predictor.cost_columns if name not in numbers]
        return tuple(n for n in numbers if n in notations and notations[n].decimal == ",")

    @cached_property
    def _known(self) -> frozenset[str]:
        """The columns of the training table."""
        config = self.predictor.config
        return self._required | {*(config.input.features or {}), *config.data.reserved}

    def is_quick(self, rows: int, size: int) -> bool:
        """Return whether predicting a request takes only milliseconds.

        Args:
            rows: number of rows.
            size: size of the request in bytes.
        """
        return rows <= MOST_ROWS and size <= MOST_CHARACTERS

    def predict(self, rows: Sequence[object]) -> PredictedRows:
        """Predict each row.

        Args:
            rows: one object of columns per row; values are numbers, texts, true, false or null.

        Raises:
            RequestError: for rows that can't be predicted, with the problem of each.
        """
        return PredictedRows(*self._compute(rows, self.predictor.predict), len(rows))

    def most_explained(self, limits: Limits) -> int:
        """Return the maximum number of rows of a request for explanations; 0 if there are none."""
        if self.explainer is None:
            return 0
        most = int(_WORK_OF_EXPLANATIONS / self.explainer.work_of_row)
        return max(1, min(most, MOST_EXPLAINED_ROWS, limits.rows))

    def explain(
        self, rows: Sequence[object], of: str | None = None, unit: str = "auto"
    ) -> dict[str, object]:
        """Return the Shapley values of each row's prediction, as `dlcli explain --json`.

        Args:
            rows: see `predict`.
            of: the class, label or target column to explain, as `dlcli explain --of`.
            unit: the unit of the values, as `dlcli explain --unit`.

        Raises:
            RequestError: see `predict`; or with status 404 if the run contains no training rows,
                and 400 for an output or a unit that it does not have.
        """
        explainer = self._explainer_in(unit)
        if of is not None and of not in explainer.outputs:
            near = did_you_mean_or_all(of, explainer.outputs)
            raise RequestError(400, f"of: no output '{of}'{near}")
        matrix, _ = self._compute(rows, self.predictor.encode)
        values = explainer.explain(matrix).of(of)
        return explanations_json(values, [explanation_json(values, at) for at in range(len(rows))])

    def _explainer_in(self, unit: str) -> ShapleyExplainer:
        if self.explainer is None:
            message = f"the run of '{self.name}' contains no training rows to compare with"
            raise RequestError(404, message)
        if unit in ("auto", self.explainer.unit):
            return self.explainer
        if unit not in self.units:
            raise RequestError(400, f"unit: expected {' or '.join(self.units)}, got '{unit}'")
        return self._log_odds_explainer

    @property
    def units(self) -> tuple[str, ...]:
        """The units that explanations can have."""
        assert self.explainer is not None  # the caller has checked it
        task = self.predictor.task
        is_binary = task.has_probabilities and task.outcome == "classes" and task.width == 2
        return ("auto", self.explainer.unit, *(("log-odds",) if is_binary else ()))

    @cached_property
    def _log_odds_explainer(self) -> ShapleyExplainer:
        assert self.explainer is not None  # see _explainer_in
        return ShapleyExplainer(self.predictor, self.explainer.background, "log-odds")

    def _compute(
        self, rows: Sequence[object], compute: Callable[[FewRows | Table, ValueProblems], _Result]
    ) -> tuple[_Result, ValueProblems]:
        """Return a function's result for rows, and the values that differ from training rows.

        Raises:
            RequestError: for rows that can't be encoded, with the problem of each.
        """
        records = self._written_alike(self._checked(rows))
        problems = ValueProblems(lenient=True, by_row=True)

        def as_table() -> Table:
            # In the notations of training. The notation of a file is inferred from all its values,
            # but the rows of a request may be unrelated.
            return self.predictor.batch(memory_table(records, _TABLE).data, _TABLE)

        try:
            few = self.predictor.few_rows(records, as_table, _TABLE)
            result = compute(few, problems)
        except DataError as error:
            problem = RowProblem(error.message, error.row, error.column)
            raise RequestError.of_rows([problem], len(rows)) from None
        if len(problems.bad_indices):
            refused = [
                RowProblem(bad.reason, bad.index + 1, bad.column) for bad in problems.bad_rows()
            ]
            raise RequestError.of_rows(refused, len(problems.bad_indices))
        return result, problems

    def _checked(self, rows: Sequence[object]) -> list[dict[str, object]]:
        """Return the values of the features in each row.

        Each row must have all features, so its prediction does not depend on other rows.

        Raises:
            RequestError: for rows that are not objects, lack columns, or have unknown columns.
        """
        records: list[dict[str, object]] = []
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                kind = _KINDS.get(type(row), "null")
                problem = RowProblem(f"expected an object of columns, got {kind}", number)
                raise RequestError.of_rows([problem], len(rows))
            if row.keys() == self._required:
                records.append(row)
            else:
                self._check_columns(row.keys(), number, len(rows))
                records.append({name: row[name] for name in self.columns})
        return records

    def _written_alike(self, records: list[dict[str, object]]) -> list[dict[str, object]]:
        """Write numbers with a decimal comma, as in training, if other rows have texts."""
        for name in self._with_decimal_comma:
            if {float, str} <= {type(record[name]) for record in records}:
                records = [
                    {**record, name: str(record[name]).replace(".", ",")}
                    if isinstance(record[name], float)
                    else record
                    for record in records
                ]
        return records

    def _check_columns(self, names: Collection[str], row: int, rows: int) -> None:
        """Check that a row has all features, and no unknown columns.

        Raises:
            RequestError: with the wrong columns, at most `MOST_PROBLEMS`.
        """
        unknown = sorted(set(names) - self._known)
        absent = [name for name in self.columns if name not in names]
        wrong = "is not a column of the training table"
        problems = [
            RowProblem(f"{wrong}{did_you_mean(name, self.columns)}", row, name)
            for name in unknown[:MOST_PROBLEMS]
        ]
        wrong = "is absent from the row; send null for a missing value"
        problems += [RowProblem(wrong, row, name) for name in absent]
        if problems:
            raise RequestError.of_rows(problems, rows, len(unknown) + len(absent))


_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
}


def model_names(runs: Sequence[Path], named: Mapping[str, Path]) -> dict[str, Path]:
    """Return the run folders to serve by the names of their models.

    Args:
        runs: the runs without a name; the name of the folder is used.
        named: the runs by name.

    Raises:
        UsageError: for a name that is not suitable for URLs, or the same name of two runs.
    """
    found: dict[str, Path] = {}
    for name, path in [*((path.resolve().name, path) for path in runs), *named.items()]:
        if not _NAME.fullmatch(name):
            message = f"'{name}' can't be the name of a model: use letters, digits, '.', '_', '-'"
            raise UsageError(f"{path}: {message}: --name NAME={path}")
        if name in found:
            raise UsageError(f"{path}: another run has the name '{name}': --name NAME={path}")
        found[name] = path
    return found


# The columns of requests and responses, for the documentation and the form


def output_types_of(predictor: Predictor) -> dict[str, str]:
    """Return the JSON type of each column of a response, from the response for one row."""
    columns = predictor.predict_zeros().lists()
    return {n: _JSON_TYPES.get(type(values[0]), "number") for n, values in columns.items()}


def output_schemas(types: Mapping[str, str], classes: Sequence[str]) -> dict[str, object]:
    """Return the JSON Schema of each column of a response.

    Args:
        types: see `output_types_of`.
        classes: the classes of the target.
    """
    schemas: dict[str, object] = {}
    for name, kind in types.items():
        schema: dict[str, object] = {"type": kind if kind != "number" else ["number", "null"]}
        if kind == "array":
            schema["items"] = {}
        elif name.startswith("probability_"):
            schema |= {"minimum": 0, "maximum": 1}
        elif name == "prediction" and kind == "string" and classes:
            schema["enum"] = list(classes)
        schemas[name] = schema
    return schemas
