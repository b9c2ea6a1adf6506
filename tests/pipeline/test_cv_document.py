"""Curves of fewer points."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlcli.runs.documents import thinned


def test_a_short_curve_keeps_all_its_points():
    assert thinned(np.array([3.0, 1, 2]), 4).tolist() == [0, 1, 2]


def test_no_peak_is_lost():
    curve = np.zeros(10_000)
    curve[[1234, 5678]] = 9, -9
    assert {0, 1234, 5678, 9_999} <= set(thinned(curve, 20).tolist())


def test_values_that_are_not_finite_are_omitted():
    assert thinned(np.array([np.nan, 1, np.inf, 2]), 4).tolist() == [1, 3]


@given(st.lists(st.floats(width=32), max_size=200), st.integers(4, 50))
def test_first_last_least_and_greatest_stay_and_at_most_that_many_points(values, most):
    curve = np.array(values, dtype=np.float64)
    kept = thinned(curve, most).tolist()
    finite = np.flatnonzero(np.isfinite(curve)).tolist()
    assert len(kept) <= max(most, 4)
    assert kept == sorted(set(kept) & set(finite))
    if finite:
        shown = curve[kept]
        assert (kept[0], kept[-1]) == (finite[0], finite[-1])
        assert (shown.min(), shown.max()) == (curve[finite].min(), curve[finite].max())
