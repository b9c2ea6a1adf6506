"""Outputs as people read them: columns for each kind of target, and their scores."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.scaling import LinearScaling
from dlcli.config.training_choices import Hinge, Poisson
from dlcli.errors import UsageError
from dlcli.metrics.definitions import metric_values, statistics_of
from dlcli.metrics.metric import LabelRows, PairRows
from dlcli.prediction.prediction_tables import convert_columns, write_rows
from dlcli.prediction.predictions import ClassSets, Intervals, Predictions
from dlcli.tables.table import Table
from dlcli.tasks.classification import Multilabel, classification
from dlcli.tasks.regression import Regression


def classes(*names, stored="text"):
    return classification("y", names, stored)


def labels(*names, stored="integer"):
    return Multilabel(columns=names, labels=names, stored=stored)


MARGIN = classes("no", "yes").for_loss(Hinge())
TAGS = Multilabel(columns=("tags",), labels=("a", "b", "c"), delimiter="|")


def numbers(*columns, name="none", offset=0.0, scale=1.0):
    scaling = LinearScaling(name=name, offset=offset, scale=scale)
    return Regression(columns=columns, scalings=(scaling,) * len(columns))


def predictions(target, outputs):
    return Predictions(target, np.array(outputs, np.float32))


def measured(found, table, weights):
    return found.task.metrics(found.with_truth(table, weights))


def columns(target, outputs):
    found = predictions(target, outputs).columns()
    return {name: values.to_pylist() for name, values in found.items()}


def rows(**data):
    table = pa.table(data)
    return Table("t.csv", table, np.arange(1, table.num_rows + 1))


def test_a_number_is_given_in_the_targets_own_unit():
    target = numbers("y", name="standard", offset=30.0, scale=4.0)
    assert columns(target, [[0], [-0.5]]) == {"prediction": [30, 28]}


def test_a_logarithmic_number_is_given_in_the_targets_own_unit():
    target = numbers("y", name="log1p", offset=1.0, scale=2.0)
    (values,) = columns(target, [[0], [1]]).values()
    assert values == pytest.approx([np.exp(1) - 1, np.exp(3) - 1])


def test_several_numbers_have_a_column_each():
    expected = {"prediction_u": [1, 3], "prediction_v": [2, 4]}
    assert columns(numbers("u", "v"), [[1, 2], [3, 4]]) == expected


def test_two_classes_by_one_probability():
    assert columns(classes("no", "yes"), [[0.25], [0.75]]) == {
        "prediction": ["no", "yes"],
        "probability_no": [0.75, 0.25],
        "probability_yes": [0.25, 0.75],
    }


def test_two_classes_by_two_probabilities_read_the_same():
    one = columns(classes("no", "yes"), [[0.25], [0.75]])
    assert columns(classes("no", "yes"), [[0.75, 0.25], [0.25, 0.75]]) == one


def test_an_even_chance_is_the_first_class():
    assert columns(classes("no", "yes"), [[0.5]])["prediction"] == ["no"]
    assert columns(classes("a", "b", "c"), [[0.25, 0.375, 0.375]])["prediction"] == ["b"]


def test_several_classes_have_a_probability_each():
    assert columns(classes("a", "b", "c"), [[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]) == {
        "prediction": ["a", "c"],
        "probability_a": [0.5, 0.125],
        "probability_b": [0.25, 0.125],
        "probability_c": [0.25, 0.75],
    }


def test_a_margin_is_given_as_it_is_and_above_0_means_the_second_class():
    assert columns(MARGIN, [[-2], [0], [0.25]]) == {
        "prediction": ["no", "no", "yes"],
        "margin": [-2, 0, 0.25],
    }


def test_the_probabilities_of_a_row_sum_to_1():
    positive = np.random.default_rng(0).uniform(size=(1000, 1)).astype(np.float32)
    found = Predictions(classes("no", "yes"), positive).probabilities
    assert found is not None
    np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), 1, rtol=1e-7)


@pytest.mark.parametrize(
    ("target", "storage", "values"),
    [
        (classes("no", "yes"), pa.string(), ["no", "yes"]),
        (classes("-1", "10", stored="integer"), pa.int64(), [-1, 10]),
        (classes("false", "true", stored="boolean"), pa.bool_(), [False, True]),
    ],
    ids=["text", "integer", "boolean"],
)
def test_classes_come_back_as_the_table_stores_them(target, storage, values):
    column = predictions(target, [[0.25], [0.75]]).columns()["prediction"]
    assert column.type == storage
    assert column.to_pylist() == values


def test_without_rows_there_are_empty_columns_of_the_same_types():
    found = predictions(classes("0", "1", stored="integer"), np.zeros((0, 1))).columns()
    assert {name: (len(values), values.type) for name, values in found.items()} == {
        "prediction": (0, pa.int64()),
        "probability_0": (0, pa.float64()),
        "probability_1": (0, pa.float64()),
    }


TRUTH = rows(y=["yes", "no", "yes", "no"])
POSITIVE = np.array([0.75, 0.625, 0.25, 0.125])
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes_are_scored_by_the_probability_of_the_second(outputs, weights):
    both = np.stack([1 - POSITIVE, POSITIVE], axis=1)
    found = measured(predictions(classes("no", "yes"), both[:, 2 - outputs :]), TRUTH, weights)
    assert found == metric_values(
        statistics_of(PairRows.of(np.array([1, 0, 1, 0]), POSITIVE, weights))
    )


def test_one_class_more_is_scored_by_all_probabilities():
    table = rows(y=["c", "a", "b"])
    outputs = [[0.25, 0.25, 0.5], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]
    scores = measured(predictions(classes("a", "b", "c"), outputs), table, None)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["confusion"] == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_a_margin_has_no_log_loss():
    scores = measured(predictions(MARGIN, [[1], [-1], [2], [1]]), TRUTH, None)
    assert scores["accuracy"] == 0.75
    assert "log_loss" not in scores


@pytest.mark.parametrize("rounding", [0, np.finfo(np.float32).epsneg])
def test_scores_count_the_class_that_was_predicted_even_by_the_last_bit(rounding):
    # A softmax may give 0.5 and a bit less than 0.5: neither sums to 1 nor is above one half.
    found = predictions(classes("no", "yes"), [[0.5 - rounding, 0.5]])
    predicted = found.columns()["prediction"].to_pylist()
    assert measured(found, rows(y=predicted), None)["accuracy"] == 1


def test_numbers_are_scored_in_their_own_unit():
    target = numbers("y", name="standard", offset=10.0, scale=2.0)
    scores = measured(predictions(target, [[0], [1]]), rows(y=[11.0, 15.0]), None)
    assert scores["mae"] == 2  # predicted 10 and 12
    assert scores["mse"] == 5


def test_row_weights_reach_the_scores_of_numbers():
    scores = measured(
        predictions(numbers("y"), [[0], [0]]), rows(y=[1.0, 5.0]), np.array([3.0, 1.0])
    )
    assert scores["mae"] == 2


def test_the_truth_is_given_in_the_types_of_the_predictions():
    of_text = rows(y=["2.5", "7"])
    assert predictions(numbers("y"), [[0.0], [0.0]]).truth(of_text)["target"].to_pylist() == [
        2.5,
        7,
    ]
    codes = predictions(classes("0", "1", stored="integer"), [[0.9], [0.1]])
    assert codes.truth(rows(y=["1", "0"]))["target"].to_pylist() == [1, 0]


def test_several_true_numbers_have_columns_of_their_own():
    several = predictions(numbers("row", "split"), [[0.0, 0.0]])
    found = several.truth(rows(row=["3"], split=["4"]))
    assert {name: values.to_pylist() for name, values in found.items()} == {
        "target_row": [3.0],
        "target_split": [4.0],
    }


def test_labels_in_columns_have_a_prediction_and_a_probability_each():
    assert columns(labels("fog", "rain"), [[0.25, 0.75], [0.5, 0.625]]) == {
        "prediction_fog": [0, 0],
        "prediction_rain": [1, 1],
        "probability_fog": [0.25, 0.5],
        "probability_rain": [0.75, 0.625],
    }


@pytest.mark.parametrize(
    ("stored", "storage", "values"),
    [("integer", pa.int64(), [0, 1]), ("boolean", pa.bool_(), [False, True])],
)
def test_labels_come_back_as_the_table_stores_them(stored, storage, values):
    found = predictions(labels("a", "b", stored=stored), [[0.25, 0.0], [0.75, 0.0]])
    column = found.columns()["prediction_a"]
    assert (column.type, column.to_pylist()) == (storage, values)
    truth = found.truth(rows(a=["0", "1"], b=[1, 1]))["target_a"]
    assert (truth.type, truth.to_pylist()) == (storage, values)


def test_labels_in_one_column_are_predicted_in_one_column():
    outputs = [[0.75, 0.25, 0.875], [0.25, 0.25, 0.25], [0.0, 0.625, 0.0]]
    assert columns(TAGS, outputs) == {
        "prediction": ["a|c", "", "b"],
        "probability_a": [0.75, 0.25, 0.0],
        "probability_b": [0.25, 0.25, 0.625],
        "probability_c": [0.875, 0.25, 0.0],
    }


def test_true_labels_in_one_column_are_written_in_the_order_of_the_predicted_ones():
    truth = predictions(TAGS, np.zeros((3, 3))).truth(rows(tags=["c|a", None, "b| b"]))
    assert {name: values.to_pylist() for name, values in truth.items()} == {
        "target": ["a|c", "", "b"]
    }


def test_without_rows_labels_in_one_column_have_empty_columns():
    found = predictions(TAGS, np.zeros((0, 3))).columns()
    assert (len(found["prediction"]), found["prediction"].type) == (0, pa.string())


@pytest.mark.parametrize("weights", [None, np.array([1.0, 3.0])], ids=["plain", "weighted"])
def test_labels_are_scored_with_their_names(weights):
    outputs = np.array([[0.75, 0.25], [0.625, 0.875]])
    found = measured(predictions(labels("u", "v"), outputs), rows(u=[1, 0], v=[0, 1]), weights)
    marks = np.array([[1, 0], [0, 1]])
    by_label = {
        name: metric_values(statistics_of(PairRows.of(marks[:, at], outputs[:, at], weights)))
        for at, name in enumerate("uv")
    }
    expected = metric_values(statistics_of(LabelRows.of(marks, outputs, weights)))
    assert found == {**expected, "by_label": by_label}


def test_several_numbers_are_also_scored_by_column_in_their_own_units():
    target = numbers("u", "v", name="standard", offset=10.0, scale=2.0)
    scores = measured(predictions(target, [[0, 0], [1, 1]]), rows(u=[11, 15], v=[10, 12]), None)
    assert scores["mae"] == 1
    assert {name: part["mae"] for name, part in scores["by_column"].items()} == {"u": 2, "v": 0}


def test_one_number_has_no_scores_by_column_and_no_deviance():
    scores = measured(predictions(numbers("y"), [[1.0]]), rows(y=[1.0]), None)
    assert not {"by_column", "poisson_deviance"} & set(scores)


def test_means_of_counts_are_scored_by_their_deviance():
    found = predictions(numbers("y").for_loss(Poisson()), [[1.0], [3.0]])
    scores = measured(found, rows(y=[0, 3]), None)
    assert scores["poisson_deviance"] == 1  # 2 (0 - 0 + 1) and 0


@pytest.mark.parametrize(
    ("target", "outputs"),
    [
        (numbers("y", name="standard", offset=30.0, scale=4.0), [[0.1], [np.nan]]),
        (numbers("u", "v"), [[1, 2], [3, np.inf]]),
        (classes("no", "yes"), [[0.1], [0.75]]),
        (classes("0", "1", stored="integer"), [[0.1], [0.75]]),
        (classes("false", "true", stored="boolean"), [[0.1], [0.75]]),
        (MARGIN, [[-0.1], [0.75]]),
        (classes("a", "b", "c"), [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]),
        (labels("u", "v"), [[0.1, 0.9], [0.8, 0.2]]),
        (labels("u", "v", stored="boolean"), [[0.1, 0.9], [0.8, 0.2]]),
        (TAGS, [[0.1, 0.9, 0.8], [0.2, 0.2, 0.2]]),
    ],
)
def test_lists_are_what_json_lines_have(target, outputs):
    found = predictions(target, outputs)
    if target.outcome == "classes":
        sets = ClassSets(target, np.ones((2, target.width), np.bool_))
        found = replace(found, regions=sets)
    elif target.outcome == "numbers":
        ends = np.stack([found.decoded - 1, found.decoded + 1], axis=2)
        found = replace(found, regions=Intervals(target, ends))
    stream = io.BytesIO()
    write_rows(pa.table(found.columns(as_computed=True)), "jsonl", stream)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]

    lists = found.lists()

    assert [
        dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)
    ] == lines
    assert [*lists] == [*lines[0]]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_nested_values_are_refused_with_a_way_out_that_rejected_rows_have_too(form):
    with pytest.raises(UsageError, match="holds list.*; write Parquet instead, to a file that"):
        write_rows(pa.table({"x": [[1], [2]]}), form, io.BytesIO())


def test_a_lack_of_memory_is_not_reported_as_a_type_that_a_file_cannot_hold():
    with pytest.raises(MemoryError):
        convert_columns(
            pa.table({"x": [1]}), Mock(side_effect=pa.ArrowMemoryError("malloc")), "csv"
        )
