"""The way from a job to trained weights, whichever engine it takes."""

from __future__ import annotations

from dlcli.config.training import CompiledEngine, Engine
from dlcli.training import compiled_engine, keras_engine
from dlcli.training.job import Job, Trained
from dlcli.training.snapshots import NOBODY, Keeper
from dlcli.training.watching import Progress, check_weights


def train_job(job: Job, engine: Engine, progress: Progress, keeper: Keeper = NOBODY) -> Trained:
    """Trains a job, or goes on with it.

    Args:
        job: what to train on what.
        engine: as `choose_engine` settled it.
        progress: is told of each epoch.
        keeper: keeps snapshots, and may have one to go on from.

    Raises:
        TrainingError: if the loss or the weights leave the numbers, or a snapshot can't be stored.
        Interrupted: if the keeper was told to end.
    """
    if isinstance(engine, CompiledEngine):
        trained = compiled_engine.run(job, engine.jit_compile is True, progress, keeper)
    else:
        trained = keras_engine.fit(job, progress, keeper)
    check_weights(trained.weights, trained.epochs, job)
    return trained
