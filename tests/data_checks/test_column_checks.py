"""Columns that teach little: identifiers, constants, gaps and copies."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.data_checks.column_checks import (
    find_constants,
    find_copies,
    find_identifiers,
    find_many_missing,
    find_near_constants,
)

X = np.random.default_rng(5).normal(size=1000)


def columns_of(found):
    return found.columns if found else ()


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("no", np.arange(100), "numeric"),
        ("user_id", np.arange(100) * 7, "numeric"),
        ("name", [f"n{at}" for at in range(100)], "categorical"),
    ],
)
def test_what_differs_in_each_row_and_is_no_measurement_is_an_identifier(
    name, values, kind, sample
):
    found = find_identifiers(sample({"x": X[:100], name: values}, **{name: kind}))
    assert (columns_of(found), found.severity) == ((name,), "warning")


@pytest.mark.parametrize("values", [X[:100], np.arange(100) * 7, np.arange(100) % 99])
def test_measurements_and_repeated_values_are_no_identifiers(values, sample):
    assert find_identifiers(sample({"x": X[:100], "z": values})) is None


def test_an_ignored_identifier_is_not_mentioned(sample):
    assert find_identifiers(sample({"x": X[:50], "id": range(50)}, id="ignored")) is None


def test_a_constant_is_shown_with_its_value(sample):
    found = find_constants(sample({"x": [1, 2], "z": [5, 5]}, x="numeric", z="numeric"))
    assert (found.message, found.severity) == ("the same value in all rows: 'z' ('5')", "note")


def test_a_value_with_missing_values_is_no_constant(sample):
    assert find_constants(sample({"x": [5, None]}, x="numeric")) is None


@pytest.mark.parametrize(("others", "said"), [(4, True), (5, False)])
def test_more_than_995_rows_in_a_thousand_are_nearly_constant(others, said, sample):
    found = find_near_constants(sample({"x": X, "z": ["b"] * others + ["a"] * (1000 - others)}))
    assert (found is not None) == said
    assert not said or found.message == (
        "nearly the same value in all rows: 'z' ('a' in all but 4)"
    )


@pytest.mark.parametrize(("gaps", "expected"), [(4, ()), (5, ("z",))])
def test_missing_values_in_half_of_the_rows_are_many(gaps, expected, sample):
    z = [None] * gaps + [1.5] * (10 - gaps)
    assert columns_of(find_many_missing(sample({"x": X[:10], "z": z}))) == expected


def test_copies_are_found_also_under_other_names(sample):
    level = np.array(["low", "mid", "high"])[np.arange(30) % 3]
    found = find_copies(
        sample({"x": X[:30], "x2": X[:30], "level": level, "code": np.arange(30) % 3 * 10.0})
    )
    assert (found.columns, found.severity) == (("x2", "code"), "note")
    assert "'x2' (as 'x'), 'code' (as 'level')" in found.message


@pytest.mark.parametrize(
    "other",
    [X[30:60], np.where(np.arange(30) == 3, 0, X[:30]), [None, *X[1:30]]],
    ids=["all different", "one value", "a gap"],
)
def test_columns_that_differ_anywhere_are_no_copies(other, sample):
    assert find_copies(sample({"x": X[:30], "z": other})) is None


def test_more_than_five_columns_are_counted(sample):
    found = find_constants(
        sample(
            {f"c{at}": [1, 1] for at in range(6)},
            c0="numeric",
            c1="numeric",
            c2="numeric",
            c3="numeric",
            c4="numeric",
            c5="numeric",
        )
    )
    assert found.message.endswith("'c4' ('1'), ... (6 columns)")
    assert len(found.columns) == 6
