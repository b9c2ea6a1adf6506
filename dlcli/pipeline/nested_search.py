"""Nested cross-validation: the whole search, evaluated on rows that it did not use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from dlcli.config import Config, candidate
from dlcli.errors import ConfigError, DivergenceError, OutOfMemoryError, RunError
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.cross_validation import CVFold, assign_folds
from dlcli.pipeline.cross_validation import Plan as Folds
from dlcli.pipeline.data_loading import Dataset, read_candidates
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.objective import Judgement, judge, pruner_of
from dlcli.pipeline.run_recording import read_unit, write_unit
from dlcli.pipeline.search_context import Budget, Plan, Work, parts_of
from dlcli.pipeline.search_document import NestedFold, TrialResult, best_trial
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import Site, run_trials, trial_stop
from dlcli.pipeline.worker_pool import work_together
from dlcli.runs import FOLDS, RunWriter, locked
from dlcli.splitting import Split

USUAL = 5
"""Outer folds, where the search itself has none."""


def judge_search(
    work: Work, plan: Plan, writer: RunWriter, keeper: StopOnSignal, events: Events
) -> tuple[NestedFold, ...]:
    """Searches anew without each outer fold in turn, and judges by its rows what was found.

    Each search has the budget, the sampler and the seed of the one that is judged. Its best config
    is trained as a fold of a cross-validation is: a share for validation is held out of the rows
    that are learned from, and steers. Outer folds that are finished are kept in the run folder, so
    that a search that was ended goes on with the others.

    Args:
        work: what all trials of the search have in common.
        plan: what they follow from.
        writer: the run folder, which keeps what each outer fold came to.
        keeper: ends it when a signal comes.
        events: are told of each outer fold.

    Raises:
        Interrupted: if a signal has come.
        DataError: if there are too few rows for such folds.
        RunError: if what was kept is damaged.
    """
    found = []
    _begin_parts(writer, work)
    for outer in outer_folds(work):
        kept = _read(writer, outer)
        if kept is None:
            with keeper.handling_signals():
                kept = _searched(work, plan, outer, keeper)
                _keep(writer, work, kept, events)
        found.append(kept)
    return tuple(found)


def judge_together(
    site: Site, jobs: int, work: Work, writer: RunWriter, listener: Listener
) -> None:
    """Has processes search without the outer folds, each at another; `judge_search` collects them.

    Args:
        site: where the search is carried out.
        jobs: how many processes there are.
        work: what all trials of the search have in common.
        writer: the run folder, which keeps what each outer fold came to.
        listener: is told of each outer fold, and of processes that were lost.

    Raises:
        Interrupted: if a signal has come.
        DlcliError: of the kind that fits.
    """
    _begin_parts(writer, work)
    work_together(partial(judge_at, site), jobs, writer, listener)


def judge_at(site: Site, listener: Listener) -> None:
    """What each of several processes does: it takes the outer folds that no other is at.

    Args:
        site: where.
        listener: is told of each outer fold.

    Raises:
        Interrupted: if a signal has come.
        DlcliError: of the kind that fits.
    """
    writer = RunWriter(site.folder)
    file = site.file
    with file.located():
        quiet = Events(lambda *_: None)
        work, plan = Work.of(file, read_candidates(file, quiet), quiet), Plan.of(file)
        for outer in outer_folds(work):
            with _claimed(writer, outer) as is_mine:
                if is_mine and _read(writer, outer) is None:
                    keeper = trial_stop(writer)
                    with keeper.handling_signals():
                        found = _searched(work, plan, outer, keeper)
                        _keep(writer, work, found, Events(listener))


def outer_folds(work: Work) -> tuple[CVFold, ...]:
    """The outer folds, as many as the search itself has."""
    folds = Folds(folds=work.tune.folds or USUAL)
    return assign_folds(work.context.dataset, folds, work.file.config.seed)


def check_outer_folds(work: Work) -> None:
    """Refuses outer folds without which too few rows are left, before anything is trained.

    Raises:
        DataError: for too few rows, groups or times.
    """
    for outer in outer_folds(work):
        dataset, _ = without(work.context.dataset, outer, work.file.config)
        parts_of(dataset, work.tune, work.file.config.seed)


def without(dataset: Dataset, outer: CVFold, config: Config) -> tuple[Dataset, Split]:
    """The rows that a search may see which leaves an outer fold out, and how its best is trained.

    Args:
        dataset: all rows.
        outer: the fold.
        config: reads `data.validation`.
    """
    split = outer.split(config, dataset)
    indices = dataset.candidate_indices[outer.rows.train]
    seen = replace(split, test=None)
    return replace(dataset, candidate_indices=indices, split=seen), split


def _searched(work: Work, plan: Plan, outer: CVFold, keeper: StopOnSignal) -> NestedFold:
    """What a search without an outer fold finds, and what the fold says of it."""
    dataset, part = without(work.context.dataset, outer, work.file.config)
    inner = replace(work, parts=parts_of(dataset, work.tune, work.file.config.seed))
    results = _trials(inner, plan, outer, keeper)
    best = best_trial(results, plan.direction)
    judgement = None if best is None else _judged(work, best, part, keeper)
    return NestedFold(
        fold=outer.fold,
        held_out=len(outer.rows.held_out),
        trials=len(results),
        values={} if best is None else best.values,
        inner=None if best is None else best.value,
        value=None if judgement is None else _finite(judgement.value),
        metrics={} if judgement is None else judgement.metrics,
    )


def _trials(work: Work, plan: Plan, outer: CVFold, keeper: StopOnSignal) -> tuple[TrialResult, ...]:
    """The trials of a search in memory; one that is interrupted begins anew."""
    from optuna.storages import InMemoryStorage

    name = f"{plan.name}-{outer.fold}"
    pruner = pruner_of(work.tune.pruner, work.steps)
    study = Study(replace(plan, name=name), InMemoryStorage(), pruner=pruner)
    run_trials(work, study, Budget(work.tune.time), keeper, Events(lambda *_: None))
    return study.results()


def _judged(work: Work, best: TrialResult, part: Split, keeper: StopOnSignal) -> Judgement | None:
    """What the rows say that took no part; `None` if the config can't be trained on the others."""
    config = candidate(work.file, best.values).config
    try:
        outcome = work.context.fit(config, part, lambda *_: None, keeper)
    except (ConfigError, DivergenceError, OutOfMemoryError):
        return None
    return judge(outcome, work.goal)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _read(writer: RunWriter, outer: CVFold) -> NestedFold | None:
    """What an outer fold came to in an earlier process, if it was finished."""
    what = f"outer fold {outer.fold}"
    stored = read_unit(writer, outer.number, NestedFold, what)
    if stored is None:
        return None
    found, _ = stored
    if (found.fold, found.held_out) != (outer.fold, len(outer.rows.held_out)):
        message = f"the stored result of {what} is of other rows; begin the search again"
        raise RunError(f"{writer.path}: {message}")
    return found


def _keep(writer: RunWriter, work: Work, found: NestedFold, events: Events) -> None:
    write_unit(writer, found.fold, found)
    folds = work.tune.folds or USUAL
    events.emit("nested", of=folds, **found.model_dump(mode="json"))


def _begin_parts(writer: RunWriter, work: Work) -> None:
    """Makes the folder for what outer folds come to, or checks the one that is there."""
    if os.path.lexists(writer.path / FOLDS):
        writer.read_plan()
    else:
        writer.write_plan({"folds": work.tune.folds or USUAL})


@contextmanager
def _claimed(writer: RunWriter, outer: CVFold) -> Iterator[bool]:
    """Takes an outer fold for this process, and says whether that went well: no other is at it."""
    folder = writer.path / FOLDS / f".{outer.number}.held"
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except RunError:
            yield False
        else:
            yield True
