"""The results of a cross-validation, fold by fold and combined: `cv.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlcli.errors import RunError
from dlcli.metrics import HIGHER_IS_BETTER, Floats, Metrics, Number, finite, finite_number
from dlcli.runs import Run, malformed

MOST_EPOCHS = 200
"""About how many epochs of a history are stored."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, which a float represents exactly."""


class Document(BaseModel):
    """A document in a run folder, or a part of one: strict types, no further fields, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


AnyDocument = TypeVar("AnyDocument", bound=Document)


class Interval(Document):
    """A metric with its 95 % confidence interval."""

    value: Number
    """`None` where it is undefined."""
    lower: Number = None
    upper: Number = None
    """The ends; `None` where there is no interval."""
    reason: str | None = None
    """Why there is none."""


def read_document(kind: type[AnyDocument], run: Run, name: str, text: str) -> AnyDocument:
    """Parse a document of a run, which may come from a stranger.

    Args:
        kind: what it is.
        run: the run.
        name: its file, for messages.
        text: JSON.

    Raises:
        RunError: if it is anything else.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        message = f"{run.path / name}: {malformed(error)}; make it again"
        raise RunError(message) from None


class FoldResult(Document):
    """A network trained without the rows of one fold, and evaluated on them."""

    repeat: Count
    """The repeat that it belongs to, from 1."""
    fold: Count
    """From 1."""
    train: Count
    """Training rows."""
    validation: Count
    """Validation rows; 0 if there are none."""
    held_out: Count
    """Rows of the fold."""
    inputs: Count
    """Width of the encoded rows: encodings are fitted for each fold, and may differ."""
    parameters: Count
    """Number of trained parameters."""
    epochs: Count
    """Epochs that were trained; 0 if none was finished."""
    best_epoch: Count | None
    """The epoch that the weights are of, from 1; `None`: the last."""
    seconds: float
    """The time that encoding, training and evaluation took."""
    metrics: Mapping[str, Number]
    """Of the fold's rows, in the target's own unit; empty if training failed."""
    train_metrics: Mapping[str, Number]
    """Of the training rows."""
    constant: Mapping[str, Number]
    """Of a constant model on the fold's rows."""
    history: Mapping[str, tuple[Number, ...]]
    """Values by column of history.csv, and `epoch`; of a long history, some epochs."""
    problem: str | None = None
    """Why it failed: one line."""


class CrossValidation(Document):
    """All folds, and their combined metrics."""

    format: Literal[1] = 1
    name: str
    """The config's."""
    target: tuple[str, ...]
    """The columns that are predicted."""
    task: Literal["numbers", "classes", "labels"]
    """The kind of the target."""
    classes: tuple[str, ...] = ()
    """The classes or labels by name."""
    split: str
    """How rows were split: `random`, `stratified`, `group`, `time`."""
    column: str | None = None
    """The column of groups or times."""
    folds: Count
    repeats: Count
    seed: Count
    rows: Count
    """Rows that were split into folds."""
    set_aside: Count
    """Test rows, which were not used."""
    main_metric: str | None
    """The metric to compare by."""
    results: tuple[FoldResult, ...]
    """In order: repeat, then fold."""
    pooled: Mapping[str, Interval]
    """Metrics over the predictions of all rows, each by the network that was not trained on it;
    their mean over repeats, with the confidence interval for as many rows as there are."""
    by_fold: Mapping[str, Interval]
    """Means over all folds, with the corrected interval of Nadeau and Bengio."""
    deviations: Mapping[str, Number]
    """Standard deviations of the metrics over all folds."""
    constant: Mapping[str, Number]
    """Pooled metrics of a constant model."""
    best_epochs: Count | None
    """Median over folds of the best epoch: how long to train on all rows."""
    notes: tuple[str, ...] = ()
    """What to bear in mind, as sentences."""

    @classmethod
    def of(cls, run: Run) -> Self:
        """Read that of a finished run.

        Raises:
            RunError: if it is no cross-validation, or damaged.
        """
        return read_document(cls, run, "cv.json", run.read_cross_validation())


def scalar_metrics(metrics: Metrics) -> dict[str, Number]:
    """Return the metrics that are single numbers; `None` where they are undefined."""
    return {
        name: finite_number(value) for name, value in metrics.items() if name in HIGHER_IS_BETTER
    }


def some_epochs(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[Number, ...]]:
    """Return the history with the numbers of its epochs; a long one at its peaks and some others.

    Args:
        history: a value for each epoch, by column of history.csv.
    """
    epochs = len(history["loss"])
    indices = np.arange(epochs)
    if epochs > MOST_EPOCHS:
        curves = [np.array(history[name]) for name in ("loss", "val_loss") if name in history]
        some = [thinned(curve, MOST_EPOCHS // len(curves)) for curve in curves]
        indices = np.unique(np.concatenate([*some, [0, epochs - 1]]))
    kept = indices.tolist()
    measured = {
        name: tuple(finite(values[index]) for index in kept) for name, values in history.items()
    }
    return {"epoch": tuple(float(index + 1) for index in kept), **measured}


def standard_deviation(values: Floats) -> Number:
    """Return the standard deviation (ddof 1); `None` for fewer than two values."""
    if len(values) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(float(np.std(values, ddof=1)))


def thinned(values: Floats, most: int) -> NDArray[np.int64]:
    """Return the indices of points that keep the peaks of a curve, ascending.

    The curve is cut into equal parts, each of which keeps its least and its greatest value: no peak
    is lost, as it would be among every tenth point.

    Args:
        values: the curve, shape `(points,)`; NaN and infinite ones are omitted.
        most: how many points to keep, at least 4.
    """
    finite_at = np.flatnonzero(np.isfinite(values))
    if len(finite_at) <= most:
        return finite_at
    parts = np.array_split(finite_at, (most - 2) // 2)
    extremes = [part[find(values[part])] for part in parts for find in (np.argmin, np.argmax)]
    return np.unique([finite_at[0], *extremes, finite_at[-1]])
