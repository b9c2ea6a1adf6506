"""Nested cross-validation: the whole search, evaluated on rows that it did not use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from dlcli.config import Config, candidate
from dlcli.errors import ConfigError, DivergenceError, OutOfMemoryError, RunError
from dlcli.metrics import finite
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.cross_validation import CVFold, Plan, assign_folds
from dlcli.pipeline.data_loading import Dataset, read_candidates
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.objective import Evaluation, evaluate, make_pruner
from dlcli.pipeline.run_recording import read_unit, write_unit
from dlcli.pipeline.search_context import SearchContext, SearchPlan, TimeBudget, make_splits
from dlcli.pipeline.search_document import NestedFold, TrialResult, best_trial
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import SearchAccess, run_trials, stop_of_search
from dlcli.pipeline.worker_pool import run_workers
from dlcli.runs import FOLDS, RunWriter, locked
from dlcli.splitting import Split

DEFAULT_FOLDS = 5
"""Number of outer folds if the search itself has no folds."""


def evaluate_search(
    context: SearchContext,
    plan: SearchPlan,
    writer: RunWriter,
    stop: StopOnSignal,
    events: Events,
) -> tuple[NestedFold, ...]:
    """Repeat the search without each outer fold, and evaluate its best config on that fold.

    Each search has the budget, sampler and seed of the original one. Its best config is trained as
    in a cross-validation: a share for validation is held out of the training rows. Finished outer
    folds are stored in the run folder, and not repeated when the search is resumed.

    Args:
        context: what all trials of the search share.
        plan: what its candidates depend on.
        writer: the run folder.
        stop: ends it when a signal arrives.
        events: receives each outer fold.

    Raises:
        Interrupted: if a signal has arrived.
        DataError: if there are too few rows for such folds.
        RunError: if a stored result is damaged.
    """
    _store_plan(writer, context)
    results = []
    for outer in outer_folds(context):
        result = _read(writer, outer)
        if result is None:
            with stop.handling_signals():
                result = _search_without(outer, context, plan, stop)
                _store(writer, context, result, events)
        results.append(result)
    return tuple(results)


def run_nested_workers(
    access: SearchAccess, jobs: int, context: SearchContext, writer: RunWriter, listener: Listener
) -> None:
    """Search without the outer folds in several processes; `evaluate_search` collects the results.

    Args:
        access: the search.
        jobs: the number of processes.
        context: what all trials of the search share.
        writer: the run folder.
        listener: receives each outer fold, and a warning for each process that was lost.

    Raises:
        Interrupted: if a signal has arrived.
        DlcliError: see `run_trials`.
    """
    _store_plan(writer, context)
    run_workers(partial(run_nested_worker, access), jobs, writer, listener)


def run_nested_worker(access: SearchAccess, listener: Listener) -> None:
    """Search without those outer folds that no other process has taken.

    Args:
        access: the search.
        listener: receives each outer fold.

    Raises:
        Interrupted: if a signal has arrived.
        DlcliError: see `run_trials`.
    """
    writer = RunWriter(access.folder)
    file = access.file
    with file.located():
        context = SearchContext.of(file, read_candidates(file, Events()), Events())
        plan = SearchPlan.of(file)
        for outer in outer_folds(context):
            with _claimed(writer, outer) as is_claimed:
                if is_claimed and _read(writer, outer) is None:
                    stop = stop_of_search(writer)
                    with stop.handling_signals():
                        result = _search_without(outer, context, plan, stop)
                        _store(writer, context, result, Events(listener))


def outer_folds(context: SearchContext) -> tuple[CVFold, ...]:
    """Return the outer folds, as many as the search itself has."""
    plan = Plan(folds=context.tune.folds or DEFAULT_FOLDS)
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


def _search_without(
    outer: CVFold, context: SearchContext, plan: SearchPlan, stop: StopOnSignal
) -> NestedFold:
    config = context.file.config
    dataset, split = exclude_fold(context.fits.dataset, outer, config)
    inner = replace(context, splits=make_splits(dataset, context.tune, config.seed))
    results = _run_inner_trials(inner, plan, outer, stop)
    best = best_trial(results, plan.direction)
    found = None if best is None else _evaluate_best(context, best, split, stop)
    return NestedFold(
        fold=outer.fold,
        held_out=len(outer.rows.held_out),
        trials=len(results),
        values={} if best is None else best.values,
        inner=None if best is None else best.value,
        value=None if found is None or found.value is None else finite(found.value),
        metrics={} if found is None else found.metrics,
    )


def _run_inner_trials(
    context: SearchContext, plan: SearchPlan, outer: CVFold, stop: StopOnSignal
) -> tuple[TrialResult, ...]:
    """Run the trials of a search in memory; an interrupted one starts over."""
    from optuna.storages import InMemoryStorage

    plan = replace(plan, name=f"{plan.name}-{outer.fold}")
    pruner = make_pruner(context.tune.pruner, context.steps)
    study = Study(plan, InMemoryStorage(), pruner=pruner)
    run_trials(context, study, TimeBudget(context.tune.time), stop, Events())
    return study.results()


def _evaluate_best(
    context: SearchContext, best: TrialResult, split: Split, stop: StopOnSignal
) -> Evaluation | None:
    """Evaluate the best config on the outer fold; `None` if it can't be trained on the others."""
    config = candidate(context.file, best.values).config
    try:
        result = context.fits.fit(config, split, lambda *_: None, stop)
    except (ConfigError, DivergenceError, OutOfMemoryError):
        return None
    return evaluate(result, context.objective)


def _read(writer: RunWriter, outer: CVFold) -> NestedFold | None:
    """Read the stored result of an outer fold; `None` if it is not finished."""
    what = f"outer fold {outer.fold}"
    stored = read_unit(writer, outer.number, NestedFold, what)
    if stored is None:
        return None
    result, _ = stored
    if (result.fold, result.held_out) != (outer.fold, len(outer.rows.held_out)):
        message = f"the stored result of {what} is of other rows; start the search again"
        raise RunError(f"{writer.path}: {message}")
    return result


def _store(writer: RunWriter, context: SearchContext, result: NestedFold, events: Events) -> None:
    write_unit(writer, result.fold, result)
    folds = context.tune.folds or DEFAULT_FOLDS
    events.emit("nested", of=folds, **result.model_dump(mode="json"))


def _store_plan(writer: RunWriter, context: SearchContext) -> None:
    """Create the folder for the results of outer folds, or check the existing one."""
    if os.path.lexists(writer.path / FOLDS):
        writer.read_plan()
    else:
        writer.write_plan({"folds": context.tune.folds or DEFAULT_FOLDS})


@contextmanager
def _claimed(writer: RunWriter, outer: CVFold) -> Iterator[bool]:
    """Lock an outer fold for this process; yields whether no other process has locked it."""
    folder = writer.path / FOLDS / f".{outer.number}.held"
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except RunError:
            yield False
        else:
            yield True
