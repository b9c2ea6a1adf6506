"""How much worse predictions get when a column's values change places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlcli.encoding import Indices, InMemoryInputs
from dlcli.explanation.budget import Plan, plan
from dlcli.explanation.document import Importance
from dlcli.explanation.inputs import places_of
from dlcli.explanation.rows import LookedAt
from dlcli.explanation.truth import Truth
from dlcli.metrics import finite
from dlcli.network import Network
from dlcli.prediction import Predictor

MOST_REPEATS = 5
MOST_ROWS = 2_000
FEWEST_ROWS = 200
MOST_COLUMNS = 200


def plan_importances(network: Network, rows: int) -> Plan:
    """How many of so many held-out rows, and of the columns, are worth their cost.

    A function of shapes alone: repeats are saved first, then rows, then columns.
    """
    columns = min(MOST_COLUMNS, len(places_of(network.layout)))
    return plan(network, Plan(MOST_REPEATS, min(rows, MOST_ROWS), columns), FEWEST_ROWS)


def permutation_importances(
    predictor: Predictor, truth: Truth, rows: LookedAt, columns: Sequence[str], repeats: int
) -> tuple[Importance, ...]:
    """How much larger the error gets with a column's values at other rows' places.

    Permutation importance (Breiman 2001, doi:10.1023/A:1010933404324), as in scikit-learn's
    `permutation_importance`. All inputs that the column became move together.

    Args:
        predictor: the trained network.
        truth: what the rows really were.
        rows: the held-out rows; their weights count.
        columns: which columns.
        repeats: how many permutations of each, which follow from the config's seed, the column's
            place among those read, and nothing else.

    Returns:
        The columns whose error is a number, the largest increase first.
    """
    before = truth.error(predictor.predict_encoded(InMemoryInputs(rows.matrix)), rows.weights)
    if before is None:
        return ()
    places = places_of(predictor.network.layout)
    seeds = {column: [predictor.config.seed, at] for at, column in enumerate(places)}
    found = []
    for column in columns:
        lot = np.random.default_rng(seeds[column])
        orders = [lot.permutation(len(rows)) for _ in range(repeats)]
        errors = _errors(predictor, truth, rows, places[column], orders)
        with np.errstate(all="ignore"):
            changes = np.array(errors) - before
            mean, deviation = finite(changes.mean()), finite(changes.std())
        if mean is not None and deviation is not None:
            found.append(Importance(column=column, increase=mean, deviation=deviation))
    return tuple(sorted(found, key=lambda importance: -importance.increase))


def strongest(strengths: Mapping[str, float], most: int) -> list[str]:
    """The columns that move the first layer most, so many at most."""
    return sorted(strengths, key=lambda column: -strengths[column])[:most]  # stable


def _errors(
    predictor: Predictor, truth: Truth, rows: LookedAt, places: Indices, orders: Sequence[Indices]
) -> list[float]:
    """The error for each order of the rows of a column's inputs."""
    matrix = rows.matrix.copy()
    errors = []
    for order in orders:
        matrix[:, places] = rows.matrix[order[:, np.newaxis], places]
        error = truth.error(predictor.predict_encoded(InMemoryInputs(matrix)), rows.weights)
        errors.append(np.nan if error is None else error)
    return errors
