"""Metrics have the textbook's values and scikit-learn's weights, and are never NaN."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.metrics.definitions import (
    GAMMA_DEVIANCE,
    METRICS,
    POISSON_DEVIANCE,
    TWEEDIE_DEVIANCE,
    metric_values,
    statistics_of,
    stored_confusion,
)
from dlcli.metrics.metric import ClassRows, MarginRows, NumberRows, PairRows
from dlcli.tasks.classification import Multilabel
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import DecodedRows

LABELS = Multilabel(columns=("a", "b", "c"), labels=("a", "b", "c"))


def regression_metrics(target, prediction, weight=None, *, deviance=False):
    columns = (
        np.reshape(part, (len(part), -1 if len(part) else 1)) for part in (target, prediction)
    )
    of_loss = POISSON_DEVIANCE if deviance is True else deviance or None
    return metric_values(statistics_of(NumberRows.of(*columns, weight), of_loss))


def multilabel_metrics(target, probabilities, weight=None):
    return LABELS.metrics(DecodedRows(target, probabilities, weight))


def binary_metrics(*arguments, probabilistic=True):
    kind = PairRows if probabilistic else MarginRows
    return metric_values(statistics_of(kind.of(*arguments)))


def multiclass_metrics(*arguments):
    return metric_values(statistics_of(ClassRows.of(*arguments)))


def floats(*values):
    return np.array(values, dtype=np.float64)


def whole(*values):
    return np.array(values, dtype=np.int64)


def assert_same_metrics(actual, expected):
    assert actual.keys() == expected.keys()
    for name, score in expected.items():
        if score is None:
            assert actual[name] is None, name
        else:
            np.testing.assert_allclose(actual[name], score, rtol=1e-9, atol=1e-12, err_msg=name)


# The errors are 1, -1, 3 and 1; the target's mean is 4.
NUMBERS = floats(1, 3, 5, 7)
GUESSES = floats(2, 2, 8, 8)


def test_metrics_of_numbers_follow_from_their_errors():
    expected = {
        "mse": 3.0,  # (1 + 1 + 9 + 1) / 4
        "rmse": math.sqrt(3),
        "mae": 1.5,  # (1 + 1 + 3 + 1) / 4
        "r2": 0.4,  # 1 - 12 / (9 + 1 + 1 + 9)
        "median_absolute_error": 1.0,
    }
    assert_same_metrics(regression_metrics(NUMBERS, GUESSES), expected)


def test_row_weights_count_in_every_metric_of_numbers():
    expected = {
        "mse": 47 / 7,  # (1 + 1 + 5 * 9) / 7
        "rmse": math.sqrt(47 / 7),
        "mae": 17 / 7,  # (1 + 1 + 5 * 3) / 7
        "r2": 1 - 47 / (104 / 7),  # Σ w y² - (Σ w y)² / Σ w = 135 - 29² / 7 = 104 / 7
        "median_absolute_error": 3.0,
    }
    assert_same_metrics(regression_metrics(NUMBERS, GUESSES, floats(1, 1, 5, 0)), expected)


def test_each_metric_is_averaged_over_several_outputs():
    target = floats([0, 0], [2, 4])
    prediction = floats([1, 3], [3, 1])
    expected = {
        "mse": 5.0,  # (1 + 9) / 2
        "rmse": 2.0,  # (1 + 3) / 2
        "mae": 2.0,
        "r2": -0.625,  # (1 - 2 / 2 + 1 - 18 / 8) / 2
        "median_absolute_error": 2.0,
    }
    assert_same_metrics(regression_metrics(target, prediction), expected)


def test_half_the_weight_puts_the_median_between_two_errors():
    metrics = regression_metrics(floats(0, 0, 0), floats(6, 1, 2), floats(2, 1, 1))
    assert metrics["median_absolute_error"] == 4.0


def test_equal_fractional_weights_leave_the_median_where_it_was():
    errors = np.arange(10.0)
    metrics = regression_metrics(np.zeros(10), errors, np.full(10, 0.1))
    assert metrics["median_absolute_error"] == 4.5


@pytest.mark.parametrize("value", [5.0, 0.1])
def test_r2_of_a_constant_target_is_undefined(value):
    target = np.full(7, value)  # the rounded mean of seven times 0.1 is not 0.1
    metrics = regression_metrics(target, np.arange(7.0))
    assert metrics["r2"] is None


def test_r2_is_undefined_if_it_is_for_one_of_the_outputs():
    metrics = regression_metrics(floats([1, 1], [2, 1]), floats([1, 1], [2, 2]))
    assert metrics["r2"] is None
    assert metrics["mse"] == 0.25


def test_r2_of_the_mean_is_0_whatever_is_rounded():
    target = np.array([0.1, 0.2, 0.7, 1.1, 2.3])
    for factor in (1.0, 0.1, 1 / 3, 7.7, 1e6, 1e-6):
        numbers = target * factor
        constant = np.full(5, numbers.mean())
        assert regression_metrics(numbers, constant)["r2"] == 0.0
        assert regression_metrics(numbers + factor, constant + factor)["r2"] == 0.0


def test_a_single_row_has_errors_but_no_r2():
    assert regression_metrics(floats(1), floats(3)) == {
        "mse": 4.0,
        "rmse": 2.0,
        "mae": 2.0,
        "r2": None,
        "median_absolute_error": 2.0,
    }


def test_a_square_too_large_for_a_float_is_undefined_and_silent():
    metrics = regression_metrics(floats(0, 1), floats(1e200, 1))
    assert metrics["mse"] is None
    assert metrics["rmse"] is None
    assert metrics["mae"] == 5e199


# Predicted: 0, 0, 0, 1.
TRUTHS = whole(0, 0, 1, 1)
PROBABILITIES = floats(0.1, 0.4, 0.35, 0.8)


def test_metrics_of_two_classes_follow_from_decisions_order_and_probabilities():
    expected = {
        "accuracy": 0.75,
        "balanced_accuracy": 0.75,  # (2/2 + 1/2) / 2
        "auc": 0.75,  # of the four pairs only 0.35 before 0.4 is wrong
        "average_precision": 5 / 6,  # (1/1 + 2/3) / 2
        "precision": 1.0,
        "recall": 0.5,
        "f1": 2 / 3,
        "log_loss": -math.log(0.9 * 0.6 * 0.35 * 0.8) / 4,
        "brier": 0.158125,  # (0.01 + 0.16 + 0.4225 + 0.04) / 4
        "calibration_error": None,
        "confusion": [[2, 0], [1, 1]],
    }
    assert_same_metrics(binary_metrics(TRUTHS, PROBABILITIES), expected)


def test_row_weights_count_in_every_metric_of_two_classes():
    expected = {
        "accuracy": 5 / 9,  # (2 + 1 + 2) / 9
        "balanced_accuracy": 2 / 3,  # (3/3 + 2/6) / 2
        "auc": 7 / 9,  # 0.8 beats both, 2 * 3; 0.35 beats only 0.1, 4 * 2; of 6 * 3
        "average_precision": 19 / 21,  # 2/6 * 1 + 4/6 * 6/7
        "precision": 1.0,
        "recall": 1 / 3,  # 2 of 6
        "f1": 0.5,  # 2 * 2 / (2 * 2 + 0 + 4)
        "log_loss": -math.log(0.9**2 * 0.6 * 0.35**4 * 0.8**2) / 9,
        "brier": (2 * 0.01 + 1 * 0.16 + 4 * 0.4225 + 2 * 0.04) / 9,
        "calibration_error": None,
        "confusion": [[3, 0], [4, 2]],
    }
    assert_same_metrics(binary_metrics(TRUTHS, PROBABILITIES, floats(2, 1, 4, 2)), expected)


def test_tied_scores_count_half_in_auc_and_as_one_threshold_in_average_precision():
    metrics = binary_metrics(whole(0, 1, 1, 0), floats(0.5, 0.5, 0.9, 0.1))
    assert metrics["auc"] == 3.5 / 4
    assert metrics["average_precision"] == pytest.approx(5 / 6)  # 1/2 * 1 + 1/2 * 2/3


def test_equal_scores_of_all_rows_have_an_auc_of_one_half():
    metrics = binary_metrics(whole(0, 1, 0, 0), np.full(4, 0.3))
    assert metrics["auc"] == 0.5
    assert metrics["average_precision"] == 0.25


def test_a_probability_of_one_half_is_not_yet_the_positive_class():
    metrics = binary_metrics(whole(1, 1), floats(0.5, 0.5000001))
    assert metrics["confusion"] == [[0, 0], [1, 1]]


def test_margins_are_cut_at_zero_and_have_no_probability_scores():
    metrics = binary_metrics(whole(0, 0, 1, 1), floats(-3, 0, 0.2, 8), probabilistic=False)
    assert metrics["confusion"] == [[2, 0], [0, 2]]
    assert "log_loss" not in metrics
    assert "brier" not in metrics


def test_without_positive_rows_metrics_that_need_them_are_undefined():
    metrics = binary_metrics(whole(0, 0), floats(0.25, 0.25))
    assert_same_metrics(
        metrics,
        {
            "accuracy": 1.0,
            "balanced_accuracy": 1.0,
            "auc": None,
            "average_precision": None,
            "precision": None,
            "recall": None,
            "f1": None,
            "log_loss": -math.log(0.75),
            "brier": 0.0625,
            "calibration_error": None,
            "confusion": [[2, 0], [0, 0]],
        },
    )


def test_without_the_negative_class_only_auc_is_undefined():
    metrics = binary_metrics(whole(*[1] * 10), floats(*[0.75, 0.25] * 5))
    assert [name for name, score in metrics.items() if score is None] == ["auc"]


def test_precision_is_undefined_and_f1_zero_if_the_positive_class_is_never_predicted():
    metrics = binary_metrics(whole(0, 1), floats(0.25, 0.25))
    assert metrics["precision"] is None
    assert metrics["f1"] == 0.0


def test_the_log_loss_of_a_certain_mistake_is_that_of_eps():
    metrics = binary_metrics(whole(1), floats(0.0))
    assert metrics["log_loss"] == pytest.approx(52 * math.log(2))  # eps = 2**-52


def test_small_integers_and_booleans_are_valid_targets():
    expected = binary_metrics(TRUTHS, PROBABILITIES)
    assert binary_metrics(TRUTHS.astype(np.uint8), PROBABILITIES) == expected
    assert binary_metrics(TRUTHS.astype(np.bool_), PROBABILITIES) == expected


# Predicted: 0, 1, 2, 0.
KINDS = whole(0, 1, 2, 2)
KIND_PROBABILITIES = floats([0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.4, 0.5], [0.5, 0.25, 0.25])


def test_metrics_of_several_classes_follow_from_decisions_and_probabilities():
    expected = {
        "accuracy": 0.75,
        "balanced_accuracy": 5 / 6,  # (1 + 1 + 1/2) / 3
        "macro_f1": 7 / 9,  # (2/3 + 1 + 2/3) / 3
        "log_loss": -math.log(0.6 * 0.7 * 0.5 * 0.25) / 4,
        "calibration_error": None,
        "confusion": [[1, 0, 0], [0, 1, 0], [1, 0, 1]],
    }
    assert_same_metrics(multiclass_metrics(KINDS, KIND_PROBABILITIES), expected)


def test_row_weights_count_in_every_metric_of_several_classes():
    expected = {
        "accuracy": 0.5,  # (1 + 2 + 1) / 8
        "balanced_accuracy": 11 / 15,  # (1 + 1 + 1/5) / 3
        "macro_f1": 5 / 9,  # class 0: 2 / (2 + 4); class 1: 1; class 2: 2 / (2 + 4)
        "log_loss": -math.log(0.6 * 0.7**2 * 0.5 * 0.25**4) / 8,
        "calibration_error": None,
        "confusion": [[1, 0, 0], [0, 2, 0], [4, 0, 1]],
    }
    assert_same_metrics(multiclass_metrics(KINDS, KIND_PROBABILITIES, floats(1, 2, 1, 4)), expected)


def test_classes_that_neither_occur_nor_are_predicted_do_not_lower_the_means():
    metrics = multiclass_metrics(whole(0, 1), floats([0.9, 0.1, 0], [0.2, 0.8, 0]))
    assert metrics["balanced_accuracy"] == 1.0
    assert metrics["macro_f1"] == 1.0


def test_of_equally_probable_classes_the_first_is_predicted():
    metrics = multiclass_metrics(whole(1), floats([0.2, 0.4, 0.4]))
    assert metrics["accuracy"] == 1.0


def test_top_3_accuracy_is_defined_for_more_than_three_classes_only():
    three = multiclass_metrics(whole(0), floats([0.2, 0.4, 0.4]))
    four = multiclass_metrics(whole(0, 1), floats([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]))
    assert "top_3_accuracy" not in three
    assert four["top_3_accuracy"] == 0.5


def test_of_equally_probable_classes_the_first_three_are_the_top_three():
    metrics = multiclass_metrics(whole(2, 3), np.full((2, 4), 0.25))
    assert metrics["top_3_accuracy"] == 0.5


def test_unweighted_confusion_holds_whole_counts_and_weighted_confusion_sums_of_weights():
    plain = multiclass_metrics(KINDS, KIND_PROBABILITIES)["confusion"]
    weighted = multiclass_metrics(KINDS, KIND_PROBABILITIES, np.full(4, 0.5))["confusion"]
    assert json.dumps(plain) == "[[1, 0, 0], [0, 1, 0], [1, 0, 1]]"
    assert json.dumps(weighted) == "[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.5, 0.0, 0.5]]"


# scikit-learn 1.9.1: mean_squared_error, root_mean_squared_error, mean_absolute_error, r2_score
# and median_absolute_error on these tables, with sample_weight=OUTPUT_WEIGHTS for the second.
OUTPUTS = floats([3, 10], [-0.5, 12], [2, 9], [7, 15], [4, 11], [1, 8])
OUTPUT_GUESSES = floats([2.5, 11], [0, 12.5], [2, 7], [8, 15.5], [3, 12], [2.5, 8.25])
OUTPUT_WEIGHTS = floats(1, 0.5, 2, 0, 1.5, 3)


def test_numbers_agree_with_scikit_learn():
    expected = {
        "mse": 0.9427083333333333,
        "rmse": 0.9677907770851019,
        "mae": 0.8125,
        "r2": 0.82347037997407,
        "median_absolute_error": 0.75,
    }
    assert_same_metrics(regression_metrics(OUTPUTS, OUTPUT_GUESSES), expected)


def test_weighted_numbers_agree_with_scikit_learn():
    expected = {
        "mse": 1.21484375,
        "rmse": 1.1004475926117008,
        "mae": 0.890625,
        "r2": 0.27715542796517617,
        "median_absolute_error": 1.0,
    }
    assert_same_metrics(regression_metrics(OUTPUTS, OUTPUT_GUESSES, OUTPUT_WEIGHTS), expected)


# scikit-learn 1.9.1, with labels MIXED_SCORES > 0.5 where decisions are asked for: accuracy_score,
# balanced_accuracy_score, roc_auc_score, average_precision_score, precision_score, recall_score,
# f1_score, log_loss, brier_score_loss and confusion_matrix.
MIXED = whole(0, 1, 1, 0, 1, 0, 0, 1, 0, 1)
MIXED_SCORES = floats(0.1, 0.9, 0.4, 0.4, 0.7, 0.6, 0.2, 0.5, 0.7, 0.8)
MIXED_WEIGHTS = floats(1, 2, 0.5, 1, 0, 3, 1.5, 1, 2.5, 1)


def test_two_classes_agree_with_scikit_learn():
    expected = {
        "accuracy": 0.6,
        "balanced_accuracy": 0.6,
        "auc": 0.8,
        "average_precision": 0.8083333333333333,
        "precision": 0.6,
        "recall": 0.6,
        "f1": 0.6,
        "log_loss": 0.5254210150282986,
        "brier": 0.181,
        "calibration_error": 0.03,  # |5 / 10 - 5.3 / 10|
        "confusion": [[3, 2], [2, 3]],
    }
    assert_same_metrics(binary_metrics(MIXED, MIXED_SCORES), expected)


def test_two_weighted_classes_agree_with_scikit_learn():
    expected = {
        "accuracy": 0.48148148148148145,
        "balanced_accuracy": 0.5277777777777778,
        "auc": 0.7901234567901234,
        "average_precision": 0.8056884635832005,
        "precision": 0.35294117647058826,
        "recall": 0.6666666666666666,
        "f1": 0.46153846153846156,
        "log_loss": 0.6144342816266165,
        "brier": 0.2240740740740741,
        "calibration_error": None,
        "confusion": [[3.5, 5.5], [1.5, 3.0]],
    }
    assert_same_metrics(binary_metrics(MIXED, MIXED_SCORES, MIXED_WEIGHTS), expected)


# scikit-learn 1.9.1, with the argmax where decisions are asked for: accuracy_score,
# balanced_accuracy_score, f1_score(average="macro"), log_loss, top_k_accuracy_score(k=3) and
# confusion_matrix.
FOUR = whole(0, 1, 2, 3, 1, 0, 2, 1)
FOUR_PROBABILITIES = floats(
    [0.5, 0.2, 0.2, 0.1],
    [0.1, 0.6, 0.1, 0.2],
    [0.3, 0.35, 0.25, 0.1],
    [0.4, 0.3, 0.2, 0.1],
    [0.45, 0.05, 0.3, 0.2],
    [0.7, 0.1, 0.15, 0.05],
    [0.05, 0.1, 0.8, 0.05],
    [0.1, 0.4, 0.2, 0.3],
)
FOUR_WEIGHTS = floats(1, 2, 0.5, 1.5, 1, 0, 2.5, 3)


def test_several_classes_agree_with_scikit_learn():
    expected = {
        "accuracy": 0.625,
        "balanced_accuracy": 0.5416666666666666,
        "macro_f1": 0.5,
        "log_loss": 1.17308671989012,
        "calibration_error": None,
        "top_3_accuracy": 0.75,
        "confusion": [[2, 0, 0, 0], [1, 2, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]],
    }
    assert_same_metrics(multiclass_metrics(FOUR, FOUR_PROBABILITIES), expected)


def test_several_weighted_classes_agree_with_scikit_learn():
    expected = {
        "accuracy": 0.7391304347826086,
        "balanced_accuracy": 0.6666666666666667,
        "macro_f1": 0.5557751427316645,
        "log_loss": 1.0577640517917322,
        "calibration_error": None,
        "top_3_accuracy": 0.782608695652174,
        "confusion": [[1, 0, 0, 0], [1, 5, 0, 0], [0, 0.5, 2.5, 0], [1.5, 0, 0, 0]],
    }
    assert_same_metrics(multiclass_metrics(FOUR, FOUR_PROBABILITIES, FOUR_WEIGHTS), expected)


def deviance_of(prediction, weight=None):
    return regression_metrics(floats(2, 0, 5), prediction, weight, deviance=True)[
        "poisson_deviance"
    ]


# scikit-learn 1.9.1: mean_poisson_deviance, with sample_weight for the second.
def test_counts_have_the_poisson_deviance_of_scikit_learn():
    assert deviance_of(floats(1, 0.5, 4)) == pytest.approx(0.668008078460626)
    assert deviance_of(floats(1, 0.5, 4), floats(1, 2, 0.5)) == pytest.approx(0.8252304225173799)


def test_a_perfect_prediction_of_counts_has_a_deviance_of_0():
    assert deviance_of(floats(2, 0, 5)) == 0


def test_the_deviance_is_undefined_where_0_was_predicted_for_more():
    assert deviance_of(floats(2, 0, 0)) is None


def test_several_outputs_with_names_also_have_metrics_of_each():
    target = floats([0, 0], [2, 4])
    prediction = floats([1, 3], [3, 1])
    rows = DecodedRows(target, prediction, None)
    by_column = Regression(columns=("u", "v")).metrics(rows)["by_column"]
    assert {name: metrics["mae"] for name, metrics in by_column.items()} == {"u": 1, "v": 3}
    assert by_column["v"] == regression_metrics(target[:, 1], prediction[:, 1])


# Predicted: a; a and b; none; a, b and c.
MARKS = whole([1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1])
MARK_PROBABILITIES = floats([0.9, 0.2, 0.1], [0.6, 0.7, 0.2], [0.3, 0.5, 0.4], [0.8, 0.6, 0.9])


def test_metrics_of_labels_follow_from_decisions_rows_and_labels():
    metrics = multilabel_metrics(MARKS, MARK_PROBABILITIES)
    by_label = metrics.pop("by_label")
    log_loss = 0.9 * 0.8 * 0.9 * 0.6 * 0.7 * 0.8 * 0.7 * 0.5 * 0.6 * 0.8 * 0.4 * 0.9
    brier = 0.01 + 0.04 + 0.01 + 0.16 + 0.09 + 0.04 + 0.09 + 0.25 + 0.16 + 0.04 + 0.36 + 0.01
    expected = {
        "accuracy": 10 / 12,  # b is missed in the third row and added in the last
        "subset_accuracy": 0.5,
        "auc": 11 / 12,  # a: 1; b: 0.6 stands above 0.5, so 3 of 4 pairs; c: 1
        "average_precision": (1 + (1 + 2 / 3) / 2 + 1) / 3,
        "macro_f1": (1 + 0.5 + 1) / 3,
        "micro_precision": 5 / 6,
        "micro_recall": 5 / 6,
        "micro_f1": 5 / 6,
        "log_loss": -math.log(log_loss) / 12,
        "brier": brier / 12,
        "calibration_error": None,
    }
    assert_same_metrics(metrics, expected)
    assert by_label["b"] == binary_metrics(MARKS[:, 1], MARK_PROBABILITIES[:, 1])


def test_row_weights_count_in_every_metric_of_labels():
    metrics = multilabel_metrics(MARKS, MARK_PROBABILITIES, floats(0, 1, 2, 0))
    assert metrics["accuracy"] == pytest.approx(7 / 9)  # (3 + 2 * 2) / (3 * 3)
    assert metrics["subset_accuracy"] == pytest.approx(1 / 3)
    assert metrics["micro_recall"] == 0.5  # 1 + 1 of 1 + 1 + 2
    assert metrics["by_label"]["b"]["confusion"] == [[0, 0], [2, 1]]


def test_weighted_labels_agree_with_scikit_learn():
    # scikit-learn 1.9.1: 1 - hamming_loss, accuracy_score, and the others by their names, with
    # average="macro" or "micro".
    expected = {
        "accuracy": 0.8666666666666667,
        "subset_accuracy": 0.6,
        "auc": 0.96,
        "average_precision": 0.975,
        "macro_f1": 0.8888888888888888,
        "micro_precision": 0.8421052631578947,
        "micro_recall": 0.9411764705882353,
        "micro_f1": 0.8888888888888888,
    }
    metrics = multilabel_metrics(MARKS, MARK_PROBABILITIES, floats(1, 2, 0.5, 1.5))
    assert_same_metrics({name: metrics[name] for name in expected}, expected)


def test_labels_without_a_defined_metric_do_not_lower_its_mean():
    marks = MARKS * whole(1, 1, 0)
    metrics = multilabel_metrics(marks, MARK_PROBABILITIES * floats(1, 1, 0))
    assert metrics["auc"] == 0.875  # (1 + 3 / 4) / 2
    assert metrics["macro_f1"] == 0.75
    assert metrics["by_label"]["c"]["auc"] is None


def tables(*columns):
    """Rows of a table, each with a whole weight: two arrays and the weights."""
    rows = st.lists(st.tuples(*columns, st.integers(0, 4)), min_size=1, max_size=12)
    return rows.map(lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True)))


tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)
mark = st.integers(0, 1)


def score_three(target, probabilities, weight=None):
    """The metrics of three labels together."""
    metrics = multilabel_metrics(target, probabilities, weight)
    return {name: score for name, score in metrics.items() if name != "by_label"}


SCORED = [
    (regression_metrics, tables(st.integers(-9, 9), st.integers(-9, 9))),
    (binary_metrics, tables(st.integers(0, 1), tenths)),
    (multiclass_metrics, tables(st.integers(0, 3), st.tuples(tenths, tenths, tenths, tenths))),
    (score_three, tables(st.tuples(mark, mark, mark), st.tuples(tenths, tenths, tenths))),
]
every_kind = st.sampled_from(SCORED).flatmap(
    lambda kind: kind[1].map(lambda table: (kind[0], *table))
)


@given(every_kind)
def test_a_whole_weight_is_worth_as_many_rows(scored):
    score, target, prediction, weight = scored
    repeated = score(*(np.repeat(part, weight, axis=0) for part in (target, prediction)))
    no_bins = {"calibration_error": None}  # there are more bins for more rows
    assert_same_metrics(score(target, prediction, weight) | no_bins, repeated | no_bins)


@given(every_kind)
def test_only_the_proportions_of_weights_count(scored):
    score, target, prediction, weight = scored
    scaled = score(target, prediction, weight * 0.1) | {"confusion": None}
    assert_same_metrics(scaled, score(target, prediction, weight) | {"confusion": None})


@given(every_kind)
def test_every_result_is_valid_json(scored):
    score, target, prediction, weight = scored
    metrics = score(target, prediction, weight)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@given(SCORED[1][1])
def test_ranking_metrics_do_not_change_with_a_monotone_transform(table):
    target, positive, weight = table
    metrics = binary_metrics(target, positive, weight)
    stretched = binary_metrics(target, np.exp(20 * positive) - 7, weight, probabilistic=False)
    assert stretched["auc"] == metrics["auc"]
    assert stretched["average_precision"] == metrics["average_precision"]


@pytest.mark.parametrize(
    ("score", "table"),
    [
        pytest.param(regression_metrics, (np.empty((0, 2)), np.empty((0, 2))), id="numbers"),
        pytest.param(binary_metrics, (np.empty(0), np.empty(0)), id="two classes"),
        pytest.param(multiclass_metrics, (np.empty(0), np.empty((0, 4))), id="several classes"),
        pytest.param(score_three, (np.empty((0, 3)), np.empty((0, 3))), id="labels"),
        pytest.param(binary_metrics, (TRUTHS, PROBABILITIES, np.zeros(4)), id="weights of zero"),
    ],
)
def test_without_rows_every_metric_is_undefined(score, table):
    metrics = score(*table)
    assert {value for name, value in metrics.items() if name != "confusion"} == {None}


def test_every_metric_that_is_one_number_has_a_better_direction():
    named = {
        *regression_metrics(NUMBERS, GUESSES, deviance=POISSON_DEVIANCE),
        *regression_metrics(NUMBERS, GUESSES, deviance=TWEEDIE_DEVIANCE),
        *regression_metrics(NUMBERS, GUESSES, deviance=GAMMA_DEVIANCE),
        *binary_metrics(TRUTHS, PROBABILITIES),
        *multiclass_metrics(FOUR, FOUR_PROBABILITIES),
        *multilabel_metrics(MARKS, MARK_PROBABILITIES),
    }
    quantiles = {"pinball_loss", "coverage", "mean_width"}  # see test_metrics_quantiles
    others = quantiles | {"cost", "binomial_deviance"}  # see tests/tasks/test_decision
    assert named - {"confusion", "by_label"} == METRICS.keys() - others


def test_perfect_predictions_reach_the_better_end_of_every_metric():
    numbers = regression_metrics(NUMBERS, NUMBERS, deviance=True)
    truths, classes, marks = (np.concatenate([each] * 3) for each in (TRUTHS, FOUR, MARKS))
    binary = binary_metrics(truths, truths)
    several = multiclass_metrics(classes, np.eye(4)[classes])
    labels = multilabel_metrics(marks, marks)
    best = {name: float(each.higher_is_better) for name, each in METRICS.items()}
    for name, score in (numbers | binary | several | labels).items():
        assert name in ("confusion", "by_label") or score == pytest.approx(best[name])


@pytest.mark.parametrize(
    "value",
    [None, "x", 7, [], [[1, 2], [3]], [[1, -1], [0, 1]], [["a", 1], [1, 1]], [[0, 0], [0, 0]]]
    + [[[1, 2]], [[10**400, 0], [0, 1]], [[math.inf, 0], [0, 1]], [[1e308, 0], [0, 1e308]]],
)
def test_a_stored_confusion_matrix_that_is_none_is_not_used(value):
    assert stored_confusion(value) is None


def test_a_stored_confusion_matrix_is_read():
    assert stored_confusion([[1, 0], [2.5, 3]]).tolist() == [[1.0, 0.0], [2.5, 3.0]]


@pytest.mark.parametrize(
    ("name", "value", "rows", "expected"),
    [
        ("accuracy", 0.9, 96, math.sqrt(0.884 * 0.116 / 100)),
        ("accuracy", 1.0, 96, math.sqrt(0.98 * 0.02 / 100)),
        ("mae", 3.0, 9, 1.0),
        ("rmse", 3.0, 9, 0.5),
        ("r2", 0.64, 9, 0.12),
    ],
)
def test_the_typical_error_follows_from_the_rows(name, value, rows, expected):
    assert METRICS[name].typical_error(value, rows) == pytest.approx(expected)
