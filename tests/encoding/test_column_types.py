"""Types of columns: declared by name or pattern, and inferred from the rows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from inline_snapshot import snapshot
from PIL import Image as Pillow

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import MOST_CATEGORIES, Categorical
from dlcli.columns.column_type import Auto, Ignored
from dlcli.columns.date_time import Datetime
from dlcli.columns.image import Image
from dlcli.columns.number import Numeric
from dlcli.columns.text import MultiHot, Text
from dlcli.columns.type_inference import ColumnSummary, summarize_column, view_column
from dlcli.config.data_section import Input
from dlcli.encoding import column_types
from dlcli.encoding.column_types import (
    ROWS_LOOKED_AT,
    choose_features,
    decide_types,
    infer_type,
    matching_name,
    type_warnings,
)
from dlcli.errors import ConfigError, DataError, most_similar
from dlcli.tables.column import Column
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table


def chosen(features, columns, reserved=()):
    """The type that each column is to have."""
    section = Input(features=features)
    picked = choose_features(section, columns, reserved)
    return {column: feature.type for column, feature in picked.items()}


def problems(features, columns, reserved=()):
    with pytest.raises(ConfigError) as caught:
        choose_features(Input(features=features), columns, reserved)
    return [str(problem) for problem in caught.value.problems]


def make(columns, file="t.csv"):
    data = pa.table(columns)
    return Table(str(file), data, np.arange(1, data.num_rows + 1))


def decision_of(values, name="x", file="t.csv"):
    table = make({name: values, "other": [1.5] * len(values)}, file)
    return decide_types({name: Auto(), "other": Numeric()}, table)[name]


def decided(values, name="x"):
    decision = decision_of(values, name)
    return decision.feature.type, decision.reason


def warnings_of(values):
    return type_warnings({"x": decision_of(values)})


REPEATED = [*(value for value in range(1, 7) for _ in range(value)), *range(7, 30)]


@pytest.mark.parametrize(
    "values",
    [
        REPEATED,
        [None, *(value / 4 for value in REPEATED), float("nan")],
        [-value for value in REPEATED],
        ["", *(f"{value}.0" for value in REPEATED), " 7 "],
        pa.array(REPEATED, pa.float32()),
        pa.array([Decimal(value) / 8 for value in REPEATED]),
        [value + 2**60 for value in REPEATED],
        [value % 3 for value in REPEATED],
        ["a", *map(str, REPEATED)],
    ],
    ids=["int", "float", "negative", "text", "float32", "decimal", "large", "few", "no numbers"],
)
def test_many_numbers_are_counted_as_their_texts_are(values):
    table = make({"x": values})
    assert summarize_column(table, "x") == view_column(table, "x").summary


@pytest.mark.parametrize(
    "values",
    [
        REPEATED,
        [7, 5, None, 5, 9, 7, 3, 1, 2, 8],
        [0.5, None, -0.0, 0.5, 3.25, 0.0, float("nan"), 2.0, 1e300, 9.75, -4.0],
        [3.0],
        [2.5, 2.5],
    ],
    ids=["repeated", "ties", "floats", "one", "constant"],
)
def test_stored_numbers_are_counted_as_texts_are(values):
    texts = [None if value is None or value != value else f"{value}" for value in values]
    stored, read = (view_column(make({"x": each}), "x").summary for each in (values, texts))
    assert stored == read


def test_many_numbers_are_counted_without_their_texts(monkeypatch):
    table = make({"x": [0.0, -0.0, *(value / 7 for value in range(1, 1000))]})
    monkeypatch.setattr(Column, "distinct", None)
    found = summarize_column(table, "x")
    assert (found.present, found.distinct, found.bounds) == (1001, 1000, (0.0, 999 / 7))
    assert found.frequent[0] == ("0", 2)
    assert not found.whole


def test_without_features_every_unreserved_column_is_read():
    assert chosen(None, ["b", "y", "a"], ["y"]) == {"b": "auto", "a": "auto"}


def test_a_column_that_no_name_or_pattern_matches_is_ignored():
    features = {"a": Numeric(), "b_*": Numeric()}
    assert chosen(features, ["a", "b_1", "c"]) == {"a": "numeric", "b_1": "numeric", "c": "ignored"}


def test_an_exact_name_has_priority_over_a_pattern_in_any_order():
    features = {"*": Numeric(), "a": Boolean()}
    assert chosen(features, ["a", "b"]) == {"a": "boolean", "b": "numeric"}


def test_no_pattern_is_applied_to_a_column_that_is_named_exactly(monkeypatch):
    monkeypatch.setattr(column_types, "_regex", pytest.fail)
    names = {f"x{at}": "numeric" for at in range(9)}
    assert matching_name("x3", names) == "x3"


def test_a_longer_pattern_has_priority_over_a_shorter_one():
    features = {"*": Auto(), "p*": Numeric(), "pix*": Boolean(), "pixel_?": Categorical()}
    assert chosen(features, ["pixel_1", "pixel_10", "pit", "a"]) == {
        "pixel_1": "categorical",
        "pixel_10": "boolean",
        "pit": "numeric",
        "a": "auto",
    }


def test_a_pattern_fits_the_whole_name_and_no_sign_but_its_own_is_special():
    features = {"a.b*": Numeric(), "*": Ignored()}
    assert chosen(features, ["a.b1", "axb1", "za.b1"]) == {
        "a.b1": "numeric",
        "axb1": "ignored",
        "za.b1": "ignored",
    }


def test_a_column_with_a_question_mark_in_its_name_is_not_a_pattern():
    features = {"smoker?": Boolean()}
    assert chosen(features, ["smoker?", "smokers"]) == {"smoker?": "boolean", "smokers": "ignored"}


def test_a_pattern_that_matches_no_column_is_an_error():
    assert problems({"a": Auto(), "pixel_*": Numeric()}, ["a"]) == [
        "input.features.pixel_*: matches no column of the table"
    ]


def test_a_pattern_that_matches_only_reserved_columns_is_an_error():
    assert problems({"a": Auto(), "y*": Numeric()}, ["a", "y"], ["y"]) == [
        "input.features.y*: matches no column of the table"
    ]


def test_a_star_may_match_no_column():
    assert chosen({"a": Numeric(), "*": Auto()}, ["a", "y"], ["y"]) == {"a": "numeric"}


def test_a_star_is_a_pattern_also_where_the_target_is_called_so():
    assert chosen({"*": Auto()}, ["a", "*"], ["*"]) == {"a": "auto"}


def test_a_reserved_column_cant_be_a_feature():
    assert problems({"a": Auto(), "y": Numeric()}, ["a", "y"], ["y"]) == [
        "input.features.y: has another role in 'data', so it can't be a feature; "
        "omit it here or set it to ignored"
    ]


def test_a_column_that_contains_the_word_is_the_most_similar():
    assert most_similar("Hours", ["Course", "Hours per week"]) == "Hours per week"


def test_a_name_that_begins_with_the_word_is_more_similar_than_another_of_its_length():
    assert most_similar("acc", ["balanced_accuracy", "auc", "accuracy"]) == "accuracy"


def test_all_missing_columns_are_reported_at_once_with_the_most_similar_name():
    assert problems({"agee": Numeric(), "b.c": Numeric()}, ["age", "y"], ["y"]) == [
        "input.features.agee: no such column in the table; did you mean 'age'?",
        "input.features['b.c']: no such column in the table",
    ]


def test_a_selection_without_a_column_is_an_error():
    assert problems({"a": Ignored()}, ["a", "y"], ["y"]) == [
        "input.features: ignores all columns; at least one feature is required"
    ]


def test_a_table_of_a_target_alone_is_an_error():
    assert problems(None, ["y"], ["y"]) == [
        "input.features: there are no features: the table has no columns other than 'y'"
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0], ("numeric", "all values are numbers")),
        (["1", " 2.5e3 ", ""], ("numeric", "all values are numbers")),
        ([True, False, None], ("boolean", "only true and false")),
        (["true", "False"], ("boolean", "only true and false")),
        (["a", "b", "a"], ("categorical", "text, 2 values")),
        (["a", "", "a"], ("categorical", "text, 1 value")),
        (["1", "two"], ("categorical", "text, 2 values")),
        (
            [f"v{number}" for number in range(101)] * 2,
            ("categorical", "text, 101 values; the 100 most frequent are kept"),
        ),
        (["", " "], ("ignored", "has no value")),
        (["k", "k"], ("ignored", "the same value in all rows: k")),
        ([3.0, 3.0], ("ignored", "the same value in all rows: 3")),
        (
            [[1], [2]],
            ("ignored", "stored as list<item: int64>, which no feature type supports"),
        ),
        (
            pa.array([0, 1], pa.duration("s")),
            ("ignored", "stored as duration[s], which no feature type supports"),
        ),
    ],
)
def test_a_type_is_inferred_with_its_reason(values, expected):
    assert decided(values) == expected


def test_codes_with_leading_zeros_are_categories():
    assert decided(["01234", "04711", "12345", "01234"]) == (
        "categorical",
        "codes with leading zeros, 3 values",
    )


def test_decimals_below_one_are_not_codes():
    assert decided(["0.5", "0", "00.25"]) == ("numeric", "all values are numbers")


def test_numbers_stored_as_text_are_numbers():
    assert decided(pa.array(["12", "7", None])) == ("numeric", "all values are numbers")


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5] * 2, ["1", "2", "3"] * 2])
def test_whole_numbers_with_few_values_are_amounts_and_may_be_declared_codes(values):
    assert decided(values) == (
        "numeric",
        f"only {len({*values})} different integers; treated as numeric",
    )


@pytest.mark.parametrize(
    "values", [[0, 1, 1, 0], [1.5, 2.5] * 4, list(range(11)) * 2, [1, 2, 3, 4]]
)
def test_booleans_fractions_many_distinct_and_unrepeated_numbers_are_not_codes(values):
    assert decided(values) == ("numeric", "all values are numbers")


@pytest.mark.parametrize(
    "values", [[1990, 2024] * 6 + [2000] * 3, ["1990", "2024", "2007"], [1700000000, 1700003600]]
)
def test_years_and_seconds_since_1970_stay_numbers(values):
    assert decided(values)[0] == "numeric"


@pytest.mark.parametrize(
    ("name", "values", "formats"),
    [
        ("date", [19750103, 19751231], "%Y%m%d"),
        ("hireDate", ["800102", "991231"], "%y%m%d"),
        ("month", ["197501", "197512"], "%Y%m"),
        ("YEAR_WEEK", [201729, 201652, 201801], "%G%V"),
        ("Kalenderwoche", ["201701", "201712"], "%G%V"),
        ("date", ["19750103", "800102"], ("%Y%m%d", "%y%m%d")),
        ("hired", [float(f"197501{day}") for day in range(10, 21)], "%Y%m%d"),
    ],
)
def test_dates_written_as_digits_are_dates(name, values, formats):
    decision = decision_of(values, name)
    assert decision.feature == Datetime(format=formats)
    assert decision.reason == f"dates such as {str(values[0]).removesuffix('.0')}"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("price", [197501, 800102]),
        ("parts", [19750103, 19751231]),
        ("date", [19750103, 19751331]),
        ("date", [1975, 1976]),
        ("date", [9125, 9126]),
        ("YEAR_WEEK", [201729, 201753]),
        ("sales", [201729, 201730]),
    ],
    ids=["no name, 6 digits", "no name, few", "month 13", "years", "days", "week 53", "no week"],
)
def test_digits_that_need_not_be_dates_are_numbers(name, values):
    assert decided(values, name)[0] == "numeric"


@pytest.mark.parametrize("name", ["zip", "ZipCode", "zip_code", "home zip", "postcode", "PLZ"])
def test_postal_codes_are_categories_by_the_name_of_their_column(name):
    assert decided([10115, 80331, 2138, 10115], name) == (
        "categorical",
        "postal codes (from the column's name), 3 values",
    )


@pytest.mark.parametrize("name", ["StoreID", "id", "region_code", "roomType", "category"])
def test_few_integers_are_codes_by_the_name_of_their_column(name):
    assert decided([1, 2, 7] * 10, name) == (
        "categorical",
        "codes (from the column's name), 3 values",
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("prototype", [1, 2, 7] * 10),
        ("paid", [1, 2, 7] * 10),
        ("type", [0, 1] * 10),
        ("type", [0.5, 1, 1.5] * 10),
        ("size_category", [*range(10)] * 3),
        ("size_category", [*range(11)] * 4),
    ],
    ids=["other word", "end of a word", "two", "fractions", "few rows", "many"],
)
def test_other_numbers_in_such_columns_stay_numbers(name, values):
    assert decided(values, name)[0] == "numeric"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("zip_population", [10115, 80331, 2138, 10115]),
        ("gzip", [10115, 80331, 2138, 10115]),
        ("zip", [0, 1, 1, 0]),
        ("zip", [10115.5, 80331.25, 1.5, 2.5]),
    ],
)
def test_amounts_in_columns_of_similar_names_stay_numbers(name, values):
    assert decided(values, name)[0] == "numeric"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PassengerId", [7, 3, 9]),
        ("id", ["a", "b", "c"]),
        ("no", [4, 1, 6, 3]),
        ("row_number", [70, 30, 90]),
        ("label", [f"n{at}" for at in range(20)]),
        ("ticket", [f"0{at}" for at in range(10, 30)]),
    ],
)
def test_another_value_in_each_row_is_an_identifier(name, values):
    assert decided(values, name) == ("ignored", "a different value in each row: an identifier")


@pytest.mark.parametrize(
    ("hour", "shown"), [("00", "2022-08-23 (2)"), ("07", "2022-08-23 07:00:00 (2)")]
)
def test_dates_at_midnight_are_listed_without_a_time(hour, shown):
    summary = ColumnSummary(2, 0, 1, ((f"2022-08-23 {hour}:00:00", 2),), None, False)
    assert summary.listing == shown


RANDOM_NUMBERS = [str(1000 + at * 7919 % 90001) for at in range(40)]


@pytest.mark.parametrize(
    "name",
    [
        "Kundennummer",
        "Kundennr",
        "Kunden-Nr.",
        "KdNr",
        "customer_number",
        "CustomerNo",
        "member_no",
    ],
)
def test_different_numbers_of_customers_are_an_identifier(name):
    assert decided(RANDOM_NUMBERS, name)[0] == "ignored"


@pytest.mark.parametrize("name", ["number_of_rooms", "population_number", "casino", "Umsatz"])
def test_different_numbers_that_may_be_counts_are_not_an_identifier(name):
    assert decided(RANDOM_NUMBERS, name)[0] == "numeric"


def test_a_name_in_nearly_each_row_is_an_identifier():
    values = [*(f"n{at}" for at in range(39)), "n0"]
    assert decided(values) == ("ignored", "39 values in 40 rows: an identifier")


def test_integers_named_like_an_identifier_may_repeat_in_few_rows():
    values = [*RANDOM_NUMBERS, RANDOM_NUMBERS[0]]
    assert decided(values, "Id") == ("ignored", "40 values in 41 rows: an identifier")
    assert decided(values, "amount")[0] == "numeric"
    assert decided([*RANDOM_NUMBERS, *RANDOM_NUMBERS[:5]], "Id")[0] == "numeric"


def test_a_type_must_read_rows_without_a_target():
    values = [*map(str, range(40)), "At-Large"]
    whole = make({"district": values, "other": [0.5] * 41})
    decision = infer_type("district", whole.take(np.arange(40)), whole)
    assert decision.reason == "97.5 % are numbers, 'At-Large' in 1 row is not"
    assert decision.values.rows == 40


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("count", list(range(100, 119))),
        ("area", [at * at for at in range(20)]),
        ("rank", [7 * at % 23 for at in range(23)]),
        ("no", [70, 30, 90]),
        ("grid", ["a", "b", "c"]),
        ("id", [1.5, 2.5, 4.5]),
        ("id", [1, 1, 2]),
        ("label", [f"n{at % 19}" for at in range(21)]),
    ],
)
def test_few_rows_measurements_and_repeated_values_are_not_identifiers(name, values):
    assert decided(values, name)[0] != "ignored"


HOLES = np.delete(np.arange(100, 140), [3, 8, 9, 20, 30])
"""An index of rows, of which some were omitted."""


@pytest.mark.parametrize(
    ("values", "verb"), [(np.arange(20), "increases"), (HOLES, "increases"), (-HOLES, "decreases")]
)
def test_integers_that_increase_along_the_file_are_a_row_index(values, verb):
    reason = f"an integer that {verb} from row to row: a row index"
    assert decided(values.tolist(), "count") == ("ignored", reason)


@pytest.mark.parametrize("name", ["Year", "birth_year", "Time", "day.1", "startDate", "age"])
def test_times_that_increase_along_the_file_are_not_a_row_index(name):
    assert decided(list(range(1950, 1990)), name)[0] == "numeric"


@pytest.mark.parametrize("name", ["Jahr", "SeasonStart", "年"])
def test_years_in_a_column_of_any_name_are_not_a_row_index(name):
    assert decided(list(range(1893, 2012)), name)[0] == "numeric"
    assert decided(list(range(2012, 1893, -1)), name)[0] == "numeric"
    assert decided(list(range(1893, 2112)), name)[0] == "ignored"


@pytest.mark.parametrize("name", ["page", "daytime_id", "weekly"])
def test_a_name_that_only_contains_the_word_time_is_not_a_time(name):
    assert decided(list(range(40)), name)[0] == "ignored"


def test_sorted_amounts_are_not_a_row_index():
    prices = np.cumsum(np.random.default_rng(0).integers(1, 40, 200))
    assert decided(prices.tolist(), "price")[0] == "numeric"


@pytest.mark.parametrize("name", ["Unnamed: 0", "Unnamed: 0.1", "__index_level_0__"])
def test_a_column_with_the_index_name_of_pandas_is_not_a_feature(name):
    assert decided([0.5, 1, 1], name)[0] == "ignored"


def test_a_column_without_a_name_is_not_a_feature():
    table = replace(make({"column_1": [3, 1, 1], "other": [1.5] * 3}), nameless=("column_1",))
    decision = decide_types({"column_1": Auto(), "other": Numeric()}, table)["column_1"]
    reason = "no name in the header: row names or a row index"
    assert (decision.feature, decision.reason) == (Ignored(), reason)


def test_a_column_without_a_name_is_not_read_even_if_there_is_no_other_column():
    table = replace(make({"column_1": [3, 1, 2]}), nameless=("column_1",))
    with pytest.raises(ConfigError, match="no column can be used: 'column_1' \\(no name in the"):
        decide_types({"column_1": Auto()}, table)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x", range(60)),
        ("x", [f"n{at // 2}" if at > 56 else f"n{at}" for at in range(60)]),
    ],
)
@pytest.mark.parametrize("rows", [range(0, 60, 3), range(30, 60)])
def test_identifiers_are_recognized_by_all_rows_of_the_table(name, values, rows):
    whole = make({name: list(values), "other": [1.5] * 60})
    train = whole.take(np.array(rows))
    chosen = {name: Auto(), "other": Numeric()}
    decisions = [decide_types(chosen, table, whole)[name] for table in (train, whole)]
    assert [decision.feature for decision in decisions] == [Ignored(), Ignored()]
    assert decisions[0].reason == decisions[1].reason


def test_amounts_that_differ_in_the_training_rows_alone_are_read():
    whole = make({"id": [*range(30), *range(30)], "other": [1.5] * 60})
    train = whole.take(np.arange(30))
    assert decide_types({"id": Auto()}, train, whole)["id"].feature == Numeric()


def test_all_rows_of_a_long_table_are_checked_for_a_row_index():
    rows = make({"x": np.arange(2 * ROWS_LOOKED_AT), "z": np.arange(2 * ROWS_LOOKED_AT) / 7})
    train = rows.take(np.arange(0, rows.rows, 2))
    decisions = decide_types({"x": Auto(), "z": Auto()}, train, rows)
    assert decisions["x"].reason == snapshot(
        "an integer that increases from row to row: a row index"
    )


def test_an_identifier_is_read_if_there_is_no_other_column():
    rows = make({"x": list(range(20)), "empty": [None] * 20})
    decisions = decide_types({"x": Auto(), "empty": Auto()}, rows)
    assert (decisions["x"].feature, decisions["x"].reason) == (Numeric(), "all values are numbers")
    assert decisions["empty"].feature == Ignored()


def test_what_is_left_out_by_a_doubt_keeps_what_it_would_be_otherwise():
    doubted = decision_of([f"n{at}" for at in range(20)])
    assert doubted.otherwise.feature == Categorical()


SENTENCES = ["It was a lovely day", "We waited for an hour", "Nobody came", "Not bad at all"]


def test_sentences_are_text():
    assert decided(SENTENCES) == ("text", "text of 4 words on average, 4 values")


def test_sentences_that_mostly_repeat_are_categories():
    assert decided(SENTENCES[:2] * 3) == ("categorical", "text, 2 values")


def test_more_different_sentences_than_categories_are_text_though_they_repeat():
    values = [f"page {'one two three'} n{at}" for at in range(101)] * 3
    assert decided(values) == ("text", "text of 5 words on average, 101 values")


GENRES = ("action", "comedy", "drama", "film noir", "horror", "western")
LISTS = [*product(GENRES, GENRES, GENRES)][: MOST_CATEGORIES + 1]


@pytest.mark.parametrize("sign", ["|", "; ", ", "])
def test_lists_of_few_names_are_texts_with_an_input_for_each_word(sign):
    decision = decision_of([sign.join(names) for names in LISTS])
    assert decision.feature == Text(encoding=MultiHot())
    assert decision.reason == f"lists of 6 names, such as 'action{sign}action{sign}action'"


@pytest.mark.parametrize(
    "values",
    [
        ["|".join(names) for names in LISTS[1:]],
        [" and ".join(names) for names in LISTS],
        [f"Springfield {at}, {one}" for at, (one, *_) in enumerate(LISTS)],
        [f"{chr(ord('a') + at)}, {names[0]}" for at, names in enumerate(LISTS)],
        [f"{one}1, {other}2, {third}" for one, other, third in LISTS],
    ],
    ids=["few", "without a sign", "addresses", "names of people", "with digits"],
)
def test_other_values_with_separators_are_not_lists(values):
    assert not decision_of(values).reason.startswith("lists")


def test_two_words_are_categories():
    assert decided(["dark red", "light blue", "dark green"]) == ("categorical", "text, 3 values")


def test_sentences_of_scripts_without_spaces_are_text():
    assert decided(["今天天气很好", "我不知道"])[0] == "text"


def test_groups_of_digits_are_not_words():
    assert decided(["555 12 34", "555 98 76", "555 11 00"])[0] == "categorical"


@pytest.mark.parametrize("values", [["yes", "no"] * 2, ["y", "n"] * 2, ["t", "f"] * 2])
def test_yes_and_no_are_two_categories(values):
    assert decided(values) == ("categorical", "text, 2 values")


@pytest.mark.parametrize(
    ("values", "format"),
    [
        (["2024-12-31", "2024-01-02"], "iso"),
        (["31.12.2024", "02.01.2024"], "%d.%m.%Y"),
        (["12/31/2024", "01/02/2024"], "%m/%d/%Y"),
        (["31/12/2024", "01/02/2024"], "%d/%m/%Y"),
        (["31/12/2024 23:59", "01/02/2024 00:00"], "%d/%m/%Y %H:%M"),
    ],
)
def test_dates_are_read_in_the_only_format_that_fits_all_values(values, format):
    decision = decision_of(values)
    assert decision.feature == Datetime(format=format)
    assert decision.reason.startswith(f"dates such as {values[0]}")


def test_times_without_a_date_are_not_an_identifier():
    decision = decision_of([f"{hour:02}:{minute}" for hour in range(24) for minute in (10, 45)])
    assert decision.feature == Datetime(format="%H:%M")
    assert decision.reason == "times such as 00:10"


def test_dates_that_another_format_stores_need_no_format():
    decision = decision_of(pa.array([0, 1], pa.date32()))
    assert (decision.feature, decision.reason) == (Datetime(), "stored as dates")


def test_dates_that_can_be_read_in_two_ways_are_left_out_with_both():
    values = ["01/02/2024", "03/04/2024"]
    assert decided(values) == (
        "ignored",
        "dates, but no value shows whether the day or the month comes first; "
        'set format: "%d/%m/%Y" or format: "%m/%d/%Y"',
    )
    assert warnings_of(values)[0].startswith(
        "ignored, as day and month can't be told apart; set {type: datetime, format: ...}: 'x' ("
    )


@pytest.mark.parametrize("word", ["NA", "unknown"])
def test_dates_with_another_word_here_and_there_are_ignored_as_dates(word):
    decision = decision_of([f"2024-01-{day}" for day in range(10, 29)] + [word])
    assert decision.feature == Ignored()
    assert decision.otherwise.feature == Datetime(format="iso")
    assert decision.reason.startswith(
        f"95 % are dates such as 2024-01-10, '{word}' in 1 row is not"
    )


NUMBERS = [str(3 * at) for at in range(38)]


def test_numbers_with_a_word_are_ignored_with_a_warning():
    values = [*NUMBERS, "many", "many"]
    assert decided(values) == ("ignored", "95 % are numbers, 'many' in 2 rows is not")
    assert warnings_of(values) == [
        "ignored, because training would refuse the other values; correct them, "
        "add them to data.missing, or declare the column categorical: "
        "'x' (95 % are numbers, 'many' in 2 rows is not)"
    ]


def test_numbers_with_a_word_are_read_if_there_is_no_other_column():
    rows = make({"x": [*NUMBERS, "many", "many"], "id": list(range(40))})
    decisions = decide_types({"x": Auto(), "id": Auto()}, rows)
    assert [each.feature for each in decisions.values()] == [Numeric(), Ignored()]
    assert type_warnings(decisions) == [
        "read as numbers, so training will refuse the other values; correct them, "
        "add them to data.missing, or declare the column categorical: "
        "'x' (95 % are numbers, 'many' in 2 rows is not)"
    ]


def test_numbers_out_of_range_are_ignored_with_a_warning():
    values = [*NUMBERS, "1e39"]
    reason = "all values are numbers, but one is infinite or beyond 3.4e+38"
    assert decided(values) == ("ignored", reason)
    assert warnings_of(values)[0].endswith(f"or declare the column categorical: 'x' ({reason})")


@pytest.mark.parametrize(
    ("present", "rows", "expected"),
    [
        (7, 20, ("ignored", "7 values in 20 rows are too few")),
        (1, 20, ("ignored", "1 value in 20 rows is too few")),
        (7, 19, ("numeric", "all values are numbers")),
        (8, 20, ("numeric", "all values are numbers")),
    ],
)
def test_values_of_which_all_may_be_held_out_are_too_few(present, rows, expected):
    values = [at / 7 if at < present else None for at in range(rows)]
    assert decided(values) == expected
    assert not warnings_of(values)


def test_a_column_without_a_value_in_the_training_rows_is_ignored():
    rows = make({"x": [*range(3, 13), *[None] * 20], "z": [at / 7 for at in range(30)]})
    chosen = {"x": Auto(), "z": Auto()}
    early, late = (
        decide_types(chosen, rows, train=rows.take(np.arange(start, 30))) for start in (9, 10)
    )
    assert (late["x"].feature, late["x"].reason) == (Ignored(), "has no value in the training rows")
    assert early["x"].feature == Numeric()


def test_training_refuses_a_word_among_numbers_with_its_row():
    rows = make({"x": [*NUMBERS, "NA"]})
    feature = decide_types({"x": Auto()}, rows)["x"].feature
    with pytest.raises(DataError) as caught:
        feature.fit("x", rows, Input())
    assert str(caught.value) == (
        snapshot(
            "t.csv: row 39, column 'x': expected a finite number, got 'NA'; "
            'if it means a missing value, add "NA" to data.missing'
        )
    )


def test_mistyped_numbers_are_counted():
    values = [*NUMBERS, "1.2.3", "3O"]
    assert decided(values) == (
        "ignored",
        "95 % are numbers, '1.2.3' and 1 more value in 2 rows are not",
    )


@pytest.mark.parametrize(
    "values",
    [
        [*NUMBERS, *["x"] * 5],
        ["0", "1", "2"] * 10 + ["3+"],
    ],
    ids=["many words", "few different numbers"],
)
def test_words_are_categories_where_they_are_usual(values):
    assert decided(values)[0] == "categorical"


def test_numbers_with_a_unit_are_numbers_and_the_reason_names_it():
    prices = [f"${number}" for number in range(10, 21)]
    table = replace(make({"x": prices}), notations={"x": Notation(unit="$")})
    decision = decide_types({"x": Auto()}, table)["x"]
    assert (decision.feature, decision.reason) == (
        Numeric(),
        "all values are numbers, with the unit $",
    )
    assert decision.values.bounds == (10, 20)


def test_numbers_with_several_units_are_left_out_with_a_warning():
    values = [*(f"{number} GB" for number in range(10, 21)), "512 MB", "700 MB"]
    reason = "numbers with the units 'GB', 'MB'; convert them to one unit"
    assert decided(values) == ("ignored", reason)
    assert warnings_of(values) == [f"ignored instead of read as categories: 'x' ({reason})"]


@pytest.mark.parametrize("write", ["{} kg", "{}%", "${},200", "{} km/h", "€ {}", "-{} °C"])
def test_numbers_whose_unit_is_not_read_are_left_out(write):
    values = [write.format(number) for number in range(10, 21)]
    reason = f"numbers with a unit, such as '{values[0]}'; remove the unit"
    assert decided(values) == ("ignored", reason)


@pytest.mark.parametrize("digits", ["٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９"])
@pytest.mark.parametrize("write", ["{}", "-{}.5", "2024-01-{}"])
def test_digits_of_other_scripts_are_left_out_with_a_warning(digits, write):
    texts = [write.format(number) for number in range(10, 31)]
    values = [text.translate(str.maketrans("0123456789", digits)) for text in texts]
    reason = f"non-ASCII digits, such as '{values[0]}'; write them as 0 to 9"
    assert decided(values) == ("ignored", reason)
    assert warnings_of(values)


def test_numbers_with_fractions_are_left_out_with_a_warning():
    values = [f"{number}{fraction}" for number in range(1, 7) for fraction in ("", "½", " ¼")]
    reason = "numbers in an unsupported notation, such as '1½'; write them like -1234.5"
    assert decided(values) == ("ignored", reason)


def test_numbers_in_several_notations_are_left_out_with_a_warning():
    """As of files of which one was written in another country."""
    values = [*(f"{number}.75" for number in range(1, 12)), "4,99", "1.204,5", "-7"]
    reason = "numbers in several notations, such as '1.75' and '4,99'; write them like -1234.5"
    assert decided(values) == ("ignored", reason)
    assert warnings_of(values) == [f"ignored instead of read as categories: 'x' ({reason})"]


@pytest.mark.parametrize("other", ["1,2,3", "4,99 EUR", "5.1.2"])
def test_numbers_and_codes_are_categories(other):
    values = [*(f"{number}.75" for number in range(1, 12)), other, other, other]
    assert decided(values)[0] == "categorical"


@pytest.mark.parametrize(
    ("days", "others"),
    [
        ("2024-01-{}", "{}.02.2024"),
        ("{}/1/2024", "{}.02.2024"),
        ("2024/01/{} 12:30", "2024-02-{}T12:30"),
    ],
)
def test_dates_in_several_formats_are_left_out_with_a_warning(days, others):
    values = [written.format(day) for written in (days, others) for day in range(11, 18)]
    kind, reason = decided(values)
    shown = sorted((values[0], values[7]), key=reason.index)
    assert (kind, reason) == (
        "ignored",
        f"dates in several formats, such as '{shown[0]}', '{shown[1]}'; "
        "list the formats: {type: datetime, format: [...]}",
    )
    assert warnings_of(values) == [f"ignored instead of read as categories: 'x' ({reason})"]


@pytest.mark.parametrize("write", ["{}.2.2024", "2024.{}.1", "{}-1-86"])
def test_numbers_with_points_in_one_notation_are_not_dates_in_several_formats(write):
    values = [write.format(number) for number in range(30, 45)]
    assert decided(values)[0] == "categorical"


@pytest.mark.parametrize(
    "values",
    [
        ["36 months", "60 months"] * 10,
        [f"{number}{'ABCD'[number % 4]}" for number in range(12)],
        [f"A{number}" for number in range(12)],
        [f"10.0.0.{number}" for number in range(12)],
        [f"{number}/86" for number in range(12)],
        [f"1988{'FP'[plot % 2]}{plot}" for plot in range(12)],
    ],
    ids=["few", "many units", "letter before", "no unit", "fraction", "plots"],
)
def test_codes_of_digits_and_letters_are_categories(values):
    assert decided(values)[0] == "categorical"


def saved(folder, name, size, mode="L"):
    Pillow.new(mode, size).save(folder / name)
    return name


def test_paths_of_small_images_keep_their_size_and_gray(tmp_path):
    paths = [saved(tmp_path, f"{at}.png", (9, 8)) for at in range(3)]
    decision = decision_of(["", *paths], file=tmp_path / "t.csv")
    assert decision.feature == Image(shape=(8, 9, 1))
    assert decision.reason == snapshot("paths of PNG images, grayscale, 9 × 8 pixels")


@pytest.mark.parametrize("sizes", [((9, 8), (8, 9)), ((65, 8), (65, 8))], ids=["differ", "large"])
def test_images_that_differ_or_are_large_become_small_squares(tmp_path, sizes):
    paths = [saved(tmp_path, f"{at}.JPG", size, "RGB") for at, size in enumerate(sizes)]
    decision = decision_of(paths, file=tmp_path / "t.csv")
    assert decision.feature == Image(shape=(32, 32, 3))
    assert decision.reason == snapshot("paths of JPEG images, color, resized to 32 × 32 pixels")


def test_paths_that_lead_to_no_image_are_left_out_with_a_warning(tmp_path):
    decision = decision_of(["img/1.png", "img/2.png"], file=tmp_path / "t.csv")
    assert decision.feature == Ignored()
    assert type_warnings({"x": decision}) == [
        "ignored, although the values look like image paths: "
        "'x' (no image found at paths such as 'img/1.png'; paths are relative to the table's folder)"
    ]


def test_a_warning_names_five_columns_of_its_kind_at_most():
    kilos = [f"{number} kg" for number in range(11)]
    columns = {f"c{at}": kilos for at in range(7)}
    decisions = decide_types(
        dict.fromkeys([*columns, "x"], Auto()), make({**columns, "x": range(11)})
    )
    (warning,) = type_warnings(decisions)
    assert warning.endswith(
        "'c4' (numbers with a unit, such as '0 kg'; remove the unit), ... (7 columns)"
    )
    assert "c5" not in warning


def test_a_decision_shows_the_counts_after_it():
    values = decision_of(["a", "b", "a", ""]).values
    assert (values.present, values.missing, values.distinct) == (3, 1, 2)
    assert values.frequent == (("a", 2), ("b", 1))


def test_of_many_rows_evenly_spaced_ones_are_looked_at():
    rows = make({"x": np.arange(2 * ROWS_LOOKED_AT) / 7})
    decision = decide_types({"x": Auto()}, rows)["x"]
    assert decision.reason == snapshot("all values are numbers (from 50,000 rows)")
    assert decision.values.bounds == (0, (2 * ROWS_LOOKED_AT - 1) / 7)


@pytest.mark.parametrize(
    ("usual", "odd", "expected"), [("", "a", "categorical"), ("a", "b", "categorical")]
)
def test_a_column_is_left_out_only_if_all_of_many_rows_agree(usual, odd, expected):
    values = [usual] * (2 * ROWS_LOOKED_AT)
    values[1:17:2] = [odd] * 8  # evenly spaced, these rows are not among those looked at
    assert decided(values)[0] == expected


@pytest.mark.parametrize(
    ("write", "odd", "reason"),
    [
        ("{}.5", "few", "99 % are numbers, 'few' in 1 row is not"),
        ("{}.5", "inf", "all values are numbers, but one is infinite or beyond 3.4e+38"),
        ("{}.5", "1e39", "all values are numbers, but one is infinite or beyond 3.4e+38"),
        ("20{}-12-31", "never", "99 % are dates such as 2010-12-31, 'never' in 1 row is not"),
    ],
)
def test_a_stray_value_in_a_row_that_is_not_looked_at_is_found(write, odd, reason, monkeypatch):
    monkeypatch.setattr(column_types, "ROWS_LOOKED_AT", 50)
    values = [write.format(at % 90 + 10) for at in range(100)]
    values[1] = odd
    assert decided(values) == ("ignored", reason)


def test_true_and_false_with_another_word_in_a_row_that_is_not_looked_at_are_categories(
    monkeypatch,
):
    monkeypatch.setattr(column_types, "ROWS_LOOKED_AT", 50)
    values = ["true", "other", *["true", "false"] * 49]
    assert decided(values) == ("categorical", "text, 3 values")


def test_a_declared_type_is_kept():
    table = Table("t.csv", pa.table({"x": [1, 2]}), np.array([1, 2]))
    decision = decide_types({"x": Categorical()}, table)["x"]
    assert (decision.feature, decision.reason) == (Categorical(), "declared")


def test_it_is_an_error_if_no_column_can_be_read():
    table = Table("t.csv", pa.table({"x": ["", ""], "z": [[1], [2]]}), np.array([1, 2]))
    with pytest.raises(ConfigError) as caught:
        decide_types({"x": Auto(), "z": Auto()}, table)
    assert str(caught.value) == (
        snapshot(
            "input.features: no column can be used: 'x' (has no value), "
            "'z' (stored as list<item: int64>, which no feature type supports)"
        )
    )


def test_a_reserved_column_may_be_named_as_ignored():
    chosen = choose_features(Input(features={"a": Auto(), "y": Ignored()}), ["a", "y"], ["y"])
    assert list(chosen) == ["a"]


def test_expressions_that_are_slow_to_compile_are_not_tried_on_words(monkeypatch):
    # In a table of 10,000 columns they took two minutes.
    tried = []
    match = pc.match_substring_regex

    def recorded(texts, pattern):
        tried.append(pattern)
        return match(texts, pattern)

    monkeypatch.setattr(pc, "match_substring_regex", recorded)
    assert decided(["low", "high"] * 20) == ("categorical", "text, 2 values")
    assert tried
    assert not [pattern for pattern in tried if r"\p{L}" in pattern or "?P<day>" in pattern]


UNREAD = {
    "in two currencies": lambda x: f"(€{-x:,.2f})" if x < 0 else f"${x:,.2f}",
    "with a minus sign apart": lambda x: f"- {-x:.2f}" if x < 0 else f"{x:.2f}",
    "with codes of two currencies": lambda x: f"{'USD' if x < 0 else 'EUR'} {abs(x):,.2f}",
    "with spaces": lambda x: f"{round(abs(x) * 50 + 1000):,}".replace(",", " "),
    "with an exponent and a unit": lambda x: f"{x:.2e} kg",
}


@pytest.mark.parametrize("write", UNREAD.values(), ids=UNREAD)
@pytest.mark.parametrize("different", [60, 12])  # the texts would be IDs or categories
def test_amounts_in_a_notation_that_is_not_read_are_ignored_with_a_warning(write, different):
    values = [write((-1) ** at * (1234.5 + 7.25 * (at % different))) for at in range(60)]
    decision = decision_of(values)
    assert decision.feature.type == "ignored"
    assert "; write them like -1234.5" in decision.reason
    assert decision.warning == "ignored instead of read as categories"


@pytest.mark.parametrize(
    "write", [lambda at: f"192.168.{at}.7", lambda at: f"0{at} 123 456", lambda at: f"ABC {at}"]
)
def test_addresses_telephone_numbers_and_codes_are_not_amounts(write):
    assert decision_of([write(at % 20) for at in range(60)]).feature.type == "categorical"
