"""The reliability of probabilities: groups of rows, with predicted and observed frequencies."""

from __future__ import annotations

import numpy as np

from dlcli.arrays import Floats
from dlcli.metrics import calibration
from dlcli.metrics.definitions import CALIBRATION_ERROR
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.metrics.statistic import positive_weights
from dlcli.safe_files import Document
from dlcli.tasks.task import DecodedRows, Task


class Reliability(Document):
    """The reliability of the probabilities of rows."""

    of: str
    """The second of two classes; empty for the most probable of several classes, and for all
    labels."""
    error: Estimate
    """The calibration error; for labels, the mean over labels."""
    by_chance: float | None
    """The mean error of exact probabilities on these rows; `None` for too few rows."""
    groups: tuple[calibration.CalibrationBin, ...]
    """Groups of rows of about equal weight, in the order of their probabilities."""


def measure_reliability(task: Task, rows: DecodedRows) -> Reliability | None:
    """Measure the reliability of probabilities; `None` for numbers, margins, and no rows.

    Args:
        task: the task, see `Task.for_loss`.
        rows: the rows; rows with a weight of 0 are ignored.
    """
    if task.outcome == "numbers" or not task.has_probabilities:
        return None
    is_finite = np.isfinite(rows.decoded).all(axis=1)
    given = np.ones(len(rows.decoded)) if rows.weights is None else rows.weights
    weights, values, decoded = positive_weights(
        np.where(is_finite, given, 0.0), rows.values, rows.decoded.astype(np.float64)
    )
    if not len(weights):
        return None
    observed, predicted = _events(task, values, decoded)
    error = calibration.CalibrationError(weights, predicted, observed)
    groups = calibration.calibration_curve(
        observed.ravel(),
        predicted.ravel(),
        np.tile(weights, len(observed)),
        max(1, calibration.number_of_bins(len(weights))),
    )
    return Reliability(
        of=task.classes[1] if len(task.classes) == 2 else "",
        error=estimate_statistics({CALIBRATION_ERROR.name: error})[CALIBRATION_ERROR.name],
        by_chance=None if error.value is None else error.by_chance,
        groups=tuple(groups),
    )


def _events(task: Task, values: Floats, decoded: Floats) -> tuple[Floats, Floats]:
    """Return what happened, 1 or 0, and its probability, both (labels, rows)."""
    if task.labels:
        return values.T.astype(np.float64), decoded.T
    if len(task.classes) == 2:
        return (values == 1).astype(np.float64)[np.newaxis], decoded[:, -1][np.newaxis]
    is_right = values == decoded.argmax(axis=1)
    return is_right.astype(np.float64)[np.newaxis], decoded.max(axis=1)[np.newaxis]
