"""Numbers to predict, counts among them."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from dlcli.preprocessing import (
    Fitted,
    Floats,
    LinearScaling,
    ValueIssues,
    out_of_range,
    scale_column,
)
from dlcli.tables import Table
from dlcli.tasks.checks import refuse_gaps, refuse_no_counts


class NumberTarget(Fitted):
    """One or several numbers."""

    kind: Literal["numbers"] = "numbers"
    columns: tuple[str, ...]
    """The columns, in the order of the outputs."""
    scalings: tuple[LinearScaling, ...]
    """How each column is trained."""
    counts: bool = False
    """Whether they are whole and never negative; what is predicted of them is their mean."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.columns or len(self.columns) != len(self.scalings):
            raise ValueError("each column needs a scaling")
        return self

    @property
    def width(self) -> int:
        """How many numbers there are."""
        return len(self.columns)

    def encode(self, table: Table, issues: ValueIssues) -> NDArray[np.float32]:
        """The columns as trained on, (rows, columns)."""
        triples = zip(self.scalings, self.values(table, issues).T, self.columns, strict=True)
        scaled = [
            scale_column(scaling, values, table, column, issues)
            for scaling, values, column in triples
        ]
        return np.stack(scaled, axis=1).astype(np.float32)

    def decode(self, outputs: NDArray[np.floating]) -> Floats:
        """The network's outputs in the columns' own units, (rows, columns)."""
        pairs = zip(self.scalings, outputs.T, strict=True)
        return np.stack([scaling.invert(values) for scaling, values in pairs], axis=1)

    def values(self, table: Table, issues: ValueIssues) -> Floats:
        """The columns in their own units, (rows, columns).

        Raises:
            DataError: for a gap or a value that can't be trained on, unless the issues are
                lenient; 0 stands in then.
        """
        columns = []
        for column, scaling in zip(self.columns, self.scalings, strict=True):
            refuse_gaps(table, column, issues)
            parsed = table.parse_numbers(column)
            issues.refuse(parsed.unreadable, table, column, parsed.complaint)
            for wrong, complaint in out_of_range(scaling.name, parsed.values):
                issues.refuse(wrong, table, column, complaint)
            values = np.nan_to_num(parsed.values)
            if self.counts:
                refuse_no_counts(values, table, column, issues)
            columns.append(values)
        return np.stack(columns, axis=1)
