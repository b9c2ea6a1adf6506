"""Rows that can't be predicted, with the reason."""

from __future__ import annotations

from itertools import groupby

import pyarrow as pa

from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table, integers, strings


def rejected_rows(table: Table, issues: ValueIssues) -> pa.Table:
    """The rows with a value that can't be used.

    Args:
        table: all rows.
        issues: what encoding them found, leniently.

    Returns:
        `row`, the row in its file, and `file` if there are several; `reason`; and the table's own
        columns, unchanged. A name that the table has, too, gets a `_` before it.
    """
    rows = issues.bad_indices
    bad = table.take(rows)
    own = {
        **({"file": bad.file_names()} if bad.files else {}),
        "row": integers(bad.row_numbers),
        "reason": strings(_reasons(issues), pa.string()),
    }
    named = {_free(name, table.columns): values for name, values in own.items()}
    return pa.table({**named, **{name: bad.keep(name) for name in bad.columns}})


def _reasons(issues: ValueIssues) -> list[str]:
    """What is wrong with each rejected row, in order."""
    by_row = groupby(issues.bad_rows(), key=lambda bad: bad.index)
    return ["; ".join(f"column '{bad.column}': {bad.reason}" for bad in row) for _, row in by_row]


def _free(name: str, taken: tuple[str, ...]) -> str:
    return _free(f"_{name}", taken) if name in taken else name
