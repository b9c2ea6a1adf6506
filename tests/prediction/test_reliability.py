"""The groups of a reliability diagram, for each kind of probabilities."""

import numpy as np
import pytest

from dlcli.prediction.reliability import measure_reliability
from dlcli.reports.calibration_section import calibration_table, describe_calibration
from dlcli.tasks.classification import Binary, Multiclass, Multilabel
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import DecodedRows

TWO = Binary(columns=("y",), classes=("no", "yes"))
ABC = Multiclass(columns=("y",), classes=("a", "b", "c"))
LABELS = Multilabel(columns=("p", "q"), labels=("p", "q"))


def test_two_classes_are_grouped_by_the_probability_of_the_second():
    rows = DecodedRows(np.array([0] * 8 + [1] * 12), np.array([[0.2]] * 10 + [[0.9]] * 10), None)
    found = measure_reliability(TWO, rows)
    assert (found.of, found.error.value) == ("yes", pytest.approx(0.05))
    assert [(each.predicted, each.observed) for each in found.groups] == [
        (pytest.approx(0.2), 0.2),
        (pytest.approx(0.9), 1.0),
    ]
    table = calibration_table(found, has_labels=False)
    assert table.rows[0] == ("20.0 %", "20.0 %", "5.7 % to 51.0 %", "10")
    assert describe_calibration(found).startswith("The calibration error is 5.0 percentage points")


def test_several_classes_are_grouped_by_the_largest_probability():
    rows = DecodedRows(np.array([0, 1] * 5), np.tile([0.5, 0.3, 0.2], (10, 1)), None)
    [group] = measure_reliability(ABC, rows).groups
    assert (group.predicted, group.observed) == (0.5, 0.5)


def test_all_labels_are_grouped_together():
    rows = DecodedRows(np.tile([1, 0], (10, 1)), np.tile([0.8, 0.2], (10, 1)), None)
    [group] = measure_reliability(LABELS, rows).groups
    assert (group.rows, group.predicted, group.observed) == (20, pytest.approx(0.5), 0.5)


def test_numbers_and_rows_without_weight_have_none():
    numbers = Regression(columns=("y",))
    assert measure_reliability(numbers, DecodedRows(np.ones((3, 1)), np.ones((3, 1)), None)) is None
    rows = DecodedRows(np.array([0, 1]), np.array([[0.1], [0.9]]), np.zeros(2))
    assert measure_reliability(TWO, rows) is None
    few = DecodedRows(np.array([0, 1]), np.array([[0.1], [0.9]]), None)
    assert "too few rows" in describe_calibration(measure_reliability(TWO, few))
