"""True and false."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from dlcli.config import Boolean, ErrorIfMissing
from dlcli.encoding.columns.filled import FilledColumn, present_values, wants_indicator
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table


class BooleanEncoder(FilledColumn):
    """True as 1, false as 0."""

    encoding: Literal["boolean"] = "boolean"
    type: Literal["boolean"] = "boolean"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fill not in (None, 0, 1):
            raise ValueError("'fill' is neither true nor false")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        return (Block(self.column, "numeric", (self.column, *self.indicator_inputs)),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        parsed = table.parse_booleans(self.column)
        issues.refuse(parsed.unreadable, table, self.column, parsed.complaint)
        out[:, 0] = self.fill_gaps(parsed.values, parsed.unreadable, table, out, issues)


def fit_boolean(column: str, feature: Boolean, train: Table) -> BooleanEncoder:
    """Fits the encoder of a column of true and false."""
    values = train.booleans(column)
    present = present_values(column, values, train)
    return BooleanEncoder(
        column=column,
        missing_share=1 - len(present) / len(values),
        fill=None if isinstance(feature.missing, ErrorIfMissing) else float(present.mean() > 0.5),
        indicator=wants_indicator(feature.missing, len(present) < len(values)),
    )
