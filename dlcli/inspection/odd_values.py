"""A few words in a column of numbers, for which all of it is taken for text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.config.features import Categorical
from dlcli.inspection.finding import Finding, in_rows, listed, quoted
from dlcli.inspection.sample import Sample
from dlcli.table import Table
from dlcli.table.column import USUAL_MISSING_WORDS

MOSTLY = 0.9
"""Share of the values that must be numbers for the others to be odd."""


@dataclass(frozen=True)
class _Odd:
    """The values of a column that are no numbers."""

    rows: int
    words: tuple[str, ...]
    first: str
    row: str

    @property
    def where(self) -> str:
        more = f" and {in_rows(self.rows - 1)} more" if self.rows > 1 else ""
        return f"{quoted(self.first)} in {self.row}{more}"


def find_odd_values(sample: Sample) -> Finding | None:
    """Finds categories of which 90 % of the rows with a value are numbers, and the rest is not.

    All rows are looked at, since a single one spoils the column. Silent for declared categories.
    """
    found = {
        name: odd
        for name in sample.columns
        if is_nearly_numeric(sample, name) and (odd := _odd(sample.whole, name))
    }
    if not found:
        return None
    details = {name: odd.where for name, odd in found.items()}
    message = f"taken for categories, as a few values are no numbers: {listed(details)}"
    advice = f"{_way_out(found)}, or declare the column categorical"
    rows = sum(odd.rows for odd in found.values())
    return Finding("odd_values", "warning", tuple(found), rows, message, advice)


def _way_out(found: Mapping[str, _Odd]) -> str:
    words = [*dict.fromkeys(word for odd in found.values() for word in odd.words)]
    if all(word.lower() in USUAL_MISSING_WORDS for word in words):
        return f"say data.missing: {json.dumps(words, ensure_ascii=False)}"
    return "correct them"


def is_nearly_numeric(sample: Sample, name: str) -> bool:
    """Whether a column was taken for categories, but 90 % of its values are numbers."""
    column = sample.columns[name]
    is_inferred = column.decision.reason != "declared"
    if column.texts is None or not isinstance(column.decision.feature, Categorical):
        return False
    numbers = ~_are_odd(sample.table, name, column.texts)
    return is_inferred and bool(column.counts[numbers].sum() >= MOSTLY * max(column.present, 1))


def _are_odd(table: Table, column: str, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Which of a column's texts are no numbers, as the column writes them."""
    pattern = re.compile(table.column(column).notation.pattern)
    return np.array([pattern.match(text) is None for text in texts], dtype=bool)


def _odd(table: Table, column: str) -> _Odd | None:
    """What is no number, unless everything is one."""
    codes, texts = table.codes(column)
    is_odd = np.append(_are_odd(table, column, texts), False)
    rows = np.flatnonzero(is_odd[codes])
    if not len(rows):
        return None
    words = tuple(texts[place] for place in np.flatnonzero(is_odd))
    file, row = table.where(int(rows[0]))
    place = f"row {row}" if file == table.file else f"row {row} of {file}"
    return _Odd(len(rows), words, texts[codes[rows[0]]], place)
