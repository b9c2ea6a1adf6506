"""The predictions of a cross-validation: each row by the network that had not seen it."""

from __future__ import annotations

import numpy as np
from pydantic import ValidationError

from dlcli.config import Config
from dlcli.errors import RunError
from dlcli.pipeline import CrossValidation
from dlcli.prediction import StoredPredictions
from dlcli.reports.judged import Judged, judged_part
from dlcli.runs import Run
from dlcli.tasks import Multilabel, Regression, Task, classification


def out_of_fold(run: Run, found: CrossValidation, config: Config) -> Judged | None:
    """The rows of the first repeat, in which each row is predicted once.

    Args:
        run: the cross-validation.
        found: what it came to.
        config: its resolved one, which tells what parts the labels of one column.

    Returns:
        They; nothing if none is kept.

    Raises:
        RunError: if the predictions are damaged, or of another target.
    """
    if not run.has("predictions.parquet"):
        return None
    columns = StoredPredictions(run.read_predictions(), f"{run.path}: its predictions", "cv.json")
    if columns.has("repeat"):
        columns = columns.filtered(np.asarray(columns.integers("repeat") == 1))
    judged = judged_part(columns, _target(run, found, config), "test")
    return judged if judged.rows else None


def _target(run: Run, found: CrossValidation, config: Config) -> Task:
    """What was predicted, as far as predictions tell of it: without scalings."""
    columns, names = found.target, found.classes
    try:
        if found.task == "classes":
            return classification(columns[0], names)
        if found.task == "labels":
            delimiter = config.data.target.delimiter
            return Multilabel(columns=columns, labels=names, delimiter=delimiter)
        return Regression(columns=columns)
    except (ValidationError, IndexError):
        raise RunError(
            f"{run.path}: its cv.json tells of a target that can't be; make it again"
        ) from None
