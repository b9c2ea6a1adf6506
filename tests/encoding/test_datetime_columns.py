"""Encoding of dates and times: parts, cycles, missing values, time zones; computed by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import TypeAdapter, ValidationError

from dlcli.columns.column_type import ErrorIfMissing, MedianImputation
from dlcli.columns.date_time import Datetime
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.errors import DataError
from dlcli.tables.table import Table


def rows(values):
    data = pa.table({"when": values})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def fit(values, **feature):
    return Datetime(**feature).fit("when", rows(values), Input())


def inputs(encoder, values, problems=None):
    out = np.zeros((len(values), len(encoder.inputs)), np.float32)
    encoder.encode(rows(values), out, problems or ValueProblems())
    return out


def point(share):
    """Sine and cosine of a share of the circle, as the network gets them."""
    turn = 2 * math.pi * share
    return [np.float32(math.sin(turn)), np.float32(math.cos(turn))]


def test_rows_may_lie_close_together_or_centuries_apart():
    encoder = fit(["2024-01-01", "2024-06-02"], parts=("day", "hour", "year"))
    close = ["2024-02-29T06:00", "2024-03-01", "2024-02-29T06:00"]
    apart = ["2024-02-29T06:00", "0001-01-01", "9999-12-31T23:59"]

    assert inputs(encoder, close)[0].tolist() == inputs(encoder, apart)[0].tolist()
    assert inputs(encoder, close)[0, :4].tolist() == [*point(28 / 29), *point(6 / 24)]


@pytest.mark.parametrize(
    ("part", "text", "share"),
    [
        ("month", "2024-01-31", 0),
        ("month", "2024-12-01", 11 / 12),
        ("day", "2024-02-29", 28 / 29),
        ("day", "2023-02-28", 27 / 28),
        ("day", "1968-12-31", 30 / 31),
        ("day", "2024-04-01", 0),
        ("weekday", "2024-01-01", 0),  # a Monday
        ("weekday", "1969-12-28", 6 / 7),  # a Sunday
        ("day_of_year", "2024-12-31", 365 / 366),
        ("day_of_year", "2023-12-31", 364 / 365),
        ("day_of_year", "2024-03-01", 60 / 366),
        ("hour", "2024-01-01T23:59", 23 / 24),
        ("hour", "1969-12-31T06:00", 6 / 24),
        ("minute", "2024-01-01T23:45", 45 / 60),
        ("second", "1969-12-31T23:59:59.9", 59 / 60),
    ],
)
def test_a_part_that_goes_round_is_a_sine_and_a_cosine(part, text, share):
    encoder = fit(["2024-05-05"], parts=(part,))
    assert inputs(encoder, [text]).tolist() == [point(share)]
    assert encoder.inputs == (f"when {part} sine", f"when {part} cosine")


def test_the_year_is_scaled_by_mean_and_deviation():
    encoder = fit(["2019-07-01", "2021-01-01"], parts=("year",))
    assert inputs(encoder, ["2019-12-31", "2020-01-01", "2023-05-05"]).tolist() == [[-1], [0], [3]]


def test_the_time_elapsed_is_scaled_by_mean_and_deviation():
    # Days 0 and 2: mean 1, deviation 1.
    encoder = fit(["2024-02-28", "2024-03-01"], parts=("elapsed",))
    assert inputs(encoder, ["2024-02-29", "2024-02-29T12:00"]).tolist() == [[0], [0.5]]
    assert (encoder.elapsed.offset, encoder.elapsed.scale) == (1, 1)


def test_parts_are_in_the_order_of_the_config():
    encoder = fit(["2024-01-01"], parts=("hour", "year"))
    assert encoder.inputs == ("when hour sine", "when hour cosine", "when year")


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (["2024-01-01", "2025-01-01"], ("elapsed",)),
        (["2024-01-01", "2024-02-01"], ("elapsed", "month")),
        (["2024-01-01", "2024-01-08"], ("elapsed", "day")),
        (["2024-01-01T10:00", "2024-01-01T11:00"], ("elapsed", "hour")),
        (["2024-01-01T10:00:00", "2024-01-01T10:59:59"], ("elapsed",)),
        (["2024-01-01", "2024-01-01"], ("elapsed",)),
    ],
    ids=["years", "months", "weeks", "hours", "within an hour", "constant"],
)
def test_auto_takes_the_parts_in_which_training_rows_differ(values, parts):
    assert fit(values).parts == parts


def test_a_constant_column_becomes_zero():
    assert inputs(fit(["2024-01-01"] * 3), ["2024-01-01"]).tolist() == [[0]]


def test_parts_are_reported_by_the_clocks_of_the_zone():
    encoder = fit(["2024-01-01"], parts=("hour",), timezone="Europe/Berlin")
    shown = ["2024-01-01T05:00", "2024-01-01T04:00Z", "2024-07-01T03:00Z", "2024-07-01T05:00"]
    assert inputs(encoder, shown).tolist() == [point(5 / 24)] * 4


def test_an_hour_that_clocks_leave_out_is_reported_as_the_next():
    encoder = fit(["2024-01-01"], parts=("hour",), timezone="Europe/Berlin")
    assert inputs(encoder, ["2024-03-31T02:30"]).tolist() == [point(3 / 24)]


def test_elapsed_counts_the_hours_that_went_by_when_clocks_change():
    values = ["2024-03-31T00:00", "2024-04-01T00:00"]
    encoder = fit(values, parts=("elapsed",), timezone="Europe/Berlin")
    assert encoder.latest - encoder.earliest == timedelta(hours=23)


def test_a_missing_value_gets_the_median_time_and_an_input_marks_it():
    values = ["2024-01-01", "2024-03-01", "2024-12-31", "2023-01-01", None]
    encoder = fit(values, parts=("month",))
    assert encoder.fill == datetime(2024, 1, 1, tzinfo=UTC)  # the earlier one of the middle two
    assert inputs(encoder, [None, "2024-04-01"]).tolist() == [[*point(0), 1], [*point(3 / 12), 0]]
    assert encoder.missing_share == pytest.approx(1 / 5)


def test_a_first_missing_value_at_prediction_is_recorded():
    problems = ValueProblems()
    encoder = fit(["2024-04-01"], parts=("month",))
    assert inputs(encoder, [None], problems).tolist() == [point(3 / 12)]
    assert [*map(str, problems.notes())] == [
        "column 'when': 1 row without a value: replaced by 2024-04-01, without a missing indicator"
    ]


def test_an_indicator_can_be_asked_for():
    assert (
        fit(["2024-04-01"], missing=MedianImputation(indicator=True)).inputs[-1]
        == "when is missing"
    )


def test_a_forbidden_missing_value_is_an_error():
    with pytest.raises(DataError, match="row 2, column 'when': is empty"):
        inputs(fit(["2024-04-01"], missing=ErrorIfMissing()), ["2024-04-01", None])


def test_a_value_that_is_no_date_is_an_error_with_the_way_out():
    with pytest.raises(DataError) as caught:
        inputs(fit(["2024-04-01"]), ["2024-04-01", "2024-04-31"])
    assert str(caught.value) == (
        snapshot(
            "t.csv: row 2, column 'when': expected a date such as 2024-12-31 or 2024-12-31T23:59, got "
            "'2024-04-31'; if it is a date, set format; if it means a missing value, set "
            "data.missing"
        )
    )


def test_an_unreadable_value_is_encoded_as_a_missing_value_where_it_is_only_recorded():
    problems = ValueProblems(lenient=True)
    encoder = fit(["2024-04-01", None], parts=("month",))
    encoded = inputs(encoder, ["x", None], problems)
    assert encoded[0].tolist() == encoded[1].tolist() == [*point(3 / 12), 1]
    assert [row.index for row in problems.bad_rows()] == [0]


def test_rows_outside_the_training_range_are_counted():
    problems = ValueProblems()
    values = ["2024-01-01", "2023-12-31", "2024-06-01", "2024-06-02", None]
    inputs(fit(["2024-01-01", "2024-06-01"]), values, problems)
    assert problems.columns["when"].outside == 2
    assert problems.columns["when"].range == (
        "2024-01-01T00:00:00+00:00",
        "2024-06-01T00:00:00+00:00",
    )


def test_the_way_of_writing_is_found_in_training_and_kept():
    encoder = fit(["31/12/2024", "01/02/2024"], parts=("month",))
    assert encoder.formats == ("%d/%m/%Y",)
    assert inputs(encoder, ["05/04/2024"]).tolist() == [point(3 / 12)]
    assert inputs(encoder, [date(2024, 4, 5)]).tolist() == [point(3 / 12)]


def test_dates_with_two_meanings_are_asked_about():
    with pytest.raises(DataError) as caught:
        fit(["01/02/2024", "11/11/2024"])
    assert str(caught.value) == (
        snapshot(
            "t.csv: column 'when': no value shows whether the day or the month comes first; "
            'set format: "%d/%m/%Y" or format: "%m/%d/%Y"'
        )
    )
    assert fit(["01/02/2024"], format="%d/%m/%Y").earliest == datetime(2024, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("values", [[19750103, 19751231], ["750103", "751231"]])
def test_dates_of_digits_need_no_format(values):
    encoder = fit(values)
    assert encoder.earliest == datetime(1975, 1, 3, tzinfo=UTC)
    assert encoder.latest == datetime(1975, 12, 31, tzinfo=UTC)


def test_other_numbers_need_a_format():
    with pytest.raises(DataError, match="the column holds numbers; set format: unix, unix_ms or"):
        fit([1704067200])
    assert fit([1704067200], format="unix").earliest == datetime(2024, 1, 1, tzinfo=UTC)


def test_a_column_without_a_value_says_how_to_leave_it_out():
    with pytest.raises(DataError, match="has no value in the training rows; declare it 'ignored'"):
        fit(pa.array([None, None], pa.string()))


MOMENTS = st.one_of(st.none(), st.datetimes().map(lambda moment: moment.isoformat()))
EVERY_PART = (
    *("year", "month", "day", "weekday", "day_of_year"),
    *("hour", "minute", "second", "elapsed"),
)


@given(
    st.lists(MOMENTS, min_size=1).filter(any),
    st.lists(MOMENTS, min_size=2),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]),
    st.data(),
)
def test_whole_in_parts_and_after_json_the_bits_are_the_same(train, values, zone, data):
    if zone != "UTC":
        train, values = (
            [v for v in some if v is None or "0003" < v < "9998"] for some in (train, values)
        )
        train.append("2024-01-01")
    storage = pa.string()
    encoder = fit(pa.array(train, storage), parts=EVERY_PART, timezone=zone)
    again = TypeAdapter(FeatureEncoder).validate_json(encoder.model_dump_json())
    assert again == encoder
    whole = inputs(encoder, pa.array(values, storage))
    cut = data.draw(st.integers(0, len(values)))
    parts = [inputs(again, pa.array(part, storage)) for part in (values[:cut], values[cut:])]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert np.isfinite(whole).all()


@given(st.permutations(["2024-01-01", "2024-03-01", "1999-12-31T10:00", "2011-11-11", None]))
def test_what_is_fitted_does_not_depend_on_the_order_of_rows(values):
    assert fit(values, parts=EVERY_PART) == fit(sorted(values, key=str), parts=EVERY_PART)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"formats": ("%Q",)}, "unknown '%Q'"),
        ({"formats": ()}, "at least 1 item"),
        ({"timezone": "../etc/passwd"}, "unknown time zone"),
        ({"parts": ("hour", "hour")}, "a part occurs twice"),
        ({"parts": ("year",)}, "'scalings' does not match 'year' and 'elapsed'"),
        ({"parts": ("century",)}, "Input should be"),
        ({"latest": "yesterday"}, "latest"),
    ],
)
def test_a_strangers_encoder_is_checked(changed, complaint):
    encoder = fit(["2024-01-01"], parts=("month",))
    with pytest.raises(ValidationError, match=complaint):
        type(encoder).model_validate({**encoder.model_dump(), **changed})


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        (
            {"format": "%d.%m"},
            "expected a year, %Y or %y, in '%d.%m', or a time such as %H:%M, or one of iso, "
            "unix, unix_ms",
        ),
        ({"format": ("iso", "%Y-%Q")}, "unknown '%Q' in '%Y-%Q'; allowed: %Y, "),
        ({"format": "%Y %d"}, "has a day but no month, %m or %b, in '%Y %d'"),
        ({"format": "%Y %I"}, "expected both %I and %p in '%Y %I', or %H instead"),
        ({"format": "%Y %m %b"}, "has both %m and %b in '%Y %m %b'"),
        ({"format": "%Y-%m Q%q"}, "has both %m and %q in '%Y-%m Q%q'"),
        ({"format": "%Y %q"}, "expected a Q before %q in '%Y %q'"),
        ({"format": "%Y-W%V"}, "expected both %G and %V in '%Y-W%V'"),
        ({"format": "%G-W%V-%d"}, "has a day but no month, %m or %b, in '%G-W%V-%d'"),
        ({"format": "%Y %Y"}, "has %Y twice in '%Y %Y'"),
        ({"format": "%Y%"}, "unknown '%' in '%Y%'"),
        (
            {"format": 5},
            "expected a format such as '%d.%m.%Y', iso, unix or unix_ms, or a list of formats",
        ),
        ({"format": ()}, "or a list of formats, got \\[\\]"),
        ({"timezone": "Europe/Berlinn"}, "unknown time zone 'Europe/Berlinn'; did you mean 'Eur"),
        ({"parts": ("day", "day")}, "lists a part twice"),
    ],
)
def test_a_config_that_cannot_be_carried_out_is_refused(section, complaint):
    with pytest.raises(ValidationError, match=complaint.replace("(", "\\(")):
        Datetime(**section)
