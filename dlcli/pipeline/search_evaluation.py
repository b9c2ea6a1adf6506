"""Evaluate a search: a summary of its trials, finalists trained in full, and outer folds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from optuna import create_study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from dlcli import errors
from dlcli.comparison import SPLITS, ComparedRun, estimate_difference
from dlcli.config.config_file import ConfigFile
from dlcli.config.config_schema import Config
from dlcli.config.search_space import Dimension, Value, candidate, count_combinations
from dlcli.config.training_choices import Loss
from dlcli.metrics.definitions import main_metric, metric_bounds
from dlcli.metrics.intervals import DifferenceEstimate, Estimate, corrected_interval
from dlcli.metrics.statistic import finite
from dlcli.pipeline import search_trials
from dlcli.pipeline.cross_validation import (
    CrossValidationPlan,
    CVFold,
    assign_folds,
    unclaimed_folds,
)
from dlcli.pipeline.events import (
    Events,
    FinalistEvent,
    FinalistProgressEvent,
    Listener,
    NestedEvent,
)
from dlcli.pipeline.fit import release_memory
from dlcli.pipeline.preparation import Dataset
from dlcli.pipeline.search_context import SearchContext, TimeBudget, distribution_of, make_splits
from dlcli.pipeline.search_storage import quiet_optuna
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.train_run import train_child_run
from dlcli.pipeline.worker_pool import run_workers
from dlcli.runs import documents
from dlcli.runs.run import Run
from dlcli.runs.run_writer import RunWriter
from dlcli.splitting import Split
from dlcli.training_job import StopOnSignal
from dlcli.workers import NO_OTHERS, Workers

_EDGE = 0.02
"""The share of a range, at either end, that counts as its edge."""
_TOP_SHARE = 0.2
"""The share of the trials that count as good. Of 100 random trials in five dimensions of which one
explains most of the metric, it is found in 93 to 100 of 100 simulations, and with Optuna's default
of a tenth in 37 to 93."""
_FEWEST_TOP = 8
"""Fewest trials that count as good; Optuna's documentation asks for 5."""
Name = Literal["default", "best", "smallest"]
_NO_ROWS = (
    "there are no held-out rows on which to compare the best config with the default; set "
    "data.test: 0.15"
)
DEFAULT_FOLDS = 5
"""Number of outer folds if the search itself has no folds."""


def summarize_trials(
    context: SearchContext,
    trials: tuple[documents.TrialResult, ...],
    default: documents.TrialResult | None,
) -> documents.Search:
    """Return the document of a search, without what follows after its trials.

    Args:
        context: what the trials shared.
        trials: their results.
        default: the result of the original config.
    """
    dataset, plan = context.fits.dataset, context.plan
    dimensions = tuple(map(documents.StoredDimension.of, plan.dimensions))
    best = documents.best_trial(trials, plan.direction)
    return documents.Search(
        name=context.file.name,
        study=plan.name,
        metric=plan.metric,
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
        smallest=documents.smallest_trial(trials, plan.direction),
        importances=importances(dimensions, trials, plan.direction),
        workers=len({trial.worker for trial in trials} - {""}) or 1,
        seconds=0.0,
        notes=tuple(_notes(context, trials, default, best)),
    )


def _count_rows(context: SearchContext) -> int:
    if context.tune.folds is not None:
        return context.fits.dataset.candidates.rows
    tables = ((split.train, split.validation) for split in context.splits)
    return sum(table.rows for split in tables for table in split if table is not None)


def _notes(
    context: SearchContext,
    trials: Sequence[documents.TrialResult],
    default: documents.TrialResult | None,
    best: documents.TrialResult | None,
) -> Iterator[str]:
    plan, ended = context.plan, len(trials)
    if plan.trials is not None and ended < plan.trials:
        yield f"the time was over after {ended} of {errors.plural(plan.trials, 'trial')}"
    if ended and ended == count_combinations(plan.dimensions):
        yield f"all {ended:,} combinations were tried"
    failed = sum(trial.state == "failed" for trial in trials)
    if failed:
        yield f"{errors.plural(failed, 'candidate')} could not be trained to the end"
    if best is not None:
        direction = plan.direction
        if default is not None and documents.to_loss(best, direction) >= documents.to_loss(
            default, direction
        ):
            yield (
                f"no candidate is better than the config as given: {plan.metric} "
                f"{errors.number(best.value)} against {errors.number(default.value)}"
            )
        yield from _edge_notes(plan.dimensions, best)
    if not plan.prunes_at_epochs and plan.pruner.name != "none":
        yield (
            "candidates were not pruned at epochs: regularizers vary, and val_loss of an epoch "
            "contains their penalty"
        )


def _edge_notes(dimensions: Sequence[Dimension], best: documents.TrialResult) -> Iterator[str]:
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
    dimensions: Sequence[documents.StoredDimension],
    trials: Sequence[documents.TrialResult],
    direction: documents.Direction,
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
        for trial in documents.complete_trials(trials):
            try:
                params = {each.path: _value(each, trial.values[each.path]) for each in dimensions}
                study.add_trial(
                    create_trial(value=trial.value, params=params, distributions=distributions)
                )
            except (KeyError, ValueError):  # of a study that was started with other dimensions
                continue
        complete = len(study.trials)
        if complete < documents.FEWEST_TRIALS or not dimensions:
            return {}
        share = max(_TOP_SHARE, _FEWEST_TOP / complete)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        found = get_param_importances(study, evaluator=evaluator, params=[*distributions])
    return {} if any(math.isnan(value) for value in found.values()) else found


def _value(dimension: documents.StoredDimension, value: Value) -> Value:
    """Return a value for Optuna; a choice by its index, as `True` and `1` would be the same."""
    if dimension.kind != "choice":
        return value
    known = [(type(choice), choice) for choice in dimension.choices]
    return known.index((type(value), value))


def train_finalists(
    folder: Path,
    configs: Mapping[Name, ConfigFile],
    search: documents.Search,
    events: Events,
    workers: Workers = NO_OTHERS,
) -> documents.Search:
    """Train each config as an ordinary run `folder/NAME`, and compare it with the original one.

    Finished runs are kept, and interrupted ones resumed, see `train_child_run`. Without held-out
    rows, the original config is not trained.

    Args:
        folder: the run folder of the search, which is locked.
        configs: the configs to train; `smallest` only if it is not the best.
        search: the document of the search.
        events: receives `progress`, each finalist, and each warning once.
        workers: those that train each config together; this is worker 0.

    Returns:
        The document with the finalists that have held-out rows, the original config first, and with
        notes: caveats, and configs that could not be trained.

    Raises:
        Interrupted: if a signal has arrived; the message says how to resume the search.
        DlcliError: see `train`.
    """
    runs: dict[Name, Run] = {}
    notes = [*search.notes]
    for name in sorted(configs, key=["default", "best", "smallest"].index):
        config = configs[name].config
        if name == "default" and config.data.test is None and not config.has_validation:
            continue
        events.emit(FinalistProgressEvent(finalist=name))
        try:
            # It reads the same rows as the search.
            runs[name] = train_child_run(folder, name, configs[name], events.warn_once, workers)
        except (errors.ConfigError, errors.DivergenceError, errors.OutOfMemoryError) as error:
            if isinstance(error, errors.OutOfMemoryError) and workers.size > 1:
                raise  # the others wait for this worker
            reason = release_memory(error)
            notes.append(f"the {name} config could not be trained in full: {reason}")
    compared = {name: ComparedRun.of(run) for name, run in runs.items()}
    finalists = tuple(_finalists(compared, search.metric))
    for finalist in finalists:
        events.emit(FinalistEvent(result=finalist))
        notes += _baseline_notes(finalist, compared[finalist.name])
    if biased := [each.name for each in finalists if each.split == "validation"]:
        rows = compared[biased[0]].run.config.adjective("validation")
        notes.append(
            f"there are no test rows: the {rows} rows, which selected the config, give "
            "optimistically biased metrics; set data.test: 0.15"
        )
    elif runs and not finalists:
        notes.append(_NO_ROWS)
    return search.model_copy(update={"finalists": finalists, "notes": tuple(notes)})


def _finalists(runs: Mapping[Name, ComparedRun], metric: str) -> Iterator[documents.Finalist]:
    for name, run in runs.items():
        split = next((split for split in SPLITS if split in run.metrics), None)
        if split is None or run.run.predictions is None:
            continue
        metrics = run.metrics[split]
        compared_by = finalist_metric(metric, run.run.config.metrics or (), metrics)
        gain = None
        if name != "default":
            gain = _difference(runs.get("default"), run, split, compared_by)
        yield documents.Finalist(
            name=name,
            run=name,
            split="test" if split == "test" else "validation",
            metrics=metrics,
            parameters=_count_parameters(run),
            epochs=run.run.epochs,
            metric=compared_by,
            gain=gain,
            verdict=None if gain is None else gain.verdict,
        )


def finalist_metric(
    metric: str, named: tuple[str, ...], metrics: Mapping[str, float | None]
) -> str | None:
    """Return the metric by which finalists are compared.

    Args:
        metric: the metric that the search optimizes. `val_accuracy` is compared by accuracy;
            `val_loss`, which finished runs do not store, by the main metric.
        named: the metrics that the config names.
        metrics: those of the held-out rows.
    """
    name = metric.removeprefix("val_")
    return name if metrics.get(name) is not None else main_metric(named, metrics)


def _difference(
    default: ComparedRun | None, run: ComparedRun, split: str, metric: str | None
) -> DifferenceEstimate:
    """Return the metric minus that of the original config on the same rows."""
    if default is None or default.run.predictions is None:
        return DifferenceEstimate(reason="the default config could not be trained")
    if metric is None:
        return DifferenceEstimate(reason="no metric is defined")
    return estimate_difference(default, run, split, metric)


def _count_parameters(run: ComparedRun) -> int:
    return run.run.network.trainable_parameters * run.run.config.networks


def _baseline_notes(finalist: documents.Finalist, run: ComparedRun) -> Iterator[str]:
    """Yield a note if the best network is no better than simpler models."""
    if finalist.name != "best":
        return
    for name, found in run.run.verdicts.on(finalist.split).items():
        if found.verdict == "better" or found.network is None or found.baseline is None:
            continue
        words = "worse" if found.verdict == "worse" else "not clearly better"
        values = f"{errors.number(found.network)} against {errors.number(found.baseline)}"
        yield (
            f"the best network is {words} than the {name} baseline on {finalist.split} rows: "
            f"{found.metric} {values}"
        )


def evaluate_search(
    access: search_trials.SearchAccess,
    context: SearchContext,
    writer: RunWriter,
    stop: StopOnSignal,
    events: Events,
) -> tuple[documents.NestedFold, ...]:
    """Repeat the search without each outer fold, and evaluate its best config on that fold.

    Each search has the budget, sampler and seed of the original one. Its best config is trained as
    in a cross-validation: a share for validation is held out of the training rows. Finished outer
    folds are stored in the run folder, and not repeated when the search is resumed.

    Args:
        access: the search, for its other processes.
        context: what all trials of the search share.
        writer: the run folder.
        stop: ends it when a signal arrives.
        events: receives each outer fold, and a warning for each process that was lost.

    Raises:
        Interrupted: if a signal has arrived.
        DataError: if there are too few rows for such folds.
        RunError: if a stored result is damaged.
        DlcliError: see `run_trials`.
    """
    if writer.has_plan:
        writer.read_plan()
    else:
        writer.write_plan({"folds": context.tune.folds or DEFAULT_FOLDS})
    if access.jobs > 1:
        task = partial(run_nested_worker, access)
        run_workers(task, access.jobs, stop, events.emit)
    outers = outer_folds(context)
    return tuple(_finish_fold(outer, context, writer, stop, events) for outer in outers)


def run_nested_worker(access: search_trials.SearchAccess, listener: Listener) -> None:
    """Search without those outer folds that no other process has taken.

    Args:
        access: the search.
        listener: receives each outer fold.

    Raises:
        Interrupted: if a signal has arrived.
        DlcliError: see `run_trials`.
    """
    writer = RunWriter(access.folder)
    with access.context() as context:
        for outer in unclaimed_folds(writer, outer_folds(context)):
            _finish_fold(
                outer, context, writer, search_trials.stop_of_search(writer), Events(listener)
            )


def outer_folds(context: SearchContext) -> tuple[CVFold, ...]:
    """Return the outer folds, as many as the search itself has."""
    plan = CrossValidationPlan(folds=context.tune.folds or DEFAULT_FOLDS)
    return assign_folds(context.fits.dataset, plan, context.file.config.seed)


def check_outer_folds(context: SearchContext) -> None:
    """Refuse outer folds that leave too few rows, before anything is trained.

    Raises:
        DataError: for too few rows, groups or times.
    """
    for outer in outer_folds(context):
        dataset, _ = exclude_fold(context.fits.dataset, outer, context.file.config)
        make_splits(dataset, context.tune, context.file.config.seed)


def exclude_fold(dataset: Dataset, outer: CVFold, config: Config) -> tuple[Dataset, Split]:
    """Return the rows of a search without an outer fold, and the split to train its best config.

    Args:
        dataset: all rows.
        outer: the fold.
        config: reads `data.validation`.
    """
    split = outer.split(config, dataset)
    indices = dataset.candidate_indices[outer.rows.train]
    return replace(dataset, candidate_indices=indices, split=replace(split, test=None)), split


def _finish_fold(
    outer: CVFold,
    context: SearchContext,
    writer: RunWriter,
    stop: StopOnSignal,
    events: Events,
) -> documents.NestedFold:
    """Return the stored result of an outer fold, or search without it and store the result."""
    result = _read(writer, outer)
    if result is None:
        with stop.handling_signals():
            result = _search_without(outer, context, stop)
            writer.write_partial_result(outer.number, result)
            folds = context.tune.folds or DEFAULT_FOLDS
            events.emit(NestedEvent(of=folds, result=result))
    return result


def _search_without(
    outer: CVFold, context: SearchContext, stop: StopOnSignal
) -> documents.NestedFold:
    config = context.file.config
    dataset, split = exclude_fold(context.fits.dataset, outer, config)
    inner = replace(context, splits=make_splits(dataset, context.tune, config.seed))
    results = run_inner_trials(inner, outer, stop)
    best = documents.best_trial(results, context.plan.direction)
    found = None if best is None else evaluate_best(context, best, split, stop)
    return documents.NestedFold(
        fold=outer.fold,
        train=split.train.rows,
        held_out=len(outer.rows.held_out),
        trials=len(results),
        values={} if best is None else best.values,
        inner=None if best is None else best.value,
        value=None if found is None or found.value is None else finite(found.value),
        metrics={} if found is None else found.metrics,
    )


def run_inner_trials(
    context: SearchContext, outer: CVFold, stop: StopOnSignal
) -> tuple[documents.TrialResult, ...]:
    """Run the trials of a search in memory; an interrupted one starts over."""
    from optuna.storages import InMemoryStorage

    plan = replace(context.plan, name=f"{context.plan.name}-{outer.fold}")
    study = Study(plan, InMemoryStorage())
    search_trials.run_trials(context, study, TimeBudget(context.tune.time), stop, Events())
    return study.results()


def evaluate_best(
    context: SearchContext, best: documents.TrialResult, split: Split, stop: StopOnSignal
) -> search_trials.TrialEvaluation | None:
    """Evaluate the best config on the outer fold; `None` if it can't be trained on the others."""
    config = candidate(context.file, best.values).config
    try:
        result = context.fits.fit(config, split, stop)
    except (
        errors.ConfigError,
        errors.DataError,
        errors.DivergenceError,
        errors.OutOfMemoryError,
    ) as error:
        release_memory(error)
        return None
    return search_trials.evaluate(result, context.plan.objective)


def _read(writer: RunWriter, outer: CVFold) -> documents.NestedFold | None:
    """Read the stored result of an outer fold; `None` if it is not finished."""
    what = f"outer fold {outer.fold}"
    stored = writer.read_partial_result(outer.number, documents.NestedFold, what)
    if stored is None:
        return None
    result, _ = stored
    if (result.fold, result.held_out) != (outer.fold, len(outer.rows.held_out)):
        message = f"the stored result of {what} is of other rows; start the search again"
        raise errors.RunError(f"{writer.path}: {message}")
    return result


def combine(
    nested: Sequence[documents.NestedFold], metric: str | None = None, loss: Loss | None = None
) -> Estimate:
    """Return the metric of a whole search, estimated on the rows of its outer folds.

    The mean over outer folds, weighted by their rows, with the interval of `corrected_interval`.
    As each value is of rows that were not used to choose, the mean is free of the optimistic bias
    of the choice: Cawley and Talbot, JMLR 11 (2010); Varma and Simon, BMC Bioinformatics 7 (2006).

    Args:
        nested: the outer folds, which together are all rows once.
        metric: its name, which bounds the interval.
        loss: the loss, if the metric is the loss.
    """
    known = [(each, each.value) for each in nested if each.value is not None]
    if not known:
        return Estimate()
    rows = np.array([max(1, each.held_out) for each, _ in known], dtype=np.float64)
    ratio = float(np.mean(rows / [max(1, each.train) for each, _ in known]))
    values = np.array([value for _, value in known])
    bounds = metric_bounds(metric or "")
    if loss is not None and metric in ("loss", "val_loss"):
        bounds = loss.bounds
    found = corrected_interval(values, rows, ratio, bounds)
    if len(known) == len(nested):
        return found
    missing = f"{len(nested) - len(known)} of {len(nested)} outer folds have no value"
    return Estimate(value=found.value, reason=missing)
