"""A table of named columns, and the rows of the file that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.errors import DataError, plural
from dlcli.tables.arrays import integers, strings, with_room
from dlcli.tables.column import Column, Kind, Parsed, plain
from dlcli.tables.notation import Notation
from dlcli.tables.remarks import Remark
from dlcli.tables.stored import StoredColumns
from dlcli.tables.time_guess import TimeGuess, guess_times
from dlcli.tables.times import Times, parse_times


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name. A name that is not in `columns` is a KeyError everywhere.

    Args:
        file: the file as the user named it, for messages.
        data: the columns as stored.
        row_numbers: the row of each row in that file, counted from 1 after the header, (rows,).
        missing_words: what counts as missing, besides nulls, NaN and blank fields; a word that is a
            number counts by its value in a column of numbers.
        files: the files that the rows come from, if not `file` alone, in their order.
        file_numbers: the place in `files` of each row's, (rows,).
        notations: how the texts of a column write numbers, where not as programs do.
        remarks: what was understood of the files and is not plain to see.
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
        """How many rows there are."""
        return len(self.row_numbers)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """The table of some rows, in the order given.

        Args:
            rows: indices from 0, (rows,).
        """
        data = self.data
        if isinstance(data, pa.Table):
            data = pa.table({name: with_room(data.column(name)) for name in self.columns})
        return self._part(data.take(integers(rows)), rows)

    def parts(self, rows: int) -> Iterator[Table]:
        """Yields views of so many neighbouring rows in turn; the last may have fewer."""
        for start in range(0, self.rows, rows):
            yield self._part(self.data.slice(start, rows), slice(start, start + rows))

    def written_like(self, notations: Mapping[str, Notation]) -> Table:
        """The same rows, with texts read as numbers in the way of another table, where that fits.

        A few values may leave two readings, of which the other table settled one: `1.234`.

        Args:
            notations: of the other table's columns; those it doesn't name are plain.
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

    def where(self, index: int) -> tuple[str, int]:
        """The file of a row, and its number in that file, counted from 1 after the header.

        Args:
            index: the row's index from 0.
        """
        if self.file_numbers is None:
            return self.file, int(self.row_numbers[index])
        return self.files[self.file_numbers[index]], int(self.row_numbers[index])

    def file_names(self) -> pa.Array:
        """The file of each row, (rows,)."""
        names = self.files or (self.file,)
        numbers = self.file_numbers if self.file_numbers is not None else np.zeros(self.rows)
        return strings(names, pa.string()).take(integers(numbers.astype(np.int64)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the files."""
        return tuple(remark.message for remark in self.remarks if not remark.is_doubtful)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found out about the files, and may be otherwise."""
        return tuple(remark.message for remark in self.remarks if remark.is_doubtful)

    def kind(self, name: str) -> Kind:
        """What a column is stored as; dates, lists and bytes are `other`."""
        return self.column(name).kind

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where a column's value is null, NaN, blank or one of the missing words, (rows,)."""
        return self.column(name).missing()

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
        return self.column(name).numbers()

    def looks_numeric(self, name: str) -> bool:
        """Whether a column has a value, and every value is a number; infinities are taken for one.

        A word for missing that was not declared, such as `NA`, is no number.
        """
        return self.column(name).looks_numeric()

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
        return self.column(name).booleans()

    def looks_boolean(self, name: str) -> bool:
        """Whether a column has a value, and every value is true or false in words, not 1 or 0."""
        return self.column(name).looks_boolean()

    def parse_times(self, name: str, formats: Sequence[str], zone: str = "UTC") -> Times:
        """A column as times, with those values apart that are none.

        Args:
            name: the column.
            formats: how text and numbers are written: `iso`, `unix`, `unix_ms`, or as in
                `%d.%m.%Y`; the first that fits a value counts.
            zone: where values were written that don't say their offset from UTC.

        Raises:
            DataError: a column that can't hold times.
        """
        return parse_times(self.column(name), formats, zone)

    def guess_times(self, name: str) -> TimeGuess | None:
        """How a column's dates are written, None unless every value is one.

        A column of numbers is never taken for dates.
        """
        return guess_times(self.column(name))

    def texts(self, name: str) -> NDArray[np.object_]:
        """The canonical text of a column's values, None where missing, (rows,).

        Whole numbers are written without a point and true and false in lower case, whatever the
        format, so that a Parquet 3.0 or a CSV `3.0` equals a CSV `3`.

        Raises:
            DataError: values that have no text, such as lists.
        """
        return self.column(name).texts()

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """A column as categories: what `texts` gives, without a Python object per row.

        Returns:
            codes: the place of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: values that have no text, such as lists.
        """
        return self.column(name).codes()

    def keep(self, name: str) -> pa.ChunkedArray:
        """A column's values as stored, unchanged, (rows,)."""
        return self.data.column(name)

    def refuse(self, wrong: NDArray[np.bool_], name: str, complaint: Callable[[int], str]) -> None:
        """Refuses the first value of a column that is wrong, and says how many more are.

        Args:
            wrong: where values are wrong, (rows,).
            name: the column.
            complaint: says what is wrong with the value at an index.

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

    def column(self, name: str) -> Column:
        """A column's values, with what it takes to read them."""
        values = plain(self.data.column(name))
        notation = self.notations.get(name, Notation())
        return Column(name, values, self.file, self.missing_words, notation)

    def _part(self, data: pa.Table | StoredColumns, rows: NDArray[np.int64] | slice) -> Table:
        """Some of the rows.

        Args:
            data: their columns.
            rows: which they are.
        """
        numbers = self.file_numbers
        return replace(
            self,
            data=data,
            row_numbers=self.row_numbers[rows],
            file_numbers=None if numbers is None else numbers[rows],
        )


@dataclass(frozen=True, eq=False)
class Columns(Mapping[str, Column]):
    """Some columns of a table by name, each read when it is asked for, and not kept.

    Args:
        table: the table.
        names: of the columns.
    """

    table: Table
    names: Sequence[str]

    def __getitem__(self, name: str) -> Column:
        return self.table.column(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
