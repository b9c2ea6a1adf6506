"""Times read from columns: ISO 8601, declared formats, Arrow's own, zones and guesses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.errors import DataError
from dlcli.tables.datetime_parsing import (
    MONTHS,
    compact_dates,
    guess_times,
    parse_times,
    to_local,
    to_utc,
)
from dlcli.tables.table import Table
from dlcli.tables.table_formats import write_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(values, storage=None):
    data = pa.table({"when": pa.array(values, storage)})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def read(values, *formats, zone="UTC", storage=None):
    """Each value as a time in UTC, None where missing, `?` where unreadable."""
    times = parse_times(rows(values, storage).column("when"), formats or ("iso",), zone)
    return [
        "?" if unreadable else None if missing else EPOCH + timedelta(microseconds=moment)
        for moment, missing, unreadable in zip(
            times.moments.tolist(), times.missing, times.unreadable, strict=True
        )
    ]


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03", utc(2024, 3, 1)),
        ("2024-02-29", utc(2024, 2, 29)),
        (" 2024-12-31T23:59 ", utc(2024, 12, 31, 23, 59)),
        ("2024-12-31 23:59:58", utc(2024, 12, 31, 23, 59, 58)),
        ("2024-12-31T23:59:58.5", utc(2024, 12, 31, 23, 59, 58, 500_000)),
        ("2024-12-31t23:59:58,123456789z", utc(2024, 12, 31, 23, 59, 58, 123_456)),
        ("2024-12-31T23:59Z", utc(2024, 12, 31, 23, 59)),
        ("2024-12-31 23:59:58 UTC", utc(2024, 12, 31, 23, 59, 58)),
        ("2024-12-31 23:00:00+01", utc(2024, 12, 31, 22)),
        ("2024-12-31T23:00-0330", utc(2025, 1, 1, 2, 30)),
        ("2024-12-31T23:00+05:45", utc(2024, 12, 31, 17, 15)),
        ("0001-01-01", utc(1, 1, 1)),
        ("9999-12-31T23:59:59.999999", utc(9999, 12, 31, 23, 59, 59, 999_999)),
        ("1969-12-31T23:59:59", utc(1969, 12, 31, 23, 59, 59)),
    ],
)
def test_iso_times_are_read(text, moment):
    assert read([text]) == [moment]


@pytest.mark.parametrize(
    "text",
    [
        *("2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-04-31", "0000-01-01"),
        *("2024", "2024-1-1", "24-01-01", "20240101", "2024-01-01T", "2024-01-01T10", "now"),
        *("2024-01-01T24:00", "2024-01-01T10:60", "2024-01-01T10:00:60", "2024-01-01T10:00:00."),
        *("2024-01-01T10:00+24:00", "2024-01-01T10:00+1", "2024-01-01T10:00 PM", "2024-01-01x"),
        *(
            "2024-01-01\0",
            "2024-01-01\0x",
            "２０２４-01-01",
            "0001-01-01T00:00+01:00",
            "2024-01-01Z",
        ),
    ],
)
def test_what_is_no_iso_time_is_unreadable(text):
    assert read(["2024-01-01", text]) == [utc(2024, 1, 1), "?"]


def test_a_null_or_blank_is_missing_and_not_unreadable():
    assert read(["2024-01-01", None, " "]) == [utc(2024, 1, 1), None, None]


@pytest.mark.parametrize(
    ("format", "text", "moment"),
    [
        ("%d.%m.%Y %H:%M", "31.12.2024 23:59", utc(2024, 12, 31, 23, 59)),
        ("%d.%m.%Y", "1.2.2024", utc(2024, 2, 1)),
        ("%H:%M", "09:30", utc(1970, 1, 1, 9, 30)),
        ("%m/%d/%y", "12/31/68", utc(2068, 12, 31)),
        ("%m/%d/%y", "12/31/69", utc(1969, 12, 31)),
        ("%Y%m%d", "20240229", utc(2024, 2, 29)),
        ("%b %d, %Y", "Dec 31, 2024", utc(2024, 12, 31)),
        ("%B %d, %Y", "september 3, 2024", utc(2024, 9, 3)),
        ("%d %b %Y", "1 MAY 2024", utc(2024, 5, 1)),
        ("%a, %d %b %Y %H:%M:%S %z", "Tue, 31 Dec 2024 23:00:00 +0100", utc(2024, 12, 31, 22)),
        ("%d. %b %Y", "1. MÄRZ 2024", utc(2024, 3, 1)),
        ("%d %b %Y", "1er févr. 2024", utc(2024, 2, 1)),
        ("%b %d, %Y", "Sept. 2nd, 2024", utc(2024, 9, 2)),
        ("%d.%b.%Y", "1.Mar.2024", utc(2024, 3, 1)),
        ("%a %d %b %Y", "miércoles 3 mayo 2023", utc(2023, 5, 3)),
        ("%Y-%m-%d %H:%M %z", "2024-01-01 10:00 GMT", utc(2024, 1, 1, 10)),
        ("%m/%d/%Y %I:%M %p", "1/2/2024 12:05 AM", utc(2024, 1, 2, 0, 5)),
        ("%m/%d/%Y %I:%M %p", "1/2/2024 12:05 pm", utc(2024, 1, 2, 12, 5)),
        ("%m/%d/%Y %I:%M%p", "1/2/2024 11:05PM", utc(2024, 1, 2, 23, 5)),
        ("%Y %H:%M:%S.%f", "2024 01:02:03.25", utc(2024, 1, 1, 1, 2, 3, 250_000)),
        ("%Yé%m%%", "2024é07%", utc(2024, 7, 1)),
        ("%Y-Q%q", "2024-Q1", utc(2024, 1, 1)),
        ("Q%q %y", "Q4 98", utc(1998, 10, 1)),
        ("%G-W%V", "2024-W01", utc(2024, 1, 1)),
        ("%G%V", "201729", utc(2017, 7, 17)),
        ("%G-W%V", "1970-W01", utc(1969, 12, 29)),
        ("%G W%V", "2020 W53", utc(2020, 12, 28)),
        ("%G W%V %H:%M", "0001 W01 05:00", utc(1, 1, 1, 5)),
        ("unix", "1704067200.5", utc(2024, 1, 1, 0, 0, 0, 500_000)),
        ("unix_ms", "-1", utc(1969, 12, 31, 23, 59, 59, 999_000)),
    ],
)
def test_declared_formats_are_read(format, text, moment):
    assert read([text], format) == [moment]


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("%d.%m.%Y", "30.02.2024"),
        ("%d.%m.%Y", "31.12.24"),
        ("%d.%m.%Y", "31.12.2024 10:00"),
        ("%b %Y", "brumaire 2024"),
        ("%b %Y", "Septem 2024"),
        ("%Y %I %p", "2024 13 PM"),
        ("%Y-Q%q", "2024-Q0"),
        ("%Y-Q%q", "2024-Q5"),
        ("%G-W%V", "2024-W00"),
        ("%G-W%V", "2024-W53"),
        ("%G-W%V", "2020-W54"),
        ("%Y-%m-%d %z", "2024-01-01 "),
        ("unix", "2024-01-01"),
        ("unix", "1e15"),
        ("unix", "1e305"),
    ],
)
def test_what_does_not_fit_a_declared_format_is_unreadable(format, text):
    assert read([text], format) == ["?"]


def test_the_first_format_that_fits_a_value_counts():
    values = ["31.12.2024", "2024-12-30", "1/2/2024", "x"]
    assert read(values, "iso", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y") == [
        utc(2024, 12, 31),
        utc(2024, 12, 30),
        utc(2024, 2, 1),
        "?",
    ]


def test_a_column_of_numbers_is_read_by_its_digits():
    assert read([20240131, None, 20241301], "%Y%m%d") == [utc(2024, 1, 31), None, "?"]
    assert read([20240131.0], "%Y%m%d") == [utc(2024, 1, 31)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    "storage", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_arrows_own_times_equal_the_same_in_text(unit, storage):
    moment = datetime(1969, 12, 31, 23, 59, 58)
    stored = read([moment, None], storage=pa.timestamp(unit))
    assert (
        stored
        == read(["1969-12-31T23:59:58", None], storage=storage)
        == [utc(*moment.timetuple()[:6]), None]
    )


@pytest.mark.parametrize("storage", [pa.string(), pa.large_string()])
def test_texts_of_any_storage_are_read(storage):
    """Text of pandas 3 arrives as large strings, the lengths of which have 64 bits."""
    texts = ["2024-01-31", "2023-12-01 06:30", "2022-02-03"]
    expected = [utc(2024, 1, 31), utc(2023, 12, 1, 6, 30), utc(2022, 2, 3)]
    assert read(texts, storage=storage) == expected


@pytest.mark.parametrize("storage", [pa.date32(), pa.date64()])
def test_arrows_own_dates_are_read(storage):
    assert read([date(1960, 2, 29), None], storage=storage) == [utc(1960, 2, 29), None]


def test_arrows_own_times_with_a_zone_are_moments_whatever_zone_is_declared():
    values = [datetime(2024, 7, 1, 12)]
    stored = pa.timestamp("us", "America/New_York")
    assert read(values, storage=stored, zone="Asia/Tokyo") == [utc(2024, 7, 1, 12)]


def test_arrows_own_times_beyond_the_year_9999_are_unreadable():
    table = rows(pa.array([253_402_300_800, 0], pa.int64()).cast(pa.timestamp("s")))
    times = parse_times(table.column("when"), ("iso",))
    assert times.unreadable.tolist() == [True, False]
    assert times.problem(0).startswith("expected a date in the years 1 to 9999, got '10000-01-01")


def test_a_column_that_cannot_hold_times_is_refused():
    with pytest.raises(DataError, match="'when': expected dates, but the column holds bool"):
        read([True])


@settings(max_examples=50)
@given(
    st.lists(
        st.datetimes(
            timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
        ),
        min_size=1,
    )
)
def test_whatever_python_writes_in_iso_is_read_as_python_reads_it(moments):
    inside = [m for m in moments if utc(1, 1, 3) < m < utc(9999, 12, 29)]
    assert read([m.isoformat() for m in inside], storage=pa.string()) == inside


@settings(max_examples=40)
@given(st.lists(st.text("0123456789-:T+Z. ", max_size=20), min_size=1, max_size=8))
def test_reading_never_fails_and_never_depends_on_the_other_values(texts):
    combined = read(texts, storage=pa.string())
    assert combined == [read([text], storage=pa.string())[0] for text in texts]


def test_a_long_column_in_several_chunks_is_read_as_its_values_are():
    values = pa.chunked_array([["2024-01-01"] * 40_000, [], ["x", "2024-01-02"]])
    table = Table("t.csv", pa.table({"when": values.slice(1)}), np.arange(1, 40_002))
    times = parse_times(table.column("when"), ("iso",))
    assert np.flatnonzero(times.unreadable).tolist() == [39_999]
    assert np.unique(times.moments).tolist() == [0, 1_704_067_200_000_000, 1_704_153_600_000_000]


class TestZones:
    # In Berlin clocks went from 2 to 3 on 31 March 2024, and from 3 to 2 on 27 October.
    @pytest.mark.parametrize(
        ("wall", "moment"),
        [
            ("2024-01-15T12:00", utc(2024, 1, 15, 11)),
            ("2024-07-15T12:00", utc(2024, 7, 15, 10)),
            ("2024-03-31T01:59:59", utc(2024, 3, 31, 0, 59, 59)),
            ("2024-03-31T02:30", utc(2024, 3, 31, 1, 30)),
            ("2024-03-31T03:00", utc(2024, 3, 31, 1)),
            ("2024-10-27T01:59", utc(2024, 10, 26, 23, 59)),
            ("2024-10-27T02:30", utc(2024, 10, 27, 0, 30)),
            ("2024-10-27T03:00", utc(2024, 10, 27, 2)),
            ("2024-10-27T02:30+01:00", utc(2024, 10, 27, 1, 30)),
        ],
        ids=[
            "winter",
            "summer",
            "before the skipped hour",
            "in the skipped hour",
            "after the skipped hour",
            "before the fold",
            "in the fold",
            "after the fold",
            "its second pass",
        ],
    )
    def test_values_without_an_offset_are_taken_as_of_the_zone(self, wall, moment):
        assert read([wall], zone="Europe/Berlin") == [moment]

    @pytest.mark.parametrize(
        "zone",
        [
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Asia/Kathmandu",
        ],
    )
    @given(data=st.data())
    def test_zones_agree_with_python(self, zone, data):
        days = st.datetimes(datetime(1900, 1, 1), datetime(2037, 12, 31))
        walls = data.draw(st.lists(days, min_size=1))
        moments = [wall.replace(tzinfo=UTC) for wall in walls]
        clocks = np.array([(moment - EPOCH) // timedelta(microseconds=1) for moment in moments])
        place = ZoneInfo(zone)
        shown = [moment.astimezone(place).replace(tzinfo=UTC) - EPOCH for moment in moments]
        happened = [wall.replace(tzinfo=place, fold=0).astimezone(UTC) - EPOCH for wall in walls]
        micro = timedelta(microseconds=1)
        assert to_local(clocks, zone).tolist() == [each // micro for each in shown]
        assert to_utc(clocks, zone).tolist() == [each // micro for each in happened]

    def test_the_ends_of_time_have_clocks(self):
        assert read(["0001-01-01", "9999-12-31"], zone="America/New_York")[1] == utc(
            9999, 12, 31, 5
        )
        assert read(["9999-12-31"], zone="Asia/Tokyo") == [utc(9999, 12, 30, 15)]


def test_a_name_is_of_one_month():
    names = [name for each in MONTHS.values() for name in each.split()]
    assert len(MONTHS) == 12
    assert len({*names}) == len(names)
    assert names == [name.lower() for name in names]
    assert all(name.isalpha() for name in names)


class TestGuesses:
    @pytest.mark.parametrize(
        ("values", "formats"),
        [
            (["2024-01-01", None, "2024-01-02T10:00Z"], ("iso",)),
            (["31/12/2024", "1/2/2024"], ("%d/%m/%Y",)),
            (["12/31/2024", "1/2/2024 10:00"], ("%m/%d/%Y", "%m/%d/%Y %H:%M")),
            (["11/13/07"], ("%m/%d/%y",)),
            (["1.2.2024"], ("%d.%m.%Y",)),
            (["31-Dec-2024"], ("%d-%b-%Y",)),
            (["Dec 31, 2024", "May 1, 2024"], ("%b %d, %Y",)),
            (["12/31/2024 1:05 PM"], ("%m/%d/%Y %I:%M %p",)),
            (["2024年7月1日", "2024年12月31日 23:59"], ("%Y年%m月%d日", "%Y年%m月%d日 %H:%M")),
            (["2024년 7월 1일"], ("%Y년 %m월 %d일",)),
            (["May-24", "Dec-23"], ("%b-%y",)),
            (["May 2024", "December 2023"], ("%b %Y",)),
            (["1960 Jan", "1961 Dec"], ("%Y %b",)),
            (["2024-Jan", "2023-Dec"], ("%Y-%b",)),
            (["1970 Q1", "1971 Q4"], ("%Y Q%q",)),
            (["2021q1", "2021q2"], ("%Yq%q",)),
            (["Q1/2021", "Q2/2021"], ("Q%q/%Y",)),
            (["1991 W06", "1991 W07"], ("%G W%V",)),
            (["2024-W52", "2020-W53"], ("%G-W%V",)),
            (["2024 Jan 5", "2023 Dec 24"], ("%Y %b %d",)),
            (["2024-Jan-05 09:30", "2023-Dec-24"], ("%Y-%b-%d", "%Y-%b-%d %H:%M")),
            (["5/2024", "12/2023"], ("%m/%Y",)),
            (["2024/05"], ("%Y/%m",)),
            (["20240701T093000"], ("%Y%m%dT%H%M%S",)),
            (["Mon Jul 01 09:30:00 2024"], ("%a %b %d %H:%M:%S %Y",)),
            (["Mon Jul 01 09:30:00 +0000 2024"], ("%a %b %d %H:%M:%S %z %Y",)),
            (["1. März 2024", "24. Dezember 2023"], ("%d. %b %Y",)),
            (["15-Dez-23", "15-Okt-23"], ("%d-%b-%y",)),
            (["Mo, 01.07.2024", "Di, 02.07.2024"], ("%a, %d.%m.%Y",)),
            (["1er mai 2024", "15 août 2024"], ("%d %b %Y",)),
            (["févr. 2024", "mars 2023"], ("%b %Y",)),
            (["15 de enero de 2024"], ("%d de %b de %Y",)),
            (["jan/24", "out/23"], ("%b/%y",)),
            (["15 мая 2024", "3 декабря 2023"], ("%d %b %Y",)),
            (["Sept. 5, 2024", "May 1, 2024"], ("%b %d, %Y",)),
            (["Mon, 01 Jul 2024 09:30:00 +0200"], ("%a, %d %b %Y %H:%M:%S %z",)),
            (["10/Oct/2000:13:55:36 -0700"], ("%d/%b/%Y:%H:%M:%S %z",)),
            (["Mon, 01 Jul 2024 09:30:00 GMT"], ("%a, %d %b %Y %H:%M:%S %z",)),
            (["9:30", "23:59:01"], ("%H:%M", "%H:%M:%S")),
            (["9:30 am"], ("%I:%M %p",)),
        ],
    )
    def test_the_one_reading_of_all_values_is_found(self, values, formats):
        guess = guess_times(rows(values).column("when"))
        assert guess.readings == (formats,)
        assert not guess.is_ambiguous

    def test_arrows_own_dates_need_no_format(self):
        assert guess_times(rows([date(2024, 1, 1)]).column("when")).readings == (("iso",),)

    def test_the_part_that_never_changes_is_the_day(self):
        months = [f"01/{month:02}/{year}" for year in (1980, 1981) for month in range(1, 13)]
        guess = guess_times(rows(months).column("when"))
        assert guess.readings == (("%d/%m/%Y",),)
        assert guess.evidence.startswith("read as %d/%m/%Y")
        assert guess_times(rows(months[:12]).column("when")).is_ambiguous, "or 12 days of January"

    def test_a_clock_may_precede_the_date(self):
        guess = guess_times(rows(["16:57:52 11 Oct 2019", "01:02:03 2 May 2020"]).column("when"))
        assert guess.readings == (("%H:%M:%S %d %b %Y",),)

    def test_dates_that_fit_two_readings_are_ambiguous(self):
        guess = guess_times(rows(["1/2/2024", "11/11/2024"]).column("when"))
        assert guess.is_ambiguous
        assert guess.question == (
            "no value shows whether the day or the month comes first; set format: "
            '"%d/%m/%Y" or format: "%m/%d/%Y"'
        )

    @pytest.mark.parametrize(
        "values",
        [
            ["31/12/2024", "12/31/2024"],
            ["2024-01-01", "31.12.2024"],
            ["2:1", "12:10"],
            ["23:59", "24:00"],
            ["2024-01-01", "NA"],
            ["red", "blue"],
            ["20240101"],
            [20240101],
            [True],
            pa.array([None, None], pa.string()),
        ],
        ids=[
            "both ways",
            "mixed",
            "scores",
            "durations",
            "a word",
            "words",
            "digits",
            "numbers",
            "booleans",
            "nothing",
        ],
    )
    def test_values_without_a_common_reading_are_no_dates(self, values):
        assert guess_times(rows(values).column("when")) is None

    @pytest.mark.parametrize(
        ("values", "formats"),
        [
            (["19750103", "20241231"], ("%Y%m%d",)),
            (["800102", "000229"], ("%y%m%d",)),
            (["197501", "202412"], ("%Y%m",)),
            (["19750103", "800102"], ("%Y%m%d", "%y%m%d")),
            (["19750103", "19750229"], ()),
            (["19750103", "12750103"], ()),
            (["1980", "1981"], ()),
            (["2024-01-01"], ()),
            ([], ()),
        ],
    )
    def test_dates_of_digits_are_read_if_all_are_dates(self, values, formats):
        assert compact_dates("when", rows(values, pa.string()).column("when").distinct) == formats

    @pytest.mark.parametrize(
        ("column", "formats"), [("month", ("%Y%m",)), ("week", ("%G%V",)), ("YYYYWW", ("%G%V",))]
    )
    def test_the_name_of_the_column_tells_weeks_from_months(self, column, formats):
        distinct = rows(["201701", "201712"], pa.string()).column("when").distinct
        assert compact_dates(column, distinct) == formats

    def test_dates_of_digits_may_have_the_zero_that_pandas_writes(self):
        assert read(["19750103.0", "800102.0"], "%Y%m%d", "%y%m%d") == [
            utc(1975, 1, 3),
            utc(1980, 1, 2),
        ]

    def test_one_late_value_decides(self):
        guess = guess_times(rows([*["1/2/2024"] * 500, "13/1/2024"]).column("when"))
        assert guess.readings == (("%d/%m/%Y",),)


def test_the_complaint_names_the_expected_format_and_a_fix():
    table = rows(["2024-13-01", "NA"])
    column = table.column("when")
    iso, declared = parse_times(column, ("iso",)), parse_times(column, ("%d.%m.%Y",))
    assert iso.problem(0) == (
        snapshot(
            "expected a date such as 2024-12-31 or 2024-12-31T23:59, got '2024-13-01'; if it is a date, "
            "set format; if it means a missing value, set data.missing"
        )
    )
    assert declared.problem(1) == (
        snapshot(
            "expected a date in the format %d.%m.%Y, got 'NA'; if it means a missing value, add \"NA\" to "
            "data.missing"
        )
    )


@pytest.mark.parametrize(
    ("format", "text"),
    [("%Y-Q%q", "2024-Q4"), ("Q%q/%y", "Q4/24"), ("%d.%m.%Y", "01.10.2024")],
)
def test_a_time_is_written_in_a_format_with_its_quarter(format, text):
    assert write_time(datetime(2024, 10, 1), format) == text
    assert write_time(datetime(2024, 10, 1), f"{format} %%q") == f"{text} %q"
    assert read([text], format) == [utc(2024, 10, 1)]
