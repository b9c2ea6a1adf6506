"""Measures that rules compare with thresholds: errors, and trend and noise of a loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcli.diagnosis.case import Curve, Error


def test_the_error_of_numbers_is_the_unexplained_share(case):
    found = case(metrics={"validation": {"r2": 0.75}}, rows={"validation": 50})
    error = found.error("validation")
    assert (error.share, error.words) == (0.25, "R² 0.750")
    assert error.deviation == pytest.approx(0.25 * math.sqrt(2 / 50))


def test_the_error_of_classes_is_the_wrong_share_against_the_most_frequent_class(case):
    # 10 of 100 rows are wrong; the most frequent class has 60, so that it is wrong in 40.
    scores = {"accuracy": 0.9, "confusion": [[55, 5], [5, 35]]}
    error = case(metrics={"train": scores}, rows={"train": 100}).error("train")
    assert error.share == pytest.approx(0.1 / 0.4)
    wrong = 12 / 104
    assert error.deviation == pytest.approx(math.sqrt(wrong * (1 - wrong) / 104) / 0.4)


def test_the_error_of_labels_is_the_wrong_share_against_the_constant_model(case):
    found = case(
        metrics={"train": {"accuracy": 0.9}},
        baselines={"constant": {"train": {"accuracy": 0.8}}},
    )
    assert found.error("train").share == pytest.approx(0.5)
    assert found.error("train", "constant").share == pytest.approx(1.0)


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"r2": None},
        {"accuracy": 0.5},
        {"accuracy": 1.0, "confusion": [[3, 0], [0, 0]]},
        {"accuracy": 0.5, "confusion": [[1, "x"], [0, 1]]},
        {"accuracy": 0.5, "confusion": [[1], [0, 1]]},
        {"accuracy": "high", "confusion": 7},
        {"r2": 10**400},
        {"accuracy": 0.5, "confusion": [[10**400, 0], [0, 1]]},
    ],
)
def test_an_unknown_error_is_none(case, scores):
    assert case(metrics={"train": scores}).error("train") is None


def test_nothing_is_known_without_a_count_of_rows(case):
    assert case(metrics={"train": {"r2": 0.5}}, rows={}).error("train") is None


def test_more_by_two_standard_errors_of_the_difference_is_more():
    # √(0.03² + 0.04²) = 0.05
    assert Error(0.41, 0.03, "r2", 0.59).is_more_than(Error(0.3, 0.04, "r2", 0.7))
    assert not Error(0.39, 0.03, "r2", 0.61).is_more_than(Error(0.3, 0.04, "r2", 0.7))


def test_a_straight_fall_has_its_slope_and_no_noise():
    curve = Curve((10.0, 8.0, 6.0, 4.0))
    assert (curve.fall, curve.slope, curve.noise, curve.slope_error) == (6.0, 2.0, 0.0, 0.0)


@pytest.mark.parametrize("trend", [0.0, 5.0])
def test_the_noise_of_an_epoch_is_found_whatever_the_trend(trend):
    noise = np.random.default_rng(1).normal(scale=0.25, size=20_000)
    curve = Curve(tuple((trend * np.arange(20_000) + noise).tolist()))
    assert curve.noise == pytest.approx(0.25, rel=0.03)


def test_a_single_jump_is_no_noise():
    assert Curve((1.0,) * 10 + (50.0,) + (1.0,) * 10).noise == 0.0


def test_oscillations_by_twice_a_size_are_noise_of_more_than_it():
    # Second differences are ±4, and 1.4826 · 4/√6 = 2.42.
    assert Curve((1.0, -1.0) * 10).noise == pytest.approx(2.421, abs=0.001)


def test_the_error_of_a_slope_is_what_noise_gives_to_the_slopes_of_flat_curves():
    random = np.random.default_rng(2)
    curves = [Curve(tuple(random.normal(size=30).tolist())) for _ in range(2000)]
    spread = np.std([curve.slope for curve in curves])
    assert spread == pytest.approx(math.sqrt(12 / (30**3 - 30)), rel=0.05)


def test_parts_are_shares_of_the_epochs():
    curve = Curve(tuple(map(float, range(10))))
    assert curve.part(0.8, 1).values == (8.0, 9.0)
    assert curve.part(0, 1 / 3).values == (0.0, 1.0, 2.0, 3.0)
    assert Curve((7.0,)).part(0.9, 1).values == (7.0,)


def test_a_curve_ends_before_its_first_non_finite_value(case):
    assert case(history={"loss": [3.0, 2.0, math.nan, 1.0]}).curve("loss").values == (3.0, 2.0)
    assert case(history={"loss": [math.inf]}).curve("loss").values == ()
