"""What folds say together, where a formula or a table in print says what it must be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcli.pipeline import Interval
from dlcli.pipeline.selection import combine, fold_intervals, median_epochs
from tests.pipeline.selection.made_by_hand import failed, fold, folds, outer


def interval(values, metric="rmse", **more):
    return fold_intervals(folds(metric, values, **more), [metric])[0][metric]


def test_the_mean_over_folds_has_the_corrected_interval_of_nadeau_and_bengio():
    # Mean 4, S² = 2.5; of 5 folds with 50 rows to 200: √((1/5 + 1/4) 2.5), t = 2.776.
    half = 2.776 * math.sqrt(0.45 * 2.5)
    found = interval([2.0, 3.0, 4.0, 5.0, 6.0])
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (4, 4 - half, 4 + half), abs=3e-3
    )


def test_a_fold_trained_on_few_rows_beside_those_that_judge_leaves_more_open():
    # 50 rows to 25: √((1/5 + 2) 2.5).
    half = 2.776 * math.sqrt(2.2 * 2.5)
    assert interval([12.0, 13.0, 14.0, 15.0, 16.0], train=25).upper == pytest.approx(
        14 + half, abs=0.01
    )


@pytest.mark.parametrize(("count", "quantile"), [(2, 12.706), (3, 4.303), (4, 3.182), (10, 2.262)])
def test_few_folds_have_students_quantile_of_the_tables(count, quantile):
    values = np.arange(count) + 1_000.0
    half = quantile * math.sqrt((1 / count + 0.25) * np.var(values, ddof=1))
    found = interval(list(values))
    assert found.lower is not None
    assert found.upper is not None
    assert (found.upper - found.lower) / 2 == pytest.approx(half, rel=2e-3)


def test_more_repeats_make_the_interval_narrower_only_to_where_rows_are_shared():
    """However many folds, the variance stays above a quarter of that of one of them."""
    values = [10.0, 11.0] * 500
    half = 1.962 * math.sqrt((1 / 1_000 + 0.25) * np.var(values, ddof=1))
    assert interval(values).upper == pytest.approx(10.5 + half, rel=1e-4)


def test_the_interval_of_a_share_stays_within_what_a_share_can_be():
    found = interval([0.99, 0.6, 0.95], metric="accuracy")
    assert found.upper == 1.0
    found = interval([0.01, 0.4, 0.05], metric="accuracy")
    assert found.lower == 0.0


def test_only_the_coefficient_of_determination_goes_below_zero():
    values = [0.1, 0.9]
    assert interval(values, "mae").lower == 0.0
    assert (interval(values, "r2").lower or 0) < -1


def test_the_standard_deviation_is_that_of_a_sample():
    _, deviations = fold_intervals(folds("mae", [1.0, 3.0]), ["mae"])
    assert deviations["mae"] == pytest.approx(math.sqrt(2))


def test_a_single_fold_has_a_mean_and_no_interval():
    means, deviations = fold_intervals(folds("mae", [1.5]), ["mae"])
    assert means["mae"] == Interval(value=1.5, reason="a single fold has no spread")
    assert deviations["mae"] is None


def test_folds_that_are_all_alike_have_no_interval():
    reason = "the same in every fold, so its uncertainty is unknown"
    assert interval([1.0, 1.0, 1.0], "accuracy") == Interval(value=1.0, reason=reason)
    assert interval([0.1 + 0.2, 0.3], "accuracy").reason == reason


def test_folds_without_a_value_are_left_out_of_the_mean():
    results = [*folds("auc", [0.6, None, 0.8]), failed(4)]
    means, deviations = fold_intervals(results, ["auc"])
    assert means["auc"].value == pytest.approx(0.7)
    assert deviations["auc"] == pytest.approx(math.sqrt(0.02))
    # Of the two that are left: t = 12.706, far beyond what an AUC can be.
    assert (means["auc"].lower, means["auc"].upper) == (0.0, 1.0)


def test_a_metric_that_no_fold_has_is_undefined():
    means, deviations = fold_intervals([failed(1), failed(2)], ["auc"])
    assert means == {"auc": Interval(value=None)}
    assert deviations == {"auc": None}


def test_values_beyond_floats_squared_have_no_interval():
    means, deviations = fold_intervals(folds("mse", [1e200, 3e200]), ["mse"])
    assert means["mse"] == Interval(value=2e200, reason="beyond what a float holds")
    assert deviations["mse"] is None


@pytest.mark.parametrize(
    ("epochs", "expected"), [([10, 30, 20], 20), ([10, 11], 11), ([10, 12], 11), ([7], 7)]
)
def test_all_rows_are_trained_on_for_the_median_of_epochs_half_of_one_rounded_up(epochs, expected):
    results = [fold(at, {}, epochs=50, best_epoch=each) for at, each in enumerate(epochs)]
    assert median_epochs(results) == expected


def test_a_fold_without_a_best_epoch_counts_with_all_of_its_epochs():
    results = [fold(1, {}, epochs=40), fold(2, {}, epochs=40, best_epoch=20)]
    assert median_epochs(results) == 30


def test_a_fold_that_failed_says_nothing_of_epochs():
    results = [fold(1, {}, epochs=9), fold(2, {}, epochs=3, problem="the loss is NaN")]
    assert median_epochs(results) == 9
    assert median_epochs([failed(1)]) is None


def test_a_nested_search_gives_what_its_outer_folds_say_by_their_rows():
    # (100 · 1 + 50 · 4) / 150 = 2, and S² = 1 + 4; shares 2/3 and 1/3: Σ p² = 5/9; rows that judge
    # to those that are learned from: 100 / 50 and 50 / 100, on average 1.25.
    half = 12.706 * math.sqrt((5 / 9 + 1.25) * 5)
    found = combine([outer(1, 1.0, 100), outer(2, 4.0, 50)])
    assert found.value == pytest.approx(2)
    assert (found.lower, found.upper) == pytest.approx((2 - half, 2 + half), rel=1e-4)


def test_outer_folds_of_one_size_have_the_interval_of_folds():
    found = combine([outer(at, at + 2.0) for at in range(5)])
    half = 2.776 * math.sqrt((1 / 5 + 1 / 4) * 2.5)
    assert (found.value, found.upper) == pytest.approx((4, 4 + half), abs=3e-3)


def test_the_interval_of_a_nested_search_stays_within_what_its_metric_can_be():
    found = combine([outer(1, 0.6), outer(2, 0.95)], "val_accuracy")
    assert (found.lower, found.upper) == (0.0, 1.0)
    assert (combine([outer(1, 0.1), outer(2, 0.9)], "val_r2").lower or 0) < -1


@pytest.mark.parametrize(("loss", "is_cut"), [("huber", True), ("poisson", False), (None, False)])
def test_the_loss_of_a_nested_search_is_not_below_zero_unless_it_can_be(loss, is_cut):
    found = combine([outer(1, 0.1), outer(2, 0.9)], "val_loss", loss)
    assert (found.lower == 0.0) == is_cut
    assert found.lower is not None


def test_an_outer_fold_that_came_to_nothing_is_told_of():
    found = combine([outer(1, 1.0), outer(2, None), outer(3, 3.0)])
    assert found == Interval(value=2.0, reason="1 of 3 outer folds came to nothing")
    assert combine([outer(1, None)]) == Interval(value=None)
    assert combine([]) == Interval(value=None)
