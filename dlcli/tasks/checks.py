"""Rows whose target can't be used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table


def refuse_gaps(table: Table, column: str, issues: ValueIssues, hint: str = "") -> None:
    """Refuses a target without a value.

    Args:
        table: the rows.
        column: the target's column.
        issues: takes in such rows, if it is lenient.
        hint: what else there is to say of it.

    Raises:
        DataError: naming the first such row, unless they are lenient.
    """
    message = f"the target is missing; leave such rows out of the file{hint}"
    issues.refuse(table.missing(column), table, column, lambda _: message)


def refuse_no_counts(
    values: NDArray[np.float64], table: Table, column: str, issues: ValueIssues
) -> None:
    """Refuses numbers, (rows,), that are no counts.

    Raises:
        DataError: for a negative or a broken one, with its row, unless the issues are lenient.
    """
    wrong = (values < 0) | (values != np.floor(values))
    said = "a count is a whole number of 0 or more, got {:.12g}".format
    issues.refuse(wrong, table, column, lambda at: said(values[at]))
