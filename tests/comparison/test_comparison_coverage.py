"""Intervals hold the truth as often as they say, in a simulation."""

from __future__ import annotations

import pytest

from benchmarks.coverage import SIZES, cover, report, scenes

SCENES = {scene.name: scene for scene in scenes()}
PROMISED = ("accuracy 0.85", "auc 0.8", "rmse, normal", "log_loss", "difference of accuracies")


@pytest.mark.slow
@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("name", PROMISED)
def test_of_a_hundred_intervals_ninety_five_hold_the_truth(name: str, rows: int):
    samples, resamples = (200, 400) if rows == 1_000 else (600, 1_000)
    found = cover(SCENES[name], rows, samples, seed=2, resamples=resamples)
    assert 0.92 <= found.held <= 0.98
    assert found.without == 0


def test_an_interval_that_is_never_there_holds_nothing():
    found = cover(SCENES["rmse, normal"], rows=5, samples=4)
    assert (found.held, found.without) == (0, 1)


def test_the_table_has_a_line_for_each_scene():
    table = report(samples=2, sizes=[12], seed=0)
    assert table.row_count == len(SCENES)
