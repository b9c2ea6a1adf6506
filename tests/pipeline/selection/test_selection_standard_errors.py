"""Standard errors, where a formula or a simulation says what they must be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.pipeline.selection import (
    standard_error_of_folds,
    standard_error_of_mean,
    standard_error_of_rows,
)
from dlcli.tasks import Multiclass, Multilabel
from tests.comparison.hand_made import held_out, numbers, two_classes

THREE = Multiclass(columns=("y",), classes=("a", "b", "c", "d"))
LABELS = Multilabel(columns=("a", "b"), labels=("a", "b"))


def test_folds_have_the_standard_error_of_a_mean():
    assert standard_error_of_folds([1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(5 / 3) / 2)


def test_less_than_two_folds_have_none():
    assert standard_error_of_folds([]) is None
    assert standard_error_of_folds([1.0]) is None
    assert standard_error_of_folds([1.0, None]) is None


def test_folds_without_a_value_are_left_out():
    assert standard_error_of_folds([1.0, None, 3.0]) == pytest.approx(1.0)


def test_the_mean_of_rows_has_the_deviation_over_the_root_of_their_number():
    values = np.array([1.0, 2.0, 3.0, 6.0])
    assert standard_error_of_mean(values) == pytest.approx(math.sqrt(3.5) / 2)  # Σ (v - 3)² = 14


def test_rows_of_weight_zero_are_not_there():
    values, weight = np.array([1.0, 2.0, 3.0, 6.0, 99.0]), np.array([2.0, 2, 2, 2, 0])
    assert standard_error_of_mean(values, weight) == pytest.approx(math.sqrt(3.5) / 2)


def test_a_mean_of_less_than_two_rows_has_none():
    assert standard_error_of_mean(np.array([1.0])) is None
    assert standard_error_of_mean(np.array([1.0, 2.0]), np.array([1.0, 0.0])) is None


def test_the_mean_absolute_error_is_a_mean_of_rows():
    held = numbers(np.zeros(4), [1.0, -2.0, 3.0, -6.0])
    assert standard_error_of_rows(held, "mae") == pytest.approx(math.sqrt(3.5) / 2)


def test_a_metric_may_be_named_as_of_the_validation_rows():
    held = numbers(np.zeros(4), [1.0, -2.0, 3.0, -6.0])
    assert standard_error_of_rows(held, "val_mae") == pytest.approx(math.sqrt(3.5) / 2)


def test_a_share_of_rows_has_half_of_wilsons_interval():
    truth = np.arange(263) % 2
    guesses = np.where(np.arange(263) < 81, truth, 1 - truth)
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 is 0.2553 to 0.3662.
    expected = (0.3662 - 0.2553) / 2 / 1.959964
    found = standard_error_of_rows(two_classes(truth, guesses * 0.8 + 0.1), "accuracy")
    assert found == pytest.approx(expected, abs=5e-5)


def test_rows_that_are_all_right_leave_something_open():
    """Wilson's interval of 30 of 30 is from 0.8865 to 1."""
    truth = np.arange(30) % 2
    found = standard_error_of_rows(two_classes(truth, truth * 0.8 + 0.1), "accuracy")
    assert found == pytest.approx((1 - 0.8865) / 2 / 1.959964, abs=5e-5)


def drawn(rows: int, generator: np.random.Generator):
    """Rows of every kind of target."""
    truth = generator.integers(0, 2, rows)
    chances = 1 / (1 + np.exp(-generator.normal(size=rows) - 2 * truth + 1))
    classes = generator.integers(0, 4, rows)
    logits = generator.normal(size=(rows, 4)) + 1.5 * (classes[:, np.newaxis] == np.arange(4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    marks = generator.integers(0, 2, (rows, 2))
    of_marks = 1 / (1 + np.exp(-generator.normal(size=(rows, 2)) - 2 * marks + 1))
    counts = generator.poisson(3.0, rows).astype(float)
    return (
        numbers(counts, 3.0 + 0.2 * generator.normal(size=rows), has_deviance=True),
        numbers(truth := generator.normal(size=rows), truth + 0.5 * generator.normal(size=rows)),
        two_classes((chances > generator.random(rows)).astype(int), chances),
        held_out(THREE, classes, shares),
        held_out(LABELS, marks, of_marks),
    )


def test_every_metric_has_the_standard_error_that_many_draws_of_rows_show():
    """400 tables of 300 rows: the median error is the deviation of the values, within a fifth."""
    generator = np.random.default_rng(1)
    tables = [drawn(300, generator) for _ in range(400)]
    seen = set()
    for kind in range(5):
        scores = [table[kind].metrics() for table in tables]
        for name in set(scores[0]) & set(HIGHER_IS_BETTER):
            deviation = np.std([each[name] for each in scores], ddof=1)
            errors = [standard_error_of_rows(table[kind], name) for table in tables[:15]]
            assert np.median(errors) == pytest.approx(deviation, rel=0.2), (kind, name)
            seen.add(name)
    assert seen == set(HIGHER_IS_BETTER)


def test_what_rows_cannot_tell_has_none():
    held = numbers([1.0, 1.0, 1.0], [0.0, 1.0, 2.0])
    assert standard_error_of_rows(held, "r2") is None  # of a target that does not vary
    assert standard_error_of_rows(held, "accuracy") is None  # which numbers do not have
    assert standard_error_of_rows(numbers([1.0], [2.0]), "mae") is None
    assert standard_error_of_rows(two_classes([0, 0, 1], [0.1, 0.2, 0.9]), "auc") is None
    nothing = two_classes([0, 1] * 10, [0.1] * 20)
    assert standard_error_of_rows(nothing, "precision") is None  # of what is called positive


def test_the_same_rows_have_the_same_error_each_time():
    generator = np.random.default_rng(2)
    held = numbers(generator.normal(size=40), generator.normal(size=40))
    first = standard_error_of_rows(held, "median_absolute_error")
    assert first == standard_error_of_rows(held, "median_absolute_error")
