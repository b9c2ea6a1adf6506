"""Errors of predictions, by row and over all, and the held-out rows with the largest."""

from dataclasses import replace

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.explanation.prediction_analysis import read_true_values, target_units, worst_rows
from dlcli.metrics.definitions import statistics_of
from dlcli.metrics.metric import ClassRows, LabelRows, NumberRows, PairRows
from dlcli.prediction.predictions import Predictions


def scored(made, outputs):
    """The truth of a case's rows, and predictions that are given."""
    target = made.predictor.task
    truth = read_true_values(target, [made.table], target_units(target, made.table))
    return truth, Predictions(target, np.array(outputs, np.float32))


X = {"x": [1.0, 2.0, 3.0]}
WEIGHTS = np.array([1.0, 2.0, 1.0])


def test_of_a_number_it_is_the_difference():
    truth, predictions = scored(case(rows_of(**X, y=[1.0, 2.5, 3.0]), **UNSCALED), [[1], [2], [5]])
    assert truth.row_errors(predictions).tolist() == [0, 0.5, 2]
    error = truth.error(predictions, WEIGHTS)
    assert error == pytest.approx(((2 * 0.25 + 4) / 4) ** 0.5)
    columns = np.array([[1], [2.5], [3]]), np.array([[1], [2], [5]])
    assert error == pytest.approx(statistics_of(NumberRows.of(*columns, WEIGHTS))["rmse"].value)


def test_of_several_numbers_differences_are_in_standard_deviations():
    table = rows_of(**X, y=[0.0, 2.0, 1.0], z=[10.0, 30.0, 20.0], k=[1.0, 1.0, 1.0])
    data = {"train": "t.csv", "target": {"column": ("y", "z", "k"), "type": "numeric"}}
    made = case(table, data=data, **UNSCALED)
    outputs = [[0, 10, 1], [1, 30, 1], [1, 25, 3]]
    truth, predictions = scored(made, outputs)
    deviation = (2 / 3) ** 0.5  # of y; ten times that of z, and none of k
    assert truth.row_errors(predictions).tolist() == pytest.approx([0, 1 / deviation, 2])
    roots = [(1 / 3) ** 0.5 / deviation, (0.25 / 3) ** 0.5 / deviation, (4 / 3) ** 0.5]
    assert truth.error(predictions, np.ones(3)) == pytest.approx(sum(roots) / 3)
    assert made.predictor.task.error_name == "rmse"


def test_of_two_classes_it_is_the_log_loss():
    made = case(rows_of(**X, y=["a", "b", "b"]))
    truth, predictions = scored(made, [[0.5], [0.25], [0]])
    assert truth.row_errors(predictions).tolist() == pytest.approx(
        [np.log(2), np.log(4), -np.log(np.finfo(float).eps)]
    )
    scores = statistics_of(PairRows.of(np.array([0, 1, 1]), np.array([0.5, 0.25, 0]), WEIGHTS))
    assert truth.error(predictions, WEIGHTS) == pytest.approx(scores["log_loss"].value)
    assert made.predictor.task.error_name == "log_loss"


def test_of_three_classes_likewise():
    made = case(rows_of(x=[1.0, 2.0, 3.0, 4.0], y=["a", "b", "c", "c"]))
    shares = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0.125, 0.75, 0.125], [0, 0, 1]])
    truth, predictions = scored(made, shares)
    assert truth.row_errors(predictions).tolist() == pytest.approx([np.log(2), 0, np.log(8), 0])
    scores = statistics_of(ClassRows.of(np.array([0, 1, 2, 2]), shares))
    assert truth.error(predictions, np.ones(4)) == pytest.approx(scores["log_loss"].value)


def test_of_labels_it_is_the_mean_over_them():
    data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "multi_label"}}
    made = case(rows_of(**X, u=[1, 0, 1], v=[0, 0, 1]), data=data)
    outputs = np.array([[0.5, 0.75], [0.5, 0.5], [1, 0.5]])
    truth, predictions = scored(made, outputs)
    log2 = np.log(2)
    assert truth.row_errors(predictions).tolist() == pytest.approx([1.5 * log2, log2, 0.5 * log2])
    marks = np.array([[1, 0], [0, 0], [1, 1]])
    expected = statistics_of(LabelRows.of(marks, outputs, WEIGHTS))["log_loss"].value
    assert truth.error(predictions, WEIGHTS) == pytest.approx(expected)


def test_of_margins_it_is_the_hinge():
    made = case(rows_of(**X, y=["a", "b", "b"]), loss="hinge")
    truth, predictions = scored(made, [[0.5], [0.5], [3]])
    assert truth.row_errors(predictions).tolist() == [1.5, 0.5, 0]
    assert truth.error(predictions, WEIGHTS) == (1.5 + 2 * 0.5) / 4
    assert made.predictor.task.error_name == "hinge"


def test_what_is_no_number_is_the_worst_there_is_and_has_no_mean():
    made = case(rows_of(**X, y=[1.0, 2.0, 3.5]), **UNSCALED)
    truth, predictions = scored(made, [[1], [np.nan], [np.inf]])
    largest = np.finfo(float).max
    assert truth.row_errors(predictions).tolist() == [0, largest, largest]
    assert truth.error(predictions, WEIGHTS) is None


def test_rows_that_all_weigh_nothing_have_no_error():
    truth, predictions = scored(case(rows_of(**X, y=[1.0, 2.0, 3.5]), **UNSCALED), [[1], [2], [3]])
    assert truth.error(predictions, np.zeros(3)) is None


def worst(made, *columns, **tables):
    """The worst rows of sets: y = x is predicted, unless weights say otherwise."""
    tables = tables or {"test": made.table}
    sets, task = made.sets(**tables), made.predictor.encoding.task

    def predictions(name):
        return made.predictor.predict_encoded(sets[name][1].inputs)

    found = worst_rows(task, sets, predictions, target_units(task, made.table), columns)
    return [row for row, _ in found]


def identity(table, **sections):
    return case(table, {"output/kernel": [[1]]}, **{**UNSCALED, **sections})


TABLE = rows_of(x=[1.0, 2.0, 3.0, 4.0], y=[1.0, 2.5, 1.0, 4.25])


def test_the_worst_comes_first_whatever_set_it_is_of():
    parts = TABLE.take(np.array([0, 1])), TABLE.take(np.array([2, 3]))
    found = worst(identity(TABLE), "x", validation=parts[0], test=parts[1])
    assert [(each.row, each.split, each.error) for each in found] == [
        (3, "test", 2),
        (2, "validation", 0.5),
        (4, "test", 0.25),
        (1, "validation", 0),
    ]
    first = found[0]
    assert (first.file, first.target, first.prediction) == (None, "1", "3")
    assert first.values == {"x": "3"}


def test_equals_come_as_they_are():
    found = worst(identity(rows_of(x=[1.0, 2.0, 3.0], y=[2.0, 3.0, 4.0])))
    assert [each.row for each in found] == [1, 2, 3]


def test_a_row_without_weight_is_none():
    table = rows_of(x=[1.0, 2.0], y=[9.0, 2.0], w=[0.0, 1.0])
    made = identity(table, data={"train": "t.csv", "target": "y", "sample_weight": "w"})
    assert [each.row for each in worst(made)] == [2]


def test_there_are_at_most_20_rows_and_20_short_values():
    table = rows_of(
        **{f"x{n:02}": ["long " * 100 + str(n % 2) if n else "a"] * 40 for n in range(30)},
        y=[float(n) for n in range(40)],
    )
    made = case(table, input={"features": {"*": "categorical"}}, **UNSCALED)
    found = worst(made, *(f"x{n:02}" for n in reversed(range(30))))
    assert [each.row for each in found] == list(range(40, 20, -1))
    assert list(found[0].values) == [f"x{n:02}" for n in range(29, 9, -1)]
    assert {len(value) for value in found[0].values.values()} == {200}


def test_missing_values_have_no_text_and_files_are_reported_if_there_are_several():
    table = replace(
        rows_of(x=[None, 2.0, 3.0], y=[1.0, 2.0, 3.0]),
        files=("a.csv", "b.csv"),
        file_numbers=np.array([0, 1, 1], np.int32),
    )
    made = case(table, {"output/kernel": [[1], [9]]}, **UNSCALED)
    first = worst(made, "x")[0]
    assert (first.file, first.row, first.values) == ("a.csv", 1, {"x": None})


def test_classes_and_labels_are_reported_by_name():
    made = case(rows_of(x=[1.0, 2.0], y=["no", "yes"]), {"output/kernel": [[-1]]})
    assert (worst(made)[0].target, worst(made)[0].prediction) == ("yes", "no")
    data = {"train": "t.csv", "target": {"column": ("u", "v", "w"), "type": "multi_label"}}
    table = rows_of(x=[1.0, 2.0], u=[1, 0], v=[1, 0], w=[0, 1])
    made = case(table, {"output/kernel": [[1, -1, 1]]}, data=data)
    first = worst(made)[0]
    assert (first.row, first.target, first.prediction) == (1, "u, v", "u, w")
    data = {"train": "t.csv", "target": {"column": "y", "type": "multi_label", "delimiter": "|"}}
    made = case(rows_of(x=[1.0, 2.0], y=["u|v", ""]), {"output/bias": [1, 1]}, data=data)
    assert (worst(made)[0].target, worst(made)[0].prediction) == ("", "u|v")


def test_several_numbers_are_reported_with_their_names():
    data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "numeric"}}
    table = rows_of(x=[1.0, 2.0], u=[0.0, 2.0], v=[0.5, 0.75])
    made = case(table, {"output/kernel": [[1, 0.2]]}, data=data, **UNSCALED)
    first = worst(made)[0]
    assert (first.target, first.prediction) == ("u: 2, v: 0.75", "u: 2, v: 0.4")
    assert first.error == pytest.approx(2.8)  # v is 0.35 off, and deviates by 0.125
