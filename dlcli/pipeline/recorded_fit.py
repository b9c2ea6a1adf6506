"""Fit the network of a run with checkpoints, and store its results in the run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Indices, strings
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config
from dlcli.data_checks.sample import draw
from dlcli.errors import DivergenceError, RunError, plural
from dlcli.explanation.explaining import explain
from dlcli.explanation.explanation_document import Explanation
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.metrics.statistic import Metrics, Number, finite
from dlcli.pipeline import run_recording
from dlcli.pipeline.baselines import Baselines
from dlcli.pipeline.events import (
    ClusterFigures,
    DivergedEvent,
    EpochEvent,
    Events,
    MemberEvent,
    ResumedEvent,
    ScalingLayerEvent,
    TrainedEvent,
    TrainingResultEvent,
)
from dlcli.pipeline.fit import FitObserver, FitResult, advise, fit, release_memory
from dlcli.pipeline.members import FactorTrial
from dlcli.pipeline.preparation import FitPlan, FitRows
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.prediction.gates import GateResult, check_gate
from dlcli.runs.manifest import DIVERGED, RunFile
from dlcli.runs.run import initial_weights_option
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import Job, RunCheckpointer, TrainingResult
from dlcli.workers import Workers

SAMPLE_ROWS = 2_000
"""Training rows whose predictions are stored, at most."""


def fit_with_checkpoints(
    rows: FitRows, plan: FitPlan, writer: RunWriter, events: Events
) -> FitResult:
    """Fit, or resume it; after a divergence, finish the run with the last finite weights.

    Args:
        rows: the encoded rows.
        plan: the network, and how it is trained; its config has the time between checkpoints.
        writer: the run, which stores checkpoints.
        events: receives each epoch.

    Raises:
        DivergenceError: if the loss or the weights become NaN or infinite.
        TrainingError: if a checkpoint or the weights can't be stored.
        Interrupted: if a signal has arrived.
    """
    start, workers = time.perf_counter(), rows.storage.workers
    reporter = _FitReporter(plan.config, events)
    seconds = plan.config.checkpoint.seconds
    checkpointer = RunCheckpointer(writer, seconds, reporter.resumed, workers)
    try:
        with checkpointer.handling_signals():
            result = fit(rows, plan, checkpointer, reporter)
    except DivergenceError as error:
        release_memory(error)
        _save_last_finite(rows, plan, writer, error)
        raise
    seconds = round(time.perf_counter() - start, 3)
    reporter.trained(result, workers, seconds)
    return result


class _FitReporter(FitObserver):
    """Emits the events of a fit."""

    def __init__(self, config: Config, events: Events) -> None:
        super().__init__()
        self.config = config
        self.events = events
        self.epochs = 0
        """The number of epochs so far, of all networks."""

    def epoch(self, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Report an epoch of a network."""
        self.epochs += 1
        # JSON has no NaN, which a metric may well be: r2 of a constant target.
        known = {name: finite(value) for name, value in values.items()}
        of = self.config.epochs
        self.events.emit(EpochEvent(**self._which(member), epoch=epoch, of=of, values=known))

    def member(self, number: int, trained: TrainingResult) -> None:
        """Report that a member of an ensemble is trained."""
        if self.config.ensemble is not None:
            members, epochs = self.config.ensemble.members, trained.epochs
            best = trained.best_epoch
            self.events.emit(
                MemberEvent(member=number, members=members, epochs=epochs, best_epoch=best)
            )

    def factor_trial(self, trial: FactorTrial) -> None:
        """Report whether an ensemble has factors of columns."""
        loss: Mapping[Literal["with", "without"], Number]
        loss = {"with": finite(trial.with_factors), "without": finite(trial.without)}
        kept = not trial.leaves_out
        self.events.emit(ScalingLayerEvent(kept=kept, val_loss=loss, rows=trial.rows))

    def diverged(self, error: DivergenceError, job: Job) -> None:
        """Add notes on the likely causes, and report the magnitudes that they are based on."""
        self.events.emit(DivergedEvent(magnitudes=advise(error, job)))

    def resumed(self, epochs: int, member: int | None) -> None:
        """Report that the training of a network is resumed, unless it is on trial."""
        if member is None or member <= self.config.networks:
            self.events.emit(ResumedEvent(**self._which(member), epochs=epochs))

    def _which(self, member: int | None) -> dict[str, int | None]:
        ensemble = self.config.ensemble
        return {} if ensemble is None else {"member": member, "members": ensemble.members}

    def trained(self, result: FitResult, workers: Workers, seconds: float) -> None:
        """Report the end of the fit."""
        figures = None
        if workers.size > 1:
            figures = cluster_figures(workers, result, self.epochs, seconds)
        self.events.emit(
            TrainedEvent(
                members=None if result.ensemble is None else len(result.members),
                cluster=figures,
                epochs=result.training.epochs,
                best_epoch=result.training.best_epoch,
                seconds=seconds,
            )
        )


def cluster_figures(
    workers: Workers, result: FitResult, epochs: int, seconds: float
) -> ClusterFigures:
    """Return the rows that all workers trained on a second, and the share of communication.

    The share follows from the time of a sum of the gradient that is measured on its own, after
    training; waiting for a slower worker is not part of it.
    """
    each = workers.seconds_per_sum(result.job.network.trainable_parameters)
    rows = fmean(member.rows for member in result.members)  # with folds, fewer than all
    steps = math.ceil(rows / result.config.batch_size)
    return ClusterFigures(
        workers=workers.size,
        rows_per_second=round(rows * epochs / seconds, 1),
        communication_share=round(min(1.0, each * steps * epochs / seconds), 3),
    )


def _save_last_finite(
    rows: FitRows, plan: FitPlan, writer: RunWriter, error: DivergenceError
) -> None:
    """Finish a diverged run with the last finite weights, if an epoch was finished by then.

    It is trained once more, to the end of the last finite epoch, from the newest checkpoint before
    it. The result is the same to the bit, and this costs nothing as long as nothing diverges. An
    epoch whose loss was finite may have ended with weights that are not; then it is the one before.
    Without a checkpoint, training starts over.
    """
    checkpointer = RunCheckpointer(writer, math.inf, workers=rows.storage.workers)
    result = None
    with checkpointer.handling_signals(), suppress(RunError):  # there is no checkpoint to start at
        for until in range(error.epoch - 1, 0, -1):
            with suppress(DivergenceError):
                shorter = replace(plan, until=until, finished=error.member - 1)
                result = fit(rows, shorter, checkpointer)
                break
    if result is None:
        writer.not_resumable = True  # it would start over and diverge again
        return
    save_network(result, writer)
    writer.finish(DIVERGED)
    trained = result.training
    best = f"the best until then, of epoch {trained.best_epoch}" if trained.best_epoch else ""
    which = best or f"after {plural(trained.epochs, 'epoch')}"
    note = f"  the last finite weights, {which}, are kept in {writer.path}"
    if result.ensemble is None:
        note += f"; to start from them: {initial_weights_option(writer.path)}"
    error.add_note(note)


def save_network(result: FitResult, writer: RunWriter) -> None:
    """Store the trained network for dlcli and as a Keras model, and its explanation."""
    from dlcli.keras_model import build_trained_model

    writer.write_text(RunFile.ENCODING, result.rows.encoding.model_dump_json(indent=2))
    writer.write_arrays(RunFile.WEIGHTS, result.training.weights)
    writer.write_history(result.training.history)
    if result.ensemble is not None:
        writer.write_text(RunFile.ENSEMBLE, result.ensemble.model_dump_json())
    members = [(each.task, each.training.weights) for each in result.members]
    model = build_trained_model(result.plan.network, members)
    with writer.model_file() as path:
        model.save(path)
    writer.write_text(RunFile.EXPLANATION, explain_result(result).model_dump_json())


def save_metrics(result: FitResult, writer: RunWriter) -> dict[str, Metrics]:
    """Store the metrics of each set, predictions, and the errors that intervals follow from.

    Stored are the predictions of all held-out rows, and of a sample of the training rows.
    """

    def with_set(name: str, some: NDArray[np.int64] | None = None) -> pa.Table:
        rows = result.tables[name].rows if some is None else len(some)
        return result.prediction_table(name, {"split": strings([name] * rows, pa.string())}, some)

    metrics = {name: result.metrics(name) for name in result.tables}
    some = draw(np.arange(result.tables["train"].rows), SAMPLE_ROWS, result.config.seed)
    writer.write_table(RunFile.SAMPLE, with_set("train", some))
    writer.write_json(RunFile.METRICS, metrics)
    if result.conformal is not None:
        writer.write_text(RunFile.CONFORMAL, result.conformal.model_dump_json())
    held_out = [with_set(name) for name in result.tables if name != "train"]
    if held_out:
        writer.write_table(RunFile.PREDICTIONS, pa.concat_tables(held_out))
    return metrics


def save_gates(
    result: FitResult, comparison: BaselineComparison, writer: RunWriter
) -> Sequence[GateResult] | None:
    """Check the gates of the config and store the results, if it has any."""
    gates = result.config.gates
    if not gates:
        return None
    estimates: dict[str, Mapping[str, Estimate]] = {}
    for split in dict.fromkeys(name.partition(".")[0] for name in gates):
        if split in result.tables:
            statistics = result.predictor.task.statistics(result.decoded(split))
            named = {name: each for name, each in statistics.items() if f"{split}.{name}" in gates}
            estimates[split] = estimate_statistics(named)
    results = []
    for name, gate in gates.items():
        split, _, metric = name.partition(".")
        estimate = estimates.get(split, {}).get(metric)
        results.append(check_gate(name, gate, estimate, comparison.on(split)))
    return run_recording.store_gates(results, writer)


def report_result(
    result: FitResult,
    metrics: dict[str, Metrics],
    baselines: Baselines,
    comparison: BaselineComparison,
    gates: Sequence[GateResult] | None,
    writer: RunWriter,
    events: Events,
) -> None:
    """Report the result of a training.

    Args:
        result: the trained network.
        metrics: its metrics by set.
        baselines: those of simple models, by model and set.
        comparison: the network compared with these.
        gates: the results of the config's gates.
        writer: the run.
        events: receives the result.
    """
    events.emit(
        TrainingResultEvent(
            run=str(writer.path),
            epochs=result.training.epochs,
            metrics=metrics,
            baselines=baselines,
            verdicts=comparison,
            gates=gates,
        )
    )


def explain_result(result: FitResult) -> Explanation:
    """Explain a trained network, at a cost that does not grow with the table."""
    from dlcli.training.objectives import gradient_norms

    job, member = result.job, result.members[0]
    if result.ensemble is not None:  # that of a member has its seed, and its scaling of the target
        target = member.task.encode(result.tables["train"], ValueProblems())
        train = replace(job.train, target=target)
        config = job.config.model_copy(update={"seed": member.seed})
        job = replace(job, config=config, task=member.task, train=train)
    norms = partial(gradient_norms, job, member.training.weights)
    tables = {name: (table, result.encoded[name]) for name, table in result.tables.items()}
    folds: list[Indices] = []
    if result.config.ensemble_folds is not None:
        if "test" in tables:
            del tables["validation"]  # training rows, which show less than test rows
        else:
            folds = result.held_out
    predictor, predictions = result.predictor, result.predictions
    rows = result.rows
    return explain(predictor, tables, rows.task, rows.decisions, predictions, norms, folds)
