"""Errors of numbers, worked out by hand."""

from __future__ import annotations

import numpy as np

from dlcli.reports.residuals import Part, by_decile, distribution

TARGET = np.array([1.0, 2, 3, 4])


def test_the_error_is_told_from_the_least_true_values_to_the_greatest():
    parts = by_decile(TARGET, np.array([2.0, 1, 5, 6]), np.ones(4), parts=2)
    assert parts == [Part(1, 2, 2, 1.0, 0.0), Part(3, 4, 2, 2.0, 2.0)]


def test_rows_count_by_their_weights():
    [only] = by_decile(TARGET[:2], np.array([1.0, 6]), np.array([3.0, 1]), parts=1)
    assert (only.error, only.bias) == (1.0, 1.0)


def test_rows_of_one_true_value_stay_together():
    parts = by_decile(np.array([0.0, 0, 0, 0, 1]), np.zeros(5), np.ones(5))
    assert [(part.lowest, part.highest, part.rows) for part in parts] == [(0, 0, 4), (1, 1, 1)]


def test_a_constant_target_is_one_part():
    parts = by_decile(np.full(3, 7.0), np.array([7.0, 8, 9]), np.ones(3))
    assert parts == [Part(7, 7, 3, 1.0, 1.0)]


def test_a_distribution_gives_the_share_of_each_bin():
    counts = distribution(np.array([0.0, 1, 3, 4]), np.array([1.0, 1, 1, 5]), bins=2)
    assert counts.shares.tolist() == [0.25, 0.75]


def test_one_far_value_does_not_squeeze_all_others_into_one_bin():
    values = np.append(np.linspace(0, 1, 999), 1e9)
    counts = distribution(values, np.ones(1000), bins=10)
    assert counts.edges[-1] < 2
    assert counts.shares.sum() == 1
    assert counts.shares.max() < 0.2


def test_equal_values_have_a_bin_around_them():
    counts = distribution(np.full(8, 3.0), np.ones(8), bins=1)
    assert (counts.edges.tolist(), counts.shares.tolist()) == ([2.5, 3.5], [1.0])
