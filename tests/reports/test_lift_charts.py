"""Amounts by predicted size, and the shares of rows below predicted quantiles."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.reports.lift_charts import level_shares, lift_chart, lift_parts
from dlcli.reports.report_parts import PredictedNumbers


def numbers(prediction, target, weights=None):
    weights = np.ones(len(target)) if weights is None else np.array(weights, float)
    return PredictedNumbers("cost", np.array(target, float), np.array(prediction, float), weights)


def test_parts_go_from_low_to_high_predictions_and_have_means():
    found = lift_parts(numbers([4, 1, 3, 2], [40, 10, 60, 0]), parts=2)
    assert [(each.rows, each.predicted, each.true) for each in found] == [(2, 1.5, 5), (2, 3.5, 50)]


def test_parts_have_equal_weight():
    found = lift_parts(numbers([1, 2, 3, 4], [0, 0, 6, 8], [3, 1, 1, 1]), parts=2)
    assert [(each.rows, each.true) for each in found] == [(1, 0), (3, pytest.approx(14 / 3))]


def test_equal_predictions_are_in_one_part():
    found = lift_parts(numbers([1, 1, 1, 1, 1, 9], [0, 2, 4, 6, 8, 50]), parts=3)
    assert [(each.rows, each.true) for each in found] == [(5, 4), (1, 50)]


def test_the_interval_of_a_mean_is_that_of_its_rows():
    target = np.random.default_rng(0).normal(5, 2, 400)
    [part] = lift_parts(numbers(np.ones(400), target), parts=1)
    half = 1.96 * target.std() / np.sqrt(400)
    assert (part.lower, part.upper) == pytest.approx(
        (target.mean() - half, target.mean() + half), rel=2e-3
    )


def test_the_chart_says_how_far_the_parts_are_from_each_other():
    found = lift_chart(numbers(np.arange(20), np.repeat([2.0, 8.0], 10)))
    assert found.description == (
        "The mean true value is 2 in the lowest part of the predictions and 8 in the highest, 4.00 "
        "times as much."
    )
    assert len(found.numbers.rows) == 10


def test_the_share_of_rows_below_a_quantile_has_an_interval():
    true, quantiles = np.arange(100.0)[:, np.newaxis], np.tile([[9.0, 200.0]], (100, 1))
    first, last = level_shares((0.1, 0.9), true, quantiles, np.ones(100))
    assert (first.share, last.share) == (0.1, 1)
    assert first.lower < 0.1 < first.upper
    assert last.lower > 0.9  # so the quantile of 0.9 is too high
