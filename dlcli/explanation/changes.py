"""The smallest changes of a row that lead to a wanted prediction.

Each column takes values of the training rows: points within the range of numbers and times, and
known categories. One column is searched exhaustively, pairs and triples of columns by a beam
search, which keeps the combinations whose prediction is nearest to the wanted one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.metrics.statistic import Floats
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor

MOST_COLUMNS = 3
"""Maximum number of columns of a change."""
BEAM = 40
"""Number of combinations to which further columns are added."""
_SEARCHED_ROWS = 65_536
"""Maximum number of rows that are predicted at once."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The values that a column may take instead of a row's value."""

    column: str
    values: Sequence[object]
    distances: Floats
    """The distance of each value from the row's, in units of the column's spread, (values,)."""
    inputs: Matrix
    """The encoded values, (values, inputs of the column)."""
    indices: Indices
    """The indices of these inputs in the encoded matrix."""


@dataclass(frozen=True)
class Change:
    """A change of one or more columns."""

    values: Mapping[str, object]
    """The new value of each changed column."""
    distance: float
    """The sum of the distances of the new values from the row's values."""


Score = Callable[[Predictions], Floats]
"""Returns how near each prediction is to the wanted one: larger is nearer, (rows,)."""
IsWanted = Callable[[Predictions], NDArray[np.bool_]]
"""Returns whether each prediction is the wanted one, (rows,)."""
_Steps = tuple[tuple[int, int], ...]
"""The columns and values of a change, as indices of the candidates, in the order of columns."""


def find_changes(
    predictor: Predictor,
    row: Matrix,
    candidates: Sequence[Candidates],
    score: Score,
    is_wanted: IsWanted,
    most: int,
) -> list[Change]:
    """Return the smallest changes that lead to the wanted prediction.

    A change is omitted if a part of it suffices, and only the smallest change of the same columns
    is returned.

    Args:
        predictor: the network.
        row: the encoded row, (1, inputs).
        candidates: the values that columns may take.
        score: how near a prediction is to the wanted one.
        is_wanted: whether a prediction is the wanted one.
        most: the maximum number of changes.
    """
    singles: list[_Steps] = [
        ((column, value),)
        for column, each in enumerate(candidates)
        for value in range(len(each.values))
    ]
    tried, found = singles, dict[tuple[int, ...], tuple[float, _Steps]]()
    for size in range(1, MOST_COLUMNS + 1):
        scores, wanted = _predict(predictor, row, candidates, tried, score, is_wanted)
        for at in np.flatnonzero(wanted).tolist():
            steps = tried[at]
            columns, distance = tuple(column for column, _ in steps), _distance(candidates, steps)
            if columns not in found or distance < found[columns][0]:
                found[columns] = distance, steps
        if len(found) >= most or size == MOST_COLUMNS:
            break
        order = np.argsort(-np.where(wanted, -np.inf, np.nan_to_num(scores)), kind="stable")
        kept = [tried[at] for at in order[:BEAM].tolist() if not wanted[at]]
        grown = (
            tuple(sorted((*steps, *single)))
            for steps in kept
            for single in singles
            if single[0][0] not in {column for column, _ in steps}
        )
        tried = [
            steps for steps in dict.fromkeys(grown) if not _has_part(found, [c for c, _ in steps])
        ]
        if not tried:
            break
    ordered = sorted(found.values(), key=lambda each: (len(each[1]), each[0]))
    return [
        Change({candidates[c].column: candidates[c].values[v] for c, v in steps}, float(distance))
        for distance, steps in ordered[:most]
    ]


def _has_part(found: Mapping[tuple[int, ...], object], columns: Sequence[int]) -> bool:
    """Return whether a change of some of the columns suffices."""
    parts = (part for size in range(1, len(columns)) for part in combinations(columns, size))
    return any(part in found for part in parts)


def _distance(candidates: Sequence[Candidates], steps: _Steps) -> float:
    return float(sum(candidates[column].distances[value] for column, value in steps))


def _predict(
    predictor: Predictor,
    row: Matrix,
    candidates: Sequence[Candidates],
    tried: Sequence[_Steps],
    score: Score,
    is_wanted: IsWanted,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the score of each change, and whether it leads to the wanted prediction."""
    scores, wanted = np.empty(len(tried)), np.zeros(len(tried), bool)
    rows = max(1, min(_SEARCHED_ROWS, 2**24 // max(1, row.shape[1])))
    for start in range(0, len(tried), rows):
        some = tried[start : start + rows]
        matrix = np.repeat(row, len(some), axis=0)
        for at, steps in enumerate(some):
            for column, value in steps:
                each = candidates[column]
                matrix[at, each.indices] = each.inputs[value]
        predictions = predictor.predict_encoded(InMemoryInputs(matrix))
        part = slice(start, start + len(some))
        scores[part], wanted[part] = score(predictions), is_wanted(predictions)
    return scores, wanted
