"""Encoding of numbers and booleans: scalings, missing and refused values; computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from dlcli.columns.boolean import Boolean, MostFrequent
from dlcli.columns.column_type import ErrorIfMissing, MedianImputation
from dlcli.columns.number import ConstantValue, MeanImputation, Numeric
from dlcli.columns.scaling import Divide, Log1p, Standard, Unscaled
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.errors import ConfigError, DataError
from dlcli.tables.table import Table


def rows(values, first_row=1):
    """A table of the column `x`, whose first row is the given one of its file."""
    data = pa.table({"x": values})
    return Table("t.csv", data, np.arange(first_row, first_row + data.num_rows))


def fit(values, feature=None, scaling=None):
    return (feature or Numeric()).fit("x", rows(values), Input(scaling=scaling or Unscaled()))


def inputs(encoder, values, first_row=1):
    out = np.zeros((len(values), len(encoder.inputs)), np.float32)
    encoder.encode(rows(values, first_row), out, ValueProblems())
    return out.tolist()


def notes(encoder, values):
    problems = ValueProblems()
    encoder.encode(rows(values), np.zeros((len(values), len(encoder.inputs)), np.float32), problems)
    return [*map(str, problems.notes())]


# The mean of 2, 4, 4, 4, 5, 5, 7, 9 is 5, and their population deviation 2.
EIGHT = [2, 4, 4, 4, 5, 5, 7, 9]


def test_standard_takes_the_mean_away_and_divides_by_the_population_deviation():
    encoder = fit(EIGHT, scaling=Standard())
    assert inputs(encoder, [5, 9, 2]) == [[0], [2], [-1.5]]


def test_log_is_the_standard_scaling_of_log_1_plus_x():
    # log(1 + x) of 0 and e² − 1 is 0 and 2: mean 1, deviation 1.
    encoder = fit([0, math.exp(2) - 1], scaling=Log1p())
    np.testing.assert_allclose(
        inputs(encoder, [0, math.e - 1, math.exp(3) - 1]), [[-1], [0], [2]], atol=1e-6
    )


def test_divide_divides():
    assert inputs(fit([0, 255], scaling=Divide(by=4)), [0, 51, 510]) == [[0], [12.75], [127.5]]


def test_none_leaves_numbers_as_they_are():
    assert inputs(fit([1, 2]), [-3, 0.5]) == [[-3], [0.5]]


def test_a_columns_own_scaling_wins_over_the_default():
    encoder = fit([1, 2], Numeric(scaling=Divide(by=2)), Standard())
    assert inputs(encoder, [3]) == [[1.5]]


@pytest.mark.parametrize("scaling", [Standard(), Log1p()])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_a_constant_column_becomes_exactly_zero_and_others_stay_finite(scaling, value):
    # Seven times 0.1 don't add up to 0.7: a naive deviation would be 1e-17, and a 0.2 huge.
    encoder = fit([value] * 7, scaling=scaling)
    assert inputs(encoder, [value]) == [[0]]
    assert encoder.scaling.scale == 1


def test_scaling_takes_no_account_of_missing_values():
    encoder = fit([*EIGHT, None], scaling=Standard())
    assert (encoder.scaling.offset, encoder.scaling.scale) == (5, 2)


@pytest.mark.parametrize(
    ("missing", "stand_in"),
    [(MedianImputation(), 2), (MeanImputation(), 5), (ConstantValue(value=-1.0), -1)],
    ids=["median", "mean", "constant"],
)
def test_a_missing_value_gets_the_replacement_of_the_training_rows(missing, stand_in):
    encoder = fit([1, 2, 12, None], Numeric(missing=missing))
    assert inputs(encoder, [None, 7.0]) == [[stand_in, 1], [7, 0]]


def test_a_replacement_is_scaled_as_the_values_are():
    # Median 4.5: a quarter of the deviation below the mean.
    assert inputs(fit(EIGHT, scaling=Standard()), [None]) == [[-0.25]]


@pytest.mark.parametrize(
    ("indicator", "values", "names"),
    [
        ("auto", [1, 2], ("x",)),
        ("auto", [1, None], ("x", "x is missing")),
        (True, [1, 2], ("x", "x is missing")),
        (False, [1, None], ("x",)),
    ],
)
def test_there_is_an_indicator_where_it_is_asked_for_and_else_where_missing_values_were(
    indicator, values, names
):
    assert fit(values, Numeric(missing=MedianImputation(indicator=indicator))).inputs == names


def test_a_first_missing_value_at_prediction_gets_the_replacement_without_an_indicator():
    assert inputs(fit([1, 2, 3]), [None]) == [[2]]


def test_a_forbidden_missing_value_is_an_error_that_counts_the_others():
    with pytest.raises(DataError) as caught:
        encoder = fit([1, 2], Numeric(missing=ErrorIfMissing()))
        inputs(encoder, [1, None, None, None], first_row=11)
    assert str(caught.value) == (
        snapshot(
            "t.csv: row 12, column 'x': is empty; 'missing: error' forbids it; 2 more rows have this problem"
        )
    )


def test_a_column_without_a_value_says_how_to_leave_it_out():
    with pytest.raises(DataError, match="has no value in the training rows; declare it 'ignored'"):
        fit(pa.array([None, None], pa.float64()))


def test_true_is_one_and_false_is_zero_however_written():
    encoder = fit(["true", "False"], Boolean())
    assert inputs(encoder, ["TRUE", "false", "1", "0"]) == [[1], [0], [1], [0]]
    assert inputs(encoder, [True, False]) == [[1], [0]]


@pytest.mark.parametrize(
    ("values", "stand_in"),
    [([True, True, False, None], 1), ([True, False, False, None], 0), ([True, False, None], 0)],
    ids=["mostly true", "mostly false", "even"],
)
def test_a_missing_value_among_booleans_gets_the_most_frequent_of_them(values, stand_in):
    assert inputs(fit(values, Boolean()), [None, True]) == [[stand_in, 1], [1, 0]]


@pytest.mark.parametrize(("indicator", "width"), [(True, 2), (False, 1)])
def test_booleans_have_an_indicator_as_asked(indicator, width):
    feature = Boolean(missing=MostFrequent(indicator=indicator))
    assert len(fit([True, None], feature).inputs) == width


def test_a_missing_value_among_booleans_can_be_forbidden():
    with pytest.raises(DataError, match="row 1, column 'x': is empty; 'missing: error' forbids it"):
        inputs(fit([True, False], Boolean(missing=ErrorIfMissing())), [None])


@pytest.mark.parametrize(
    ("scaling", "value", "message"),
    [
        (Standard(), math.inf, "expected a finite number, got 'inf'"),
        (Log1p(), -0.5, "scaling 'log1p' requires values of at least 0, got -0.5"),
        (Unscaled(), 1e39, "expected a number within ±3.4e+38 (float32), got 1e+39"),
        (Unscaled(), -1e39, "expected a number within ±3.4e+38 (float32), got -1e+39"),
    ],
    ids=["infinity", "negative under log", "beyond float32", "beyond float32 below"],
)
@pytest.mark.parametrize("when", ["training", "prediction"])
def test_a_number_that_does_not_fit_is_refused_with_file_row_and_column(
    scaling, value, message, when
):
    with pytest.raises(DataError) as caught:
        if when == "training":
            fit([1.0, value], scaling=scaling)
        else:
            inputs(fit([1.0, 2.0], scaling=scaling), [1.0, value])
    assert str(caught.value).partition(";")[0] == f"t.csv: row 2, column 'x': {message}"


def test_a_column_of_texts_that_is_declared_numeric_is_told_from_a_stray_value():
    for texts, way_out in (
        (["a", "b", "1", None], "if the column holds text, set its type to categorical or text in"),
        (["a", "2", "1", None], "correct it, or add it to data.missing if it means a missing"),
    ):
        with pytest.raises(DataError, match=f"expected a finite number, got 'a'; {way_out}"):
            fit(texts)


def test_a_number_that_overflows_once_scaled_is_refused():
    encoder = fit([1.0], scaling=Divide(by=1e-20))
    with pytest.raises(DataError) as caught:
        inputs(encoder, [1.0, 1e30])
    assert str(caught.value) == (
        snapshot(
            "t.csv: row 2, column 'x': scaled numbers must be within ±3.4e+38 (float32), "
            "but 1e+30 becomes 1.0e+50"
        )
    )


def test_a_negative_constant_for_missing_values_contradicts_log():
    with pytest.raises(ConfigError) as caught:
        fit([1.0, 2.0], Numeric(missing=ConstantValue(value=-1.0)), Log1p())
    assert str(caught.value) == (
        snapshot(
            "input.features.x.missing.value: scaling 'log1p' requires values of at least 0, got -1"
        )
    )


def test_a_first_missing_value_at_prediction_is_reported():
    encoder = fit([1.0, 2.0, 6.0])
    assert notes(encoder, [None, 4.0]) == [
        "column 'x': 1 row without a value: replaced by 2, without a missing indicator"
    ]
    assert inputs(encoder, [None, 4.0]) == [[2], [4]]


def test_a_missing_value_with_an_indicator_needs_no_word():
    encoder = fit([1.0, None, 6.0])
    assert notes(encoder, [None, 4.0]) == []


def test_frequent_values_have_inputs_besides_the_number():
    """Those of two or more rows; of equally frequent ones the smallest, in ascending order."""
    encoder = fit([7, 0.5, 7, 7, 3, 3, -2, -2, 9], Numeric(one_hot_values=2))
    assert encoder.inputs == ("x", "x = -2", "x = 7")
    assert inputs(encoder, [7, -2, 3, 7.000001]) == [
        *([7, 0, 1], [-2, 1, 0], [3, 0, 0]),
        pytest.approx([7, 0, 0]),
    ]
    assert fit([1, 1, 2, 0.1, 0.1], Numeric(one_hot_values=9)).inputs == ("x", "x = 0.1", "x = 1")
    assert fit([1, 2, 3], Numeric(one_hot_values=9)).inputs == ("x",)


def test_a_frequent_value_is_the_same_in_32_and_in_64_bits():
    narrow = fit(pa.array([0.1, 0.1, 3.5, 3.5], pa.float32()), Numeric(one_hot_values=2))
    wide = fit([0.1, 0.1, 3.5, 3.5], Numeric(one_hot_values=2))
    for encoder in (narrow, wide):
        for value in ([0.1], pa.array([0.1], pa.float32())):
            assert inputs(encoder, value)[0][1:] == [1, 0]


def test_a_missing_number_has_none_of_these_inputs_although_one_replaces_it():
    encoder = fit([5, 5, 5, None, 1, 1], Numeric(one_hot_values=9))
    assert encoder.inputs == ("x", "x = 1", "x = 5", "x is missing")
    assert inputs(encoder, [None, 5]) == [[5, 0, 0, 1], [5, 0, 1, 0]]


def test_values_beside_a_logarithm_are_in_the_unit_of_the_column():
    encoder = fit([3, 3, 8, 8], Numeric(scaling=Log1p(), one_hot_values=9))
    assert encoder.inputs == ("x", "x = 3", "x = 8")
    assert [row[1:] for row in inputs(encoder, [8, 3, 0])] == [[0, 1], [1, 0], [0, 0]]
