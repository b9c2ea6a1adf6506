"""The measurement of intervals on public tables: means, and a run on one table."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from benchmarks.forked import Ended
from benchmarks.prediction_intervals import Measured, report
from benchmarks.public_tables import Source

pytestmark = pytest.mark.release


def test_the_report_has_means_over_splits_and_tables_and_the_worst() -> None:
    cars, houses = Source("cars", "price"), Source("houses", "price")
    measured = [
        Measured(cars, "simple", 20, 0.8, 1.0),
        Measured(cars, "simple", 20, 0.9, 2.0),
        Measured(houses, "simple", 30, 0.95, 0.5),
    ]
    (table,) = report(measured, 0.9)
    cells = [list(column.cells) for column in table.columns]

    assert cells[0] == ["cars price", "houses price", "mean", "least coverage, largest size"]
    assert cells[1][:2] == ["20", "30"]
    assert cells[2] == ["0.850", "0.950", "0.900", "0.850"]
    assert cells[3] == ["1.50", "0.50", "1.00", "1.50"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs forking")
def test_intervals_of_a_table_are_measured(
    iris: list[str], run_module: Callable[..., Ended]
) -> None:
    options = ["--splits", "1", "--presets", "good", "--set", "epochs=3", "--level", "0.8"]
    done = run_module("benchmarks.prediction_intervals", *iris, *options)

    assert done.code == 0, done.errors
    title, head, _, row, *_ = (line.split() for line in done.output.split("\n") if line.strip())
    assert title == ["classes:", "coverage", "at", "0.8,", "classes"]
    assert head == ["table", "test", "rows", "good", "classes"]
    assert row[:2] == ["iris", "target"]
    rows_of_test, coverage, size = row[2:]
    assert rows_of_test == "51"  # a third of each class, of 50 rows each
    assert 0.6 < float(coverage) <= 1
    assert 1 <= float(size) <= 3
