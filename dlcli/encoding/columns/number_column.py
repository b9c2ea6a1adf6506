"""What the encoders of columns of numbers have in common."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dlcli.encoding.columns.filled import FilledColumn
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block
from dlcli.preprocessing import Floats, ValueIssues, out_of_range
from dlcli.tables import Table


class NumberColumn(FilledColumn):
    """A column of numbers, with the range that training saw."""

    type: Literal["numeric"] = "numeric"
    low: float
    """The training rows' least value."""
    high: float
    """The training rows' greatest value."""

    def read(self, table: Table, scaling: str, out: Matrix, issues: ValueIssues) -> Floats:
        """Reads the column's numbers, with gaps filled, (rows,).

        Args:
            table: the rows.
            scaling: the name of the scaling that comes next; not every one takes every number.
            out: the column's inputs, (rows, inputs), the last of which may tell of gaps.
            issues: takes in what there is to say.
        """
        parsed = table.parse_numbers(self.column)
        issues.refuse(parsed.unreadable, table, self.column, parsed.complaint)
        wrong = parsed.unreadable
        for beyond, complaint in out_of_range(scaling, parsed.values):
            issues.refuse(beyond, table, self.column, complaint)
            wrong = wrong | beyond
        values = np.where(wrong, np.nan, parsed.values) if wrong.any() else parsed.values
        with np.errstate(invalid="ignore"):
            outside = int(np.count_nonzero((values < self.low) | (values > self.high)))
        issues.add_outside(self.column, outside, self.low, self.high)
        return self.fill_gaps(values, wrong, table, out, issues)

    @property
    def indicator_blocks(self) -> tuple[Block, ...]:
        """The block of the input that tells of gaps, if there is one."""
        telling = Block(self.column, "numeric", self.indicator_inputs)
        return (telling,) if self.indicator else ()
