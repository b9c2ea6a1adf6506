"""Categories to inputs of 0 and 1: which have one of their own, and what all others get."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot
from one_column import encode
from pydantic import ValidationError

from dlcli.columns.category import Categorical, MostFrequentCategory
from dlcli.columns.column_type import ErrorIfMissing
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.errors import DataError
from dlcli.tables.table import Table


def rows(values):
    data = pa.table({"x": pa.array(values, pa.string()) if None in values else values})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def fit(values, **parameters):
    return Categorical(**parameters).fit("x", rows(values), Input())


def inputs(encoder, values):
    return encode(encoder, rows(values)).tolist()


def note(encoder, values):
    problems = ValueProblems()
    encode(encoder, rows(values), problems)
    return next(map(str, problems.notes()), None)


def test_each_category_has_an_input_in_the_order_of_letters():
    encoder = fit(["red", "blue", "red"])
    assert encoder.inputs == ("x = blue", "x = red")
    assert inputs(encoder, ["red", "blue"]) == [[0, 1], [1, 0]]


def test_numbers_can_be_categories_and_3_0_is_3():
    encoder = fit([3, 10])
    assert encoder.inputs == ("x = 10", "x = 3")
    assert inputs(encoder, [3.0]) == inputs(encoder, ["3"]) == [[0, 1]]


def test_values_rarer_than_min_count_share_an_input():
    encoder = fit(["a", "a", "b", "b", "c", "d"], min_count=2)
    assert encoder.inputs == ("x = a", "x = b", "x is another")
    assert inputs(encoder, ["c", "d", "a"]) == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]


def test_max_categories_keeps_the_most_frequent_and_of_equals_the_first_by_letters():
    encoder = fit(["d", "c", "c", "b", "a"], max_categories=2)
    assert encoder.inputs == ("x = a", "x = c", "x is another")


def test_without_rare_values_there_is_no_input_for_others():
    assert fit(["a", "b"], max_categories=2).inputs == ("x = a", "x = b")


def test_min_count_above_every_count_is_an_error():
    with pytest.raises(
        DataError, match="no value occurs in at least 3 training rows; lower min_count"
    ):
        fit(["a", "a", "b"], min_count=3)


def test_an_unseen_value_sets_the_input_for_others_and_is_reported():
    encoder = fit(["a", "a", "b"], min_count=2)
    assert inputs(encoder, ["zebra"]) == [[0, 1]]
    assert note(encoder, ["a", "zebra"]) == (
        "column 'x': 1 row with a rare or unknown category ('zebra'): "
        "encoded as 'other', like 33.3 % of the training rows"
    )


def test_without_an_input_for_others_an_unseen_value_sets_none_and_is_reported():
    encoder = fit(["a", "b"])
    assert inputs(encoder, ["p", "a"]) == [[0, 0], [1, 0]]
    assert note(encoder, ["p", "q", "r", "s", "p", "a"]) == (
        "column 'x': 5 rows with an unknown category ('p', 'q', 'r', ...): encoded as zeros"
    )


def test_an_unseen_value_in_another_spelling_is_named_with_its_category():
    encoder = fit(["Male", "Female", "not known"])
    unseen = "with an unknown category"
    assert note(encoder, ["male", "x", "Female"]) == (
        f"column 'x': 2 rows {unseen} ('male', 'x'): encoded as zeros; training rows have 'Male' "
        "instead of 'male'"
    )
    assert note(encoder, [" Not  known"]).endswith("have 'not known' instead of 'Not  known'")
    assert note(encoder, ["mal"]).endswith("encoded as zeros")


def test_there_is_nothing_to_tell_of_known_values():
    assert note(fit(["a", "b", None]), ["b", "a", None]) is None


def test_an_unseen_value_can_be_an_error():
    with pytest.raises(DataError) as caught:
        note(fit(["a", "b"], unseen="error"), ["a", "c"])
    assert str(caught.value) == (
        snapshot("t.csv: row 2, column 'x': expected a category of the training rows, got 'c'")
    )


def test_forbidding_unseen_values_leaves_no_place_for_those_beyond_max_categories():
    with pytest.raises(DataError, match="has 3 values, but .*; raise max_categories"):
        fit(["a", "b", "c"], unseen="error", max_categories=2)


def test_a_missing_value_is_a_category_of_its_own_if_training_rows_had_one():
    encoder = fit(["a", "b", None])
    assert encoder.inputs == ("x = a", "x = b", "x is missing")
    assert inputs(encoder, [None, "b"]) == [[0, 0, 1], [0, 1, 0]]


def test_the_input_for_missing_values_stands_after_the_one_for_others():
    encoder = fit(["a", "a", "b", None], min_count=2)
    assert encoder.inputs == ("x = a", "x is another", "x is missing")
    assert inputs(encoder, [None, "b", "z"]) == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_a_first_missing_value_at_prediction_is_an_unseen_value():
    assert inputs(fit(["a", "b"]), [None]) == [[0, 0]]
    assert inputs(fit(["a", "a", "b"], min_count=2), [None]) == [[0, 1]]
    with pytest.raises(
        DataError, match="row 1, column 'x': is missing, although no training row is"
    ):
        inputs(fit(["a", "b"], unseen="error"), [None])


def test_a_missing_value_that_training_rows_had_is_seen():
    assert inputs(fit(["a", None], unseen="error"), [None]) == [[0, 1]]


def test_a_missing_value_can_get_the_most_frequent_category():
    encoder = fit(["b", "a", "b", None], missing=MostFrequentCategory())
    assert encoder.inputs == ("x = a", "x = b")
    assert inputs(encoder, [None, "a"]) == [[0, 1], [1, 0]]


@pytest.mark.parametrize("when", ["training", "prediction"])
def test_a_missing_value_can_be_forbidden(when):
    training = ["a", None] if when == "training" else ["a", "b"]
    encoder = fit(training, missing=ErrorIfMissing())
    with pytest.raises(DataError) as caught:
        inputs(encoder, ["a", None])
    assert str(caught.value) == (
        snapshot("t.csv: row 2, column 'x': is empty; 'missing: error' forbids it")
    )


def test_a_column_without_a_value_says_how_to_leave_it_out():
    with pytest.raises(DataError, match="has no value in the training rows; declare it 'ignored'"):
        fit([None, None])


# Categories with an order.


SIZES = ("S", "M", "L", "XL")


def test_an_ordered_category_sets_its_input_and_those_of_lower_ones():
    encoder = fit(["L", "S", "M"], order=SIZES)
    assert encoder.inputs == ("x >= M", "x >= L", "x >= XL")
    values = ["S", "M", "L", "XL"]
    assert inputs(encoder, values) == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_integers_and_booleans_of_an_order_are_read_as_in_tables():
    assert Categorical(order=(2, 10, True)).order == ("2", "10", "true")
    assert inputs(fit([2, 10, 2], order=(2, 10)), [10.0, 2]) == [[1], [0]]


def test_an_unseen_value_becomes_the_median_category_and_is_reported():
    encoder = fit(["S", "L", "L", "XL"], order=SIZES)  # of four values, the second is the median
    assert inputs(encoder, ["XXL"]) == [[1, 1, 0]]
    assert note(encoder, ["XXL"]) == snapshot(
        "column 'x': 1 row with an unknown category ('XXL'): encoded as the median category of the training rows"
    )


def test_a_missing_value_becomes_the_median_category_with_an_indicator():
    encoder = fit(["S", "M", None, "XL"], order=SIZES)
    assert encoder.inputs == ("x >= M", "x >= L", "x >= XL", "x is missing")
    assert inputs(encoder, [None, "M"]) == [[1, 0, 0, 1], [1, 0, 0, 0]]
    encoder = fit(["S", "S", "M", None, "XL"], order=SIZES, missing=MostFrequentCategory())
    assert inputs(encoder, [None]) == [[0, 0, 0]]


def test_a_value_that_the_order_lacks_is_an_error():
    with pytest.raises(DataError) as caught:
        fit(["S", "XS"], order=SIZES)
    assert str(caught.value) == snapshot(
        "t.csv: column 'x': the value 'XS' is not in 'order', which must list all values"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": ("S", "M", "S")}, snapshot("has 'S' twice")),
        (
            {"order": ("S",)},
            snapshot(
                'expected a list of two or more categories, from lowest to highest, got ["S"]'
            ),
        ),
        (
            {"order": SIZES, "encoding": "embedding"},
            snapshot("has no effect with order, which lists the categories; omit one of them"),
        ),
        (
            {"order": SIZES, "max_categories": 3},
            snapshot("has no effect with order, which lists the categories; omit one of them"),
        ),
    ],
)
def test_what_contradicts_an_order_is_refused(settings, message):
    with pytest.raises(ValidationError) as caught:
        Categorical(**settings)
    assert caught.value.errors()[0]["msg"] == message
