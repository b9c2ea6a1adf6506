"""The columns that a served model reads and answers with, for documentation and the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlcli.columns.client_values import ClientColumn
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.explanation.explanation_document import Histogram
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.tables.number_notation import Notation


def served_columns(run: Run, predictor: Predictor) -> tuple[ClientColumn, ...]:
    """Describe the columns that each row must have, in the order of the training table.

    Args:
        run: may hold an explanation, which knows frequent values.
        predictor: the run's.
    """
    statistics = {each.name: each for each in run.explanation.columns}
    notations = predictor.encoding.notations
    found = []
    for feature in predictor.encoding.features:
        notation, known = notations.get(feature.column, Notation()), statistics.get(feature.column)
        frequent = [each.value for each in known.values] if known else []
        middle = _median(known.histogram) if known and known.histogram else None
        found.append(feature.client_column(notation, frequent, middle))
    return tuple(found)


def _median(histogram: Histogram) -> float:
    """Return the middle of the bin that has the median."""
    counts, edges = np.array(histogram.train), histogram.edges
    at = min(int(np.searchsorted(np.cumsum(counts), counts.sum() / 2)), len(counts) - 1)
    return (edges[at] + edges[at + 1]) / 2


def answer_types(predictor: Predictor) -> dict[str, str]:
    """Return the type in JSON of each column of an answer, as that to one row shows."""
    inputs = InMemoryInputs(np.zeros((1, predictor.network.inputs), np.float32))
    columns = predictor.predict_encoded(inputs).lists()
    return {n: _JSON_TYPES.get(type(values[0]), "number") for n, values in columns.items()}


def answer_schemas(types: Mapping[str, str], classes: Sequence[str]) -> dict[str, object]:
    """Return the JSON Schema of each column of an answer.

    Args:
        types: see `answer_types`.
        classes: those of the target.
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


_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", list: "array"}
