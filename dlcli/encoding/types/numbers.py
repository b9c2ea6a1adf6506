"""Columns of numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dlcli.config import Categorical, Numeric
from dlcli.encoding.types.categories import kept
from dlcli.encoding.types.decision import Decision
from dlcli.encoding.types.held import NEARLY_ALL, Held
from dlcli.encoding.types.strays import find_strays
from dlcli.encoding.values import LEADING_ZERO, ColumnSummary
from dlcli.preprocessing import LARGEST
from dlcli.tables import mask_to_numpy

FEW = 10
"""Different numbers up to which they may well be names of categories."""

_STRAYS = (
    "read as numbers, so that training will refuse the rest; correct it, name it in data.missing, "
    "or declare the column categorical"
)


def judge_numbers(held: Held) -> Decision | None:
    """Takes a column for amounts, or for codes by their leading zeros.

    A text column may hold a few other values: 10 % of the rows at most, if there are more than
    `FEW` numbers; or any number of words that usually stand for missing values. Training will
    refuse them unless they are declared, for each number as a category would teach next to nothing.
    """
    if held.kind not in ("number", "text"):
        return None
    if held.table.looks_numeric(held.name):
        return _codes(held) if held.values.leading_zeros else _amounts(held.values)
    return _with_strays(held) if held.kind == "text" else None


def _amounts(values: ColumnSummary) -> Decision:
    if values.bounds is None:
        beyond = f"all numbers, one of them infinite or beyond {LARGEST:.1e}"
        return Decision(Numeric(), beyond)
    few = "few whole values, as amounts"
    return Decision(Numeric(), few if may_be_codes(values) else "all numbers")


def may_be_codes(values: ColumnSummary) -> bool:
    """Whether numbers may be names of categories: few whole ones that repeat, other than 0 and 1.

    Args:
        values: what the column holds.
    """
    is_flag = values.bounds == (0, 1)
    repeats = values.present >= 2 * values.distinct
    return values.whole and not is_flag and repeats and 1 < values.distinct <= FEW


def _codes(held: Held) -> Decision:
    return Decision(Categorical(), f"codes by their leading zeros, {kept(held.values.distinct)}")


def _with_strays(held: Held) -> Decision | None:
    notation = held.table.column(held.name).notation
    fits = mask_to_numpy(notation.fits(pa.chunked_array([held.tally.texts])))
    strays = find_strays(held, ~fits)
    if strays is None:
        return None
    is_few = strays.share >= NEARLY_ALL and np.count_nonzero(fits) > FEW
    if not strays.are_usual and not is_few:
        return None
    if (held.fitting(LEADING_ZERO) & fits).any():
        return _codes(held)
    words = strays.words if strays.are_usual else ()
    return Decision(Numeric(), strays.reason("numbers"), _STRAYS, words)
