"""A training without TensorFlow: its device, job and result, and what engines check and store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.config.config_schema import Config
from dlcli.diagnosis.case import Magnitudes
from dlcli.encoding.encoded_rows import EncodedRows, Inputs, stored_inputs
from dlcli.errors import DivergenceError
from dlcli.network.layers import Weights
from dlcli.network.network import Head, Network
from dlcli.runs.file_formats import ArraySpec
from dlcli.runs.resume_files import Checkpoint
from dlcli.tasks.task import Task

Arrays = Mapping[str, NDArray[Any]]
History = dict[str, list[float]]
"""Values of each epoch, by column of history.csv."""
EpochProgress = Callable[[int, Mapping[str, float]], None]
"""Receives each epoch, counted from 1, with its values by column of history.csv."""
MODEL = "model/"
"""Prefix of the names of the model's own variables in a checkpoint."""
NUMBERS_AT_ONCE = 2**24
"""Inputs that are measured at a time, and of rows on disk in all."""
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Device:
    """The device of a process."""

    name: str
    """`cpu` or `gpu`."""
    threads: int
    """CPU threads within and between operations."""
    gpus: int = 0
    """The number of GPUs to choose from, of which one is used."""


@dataclass(frozen=True)
class Job:
    """A network to train on rows."""

    config: Config
    """Seed, optimizer, schedule, epochs, batch size, early stopping, precision."""
    network: Network
    """The layers."""
    head: Head
    """Loss and metrics."""
    task: Task
    """The task: the form of labels, their weights, and the unit of metrics."""
    train: EncodedRows
    """Training rows."""
    validation: EncodedRows | None = None
    """Validation rows."""
    initial_weights: Weights | None = None
    """Initial weights instead of the initializers'."""
    until: int | None = None
    """The epoch to end after, if not the last; schedules are not affected."""
    rows_of_largest: int = 0
    """Number of rows of the largest job that shares the program: if a batch has room for all rows,
    it is padded to so many."""
    placed: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """Inputs that are on the device already: shared by jobs over the same rows, of which one is
    derived from the other. See `ResidentProgram.load_rows`."""

    @property
    def epochs(self) -> int:
        """The epoch after which training ends at the latest."""
        return self.config.epochs if self.until is None else self.until

    @property
    def can_begin(self) -> bool:
        """True if it can start at its first epoch; a resumed job may lack its initial weights."""
        return self.config.initial_weights is None or self.initial_weights is not None

    @property
    def batch_size(self) -> int:
        """Rows per step: as configured, or all if there are fewer."""
        return min(self.config.batch_size, max(len(self.train.inputs), self.rows_of_largest))

    @property
    def steps(self) -> int:
        """Steps per epoch; the last one takes the remaining rows."""
        return -(-len(self.train.inputs) // self.batch_size)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of an epoch's values, in the order of history.csv."""
        measured = ("loss", *self.head.metrics)
        held_out = () if self.validation is None else tuple(f"val_{name}" for name in measured)
        return (*measured, *held_out)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The training target in the loss's form."""
        return self.task.loss_labels(self.train.target, self.head.loss, self.network.outputs)

    @cached_property
    def validation_labels(self) -> NDArray[Any] | None:
        """The validation target in the loss's form."""
        if self.validation is None:
            return None
        return self.task.loss_labels(self.validation.target, self.head.loss, self.network.outputs)

    @cached_property
    def loss_weights(self) -> NDArray[np.float32] | None:
        """The training rows' weights, class weights included, (rows,)."""
        return self.task.loss_weights(
            self.train.target, self.train.weights, self.config.class_weight
        )

    def problem(self, checkpoint: Checkpoint) -> str:
        """Return why a checkpoint can't be a state of the job, though its arrays fit; or nothing.

        It may come from a stranger and hold any numbers.
        """
        arrays, columns, step = checkpoint.arrays, tuple(checkpoint.history), checkpoint.step
        epoch, epochs = int(arrays["epoch"]), self.config.epochs
        if not (0 <= step <= self.steps and 0 <= epoch * self.steps + step <= epochs * self.steps):
            return f"is at step {step} of {self.steps} after {epoch} of {epochs} epochs"
        bests = (int(value) for name, value in arrays.items() if name.endswith("best_epoch"))
        if any(not -1 <= best < max(epoch, 1) for best in bests):
            return f"has its best epoch after the {epoch} completed ones"
        if checkpoint.epochs != epoch:
            return f"is after {epoch} epochs, and its history has {checkpoint.epochs}"
        expected = (*self.columns, "learning_rate") if epoch else ()
        if columns != expected:
            found, wanted = (", ".join(names) or "nothing" for names in (columns, expected))
            return f"has a history of {found}; expected {wanted}"
        return ""


@dataclass(frozen=True)
class TrainingResult:
    """A trained network."""

    weights: Weights
    """The weights by name."""
    history: Mapping[str, list[float]]
    """Values of each epoch: loss, metrics, learning_rate."""
    best_epoch: int | None
    """The epoch, from 1, that the weights are from; `None`: the last."""

    @property
    def epochs(self) -> int:
        """Number of epochs that were run."""
        return len(self.history["loss"])


class Checkpointer:
    """Stores checkpoints of a network, or of the members of an ensemble, when they are due.

    The base of all others stores nothing.
    """

    @property
    def is_ending(self) -> bool:
        """True if training is to end, so that even an older checkpoint is to be stored now."""
        return False

    @property
    def is_due(self) -> bool:
        """True if it is time for a checkpoint, or training is to end."""
        return self.is_ending

    def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint.

        Raises:
            TrainingError: if it can't be stored.
            Interrupted: if training is to end.
        """

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Checkpoint | None:
        """Return the checkpoint to resume from: the newest one not past the end of the job.

        Args:
            job: the job.
            kinds: shape and dtype that each array must have, by name.

        Raises:
            RunError: if there are some, and none can be read or belongs to such a job.
        """
        return None

    def of_member(self, number: int) -> Checkpointer:
        """Return the checkpointer of a member, numbered from 1.

        Several members may be trained at the same time, each in a thread.
        """
        return self

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Store the result of a finished member; its checkpoints are no longer needed.

        Raises:
            TrainingError: if it can't be stored.
        """

    def finished_member(self, number: int, job: Job) -> TrainingResult | None:
        """Return the stored result of a member; `None` if it is not finished.

        Args:
            number: from 1.
            job: what it is trained by.

        Raises:
            RunError: if it is damaged, or doesn't belong to the job.
        """
        return None


NO_CHECKPOINTS = Checkpointer()


def first_checkpoint(job: Job, arrays: Arrays, checkpointer: Checkpointer) -> Checkpoint:
    """Return the checkpoint to resume from, or store one of the state before the first step.

    Args:
        job: the job.
        arrays: the state before the first step, by name.
        checkpointer: stores checkpoints, and may have one to resume from.
    """
    kinds = {name: ArraySpec(array.shape, array.dtype) for name, array in arrays.items()}
    if (earlier := checkpointer.latest(job, kinds)) is not None:
        return earlier
    first = Checkpoint(arrays, {})
    checkpointer.save(first)
    return first


def is_finite(checkpoint: Checkpoint) -> bool:
    """Return whether the weights are finite; if not, the next loss will be NaN or infinite."""
    weights = (array for name, array in checkpoint.arrays.items() if name.startswith(MODEL))
    return all(np.isfinite(array).all() for array in weights)


def record_epoch(values: Mapping[str, float], history: History, progress: EpochProgress) -> None:
    """Add an epoch's values to the history, and report them.

    Raises:
        DivergenceError: if the validation loss is NaN or infinite.
    """
    # The float64 that prints like a float32: 0.01 instead of 0.009999999776.
    shortest = {name: float(str(np.float32(value))) for name, value in values.items()}
    check_finite(shortest.get("val_loss", 0.0), len(history.get("loss", ())) + 1)
    for name, value in shortest.items():
        history.setdefault(name, []).append(value)
    progress(len(history["loss"]), shortest)


def values_of(variables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Copy the values of variables, by name."""
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def assign_values(variables: Mapping[str, Any], arrays: Arrays) -> None:
    """Set variables to values of the same names."""
    for name, variable in variables.items():
        variable.assign(arrays[name])


def check_finite(loss: float, epoch: int) -> None:
    """Stop a run whose loss became NaN or infinite.

    Args:
        loss: the training loss so far in this epoch, or the validation loss at its end.
        epoch: counted from 1.

    Raises:
        DivergenceError: if it did.
    """
    if not math.isfinite(loss):
        raise DivergenceError(f"training diverged: the loss became {loss} in epoch {epoch}", epoch)


def check_weights(weights: Weights, epoch: int) -> None:
    """Stop a run whose last step led to non-finite weights, before any loss shows it.

    Args:
        weights: the final weights.
        epoch: the last one, from 1.

    Raises:
        DivergenceError: if any of them is NaN or infinite.
    """
    for name, array in weights.items():
        if not np.isfinite(array).all():
            message = f"training diverged: '{name}' is no longer finite after the last step"
            raise DivergenceError(message, epoch)


def measure_magnitudes(job: Job, epoch: int) -> Magnitudes:
    """Measure the numbers that a diverged training worked with, for `dlcli.diagnosis`.

    Args:
        job: the job that diverged.
        epoch: the epoch in which it did, from 1.
    """
    target, sizes = {}, None
    if job.task.outcome == "numbers":
        absolute = np.abs(job.train.target)
        target = dict(zip(job.task.columns, map(_size, absolute.max(axis=0)), strict=True))
        sizes = _size(absolute.min()), _size(absolute.mean())
    return Magnitudes(
        epoch=epoch,
        inputs=_input_sizes(job, job.train.inputs),
        validation_inputs=_input_sizes(job, job.validation.inputs) if job.validation else {},
        target=target,
        target_range=sizes,
        row_weight=1.0 if job.loss_weights is None else _size(job.loss_weights.mean()),
    )


def _input_sizes(job: Job, inputs: Inputs) -> dict[str, float]:
    """Return the largest absolute input of each column; for rows on disk, over the first ones."""
    size = max(1, NUMBERS_AT_ONCE // inputs.width)
    stop = size if stored_inputs(inputs).matrix is None else len(inputs)
    largest = np.zeros(inputs.width, np.float32)
    for start in range(0, stop, size):
        largest = np.maximum(largest, np.abs(inputs.part(start, start + size)).max(axis=0))
    sizes = iter(largest)
    return {
        block.column: _size(max(next(sizes) for _ in block.inputs))
        for block in job.network.layout.blocks
    }


def _size(value: float | np.floating) -> float:
    """Limit a size to what JSON can hold."""
    return min(float(value), _LARGEST)
