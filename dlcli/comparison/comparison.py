"""Comparison of runs: differing settings, metrics, and which differences are significant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from dlcli.comparison.compared_runs import (
    ComparedRun,
    DataFile,
    HeldOut,
    Pairs,
    estimate_differences,
    estimate_metrics,
    pair_rows,
    same_data,
)
from dlcli.comparison.config_differences import Setting, differing_settings
from dlcli.config import GroupSplit, TimeSplit
from dlcli.errors import UsageError, listed, plural
from dlcli.metrics import HIGHER_IS_BETTER, DifferenceEstimate, Estimate, finite_number
from dlcli.runs import Run

SPLITS = ("test", "validation")
"""The splits of held-out rows, the best evidence first."""
_ALL_SPLITS = ("train", "validation", "test")

Numbers = dict[str, float | None]
Document = dict[str, object]


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
    metrics: Mapping[str, Numbers]
    """For each split the metrics that are single numbers."""
    baselines: Mapping[str, Mapping[str, Numbers]]
    """The same of the simplest models: model, split, metric."""
    history: Mapping[str, Sequence[float]]
    """Metrics of each epoch, by name."""
    rows: int | None
    """Number of held-out rows; `None` if the runs have none in common."""
    estimates: Mapping[str, Estimate]
    """Each metric of these rows, with its confidence interval."""


@dataclass(frozen=True)
class RunDifference:
    """A run compared with the first."""

    rows: int | None
    """Number of rows that both have predicted; `None` if they are not compared on the same rows."""
    reason: str | None
    """Why they are not."""
    metrics: Mapping[str, DifferenceEstimate]
    """The difference in each metric: this run's minus the first's."""


@dataclass(frozen=True)
class Fact:
    """A version, or a part of the machine, that differs between runs."""

    name: str
    values: tuple[str | None, ...]
    """For each run."""


@dataclass(frozen=True)
class Comparison:
    """Two runs or more; all others are compared with the first."""

    target: tuple[str, ...]
    """The columns that all of them predict."""
    sides: tuple[Side, ...]
    settings: tuple[Setting, ...]
    """Settings that differ in their configs."""
    facts: tuple[Fact, ...]
    """Versions and machine parts that differ."""
    same_data: bool
    """Whether all have read the same files, by their digests."""
    split: str | None
    """The split of held-out rows that they are compared on; `None` if they have none in common."""
    differences: tuple[RunDifference, ...]
    """Each run but the first; empty without such a split."""
    notes: tuple[str, ...]
    """Caveats, as sentences."""

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of any of the runs that can be compared, in order."""
        names = (name for side in self.sides for scores in side.metrics.values() for name in scores)
        return tuple(dict.fromkeys(names))


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare runs.

    Args:
        runs: two or more, all different.

    Raises:
        UsageError: for one run, the same run twice, or runs that predict different targets.
        RunError: for a run that has diverged, or can't be read.
    """
    check_different([run.path for run in runs])
    compared = [ComparedRun.read(run) for run in runs]
    _check_targets(compared)
    has_rows = all(subject.held_out is not None for subject in compared)
    common = [each for each in SPLITS if all(each in subject.metrics for subject in compared)]
    split = common[0] if common and has_rows else None
    held = [] if split is None else [subject.rows_of(split) for subject in compared]
    return Comparison(
        target=compared[0].task.columns,
        sides=tuple(_sides(compared, held)),
        settings=tuple(differing_settings([subject.file for subject in compared])),
        facts=tuple(_facts(compared)),
        same_data=all(same_data(compared[0], subject) for subject in compared),
        split=split,
        differences=tuple(_differences(compared, split, held) if split else ()),
        notes=tuple(_notes(compared, split)),
    )


def check_different(paths: Sequence[Path]) -> None:
    """Check that there are at least two different run folders.

    Raises:
        UsageError: for less than two run folders, or one that is named twice.
    """
    if len(paths) < 2:
        raise UsageError(f"expected two runs or more to compare, got {len(paths)}")
    known: dict[Path, Path] = {}
    for path in paths:
        other = known.setdefault(path.resolve(), path)
        if other is not path:
            raise UsageError(f"{path}: is the same run as {other}; name each run once")


def _check_targets(runs: Sequence[ComparedRun]) -> None:
    first, *others = runs
    for subject in others:
        if _target_words(subject) != _target_words(first):
            raise UsageError(
                f"{first.run.path} predicts {_target_words(first)}, {subject.run.path} predicts "
                f"{_target_words(subject)}: their metrics can't be compared; name runs of one "
                "target"
            )


def _target_words(subject: ComparedRun) -> str:
    """Describe the target: `'y' as numbers`."""
    task = subject.task
    return f"{listed(task.columns)} as {task.outcome}"


def _sides(runs: Sequence[ComparedRun], held: Sequence[HeldOut]) -> Iterator[Side]:
    for at, subject in enumerate(runs):
        rows = held[at] if held else None
        yield Side(
            path=subject.run.path,
            created=subject.run.created,
            epochs=max(map(len, subject.history.values()), default=0),
            data=subject.data,
            metrics=_by_split(subject.metrics),
            baselines={model: _by_split(metrics) for model, metrics in subject.baselines.items()},
            history=subject.history,
            rows=rows.rows if rows else None,
            estimates=estimate_metrics(rows) if rows else {},
        )


def _by_split(metrics: Mapping[str, Mapping[str, object]]) -> dict[str, Numbers]:
    return {split: _numbers(metrics[split]) for split in _ALL_SPLITS if split in metrics}


def _numbers(scores: Mapping[str, object]) -> Numbers:
    """The metrics that can be compared; a file may contain others, as of a newer dlcli."""
    return {
        name: finite_number(value)
        for name, value in scores.items()
        if name in HIGHER_IS_BETTER and (value is None or isinstance(value, int | float))
    }


def _differences(
    runs: Sequence[ComparedRun], split: str, held: Sequence[HeldOut]
) -> Iterator[RunDifference]:
    for subject, rows in zip(runs[1:], held[1:], strict=True):
        found = pair_rows(runs[0], subject, split, (held[0], rows))
        if isinstance(found, Pairs):
            differences = estimate_differences(found.first, found.second, paired=True)
            yield RunDifference(found.first.rows, None, differences)
        else:
            yield RunDifference(
                None, found.reason, estimate_differences(held[0], rows, paired=False)
            )


def _facts(runs: Sequence[ComparedRun]) -> Iterator[Fact]:
    for name in runs[0].facts:
        values = tuple(subject.facts[name] for subject in runs)
        if len(set(values)) > 1:
            yield Fact(name, values)


def _notes(runs: Sequence[ComparedRun], split: str | None) -> Iterator[str]:
    """Yield caveats, as sentences."""
    if split is None:
        yield _without_rows(runs)
        return
    yield (
        "intervals cover other held-out rows, not training again with another seed; of 20 "
        "random differences, about one is called significant"
    )
    splits = [subject.file.config.data.split for subject in runs]
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
    without = [subject for subject in runs if subject.held_out is None]
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


def to_document(comparison: Comparison) -> Document:
    """Return a comparison as one JSON object.

    ::

        target        the columns that all runs predict
        split         the split of held-out rows that they are compared on, or null
        same_data     whether all have read the same files, by their SHA-256
        runs          for each run, the first being the one that the others are compared with:
          run           its folder
          created       when it was finished, in UTC
          epochs        how many it was trained for
          data          its files: file, sha256
          metrics       split, then metric: a number, or null where it is undefined
          baselines     model, then split, then metric
          rows          how many rows of `split` it has, or null
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
        facts = asdict(replace(side, history={}))
        del facts["path"], facts["history"]
        runs.append({"run": str(side.path), **facts, "created": side.created.isoformat()})
    differences = [
        {"run": str(side.path), **asdict(difference)}
        for side, difference in zip(comparison.sides[1:], comparison.differences, strict=False)
    ]
    return {
        "target": list(comparison.target),
        "split": comparison.split,
        "same_data": comparison.same_data,
        "runs": runs,
        "config": [asdict(setting) for setting in comparison.settings],
        "facts": [asdict(fact) for fact in comparison.facts],
        "differences": differences,
        "notes": list(comparison.notes),
    }
