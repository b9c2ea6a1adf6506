"""Columns of true and false, as 1 and 0."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import model_validator

from dlcli.arrays import Matrix
from dlcli.columns.column_type import (
    ColumnType,
    Decision,
    Defaults,
    EncoderClasses,
    ErrorIfMissing,
    FilledEncoder,
    Imputation,
    Rule,
    needs_indicator,
    present_numbers,
    way_out,
)
from dlcli.columns.layout import Block
from dlcli.columns.type_inference import InferenceOrder
from dlcli.schema.section import OneOf

if TYPE_CHECKING:
    from dlcli.columns.column_summary import ColumnView
    from dlcli.columns.value_issues import ValueIssues
    from dlcli.tables.column import Column
    from dlcli.tables.few_rows import FewValues
    from dlcli.tables.table import Table


class MostFrequent(Imputation, name="most_frequent"):
    """The most frequent value of the training rows."""


BooleanMissing = Annotated[MostFrequent | ErrorIfMissing, OneOf("policy")]


class Boolean(ColumnType):
    """True or false, as 1 or 0."""

    has_usual_missing_words = True

    type: Literal["boolean"] = "boolean"
    missing: BooleanMissing = MostFrequent()
    """Replacement of missing values."""

    @classmethod
    def rules(cls) -> Iterator[tuple[InferenceOrder, Rule]]:
        """Yield the rule of true and false in these words; yes and no are categories."""
        yield InferenceOrder.WORDS, _decide_words

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of which most values are of the type has one that is not."""
        return bool(column.booleans().unreadable.any())

    @classmethod
    def encoders(cls) -> EncoderClasses:
        """Return the classes of encoders that `fit` makes."""
        return (BooleanEncoder,)

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "BooleanEncoder":
        """Fit the encoder of a column on training rows."""
        values = train.booleans(column, way_out)
        present = present_numbers(column, values, train)
        is_required = isinstance(self.missing, ErrorIfMissing)
        return BooleanEncoder(
            column=column,
            missing_share=1 - len(present) / len(values),
            fill=None if is_required else float(present.mean() > 0.5),
            indicator=needs_indicator(self.missing, len(present) < len(values)),
        )


def _decide_words(view: "ColumnView") -> Decision | None:
    return Decision(Boolean(), "all true or false") if view.column.looks_boolean() else None


class BooleanEncoder(FilledEncoder):
    """True as 1, false as 0."""

    encoding: Literal["boolean"] = "boolean"
    type: Literal["boolean"] = "boolean"
    fill: float | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fill not in (None, 0, 1):
            raise ValueError("'fill' is neither true nor false")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        return (Block(self.column, "numeric", (self.column, *self.indicator_names)),)

    def encode(self, table: "Table", out: Matrix, issues: "ValueIssues") -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        parsed = table.column(self.column).booleans()
        issues.refuse(parsed.unreadable, table, self.column, parsed.complaint)
        wrong, fill = parsed.unreadable, self.fill or 0.0
        out[:, 0] = self.fill_missing(
            parsed.values, parsed.missing, wrong, fill, table, out, issues
        )

    def encode_few(self, values: "FewValues", out: Matrix, issues: "ValueIssues") -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        truths, fill = values.booleans(), self.fill or 0.0
        missing = [row for row, truth in enumerate(truths) if truth != truth]
        self.fill_few(missing, fill, out, issues)
        out[:, 0] = [fill if truth != truth else truth for truth in truths]
