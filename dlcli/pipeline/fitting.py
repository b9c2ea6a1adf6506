"""Training itself: told of, kept from time to time, and after a divergence what was good of it."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcli.config import printable
from dlcli.diagnosis import Magnitudes, advise_on_divergence
from dlcli.errors import DivergenceError, RunError, plural
from dlcli.pipeline.events import Events
from dlcli.pipeline.keeping import Checkpointer
from dlcli.runs import DIVERGED, RunWriter, initial_weights_option

if TYPE_CHECKING:
    from dlcli.config import Engine
    from dlcli.training import Job, TrainingResult

Storing = Callable[["TrainingResult"], None]


def fit(
    writer: RunWriter, job: Job, engine: Engine, events: Events, store: Storing
) -> TrainingResult:
    """Trains, or goes on with it.

    Args:
        writer: the run, in which checkpoints are kept.
        job: what to train on what.
        engine: as `choose_engine` settled it.
        events: are told of each epoch.
        store: stores what came of it; is called only if training diverges.

    Raises:
        DivergenceError: if the loss or the weights leave the numbers. The run is finished then
            with the last finite weights, if at least an epoch was trained.
        TrainingError: if a checkpoint or those weights can't be stored.
        Interrupted: if a signal has ended it.
    """
    from dlcli.training import train_job

    def progress(epoch: int, values: Mapping[str, float]) -> None:
        # JSON has no NaN, which a metric may well be: r2 of a target that is constant.
        told = {name: value if math.isfinite(value) else None for name, value in values.items()}
        events.emit("epoch", epoch=epoch, of=job.config.epochs, **told)

    start = time.perf_counter()
    keeper = Checkpointer(
        writer, job.config.checkpoint.seconds, lambda epochs: events.emit("resumed", epochs=epochs)
    )
    try:
        with keeper.heeding_signals():
            trained = train_job(job, engine, progress, keeper)
    except DivergenceError as error:
        magnitudes = add_advice(error, job)
        events.emit("diverged", **magnitudes.model_dump())
        traceback.clear_frames(error.__traceback__)  # they hold what the engine has on the device
        _save(writer, job, engine, store, error)
        raise
    seconds = round(time.perf_counter() - start, 3)
    events.emit("trained", epochs=trained.epochs, best_epoch=trained.best_epoch, seconds=seconds)
    return trained


def add_advice(error: DivergenceError, job: Job) -> Magnitudes:
    """Add notes on the likely causes to an error; return the magnitudes they are based on."""
    from dlcli.training import measure_magnitudes

    magnitudes = measure_magnitudes(job, error.epoch)
    config = job.config.model_copy(update={"output": job.head.output, "loss": job.head.loss})
    for finding in advise_on_divergence(config, job.network.layout.blocks, magnitudes):
        error.add_note(printable(f"  {finding.saw}; try {finding.patches[0].options}"))
    return magnitudes


def _save(
    writer: RunWriter, job: Job, engine: Engine, store: Storing, error: DivergenceError
) -> None:
    """Finishes a run with the last finite weights, if training came that far."""
    trained = _last_finite(writer, job, engine, error.epoch)
    if trained is None:
        writer.not_resumable = True  # where every training begins
        return
    store(trained)
    writer.finish(DIVERGED)
    best = f"the best until then, of epoch {trained.best_epoch}" if trained.best_epoch else ""
    which = best or f"after {plural(trained.epochs, 'epoch')}"
    error.add_note(
        f"  the last finite weights, {which}, are kept in {writer.path}; to start from them: "
        f"{initial_weights_option(writer.path)}"
    )


def _last_finite(writer: RunWriter, job: Job, engine: Engine, epoch: int) -> TrainingResult | None:
    """Trains once more, to the end of the last finite epoch, from the newest checkpoint before it.

    That comes to the same to the bit, and costs nothing as long as nothing diverges. An epoch whose
    loss was finite may have ended with weights that are not, and then it is the one before. Without
    such a checkpoint, it is trained from the beginning.
    """
    from dlcli.training import train_job

    keeper = Checkpointer(writer, math.inf)
    with keeper.heeding_signals(), suppress(RunError):  # there is no way there
        for until in range(epoch - 1, 0, -1):
            with suppress(DivergenceError):
                return train_job(replace(job, until=until), engine, lambda *_: None, keeper)
    return None
