"""Evaluate a config by cross-validation: one fit for each fold, evaluated on its held-out rows."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from dlcli import errors
from dlcli.arrays import floats, integers
from dlcli.columns.value_problems import ValueNote, merge_notes
from dlcli.config import training_choices
from dlcli.config.config_file import ConfigFile, Tables, dump_config, load_config
from dlcli.config.config_schema import Config
from dlcli.config.data_section import TimeSplit
from dlcli.config.decision_section import Decision
from dlcli.diagnosis.case import Magnitudes
from dlcli.metrics.definitions import main_metric
from dlcli.network.layers import Network
from dlcli.pipeline import cv_summary, events, run_recording
from dlcli.pipeline.baselines import fit_linear_if_possible
from dlcli.pipeline.cv_groups import FoldRows
from dlcli.pipeline.fit import FitContext, FitResult, release_memory
from dlcli.pipeline.members import FitObserver, MemberProgress, fit_each
from dlcli.pipeline.preflight import prepare_example
from dlcli.pipeline.preparation import Dataset, read_candidates, warn_of_notes
from dlcli.pipeline.run_recording import Recording
from dlcli.pipeline.train_run import train_child_run
from dlcli.pipeline.worker_pool import run_workers, threads_per_worker
from dlcli.prediction.gates import GateResult, check_gate, required_baselines
from dlcli.prediction.groups import check_group_columns, split_names
from dlcli.prediction.predictions import THRESHOLD, HeldOut
from dlcli.runs.documents import CrossValidation, FoldResult, scalar_metrics, some_epochs
from dlcli.runs.manifest import FOLDS, RunFile, locked
from dlcli.runs.run import Run
from dlcli.runs.run_writer import RunWriter, check_folder
from dlcli.safe_files import Document, parse_document
from dlcli.splitting import Fold, Split, hold_out, make_folds
from dlcli.tables.table import Table
from dlcli.tasks.decision import fit_decision
from dlcli.tasks.task import StoredPredictions
from dlcli.training_job import Job, StopOnSignal

MOST_FOLDS = 100_000
"""Maximum number of folds, and of repeats."""
PROGRESS_SECONDS = 0.2
"""Minimum time between two progress events."""
REFIT = "refit"
"""The run folder of the final training, inside the folder of the cross-validation."""
_SEEDS = 2**32
_LEAST_THRESHOLD = 1e-9


class CrossValidationPlan(Document):
    """The numbers of folds and repeats of a cross-validation."""

    folds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] = 5
    """Number of folds."""
    repeats: Annotated[int, Field(ge=1, le=MOST_FOLDS)] = 1
    """Number of times that the rows are split into folds at random."""
    refit: bool = False
    """True to train a final network on all rows."""
    by: Annotated[tuple[str, ...], Field(strict=False)] = ()  # a list in JSON
    """Columns by whose groups the rows are also evaluated; names may be joined by commas."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads of the final training, which parallel folds share; set at the start."""

    @property
    def fits(self) -> int:
        """The number of folds over all repeats."""
        return self.folds * self.repeats

    @classmethod
    def of(cls, writer: RunWriter) -> Self:
        """Read the plan of an unfinished cross-validation.

        Raises:
            RunError: if it is damaged.
        """
        name, way_out = f"{writer.path}: its plan", "; start the cross-validation again"
        return parse_document(cls, writer.read_plan(), name, way_out)


def cross_validate(
    source: ConfigFile | Path,
    plan: CrossValidationPlan = CrossValidationPlan(),  # noqa: B008  (it is frozen)
    output: Path | None = None,
    listener: events.Listener = events.ignore,
    jobs: int = 1,
    tables: Tables | None = None,
) -> Run:
    """Train a config without each fold in turn, and evaluate it on the rows of that fold.

    Args:
        source: the config; or the run folder of an interrupted cross-validation, whose unfinished
            folds are then trained, with the same result as without the interruption.
        plan: numbers of folds and repeats; ignored if a cross-validation is resumed.
        output: the folder of a new run, which must not exist. [default: `runs/<name>-cv`,
            `runs/<name>-cv-2`, ...]
        listener: receives events.
        jobs: number of processes that train folds in parallel. They share the threads, unless the
            config sets a number of threads. With a set number, `jobs` changes no bit of the result.
        tables: the tables in memory of an interrupted cross-validation.

    Returns:
        The run, of kind `cv`.

    Raises:
        DlcliError: the folder of a new run is then removed, unless a fold is finished or a signal
            has arrived, so the run can be resumed.
    """
    with run_recording.recorded(source, "cv", output, listener, tables) as recording:
        if recording.writer is not None:
            plan = CrossValidationPlan.of(recording.writer)
        return _cross_validate(recording, plan, jobs)


def _cross_validate(recording: Recording, plan: CrossValidationPlan, jobs: int) -> Run:
    file, log = recording.file, recording.events
    config = file.config
    if recording.writer is None and jobs > 1:
        plan = plan.model_copy(update={"threads": threads_per_worker(config.threads)})
    dataset = read_candidates(file, log)
    group_columns = _group_columns(plan, config, dataset.candidates)
    folds = assign_folds(dataset, plan, config.seed)
    check_folds(folds, config, dataset)
    example, fit_plan = prepare_example(config, dataset, folds[0].split(config, dataset), log)
    every = Split(dataset.candidates, dataset.split.validation, None)
    images = run_recording.image_fingerprints(replace(example, split=every))
    context = FitContext(dataset, config, log, plan.fits, keep_encodings=False)
    device = context.device if jobs == 1 else None  # workers load TensorFlow themselves
    threads = threads_per_worker(config.threads, jobs) if device is None else device.threads
    resolve = partial(run_recording.resolved_config, file, example, fit_plan, of_folds=True)
    with recording.begin(
        partial(resolve, threads=threads),
        device,
        images,
        store_inputs=lambda writer: writer.write_plan(plan.model_dump()),
    ) as writer:
        log.emit(events.RunEvent(folder=str(writer.path)))
        resolved, path = recording.resolved, str(writer.path)
        finished = _fit_folds(folds, resolved, context, jobs, writer, log, file.tables)
        notes: defaultdict[str, list[Sequence[ValueNote]]] = defaultdict(list)
        for each in finished:
            for rows, noted in each.stored.notes.items():
                notes[rows].append(noted)
        for rows, by_fold in notes.items():
            warn_of_notes(rows, merge_notes(by_fold, len(folds)), log)
        found, predictions = cv_summary.combine_folds(
            finished, file.name, resolved, plan.repeats, dataset, path
        )
        writer.write_table(RunFile.PREDICTIONS, predictions)
        writer.write_text(RunFile.CROSS_VALIDATION, found.model_dump_json())
        refitted = None
        if found.best_epochs is not None:
            refit = refit_config(resolved.on_all_rows(), found.best_epochs, log)
            refit = _with_threshold(refit, predictions, dataset, path)
            if plan.threads is not None:
                refit = refit.model_copy(update={"threads": plan.threads})
            writer.write_text(RunFile.REFIT, dump_config(refit))
            refitted = _refit(writer, log, file.tables) if plan.refit else None
        fold_rows, groups, gates = None, None, None
        if group_columns:
            encoders = {each.column: each for each in example.encoding.features}
            fold_rows = FoldRows.of(predictions, resolved, dataset, encoders, path)
            groups = fold_rows.measure(group_columns)
            writer.write_text(RunFile.GROUPS, groups.model_dump_json())
        if resolved.gates:
            gates = run_recording.store_gates(_check_gates(resolved, found, fold_rows), writer)
        log.emit(
            events.CrossValidationResultEvent(
                run=str(writer.path),
                metrics=found.pooled,
                result=found,
                groups=None if groups is None else groups.columns,
                thresholds=found.thresholds,
                gates=gates,
                refit=str(refitted.path) if isinstance(refitted, Run) else None,
                refit_problem=refitted if isinstance(refitted, str) else None,
            )
        )
        return writer.finish("cv")


def _with_threshold(refit: Config, predictions: pa.Table, dataset: Dataset, path: str) -> Config:
    """Return the config of the final training with the threshold of all held-out rows.

    Without validation rows, it can't choose a threshold; the rows of all folds, each predicted by
    networks that were not trained on it, are used instead, weighted for `data.prevalence`.
    """
    section = refit.decision
    if section is None or not section.needs_rows or refit.has_validation:
        return refit
    held = HeldOut.of(
        StoredPredictions(predictions, f"{path}: its predictions"),
        dataset.task.for_loss(refit.loss),
    )
    task = held.task.with_frequencies(held.values, held.weights, refit)
    weighted = task.at_prevalence(held)
    threshold = fit_decision(section, task.classes, weighted, "validation").threshold
    inner = float(np.clip(threshold or 0.0, _LEAST_THRESHOLD, 1 - _LEAST_THRESHOLD))
    return refit.model_copy(update={"decision": Decision(threshold=inner)})


def _group_columns(plan: CrossValidationPlan, config: Config, table: Table) -> list[str]:
    """Return the columns by whose groups rows are evaluated.

    Args:
        plan: its `by` is the option `--by`.
        config: reads `evaluate_by` and the gates.
        table: all rows.

    Raises:
        DataError: if the table lacks a column.
    """
    columns = split_names([*plan.by, *config.group_columns], table.columns)
    check_group_columns(table, columns)
    return columns


def _check_gates(config: Config, found: CrossValidation, rows: FoldRows | None) -> list[GateResult]:
    """Check all gates except gates of training rows on the rows of all folds.

    Args:
        config: the resolved config of the folds.
        found: the result.
        rows: the rows with their predictions, for gates on groups.
    """
    results = []
    for name, gate in (config.gates or {}).items():
        if name.startswith("train."):
            continue
        if gate.for_each is None:
            pooled = found.pooled.get(name.partition(".")[2])
            results.append(check_gate(name, gate, pooled, found.baselines, "rows of all folds"))
        elif rows is not None:
            results.append(rows.check(name, gate))
    return results


@dataclass(frozen=True, eq=False)
class CVFold:
    """One fold of one repeat."""

    number: int
    """The number of the fit, from 1."""
    repeat: int
    """From 1."""
    fold: int
    """From 1."""
    rows: Fold
    """Indices of the candidate rows that are trained on and held out."""

    @property
    def name(self) -> str:
        """The name of the fold in messages."""
        return f"fold {self.fold} of repeat {self.repeat}"

    def config(self, config: Config) -> Config:
        """Return the config to train; each repeat has another seed."""
        seed = (config.seed + self.repeat - 1) % _SEEDS
        return config.model_copy(update={"seed": seed})

    def split(self, config: Config, dataset: Dataset) -> Split:
        """Return the rows of this fold: the fold is the test set, the other rows are for training.

        If the config has a share for validation, these rows are drawn from the training rows, so
        the fold has no influence on early stopping.

        Args:
            config: reads `data.validation`.
            dataset: all rows.

        Raises:
            DataError: if too few training rows are left; see `check_folds`.
        """
        train, held_out = (dataset.candidates.take(indices) for indices in self.rows)
        if not _holds_out_share(config):
            is_share = isinstance(config.data.validation, float)
            return Split(train, None if is_share else dataset.split.validation, held_out)
        inner = self.hold_out(config, dataset, train)
        return Split(train.take(inner.train), train.take(inner.held_out), held_out)

    def hold_out(self, config: Config, dataset: Dataset, train: Table) -> Fold:
        """Split the training rows into training and validation rows, as indices.

        Args:
            config: its `data.validation` is their share.
            dataset: its `split` section is used.
            train: the training rows; only the columns that the split depends on are read.

        Raises:
            DataError: if too few training rows are left.
        """
        share, seed = config.data.validation, (config.seed, self.repeat, self.fold)
        assert isinstance(share, float)
        return hold_out(train, dataset.split_choice, dataset.task.class_column, share, seed)


def assign_folds(dataset: Dataset, plan: CrossValidationPlan, seed: int) -> tuple[CVFold, ...]:
    """Split the candidate rows into folds, once for each repeat.

    Args:
        dataset: all rows.
        plan: numbers of folds and repeats.
        seed: the seed of the config.

    Raises:
        UsageError: if all repeats would have the same folds.
        DataError: if there are too few rows, groups or times.
    """
    choice, classes = dataset.split_choice, dataset.task.class_column
    if plan.repeats > 1 and isinstance(choice, TimeSplit):
        message = (
            f"folds in time order are the same in each repeat; omit {errors.option('repeats')}"
        )
        raise errors.UsageError(message)
    folds: list[CVFold] = []
    for repeat in range(1, plan.repeats + 1):
        key = seed, repeat
        assigned = make_folds(dataset.candidates, choice, classes, plan.folds, key)
        for fold, rows in enumerate(assigned, start=1):
            folds.append(CVFold(len(folds) + 1, repeat, fold, rows))
    return tuple(folds)


def check_folds(folds: Sequence[CVFold], config: Config, dataset: Dataset) -> None:
    """Refuse folds with too few training rows to hold out validation rows, before any training.

    Args:
        folds: all folds.
        config: reads `data.validation`.
        dataset: all rows.

    Raises:
        DataError: with the number of the fold.
    """
    if not _holds_out_share(config):
        return
    # Taking rows of many columns is slow.
    names = [dataset.task.columns[0], *dataset.split_choice.columns]
    rows = dataset.candidates.only(names)
    for each in folds:
        try:
            each.hold_out(config, dataset, rows.take(each.rows.train))
        except errors.DataError as error:
            error.add_note(
                f"  this happens in {each.name}, because data.validation holds out training rows; "
                f"choose another {errors.option('folds')}, or omit data.validation: "
                f"{errors.override('data.validation', None)}"
            )
            raise


def _holds_out_share(config: Config) -> bool:
    """Return whether validation rows are held out from the training rows of each fold."""
    return isinstance(config.data.validation, float) and not config.data.train_on_validation


def _fit_folds(
    folds: Sequence[CVFold],
    config: Config,
    context: FitContext,
    jobs: int,
    writer: RunWriter,
    log: events.Events,
    tables: Tables,
) -> list[cv_summary.FinishedFold]:
    """Train all folds that are not finished yet, in this process or in several others.

    Returns:
        The results, in order.

    Raises:
        Interrupted: if a signal has arrived.
        ConfigError, DataError, DivergenceError: if no fold could be trained.
        TrainingError: if all worker processes were killed.
    """
    found = {each.number: read_fold(writer, each, context.dataset) for each in folds}
    done = sum(fold is not None for fold in found.values())
    if done:
        log.emit(events.KeptEvent(folds=done, of=len(found)))
    stop = StopOnSignal(
        writer, lambda: f"{done:,} of {errors.plural(len(folds), 'fold')}", resumable=True
    )
    training = _FoldTraining(folds, config, context, writer, stop)
    epochs = _EpochCount(len(folds), config.epochs * config.networks, log)

    def listen(event: events.Event) -> None:
        nonlocal done
        if isinstance(event, events.FoldEvent):
            done += 1
            writer.has_partial_results = True
        if isinstance(event, events.WarningEvent):
            log.warn_once(event)
        else:
            log.emit(event)

    def train(fold: CVFold, progress: MemberProgress) -> cv_summary.FinishedFold:
        epochs.begin(fold.number)
        finished = training.fit(fold, progress)
        epochs.end(fold.number)
        training.store(fold, finished, listen)
        return finished

    missing = [each for each in folds if found[each.number] is None]
    if missing and jobs > 1:
        worker = partial(run_fold_worker, writer.path, tables)
        run_workers(worker, min(jobs, len(missing)), stop, listen)
    else:
        with stop.handling_signals():  # a signal between two folds ends the next fold
            # The first fold compiles the program and determines how many to train in parallel.
            for some in (missing[:1], missing[1:]):
                fitted = fit_each(some, train, epochs.add, context.at_once)
                found |= zip((each.number for each in some), fitted, strict=True)
    for each in missing:
        found[each.number] = found[each.number] or read_fold(writer, each, context.dataset)
    results = [fold for each in folds if (fold := found[each.number]) is not None]
    _check_any_trained(results, writer)
    return results


def run_fold_worker(folder: Path, tables: Tables, listener: events.Listener) -> None:
    """Train the folds of a cross-validation that no other process trains.

    Args:
        folder: the run folder, locked by the process that started the cross-validation.
        tables: the tables in memory of the config.
        listener: receives each fold, and warnings.

    Raises:
        Interrupted: if a signal has arrived.
        DlcliError: if the result of a fold can't be stored.
    """
    writer = RunWriter(folder)
    file, plan = replace(writer.config_file, tables=tables), CrossValidationPlan.of(writer)
    warnings = events.Events(listener).only(events.WarningEvent)
    with file.located():
        config, dataset = file.config, read_candidates(file, events.Events())
        context = FitContext(dataset, config, warnings, plan.fits, keep_encodings=False)
        folds = assign_folds(dataset, plan, config.seed)
        stop = StopOnSignal(writer, lambda: "some folds", resumable=True)
        training = _FoldTraining(folds, config, context, writer, stop)
        with stop.handling_signals():
            for each in unclaimed_folds(writer, folds):
                if read_fold(writer, each, dataset) is None:
                    training.store(each, training.fit(each, lambda *_: None), listener)


def unclaimed_folds(writer: RunWriter, folds: Sequence[CVFold]) -> Iterator[CVFold]:
    """Yield the folds that no other process trains.

    Each fold is locked by this process until the next fold is yielded or the process ends.

    Args:
        writer: the run folder, whose plan is stored.
        folds: all folds.
    """
    for fold in folds:
        folder = writer.path / FOLDS / f".{fold.number}.held"
        with suppress(FileExistsError):
            folder.mkdir()
        check_folder(folder)
        with suppress(errors.RunError), locked(folder):  # unless another process has locked it
            yield fold


class _EpochCount:
    """Reports the progress of a fold, at its beginning and at intervals.

    If several folds are trained in parallel, the first one is reported.
    """

    def __init__(self, folds: int, epochs: int, log: events.Events) -> None:
        self._folds = folds
        self._epochs = epochs
        self._log = log
        self._trained: dict[int, int] = {}
        self._due = 0.0
        self._lock = threading.Lock()

    def begin(self, fold: int) -> None:
        """Report a fold, unless an earlier fold is not finished."""
        with self._lock:
            self._trained[fold] = 0
            self._report(fold)

    def add(self, fold: int, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Count an epoch, and report it if the interval has passed."""
        with self._lock:
            self._trained[fold] += 1
            if time.monotonic() >= self._due:
                self._report(fold)

    def end(self, fold: int) -> None:
        """Forget a fold that is finished."""
        with self._lock:
            del self._trained[fold]

    def _report(self, fold: int) -> None:
        if fold == min(self._trained):
            self._due = time.monotonic() + PROGRESS_SECONDS
            epoch, of = self._trained[fold], self._epochs
            self._log.emit(
                events.FoldProgressEvent(done=fold - 1, epoch=epoch, folds=self._folds, of=of)
            )


class _FoldObserver(FitObserver):
    """Keeps the network that diverged."""

    network: Network | None = None

    def diverged(self, error: errors.DivergenceError, job: Job) -> Magnitudes:
        self.network = job.network
        return super().diverged(error, job)


@dataclass(eq=False)
class _FoldTraining:
    """Trains folds in one process, and stores their results."""

    folds: Sequence[CVFold]
    """All folds."""
    config: Config
    context: FitContext
    writer: RunWriter
    stop: StopOnSignal
    _storing: threading.Lock = field(default_factory=threading.Lock)

    def fit(self, fold: CVFold, progress: MemberProgress) -> cv_summary.FinishedFold:
        """Train one fold and evaluate it; a failed fold also has a result, so others continue."""
        start, config, context = time.perf_counter(), self.config, self.context
        split, observer = fold.split(config, context.dataset), _FoldObserver(progress)
        notes: defaultdict[str, tuple[ValueNote, ...]] = defaultdict(tuple)

        def take_notes(rows: str, found: Sequence[ValueNote]) -> None:
            notes[rows] += tuple(found)

        def outcome(network: Network | None, **fields: Any) -> FoldResult:  # noqa: ANN401
            """Return a result with the fields that all folds have."""
            return FoldResult(
                repeat=fold.repeat,
                fold=fold.fold,
                train=split.train.rows,
                validation=0 if split.validation is None else split.validation.rows,
                held_out=len(fold.rows.held_out),
                inputs=network.inputs if network else 0,
                parameters=network.trainable_parameters * config.networks if network else 0,
                seconds=round(time.perf_counter() - start, 3),
                **fields,
            )

        try:
            result = context.fit(fold.config(config), split, self.stop, observer, take_notes)
            linear = None
            if "linear" in required_baselines(config.gates):
                warnings = events.Events(context.events.warn_once)
                linear, _ = fit_linear_if_possible(result, self.stop, warnings)
            constant = result.predictor.task.metrics(result.constant_decoded("test"))
            found = outcome(
                result.plan.network,
                epochs=result.training.epochs,
                best_epoch=result.best_epoch,
                metrics=scalar_metrics(result.metrics("test")),
                constant=scalar_metrics(constant),
                history=some_epochs(result.training.history),
                threshold=_own_threshold(result),
            )
            [outputs] = result.predictor.decode(result.constant_outputs[np.newaxis]).decoded
            stored = cv_summary.StoredFold(
                result=found, constant=tuple(map(float, outputs)), notes=notes
            )
            return cv_summary.FinishedFold(stored, _predictions(fold, result, linear))
        except errors.DivergenceError as error:
            epochs, problem = max(error.epoch - 1, 0), release_memory(error)
            failed = outcome(observer.network, epochs=epochs, problem=problem)
            return cv_summary.FinishedFold(cv_summary.StoredFold(result=failed, notes=notes))
        except (errors.ConfigError, errors.DataError) as error:
            failed = outcome(None, epochs=0, problem=release_memory(error))
            cause: Literal["config", "data"] = "config"
            if isinstance(error, errors.DataError):
                cause = "data"
            stored = cv_summary.StoredFold(result=failed, cause=cause, notes=notes)
            return cv_summary.FinishedFold(stored, caught=error.with_traceback(None))

    def store(
        self, fold: CVFold, finished: cv_summary.FinishedFold, listener: events.Listener
    ) -> None:
        """Store a finished fold, and report it."""
        result, last = finished.result, self.folds[-1]
        metric = main_metric(self.config.metrics or (), result.metrics)
        with self._storing:
            self.writer.write_partial_result(fold.number, finished.stored, finished.predictions)
            listener(
                events.FoldEvent(result=result, of=last.fold, repeats=last.repeat, metric=metric)
            )


def _predictions(fold: CVFold, result: FitResult, linear: FitResult | None) -> pa.Table:
    """Return the predictions for a fold's rows, also of the linear model if there is one."""
    columns = {
        name: integers(np.full(len(fold.rows.held_out), number, np.int64))
        for name, number in (("repeat", fold.repeat), ("fold", fold.fold))
    }
    predictions = result.prediction_table("test", columns)
    if (threshold := _own_threshold(result)) is not None:
        thresholds = floats(np.full(predictions.num_rows, threshold))
        predictions = predictions.append_column(THRESHOLD, thresholds)
    if linear is None:
        return predictions
    return cv_summary.with_linear_predictions(predictions, linear.predictions("test").columns())


def _own_threshold(result: FitResult) -> float | None:
    """Return the threshold that a fold chose on the held-out rows of its training rows, if any."""
    section, decision = result.config.decision, result.decision
    if section is None or not section.needs_rows or decision is None:
        return None
    return decision.threshold


def read_fold(writer: RunWriter, fold: CVFold, dataset: Dataset) -> cv_summary.FinishedFold | None:
    """Read the stored result of a fold; `None` if it is not finished.

    Raises:
        RunError: if it is damaged, or has other rows.
    """
    stored = writer.read_partial_result(fold.number, cv_summary.StoredFold, fold.name)
    if stored is None:
        return None
    document, predictions = stored
    result, path = document.result, f"{writer.path}: the stored result of {fold.name}"
    fits = (result.repeat, result.fold) == (fold.repeat, fold.fold)
    if predictions is None:
        fits &= result.problem is not None
    else:
        rows = dataset.candidates.row_numbers[fold.rows.held_out]
        fits = fits and np.array_equal(StoredPredictions(predictions, path).integers("row"), rows)
    if not fits:
        raise errors.RunError(f"{path} belongs to other rows; start the cross-validation again")
    return cv_summary.FinishedFold(document, predictions)


def _check_any_trained(results: Sequence[cv_summary.FinishedFold], writer: RunWriter) -> None:
    """Refuse a cross-validation in which every fold failed.

    Raises:
        ConfigError, DataError: the first such error, if any.
        DivergenceError: with the failure of the first fold.
    """
    if any(each.result.problem is None for each in results):
        return
    writer.not_resumable = True  # it would fail again
    for each in results:
        if each.error is not None:
            raise each.error
    first = results[0].result
    message = f"all {len(results)} folds failed, the first with: {first.problem}"
    raise errors.DivergenceError(message, first.epochs + 1)


def refit_config(config: Config, epochs: int, log: events.Events) -> Config:
    """Return the config that trains on all rows except test rows, for a fixed number of epochs.

    Early stopping is impossible without validation rows, so training ends after the median of the
    folds' best epochs.

    Args:
        config: the config of the folds.
        epochs: the median of the best epochs over the folds.
        log: receives a warning if the schedule or a gate can't be kept.
    """
    if config.ensemble_folds is not None:  # early stopping of each member still uses its fold
        return config
    data = config.data
    if isinstance(data.validation, float):
        data = data.model_copy(update={"train_on_validation": True})
    schedule = _refit_schedule(config, epochs, has_validation=data.has_validation)
    if schedule is None:
        message = (
            f"{RunFile.REFIT}: learning_rate_schedule requires validation rows, but the final "
            "training uses them as training rows; the learning rate stays constant"
        )
        log.warn(message)
    gates = config.gates or {}
    lost = [name for name in gates if name.startswith("validation.") and not data.has_validation]
    for name in lost:
        message = (
            "requires validation rows, but the final training uses them as training rows; "
            "this gate is skipped"
        )
        log.warn(f"{RunFile.REFIT}: gates.{name} {message}")
    evaluate_by = config.evaluate_by
    if evaluate_by and data.test is None and not data.has_validation:
        log.warn(f"{RunFile.REFIT}: evaluate_by requires held-out rows; it is omitted")
        evaluate_by = None
    return config.model_copy(
        update={
            "data": data,
            "evaluate_by": evaluate_by,
            "early_stopping": None,
            "epochs": epochs,
            "stop_after_epoch": None,
            "learning_rate_schedule": schedule or training_choices.ConstantLearningRate(),
            "gates": {name: gates[name] for name in gates if name not in lost} or None,
        }
    )


def _refit_schedule(
    config: Config, epochs: int, *, has_validation: bool
) -> training_choices.Schedule | None:
    """Return a schedule that has the same rates in its epochs as the folds had, if possible."""
    schedule = config.learning_rate_schedule
    if isinstance(schedule, training_choices.ReduceOnPlateau):
        watches_validation = schedule.monitor.startswith("val_")
        return None if watches_validation and not has_validation else schedule
    if isinstance(schedule, training_choices.PiecewiseConstant):
        count = sum(boundary < epochs for boundary in schedule.boundaries)
        if not count:
            return training_choices.ConstantLearningRate()
        boundaries, values = schedule.boundaries[:count], schedule.values[:count]
        return training_choices.PiecewiseConstant(boundaries=boundaries, values=values)
    if isinstance(schedule, training_choices.CosineDecay):
        # The default decay ends with the last epoch, which is now earlier. Shorten the warmup.
        decay = schedule.decay_epochs or config.epochs - schedule.warmup_epochs
        warmup = min(schedule.warmup_epochs, epochs - 1)
        return schedule.model_copy(update={"decay_epochs": decay, "warmup_epochs": warmup})
    if isinstance(schedule, training_choices.CosineDecayRestarts):
        first = schedule.first_decay(config.epochs)
        cycles = type(schedule)().cycles  # which has no effect with the length of the first one
        return schedule.model_copy(update={"first_decay_epochs": first, "cycles": cycles})
    return schedule


def _refit(writer: RunWriter, log: events.Events, tables: Tables) -> Run | str:
    """Train `refit.yaml` as the run `refit/`, or resume it.

    Returns:
        The run; if it can't be trained, the reason for a warning.

    Raises:
        Interrupted: if a signal has arrived; the message contains the command to resume the
            cross-validation.
    """
    file = load_config(writer.path / RunFile.REFIT, tables=tables)

    def pass_on(event: events.Event) -> None:
        if isinstance(
            event, events.EpochEvent | events.TrainedEvent
        ):  # which the run's own log has
            log.listener(event)

    has_test = file.config.data.test is not None
    log.emit(events.RefitEvent(run=str(writer.path / REFIT), has_test=has_test))
    try:
        return train_child_run(writer.path, REFIT, file, pass_on)
    except (
        errors.ConfigError,
        errors.DivergenceError,
        errors.OutOfMemoryError,
        errors.UsageError,
    ) as error:
        problem = release_memory(error)
        log.warn(f"the final training on all rows failed: {problem}")
        return problem
