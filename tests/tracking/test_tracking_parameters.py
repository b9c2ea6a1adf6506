"""A config as a flat list of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.tracking.tracker import parameters_of, shortened

CONFIG = """\
data: {train: [a.csv, b.csv], target: pet}
input: {features: {"an odd/name": {type: numeric, scaling: log}, id: ignored}}
hidden:
  - {units: 8, activation: relu, batch_normalization: true}
  - {units: 4, dropout: 0.5}
class_weight: {cat: 1.0, dog: 2.5}
optimizer: {name: sgd, learning_rate: 0.1}
epochs: 7
"""


@pytest.fixture
def parameters(tmp_path):
    Path(tmp_path / "pets.yaml").write_text(CONFIG)
    return parameters_of(load_config(tmp_path / "pets.yaml").config)


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
        '"an odd/name": {"type": "numeric", "scaling": {"name": "log"'
        in (parameters["input.features"])
    )
    assert not any("odd" in path for path in parameters)


def test_an_omitted_key_is_no_parameter(parameters):
    assert "early_stopping" not in parameters
    assert "name" not in parameters


def test_a_long_text_ends_in_dots():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abc..."
