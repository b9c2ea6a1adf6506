"""Whole numbers of more digits than a double holds."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow.compute as pc

from dlcli.data_checks.finding import DataIssue, listed, quoted
from dlcli.data_checks.sample import Sample, SampledColumn

_LAST_EXACT = 2**53
"""Up to here a double holds every whole number, and the next one becomes it."""
_LONG = r"^[+-]?[0-9]{16,}$"


def find_long_numbers(sample: Sample) -> DataIssue | None:
    """Finds features with whole numbers that are rounded when they are read, as 2^53 + 1 is.

    Written with all their digits, they are rather names of something than amounts.
    """
    found = {
        name: quoted(text)
        for name, column in sample.columns.items()
        if _may_be(column) and (text := _first_rounded(sample, name))
    }
    if not found:
        return None
    message = f"whole numbers with more digits than can be told apart: {listed(found)}"
    advice = "if they are names of something, let them be 'ignored' or 'categorical'"
    return DataIssue("long_numbers", "warning", tuple(found), None, message, advice)


def _may_be(column: SampledColumn) -> bool:
    numbers = column.numbers
    return numbers is not None and bool(np.abs(numbers).max(initial=0) >= _LAST_EXACT)


def _first_rounded(sample: Sample, name: str) -> str | None:
    texts = sample.table.column(name).canonical_texts()
    long = texts.filter(pc.match_substring_regex(texts, _LONG)).unique()
    return next((text for text in long.to_pylist() if Decimal(text) != Decimal(float(text))), None)
