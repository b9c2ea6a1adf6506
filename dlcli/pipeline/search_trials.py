"""Evaluation of the trials of a search, one after the other in each process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError

from dlcli import errors
from dlcli.cluster import NO_OTHERS, Workers
from dlcli.config.config_file import ConfigFile, Tables
from dlcli.config.config_schema import Config
from dlcli.config.search_space import Value, candidate
from dlcli.config.training_choices import Loss
from dlcli.metrics.definitions import metric_bounds
from dlcli.metrics.intervals import Estimate, corrected_interval, standard_error
from dlcli.metrics.statistic import Mean, Number, Statistic, finite, mean_of_all, positive_weights
from dlcli.pipeline import cross_validation, events, search_study
from dlcli.pipeline.fit import FitResult, release_memory
from dlcli.pipeline.members import FitObserver, MemberProgress
from dlcli.pipeline.preparation import Dataset, read_candidates
from dlcli.pipeline.search_plan import LOSS, SearchContext, SearchPlan, TimeBudget, make_splits
from dlcli.pipeline.search_study import RunningTrial, Study
from dlcli.pipeline.worker_pool import run_workers, threads_per_worker, worker_name
from dlcli.runs import documents
from dlcli.runs.run_writer import RunWriter
from dlcli.splitting import Split
from dlcli.training_job import NO_CHECKPOINTS, Checkpointer, StopOnSignal

_FAILURES = errors.ConfigError, errors.DataError, errors.DivergenceError, errors.OutOfMemoryError
"""The errors of a candidate that can't be trained."""
_POLL_SECONDS = 1.0
"""Time between two queries of the trials of other processes."""
_POLLS_PER_CHECK = 15
"""Number of queries after which the search checks whether these processes are alive."""


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search that do not change its candidates."""

    jobs: int = 1
    """Number of processes that evaluate candidates in parallel."""
    storage: str | None = None
    """The URL of a database that processes and machines share; `None` for a file in the run
    folder."""
    nested: bool = False
    """True to also evaluate the whole search by nested cross-validation."""
    ensemble: int | None = None
    """Number of the best candidates to combine into an ensemble; `None` for no ensemble."""


# One candidate


@dataclass(frozen=True)
class TrialEvaluation:
    """A network, evaluated on the held-out rows of one fold."""

    value: float | None
    """The optimized metric; `None` if undefined."""
    standard_error: float | None
    """Its standard error over rows."""
    metrics: Mapping[str, float | None]
    """All metrics that are single numbers."""
    parameters: int
    epochs: int
    best_epoch: int


def evaluate(result: FitResult, objective: str) -> TrialEvaluation:
    """Evaluate a trained network on its held-out rows.

    The loss is the weighted mean over rows. Unlike `val_loss`, it excludes the regularization
    penalty, which differs between candidates and does not depend on the predictions.

    Args:
        result: the trained network.
        objective: the optimized metric, or `loss`.
    """
    name = result.evaluation_set
    metrics, trained = documents.scalar_metrics(result.metrics(name)), result.training
    statistic: Statistic
    if objective == LOSS:
        weights, losses = positive_weights(result.encoded[name].weights, result.row_losses(name))
        statistic = Mean(weights, losses[np.newaxis])
        metrics = {LOSS: statistic.value, **metrics}
    else:
        statistic = result.predictor.task.statistics(result.decoded(name))[objective]
    return TrialEvaluation(
        value=metrics[objective],
        standard_error=standard_error(statistic),
        metrics=metrics,
        parameters=result.parameters,
        epochs=trained.epochs,
        best_epoch=result.best_epoch or trained.epochs,
    )


@dataclass
class TrialReporter:
    """Reports intermediate values of a candidate to Optuna, and ends it if it is pruned."""

    plan: SearchPlan
    report: Callable[[float, int], bool] = lambda *_: False
    """Stores a value at a step, and returns whether to prune the candidate."""
    workers: Workers = NO_OTHERS
    """The workers that train the candidate, and prune it if worker 0 does."""
    last: float | None = field(default=None, init=False)
    """The last reported value."""
    epochs: int = field(default=0, init=False)
    """Finished epochs of the current fold."""

    def progress(self, fold: int) -> MemberProgress:
        """Return the progress function of a fold, from 1; it raises `optuna.TrialPruned`."""
        self.epochs = 0

        def progress(member: int, epoch: int, values: Mapping[str, float]) -> None:
            if member == 1:  # the later steps of a study are folds
                self.epochs = epoch
            is_due = fold == 1 and member == 1 and epoch % self.plan.report_interval == 0
            if is_due and self.plan.prunes_at_epochs:
                self.report_value(values.get(self.plan.tune.metric), epoch)

        return progress

    def report_value(self, value: float | None, step: int) -> None:
        """Report the metric at an epoch of the first fold, or the mean over the folds so far.

        Raises:
            optuna.TrialPruned: if the candidate is pruned.
        """
        if value is None or not math.isfinite(value):
            return
        self.last = value
        lost: UpdateFinishedTrialError | None = None
        try:
            is_pruned = self.report(value, step)
        except UpdateFinishedTrialError as error:  # to be retried, see `Study.keep_alive`
            is_pruned, lost = True, error
        is_pruned = self.workers.gather(is_pruned)[0]
        if lost is not None:
            raise lost
        if is_pruned:
            raise TrialPruned


def run_trials(
    context: SearchContext,
    study: Study,
    budget: TimeBudget,
    stop: StopOnSignal,
    log: events.Events,
) -> None:
    """Evaluate candidates until there are enough or the time limit is reached.

    The process of the first candidate evaluates the original config first. At least one candidate
    is evaluated, regardless of the time limit.

    Args:
        context: the state that all trials share.
        study: starts and stores trials.
        budget: the time limit for starting trials.
        stop: ends the search on a signal; its handlers are already installed.
        log: receives each stored trial, and `progress`.

    Raises:
        Interrupted: if a signal arrived; the running trial is retried when the search resumes.
        ConfigError, DataError: if the original config can't be trained.
        TrainingError: if results can't be stored.
    """
    polls = 0
    while not (budget.is_over and study.results()):
        stop.check()
        running = study.ask()
        if running is not None:
            with study.keep_alive(running):
                _run_trial(context, study, running, budget, stop, log)
        elif not study.is_shared or not study.unfinished:
            return
        else:
            time.sleep(_POLL_SECONDS)
            polls += 1
            if polls % _POLLS_PER_CHECK == 0:
                study.retry_lost()


def _run_trial(
    context: SearchContext,
    study: Study,
    running: RunningTrial,
    budget: TimeBudget,
    stop: StopOnSignal,
    log: events.Events,
) -> None:
    plan, folds, workers = study.plan, len(context.splits), context.fits.workers

    def standing() -> dict[str, Any]:
        """Return the metric and number of trials of the search, and the best trial so far."""
        best = documents.best_trial(study.results(), plan.direction)
        number, value = (None, None) if best is None else (best.number, best.value)
        return {
            "of": plan.trials,
            "metric": plan.tune.metric,
            "best": number,
            "best_value": value,
        }

    log.emit(events.TrialProgressEvent(trial=len(study.results()) + 1, **standing()))
    if running.number == 0 and study.default is None:
        default = evaluate_candidate(context, {}, TrialReporter(plan, workers=workers), stop)
        study.default = default
        log.emit(events.DefaultEvent(metric=plan.tune.metric, result=default))
    reporter = TrialReporter(plan, partial(study.report, running), workers)
    result = evaluate_candidate(context, running.values, reporter, stop)
    study.tell(running, result, budget.spent)
    log.emit(
        events.TrialEvent(
            number=running.number,
            ended=len(study.results()),
            of_folds=folds if folds > 1 else None,
            result=result,
            **standing(),
        )
    )


def evaluate_candidate(
    context: SearchContext,
    values: Mapping[str, Value],
    reporter: TrialReporter,
    checkpointer: Checkpointer,
) -> documents.TrialResult:
    """Train the config with other values on each fold, and evaluate it.

    In a cluster, worker 0 sends the values to the other workers, see `join_trial`.

    Args:
        context: the state that all trials share.
        values: the values by path of the dimension; empty for the original config.
        reporter: reports intermediate values, and may prune the candidate.
        checkpointer: ends training on a signal.

    Returns:
        The result, without a number. A candidate that diverges, runs out of memory or has an
        invalid config also has a result.

    Raises:
        DataError: if the original config can't be trained on the rows.
        Interrupted: if a signal has arrived.
    """
    start, plan, workers = time.perf_counter(), context.plan, context.fits.workers
    folds: list[TrialEvaluation] = []
    if workers.rank == 0:
        workers.gather({"values": dict(values)})

    def result(
        state: documents.TrialEnd, value: float | None = None, **fields: object
    ) -> documents.TrialResult:
        known = documents.TrialResult(
            number=None,
            state=state,
            values=values,
            value=value,
            folds=tuple(each.value for each in folds) if len(context.splits) > 1 else (),
            metrics=documents.mean_metrics([each.metrics for each in folds]),
            parameters=max((each.parameters for each in folds), default=None),
            epochs=documents.rounded_median([each.epochs for each in folds]),
            best_epoch=documents.rounded_median([each.best_epoch for each in folds]),
            seconds=round(time.perf_counter() - start, 3),
            worker=worker_name(),
        )
        return known.model_copy(update=fields)

    try:
        config = candidate(context.file, values).config
        for number, split in enumerate(context.splits, start=1):
            observer = FitObserver(reporter.progress(number))
            rows = context.rows_of(config, split)
            # No variable references the network, so a candidate that runs out of memory frees it.
            folds.append(
                evaluate(context.fits.fit(config, rows, checkpointer, observer), plan.objective)
            )
            if number < len(context.splits):
                mean = mean_of_all(each.value for each in folds)
                reporter.report_value(mean, plan.step_after_fold(number))
    except TrialPruned:
        epochs = documents.rounded_median([each.epochs for each in folds]) or reporter.epochs
        return result("pruned", reporter.last, epochs=epochs)
    except _FAILURES as error:
        # All candidates fail on these rows, or the other workers can only end with this worker.
        fails_all = isinstance(error, errors.DataError) and not values
        leaves_others = isinstance(error, errors.OutOfMemoryError) and workers.size > 1
        if fails_all or leaves_others:
            raise
        return result("failed", problem=release_memory(error))
    mean = mean_of_all(each.value for each in folds)
    if mean is None:
        return result("failed", problem=f"{plan.tune.metric} is undefined")
    error_of_mean = folds[0].standard_error  # over rows
    if len(folds) > 1:
        error_of_mean = standard_error_of_folds([each.value for each in folds])
    return result("complete", mean, standard_error=error_of_mean)


def join_trial(context: SearchContext, values: Mapping[str, Value]) -> None:
    """Evaluate a candidate from worker 0 on another worker of the cluster.

    Raises:
        DataError: see `evaluate_candidate`.
    """
    reporter = TrialReporter(context.plan, workers=context.fits.workers)
    evaluate_candidate(context, values, reporter, NO_CHECKPOINTS)


def stop_of_search(writer: RunWriter, study: Study | None = None) -> StopOnSignal:
    """Return the object that ends the training of a candidate on a signal.

    Args:
        writer: the run.
        study: the study, for the number of finished trials in the message.
    """
    results = study.results if study else tuple
    return StopOnSignal(writer, lambda: errors.plural(len(results()), "trial"), resumable=True)


@dataclass(frozen=True)
class SearchAccess:
    """The access of a process to a search; it can be pickled."""

    folder: Path
    """The run folder, locked by the process that started the search."""
    run: str
    """The token of the run folder."""
    storage: str | None
    """The URL of the database with its password; `None` for a file in the run folder."""
    jobs: int = 1
    """The number of processes on this machine."""
    budget: TimeBudget = field(default_factory=TimeBudget)
    """The time limit, after which no trial starts."""
    tables: Tables = field(default_factory=dict)

    @property
    def file(self) -> ConfigFile:
        """The search's config.

        Raises:
            RunError: if it is damaged.
        """
        file = RunWriter(self.folder).config_file
        return replace(file, tables=self.tables)

    @contextmanager
    def context(self) -> Iterator[SearchContext]:
        """Prepare the context of a worker process, without repeating the parent's warnings.

        Raises:
            DlcliError: see `SearchContext.of`.
        """
        file, log = self.file, events.Events()
        threads = threads_per_worker(file.config.threads, self.jobs)
        file = replace(file, config=file.config.model_copy(update={"threads": threads}))
        with file.located():
            yield SearchContext.of(file, read_candidates(file, log), log)

    def open_study(self, plan: SearchPlan) -> Study:
        """Open the study; the caller must close it.

        Raises:
            UsageError, RunError, TrainingError: if its storage can't be used.
        """
        if self.storage is None:
            return Study(plan, search_study.open_journal(self.folder), self.run)
        with search_study.explaining_unusable_database(self.storage):
            return Study(plan, search_study.open_database(self.storage), self.run)

    def explaining_lost_storage(self) -> AbstractContextManager[None]:
        """Explain why trials can no longer be stored, see `search_study`."""
        return search_study.explaining_lost_storage(self.folder, self.storage)


def run_search_worker(access: SearchAccess, listener: events.Listener) -> None:
    """Evaluate candidates in one of several processes until there are enough.

    Args:
        access: the search.
        listener: receives the trials.

    Raises:
        Interrupted: if a signal has arrived.
        DlcliError: see `run_trials`.
    """
    with access.context() as context, closing(access.open_study(context.plan)) as study:
        stop = stop_of_search(RunWriter(access.folder), study)
        with stop.handling_signals(), access.explaining_lost_storage():
            run_trials(context, study, access.budget, stop, events.Events(listener))


def standard_error_of_folds(values: Sequence[Number]) -> Number:
    """Return the standard error `S / √k` of the values of `k` folds; `None` for fewer than two.

    Like the one-standard-error rule (Breiman, Friedman, Olshen and Stone, Classification and
    Regression Trees, 1984, 3.4.3), it assumes that folds are independent.

    Args:
        values: the metric of each fold; undefined ones are ignored.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    deviation = documents.standard_deviation(known)
    return None if deviation is None else deviation / math.sqrt(len(known))


# The whole search, evaluated on outer folds


def evaluate_search(
    access: SearchAccess,
    context: SearchContext,
    writer: RunWriter,
    stop: StopOnSignal,
    log: events.Events,
) -> tuple[documents.NestedFold, ...]:
    """Repeat the search without each outer fold, and evaluate its best config on that fold.

    Each search has the budget, sampler and seed of the original one. Its best config is trained as
    in a cross-validation: a share for validation is held out of the training rows. Finished outer
    folds are stored in the run folder, and not repeated when the search is resumed.

    Args:
        access: the search, for its other processes.
        context: the state that all trials share.
        writer: the run folder.
        stop: ends the evaluation when a signal arrives.
        log: receives each outer fold, and a warning for each lost process.

    Raises:
        Interrupted: if a signal has arrived.
        DataError: if there are too few rows for the outer folds.
        RunError: if a stored result is damaged.
        DlcliError: see `run_trials`.
    """
    if writer.has_plan:
        writer.read_plan()
    else:
        writer.write_plan({"folds": context.outer_folds})
    if access.jobs > 1:
        task = partial(run_nested_worker, access)
        run_workers(task, access.jobs, stop, log.emit)
    outers = outer_folds(context)
    return tuple(_finish_fold(outer, context, writer, stop, log) for outer in outers)


def run_nested_worker(access: SearchAccess, listener: events.Listener) -> None:
    """Repeat the search for each outer fold that no other process evaluates.

    Args:
        access: the search.
        listener: receives each outer fold.

    Raises:
        Interrupted: if a signal has arrived.
        DlcliError: see `run_trials`.
    """
    writer = RunWriter(access.folder)
    with access.context() as context:
        for outer in cross_validation.unclaimed_folds(writer, outer_folds(context)):
            _finish_fold(outer, context, writer, stop_of_search(writer), events.Events(listener))


def outer_folds(context: SearchContext) -> tuple[cross_validation.CVFold, ...]:
    """Return the outer folds, as many as the search itself has."""
    plan = cross_validation.CrossValidationPlan(folds=context.outer_folds)
    return cross_validation.assign_folds(context.fits.dataset, plan, context.plan.seed)


def check_outer_folds(context: SearchContext) -> None:
    """Refuse outer folds that leave too few rows, before anything is trained.

    Raises:
        DataError: if there are too few rows, groups or times.
    """
    for outer in outer_folds(context):
        dataset, _ = exclude_fold(context.fits.dataset, outer, context.file.config)
        make_splits(dataset, context.plan)


def exclude_fold(
    dataset: Dataset, outer: cross_validation.CVFold, config: Config
) -> tuple[Dataset, Split]:
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
    outer: cross_validation.CVFold,
    context: SearchContext,
    writer: RunWriter,
    stop: StopOnSignal,
    log: events.Events,
) -> documents.NestedFold:
    """Return the stored result of an outer fold, or search without it and store the result."""
    what, held_out = f"outer fold {outer.fold}", len(outer.rows.held_out)
    if stored := writer.read_partial_result(outer.number, documents.NestedFold, what):
        result, _ = stored
        if (result.fold, result.held_out) != (outer.fold, held_out):
            message = f"the stored result of {what} belongs to other rows; start the search again"
            raise errors.RunError(f"{writer.path}: {message}")
        return result
    with stop.handling_signals():
        result = _search_without(outer, context, stop)
        writer.write_partial_result(outer.number, result)
        log.emit(events.NestedEvent(of=context.outer_folds, result=result))
    return result


def _search_without(
    outer: cross_validation.CVFold, context: SearchContext, stop: StopOnSignal
) -> documents.NestedFold:
    config = context.file.config
    dataset, split = exclude_fold(context.fits.dataset, outer, config)
    inner = replace(context, splits=make_splits(dataset, context.plan))
    results = run_inner_trials(inner, stop)
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
    context: SearchContext, stop: StopOnSignal
) -> tuple[documents.TrialResult, ...]:
    """Run the trials of a search in memory; an interrupted one starts over."""
    from optuna.storages import InMemoryStorage

    study = Study(context.plan, InMemoryStorage())
    run_trials(context, study, TimeBudget(context.plan.tune.time), stop, events.Events())
    return study.results()


def evaluate_best(
    context: SearchContext, best: documents.TrialResult, split: Split, stop: StopOnSignal
) -> TrialEvaluation | None:
    """Evaluate the best config on the outer fold; `None` if it can't be trained on the others."""
    config = candidate(context.file, best.values).config
    try:
        result = context.fits.fit(config, split, stop)
    except _FAILURES as error:
        release_memory(error)
        return None
    return evaluate(result, context.plan.objective)


def combine(
    nested: Sequence[documents.NestedFold], metric: str | None = None, loss: Loss | None = None
) -> Estimate:
    """Return the metric of a whole search, estimated on the rows of its outer folds.

    It is the mean over outer folds, weighted by their rows, with the interval of
    `corrected_interval`. The rows of an outer fold have no influence on its search, so the
    selection does not make the mean too optimistic: Cawley and Talbot, JMLR 11 (2010); Varma and
    Simon, BMC Bioinformatics 7 (2006).

    Args:
        nested: the outer folds, which together contain each row once.
        metric: the name of the metric, whose range limits the interval.
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
