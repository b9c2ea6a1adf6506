"""Tables of named columns, with the file and number of each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import integers, plain, strings
from dlcli.errors import DataError, plural
from dlcli.tables.column import USUAL_MISSING_WORDS, Column, Kind, Parsed, column_kind
from dlcli.tables.datetime_parsing import Times, parse_times
from dlcli.tables.number_notation import SEPARATORS, Notation
from dlcli.tables.stored_columns import Columns, RowShares, ShardedColumns, take_rows

Result = TypeVar("Result")
WayOut = Callable[[bool], str]
"""Returns the end of an error about a value; the argument is True if most values are invalid."""
_USUAL = frozenset(USUAL_MISSING_WORDS)
VALUES_KEPT = 1 << 21
"""Size of a table up to which columns are cached, so all checks parse a wide table once."""
_SHORT = 1_000
"""Maximum number of values of columns that are parsed together."""
_FEWEST_TOGETHER = 8


class FileNote(NamedTuple):
    """A note on something that was detected or guessed about a file."""

    message: str
    """The note: `the delimiter is ';'`."""
    is_doubtful: bool = False
    """True if the guess may be wrong and the user should check it."""
    column: str | None = None
    """The column, if the note is about one."""
    settings: tuple[tuple[str, str | int], ...] = ()
    """Keys of `data` and the values that the file certainly needs."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name. Any name that is not in `columns` raises a KeyError.

    Args:
        file: the file as the user named it, for messages.
        data: the columns as stored, in memory or elsewhere.
        row_numbers: the number of each row in its file, counted from 1 after the header, (rows,).
        missing_words: spellings of a missing value by column, in addition to nulls, NaN and blank
            fields; in a column of numbers, a spelling that is a number is compared by value.
        files: the files of the rows, in order, if there are several.
        file_numbers: the index in `files` of each row's file, (rows,).
        notations: the notation of numbers in text, for the columns where it is not the default.
        file_notes: what was detected about the files.
        decimal: the decimal separator of unambiguous numbers in text; empty if it is not known.
        nameless: the names that dlcli gave to nameless columns of a file.
        unread: the columns of a file that were not read.
    """

    file: str
    data: Columns
    row_numbers: NDArray[np.int64]
    missing_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    file_numbers: NDArray[np.int32] | None = None
    notations: Mapping[str, Notation] = field(default_factory=dict)
    file_notes: tuple[FileNote, ...] = ()
    nameless: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    decimal: str = ""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in the order of the file."""
        return tuple(self.data.schema.names)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.row_numbers)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes on the files that are certain."""
        return tuple(note.message for note in self.file_notes if not note.is_doubtful)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes on the files that are guesses."""
        return tuple(note.message for note in self.file_notes if note.is_doubtful)

    # Rows

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table of some rows, in the order given.

        Args:
            rows: indices from 0, (rows,).
        """
        return self._part(take_rows(self.data, rows), rows)

    def only(self, names: Iterable[str]) -> Table:
        """Return the table of some columns, in memory."""
        return replace(self, data=pa.table({name: self.data.column(name) for name in names}))

    def parts(self, rows: int) -> Iterator[Table]:
        """Yield consecutive parts of equal size, at least one; the last may have fewer rows."""
        for start in range(0, max(self.rows, 1), rows):
            yield self._part(self.data.slice(start, rows), slice(start, start + rows))

    # Rows that are distributed over the workers of a cluster

    @property
    def shares(self) -> RowShares | None:
        """The workers that hold the rows; None if this process holds all."""
        return self.data.shares if isinstance(self.data, ShardedColumns) else None

    def own_rows(self) -> Table:
        """Return the rows that this process holds."""
        data = self.data
        return self._part(data.own, data.shares.own) if isinstance(data, ShardedColumns) else self

    def apart(self, name: str) -> Table:
        """Return the table of a column, in memory unless the rows are distributed over workers."""
        return self.only([name]) if self.shares is None else self

    def by_row(self, compute: Callable[[Table], NDArray[Any]]) -> NDArray[Any]:
        """Compute an array of values of each row, (rows, ...); each worker computes its own rows.

        Args:
            compute: returns the values of a table's rows; each depends on its row only.
        """
        if (shares := self.shares) is None:
            return compute(self)
        return shares.gather(shares.workers.agree(lambda: compute(self.own_rows())))

    def any_part(self, test: Callable[[Table], bool]) -> bool:
        """Return whether a test holds for the rows.

        Args:
            test: a test that holds for rows if it holds for any part of them.
        """
        if (shares := self.shares) is None:
            return test(self)
        return any(shares.workers.gather_results(lambda: test(self.own_rows())))

    def by_column(
        self,
        names: Sequence[str],
        compute: Callable[[str, Table], Result],
        dump: Callable[[Result], str],
        load: Callable[[str], Result],
    ) -> list[Result]:
        """Apply a function to each column; the workers share the columns.

        Args:
            names: the columns.
            compute: the function, given the column's name and a table with this column.
            dump: converts a result to a text, which is sent to other workers.
            load: converts such a text to the result.

        Raises:
            DlcliError: the error of the first column for which `compute` fails.
        """
        if (shares := self.shares) is None:
            return [compute(name, self) for name in names]
        workers, found = shares.workers, list[str]()

        def compute_own(own: tuple[str, Table] | None) -> str:
            return "" if own is None else dump(compute(*own))

        for start in range(0, len(names), workers.size):
            some, own = names[start : start + workers.size], None
            for rank, name in enumerate(some):
                alone = self.only([name])  # all workers take part in it, and most do not keep it
                own = (name, alone) if rank == workers.rank else own
            found += workers.gather_results(partial(compute_own, own))[: len(some)]
        return [*map(load, found)]

    # Files

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

    def _part(self, data: Columns, rows: NDArray[np.int64] | slice) -> Table:
        files = None if self.file_numbers is None else self.file_numbers[rows]
        return replace(self, data=data, row_numbers=self.row_numbers[rows], file_numbers=files)

    # Columns

    def column(self, name: str) -> Column:
        """Return a column."""
        if (column := self._kept.get(name)) is None:
            values = plain(self.data.column(name))
            notation = self.notations.get(name, Notation())
            words = self.missing_words.get(name, ())
            column = Column(name, values, self.file, words, notation)
            in_memory = isinstance(self.data, pa.Table)
            if in_memory and self.rows * len(self.columns) <= VALUES_KEPT:
                self._kept[name] = column
        return column

    def kind(self, name: str) -> Kind:
        """Return the kind of a column's values, without reading them."""
        return column_kind(self.data.schema.field(name).type)

    def reuse(self, earlier: Table) -> None:
        """Reuse the parsed columns of another table with the same values, where settings agree."""
        for name, column in earlier._kept.items():
            if column.notation == self.notations.get(name, Notation()):
                words = self.missing_words.get(name, ())
                if words == column.missing_words:
                    self._kept[name] = column
                elif column.lacks_usual_words and _USUAL.issuperset(words + column.missing_words):
                    self._kept[name] = column.with_missing_words(words)

    def parse_together(self) -> None:
        """Parse all columns of text at once if they are short.

        Calling one of Arrow's functions takes longer than processing some hundred values, so a
        table of many short columns is parsed several times as fast.
        """
        is_short = self.rows <= _SHORT and self.rows * len(self.columns) <= VALUES_KEPT
        if not is_short or not isinstance(self.data, pa.Table):
            return
        alike = defaultdict[tuple[object, ...], list[Column]](list)
        for column in map(self.column, self.columns):
            if column.kind == "text" and "_present" not in vars(column):
                alike[column.values.type, column.missing_words, column.notation].append(column)
        for columns in alike.values():
            if len(columns) >= _FEWEST_TOGETHER:
                Column.parse_together(columns)

    def keep(self, name: str) -> pa.ChunkedArray:
        """Return a column's values as stored, unchanged, (rows,)."""
        return self.data.column(name)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return the mask of values that are null, NaN, blank or missing words, (rows,)."""
        return self.column(name).missing()

    def numbers(self, name: str, way_out: WayOut | None = None) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where missing, (rows,).

        Args:
            name: the column.
            way_out: returns the end of the error, see `WayOut`; not used if the first invalid value
                is a common spelling of a missing value.

        Raises:
            DataError: for a value that is not a finite number, with its row.
        """
        return self._all_of(self.column(name).numbers(), name, way_out).copy()

    def booleans(self, name: str, way_out: WayOut | None = None) -> NDArray[np.float64]:
        """Return a column as 1 for true and 0 for false, NaN where missing, (rows,).

        Args:
            name: the column.
            way_out: see `numbers`.

        Raises:
            DataError: for a value other than true, false, 1 and 0, with its row.
        """
        return self._all_of(self.column(name).booleans(), name, way_out)

    def texts(self, name: str) -> NDArray[np.object_]:
        """Return the canonical text of a column's values, None where missing, (rows,).

        For every file format, integers are written without a decimal point and booleans in lower
        case, so a Parquet 3.0 and a CSV `3.0` both equal a CSV `3`.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return self.column(name).texts()

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a column as categories: `texts` without an object for each row.

        Returns:
            codes: the index of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return self.column(name).codes()

    # Reading for encoders, see `Rows`.

    @property
    def table(self) -> Table:
        """The rows as a table."""
        return self

    def numbers_of(self, name: str) -> Parsed:
        """Return a column as numbers, see `Column.numbers`."""
        return self.column(name).numbers()

    def booleans_of(self, name: str) -> Parsed:
        """Return a column as 1 for true and 0 for false, see `Column.booleans`."""
        return self.column(name).booleans()

    def times_of(self, name: str, formats: Sequence[str], zone: str) -> Times:
        """Return a column as times, see `parse_times`."""
        return parse_times(self.column(name), formats, zone)

    def few_texts(self, name: str) -> list[str | None] | None:
        """Return None: texts are read by Arrow."""
        return None

    def place(self, index: int) -> str:
        """Return the name of a row in messages: `row 3`, with its file if there are several."""
        file, row = self.where(index)
        return f"row {row} of {file}" if self.files else f"row {row}"

    def written_like(self, notations: Mapping[str, Notation]) -> Table:
        """Return the same rows, read in the number notations of another table where they fit.

        A few values may be ambiguous, such as `1.234`, although the notation is clear in the other
        table. The other table's units apply even where they don't fit, so kilograms are never read
        as pounds. If the numbers of this table clearly have the other decimal separator, ambiguous
        columns keep the notation of this table, and a warning reports it.

        Args:
            notations: the other table's notations by column; omitted columns have the default one.
        """
        settled, warnings = {}, list[FileNote]()
        decimals = {notation.decimal for notation in notations.values()}
        for name in self.columns:
            wanted, own = (each.get(name, Notation()) for each in (notations, self.notations))
            if own.measure == wanted.measure:
                if own == wanted or not self.column(name).is_written(wanted):
                    continue
                read = wanted
                if self.decimal not in ("", wanted.decimal):
                    kept = own if self.decimal not in decimals else wanted
                    if warning := self._ambiguity(name, kept, wanted if kept == own else own):
                        warnings.append(warning)
                        read = kept
                if read == wanted:
                    settled[name] = wanted
                continue
            signs = (sign for sign in SEPARATORS if sign != wanted.decimal)
            ways = (wanted, *(replace(wanted, thousands=sign) for sign in signs))
            settled[name] = next(filter(self.column(name).is_written, ways), wanted)
        if not settled and not warnings:
            return self
        replaced = {*settled, *(note.column for note in warnings)}
        file_notes = (*(note for note in self.file_notes if note.column not in replaced), *warnings)
        return replace(self, notations={**self.notations, **settled}, file_notes=file_notes)

    def _ambiguity(self, name: str, read: Notation, other: Notation) -> FileNote | None:
        """Return a warning if all values of a column fit two notations with different numbers."""
        column = self.column(name)
        if not column.is_written(read) or not column.is_written(other):
            return None
        texts = column.present_texts().unique()
        chunks = pa.chunked_array([texts])
        readings = (each.plain(chunks).to_pylist() for each in (read, other))
        for text, number, otherwise in zip(texts.to_pylist(), *readings, strict=True):
            if float(number) != float(otherwise):
                message = (
                    f"{self.file}: column '{name}': {text} may mean {number} or {otherwise} and "
                    f"was read as {number}; the decimal separator of this file differs from that "
                    "of the training table: for the other meaning, write all numbers as in training"
                )
                return FileNote(message, True, name)
        return None

    def refuse(self, wrong: NDArray[np.bool_], name: str, problem: Callable[[int], str]) -> None:
        """Raise an error about the first invalid value of a column, with the number of others.

        Args:
            wrong: mask of invalid values, (rows,).
            name: the column.
            problem: describes the problem with the value at an index.

        Raises:
            DataError: with file, row and column.
        """
        if wrong.any():
            at = int(np.argmax(wrong))
            file, row = self.where(at)
            others = int(np.count_nonzero(wrong)) - 1
            have = "has" if others == 1 else "have"
            more = f"; {plural(others, 'more row')} {have} this problem" if others else ""
            raise DataError(problem(at) + more, file=file, row=row, column=name)

    @cached_property
    def _kept(self) -> dict[str, Column]:
        """Cached columns of a small table, which keep what was parsed."""
        return {}

    def _all_of(self, parsed: Parsed, name: str, way_out: WayOut | None) -> NDArray[np.float64]:
        def problem(index: int) -> str:
            if way_out is None or self.column(name).missing_hint(index):
                return parsed.problem(index)
            are_most = 2 * np.count_nonzero(parsed.unreadable) > np.count_nonzero(~parsed.missing)
            return parsed.problem(index) + way_out(bool(are_most))

        self.refuse(parsed.unreadable, name, problem)
        return parsed.values


class Rows(Protocol):
    """Rows whose columns are read by name: a `Table`, or `FewRows`, which are read without Arrow.

    Both give the same numbers, missing values, category texts and times, to the bit.
    """

    @property
    def rows(self) -> int:
        """The number of rows."""

    @property
    def file(self) -> str:
        """The table's file, for messages."""

    @property
    def columns(self) -> Collection[str]:
        """The columns' names."""

    @property
    def table(self) -> Table:
        """The rows as a table."""

    def numbers_of(self, name: str) -> Parsed:
        """Return a column as numbers, float64 (rows,): NaN where missing or unreadable.

        Raises:
            DataError: for a column that holds neither numbers nor text.
        """

    def booleans_of(self, name: str) -> Parsed:
        """Return a column as 1 for true and 0 for false, float64 (rows,); see `numbers_of`."""

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a column as categories.

        Returns:
            codes: the index of each value in the categories, -1 where missing, int64 (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: for values without a text form, such as lists.
        """

    def few_texts(self, name: str) -> list[str | None] | None:
        """Return the canonical texts, None where missing, (rows,).

        None if there are many rows, or rare texts: use `table` then.
        """

    def times_of(self, name: str, formats: Sequence[str], zone: str) -> Times:
        """Return a column as times, int64 (rows,): microseconds since 1970-01-01T00:00Z.

        Args:
            name: the column.
            formats: the formats of text and numbers; the first that fits a value is used.
            zone: the time zone of values without an offset from UTC.

        Raises:
            DataError: for a column that cannot hold times.
        """

    def refuse(self, wrong: NDArray[np.bool_], name: str, problem: Callable[[int], str]) -> None:
        """Raise an error for the first invalid value, if there is one.

        Args:
            wrong: mask of rows with an invalid value, (rows,).
            name: the column.
            problem: describes the problem with the value at a row index.
        """
