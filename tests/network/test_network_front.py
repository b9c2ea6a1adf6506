"""What a network makes of its inputs before the first hidden layer, by hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.columns.category import EmbeddingTable
from dlcli.columns.image import Augmentation, ImageForm
from dlcli.columns.layout import Block, Layout, plain_layout
from dlcli.columns.number_encoders import PeriodicForm, PeriodicLinearForm
from dlcli.config.config_schema import Output
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.network.layers import (
    AugmentLayer,
    EmbeddingLayer,
    Front,
    PeriodicLayer,
    PeriodicLinearLayer,
    build_front,
    build_network,
)


def block(name, form=None, columns=1):
    kind = "index" if isinstance(form, EmbeddingTable) else "numeric"
    return Block(name, kind, (name,) * columns, form)


def front_of(*blocks):
    return build_front(Layout(blocks))


def floats(*values):
    return np.array(values, np.float32)


def test_numbers_pass_as_they_are():
    front = build_front(plain_layout(3))
    matrix = floats([1, 2, 3])
    assert front == Front(3, (0, 1, 2))
    assert front.units == 3
    assert front.forward(matrix, {}) is matrix


def test_waves_are_sines_and_then_cosines_of_the_input_times_each_frequency():
    layer = PeriodicLayer("waves", (0,), 2, 0.1)
    # A quarter of a period is 90° at frequency 1, and half of one at frequency 2.
    waves = layer.forward(floats([0.25], [0]), {"waves/kernel": floats([1, 2])})
    np.testing.assert_allclose(waves, [[1, 0, 0, -1], [0, 0, 1, 1]], atol=1e-6)


def test_waves_of_several_inputs_take_their_own_frequencies():
    layer = PeriodicLayer("waves", (2, 0), 1, 0.1)
    # The third input has frequency 1: 1/12 of a period, 30°. The first has 3: a quarter, 90°.
    waves = layer.forward(floats([1 / 12, 9, 1 / 12]), {"waves/kernel": floats([1], [3])})
    np.testing.assert_allclose(waves, [[0.5, 1, 3**0.5 / 2, 0]], atol=1e-6)


def test_a_network_reads_only_the_blocks_of_its_encoding():
    varied = (
        Block("a", "numeric", ("a",), PeriodicForm(2, 0.1), encoding="waves"),
        Block("a", "numeric", ("low", "high"), encoding="bins"),
        Block("b", "numeric", ("b",)),
    )
    bins = build_front(Layout(varied).read_with("bins"))
    assert bins == Front(4, (1, 2, 3))
    assert bins.forward(floats([1, 2, 3, 4]), {}).tolist() == [[2, 3, 4]]
    waves = build_front(Layout(varied).read_with("waves"))
    assert waves == Front(4, (3,), (PeriodicLayer("periodic_1", (0,), 2, 0.1),))


def test_a_number_precedes_linear_maps_of_its_own_cosines():
    layer = PeriodicLinearLayer("waves", (2, 0), PeriodicLinearForm(2, 0.1, 3))
    arrays = {
        "waves/kernel": floats([1, 0], [0.5, 1]),
        "waves/bias": floats([0, 0.25], [0, 0]),
        "waves_maps/kernel": floats([[1, 2], [5, 5]], [[3, 0], [0, 4]]),
        "waves_maps/bias": floats([0, 0], [10, 20]),
    }
    # Cosines of the third input, half: those of 180° and 90°. Of the first, one: 180° and 360°.
    result = layer.forward(floats([1, 9, 0.5]), arrays)
    np.testing.assert_allclose(result, [[0.5, -1, -2, 1, 7, 24]], atol=1e-5)
    assert layer.sources == (2, 2, 2, 0, 0, 0)


def test_an_embedding_is_the_row_that_the_input_names():
    layer = EmbeddingLayer("embedding", 1, 3, 2, "colour")
    table = floats([1, 2], [3, 4], [0, 0])
    rows = layer.forward(floats([9, 1], [9, 0], [9, 2]), {"embedding/embeddings": table})
    assert rows.tolist() == [[3, 4], [1, 2], [0, 0]]


def test_what_passes_comes_first_then_waves_then_embeddings():
    front = front_of(
        block("colour", EmbeddingTable(3, 2)),
        block("size", PeriodicForm(1, 0.1)),
        block("more", None, 2),
    )
    arrays = {"embedding_1/embeddings": floats([1, 2], [3, 4], [0, 0])}
    arrays["periodic_1/kernel"] = floats([1])
    result = front.forward(floats([1, 0.25, 7, 8]), arrays)
    np.testing.assert_allclose(result, [[7, 8, 1, 0, 3, 4]], atol=1e-6)
    assert front.units == 6


def test_inputs_with_the_same_waves_share_a_layer():
    front = front_of(
        block("a", PeriodicForm(2, 0.1)),
        block("b", PeriodicForm(8, 0.1)),
        block("c", PeriodicForm(2, 0.1)),
        block("d", PeriodicForm(2, 0.5)),
        block("e", PeriodicLinearForm(2, 0.1, 4)),
    )
    assert front.periodic == (
        PeriodicLayer("periodic_1", (0, 2), 2, 0.1),
        PeriodicLayer("periodic_2", (3,), 2, 0.5),
        PeriodicLayer("periodic_3", (1,), 8, 0.1),
        PeriodicLinearLayer("periodic_4", (4,), PeriodicLinearForm(2, 0.1, 4)),
    )
    assert [layer.units for layer in front.periodic] == [8, 4, 16, 4]


def test_each_embedding_has_a_table_of_its_own():
    front = front_of(block("a", EmbeddingTable(3, 2)), block("b", EmbeddingTable(5, 4)))
    assert front.embeddings == (
        EmbeddingLayer("embedding_1", 0, 3, 2, "a"),
        EmbeddingLayer("embedding_2", 1, 5, 4, "b"),
    )
    assert [weight.shape for layer in front.trained for weight in layer.weights] == [(3, 2), (5, 4)]


@pytest.mark.parametrize("augmentation", [None, Augmentation(shift=1)])
def test_pixels_pass_and_only_training_varies_them(augmentation):
    front = front_of(block("n"), block("photo", ImageForm((2, 2, 1), augmentation), 4))
    matrix = floats([1, 2, 3, 4, 5])
    assert front.unchanged == (0, 1, 2, 3, 4)
    assert front.forward(matrix, {}).tolist() == matrix.tolist()
    layer = AugmentLayer("augmentation_1", 1, (2, 2, 1), Augmentation(shift=1))
    assert front.augments == ((layer,) if augmentation else ())
    assert layer.stop == 5


def test_the_first_layer_is_as_wide_as_what_comes_out():
    layout = Layout((block("size", PeriodicForm(3, 0.1)), block("colour", EmbeddingTable(4, 5))))
    output = Output.model_validate({"units": 1, "activation": "linear"})
    network = build_network(layout, (), output)
    shapes = {weight.name: weight.shape for weight in network.weights}
    assert shapes == {
        "periodic_1/kernel": (1, 3),
        "embedding_1/embeddings": (4, 5),
        "output/kernel": (11, 1),
        "output/bias": (1,),
    }
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    # sin 0 + cos 0, three times, five ones, and a bias of one.
    assert network.forward(InMemoryInputs(floats([0, 1])), arrays).tolist() == [[9]]
