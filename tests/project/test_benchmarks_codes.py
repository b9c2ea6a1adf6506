"""The measurement of codes among integers: planted codes, and the listing of a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.codes import _public, find_effects, planted_table
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
