"""The config: one typed, frozen value that the whole program reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field

from dlcli.config.data import Data, TimeSplit
from dlcli.config.features import Input
from dlcli.config.layers import Hidden, Output
from dlcli.config.losses import Loss
from dlcli.config.optimizers import Adam, Optimizer
from dlcli.config.schedules import (
    ConstantLearningRate,
    CosineDecay,
    PiecewiseConstant,
    ReduceOnPlateau,
    Schedule,
)
from dlcli.config.section import Conflict, Expected, OfKey, PositiveInt, Section
from dlcli.config.training import (
    AutoEngine,
    Checkpoint,
    ClassWeight,
    CompiledEngine,
    EarlyStopping,
    Engine,
    MetricName,
)
from dlcli.config.tuning import Tune
from dlcli.errors import did_you_mean

RunName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    Expected("up to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"),
]
Seed = Annotated[int, Field(ge=0, lt=2**32), Expected("an integer from 0 to 4294967295")]
Threads = Annotated[
    Literal["auto"] | Annotated[int, Field(gt=0, le=1024)],
    Expected("auto, or a positive integer up to 1024"),
]
Epochs = Annotated[int, Field(gt=0, le=100_000_000), Expected("a positive integer")]
RunFolder = Annotated[str, Field(min_length=1), Expected("a run folder")]


class Config(Section):
    """A training run: data, input, hidden, output, loss, optimizer, epochs."""

    name: RunName | None = None
    """Name of the run folder; the file's own name, if left out."""
    seed: Seed = 0
    """What all chance follows from: splits, first weights, row order, dropout."""
    data: Data
    """Where rows come from."""
    input: Input = Input()
    """Which columns the network reads."""
    hidden: tuple[Hidden, ...]
    """The layers between input and output; `[]` gives a linear model."""
    output: Output = Output()
    """The last layer."""
    loss: Loss | None = None
    """What training makes small; follows from the target, if left out."""
    metrics: tuple[MetricName, ...] | None = None
    """What history.csv also shows for each epoch; follows from the target, if left out."""
    class_weight: ClassWeight | None = None
    """Weight of each class's training rows: a mapping, or `balanced` for equal sums. Beside a
    weight column, the training metrics of history.csv are weighted with the product of both, the
    final metrics with the row weights alone."""
    optimizer: Optimizer = Adam()
    """How a step follows from the gradients."""
    learning_rate_schedule: Schedule = ConstantLearningRate()
    """How the optimizer's learning rate changes, in epochs."""
    epochs: Epochs
    """Most passes over the training rows."""
    batch_size: PositiveInt = 32
    """Rows a step."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch."""
    initial_weights: RunFolder | None = None
    """A run folder whose weights to start from; its network must have the same shape."""
    engine: Engine = AutoEngine()
    """What runs the steps; all engines train the same weights, up to rounding."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where; `auto` takes a GPU if there is one."""
    threads: Threads = "auto"
    """CPU threads; part of what makes a run exact; `auto` takes all there are."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Number format of the layers' products; weights are float32 throughout."""
    checkpoint: Checkpoint = Checkpoint()
    """How often a run that is killed can be gone on with."""
    tune: Tune | None = None
    """What `dlcli tune` searches for; training alone doesn't read it."""

    @property
    def reserved(self) -> tuple[str, ...]:
        """The columns that are no features.

        The column of a time split may be one, if `input.features` names it.
        """
        split, named = self.data.split, self.input.features or {}
        time = split.column if isinstance(split, TimeSplit) and split.column in named else None
        return tuple(column for column in self.data.reserved if column != time)

    def conflicts(self) -> Iterator[Conflict]:
        """Yields what is right in its own section and wrong beside the others."""
        yield from self._monitor_conflicts()
        yield from self._epoch_conflicts()
        yield from self._average_conflicts()
        yield from self._tune_conflicts()
        if self.metrics and len(set(self.metrics)) < len(self.metrics):
            yield "metrics", "names a metric twice"
        is_xla = isinstance(self.engine, CompiledEngine) and self.engine.jit_compile is True
        if is_xla and self.precision != "float32":
            # XLA keeps more bits than asked for where it fuses operations.
            yield "engine.jit_compile", f"does not round as Keras does with {self.precision}"

    def _epoch_conflicts(self) -> Iterator[Conflict]:
        stopping, schedule = self.early_stopping, self.learning_rate_schedule
        reach = f"is never reached in {self.epochs} epochs"
        if stopping and stopping.start_from_epoch >= self.epochs:
            yield "early_stopping.start_from_epoch", f"{stopping.start_from_epoch} {reach}"
        if isinstance(schedule, PiecewiseConstant):
            late = [boundary for boundary in schedule.boundaries if boundary >= self.epochs]
            if late:
                yield "learning_rate_schedule.boundaries", f"{late[0]} {reach}"
        if isinstance(schedule, CosineDecay) and schedule.warmup_epochs >= self.epochs:
            yield (
                "learning_rate_schedule.warmup_epochs",
                f"takes all of the {self.epochs} epochs; none are left to decay",
            )

    def _average_conflicts(self) -> Iterator[Conflict]:
        stopping, optimizer = self.early_stopping, self.optimizer
        at_end = optimizer.use_ema and optimizer.ema_overwrite_frequency is None
        if at_end and stopping and stopping.restore_best_weights:
            yield (
                "optimizer.use_ema",
                "has no effect while early_stopping restores the best epoch's own weights;"
                " set restore_best_weights: false",
            )

    def _tune_conflicts(self) -> Iterator[Conflict]:
        if self.tune and "seed" in self.tune.space and any(self.data.shares):
            reason = "it also deals out the shares of data.validation and data.test"
            yield ("tune", "space", "seed"), OfKey(f"can't be varied: {reason}")

    def _monitor_conflicts(self) -> Iterator[Conflict]:
        known = ("loss", *(self.metrics if self.metrics is not None else get_args(MetricName)))
        for key in ("early_stopping", "learning_rate_schedule"):
            watcher = getattr(self, key)
            if not isinstance(watcher, EarlyStopping | ReduceOnPlateau):
                continue
            bare = watcher.monitor.removeprefix("val_")
            if bare not in known:
                allowed = [*known, *(f"val_{name}" for name in known)]
                is_metric = bare in get_args(MetricName)  # but no metric of this config
                way_out = "" if is_metric else did_you_mean(watcher.monitor, allowed)
                way_out = way_out or f"; allowed: {', '.join(allowed)}"
                yield f"{key}.monitor", f"unknown '{watcher.monitor}'{way_out}"
            elif bare != watcher.monitor and not self.data.has_validation:
                is_taken = self.data.train_on_validation
                way_out = "train_on_validation: false" if is_taken else "validation: 0.15"
                yield (
                    f"{key}.monitor",
                    f"'{watcher.monitor}' needs rows to validate on; set data.{way_out}",
                )
