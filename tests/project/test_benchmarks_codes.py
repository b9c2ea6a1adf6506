"""The measurement of codes among integers: planted codes, and the listing of a table."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.codes import (
    Measured,
    _public,
    find_effects,
    named_config,
    planted_table,
    report_named,
)
from benchmarks.public_tables import Source

pytestmark = pytest.mark.release


def test_planted_codes_of_ten_rows_are_found() -> None:
    effects = find_effects(planted_table(500, 5_000), "y")
    assert {name: effect.kind for name, effect in effects.items()} == {"code": "codes"}


def test_the_columns_that_are_found_are_listed_with_their_shares(tmp_path: Path) -> None:
    rows = [f"{i % 40},{(i % 40) * 17 % 40 + i % 3 / 10}" for i in range(1200)]
    path = tmp_path / "schools.csv"
    path.write_text("\n".join(["school,grade", *rows]), encoding="utf-8")
    listing = _public([Source("schools", "grade")], {"schools": path})
    cells = [list(column.cells) for column in listing.columns]
    assert cells[:3] == [["schools, grade"], ["school"], ["codes"]]
    assert float(str(cells[3][0]).removesuffix(" %")) > 95


def test_the_config_without_the_rule_reads_named_codes_as_numbers(tmp_path: Path) -> None:
    rows = [f"{i % 5},{i % 7},{i * 37 % 100 / 10}" for i in range(300)]
    path = tmp_path / "train.csv"
    path.write_text("\n".join(["StoreID,size,price", *rows]), encoding="utf-8")
    source = Source("train", "price")
    types = [
        yaml.safe_load(named_config(tmp_path, source, most))["input"]["features"]
        for most in (100, 0)
    ]
    assert [each["StoreID"] for each in types] == ["categorical", "numeric"]
    assert [each["size"] for each in types] == ["numeric", "numeric"]


def test_the_rule_is_judged_by_the_tables_it_was_not_written_for() -> None:
    errors = {"a": ((2.0, 1.0), (8.0, 1.0)), "b": ((1.0, 1.0),), "OJ": ((50.0, 1.0),)}
    measured = [
        Measured(Source(name, "y"), ("id",), *pair)
        for name, each in errors.items()
        for pair in each
    ]
    cells = [list(column.cells) for column in report_named(measured).columns]
    assert cells[2][0] == "2.000, 8.000"
    assert cells[3][:3] == ["4.000", "1.000", "50.000"]
    assert str(cells[3][3]).startswith("2.000, ")
