"""The first row that can't be used, as an error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlcli.table import Table


def refuse(
    wrong: NDArray[np.bool_], table: Table, column: str, message: Callable[[int], str]
) -> None:
    """Refuses a column if any of its rows is wrong.

    Args:
        wrong: which rows are, (rows,).
        table: the table.
        column: the column's name.
        message: what to say of the first wrong row, by its index.

    Raises:
        DataError: naming file, row and column.
    """
    table.refuse(wrong, column, message)
