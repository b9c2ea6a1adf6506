"""Embeddings and periodic encodings agree in Keras and NumPy, also stored and loaded."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dlcli.columns.category import EmbeddingTable
from dlcli.columns.layout import Block, Layout
from dlcli.columns.number_encoders import PeriodicForm, PeriodicLinearForm
from dlcli.config.config_schema import Hidden, Output
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.keras_model import assign_weights, build_model, build_portable_model, weights_of
from dlcli.network.layers import build_network
from dlcli.tasks.regression import Regression

# Keras's own `Model.save` asks NumPy for a copy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NUMBER = Block("n", "numeric", ("n",))
WAVES = Block("w", "numeric", ("w",), PeriodicForm(4, 0.5))
OTHER_WAVES = Block("v", "numeric", ("v",), PeriodicForm(3, 0.1))
MAPS = Block("m", "numeric", ("m",), PeriodicLinearForm(4, 0.5, 3))
CATEGORY = Block("c", "index", ("c",), EmbeddingTable(6, 3))
OTHER_CATEGORY = Block("d", "index", ("d",), EmbeddingTable(6, 2))
FRONTS = {
    "waves": (WAVES,),
    "an embedding": (CATEGORY,),
    "two embeddings": (CATEGORY, OTHER_CATEGORY),
    "waves and what passes": (WAVES, NUMBER),
    "waves of neighbours": (NUMBER, WAVES, WAVES),
    "waves of inputs apart": (WAVES, NUMBER, WAVES),
    "maps of waves": (MAPS,),
    "maps of waves apart": (MAPS, NUMBER, MAPS),
    "all": (NUMBER, CATEGORY, WAVES, MAPS, OTHER_WAVES, NUMBER, OTHER_CATEGORY, WAVES),
}
TARGET = Regression(columns=("y",))


def network_for(blocks):
    hidden = (Hidden.model_validate({"units": 5, "activation": "tanh"}),)
    output = Output.model_validate({"units": 1, "activation": "linear"})
    return build_network(Layout(tuple(blocks)), hidden, output)


def draw_rows(blocks, count=64):
    lot = np.random.default_rng(1)
    columns = [
        lot.integers(0, 6, count) if block.kind == "index" else lot.normal(size=count)
        for block in blocks
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
def test_a_stored_model_agrees_with_the_forward_pass(front, tmp_path):
    network, matrix = network_for(FRONTS[front]), draw_rows(FRONTS[front])
    model = build_portable_model(network, TARGET)
    lot = np.random.default_rng(2)
    arrays = {w.name: lot.normal(size=w.shape).astype(np.float32) for w in network.weights}
    assign_weights(model, network, arrays)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = np.asarray(loaded(matrix))
    result = network.forward(InMemoryInputs(matrix), arrays)
    assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("front", FRONTS)
def test_weights_have_the_networks_names_and_shapes(front):
    network = network_for(FRONTS[front])
    shapes = {
        name: w.shape for name, w in weights_of(build_model(network, seed=0), network).items()
    }
    assert shapes == {weight.name: weight.shape for weight in network.weights}


def first_weights(blocks, seed=0):
    network = network_for(blocks)
    return weights_of(build_model(network, seed=seed), network)


def test_initial_frequencies_are_normal_with_the_configs_deviation():
    block = Block("w", "numeric", ("w",), PeriodicForm(4000, 0.3))
    frequencies = first_weights([block])["periodic_1/kernel"]
    # The mean and deviation of 4000 draws are off by 0.005 and 0.003 in the usual case.
    assert frequencies.mean() == pytest.approx(0, abs=0.02)
    assert frequencies.std() == pytest.approx(0.3, abs=0.015)


def test_initial_phases_are_uniform_in_a_period_and_maps_small():
    block = Block("m", "numeric", ("m",), PeriodicLinearForm(4000, 0.3, 3))
    weights = first_weights([block])
    phases = weights["periodic_1/bias"]
    assert np.abs(phases).max() <= 0.5
    assert phases.std() == pytest.approx(1 / 12**0.5, abs=0.01)
    assert np.abs(weights["periodic_1_maps/kernel"]).max() <= 4000**-0.5
    assert (np.abs(weights["periodic_1_maps/bias"]) <= 4000**-0.5).all()


def test_the_last_row_of_an_embedding_starts_at_zero_and_no_other_does():
    table = first_weights([CATEGORY])["embedding_1/embeddings"]
    assert table.any(axis=1).tolist() == [True] * 5 + [False]


def test_initial_weights_follow_from_the_seed():
    one, again, other = (first_weights(FRONTS["all"], seed) for seed in (1, 1, 2))
    names = ("periodic_1/kernel", "periodic_3/bias", "periodic_3_maps/kernel")
    for name in (*names, "embedding_1/embeddings"):
        assert (one[name] == again[name]).all()
        assert (one[name] != other[name]).any()
