"""A table of named columns, and the rows of the file that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.errors import DataError
from dlcli.table.arrays import integers
from dlcli.table.column import Column, Kind, Parsed, plain


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name. A name that is not in `columns` is a KeyError everywhere.

    Args:
        file: the file as the user named it, for messages.
        data: the columns as stored.
        row_numbers: the row of each row in that file, counted from 1 after the header, (rows,).
        missing_words: what counts as missing, besides nulls, NaN and blank fields; a word that is a
            number counts by its value in a column of numbers.
    """

    file: str
    data: pa.Table
    row_numbers: NDArray[np.int64]
    missing_words: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in the order of the file."""
        return tuple(self.data.column_names)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.row_numbers)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """The table of some rows, in the order given.

        Args:
            rows: indices from 0, (rows,).
        """
        data = self.data.take(integers(rows))
        return replace(self, data=data, row_numbers=self.row_numbers[rows])

    def parts(self, rows: int) -> Iterator[Table]:
        """Yields views of so many neighbouring rows in turn; the last may have fewer."""
        for start in range(0, self.rows, rows):
            data = self.data.slice(start, rows)
            yield replace(self, data=data, row_numbers=self.row_numbers[start : start + rows])

    def kind(self, name: str) -> Kind:
        """What a column is stored as; dates, lists and bytes are `other`."""
        return self._column(name).kind

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where a column's value is null, NaN, blank or one of the missing words, (rows,)."""
        return self._column(name).missing()

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as numbers, NaN where missing, (rows,).

        Raises:
            DataError: a value that is no number, or an infinite one, with its row.
        """
        return self._all_of(self.parse_numbers(name), name)

    def parse_numbers(self, name: str) -> Parsed:
        """A column as numbers, with those values apart that are none, or infinite.

        Raises:
            DataError: a column that holds no numbers and no text.
        """
        return self._column(name).numbers()

    def looks_numeric(self, name: str) -> bool:
        """Whether a column has a value, and every value is a number; infinities are taken for one.

        A word for missing that was not declared, such as `NA`, is no number.
        """
        return self._column(name).looks_numeric()

    def booleans(self, name: str) -> NDArray[np.float64]:
        """A column as 1 for true and 0 for false, NaN where missing, (rows,).

        Raises:
            DataError: a value other than true, false, 1 and 0, with its row.
        """
        return self._all_of(self.parse_booleans(name), name)

    def parse_booleans(self, name: str) -> Parsed:
        """A column as 1 for true and 0 for false, with those values apart that are neither.

        Raises:
            DataError: a column that holds nothing of the kind.
        """
        return self._column(name).booleans()

    def looks_boolean(self, name: str) -> bool:
        """Whether a column has a value, and every value is true or false in words, not 1 or 0."""
        return self._column(name).looks_boolean()

    def texts(self, name: str) -> NDArray[np.object_]:
        """The canonical text of a column's values, None where missing, (rows,).

        Whole numbers are written without a point and true and false in lower case, whatever the
        format, so that a Parquet 3.0 or a CSV `3.0` equals a CSV `3`.

        Raises:
            DataError: values that have no text, such as lists.
        """
        return self._column(name).texts()

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """A column as categories: what `texts` gives, without a Python object per row.

        Returns:
            codes: the place of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: values that have no text, such as lists.
        """
        return self._column(name).codes()

    def keep(self, name: str) -> pa.ChunkedArray:
        """A column's values as stored, unchanged, (rows,)."""
        return self.data.column(name)

    def refuse(self, wrong: NDArray[np.bool_], name: str, complaint: Callable[[int], str]) -> None:
        """Refuses the first value of a column that is wrong.

        Args:
            wrong: where values are wrong, (rows,).
            name: the column.
            complaint: says what is wrong with the value at an index.

        Raises:
            DataError: with file, row and column.
        """
        if wrong.any():
            at = int(np.argmax(wrong))
            row = int(self.row_numbers[at])
            raise DataError(complaint(at), file=self.file, row=row, column=name)

    def _all_of(self, parsed: Parsed, name: str) -> NDArray[np.float64]:
        self.refuse(parsed.unreadable, name, parsed.complaint)
        return parsed.values

    def _column(self, name: str) -> Column:
        values = plain(self.data.column(name))
        return Column(name, values, self.file, self.missing_words)
