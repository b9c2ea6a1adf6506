"""Rows whose target can't be used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding.findings import Findings
from dlcli.table import Table


def refuse_gaps(table: Table, column: str, findings: Findings, hint: str = "") -> None:
    """Refuses a target without a value.

    Args:
        table: the rows.
        column: the target's column.
        findings: takes in such rows, if it is lenient.
        hint: what else there is to say of it.

    Raises:
        DataError: naming the first such row, and how many there are, unless they are lenient.
    """
    gaps = table.missing(column)
    has_others = gaps.sum() > 1 and not findings.lenient
    others = f" (and in {gaps.sum() - 1} more rows)" if has_others else ""
    message = f"the target is missing{others}; leave such rows out of the file{hint}"
    findings.refuse(gaps, table, column, lambda _: message)


def refuse_no_counts(
    values: NDArray[np.float64], table: Table, column: str, findings: Findings
) -> None:
    """Refuses numbers, (rows,), that are no counts.

    Raises:
        DataError: for a negative or a broken one, with its row, unless the findings are lenient.
    """
    wrong = (values < 0) | (values != np.floor(values))
    said = "a count is a whole number of 0 or more, got {:.12g}".format
    findings.refuse(wrong, table, column, lambda at: said(values[at]))
