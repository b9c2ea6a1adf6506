"""Calibration, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.reports.calibration import Bin, calibration, expected_error


def test_rows_of_about_one_probability_are_compared_with_what_came_about():
    happened = np.array([False, True, True, True])
    bins = calibration(happened, np.array([0.1, 0.3, 0.8, 1.0]), np.ones(4), bins=2)
    assert bins == [Bin(0.2, 0.5, 2, 0.5), Bin(0.9, 1.0, 2, 0.5)]


def test_the_expected_error_is_the_mean_difference():
    bins = [Bin(0.2, 0.5, 2, 0.5), Bin(0.9, 1.0, 2, 0.5)]
    assert expected_error(bins) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)


def test_a_bin_without_rows_is_left_out():
    assert len(calibration(np.array([True]), np.array([0.55]), np.ones(1))) == 1


def test_weights_count():
    [only] = calibration(np.array([True, False]), np.array([0.5, 0.5]), np.array([3.0, 1.0]), 1)
    assert only == Bin(0.5, 0.75, 2, 1.0)
