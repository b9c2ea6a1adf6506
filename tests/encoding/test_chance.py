"""Differences between new rows and training rows that chance explains."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import betabinom

from dlcli.columns.category import Categorical
from dlcli.config.data_section import Input
from dlcli.encoding.chance import FALSE_ALARMS, TrainingColumn, probability_of_more
from dlcli.tables.table import Table


@pytest.mark.parametrize(
    ("found", "rows", "unlike", "training"),
    [(3, 50, 2, 100), (1, 1, 2, 1_000), (10, 100, 2, 100), (7, 7, 3, 50), (40, 100, 20, 100)],
)
def test_the_probability_is_that_of_the_beta_binomial_distribution(found, rows, unlike, training):
    expected = betabinom(rows, unlike, training + 1 - unlike).sf(found - 1)
    assert probability_of_more(found, rows, unlike, training) == pytest.approx(expected, rel=1e-6)


def test_the_probability_is_that_of_random_orders():
    rng = np.random.default_rng(0)
    new, old = rng.random((50_000, 30)), rng.random((50_000, 20))
    low, high = old.min(axis=1, keepdims=True), old.max(axis=1, keepdims=True)
    outside = ((new < low) | (new > high)).sum(axis=1)
    assert outside.mean() == pytest.approx(2 * 30 / (20 + 1), rel=0.02)
    assert (outside >= 7).mean() == pytest.approx(probability_of_more(7, 30, 2, 20), abs=0.005)


def test_a_million_rows_are_no_more_work():
    assert probability_of_more(501_000, 1_000_000, 500_000, 1_000_000) == pytest.approx(
        0.079, abs=0.01
    )
    assert probability_of_more(600_000, 1_000_000, 500_000, 1_000_000) == 0


def test_two_rows_of_as_many_as_in_training_are_outside_by_chance():
    column = TrainingColumn(rows=1_000, columns=10)
    assert column.explains_outside(2, 0.05, 1_000)
    assert column.explains_outside(7, 0.05, 1_000)
    assert not column.explains_outside(30, 0.05, 1_000)


def test_one_row_far_outside_is_not_explained():
    column = TrainingColumn(rows=1_000, columns=10)
    assert not column.explains_outside(1, 1.5, 1_000)
    assert column.explains_outside(1, 0.1, 1)
    assert not column.explains_outside(1, 0.5, 1), "a single row is rarely outside"
    assert not TrainingColumn(rows=4).explains_outside(1, 2.3, 1), "few rows exclude no chance"
    assert not column.explains_outside(1, math.inf, 1), "training rows have a single value"


@pytest.mark.parametrize("draw", [np.random.Generator.normal, np.random.Generator.exponential])
def test_tables_like_the_training_rows_are_seldom_warned_of(draw):
    rng, alarms, column = np.random.default_rng(0), 0, TrainingColumn(rows=200)
    for _ in range(1_000):
        old, new = draw(rng, size=200), draw(rng, size=200)
        beyond = new[(new < old.min()) | (new > old.max())]
        if len(beyond):
            farthest = max(old.min() - beyond.min(), beyond.max() - old.max()) / np.ptp(old)
            alarms += not column.explains_outside(len(beyond), farthest, 200)
    assert alarms <= 2 * 1_000 * FALSE_ALARMS


def fitted(values: list[str], **settings: object):
    table = Table("t.csv", pa.table({"x": values}), np.arange(1, len(values) + 1))
    return Categorical(**settings).fit("x", table, Input())


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 2 / 10),  # c and d occur once
        ({"min_count": 2}, 2 / 10),  # they are already rare
        ({"min_count": 3}, 5 / 10),  # b is kept, but not without one of its three rows
        ({"max_categories": 1}, 5 / 10),
    ],
)
def test_the_share_of_rare_and_unknown_categories_is_that_of_rows_left_out(settings, share):
    values = ["a"] * 5 + ["b"] * 3 + ["c", "d"]
    assert fitted(values, **settings).expected_unseen == pytest.approx(share)


def test_equally_frequent_categories_are_passed_by_the_next_one():
    # Without one of its rows, a or b has fewer rows than c, which would be kept instead.
    encoder = fitted(["c", "b", "a"] * 2, max_categories=2)
    assert encoder.expected_unseen == pytest.approx(1.0)
