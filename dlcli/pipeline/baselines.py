"""What the network must beat: the simplest models, on the same rows."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dlcli.encoding import EncodedRows
from dlcli.errors import DivergenceError, OutOfMemoryError
from dlcli.metrics import Metrics
from dlcli.network import choose_engine
from dlcli.pipeline.events import Events
from dlcli.pipeline.keeping import Interruptible
from dlcli.pipeline.linear import is_affordable, is_linear, linear_job
from dlcli.pipeline.preparation import sets
from dlcli.prediction import Predictions, Predictor, constant_outputs
from dlcli.splitting import Split

if TYPE_CHECKING:
    from dlcli.training import Job

Baselines = dict[str, dict[str, Metrics]]
"""Model, then split, then metric."""


def score_baselines(
    predictor: Predictor,
    split: Split,
    encoded: Mapping[str, EncodedRows],
    job: Job,
    keeper: Interruptible,
    events: Events,
) -> Baselines:
    """Scores the simplest models on each set.

    `constant` looks at no column, see `constant_outputs`; `linear` has the network's inputs and
    output and nothing between, see `linear_job`. A linear model that can't be had is left out.

    Args:
        predictor: the trained network.
        split: the rows of each set.
        encoded: the same, encoded.
        job: what the network was trained on.
        keeper: ends it when a signal comes.
        events: are told what there is, and why there is no more.

    Returns:
        The metrics of each model.

    Raises:
        Interrupted: if a signal has come.
    """
    start = time.perf_counter()

    def scores(predict: Callable[[EncodedRows], Predictions]) -> dict[str, Metrics]:
        pairs = ((name, table, encoded[name]) for name, table in sets(split))
        return {name: predict(rows).score(table, rows.weights) for name, table, rows in pairs}

    baselines = {"constant": scores(_constant(predictor, split, job))}
    absence = _absence(predictor)
    if not absence:
        try:
            with keeper.heeding_signals():
                baselines["linear"] = scores(_linear(predictor, job, keeper))
        except (DivergenceError, OutOfMemoryError) as error:
            absence = _failure(error, events)
    seconds = round(time.perf_counter() - start, 3)
    events.emit("baselines", models=[*baselines], no_linear=absence, seconds=seconds)
    return baselines


def _constant(predictor: Predictor, split: Split, job: Job) -> Callable[[EncodedRows], Predictions]:
    """What looks at no column."""
    target, network = predictor.encoding.target, predictor.network
    has_margin = job.head.loss.output == "margin"
    outputs = constant_outputs(
        target, split.train, job.train.weights, network.outputs, has_margin=has_margin
    )
    return lambda rows: predictor.understand(
        np.broadcast_to(outputs, (len(rows.inputs), len(outputs)))
    )


def _linear(
    predictor: Predictor, job: Job, keeper: Interruptible
) -> Callable[[EncodedRows], Predictions]:
    """Trains the network without its hidden layers."""
    from dlcli.training import train_job

    gc.collect()  # what the network's training had on the device is garbage, but in cycles
    simple = linear_job(job)
    engine = choose_engine(simple.config, simple.network, len(simple.train.inputs))
    trained = train_job(simple, engine, lambda *_: None, keeper)
    fitted = replace(predictor, network=simple.network, weights=trained.weights)
    return lambda rows: fitted.predict_encoded(rows.inputs)


def _absence(predictor: Predictor) -> str | None:
    """Why no linear model is tried, in words that follow on `no linear one`; none if it is."""
    if is_linear(predictor.network):
        return "the network itself is linear"
    if not is_affordable(predictor.network):
        return "it would be too large beside the network"
    return None


def _failure(error: DivergenceError | OutOfMemoryError, events: Events) -> str:
    """Warns of what has ended the training of the linear model; why there is none, in words."""
    traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
    reason = "it diverged" if isinstance(error, DivergenceError) else "it ran out of memory"
    events.emit("warning", message=f"there is no linear baseline: {error}")
    return reason
