"""The whole search judged by rows that it doesn't see: nested cross-validation.

The best of many values is too good, since it is the best. What a search really gives is seen by
searching anew without the rows of each outer fold, and judging by them the one config that comes of
it: Varma and Simon, BMC Bioinformatics 7, 91 (2006); Cawley and Talbot, JMLR 11, 2079 (2010).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from pydantic import ValidationError

from dlcli.config import Config, candidate
from dlcli.errors import ConfigError, DivergenceError, OutOfMemoryError, RunError
from dlcli.pipeline.cross_validation.plan import Plan as Folds
from dlcli.pipeline.cross_validation.rounds import Round, deal_rounds
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.pool import Pool, read_pool
from dlcli.pipeline.selection import NestedFold, TrialResult, best_trial
from dlcli.pipeline.tuning.budget import Budget
from dlcli.pipeline.tuning.goal import Judgement, judge
from dlcli.pipeline.tuning.keeping import TrialKeeper
from dlcli.pipeline.tuning.plan import Plan
from dlcli.pipeline.tuning.pruning import pruner_of
from dlcli.pipeline.tuning.running import run_trials
from dlcli.pipeline.tuning.site import Site
from dlcli.pipeline.tuning.study import Study
from dlcli.pipeline.tuning.work import Work, parts_of
from dlcli.pipeline.tuning.workers import work_together
from dlcli.pipeline.workbench import Part
from dlcli.runs import FOLDS, PartialResult, RunWriter, locked, malformed
from dlcli.splitting import Split

USUAL = 5
"""Outer folds, where the search itself has none."""


def judge_search(
    work: Work, plan: Plan, writer: RunWriter, keeper: TrialKeeper, events: Events
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
            with keeper.heeding_signals():
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
        work, plan = Work.of(file, read_pool(file, quiet), quiet), Plan.of(file)
        for outer in outer_folds(work):
            with _claimed(writer, outer) as is_mine:
                if is_mine and _read(writer, outer) is None:
                    keeper = TrialKeeper(writer, lambda: 0)
                    with keeper.heeding_signals():
                        found = _searched(work, plan, outer, keeper)
                        _keep(writer, work, found, Events(listener))


def outer_folds(work: Work) -> tuple[Round, ...]:
    """The outer folds, as many as the search itself has."""
    folds = Folds(folds=work.tune.folds or USUAL)
    return deal_rounds(work.bench.pool, folds, work.file.config.seed)


def check_outer_folds(work: Work) -> None:
    """Refuses outer folds without which too few rows are left, before anything is trained.

    Raises:
        DataError: for too few rows, groups or times.
    """
    for outer in outer_folds(work):
        pool, _ = without(work.bench.pool, outer, work.file.config)
        parts_of(pool, work.tune, work.file.config.seed)


def without(pool: Pool, outer: Round, config: Config) -> tuple[Pool, Part]:
    """The rows that a search may see which leaves an outer fold out, and how its best is trained.

    Args:
        pool: all rows but those of the test split.
        outer: the fold.
        config: reads `data.validation`.
    """
    part = outer.part(config, pool)
    split = Split(part.train, part.validation, None)
    return replace(pool, rows=pool.rows.take(outer.rows.train), split=split), part


def _searched(work: Work, plan: Plan, outer: Round, keeper: TrialKeeper) -> NestedFold:
    """What a search without an outer fold finds, and what the fold says of it."""
    pool, part = without(work.bench.pool, outer, work.file.config)
    inner = replace(work, parts=parts_of(pool, work.tune, work.file.config.seed))
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


def _trials(work: Work, plan: Plan, outer: Round, keeper: TrialKeeper) -> tuple[TrialResult, ...]:
    """The trials of a search in memory; one that is interrupted begins anew."""
    from optuna.storages import InMemoryStorage

    name = f"{plan.name}-{outer.fold}"
    pruner = pruner_of(work.tune.pruner, work.steps)
    study = Study(replace(plan, name=name), InMemoryStorage(), pruner=pruner)
    run_trials(work, study, Budget(work.tune.time), keeper, Events(lambda *_: None))
    return study.results()


def _judged(work: Work, best: TrialResult, part: Part, keeper: TrialKeeper) -> Judgement | None:
    """What the rows say that took no part; `None` if the config can't be trained on the others."""
    config = candidate(work.file, best.values).config
    try:
        outcome = work.bench.train(config, part, lambda *_: None, keeper)
    except (ConfigError, DivergenceError, OutOfMemoryError):
        return None
    return judge(outcome, work.goal)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _read(writer: RunWriter, outer: Round) -> NestedFold | None:
    """What an outer fold came to in an earlier process, if it was finished."""
    stored = writer.read_partial_result(outer.number)
    if stored is None:
        return None
    place = f"{writer.path}: what is kept of outer fold {outer.fold}"
    try:
        found = NestedFold.model_validate_json(stored.result)
    except ValidationError as error:
        raise RunError(f"{place} {malformed(error)}") from None
    if (found.fold, found.held_out) != (outer.fold, len(outer.rows.held_out)):
        raise RunError(f"{place} is of other rows; begin the search again")
    return found


def _keep(writer: RunWriter, work: Work, found: NestedFold, events: Events) -> None:
    writer.write_partial_result(found.fold, PartialResult(found.model_dump_json()))
    folds = work.tune.folds or USUAL
    events.emit("nested", of=folds, **found.model_dump(mode="json"))


def _begin_parts(writer: RunWriter, work: Work) -> None:
    """Makes the folder for what outer folds come to, or checks the one that is there."""
    if os.path.lexists(writer.path / FOLDS):
        writer.read_plan()
    else:
        writer.write_plan({"folds": work.tune.folds or USUAL})


@contextmanager
def _claimed(writer: RunWriter, outer: Round) -> Iterator[bool]:
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
