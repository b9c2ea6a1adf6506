"""The compiled engine: the whole of training as one TensorFlow program.

`Model.fit` comes back to Python at every batch, and for small tables that is nearly all of its
time. Here a dispatch runs any number of steps of the same Keras layers, loss and optimizer over
shuffled batches; the end of an epoch (metrics, validation, early stopping, best weights, plateau)
is part of the program. How many steps a dispatch takes is a run-time argument and changes no bit.
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
from dlcli.training.divergence import check_finite
from dlcli.training.fed import FedProgram, train_chunks
from dlcli.training.held import HeldProgram
from dlcli.training.job import Job, TrainingResult
from dlcli.training.learner import build_learner
from dlcli.training.order import epoch_order
from dlcli.training.program import Program, State
from dlcli.training.programs import Programs, can_share
from dlcli.training.snapshots import NOBODY, Checkpointer, History, Snapshot, kinds_of
from dlcli.training.watching import Progress, shortest

SECONDS_A_DISPATCH = 0.1
"""What a dispatch should take: short enough for progress and Ctrl-C, long against its own cost."""
FIRST_SECONDS = 0.05
"""What the first dispatch is estimated to take, compiling aside."""


def run(
    job: Job,
    jit_compile: bool,
    progress: Progress,
    keeper: Checkpointer = NOBODY,
    programs: Programs | None = None,
) -> TrainingResult:
    """Trains in compiled dispatches.

    Args:
        job: what to train on what.
        jit_compile: whether XLA compiles the program, or TensorFlow runs it as a graph.
        progress: is told of each epoch.
        keeper: keeps snapshots, and may have one to go on from.
        programs: those of earlier jobs, one of which may serve.

    Raises:
        TrainingError: if the loss leaves the numbers, or a snapshot can't be stored.
        Interrupted: if the keeper was told to end.
    """
    program, dispatches = _program(job, jit_compile, programs)
    begin, history = _begin(job, program, keeper)
    state = begin
    for state, rows in dispatches(begin):
        _record(job, rows, history, progress)
        check_finite(float(state.total), int(state.epoch) + 1)
        if keeper.is_due:
            _keep(program, state, history, keeper)
    _keep(program, state, history, keeper)
    program.finish(state)
    best = int(state.watch.best_epoch) + 1 if program.watches.restores else 0
    return TrainingResult(weights_of(program.learner.model, job.network), history, best or None)


Dispatches = Iterator[tuple[State, NDArray[Any]]]
"""Where each dispatch left off, and the rows of history that it wrote."""


def _begin(job: Job, program: Program, keeper: Checkpointer) -> tuple[State, History]:
    """Where training begins, or goes on, and the history until there."""
    state = program.start()
    arrays = program.arrays(state)
    earlier = keeper.earlier(job, kinds_of(arrays))
    if earlier is None:
        keeper.keep(Snapshot(arrays, {}))
        return state, {}
    history = {name: list(values) for name, values in earlier.history.items()}
    return program.restore(earlier.arrays), history


def _keep(program: Program, state: State, history: History, keeper: Checkpointer) -> None:
    snapshot = Snapshot(program.arrays(state), history)
    if snapshot.is_finite:  # else the next loss will tell
        keeper.keep(snapshot)


def _program(
    job: Job, jit_compile: bool, programs: Programs | None
) -> tuple[Program, Callable[[State], Dispatches]]:
    if job.train.inputs.matrix is None:
        fed = FedProgram(job, build_learner(job), jit_compile)
        return fed, partial(_fed_dispatches, fed)
    if programs is None or not can_share(job):
        held = HeldProgram(job, build_learner(job), jit_compile)
        held.take(job, job.placed)
    else:
        held = programs.program(job, jit_compile)
    return held, partial(_held_dispatches, held)


def _held_dispatches(program: HeldProgram, state: State) -> Dispatches:
    """Runs the epochs that are left over rows that lie on the device."""
    pace = _Pace(program.job)
    if bool(state.watch.stopped):
        return
    for first, orders in ahead(_orders(program, int(state.epoch))):
        end = min(first + program.epochs_at_once, program.job.epochs)
        given = tf.constant(orders)
        while int(state.epoch) < end:
            before, started = int(state.epoch), time.perf_counter()
            state, rows = program.run(given, tf.constant(first), state, tf.constant(pace.steps))
            written = rows.numpy()[before - first : int(state.epoch) - first]
            pace.adapt(time.perf_counter() - started)
            yield state, written
            if bool(state.watch.stopped):
                return


def _fed_dispatches(program: FedProgram, state: State) -> Dispatches:
    """Runs the epochs that are left over rows that come to the device in turn."""
    pace = _Pace(program.job)
    nothing = np.empty((0, len(program.job.columns) + 1))
    if bool(state.watch.stopped):
        return
    for chunk in ahead(train_chunks(program.job, int(state.epoch), int(state.step))):
        first = tf.constant(chunk.first)
        while int(state.step) < chunk.stop:
            started = time.perf_counter()
            upto = min(int(state.step) + pace.steps, chunk.stop)
            state = program.run(chunk.block, first, state, tf.constant(upto))
            yield state, nothing  # and so waits for it
            pace.adapt(time.perf_counter() - started)
        if chunk.stop == program.job.steps:
            state, written = program.end(state)
            yield state, written
            if bool(state.watch.stopped):
                return


def _orders(program: HeldProgram, epoch: int) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Yields the row orders of some epochs at a time, and the first of these, from an epoch on."""
    job, count = program.job, program.epochs_at_once
    rows = len(job.train.inputs)
    for first in range(epoch, job.epochs, count):
        orders = np.zeros((count, job.steps * job.batch_size), dtype=np.int32)
        for place in range(min(count, job.epochs - first)):
            orders[place, :rows] = epoch_order(
                rows, job.train.inputs.width, job.config.seed, first + place
            )
        yield first, orders


Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made while the one before is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


class _Pace:
    """How many steps the next dispatch takes."""

    def __init__(self, job: Job) -> None:
        work = 6 * job.batch_size * job.network.parameters
        self.steps = max(1, int(FIRST_SECONDS / (20e-6 + work / 2e10)))
        self._has_compiled = False

    def adapt(self, seconds: float) -> None:
        """Takes in what a dispatch of so many steps took; the first one also compiled."""
        if self._has_compiled:
            factor = SECONDS_A_DISPATCH / max(seconds, 1e-6)
            self.steps = int(min(max(self.steps * min(max(factor, 0.1), 4.0), 1), 2**30))
        self._has_compiled = True


def _record(job: Job, rows: NDArray[Any], history: History, progress: Progress) -> None:
    names = (*job.columns, "learning_rate")
    for row in rows.tolist():
        values = dict(zip(names, map(shortest, row), strict=True))
        check_finite(values.get("val_loss", 0.0), len(history.get("loss", ())) + 1)
        for name, value in values.items():
            history.setdefault(name, []).append(value)
        progress(len(history["loss"]), values)
