"""Numbers as how far they fill bins, by hand-worked numbers."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from one_column import encode
from pydantic import ValidationError

from dlcli.columns.column_type import ErrorIfMissing, MedianImputation
from dlcli.columns.number import ConstantValue, MeanImputation, Numeric
from dlcli.columns.number_encoders import PiecewiseLinearEncoder
from dlcli.columns.numeric_encodings import PiecewiseLinear
from dlcli.columns.scaling import Log1p
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.errors import DataError
from dlcli.tables.table import Table


def rows(values):
    data = pa.table({"age": pa.array(values, pa.float64())})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def fit(values, bins=4, missing=None):
    feature = Numeric(encoding=PiecewiseLinear(bins=bins), missing=missing or MedianImputation())
    return feature.fit("age", rows(values), Input())


def matrix(encoder, values, problems=None):
    return encode(encoder, rows(values), problems)


def inputs(encoder, values):
    return matrix(encoder, values).tolist()


# Quartiles: bins from 17 to 28, to 36, to 40, to 90.
AGES = [40, 17, 90, 28, 36]


def test_each_bin_is_an_input_named_by_its_ends():
    encoder = fit(AGES)
    assert encoder.inputs == ("age 17..28", "age 28..36", "age 36..40", "age 40..90")
    assert [block.kind for block in encoder.blocks] == ["numeric"]


def test_ends_are_written_with_as_many_digits_as_tell_them_apart():
    assert fit([1000, 1000.5, 2000], bins=2).inputs == ("age 1000..1000.5", "age 1000.5..2000")


def test_a_bin_is_zero_before_one_after_and_linear_within():
    assert inputs(fit(AGES), [17, 22.5, 28, 34, 39, 90]) == [
        [0, 0, 0, 0],
        [0.5, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 0.75, 0, 0],
        [1, 1, 0.75, 0],
        [1, 1, 1, 1],
    ]


def test_the_first_and_the_last_bin_go_on_beyond_their_ends():
    assert inputs(fit(AGES), [6, 115]) == [[-1, 0, 0, 0], [1, 1, 1, 1.5]]


def test_bins_end_at_quantiles_between_the_rows_where_none_is_there():
    assert fit([0, 1, 2, 5], bins=2).edges == (0, 1.5, 5)


def test_equal_quantiles_are_one():
    # The quartiles of 0, 0, 0, 4, 8 are 0, 0 and 4.
    encoder = fit([0, 0, 0, 4, 8])
    assert encoder.edges == (0, 4, 8)
    assert inputs(encoder, [0, 6]) == [[0, 0], [1, 0.5]]


@pytest.mark.parametrize(
    ("value", "name"), [(0.0, "age 0..1"), (5.0, "age 5..10"), (-1e30, "age -1e+30..0")]
)
def test_a_constant_column_has_one_bin_and_is_zero_in_it(value, name):
    encoder = fit([value] * 3)
    assert encoder.inputs == (name,)
    assert inputs(encoder, [value]) == [[0]]


@pytest.mark.parametrize(
    ("missing", "filled"),
    [
        (MedianImputation(), [1, 0]),
        (MeanImputation(), [1, 0.25]),
        (ConstantValue(value=1.0), [0.5, 0]),
    ],
    ids=["median", "mean", "constant"],
)
def test_a_missing_value_is_replaced_and_marked_by_an_indicator(missing, filled):
    encoder = fit([0, 2, 10, None], bins=2, missing=missing)
    assert encoder.inputs == ("age 0..2", "age 2..10", "age is missing")
    assert inputs(encoder, [None, 6.0]) == [[*filled, 1], [1, 0.5, 0]]


def test_a_missing_value_can_be_forbidden():
    with pytest.raises(DataError, match="row 2, column 'age': is empty; 'missing: error'"):
        matrix(fit(AGES, missing=ErrorIfMissing()), [20.0, None])


def test_the_default_encoding_is_overridden_by_a_features_own():
    section = Input(encoding=PiecewiseLinear(bins=2))
    feature = Numeric.model_validate({"encoding": "none"})
    assert Numeric().fit("age", rows(AGES), section).inputs == ("age 17..36", "age 36..90")
    assert feature.fit("age", rows(AGES), section).inputs == ("age",)


def test_the_default_scaling_is_of_no_account():
    section = Input.model_construct(scaling=Log1p(), encoding=PiecewiseLinear(bins=1))
    encoder = Numeric(missing=ConstantValue(value=-2.0)).fit("age", rows([-1, 1]), section)
    assert inputs(encoder, [-2.0, 0.0]) == [[-0.5], [0.5]]


def test_a_number_that_overflows_once_encoded_is_refused():
    with pytest.raises(DataError) as caught:
        matrix(fit([0, 1e-30], bins=1), [0.0, 1e30])
    assert str(caught.value) == (
        snapshot(
            "t.csv: row 2, column 'age': scaled numbers must be within ±3.4e+38 (float32), "
            "but 1e+30 becomes 1.0e+60"
        )
    )


def test_rows_outside_the_training_range_are_counted():
    problems = ValueProblems()
    matrix(fit(AGES), [16.0, 17.0, 90.0, 91.0], problems)
    assert problems.columns["age"].outside == 2
    assert problems.columns["age"].range == (17, 90)


USUAL = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
TABLES = st.lists(USUAL | st.integers(-3, 3).map(float), min_size=1, max_size=12)
BINS = st.integers(1, 9)


def definition(edges, value):
    """Equation 1 of Gorishniy et al. 2022, bin by bin."""
    last = len(edges) - 1
    shares = []
    for at, (low, high) in enumerate(zip(edges, edges[1:], strict=False), start=1):
        if value < low and at > 1:
            shares.append(0.0)
        elif value >= high and at < last:
            shares.append(1.0)
        else:
            shares.append((value - low) / (high - low))
    return shares


@given(st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=30), BINS, TABLES)
def test_inputs_are_those_of_the_papers_definition(train, bins, others):
    encoder = fit(train, bins)
    with np.errstate(over="ignore"):
        expected = np.array([definition(encoder.edges, value) for value in others], np.float32)
    fair = (np.abs(expected) < 1e38).all(axis=1)
    others = np.array(others)[fair].tolist()
    np.testing.assert_array_equal(matrix(encoder, others), expected[fair])


@given(TABLES, BINS)
def test_training_rows_fill_bins_from_zero_to_one(train, bins):
    encoded = matrix(fit(train, bins), train)
    assert 1 <= encoded.shape[1] <= bins
    assert encoded.min() >= 0
    assert encoded.max() <= 1


@given(TABLES, BINS, TABLES, st.integers(0, 12))
def test_to_json_and_back_whole_or_in_parts_inputs_are_the_same_to_the_bit(
    train, bins, others, cut
):
    encoder = fit(train, bins)
    again = PiecewiseLinearEncoder.model_validate_json(encoder.model_dump_json())
    assert again == encoder
    whole = matrix(encoder, others, ValueProblems(lenient=True))
    parts = [
        matrix(again, part, ValueProblems(lenient=True)) for part in (others[:cut], others[cut:])
    ]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("edges", [[], [1.0], [1.0, 1.0], [2.0, 1.0], [0.0, float("nan")]], ids=str)
def test_edges_that_no_fitting_gives_are_refused(edges):
    document = json.loads(fit(AGES).model_dump_json())
    with pytest.raises(ValidationError):
        PiecewiseLinearEncoder.model_validate_json(json.dumps(document | {"edges": edges}))
