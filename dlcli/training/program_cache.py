"""Compiled programs that several jobs share.

Compiling takes far longer than training on a small table. Jobs that differ only in runtime values
(see `RuntimeValues`), and in a few rows more or less, have the same program.
"""

from __future__ import annotations

import keras

from dlcli.config import ConstantLearningRate, ReduceOnPlateau
from dlcli.training.compiled_program import VALIDATION_ROWS, ResidentProgram, is_normalized
from dlcli.training.epoch_monitor import State
from dlcli.training.job import Arrays, Job, values_of
from dlcli.training.objectives import build_learner
from dlcli.training.runtime_values import optimizer_without_values, without_values

MOST_PROGRAMS = 8
"""Programs that are kept, of some 20 MB each; the least recently used one is dropped first."""
MOST_STARTS = 8
"""Seeds whose initial weights are kept with a program."""


class ProgramCache:
    """The programs of earlier jobs."""

    def __init__(self) -> None:
        self.made = 0
        """Number of programs that were compiled."""
        self._kept: dict[str, _Shared] = {}
        self._latest: _Shared | None = None

    def program(self, job: Job, jit_compile: bool) -> ResidentProgram:
        """Return the program of a job, in its state before the first step.

        Args:
            job: the job; see `can_share`.
            jit_compile: whether XLA compiles it.
        """
        key = program_key(job, jit_compile)
        shared = self._kept.pop(key, None)
        if shared is None:
            self.made += 1
            shared = _Shared(job, jit_compile)
        if self._latest is not None:
            self._latest.program.release_rows()
        self._kept[key] = self._latest = shared
        if len(self._kept) > MOST_PROGRAMS:
            del self._kept[next(iter(self._kept))]
        shared.begin(job)
        return shared.program


class _Shared:
    """A program, and the initial values of all its variables by seed."""

    def __init__(self, job: Job, jit_compile: bool) -> None:
        learner = build_learner(job, shared=True)
        self.program = ResidentProgram(job, learner, jit_compile)
        self._starts: dict[int, Arrays] = {job.config.seed: self.program.arrays(State.start())}

    def begin(self, job: Job) -> None:
        """Load a job's rows and values, and reset the state to before the first step."""
        program = self.program
        program.learner.runtime.load(job)
        program.load_rows(job, {})
        program.restore(self._start(job))
        if isinstance(job.config.learning_rate_schedule, ConstantLearningRate | ReduceOnPlateau):
            program.learner.set_rate(job.config.optimizer.learning_rate)

    def _start(self, job: Job) -> Arrays:
        seed = job.config.seed
        if seed not in self._starts:
            while len(self._starts) >= MOST_STARTS:
                del self._starts[next(iter(self._starts))]
            others = next(iter(self._starts.values()), {})
            first = values_of(build_learner(job).variables)  # optimizers may copy the weights
            self._starts[seed] = {**others, **first}
        return self._starts[seed]


def can_share(job: Job) -> bool:
    """Whether a job can use a shared program: it starts afresh and runs to its end."""
    begins = job.config.initial_weights is None and job.initial_weights is None
    return begins and job.until is None


def program_key(job: Job, jit_compile: bool) -> str:
    """Return a key that is equal for jobs with the same program.

    Args:
        job: the job.
        jit_compile: whether XLA compiles it.
    """
    config, network, unit = job.config, job.network, job.task.output_unit
    draws = network.front.augments or any(hasattr(layer, "rate") for layer in network.layers)
    follows_epochs = not isinstance(
        config.learning_rate_schedule, ConstantLearningRate | ReduceOnPlateau
    )
    validation = len(job.validation.inputs) if job.validation else 0
    block = 1 if is_normalized(job) else VALIDATION_ROWS
    parts = (
        *(jit_compile, keras.config.floatx(), config.precision),
        *(network.front, [*map(without_values, network.layers)]),
        *(optimizer_without_values(job), config.learning_rate_schedule, config.early_stopping),
        config.epochs if follows_epochs else None,
        *(job.head.loss, job.head.metrics, unit.names if unit else job.task.outcome),
        config.seed if draws else None,
        *(job.batch_size, job.steps, len(job.train.inputs) if is_normalized(job) else None),
        *(job.validation is None, -(-validation // block)),
        *(job.train.weights is None, job.loss_weights is None),
        *(job.labels.shape[1:], job.labels.dtype),
    )
    return repr(parts)
