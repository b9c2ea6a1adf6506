"""The config of a run is read with the names that keys had in earlier versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.columns.scaling import LinearScaling
from dlcli.config.config_file import load_config, load_config_of_run
from dlcli.config.config_schema import Config
from dlcli.config.data_section import ScalingLayer
from dlcli.errors import ConfigError
from dlcli.prediction.predictor import Ensemble

EARLIER = """\
data: {train: a.csv, test: b.csv, target: {column: y, positive: b}, weight: w}
input:
  scaling: {name: log}
  feature_scale: 40
  features:
    log: {type: numeric, scaling: {name: log}, max_categories: 5}
    max_categories: {type: categorical, max_categories: 7}
hidden: []
output: {scaling: {name: log}}
epochs: 1
gates:
  test.r2: {at_least: 0.5, by: interval}
  test.mae: {at_most: 0.5, by: value}
tune:
  space:
    hidden: {layers: {low: 1, high: 3}, units: [1, 2]}
    optimizer: [adam, sgd]
"""
PRESENT = """\
data: {train: a.csv, test: b.csv, target: {column: y, positive_class: b}, sample_weight: w}
input:
  scaling: log1p
  scaling_layer: {learning_rate_multiplier: 40}
  features:
    log: {type: numeric, scaling: log1p, one_hot_values: 5}
    max_categories: {type: categorical, max_categories: 7}
hidden: []
output: {scaling: log1p}
epochs: 1
gates:
  test.r2: {at_least: 0.5, compare: confidence_bound}
  test.mae: {at_most: 0.5}
tune:
  space:
    hidden_layers: {number: {low: 1, high: 3}, units: [1, 2]}
    optimizer: [adam, sgd]
"""


def test_the_config_of_a_run_may_have_the_names_of_earlier_versions(config_file: Path) -> None:
    config_file.write_text(EARLIER, encoding="utf-8")
    found = load_config_of_run(config_file).config
    config_file.write_text(PRESENT, encoding="utf-8")
    assert found == load_config(config_file).config


def test_settings_of_such_a_run_are_changed_by_their_present_names(config_file: Path) -> None:
    config_file.write_text(EARLIER, encoding="utf-8")
    changed = load_config_of_run(config_file, ["input.scaling_layer.learning_rate_multiplier=6"])
    assert changed.config.input.scaling_layer == ScalingLayer(learning_rate_multiplier=6)


def test_a_fitted_logarithm_of_an_earlier_version_is_read() -> None:
    text = '{"name": "log", "offset": 1.5, "scale": 2.0}'
    expected = LinearScaling(name="log1p", offset=1.5, scale=2.0)
    assert LinearScaling.model_validate_json(text) == expected


def test_an_ensemble_of_an_earlier_version_is_read() -> None:
    text = '{"format": 1, "members": [], "feature_scale": 40.0}'
    assert Ensemble.model_validate_json(text).learning_rate_multiplier == 40


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "input.feature_scale=6",
            "input.feature_scale: unknown key; write scaling_layer: {learning_rate_multiplier: 6}, "
            "its new name",
        ),
        (
            "input.feature_scale=auto",
            "input.feature_scale: unknown key; write scaling_layer: auto, its new name",
        ),
        (
            "input.features.b={type: numeric, max_categories: 5}",
            "input.features.b.max_categories: unknown key; did you mean 'one_hot_values'?",
        ),
        ("data.weight=w", "data.weight: unknown key; did you mean 'sample_weight'?"),
        (
            "data.target.positive=b",
            "data.target.positive: unknown key; did you mean 'positive_class'?",
        ),
        (
            "gates={test.r2: {at_least: 0.5, by: interval}}",
            "gates['test.r2'].by: unknown key; did you mean 'compare'?",
        ),
        (
            "tune.space.hidden={layers: [1, 2], units: [8, 16]}",
            "tune.space.hidden: write hidden_layers: {number: ..., units: ...}",
        ),
        ("output.scaling=log", "output.scaling: unknown scaling 'log'; did you mean 'log1p'?"),
    ],
)
def test_an_earlier_name_in_a_config_is_answered_with_the_present_one(
    problems_with: Callable[..., list[str]], setting: str, message: str
) -> None:
    path = setting.partition("=")[0]
    shown = message.removeprefix(f"{path}: ")
    assert problems_with("", setting) == [f"--set '{setting}': {shown}"]


def test_a_scaling_layer_is_auto_or_has_parameters(
    load_with: Callable[..., Config], problems_with: Callable[..., list[str]]
) -> None:
    assert load_with("", "input.scaling_layer=auto").input.scaling_multiplier == 40
    assert load_with("", "input.scaling_layer={}").input.scaling_multiplier == 40
    assert load_with("", "input.scaling_layer=null").input.scaling_multiplier is None
    assert problems_with("", "input.scaling_layer=6") == snapshot(
        [
            "--set 'input.scaling_layer=6': expected auto, or keys and values, got 6; write {learning_rate_multiplier: 6}, or omit the scaling layer"
        ]
    )
    assert problems_with("", "input.scaling_layer={learning_rate_multiplier: 0}") == [
        "--set 'input.scaling_layer={learning_rate_multiplier: 0}': "
        "input.scaling_layer.learning_rate_multiplier: expected a number above 0, got 0"
    ]


def test_a_config_that_cannot_be_read_names_the_problem(config_file: Path) -> None:
    config_file.write_text(EARLIER.replace("feature_scale: 40", "feature_scale: {a: 1}"), "utf-8")
    with pytest.raises(ConfigError, match=r"input\.scaling_layer\.a: unknown key"):
        load_config_of_run(config_file)
