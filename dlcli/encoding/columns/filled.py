"""Columns that become one number, with a stand-in for gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlcli.config import ConstantValue, ErrorIfMissing, Mean, Median, MostFrequent, NumericMissing
from dlcli.encoding.columns.column import DenseEncoder, no_value, refuse_gaps
from dlcli.encoding.inputs import Matrix
from dlcli.preprocessing import Floats, ValueIssues
from dlcli.tables import Table


class FilledColumn(DenseEncoder):
    """A column that becomes one number, with a stand-in for gaps."""

    fill: float | None
    """What stands in for a gap, before scaling; a gap is an error if null."""
    indicator: bool
    """Whether an input behind the others is 1 where there was a gap, else 0."""

    @property
    def indicator_inputs(self) -> tuple[str, ...]:
        """The name of the input that tells of gaps, if there is one."""
        return (f"{self.column} is missing",) if self.indicator else ()

    def fill_gaps(
        self,
        values: Floats,
        unreadable: NDArray[np.bool_],
        table: Table,
        out: Matrix,
        issues: ValueIssues,
    ) -> Floats:
        """Fills gaps, and tells of them in the last column of `out` if there is an input for it.

        Args:
            values: the column's, NaN for gaps and for what can't be read, (rows,).
            unreadable: what can't be read, and was put on record, (rows,).
            table: the rows.
            out: the column's inputs, (rows, inputs).
            issues: takes in gaps that no input tells of.
        """
        empty = np.isnan(values)
        gaps = empty & ~unreadable
        gap_count = int(np.count_nonzero(gaps))
        issues.add_missing(self.column, gap_count)
        if self.fill is None:
            refuse_gaps(gaps, table, self.column, issues)
            return np.where(empty, 0.0, values) if issues.lenient else values
        if self.indicator:
            out[:, -1] = empty
        else:
            meaning = f"{self.fill:g} stands in, and no input tells"
            issues.add_unencoded_missing(self.column, gap_count, meaning)
        return np.where(empty, self.fill, values) if empty.any() else values


def present_values(column: str, values: Floats, train: Table) -> Floats:
    """The values that there are.

    Raises:
        DataError: if there is none.
    """
    present: Floats = values[~np.isnan(values)]
    if not len(present):
        raise no_value(column, train)
    return present


def number_for_gaps(policy: NumericMissing, present: Floats) -> float | None:
    """What stands in for gaps, by the values that there are."""
    if isinstance(policy, Median):
        return float(np.median(present))
    if isinstance(policy, Mean):
        return float(np.mean(present))
    return policy.value if isinstance(policy, ConstantValue) else None


def wants_indicator(policy: NumericMissing | MostFrequent, has_gaps: bool) -> bool:
    """Whether an input tells of gaps.

    An input that is 0 in every training row would keep its random first weights, and add noise to
    the first row with a gap; so `auto` makes one only where there were gaps to learn from.
    """
    if isinstance(policy, ErrorIfMissing):
        return False
    return has_gaps if policy.indicator == "auto" else policy.indicator
