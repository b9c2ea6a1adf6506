"""Features that teach little or are not what they seem: copies, codes, odd words, outliers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.columns.column_type import Decision
from dlcli.columns.number import Numeric
from dlcli.columns.numeric_encodings import PiecewiseLinear
from dlcli.columns.scaling import Log1p
from dlcli.config.data_section import Input
from dlcli.data_checks.feature_checks import (
    find_constants,
    find_copies,
    find_identifiers,
    find_identities,
    find_long_numbers,
    find_many_missing,
    find_missing_codes,
    find_missing_words,
    find_near_constants,
    find_odd_values,
    find_outlying_dates,
    find_spellings,
    find_wide_ranges,
    find_zeros,
)
from dlcli.data_checks.sample import draw_sample

X = np.random.default_rng(5).normal(size=1000)
AGES = list(range(20, 70)) * 2


def decisions_of(some):
    return {name: column.decision for name, column in some.columns.items()}


def columns_of(found):
    return found.columns if found else ()


def identifiers(some, explained=()):
    return find_identifiers(find_identities(some, some.whole), dict(explained))


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
    found = identifiers(sample({"x": X[:100], name: values}, **{name: kind}))
    assert (columns_of(found), found.severity) == ((name,), "warning")


@pytest.mark.parametrize("values", [X[:100], np.arange(100) * 7, np.arange(100) % 99])
def test_measurements_and_repeated_values_are_no_identifiers(values, sample):
    assert identifiers(sample({"x": X[:100], "z": values})) is None


def test_an_identifier_is_recognized_by_all_rows_of_the_table(sample, table):
    columns = {"x": X[:100], "place": range(100)}
    whole, some = table(columns), sample({name: list(columns[name])[::3] for name in columns})
    [name] = find_identities(some, whole)
    assert name == "place"


def test_a_row_index_of_sorted_rows_is_said_to_spoil_the_metrics():
    found = find_identifiers({"n": "a row index", "m": "an identifier"}, {"n": 0.9876, "m": 0.2})
    assert found.message == (
        snapshot(
            "ID-like features (row numbers or unique keys): 'n' (a row index; it alone predicts "
            "the target with 98 % less error than a constant prediction), 'm' (an identifier)"
        )
    )
    assert found.advice == (
        "they do not help to predict new rows, and metrics are too optimistic because the rows are "
        "sorted by the target: declare them ignored in input.features"
    )


def test_an_ignored_identifier_is_not_mentioned(sample):
    assert identifiers(sample({"x": X[:50], "id": range(50)}, id="ignored")) is None


def test_a_constant_is_shown_with_its_value(sample):
    found = find_constants(sample({"x": [1, 2], "z": [5, 5]}, x="numeric", z="numeric"))
    assert (found.message, found.severity) == ("the same value in all rows: 'z' ('5')", "note")


def test_a_constant_of_zeros_with_and_without_a_sign_is_zero(sample):
    found = find_constants(sample({"x": [1.0, 2.0], "z": [-0.0, 0.0]}, x="numeric", z="numeric"))
    assert found.message == snapshot("the same value in all rows: 'z' ('0')")


def test_a_value_with_missing_values_is_no_constant(sample):
    assert find_constants(sample({"x": [5, None]}, x="numeric")) is None


@pytest.mark.parametrize(("others", "is_found"), [(4, True), (5, False)])
def test_more_than_995_rows_in_a_thousand_are_nearly_constant(others, is_found, sample):
    found = find_near_constants(sample({"x": X, "z": ["b"] * others + ["a"] * (1000 - others)}))
    assert (found is not None) == is_found
    assert not is_found or found.message == (
        "the same value in nearly all rows: 'z' ('a' in all but 4)"
    )


@pytest.mark.parametrize(("missing", "expected"), [(4, ()), (5, ("z",))])
def test_missing_values_in_half_of_the_rows_are_many(missing, expected, sample):
    z = [None] * missing + [1.5] * (10 - missing)
    assert columns_of(find_many_missing(sample({"x": X[:10], "z": z}))) == expected


def test_copies_are_found_and_those_of_other_values_are_called_one_to_one(sample):
    level = np.array(["low", "mid", "high"])[np.arange(30) % 3]
    found = find_copies(
        sample({"x": X[:30], "x2": X[:30], "level": level, "code": np.arange(30) % 3 * 10.0})
    )
    assert (found.columns, found.severity) == (("x2", "code"), "note")
    assert found.message == (
        snapshot(
            "columns that repeat another: 'x2' (the same values as 'x'), "
            "'code' (other values, one-to-one with 'level')"
        )
    )


@pytest.mark.parametrize(
    "other",
    [X[30:60], np.where(np.arange(30) == 3, 0, X[:30]), [None, *X[1:30]], X[29::-1]],
    ids=["all different", "one value", "a gap", "another order"],
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


@pytest.mark.parametrize("code", [-999, -1, 999, 99999])
def test_a_number_far_from_all_others_and_repeated_is_a_code(code, sample):
    found = find_missing_codes(sample({"age": [*AGES, *[code] * 5]}))
    assert (found.columns, found.rows, found.severity) == (("age",), 5, "warning")
    assert f"'age' ({code} in 5 rows)" in found.message
    assert f'data.missing: {{"age": ["{code}"]}}' in found.advice


def test_a_code_is_named_as_the_column_writes_it_after_the_words_so_far(sample):
    some = sample({"t": [*(f"{at}.25" for at in range(20, 60)), *["-99.00"] * 5, "gone"]})
    declared = replace(some.table, missing_words={"t": ("gone",)})
    found = find_missing_codes(draw_sample(declared, decisions_of(some), None))
    assert found.advice.endswith('data.missing: {"t": ["gone", "-99.00"]}')


@pytest.mark.parametrize(("code", "is_found"), [(-9, True), (-999, True), (-998, False)])
def test_a_usual_code_need_not_be_far_if_no_other_number_is_negative(code, is_found, sample):
    found = find_missing_codes(sample({"income": [*range(100, 2000, 19), *[code] * 5]}))
    assert (found is not None) == is_found


@pytest.mark.parametrize(
    "values",
    [
        [*AGES, *[-999] * 4],
        [*AGES, *[100] * 9],
        [*range(-30, 30)] * 9,
        [*range(-9, 70)] * 9,
        [-1, 0, 1] * 99,
        [0, 1000] * 50,
        [*AGES, *[0] * 9],
    ],
    ids=[
        "too few",
        "not far",
        "minus one among others",
        "minus nine among others",
        "signs",
        "two values",
        "zero",
    ],
)
def test_other_numbers_are_no_codes(values, sample):
    assert find_missing_codes(sample({"x": values})) is None


def test_a_zero_far_below_all_measurements_is_noted(sample):
    found = find_zeros(sample({"age": [*AGES, *[0] * 5]}))
    assert (found.columns, found.severity) == (("age",), "note")


def test_a_single_zero_is_noted_if_it_is_not_the_end_of_a_tail(sample):
    latitudes, tail = np.linspace(40, 43, 60), np.geomspace(2, 200, 60)
    found = find_zeros(sample({"latitude": [*latitudes, 0.0], "price": [*tail, 0.0]}))
    assert found.columns == ("latitude",)


@pytest.mark.parametrize(
    "values", [[*range(30)] * 2, [0] * 99 + [x / 10 for x in range(1, 99)]], ids=["counts", "rain"]
)
def test_a_zero_that_other_values_come_near_is_an_amount(values, sample):
    assert find_zeros(sample({"x": values})) is None


def test_categories_named_like_missing_values_are_noted(sample):
    found = find_missing_words(sample({"town": ["Rome", "?", "Unknown", "none", "N.D."] * 9}))
    assert found.message == (snapshot("categories that may be missing values: 'town' (?, Unknown)"))
    assert found.advice.endswith('data.missing: {"town": ["?", "Unknown"]}')


def test_words_that_are_missing_already_are_named_again(sample):
    some = sample({"town": ["Rome", "Bonn", "?", "NA"] * 9})
    declared = replace(some.table, missing_words={"town": ("NA",)})
    found = find_missing_words(draw_sample(declared, decisions_of(some), None))
    assert found.advice.endswith('data.missing: {"town": ["NA", "?"]}')


def test_classes_named_like_missing_values_are_noted(sample):
    found = find_missing_words(sample({"x": [1.5, 2, 4] * 9, "y": ["a", "b", "NA"] * 9}, "y"))
    assert found.message == snapshot("categories that may be missing values: 'y' (NA)")


def test_the_one_word_among_many_numbers_or_dates_is_noted(sample):
    texts = [*map(str, range(16)), *["chybí"] * 4]
    days = [*(f"2024-01-{day:02}" for day in range(1, 17)), *["chybí"] * 4]
    others = {"few": ["1", "2", "3", "many"] * 5, "code": [f"A{at}" for at in range(19)] + ["B"]}
    found = find_missing_words(sample({"x": texts, "day": days, **others}))
    assert found.message == snapshot(
        "categories that may be missing values: 'x' (chybí), 'day' (chybí)"
    )
    assert found.advice.endswith('data.missing: {"x": ["chybí"], "day": ["chybí"]}')


def test_a_word_among_numbers_is_shown_with_its_row(sample):
    found = find_odd_values(sample({"x": [*map(str, range(16)), "many", "17", "18"]}))
    assert (found.rows, found.severity) == (1, "warning")
    assert "'x' ('many' in row 17)" in found.message


def test_a_mistyped_number_is_to_be_corrected(sample):
    found = find_odd_values(sample({"x": [*map(str, range(30)), "1.2.3", "3O"]}))
    assert "'x' ('1.2.3' in row 31 and 1 row more)" in found.message
    assert found.advice.startswith("correct them")


@pytest.mark.parametrize(
    ("values", "types"),
    [
        (["1", "2", "x"] * 9, {}),
        ([*map(str, range(30)), "x"], {"x": "categorical"}),
        ([*map(str, range(30))], {"x": "categorical"}),
    ],
    ids=["many words", "declared", "none"],
)
def test_no_word_is_odd_in_a_column_of_words_or_a_declared_one(values, types, sample):
    assert find_odd_values(sample({"x": values}, **types)) is None


@pytest.mark.parametrize("day", ["1900-01-01", "9999-12-31"])
def test_a_date_far_from_all_others_is_found(day, sample):
    days = [f"2024-0{month}-1{day}" for month in range(1, 4) for day in range(9)]
    found = find_outlying_dates(sample({"hired": [*days, day, day]}, hired="categorical"))
    assert found.message == f"dates far from all others: 'hired' ({day} in 2 rows)"


def test_dates_are_read_as_they_are_written(sample):
    days = [f"1{day}.0{month}.2024" for month in range(1, 4) for day in range(9)]
    found = find_outlying_dates(sample({"hired": [*days, "31.12.9999"]}))
    assert found.message == snapshot("dates far from all others: 'hired' (31.12.9999 in 1 row)")


def test_dates_near_each_other_and_other_words_are_not(sample):
    days = [f"2024-0{month}-1{day}" for month in range(1, 4) for day in range(9)]
    columns = {"hired": [*days, "2024-05-01"], "name": [f"n{i}" for i in range(28)]}
    assert find_outlying_dates(sample(columns, hired="categorical", name="categorical")) is None


def test_a_value_forty_deviations_out_is_a_warning_and_log_is_offered(sample):
    found = find_wide_ranges(sample({"x": [*range(20)] * 100 + [5000]}), Input())
    # Mean 11.99 and deviation 111.7: 5000 lies 44.65 deviations away.
    assert "'x' (5,000: 45 deviations)" in found.message
    assert found.severity == "warning"
    assert "scaling: log1p" in found.advice


def test_a_negative_number_has_no_logarithm(sample):
    found = find_wide_ranges(sample({"x": [*range(-10, 10)] * 10 + [5000]}), Input())
    assert found.severity == "note"  # 14 deviations
    assert "scaling: robust or quantile" in found.advice


def test_a_logarithm_does_not_bring_a_number_far_below_the_others_nearer(sample):
    latitudes = [8.856, *(48.8 + at / 1000 for at in range(300))]
    found = find_wide_ranges(sample({"latitude": latitudes}), Input())
    # Mean 48.816 and deviation 2.309: 8.856 lies 17.3 deviations below.
    assert "'latitude' (8.856: 17 deviations)" in found.message
    assert "scaling: robust or quantile" in found.advice


@pytest.mark.parametrize("values", [[*range(100)] * 9, [0] * 999 + [1]], ids=["even", "a flag"])
def test_an_even_range_or_a_flag_is_not_wide(values, sample):
    assert find_wide_ranges(sample({"x": values}), Input()) is None


@pytest.mark.parametrize("settings", [{"scaling": Log1p()}, {"encoding": PiecewiseLinear()}])
def test_a_setting_that_shortens_tails_is_enough(settings, sample, table):
    values = [*range(20)] * 100 + [5000]
    assert find_wide_ranges(sample({"x": values}), Input(**settings)) is None
    declared = {"x": Decision(Numeric(**settings), "declared")}
    own = draw_sample(table({"x": values}), declared, None)
    assert find_wide_ranges(own, Input()) is None


def test_spellings_of_one_word_are_found_in_features_and_target(sample):
    columns = {"sex": ["male", "Male", "female"] * 2, "y": ["very good", "Very Good", "bad"] * 2}
    found = find_spellings(sample(columns, "y"))
    assert found.columns == ("sex", "y")
    assert "'sex' ('male', 'Male'), 'y' (" in found.message


def test_different_words_are_no_spellings(sample):
    assert find_spellings(sample({"sex": ["male", "female", "mail"]})) is None


@pytest.mark.parametrize(
    ("values", "example"),
    [
        ([str(10**29 + at % 9) for at in range(30)], "100000000000000000000000000000"),
        ([2**53 - 1, 2**53 + 1] * 15, "9007199254740993"),
        ([f"-{2**53 + 1}", "5"] * 15, "-9007199254740993"),
    ],
)
def test_whole_numbers_that_are_rounded_are_found(values, example, sample):
    found = find_long_numbers(sample({"code": values}, code="numeric"))
    assert found.message == (
        f"whole numbers with too many digits to be read exactly: 'code' ('{example}')"
    )
    assert found.advice == "if they are identifiers, declare them ignored or categorical"
    assert found.severity == "warning"


@pytest.mark.parametrize(
    "values",
    [
        ["9007199254740992", "1"] * 15,
        ["1e29", "2e29", "1.5e29"] * 10,
        ["9007199254740993.5", "1"] * 15,
        ["100000000000000000000", "1"] * 15,
        [1e29, 2e29, 3.7e29] * 10,
    ],
)
def test_amounts_may_be_large(values, sample):
    assert find_long_numbers(sample({"code": values}, code="numeric")) is None


def test_a_category_of_many_digits_is_not_checked(sample):
    values = [str(10**29 + at % 9) for at in range(30)]
    assert find_long_numbers(sample({"code": values}, code="categorical")) is None
