"""Numbers and names as a page shows them."""

from __future__ import annotations

import math

import pytest

from dlcli.reports.wording import duration, moment, number, percent, short, shorts


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.123456, "0.1235"),
        (12345.6, "12,350"),
        (1234567, "1,234,567"),
        (0.00001234, "1.234e-05"),
        (1e20, "1.000e+20"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        ("1", "–"),
        (True, "–"),
        ([1], "–"),
    ],
)
def test_a_number_has_four_digits_and_what_is_none_a_dash(value, shown):
    assert number(value) == shown


def test_a_share_is_in_percent():
    assert (percent(0.9545), percent(None)) == ("95.5 %", "–")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0207, "20.7 ms"), (1.617, "1.62 s"), (252, "4 min 12 s"), (7500, "2 h 5 min"), (None, "–")],
)
def test_a_time_is_told_as_one_says_it(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1970-01-01"),
        (-86_400, "1969-12-31"),
        (951_782_400, "2000-02-29"),
        (951_782_400 + 3_661.4, "2000-02-29 01:01:01"),
        (1e300, "1.000e+300"),
        (-1e12, "-1,000,000,000,000"),
        (None, "–"),
    ],
)
def test_a_time_is_a_date_and_what_no_calendar_has_a_number(seconds, shown):
    assert moment(seconds) == shown


def test_a_long_name_is_cut_and_what_can_not_be_printed_is_escaped():
    assert short("a" * 100, 10) == "aaaaaaaaa…"
    assert short("a\n\u202eb") == "a\\n\\u202eb"


def test_names_that_are_alike_when_short_stay_apart():
    assert shorts(["abcdef1", "abcdef2", "x"], 5) == ["abcd… (1)", "abcd… (2)", "x"]
