"""How wrong predictions are, row by row and over all."""

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.encoding import InMemoryInputs
from dlcli.explanation import error_metric, truth_of, units_of
from dlcli.metrics import binary_metrics, multiclass_metrics, multilabel_metrics, regression_metrics


def judged(made, outputs):
    """The truth of a case's rows, and predictions that are given."""
    target = made.predictor.encoding.task
    truth = truth_of(target, [made.table], units_of(target, made.table))
    predictions = made.predictor.predict_encoded(InMemoryInputs(np.zeros((0, 1), np.float32)))
    return truth, type(predictions)(
        target, np.array(outputs, np.float32), has_margin=predictions.has_margin
    )


X = {"x": [1.0, 2.0, 3.0]}
WEIGHTS = np.array([1.0, 2.0, 1.0])


def test_of_a_number_it_is_the_difference():
    truth, predictions = judged(case(rows_of(**X, y=[1.0, 2.5, 3.0]), **UNSCALED), [[1], [2], [5]])
    assert truth.by_row(predictions).tolist() == [0, 0.5, 2]
    error = truth.error(predictions, WEIGHTS)
    assert error == pytest.approx(((2 * 0.25 + 4) / 4) ** 0.5)
    scores = regression_metrics([1, 2.5, 3], [1, 2, 5], WEIGHTS)
    assert error == pytest.approx(scores["rmse"])


def test_of_several_numbers_differences_are_in_standard_deviations():
    table = rows_of(**X, y=[0.0, 2.0, 1.0], z=[10.0, 30.0, 20.0], k=[1.0, 1.0, 1.0])
    data = {"train": "t.csv", "target": {"column": ("y", "z", "k"), "type": "numeric"}}
    made = case(table, data=data, **UNSCALED)
    outputs = [[0, 10, 1], [1, 30, 1], [1, 25, 3]]
    truth, predictions = judged(made, outputs)
    deviation = (2 / 3) ** 0.5  # of y; ten times that of z, and none of k
    assert truth.by_row(predictions).tolist() == pytest.approx([0, 1 / deviation, 2])
    roots = [(1 / 3) ** 0.5 / deviation, (0.25 / 3) ** 0.5 / deviation, (4 / 3) ** 0.5]
    assert truth.error(predictions, np.ones(3)) == pytest.approx(sum(roots) / 3)
    assert error_metric(made.predictor) == "rmse"


def test_of_two_classes_it_is_the_log_loss():
    made = case(rows_of(**X, y=["a", "b", "b"]))
    truth, predictions = judged(made, [[0.5], [0.25], [0]])
    assert truth.by_row(predictions).tolist() == pytest.approx(
        [np.log(2), np.log(4), -np.log(np.finfo(float).eps)]
    )
    scores = binary_metrics(np.array([0, 1, 1]), np.array([0.5, 0.25, 0]), WEIGHTS)
    assert truth.error(predictions, WEIGHTS) == pytest.approx(scores["log_loss"])
    assert error_metric(made.predictor) == "log_loss"


def test_of_three_classes_likewise():
    made = case(rows_of(x=[1.0, 2.0, 3.0, 4.0], y=["a", "b", "c", "c"]))
    shares = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0.125, 0.75, 0.125], [0, 0, 1]])
    truth, predictions = judged(made, shares)
    assert truth.by_row(predictions).tolist() == pytest.approx([np.log(2), 0, np.log(8), 0])
    scores = multiclass_metrics(np.array([0, 1, 2, 2]), shares)
    assert truth.error(predictions, np.ones(4)) == pytest.approx(scores["log_loss"])


def test_of_labels_it_is_the_mean_over_them():
    data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "multi_label"}}
    made = case(rows_of(**X, u=[1, 0, 1], v=[0, 0, 1]), data=data)
    outputs = np.array([[0.5, 0.75], [0.5, 0.5], [1, 0.5]])
    truth, predictions = judged(made, outputs)
    log2 = np.log(2)
    assert truth.by_row(predictions).tolist() == pytest.approx([1.5 * log2, log2, 0.5 * log2])
    marks = np.array([[1, 0], [0, 0], [1, 1]])
    scores = multilabel_metrics(marks, outputs, WEIGHTS, names=["u", "v"])
    assert truth.error(predictions, WEIGHTS) == pytest.approx(scores["log_loss"])


def test_of_margins_it_is_the_hinge():
    made = case(rows_of(**X, y=["a", "b", "b"]), loss="hinge")
    truth, predictions = judged(made, [[0.5], [0.5], [3]])
    assert truth.by_row(predictions).tolist() == [1.5, 0.5, 0]
    assert truth.error(predictions, WEIGHTS) == (1.5 + 2 * 0.5) / 4
    assert error_metric(made.predictor) == "hinge"


def test_what_is_no_number_is_the_worst_there_is_and_has_no_mean():
    made = case(rows_of(**X, y=[1.0, 2.0, 3.5]), **UNSCALED)
    truth, predictions = judged(made, [[1], [np.nan], [np.inf]])
    largest = np.finfo(float).max
    assert truth.by_row(predictions).tolist() == [0, largest, largest]
    assert truth.error(predictions, WEIGHTS) is None


def test_rows_that_all_weigh_nothing_have_no_error():
    truth, predictions = judged(case(rows_of(**X, y=[1.0, 2.0, 3.5]), **UNSCALED), [[1], [2], [3]])
    assert truth.error(predictions, np.zeros(3)) is None
