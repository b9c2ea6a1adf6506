"""Background rows: training rows that stand for all rows in the explanation of a prediction."""

from __future__ import annotations

import numpy as np

from dlcli.arrays import Indices, Matrix
from dlcli.columns.category import EmbeddingTable
from dlcli.columns.layout import Layout
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.explanation.prediction_analysis import Sets, sample_rows
from dlcli.metrics.statistic import Floats
from dlcli.prediction.predictor import Predictor

MOST_SAMPLED = 2_000
"""Number of training rows from which background rows are chosen."""
MOST_NUMBERS = 2**23
"""Maximum number of inputs of all background rows: 32 MiB, even if rows are wide."""


def background_of(predictor: Predictor, sets: Sets, count: int) -> Matrix:
    """Choose training rows that represent all of them.

    Args:
        predictor: the trained network.
        sets: the rows, of which those in `train` are used.
        count: the maximum number of rows; fewer are chosen if they are very wide.

    Returns:
        The encoded rows, (rows, inputs).
    """
    rows = sample_rows({"train": sets["train"]}, MOST_SAMPLED).matrix
    return choose_background(predictor, rows, count)


def choose_background(predictor: Predictor, rows: Matrix, count: int) -> Matrix:
    """Choose encoded rows whose predictions are spread like the predictions of all rows.

    Args:
        predictor: the trained network.
        rows: encoded rows, (rows, inputs).
        count: the maximum number of rows.
    """
    count = min(count, max(1, MOST_NUMBERS // max(1, rows.shape[1])))
    if len(rows) <= count:
        return rows
    scores = predictor.predict_encoded(InMemoryInputs(rows)).scores
    return rows[_stratified(scores, count)]


def _stratified(scores: Floats, count: int) -> Indices:
    """Return the middle row of each of several groups of rows with similar predictions, sorted.

    Args:
        scores: the predictions, (rows, outputs).
        count: the number of groups.
    """
    with np.errstate(all="ignore"):
        deviations = np.nan_to_num(scores.std(axis=0))
        scaled = np.nan_to_num((scores - scores.mean(axis=0)) / np.where(deviations, deviations, 1))
    groups = [np.arange(len(scores))]
    while len(groups) < count:
        # Halve the largest group along the output with the widest spread.
        at = max(range(len(groups)), key=lambda index: len(groups[index]))
        group = groups.pop(at)
        output = int(np.argmax(np.ptp(scaled[group], axis=0)))
        ordered = group[np.argsort(scaled[group, output], kind="stable")]
        groups += [ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]]
    return np.sort([group[len(group) // 2] for group in groups])


def background_problem(layout: Layout, background: Matrix) -> str | None:
    """Return what is wrong with encoded rows of a run folder, which is untrusted, or None.

    Args:
        layout: the blocks of inputs.
        background: the rows, (rows, inputs).
    """
    if not np.isfinite(background).all():
        return "has a number that is not finite"
    for block, span in layout.slices():
        if isinstance(block.form, EmbeddingTable):
            indices = background[:, span]
            is_index = (indices >= 0) & (indices < block.form.rows) & (indices % 1 == 0)
            if not is_index.all():
                return f"has a value that is not an index of the embedding of '{block.column}'"
    return None
