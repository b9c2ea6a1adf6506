"""The columns of rows that clients send, described from a finished run."""

from __future__ import annotations

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
        found.append(feature.client_column(notation, KnownValues(frequent, middle)))
    return tuple(found)


def _median(histogram: Histogram) -> float:
    """Return the center of the bin that contains the median."""
    counts, edges = np.array(histogram.train), histogram.edges
    at = min(int(np.searchsorted(np.cumsum(counts), counts.sum() / 2)), len(counts) - 1)
    return (edges[at] + edges[at + 1]) / 2
