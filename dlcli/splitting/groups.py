"""Whole groups held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcli.errors import DataError, plural
from dlcli.splitting.assignment import Assignment, Rows, Shares, assigned, held_out, refuse_missing
from dlcli.splitting.lots import generator_of
from dlcli.tables import Table


def group_split(table: Table, column: str, shares: Shares, seed: int) -> Assignment:
    """Hold out whole groups, drawn so that the sets come near their shares of the rows.

    Args:
        table: the rows.
        column: whose values are the groups.
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        DataError: a row without a group, or fewer groups than sets.
    """
    refuse_missing(table, column)
    groups, names = table.codes(column)
    validation, test = held_out(table.rows, shares, table.file)
    held_out_sets = (validation > 0) + (test > 0)
    if len(names) <= held_out_sets:
        found = plural(len(names), "group")
        message = f"{found}, expected at least {held_out_sets + 1}: one for each set"
        raise DataError(message, file=table.file, column=column)
    sizes = np.bincount(groups)
    order = generator_of(seed).permutation(len(names)).tolist()
    tested = _fill(order, sizes, test, reserved=held_out_sets)
    chosen = set(tested)
    rest = [group for group in order if group not in chosen]
    validated = _fill(rest, sizes, validation, reserved=1)
    return assigned(
        table.rows,
        np.flatnonzero(np.isin(groups, validated)),
        np.flatnonzero(np.isin(groups, tested)),
    )


def _fill(order: Sequence[int], sizes: Rows, wanted: int, reserved: int) -> list[int]:
    """Choose groups whose rows come near a number.

    Args:
        order: the groups to choose from, the first ones preferred.
        sizes: how many rows each group has, (groups,).
        wanted: how many rows to come near to; for 0 none is chosen, else at least one group.
        reserved: how many groups must be left over.
    """
    chosen: list[int] = []
    total, most = 0, len(order) - reserved
    for group in order:
        if len(chosen) < most and total + sizes[group] <= wanted:
            chosen.append(group)
            total += int(sizes[group])
    if total < wanted and len(chosen) < most:
        taken = set(chosen)
        rest = [group for group in order if group not in taken]
        last = min(rest, key=lambda group: abs(int(sizes[group]) - (wanted - total)))
        if not chosen or abs(int(sizes[last]) - (wanted - total)) < wanted - total:
            chosen.append(last)
    return chosen
