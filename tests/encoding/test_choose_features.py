"""Columns that no name matches, and tables whose fields were not split."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from dlcli.columns.column_type import Auto, Ignored
from dlcli.columns.number import Numeric
from dlcli.config.data_section import Input
from dlcli.encoding.column_types import UNMATCHED, choose_features
from dlcli.errors import ConfigError

NAMED = {"a": Numeric(), "b": Ignored()}


def problems(features, columns):
    with pytest.raises(ConfigError) as caught:
        choose_features(Input(features=features), columns, ["y"])
    return [str(problem) for problem in caught.value.problems]


def test_a_column_that_no_name_matches_is_ignored_and_distinguished_from_a_declared_one():
    chosen = choose_features(Input(features=NAMED), ["a", "b", "c"], [])
    assert chosen == {**NAMED, "c": Ignored()}
    assert [name for name, feature in chosen.items() if feature is UNMATCHED] == ["c"]


def test_a_pattern_reaches_columns_as_a_name_does():
    chosen = choose_features(Input(features={**NAMED, "c*": Ignored()}), ["a", "b", "c"], [])
    assert not any(feature is UNMATCHED for feature in chosen.values())


@pytest.mark.parametrize(
    ("header", "sign"), [("a,b,y", ","), ("a;b;y", ";"), ("a|b|y", "|"), ("a\tb\ty", "\\t")]
)
def test_fields_that_were_not_split_are_one_problem(header, sign):
    shown = header.replace("\t", "\\t")
    (problem,) = problems(NAMED, [header])
    assert problem.replace("\t", "\\t") == (
        f"input.features: the table has only one column, '{shown}'; "
        f'set data.format: {{name: csv, delimiter: "{sign}"}}'
    )


def test_the_most_frequent_sign_is_the_likely_one():
    (problem,) = problems(NAMED, ["a;b (x,y);c"])
    assert problem.endswith('delimiter: ";"}')


def test_a_long_header_is_cut():
    (problem,) = problems(NAMED, [",".join(map(str, range(100)))])
    assert problem == (
        snapshot(
            "input.features: the table has only one column, "
            "'0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,...; "
            'set data.format: {name: csv, delimiter: ","}'
        )
    )


@pytest.mark.parametrize("columns", [["x"], ["a,b", "y"]])
def test_names_that_are_not_there_are_reported_one_by_one_in_any_other_table(columns):
    assert problems({"c": Auto(), "d": Auto()}, columns) == [
        "input.features.c: no such column in the table",
        "input.features.d: no such column in the table",
    ]


@pytest.mark.parametrize(("count", "end"), [(20, "; did you mean 'pixels_0'?"), (21, "")])
def test_similar_columns_are_suggested_for_few_names(count, end):
    features = {f"pixel_{at}": Auto() for at in range(count)}
    found = problems(features, [f"pixels_{at}" for at in range(count)])
    assert found[0] == f"input.features.pixel_0: no such column in the table{end}"
    assert len(found) == count
