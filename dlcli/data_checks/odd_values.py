"""A few words in a column of numbers, at which training will stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.config import Numeric
from dlcli.data_checks.finding import DataIssue, listed, quoted
from dlcli.data_checks.sample import Sample, SampledColumn
from dlcli.errors import plural
from dlcli.tables import USUAL_MISSING_WORDS, Table, mask_to_numpy, missing_setting, strings


@dataclass(frozen=True)
class _Odd:
    """The values of a column that are no numbers."""

    rows: int
    words: tuple[str, ...]
    first: str
    row: str

    @property
    def where(self) -> str:
        more = f" and {plural(self.rows - 1, 'row')} more" if self.rows > 1 else ""
        return f"{quoted(self.first)} in {self.row}{more}"


def find_odd_values(sample: Sample) -> DataIssue | None:
    """Finds columns that were taken for numbers, though a few values are words.

    All rows are looked at, since training stops at a single one. Silent for declared numbers.
    """
    found = {
        name: _odd(sample.whole, name)
        for name, column in sample.columns.items()
        if is_nearly_numeric(column)
    }
    if not found:
        return None
    details = {name: odd.where for name, odd in found.items()}
    message = f"taken for numbers, though a few values are none: {listed(details)}"
    advice = f"{_way_out(found)}, or declare the column categorical"
    rows = sum(odd.rows for odd in found.values())
    return DataIssue("odd_values", "warning", tuple(found), rows, message, advice)


def _way_out(found: Mapping[str, _Odd]) -> str:
    words = [word for odd in found.values() for word in odd.words]
    if all(word.lower() in USUAL_MISSING_WORDS for word in words):
        return f"say {missing_setting(words)}"
    return "correct them"


def is_nearly_numeric(column: SampledColumn) -> bool:
    """Whether a column was taken for numbers, though a few of its values are none."""
    return isinstance(column.decision.feature, Numeric) and column.decision.warning != ""


def _are_odd(table: Table, column: str, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Which of a column's texts are no numbers, as the column writes them."""
    values = pa.chunked_array([strings(texts, pa.string())])
    return ~mask_to_numpy(table.column(column).notation.fits(values))


def _odd(table: Table, column: str) -> _Odd:
    """What is no number in a column that has such values."""
    codes, texts = table.codes(column)
    is_odd = np.append(_are_odd(table, column, texts), False)
    rows = np.flatnonzero(is_odd[codes])
    words = tuple(texts[place] for place in np.flatnonzero(is_odd))
    file, row = table.where(int(rows[0]))
    place = f"row {row}" if file == table.file else f"row {row} of {file}"
    return _Odd(len(rows), words, texts[codes[rows[0]]], place)
