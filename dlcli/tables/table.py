"""A table of named columns, with the file and row number of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.errors import DataError, plural
from dlcli.tables.arrow_arrays import integers, plain, strings, widened
from dlcli.tables.column import Column, Notation, Parsed
from dlcli.tables.disk_table import StoredColumns


class Remark(NamedTuple):
    """Something that was detected or guessed about a file."""

    message: str
    """For the user: `fields are separated by ';'`."""
    is_doubtful: bool = False
    """True if the guess may be wrong, so that the user should check it."""
    column: str | None = None
    """The one column that it is about."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name. Any name that is not in `columns` raises a KeyError.

    Args:
        file: the file as the user named it, for messages.
        data: the columns as stored.
        row_numbers: the number of each row in its file, counted from 1 after the header, (rows,).
        missing_words: spellings of a missing value, besides nulls, NaN and blank fields; one that
            is a number is compared by value in a column of numbers.
        files: the files that the rows come from, if not `file` alone, in their order.
        file_numbers: the index in `files` of each row's file, (rows,).
        notations: the notation of numbers in text, for the columns where it is not the default.
        remarks: what was detected about the files.
    """

    file: str
    data: pa.Table | StoredColumns
    row_numbers: NDArray[np.int64]
    missing_words: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    file_numbers: NDArray[np.int32] | None = None
    notations: Mapping[str, Notation] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in the order of the file."""
        return tuple(self.data.column_names)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.row_numbers)

    @property
    def notes(self) -> tuple[str, ...]:
        """The messages about the files that are certain."""
        return tuple(remark.message for remark in self.remarks if not remark.is_doubtful)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The messages about the files that are guesses."""
        return tuple(remark.message for remark in self.remarks if remark.is_doubtful)

    # Rows

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table of some rows, in the order given.

        Args:
            rows: indices from 0, (rows,).
        """
        data = self.data
        if isinstance(data, pa.Table):
            data = pa.table({name: widened(data.column(name)) for name in self.columns})
        return self._part(data.take(integers(rows)), rows)

    def parts(self, rows: int) -> Iterator[Table]:
        """Yield consecutive parts of so many rows; the last may have fewer."""
        for start in range(0, self.rows, rows):
            yield self._part(self.data.slice(start, rows), slice(start, start + rows))

    def where(self, index: int) -> tuple[str, int]:
        """Return the file of a row, and its number in it, counted from 1 after the header.

        Args:
            index: the row's index from 0.
        """
        if self.file_numbers is None:
            return self.file, int(self.row_numbers[index])
        return self.files[self.file_numbers[index]], int(self.row_numbers[index])

    def file_names(self) -> pa.Array:
        """Return the file of each row, (rows,)."""
        names = self.files or (self.file,)
        numbers = self.file_numbers if self.file_numbers is not None else np.zeros(self.rows)
        return strings(names, pa.string()).take(integers(numbers.astype(np.int64)))

    def _part(self, data: pa.Table | StoredColumns, rows: NDArray[np.int64] | slice) -> Table:
        numbers = self.file_numbers
        return replace(
            self,
            data=data,
            row_numbers=self.row_numbers[rows],
            file_numbers=None if numbers is None else numbers[rows],
        )

    # Columns

    def column(self, name: str) -> Column:
        """Return a column, as `Column` reads it."""
        values = plain(self.data.column(name))
        notation = self.notations.get(name, Notation())
        return Column(name, values, self.file, self.missing_words, notation)

    def keep(self, name: str) -> pa.ChunkedArray:
        """Return a column's values as stored, unchanged, (rows,)."""
        return self.data.column(name)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return where a value is null, NaN, blank or one of the missing words, (rows,)."""
        return self.column(name).missing()

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where missing, (rows,).

        Raises:
            DataError: for a value that is not a finite number, with its row.
        """
        return self._all_of(self.column(name).numbers(), name)

    def booleans(self, name: str) -> NDArray[np.float64]:
        """Return a column as 1 for true and 0 for false, NaN where missing, (rows,).

        Raises:
            DataError: for a value other than true, false, 1 and 0, with its row.
        """
        return self._all_of(self.column(name).booleans(), name)

    def texts(self, name: str) -> NDArray[np.object_]:
        """Return the canonical text of a column's values, None where missing, (rows,).

        Whole numbers are written without a decimal point and booleans in lower case in every file
        format, so that a Parquet 3.0 or a CSV `3.0` equals a CSV `3`.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return self.column(name).texts()

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a column as categories: the result of `texts`, without an object for each row.

        Returns:
            codes: the index of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return self.column(name).codes()

    def written_like(self, notations: Mapping[str, Notation]) -> Table:
        """Return the same rows, with numbers read in another table's notations where they fit.

        A few values may be ambiguous, such as `1.234`, while the other table settled the notation.

        Args:
            notations: those of the other table's columns; any other column has the default one.
        """
        settled = {
            name: wanted
            for name in self.columns
            if (wanted := notations.get(name, Notation())) != self.notations.get(name, Notation())
            and self.column(name).is_written(wanted)
        }
        if not settled:
            return self
        remarks = tuple(remark for remark in self.remarks if remark.column not in settled)
        return replace(self, notations={**self.notations, **settled}, remarks=remarks)

    def refuse(self, wrong: NDArray[np.bool_], name: str, complaint: Callable[[int], str]) -> None:
        """Raise an error about the first wrong value of a column, with the number of the others.

        Args:
            wrong: where values are wrong, (rows,).
            name: the column.
            complaint: describes the problem with the value at an index.

        Raises:
            DataError: with file, row and column.
        """
        if wrong.any():
            at = int(np.argmax(wrong))
            file, row = self.where(at)
            others = int(np.count_nonzero(wrong)) - 1
            more = f" ({plural(others, 'more such row')})" if others else ""
            raise DataError(complaint(at) + more, file=file, row=row, column=name)

    def _all_of(self, parsed: Parsed, name: str) -> NDArray[np.float64]:
        self.refuse(parsed.unreadable, name, parsed.complaint)
        return parsed.values
