"""Partial dependence: the mean prediction if all rows had the same value of a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.data_checks import draw
from dlcli.encoding import DatetimeEncoder, Indices, InMemoryInputs
from dlcli.explanation.column_statistics import seconds_of
from dlcli.explanation.explanation_document import PartialDependence, Point
from dlcli.explanation.prediction_errors import TrueValues
from dlcli.explanation.row_samples import (
    Plan,
    RowSample,
    cut,
    input_indices,
    plan_predictions,
    written,
)
from dlcli.prediction import Predictor

MOST_COLUMNS = 6
MOST_POINTS = 24
MOST_ROWS = 200
FEWEST_ROWS = 25
MOST_OUTPUTS = 20
MOST_CHARACTERS = 80
TYPES = ("numeric", "boolean", "categorical", "datetime")
"""Types of columns that can have the same value in all rows; texts and images are not shown."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShownOutputs:
    """The outputs whose partial dependences are shown."""

    names: tuple[str, ...]
    indices: tuple[int, ...]
    """Their indices among all outputs."""


def choose_outputs(predictor: Predictor, truth: TrueValues, weights: Floats) -> ShownOutputs:
    """Choose the outputs to show: all, or those of the most frequent classes.

    Args:
        predictor: the trained network.
        truth: the true values of the rows looked at.
        weights: of these rows, (rows,).
    """
    task = predictor.task
    assert predictor.config.loss is not None  # resolved
    names = task.score_names(has_margin=predictor.config.loss.output == "margin")
    if task.outcome == "classes" and len(names) > 1:
        counts = np.bincount(truth.values, weights, minlength=task.width)
        indices = np.sort(np.argsort(-counts, kind="stable")[:MOST_OUTPUTS]).tolist()
        return ShownOutputs(tuple(names[at] for at in indices), tuple(indices))
    names = names[:MOST_OUTPUTS]
    return ShownOutputs(names, tuple(range(len(names))))


def partial_dependences(
    predictor: Predictor, rows: RowSample, columns: Sequence[str], outputs: ShownOutputs
) -> tuple[PartialDependence, ...]:
    """Compute the partial dependences on some columns, as many as are worth their cost.

    Args:
        predictor: the trained network.
        rows: rows that have the values.
        columns: the most important first; those of other types than `TYPES` are skipped.
        outputs: the outputs to show.
    """
    types = {feature.column: feature.type for feature in predictor.encoding.features}
    fit = [column for column in columns if types[column] in TYPES][:MOST_COLUMNS]
    most = Plan(1, min(len(rows), MOST_ROWS), MOST_COLUMNS * MOST_POINTS)
    plan = plan_predictions(predictor.network, most, FEWEST_ROWS)
    others = draw(np.arange(len(rows)), plan.rows)
    fit = fit[: plan.columns // MOST_POINTS]
    found = [partial_dependence(predictor, rows, column, others, outputs) for column in fit]
    return tuple(dependence for dependence in found if dependence is not None)


def partial_dependence(
    predictor: Predictor, rows: RowSample, column: str, others: Indices, outputs: ShownOutputs
) -> PartialDependence | None:
    """Compute the mean prediction over rows, if all had the same value of a column.

    Partial dependence (Friedman 2001, doi:10.1214/aos/1013203451).

    The values are those of actual rows: of numbers and times up to `MOST_POINTS` at equal distances
    in the order of the rows' values; of other types the most frequent ones. Their inputs replace
    those of the other rows, so that they are such as training has seen.

    Args:
        predictor: the trained network.
        rows: rows that have the values.
        column: a column of one of the types `TYPES`.
        others: the indices of the rows over which the weighted mean is taken.
        outputs: the outputs to show.

    Returns:
        The dependence; None if there are fewer than two values, or predictions are not finite.
    """
    values = list(_values(predictor, rows, column))
    matrix, weights = rows.matrix[others], rows.weights[others]
    if len(values) < 2 or not weights.sum() > 0:
        return None
    inputs = input_indices(predictor.network.layout)[column]
    points = []
    for row, label, number in values:
        matrix[:, inputs] = rows.matrix[row, inputs]
        scores = predictor.predict_encoded(InMemoryInputs(matrix)).scores
        with np.errstate(all="ignore"):
            means = np.average(scores[:, list(outputs.indices)], axis=0, weights=weights)
        if not np.isfinite(means).all():
            return None
        points.append(Point(label=label, number=number, predictions=tuple(means.tolist())))
    return PartialDependence(column=column, points=tuple(points))


def _values(
    predictor: Predictor, rows: RowSample, column: str
) -> Iterator[tuple[int, str, float | None]]:
    """Yield the values to use, in order: a row that has each, its text, and its number."""
    encoder = next(each for each in predictor.encoding.features if each.column == column)
    if encoder.type == "numeric":
        numbers = rows.numbers(column)
        for at in _spread(numbers):
            yield at, written(numbers[at].item()), float(numbers[at])
        return
    texts = rows.texts(column)
    if isinstance(encoder, DatetimeEncoder):
        seconds = np.concatenate([seconds_of(table, encoder) for table in rows.tables.values()])
        for at in _spread(seconds):
            yield at, cut(texts[at], MOST_CHARACTERS), float(seconds[at])
        return
    counts = Counter(text for text in texts if text is not None)  # in the order of the rows
    first = {text: at for at, text in reversed([*enumerate(texts)])}
    for text, _ in counts.most_common(MOST_POINTS):
        yield first[text], cut(text, MOST_CHARACTERS), None


def _spread(numbers: Floats) -> list[int]:
    """Return rows with different numbers, ascending, spread evenly over all rows."""
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
