"""Summarize the trials of a search: the selected candidates, importances and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dlcli.config import Dimension, Value
from dlcli.errors import plural
from dlcli.pipeline.search_context import SearchContext, SearchPlan, count_combinations
from dlcli.pipeline.search_document import Dimension as DimensionDocument
from dlcli.pipeline.search_document import (
    Search,
    TrialResult,
    best_trial,
    importances,
    smallest_trial,
)

_EDGE = 0.02
"""The share of a range, at either end, that counts as its edge."""


def summarize_trials(
    context: SearchContext,
    plan: SearchPlan,
    trials: tuple[TrialResult, ...],
    default: TrialResult | None,
) -> Search:
    """Return the document of a search, without what follows after its trials.

    Args:
        context: what the trials shared.
        plan: what the candidates depended on.
        trials: their results.
        default: the result of the original config.
    """
    dataset = context.fits.dataset
    dimensions = tuple(map(DimensionDocument.of, plan.dimensions))
    best = best_trial(trials, plan.direction)
    return Search(
        name=context.file.name,
        study=plan.name,
        metric=context.objective.metric,
        direction=plan.direction,
        sampler=plan.sampler,
        folds=context.tune.folds,
        rows=_count_rows(context),
        set_aside=dataset.test_rows,
        seed=plan.seed,
        dimensions=dimensions,
        trials=trials,
        default=default,
        best=None if best is None else best.number,
        smallest=smallest_trial(trials, plan.direction),
        importances=importances(dimensions, trials, plan.direction),
        workers=len({trial.worker for trial in trials} - {""}) or 1,
        seconds=0.0,
        notes=tuple(_notes(context, plan, trials, default, best)),
    )


def _count_rows(context: SearchContext) -> int:
    if context.tune.folds is not None:
        return context.fits.dataset.candidates.rows
    tables = ((split.train, split.validation) for split in context.splits)
    return sum(table.rows for split in tables for table in split if table is not None)


def _notes(
    context: SearchContext,
    plan: SearchPlan,
    trials: Sequence[TrialResult],
    default: TrialResult | None,
    best: TrialResult | None,
) -> Iterator[str]:
    ended = len(trials)
    if plan.trials is not None and ended < plan.trials:
        yield f"the time was over after {ended} of {plural(plan.trials, 'trial')}"
    if ended and ended == count_combinations(plan.dimensions):
        yield f"all {ended:,} combinations were tried"
    failed = sum(trial.state == "failed" for trial in trials)
    if failed:
        yield f"{plural(failed, 'candidate')} could not be trained to the end"
    if best is not None:
        if default is not None and not _is_better(best, default, plan):
            yield (
                f"no candidate is better than the config as given: {context.objective.metric} "
                f"{best.value:.4g} against {default.value:.4g}"
            )
        yield from _edge_notes(plan.dimensions, best)
    if not context.prunes_at_epochs and context.tune.pruner.name != "none":
        yield (
            "candidates were not pruned at epochs: regularizers vary, and val_loss of an epoch "
            "contains their penalty"
        )


def _is_better(best: TrialResult, default: TrialResult, plan: SearchPlan) -> bool:
    """Whether the best trial is better than the original config, or one of them has no value."""
    if best.value is None or default.value is None:
        return True
    if plan.direction == "minimize":
        return best.value < default.value
    return best.value > default.value


def _edge_notes(dimensions: Sequence[Dimension], best: TrialResult) -> Iterator[str]:
    """Yield each range with the best value at its edge."""
    for dimension in dimensions:
        position = _position(dimension, best.values.get(dimension.path))
        if position is not None and not _EDGE <= position <= 1 - _EDGE:
            end = "low" if position < _EDGE else "high"
            yield (
                f"the best {dimension.path} lies at the {end} end of its range: a wider range may "
                "contain a better one"
            )


def _position(dimension: Dimension, value: Value) -> float | None:
    """Return the position of a value in a range, from 0 to 1; `None` for a choice."""
    low, high = dimension.low, dimension.high
    if low is None or high is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if dimension.log:
        low, high, value = (math.log(each) for each in (low, high, value))
    return (value - low) / (high - low)
