"""Notations of numbers: decimal commas, and separators of thousands."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.errors import DataError
from dlcli.tables.notation_detection import may_have_notation
from dlcli.tables.number_notation import NEGATIVES, Notation
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tables.table_formats import CsvFormat, TableFormat


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(columns: dict[str, list[str]], delimiter: str = ";", missing=(), **declared) -> Table:
    """A CSV file with these columns."""
    with Path("data.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    form = TableFormat(CsvFormat(delimiter=delimiter, **declared))
    return read_table("data.csv", lambda _: tuple(missing), form)


@pytest.mark.parametrize(
    ("values", "numbers", "described"),
    [
        (["1,5", "-0,25", "12"], [1.5, -0.25, 12], "a decimal comma"),
        ([",5", "2,", "1,5e3"], [0.5, 2, 1500], "a decimal comma"),
        (["0,125", "1,250"], [0.125, 1.25], "a decimal comma"),
        (["1,060.06", "12"], [1060.06, 12], "',' as the thousands separator"),
        (["1,060", "12.5"], [1060, 12.5], "',' as the thousands separator"),
        (["1,234,567", "-1,000"], [1234567, -1000], "',' as the thousands separator"),
        (
            ["12,34,567.5", "-1,000", "1,00,000"],
            [1234567.5, -1000, 1e5],
            "',' as the thousands separator",
        ),
        (
            ["1.060,06", "1.234.567", "3,5"],
            [1060.06, 1234567, 3.5],
            "a decimal comma and '.' as the thousands separator",
        ),
        (
            ["1 060,06", "12\u00a0345,5", "1\u202f000"],
            [1060.06, 12345.5, 1000],
            "a decimal comma and ' ' as the thousands separator",
        ),
        (
            ["1\u202f234\u202f567", "12\u202f345", "7"],
            [1234567, 12345, 7],
            "' ' as the thousands separator",
        ),
        (["1\u00a0234"], [1234], "' ' as the thousands separator"),
        (["1'060.06", "12\u2019345"], [1060.06, 12345], "''' as the thousands separator"),
    ],
)
def test_numbers_are_parsed_and_their_notation_is_reported(values, numbers, described):
    table = read({"x": values, "y": ["u"] * len(values)})
    assert table.column("x").looks_numeric()
    assert table.numbers("x").tolist() == numbers
    assert table.keep("x").to_pylist() == values
    assert table.notes == (f"data.csv: numbers in 'x' are written with {described}",)
    assert table.warnings == ()


@pytest.mark.parametrize(
    "values",
    [
        ["1.5", "2.25"],
        ["0.234", "5.678"],
        ["01234", "00501"],
        ["192.168.100.101", "192.168.100.102"],
        ["01,234", "02,345"],
        ["1,2,345", "2"],
        ["1,23,45", "2"],
        ["555 123", "555 124"],
        ["Smith, John", "1,5"],
        ["2024-03-31", "2024-04-01"],
        ["", ""],
    ],
)
def test_other_columns_keep_the_default_notation(values):
    table = read({"x": values, "y": ["u", "v"]})
    assert table.notations == {}
    assert table.file_notes == ()
    assert table.texts("x").tolist() == [value or None for value in values]


def test_zip_codes_next_to_decimal_commas_stay_as_they_are():
    table = read({"price": ["1,5", "2,5"], "zip": ["01234", "00501"]})
    assert table.texts("zip").tolist() == ["01234", "00501"]
    assert table.notations.keys() == {"price"}


def test_spaces_around_numbers_are_not_thousands_separators():
    table = read({"x": [" 1.234", "5.678 "], "ip": [" 192.168.100.101 ", ""]}, ",")
    assert table.notations == {}
    table = read({"x": [" 1.234", "5.678 "], "other": ["1,5", "2,5"]})
    assert table.numbers("x").tolist() == [1234, 5678]


def test_each_column_has_its_own_notation():
    table = read({"x": ["1,5", "2,5"], "y": ["1.5", "2.5"]})
    assert table.numbers("x").tolist() == [1.5, 2.5]
    assert table.numbers("y").tolist() == [1.5, 2.5]


def test_missing_words_do_not_hide_a_notation():
    table = read({"x": ["1,5", "?", "", "2,5", "NA"]}, missing=["?"])
    assert table.notations["x"].decimal == ","
    assert not table.column("x").looks_numeric()  # NA was not declared


@pytest.mark.parametrize(
    ("delimiter", "number", "otherwise"), [(";", 1.234, '","'), (",", 1234.0, "none")]
)
def test_a_comma_that_is_ambiguous_is_reported(delimiter, number, otherwise):
    table = read({"x": ["1,234", "12"]}, delimiter)
    assert table.numbers("x").tolist() == [number, 12]
    shown = "1.234" if number == 1.234 else "1234"
    assert table.warnings == (
        f"data.csv: column 'x': 1,234 may mean 1234 or 1.234 and was read as {shown}; for "
        f"the other meaning, correct the file, or train with data.format: {{name: csv, thousands: {otherwise}}}",
    )


@pytest.mark.parametrize(("delimiter", "declared"), [(";", ","), (",", "none")])
def test_the_suggested_setting_for_an_ambiguous_comma_changes_its_reading(delimiter, declared):
    here = read({"x": ["1,234", "12"]}, delimiter).numbers("x")[0]
    table = read({"x": ["1,234", "12"]}, delimiter, thousands=declared)
    assert {here, table.numbers("x")[0]} == {1.234, 1234.0}
    assert table.warnings == ()


@pytest.mark.parametrize(
    ("other", "number"), [("1,5", 1.234), ("1.5", 1234.0), ("1,060.5", 1234.0), ("1.060,5", 1.234)]
)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_other_columns_decide_the_meaning_of_an_ambiguous_comma(delimiter, other, number):
    table = read({"x": ["1,234"], "other": [other]}, delimiter)
    assert table.numbers("x").tolist() == [number]
    assert table.warnings == ()


def test_a_point_next_to_decimal_commas_that_is_ambiguous_is_reported():
    table = read({"x": ["1.234", "12"], "other": ["1,5", "2,5"]})
    assert table.numbers("x").tolist() == [1234, 12]
    assert table.warnings == (
        "data.csv: column 'x': 1.234 may mean 1234 or 1.234 and was read as 1234; for the "
        "other meaning, correct the file, or train with data.format: {name: csv, thousands: none}",
    )
    table = read({"x": ["1.234", "12"], "other": ["1,5", "2,5"]}, thousands="none")
    assert table.numbers("x").tolist() == [1.234, 12]
    assert table.numbers("other").tolist() == [1.5, 2.5]


def test_a_point_in_a_word_is_not_ambiguous():
    table = read({"id": ["No.", "1001", "1002"], "other": ["1,5", "2,5", "3,5"]}, ";")
    assert (table.warnings, [*table.notations]) == ((), ["other"])


def test_next_to_semicolons_points_before_three_digits_separate_thousands():
    table = read({"x": ["2.436", "593"], "ip": ["192.168.100.101", "192.168.100.102"]}, ";")
    assert table.numbers("x").tolist() == [2436, 593]
    assert table.warnings == (
        "data.csv: column 'x': 2.436 may mean 2436 or 2.436 and was read as 2436; for the "
        "other meaning, correct the file, or train with data.format: {name: csv, thousands: none}",
    )
    assert table.notations.keys() == {"x"}


def test_next_to_semicolons_other_points_show_that_they_separate_decimals():
    table = read({"x": ["2.436", "593"], "other": ["1.5", "2.5"]}, ";")
    assert table.numbers("x").tolist() == [2.436, 593]
    assert table.file_notes == ()


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_two_points_in_a_number_are_unambiguous(delimiter):
    table = read({"x": ["450.000", "1.250.000", "593"], "y": ["1.234", "5.678", "3.2"]}, delimiter)
    assert table.numbers("x").tolist() == [450_000, 1_250_000, 593]
    assert table.numbers("y").tolist() == [1.234, 5.678, 3.2]
    assert table.warnings == ()
    assert table.notes == (
        "data.csv: numbers in 'x' are written with a decimal comma and '.' as the thousands separator",
    )


class TestDeclared:
    def test_a_decimal_comma_is_used_in_every_column(self):
        table = read({"x": ["1.234"], "y": ["1,234"]}, decimal=",")
        assert (table.numbers("x").tolist(), table.numbers("y").tolist()) == ([1234], [1.234])
        assert table.warnings == ()

    def test_a_point_is_used_in_every_column(self):
        table = read({"x": ["1.234"], "y": ["1,234"]}, decimal=".")
        assert (table.numbers("x").tolist(), table.numbers("y").tolist()) == ([1.234], [1234])

    def test_a_space_between_thousands_needs_no_decimals_then(self):
        table = read({"x": ["1 234", "12"]}, thousands=" ")
        assert table.numbers("x").tolist() == [1234, 12]

    def test_a_column_in_another_notation_is_not_numeric(self):
        assert not read({"x": ["1.5"]}, decimal=",", thousands="none").column("x").looks_numeric()
        assert not read({"x": ["1,5"]}, decimal=".", thousands="none").column("x").looks_numeric()


def test_the_row_that_is_no_number_is_named_in_a_column_with_decimal_commas():
    table = read({"x": ["1,5", "", "abc", "2,5"]})
    with pytest.raises(DataError) as caught:
        table.numbers("x")
    expected = snapshot("data.csv: row 3, column 'x': expected a finite number, got 'abc'")
    assert str(caught.value) == expected


def test_a_number_in_another_notation_is_refused_among_decimal_commas():
    table = read({"x": ["1,5", "2,5", "3.5"]})
    found = table.column("x").numbers()
    assert found.unreadable.tolist() == [False, False, True]
    np.testing.assert_array_equal(found.values, [1.5, 2.5, np.nan])


def test_selected_rows_keep_the_notation():
    table = read({"x": ["1,5", "1,234"]}).take(np.array([1]))
    assert table.numbers("x").tolist() == [1.234]


@settings(max_examples=40)
@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=6),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (",", "none"), (".", "none")]),
)
def test_numbers_that_python_grouped_are_read_back(cents, signs):
    decimal, thousands = signs
    written = [
        f"{number / 100:,.2f}".translate(
            {ord(","): "" if thousands == "none" else thousands, ord("."): decimal}
        )
        for number in cents
    ]
    expected = [number / 100 for number in cents]
    assert read({"x": written}).numbers("x").tolist() == expected
    table = read({"x": written}, decimal=decimal, thousands=thousands)
    assert table.numbers("x").tolist() == expected


GERMAN = Notation(",", ".")


def test_ambiguous_numbers_are_read_as_in_another_table():
    table = read({"x": ["1.234", "2.000"]}, delimiter=",")
    assert table.numbers("x").tolist() == [1.234, 2.0]
    assert table.written_like({"x": GERMAN}).numbers("x").tolist() == [1234, 2000]


def test_an_ambiguity_that_another_table_resolves_is_not_reported():
    table = read({"x": ["1,234", "2,000"]})
    assert len(table.warnings) == 1
    settled = table.written_like({"x": Notation(thousands=",")})
    assert settled.warnings == ()
    assert settled.numbers("x").tolist() == [1234, 2000]


def test_values_that_do_not_fit_the_other_table_keep_their_notation():
    table = read({"x": ["1.234", "2.5"], "word": ["1.234", "a"]}, delimiter=",")
    assert table.written_like({"x": GERMAN, "word": GERMAN}) is table


@pytest.mark.parametrize(("text", "number"), [("1,040", 1040), ("1.040", 1.04)])
def test_a_file_with_decimal_points_keeps_them_although_training_had_decimal_commas(text, number):
    table = read({"x": [text], "rate": ["3.2"]}, delimiter=",")
    kept = table.written_like({"x": GERMAN, "rate": GERMAN})
    assert kept.numbers("x").tolist() == [number]
    [warning] = kept.warnings
    readings = ("1040", "1.040") if number == 1040 else ("1.040", "1040")
    assert f"column 'x': {text} may mean {readings[0]} or {readings[1]} and was read as" in warning


def test_a_file_with_decimal_commas_keeps_them_although_training_had_decimal_points():
    table = read({"x": ["1.040"], "rate": ["3,2"]}, delimiter=";")
    kept = table.written_like({})
    assert kept.numbers("x").tolist() == [1040]
    assert len(kept.warnings) == 1


def test_integers_are_not_ambiguous():
    table = read({"x": ["1040", "7"], "rate": ["3.2", "4.5"]}, delimiter=",")
    assert table.written_like({"x": GERMAN, "rate": GERMAN}).warnings == ()


def test_a_column_that_the_other_table_wrote_plainly_is_plain():
    table = read({"x": ["1.234", "2.000"], "y": ["0,5", "1,5"]})
    assert table.numbers("x").tolist() == [1234, 2000]
    assert table.written_like({"y": Notation(",")}).numbers("x").tolist() == [1.234, 2.0]


TENS = range(10, 22)  # more than ten different numbers
PERCENT = "the unit % (12 % is 12, not 0.12)"


def with_unit(write, numbers=TENS, more=(), **declared):
    """A column of numbers as a pattern writes them, read from a file with tabs."""
    return read({"x": [*map(write.format, numbers), *more]}, "\t", **declared)


class TestUnits:
    @pytest.mark.parametrize(
        ("write", "first", "described"),
        [
            ("${},761.50", 10761.5, "',' as the thousands separator and the unit $"),
            ("-${}", -10, "the unit $"),
            ("R$ {}", 10, "the unit R$"),
            ("Rs. {},00,000", 1e6, "',' as the thousands separator and the unit Rs."),
            ("Rp{}", 10, "the unit Rp"),
            ("-{}.5°", -10.5, "the unit °"),
            ("{}％", 10, "the unit ％ (12 ％ is 12, not 0.12)"),
            (
                "{}\u00a0000,50 €",
                10000.5,
                "a decimal comma, ' ' as the thousands separator and the unit €",
            ),
            ("{} %", 10, PERCENT),
            ("{},5%", 10.5, f"a decimal comma and {PERCENT}"),
            ("{} kg", 10, "the unit kg"),
            ("-{} °C", -10, "the unit °C"),
            ("{}m²", 10, "the unit m²"),
            ("{}k", 10_000, "k for 1,000, M for 1,000,000"),
            ("€{}.5M", 10_500_000, "the unit € and k for 1,000, M for 1,000,000"),
        ],
    )
    def test_numbers_with_a_unit_are_numbers_and_the_unit_is_reported(
        self, write, first, described
    ):
        table = with_unit(write)
        assert table.column("x").looks_numeric()
        assert table.numbers("x")[0] == first
        assert table.notes[-1].endswith(f"numbers in 'x' are written with {described}")

    def test_multiples_differ_from_row_to_row(self):
        table = with_unit("{}.5k", more=["950", "1.2M", "3bn"])
        assert table.numbers("x")[-4:].tolist() == [21_500, 950, 1.2e6, 3e9]

    @pytest.mark.parametrize(
        ("texts", "numbers"),
        [
            (["19.90 €", "29.90 €", "9.90 €"], [19.9, 29.9, 9.9]),
            (["12 %", "5 %", "10 %"], [12, 5, 10]),
            (["$5", "$10", "$5"], [5, 10, 5]),
            (["EUR 5", "EUR 10", "0"], [5, 10, 0]),
            (["0", "0", "10%"], [0, 0, 10]),
        ],
    )
    def test_few_distinct_amounts_of_money_or_percent_are_numbers(self, texts, numbers):
        assert with_unit("{}", texts * 10, []).numbers("x")[:3].tolist() == numbers
        assert may_have_notation(texts)

    def test_zeros_need_no_unit_and_most_may_be_zeros(self):
        table = with_unit("${}.99", more=["0"] * 100)
        assert table.numbers("x")[[0, -1]].tolist() == [10.99, 0]

    def test_one_year_and_two_years_have_the_same_unit(self):
        table = with_unit("{} years", more=["1 year", "N/A"], missing=["N/A"])
        assert table.numbers("x")[-2] == 1

    def test_declared_separators_leave_the_unit_to_be_found(self):
        table = with_unit("{}.000 €", decimal=",", thousands=".")
        assert table.numbers("x")[0] == 10_000

    @pytest.mark.parametrize(
        ("write", "numbers", "more"),
        [
            ("{} months", [36, 60] * 20, []),
            ("{}", TENS, ["12 kg"]),
            ("{} kg", TENS, ["12 lb"] * 2),
            ("{}GB", TENS, ["512 MB"] * 6),
            ("0{}kg", TENS, []),
            ("A{}", TENS, []),
            ("10.0.0.{}", TENS, []),
            ("{}/86", TENS, []),
            ("{}%", TENS, ["0.12"] * 2),
        ],
        ids=[
            *("few", "one kg", "some lb", "two units", "codes", "letter before", "address"),
            *("month", "shares"),
        ],
    )
    def test_columns_without_a_common_unit_have_none(self, write, numbers, more):
        assert with_unit(write, numbers, more).notations == {}

    def test_text_in_parquet_is_read_as_in_csv(self):
        texts = [f"{number},500 kg" for number in TENS]
        pq.write_table(pa.table({"x": texts, "y": [*TENS]}), "t.parquet")
        table = read_table("t.parquet")
        assert table.numbers("x")[0] == 10_500
        assert table.notations.keys() == {"x"}

    @pytest.mark.parametrize(
        ("write", "value", "number"),
        [
            ("{} kg", "7kg", 7),
            ("{} kg", "7", 7),
            ("${}", "$1,200.50", 1200.5),
            ("{} %", "7%", 7),
            ("{} %", "0", 0),
            ("{}k", "950", 950),
            ("{}k", "1.2M", 1.2e6),
            ("{} days", "1 day", 1),
        ],
    )
    def test_a_single_value_is_read_as_in_the_training_table(self, write, value, number):
        known = with_unit(write).notations
        assert read({"x": [value]}, "\t").written_like(known).numbers("x").tolist() == [number]

    @pytest.mark.parametrize(
        ("write", "value", "message"),
        [
            ("{} kg", "7 lb", snapshot("expected a finite number in kg, got '7 lb'")),
            (
                "{} %",
                "0.12",
                snapshot("expected a finite number with its unit, such as '12 %', got '0.12'"),
            ),
            ("{}k", "7 kg", snapshot("expected a finite number, got '7 kg'")),
            ("{}", "7 kg", snapshot("expected a finite number, got '7 kg'")),
        ],
    )
    def test_another_unit_than_in_training_is_refused(self, write, value, message):
        known = with_unit(write).notations
        for values in [[value], [*map("{} lb".format, TENS), value]]:  # with a unit of its own, too
            table = read({"x": values}, "\t").written_like(known)
            assert table.column("x").numbers().problem(len(values) - 1) == message
            assert table.column("x").numbers().unreadable.all()

    def test_stored_numbers_may_be_shares_and_are_refused_for_percentages(self):
        known = with_unit("{} %").notations
        column = Table("t", pa.table({"x": [0.12, 0.0]}), np.arange(2)).written_like(known)
        assert column.column("x").numbers().unreadable.tolist() == [True, False]
        known = with_unit("{} kg").notations
        column = Table("t", pa.table({"x": [0.12, 0.0]}), np.arange(2)).written_like(known)
        assert column.numbers("x").tolist() == [0.12, 0]


def in_parentheses(pattern):
    """A function that writes negative numbers in parentheses, with a unit in its place."""

    def write(number):
        digits = pattern.format(abs(number))
        return f"({digits})" if number < 0 else digits

    return write


PARENTHESES = "negative numbers in parentheses"
LOSSES = [(-1) ** at * (1000.5 + at) for at in range(12)]


class TestNegativeNumbers:
    @pytest.mark.parametrize(
        ("write", "described"),
        [
            (in_parentheses("{}"), PARENTHESES),
            (in_parentheses("{:,.2f}"), f"',' as the thousands separator and {PARENTHESES}"),
            (in_parentheses("${}"), f"the unit $ and {PARENTHESES}"),
            (lambda x: f" $ {in_parentheses('{}')(x)} ", f"the unit $ and {PARENTHESES}"),
            (lambda x: f"{in_parentheses('{}')(x)}%", f"{PERCENT} and {PARENTHESES}"),
            (in_parentheses("EUR {}"), f"the unit EUR and {PARENTHESES}"),
            (lambda x: f"{x}".replace("-", "\u2212"), "\u2212 as the minus sign"),
            (
                lambda x: f"{-x}-".replace(".", ",") if x < 0 else f"{x}".replace(".", ","),
                "a decimal comma and the minus sign at the end",
            ),
            (lambda x: f"USD {x}", "the unit USD"),
        ],
    )
    def test_they_are_read_and_their_notation_is_reported(self, write, described):
        table = read({"x": [*map(write, LOSSES), "N/A"]}, "\t", missing=["N/A"])
        assert table.column("x").looks_numeric()
        assert table.numbers("x")[:-1].tolist() == LOSSES
        assert table.notes[-1].endswith(f"numbers in 'x' are written with {described}")

        one = read({"x": [write(-7.5)]}, "\t").written_like(table.notations)
        assert one.numbers("x").tolist() == [-7.5]

    @pytest.mark.parametrize(
        "values",
        [
            [f"({number})" for number in TENS],
            ["(1)", "2", "3"] * 20,
            [*map(str, TENS), *["(few)", "(many)"] * 20],
            [f"(0{number}) 12345" for number in TENS],
            [f"{number}-{number}" for number in TENS],
            [*map(str, TENS), "((5))", "(-5)", "5--"],
            [f"{number} (7)" if number % 2 else f"{number}" for number in TENS],
        ],
        ids=["all", "few", "words", "telephone", "ranges", "two signs", "two numbers"],
    )
    def test_other_texts_are_not_negative_numbers(self, values):
        assert read({"x": values}, "\t").notations == {}

    @pytest.mark.parametrize("write", ["({})", "{}-", "\u2212{}"])
    def test_few_texts_that_may_be_negative_numbers_are_read_as_a_table(self, write):
        texts = [write.format(each) if each % 2 else f"{each}" for each in TENS]
        assert may_have_notation(texts)
        assert not may_have_notation(texts[:10])

    def test_a_text_with_two_signs_is_not_a_number(self):
        table = read({"x": [*map(in_parentheses("{}"), LOSSES), "(-5)", "((5))"]}, "\t")
        assert table.column("x").numbers().unreadable.tolist() == [False] * 12 + [True] * 2

    @pytest.mark.parametrize("text", ["((5)", "(5))", "(5) (6)"])
    def test_no_pair_of_parentheses_is_chosen_among_several(self, text):
        """Which would take a time that grows with the square of their number."""
        assert re.match(NEGATIVES["(n)"][0], text) is None


@pytest.mark.parametrize(
    "fields",
    [("]",), ("",), (".", "x"), (",", ".*"), (".", "", "", False, "-")],
)
def test_unknown_separators_and_signs_are_refused(fields):
    with pytest.raises(ValueError, match="unsupported notation of numbers"):
        Notation(*fields)
