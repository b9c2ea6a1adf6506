"""Base classes of the encoders of columns, and the layout of the inputs that they make.

Each encoder turns a column into one or several blocks of inputs; all blocks side by side are the
layout, from which the network is built.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.config.input_section import Augmentation, ErrorIfMissing, MostFrequent, NumericMissing
from dlcli.encoding.encoded_rows import Matrix, SparseRows
from dlcli.errors import DataError
from dlcli.preprocessing import Fitted, Mask, ValueIssues, short_moments
from dlcli.tables.few_rows import FewValues, NeedsTable
from dlcli.tables.table import Table

InputKind = Literal["numeric", "index", "sparse", "image"]
"""Meaning of a block's inputs: numbers, the index of a category, numbers most of which are 0, or
pixels."""


@dataclass(frozen=True)
class PeriodicForm:
    """Sines and cosines of each input, with trained frequencies."""

    frequencies: int
    deviation: float
    """Standard deviation of the initial frequencies, in periods per unit of the input."""


@dataclass(frozen=True)
class EmbeddingTable:
    """A trained table, in which the input is the index of a row."""

    rows: int
    """The last row is 0, for values that were not in the training rows."""
    units: int


@dataclass(frozen=True)
class ImageForm:
    """Pixels, in the order height, width, channels."""

    shape: tuple[int, int, int]
    augmentation: Augmentation | None
    """Random changes of the images during training."""


@dataclass(frozen=True)
class Block:
    """Neighboring inputs that encode one column."""

    column: str
    kind: InputKind
    inputs: tuple[str, ...]
    """Names of the inputs, in order."""
    form: PeriodicForm | EmbeddingTable | ImageForm | None = None
    """Processing of the inputs by the network before its first layer."""


@dataclass(frozen=True)
class Layout:
    """All inputs of a network, block by block; sparse blocks are last."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(len(block.inputs) for block in self.blocks)

    def slices(self) -> Iterator[tuple[Block, slice]]:
        """Yield each block with the slice of the encoded matrix's columns that it covers."""
        start = 0
        for block in self.blocks:
            stop = start + len(block.inputs)
            yield block, slice(start, stop)
            start = stop


def plain_layout(width: int) -> Layout:
    """Return a layout of `width` numbers that belong to no table."""
    return Layout((Block("", "numeric", ("",) * width),))


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

    @property
    @abstractmethod
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""

    @abstractmethod
    def encode_few(self, values: FewValues, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs of few rows into `out`, zeros of shape (rows, inputs).

        They are those of `encode` to the bit, and so are the issues.

        Raises:
            NeedsTable: for values that are to be encoded as a table; some issues may be recorded.
        """


class DenseEncoder(ColumnEncoder):
    """Encoder whose inputs are all stored."""

    @abstractmethod
    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs).

        Raises:
            DataError: for values that can't be encoded, unless the issues are lenient.
        """


class SparseEncoder(ColumnEncoder):
    """Encoder whose inputs are mostly 0; only the others are stored."""

    @abstractmethod
    def encode(self, table: Table, issues: ValueIssues) -> SparseRows:
        """Return the column's inputs.

        Raises:
            DataError: for values that can't be encoded, unless the issues are lenient.
        """


class FilledEncoder(DenseEncoder):
    """Encoder that replaces missing values before it encodes them."""

    fill: float | datetime | None
    """Replaces a missing value; if null, a missing value is an error."""
    indicator: bool
    """True if the last input is 1 where the value was missing, else 0."""

    @property
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""
        return self.fill is not None

    @property
    def indicator_names(self) -> tuple[str, ...]:
        """The name of the input that marks missing values, if there is one."""
        return (f"{self.column} is missing",) if self.indicator else ()

    def fill_missing(
        self,
        values: NDArray[Any],
        missing: Mask,
        unreadable: Mask,
        fill: float,
        table: Table,
        out: Matrix,
        issues: ValueIssues,
    ) -> NDArray[Any]:
        """Replace missing values, and mark them in the last column of `out` if an input does so.

        Args:
            values: the column's values, (rows,).
            missing: which are missing, (rows,).
            unreadable: which were refused, (rows,).
            fill: replaces both.
            table: the rows.
            out: the column's inputs, (rows, inputs).
            issues: records missing values.
        """
        empty = missing | unreadable
        self._record_missing(int(np.count_nonzero(missing)), fill, issues)
        if self.fill is None:
            refuse_missing(missing, table, self.column, issues)
        elif self.indicator:
            out[:, -1] = empty
        return np.where(empty, fill, values) if empty.any() else values

    def fill_few(
        self, missing: Sequence[int], fill: float, out: Matrix, issues: ValueIssues
    ) -> None:
        """Record and mark the missing values of few rows, as `fill_missing` does.

        Args:
            missing: the rows.
            fill: replaces their values.
            out: the column's inputs, (rows, inputs).
            issues: records missing values.

        Raises:
            NeedsTable: if there must be none.
        """
        if missing and self.fill is None:
            raise NeedsTable
        self._record_missing(len(missing), fill, issues)
        if self.indicator:
            for row in missing:
                out[row, -1] = 1

    def _record_missing(self, count: int, fill: float, issues: ValueIssues) -> None:
        encoding = ""
        if count and self.fill is not None and not self.indicator:
            shown = f"{fill:g}"
            if isinstance(self.fill, datetime):
                (shown,) = short_moments([self.fill.isoformat()])
            encoding = f"{shown} is used instead, and no input marks it"
        issues.add_missing(self.column, count, encoding)


def refuse_missing(missing: Mask, table: Table, column: str, issues: ValueIssues) -> None:
    """Refuse rows without a value, which `missing: error` forbids."""
    issues.refuse(missing, table, column, lambda _: "is empty; 'missing: error' forbids it")


def needs_indicator(policy: NumericMissing | MostFrequent, has_missing: bool) -> bool:
    """Return whether an input marks missing values.

    An input that is 0 in every training row would keep its random initial weights, and add noise to
    the first row that lacks a value. So `auto` makes one only if training rows lack values.
    """
    if isinstance(policy, ErrorIfMissing):
        return False
    return has_missing if policy.indicator == "auto" else policy.indicator


def require_values(present: int, column: str, train: Table) -> None:
    """Refuse a column without a value in the training rows.

    Raises:
        DataError: if no value is present.
    """
    if not present:
        message = "has no value in the training rows; declare it 'ignored'"
        raise DataError(message, file=train.file, column=column)
