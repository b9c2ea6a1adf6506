"""The calibration error and its interval, and the points of the reliability diagram."""

import math

import numpy as np
import pytest

from dlcli.metrics.calibration import (
    CalibrationBin,
    CalibrationError,
    calibration_curve,
    equal_bins,
)
from dlcli.metrics.definitions import statistics_of
from dlcli.metrics.intervals import estimate_statistics
from dlcli.metrics.metric import ClassRows, LabelRows, MarginRows, PairRows
from dlcli.metrics.statistic import wilson_interval


def pairs(true, probabilities, weights=None):
    return PairRows.of(np.array(true), np.array(probabilities), weights)


def error_of(rows):
    return statistics_of(rows)["calibration_error"]


def drawn(rows, sharpness, seed):
    """Rows whose log-odds are multiplied by a number, so 1 means exact probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, rows)
    true = rng.random(rows) < 1 / (1 + np.exp(-logits))
    return pairs(true, 1 / (1 + np.exp(-sharpness * logits)))


def test_each_bin_has_the_same_weight():
    probabilities = np.array([0.9, 0.1, 0.4, 0.2, 0.8, 0.3])
    assert equal_bins(probabilities, np.ones(6), 3).tolist() == [2, 0, 1, 0, 2, 1]
    heavy = np.array([1, 6, 1, 2, 1, 1])  # 0.1 alone has half of the weight
    assert equal_bins(probabilities, heavy, 2).tolist() == [1, 0, 1, 1, 1, 1]


def test_equal_probabilities_are_in_the_same_bin():
    assert equal_bins(np.full(30, 0.2), np.ones(30), 3).tolist() == [1] * 30


def test_the_curve_has_the_weighted_means_and_wilsons_interval():
    happened, weights = np.array([True, False, True, True]), np.array([3.0, 1.0, 2.0, 2.0])
    bins = calibration_curve(happened, np.array([0.2, 0.4, 0.7, 0.9]), weights, 2)
    first = 0.75, *wilson_interval(0.75, 4**2 / 10)
    assert bins == [
        CalibrationBin(pytest.approx(0.25), *first, 2, 0.5),
        CalibrationBin(pytest.approx(0.8), 1.0, *wilson_interval(1.0, 2), 2, 0.5),
    ]


# scikit-learn 1.9.1: calibration_curve(TRUE, PREDICTED, n_bins=bins, strategy="quantile")
TRUE = np.array([0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1])
PREDICTED = np.array(
    [0.03, 0.08, 0.11, 0.17, 0.22, 0.26, 0.31, 0.38, 0.44, 0.47]
    + [0.53, 0.58, 0.61, 0.66, 0.72, 0.77, 0.81, 0.86, 0.92, 0.97]
)


@pytest.mark.parametrize(
    ("bins", "observed", "predicted"),
    [(2, [0.6, 0.5], [0.247, 0.743]), (4, [0.4, 0.8, 0.4, 0.6], [0.122, 0.372, 0.62, 0.866])],
)
def test_the_curve_agrees_with_scikit_learn(bins, observed, predicted):
    found = calibration_curve(TRUE, PREDICTED, np.ones(20), bins)
    assert [each.observed for each in found] == pytest.approx(observed)
    assert [each.predicted for each in found] == pytest.approx(predicted)


def test_the_error_is_the_mean_difference_of_the_points_of_the_curve():
    expected = (0.6 - 0.247 + 0.743 - 0.5) / 2  # two bins for 20 rows
    assert error_of(pairs(TRUE, PREDICTED)).value == pytest.approx(expected)


def test_the_error_is_the_mean_difference_of_the_bins():
    # Two bins of 10 rows: 0.2 predicted and 5 of 10 observed; 0.9 predicted and all observed.
    true, probabilities = [1] * 5 + [0] * 5 + [1] * 10, [0.2] * 10 + [0.9] * 10
    assert error_of(pairs(true, probabilities)).value == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    # With three times the weight on the first bin, there is still an edge between both.
    weights = np.array([3.0] * 10 + [1.0] * 10)
    expected = 0.75 * 0.3 + 0.25 * 0.1
    assert error_of(pairs(true, probabilities, weights)).value == pytest.approx(expected)


def test_the_error_of_several_classes_is_that_of_the_most_probable_one():
    outputs = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]] * 10)
    true = np.array([0, 2] * 5 + [1, 2] * 5)  # 0.6: 5 of 10 are right; 0.7: all
    found = error_of(ClassRows.of(true, outputs)).value
    assert found == pytest.approx(0.5 * 0.1 + 0.5 * 0.3)


def test_the_error_of_labels_is_the_mean_over_labels():
    true, probabilities = np.eye(2)[[0] * 6 + [1] * 4], np.tile([0.5, 0.3], (10, 1))
    assert error_of(LabelRows.of(true, probabilities)).value == pytest.approx((0.1 + 0.1) / 2)


def test_the_error_is_undefined_for_margins_and_for_fewer_than_ten_rows():
    assert error_of(pairs([0, 1] * 4, [0.3] * 8)).value is None
    assert "calibration_error" not in statistics_of(MarginRows.of([0, 1], [-1.0, 1.0]))


def test_the_influence_of_a_row_is_the_change_of_the_error_with_its_weight():
    rows = drawn(60, 2.5, 5)
    error, step = error_of(rows), 1e-6
    at = np.arange(60)
    slopes = [
        (error.of(1 + step * (at == row)) - error.of(1 - step * (at == row))) / (2 * step)
        for row in at
    ]
    np.testing.assert_allclose(error.influences(), slopes, atol=1e-8)


def test_the_interval_of_one_bin_is_computed_by_hand():
    # 5 of 10 observed, 0.1 predicted: the contribution 0.4 has the standard error
    # √(Σ (y − 0.5)²) / 10 = √2.5 / 10; of exact probabilities, it would be √0.9 / 10.
    error = error_of(pairs([1] * 5 + [0] * 5, [0.1] * 10))
    found, spread = estimate_statistics({"calibration_error": error})["calibration_error"], 2.5**0.5
    assert found.value == pytest.approx(0.4)
    chance = math.sqrt(2 / math.pi) + 1.959964 * math.sqrt(1 - 2 / math.pi)
    assert found.lower == pytest.approx(0.4 - chance * spread / 10)
    assert found.upper == pytest.approx(0.4 + 1.959964 * spread / 10)
    assert error.by_chance == pytest.approx(math.sqrt(2 / math.pi) * 0.9**0.5 / 10)


def test_a_bin_in_which_nothing_happened_has_the_spread_of_its_probabilities():
    error = error_of(pairs([0] * 10, [0.1] * 10))  # 0.1 is plausible: 0 of 10 has probability 0.35
    lower, upper = error.own_interval()
    assert lower == 0
    assert upper == pytest.approx(0.1 + 1.959964 * 0.9**0.5 / 10)


@pytest.mark.parametrize(("rows", "sharpness"), [(100, 1.0), (1_000, 1.0), (400, 2.5)])
def test_the_interval_contains_the_true_error(rows, sharpness):
    true = error_of(drawn(200_000, sharpness, 99)).value if sharpness != 1 else 0.0
    ends = [error_of(drawn(rows, sharpness, seed)).own_interval() for seed in range(200)]
    contained = np.mean([lower <= true + 1e-3 and true - 1e-3 <= upper for lower, upper in ends])
    assert contained >= 0.93


def test_chance_explains_the_error_of_exact_probabilities():
    errors = [error_of(drawn(300, 1.0, seed)) for seed in range(100)]
    expected = np.mean([each.by_chance for each in errors])
    assert np.mean([each.value for each in errors]) == pytest.approx(expected, rel=0.05)


def test_resamples_are_computed_together():
    error, rng = error_of(drawn(50, 2.0, 1)), np.random.default_rng(0)
    counts = rng.integers(0, 3, (4, 50)).astype(float)
    np.testing.assert_allclose(error.of(counts), [error.of(each) for each in counts])
    assert isinstance(error, CalibrationError)
