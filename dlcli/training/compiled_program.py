"""TensorFlow programs that run any number of training steps in one dispatch.

`Program` contains the parts: steps, evaluation, and the end of an epoch. `ResidentProgram` combines
them to one program over rows on the device. The arguments of a dispatch are the row orders of some
epochs, the state, and a number of steps::

    while steps and epochs are left, and the loss is finite:        run_epochs
        run the remaining steps of this epoch one by one            Program.steps
        after the last step: metrics, validation, early stopping    _end_epoch

See `chunked_program` for rows that are loaded to the device in chunks.

A dispatch may begin and end within an epoch, because `State` contains the sum of the losses of the
epoch so far. If a loss is NaN or infinite, the sum is non-finite, and all loops end.
"""

from __future__ import annotations

import copy
import ctypes
import functools
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.compiler.tf2xla.python.xla import optimization_barrier

from dlcli.columns.layout import Expansion
from dlcli.config.config_schema import EarlyStopping
from dlcli.config.training_choices import ReduceOnPlateau
from dlcli.encoding.encoded_rows import EncodedRows, Inputs
from dlcli.metrics.definitions import is_higher_better
from dlcli.training.expanding import expand
from dlcli.training.objectives import Learner
from dlcli.training.randomness import epoch_order, size_of
from dlcli.training_job import Arrays, Job, assign_values, estimate_step_seconds, values_of


def direction(monitor: str) -> str:
    """Return the direction in which a monitored value improves, `min` or `max`."""
    return "max" if is_higher_better(monitor) else "min"


class State(NamedTuple):
    """The state of training other than variables: scalars, with their names in a checkpoint."""

    epoch: tf.Tensor
    """The epoch, from 0, int32."""
    step: tf.Tensor
    """The next step within the epoch, from 0, int32."""
    total: tf.Tensor
    """Sum of the losses in this epoch so far, each times its number of rows, float."""
    stopping_value: tf.Tensor
    """Best value for early stopping, negated if higher is better, float64."""
    stopping_wait: tf.Tensor
    """Number of epochs since the best value for early stopping, int32."""
    best_epoch: tf.Tensor
    """Epoch of the best value for early stopping, from 0, int32; -1 before the first value."""
    plateau_value: tf.Tensor
    """Best value for the plateau, negated if higher is better, float64."""
    plateau_wait: tf.Tensor
    """Number of epochs since the best value for the plateau, int32."""
    cooldown: tf.Tensor
    """Remaining number of epochs in the cooldown of the plateau, int32."""
    stopped: tf.Tensor
    """True if early stopping has ended training."""

    @classmethod
    def start(cls) -> State:
        """Return the state before the first step."""
        zero, none = tf.constant(0), tf.constant(np.inf, tf.float64)
        total = tf.constant(0.0, keras.config.floatx())
        best_epoch, stopped = tf.constant(-1), tf.constant(False)
        return cls(zero, zero, total, none, zero, best_epoch, none, zero, zero, stopped)


class EpochMonitor:
    """Compares each epoch with the best one, keeps the best weights, reduces the learning rate.

    Args:
        job: the job, with its settings of early stopping and of the schedule.
        learner: its Keras objects.
    """

    def __init__(self, job: Job, learner: Learner) -> None:
        schedule = job.config.learning_rate_schedule
        self.stopping = job.config.early_stopping
        self.plateau = schedule if isinstance(schedule, ReduceOnPlateau) else None
        self.learner = learner
        self.restores = self.stopping is not None and self.stopping.restore_best_weights
        self._weights = learner.model.weights if self.restores else []
        self.best_weights = [
            tf.Variable(weight.value, trainable=False, shape=weight.value.shape)
            for weight in self._weights
        ]
        """The weights of the best epoch; empty unless they are restored at the end."""

    def update(self, state: State, values: Mapping[str, tf.Tensor]) -> State:
        """Return the state after an epoch, and update the best weights and the learning rate.

        Args:
            state: the state after the last step.
            values: the values of the epoch, scalars by column of history.csv.
        """
        if self.plateau is not None:
            state = self._update_plateau(state, self.plateau, _signed(self.plateau, values))
        if self.stopping is not None:
            state = self._update_stopping(state, self.stopping, _signed(self.stopping, values))
        return state

    def restore_best(self, state: State) -> None:
        """Set the model to the weights of the best epoch, if they are kept."""
        if int(state.best_epoch) >= 0:
            for best, weight in zip(self.best_weights, self._weights, strict=True):
                weight.assign(best)

    def _update_stopping(self, state: State, section: EarlyStopping, value: tf.Tensor) -> State:
        epoch = state.epoch
        counts = epoch >= section.start_from_epoch
        is_first = epoch == section.start_from_epoch
        better = counts & (is_first | (value + section.min_delta < state.stopping_value))
        for best, weight in zip(self.best_weights, self._weights, strict=True):
            best.assign(tf.where(better, weight.value, best))
        is_near = better
        if section.tolerance:
            is_near |= value < state.stopping_value + section.tolerance
        wait = tf.where(is_near, 0, state.stopping_wait + tf.cast(counts, tf.int32))
        ended = counts & ~better & (wait >= section.patience) & (epoch > 0)
        return state._replace(
            stopping_value=tf.where(better, value, state.stopping_value),
            stopping_wait=wait,
            best_epoch=tf.where(better, epoch, state.best_epoch),
            stopped=state.stopped | ended,
        )

    def _update_plateau(self, state: State, section: ReduceOnPlateau, value: tf.Tensor) -> State:
        cooling = state.cooldown > 0
        cooldown = state.cooldown - tf.cast(cooling, tf.int32)
        better = (state.epoch == 0) | (value + section.min_delta < state.plateau_value)
        counted = ~better & (cooldown == 0)
        wait = tf.where(cooling | better, 0, state.plateau_wait) + tf.cast(counted, tf.int32)
        rate = tf.cast(self.learner.rate(), tf.float64)
        is_due = counted & (wait >= section.patience)
        reduced = is_due & (rate > float(np.float32(section.min_lr)))
        lower = tf.maximum(rate * section.factor, section.min_lr)
        self.learner.set_rate(tf.where(reduced, lower, rate))
        return state._replace(
            plateau_value=tf.where(better, value, state.plateau_value),
            plateau_wait=tf.where(reduced, 0, wait),
            cooldown=tf.where(reduced, section.cooldown, cooldown),
        )


def _signed(section: EarlyStopping | ReduceOnPlateau, values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Return the monitored value, negated if higher is better, float64."""
    value = tf.cast(values[section.monitor], tf.float64)
    return -value if direction(section.monitor) == "max" else value


ConcreteFunction = Any
"""A `tf.types.experimental.ConcreteFunction`; TensorFlow has no type hints."""

ROWS_VALIDATED_AT_ONCE = 4096
ORDER_ENTRIES = 2**18
"""Maximum number of row indices in a dispatch, unless a single epoch has more."""
MOST_EPOCHS = 1024
"""Maximum number of epochs in a dispatch."""
VALIDATION_ROWS = 64
"""Validation rows of a shared program are padded to a multiple of this number."""
CHUNK_BYTES = 2**26
"""Size of a chunk of training or validation rows."""
MOST_EXPANDED = 2**24
"""Maximum number of inputs of compact training rows that are expanded before training: 64 MiB. If
the program expands the rows of each batch, a step takes about a tenth longer."""

SECONDS_PER_DISPATCH = 0.1
"""Target duration of a dispatch: short enough for progress and Ctrl-C, and long enough to make its
overhead negligible."""
FIRST_SECONDS = 0.05
"""Estimated duration of the first dispatch, without compiling."""
Dispatches = Iterator[tuple[State, NDArray[Any]]]
"""The state after each dispatch, and the rows of history that it wrote."""
EpochValues = dict[str, tf.Tensor]
"""The values of an epoch, by column of history.csv."""
Item = TypeVar("Item")


class DeviceRows(NamedTuple):
    """Rows on the device."""

    matrix: tf.Tensor
    """The inputs, (rows, inputs), or compact rows that the program expands."""
    labels: tf.Tensor
    """The labels in the form for the loss, (rows, ...)."""
    weights: tf.Tensor | None
    """Row weights, (rows,), or `None`."""

    @classmethod
    def of(
        cls,
        matrix: Any,  # noqa: ANN401
        labels: NDArray[Any],
        weights: NDArray[Any] | None,
        rows: NDArray[np.int64] | slice = slice(None),
        size: int | None = None,
    ) -> DeviceRows:
        """Copy rows to the device, with floating-point numbers in Keras's float type.

        Args:
            matrix: the inputs of the rows, (rows, inputs), or compact rows.
            labels: the labels of these and possibly other rows.
            weights: the weights of the same rows as `labels`, or `None`.
            rows: the indices of the rows in `labels` and `weights`.
            size: the number of rows after padding; no padding if omitted.
        """
        floats, size = keras.config.floatx(), size or len(matrix)
        given = tf.constant(pad(labels[rows], size))
        return cls(
            tf.constant(pad(matrix, size), dtype=floats),
            tf.cast(given, floats) if given.dtype.is_floating else given,
            None if weights is None else tf.constant(pad(weights[rows], size), dtype=floats),
        )

    def map(self, function: Callable[[Any], Any]) -> DeviceRows:
        """Apply a function to each tensor."""
        return DeviceRows(*(None if part is None else function(part) for part in self))


_COMPILING = threading.Lock()
"""Held while XLA compiles a program, which takes 200 to 300 MB of memory for a few seconds."""
Fetch = Callable[[tf.Tensor], DeviceRows]
"""Returns the batch of a step."""
RunStep = Callable[[tf.Tensor], tf.Tensor]
"""Runs a step, and returns its loss times its number of rows."""


class Program:
    """The parts of all programs: steps, evaluation, and the end of an epoch.

    Args:
        job: the job.
        learner: its Keras objects.
        jit_compile: whether XLA compiles the program, or TensorFlow runs it as a graph.
    """

    def __init__(self, job: Job, learner: Learner, jit_compile: bool) -> None:
        self.job = job
        self.learner = learner
        self.jit_compile = jit_compile
        self.expansion = expansion_of(job)
        """The conversion of the rows on the device to inputs; `None` if they are inputs."""
        self.monitor = EpochMonitor(job, learner)
        self._build_metrics()

    @property
    def is_padded(self) -> bool:
        """True if blocks are padded, so jobs with similar numbers of rows share the program."""
        return self.learner.runtime.shared

    @property
    def weighs_metrics(self) -> bool:
        """True if metrics are weighted: if there are row weights, not only class weights."""
        return self.job.train.weights is not None

    @property
    def pads_last_batch(self) -> bool:
        """True if a smaller last batch is padded with rows of weight 0 to fit the program."""
        rows, size = len(self.job.train.inputs), self.job.batch_size
        return self.is_padded or self.job.steps * size > rows

    def on_device(self, inputs: Inputs) -> Inputs:
        """Return inputs in the form in which the device stores them."""
        return inputs if self.expansion is None else inputs.compact

    @abstractmethod
    def dispatches(self, state: State) -> Dispatches:
        """Run the remaining epochs."""

    def arrays(self, state: State) -> dict[str, NDArray[Any]]:
        """Copy all arrays that are needed to resume training, by name."""
        return {**values_of(self._variables), **values_of(state._asdict())}

    def restore(self, arrays: Arrays) -> State:
        """Restore the state that `arrays` copied."""
        assign_values(self._variables, arrays)
        first = State.start()._asdict()
        return State(**{name: tf.constant(arrays[name], first[name].dtype) for name in first})

    @property
    def metric_variables(self) -> list[keras.Variable]:
        """The variables of the metrics; each is a sum over rows."""
        return [variable for metric in self.learner.metrics for variable in metric.variables]

    @property
    def _variables(self) -> dict[str, Any]:
        metrics = enumerate(self.metric_variables)
        return {
            **self.learner.variables,
            **{f"metrics/{index}": variable for index, variable in metrics},
            **{f"best/{index}": weight for index, weight in enumerate(self.monitor.best_weights)},
        }

    @property
    def handles(self) -> list[tf.Tensor]:
        """The handles of all variables, in the same order for all jobs with this program."""
        learner = self.learner
        variables = [*self._variables.values(), learner.keys, *learner.runtime.variables]
        return [variable.handle for variable in variables]

    def finish(self, state: State) -> None:
        """Set the model to its final weights, in the same way as `Model.fit`."""
        self.learner.optimizer.finalize_variable_values(self.learner.model.trainable_variables)
        self.monitor.restore_best(state)

    def compiled(self, function: Any, signature: Any = None) -> Any:  # noqa: ANN401
        """Return a function as a TensorFlow function.

        Args:
            function: a function of tensors that returns tensors.
            signature: the specifications of its arguments, so it is traced only once.
        """
        if self.keeps_loops:
            # By default, TensorFlow lowers loops and branches to operations on single values. This
            # takes some tenths of a second before the first step, and slows each step down. No
            # option turns it off, but TensorFlow does not lower loops that are built for its
            # single-threaded executor. The caller determines which executor runs the function.
            function = tf.experimental.function_executor_type("SINGLE_THREADED_EXECUTOR")(function)
        return tf.function(function, signature, autograph=False, jit_compile=self.jit_compile)

    @property
    def keeps_loops(self) -> bool:
        """True if the loops of the program are kept as functions, see `keeps_loops`."""
        return not self.jit_compile and keeps_loops(self.job)

    def steps(self, run: RunStep, state: State, upto: tf.Tensor) -> tf.Tensor:
        """Run the steps of an epoch before step `upto`; return the sum of losses so far."""

        def continues(step: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
            return (step < upto) & tf.math.is_finite(total)

        def one(step: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return step + 1, total + run(step)

        _, total = tf.while_loop(continues, one, (state.step, state.total))
        return total

    def step(self, fetch: Fetch, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Update the weights once; return the loss of the batch times its number of rows."""
        learner = self.learner
        learner.begin_step(epoch, step)
        batch = fetch(step)
        rows = size_of(batch.matrix, 0)
        count = tf.minimum(learner.runtime["rows"] - step * rows, rows)
        pads = self.pads_last_batch
        real = tf.cast(tf.range(rows) < count, batch.matrix.dtype) if pads else None
        batch = batch._replace(weights=_product(batch.weights, real))
        learner.batch_share.real = real
        share = tf.cast(count, keras.config.floatx())

        def loss_of(outputs: tf.Tensor) -> tf.Tensor:
            loss = learner.loss(batch.labels, outputs, sample_weight=batch.weights)
            if pads:
                loss *= tf.cast(rows, share.dtype) / share
            return loss + self._penalty()

        loss, outputs, gradients = self.differentiate(batch, loss_of)
        learner.batch_share.real = None
        learner.optimizer.apply(gradients, learner.model.trainable_variables)
        self._measure(batch.labels, outputs, batch.weights if self.weighs_metrics else real)
        return loss * share

    def differentiate(
        self, batch: DeviceRows, loss_of: Callable[[tf.Tensor], tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | None]]:
        """Return the loss, the outputs and the gradients of the scaled loss of a batch.

        Args:
            batch: the rows.
            loss_of: returns the loss of the outputs.
        """
        with tf.GradientTape() as tape:
            outputs = self._outputs(batch, training=True)
            loss = loss_of(outputs)
            scaled = self.learner.optimizer.scale_loss(loss)
        return loss, outputs, tape.gradient(scaled, self.learner.model.trainable_variables)

    def train_values(self, state: State) -> EpochValues:
        """Return the training values of an epoch after the last step, and reset the metrics."""
        rows = tf.cast(self.learner.runtime["rows"], keras.config.floatx())
        return {"loss": state.total / rows, **self._results()}

    def close_epoch(
        self, state: State, values: EpochValues, validation_loss: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        """End an epoch: update the monitor, and return the next state and the row of history.

        Args:
            state: the state after the last step.
            values: the training values.
            validation_loss: the mean loss of the validation rows; ignored if there are none.
        """
        if self.job.validation is not None:
            held_out = {"loss": validation_loss + self._penalty(), **self._results()}
            values = values | {f"val_{name}": value for name, value in held_out.items()}
        row = [values[name] for name in self.job.columns] + [self.learner.rate()]
        history = tf.stack([tf.cast(value, keras.config.floatx()) for value in row])
        state = self.monitor.update(state, values)
        zero, total = tf.zeros_like(state.step), tf.zeros_like(state.total)
        return state._replace(epoch=state.epoch + 1, step=zero, total=total), history

    def evaluate(self, block: DeviceRows, total: tf.Tensor) -> tf.Tensor:
        """Add a block of validation rows to the mean loss and to the metrics.

        The mean is computed as a sum of shares. If it were a sum of losses times rows that is
        divided at the end, a graph could combine the operations, and its rounding errors would
        differ from those of other programs.
        """
        if self.is_padded:
            is_real = tf.range(block.matrix.shape[0]) < self.learner.runtime["validation_rows"]
            real = tf.cast(is_real, block.matrix.dtype)
            block = block._replace(weights=_product(block.weights, real))
        rows = block.matrix.shape[0]
        full, rest = divmod(rows, ROWS_VALIDATED_AT_ONCE)

        def one(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start = index * ROWS_VALIDATED_AT_ONCE
            part = block.map(lambda whole: _slice_rows(whole, start, ROWS_VALIDATED_AT_ONCE))
            return index + 1, total + self._evaluate_part(part)

        if full:
            _, total = tf.while_loop(lambda index, _: index < full, one, (tf.constant(0), total))
        if rest:
            total += self._evaluate_part(block.map(lambda whole: whole[rows - rest :]))
        return total

    def _evaluate_part(self, part: DeviceRows) -> tf.Tensor:
        """Return the loss of a part of a block, times its share of the validation rows."""
        part = DeviceRows(*self._isolate(part))
        outputs = self._outputs(part, training=False)
        loss = self.learner.loss(part.labels, outputs, sample_weight=part.weights)
        is_weighted = self.weighs_metrics or self.is_padded
        self._measure(part.labels, outputs, part.weights if is_weighted else None)
        variables = self.metric_variables
        loss, *values = self._isolate([loss, *(variable.value for variable in variables)])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        rows = part.matrix.shape[0]
        if self.is_padded:
            count = tf.cast(self.learner.runtime["validation_rows"], keras.config.floatx())
            return loss * (rows / count)
        assert self.job.validation is not None
        return loss * (rows / len(self.job.validation.inputs))

    def _isolate(self, tensors: Sequence[tf.Tensor | None]) -> list[tf.Tensor | None]:
        """Prevent XLA from fusing computations before and after this call.

        Computations between two such calls have the same rounding errors in every program.
        """
        if not self.jit_compile:
            return list(tensors)
        present = [tensor for tensor in tensors if tensor is not None]
        passed = iter(optimization_barrier(*present))
        return [None if tensor is None else next(passed) for tensor in tensors]

    def _outputs(self, rows: DeviceRows, *, training: bool) -> tf.Tensor:
        matrix = rows.matrix
        if self.expansion is not None:
            by_input = self.jit_compile or bool(tf.config.get_visible_devices("GPU"))
            matrix = expand(self.expansion, matrix, by_input=by_input)
        outputs = self.learner.model(matrix, training=training)
        # Losses and metrics need the width, which is unknown if weights may have any size.
        outputs.set_shape((rows.matrix.shape[0], self.job.network.outputs))
        return outputs

    def _penalty(self) -> tf.Tensor:
        """Return the sum of regularization penalties."""
        return tf.add_n([*self.learner.model.losses, tf.constant(0.0, keras.config.floatx())])

    def _measure(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor | None) -> None:
        for metric in self.learner.metrics:
            metric.update_state(labels, outputs, sample_weight=weights)

    def _results(self) -> dict[str, tf.Tensor]:
        results = {metric.name: metric.result() for metric in self.learner.metrics}
        for metric in self.learner.metrics:
            metric.reset_state()
        return results

    def _build_metrics(self) -> None:
        """Create the variables of metrics, which Keras creates with the first batch."""
        if not self.learner.metrics:
            return
        first = DeviceRows.of(self.job.train.inputs.part(0, 1), self.job.labels, None, slice(1))
        outputs = self.learner.model(first.matrix, training=False)
        self._measure(first.labels, outputs, None)
        self._results()


def expansion_of(job: Job) -> Expansion | None:
    """Return the expansion of compact rows in the program of a job; `None` without compact rows."""
    inputs = job.train.inputs
    return inputs.expansion if len(inputs) * inputs.width > MOST_EXPANDED else None


def keeps_loops(job: Job) -> bool:
    """Return whether the loops of a graph are kept as functions.

    With a GPU, loops are lowered, because a loop that is kept runs on a single device, and the CPU
    could not run any of its operations. With mixed precision, loops are lowered, because oneDNN
    then computes bfloat16 products, which is several times as fast on processors with AMX.
    """
    is_single = not tf.config.get_visible_devices("GPU")
    return is_single and job.config.precision == "float32"


class ResidentProgram(Program):
    """One compiled program over rows that are on the device.

    Args:
        job: the job.
        learner: its Keras objects.
        jit_compile: whether XLA compiles the program.
        original: a program whose graph is shared; its job may have other sizes.
    """

    def __init__(
        self,
        job: Job,
        learner: Learner,
        jit_compile: bool,
        original: ResidentProgram | None = None,
    ) -> None:
        super().__init__(job, learner, jit_compile)
        self._original = original
        self._function: ConcreteFunction | None = None
        self._is_compiled = not jit_compile or original is not None
        self._tracing = threading.Lock()
        self.train: DeviceRows | None = None
        self.validation: DeviceRows | None = None
        rows = len(job.train.inputs)
        if learner.runtime.shared:
            rows = job.steps * job.batch_size
        self.epochs_at_once = max(1, min(MOST_EPOCHS, ORDER_ENTRIES // rows))

    def load_rows(self, job: Job, placed: dict[Any, Any]) -> None:
        """Copy the rows of a job to the device.

        Args:
            job: a job of this program.
            placed: inputs that are already on the device; this method adds the copied inputs.
        """
        self.job = job
        rows = self.job.steps * self.job.batch_size
        self.train = self._block(job.train, job.labels, job.loss_weights, rows, placed)
        self.validation = None
        if job.validation is not None:
            rows = -(-len(job.validation.inputs) // VALIDATION_ROWS) * VALIDATION_ROWS
            labels, weights = job.validation_labels, job.validation.weights
            self.validation = self._block(job.validation, labels, weights, rows, placed)

    def release_rows(self) -> None:
        """Free the memory of the rows."""
        self.train = self.validation = None

    def _block(
        self,
        rows: EncodedRows,
        labels: NDArray[Any] | None,
        weights: NDArray[Any] | None,
        size: int,
        placed: dict[Any, Any],
    ) -> DeviceRows:
        assert labels is not None
        size = size if self.is_padded else len(rows.inputs)
        key = id(rows.inputs), size, self.expansion
        if key not in placed:  # stored with the inputs, so their ID is not reused
            placed[key] = rows.inputs, place(self.on_device(rows.inputs), size)
        return DeviceRows.of(placed[key][1], labels, weights, size=size)

    def dispatches(self, state: State) -> Dispatches:
        """Run the remaining epochs over rows on the device."""
        pace = Pace(self.job)
        for first, orders in prefetch(self._orders(int(state.epoch))):
            end = min(first + self.epochs_at_once, self.job.epochs)
            given = tf.constant(orders)
            while int(state.epoch) < end:
                before, started = int(state.epoch), time.perf_counter()
                state, rows = self.run(given, tf.constant(first), state, tf.constant(pace.steps))
                written = rows.numpy()[before - first : int(state.epoch) - first]
                pace.adapt(time.perf_counter() - started)
                yield state, written
                if bool(state.stopped):
                    return

    def _orders(self, epoch: int) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Yield the row orders of some epochs at a time, with the number of the first epoch."""
        job, count = self.job, self.epochs_at_once
        rows, width = len(job.train.inputs), job.train.inputs.width
        for first in range(epoch, job.epochs, count):
            orders = np.zeros((count, job.steps * job.batch_size), dtype=np.int32)
            for index in range(min(count, job.epochs - first)):
                orders[index, :rows] = epoch_order(rows, width, job.config.seed, first + index)
            yield first, orders.reshape(count, job.steps, job.batch_size)

    def run(
        self, orders: tf.Tensor, first: tf.Tensor, state: State, count: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        """Run steps.

        Args:
            orders: the row orders of some epochs, int32 (epochs, steps, batch size); excess entries
                of the last batch are not read or have weight 0.
            first: the epoch of the first order, int32.
            state: the state before the steps.
            count: maximum number of steps, int32.

        Returns:
            The state after the steps, and the rows of history of completed epochs, at the indices
            of their orders, (epochs, columns).
        """
        # The rows are arguments, because other jobs use the same graph.
        given = orders, first, state, count, (self.train, self.validation)
        function = self.traced(given)
        with self._compiling():
            result: tuple[State, tf.Tensor] = function(*given)
        return result

    @contextmanager
    def _compiling(self) -> Iterator[None]:
        """Let XLA compile one program at a time in the first run, then free its memory."""
        if self._is_compiled:
            yield
            return
        with _COMPILING:
            yield
            _return_freed_memory()
        self._is_compiled = True

    def traced(self, given: tuple[Any, ...]) -> ConcreteFunction:
        """Return the function for these arguments; it is traced only the first time."""
        with self._tracing:
            if self._function is None and self._original is not None:
                self._function, self._original = _rebind(self._original, self, given), None
            elif self._function is None:
                given = _of_any_size(given) if self.learner.any_size else given
                self._function = self.compiled(self.run_epochs).get_concrete_function(*given)
            return self._function

    def run_epochs(
        self,
        orders: tf.Tensor,
        first: tf.Tensor,
        state: State,
        count: tf.Tensor,
        blocks: tuple[DeviceRows, DeviceRows | None],
    ) -> tuple[State, tf.Tensor]:
        """Run steps over the given rows, see `run`; this function is traced."""
        train, validation = blocks
        at_once, steps = size_of(orders, 0), size_of(orders, 1)
        end = tf.minimum(first + at_once, self.learner.runtime["epochs"])
        history = tf.zeros((at_once, len(self.job.columns) + 1), keras.config.floatx())

        def continues(state: State, history: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
            finite = tf.math.is_finite(state.total)
            return (left > 0) & (state.epoch < end) & ~state.stopped & finite

        def part(state: State, history: tf.Tensor, left: tf.Tensor) -> tuple[Any, ...]:
            upto = tf.minimum(state.step + left, steps)
            left -= upto - state.step
            order = tf.gather(orders, state.epoch - first)

            def batch(step: tf.Tensor) -> DeviceRows:
                index = tf.gather(order, step)
                return train.map(lambda whole: tf.gather(whole, index))

            total = self.steps(functools.partial(self.step, batch, state.epoch), state, upto)
            state = state._replace(step=upto, total=total)
            ended = (upto == steps) & tf.math.is_finite(total)
            state, history = tf.cond(
                ended,
                lambda: self._end_epoch(validation, state, history, first),
                lambda: (state, history),
            )
            return state, history, left

        state, history, _ = tf.while_loop(continues, part, (state, history, count))
        return state, history

    def _end_epoch(
        self, validation: DeviceRows | None, state: State, history: tf.Tensor, first: tf.Tensor
    ) -> tuple[State, tf.Tensor]:
        values, loss = self.train_values(state), tf.zeros_like(state.total)
        if validation is not None:
            loss = self.evaluate(validation, loss)
        index = [[state.epoch - first]]
        state, row = self.close_epoch(state, values, loss)
        return state, tf.tensor_scatter_nd_update(history, index, [row])


def _return_freed_memory() -> None:
    """Return freed memory to the system; glibc may keep hundreds of megabytes of it."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _rebind(
    original: ResidentProgram, program: ResidentProgram, given: tuple[Any, ...]
) -> ConcreteFunction:
    """Return the traced function of `original` with the variables of a program.

    The handles of variables are further arguments of a traced function, so XLA compiles it only
    once.
    """
    traced = original.traced(given)
    pairs = zip(original.handles, program.handles, strict=True)
    others = {id(handle): other for handle, other in pairs}
    function = copy.copy(traced)
    function.set_external_captures(
        [
            others[id(value)] if value.dtype == tf.resource else value
            for value in traced.captured_inputs
        ]
    )
    return function


def _of_any_size(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the specifications of the arguments of `run_epochs` for any number of rows."""
    orders, *others, (train, validation) = given
    train = train.map(lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype))
    return tf.TensorSpec((None, None, None), orders.dtype), *others, (train, validation)


def rows_per_chunk(width: int, multiple: int) -> int:
    """Return the number of rows in a chunk, which is a multiple of `multiple`."""
    return max(1, CHUNK_BYTES // (4 * max(width, 1) * multiple)) * multiple


def place(inputs: Inputs, size: int) -> tf.Tensor:
    """Copy inputs in memory to the device, with rows of zeros up to a size, (size, inputs).

    TensorFlow copies a matrix several times, so a large matrix is copied in parts to save memory.
    """
    floats, rows = keras.config.floatx(), rows_per_chunk(inputs.width, 1)
    if size <= rows:
        return tf.constant(pad(inputs.part(0, len(inputs)), size), dtype=floats)
    whole = tf.Variable(tf.zeros((size, inputs.width), floats), trainable=False)
    for start in range(0, len(inputs), rows):
        part = inputs.part(start, start + rows)
        whole[start : start + len(part)].assign(tf.constant(part, dtype=floats))
    return whole.read_value()


def pad(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Append rows of zeros to an array, up to the shape (size, ...)."""
    if len(array) == size:
        return array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def _slice_rows(whole: tf.Tensor, start: tf.Tensor, count: int) -> tf.Tensor:
    begin = [start] + [0] * (len(whole.shape) - 1)
    return tf.slice(whole, begin, [count, *whole.shape[1:]])


def _product(weights: tf.Tensor | None, real: tf.Tensor | None) -> tf.Tensor | None:
    """Multiply row weights by the padding mask; either may be `None`."""
    if weights is None or real is None:
        return real if weights is None else weights
    return weights * real


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the same items; a thread prepares the next item while the current one is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


class Pace:
    """The number of steps of the next dispatch.

    Args:
        job: the job.
        agree: in a cluster, returns the number of worker 0. All workers must run the same number of
            steps, because TensorFlow matches sums over workers by the step within a dispatch.
    """

    def __init__(self, job: Job, agree: Callable[[int], int] | None = None) -> None:
        self.steps = max(1, int(FIRST_SECONDS / estimate_step_seconds(job.network, job.batch_size)))
        self._agree = agree
        self._dispatches = 0

    def adapt(self, seconds: float) -> None:
        """Adapt the number to the duration of a dispatch, except the first, which compiles."""
        self._dispatches += 1
        if self._dispatches == 1:
            return
        if self._agree is not None and self._dispatches.bit_count() != 1:
            return  # agreeing takes as long as a step, so it becomes rarer
        factor = SECONDS_PER_DISPATCH / max(seconds, 1e-6)
        self.steps = int(min(max(self.steps * min(max(factor, 0.1), 4.0), 1), 2**30))
        if self._agree is not None:
            self.steps = self._agree(self.steps)
