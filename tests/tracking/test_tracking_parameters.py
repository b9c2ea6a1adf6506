"""A config as a flat list of parameters."""

from __future__ import annotations

import pytest

from dlcli.errors import truncate
from dlcli.runs.run_writer import RunWriter
from dlcli.tracking.tracked_events import parameters_of

CONFIG = """\
data: {train: [a.csv, b.csv], target: pet}
input: {features: {"an odd/name": {type: numeric, scaling: log1p}, id: ignored}}
hidden:
  - {units: 8, activation: relu, batch_normalization: true}
  - {units: 4, dropout: 0.5}
class_weight: {cat: 1.0, dog: 2.5}
optimizer: {name: sgd, learning_rate: 0.1}
epochs: 7
"""


@pytest.fixture
def parameters(tmp_path):
    writer = RunWriter(tmp_path)
    writer.write_resolved(CONFIG)
    return parameters_of(writer)


def test_each_key_of_the_schema_is_a_parameter_named_by_its_path(parameters):
    assert parameters["hidden[0].units"] == 8
    assert parameters["hidden[0].batch_normalization.momentum"] == 0.99  # Keras's default
    assert parameters["hidden[1].dropout"] == 0.5
    assert parameters["optimizer.name"] == "sgd"
    assert parameters["optimizer.learning_rate"] == 0.1
    assert parameters["epochs"] == 7


def test_what_the_user_names_is_one_parameter_as_json(parameters):
    assert parameters["class_weight"] == '{"cat": 1.0, "dog": 2.5}'
    assert parameters["data.train"] == '["a.csv", "b.csv"]'
    assert (
        '"an odd/name": {"type": "numeric", "scaling": {"name": "log1p"'
        in (parameters["input.features"])
    )
    assert not any("odd" in path for path in parameters)


def test_an_omitted_key_is_no_parameter(parameters):
    assert "early_stopping" not in parameters
    assert "name" not in parameters


def test_a_long_text_ends_in_dots():
    assert truncate("abcdef", 6) == "abcdef"
    assert truncate("abcdefg", 6) == "abc..."
