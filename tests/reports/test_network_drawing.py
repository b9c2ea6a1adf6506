"""The drawing of a network: circles for units, arrows for connections."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from dlcli.network.layers import LayerSummary
from dlcli.reports.network_drawing import MOST_UNITS, DrawnLayer, drawn_layers, network_svg
from tests.reports.hand_made_runs import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = (
    LayerSummary(name="hidden_1", kind="Dense", units=64, activation="linear"),
    LayerSummary(name="hidden_1_norm", kind="BatchNormalization", units=64),
    LayerSummary(name="hidden_1_activation", kind="Activation", units=64, activation="relu"),
    LayerSummary(name="hidden_1_dropout", kind="Dropout", units=64, rate=0.1),
    LayerSummary(name="output", kind="Dense", units=2, activation="softmax"),
)


def drawn(layers):
    return ET.fromstring(network_svg(layers))  # noqa: S314  (made by us)


def circles(svg, color):
    return [each for each in svg.iter(f"{SVG}circle") if each.get("fill") == f"var(--{color})"]


def test_dropout_and_normalization_belong_to_the_layer_before_them():
    assert drawn_layers(3, LAYERS) == [
        DrawnLayer("inputs", 3, ("3 numbers",)),
        DrawnLayer("hidden 1", 64, ("64 units", "batch normalization", "relu", "dropout 10 %")),
        DrawnLayer("output", 2, ("2 units", "softmax")),
    ]


def test_an_embedding_belongs_to_the_inputs():
    layers = [LayerSummary(name="e", kind="Embedding", units=8, column="city"), LAYERS[-1]]
    assert drawn_layers(20, layers)[0].details == ("20 numbers", "embedding of city: 8")


def test_each_unit_has_a_circle_and_a_wide_layer_has_a_gap():
    svg = drawn(drawn_layers(3, LAYERS))
    sizes = [len(circles(svg, color)) for color in ("train", "validation", "test", "muted")]
    assert sizes == [3, MOST_UNITS - 2, 2, 3]  # three dots in the gap


def test_few_connections_have_arrowheads():
    few = [DrawnLayer("inputs", 2), DrawnLayer("output", 1)]
    many = [DrawnLayer("inputs", 4), DrawnLayer("output", 1)]
    assert [len(list(drawn(layers).iter(f"{SVG}path"))) for layers in (few, many)] == [2, 1]


def test_a_hostile_name_stays_text():
    svg = drawn([DrawnLayer("inputs", None, (HOSTILE,)), DrawnLayer("output", 1)])
    assert HOSTILE in [each.text for each in svg.iter(f"{SVG}text")]


def test_a_network_of_one_layer_is_drawn():
    assert len(list(drawn([DrawnLayer("inputs", 1)]).iter(f"{SVG}circle"))) == 1
