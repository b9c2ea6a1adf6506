"""`--set path=value` on every form of a config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from dlcli.config.config_file import load_config
from dlcli.config.config_schema import Config

Load = Callable[..., Config]
Problems = Callable[..., list[str]]


def at(config: Config, path: str) -> object:
    """Return the value at keys, indices and attributes that are separated by spaces."""
    value: object = config
    for step in path.split():
        if isinstance(value, BaseModel):
            value = getattr(value, step)
        elif isinstance(value, tuple):
            value = value[int(step)]
        else:
            assert isinstance(value, dict)
            value = value[step]
    return value


@pytest.mark.parametrize(
    ("argument", "path", "value"),
    [
        ("seed=7", "seed", 7),
        ("  seed = 7 # lucky", "seed", 7),
        ("name=a", "name", "a"),
        ("name='no'", "name", "no"),
        ("name=no", "name", "no"),
        ("loss=huber", "loss name", "huber"),
        ("loss={name: huber, delta: 2}", "loss delta", 2.0),
        ("loss.name=huber", "loss name", "huber"),
        ("data.validation=0.2", "data validation", 0.2),
        ("data.train='a=b.csv'", "data train", "a=b.csv"),
        ("data.train=a=b.csv", "data train", "a=b.csv"),
        ("data.target=[a, b]", "data target column", ("a", "b")),
        ("hidden=[{units: 3}]", "hidden 0 units", 3),
        ("hidden[0].units=3", "hidden 0 units", 3),
        ("hidden[0]={units: 3}", "hidden 0 units", 3),
        ("input.features['a.b'].type=numeric", "input features a.b type", "numeric"),
        ('input.features["a=b"]=numeric', "input features a=b type", "numeric"),
        ("input.features['a]b']=numeric", "input features a]b type", "numeric"),
        ('input.features["it\'s"]=numeric', "input features it's type", "numeric"),
        (r'input.features["\u0041"]=numeric', "input features A type", "numeric"),
        ("input.features.pixel_*=numeric", "input features pixel_* type", "numeric"),
        ("early_stopping.monitor=loss", "early_stopping monitor", "loss"),
        ("data.target.positive_class=no", "data target positive_class", "no"),
        ("data.target.positive_class=1", "data target positive_class", "1"),
        ("data.target.positive_class=true", "data target positive_class", "true"),
    ],
)
def test_an_override_adds_a_missing_value(
    load_with: Load, argument: str, path: str, value: object
) -> None:
    assert at(load_with("", argument), path) == value


FULL = """\
loss: huber
optimizer: adam
input: {scaling: log1p, features: {a: numeric, b: ignored}}
class_weight: {x: 1}
"""


@pytest.mark.parametrize(
    ("argument", "path", "value"),
    [
        ("loss.delta=2", "loss delta", 2.0),
        ("loss.delta=2", "loss name", "huber"),
        ("loss=null", "loss", None),
        ("loss=", "loss", None),
        ("optimizer.learning_rate=1e-4", "optimizer learning_rate", 0.0001),
        ("optimizer.learning_rate=1e-4", "optimizer name", "adam"),
        ("optimizer.name=sgd", "optimizer name", "sgd"),
        ("input.features.a.missing=mean", "input features a missing name", "mean"),
        ("input.features.a.missing.name=mean", "input features a missing name", "mean"),
        ("input.features.a.missing=mean", "input features a type", "numeric"),
        ("input.features.b=auto", "input features a type", "numeric"),
        ("data.target.type=categorical", "data target type", "categorical"),
        ("data.target.type=categorical", "data target column", "y"),
        ("class_weight.x=2", "class_weight x", 2.0),
        ("class_weight=balanced", "class_weight", "balanced"),
    ],
)
def test_a_short_form_is_expanded_for_a_parameter(
    load_with: Load, argument: str, path: str, value: object
) -> None:
    assert at(load_with(FULL, argument), path) == value


@pytest.mark.parametrize("short", ["true", "false", "null"])
def test_a_parameter_replaces_true_or_false(load_with: Load, short: str) -> None:
    layer = f"hidden=[{{units: 3, batch_normalization: {short}}}]"
    (hidden,) = load_with("", layer, "hidden[0].batch_normalization.momentum=0.9").hidden
    assert hidden.batch_normalization is not None
    assert hidden.batch_normalization.momentum == 0.9


@pytest.mark.parametrize("short", ["balanced", "null"])
def test_a_class_weight_replaces_balanced(load_with: Load, short: str) -> None:
    config = load_with(f"class_weight: {short}\n", "class_weight.yes=2", "class_weight.no=1")
    assert config.class_weight == {"yes": 2.0, "no": 1.0}


def test_a_feature_named_like_a_key_keeps_its_type(load_with: Load) -> None:
    lines = "input: {features: {batch_normalization: numeric, class_weight: numeric}}\n"
    overrides = [
        f"input.features.{key}.missing=mean" for key in ("batch_normalization", "class_weight")
    ]
    features = load_with(lines, *overrides).input.features or {}
    assert [feature.type for feature in features.values()] == ["numeric", "numeric"]


@pytest.mark.parametrize("lines", ["", "input: {scaling: log1p}\n", "input: {features: null}\n"])
def test_a_feature_of_a_config_without_features_leaves_the_others_as_they_are(
    load_with: Load, lines: str
) -> None:
    overrides = ["input.features.a=ignored", "input.features.b.type=numeric"]
    features = load_with(lines, *overrides).input.features or {}
    types = {name: feature.type for name, feature in features.items()}
    assert types == {"*": "auto", "a": "ignored", "b": "numeric"}


@pytest.mark.parametrize(
    ("lines", "argument", "expected"),
    [
        ("input: {features: {a: numeric}}\n", "input.features.b=ignored", ["a", "b"]),
        ("input: {features: {}}\n", "input.features.b=numeric", ["b"]),
        ("", "input.features={b: numeric}", ["b"]),
        ("", "input.features.*=numeric", ["*"]),
    ],
)
def test_the_features_that_are_listed_remain_the_only_ones(
    load_with: Load, lines: str, argument: str, expected: list[str]
) -> None:
    features = load_with(lines, argument).input.features or {}
    assert list(features) == expected
    assert "auto" not in [feature.type for feature in features.values()]


def test_a_list_of_columns_becomes_a_mapping(load_with: Load) -> None:
    config = load_with("input: {features: [a, b]}\n", "input.features.a=ignored")
    features = config.input.features or {}
    types = {name: feature.type for name, feature in features.items()}
    assert types == {"a": "ignored", "b": "auto"}
    config = load_with("", "data.target=[y, z]", "data.target.type=numeric")
    assert (config.data.target.columns, config.data.target.type) == (("y", "z"), "numeric")


def test_a_key_of_another_list_is_refused(problems_with: Problems) -> None:
    assert problems_with("metrics: [mae]\n", "metrics.mae=5") == [
        "--set 'metrics.mae=5': metrics: is a list; set all of it"
    ]


def test_the_last_of_two_overrides_counts(load_with: Load) -> None:
    assert load_with("seed: 1\n", "seed=2", "seed=3").seed == 3


def test_an_index_at_the_end_of_a_list_appends(load_with: Load) -> None:
    config = load_with("", "hidden[0].units=3", "hidden[1]={units: 2}")
    assert [layer.units for layer in config.hidden] == [3, 2]


def test_an_overridden_key_keeps_its_position(load_with: Load) -> None:
    config = load_with(FULL, "input.features.a=boolean")
    assert list(config.input.features or ()) == ["a", "b"]


def test_only_the_named_one_of_two_aliased_layers_changes(config_file: Path) -> None:
    config_file.write_text(
        "data: {train: a.csv, target: y}\nepochs: 1\n"
        "hidden: [&layer {units: 4, activation: {name: elu}}, *layer]\n"
    )
    overrides = ("hidden[1].units=5", "hidden[0].activation.alpha=2")
    hidden = load_config(config_file, overrides).config.hidden
    assert [layer.units for layer in hidden] == [4, 5]
    assert [layer.activation.model_dump() for layer in hidden] == [
        {"name": "elu", "alpha": 2.0},
        {"name": "elu", "alpha": 1.0},
    ]


def test_an_index_beyond_the_last_layer_names_the_possible_ones(problems_with: Problems) -> None:
    layers = ("hidden=[{units: 1}]", "hidden[2].units=5")
    assert problems_with("", *layers) == [
        "--set 'hidden[2].units=5': hidden: has 1 layer; use hidden[0], or hidden[1] to add a layer"
    ]
    layers = ("hidden=[{units: 1}, {units: 1}]", "hidden[3].units=5")
    assert problems_with("", *layers) == [
        "--set 'hidden[3].units=5': hidden: has 2 layers; use hidden[0] to hidden[1], or hidden[2]"
        " to add a layer"
    ]


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("seed", "expected path=value, as in hidden[0].units=64"),
        ("=5", "expected path=value, as in hidden[0].units=64"),
        ("", "expected path=value, as in hidden[0].units=64"),
        (" =5", "expected a path such as hidden[0].units, got nothing"),
        ("a..b=1", "can't read 'a..b' as a path at '..b'"),
        ("hidden[-1]=1", "can't read 'hidden[-1]' as a path at '[-1]'"),
        ("seed=[", "not YAML: did not find expected node content"),
        ("seed=*a", "not YAML: found undefined alias"),
        ("seed=\x01", "has the character U+0001, which YAML forbids; remove it"),
        ("seed=" + "[" * 50, "is nested more than 40 deep"),
        ("seed=\udcff", "is not UTF-8"),
        ("seed=ten", "expected an integer from 0 to 4,294,967,295, got 'ten'"),
        ("seed=", "expected an integer from 0 to 4,294,967,295, got nothing; fill it in,"
                  " or omit the key for its default"),
        ("sed=5", "unknown key; did you mean 'seed'?"),
        ("seed.low=5", 'seed: expected an integer from 0 to 4,294,967,295, got {"low": 5}'),
        ("hidden[2].units=5", "hidden: has 0 layers; use hidden[0] to add a layer"),
        ("hidden.units=5", "hidden: is a list; write hidden[0].units for its first item"),
        ("hidden[0].unit=5", "unknown key; did you mean 'units'?"),
        ("data[0]=5", "data: expected a list, because the path has an index"),
        ("seed=1:30", "expected an integer from 0 to 4,294,967,295, got '1:30'"),
        ("data.target.type=x", "expected 'auto', 'numeric', 'count',"
                               " 'categorical' or 'multi_label', got 'x'"),
    ],
)  # fmt: skip
def test_a_problem_names_its_argument(problems_with: Problems, argument: str, problem: str) -> None:
    name = argument.replace("\x01", "\\x01").replace("\udcff", "\\udcff")
    assert f"--set '{name}': {problem}" in problems_with("", argument)


def test_a_path_with_a_control_character_is_quoted_on_one_line(problems_with: Problems) -> None:
    path = r"can't read '[\r0' as a path at '[\r0'"
    assert problems_with("", "[\r0=1") == [rf"--set '[\r0=1': {path}"]


def test_a_line_end_in_an_argument_is_escaped(problems_with: Problems) -> None:
    assert problems_with("", "seed=a\nb") == [
        r"--set 'seed=a\nb': expected an integer from 0 to 4,294,967,295, got 'a b'"
    ]


def test_problems_of_overrides_come_first(problems_with: Problems) -> None:
    found = problems_with("seed: x\nepochs2: 1\n", "batch_size=a:9:9", "threads=none")
    assert [problem.split(": ")[:2] for problem in found] == [
        ["--set 'batch_size=a:9:9'", "expected a positive integer, got 'a:9:9'"],
        ["--set 'threads=none'", "expected auto, or a positive integer up to 1,024, got 'none'"],
        ["c.yaml:4:7", "seed"],
        ["c.yaml:5:1", "epochs2"],
    ]


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("""input.features["c[0]"]=numeric""", "c[0]"),
        ("""input.features["it's"]=numeric""", "it's"),
        ("input.features.it's=numeric", "it's"),
        ("input.features['a=b']=numeric", "a=b"),
        (r"""input.features["say \"x\""]=numeric""", 'say "x"'),
    ],
)
def test_a_quoted_name_is_accepted(load_with: Load, argument: str, path: str) -> None:
    assert list(load_with("", argument).input.features or ()) == ["*", path]


def test_the_type_of_a_feature_may_be_set_later(config_file: Path) -> None:
    config_file.write_text("data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n")
    settings = ("input.features.a.missing=mean", "input.features.a.type=numeric")
    features = load_config(config_file, settings).config.input.features or {}
    assert features["a"].type == "numeric"
