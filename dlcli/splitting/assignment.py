"""The rows of each set, and how many there are to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import DataError, plural
from dlcli.tables import Table

Rows = NDArray[np.int64]

_TRAIN, _VALIDATION, _TEST = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """The tables of the sets."""

    train: Table
    """What weights and statistics are learned from."""
    validation: Table | None
    """What early stopping looks at."""
    test: Table | None
    """What only the final scores look at."""


@dataclass(frozen=True)
class Shares:
    """How much of the rows is held out; a share above 0 is at least one row."""

    validation: float = 0.0
    """Share of all rows, in [0, 1)."""
    test: float = 0.0
    """Share of all rows, in [0, 1)."""


class Assignment(NamedTuple):
    """The rows of each set: indices from 0, ascending, (rows of the set,)."""

    train: Rows
    validation: Rows
    test: Rows


def held_out(rows: int, shares: Shares, file: str | None = None) -> tuple[int, int]:
    """How many of a file's rows validate and how many test.

    Raises:
        DataError: no row would be left for training.
    """
    validation, test = (
        max(1, round(share * rows)) if share > 0 else 0
        for share in (shares.validation, shares.test)
    )
    if validation + test >= rows:
        raise DataError(
            f"{plural(rows, 'row')} {'is' if rows == 1 else 'are'} too few: validation takes "
            f"{validation}, test {test}, and training needs at least 1; give more rows, or hold "
            "out less",
            file=file,
        )
    return validation, test


def assigned(rows: int, validation: Rows, test: Rows) -> Assignment:
    """Give the rest to training."""
    sets = np.full(rows, _TRAIN)
    sets[validation] = _VALIDATION
    sets[test] = _TEST
    return Assignment(*(np.flatnonzero(sets == one) for one in (_TRAIN, _VALIDATION, _TEST)))


def refuse_missing(table: Table, column: str) -> None:
    """Refuses a row that doesn't say what it is dealt out by.

    Raises:
        DataError: with file, row and column.
    """
    missing = table.missing(column)
    if missing.any():
        file, row = table.where(int(np.argmax(missing)))
        message = "expected a value to split by, got a missing one; fill it in or drop the row"
        raise DataError(message, file=file, row=row, column=column)
