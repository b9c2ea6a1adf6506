"""Base classes of the encoders of columns."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.config import ErrorIfMissing, MostFrequent, NumericMissing
from dlcli.encoding.encoded_rows import Matrix, SparseRows
from dlcli.encoding.layout import Block
from dlcli.errors import DataError
from dlcli.preprocessing import Fitted, ValueIssues
from dlcli.tables import Table


class ColumnEncoder(Fitted):
    """Encoder of one column, fitted on training rows."""

    column: str
    """The column's name in the table."""
    missing_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training rows without a value."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that encode the column."""
        return tuple(name for block in self.blocks for name in block.inputs)


class DenseEncoder(ColumnEncoder):
    """Encoder whose inputs are stored as they are."""

    @abstractmethod
    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs).

        Raises:
            DataError: for values that can't be encoded, unless the issues are lenient.
        """


class SparseEncoder(ColumnEncoder):
    """Encoder whose inputs are mostly 0, so that only the others are stored."""

    @abstractmethod
    def encode(self, table: Table, issues: ValueIssues) -> SparseRows:
        """Return the column's inputs.

        Raises:
            DataError: for values that can't be encoded, unless the issues are lenient.
        """


def refuse_missing(
    missing: NDArray[np.bool_], table: Table, column: str, issues: ValueIssues
) -> None:
    """ErrorIfMissing rows without a value, as `missing: error` asks for."""
    issues.refuse(missing, table, column, lambda _: "is empty; 'missing: error' forbids it")


def needs_indicator(policy: NumericMissing | MostFrequent, has_missing: bool) -> bool:
    """Whether an input marks missing values.

    An input that is 0 in every training row would keep its random initial weights, and add noise to
    the first row that lacks a value. So `auto` makes one only if training rows lack values.
    """
    if isinstance(policy, ErrorIfMissing):
        return False
    return has_missing if policy.indicator == "auto" else policy.indicator


def no_value_error(column: str, train: Table) -> DataError:
    """Return the error for a column that has no value in the training rows."""
    message = "has no value in the training rows; declare it 'ignored'"
    return DataError(message, file=train.file, column=column)
