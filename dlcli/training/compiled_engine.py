"""The compiled engine: training as TensorFlow programs over many steps.

`Model.fit` returns to Python for each batch, which takes nearly all of its time for small tables.
Here a dispatch runs any number of steps of the same Keras layers, loss and optimizer over shuffled
batches; the end of an epoch (metrics, validation, early stopping, best weights, plateau) is part of
the program. The number of steps in a dispatch is a run-time argument and changes no bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlcli.keras_model import weights_of
from dlcli.training.compiled_program import (
    Program,
    ResidentProgram,
    StreamingProgram,
    train_chunks,
)
from dlcli.training.divergence import check_finite
from dlcli.training.epoch_monitor import State
from dlcli.training.job import (
    NO_CHECKPOINTS,
    Checkpointer,
    History,
    Job,
    Progress,
    Snapshot,
    TrainingResult,
    shortest,
    specs_of,
)
from dlcli.training.objectives import build_learner
from dlcli.training.program_cache import ProgramCache, can_share
from dlcli.training.randomness import epoch_order

SECONDS_PER_DISPATCH = 0.1
"""Target duration of a dispatch: short for progress and Ctrl-C, long against its overhead."""
FIRST_SECONDS = 0.05
"""Estimated duration of the first dispatch, without compiling."""
Dispatches = Iterator[tuple[State, NDArray[Any]]]
"""The state after each dispatch, and the rows of history that it wrote."""
Item = TypeVar("Item")


def run(
    job: Job,
    jit_compile: bool,
    progress: Progress,
    checkpointer: Checkpointer = NO_CHECKPOINTS,
    programs: ProgramCache | None = None,
) -> TrainingResult:
    """Train in compiled dispatches.

    Args:
        job: the job.
        jit_compile: whether XLA compiles the program, or TensorFlow runs it as a graph.
        progress: receives each epoch.
        checkpointer: stores snapshots, and may have one to resume from.
        programs: those of earlier jobs, one of which may be reused.

    Raises:
        TrainingError: if the loss becomes NaN or infinite, or a snapshot can't be stored.
        Interrupted: if the checkpointer ends training.
    """
    program, dispatches = _program(job, jit_compile, programs)
    first, history = State.start(), History()
    arrays = program.arrays(first)
    if (earlier := checkpointer.latest(job, specs_of(arrays))) is None:
        checkpointer.save(Snapshot(arrays, {}))
    else:
        first = program.restore(earlier.arrays)
        history = {name: list(values) for name, values in earlier.history.items()}
    state = first
    for state, rows in dispatches(first):
        _record(job, rows, history, progress)
        check_finite(float(state.total), int(state.epoch) + 1)
        if checkpointer.is_due:
            _save_snapshot(program, state, history, checkpointer)
    _save_snapshot(program, state, history, checkpointer)
    program.finish(state)
    best = int(state.best_epoch) + 1 if program.monitor.restores else 0
    return TrainingResult(weights_of(program.learner.model, job.network), history, best or None)


def _program(
    job: Job, jit_compile: bool, programs: ProgramCache | None
) -> tuple[Program, Callable[[State], Dispatches]]:
    if job.train.inputs.matrix is None:
        streaming = StreamingProgram(job, build_learner(job), jit_compile)
        return streaming, partial(_streaming_dispatches, streaming)
    if programs is None or not can_share(job):
        resident = ResidentProgram(job, build_learner(job), jit_compile)
        resident.load_rows(job, job.placed)
    else:
        resident = programs.program(job, jit_compile)
    return resident, partial(_resident_dispatches, resident)


def _save_snapshot(
    program: Program, state: State, history: History, checkpointer: Checkpointer
) -> None:
    snapshot = Snapshot(program.arrays(state), history)
    if snapshot.is_finite:  # else the next loss will be NaN or infinite
        checkpointer.save(snapshot)


def _record(job: Job, rows: NDArray[Any], history: History, progress: Progress) -> None:
    names = (*job.columns, "learning_rate")
    for row in rows.tolist():
        values = dict(zip(names, map(shortest, row), strict=True))
        check_finite(values.get("val_loss", 0.0), len(history.get("loss", ())) + 1)
        for name, value in values.items():
            history.setdefault(name, []).append(value)
        progress(len(history["loss"]), values)


def _resident_dispatches(program: ResidentProgram, state: State) -> Dispatches:
    """Run the remaining epochs over rows on the device."""
    pace = _Pace(program.job)
    if bool(state.stopped):
        return
    for first, orders in prefetch(_orders(program, int(state.epoch))):
        end = min(first + program.epochs_at_once, program.job.epochs)
        given = tf.constant(orders)
        while int(state.epoch) < end:
            before, started = int(state.epoch), time.perf_counter()
            state, rows = program.run(given, tf.constant(first), state, tf.constant(pace.steps))
            written = rows.numpy()[before - first : int(state.epoch) - first]
            pace.adapt(time.perf_counter() - started)
            yield state, written
            if bool(state.stopped):
                return


def _streaming_dispatches(program: StreamingProgram, state: State) -> Dispatches:
    """Run the remaining epochs over rows that come in chunks."""
    pace = _Pace(program.job)
    nothing = np.empty((0, len(program.job.columns) + 1))
    if bool(state.stopped):
        return
    for chunk in prefetch(train_chunks(program.job, int(state.epoch), int(state.step))):
        first = tf.constant(chunk.first)
        while int(state.step) < chunk.stop:
            started = time.perf_counter()
            upto = min(int(state.step) + pace.steps, chunk.stop)
            state = program.run(chunk.block, first, state, tf.constant(upto))
            yield state, nothing  # which waits for it
            pace.adapt(time.perf_counter() - started)
        if chunk.stop == program.job.steps:
            state, written = program.end_epoch(state)
            yield state, written
            if bool(state.stopped):
                return


def _orders(program: ResidentProgram, epoch: int) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Yield the row orders of some epochs at a time, with the first of these, from an epoch on."""
    job, count = program.job, program.epochs_at_once
    rows = len(job.train.inputs)
    for first in range(epoch, job.epochs, count):
        orders = np.zeros((count, job.steps * job.batch_size), dtype=np.int32)
        for index in range(min(count, job.epochs - first)):
            orders[index, :rows] = epoch_order(
                rows, job.train.inputs.width, job.config.seed, first + index
            )
        yield first, orders


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the same items, each prepared in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


class _Pace:
    """The number of steps of the next dispatch."""

    def __init__(self, job: Job) -> None:
        work = 6 * job.batch_size * job.network.parameters
        self.steps = max(1, int(FIRST_SECONDS / (20e-6 + work / 2e10)))
        self._has_compiled = False

    def adapt(self, seconds: float) -> None:
        """Adapt it to the duration of a dispatch; the first one also compiled."""
        if self._has_compiled:
            factor = SECONDS_PER_DISPATCH / max(seconds, 1e-6)
            self.steps = int(min(max(self.steps * min(max(factor, 0.1), 4.0), 1), 2**30))
        self._has_compiled = True
