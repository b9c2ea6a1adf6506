"""The compiled engine: training as TensorFlow programs over many steps.

`Model.fit` returns to Python for each batch, which takes most of the time on small tables. Here one
dispatch runs any number of steps of the same Keras layers, loss and optimizer over shuffled
batches. The end of an epoch (metrics, validation, early stopping, best weights, plateau) is part of
the program. The number of steps in a dispatch is a runtime argument; the result is bit-identical
for any number.

Compiling takes far longer than training on a small table. So jobs share a program if they differ
only in runtime values (see `RuntimeValues`) and slightly in the number of rows, see `ProgramCache`.
Jobs in parallel threads also share it, each with separate variables. If many jobs differ in batch
size or in the units of hidden layers, graphs are traced without these sizes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import keras

from dlcli import training_job
from dlcli.config.layer_choices import OrthogonalRegularizer
from dlcli.config.training_choices import ConstantLearningRate, PiecewiseConstant, ReduceOnPlateau
from dlcli.encoding.encoded_rows import ShardedInputs
from dlcli.keras_model import weights_of
from dlcli.network.layers import DenseLayer
from dlcli.network.monotone import directions_of_inputs, is_monotone
from dlcli.runs.run_writer import Checkpoint
from dlcli.training import chunked_program, compiled_program, objectives
from dlcli.training.compiled_program import VALIDATION_ROWS, Program, ResidentProgram, State
from dlcli.training.objectives import build_learner
from dlcli.training_job import Checkpointer, EpochProgress, History, Job, TrainingResult

MOST_PROGRAMS = 8
"""Maximum number of cached programs, of about 20 MB each; the least recently used is dropped."""
MOST_GRAPHS = 16
"""Maximum number of cached graphs for any size, of about 20 MB each."""
OPTIMIZERS_BY_SHAPE = ("adafactor", "muon")
"""Optimizers whose operations depend on the shape of a weight."""
MOST_STARTS = 8
"""Maximum number of seeds whose initial weights are cached with a program."""
Key = TypeVar("Key")
Item = TypeVar("Item")


class ProgramCache:
    """The programs of earlier jobs and of jobs in other threads.

    Args:
        any_size: whether jobs also share a graph if they differ in batch size or in the units of
            hidden layers; XLA compiles it for each size.
    """

    def __init__(self, *, any_size: bool = False) -> None:
        self.made = 0
        """Number of graphs that were traced."""
        self._any_size = any_size
        self._kept: dict[str, _Shared] = {}
        self._originals: dict[str, ResidentProgram] = {}
        self._lock = threading.Lock()

    @contextmanager
    def program(self, job: Job, jit_compile: bool) -> Iterator[ResidentProgram]:
        """Lend the program of a job in its initial state, and free its rows afterwards.

        Args:
            job: a job for which `can_share` is true.
            jit_compile: whether XLA compiles the program.
        """
        key = program_key(job, jit_compile)
        with self._lock:
            shared = self._kept.pop(key, None) or self._make(job, jit_compile)
            _keep(self._kept, key, shared, MOST_PROGRAMS)
        with shared.lend(job) as program:
            yield program

    def _make(self, job: Job, jit_compile: bool) -> _Shared:
        if jit_compile or not self._any_size or not can_have_any_size(job):
            self.made += 1
            return _Shared(job, jit_compile)
        key = program_key(job, jit_compile, any_size=True)
        original = self._originals.get(key)
        shared = _Shared(job, jit_compile, original, any_size=original is None)
        self.made += original is None
        self._originals.pop(key, None)
        _keep(self._originals, key, original or shared.first, MOST_GRAPHS)
        return shared


def _keep(kept: dict[Key, Item], key: Key, item: Item, most: int) -> None:
    """Add the latest item, and drop the least recently used one if there are too many."""
    kept[key] = item
    if len(kept) > most:
        del kept[next(iter(kept))]


class _Shared:
    """A program with a set of variables for each thread, and their initial values by seed.

    Args:
        job: the first job.
        jit_compile: whether XLA compiles the program.
        original: a program for another size, whose graph this program shares.
        any_size: whether programs for other sizes will share the graph of this program.
    """

    def __init__(
        self,
        job: Job,
        jit_compile: bool,
        original: ResidentProgram | None = None,
        *,
        any_size: bool = False,
    ) -> None:
        learner = build_learner(job, shared=True, jit_compile=jit_compile, any_size=any_size)
        self.first = ResidentProgram(job, learner, jit_compile, original)
        """The program of the first job; all jobs share its graph."""
        self._idle = [self.first]
        self._starts = {job.config.seed: self.first.arrays(State.start())}
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, job: Job) -> Iterator[ResidentProgram]:
        """Lend the program in its initial state, with the rows and values of a job."""
        with self._lock:
            program = self._idle.pop() if self._idle else self._copy(job)
            start = self._start(job)
        try:
            program.learner.runtime.load(job)
            program.load_rows(job, {})
            program.restore(start)
            schedule = job.config.learning_rate_schedule
            if isinstance(schedule, ConstantLearningRate | ReduceOnPlateau):
                program.learner.set_rate(job.config.optimizer.learning_rate)
            yield program
        finally:
            program.release_rows()
            self._idle.append(program)

    def _copy(self, job: Job) -> ResidentProgram:
        first = self.first
        learner = build_learner(job, shared=True, jit_compile=first.jit_compile)
        program = ResidentProgram(job, learner, first.jit_compile, first)
        _keep(self._starts, job.config.seed, program.arrays(State.start()), MOST_STARTS)
        return program

    def _start(self, job: Job) -> training_job.Arrays:
        seed = job.config.seed
        if seed not in self._starts:
            others = next(iter(self._starts.values()))
            learner = build_learner(job)  # with its optimizer, which may copy the weights
            first = training_job.values_of(learner.variables)
            _keep(self._starts, seed, {**others, **first}, MOST_STARTS)
        return self._starts[seed]


def can_share(job: Job) -> bool:
    """Return whether a job can share a program: it must start from scratch and run to its end."""
    begins = job.config.initial_weights is None and job.initial_weights is None
    return begins and job.until in (None, job.config.stop_after_epoch)


def can_have_any_size(job: Job) -> bool:
    """Return whether the program of a job can be traced for any batch size and units.

    The operations must not depend on the shape of a weight, as in some optimizers. Where TensorFlow
    lowers loops (see `keeps_loops`), the implementation of products also depends on it.
    """
    optimizer, layers = job.config.optimizer, job.network.layers
    if is_monotone(job.network):  # the bounds of weights are constants of the program
        return False
    if optimizer.name in OPTIMIZERS_BY_SHAPE or optimizer.gradient_accumulation_steps is not None:
        return False
    sections = [each.kernel_regularizer for each in layers if isinstance(each, DenseLayer)]
    if any(isinstance(section, OrthogonalRegularizer) for section in sections):
        return False
    return compiled_program.keeps_loops(job)


def program_key(job: Job, jit_compile: bool, *, any_size: bool = False) -> str:
    """Return a key that is equal for jobs with the same program.

    Args:
        job: the job.
        jit_compile: whether XLA compiles the program.
        any_size: whether the program is traced for any batch size and any units of hidden layers.
    """
    config, network, unit = job.config, job.network, job.task.output_unit
    multiplier = config.input.scaling_multiplier
    has_boundaries = isinstance(config.learning_rate_schedule, PiecewiseConstant)
    warms_up = objectives.schedule_durations(config, job.steps).get("warmup_steps", 0) > 0
    *hidden, output = map(objectives.without_values, network.layers)
    if any_size:
        hidden = [*map(objectives.without_sizes, hidden)]
        output = replace(objectives.without_sizes(output), units=network.outputs)
    batch_size = None if any_size else job.batch_size
    steps = job.steps if has_boundaries or not any_size else None
    validation = len(job.validation.inputs) if job.validation else 0
    parts = (
        *(jit_compile, keras.config.floatx(), config.precision),
        *(network.front, compiled_program.expansion_of(job), hidden, output),
        *(objectives.optimizer_without_values(job), config.learning_rate_schedule, warms_up),
        *(config.learning_rate_multipliers, config.exclude_from_weight_decay),
        *(config.early_stopping, multiplier),
        multiplier and network.columns_of_inputs.tolist(),
        is_monotone(network) and directions_of_inputs(network).tolist(),
        *(job.head.loss, job.head.metrics, unit.names if unit else job.task.outcome),
        *(batch_size, steps, job.validation is None, -(-validation // VALIDATION_ROWS)),
        *(job.train.weights is None, job.loss_weights is None),
        *(job.labels.shape[1:], job.labels.dtype),
    )
    return repr(parts)


def run(
    job: Job,
    jit_compile: bool,
    progress: EpochProgress,
    checkpointer: Checkpointer = training_job.NO_CHECKPOINTS,
    programs: ProgramCache | None = None,
) -> TrainingResult:
    """Train a job by a program that XLA compiles or TensorFlow runs as a graph; see `train_job`."""
    with open_program(job, jit_compile, programs) as program:
        first = training_job.first_checkpoint(job, program.arrays(State.start()), checkpointer)
        state = start = program.restore(first.arrays)
        history = {name: list(values) for name, values in first.history.items()}
        names = (*job.columns, "learning_rate")
        for state, rows in () if bool(start.stopped) else program.dispatches(start):
            for row in rows.tolist():
                training_job.record_epoch(dict(zip(names, row, strict=True)), history, progress)
            training_job.check_finite(float(state.total), int(state.epoch) + 1)
            if checkpointer.is_due:
                _save_checkpoint(program, state, history, checkpointer)
        _save_checkpoint(program, state, history, checkpointer)
        program.finish(state)
        best = int(state.best_epoch) + 1 if program.monitor.restores else 0
        return TrainingResult(weights_of(program.learner.model, job.network), history, best or None)


@contextmanager
def open_program(job: Job, jit_compile: bool, programs: ProgramCache | None) -> Iterator[Program]:
    """Open the program of a job in its initial state.

    Raises:
        WorkerError: if another worker of the cluster has exited.
    """
    if isinstance(job.train.inputs, ShardedInputs):
        with chunked_program.translated():
            yield chunked_program.ClusterProgram(job)
    elif not all(rows.inputs.is_resident for rows in (job.train, job.validation) if rows):
        learner = build_learner(job, jit_compile=jit_compile)
        yield chunked_program.StreamingProgram(job, learner, jit_compile)
    elif programs is None or not can_share(job):
        learner = build_learner(job, jit_compile=jit_compile)
        resident = ResidentProgram(job, learner, jit_compile)
        resident.load_rows(job, job.placed)
        yield resident
    else:
        with programs.program(job, jit_compile) as resident:
            yield resident


def _save_checkpoint(
    program: Program,
    state: State,
    history: History,
    checkpointer: Checkpointer,
) -> None:
    checkpoint = Checkpoint(program.arrays(state), history)
    if training_job.is_finite(checkpoint):
        checkpointer.save(checkpoint)
