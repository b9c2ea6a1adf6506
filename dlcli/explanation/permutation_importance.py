"""Importance of columns: how much worse predictions get when a column's values are permuted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding import Indices, InMemoryInputs, Matrix
from dlcli.explanation.explanation_document import Importance
from dlcli.explanation.prediction_errors import TrueValues
from dlcli.explanation.row_samples import Plan, RowSample, input_indices, plan_predictions
from dlcli.metrics import finite
from dlcli.network import Network
from dlcli.prediction import Predictor

MOST_REPEATS = 5
MOST_ROWS = 2_000
FEWEST_ROWS = 200
MOST_COLUMNS = 200


def plan_importances(network: Network, rows: int) -> Plan:
    """Return how many held-out rows and columns, and how many permutations, are worth their cost.

    A function of shapes alone: repeats are reduced first, then rows, then columns.
    """
    columns = min(MOST_COLUMNS, len(input_indices(network.layout)))
    most = Plan(MOST_REPEATS, min(rows, MOST_ROWS), columns)
    return plan_predictions(network, most, FEWEST_ROWS)


def permutation_importances(
    predictor: Predictor, truth: TrueValues, rows: RowSample, columns: Sequence[str], repeats: int
) -> tuple[Importance, ...]:
    """Compute how much the error grows when a column's values are permuted among rows.

    Permutation importance (Breiman 2001, doi:10.1023/A:1010933404324), as in scikit-learn's
    `permutation_importance`. All inputs of a column move together.

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
    sums = np.bincount(_owners(network), moved, minlength=len(columns))
    return dict(zip(columns, np.sqrt(sums).tolist(), strict=True))


def _owners(network: Network) -> Indices:
    """Return the column behind each number that the first layer reads, as an index, (units,)."""
    owner = np.empty(network.inputs, np.int64)
    for number, indices in enumerate(input_indices(network.layout).values()):
        owner[indices] = number
    front = network.front
    waves = [np.repeat(owner[list(layer.columns)], layer.frequencies) for layer in front.periodic]
    tables = [np.full(layer.units, owner[layer.column]) for layer in front.embeddings]
    both = [np.tile(each, 2) for each in waves]  # sines, then cosines
    return np.concatenate([owner[list(front.unchanged)], *both, *tables])
