"""Choices as `name` or `{name: ..., parameter: ...}`, wherever the config has some."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dlcli.config.config_schema import Config

Load = Callable[..., Config]
Problems = Callable[..., list[str]]

CHOICES = {
    "data.split": ("random", "split"),
    "input.scaling": ("log1p", "scaling"),
    "input.features.a": ("numeric", "feature type"),
    "input.features.b.scaling": ("log1p", "scaling"),
    "input.features.b.missing": ("mean", "policy"),
    "input.features.c.missing": ("error", "policy"),
    "input.features.d.missing": ("most_frequent", "policy"),
    "input.features.d.encoding": ("one_hot", "encoding"),
    "output.activation": ("elu", "activation"),
    "output.kernel_initializer": ("ones", "initializer"),
    "output.bias_initializer": ("ones", "initializer"),
    "output.kernel_regularizer": ("orthogonal_regularizer", "regularizer"),
    "output.bias_regularizer": ("l1", "regularizer"),
    "output.scaling": ("log1p", "scaling"),
    "loss": ("huber", "loss"),
    "optimizer": ("nadam", "optimizer"),
    "learning_rate_schedule": ("cosine_decay", "schedule"),
}
FEATURES = (
    "data.validation=0.1",
    "input.features.b={type: numeric}",
    "input.features.c={type: boolean}",
    "input.features.d={type: categorical}",
)


@pytest.mark.parametrize("path", CHOICES)
def test_a_choice_is_a_name_or_a_mapping(
    load_with: Load, problems_with: Problems, path: str
) -> None:
    name, noun = CHOICES[path]
    short = load_with("", *FEATURES, f"{path}={name}")
    key = "type" if path == "input.features.a" else "name"
    assert short == load_with("", *FEATURES, f"{path}={{{key}: {name}}}")
    assert short != load_with("", *FEATURES) or name == "one_hot"  # which is the default
    (unknown,) = problems_with("", *FEATURES, f"{path}=zzz")
    assert unknown.startswith(f"--set '{path}=zzz': unknown {noun} 'zzz'; allowed: ")
    article = "an" if noun[0] in "aeio" else "a"
    assert problems_with("", *FEATURES, f"{path}=5") == [
        f"--set '{path}=5': expected the name of {article} {noun}, got 5"
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "optimizer: {learning_rate: 1}\n",
            "c.yaml:4:12: optimizer: expected an optimizer such as {name: ...}, but 'name' is missing",
        ),
        (
            "loss: {nam: huber}\n",
            "c.yaml:4:8: loss.nam: unknown key; did you mean 'name'?",
        ),
        (
            "optimizer: {name: [adam]}\n",
            'c.yaml:4:19: optimizer.name: expected the name of an optimizer, got ["adam"]',
        ),
        ("optimizer: adma\n", "c.yaml:4:12: optimizer: unknown optimizer 'adma'; did you mean"),
        (
            "optimizer: {name: adam, learning_rat: 1}\n",
            "c.yaml:4:25: optimizer.learning_rat: unknown key; did you mean 'learning_rate'?",
        ),
        (
            "loss: cross_entropy\n",
            "c.yaml:4:7: loss: unknown loss 'cross_entropy'; write binary_crossentropy for two "
            "classes or labels, or sparse_categorical_crossentropy for several classes; if you ",
        ),
        (
            "loss: {name: LogLoss}\n",
            "c.yaml:4:14: loss.name: unknown loss 'LogLoss'; write binary_crossentropy for two ",
        ),
        ("input: {scaling: {name: divide}}\n", "c.yaml:4:18: input.scaling.by: is required"),
        (
            "input: {scaling: divide}\n",
            "c.yaml:4:18: input.scaling: 'divide' requires 'by'; write {name: divide, by: ...}",
        ),
        (
            "input: {features: {x: image}}\n",
            "c.yaml:4:23: input.features.x: 'image' requires 'shape'; write {type: image, shape: ...}",
        ),
        (
            "learning_rate_schedule: exponential_decay\n",
            "c.yaml:4:25: learning_rate_schedule: 'exponential_decay' requires 'decay_epochs', "
            "'decay_rate'; write {name: exponential_decay, decay_epochs: ..., decay_rate: ...}",
        ),
        (
            "output: {kernel_regularizer: [l2]}\n",
            "c.yaml:4:30: output.kernel_regularizer: expected the name of a regularizer,"
            ' got ["l2"]',
        ),
    ],
)
def test_an_invalid_choice_is_explained(problems_with: Problems, lines: str, problem: str) -> None:
    (found,) = problems_with(lines)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "optimizer: {name: adamm}\n",
            "c.yaml:4:19: optimizer.name: unknown optimizer 'adamm'; did you mean 'adam'?",
        ),
        (
            "optimizer: {nme: adam, learning_rate: 1}\n",
            "c.yaml:4:13: optimizer.nme: unknown key; did you mean 'name'?",
        ),
        (
            "optimizer: {learning_rate: 1}\n",
            "c.yaml:4:12: optimizer: expected an optimizer such as {name: ...}, but 'name' is missing",
        ),
        (
            "device: gpus\n",
            "c.yaml:4:9: device: expected 'auto', 'cpu' or 'gpu', got 'gpus'; did you mean 'gpu'?",
        ),
        (
            "optimizer: {name: adam, amsgrad: flase}\n",
            "c.yaml:4:34: optimizer.amsgrad: expected true or false, got 'flase'; did you mean"
            " 'false'?",
        ),
        (
            "threads: atuo\n",
            "c.yaml:4:10: threads: expected auto, or a positive integer up to 1,024, got 'atuo';"
            " did you mean 'auto'?",
        ),
        (
            "seed: integer\n",
            "c.yaml:4:7: seed: expected an integer from 0 to 4,294,967,295, got 'integer'",
        ),
    ],
)
def test_a_misspelled_choice_is_located_with_the_most_similar(
    problems_with: Problems, lines: str, problem: str
) -> None:
    assert problems_with(lines) == [problem]


def test_invalid_items_of_a_list_are_located(problems_with: Problems) -> None:
    expected = (
        "expected year, month, day, weekday, day_of_year, hour, minute, second or elapsed, got"
    )
    lines = "input: {features: {day: {type: datetime, parts: [year, mnth, 5]}}}\n"
    assert problems_with(lines) == [
        f"c.yaml:4:56: input.features.day.parts[1]: {expected} 'mnth'; did you mean 'month'?",
        f"c.yaml:4:62: input.features.day.parts[2]: {expected} 5",
    ]


@pytest.mark.parametrize(
    ("switch", "normalized"), [("true", True), ("false", False), ("null", False), ("{}", True)]
)
def test_batch_normalization_may_be_true_or_false(
    load_with: Load, switch: str, normalized: bool
) -> None:
    layer = load_with("", f"hidden[0]={{units: 1, batch_normalization: {switch}}}").hidden[0]
    assert (layer.batch_normalization is not None) == normalized


def test_a_list_of_features_is_short_for_columns_of_type_auto(load_with: Load) -> None:
    short = load_with("input: {features: [b, a]}\n")
    assert short == load_with("input: {features: {b: auto, a: {type: auto}}}\n")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("[a, a]", "lists a column twice"),
        (
            "[a, 5]",
            "expected columns with their types, or a list of columns, "
            """got ["a", 5]; write '5' in quotes""",
        ),
        ("5", "expected columns with their types, or a list of columns, got 5"),
        ("{}", "is empty; omit it to use all columns"),
        ("[]", "is empty; omit it to use all columns"),
    ],
)
def test_invalid_features_are_a_problem(
    problems_with: Problems, features: str, message: str
) -> None:
    assert problems_with(f"input:\n  features: {features}\n") == [
        f"c.yaml:5:13: input.features: {message}"
    ]
