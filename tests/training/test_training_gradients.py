"""Gradient norms against derivations by hand and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.network.layers import DenseLayer
from dlcli.training.engines import gradient_norms

ALL = np.arange(13)


def first_weights(job):
    """Random weights; no test needs those of the initializers."""
    rng = np.random.default_rng(5)
    return {each.name: rng.normal(size=each.shape) / 2 for each in job.network.weights}


def test_the_gradient_of_a_linear_regression_is_twice_the_mean_of_error_times_input(make_job):
    job = make_job({"hidden": ()})
    kernel, bias = np.array([[0.5], [-1.0], [2.0]], np.float32), np.array([0.25], np.float32)
    rows = np.array([0, 3, 4, 9])
    norms = gradient_norms(job, {"output/kernel": kernel, "output/bias": bias}, rows)

    x, y = job.train.inputs.dense[rows].astype(float), job.train.target[rows].astype(float)
    errors = x @ kernel + bias - y
    gradient = np.append(2 * (x * errors).mean(axis=0), 2 * errors.mean())
    assert norms[1] == {"output": pytest.approx(np.sqrt((gradient**2).sum()), rel=1e-5)}


def numeric_norms(job, weights, loss):
    """Norms by central differences of the forward pass in NumPy."""
    found = {}
    for layer in job.network.layers:
        assert isinstance(layer, DenseLayer)
        squares = 0.0
        for name in (f"{layer.name}/kernel", f"{layer.name}/bias"):
            for place in np.ndindex(weights[name].shape):
                ends = []
                for step in (1e-5, -1e-5):
                    moved = weights[name].copy()
                    moved[place] += step
                    arrays = {**weights, name: moved}
                    ends.append(loss(job.network.forward(job.train.inputs, arrays)))
                squares += ((ends[0] - ends[1]) / 2e-5) ** 2
        found[layer.name] = squares**0.5
    return found


@pytest.mark.usefixtures("float64")
def test_row_and_class_weights_count_and_finite_differences_agree(make_job):
    job = make_job({"class_weight": {"a": 1.0, "b": 3.0}}, target="two", weighted="train")
    job = replace(
        job, train=replace(job.train, inputs=InMemoryInputs(job.train.inputs.dense * 1.0))
    )
    weights = first_weights(job)
    target = job.train.target
    of_rows = job.train.weights * np.where(target == 1, 3, 1)

    def loss(outputs):
        right = np.where(target == 1, outputs[:, 0], 1 - outputs[:, 0])
        return (of_rows * -np.log(right)).mean()

    norms = gradient_norms(job, weights, ALL)
    assert norms[1] == pytest.approx(numeric_norms(job, weights, loss), rel=1e-4)


def test_penalties_dropout_and_precision_do_not_change_the_norms(make_job):
    section = {"units": 4, "activation": "tanh"}
    plain = make_job({"hidden": (section,)})
    weights = first_weights(plain)
    dear = {**section, "dropout": 0.5, "kernel_regularizer": {"name": "l2", "l2": 1.0}}
    other = make_job({"hidden": (dear,), "precision": "mixed_bfloat16"})
    assert gradient_norms(other, weights, ALL) == gradient_norms(plain, weights, ALL)


def test_batch_normalization_uses_the_mean_of_the_rows(make_job):
    section = {"units": 4, "activation": "tanh", "batch_normalization": True}
    job = make_job({"hidden": (section,)})
    weights = first_weights(job)
    moved = {**weights, "hidden_1_normalization/moving_mean": np.full(4, 99.0)}
    norms = gradient_norms(job, weights, ALL)
    assert set(norms[1]) == {"hidden_1", "hidden_1_normalization", "output"}
    assert gradient_norms(job, moved, ALL) == norms
    # A bias that is taken away again with the mean has no gradient; the kernel has.
    shifted = {**weights, "hidden_1/bias": weights["hidden_1/bias"] + 7}
    assert gradient_norms(job, shifted, ALL)[1] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.slow
def test_norms_before_and_after_are_the_same_without_a_step(make_job, train):
    job = make_job()
    learned = train(job, "graph")
    norms = gradient_norms(job, learned.weights, ALL)
    assert norms[0] != norms[1]
    untrained = make_job({"optimizer": {"name": "sgd", "learning_rate": 1e-30}})
    still = gradient_norms(job, train(untrained, "graph").weights, ALL)
    assert still[0] == still[1] == norms[0]


def test_a_training_that_starts_from_another_run_has_no_norms_at_initial_weights(make_job):
    job = make_job({"initial_weights": "runs/earlier"})
    norms = gradient_norms(job, first_weights(job), ALL)
    assert norms[0] == {}
    assert set(norms[1]) == {"hidden_1", "output"}


def test_the_gradient_of_an_embedding_sums_over_rows(make_job):
    from dlcli.columns.category import EmbeddingTable
    from dlcli.columns.layout import Block, Layout
    from dlcli.network.layers import build_network

    job = make_job({"hidden": ()})
    layout = Layout((Block("c", "index", ("c",), EmbeddingTable(3, 1)),))
    network = build_network(layout, (), job.head.output)
    matrix = np.array([[0], [1], [0]], np.float32)
    rows = EncodedRows(InMemoryInputs(matrix), np.array([[1], [2], [4]], np.float32))
    job = replace(job, network=network, train=rows)
    weights = {
        "embedding_1/embeddings": np.zeros((3, 1), np.float32),
        "output/kernel": np.array([[3]], np.float32),
        "output/bias": np.zeros(1, np.float32),
    }
    # 2/3·(−1 − 4)·3 for the first row of the table, 2/3·(−2)·3 for the second.
    norms = gradient_norms(job, weights, np.arange(3))
    assert norms[1]["embedding_1"] == pytest.approx((10**2 + 4**2) ** 0.5)
