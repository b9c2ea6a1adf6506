"""Which columns are read, and as what: names, patterns, and what the rows show."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.config.features import Auto, Boolean, Categorical, Ignored, Input, Numeric
from dlcli.encoding import choose_features, decide_types
from dlcli.errors import ConfigError
from dlcli.table import Table


def chosen(features, columns, reserved=()):
    """The type that each column is to have."""
    section = Input(features=features)
    picked = choose_features(section, columns, reserved)
    return {column: feature.type for column, feature in picked.items()}


def problems(features, columns, reserved=()):
    with pytest.raises(ConfigError) as caught:
        choose_features(Input(features=features), columns, reserved)
    return [str(problem) for problem in caught.value.problems]


def decided(values):
    data = pa.table({"x": values, "other": [1.0] * len(values)})
    table = Table("t.csv", data, np.arange(1, data.num_rows + 1))
    decision = decide_types({"x": Auto(), "other": Numeric()}, table)["x"]
    return decision.feature.type, decision.reason


def test_without_features_every_column_that_is_not_reserved_is_looked_at():
    assert chosen(None, ["b", "y", "a"], ["y"]) == {"b": "auto", "a": "auto"}


def test_a_column_that_nothing_reaches_is_ignored():
    features = {"a": Numeric(), "b_*": Numeric()}
    assert chosen(features, ["a", "b_1", "c"]) == {"a": "numeric", "b_1": "numeric", "c": "ignored"}


def test_an_exact_name_wins_over_a_pattern_wherever_it_stands():
    features = {"*": Numeric(), "a": Boolean()}
    assert chosen(features, ["a", "b"]) == {"a": "boolean", "b": "numeric"}


def test_a_longer_pattern_wins_over_a_shorter():
    features = {"*": Auto(), "p*": Numeric(), "pix*": Boolean(), "pixel_?": Categorical()}
    assert chosen(features, ["pixel_1", "pixel_10", "pit", "a"]) == {
        "pixel_1": "categorical",
        "pixel_10": "boolean",
        "pit": "numeric",
        "a": "auto",
    }


def test_a_pattern_fits_the_whole_name_and_no_sign_but_its_own_is_special():
    features = {"a.b*": Numeric(), "*": Ignored()}
    assert chosen(features, ["a.b1", "axb1", "za.b1"]) == {
        "a.b1": "numeric",
        "axb1": "ignored",
        "za.b1": "ignored",
    }


def test_a_column_with_a_question_mark_in_its_name_is_no_pattern():
    features = {"smoker?": Boolean()}
    assert chosen(features, ["smoker?", "smokers"]) == {"smoker?": "boolean", "smokers": "ignored"}


def test_a_pattern_that_fits_nothing_is_an_error():
    assert problems({"a": Auto(), "pixel_*": Numeric()}, ["a"]) == [
        "input.features.pixel_*: fits no column of the table"
    ]


def test_a_pattern_that_fits_reserved_columns_only_fits_nothing():
    assert problems({"a": Auto(), "y*": Numeric()}, ["a", "y"], ["y"]) == [
        "input.features.y*: fits no column of the table"
    ]


def test_a_star_may_fit_nothing():
    assert chosen({"a": Numeric(), "*": Auto()}, ["a", "y"], ["y"]) == {"a": "numeric"}


def test_a_reserved_column_cant_be_a_feature():
    assert problems({"a": Auto(), "y": Numeric()}, ["a", "y"], ["y"]) == [
        "input.features.y: has another part in 'data' and can't be a feature; "
        "leave it out, or ignored, here"
    ]


def test_absent_columns_are_errors_all_at_once_with_the_nearest_name():
    assert problems({"agee": Numeric(), "b.c": Numeric()}, ["age", "y"], ["y"]) == [
        "input.features.agee: no such column in the table; did you mean 'age'?",
        "input.features['b.c']: no such column in the table",
    ]


@pytest.mark.parametrize("features", [{"a": Ignored()}, None])
def test_a_choice_that_leaves_no_column_is_an_error(features):
    columns, reserved = (["a", "y"], ["y"]) if features else (["y"], ["y"])
    assert problems(features, columns, reserved) == [
        "input.features: leaves no column for the network to read"
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0], ("numeric", "all numbers")),
        (["1", " 2.5e3 ", ""], ("numeric", "all numbers")),
        ([True, None], ("boolean", "all true or false")),
        (["true", "False"], ("boolean", "all true or false")),
        (["a", "b", "a"], ("categorical", "text, 2 values")),
        (["a", "", "a"], ("categorical", "text, 1 value")),
        (["1", "two"], ("categorical", "text, 2 values")),
        (
            [f"v{number}" for number in range(101)],
            ("categorical", "text, 101 values; the 100 most frequent are kept"),
        ),
        (["", " "], ("ignored", "has no value in the training rows")),
        ([[1], [2]], ("ignored", "is stored in a form that no feature type reads")),
    ],
)
def test_a_type_is_inferred_with_its_reason(values, expected):
    assert decided(values) == expected


def test_a_declared_type_is_kept():
    table = Table("t.csv", pa.table({"x": [1, 2]}), np.array([1, 2]))
    decision = decide_types({"x": Categorical()}, table)["x"]
    assert (decision.feature, decision.reason) == (Categorical(), "declared")


def test_it_is_an_error_if_no_column_can_be_read():
    table = Table("t.csv", pa.table({"x": ["", ""], "z": [[1], [2]]}), np.array([1, 2]))
    with pytest.raises(ConfigError) as caught:
        decide_types({"x": Auto(), "z": Auto()}, table)
    assert str(caught.value) == (
        "input.features: no column can be read: 'x' has no value in the training rows; "
        "'z' is stored in a form that no feature type reads"
    )


def test_a_reserved_column_may_be_named_as_ignored():
    chosen = choose_features(Input(features={"a": Auto(), "y": Ignored()}), ["a", "y"], ["y"])
    assert list(chosen) == ["a"]
