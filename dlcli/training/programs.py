"""Compiled programs that several trainings share.

Making a program takes far longer than training a small table with it. Jobs that differ only in
numbers (see `numbers.py`), and in a few rows more or less, have the same program.
"""

from __future__ import annotations

from typing import Any

import keras

from dlcli.config import ConstantLearningRate, ReduceOnPlateau
from dlcli.tasks import NumberTarget
from dlcli.training.held import VALIDATION_ROWS, HeldProgram
from dlcli.training.job import Job
from dlcli.training.learner import build_learner
from dlcli.training.numbers import optimizer_without_numbers, without_numbers
from dlcli.training.program import is_normalized
from dlcli.training.snapshots import Arrays, values_of

MOST_PROGRAMS = 8
"""Programs that are kept, of some 20 MB each; the one that was used longest ago goes first."""
MOST_STARTS = 8
"""Seeds whose first weights are kept with a program."""


class Programs:
    """The programs of earlier jobs."""

    def __init__(self) -> None:
        self.made = 0
        """How many programs were made."""
        self._kept: dict[str, _Shared] = {}
        self._latest: _Shared | None = None

    def program(self, job: Job, jit_compile: bool) -> HeldProgram:
        """The program of a job, ready to run from its beginning.

        Args:
            job: what to train on what; see `can_share`.
            jit_compile: whether XLA compiles it.
        """
        key = program_key(job, jit_compile)
        shared = self._kept.pop(key, None)
        if shared is None:
            self.made += 1
            shared = _Shared(job, jit_compile)
        if self._latest is not None:
            self._latest.program.release()
        self._kept[key] = self._latest = shared
        if len(self._kept) > MOST_PROGRAMS:
            del self._kept[next(iter(self._kept))]
        shared.begin(job)
        return shared.program


class _Shared:
    """A program, and what all of its variables are before the first step, by seed."""

    def __init__(self, job: Job, jit_compile: bool) -> None:
        learner = build_learner(job, shared=True)
        self.program = HeldProgram(job, learner, jit_compile)
        self._starts: dict[int, Arrays] = {
            job.config.seed: self.program.arrays(self.program.start())
        }

    def begin(self, job: Job) -> None:
        """Takes a job's rows and numbers, and goes back to before the first step."""
        program = self.program
        program.learner.numbers.load(job)
        program.take(job, {})
        program.restore(self._start(job))
        if isinstance(job.config.learning_rate_schedule, ConstantLearningRate | ReduceOnPlateau):
            program.learner.set_rate(job.config.optimizer.learning_rate)

    def _start(self, job: Job) -> Arrays:
        seed = job.config.seed
        if seed not in self._starts:
            while len(self._starts) >= MOST_STARTS:
                del self._starts[next(iter(self._starts))]
            usual = next(iter(self._starts.values()), {})
            first = values_of(build_learner(job).variables)  # optimizers may copy the weights
            self._starts[seed] = {**usual, **first}
        return self._starts[seed]


def can_share(job: Job) -> bool:
    """Whether a job's program can serve others: it begins, and goes to its end."""
    begins = job.config.initial_weights is None and job.initial_weights is None
    return begins and job.until is None


def program_key(job: Job, jit_compile: bool) -> str:
    """What jobs with the same program have in common.

    Args:
        job: what to train on what.
        jit_compile: whether XLA compiles it.
    """
    config, network = job.config, job.network
    draws = network.front.augments or any(hasattr(layer, "rate") for layer in network.layers)
    parts = (
        *(jit_compile, keras.config.floatx(), config.precision),
        *(network.front, [*map(without_numbers, network.layers)]),
        *(optimizer_without_numbers(job), _timed(job), config.early_stopping),
        *(job.head.loss, job.head.metrics, _target(job)),
        config.seed if draws else None,
        *(job.batch_size, job.steps, _rows(job)),
        *(job.labels.shape[1:], job.labels.dtype, job.loss_weights is None),
    )
    return repr(parts)


def _timed(job: Job) -> object:
    """The schedule; one that lasts for all epochs, with how many steps they have."""
    schedule = job.config.learning_rate_schedule
    if isinstance(schedule, ConstantLearningRate | ReduceOnPlateau):
        return schedule
    return schedule, job.config.epochs


def _target(job: Job) -> object:
    """What metrics make of labels and outputs."""
    if isinstance(job.target, NumberTarget):
        return [scaling.name for scaling in job.target.scalings]
    return job.target.kind


def _rows(job: Job) -> tuple[Any, ...]:
    """The shapes of the rows, as they lie on the device."""
    held_out = None if job.validation is None else len(job.validation.inputs)
    weighs = job.train.weights is not None
    if is_normalized(job):
        return weighs, len(job.train.inputs), held_out
    if held_out is not None:
        held_out = -(-held_out // VALIDATION_ROWS)
    return weighs, held_out
