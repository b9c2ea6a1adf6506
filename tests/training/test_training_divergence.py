"""A loss or weights that become NaN or infinite end training in both engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.columns.layout import Block, Layout
from dlcli.config.config_schema import CompiledEngine, KerasEngine
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import DivergenceError
from dlcli.network.layers import build_network
from dlcli.training.engines import train_job
from dlcli.training_job import Job, measure_magnitudes

WILD = {"optimizer": {"name": "sgd", "learning_rate": 1e6}, "hidden": ()}


@pytest.fixture
def train_until_divergence(train, engine):
    """Train until divergence; return the error and the epochs reported before."""

    def run(job: Job):
        told = []
        with pytest.raises(DivergenceError) as caught:
            train(job, engine, lambda epoch, _: told.append(epoch))
        return caught.value, told

    return run


@pytest.mark.slow
def test_the_error_names_the_epoch(train_until_divergence, make_job):
    # One step an epoch multiplies the weights by some 1e6 and the loss by its square, from 1 on:
    # float32 ends at 3e38.
    error, told = train_until_divergence(make_job({**WILD, "epochs": 50, "batch_size": 13}))
    assert str(error) == f"training diverged: the loss became inf in epoch {len(told) + 1}"
    assert 3 <= len(told) <= 6
    assert told == list(range(1, len(told) + 1))


@pytest.mark.slow
def test_training_ends_within_the_epoch(train_until_divergence, make_job):
    error, told = train_until_divergence(make_job({**WILD, "epochs": 2, "batch_size": 1}, rows=50))
    assert str(error).endswith(" in epoch 1")
    assert told == []


def test_a_divergence_has_exit_code_4():
    assert DivergenceError.exit_code == 4


@pytest.mark.slow
def test_a_validation_loss_ends_training_too(train_until_divergence, make_job):
    # The first epoch's loss is taken before its only step, which throws the weights to 1e30.
    far = {"optimizer": {"name": "sgd", "learning_rate": 1e30}, "hidden": (), "epochs": 1}
    error, told = train_until_divergence(make_job({**far, "batch_size": 13}, validation=5))
    assert str(error) == snapshot("training diverged: the loss became inf in epoch 1")
    assert told == []


@pytest.mark.slow
def test_non_finite_weights_after_the_last_step_are_a_divergence(make_job, engine):
    # The only step's gradient, some 100, times 3e38 is beyond float32.
    far = {"optimizer": {"name": "sgd", "learning_rate": 3e38}, "hidden": (), "epochs": 1}
    job = make_job({**far, "batch_size": 13})
    job.train.target[:] *= 100
    choice = KerasEngine() if engine == "keras" else CompiledEngine(jit_compile=engine == "xla")
    with pytest.raises(
        DivergenceError, match="'output/.*' is no longer finite after the last step"
    ):
        train_job(job, choice, lambda *_: None)


def test_the_size_of_a_diverged_column_is_that_of_its_largest_input(make_job):
    job = make_job()
    size = [10.0, 0.5, 2.0]
    inputs = InMemoryInputs(np.array([size, [-3.0, 0, 0]], np.float32))
    layout = Layout((Block("a", "numeric", ("a", "a is 5")), Block("b", "numeric", ("b",))))
    halves = Layout((layout.blocks[0], Block("a", "numeric", ("a is missing",))))
    for each, expected in ((layout, {"a": 10.0, "b": 2.0}), (halves, {"a": 10.0})):
        network = build_network(each, job.config.hidden, job.head.output)
        diverged = replace(job, network=network, train=replace(job.train, inputs=inputs))
        assert measure_magnitudes(diverged, 1).inputs == expected
