"""Intervals over folds hold the truth as often as they say, in a simulation."""

from __future__ import annotations

import pytest

from benchmarks.fold_coverage import KINDS, PLANS, FoldPlan, cases, cover, report

pytestmark = pytest.mark.release

CASES = {case.name: case for case in cases()}


@pytest.mark.parametrize("name", ["linear, rmse", "two classes, accuracy"])
def test_of_a_hundred_intervals_over_folds_ninety_five_hold_the_truth(name: str):
    found = cover(CASES[name], FoldPlan(50, 5, 1), samples=200, seed=2)
    assert 0.92 <= found["folds"].contained <= 0.995
    assert found["folds, uncorrected"].contained < found["folds"].contained
    assert found["pooled"].width < found["folds"].width


def test_the_table_has_a_line_for_each_kind_of_interval():
    table = report(samples=2, plans=PLANS[:1], seed=0)
    assert table.row_count == len(CASES) * len(KINDS)
