"""A few rows, given as mappings, with the same results as `memory_table` but without Arrow.

Calling Arrow's functions takes longer than all other work on a row. Columns with rare or invalid
values, such as a decimal comma, are read from a table of the same rows, which is created on demand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import DataError
from dlcli.tables import column
from dlcli.tables.datetime_parsing import UNIX_TICKS, Times, read_moment, read_unix
from dlcli.tables.memory_tables import ValueKind, typed_values
from dlcli.tables.notation_detection import may_have_notation
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table

_PLAIN_NUMBER = re.compile(Notation().pattern)
_ZERO_DECIMALS = re.compile(column.ZERO_DECIMALS)
_NUMBER_TYPES = {float, int, type(None)}
MOST_CHARACTERS = 2**15
"""Total length of a column's texts up to which reading them here is faster (within 10 ms).

Longer texts would also block other threads, unlike Arrow's functions."""
_LEAST_WRITTEN, _MOST_WRITTEN = 1e-4, 1e9
"""Range of absolute values that Arrow and Python write alike, without an exponent."""


@dataclass(frozen=True)
class Reading:
    """How the values of a column are read.

    Args:
        missing_words: see `Table`.
        notation: the notation of numbers in the training rows.
    """

    missing_words: tuple[str, ...] = ()
    notation: Notation = Notation()

    @cached_property
    def missing_texts(self) -> frozenset[str]:
        """The texts that are missing values."""
        return frozenset(column.missing_texts(self.missing_words))

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """The numbers that are missing values."""
        return frozenset(column.missing_numbers(self.missing_words))

    @cached_property
    def has_plain_numbers(self) -> bool:
        """True if every number stands for itself."""
        return not self.missing_numbers and not self.notation.needs_unit


class _Rare(Exception):
    """Raised for a value that only a `Column` can read or refuse; caught in this module."""


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of one column of a few rows.

    Each method raises `_Rare` for values that only a `Column` can read or refuse.

    Args:
        kind: the kind of the values.
        values: see `typed_values`, (rows,).
        reading: how they are read.
    """

    kind: ValueKind
    values: Sequence[Any]
    reading: Reading

    def numbers(self) -> list[float]:
        """Return the values as numbers, NaN where missing, (rows,); see `Column.numbers`."""
        if self.kind == "text":
            texts = self._present_texts()
            return [math.nan if text is None else self._number_of(text) for text in texts]
        if self.kind == "boolean" or self.reading.notation.needs_unit:
            raise _Rare
        numbers = [math.nan if value is None else float(value) for value in self.values]
        if math.inf in numbers or -math.inf in numbers:
            raise _Rare
        return [*map(self._unless_missing, numbers)] if self.reading.missing_numbers else numbers

    def booleans(self) -> list[float]:
        """Return 1 for true, 0 for false, NaN where missing, (rows,); see `Column.booleans`."""
        if self.kind == "boolean":
            return [math.nan if value is None else float(value) for value in self.values]
        texts = self._present_texts() if self.kind == "text" else self.texts()
        return [math.nan if text is None else _truth(text) for text in texts]

    def texts(self) -> list[str | None]:
        """Return the canonical texts, None where missing, (rows,); see `Column.texts`."""
        if self.kind == "text":
            texts = self._present_texts()
            return [None if text is None else _canonical(text) for text in texts]
        if self.kind == "boolean":
            return [None if value is None else str(value).lower() for value in self.values]
        return [*map(self._text_of_number, self.values)]

    def moments(self, formats: Sequence[str], zone: str) -> list[int | None]:
        """Return microseconds since 1970-01-01T00:00Z, None where missing, (rows,).

        See `parse_times`.
        """
        if self.kind == "boolean":
            raise _Rare
        if len(formats) == 1 and formats[0] in UNIX_TICKS:
            return [
                None if math.isnan(number) else _required(read_unix(number, formats[0]))
                for number in self.numbers()
            ]
        if not UNIX_TICKS.keys().isdisjoint(formats):
            raise _Rare
        # Texts are not in canonical form here: `9.00` may be a time.
        texts = self._present_texts() if self.kind == "text" else self.texts()
        return [
            None if text is None else _required(read_moment(text, formats, zone)) for text in texts
        ]

    def _present_texts(self) -> list[str | None]:
        """Return texts without surrounding spaces, None where missing, (rows,)."""
        missing = self.reading.missing_texts
        stripped = (None if value is None else value.strip() for value in self.values)
        return [None if text in missing else text for text in stripped]

    def _number_of(self, text: str) -> float:
        if not self.reading.notation.is_plain or not _PLAIN_NUMBER.match(text):
            raise _Rare
        number = float(text)
        if math.isinf(number):
            raise _Rare
        return number

    def _text_of_number(self, value: float | None) -> str | None:
        if value is None:
            return None
        missing = self.reading.missing_numbers
        if missing and math.isnan(self._unless_missing(float(value))):
            return None
        if self.kind == "integer":
            return str(value)
        if abs(value) >= _MOST_WRITTEN:
            raise _Rare
        if value == (whole := int(value)):
            return str(whole)
        if abs(value) < _LEAST_WRITTEN:
            raise _Rare
        return str(value)

    def _unless_missing(self, number: float) -> float:
        """Return a number, NaN if it stands for a missing value."""
        if number == 0 and math.copysign(1, number) < 0:  # Arrow distinguishes −0 and 0 here
            raise _Rare
        return math.nan if number in self.reading.missing_numbers else number


@dataclass(eq=False)
class FewRows:
    """A few rows, whose columns are read one by one; see `Rows`.

    Args:
        records: one mapping for each row; a key that it lacks is a missing value.
        readings: how the values of each column are read.
        read_table: reads the same rows as a table.
        file: the name of the table in messages.
    """

    records: Sequence[dict[str, object]]
    readings: Mapping[str, Reading]
    read_table: Callable[[], Table]
    file: str

    def __post_init__(self) -> None:
        self.rows = len(self.records)
        self._none = np.zeros(self.rows, dtype=np.bool_)

    @cached_property
    def columns(self) -> Collection[str]:
        """The columns' names."""
        if self.rows == 1:
            return self.records[0]
        return dict.fromkeys(name for record in self.records for name in record)

    @cached_property
    def table(self) -> Table:
        """The same rows as a table."""
        return self.read_table()

    def numbers_of(self, name: str) -> column.Parsed:
        """Return a column as numbers, see `Column.numbers`."""
        try:
            return self._parsed(self._values(name).numbers())
        except _Rare:
            return self.table.numbers_of(name)

    def booleans_of(self, name: str) -> column.Parsed:
        """Return a column as 1 for true and 0 for false, see `Column.booleans`."""
        try:
            return self._parsed(self._values(name).booleans())
        except _Rare:
            return self.table.booleans_of(name)

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a column as categories, see `Column.codes`."""
        texts = self.few_texts(name)
        if texts is None:
            return self.table.codes(name)
        known: dict[str, int] = {}
        codes = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
        return np.array(codes, dtype=np.int64), [*known]

    def few_texts(self, name: str) -> list[str | None] | None:
        """Return the canonical texts, None where missing, (rows,); None if a text is rare."""
        try:
            return self._values(name).texts()
        except _Rare:
            return None

    def times_of(self, name: str, formats: Sequence[str], zone: str) -> Times:
        """Return a column as times, see `parse_times`."""
        try:
            found = self._values(name).moments(formats, zone)
        except _Rare:
            return self.table.times_of(name, formats, zone)
        missing = self._none if None not in found else np.array([at is None for at in found])
        moments = np.array([at or 0 for at in found], dtype=np.int64)
        return Times(moments, missing, self._none, self._none, str)

    def refuse(self, wrong: NDArray[np.bool_], name: str, problem: Callable[[int], str]) -> None:
        """Raise an error for the first invalid value, if there is one; see `Table.refuse`."""
        self.table.refuse(wrong, name, problem)

    def place(self, index: int) -> str:
        """Name a row in messages: `row 3`."""
        return f"row {index + 1}"

    def plain_numbers(self, names: Sequence[str]) -> NDArray[np.float64] | None:
        """Return columns of plain numbers, NaN where missing, (rows, names).

        The caller checks the range of the numbers, so integers beyond 2^53 are not refused here.

        Returns:
            None if a value has another type or must be parsed.
        """
        if not all(self.readings[name].has_plain_numbers for name in names):
            return None
        try:
            values = [[record[name] for name in names] for record in self.records]
        except KeyError:
            return None
        kinds = {type(value) for row in values for value in row}
        if not kinds <= _NUMBER_TYPES:
            return None
        try:
            return np.array(values, np.float64)
        except OverflowError:
            return None

    def _parsed(self, values: list[float]) -> column.Parsed:
        return column.Parsed(np.array(values), self._none, str)

    def _values(self, name: str) -> _Values:
        """Return the values of a column.

        Raises:
            _Rare: if the values must be read as a table.
        """
        kind, values = _typed([record.get(name) for record in self.records])
        return _Values(kind, values, self.readings[name])


class NumberRows(FewRows):
    """Rows of a matrix of finite numbers, of which any number may be missing.

    All that is not a plain number, such as a category, is read from a table of the same rows.

    Args:
        matrix: the numbers, NaN where missing, float64 (rows, names).
        names: the name of each column.
        readings: see `FewRows`, also for the other arguments.
    """

    def __init__(
        self,
        matrix: NDArray[np.float64],
        names: Sequence[str],
        readings: Mapping[str, Reading],
        read_table: Callable[[], Table],
        file: str,
    ) -> None:
        super().__init__((), readings, read_table, file)
        self.rows = len(matrix)
        self._none = np.zeros(self.rows, dtype=np.bool_)
        self._matrix = matrix
        self._indices = {name: at for at, name in enumerate(names)}

    @cached_property
    def columns(self) -> Collection[str]:
        """The columns' names."""
        return self._indices.keys()

    def numbers_of(self, name: str) -> column.Parsed:
        """Return a column as numbers, see `Column.numbers`."""
        if not self.readings[name].has_plain_numbers:
            return self.table.numbers_of(name)
        values = np.ascontiguousarray(self._matrix[:, self._indices[name]])
        return column.Parsed(values, self._none, str)

    def plain_numbers(self, names: Sequence[str]) -> NDArray[np.float64] | None:
        """Return columns of plain numbers, see `FewRows`."""
        if not all(self.readings[name].has_plain_numbers for name in names):
            return None
        return self._matrix[:, [self._indices[name] for name in names]]

    def _values(self, name: str) -> _Values:
        raise _Rare


def few_rows(
    records: Sequence[object],
    readings: Mapping[str, Reading],
    table: Callable[[], Table],
    file: str,
) -> FewRows | Table:
    """Create rows from mappings; columns without a reading are only checked.

    Args:
        records: a mapping for each row; a key that it lacks is a missing value.
        readings: how the values of each column are read.
        table: reads the same rows as a table.
        file: the name of the table in messages.

    Returns:
        A `FewRows`, or the table if the rows are unusual.
    """
    plain = [record for record in records if type(record) is dict]
    if len(plain) < len(records) or not any(plain):
        return table()
    rows = FewRows(plain, readings, table, file)
    try:
        for name in rows.columns:
            if name not in readings:
                if type(name) is not str or not name:
                    return table()
                _typed([record.get(name) for record in plain])
    except _Rare:
        return table()
    return rows


def _typed(values: Sequence[object]) -> tuple[ValueKind, Sequence[Any]]:
    """Convert the values of a column to one type, see `typed_values`."""
    if len(values) == 1 and type(values[0]) is float and values[0] == values[0]:
        return "float", values  # fast path for most rows
    kinds = {*map(type, values)}
    if kinds == {float} and not any(map(math.isnan, values)):  # type: ignore[arg-type]
        return "float", values
    kind: ValueKind = "text"
    found: Sequence[Any] = values
    if kinds != {str} or not "".join(found).isascii():
        try:
            kind, found = typed_values(values, "", "")
        except DataError:
            raise _Rare from None
    if kind == "text":
        texts = [text.strip() for text in found if text]
        if sum(map(len, texts)) > MOST_CHARACTERS or may_have_notation(texts):
            raise _Rare
    return kind, found


def _canonical(text: str) -> str:
    """Return the canonical text of a text without surrounding spaces; see `Column.canonical`."""
    if text[-1:] == "0" and (whole := _ZERO_DECIMALS.match(text)):
        return whole[1] or whole[2]
    lower = text.lower()
    return lower if lower in ("true", "false") else text


def _truth(text: str) -> float:
    lower = text.lower()
    if lower in column.TRUE_WORDS:
        return 1.0
    if lower in column.FALSE_WORDS:
        return 0.0
    raise _Rare


def _required(moment: int | None) -> int:
    if moment is None:
        raise _Rare
    return moment
