"""What the encoders of all columns have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.encoding.inputs import Matrix, SparseRows
from dlcli.encoding.layout import Block
from dlcli.errors import DataError
from dlcli.preprocessing import Fitted, ValueIssues
from dlcli.tables import Table

NO_VALUE = "has no value in the training rows; declare it 'ignored'"


class ColumnEncoder(Fitted):
    """A column to inputs."""

    column: str
    """The column's name in the table."""
    missing_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The training rows' share without a value."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the column becomes."""
        return tuple(name for block in self.blocks for name in block.columns)


class DenseEncoder(ColumnEncoder):
    """A column to inputs that are kept as they are."""

    @abstractmethod
    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs).

        Raises:
            DataError: for values that can't be encoded, unless the issues take them in.
        """


class SparseEncoder(ColumnEncoder):
    """A column to inputs of which most are 0."""

    @abstractmethod
    def encode(self, table: Table, issues: ValueIssues) -> SparseRows:
        """The column's inputs.

        Raises:
            DataError: for values that can't be encoded, unless the issues take them in.
        """


def refuse_gaps(gaps: NDArray[np.bool_], table: Table, column: str, issues: ValueIssues) -> None:
    """Refuses rows without a value, as `missing: error` asks for."""
    issues.refuse(gaps, table, column, lambda _: "is empty; 'missing: error' forbids it")


def no_value(column: str, train: Table) -> DataError:
    """The error for a column without a value to learn from."""
    return DataError(NO_VALUE, file=train.file, column=column)
