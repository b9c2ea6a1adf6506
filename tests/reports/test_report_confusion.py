"""What was taken for what, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.reports.blocks import Chart, Table
from dlcli.reports.confusion import as_matrix, class_table, confusion_blocks

MATRIX = np.array([[8.0, 2.0], [1.0, 9.0]])


def test_each_class_has_its_precision_recall_and_f1():
    rows = class_table(MATRIX, ["cat", "dog"]).rows
    assert rows == (
        ("cat", "10", "88.9 %", "80.0 %", "0.8421"),  # 8 of 9, 8 of 10, 16 of 19
        ("dog", "10", "81.8 %", "90.0 %", "0.8571"),
    )


def test_a_small_matrix_is_drawn_with_counts_and_shares():
    [chart] = confusion_blocks(MATRIX, ["cat", "dog"])
    assert isinstance(chart, Chart)
    cells = chart.spec["datasets"]["rows"]
    assert {"t": "cat", "p": "dog", "n": 2.0, "s": 0.2} in cells
    assert chart.shows == "17 of 20 are right. The most frequent mistake: cat taken for dog (2)."


def test_of_many_classes_the_most_frequent_mistakes_are_listed():
    matrix = np.eye(200)
    matrix[3, 7] = 5
    [table] = confusion_blocks(matrix, [f"c{at}" for at in range(200)])
    assert isinstance(table, Table)
    assert table.rows == (("c3", "c7", "5", "83.3 %"),)  # of 6 rows


def test_of_many_classes_the_most_frequent_are_listed():
    matrix = np.diag(np.arange(1.0, 201))
    table = class_table(matrix, [f"c{at}" for at in range(200)])
    assert (len(table.rows), table.rows[0][0]) == (50, "c199")
    assert "150 rarer classes are not listed" in table.note


@pytest.mark.parametrize(
    "value", [None, "x", [[1]], [[1, 2], [3]], [[1, -1], [0, 1]], [["a", 1], [1, 1]], [[0, 0]] * 2]
)
def test_what_is_no_matrix_of_the_classes_is_none(value):
    assert as_matrix(value, 2) is None
