"""Analysis of predictions: errors, worst rows, and effects of columns.

Effects are permutation importance and partial dependence. The numbers of rows and columns depend
only on shapes, never on a timing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix
from dlcli.columns.column_type import ColumnEncoder
from dlcli.columns.layout import Layout
from dlcli.columns.registry import type_named
from dlcli.columns.type_inference import number
from dlcli.columns.value_problems import ValueProblems
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.errors import truncate
from dlcli.explanation.explanation_document import Importance, PartialDependence, Point, WorstRow
from dlcli.metrics.statistic import Floats, finite
from dlcli.network.layers import Network, Weights
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.splitting import draw
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

MOST_NUMBERS = 2**22
"""Maximum number of inputs of all sampled rows: 16 MiB, even if rows are wide."""
MOST_WORST_ROWS = 20
MOST_COLUMNS_OF_ROW = 20
MOST_CELL_CHARACTERS = 200
"""Maximum number of characters of a cell; `MOST_COLUMNS_OF_ROW` limits the cells of a row."""

MOST_REPEATS = 5
FEWEST_REPEATS = 3
"""Repeats below which rows are reduced instead, because their standard deviation is reported."""
MOST_PERMUTED_ROWS = 2_000
FEWEST_PERMUTED_ROWS = 200
MOST_PERMUTED_COLUMNS = 200

MOST_DEPENDENCES = 6
MOST_POINTS = 24
MOST_AVERAGED_ROWS = 200
FEWEST_AVERAGED_ROWS = 25
MOST_OUTPUTS = 20
MOST_LABEL_CHARACTERS = 80
WORK = 3e9
"""Maximum number of multiplications for predictions in each part of an explanation."""
WORK_PER_NUMBER = 16
"""Cost of a number that a layer reads or returns, in multiplications, without the matrix product:
copies, the bias and the activation."""

Sets = Mapping[str, tuple[Table, EncodedRows]]
"""The rows of each set, with their encoding."""


@dataclass(frozen=True, eq=False)
class RowSample:
    """Sampled rows of one or more sets."""

    tables: Mapping[str, Table]
    """The rows of each set."""
    matrix: Matrix
    """The encoded rows of all sets in order, (rows, inputs)."""
    weights: Floats
    """The row weights, or 1, (rows,)."""
    indices: Indices
    """The index of each row in the rows of all sets in order, (rows,)."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.matrix)

    def axis_values(self, encoder: ColumnEncoder) -> Floats:
        """Return a column's numbers, or times in seconds since 1970; NaN where missing, (rows,)."""
        return np.concatenate([encoder.axis_values(table) for table in self.tables.values()])

    def texts(self, column: str) -> NDArray[np.object_]:
        """Return a column's canonical texts, `None` where missing, (rows,)."""
        return np.concatenate([table.texts(column) for table in self.tables.values()])


def sample_rows(sets: Sets, most: int) -> RowSample:
    """Sample rows at random, but the same rows in each call.

    Args:
        sets: the rows to sample; at least one set.
        most: the maximum number of rows; fewer are sampled if they are very wide.
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
        indices,
    )


def input_indices(layout: Layout) -> dict[str, Indices]:
    """Return the indices of each column's inputs in the encoded matrix, by column in order."""
    indices: dict[str, list[int]] = {}
    for block, span in layout.slices():
        indices.setdefault(block.column, []).extend(range(span.start, span.stop))
    return {column: np.array(found, np.int64) for column, found in indices.items()}


def row_weights(encoded: EncodedRows) -> Floats:
    """Return the weights of rows, or 1, (rows,)."""
    if encoded.weights is None:
        return np.ones(len(encoded.inputs))
    return encoded.weights


def written(value: Any) -> str:  # noqa: ANN401 — what a cell of a table may hold
    """Format a table's value."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


# Errors


@dataclass(frozen=True, eq=False)
class TrueValues:
    """The true values of rows."""

    values: NDArray[Any]
    """Numbers in the unit of the target or 0 and 1 for labels, (rows, outputs), or class indices,
    (rows,)."""
    units: Floats
    """The unit of differences: 1, or one unit per column for several numbers, (outputs,)."""

    def row_errors(self, predictions: Predictions) -> Floats:
        """Return the error of each row, (rows,).

        For numbers it is the absolute difference, for several numbers the largest one. For classes
        it is −ln p with the probability p of the true class, and for labels the mean of that. For a
        margin m it is the hinge loss max(0, 1 − y·m) with y = ±1. NaN counts as the largest error.
        """
        errors, is_numbers = self.output_errors(predictions)
        rows: Floats = errors.max(axis=1) if is_numbers else errors.mean(axis=1)
        return np.nan_to_num(rows, nan=np.finfo(np.float64).max)

    def error(self, predictions: Predictions, weights: Floats) -> float | None:
        """Return the error of all rows: RMSE for numbers, else the mean of the row errors.

        For several numbers, it is the mean of their RMSEs.

        Args:
            predictions: the predictions of the rows.
            weights: the row weights, (rows,).

        Returns:
            The error; `None` if all weights are 0, or it is not finite.
        """
        if not weights.sum() > 0:
            return None
        errors, is_numbers = self.output_errors(predictions)
        with np.errstate(all="ignore"):
            if is_numbers:
                means = np.average(np.square(errors), axis=0, weights=weights)
                return finite(float(np.sqrt(means).mean()))
            return finite(float(np.average(errors.mean(axis=1), weights=weights)))

    def output_errors(self, predictions: Predictions) -> tuple[Floats, bool]:
        """Return the error of each output, (rows, outputs), and whether outputs are numbers."""
        with np.errstate(all="ignore"):
            errors = predictions.errors(self.values) / self.units
        return errors, predictions.task.outcome == "numbers"


def read_true_values(task: Task, tables: Iterable[Table], units: Floats) -> TrueValues:
    """Read the true values of rows.

    Args:
        task: the task.
        tables: the tables with the rows, in order.
        units: see `target_units`.
    """
    values = np.concatenate([task.values(table, ValueProblems()) for table in tables])
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
    deviations = task.values(train, ValueProblems()).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)


def worst_rows(
    task: Task,
    sets: Sets,
    predictions: Callable[[str], Predictions],
    units: Floats,
    columns: Sequence[str],
) -> list[tuple[WorstRow, int]]:
    """Return the held-out rows with the largest errors, each with its index in its set.

    Rows of weight 0 do not count.

    Args:
        task: what is predicted.
        sets: the held-out rows of each set.
        predictions: returns the predictions for a set.
        units: see `target_units`.
        columns: the columns to show, the most important first.
    """
    has_files = any(table.files for table, _ in sets.values())
    found = []
    for name, (table, encoded) in sets.items():
        predicted, weights = predictions(name), row_weights(encoded)
        errors = read_true_values(task, [table], units).row_errors(predicted)
        order = np.argsort(-np.where(weights > 0, errors, -1.0), kind="stable")[:MOST_WORST_ROWS]
        order = order[weights[order] > 0]
        worst, shown = table.take(order), predicted.take(order)
        truth, guesses = shown.truth(worst), shown.columns()
        texts = {column: worst.texts(column) for column in columns[:MOST_COLUMNS_OF_ROW]}
        for at, index in enumerate(order.tolist()):
            file, row = worst.where(at)
            described = WorstRow(
                file=file if has_files else None,
                row=row,
                split=name,
                target=_target_text(truth, "target", at, task),
                prediction=_target_text(guesses, "prediction", at, task),
                error=float(errors[index]),
                values={column: cell_text(each[at]) for column, each in texts.items()},
            )
            found.append((described, index))
    return sorted(found, key=lambda each: -each[0].error)[:MOST_WORST_ROWS]  # stable


def cell_text(text: str | None) -> str | None:
    """Shorten the text of a cell; `None` for a missing value."""
    return None if text is None else truncate(text, MOST_CELL_CHARACTERS)


def _target_text(columns: Mapping[str, pa.Array], kind: str, at: int, task: Task) -> str:
    """Format a row's target or prediction, as in `predictions.parquet`.

    Several numbers are preceded by their names. For label columns, the row's labels are listed.
    """
    found = {name: column[at].as_py() for name, column in columns.items() if name.startswith(kind)}
    if kind in found:
        return truncate(written(found[kind]), MOST_CELL_CHARACTERS)
    named = {name.removeprefix(f"{kind}_"): value for name, value in found.items()}
    texts = {name: written(value) for name, value in named.items()}
    return truncate(task.row_text(named, texts), MOST_CELL_CHARACTERS)


# Effects of columns


@dataclass(frozen=True)
class Plan:
    """Numbers of repeats, rows and columns; their product is the number of predictions."""

    repeats: int
    rows: int
    columns: int


def plan_predictions(
    network: Network, members: int, most: Plan, fewest_rows: int, fewest_repeats: int = 1
) -> Plan:
    """Plan repeated predictions of rows for each column within the budget `WORK`.

    Repeats are reduced first, then rows, both down to the fewest, then repeats down to 1, then
    columns.

    Args:
        network: the network that predicts.
        members: the number of such networks that predict a row.
        most: the plan without a budget.
        fewest_rows: the number of rows below which columns are reduced instead.
        fewest_repeats: the number of repeats below which rows are reduced instead.
    """
    numbers = network.inputs + network.front.units + sum(layer.units for layer in network.layers)
    products = sum(weight.size for layer in network.layers for weight in layer.weights)
    work = members * (products + WORK_PER_NUMBER * numbers)
    predictions = max(1, int(WORK // work))
    rows, columns = max(most.rows, 1), max(most.columns, 1)
    repeats = max(fewest_repeats, min(most.repeats, predictions // (rows * columns)))
    rows = min(rows, max(fewest_rows, predictions // (repeats * columns)))
    repeats = max(1, min(repeats, predictions // (rows * columns)))
    columns = min(columns, max(1, predictions // (repeats * rows)))
    return Plan(repeats, rows, columns)


def plan_importances(network: Network, members: int, rows: int) -> Plan:
    """Plan the held-out rows, columns and permutations of permutation importances.

    Args:
        network: the network that predicts.
        members: the number of such networks that predict a row.
        rows: the number of held-out rows.
    """
    columns = min(MOST_PERMUTED_COLUMNS, len(input_indices(network.layout)))
    most = Plan(MOST_REPEATS, min(rows, MOST_PERMUTED_ROWS), columns)
    return plan_predictions(network, members, most, FEWEST_PERMUTED_ROWS, FEWEST_REPEATS)


def permutation_importances(
    predictor: Predictor,
    truth: TrueValues,
    rows: RowSample,
    columns: Sequence[str],
    repeats: int,
    folds: Sequence[Indices] = (),
) -> tuple[Importance, ...]:
    """Compute how much the error grows when a column's values are permuted among rows.

    Permutation importance (Breiman 2001, doi:10.1023/A:1010933404324), as in scikit-learn's
    `permutation_importance`. All inputs of a column are permuted in the same order.

    Args:
        predictor: the trained network.
        truth: the rows' true values.
        rows: the held-out rows, with their weights.
        columns: the columns to permute.
        repeats: the number of permutations of each column, which depend only on the config's seed
            and the column's position.
        folds: if the rows are the folds of an ensemble, the row indices of each fold.

    Returns:
        The columns with a finite error, the largest increase first.
    """
    of_folds = [np.flatnonzero(np.isin(rows.indices, fold)) for fold in folds]

    def predict(matrix: Matrix) -> Predictions:
        if not folds:
            return predictor.predict_encoded(InMemoryInputs(matrix))
        return predictor.predict_by_fold(lambda some: InMemoryInputs(matrix[some]), of_folds)

    before = truth.error(predict(rows.matrix), rows.weights)
    if before is None:
        return ()
    indices = input_indices(predictor.network.layout)
    seeds = {column: [predictor.config.seed, at] for at, column in enumerate(indices)}
    found = []
    for column in columns:
        rng = np.random.default_rng(seeds[column])
        matrix = rows.matrix.copy()
        errors = []
        for order in [rng.permutation(len(rows)) for _ in range(repeats)]:
            matrix[:, indices[column]] = rows.matrix[order[:, np.newaxis], indices[column]]
            error = truth.error(predict(matrix), rows.weights)
            errors.append(np.nan if error is None else error)
        with np.errstate(all="ignore"):
            changes = np.array(errors) - before
            mean, deviation = finite(changes.mean()), finite(changes.std())
        if mean is not None and deviation is not None:
            found.append(Importance(column=column, increase=mean, deviation=deviation))
    return tuple(sorted(found, key=lambda importance: -importance.increase))


def first_layer_effects(network: Network, weights: Weights, matrix: Matrix) -> dict[str, float]:
    """Compute the effect of each column on the sums of the first Dense layer, in column order.

    It is √Σ σᵢ²·‖kᵢ‖² over the inputs of the column, with the standard deviation σᵢ of an input and
    its row kᵢ of the kernel: the standard deviation of the sums if inputs were independent.

    Args:
        network: the layers.
        weights: trained, by name.
        matrix: encoded rows, (rows, inputs).
    """
    columns = list(input_indices(network.layout))
    with np.errstate(all="ignore"):
        numbers = network.front.forward(matrix, weights)
        variances = numbers.var(axis=0, dtype=np.float64)
        kernel = weights[network.first_kernel].astype(np.float64)
        moved = np.nan_to_num(variances * np.square(kernel).sum(axis=1))
    sums = np.bincount(network.columns_of_inputs, moved, minlength=len(columns))
    return dict(zip(columns, np.sqrt(sums).tolist(), strict=True))


def choose_outputs(predictor: Predictor, truth: TrueValues, weights: Floats) -> dict[str, int]:
    """Choose the outputs to show: all, or only the most frequent classes.

    Args:
        predictor: the trained network.
        truth: the true values of the sampled rows.
        weights: the weights of these rows, (rows,).

    Returns:
        The index of each chosen output, by name.
    """
    task, names = predictor.task, predictor.task.score_names
    if task.outcome == "classes" and len(names) > 1:
        counts = np.bincount(truth.values, weights, minlength=task.width)
        indices = np.sort(np.argsort(-counts, kind="stable")[:MOST_OUTPUTS]).tolist()
        return {names[at]: at for at in indices}
    return {name: at for at, name in enumerate(names[:MOST_OUTPUTS])}


def partial_dependences(
    predictor: Predictor, rows: RowSample, columns: Sequence[str], outputs: Mapping[str, int]
) -> tuple[PartialDependence, ...]:
    """Compute the partial dependences on some columns, within the budget `WORK`.

    Args:
        predictor: the trained network.
        rows: the rows that provide the values.
        columns: the columns, the most important first; texts and images are skipped, as their
            values rarely repeat.
        outputs: the outputs to show, see `choose_outputs`.
    """
    types = {each.column: type_named(each.type) for each in predictor.encoding.features}
    fit = [column for column in columns if types[column].has_common_values][:MOST_DEPENDENCES]
    most = Plan(1, min(len(rows), MOST_AVERAGED_ROWS), MOST_DEPENDENCES * MOST_POINTS)
    plan = plan_predictions(predictor.network, predictor.members, most, FEWEST_AVERAGED_ROWS)
    others = draw(np.arange(len(rows)), plan.rows)
    fit = fit[: plan.columns // MOST_POINTS]
    found = [partial_dependence(predictor, rows, column, others, outputs) for column in fit]
    return tuple(dependence for dependence in found if dependence is not None)


def partial_dependence(
    predictor: Predictor, rows: RowSample, column: str, others: Indices, outputs: Mapping[str, int]
) -> PartialDependence | None:
    """Compute the mean prediction over rows if all rows had the same value of a column.

    Partial dependence (Friedman 2001, doi:10.1214/aos/1013203451).

    Only values of actual rows are used: up to `MOST_POINTS` quantiles of numbers and times, and the
    most frequent values of other types. Their encoded inputs replace the column's inputs in the
    other rows.

    Args:
        predictor: the trained network.
        rows: the rows that provide the values.
        column: a column that can have the same value in all rows.
        others: the indices of the rows for the weighted mean.
        outputs: the outputs to show, see `choose_outputs`.

    Returns:
        The dependence; `None` if there are fewer than two values, or a prediction is not finite.
    """
    encoder = next(each for each in predictor.encoding.features if each.column == column)
    values = list(_values_shown(encoder, rows))
    matrix, weights = rows.matrix[others], rows.weights[others]
    if len(values) < 2 or not weights.sum() > 0:
        return None
    inputs = input_indices(predictor.network.layout)[column]

    def mean_prediction(row: int) -> tuple[float, ...] | None:
        matrix[:, inputs] = rows.matrix[row, inputs]
        scores = predictor.predict_encoded(InMemoryInputs(matrix)).scores
        with np.errstate(all="ignore"):
            means = np.average(scores[:, list(outputs.values())], axis=0, weights=weights)
        return tuple(means.tolist()) if np.isfinite(means).all() else None

    points = []
    for row, label, value in values:
        means = mean_prediction(row)
        if means is None:
            return None
        points.append(Point(label=label, number=value, predictions=means))
    missing = _first_missing(encoder, rows) if encoder.has_missing_input else None
    return PartialDependence(
        column=column,
        points=tuple(points),
        missing=None if missing is None else mean_prediction(missing),
    )


def _first_missing(encoder: ColumnEncoder, rows: RowSample) -> int | None:
    """Return the index of a row without a value of a column; `None` if all rows have one."""
    if encoder.axis is None:
        is_missing = np.array([text is None for text in rows.texts(encoder.column)])
    else:
        is_missing = np.isnan(rows.axis_values(encoder))
    return int(np.argmax(is_missing)) if is_missing.any() else None


def _values_shown(
    encoder: ColumnEncoder, rows: RowSample
) -> Iterator[tuple[int, str, float | None]]:
    """Yield the values to use, in order: the index of a row with the value, its text and number."""
    texts = () if encoder.axis == "numbers" else rows.texts(encoder.column)
    if encoder.axis is not None:
        values = rows.axis_values(encoder)
        for at in _spread(values):
            is_time = encoder.axis == "times"
            label = (
                truncate(texts[at], MOST_LABEL_CHARACTERS)
                if is_time
                else written(values[at].item())
            )
            yield at, label, float(values[at])
        return
    counts = Counter(text for text in texts if text is not None)  # in the order of the rows
    first = {text: at for at, text in reversed([*enumerate(texts)])}
    for text, _ in counts.most_common(MOST_POINTS):
        yield first[text], truncate(text, MOST_LABEL_CHARACTERS), None


def _spread(numbers: Floats) -> list[int]:
    """Return rows with different numbers, ascending, evenly spaced in all rows."""
    order = np.argsort(numbers, kind="stable")  # NaN comes last
    order = order[: int(np.isfinite(numbers).sum())]
    if not len(order):
        return []
    _, firsts = np.unique(numbers[order], return_index=True)
    if len(firsts) > MOST_POINTS:
        steps = np.linspace(0, len(order) - 1, MOST_POINTS).round().astype(np.int64)
        _, chosen = np.unique(numbers[order[steps]], return_index=True)
        firsts = steps[chosen]
    rows: list[int] = order[firsts].tolist()
    return rows
