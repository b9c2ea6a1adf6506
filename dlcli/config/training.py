"""The sections that say how training goes on and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from dlcli.config.section import (
    Expected,
    Flag,
    Monitor,
    NonNegative,
    NonNegativeInt,
    OneOf,
    Positive,
    Section,
)

MetricName = Literal[
    "mse",
    "rmse",
    "mae",
    "r2",
    "poisson_deviance",
    "accuracy",
    "auc",
    "precision",
    "recall",
    "f1",
    "top_3_accuracy",
    "subset_accuracy",
    "micro_precision",
    "micro_recall",
    "micro_f1",
    "macro_f1",
]
ClassWeight = Annotated[
    Literal["balanced"] | Annotated[Mapping[str, Positive], Field(min_length=1)],
    Expected("balanced, or a weight above 0 for each class"),
]
JitCompile = Annotated[Literal["auto"] | Flag, Expected("true, false or auto")]


class EarlyStopping(Section):
    """Training ends when the monitored value has stopped improving."""

    monitor: Monitor = "val_loss"
    """What is watched: a column of history.csv."""
    patience: NonNegativeInt = 10
    """Epochs without improvement that are waited for."""
    min_delta: NonNegative = 0.0
    """Smallest change that counts as improvement, in the monitored unit."""
    restore_best_weights: Flag = True
    """Whether the best epoch's weights are kept, instead of the last one's."""
    start_from_epoch: NonNegativeInt = 0
    """Epochs before watching begins."""


class Checkpoint(Section):
    """When training is stored, so that it can go on after whatever has ended it."""

    seconds: Positive = 30.0
    """Time from one checkpoint to the next, or ten times as long as storing one takes, if that is
    longer; one is stored at the beginning, at the end and at an interruption, too."""


class AutoEngine(Section):
    """`compiled`: it does everything that the config can ask for."""

    name: Literal["auto"] = "auto"


class CompiledEngine(Section):
    """All of training as one TensorFlow program: the mathematics of `fit`, many times faster."""

    name: Literal["compiled"] = "compiled"
    jit_compile: JitCompile = "auto"
    """Whether XLA compiles it, or TensorFlow runs it as a graph; `auto` weighs the work against the
    longer compiling, by the config and the table's shape alone."""


class KerasEngine(Section):
    """`Model.fit` with Keras callbacks: the reference."""

    name: Literal["keras"] = "keras"


Engine = Annotated[AutoEngine | CompiledEngine | KerasEngine, OneOf("engine")]
