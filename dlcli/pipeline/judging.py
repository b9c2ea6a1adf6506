"""What a trained network is worth: scores of each set, and predictions to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding import EncodedRows
from dlcli.metrics import Metrics
from dlcli.pipeline.preparation import sets
from dlcli.prediction import Predictions, Predictor
from dlcli.runs import RunWriter
from dlcli.splitting import Split
from dlcli.tables import Table, floats, integers

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 2_000
"""Most training rows whose predictions are kept."""


def judge(
    predictor: Predictor, split: Split, encoded: Mapping[str, EncodedRows], writer: RunWriter
) -> dict[str, Metrics]:
    """Scores each set with the weights as they are stored.

    The metrics, the held-out predictions and those of some training rows are stored.

    Args:
        predictor: the trained network.
        split: the rows of each set.
        encoded: the same, encoded.
        writer: the run.
    """
    import pyarrow as pa

    metrics: dict[str, Metrics] = {}
    parts: list[pa.Table] = []
    with_files = any(table.files for _, table in sets(split))
    for name, table in sets(split):
        rows = encoded[name]
        predictions = predictor.predict_encoded(rows.inputs)
        metrics[name] = predictions.score(table, rows.weights)
        if name == "train":
            some = sample_places(table.rows, predictor.config.seed)
            weights = None if rows.weights is None else rows.weights[some]
            shown = shown_rows(
                _in_split(name, len(some)),
                table.take(some),
                predictions.take(some),
                weights,
                with_files=with_files,
            )
            writer.write_sample(shown)
        else:
            where = _in_split(name, table.rows)
            parts.append(shown_rows(where, table, predictions, rows.weights, with_files=with_files))
    writer.write_metrics(metrics)
    if parts:
        writer.write_predictions(pa.concat_tables(parts))
    return metrics


def sample_places(rows: int, seed: int, most: int = SAMPLE) -> NDArray[np.int64]:
    """The places of some rows, in order: all, or a random choice of `most` that the seed gives."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def shown_rows(
    where: Mapping[str, pa.Array],
    table: Table,
    predictions: Predictions,
    weights: NDArray[np.float64] | None,
    *,
    with_files: bool,
) -> pa.Table:
    """Row, target and prediction of rows; their file if there are several, and weight.

    Args:
        where: columns that say which set or fold each row is of, by name.
        table: the rows.
        predictions: of them.
        weights: theirs, if they have any.
        with_files: whether the data are in several files.
    """
    import pyarrow as pa

    return pa.table(
        {
            **({"file": table.file_names()} if with_files else {}),
            "row": integers(table.row_numbers),
            **where,
            **({} if weights is None else {"weight": floats(weights)}),
            **predictions.truth(table),
            **predictions.columns(),
        }
    )


def _in_split(name: str, rows: int) -> dict[str, pa.Array]:
    import pyarrow as pa

    return {"split": pa.array([name] * rows, pa.string())}
