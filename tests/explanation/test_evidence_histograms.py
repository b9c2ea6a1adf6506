"""Bins that show how numbers are distributed."""

import numpy as np
import pytest

from dlcli.explanation.histograms import MOST_BINS, bin_edges, count_bins


def histogram(*values):
    values = np.array(values, dtype=np.float64)
    edges = bin_edges(values)
    return edges.tolist(), count_bins(edges, values).tolist()


def test_whole_numbers_lie_in_the_middle_of_bins():
    assert histogram(0, 0, 1, 3) == ([-0.5, 0.5, 1.5, 2.5, 3.5], [2, 1, 0, 1])


def test_many_whole_numbers_share_bins_as_many_in_each():
    edges, counts = histogram(*range(1, 61))
    assert edges[:3] == [0.5, 3.5, 6.5]
    assert counts == [3] * 20


def test_other_numbers_have_bins_by_the_cube_root_of_how_many_they_are():
    edges, counts = histogram(0.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 8.0)  # 2·∛8 bins
    assert edges == [0, 2, 4, 6, 8]
    assert counts == [3, 2, 2, 1]


@pytest.mark.parametrize(
    ("value", "edges"), [(5.0, [4.5, 5.5]), (2.5, [2.0, 3.0]), (1e20, [0.999e20, 1.001e20])]
)
def test_a_constant_column_has_one_bin(value, edges):
    found, counts = histogram(value, value, value)
    assert found == pytest.approx(edges)
    assert counts == [3]


def test_an_outlier_does_not_press_the_rest_into_one_bin_and_is_counted():
    values = np.append(np.linspace(0.25, 1.25, 99), [1e6])
    edges = bin_edges(values)
    assert (edges[0], edges[-1]) == (0.25, 1.25)
    counts = count_bins(edges, values)
    assert counts.sum() == 100
    assert counts.max() <= 12


def test_a_long_tail_of_many_rows_is_shown_to_its_end():
    values = np.append(np.linspace(0.25, 1.25, 90), np.linspace(50.5, 100.5, 10))
    assert bin_edges(values)[-1] == 100.5


def test_what_lies_outside_counts_in_the_outermost_bins():
    assert count_bins(np.array([0.0, 1.0, 2.0]), np.array([-9.0, 0.5, 9.0, 9.0])).tolist() == [2, 2]


@pytest.mark.parametrize("values", [np.arange(1e6), np.linspace(0, 1, 10**6) ** 2])
def test_there_are_never_many_bins(values):
    assert MOST_BINS / 2 < len(bin_edges(values)) - 1 <= MOST_BINS
