"""What the predictions of all rows say."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.pipeline import Interval
from dlcli.pipeline.selection import pooled_estimates
from tests.comparison.hand_made import numbers, two_classes


def decided(right: int, rows: int = 100):
    """Rows of two classes in turn, of which the first so many are told right."""
    truth = np.arange(rows) % 2
    return two_classes(truth, np.where(np.arange(rows) < right, truth, 1 - truth) * 0.8 + 0.1)


def test_the_accuracy_of_all_rows_has_wilsons_interval():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
    found = pooled_estimates([decided(81, 263)])["accuracy"]
    assert found.value == pytest.approx(81 / 263)
    assert (found.lower, found.upper) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_repeats_are_averaged_value_and_ends():
    # Wilson's intervals of 80 and of 90 of 100: 0.7112 to 0.8666, and 0.8256 to 0.9448.
    found = pooled_estimates([decided(80), decided(90)])["accuracy"]
    assert found.value == pytest.approx(0.85)
    assert (found.lower, found.upper) == pytest.approx((0.7684, 0.9057), abs=1e-4)


def test_repeats_that_agree_make_no_interval_narrower():
    once = pooled_estimates([decided(80)])
    thrice = pooled_estimates([decided(80)] * 3)
    for name, interval in once.items():
        assert thrice[name].lower == pytest.approx(interval.lower), name
        assert thrice[name].upper == pytest.approx(interval.upper), name


def test_the_mean_of_errors_has_the_mean_of_students_intervals():
    errors = np.linspace(1, 3, 101)
    half = 1.984 * np.std(errors, ddof=1) / np.sqrt(101)
    found = pooled_estimates([numbers(np.zeros(101), factor * errors) for factor in (1, 2)])["mae"]
    assert found.value == pytest.approx(3)  # of 2 and 4
    assert found.upper == pytest.approx(3 + 1.5 * half, abs=0.15 * half)


def test_a_metric_that_a_repeat_lacks_is_the_mean_of_the_others_and_says_so():
    # Where nothing is called positive, precision is undefined.
    nothing = two_classes([0, 1] * 10, [0.1] * 20)
    half_right = two_classes([0, 1] * 10, [0.9] * 20)
    found = pooled_estimates([nothing, half_right])["precision"]
    assert found == Interval(value=0.5, reason="undefined in 1 of 2 repeats")


def test_a_metric_that_no_repeat_has_is_undefined():
    found = pooled_estimates([two_classes([0, 1] * 10, [0.1] * 20)] * 2)["precision"]
    assert found == Interval(value=None)


def test_too_few_rows_have_no_interval_and_say_why():
    found = pooled_estimates([numbers([1.0, 2.0], [1.5, 3.0])] * 2)["mae"]
    assert found == Interval(value=0.75, reason="fewer than 10 rows")


def test_values_as_large_as_floats_get_have_a_mean():
    largest = numbers([0.0], [1.7e308])
    assert pooled_estimates([largest, largest])["mae"].value == pytest.approx(1.7e308)
