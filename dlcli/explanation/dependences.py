"""How predictions follow a column, on average over the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.data_checks import draw
from dlcli.encoding import DatetimeEncoder, FeatureEncoder, Indices, InMemoryInputs, Matrix
from dlcli.explanation.budget import Plan, plan
from dlcli.explanation.document import PartialDependence, Point
from dlcli.explanation.inputs import places_of
from dlcli.explanation.rows import LookedAt
from dlcli.explanation.text import cut, written
from dlcli.explanation.times import seconds_of
from dlcli.explanation.truth import Truth
from dlcli.prediction import Predictor

MOST_COLUMNS = 6
MOST_POINTS = 24
MOST_ROWS = 200
FEWEST_ROWS = 25
MOST_OUTPUTS = 20
MOST_LETTERS = 80
DEPENDABLE = ("numeric", "boolean", "categorical", "datetime")
"""Types of columns that are put to the same value in all rows; texts and images are not."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outputs:
    """The outputs that dependences tell of."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    """Among all outputs."""


@dataclass(frozen=True)
class _Value:
    """A value of a column, and a row that has it."""

    label: str
    number: float | None
    row: int


def choose_outputs(predictor: Predictor, truth: Truth, weights: Floats) -> Outputs:
    """The outputs to tell of: all, or those of the most frequent classes.

    Args:
        predictor: the trained network.
        truth: what the rows looked at really were.
        weights: of these rows, (rows,).
    """
    task = predictor.task
    assert predictor.config.loss is not None  # resolved
    names = task.score_names(has_margin=predictor.config.loss.output == "margin")
    if task.outcome == "classes" and len(names) > 1:
        counts = np.bincount(truth.values, weights, minlength=task.width)
        places = np.sort(np.argsort(-counts, kind="stable")[:MOST_OUTPUTS]).tolist()
        return Outputs(tuple(names[at] for at in places), tuple(places))
    names = names[:MOST_OUTPUTS]
    return Outputs(names, tuple(range(len(names))))


def find_dependences(
    predictor: Predictor, rows: LookedAt, columns: Sequence[str], outputs: Outputs
) -> tuple[PartialDependence, ...]:
    """The partial dependences on some columns, as many as are worth their cost.

    Args:
        predictor: the trained network.
        rows: rows that have the values.
        columns: the most important first; those of which none can be told are left out.
        outputs: what to tell of.
    """
    encoders = _encoders(predictor)
    fit = [column for column in columns if encoders[column].type in DEPENDABLE][:MOST_COLUMNS]
    most = Plan(1, min(len(rows), MOST_ROWS), MOST_COLUMNS * MOST_POINTS)
    budget = plan(predictor.network, most, FEWEST_ROWS)
    others = draw(np.arange(len(rows)), budget.rows)
    fit = fit[: budget.columns // MOST_POINTS]
    found = [partial_dependence(predictor, rows, column, others, outputs) for column in fit]
    return tuple(dependence for dependence in found if dependence is not None)


def partial_dependence(
    predictor: Predictor, rows: LookedAt, column: str, others: Indices, outputs: Outputs
) -> PartialDependence | None:
    """The mean prediction over rows, if all had the same value of a column.

    Partial dependence (Friedman 2001, doi:10.1214/aos/1013203451).

    The values are those of actual rows: of numbers and times up to `MOST_POINTS` at equal distances
    in the order of the rows' values; of all else the most frequent ones. So their inputs, which
    are put in the places of the other rows', are such as training saw.

    Args:
        predictor: the trained network.
        rows: rows that have the values.
        column: a column of one of the types `DEPENDABLE`.
        others: the places of the rows over which the mean is taken; their weights count.
        outputs: what to tell of.

    Returns:
        The dependence; None if there are fewer than two values, or predictions are no numbers.
    """
    values = _values(predictor, rows, column)
    matrix, weights = rows.matrix[others], rows.weights[others]
    if len(values) < 2 or not weights.sum() > 0:
        return None
    places = places_of(predictor.network.layout)[column]
    points = []
    for value in values:
        matrix[:, places] = rows.matrix[value.row, places]
        means = _mean_prediction(predictor, matrix, weights, outputs)
        points.append((value, means))
    if not np.isfinite([means for _, means in points]).all():
        return None
    return PartialDependence(
        column=column,
        points=tuple(
            Point(label=value.label, number=value.number, predictions=tuple(means.tolist()))
            for value, means in points
        ),
    )


def _mean_prediction(
    predictor: Predictor, matrix: Matrix, weights: Floats, outputs: Outputs
) -> Floats:
    """The mean of each of the outputs, (outputs,)."""
    told = predictor.predict_encoded(InMemoryInputs(matrix)).scores
    with np.errstate(all="ignore"):
        means: Floats = np.average(told[:, list(outputs.places)], axis=0, weights=weights)
    return means


def _encoders(predictor: Predictor) -> dict[str, FeatureEncoder]:
    return {feature.column: feature for feature in predictor.encoding.features}


def _values(predictor: Predictor, rows: LookedAt, column: str) -> list[_Value]:
    """The values to put, in order."""
    encoder = _encoders(predictor)[column]
    if encoder.type == "numeric":
        numbers = rows.numbers(column)
        return [
            _Value(written(numbers[at].item()), float(numbers[at]), at) for at in _spread(numbers)
        ]
    texts = rows.texts(column)
    if isinstance(encoder, DatetimeEncoder):
        seconds = np.concatenate([seconds_of(table, encoder) for table in rows.tables.values()])
        return [
            _Value(cut(texts[at], MOST_LETTERS), float(seconds[at]), at) for at in _spread(seconds)
        ]
    counts = Counter(text for text in texts if text is not None)  # in the order of the rows
    first = {text: at for at, text in reversed([*enumerate(texts)])}
    return [
        _Value(cut(text, MOST_LETTERS), None, first[text])
        for text, _ in counts.most_common(MOST_POINTS)
    ]


def _spread(numbers: Floats) -> list[int]:
    """Rows with different numbers, from the least to the greatest, spread evenly over all rows."""
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
