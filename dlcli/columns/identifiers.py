"""Columns that merely distinguish or number the rows of a table, by their names and values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from dlcli.arrays import Floats
from dlcli.columns.type_inference import MIN_ROWS
from dlcli.errors import are_years, plural

if TYPE_CHECKING:
    from dlcli.columns.column_summary import ColumnSummary

_IDENTIFIER_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:[pu]?id|uuid|guid|key|index|idx|row[._ ]?(?:names?|id|number)?))$"
    r"|[a-z]I[dD]$"
)
_NUMBER_NAME = re.compile(r"(?i:(?:^|[\W_])(?:nr|no|num|number|obs|observation|case)\.?)$")
"""Names of row numbers, but also of counts."""
_TIME_NAME = re.compile(
    r"(?i:(?:^|[\W\d_])(?:year|yr|quarter|month|week|day|date|time|hour|minute|second|age)s?"
    r"(?:$|[\W\d_]))|[a-z](?:Year|Month|Week|Day|Date|Time|Hour|Age)$"
)
_NUMBERED_SHARE = 0.5
"""Share that must be exceeded: of a row index's steps, those of 1; of numbered rows, the numbers
that occur."""
_ALL_DIFFER = "a different value in each row: an identifier"


def has_identifier_name(column: str) -> bool:
    """Return whether a column is called as identifiers are: `id`, `movieId`, `store_key`."""
    return _IDENTIFIER_NAME.search(column) is not None


def numbered_prefix(column: str) -> str | None:
    """Return what numbered columns begin with, `pixel_` of `pixel_3_7`; None if not numbered."""
    match = re.fullmatch(r"([^*?]*?[^*?\d])\d+([_x.,-]\d+)*", column, re.S)
    return match and match[1]


def identity_of_categories(column: str, summary: ColumnSummary, share: float) -> str | None:
    """Return why categories merely distinguish rows; None if they don't.

    They do if 95 % of the values differ, in 20 rows or more.
    """
    has_name, is_long = has_identifier_name(column), summary.present >= MIN_ROWS
    if summary.distinct == summary.present and (has_name or is_long):
        return _ALL_DIFFER
    if is_long and summary.distinct >= share * summary.present:
        return f"{summary.distinct:,} values in {plural(summary.present, 'row')}: an identifier"
    return None


@np.errstate(over="ignore", invalid="ignore")  # of numbers that are infinite, or nearly so
def identity_of_numbers(column: str, numbers: Floats) -> str | None:
    """Return why numbers merely distinguish or number the rows; None if they don't.

    Whole numbers may be amounts that happen to differ. So all must differ, and in addition either
    the name is that of an identifier, or it is `no`, `nr` or the like and they are nearly
    consecutive, or they number the rows: most are by 1 larger than the one in the row before, or
    most by 1 less, in 20 rows or more, and neither is the name that of a time nor are they years.

    Args:
        column: the column's name.
        numbers: the numbers of all rows that have one, in the order of the file.
    """
    is_whole = bool((numbers == np.floor(numbers)).all())  # NaN, which was unreadable, is not
    if len(numbers) < 2 or not is_whole or len(np.unique(numbers)) < len(numbers):
        return None
    has_name = has_identifier_name(column)
    is_time = are_years(numbers.min(), numbers.max()) or _TIME_NAME.search(column)
    if len(numbers) >= MIN_ROWS and (has_name or not is_time):
        steps = np.diff(numbers)
        for step, verb in ((1, "rises"), (-1, "falls")):
            if np.mean(steps == step) > _NUMBERED_SHARE:
                return f"a whole number that {verb} by row: a row index"
    is_dense = len(numbers) > _NUMBERED_SHARE * (np.ptp(numbers) + 1)
    return _ALL_DIFFER if has_name or (is_dense and _NUMBER_NAME.search(column)) else None
