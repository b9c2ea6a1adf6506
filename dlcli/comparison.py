"""Comparison of runs: different settings, metrics, and significant differences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import ConfigFile, to_short
from dlcli.config.data_section import SPLITS, GroupSplit, TimeSplit
from dlcli.errors import RunError, UsageError, listed, option, plural
from dlcli.metrics import intervals
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.statistic import finite_number
from dlcli.prediction.predictions import HeldOut
from dlcli.runs.environment import content_id
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.schema.section import Section
from dlcli.schema.yaml_document import Path as KeyPath
from dlcli.schema.yaml_document import format_path
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tables.table import Table
from dlcli.tasks.task import DecodedRows, Task

Numbers = dict[str, float | None]
NumbersBySplit = Mapping[str, Numbers]

HELD_OUT = SPLITS[:2]
"""The splits of held-out rows, the more reliable one first."""
_FACTS = ("dlcli", "tensorflow", "keras", "numpy", "python", "device", "processor", "platform")
"""Facts that may affect results, except data and config; the most likely ones first."""
_ROW_BITS = 40
"""Number of low bits for the row number; the file index uses the bits above."""
_LEAST_SHARED = 0.5
"""Minimum share of shared rows in the smaller set; below it, unpaired rows are compared."""
_LONGEST_FACT = 200
"""Maximum number of characters of a fact, because run folders are untrusted."""


_LAST_SECTIONS = ("seed", "input", "data")
"""Sections that are listed after all others, because they are changed less often."""
_OMITTED_KEYS = ("name", "tune")


@dataclass(frozen=True)
class DataFile:
    """A data file at the time of training."""

    name: str
    sha256: str | None
    """The digest; `None` if the file could not be read twice."""


@dataclass(frozen=True)
class ComparedRun:
    """The data of a run for a comparison: single-number metrics, data files and held-out rows."""

    run: Run
    data: tuple[DataFile, ...]
    """The files that the run has read, in the order of the config."""
    metrics: NumbersBySplit
    """The metrics that are single numbers, by split."""
    baselines: Mapping[str, NumbersBySplit]
    """The same for the baselines: model, split, metric."""
    history: Mapping[str, Sequence[float]]
    """The metrics of each epoch, by name."""
    rows: int | None = None
    """Number of held-out rows with positive weight; `None` if the runs have no common split."""
    estimates: Mapping[str, intervals.Estimate] = field(default_factory=dict)
    """The metrics of these rows, with confidence intervals."""

    @classmethod
    def of(cls, run: Run) -> ComparedRun:
        """Read the data of a run.

        Raises:
            RunError: if the run diverged or lacks files.
        """
        run.require_network()
        run.require(RunFile.METRICS, RunFile.HISTORY, RunFile.ENVIRONMENT)
        files = (
            DataFile(str(each.get("file")), _short_text(content_id(each)))
            for each in run.data_files
        )
        baselines = {model: _single_numbers(metrics) for model, metrics in run.baselines.items()}
        return cls(run, tuple(files), _single_numbers(run.metrics), baselines, run.history)

    def fact(self, name: str) -> str | None:
        """Return a version or a property of the machine."""
        return _short_text(self.run.environment.get(name))

    def rows_of(self, split: str) -> HeldOut:
        """Return the held-out rows of one split.

        Raises:
            RunError: if the rows are missing or can't be read.
        """
        columns = self.run.required_predictions.of_split(split)
        if not columns.rows:
            lacks = f"has no {split} rows, but {RunFile.METRICS} has their metrics"
            raise RunError(f"{columns.path}: {lacks}; train it again")
        return HeldOut.of(columns, self.run.task)


def _single_numbers(metrics: Mapping[str, Mapping[str, object]]) -> NumbersBySplit:
    """Return the metrics that are single numbers; a newer dlcli may store other values."""
    return {
        split: {
            name: finite_number(value)
            for name, value in metrics[split].items()
            if name in METRICS and (value is None or isinstance(value, int | float))
        }
        for split in reversed(SPLITS)
        if split in metrics
    }


def _short_text(value: object) -> str | None:
    return value[:_LONGEST_FACT] if isinstance(value, str) else None


# Held-out rows


def evaluate_rows(run: Run, data: Source | MemoryTable) -> tuple[HeldOut, str]:
    """Predict the rows of another table.

    Args:
        run: the run that predicts the rows.
        data: the table, which contains the target.

    Returns:
        The rows with positive weight, and the table's name.

    Raises:
        DataError: if the run can't be evaluated on the table.
    """
    predictor = run.predictor
    table = predictor.read(data, others=predictor.metric_columns)
    found = predictor.evaluate(table, ValueProblems())
    return keyed_rows(found.evaluated, found.decoded, predictor.task), table.file


def keyed_rows(table: Table, decoded: DecodedRows, task: Task) -> HeldOut:
    """Return the rows of a table that have a positive weight, with their keys as row numbers.

    Args:
        table: the rows.
        decoded: their true values and predictions.
        task: the task of the predictor.
    """
    values, predicted, weights = decoded.values, decoded.decoded, decoded.weights
    rows = HeldOut(values, predicted, weights, decoded.costs, task=task, row=table_keys(table))
    return rows if weights is None else rows.take(np.flatnonzero(weights))


def table_keys(table: Table) -> Indices:
    """Return a key per row, from file and row number, like `row_keys`."""
    if table.file_numbers is None:
        return table.row_numbers
    keys: Indices = table.row_numbers | table.file_numbers.astype(np.int64) << _ROW_BITS
    return keys


# Shared rows

Pair = tuple[HeldOut, HeldOut] | str
"""The shared rows of two runs, in the same order, or the reason why rows can't be paired."""


def pair_rows(
    first: ComparedRun, second: ComparedRun, split: str, rows: tuple[HeldOut, HeldOut]
) -> Pair:
    """Find the rows of a split that two runs share: with the same file, row number and target.

    Args:
        first: the first run.
        second: the second run.
        split: name of the split.
        rows: the rows of each run.

    Returns:
        See `Pair`.
    """
    if not same_data(first, second):
        return "the runs have read different data"
    one, other = (split in each.run.config.data.sources for each in (first, second))
    if one != other:
        return "the rows are a separate file in only one of the runs"
    keys, others = row_keys(first, rows[0]), row_keys(second, rows[1])
    if keys is None or others is None:
        return "rows can't be matched, because their row numbers are not unique"
    return pair_by_keys(rows, keys, others)


def pair_by_keys(rows: tuple[HeldOut, HeldOut], keys: Indices, others: Indices) -> Pair:
    """Find the rows that two runs share, given a key for each row, see `pair_rows`."""
    _, one, other = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    least = min(rows[0].rows, rows[1].rows)
    if len(one) < _LEAST_SHARED * least:
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
    """Estimate the difference of a metric, see `estimate_differences`."""
    return estimate_differences(first, second, split, [metric])[metric]


def estimate_differences(
    first: ComparedRun, second: ComparedRun, split: str, metrics: Collection[str]
) -> dict[str, intervals.DifferenceEstimate]:
    """Estimate the differences of metrics on the rows that two runs share.

    Args:
        first: the run whose metrics are subtracted.
        second: the other run; both have rows of the split.
        split: name of the split.
        metrics: names of the metrics.

    Returns:
        The difference of each metric; if there is none, without a value but with the reason.
    """
    pair = pair_rows(first, second, split, (first.rows_of(split), second.rows_of(split)))
    if isinstance(pair, str):
        return dict.fromkeys(metrics, intervals.DifferenceEstimate(reason=pair))
    before, after = (rows.statistics(metrics) for rows in pair)
    differences = intervals.estimate_statistic_differences(before, after, paired=True)
    return {
        name: differences.get(name) or intervals.DifferenceEstimate(reason=f"{name} is undefined")
        for name in metrics
    }


def same_data(first: ComparedRun, second: ComparedRun) -> bool:
    """Return whether both runs have read the same files, according to their digests."""
    digests = [[file.sha256 for file in each.data] for each in (first, second)]
    return bool(digests[0]) and None not in digests[0] and digests[0] == digests[1]


def _truth(held: HeldOut) -> NDArray[np.generic]:
    """Return the true values; names of classes, because class indices depend on the run."""
    is_classes = held.task.outcome == "classes"
    return np.asarray(held.task.classes)[held.values] if is_classes else held.values


def row_keys(subject: ComparedRun, held: HeldOut) -> Indices | None:
    """Return a key per row, from file and row number; `None` if keys are not unique."""
    files = _file_indices(subject, held)
    if files is None or (held.row < 0).any() or (held.row >> _ROW_BITS).any():
        return None
    keys: Indices = (files << _ROW_BITS) | held.row
    return keys if len(np.unique(keys)) == len(keys) else None


def _file_indices(subject: ComparedRun, held: HeldOut) -> Indices | None:
    """Return the index of each row's file in the files of the run, `(rows,)`."""
    if held.files is None:
        return np.zeros(held.rows, dtype=np.int64)
    index = {file.name: at for at, file in reversed(list(enumerate(subject.data)))}
    found = np.array([index.get(name, -1) for name in held.files], dtype=np.int64)
    return None if (found < 0).any() else found


# Comparison


@dataclass(frozen=True)
class Setting:
    """A key of the config whose value differs between runs."""

    path: str
    """The path as in `--set`: `hidden[0].units`."""
    values: tuple[object, ...]
    """The value of each run as in YAML, without defaults; `None` if a run lacks the key."""


@dataclass(frozen=True)
class RunDifference:
    """A run compared with the first."""

    rows: int | None
    """Number of rows that both runs predicted; `None` if they are not compared on the same rows."""
    reason: str | None
    """Why the rows are not the same."""
    metrics: Mapping[str, intervals.DifferenceEstimate]
    """The difference of each metric: this run minus the first."""


@dataclass(frozen=True)
class Comparison:
    """Two or more runs, compared with the first."""

    target: tuple[str, ...]
    """The columns that all runs predict."""
    sides: tuple[ComparedRun, ...]
    settings: tuple[Setting, ...]
    """Settings that differ between the configs."""
    facts: Mapping[str, tuple[str | None, ...]]
    """Versions and properties of machines that differ, by name, with the value of each run."""
    same_data: bool
    """True if all runs have read the same files, according to their digests."""
    split: str | None
    """The split of held-out rows that is compared, or the name of the table whose rows all runs
    predict; `None` if the runs have no common split."""
    differences: tuple[RunDifference, ...]
    """Each run except the first; empty if there is no common split."""
    notes: tuple[str, ...]
    """Caveats, as sentences."""

    @property
    def rows_name(self) -> str | None:
        """The name of the rows of `split` for people, see `rows_name_of`."""
        return None if self.split is None else self.rows_name_of(self.split)

    def rows_name_of(self, split: str) -> str:
        """Name the rows of a split for people: `test`, `out-of-fold`.

        The name is `held-out` if they are out-of-fold rows in some runs and validation rows in
        others.
        """
        return _rows_name([each for each in self.sides if split in each.metrics], split)


def _rows_name(runs: Sequence[ComparedRun], split: str) -> str:
    names = (
        {each.run.config.adjective(split) for each in runs} if split == "validation" else {split}
    )
    return names.pop() if len(names) == 1 else "held-out"


def compare(runs: Sequence[Run], data: Source | MemoryTable | None = None) -> Comparison:
    """Compare runs.

    Args:
        runs: two or more, all different.
        data: a table whose rows all runs predict. [default: each run's held-out rows]

    Raises:
        UsageError: for fewer than two different runs, or runs with different targets.
        RunError: if a run diverged or can't be read.
        DataError: if a run can't be evaluated on the table.
    """
    _check_different([run.path for run in runs])
    compared = [ComparedRun.of(run) for run in runs]
    _check_targets(compared)
    facts = {name: tuple(subject.fact(name) for subject in compared) for name in _FACTS}
    if data is None:
        split, held, pairs = _common_rows(compared)
        notes = [*_other_rows(compared, pairs), *_caveats(compared, split)]
    else:
        split, held, pairs = _rows_of_table(compared, data)
        biased = [run.trained_on.warning(data, split) for run in runs]
        notes = [*filter(None, biased), *_caveats(compared, split)]
    for at, rows in enumerate(held):
        estimates = intervals.estimate_statistics(rows.statistics())
        compared[at] = replace(compared[at], rows=rows.rows, estimates=estimates)
    return Comparison(
        target=compared[0].run.task.columns,
        sides=tuple(compared),
        settings=tuple(differing_settings([side.run.config_file for side in compared])),
        facts={name: values for name, values in facts.items() if len(set(values)) > 1},
        same_data=all(same_data(compared[0], subject) for subject in compared),
        split=split,
        differences=tuple(_differences(compared, held, pairs)),
        notes=tuple(notes),
    )


def _common_rows(
    runs: Sequence[ComparedRun],
) -> tuple[str | None, Sequence[HeldOut], Sequence[Pair]]:
    """Return the most reliable split that all runs have, the rows of each run, and their pairs."""
    common = [split for split in HELD_OUT if all(split in subject.metrics for subject in runs)]
    if not common or any(subject.run.predictions is None for subject in runs):
        return None, (), ()
    held, split = [subject.rows_of(common[0]) for subject in runs], common[0]
    others = zip(runs[1:], held[1:], strict=True)
    pairs = [pair_rows(runs[0], subject, split, (held[0], rows)) for subject, rows in others]
    return split, held, pairs


def _rows_of_table(
    runs: Sequence[ComparedRun], data: Source | MemoryTable
) -> tuple[str, Sequence[HeldOut], Sequence[Pair]]:
    """Return the name of a table, the rows as predicted by each run, and their pairs."""
    (first, name), *rest = (evaluate_rows(subject.run, data) for subject in runs)
    others = [rows for rows, _ in rest]
    pairs = [pair_by_keys((first, rows), first.row, rows.row) for rows in others]
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
    first, *others = (each.run for each in runs)
    for other in others:
        targets = [(run.task.columns, run.task.outcome) for run in (first, other)]
        if targets[0] != targets[1]:
            said = (
                f"{run.path} predicts {listed(columns, len(columns))} as {outcome}"
                for run, (columns, outcome) in zip((first, other), targets, strict=True)
            )
            raise UsageError(
                f"{', '.join(said)}: their metrics can't be compared; choose runs with the same "
                "target"
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
        doubts = {}
        if reason and not _are_drawn_alike(runs[0], subject):
            doubts = dict.fromkeys(differences, "not the same rows")
        classes, others = (each.run.task.classes for each in (runs[0], subject))
        if len(classes) == 2 and classes[-1] != others[-1]:
            of_positive = (name for name in differences if METRICS[name].of_positive_class)
            doubts |= dict.fromkeys(of_positive, "not the same positive class")
        for metric, doubt in doubts.items():
            value = differences[metric].value
            differences[metric] = intervals.DifferenceEstimate(value=value, reason=doubt)
        yield RunDifference(None if reason else first.rows, reason, differences)


def _are_drawn_alike(first: ComparedRun, second: ComparedRun) -> bool:
    """Return whether the held-out rows of two runs differ only because of their seeds.

    If so, they are two random samples of the same rows, which an unpaired interval compares. If
    not, a difference may be due to the networks or to the rows: later rows, for example, may be
    harder to predict than random rows.
    """
    one, other = (each.run.config.data for each in (first, second))
    keys = ("target", "sample_weight", "split")
    is_same = all(getattr(one, key) == getattr(other, key) for key in keys)
    return is_same and same_data(first, second) and not isinstance(one.split, TimeSplit)


def _other_rows(runs: Sequence[ComparedRun], pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a note with the runs whose rows differ from those of the first run."""
    first, *others = runs
    found = [*zip(others, pairs, strict=False)]
    unlike = [
        each for each, pair in found if isinstance(pair, str) and not _are_drawn_alike(first, each)
    ]
    alike = [each for each, pair in found if isinstance(pair, str) and each not in unlike]
    if alike:
        yield (
            f"the held-out rows of {listed([str(each.run.path) for each in (first, *alike)])} are "
            "different random rows of the same data, so the intervals treat them as independent "
            "samples; runs with the same seed are compared row by row, which is more precise"
        )
    if unlike:
        yield (
            f"metrics of {listed([str(each.run.path) for each in (first, *unlike)])} may differ "
            "because they are computed on different rows; to compare all runs on the same rows, "
            f"add {option('data', 'FILE')} with rows that no run was trained on"
        )


def _caveats(runs: Sequence[ComparedRun], split: str | None) -> Iterator[str]:
    """Yield caveats, as sentences."""
    of_folds = [each for each in runs if each.run.config.ensemble_folds is not None]
    if of_folds:
        named = listed([str(each.run.path) for each in of_folds])
        yield (
            f"the out-of-fold rows of {named} are training rows, each predicted by the members of "
            "the ensemble that were not trained on it"
        )
    learned = [str(each.run.path) for each in runs if each.run.config.distill is not None]
    if learned and split == "validation":
        yield (
            f"the validation metrics of {listed(learned)} are much too optimistic, because the "
            "ensemble in distill.teacher was trained on these rows; set data.test: 0.15"
        )
    if split is None:
        yield _without_rows(runs)
        return
    yield (
        "intervals reflect the choice of held-out rows, not of the seed; about 1 in 20 "
        "differences appears significant by chance"
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
    if split == "validation" and len(of_folds) < len(runs):
        yield (
            "not all runs have test rows; validation rows were used during training, so their "
            "metrics are too optimistic: set data.test: 0.15"
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


# Configs


def differing_settings(files: Sequence[ConfigFile]) -> list[Setting]:
    """Return the settings that differ between resolved configs, the most important first."""
    sections = [_config_keys(file) for file in files]
    others = [key for key in sections[0] if key not in (*_LAST_SECTIONS, *_OMITTED_KEYS)]
    every = (
        _differing_settings((key,), [section[key] for section in sections])
        for key in (*others, *_LAST_SECTIONS)
    )
    return list(chain.from_iterable(every))


def _config_keys(file: ConfigFile) -> dict[str, object]:
    """Return the config's keys, with file paths relative to the current folder.

    Whether the compiled engine uses XLA is a detail that follows from the other keys.
    """
    config = file.config
    found = {key: getattr(config, key) for key in type(config).model_fields}
    found["data"] = file.moved_data(Path.as_posix)
    found["engine"] = config.engine.name
    for key in ("initial_weights", "initial_encoding"):
        if found[key] is not None:
            found[key] = file.resolve(str(found[key])).as_posix()
    if config.distill is not None:
        teacher = file.resolve(config.distill.teacher).as_posix()
        found["distill"] = config.distill.model_copy(update={"teacher": teacher})
    return found


def _differing_settings(path: KeyPath, values: Sequence[object]) -> Iterator[Setting]:
    """Yield the paths at which values differ, as deep as their types agree."""
    is_one_type = len(set(map(type, values))) == 1
    if is_one_type and all(value == values[0] for value in values):
        return
    parts = [_parts(value) for value in values]
    known = [each for each in parts if each is not None]
    if not is_one_type or len(known) < len(parts):
        yield Setting(format_path(path), tuple(map(_shown, values)))
        return
    for key in dict.fromkeys(key for each in known for key in each):
        yield from _differing_settings((*path, key), [each.get(key) for each in known])


def _shown(value: object) -> object:
    """Return a setting in its shortest form, but with its keys if all have their defaults."""
    short = to_short(value)
    if short == {} and isinstance(value, Section):
        return {key: to_short(getattr(value, key)) for key in type(value).model_fields}
    return short


def _parts(value: object) -> Mapping[str | int, object] | None:
    """Return the items of a mapping or list, by key or index; `None` for a scalar."""
    if isinstance(value, Section):
        return {key: getattr(value, key) for key in type(value).model_fields}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and all(isinstance(item, Section) for item in value):
        return dict(enumerate(value))
    return None


# JSON


def to_document(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as one JSON object.

    ::

        target        the columns that all runs predict
        split         the split of held-out rows that is compared, or the table whose rows all runs
                      predict, or null
        same_data     whether all runs have read the same files, according to their SHA-256
        runs          for each run; all others are compared with the first:
          run           the run folder
          created       when it was finished, in UTC
          epochs        the number of trained epochs
          data          its files: file, sha256
          metrics       split, then metric: a number, or null if it is undefined
          baselines     model, then split, then metric
          rows          the number of its rows in `split` with positive weight, or null
          estimates     metric: value, with lower and upper of its 95 % interval, or both null and
                        the reason
        config        the differences: path, as in --set, and values for each run, or null
        facts         versions and properties of machines that differ: name, values for each run
        differences   for each run except the first:
          run           the run folder
          rows          the number of rows that both runs predicted; null if the rows differ, and
          reason        why they differ
          metrics       metric: value (this run minus the first), lower, upper, reason, and
                        verdict: better, worse, not_significant, same or unknown
        notes         caveats
    """
    runs = [
        {
            "run": str(side.run.path),
            "created": side.run.created.isoformat(),
            "epochs": side.run.epochs,
            "data": [asdict(file) for file in side.data],
            "metrics": side.metrics,
            "baselines": side.baselines,
            "rows": side.rows,
            "estimates": _dump_all(side.estimates),
        }
        for side in comparison.sides
    ]
    differences = [
        {"run": str(side.run.path), **asdict(difference), "metrics": _dump_all(difference.metrics)}
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
