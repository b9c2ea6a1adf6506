"""Scalings of features: by hand-worked numbers, and what holds for any numbers."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import ValidationError

from dlcli.columns.column_type import ErrorIfMissing
from dlcli.columns.layout import Block
from dlcli.columns.number import MeanImputation, Numeric
from dlcli.columns.number_encoders import NumericEncoder, PeriodicForm
from dlcli.columns.numeric_encodings import Periodic
from dlcli.columns.scaling import MinMax, Quantile, Robust, Standard
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.errors import DataError
from dlcli.tables.table import Table


def rows(values):
    data = pa.table({"x": pa.array(values, pa.float64())})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def fit(values, scaling, feature=None):
    return (feature or Numeric()).fit("x", rows(values), Input(scaling=scaling))


def matrix(encoder, values, problems=None):
    out = np.zeros((len(values), len(encoder.inputs)), np.float32)
    encoder.encode(rows(values), out, problems or ValueProblems())
    return out


def inputs(encoder, values):
    return matrix(encoder, values)[:, 0].tolist()


# The quartiles of 0, 1, 2, 4, 100 are 1, 2 and 4.
SKEWED = [0, 1, 2, 4, 100]


def test_robust_divides_what_is_beyond_the_median_by_the_interquartile_range_and_clips_smoothly():
    # z = (x − 2)/3, then z/√(1 + (z/limit)²): z = 4, limit 3 gives 4/√(1 + 16/9) = 12/5.
    encoder = fit(SKEWED, Robust())
    np.testing.assert_allclose(
        inputs(encoder, [2, 14, -10, 11]), [0, 2.4, -2.4, 3 / math.sqrt(2)], rtol=1e-7
    )


def test_robust_keeps_the_farthest_number_within_its_limit():
    encoder = fit(SKEWED, Robust(limit=0.5))
    assert inputs(encoder, [3e38, -3e38]) == [0.5, -0.5]


def test_robust_takes_half_the_range_where_the_quartiles_coincide():
    # Half the range of 5, 5, 5, 5, 5, 9 is 2; z = 2 gives 2/√(1 + 4/9).
    encoder = fit([5, 5, 5, 5, 5, 9], Robust())
    np.testing.assert_allclose(inputs(encoder, [5, 9]), [0, 6 / math.sqrt(13)], rtol=1e-7)


def test_minmax_goes_from_zero_to_one_and_on():
    assert inputs(fit([2, 4, 10], MinMax()), [2, 4, 10, 14, 0]) == [0, 0.25, 1, 1.5, -0.25]


# What scikit-learn 1.9.1 makes of it: QuantileTransformer(output_distribution="normal").
FARTHEST = 5.199337582605575


def test_quantile_gives_each_value_the_normal_quantile_of_its_rank():
    # The ranks of 1, 2, 4, 8, 16 are 0, 1/4, 1/2, 3/4 and 1.
    quartile = 0.6744897501960817
    np.testing.assert_allclose(
        inputs(fit([8, 1, 16, 4, 2], Quantile()), [1, 2, 4, 8, 16]),
        [-FARTHEST, -quartile, 0, quartile, FARTHEST],
        rtol=1e-7,
        atol=1e-7,
    )


def test_quantile_keeps_as_many_points_as_asked_for():
    # Deciles of the squares of 0 to 100, as scikit-learn has them for n_quantiles=11.
    encoder = fit(np.arange(101.0) ** 2, Quantile(quantiles=11))
    assert encoder.scaling.points == (0, 100, 400, 900, 1600, 2500, 3600, 4900, 6400, 8100, 10000)
    np.testing.assert_allclose(
        inputs(encoder, [100, 900, 4900]),
        [-1.2815515655446004, -0.5244005127080409, 0.524400512708041],
        rtol=1e-7,
    )


def test_quantile_draws_straight_lines_between_its_points():
    # From 2 at −0.674 to 4 at 0.
    encoder = fit([1, 2, 4, 8, 16], Quantile())
    assert inputs(encoder, [3]) == pytest.approx([-0.6744897501960817 / 2])


def test_quantile_gives_equal_values_their_mean_rank():
    # The ranks of the twos are 1/6, 2/6 and 3/6; the normal quantile of 1/3 is −0.4307.
    encoder = fit([1, 2, 2, 2, 3, 5, 9], Quantile())
    assert inputs(encoder, [2, 3]) == pytest.approx([-0.4307272992954576, 0.4307272992954576])


def test_quantile_keeps_a_common_least_value_near_the_others():
    # The zeros' ranks are 0, 1/4 and 2/4.
    encoder = fit([0, 0, 0, 1, 2], Quantile())
    assert inputs(encoder, [0, 1]) == pytest.approx([-0.6744897501960817, 0.6744897501960817])


def test_quantile_gives_what_is_beyond_the_training_rows_the_value_of_the_nearest():
    encoder = fit([1, 2, 4], Quantile())
    assert inputs(encoder, [-1e30, 1e30]) == inputs(encoder, [1, 4])


def test_quantile_makes_normal_numbers_of_any_others():
    values = np.exp(np.random.default_rng(0).normal(size=20_000))
    scaled = matrix(fit(values, Quantile()), values)
    share_within = [(np.abs(scaled) < bound).mean() for bound in (0.5, 1, 2)]
    # Of a normal distribution 38.3 %, 68.3 % and 95.4 % lie within these deviations.
    np.testing.assert_allclose(share_within, [0.3829, 0.6827, 0.9545], atol=1e-3)


SCALINGS = [Robust(), MinMax(), Quantile()]


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6 - 0.1])
def test_a_constant_column_becomes_zero_and_others_stay_finite(scaling, value):
    encoder = fit([value] * 7, scaling)
    assert inputs(encoder, [value]) == [0]
    assert np.isfinite(inputs(encoder, [value + 1, value - 1])).all()


def test_a_column_that_is_constant_but_for_rounding_errors_is_constant():
    values = np.array([0.3, 0.1 + 0.2] * 4)
    for scaling in (Standard(), MinMax()):
        assert scaling.fit(values).scale == 1
        assert scaling.fit(values - 0.3).scale < 1e-15


@pytest.mark.parametrize("scaling", SCALINGS)
def test_one_row_is_enough(scaling):
    assert inputs(fit([3.0], scaling), [3.0]) == [0]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_gaps_make_no_difference_to_a_scaling(scaling):
    assert fit([1, None, 5, 7, None], scaling).scaling == fit([1, 5, 7], scaling).scaling


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_gap_is_scaled_as_its_stand_in(scaling):
    encoder = fit([1, 2, 9, None], scaling, Numeric(missing=MeanImputation()))
    assert matrix(encoder, [None, 4]).tolist() == [
        [*inputs(encoder, [4]), 1],
        [*inputs(encoder, [4]), 0],
    ]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_gap_can_be_forbidden(scaling):
    encoder = fit([1, 2], scaling, Numeric(missing=ErrorIfMissing()))
    with pytest.raises(DataError, match="row 1, column 'x': is empty"):
        matrix(encoder, [None])


def test_a_lenient_reader_puts_what_overflows_on_record_and_zero_stands_in():
    problems = ValueProblems(lenient=True)
    encoder = fit([0, 1e-30], MinMax())
    assert matrix(encoder, [1e30, 1e-30], problems).tolist() == [[0], [1]]
    (bad,) = problems.bad_rows()
    assert (bad.index, bad.column) == (0, "x")
    assert bad.reason == (
        snapshot("scaled numbers must be within ±3.4e+38 (float32), but 1e+30 becomes 1.0e+60")
    )


def test_waves_are_the_networks_to_make_of_the_scaled_number():
    feature = Numeric(encoding=Periodic(frequencies=3, deviation=0.5))
    encoder = fit([0, 4, None], MinMax(), feature)
    assert encoder.blocks == (
        Block("x", "numeric", ("x",), PeriodicForm(3, 0.5)),
        Block("x", "numeric", ("x is missing",)),
    )
    assert matrix(encoder, [3.0]).tolist() == [[0.75, 0]]


def test_a_columns_own_encoding_wins_over_the_default():
    section = Input(encoding=Periodic())
    own = Numeric.model_validate({"encoding": "none"}).fit("x", rows([1, 2]), section)
    default = Numeric().fit("x", rows([1, 2]), section)
    assert (own.periodic, default.periodic) == (None, PeriodicForm(8, 0.1))


USUAL = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
TABLES = st.lists(USUAL | st.integers(-3, 3).map(float), min_size=1, max_size=12)
KINDS = st.one_of(
    st.builds(Robust, limit=st.floats(0.1, 10)),
    st.just(MinMax()),
    st.builds(Quantile, quantiles=st.integers(2, 20)),
)


def scaled_in_order(train, others, scaling):
    """Scale all values in rising order, before they are rounded to float32."""
    with np.errstate(over="ignore"):
        return fit(train, scaling).scaling.apply(np.sort([*train, *others]))


@given(TABLES, TABLES, KINDS)
def test_a_larger_number_never_gets_a_smaller_input(train, others, scaling):
    scaled = scaled_in_order(train, others, scaling)
    # Rounding may reverse neighbors that differ in the last of sixteen digits.
    assert (scaled[1:] >= scaled[:-1] - 1e-14 * np.abs(scaled[:-1])).all()


@given(TABLES, TABLES, st.floats(0.1, 10))
def test_robust_never_leaves_its_limit(train, others, limit):
    assert (np.abs(scaled_in_order(train, others, Robust(limit=limit))) <= limit).all()


@given(TABLES, TABLES, st.integers(2, 20))
def test_quantile_never_leaves_its_ends(train, others, quantiles):
    scaled = scaled_in_order(train, others, Quantile(quantiles=quantiles))
    assert (np.abs(scaled) <= FARTHEST + 1e-8).all()


@given(TABLES)
def test_minmax_keeps_training_rows_between_zero_and_one(train):
    scaled = scaled_in_order(train, [], MinMax())
    assert scaled[0] == 0
    assert scaled[-1] == (1 if max(train) > min(train) else 0)


@given(TABLES, TABLES, KINDS, st.integers(0, 12))
def test_to_json_and_back_whole_or_in_parts_inputs_are_the_same_to_the_bit(
    train, others, scaling, cut
):
    encoder = fit(train, scaling)
    again = NumericEncoder.model_validate_json(encoder.model_dump_json())
    assert again == encoder
    whole = matrix(encoder, others, ValueProblems(lenient=True))
    parts = [
        matrix(again, part, ValueProblems(lenient=True)) for part in (others[:cut], others[cut:])
    ]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


QUANTILES = {"name": "quantile", "points": [0.0, 1.0], "normals": [-1.0, 1.0]}
ROBUST = {"name": "robust", "median": 0.0, "scale": 1.0, "limit": 3.0}


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": QUANTILES | {"points": [1.0, 1.0]}},
        {"scaling": QUANTILES | {"normals": [1.0, -1.0]}},
        {"scaling": QUANTILES | {"points": [0.0]}},
        {"scaling": QUANTILES | {"points": [], "normals": []}},
        {"scaling": QUANTILES | {"points": [0.0, math.inf]}},
        {"scaling": QUANTILES | {"scale": 1.0}},
        {"scaling": ROBUST | {"scale": 0.0}},
        {"scaling": ROBUST | {"limit": -3.0}},
        {"scaling": ROBUST | {"median": math.nan}},
        {"waves": {"frequencies": 0, "deviation": 1.0}},
        {"waves": {"frequencies": 1, "deviation": 0.0}},
        {"waves": {"frequencies": 1, "deviation": math.inf}},
    ],
    ids=str,
)
def test_an_encoder_that_no_fitting_gives_is_refused(change):
    usual = json.loads(fit([1.0, 2.0], Standard()).model_dump_json())
    with pytest.raises(ValidationError):
        NumericEncoder.model_validate_json(json.dumps(usual | change))


def test_negative_numbers_are_welcome_to_all_but_log():
    assert inputs(fit([-1.0, 1.0], MinMax()), [-3.0]) == [-1]
