"""Curves and metrics of ranked rows, and calibration, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.metrics.definitions import decision_metrics, statistics_of
from dlcli.metrics.metric import PairRows
from dlcli.metrics.statistic import ThresholdCounts

FOUR = ThresholdCounts.of(
    np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.6]), np.ones(4)
)


def test_a_roc_curve_goes_up_for_what_is_found_and_right_for_what_is_not():
    falsely, found = FOUR.roc_curve()
    assert falsely.tolist() == [0, 0, 0.5, 0.5, 1]
    assert found.tolist() == [0, 0.5, 0.5, 1, 1]


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    assert FOUR.roc_auc() == 0.75  # three of the four pairs


def test_precision_is_taken_at_each_threshold():
    recall, precision = FOUR.precision_recall_curve()
    assert recall.tolist() == [0.5, 0.5, 1, 1]
    assert precision.tolist() == [1, 0.5, pytest.approx(2 / 3), 0.5]


def test_average_precision_weighs_precision_by_the_recall_that_it_adds():
    assert FOUR.average_precision() == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_rows_of_equal_score_count_half():
    tied = ThresholdCounts.of(np.array([True, False]), np.array([0.5, 0.5]), np.ones(2))
    assert [axis.tolist() for axis in tied.roc_curve()] == [[0, 1], [0, 1]]
    assert tied.roc_auc() == 0.5


def test_a_weight_counts_as_so_many_rows():
    weighted = ThresholdCounts.of(
        np.array([True, False, True]), np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 1.0])
    )
    repeated = ThresholdCounts.of(
        np.array([True, True, True, False, True]), np.array([3.0, 3, 3, 2, 1]), np.ones(5)
    )
    assert weighted.roc_auc() == repeated.roc_auc() == 0.75
    assert weighted.average_precision() == repeated.average_precision()


def test_without_a_row_of_one_kind_nothing_is_defined():
    assert not ThresholdCounts.of(
        np.array([True, True]), np.array([0.1, 0.2]), np.ones(2)
    ).is_defined
    assert not ThresholdCounts.of(np.array([], bool), np.array([]), np.ones(0)).is_defined


def test_areas_are_those_of_the_metrics():
    chance = np.random.default_rng(0)
    target = chance.integers(0, 2, 500)
    scores = np.round(chance.random(500), 2)  # with ties
    weights = chance.random(500)
    ranking = ThresholdCounts.of(target == 1, scores, weights)
    metrics = statistics_of(PairRows.of(target, scores, weights))
    assert ranking.roc_auc() == pytest.approx(metrics["auc"].value)
    assert ranking.average_precision() == pytest.approx(metrics["average_precision"].value)


def test_decisions_have_the_metrics_of_the_positive_class():
    each = decision_metrics(np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0]), np.ones(4))
    assert (each["selected"], each["precision"], each["recall"]) == (0.5, 0.5, 0.5)
    assert (each["f1"], each["accuracy"]) == (0.5, 0.5)


def test_where_nothing_is_predicted_positive_precision_is_undefined():
    each = decision_metrics(np.array([1, 0, 1, 0]), np.zeros(4), np.ones(4))
    assert (each["selected"], each["precision"], each["recall"], each["f1"]) == (0, None, 0, 0)
    assert each["accuracy"] == 0.5
