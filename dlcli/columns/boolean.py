"""Columns of booleans, encoded as 1 and 0."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator

from dlcli.arrays import Array, Matrix, np
from dlcli.columns import column_type
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues, ModelInput, ScriptCode
from dlcli.columns.column_type import Decision, Defaults
from dlcli.columns.layout import Block
from dlcli.schema.section import OneOf, Section

if TYPE_CHECKING:
    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.type_inference import ColumnView
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.column import Column
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


class MostFrequent(column_type.Imputation, name="most_frequent"):
    """Missing values become the more frequent of the two values in the training rows."""


BooleanMissing = Annotated[MostFrequent | column_type.ErrorIfMissing, OneOf("policy")]


class Boolean(column_type.ColumnType):
    """A column of true and false, encoded as 1 and 0."""

    has_usual_missing_words = True
    has_listed_values = True

    type: Literal["boolean"] = "boolean"
    missing: BooleanMissing = MostFrequent()
    """Treatment of missing values."""

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of mostly this type has a value of another type."""
        return bool(column.booleans().unreadable.any())

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "BooleanEncoder":
        """Fit the encoder of a column on training rows."""
        values = train.booleans(column, column_type.way_out)
        present = column_type.present_numbers(column, values, train)
        is_required = isinstance(self.missing, column_type.ErrorIfMissing)
        return BooleanEncoder(
            column=column,
            missing_share=1 - len(present) / len(values),
            fill=None if is_required else float(present.mean() > 0.5),
            indicator=column_type.needs_indicator(self.missing, len(present) < len(values)),
        )


def decide_words(view: "ColumnView") -> Decision | None:
    """Decide for columns of the words true and false; `yes` and `no` are categories."""
    if not view.column.looks_boolean():
        return None
    return Decision(Boolean(), "only true and false")


class BooleanEncoder(column_type.FilledEncoder):
    """True as 1, false as 0."""

    encoding: Literal["boolean"] = "boolean"
    type: Literal["boolean"] = "boolean"
    fill: float | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fill not in (None, 0, 1):
            raise ValueError("'fill' must be 0 or 1")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        return (Block(self.column, "numeric", (self.column, *self.indicator_names)),)

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        parsed = rows.booleans_of(self.column)
        values = parsed.values
        if np.isnan(values).any():
            wrong = parsed.unreadable
            problems.refuse(wrong, rows, self.column, parsed.problem)
            empty = self.find_empty(parsed.missing, wrong, rows, out, problems)
            values = np.where(empty, self.fill_number, values)
        out[:, 0] = values

    # Exported models.

    def model_input(self, notation: "Notation") -> ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        words = "1 for true, 0 for false, NaN for a missing value."
        return ModelInput(self.column, "float64", (words, *self.missing_advice))

    def client_values(self, table: "Table") -> Array:
        """Return the values that a client sends for the rows of a table, (rows,)."""
        return table.column(self.column).booleans().values

    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the column in a graph, see `ColumnEncoder`."""
        empty = ~(ops.equal(x, 0.0) | ops.equal(x, 1.0))
        filled = ops.where(empty, self.fill_number, x)
        return self.with_indicator(ops, [ops.as_column(ops.cast(filled, "float32"))], empty)

    def recipe(self, missing: Sequence[str]) -> dict[str, Any]:
        """Return the conversion of values to numbers, see `ColumnEncoder`."""
        return {"steps": ["send 1 for true, 0 for false, NaN for a missing value"]}

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical and unusual values for checks."""
        return [True, False], [None]

    # Scripts.

    script_code: ClassVar = ScriptCode("boolean", "fit_boolean")

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        return {"type": "boolean", "indicator": self.indicator}

    # Servers.

    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Describe the values in requests, see `ColumnEncoder`."""
        return ClientColumn(
            self.column,
            ("boolean", "string", "integer"),
            [*known.frequent[:1]] == ["true"],
            "true or false.",
            choices=("true", "false"),
            is_required=not self.accepts_missing,
            along=(False, True),
        )
