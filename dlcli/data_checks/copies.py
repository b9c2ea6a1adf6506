"""Columns that say what another one says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcli.data_checks.finding import DataIssue, listed
from dlcli.data_checks.sample import Codes, Sample, SampledColumn
from dlcli.encoding import MIN_ROWS


def find_copies(sample: Sample) -> DataIssue | None:
    """Finds features that equal an earlier one, or its values under other names.

    Other names, such as 1, 2, 3 for low, middle, high, count only where values repeat (two rows
    each on average): all columns without repetition would be names for each other. Silent below 20
    rows.
    """
    if sample.table.rows < MIN_ROWS:
        return None
    found: dict[str, str] = {}
    earlier: dict[bytes, str] = {}
    for name, column in sample.columns.items():
        for key in _keys(column):
            if key in earlier:
                found.setdefault(name, f"as '{earlier[key]}'")
            earlier.setdefault(key, name)
    if not found:
        return None
    message = f"the same as another column, value by value: {listed(found)}"
    advice = "one of them is enough; the other may be ignored"
    return DataIssue("copies", "note", tuple(found), None, message, advice)


def _keys(column: SampledColumn) -> Iterator[bytes]:
    """Yields what copies have in common: order of values and gaps, and the values themselves."""
    if column.distinct < 2:
        return
    pattern = _by_first_row(column.codes).tobytes()
    yield pattern + _values(column)
    if 2 * column.distinct <= column.present:
        yield pattern


def _values(column: SampledColumn) -> bytes:
    """The distinct values, in the order of the codes."""
    if column.numbers is not None:
        return column.numbers.tobytes()
    return "\0".join(column.texts or ()).encode()


def _by_first_row(codes: Codes) -> Codes:
    """The codes renumbered in the order in which their values first occur, (rows,)."""
    present = codes >= 0
    values, first, places = np.unique(codes[present], return_index=True, return_inverse=True)
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(values))
    renumbered = np.full(len(codes), -1, dtype=np.int64)
    renumbered[present] = rank[places]
    return renumbered
