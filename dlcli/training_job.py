"""Training without TensorFlow objects: device, job, engine, result, checkpoints and checks."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli import is_command_line
from dlcli.cluster import NO_OTHERS, TERMINATING, Handler, Workers, replacing_handlers
from dlcli.config.config_schema import CompiledEngine, Config, Engine, KerasEngine
from dlcli.diagnosis.case import Magnitudes
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs, Inputs
from dlcli.errors import DivergenceError, Interrupted, RunError, plural
from dlcli.network.head import Head
from dlcli.network.layers import Network, Weights
from dlcli.runs.file_formats import ArraySpec, weight_specs
from dlcli.runs.run_writer import Checkpoint, RunWriter
from dlcli.safe_files import damaged
from dlcli.tasks.task import Task

Arrays = Mapping[str, NDArray[Any]]
History = dict[str, list[float]]
"""Values of each epoch, by column of history.csv."""
EpochProgress = Callable[[int, Mapping[str, float]], None]
"""Receives each epoch, from 1, with its values by column of history.csv."""
MODEL = "model/"
"""Prefix of the names of the variables of the model in a checkpoint."""
NUMBERS_AT_ONCE = 2**24
"""Number of inputs that are measured at a time; for rows on disk, in total."""
_BEST_EPOCH = "best_epoch"
"""The array with the best epoch of a finished member; 0 for the last epoch."""
OVERHEAD = 10
"""The minimum time between checkpoints, as a multiple of the time to store one."""
_LARGEST = float(np.finfo(np.float32).max)

SECONDS_SAVED_A_LAYER = 45e-6
"""Time that XLA saves in each step for a layer of any size, compared with a graph, because it
starts fewer kernels."""
SECONDS_SAVED_A_WEIGHT = 2e-9
"""Time that XLA saves in each step for a weight, because it is read and written fewer times."""
SECONDS_SAVED_AN_ACTIVATION = 2e-9
"""Time that XLA saves in each step for a unit and a row by fusing operations."""
SECONDS_SAVED_AN_EPOCH = 250e-6
"""Time that XLA saves at the end of an epoch, in evaluation and with the best weights."""
SECONDS_SAVED_AN_IMAGE_LAYER = 60e-6
"""Time that XLA saves in each step for a layer that augments images."""
SECONDS_SAVED_A_PIXEL = 10e-9
"""Time that XLA saves in each step for a pixel of such a layer."""
SHARE_BEFORE_STOPPING = 1 / 3
"""Share of the configured epochs until early stopping ends training: the median of 14 tables."""
SECONDS_TO_COMPILE = 0.6
"""Additional time that XLA takes to compile a program, compared with a graph."""
SECONDS_TO_COMPILE_A_LAYER = 0.14
"""Additional time that XLA takes to compile a layer, compared with a graph."""


@dataclass(frozen=True)
class Device:
    """The device of a process."""

    name: str
    """`cpu` or `gpu`."""
    threads: int
    """Number of CPU threads, within and between operations."""
    gpus: int = 0
    """The number of available GPUs; one is used."""


@dataclass(frozen=True)
class Job:
    """A network to train on rows."""

    config: Config
    """The config, which sets the optimizer, schedule, epochs, batch size and so on."""
    network: Network
    """The layers."""
    head: Head
    """The loss and the metrics."""
    task: Task
    """The task, which determines the form of labels, their weights, and the unit of metrics."""
    train: EncodedRows
    """The training rows."""
    validation: EncodedRows | None = None
    """The validation rows, if any."""
    initial_weights: Weights | None = None
    """The initial weights; `None` for the results of the initializers."""
    soft_labels: NDArray[np.float32] | None = None
    """The labels that the loss of a distilled network compares with the output, (rows, units)."""
    until: int | None = None
    """The epoch after which to stop; `None` for the last one. Schedules are not affected."""
    rows_of_largest: int = 0
    """Number of rows of the largest job that shares the program. If all rows fit into one batch,
    the batch is padded to this number."""
    placed: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """Inputs that are already on the device, shared by jobs with the same rows, see
    `ResidentProgram.load_rows`."""

    @property
    def epochs(self) -> int:
        """The maximum number of epochs."""
        return self.config.epochs if self.until is None else self.until

    @property
    def can_begin(self) -> bool:
        """True if the job can start with its first epoch; it may lack initial weights."""
        return self.config.initial_weights is None or self.initial_weights is not None

    @property
    def batch_size(self) -> int:
        """Number of rows per step: the configured number, or all rows if there are fewer."""
        return min(self.config.batch_size, max(len(self.train.inputs), self.rows_of_largest))

    @property
    def steps(self) -> int:
        """Number of steps per epoch; the last step uses the remaining rows."""
        return -(-len(self.train.inputs) // self.batch_size)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the values of an epoch, in the order of history.csv."""
        measured = ("loss", *self.head.metrics)
        held_out = () if self.validation is None else tuple(f"val_{name}" for name in measured)
        return (*measured, *held_out)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The training target in the form for the loss, (rows, ...).

        For a distilled network, the soft labels precede the true labels, which metrics use,
        (rows, 2 · units).
        """
        labels = self.task.loss_labels(self.train.target, self.head.loss, self.network.outputs)
        return labels if self.soft_labels is None else np.hstack([self.soft_labels, labels])

    @cached_property
    def validation_labels(self) -> NDArray[Any] | None:
        """The validation target in the form of `labels`, without predictions of a teacher."""
        if self.validation is None:
            return None
        target, units = self.validation.target, self.network.outputs
        labels = self.task.loss_labels(target, self.head.loss, units)
        return labels if self.soft_labels is None else np.hstack([labels, labels])

    @cached_property
    def loss_weights(self) -> NDArray[np.float32] | None:
        """The weights of the training rows, including class weights, (rows,), or `None`."""
        rows = self.train
        return self.task.loss_weights(rows.target, rows.weights, self.config.class_weight)

    def problem(self, checkpoint: Checkpoint) -> str:
        """Return the reason if a checkpoint can't be a state of the job, else an empty string.

        Args:
            checkpoint: the checkpoint, untrusted, whose arrays have the right shapes.
        """
        arrays, columns, step = checkpoint.arrays, tuple(checkpoint.history), checkpoint.step
        epoch, epochs = int(arrays["epoch"]), self.config.epochs
        if not (0 <= step <= self.steps and 0 <= epoch * self.steps + step <= epochs * self.steps):
            return f"is at step {step} of {self.steps} after {epoch} of {epochs} epochs"
        bests = (int(value) for name, value in arrays.items() if name.endswith("best_epoch"))
        if any(not -1 <= best < max(epoch, 1) for best in bests):
            return f"has a best epoch after the {epoch} completed epochs"
        if checkpoint.epochs != epoch:
            return f"has {epoch} epochs, but its history has {checkpoint.epochs}"
        expected = (*self.columns, "learning_rate") if epoch else ()
        if columns != expected:
            found, wanted = (", ".join(names) or "nothing" for names in (columns, expected))
            return f"has the history columns {found}, expected {wanted}"
        return ""


def choose_engine(config: Config, network: Network, rows: int, trainings: int = 1) -> Engine:
    """Choose the engine that trains a network from the config and shapes, not from timings.

    The constants were measured on two CPU cores by `benchmarks/engines.py`. An inexact constant
    only costs time. The choice is written to the resolved config.

    Args:
        config: `engine`, `epochs`, `batch_size` and `precision` are read.
        network: the layers.
        rows: the number of training rows.
        trainings: the number of training jobs that share one compiled program.
    """
    if isinstance(config.engine, KerasEngine):
        return config.engine
    if isinstance(config.engine, CompiledEngine) and config.engine.jit_compile != "auto":
        return config.engine
    # With a mixed policy, XLA rounds fused operations less often than the policy specifies; only a
    # graph gives the same results as Keras.
    is_exact = config.precision == "float32"
    return CompiledEngine(jit_compile=is_exact and _xla_pays(config, network, rows, trainings))


def estimate_step_seconds(network: Network, batch: int) -> float:
    """Estimate the time of a step of the compiled engine on two CPU cores, in seconds.

    It is accurate to a factor of about two. A step computes three products for each kernel.

    Args:
        network: the layers.
        batch: number of rows in a step.
    """
    return 20e-6 + 6 * batch * network.parameters / 2e10


def _xla_pays(config: Config, network: Network, rows: int, trainings: int) -> bool:
    batch = min(config.batch_size, rows)
    epochs = config.epochs * (SHARE_BEFORE_STOPPING if config.early_stopping else 1)
    steps = epochs * -(-rows // batch)
    activations = batch * sum(layer.units for layer in network.layers)
    saved = SECONDS_SAVED_A_LAYER * len(network.layers)
    saved += SECONDS_SAVED_A_WEIGHT * network.parameters
    saved += SECONDS_SAVED_AN_ACTIVATION * activations
    for layer in network.front.augments:
        pixels = batch * (layer.stop - layer.start)
        saved += SECONDS_SAVED_AN_IMAGE_LAYER + SECONDS_SAVED_A_PIXEL * pixels
    saved = steps * saved + epochs * SECONDS_SAVED_AN_EPOCH
    compiling = SECONDS_TO_COMPILE + SECONDS_TO_COMPILE_A_LAYER * len(network.layers)
    return trainings * saved > compiling


@dataclass(frozen=True)
class TrainingResult:
    """A trained network."""

    weights: Weights
    """The weights by name."""
    history: Mapping[str, list[float]]
    """The values of each epoch: loss, metrics and learning rate, by column of history.csv."""
    best_epoch: int | None
    """The epoch of the weights, from 1; `None` if these are the final weights."""

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return len(self.history["loss"])


class Checkpointer:
    """Stores checkpoints of a network, or of the members of an ensemble, when they are due.

    This base class stores nothing.
    """

    @property
    def is_ending(self) -> bool:
        """True if training is about to end, so even an older checkpoint must be stored now."""
        return False

    @property
    def is_due(self) -> bool:
        """True if it is time for a checkpoint, or training is about to end."""
        return self.is_ending

    def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint.

        Raises:
            TrainingError: if it can't be stored.
            Interrupted: if training must end.
        """

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Checkpoint | None:
        """Return the newest checkpoint that is not past the end of the job; `None` to start over.

        Args:
            job: the job.
            kinds: shape and dtype that each array must have, by name.

        Raises:
            RunError: if no checkpoint can be read, the newest one does not belong to the job, or
                there is none and the job can't start over.
        """
        return None

    def of_member(self, number: int) -> Checkpointer:
        """Return the checkpointer of an ensemble member, numbered from 1.

        Several members may be trained at the same time in threads.
        """
        return self

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Store the result of a finished member, which a resumed run does not train again.

        Raises:
            TrainingError: if it can't be stored.
        """

    def finished_member(self, number: int, job: Job) -> TrainingResult | None:
        """Return the stored result of a member; `None` if it is not finished.

        Args:
            number: the number of the member, from 1.
            job: the job that trains the member.

        Raises:
            RunError: if the result is damaged or does not belong to the job.
        """
        return None


NO_CHECKPOINTS = Checkpointer()


def first_checkpoint(job: Job, arrays: Arrays, checkpointer: Checkpointer) -> Checkpoint:
    """Return the checkpoint to resume from, else store and return the state before the first step.

    Args:
        job: the job.
        arrays: the state before the first step, by name.
        checkpointer: stores checkpoints, and may provide one to resume from.
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
    """Add the values of an epoch to the history, and report them.

    Raises:
        DivergenceError: if the validation loss is NaN or infinite.
    """
    # The float64 with the shortest digits of the float32: 0.01 instead of 0.009999999776.
    shortest = {name: float(str(np.float32(value))) for name, value in values.items()}
    check_finite(shortest.get("val_loss", 0.0), len(history.get("loss", ())) + 1)
    for name, value in shortest.items():
        history.setdefault(name, []).append(value)
    progress(len(history["loss"]), shortest)


def values_of(variables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Copy the values of variables, by name."""
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def assign_values(variables: Mapping[str, Any], arrays: Arrays) -> None:
    """Set variables to arrays with the same names."""
    for name, variable in variables.items():
        variable.assign(arrays[name])


def check_finite(loss: float, epoch: int) -> None:
    """Check that a loss is finite.

    Args:
        loss: the training loss of the epoch so far, or the validation loss at its end.
        epoch: the epoch, from 1.

    Raises:
        DivergenceError: if the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise DivergenceError(f"training diverged: the loss became {loss} in epoch {epoch}", epoch)


def check_weights(weights: Weights, epoch: int) -> None:
    """Check that the weights after the last step are finite, because no later loss shows it.

    Args:
        weights: the final weights.
        epoch: the last epoch, from 1.

    Raises:
        DivergenceError: if any weight is NaN or infinite.
    """
    for name, array in weights.items():
        if not np.isfinite(array).all():
            message = f"training diverged: '{name}' is no longer finite after the last step"
            raise DivergenceError(message, epoch)


def measure_magnitudes(job: Job, epoch: int) -> Magnitudes:
    """Measure the inputs and targets of a diverged training job, for `dlcli.diagnosis`.

    Args:
        job: the job that diverged.
        epoch: the epoch in which it diverged, from 1.
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
    """Return the largest absolute input of each column; on disk, only the first rows are read."""
    size, stored = max(1, NUMBERS_AT_ONCE // inputs.width), inputs.stored
    is_in_memory = isinstance(stored, InMemoryInputs) and not stored.sparse
    stop = len(inputs) if is_in_memory else size
    largest = np.zeros(inputs.width, np.float32)
    for start in range(0, stop, size):
        largest = np.maximum(largest, np.abs(inputs.part(start, start + size)).max(axis=0))
    found: dict[str, float] = {}
    for block, columns in job.network.layout.slices():
        magnitude = _size(largest[columns].max())
        found[block.column] = max(magnitude, found.get(block.column, 0.0))
    return found


def _size(value: float | np.floating) -> float:
    """Limit a number to the range of JSON."""
    return min(float(value), _LARGEST)


@contextmanager
def handling_terminating(handler: Handler) -> Iterator[None]:
    """Handle terminating signals within a block.

    This does nothing in another program, which handles its signals, or outside the main thread,
    which alone receives signals.

    Args:
        handler: the function to call, or an action of `signal`.
    """
    is_main = threading.current_thread() is threading.main_thread()
    with replacing_handlers(TERMINATING if is_main and is_command_line.get() else (), handler):
        yield


class SignalStop:
    """Ends work when a signal arrives; the message of a subclass states what is finished."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The first signal that arrived, if any."""

    @property
    def is_ending(self) -> bool:
        """True if the work must end."""
        return self.signal is not None

    def check(self) -> None:
        """End the work if a signal has arrived.

        Raises:
            Interrupted: with the state of the work and the command to resume it.
        """
        raise NotImplementedError

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """End the work at the first terminating signal; training first stores a checkpoint.

        A second Ctrl-C ends the work immediately, see `handling_terminating`.

        Raises:
            Interrupted: if a signal has arrived since the last checkpoint was stored.
        """
        with handling_terminating(self._handle):
            yield
        self.check()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


class StopOnSignal(SignalStop, Checkpointer):
    """A checkpointer that stores nothing and ends training when a signal arrives.

    Interrupted work starts over when the run is resumed.

    Args:
        writer: the run.
        describe: returns what is finished, for the message: `3 epochs` or `2 of 5 folds`.
        resumable: whether the run can be resumed from the beginning.
    """

    def __init__(
        self, writer: RunWriter, describe: Callable[[], str], *, resumable: bool = False
    ) -> None:
        super().__init__()
        self._writer = writer
        self._describe = describe
        self._resumable = resumable

    def save(self, checkpoint: Checkpoint) -> None:
        """Discard a checkpoint.

        Raises:
            Interrupted: if a signal has arrived.
        """
        self.check()

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Discard the result of a member of an ensemble.

        Raises:
            Interrupted: if a signal has arrived.
        """
        self.check()

    def check(self) -> None:
        """End the run if a signal has arrived.

        Raises:
            Interrupted: with the state of the work and the command to resume it.
        """
        if self.signal is None:
            return
        if self._resumable:
            self._writer.has_partial_results = True
        message = f"{self.signal.name} after {self._describe()}; {self._writer.way_to_resume}"
        raise self._add_ways_out(Interrupted(message, self.signal))

    def _add_ways_out(self, error: Interrupted) -> Interrupted:
        """Add notes on what else can be done with the interrupted run."""
        return error


class RunCheckpointer(StopOnSignal):
    """Stores checkpoints in the run folder, and loads the newest one to resume training.

    In a cluster, worker 0 stores and loads checkpoints, and all workers resume from the same one.

    Args:
        writer: the run.
        seconds: the minimum time between two checkpoints of a network.
        on_resume: called when the training of a network is resumed, with the number of finished
            epochs and the number of the member.
        workers: the workers of the cluster.
        clock: returns the time in seconds.
        run: for a member of an ensemble, the checkpointer of the run.
        member: the number of the member.
    """

    def __init__(
        self,
        writer: RunWriter,
        seconds: float,
        on_resume: Callable[[int, int | None], None] = lambda *_: None,
        workers: Workers = NO_OTHERS,
        clock: Callable[[], float] = time.monotonic,
        run: RunCheckpointer | None = None,
        member: int | None = None,
    ) -> None:
        super().__init__(writer, self._describe_finished)
        self.seconds = seconds
        self.on_resume = on_resume
        self.workers = workers
        self.clock = clock
        self._epochs = 0
        """Number of epochs in the latest checkpoint that this process stored."""
        self._run = run
        self._member = member
        self._members: dict[int, RunCheckpointer] = {}
        self._next = clock() + seconds if workers.rank == 0 else math.inf

    @property
    def is_ending(self) -> bool:
        """True if training must end."""
        return super().is_ending if self._run is None else self._run.is_ending

    @property
    def is_due(self) -> bool:
        """True if a checkpoint is due, or training must end."""
        return self.is_ending or self.clock() >= self._next

    def check(self) -> None:
        """End the run if a signal has arrived, see `StopOnSignal`."""
        if self._run is None:
            super().check()
        else:
            self._run.check()

    def _add_ways_out(self, error: Interrupted) -> Interrupted:
        if (way := self._writer.way_to_finish) is not None:
            error.add_note(f"  {way}")
        return error

    def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint, see `Checkpointer`."""
        if self.workers.rank == 0:
            start = self.clock()
            self._writer.write_checkpoint(checkpoint, self._member)
            end = self.clock()
            self._epochs = checkpoint.epochs
            self._next = end + max(self.seconds, OVERHEAD * (end - start))
        self.check()

    def latest(self, job: Job, kinds: Mapping[str, ArraySpec]) -> Checkpoint | None:
        """Return the checkpoint to resume from, see `Checkpointer`."""

        def is_usable(checkpoint: Checkpoint) -> bool:
            return job.until is None or checkpoint.begun <= job.until

        def load() -> Checkpoint | None:
            checkpoint = self._writer.read_checkpoint(kinds, is_usable, self._member)
            if checkpoint is None:
                if not job.can_begin:
                    message = "has no checkpoint to resume from; train it again"
                    raise RunError(f"{self._writer.path}: {message}")
                return None
            if problem := job.problem(checkpoint):
                raise damaged(self._writer.path, f"its checkpoint {problem}")
            self.on_resume(checkpoint.epochs, self._member)
            return checkpoint

        return self._load_on_worker_0(load)

    def of_member(self, number: int) -> RunCheckpointer:
        """Return the checkpointer of a member of an ensemble, numbered from 1."""
        shared = self._writer, self.seconds, self.on_resume, self.workers, self.clock
        self._members[number] = member = RunCheckpointer(*shared, run=self, member=number)
        return member

    def save_member(self, number: int, result: TrainingResult) -> None:
        """Store the result of a finished member, see `Checkpointer`."""
        if self.workers.rank == 0:
            arrays = {**result.weights, _BEST_EPOCH: np.array(result.best_epoch or 0)}
            self._writer.write_member(number, Checkpoint(arrays, result.history))

    def finished_member(self, number: int, job: Job) -> TrainingResult | None:
        """Return the stored result of a member, see `Checkpointer`."""

        def load() -> Checkpoint | None:
            specs = weight_specs({weight.name: weight.shape for weight in job.network.weights})
            kinds = {**specs, _BEST_EPOCH: ArraySpec((), np.dtype(np.int64))}
            stored = self._writer.read_member(number, kinds)
            if stored is None:
                return None
            is_possible = 0 <= stored.arrays[_BEST_EPOCH] <= stored.epochs <= job.config.epochs
            if tuple(stored.history) != (*job.columns, "learning_rate") or not is_possible:
                raise damaged(self._writer.path, f"member {number} belongs to another training run")
            return stored

        stored = self._load_on_worker_0(load)
        if stored is None:
            return None
        weights = {name: array for name, array in stored.arrays.items() if name != _BEST_EPOCH}
        history = {name: [*values] for name, values in stored.history.items()}
        return TrainingResult(weights, history, int(stored.arrays[_BEST_EPOCH]) or None)

    def _load_on_worker_0(self, load: Callable[[], Checkpoint | None]) -> Checkpoint | None:
        """Load on worker 0 and return the result on all workers."""
        workers = self.workers
        found = workers.agree(lambda: load() if workers.rank == 0 else None)
        history = workers.gather(None if found is None else found.history)[0]
        if history is None:
            return None
        return Checkpoint(workers.gather_arrays({} if found is None else found.arrays)[0], history)

    def _describe_finished(self) -> str:
        members = [*self._members.values()]  # threads may add members at any time
        if not members:
            return plural(self._epochs, "epoch")
        epochs = sum(member._epochs for member in members)
        return f"{plural(epochs, 'epoch')} of {plural(len(members), 'member')}"
