"""Summarize the trials of a search: the selected candidates, importances and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from optuna import create_study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from dlcli.config import Dimension, Value
from dlcli.errors import plural
from dlcli.pipeline.documents import (
    FEWEST_TRIALS,
    Direction,
    Search,
    TrialResult,
    best_trial,
    complete_trials,
    smallest_trial,
    to_loss,
)
from dlcli.pipeline.documents import Dimension as DimensionDocument
from dlcli.pipeline.search_context import (
    SearchContext,
    SearchPlan,
    count_combinations,
    distribution_of,
)
from dlcli.pipeline.search_storage import quiet_optuna

_EDGE = 0.02
"""The share of a range, at either end, that counts as its edge."""
_TOP_SHARE = 0.2
"""The share of the trials that count as good. Of 100 random trials in five dimensions of which one
explains most of the metric, it is found in 93 to 100 of 100 simulations, and with Optuna's default
of a tenth in 37 to 93."""
_FEWEST_TOP = 8
"""Fewest trials that count as good; Optuna's documentation asks for 5."""


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
        if default is not None and to_loss(best, plan.direction) >= to_loss(
            default, plan.direction
        ):
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


def importances(
    dimensions: Sequence[DimensionDocument], trials: Sequence[TrialResult], direction: Direction
) -> dict[str, float]:
    """Return the importance of each dimension for a trial being good, by Optuna's PED-ANOVA.

    Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces, IJCAI 2023. It compares the values of the best fifth of the trials with
    those of all, one dimension at a time. Reliability: a few good trials differ from all by chance,
    too, so that no dimension has an importance of 0; with 20 to 50 trials only one that clearly
    stands out is worth acting on.

    Args:
        dimensions: what is varied.
        trials: complete ones count.
        direction: whether the metric is minimized.

    Returns:
        Shares of 1 by path, the greatest first; empty for fewer than `FEWEST_TRIALS` complete
        trials.
    """
    distributions = {
        each.path: distribution_of(each, range(len(each.choices))) for each in dimensions
    }
    with quiet_optuna():
        study = create_study(direction=direction)
        for trial in complete_trials(trials):
            try:
                params = {each.path: _value(each, trial.values[each.path]) for each in dimensions}
                study.add_trial(
                    create_trial(value=trial.value, params=params, distributions=distributions)
                )
            except (KeyError, ValueError):  # of a study that was started with other dimensions
                continue
        complete = len(study.trials)
        if complete < FEWEST_TRIALS or not dimensions:
            return {}
        share = max(_TOP_SHARE, _FEWEST_TOP / complete)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        found = get_param_importances(study, evaluator=evaluator, params=[*distributions])
    return {} if any(math.isnan(value) for value in found.values()) else found


def _value(dimension: DimensionDocument, value: Value) -> Value:
    """Return a value for Optuna; a choice by its index, as `True` and `1` would be the same."""
    if dimension.kind != "choice":
        return value
    known = [(type(choice), choice) for choice in dimension.choices]
    return known.index((type(value), value))
