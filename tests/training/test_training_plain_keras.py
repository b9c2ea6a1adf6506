"""dlcli's weights are those of the Keras script that a config stands for, without any of dlcli."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dlcli.columns.layout import plain_layout
from dlcli.config.config_schema import Config
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.network.head import resolve_head
from dlcli.network.layers import build_network
from dlcli.tasks.regression import Regression
from dlcli.training.randomness import epoch_order
from dlcli.training_job import Job

START = {
    "hidden_1/kernel": np.array([[0.5]], np.float32),
    "hidden_1/bias": np.array([0.1], np.float32),
    "output/kernel": np.array([[-0.3]], np.float32),
    "output/bias": np.array([0.0], np.float32),
}
POINTS = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)


@pytest.fixture
def line():
    """The tutorial's network and its four points of y = x."""
    config = Config.model_validate(
        {
            "data": {"train": "line.csv", "target": "y"},
            "hidden": ({"units": 1, "activation": {"name": "linear"}},),
            "output": {"units": 1, "activation": {"name": "linear"}, "scaling": {"name": "none"}},
            "loss": {"name": "mean_squared_error"},
            "optimizer": {"name": "sgd", "learning_rate": 0.01},
            "epochs": 1000,
        }
    )
    target = Regression(columns=("y",))
    head = resolve_head(config, target)
    network = build_network(plain_layout(1), config.hidden, head.output)
    return Job(
        config,
        network,
        head,
        target,
        EncodedRows(InMemoryInputs(POINTS), POINTS),
        initial_weights=START,
    )


def tutorial():
    inputs = keras.Input((1,))
    hidden = keras.layers.Dense(1)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile(keras.optimizers.SGD(0.01), loss="mean_squared_error")
    model.set_weights(list(START.values()))
    return model


@pytest.mark.slow
def test_the_tutorials_network(line, train):
    model = tutorial()
    # An epoch of a thousand batches takes the steps of a thousand epochs of a batch, and less time.
    points = np.tile(POINTS, (1000, 1))
    model.fit(points, points, batch_size=4, shuffle=False, verbose=0)
    for engine in ("graph", "xla"):
        result = train(line, engine).weights.values()
        # The four rows are summed in another order, and descent contracts what that rounds.
        for weight, expected in zip(result, model.get_weights(), strict=True):
            np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    # Under XLA, test_training_equality compares a case with batches and a rest.
    "engine",
    ["keras", "graph", pytest.param("xla", marks=pytest.mark.release)],
)
def test_mini_batches_equal_a_plain_keras_loop(make_job, train, engine):
    settings = {"optimizer": {"name": "adam", "learning_rate": 0.02}, "batch_size": 4, "seed": 5}
    job = make_job(settings, rows=11)
    lot = np.random.default_rng(3)
    start = {
        weight.name: lot.normal(size=weight.shape).astype(np.float32)
        for weight in job.network.weights
    }
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.02), loss="mean_squared_error")
    model.set_weights(list(start.values()))
    for epoch in range(5):
        order = epoch_order(11, 1, 5, epoch)
        for batch in (order[:4], order[4:8], order[8:]):
            model.train_on_batch(job.train.inputs.take(batch), job.train.target[batch])
    job = make_job(settings, rows=11, initial_weights=start)
    for weight, expected in zip(
        train(job, engine).weights.values(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-5)
