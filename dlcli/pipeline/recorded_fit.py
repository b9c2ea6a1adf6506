"""Fit the network of a run: store checkpoints, report, and resume from the newest one."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from statistics import fmean

from dlcli.config.config_schema import Config
from dlcli.errors import DivergenceError, RunError, plural
from dlcli.metrics.statistic import finite
from dlcli.pipeline.checkpointing import RunCheckpointer, shared_checkpointer
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitObserver, FitResult, advise, fit, release_memory
from dlcli.pipeline.members import FactorTrial
from dlcli.pipeline.preparation import FitPlan, FitRows
from dlcli.pipeline.run_results import save_network
from dlcli.runs.manifest import DIVERGED
from dlcli.runs.run import initial_weights_option
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import Job, TrainingResult
from dlcli.workers import Workers


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
    checkpointer = RunCheckpointer(writer, plan.config.checkpoint.seconds, reporter.resumed)
    try:
        with checkpointer.handling_signals():
            result = fit(rows, plan, shared_checkpointer(workers, checkpointer), reporter)
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
        self.events.emit(
            "epoch", **self._which(member), epoch=epoch, of=self.config.epochs, **known
        )

    def member(self, number: int, trained: TrainingResult) -> None:
        """Report that a member of an ensemble is trained."""
        if self.config.ensemble is not None:
            best = trained.best_epoch
            fields = {"epochs": trained.epochs, "best_epoch": best}
            self.events.emit("member", **self._which(number), **fields)

    def factor_trial(self, trial: FactorTrial) -> None:
        """Report whether an ensemble has factors of columns."""
        loss = {"with": finite(trial.with_factors), "without": finite(trial.without)}
        kept = not trial.leaves_out
        self.events.emit("scaling_layer", kept=kept, val_loss=loss, rows=trial.rows)

    def diverged(self, error: DivergenceError, job: Job) -> None:
        """Add notes on the likely causes, and report the magnitudes that they are based on."""
        self.events.emit("diverged", **advise(error, job).model_dump())

    def resumed(self, epochs: int, member: int | None) -> None:
        """Report that the training of a network is resumed, unless it is on trial."""
        if member is None or member <= self.config.networks:
            self.events.emit("resumed", **self._which(member), epochs=epochs)

    def _which(self, member: int | None) -> dict[str, object]:
        ensemble = self.config.ensemble
        return {} if ensemble is None else {"member": member, "members": ensemble.members}

    def trained(self, result: FitResult, workers: Workers, seconds: float) -> None:
        """Report the end of the fit."""
        more: dict[str, object] = {}
        if result.ensemble is not None:
            more["members"] = len(result.members)
        if workers.size > 1:
            more["cluster"] = cluster_figures(workers, result, self.epochs, seconds)
        epochs, best = result.training.epochs, result.training.best_epoch
        self.events.emit("trained", **more, epochs=epochs, best_epoch=best, seconds=seconds)


def cluster_figures(
    workers: Workers, result: FitResult, epochs: int, seconds: float
) -> dict[str, object]:
    """Return the rows that all workers trained on a second, and the share of communication.

    The share follows from the time of a sum of the gradient that is measured on its own, after
    training; waiting for a slower worker is not part of it.
    """
    each = workers.seconds_per_sum(result.job.network.trainable_parameters)
    rows = fmean(member.rows for member in result.members)  # with folds, fewer than all
    steps = math.ceil(rows / result.config.batch_size)
    return {
        "workers": workers.size,
        "rows_per_second": round(rows * epochs / seconds, 1),
        "communication_share": round(min(1.0, each * steps * epochs / seconds), 3),
    }


def _save_last_finite(
    rows: FitRows, plan: FitPlan, writer: RunWriter, error: DivergenceError
) -> None:
    """Finish a diverged run with the last finite weights, if an epoch was finished by then.

    It is trained once more, to the end of the last finite epoch, from the newest checkpoint before
    it. The result is the same to the bit, and this costs nothing as long as nothing diverges. An
    epoch whose loss was finite may have ended with weights that are not; then it is the one before.
    Without a checkpoint, training starts over.
    """
    checkpointer = RunCheckpointer(writer, math.inf)
    shared = shared_checkpointer(rows.storage.workers, checkpointer)
    result = None
    with checkpointer.handling_signals(), suppress(RunError):  # there is no checkpoint to start at
        for until in range(error.epoch - 1, 0, -1):
            with suppress(DivergenceError):
                shorter = replace(plan, until=until, finished=error.member - 1)
                result = fit(rows, shorter, shared)
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
