"""The JSON Schema of the config, by which editors complete and check it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from dlcli.config.config_file import make_config
from dlcli.config.config_schema import Config, Hidden
from dlcli.config.data_section import Data, Input, Target
from dlcli.config.search_space import check_tune
from dlcli.config.tune_section import Tune
from dlcli.schema.yaml_document import Values, parse
from tests.config.schema import SCHEMA, VALIDATOR

SMALLEST = """\
data:
  train: ../data/iris.csv
  target: species
hidden:
  - {units: 16, activation: relu}
epochs: 100
"""
TUTORIAL = """\
data: {train: ../data/line.csv, target: y}
input: {features: [x], scaling: none}
hidden:
  - {units: 1, activation: linear}
output: {units: 1, activation: linear, scaling: none}
loss: mean_squared_error
optimizer: {name: sgd, learning_rate: 0.01}
epochs: 1000
"""
EVERYTHING = """\
name: adult
seed: 7
data:
  train: adult.csv
  validation: 0.15
  test: 0.15
  split: {name: stratified}
  target: income
  sample_weight: sample_weight
  missing: ["?", "NA"]
input:
  scaling: standard
  features:
    age: numeric
    capital_gain: {type: numeric, scaling: log1p, missing: median}
    income_share: {type: numeric, scaling: {name: divide, by: 255}}
    workclass: {type: categorical, encoding: one_hot, min_count: 5, max_categories: 100}
    "pixel_*": {type: numeric, scaling: {name: divide, by: 255}}
    id: ignored
    "*": auto
hidden:
  - {units: 256, activation: relu, dropout: 0.2, batch_normalization: true,
     kernel_regularizer: {name: l2, l2: 1e-4}}
  - {units: 128, activation: gelu}
output: {units: 1, activation: sigmoid}
loss: binary_crossentropy
metrics: [accuracy, auc]
class_weight: balanced
optimizer: {name: adamw, learning_rate: 1e-3, weight_decay: 1e-4, clipnorm: 1.0}
learning_rate_schedule: {name: cosine_decay, warmup_epochs: 2}
epochs: 100
batch_size: 128
early_stopping: {monitor: val_loss, patience: 10, min_delta: 0.0, restore_best_weights: true}
initial_weights: runs/earlier
engine: auto
device: auto
threads: auto
precision: float32
"""


def content_of(text: str) -> dict[str, Any]:
    """Return a config as an editor sees it, with the types of JSON only."""
    document = parse(text, "c.yaml")
    content: dict[str, Any] = json.loads(json.dumps(Values(document).of(document.root)))
    return content


def objects(part: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a JSON document."""
    if isinstance(part, dict):
        yield part
    for below in (
        part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    ):
        yield from objects(below)


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [SMALLEST, TUTORIAL, EVERYTHING])
def test_the_designs_examples_satisfy_it_and_load(text: str) -> None:
    VALIDATOR.validate(content_of(text))
    document = parse(text, "c.yaml")
    Config.model_validate(Values(document).of(document.root))


def test_fields_without_default_are_required() -> None:
    assert SCHEMA["required"] == ["data", "hidden", "epochs"]
    assert SCHEMA["$defs"]["Data"]["required"] == ["train", "target"]
    assert SCHEMA["$defs"]["Hidden"]["required"] == ["units"]
    assert SCHEMA["$defs"]["Divide"]["required"] == ["name", "by"]
    assert SCHEMA["$defs"]["Numeric"]["required"] == ["type"]


def test_no_section_allows_other_keys() -> None:
    sections = [SCHEMA, *SCHEMA["$defs"].values()]
    assert [part["title"] for part in sections if part["additionalProperties"] is not False] == []


def test_every_section_and_key_is_described() -> None:
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        assert section["description"]
        keys = section["properties"].items()
        silent = [key for key, part in keys if "description" not in part and "const" not in part]
        assert silent == []


def test_every_choice_that_stands_alone_is_described() -> None:
    unions = [part["anyOf"] for part in objects(SCHEMA) if "anyOf" in part]
    choices = [options for options in unions if any("$ref" in option for option in options)]
    alone = [option for options in choices for option in options if "const" in option]

    assert {"relu", "adam", "stratified", "one_hot"} <= {part["const"] for part in alone}
    assert [part["const"] for part in alone if not part.get("description")] == []


def test_examples_satisfy_it_and_every_key_of_the_config_has_some() -> None:
    assert [key for key, part in SCHEMA["properties"].items() if not part.get("examples")] == []
    for name, section in {"Config": SCHEMA, **SCHEMA["$defs"]}.items():
        for key, part in section["properties"].items():
            validator = Draft202012Validator({**part, "$defs": SCHEMA["$defs"]})
            for example in part.get("examples", []):
                assert [each.message for each in validator.iter_errors(example)] == [], (name, key)


EXAMPLES = [
    (section.__name__, key, example)
    for section in (Config, Data, Target, Input, Hidden, Tune)
    for key, doc in section.field_docs().items()
    for example in doc.examples or ()
]


@pytest.mark.parametrize(("section", "key", "example"), EXAMPLES)
def test_every_example_is_a_valid_value(section: str, key: str, example: object) -> None:
    target = {"column": "y", **({"type": "multi_label"} if key == "delimiter" else {})}
    data = {"train": "a.csv", "validation": 0.15, "test": 0.15, "target": target}
    layer, inputs = {"units": 8, "activation": "relu"}, dict[str, object]()
    tune = {"space": {"batch_size": [32, 64]}}
    config = {"data": data, "input": inputs, "hidden": [layer], "epochs": 100, "tune": tune}
    places = {"Config": config, "Data": data, "Target": target, "Input": inputs}
    places |= {"Hidden": layer, "Tune": tune}
    places[section][key] = example
    if key == "ensemble" and isinstance(example, dict) and example["folds"] != "none":
        data["validation"] = None
    if key == "exclude_from_weight_decay":
        config["optimizer"] = "adamw"
    check_tune(make_config(config))


def test_no_choice_is_empty_and_no_key_is_required_twice() -> None:
    for part in objects(SCHEMA):
        assert part.get("enum") != []
        required = part.get("required", [])
        assert not isinstance(required, list) or len(set(required)) == len(required)


SHORT_FORMS: dict[str, list[Any]] = {
    "data.split": ["random", "stratified"],
    "input.scaling": ["standard", "log1p", "none"],
    "hidden.0.activation": ["relu", "linear", "gelu"],
    "hidden.0.kernel_initializer": ["he_normal"],
    "hidden.0.bias_initializer": ["zeros", "constant"],
    "hidden.0.kernel_regularizer": ["l1", "l2", "l1_l2", "orthogonal_regularizer"],
    "hidden.0.bias_regularizer": ["l1", "l2", "l1_l2"],
    "hidden.0.batch_normalization": [True, False, {}, {"momentum": 0.9}],
    "output.activation": ["softmax", "relu"],
    "output.kernel_initializer": ["he_normal"],
    "output.scaling": ["standard", "log1p", "none"],
    "loss": ["huber", "mean_squared_error"],
    "optimizer": ["adam", "sgd", "muon"],
    "learning_rate_schedule": ["constant", "cosine_decay", "reduce_on_plateau"],
    "data.target": [
        "y",
        ["y", "z"],
        {"column": "y"},
        {"column": ["y", "z"], "type": "multi_label"},
        {"column": "y", "type": "multi_label", "delimiter": "|"},
        {"column": "y", "type": "count"},
    ],
    "input.features": [
        ["a", "b"],
        {"a": "numeric"},
        {"a": {"type": "boolean", "missing": "error"}},
    ],
    "class_weight": ["balanced", {"a": 2}],
    "threads": ["auto", 4],
}
WRONG: dict[str, list[Any]] = {
    "data.split": ["group", {"name": "group"}, {"name": "random", "column": "a"}],
    "input.scaling": ["divide", {"name": "divide"}, {"name": "divide", "by": 0}, {"by": 2}],
    "hidden.0.activation": ["rellu", "threshold", 5],
    "hidden.0.units": [0, -1, 1.5, True, "ten"],
    "hidden.0.dropout": [1, 1.0, -0.1, "half"],
    "output.scaling": ["divide"],
    "output.bias_regularizer": ["orthogonal_regularizer"],
    "optimizer": ["adma", {}, {"name": "adam", "learning_rate": 0}, {"learning_rate": 1}],
    "learning_rate_schedule": ["exponential_decay"],
    "loss": ["ctc"],
    "epochs": [0, True, None],
    "seed": [-1, 2**32],
    "threads": [0, "all", True],
    "class_weight": [{}, {"a": 0}, "equal"],
    "sed": [1],
    "data.trian": ["a.csv"],
    "data.target": [{"column": "y", "type": "labels"}, {"column": "y", "delimiter": ""}],
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the smallest config with one other value."""
    content = content_of(f"{SMALLEST}output: {{}}\ninput: {{}}\n")
    content["data"]["validation"] = 0.1  # some of the values need it
    *parents, key = path.split(".")
    place: Any = content
    for step in parents:
        place = place[int(step) if step.isdigit() else step]
    place[key] = value
    return content


def with_tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: with_tuples(item) for key, item in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("path", SHORT_FORMS)
def test_schema_and_program_accept_the_same_values(path: str) -> None:
    for value in SHORT_FORMS[path]:
        content = changed(path, value)
        assert [error.message for error in VALIDATOR.iter_errors(content)] == []
        Config.model_validate(with_tuples(content))


@pytest.mark.parametrize("path", WRONG)
def test_schema_and_program_reject_the_same_values(path: str) -> None:
    for value in WRONG[path]:
        content = changed(path, value)
        assert not VALIDATOR.is_valid(content), value
        with pytest.raises(ValueError, match=path.split(".")[-1]):
            Config.model_validate(with_tuples(content))
