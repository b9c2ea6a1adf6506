"""Confidence intervals contain the true value as often as they should, in a simulation."""

from __future__ import annotations

import pytest

from benchmarks.coverage import SIZES, cover, report, scenes

SCENES = {scene.name: scene for scene in scenes()}
GUARANTEED = ("accuracy 0.85", "auc 0.8", "rmse, normal", "log_loss", "difference of accuracies")


@pytest.mark.slow
@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("name", GUARANTEED)
def test_95_of_100_intervals_contain_the_true_value(name: str, rows: int):
    samples, resamples = (200, 400) if rows == 1_000 else (600, 1_000)
    found = cover(SCENES[name], rows, samples, seed=2, resamples=resamples)
    assert 0.92 <= found.held <= 0.98
    assert found.without == 0


def test_a_missing_interval_does_not_contain_the_true_value():
    found = cover(SCENES["rmse, normal"], rows=5, samples=4)
    assert (found.held, found.without) == (0, 1)


def test_the_table_has_a_line_for_each_scene():
    table = report(samples=2, sizes=[12], seed=0)
    assert table.row_count == len(SCENES)
