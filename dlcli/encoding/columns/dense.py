"""The dense inputs of several columns, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dlcli.encoding.columns.column import DenseEncoder
from dlcli.encoding.inputs import Matrix
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table

_MOST_STAGED = 16
"""So many inputs of a row fill a line of the processor's cache."""


def encode_dense(features: Sequence[DenseEncoder], table: Table, issues: ValueIssues) -> Matrix:
    """Encodes columns one after the other.

    A lone input of each row, written into a wide matrix, fetches a line of cache to change four
    bytes of it. So narrow columns are encoded below one another first, then moved a few at a time.

    Args:
        features: the columns' encoders.
        table: the rows.
        issues: takes in what there is to say of them.

    Returns:
        The inputs of all columns, in their order, (rows, inputs).

    Raises:
        DataError: for values that can't be encoded, unless the issues are lenient.
    """
    groups = list(_groups(features))
    inputs = sum(width for group in groups for _, width in group)
    dense = np.zeros((table.rows, inputs), dtype=np.float32)
    start = 0
    for group in groups:
        stop = start + sum(width for _, width in group)
        if stop - start <= _MOST_STAGED:
            dense[:, start:stop] = _staged(group, table, issues)
        else:
            _encode(group, table, dense[:, start:stop], issues)
        start = stop
    return dense


_Group = list[tuple[DenseEncoder, int]]
"""Columns that stand side by side, each with how many inputs it becomes."""


def _groups(features: Sequence[DenseEncoder]) -> Iterator[_Group]:
    """Yields columns that are narrow enough to be staged together; wide ones alone."""
    group: _Group = []
    total = 0
    for feature in features:
        width = len(feature.inputs)
        if group and total + width > _MOST_STAGED:
            yield group
            group, total = [], 0
        group.append((feature, width))
        total += width
    if group:
        yield group


def _staged(group: _Group, table: Table, issues: ValueIssues) -> Matrix:
    """The inputs of some columns, (rows, inputs), each input's own one behind the other."""
    width = sum(width for _, width in group)
    inputs = np.zeros((width, table.rows), dtype=np.float32).T
    _encode(group, table, inputs, issues)
    return inputs


def _encode(group: _Group, table: Table, out: Matrix, issues: ValueIssues) -> None:
    """Writes the inputs of some columns into `out`, zeros of shape (rows, inputs)."""
    start = 0
    for feature, width in group:
        feature.encode(table, out[:, start : start + width], issues)
        start += width
