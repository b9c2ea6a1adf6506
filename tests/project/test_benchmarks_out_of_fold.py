"""The measurement of out-of-fold errors on public tables: means, and a run on one table."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from benchmarks.forked import Ended
from benchmarks.out_of_fold import Measured, report
from benchmarks.public_tables import Source

pytestmark = pytest.mark.release


def test_the_report_has_geometric_means_over_splits_and_tables() -> None:
    cars, houses = Source("cars", "price"), Source("houses", "price")
    measured = [
        Measured(cars, 200, out_of_fold=2.0, ensemble=1.0, single=4.0),
        Measured(cars, 200, out_of_fold=2.0, ensemble=4.0, single=4.0),
        Measured(houses, 90, out_of_fold=1.0, ensemble=1.0, single=1.0),
    ]
    (table,) = report(measured)
    cells = [list(column.cells) for column in table.columns]

    assert cells[0] == ["cars price", "houses price", "geometric mean"]
    assert cells[1] == ["200", "90", ""]
    assert cells[2] == ["1.000", "1.000", "1.000 [1.000, 1.000]"]
    assert cells[3] == ["0.500", "1.000", "0.707 [0.500, 1.000]"]  # the means of one table, twice


@pytest.mark.skipif(sys.platform == "win32", reason="needs forking")
def test_errors_of_a_table_are_measured(iris: list[str], run_module: Callable[..., Ended]) -> None:
    options = ["--splits", "1", "--set", "epochs=3", "--set", "ensemble.members=2"]
    done = run_module("benchmarks.out_of_fold", *iris, *options)

    assert done.code == 0, done.errors
    title, _, _, row, *_ = (line.split() for line in done.output.split("\n") if line.strip())
    assert title[0] == "classes:"
    assert row[:3] == ["iris", "target", "99"]  # two thirds of each class
    assert 0.5 < float(row[3]) < 2
    assert 0.5 < float(row[4]) < 2
