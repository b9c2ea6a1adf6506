"""Runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from dlcli.comparison.held_out import HeldOut, estimate_differences, estimate_metrics
from dlcli.comparison.pairing import Pairs, pair_rows, same_data
from dlcli.comparison.settings import Setting, differing_settings
from dlcli.comparison.subject import DataFile, Subject
from dlcli.config import GroupSplit, TimeSplit
from dlcli.errors import UsageError, listed, plural
from dlcli.metrics import HIGHER_IS_BETTER, DifferenceEstimate, Estimate, finite_number
from dlcli.runs import Run

SPLITS = ("test", "validation")
"""The held-out sets, the one that judges best first."""
_ALL_SPLITS = ("train", "validation", "test")

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class Side:
    """What one run shows."""

    path: Path
    """The run folder, as it was named."""
    created: datetime
    """When the run was finished."""
    epochs: int
    """How many it was trained for."""
    data: tuple[DataFile, ...]
    """The files that it has read."""
    metrics: Mapping[str, Numbers]
    """For each split the metrics that are single numbers."""
    baselines: Mapping[str, Mapping[str, Numbers]]
    """The same of the simplest models: model, split, metric."""
    history: Mapping[str, Sequence[float]]
    """What was measured at each epoch, by name."""
    rows: int | None
    """How many rows of the set judge it; `None` if no set can."""
    estimates: Mapping[str, Estimate]
    """Each metric of these rows, with its interval."""


@dataclass(frozen=True)
class Against:
    """How a run does against the first."""

    rows: int | None
    """How many rows both have predicted and are compared on; `None` if not the same ones are."""
    reason: str | None
    """Why not."""
    differences: Mapping[str, DifferenceEstimate]
    """The difference in each metric: this run's less the first's."""


@dataclass(frozen=True)
class Fact:
    """A version, or a part of the machine, that is not the same for all runs."""

    name: str
    values: tuple[str | None, ...]
    """For each run."""


@dataclass(frozen=True)
class Comparison:
    """Two runs or more, of which the first is what the others are compared with."""

    target: tuple[str, ...]
    """The columns that all of them predict."""
    sides: tuple[Side, ...]
    settings: tuple[Setting, ...]
    """What differs in their configs."""
    facts: tuple[Fact, ...]
    """What else differs."""
    same_data: bool
    """Whether all have read the same files, by their digests."""
    split: str | None
    """The set of held-out rows that they are compared on; `None` if they have none in common."""
    against: tuple[Against, ...]
    """How each run but the first does; empty without such a set."""
    notes: tuple[str, ...]
    """What to bear in mind."""

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of any of the runs that can be compared, in order."""
        names = (name for side in self.sides for scores in side.metrics.values() for name in scores)
        return tuple(dict.fromkeys(names))


def compare(runs: Sequence[Run]) -> Comparison:
    """Compares runs.

    Args:
        runs: two or more, all different.

    Raises:
        UsageError: for one run, the same run twice, or runs that predict different targets.
        RunError: for a run that has diverged, or can't be read.
    """
    check_different([run.path for run in runs])
    subjects = [Subject.read(run) for run in runs]
    _check_targets(subjects)
    split = next((split for split in SPLITS if _all_have(subjects, split)), None)
    held = [] if split is None else [subject.rows_of(split) for subject in subjects]
    against = [] if split is None else list(_against(subjects, split, held))
    return Comparison(
        target=subjects[0].target.columns,
        sides=tuple(_sides(subjects, held)),
        settings=tuple(differing_settings([subject.file for subject in subjects])),
        facts=tuple(_facts(subjects)),
        same_data=all(same_data(subjects[0], subject) for subject in subjects),
        split=split,
        against=tuple(against),
        notes=tuple(_notes(subjects, split)),
    )


def check_different(paths: Sequence[Path]) -> None:
    """Refuses what is no comparison.

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


def _check_targets(subjects: Sequence[Subject]) -> None:
    first, *others = subjects
    for subject in others:
        if _target_words(subject) != _target_words(first):
            raise UsageError(
                f"{first.run.path} predicts {_target_words(first)}, {subject.run.path} predicts "
                f"{_target_words(subject)}: their metrics can't be compared; name runs of one "
                "target"
            )


def _target_words(subject: Subject) -> str:
    """What is predicted: `'y' as numbers`."""
    target = subject.target
    return f"{listed(target.columns)} as {target.outcome}"


def _all_have(subjects: Sequence[Subject], split: str) -> bool:
    return all(subject.held_out is not None and split in subject.metrics for subject in subjects)


def _sides(subjects: Sequence[Subject], held: Sequence[HeldOut]) -> Iterator[Side]:
    for at, subject in enumerate(subjects):
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
    """The metrics that can be compared; anything else in a file may be of a newer dlcli."""
    return {
        name: finite_number(value)
        for name, value in scores.items()
        if name in HIGHER_IS_BETTER and (value is None or isinstance(value, int | float))
    }


def _against(subjects: Sequence[Subject], split: str, held: Sequence[HeldOut]) -> Iterator[Against]:
    for subject, rows in zip(subjects[1:], held[1:], strict=True):
        found = pair_rows(subjects[0], subject, split, (held[0], rows))
        if isinstance(found, Pairs):
            differences = estimate_differences(found.first, found.second, paired=True)
            yield Against(found.first.rows, None, differences)
        else:
            yield Against(None, found.reason, estimate_differences(held[0], rows, paired=False))


def _facts(subjects: Sequence[Subject]) -> Iterator[Fact]:
    for name in subjects[0].facts:
        values = tuple(subject.facts[name] for subject in subjects)
        if len(set(values)) > 1:
            yield Fact(name, values)


def _notes(subjects: Sequence[Subject], split: str | None) -> Iterator[str]:
    """Yields what to bear in mind, in whole sentences."""
    if split is None:
        yield _without_rows(subjects)
        return
    yield (
        "an interval tells what other held-out rows might show, not what training again with "
        "another seed would; of 20 differences that are noise, about one leaves 0 out by chance"
    )
    splits = [subject.file.config.data.split for subject in subjects]
    if any(isinstance(each, GroupSplit) for each in splits):
        yield (
            "rows count as independent, though those of one group are alike: the intervals are "
            "too narrow"
        )
    if any(isinstance(each, TimeSplit) for each in splits):
        yield (
            "rows count as independent, though those of neighbouring times may be alike: the "
            "intervals may be too narrow"
        )
    if split == "validation":
        yield (
            "not all runs have test rows; validation rows have steered training, and flatter it: "
            "set data.test: 0.15"
        )


def _without_rows(subjects: Sequence[Subject]) -> str:
    """Why nothing can be said about noise."""
    without = [subject for subject in subjects if subject.held_out is None]
    if not without:
        return (
            "the runs have no set of held-out rows in common, so that nothing tells whether a "
            "difference is more than noise; give all of them data.test"
        )
    named = listed([str(subject.run.path) for subject in without])
    return (
        f"{plural(len(without), 'run')} without held-out rows ({named}), so that nothing tells "
        "whether a difference is more than noise; train with data.test: 0.15"
    )
