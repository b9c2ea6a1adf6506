"""Confidence intervals contain the true value as often as they should, in a simulation."""

from __future__ import annotations

import pytest

from benchmarks.coverage import SIZES, cases, cover, report

CASES = {case.name: case for case in cases()}
GUARANTEED = ("accuracy 0.85", "auc 0.8", "rmse, normal", "log_loss", "difference of accuracies")
LONGEST = [("rmse, normal", SIZES[-1]), ("log_loss", SIZES[-1])]
"""Means over rows, for releases: few rows, which take less, are further from a normal mean."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param(name, rows, marks=pytest.mark.release if (name, rows) in LONGEST else ())
        for name in GUARANTEED
        for rows in (SIZES[0], SIZES[-1])
    ],
)
def test_95_of_100_intervals_contain_the_true_value(name: str, rows: int):
    samples, resamples = (200, 400) if rows == 1_000 else (600, 1_000)
    found = cover(CASES[name], rows, samples, seed=2, resamples=resamples)
    assert 0.92 <= found.contained <= 0.98
    assert found.without == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"), [("rmse, Laplace", 50), ("auc 0.8, 1 in 5", 50), ("auc 0.95, 1 in 10", 100)]
)
def test_intervals_hold_for_heavy_tails_and_for_few_positive_rows(name: str, rows: int):
    found = cover(CASES[name], rows, samples=600, seed=2, resamples=1_000)
    assert 0.92 <= found.contained <= 0.98
    assert found.without <= 0.02  # fewer than two positive rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log losses of equals, 1 in 20", "average precisions, 1 in 20"])
def test_two_equally_good_models_are_rarely_called_different_by_a_few_positive_rows(name: str):
    found = cover(CASES[name], rows=225, samples=300, seed=0, resamples=400)
    assert found.contained >= 0.93


def test_a_missing_interval_does_not_contain_the_true_value():
    found = cover(CASES["rmse, normal"], rows=5, samples=4)
    assert (found.contained, found.without) == (0, 1)


def test_the_table_has_a_line_for_each_case():
    table = report(samples=2, sizes=[12], seed=0)
    assert table.row_count == len(CASES)
