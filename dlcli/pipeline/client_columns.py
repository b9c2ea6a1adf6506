"""The columns of rows that clients send, described from a finished run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcli.columns.column_exports import ClientColumn, KnownValues
from dlcli.explanation.explanation_document import Histogram
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run


def served_columns(run: Run, predictor: Predictor) -> tuple[ClientColumn, ...]:
    """Describe the columns that each row must have, in the order of the training table.

    Args:
        run: the run, whose explanation may contain frequent values and medians.
        predictor: the predictor of the run.
    """
    statistics = {each.name: each for each in run.explanation.columns}
    found = []
    for feature in predictor.encoding.features:
        notation, known = predictor.notation(feature.column), statistics.get(feature.column)
        frequent = [each.value for each in known.values] if known else []
        middle = _median(known.histogram) if known and known.histogram else None
        column = feature.client_column(notation, KnownValues(frequent, middle))
        is_cost = feature.column in predictor.cost_columns
        found.append(replace(column, is_required=True) if is_cost else column)
    names = {each.name for each in found}
    return (*found, *(_cost(name) for name in predictor.cost_columns if name not in names))


def _cost(name: str) -> ClientColumn:
    """Describe a column of costs that the network does not read."""
    meaning = "Cost of a wrong prediction of this row, a number of 0 or more."
    return ClientColumn(name, ("number", "string"), 1.0, meaning, is_required=True)


def _median(histogram: Histogram) -> float:
    """Return the center of the bin that contains the median."""
    counts, edges = np.array(histogram.train), histogram.edges
    at = min(int(np.searchsorted(np.cumsum(counts), counts.sum() / 2)), len(counts) - 1)
    return (edges[at] + edges[at + 1]) / 2
