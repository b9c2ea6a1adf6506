"""Effects of columns on predictions: permutation importance and partial dependence.

How many rows and columns are used follows from the shapes alone, never from a timing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.data_checks import draw
from dlcli.encoding import DatetimeEncoder, Indices, InMemoryInputs, Matrix
from dlcli.errors import truncate
from dlcli.explanation.column_statistics import seconds_of
from dlcli.explanation.explanation_document import Importance, PartialDependence, Point
from dlcli.explanation.prediction_errors import (
    Floats,
    RowSample,
    TrueValues,
    input_indices,
    written,
)
from dlcli.metrics import finite
from dlcli.network import Network
from dlcli.prediction import Predictor

MOST_REPEATS = 5
MOST_PERMUTED_ROWS = 2_000
FEWEST_PERMUTED_ROWS = 200
MOST_PERMUTED_COLUMNS = 200

MOST_DEPENDENCES = 6
MOST_POINTS = 24
MOST_AVERAGED_ROWS = 200
FEWEST_AVERAGED_ROWS = 25
MOST_OUTPUTS = 20
MOST_CHARACTERS = 80
TYPES = ("numeric", "boolean", "categorical", "datetime")
"""Types of columns that can have the same value in all rows; texts and images are not shown."""

WORK = 3e9
"""Multiplications that predictions may take, for each part of an explanation."""
WORK_PER_NUMBER = 16
"""Cost of a number that a layer reads or gives beyond its products, in multiplications: it is
copied, added to and put through an activation."""


@dataclass(frozen=True)
class Plan:
    """Numbers of repeats, rows and columns whose product is the number of predictions."""

    repeats: int
    rows: int
    columns: int


def plan_predictions(network: Network, most: Plan, fewest_rows: int) -> Plan:
    """Fit predictions of each row, for each column, several times, into `WORK`.

    Repeats are reduced first, then rows, then columns; one of each is left.

    Args:
        network: the network that predicts.
        most: the plan without a limit.
        fewest_rows: rows below which columns are reduced instead.
    """
    numbers = network.inputs + network.front.units + sum(layer.units for layer in network.layers)
    products = sum(weight.size for layer in network.layers for weight in layer.weights)
    predictions = max(1, int(WORK // (products + WORK_PER_NUMBER * numbers)))
    rows, columns = max(most.rows, 1), max(most.columns, 1)
    repeats = max(1, min(most.repeats, predictions // (rows * columns)))
    rows = min(rows, max(fewest_rows, predictions // (repeats * columns)))
    columns = min(columns, max(1, predictions // (repeats * rows)))
    return Plan(repeats, rows, columns)


def plan_importances(network: Network, rows: int) -> Plan:
    """Return the numbers of held-out rows, columns and permutations that are worth their cost.

    A function of shapes alone: repeats are reduced first, then rows, then columns.
    """
    columns = min(MOST_PERMUTED_COLUMNS, len(input_indices(network.layout)))
    most = Plan(MOST_REPEATS, min(rows, MOST_PERMUTED_ROWS), columns)
    return plan_predictions(network, most, FEWEST_PERMUTED_ROWS)


def permutation_importances(
    predictor: Predictor, truth: TrueValues, rows: RowSample, columns: Sequence[str], repeats: int
) -> tuple[Importance, ...]:
    """Compute how much the error grows when a column's values are permuted among rows.

    Permutation importance (Breiman 2001, doi:10.1023/A:1010933404324), as in scikit-learn's
    `permutation_importance`. All inputs of a column are permuted in the same order.

    Args:
        predictor: the trained network.
        truth: the rows' true values.
        rows: the held-out rows, with their weights.
        columns: which columns.
        repeats: number of permutations of each, which follow from the config's seed, the column's
            position among those read, and nothing else.

    Returns:
        The columns whose error is finite, the largest increase first.
    """
    before = truth.error(predictor.predict_encoded(InMemoryInputs(rows.matrix)), rows.weights)
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
            error = truth.error(predictor.predict_encoded(InMemoryInputs(matrix)), rows.weights)
            errors.append(np.nan if error is None else error)
        with np.errstate(all="ignore"):
            changes = np.array(errors) - before
            mean, deviation = finite(changes.mean()), finite(changes.std())
        if mean is not None and deviation is not None:
            found.append(Importance(column=column, increase=mean, deviation=deviation))
    return tuple(sorted(found, key=lambda importance: -importance.increase))


def first_layer_effects(
    network: Network, weights: Mapping[str, NDArray[np.floating[Any]]], matrix: Matrix
) -> dict[str, float]:
    """Compute how far each column moves the sums of the first layer, by column in order.

    That is √Σ σᵢ²·‖kᵢ‖² over the numbers that the column gives to that layer, with the standard
    deviation σᵢ of each number and the kernel's row kᵢ for it: the sums' standard deviation, if
    these numbers were independent.

    Args:
        network: the layers.
        weights: trained, by name.
        matrix: encoded rows, (rows, inputs).
    """
    columns = list(input_indices(network.layout))
    with np.errstate(all="ignore"):
        numbers = network.front.forward(matrix, weights)
        variances = numbers.var(axis=0, dtype=np.float64)
        kernel = weights[f"{network.layers[0].name}/kernel"].astype(np.float64)
        moved = np.nan_to_num(variances * np.square(kernel).sum(axis=1))
    # The column of each input, then of each number that the first layer reads, as an index.
    of_input = np.empty(network.inputs, np.int64)
    for number, indices in enumerate(input_indices(network.layout).values()):
        of_input[indices] = number
    front = network.front
    waves = [
        np.tile(np.repeat(of_input[list(layer.columns)], layer.frequencies), 2)  # sines, cosines
        for layer in front.periodic
    ]
    tables = [np.full(layer.units, of_input[layer.column]) for layer in front.embeddings]
    owners = np.concatenate([of_input[list(front.unchanged)], *waves, *tables])
    sums = np.bincount(owners, moved, minlength=len(columns))
    return dict(zip(columns, np.sqrt(sums).tolist(), strict=True))


def choose_outputs(predictor: Predictor, truth: TrueValues, weights: Floats) -> dict[str, int]:
    """Choose the outputs to show: all, or those of the most frequent classes.

    Args:
        predictor: the trained network.
        truth: the true values of the rows looked at.
        weights: of these rows, (rows,).

    Returns:
        The index of each among all outputs, by name.
    """
    task = predictor.task
    assert predictor.config.loss is not None  # resolved
    names = task.score_names(has_margin=predictor.config.loss.output == "margin")
    if task.outcome == "classes" and len(names) > 1:
        counts = np.bincount(truth.values, weights, minlength=task.width)
        indices = np.sort(np.argsort(-counts, kind="stable")[:MOST_OUTPUTS]).tolist()
        return {names[at]: at for at in indices}
    return {name: at for at, name in enumerate(names[:MOST_OUTPUTS])}


def partial_dependences(
    predictor: Predictor, rows: RowSample, columns: Sequence[str], outputs: Mapping[str, int]
) -> tuple[PartialDependence, ...]:
    """Compute the partial dependences on some columns, as many as are worth their cost.

    Args:
        predictor: the trained network.
        rows: rows that have the values.
        columns: the most important first; those of other types than `TYPES` are skipped.
        outputs: the outputs to show, see `choose_outputs`.
    """
    types = {feature.column: feature.type for feature in predictor.encoding.features}
    fit = [column for column in columns if types[column] in TYPES][:MOST_DEPENDENCES]
    most = Plan(1, min(len(rows), MOST_AVERAGED_ROWS), MOST_DEPENDENCES * MOST_POINTS)
    plan = plan_predictions(predictor.network, most, FEWEST_AVERAGED_ROWS)
    others = draw(np.arange(len(rows)), plan.rows)
    fit = fit[: plan.columns // MOST_POINTS]
    found = [partial_dependence(predictor, rows, column, others, outputs) for column in fit]
    return tuple(dependence for dependence in found if dependence is not None)


def partial_dependence(
    predictor: Predictor, rows: RowSample, column: str, others: Indices, outputs: Mapping[str, int]
) -> PartialDependence | None:
    """Compute the mean prediction over rows, if all had the same value of a column.

    Partial dependence (Friedman 2001, doi:10.1214/aos/1013203451).

    The values are those of actual rows: of numbers and times up to `MOST_POINTS` at equal distances
    in the order of the rows' values; of other types the most frequent ones. Their inputs replace
    those of the other rows, so that only inputs of actual values are predicted on.

    Args:
        predictor: the trained network.
        rows: rows that have the values.
        column: a column of one of the types `TYPES`.
        others: the indices of the rows over which the weighted mean is taken.
        outputs: the outputs to show, see `choose_outputs`.

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
            means = np.average(scores[:, list(outputs.values())], axis=0, weights=weights)
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
            yield at, truncate(texts[at], MOST_CHARACTERS), float(seconds[at])
        return
    counts = Counter(text for text in texts if text is not None)  # in the order of the rows
    first = {text: at for at, text in reversed([*enumerate(texts)])}
    for text, _ in counts.most_common(MOST_POINTS):
        yield first[text], truncate(text, MOST_CHARACTERS), None


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
