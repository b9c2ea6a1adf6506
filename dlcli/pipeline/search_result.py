"""The result of a search: all trials, the selected ones, and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlcli.config import Dimension, Value
from dlcli.errors import plural
from dlcli.pipeline import search_document
from dlcli.pipeline.cv_document import Interval
from dlcli.pipeline.search_context import Plan, Work, combinations
from dlcli.pipeline.search_document import (
    Finalist,
    NestedFold,
    Search,
    TrialResult,
    best_trial,
    importances,
    smallest_trial,
)

_EDGE = 0.02
"""The share of a range, at either end, that counts as its edge."""


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    plan: Plan
    trials: tuple[TrialResult, ...]
    default: TrialResult | None
    finalists: tuple[Finalist, ...] = ()
    nested: tuple[NestedFold, ...] = ()
    nested_value: Interval | None = None
    notes: tuple[str, ...] = ()
    """Of what came after the trials."""

    @property
    def best(self) -> TrialResult | None:
        """The best trial."""
        return best_trial(self.trials, self.plan.direction)

    @property
    def smallest(self) -> TrialResult | None:
        """The smallest of those that are as good as the best, as far as the rows tell."""
        number = smallest_trial(self.trials, self.plan.direction)
        return next((trial for trial in self.trials if trial.number == number), None)

    def document(self, work: Work, *, seconds: float) -> Search:
        """The document.

        Args:
            work: what the trials had in common.
            seconds: what the search took.
        """
        plan, dataset = self.plan, work.context.dataset
        dimensions = tuple(map(described, plan.dimensions))
        best, smallest = self.best, self.smallest
        return Search(
            name=work.file.name,
            study=plan.name,
            metric=work.goal.metric,
            direction=plan.direction,
            sampler=plan.sampler,
            folds=work.tune.folds,
            rows=_rows(work),
            set_aside=dataset.test_rows,
            seed=plan.seed,
            dimensions=dimensions,
            trials=self.trials,
            default=self.default,
            best=None if best is None else best.number,
            smallest=None if smallest is None else smallest.number,
            importances=importances(dimensions, self.trials, plan.direction),
            finalists=self.finalists,
            nested=self.nested,
            nested_value=self.nested_value,
            workers=len({trial.worker for trial in self.trials} - {""}) or 1,
            seconds=round(seconds, 3),
            notes=(*_notes(self, work), *self.notes),
        )


def described(dimension: Dimension) -> search_document.Dimension:
    """A dimension as documents have it."""
    return search_document.Dimension(
        path=dimension.path,
        kind=dimension.kind,
        low=dimension.low,
        high=dimension.high,
        step=dimension.step,
        log=dimension.log,
        choices=dimension.labels if dimension.kind == "choice" else (),
    )


def _notes(found: Found, work: Work) -> Iterator[str]:
    yield from _about_number(found)
    failed = sum(trial.state == "failed" for trial in found.trials)
    if failed:
        yield f"{plural(failed, 'candidate')} could not be trained to the end"
    if found.best is not None:
        yield from _beside_default(found, work.goal.metric)
        yield from _at_edges(found.plan.dimensions, found.best)
    if not work.prunes_at_epochs and work.tune.pruner.name != "none":
        yield (
            "candidates were not given up at epochs: regularizers vary, and val_loss of an epoch "
            "holds their price"
        )


def _about_number(found: Found) -> Iterator[str]:
    ended, wanted = len(found.trials), found.plan.trials
    if wanted is not None and ended < wanted:
        yield f"the time was over after {ended} of {plural(wanted, 'trial')}"
    if ended and ended == combinations(found.plan.dimensions):
        yield f"all {ended:,} combinations were tried"


def _beside_default(found: Found, metric: str) -> Iterator[str]:
    """Yields that the search itself has found nothing better than there was."""
    best = None if found.best is None else found.best.value
    default = None if found.default is None else found.default.value
    if best is None or default is None:
        return
    if best >= default if found.plan.direction == "minimize" else best <= default:
        yield (
            f"no candidate is better than the config as given: {metric} {best:.4g} against "
            f"{default:.4g}"
        )


def _at_edges(dimensions: Sequence[Dimension], best: TrialResult) -> Iterator[str]:
    """Yields each range that the best has come to the end of, and that might go on there."""
    for dimension in dimensions:
        if dimension.low is None or dimension.high is None:
            continue
        place = _place(dimension, best.values.get(dimension.path))
        if place is not None and not _EDGE <= place <= 1 - _EDGE:
            end = "low" if place < _EDGE else "high"
            yield (
                f"the best {dimension.path} lies at the {end} end of what was tried: a wider range "
                "may hold a better one"
            )


def _place(dimension: Dimension, value: Value) -> float | None:
    """Where a value lies in a range, from 0 to 1."""
    low, high = dimension.low, dimension.high
    if low is None or high is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if dimension.log:
        low, high, value = (math.log(each) for each in (low, high, value))
    return (value - low) / (high - low)


def _rows(work: Work) -> int:
    """How many rows took part."""
    if work.tune.folds is not None:
        return work.context.dataset.candidates.rows
    tables = ((part.train, part.validation) for part in work.parts)
    return sum(table.rows for part in tables for table in part if table is not None)
