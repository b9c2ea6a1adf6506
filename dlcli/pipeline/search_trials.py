"""Evaluate the trials of a search one after the other, in one process or in each of several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError

from dlcli.config.config_file import ConfigFile, Tables
from dlcli.config.search_space import Value, candidate
from dlcli.errors import ConfigError, DataError, DivergenceError, OutOfMemoryError, plural
from dlcli.metrics.intervals import standard_error
from dlcli.metrics.statistic import Mean, Number, Statistic, mean_of_all, positive_weights
from dlcli.pipeline import search_storage
from dlcli.pipeline.events import DefaultEvent, Events, Listener, TrialEvent, TrialProgressEvent
from dlcli.pipeline.fit import FitResult, release_memory
from dlcli.pipeline.members import FitObserver, MemberProgress
from dlcli.pipeline.preparation import read_candidates
from dlcli.pipeline.search_context import LOSS, SearchContext, SearchPlan, TimeBudget
from dlcli.pipeline.search_study import RunningTrial, Study
from dlcli.pipeline.worker_pool import threads_per_worker, worker_name
from dlcli.runs import documents
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import NO_CHECKPOINTS, Checkpointer, StopOnSignal
from dlcli.workers import NO_OTHERS, Workers

_POLL_SECONDS = 1.0
"""Time between two looks at the trials of other processes."""
_POLLS_PER_CHECK = 15
"""Looks after which it is checked whether those processes are alive."""


@dataclass(frozen=True)
class TrialEvaluation:
    """A network, evaluated on the held-out rows of one fold."""

    value: float | None
    """The metric that is optimized; `None` if it is undefined."""
    standard_error: float | None
    """Its standard error over rows."""
    metrics: Mapping[str, float | None]
    """All metrics that are single numbers."""
    parameters: int
    epochs: int
    best_epoch: int


def evaluate(result: FitResult, objective: str) -> TrialEvaluation:
    """Evaluate a trained network on its held-out rows.

    The loss is the weighted mean over rows. It has no regularization penalty, which `val_loss` has:
    the penalty differs between candidates, and is no error of the predictions.

    Args:
        result: the trained network.
        objective: the metric that is optimized, or `loss`.
    """
    name = result.evaluation_set
    metrics, trained = documents.scalar_metrics(result.metrics(name)), result.training
    statistic: Statistic
    if objective == LOSS:
        weights, losses = positive_weights(result.encoded[name].weights, row_losses(result, name))
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


def row_losses(result: FitResult, name: str) -> NDArray[np.float64]:
    """Return the loss of each row of a set, (rows,), without weights and regularization penalty."""
    from dlcli.training.objectives import keras_loss

    section, predictions = result.job.head.loss, result.predictions(name)
    loss = keras_loss(section)
    loss.reduction = "none"
    encoded, width = result.encoded[name].target, predictions.outputs.shape[1]
    labels = predictions.task.loss_labels(encoded, section, width)
    return np.asarray(loss(labels, predictions.outputs), dtype=np.float64)


@dataclass
class TrialReporter:
    """Reports intermediate values of a candidate to Optuna, and ends it when it is pruned."""

    plan: SearchPlan
    report: Callable[[float, int], bool] = lambda *_: False
    """Stores a value at a step, and returns whether to prune the candidate."""
    workers: Workers = NO_OTHERS
    """Those that train the candidate together, which prune it if worker 0 does."""
    last: float | None = field(default=None, init=False)
    """The last reported value."""
    epochs: int = field(default=0, init=False)
    """Finished epochs of the current fold."""

    def progress(self, fold: int) -> MemberProgress:
        """Return the progress function of a fold, from 1; it raises `optuna.TrialPruned`."""
        self.epochs = 0

        def progress(member: int, epoch: int, values: Mapping[str, float]) -> None:
            if member == 1:  # the later steps of a study stand for folds
                self.epochs = epoch
            is_due = fold == 1 and member == 1 and epoch % self.plan.report_interval == 0
            if is_due and self.plan.prunes_at_epochs:
                self._report_value(values.get(self.plan.metric), epoch)

        return progress

    def finish_fold(self, number: int, value: float | None) -> None:
        """Report the mean over the folds so far.

        Raises:
            optuna.TrialPruned: if the candidate is pruned.
        """
        self._report_value(value, self.plan.step_after_fold(number))

    def _report_value(self, value: float | None, step: int) -> None:
        if value is None or not math.isfinite(value):
            return
        self.last = value
        lost: UpdateFinishedTrialError | None = None
        try:
            is_pruned = self.report(value, step)
        except UpdateFinishedTrialError as error:  # others retry it, see `Study.keep_alive`
            is_pruned, lost = True, error
        is_pruned = self.workers.gather(is_pruned)[0]
        if lost is not None:
            raise lost
        if is_pruned:
            raise TrialPruned


def run_trials(
    context: SearchContext, study: Study, budget: TimeBudget, stop: StopOnSignal, events: Events
) -> None:
    """Evaluate candidates until there are enough or the time is over.

    Before the first candidate, its process evaluates the original config. However short the time
    is, one candidate is evaluated.

    Args:
        context: what all trials share.
        study: starts and stores them.
        budget: the time in which trials may start.
        stop: ends the search when a signal arrives; it handles signals already.
        events: receives each trial once it is stored, and `progress`.

    Raises:
        Interrupted: if a signal has arrived; the running trial is retried when the search resumes.
        ConfigError, DataError: if the original config can't be trained.
        TrainingError: if results can't be stored.
    """
    polls = 0
    while not (budget.is_over and study.results()):
        stop.check()
        running = study.ask()
        if running is not None:
            with study.keep_alive(running):
                _run_trial(context, study, running, budget, stop, events)
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
    events: Events,
) -> None:
    plan, results = study.plan, study.results()
    metric, of = plan.metric, plan.trials
    best, value = _best(study, results)
    events.emit(
        TrialProgressEvent(
            trial=len(results) + 1, of=of, metric=metric, best=best, best_value=value
        )
    )
    if running.number == 0 and study.default is None:
        reporter = TrialReporter(plan, workers=context.fits.workers)
        default = evaluate_candidate(context, {}, reporter, stop)
        study.default = default
        events.emit(DefaultEvent(metric=metric, result=default))

    reporter = TrialReporter(plan, partial(study.report, running), context.fits.workers)
    result = evaluate_candidate(context, running.values, reporter, stop)
    study.tell(running, result, budget.spent)
    results = study.results()
    best, value = _best(study, results)
    events.emit(
        TrialEvent(
            number=running.number,
            of=of,
            ended=len(results),
            metric=metric,
            of_folds=len(context.splits) if len(context.splits) > 1 else None,
            result=result,
            best=best,
            best_value=value,
        )
    )


def _best(study: Study, results: Sequence[documents.TrialResult]) -> tuple[int | None, Number]:
    """Return number and value of the best trial so far."""
    best = documents.best_trial(results, study.plan.direction)
    return (None, None) if best is None else (best.number, best.value)


def evaluate_candidate(
    context: SearchContext,
    values: Mapping[str, Value],
    reporter: TrialReporter,
    checkpointer: Checkpointer,
) -> documents.TrialResult:
    """Train the config with other values on each fold, and evaluate it.

    In a cluster, worker 0 announces the values to the others, see `join_trial`.

    Args:
        context: what all trials share.
        values: by path of the dimension; empty for the original config.
        reporter: reports intermediate values, and may prune the candidate.
        checkpointer: ends training when a signal arrives.

    Returns:
        The result without a number; a candidate that diverges, runs out of memory or has an invalid
        config has a result, too.

    Raises:
        DataError: if the original config can't be trained on the rows.
        Interrupted: if a signal has arrived.
    """
    start, plan, workers = time.perf_counter(), context.plan, context.fits.workers
    folds: list[TrialEvaluation] = []
    if workers.rank == 0:
        workers.gather({"values": dict(values)})

    def result(
        state: documents.TrialEnd,
        value: float | None,
        **fields: Any,  # noqa: ANN401
    ) -> documents.TrialResult:
        found: dict[str, Any] = {
            "folds": tuple(each.value for each in folds) if len(context.splits) > 1 else (),
            "metrics": documents.mean_metrics([each.metrics for each in folds]),
            "parameters": max((each.parameters for each in folds), default=None),
            "epochs": documents.rounded_median([each.epochs for each in folds]),
            "best_epoch": documents.rounded_median([each.best_epoch for each in folds]),
            "seconds": round(time.perf_counter() - start, 3),
            "worker": worker_name(),
        }
        found |= fields
        return documents.TrialResult(number=None, state=state, values=values, value=value, **found)

    try:
        config = candidate(context.file, values).config
        for number, split in enumerate(context.splits, start=1):
            observer = FitObserver(reporter.progress(number))
            rows = context.rows_of(config, split)
            # No variable holds the network: a candidate that runs out of memory is to free it.
            folds.append(
                evaluate(context.fits.fit(config, rows, checkpointer, observer), plan.objective)
            )
            if number < len(context.splits):
                reporter.finish_fold(number, mean_of_all(each.value for each in folds))
    except TrialPruned:
        epochs = documents.rounded_median([each.epochs for each in folds]) or reporter.epochs
        return result("pruned", reporter.last, epochs=epochs)
    except (ConfigError, DataError, DivergenceError, OutOfMemoryError) as error:
        fails_all = isinstance(error, DataError) and not values  # whatever is tried on these rows
        leaves_others = isinstance(error, OutOfMemoryError) and workers.size > 1
        if fails_all or leaves_others:  # who wait for this worker, and can only end with it
            raise
        return result("failed", None, problem=release_memory(error))
    mean = mean_of_all(each.value for each in folds)
    if mean is None:
        return result("failed", None, problem=f"{plan.metric} is undefined")
    error_of_mean = folds[0].standard_error  # over rows
    if len(folds) > 1:
        error_of_mean = standard_error_of_folds([each.value for each in folds])
    return result("complete", mean, standard_error=error_of_mean)


def join_trial(context: SearchContext, values: Mapping[str, Value]) -> None:
    """Evaluate a candidate that worker 0 has announced, on another worker of its cluster.

    Raises:
        DataError: see `evaluate_candidate`.
    """
    reporter = TrialReporter(context.plan, workers=context.fits.workers)
    evaluate_candidate(context, values, reporter, NO_CHECKPOINTS)


def stop_of_search(writer: RunWriter, study: Study | None = None) -> StopOnSignal:
    """Return the object that ends the training of a candidate when a signal arrives.

    Args:
        writer: the run.
        study: gives the number of finished trials for the message.
    """
    results = study.results if study else tuple
    return StopOnSignal(writer, lambda: plural(len(results()), "trial"), resumable=True)


@dataclass(frozen=True)
class SearchAccess:
    """The access of a process to a search; it can be pickled."""

    folder: Path
    """The run folder, which the process that started the search has locked."""
    run: str
    """The token of the run folder."""
    storage: str | None
    """The URL of the storage with its password; `None`: it is in the folder."""
    jobs: int = 1
    """The number of processes on this machine."""
    budget: TimeBudget = field(default_factory=lambda: TimeBudget(None))
    """The time in which trials may start."""
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
        """Prepare the context of a worker process; the parent has reported what concerns the rows.

        Raises:
            DlcliError: see `SearchContext.of`.
        """
        file = self.file
        threads = threads_per_worker(file.config.threads, self.jobs)
        file = replace(file, config=file.config.model_copy(update={"threads": threads}))
        with file.located():
            yield SearchContext.of(file, read_candidates(file, Events()), Events())

    def open_study(self, plan: SearchPlan) -> Study:
        """Open the study, which is to be closed.

        Raises:
            UsageError, RunError, TrainingError: if its storage can't be used.
        """
        if self.storage is None:
            return Study(plan, search_storage.open_journal(self.folder), self.run)
        storage = search_storage.open_database(self.storage)
        with search_storage.explaining_unusable_database(self.storage):
            return Study(plan, storage, self.run)


def run_search_worker(access: SearchAccess, listener: Listener) -> None:
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
        with (
            stop.handling_signals(),
            search_storage.explaining_lost_storage(access.folder, access.storage),
        ):
            run_trials(context, study, access.budget, stop, Events(listener))


def standard_error_of_folds(values: Sequence[Number]) -> Number:
    """Return the standard error `S / √k` of the values of `k` folds; `None` for fewer than two.

    As the rule of one standard error does (Breiman, Friedman, Olshen and Stone, Classification and
    Regression Trees, 1984, 3.4.3), it takes folds for independent.

    Args:
        values: the metric of each fold; undefined ones are ignored.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    deviation = documents.standard_deviation(known)
    return None if deviation is None else deviation / math.sqrt(len(known))
