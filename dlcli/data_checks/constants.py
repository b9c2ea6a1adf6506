"""Columns that are the same in all rows, or in nearly all."""

from __future__ import annotations

import numpy as np

from dlcli.data_checks.finding import DataIssue, listed, quoted
from dlcli.data_checks.sample import Sample

NEARLY_ALL = 0.995
"""Share of the rows from which on their value is nearly constant."""


def find_constants(sample: Sample) -> DataIssue | None:
    """Finds features with one value and no gap."""
    rows = sample.table.rows
    found = {
        name: quoted(column.text(0))
        for name, column in sample.columns.items()
        if column.counts.tolist() == [rows]
    }
    if not found:
        return None
    message = f"the same value in all rows: {listed(found)}"
    advice = "it teaches nothing; it may be ignored"
    return DataIssue("constants", "note", tuple(found), rows, message, advice)


def find_near_constants(sample: Sample) -> DataIssue | None:
    """Finds features with one value in over 99.5 % of the rows, and others in the rest."""
    rows = sample.table.rows
    found = {
        name: f"{quoted(column.text(int(np.argmax(column.counts))))} in all but {rows - most:,}"
        for name, column in sample.columns.items()
        if NEARLY_ALL * rows < (most := int(column.counts.max(initial=0))) < rows
    }
    if not found:
        return None
    message = f"nearly the same value in all rows: {listed(found)}"
    advice = "so few other rows teach little; scaled to deviation 1, they weigh much"
    return DataIssue("near_constants", "note", tuple(found), None, message, advice)
