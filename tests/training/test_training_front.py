"""Both engines train the same periodic frequencies and the same embeddings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dlcli.columns.category import EmbeddingTable
from dlcli.columns.layout import Block, Layout
from dlcli.columns.number_encoders import PeriodicForm, PeriodicLinearForm
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.keras_model import weights_of
from dlcli.network.layers import build_network
from dlcli.training.objectives import build_learner

LAYOUT = Layout(
    (
        Block("size", "numeric", ("size",), PeriodicForm(3, 0.3)),
        Block("colour", "index", ("colour",), EmbeddingTable(5, 2)),
        Block("weight", "numeric", ("weight",), PeriodicLinearForm(3, 0.3, 3)),
    )
)
TRAINED = [
    "periodic_1/kernel",
    "periodic_2/kernel",
    "periodic_2/bias",
    "periodic_2_maps/kernel",
    "periodic_2_maps/bias",
    "embedding_1/embeddings",
]


@pytest.fixture
def job_of(make_job):
    """A job over a number with each periodic encoding, and an embedding."""

    def build(**config):
        job = make_job(config)
        network = build_network(LAYOUT, job.config.hidden, job.head.output)
        matrix = job.train.inputs.dense.copy()
        matrix[:, 1] = np.arange(len(matrix)) % 4  # the fifth row is for what training never saw
        train = dataclasses.replace(job.train, inputs=InMemoryInputs(matrix))
        return dataclasses.replace(job, network=network, train=train)

    return build


OPTIMIZERS = {
    "sgd": {"name": "sgd", "learning_rate": 0.005, "momentum": 0.5},
    "clipped and decayed": {"name": "adamw", "weight_decay": 0.05, "clipnorm": 0.1},
    "accumulated": {"name": "adam", "gradient_accumulation_steps": 3},
}


def assert_equal(result, expected, tolerance):
    assert set(TRAINED) < set(expected.weights)
    for name, weight in expected.weights.items():
        np.testing.assert_allclose(
            result.weights[name], weight, rtol=0, atol=tolerance, err_msg=name
        )


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("optimizer", "engine"),
    [
        # As in float32, below, with another optimizer.
        pytest.param("sgd", "graph", marks=pytest.mark.release),
        ("clipped and decayed", "graph"),
        # As in test_training_equality, which trains layers of other kinds under XLA.
        pytest.param("clipped and decayed", "xla", marks=pytest.mark.release),
        ("accumulated", "graph"),
    ],
)
def test_in_float64_they_agree_over_many_steps(optimizer, engine, job_of, train):
    job = job_of(optimizer=OPTIMIZERS[optimizer], epochs=30)
    assert_equal(train(job, engine), train(job, "keras"), 1e-12)


@pytest.mark.slow
def test_in_float32_they_agree_over_few_steps(job_of, train):
    scale = {"scaling_layer": {"learning_rate_multiplier": 3.0}}
    job = job_of(optimizer={"name": "adam", "learning_rate": 0.02}, epochs=8, input=scale)
    assert_equal(train(job, "graph"), train(job, "keras"), 2e-6)


@pytest.mark.slow
def test_training_changes_frequencies_and_only_the_embeddings_of_present_categories(job_of, train):
    before, after = (train(job_of(epochs=epochs), "graph").weights for epochs in (1, 3))
    assert (before["periodic_1/kernel"] != after["periodic_1/kernel"]).all()
    moved = (before["embedding_1/embeddings"] != after["embedding_1/embeddings"]).all(axis=1)
    assert moved.tolist() == [True] * 4 + [False]
    assert not after["embedding_1/embeddings"][-1].any()


@pytest.mark.usefixtures("float64")
def test_trained_factors_of_the_columns_are_part_of_the_first_kernel(make_job, train):
    kernel, bias = np.array([[0.5], [-1.0], [2.0]]), np.array([0.25])
    config = {"hidden": (), "epochs": 1, "batch_size": 13, "output": {"scaling": "none"}}
    start = {"output/kernel": kernel, "output/bias": bias}
    job = make_job(
        {**config, "input": {"scaling_layer": {"learning_rate_multiplier": 3.0}}},
        initial_weights=start,
    )
    two = Layout((Block("size", "numeric", ("size", "none")), Block("age", "numeric", ("age",))))
    network = build_network(two, (), job.head.output)
    job = dataclasses.replace(job, network=network)
    x, y = job.train.inputs.dense.astype(np.float64), job.labels
    slopes = 2 / 13 * (x @ kernel + bias - y)
    by_kernel = x.T @ slopes  # as all factors are 1
    size, none, age = (kernel * by_kernel)[:, 0]
    factors = 1 - 0.1 * 3 * 3 * np.array([[size + none], [size + none], [age]])
    expected = factors * (kernel - 0.1 * by_kernel)
    weights = train(job, "keras").weights
    assert weights["output/kernel"] == pytest.approx(expected, abs=1e-12)
    assert weights["output/bias"] == pytest.approx(bias - 0.1 * slopes.sum(), abs=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_kinds_of_weights_have_a_learning_rate_and_a_decay_of_their_own(job_of, train):
    settings = {"epochs": 1, "batch_size": 13}
    sgd = {"name": "sgd", "learning_rate": 0.1}
    plain = job_of(**settings, optimizer=sgd)
    start = weights_of(build_learner(plain).model, plain.network)
    step = {name: after - start[name] for name, after in train(plain, "keras").weights.items()}
    job = job_of(
        **settings,
        optimizer={**sgd, "weight_decay": 0.5},
        learning_rate_multipliers={
            "kernels": "inverse_sqrt_fan_in",
            "biases": 0.3,
            "encodings": 0.2,
        },
        exclude_from_weight_decay=("biases", "encodings"),
    )
    found = train(job, "graph").weights
    for name, before in start.items():
        expected = before + 0.2 * step[name]
        if name in ("hidden_1/kernel", "output/kernel"):
            expected = before + step[name] / len(before) ** 0.5 - 0.1 * 0.5 * before
        elif name in ("hidden_1/bias", "output/bias"):
            expected = before + 0.3 * step[name]
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-12, err_msg=name)
