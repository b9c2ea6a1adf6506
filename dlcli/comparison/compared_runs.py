"""Runs that are compared: what is read of each, its held-out rows, and which rows two share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dlcli.config import ConfigFile
from dlcli.encoding import Encoding
from dlcli.errors import RunError, plural
from dlcli.metrics import (
    Array,
    DifferenceEstimate,
    Estimate,
    Floats,
    Metrics,
    Statistic,
    estimate_statistic_differences,
    estimate_statistics,
)
from dlcli.prediction import StoredPredictions
from dlcli.runs import MetricsBySplit, Run
from dlcli.tasks import DecodedRows, Task

Indices = NDArray[np.int64]

_FACTS = ("dlcli", "tensorflow", "keras", "numpy", "python", "device", "processor", "platform")
"""Facts that results may depend on besides data and config, the most likely first."""
_ROW_BITS = 40
"""Bits for the row number; the index of the file is above them."""
_LEAST_SHARE = 0.5
"""The share of the smaller set of rows that both runs must have, for pairs to show more than all
rows."""
_LONGEST = 200
"""Most characters of a fact that are kept; a run folder may contain anything."""


@dataclass(frozen=True)
class DataFile:
    """A data file as it was when a run was trained."""

    name: str
    sha256: str | None
    """`None` if it could not be read twice."""


@dataclass(frozen=True)
class ComparedRun:
    """One run, with all that a comparison needs of it."""

    run: Run
    file: ConfigFile
    """Its resolved config."""
    task: Task
    metrics: MetricsBySplit
    """By split."""
    baselines: Mapping[str, MetricsBySplit]
    """By model, then split; empty if the run has none."""
    history: Mapping[str, Sequence[float]]
    """Metrics of each epoch, by name."""
    data: tuple[DataFile, ...]
    """In the order of the config."""
    facts: Mapping[str, str | None]
    """Versions, and the machine."""

    @classmethod
    def read(cls, run: Run) -> ComparedRun:
        """Read a run.

        Raises:
            RunError: if it has diverged, or its files can't be read.
        """
        run.require_network()
        environment = run.read_environment()
        return cls(
            run,
            run.read_config(),
            run.parse("encoding.json", Encoding).task,
            run.read_metrics(),
            run.read_baselines() if run.has("baselines.json") else {},
            run.read_history(),
            _data_files(environment),
            {fact: _text(environment.get(fact)) for fact in _FACTS},
        )

    @cached_property
    def held_out(self) -> StoredPredictions | None:
        """The predictions of its held-out rows, if it has any."""
        if not self.run.has("predictions.parquet"):
            return None
        path = str(self.run.path / "predictions.parquet")
        return StoredPredictions(self.run.read_predictions(), path)

    def rows_of(self, split: str) -> HeldOut:
        """Return the held-out rows of one split.

        Raises:
            RunError: if there are none, or they can't be read.
        """
        assert self.held_out is not None
        columns = self.held_out.of_split(split)
        loss = self.file.config.loss
        has_deviance = loss is not None and loss.name == "poisson"
        held = read_rows(columns, self.task, has_deviance=has_deviance)
        if not held.rows:
            message = f"has no {split} rows, but metrics.json has their metrics; train it again"
            raise RunError(f"{columns.path}: {message}")
        return held


def _data_files(environment: Mapping[str, object]) -> tuple[DataFile, ...]:
    """The data files that an environment lists; any other entry is omitted."""
    entries = environment.get("data")
    listed = entries if isinstance(entries, list) else []
    return tuple(
        DataFile(str(entry.get("file")), _text(entry.get("sha256")))
        for entry in listed
        if isinstance(entry, dict)
    )


def _text(value: object) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) else None


# Held-out rows


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows of one split."""

    task: Task
    """The task of the run."""
    row: NDArray[np.int64]
    """Row numbers in their files, `(rows,)`."""
    files: Sequence[str] | None
    """The file of each row, `(rows,)`, if there are several."""
    weight: Floats | None
    """Row weights, `(rows,)`, if the config has weights."""
    truth: Array
    """Numbers `(rows, columns)`, class indices `(rows,)`, or 0 or 1 of labels `(rows, labels)`."""
    outputs: Floats
    """Predicted numbers `(rows, columns)`, or probabilities `(rows, classes or labels)`; of two
    classes only that of the second, or a margin, `(rows, 1)`."""
    has_margin: bool = False
    """Whether the one output for two classes is a margin around 0."""
    has_deviance: bool = False
    """Whether the Poisson deviance is one of the metrics."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row)

    @property
    def weights(self) -> Floats:
        """Row weights, 1 each if the config has none, `(rows,)`."""
        return np.ones(self.rows) if self.weight is None else self.weight

    def take(self, indices: Array) -> HeldOut:
        """Return some of the rows, in the given order."""
        return replace(
            self,
            row=self.row[indices],
            files=None if self.files is None else [self.files[index] for index in indices],
            weight=None if self.weight is None else self.weight[indices],
            truth=self.truth[indices],
            outputs=self.outputs[indices],
        )

    @property
    def _decoded(self) -> DecodedRows:
        return DecodedRows(
            self.truth, self.outputs, self.weight, self.has_margin, self.has_deviance
        )

    def metrics(self) -> Metrics:
        """Compute the metrics, as `train` does."""
        return self.task.metrics(self._decoded)

    def statistics(self) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights."""
        return self.task.statistics(self._decoded)


def estimate_metrics(
    held_out: HeldOut, only: Collection[str] | None = None, resamples: int | None = None
) -> dict[str, Estimate]:
    """Estimate every metric that is a single number, with its 95 % confidence interval.

    Args:
        held_out: the rows.
        only: names of the metrics. [default: all]
        resamples: number of resamples. [default: depends on the number of rows]
    """
    return estimate_statistics(_selected(held_out, only), resamples)


def estimate_differences(
    first: HeldOut,
    second: HeldOut,
    *,
    paired: bool,
    only: Collection[str] | None = None,
    resamples: int | None = None,
) -> dict[str, DifferenceEstimate]:
    """Estimate the difference of each metric from that of another run, with its interval.

    Args:
        first: rows that the other run has predicted.
        second: rows that this run has predicted.
        paired: whether they are the same rows with the same weights, in the same order.
        only: names of the metrics. [default: all]
        resamples: number of resamples. [default: depends on the number of rows]
    """
    return estimate_statistic_differences(
        _selected(first, only), _selected(second, only), paired=paired, resamples=resamples
    )


def _selected(held_out: HeldOut, only: Collection[str] | None) -> dict[str, Statistic]:
    statistics = held_out.statistics()
    return {name: each for name, each in statistics.items() if only is None or name in only}


def read_rows(columns: StoredPredictions, target: Task, *, has_deviance: bool) -> HeldOut:
    """Read the rows of a table of predictions.

    Args:
        columns: stored predictions of one split.
        target: the task of the run.
        has_deviance: whether the Poisson deviance is one of the metrics.

    Raises:
        RunError: for columns that don't fit the target.
    """
    weight = columns.floats("weight")[:, 0] if columns.has("weight") else None
    if weight is not None and not (np.isfinite(weight) & (weight >= 0)).all():
        raise RunError(f"{columns.path}: column 'weight' holds invalid weights; train it again")
    has_margin = columns.has("margin")
    return HeldOut(
        target,
        columns.integers("row"),
        columns.texts("file") if columns.has("file") else None,
        weight,
        target.read_values(columns, "target"),
        target.read_decoded(columns, has_margin=has_margin),
        has_margin,
        has_deviance,
    )


# Rows in common


@dataclass(frozen=True)
class Pairs:
    """The rows that two runs share."""

    first: HeldOut
    second: HeldOut
    """The same rows in the same order."""


@dataclass(frozen=True)
class Unpaired:
    """Rows that can't be compared one by one, and why."""

    reason: str


def pair_rows(
    first: ComparedRun, second: ComparedRun, split: str, rows: tuple[HeldOut, HeldOut]
) -> Pairs | Unpaired:
    """Find the rows of one split that two runs share: of the same file, row number and target.

    Args:
        first: a run.
        second: another.
        split: name of the split.
        rows: those of each run.
    """
    if not same_data(first, second):
        return Unpaired("the runs have read different data")
    if _is_file(first, split) != _is_file(second, split):
        return Unpaired("the rows are a separate file in only one of the runs")
    keys, others = _keys(first, rows[0]), _keys(second, rows[1])
    if keys is None or others is None:
        return Unpaired("row numbers don't identify the rows")
    _, one, other = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    least = min(rows[0].rows, rows[1].rows)
    if len(one) < _LEAST_SHARE * least:
        return Unpaired(f"the runs share only {len(one):,} of {plural(least, 'row')}")
    pairs = Pairs(rows[0].take(one), rows[1].take(other))
    if not np.array_equal(_truth(pairs.first), _truth(pairs.second)):
        return Unpaired("the targets of their rows differ")
    if not np.array_equal(pairs.first.weights, pairs.second.weights):
        return Unpaired("the weights of their rows differ")
    return pairs


def same_data(first: ComparedRun, second: ComparedRun) -> bool:
    """Whether both runs have read the same files, by their digests."""
    digests = [[file.sha256 for file in each.data] for each in (first, second)]
    return bool(digests[0]) and None not in digests[0] and digests[0] == digests[1]


def _truth(held: HeldOut) -> NDArray[np.generic]:
    """The true values; of classes the names, as class indices depend on the run."""
    if held.task.outcome != "classes":
        return held.truth
    return np.asarray(held.task.classes)[held.truth]


def _is_file(subject: ComparedRun, split: str) -> bool:
    """Whether a split is a separate file, not a share of the rows."""
    return not isinstance(getattr(subject.file.config.data, split), float)


def _keys(subject: ComparedRun, held: HeldOut) -> Indices | None:
    """A key for each row, of its file and row number; `None` if keys are not unique."""
    files = _file_indices(subject, held)
    if files is None or (held.row < 0).any() or (held.row >> _ROW_BITS).any():
        return None
    keys: Indices = (files << _ROW_BITS) | held.row
    return keys if len(np.unique(keys)) == len(keys) else None


def _file_indices(subject: ComparedRun, held: HeldOut) -> Indices | None:
    """The index of each row's file among those that the run has read, `(rows,)`."""
    if held.files is None:
        return np.zeros(held.rows, dtype=np.int64)
    index = {file.name: at for at, file in reversed(list(enumerate(subject.data)))}
    found = np.array([index.get(name, -1) for name in held.files], dtype=np.int64)
    return None if (found < 0).any() else found
