"""Jobs over small random tables, trained by any of the engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from dlcli.columns.layout import plain_layout
from dlcli.columns.scaling import LinearScaling
from dlcli.config.config_schema import Config
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.network.head import resolve_head
from dlcli.network.layers import build_network
from dlcli.tasks.classification import Multilabel, classification
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import Task
from dlcli.training import compiled_engine, keras_engine
from dlcli.training.engines import deterministic_tensorflow, prepare_device
from dlcli.training_job import EpochProgress, Job, TrainingResult

ENGINES = ("keras", "graph", "xla")


def train_with(job: Job, engine: str, progress: EpochProgress = lambda *_: None) -> TrainingResult:
    """Train with one of `ENGINES`."""
    if engine == "keras":
        return keras_engine.fit(job, progress)
    return compiled_engine.run(job, engine == "xla", progress)


@pytest.fixture(autouse=True, scope="session")
def device() -> Iterator[None]:
    """Let TensorFlow run as in every training: deterministic, and without its graph optimizer."""
    prepare_device("auto", "auto")
    with deterministic_tensorflow():
        yield


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the engines in turn."""
    return str(request.param)


@pytest.fixture
def float64() -> Iterator[None]:
    """Let Keras compute in float64, which rounds at the sixteenth digit."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # else it is the one that was first used
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.fixture(scope="session")
def train() -> Callable[..., TrainingResult]:
    """See `train_with`."""
    return train_with


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """See `build_job`."""
    return build_job


def build_job(
    config: dict[str, Any] | None = None,
    target: str = "number",
    rows: int = 13,
    validation: int = 0,
    weighted: str = "",
    initial_weights: Any = None,
) -> Job:
    """Build a job over rows drawn from a fixed seed, three inputs wide.

    Args:
        config: what differs from one hidden tanh layer of 4 units, SGD, 5 epochs, batch size 4.
        target: `number`, `numbers` (three, shares of a whole), `count`, `two` or `four` classes,
            `labels` (three).
        rows: training rows.
        validation: held-out rows.
        weighted: the rows that have weights: `train`, `validation` or `train validation`.
        initial_weights: initial weights, by name.
    """
    given = {
        "data": {"train": "a.csv", "target": "y", **({"validation": 0.3} if validation else {})},
        "hidden": ({"units": 4, "activation": "tanh"},),
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "epochs": 5,
        "batch_size": 4,
        **(config or {}),
    }
    section = Config.model_validate(given)
    if keras.config.floatx() == "float64":
        section = section.model_copy(update={"precision": "float64"})
    task = TARGETS[target]
    head = resolve_head(section, task)
    return Job(
        section,
        build_network(plain_layout(3), section.hidden, head.output),
        head,
        task,
        draw_rows(target, rows, seed=1, weighted="train" in weighted.split()),
        draw_rows(target, validation, 2, "validation" in weighted.split()) if validation else None,
        initial_weights,
    )


def draw_rows(target: str, rows: int, seed: int, weighted: bool) -> EncodedRows:
    """Draw rows whose target depends on the inputs, with some noise."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 3)).astype(np.float32)
    signal = matrix @ [[1, 0, 0.5, -1], [0, 1, -0.5, -1], [0.5, 0, 1, -1]]
    signal += rng.normal(scale=0.5, size=(rows, 4))
    weights = rng.uniform(0.2, 3.0, size=rows) if weighted else None
    return EncodedRows(InMemoryInputs(matrix), FORMS[target](signal), weights)


FORMS: dict[str, Callable[[Any], Any]] = {
    "number": lambda signal: signal[:, :1].astype(np.float32),
    "numbers": lambda signal: _shares(signal[:, :3]),
    "count": lambda signal: np.ceil(np.exp(signal[:, :1])).astype(np.float32),
    "two": lambda signal: (signal[:, 0] > 0).astype(np.int64),
    "four": lambda signal: signal.argmax(axis=1),
    "labels": lambda signal: (signal[:, :3] > 0).astype(np.float32),
}
"""The target as a function of four numbers a row."""


def _shares(signal: Any) -> Any:
    powers = np.exp(signal)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def _numbers(*scalings: LinearScaling) -> Task:
    columns = tuple(f"y{at}" for at in range(len(scalings)))
    return Regression(columns=columns, scalings=scalings)


def _labels(*names: str) -> Task:
    return Multilabel(columns=names, labels=names)


def _classes(names: str) -> Task:
    return classification("y", tuple(names))


TARGETS = {
    "number": _numbers(LinearScaling(name="standard", offset=3.0, scale=2.0)),
    "numbers": _numbers(*[LinearScaling(name="none")] * 3),
    "count": _numbers(LinearScaling(name="none")),
    "two": _classes("ab"),
    "four": _classes("abcd"),
    "labels": _labels("u", "v", "w"),
}
