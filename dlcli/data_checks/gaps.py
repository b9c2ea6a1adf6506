"""Columns without a value in many rows."""

from __future__ import annotations

from dlcli.data_checks.finding import DataIssue, listed, share
from dlcli.data_checks.sample import Sample

MANY = 0.5
"""Share of the rows without a value from which on there are many."""


def find_gaps(sample: Sample) -> DataIssue | None:
    """Finds features without a value in half of the rows or more."""
    rows = sample.table.rows
    found = {
        name: share(gaps, rows)
        for name, column in sample.columns.items()
        if (gaps := rows - column.present) >= MANY * rows
    }
    if not found:
        return None
    message = f"no value in many rows: {listed(found)}"
    advice = "find out why: whether there is one may say more than what it is"
    return DataIssue("gaps", "note", tuple(found), None, message, advice)
