"""What a cross-validation came to, as it stands in `cv.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from dlcli.pipeline.selection.part import Count, Interval, Number, Part, read_document
from dlcli.runs import Run


class FoldResult(Part):
    """A network trained without the rows of one fold, and judged by them."""

    repeat: Count
    """Which dealing-out of the rows it belongs to, from 1."""
    fold: Count
    """From 1."""
    train: Count
    """Rows that it learned from."""
    validation: Count
    """Rows that steered its training; 0 without any."""
    held_out: Count
    """Rows of the fold, which judge."""
    inputs: Count
    """Width of the encoded rows: encodings are fitted anew for each fold, and may differ."""
    parameters: Count
    """Numbers that are trained."""
    epochs: Count
    """Epochs that were trained; 0 if none was finished."""
    best_epoch: Count | None
    """The epoch that the weights are of, from 1; `None`: the last."""
    seconds: float
    """What encoding, training and judging took."""
    metrics: Mapping[str, Number]
    """Of the fold's rows, in the target's own unit; empty if training failed."""
    train_metrics: Mapping[str, Number]
    """Of the rows that it learned from."""
    constant: Mapping[str, Number]
    """Of the fold's rows, by a model that looks at no column."""
    history: Mapping[str, tuple[Number, ...]]
    """What epochs measured, by column of history.csv, and `epoch`; of many epochs some."""
    problem: str | None = None
    """Why it failed: one line."""


class CrossValidation(Part):
    """All folds, and what they say together."""

    format: Literal[1] = 1
    name: str
    """The config's."""
    target: tuple[str, ...]
    """The columns that are predicted."""
    task: Literal["numbers", "classes", "labels"]
    """What the target is."""
    classes: tuple[str, ...] = ()
    """The classes or labels by name."""
    split: str
    """How rows were dealt out: `random`, `stratified`, `group`, `time`."""
    column: str | None = None
    """The column of groups or times."""
    folds: Count
    repeats: Count
    seed: Count
    rows: Count
    """Rows that were dealt out to folds."""
    set_aside: Count
    """Rows of the test split, which nothing here has looked at."""
    main_metric: str | None
    """The metric to judge by."""
    results: tuple[FoldResult, ...]
    """In order: repeat, then fold."""
    pooled: Mapping[str, Interval]
    """Metrics over the predictions of all rows, each by the network that had not seen it; their
    mean over repeats, with the interval of as many rows as there are."""
    by_fold: Mapping[str, Interval]
    """Means over all folds, with the corrected interval of Nadeau and Bengio."""
    deviations: Mapping[str, Number]
    """Standard deviations of the metrics over all folds."""
    constant: Mapping[str, Number]
    """Pooled metrics of a model that looks at no column."""
    best_epochs: Count | None
    """Median over folds of the epochs after which weights were best, to train on all rows for."""
    notes: tuple[str, ...] = ()
    """What to bear in mind, as sentences."""

    @classmethod
    def of(cls, run: Run) -> Self:
        """That of a finished run.

        Raises:
            RunError: if it is no cross-validation, or damaged.
        """
        return read_document(cls, run, "cv.json", run.read_cross_validation())
