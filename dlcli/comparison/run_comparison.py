"""Comparison of runs: differing settings, metrics, and which differences are significant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.value_problems import ValueProblems
from dlcli.comparison.config_differences import Setting, differing_settings
from dlcli.config.data_section import GroupSplit, TimeSplit
from dlcli.errors import RunError, UsageError, listed, option, plural
from dlcli.metrics import intervals
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.statistic import Array, Statistic, finite_number
from dlcli.runs.environment import content_id
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tasks.stored_predictions import StoredPredictions
from dlcli.tasks.task import DecodedRows, Task

Indices = NDArray[np.int64]
Numbers = dict[str, float | None]
NumbersBySplit = Mapping[str, Numbers]

SPLITS = ("test", "validation")
"""The splits of held-out rows, the best evidence first."""
_ALL_SPLITS = ("train", "validation", "test")
_OTHER_CLASS = "not the same positive class"
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
    """A run as comparisons see it: metrics that are single numbers, data files, held-out rows."""

    run: Run

    @classmethod
    def of(cls, run: Run) -> ComparedRun:
        """Check that a run can be compared; its files are read when they are needed.

        Raises:
            RunError: if it has diverged, or lacks files.
        """
        run.require_network()
        run.require(RunFile.METRICS, RunFile.HISTORY, RunFile.ENVIRONMENT)
        return cls(run)

    @cached_property
    def metrics(self) -> NumbersBySplit:
        """By split the metrics that are single numbers."""
        return _numbers(self.run.metrics)

    @cached_property
    def baselines(self) -> Mapping[str, NumbersBySplit]:
        """The same of the simplest models, by model; empty if the run has none."""
        return {model: _numbers(metrics) for model, metrics in self.run.baselines.items()}

    @property
    def epochs(self) -> int:
        """The number of epochs that it was trained for."""
        return max(map(len, self.run.history.values()), default=0)

    @cached_property
    def data(self) -> tuple[DataFile, ...]:
        """Its files, in the order of the config."""
        entries = self.run.data_files
        return tuple(DataFile(str(each.get("file")), _text(content_id(each))) for each in entries)

    def fact(self, name: str) -> str | None:
        """Return a version, or a part of the machine."""
        return _text(self.run.environment.get(name))

    def rows_of(self, split: str) -> HeldOut:
        """Return the held-out rows of one split.

        Raises:
            RunError: if there are none, or they can't be read.
        """
        columns = self.run.required_predictions.of_split(split)
        if not columns.rows:
            lacks = f"has no {split} rows, but {RunFile.METRICS} has their metrics"
            raise RunError(f"{columns.path}: {lacks}; train it again")
        return read_rows(columns, self.run.task)


def _numbers(metrics: Mapping[str, Mapping[str, object]]) -> NumbersBySplit:
    """Return the metrics that are single numbers; a file may hold others, as of a newer dlcli."""
    return {
        split: {
            name: finite_number(value)
            for name, value in metrics[split].items()
            if name in METRICS and (value is None or isinstance(value, int | float))
        }
        for split in _ALL_SPLITS
        if split in metrics
    }


def _text(value: object) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) else None


# Held-out rows


@dataclass(frozen=True, kw_only=True)
class HeldOut(DecodedRows):
    """The held-out rows of one split."""

    task: Task
    """The task of the run, see `Task.for_loss`."""
    row: Indices
    """Row numbers in their files, `(rows,)`."""
    files: Sequence[str] | None = None
    """The file of each row, `(rows,)`, if there are several."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row)

    def take(self, indices: Array) -> HeldOut:
        """Return some of the rows, in the given order."""
        return replace(
            self,
            values=self.values[indices],
            decoded=self.decoded[indices],
            weights=None if self.weights is None else self.weights[indices],
            row=self.row[indices],
            files=None if self.files is None else [self.files[index] for index in indices],
        )

    def statistics(self, only: Collection[str] | None = None) -> dict[str, Statistic]:
        """Return the metrics that are single numbers as functions of the row weights.

        Args:
            only: names of the metrics. [default: all]
        """
        statistics = self.task.statistics(self)
        return {name: each for name, each in statistics.items() if only is None or name in only}


def read_rows(columns: StoredPredictions, task: Task) -> HeldOut:
    """Read the rows of a table of predictions, without those of weight 0.

    Args:
        columns: stored predictions of one split.
        task: the task of the run, see `Task.for_loss`.

    Raises:
        RunError: for columns that don't fit the task.
    """
    weights = None
    if columns.has("weight"):
        weights = columns.floats("weight")[:, 0]
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise RunError(f"{columns.path}: column 'weight' holds invalid weights; train it again")
        columns, weights = columns.filtered(weights > 0), weights[weights > 0]
    return HeldOut(
        task.read_values(columns, "target"),
        task.read_decoded(columns),
        weights,
        task=task,
        row=columns.integers("row"),
        files=columns.texts("file") if columns.has("file") else None,
    )


def evaluate_rows(run: Run, data: Source | MemoryTable) -> tuple[HeldOut, str]:
    """Predict the rows of another table.

    Args:
        run: the run that predicts them.
        data: the table, which contains the target.

    Returns:
        The rows without those of weight 0, and the table's name.

    Raises:
        DataError: for a table that the run can't be evaluated on.
    """
    predictor = run.predictor
    table = predictor.read(data, others=predictor.metric_columns)
    found = predictor.evaluate(table, ValueProblems())
    decoded, row = found.decoded, found.evaluated.row_numbers
    if (numbers := found.evaluated.file_numbers) is not None:
        row = row | numbers.astype(np.int64) << _ROW_BITS
    rows = HeldOut(decoded.values, decoded.decoded, decoded.weights, task=predictor.task, row=row)
    weights = decoded.weights
    return rows if weights is None else rows.take(np.flatnonzero(weights)), table.file


# Rows in common

Pair = tuple[HeldOut, HeldOut] | str
"""The shared rows of two runs, in the same order; or the reason why they can't be paired."""


def pair_rows(
    first: ComparedRun, second: ComparedRun, split: str, rows: tuple[HeldOut, HeldOut]
) -> Pair:
    """Find the rows of one split that two runs share: of the same file, row number and target.

    Args:
        first: a run.
        second: another.
        split: name of the split.
        rows: those of each run.

    Returns:
        See `Pair`.
    """
    if not same_data(first, second):
        return "the runs have read different data"
    if _is_file(first, split) != _is_file(second, split):
        return "the rows are a separate file in only one of the runs"
    keys, others = _keys(first, rows[0]), _keys(second, rows[1])
    if keys is None or others is None:
        return "row numbers don't identify the rows"
    return _pair_by_keys(rows, keys, others)


def _pair_by_keys(rows: tuple[HeldOut, HeldOut], keys: Indices, others: Indices) -> Pair:
    _, one, other = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    least = min(rows[0].rows, rows[1].rows)
    if len(one) < _LEAST_SHARE * least:
        shared = f"only {len(one):,}" if len(one) else "none"
        return f"the runs share {shared} of {plural(least, 'row')}"
    pair = rows[0].take(one), rows[1].take(other)
    if not np.array_equal(_truth(pair[0]), _truth(pair[1])):
        return "the targets of their rows differ"
    ones = np.ones(len(one))
    before, after = (ones if each.weights is None else each.weights for each in pair)
    if not np.array_equal(before, after):
        return "the weights of their rows differ"
    return pair


def estimate_difference(
    first: ComparedRun, second: ComparedRun, split: str, metric: str
) -> intervals.DifferenceEstimate:
    """Estimate the difference of one metric on the rows that two runs share.

    Args:
        first: the run whose metric is subtracted.
        second: another; both have rows of the split.
        split: name of the split.
        metric: name of the metric.

    Returns:
        The difference; without a value, but with the reason, if there is none.
    """
    pair = pair_rows(first, second, split, (first.rows_of(split), second.rows_of(split)))
    if isinstance(pair, str):
        return intervals.DifferenceEstimate(reason=pair)
    before, after = (rows.statistics([metric]) for rows in pair)
    differences = intervals.estimate_statistic_differences(before, after, paired=True)
    return differences.get(metric) or intervals.DifferenceEstimate(reason=f"{metric} is undefined")


def same_data(first: ComparedRun, second: ComparedRun) -> bool:
    """Return whether both runs have read the same files, by their digests."""
    digests = [[file.sha256 for file in each.data] for each in (first, second)]
    return bool(digests[0]) and None not in digests[0] and digests[0] == digests[1]


def _truth(held: HeldOut) -> NDArray[np.generic]:
    """Return the true values; of classes the names, as class indices depend on the run."""
    is_classes = held.task.outcome == "classes"
    return np.asarray(held.task.classes)[held.values] if is_classes else held.values


def _is_file(subject: ComparedRun, split: str) -> bool:
    """Return whether a split is a separate file, not some of the training file's rows."""
    return split in subject.run.config.data.sources


def _keys(subject: ComparedRun, held: HeldOut) -> Indices | None:
    """Return a key for each row, of its file and row number; `None` if keys are not unique."""
    files = _file_indices(subject, held)
    if files is None or (held.row < 0).any() or (held.row >> _ROW_BITS).any():
        return None
    keys: Indices = (files << _ROW_BITS) | held.row
    return keys if len(np.unique(keys)) == len(keys) else None


def _file_indices(subject: ComparedRun, held: HeldOut) -> Indices | None:
    """Return the index of each row's file among those that the run has read, `(rows,)`."""
    if held.files is None:
        return np.zeros(held.rows, dtype=np.int64)
    index = {file.name: at for at, file in reversed(list(enumerate(subject.data)))}
    found = np.array([index.get(name, -1) for name in held.files], dtype=np.int64)
    return None if (found < 0).any() else found


# Comparison


@dataclass(frozen=True)
class Side:
    """One run in a comparison."""

    path: Path
    """The run folder, as given."""
    created: datetime
    """When the run was finished."""
    epochs: int
    """Number of epochs that it was trained for."""
    data: tuple[DataFile, ...]
    """The files that it has read."""
    metrics: NumbersBySplit
    """For each split the metrics that are single numbers."""
    baselines: Mapping[str, NumbersBySplit]
    """The same of the simplest models: model, split, metric."""
    history: Mapping[str, Sequence[float]]
    """Metrics of each epoch, by name."""
    rows: int | None
    """Number of held-out rows without those of weight 0; `None` if the runs have none in common."""
    estimates: Mapping[str, intervals.Estimate]
    """Each metric of these rows, with its confidence interval."""


@dataclass(frozen=True)
class RunDifference:
    """A run compared with the first."""

    rows: int | None
    """Number of rows that both have predicted; `None` if they are not compared on the same rows."""
    reason: str | None
    """Why they are not."""
    metrics: Mapping[str, intervals.DifferenceEstimate]
    """The difference in each metric: this run's minus the first's."""


@dataclass(frozen=True)
class Comparison:
    """Two runs or more; all others are compared with the first."""

    target: tuple[str, ...]
    """The columns that all of them predict."""
    sides: tuple[Side, ...]
    settings: tuple[Setting, ...]
    """Settings that differ in their configs."""
    facts: Mapping[str, tuple[str | None, ...]]
    """Versions and parts of the machine that differ, by name, with the value of each run."""
    same_data: bool
    """True if all have read the same files, by their digests."""
    split: str | None
    """The split of held-out rows that they are compared on; `None` if they have none in common. Or
    the name of the table whose rows all of them predict."""
    differences: tuple[RunDifference, ...]
    """Each run but the first; empty without such a split."""
    notes: tuple[str, ...]
    """Caveats, as sentences."""


def compare(runs: Sequence[Run], data: Source | MemoryTable | None = None) -> Comparison:
    """Compare runs.

    Args:
        runs: two or more, all different.
        data: a table whose rows all of them predict. [default: each run's held-out rows]

    Raises:
        UsageError: for one run, the same run twice, or runs that predict different targets.
        RunError: for a run that has diverged, or can't be read.
        DataError: for a table that a run can't be evaluated on.
    """
    _check_different([run.path for run in runs])
    compared = [ComparedRun.of(run) for run in runs]
    _check_targets(compared)
    facts = {name: tuple(subject.fact(name) for subject in compared) for name in _FACTS}
    if data is None:
        split, held, pairs = _common_rows(compared)
        notes = [*_other_rows(compared, pairs), *_notes(compared, split)]
    else:
        split, held, pairs = _rows_of_table(compared, data)
        biased = [run.trained_on().warning(data, split) for run in runs]
        notes = [*filter(None, biased), *_notes(compared, split)]
    return Comparison(
        target=compared[0].run.task.columns,
        sides=tuple(_sides(compared, held)),
        settings=tuple(differing_settings([subject.run.config_file for subject in compared])),
        facts={name: values for name, values in facts.items() if len(set(values)) > 1},
        same_data=all(same_data(compared[0], subject) for subject in compared),
        split=split,
        differences=tuple(_differences(compared, held, pairs)),
        notes=tuple(notes),
    )


def _common_rows(
    runs: Sequence[ComparedRun],
) -> tuple[str | None, Sequence[HeldOut], Sequence[Pair]]:
    """Return the best split that all runs have, the rows of each, and their pairs."""
    common = [split for split in SPLITS if all(split in subject.metrics for subject in runs)]
    if not common or any(subject.run.predictions is None for subject in runs):
        return None, (), ()
    held, split = [subject.rows_of(common[0]) for subject in runs], common[0]
    others = zip(runs[1:], held[1:], strict=True)
    pairs = [pair_rows(runs[0], subject, split, (held[0], rows)) for subject, rows in others]
    return split, held, pairs


def _rows_of_table(
    runs: Sequence[ComparedRun], data: Source | MemoryTable
) -> tuple[str, Sequence[HeldOut], Sequence[Pair]]:
    """Return the same of the rows of a table, and its name."""
    (first, name), *rest = (evaluate_rows(subject.run, data) for subject in runs)
    others = [rows for rows, _ in rest]
    pairs = [_pair_by_keys((first, rows), first.row, rows.row) for rows in others]
    return name, [first, *others], pairs


def _check_different(paths: Sequence[Path]) -> None:
    """Check that there are at least two different run folders."""
    if len(paths) < 2:
        raise UsageError(f"expected two runs or more to compare, got {len(paths)}")
    known: dict[Path, Path] = {}
    for path in paths:
        if other := known.get(path.resolve()):
            raise UsageError(f"{path}: is the same run as {other}; name each run once")
        known[path.resolve()] = path


def _check_targets(runs: Sequence[ComparedRun]) -> None:
    first, *others = runs
    for subject in others:
        of_both = [(each.run.task.columns, each.run.task.outcome) for each in (first, subject)]
        if of_both[0] != of_both[1]:
            raise UsageError(
                f"{first.run.path} predicts {_target_words(first)}, {subject.run.path} predicts "
                f"{_target_words(subject)}: their metrics can't be compared; name runs of one "
                "target"
            )


def _target_words(subject: ComparedRun) -> str:
    """Describe the target: `'y' as numbers`."""
    task = subject.run.task
    return f"{listed(task.columns, len(task.columns))} as {task.outcome}"


def _sides(runs: Sequence[ComparedRun], held: Sequence[HeldOut]) -> Iterator[Side]:
    for at, subject in enumerate(runs):
        rows = held[at] if held else None
        yield Side(
            path=subject.run.path,
            created=subject.run.created,
            epochs=subject.epochs,
            data=subject.data,
            metrics=subject.metrics,
            baselines=subject.baselines,
            history=subject.run.history,
            rows=rows.rows if rows else None,
            estimates=intervals.estimate_statistics(rows.statistics()) if rows else {},
        )


def _differences(
    runs: Sequence[ComparedRun], held: Sequence[HeldOut], pairs: Sequence[Pair]
) -> Iterator[RunDifference]:
    for subject, rows, pair in zip(runs[1:], held[1:], pairs, strict=False):
        reason = pair if isinstance(pair, str) else None
        first, rows = (held[0], rows) if isinstance(pair, str) else pair
        differences = intervals.estimate_statistic_differences(
            first.statistics(), rows.statistics(), paired=reason is None
        )
        if reason and not _are_drawn_alike(runs[0], subject):
            differences = {
                metric: intervals.DifferenceEstimate(value=each.value, reason="not the same rows")
                for metric, each in differences.items()
            }
        if _differ_in_positive_class(runs[0].run.task, subject.run.task):
            differences = {
                name: intervals.DifferenceEstimate(value=each.value, reason=_OTHER_CLASS)
                if METRICS[name].of_positive_class
                else each
                for name, each in differences.items()
            }
        yield RunDifference(None if reason else first.rows, reason, differences)


def _differ_in_positive_class(first: Task, second: Task) -> bool:
    return len(first.classes) == 2 and first.classes[-1] != second.classes[-1]


def _are_drawn_alike(first: ComparedRun, second: ComparedRun) -> bool:
    """Return whether the held-out rows of two runs differ by their seeds only.

    They are two random samples of the same rows then, which an unpaired interval compares. Else
    nothing tells a difference of the networks from one of the rows: later rows, for example, may be
    harder to predict than random ones.
    """
    one, other = (each.run.config.data for each in (first, second))
    keys = ("target", "sample_weight", "split")
    is_same = all(getattr(one, key) == getattr(other, key) for key in keys)
    return is_same and same_data(first, second) and not isinstance(one.split, TimeSplit)


def _other_rows(runs: Sequence[ComparedRun], pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a note that names the runs whose rows are others than the first's."""
    first, *others = runs
    found = zip(others, pairs, strict=False)
    unlike = [
        each for each, pair in found if isinstance(pair, str) and not _are_drawn_alike(first, each)
    ]
    if unlike:
        yield (
            f"metrics of {listed([str(each.run.path) for each in (first, *unlike)])} may differ "
            "because their rows do; to compare them on the rows of one file, which none of them "
            f"was trained on, add {option('data', 'FILE')}"
        )


def _notes(runs: Sequence[ComparedRun], split: str | None) -> Iterator[str]:
    """Yield caveats, as sentences."""
    out_of_fold = [each for each in runs if each.run.config.ensemble_folds is not None]
    if out_of_fold:
        named = listed([str(each.run.path) for each in out_of_fold])
        yield (
            f"the validation rows of {named} are training rows, each predicted by the members of "
            "the ensemble that were not trained on it"
        )
    if split is None:
        yield _without_rows(runs)
        return
    yield (
        "intervals cover other held-out rows, not training again with another seed; of 20 "
        "random differences, about one is called significant"
    )
    splits = [subject.run.config.data.split for subject in runs]
    if any(isinstance(each, GroupSplit) for each in splits):
        yield (
            "intervals treat rows as independent; rows of one group are similar, so the intervals "
            "are too narrow"
        )
    if any(isinstance(each, TimeSplit) for each in splits):
        yield (
            "intervals treat rows as independent; rows of neighboring times may be similar, so the "
            "intervals may be too narrow"
        )
    if split == "validation":
        yield (
            "not all runs have test rows; validation rows were used during training, so their "
            "metrics are optimistically biased: set data.test: 0.15"
        )


def _without_rows(runs: Sequence[ComparedRun]) -> str:
    """Explain why no difference can be tested for significance."""
    without = [subject for subject in runs if subject.run.predictions is None]
    if not without:
        return (
            "the runs have no split of held-out rows in common, so no difference can be tested for "
            "significance; set data.test in all of them"
        )
    named = listed([str(subject.run.path) for subject in without])
    return (
        f"{plural(len(without), 'run')} without held-out rows ({named}), so no difference can be "
        "tested for significance; train with data.test: 0.15"
    )


def to_document(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as one JSON object.

    ::

        target        the columns that all runs predict
        split         the split of held-out rows that they are compared on, the table whose rows
                      all of them predict, or null
        same_data     whether all have read the same files, by their SHA-256
        runs          for each run, the first being the one that the others are compared with:
          run           its folder
          created       when it was finished, in UTC
          epochs        how many it was trained for
          data          its files: file, sha256
          metrics       split, then metric: a number, or null where it is undefined
          baselines     model, then split, then metric
          rows          how many rows of `split` it has, without those of weight 0, or null
          estimates     metric: value, with lower and upper of its 95 % interval, both null where
                        there is none, and reason says why
        config        what differs: path, as --set takes it, and values for each run, or null
        facts         versions and parts of the machine that differ: name, and values for each run
        differences   for each run but the first:
          run           its folder
          rows          on how many rows that both have predicted; null if not on the same rows, and
          reason        why not
          metrics       metric: value (this run's minus the first's), lower, upper, reason, and
                        verdict: better, worse, not_significant, same or unknown
        notes         caveats
    """
    runs = []
    for side in comparison.sides:
        facts = {**asdict(replace(side, history={})), "estimates": _dump_all(side.estimates)}
        del facts["path"], facts["history"]
        runs.append({"run": str(side.path), **facts, "created": side.created.isoformat()})
    differences = [
        {"run": str(side.path), **asdict(difference), "metrics": _dump_all(difference.metrics)}
        for side, difference in zip(comparison.sides[1:], comparison.differences, strict=False)
    ]
    return {
        "target": list(comparison.target),
        "split": comparison.split,
        "same_data": comparison.same_data,
        "runs": runs,
        "config": [asdict(setting) for setting in comparison.settings],
        "facts": [{"name": name, "values": each} for name, each in comparison.facts.items()],
        "differences": differences,
        "notes": list(comparison.notes),
    }


def _dump_all(estimates: Mapping[str, intervals.Estimate]) -> dict[str, object]:
    return {name: each.model_dump() for name, each in estimates.items()}
