"""What is read off the curve of a loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcli.diagnosis.evidence import Curve


def test_a_straight_fall_has_its_slope_and_no_noise():
    curve = Curve.of([10.0, 8.0, 6.0, 4.0])
    assert (curve.fall, curve.slope, curve.noise, curve.slope_error) == (6.0, 2.0, 0.0, 0.0)


@pytest.mark.parametrize("trend", [0.0, 5.0])
def test_the_noise_of_an_epoch_is_found_whatever_the_trend(trend):
    noise = np.random.default_rng(1).normal(scale=0.25, size=20_000)
    curve = Curve.of((trend * np.arange(20_000) + noise).tolist())
    assert curve.noise == pytest.approx(0.25, rel=0.03)


def test_one_leap_is_no_noise():
    assert Curve.of([1.0] * 10 + [50.0] + [1.0] * 10).noise == 0.0


def test_leaps_to_and_fro_by_twice_a_size_are_noise_of_more_than_it():
    # Second differences are ±4, and 1.4826 · 4/√6 = 2.42.
    assert Curve.of([1.0, -1.0] * 10).noise == pytest.approx(2.421, abs=0.001)


def test_the_error_of_a_slope_is_what_noise_gives_to_the_slopes_of_flat_curves():
    random = np.random.default_rng(2)
    curves = [Curve.of(random.normal(size=30).tolist()) for _ in range(2000)]
    spread = np.std([curve.slope for curve in curves])
    assert spread == pytest.approx(math.sqrt(12 / (30**3 - 30)), rel=0.05)


def test_parts_are_shares_of_the_epochs():
    curve = Curve.of([float(at) for at in range(10)])
    assert curve.part(0.8, 1).values == (8.0, 9.0)
    assert curve.part(0, 1 / 3).values == (0.0, 1.0, 2.0, 3.0)
    assert Curve.of([7.0]).part(0.9, 1).values == (7.0,)


def test_a_curve_ends_before_its_first_non_finite_value():
    assert Curve.of([3.0, 2.0, math.nan, 1.0]).values == (3.0, 2.0)
    assert Curve.of([math.inf]).values == ()
