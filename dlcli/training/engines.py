"""The way from a job to trained weights, whichever engine it takes."""

from __future__ import annotations

from dlcli.config.training import CompiledEngine, Engine
from dlcli.training import compiled_engine, keras_engine
from dlcli.training.job import Job, Trained
from dlcli.training.watching import Progress, check_weights


def train_job(job: Job, engine: Engine, progress: Progress) -> Trained:
    """Trains a job.

    Args:
        job: what to train on what.
        engine: as `choose_engine` settled it.
        progress: is told of each epoch.

    Raises:
        TrainingError: if the loss or the weights leave the numbers.
    """
    if isinstance(engine, CompiledEngine):
        trained = compiled_engine.run(job, engine.jit_compile is True, progress)
    else:
        trained = keras_engine.fit(job, progress)
    check_weights(trained.weights, job.config)
    return trained
