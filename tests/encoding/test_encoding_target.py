"""What is predicted: classes or numbers, their order, their unit, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from dlcli.config.data import Target
from dlcli.config.features import Log, Standard
from dlcli.encoding import fit_target, infer_target
from dlcli.errors import DataError
from dlcli.table import Table


def rows(first_row=1, **columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(first_row, first_row + data.num_rows))


def kind_of(values, target="auto"):
    return infer_target(Target(column="y", type=target), [rows(y=values)])


@pytest.mark.parametrize(
    ("values", "classes", "reason"),
    [
        (["no", "yes"], ("no", "yes"), "text"),
        (["1", "two"], ("1", "two"), "text"),
        ([True, False], ("false", "true"), "all true or false"),
        (["false", "true"], ("false", "true"), "all true or false"),
        ([1, 0, 1], ("0", "1"), "all 0 or 1"),
        (["0", "1"], ("0", "1"), "all 0 or 1"),
        ([1.0, 0.0], ("0", "1"), "all 0 or 1"),
        ([0, 1, 2], (), "all numbers"),
        (["0.5", "1"], (), "all numbers"),
        ([0, 0], (), "all numbers"),
    ],
)
def test_text_booleans_and_just_0_and_1_are_classes_and_all_else_is_numbers(
    values, classes, reason
):
    kind = kind_of(values)
    assert (kind.classes, kind.reason) == (classes, reason)


def test_digits_declared_categorical_are_classes_in_numeric_order():
    kind = kind_of([10, 2, -1, 2], "categorical")
    assert (kind.classes, kind.reason) == (("-1", "2", "10"), "declared")


def test_zeros_and_ones_declared_numeric_are_numbers():
    assert kind_of([0, 1], "numeric").classes == ()


def test_words_come_behind_numbers_and_nan_is_a_word():
    assert kind_of(["nan", "inf", "10", "9", "b"], "categorical").classes == (
        "9",
        "10",
        "b",
        "inf",
        "nan",
    )


def test_classes_come_from_all_tables_in_one_order():
    tables = [rows(y=["c", "a"]), rows(y=["b", "a"])]
    assert infer_target(Target(column="y"), tables).classes == ("a", "b", "c")


def test_a_2_in_the_test_rows_makes_0_and_1_numbers():
    tables = [rows(y=[0, 1]), rows(y=[0, 2])]
    assert infer_target(Target(column="y"), tables).reason == "all numbers"


@pytest.mark.parametrize(
    ("values", "target", "stored"),
    [
        (["a", "b"], "auto", "text"),
        (["true", "false"], "auto", "text"),
        ([True, False], "auto", "boolean"),
        ([0, 1], "auto", "integer"),
        ([3.0, 4.0], "categorical", "integer"),
        (["3", "-40"], "categorical", "integer"),
        (["03", "04"], "categorical", "text"),
        ([0.5, 1.5], "categorical", "text"),
    ],
)
def test_it_is_remembered_how_the_table_stores_classes(values, target, stored):
    assert kind_of(values, target).stored == stored


def test_several_columns_are_several_numbers():
    kind = infer_target(Target(column=("u", "v")), [rows(u=[0, 1], v=[0.5, 2])])
    assert (kind.columns, kind.classes, kind.reason) == (("u", "v"), (), "several columns")
    assert kind.name == "'u', 'v'"


def test_text_among_several_columns_is_refused_with_its_row():
    table = rows(u=["1", "2"], v=["3", "four"])
    kind = infer_target(Target(column=("u", "v")), [table])
    with pytest.raises(DataError, match="t.csv: row 2, column 'v': expected a finite number"):
        fit_target(kind, None, table)


@pytest.mark.parametrize("values", [["yes", "yes"], [True, True]])
def test_a_single_class_is_refused(values):
    with pytest.raises(DataError, match="column 'y': has one class only, '(yes|true)'"):
        kind_of(values)


@pytest.mark.parametrize(
    ("values", "others"), [([1.5, None, 3.0], ""), (["a", "", " ", "b"], " (and in 1 more rows)")]
)
def test_a_missing_target_is_refused_with_its_row(values, others):
    with pytest.raises(DataError) as caught:
        infer_target(Target(column="y"), [rows(y=["a", "b"]), rows(first_row=7, y=values)])
    assert str(caught.value) == (
        f"t.csv: row 8, column 'y': the target is missing{others}; leave such rows out of the file"
    )


def test_classes_are_encoded_by_their_place():
    target = fit_target(kind_of(["b", "a", "c"]), None, rows(y=["b"]))
    assert target.encode(rows(y=["c", "a", "b"])).tolist() == [2, 0, 1]


def test_a_class_that_training_never_saw_is_refused_with_its_row():
    target = fit_target(kind_of(["a", "b"]), None, rows(y=["a"]))
    with pytest.raises(DataError) as caught:
        target.encode(rows(first_row=4, y=["a", "z"]))
    assert str(caught.value) == "t.csv: row 5, column 'y': 'z' is none of the classes (a, b)"


def test_numbers_are_trained_standardised_and_given_their_unit_back():
    train = rows(y=[2, 4, 4, 4, 5, 5, 7, 9])  # mean 5, population deviation 2
    target = fit_target(infer_target(Target(column="y"), [train]), Standard(), train)
    assert target.encode(rows(y=[5, 9])).tolist() == [[0], [2]]
    assert target.decode(np.array([[0.0], [2.0], [-1.5]])).tolist() == [[5], [9], [2]]


def test_log_numbers_are_trained_as_standardised_log_1_plus_y():
    train = rows(y=[0, math.exp(2) - 1])  # log(1 + y): 0 and 2, so mean 1 and deviation 1
    target = fit_target(infer_target(Target(column="y"), [train]), Log(), train)
    np.testing.assert_allclose(target.encode(train), [[-1], [1]], rtol=1e-6)
    given_back = target.decode(np.array([[0.0], [2.0]]))
    np.testing.assert_allclose(given_back, [[math.e - 1], [math.exp(3) - 1]])


def test_a_negative_number_under_log_is_refused_with_its_row():
    train = rows(y=[3.0, -1.0])
    with pytest.raises(DataError, match="row 2, column 'y': scaling 'log' wants 0 or more, got -1"):
        fit_target(infer_target(Target(column="y"), [train]), Log(), train)


def test_without_a_scaling_numbers_stay_as_they_are_and_each_column_has_its_own_otherwise():
    train = rows(u=[1.0, 3.0], v=[10.0, 30.0])
    kind = infer_target(Target(column=("u", "v")), [train])
    assert fit_target(kind, None, train).encode(train).tolist() == [[1, 10], [3, 30]]
    assert fit_target(kind, Standard(), train).encode(train).tolist() == [[-1, -1], [1, 1]]
