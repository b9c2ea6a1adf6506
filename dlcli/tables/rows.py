"""Rows as encoders read them: a table or a few mappings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dlcli.arrays import Indices, Mask
    from dlcli.tables.column import Parsed
    from dlcli.tables.datetime_parsing import Times
    from dlcli.tables.table import Table


class Rows(Protocol):
    """Rows whose columns are read by name: a `Table`, or `FewRows` that are read without Arrow.

    What a number, a missing value, a category's text or a time is, is the same in both, to the bit.
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
        """The rows as a table, for what only a table has."""

    def numbers_of(self, name: str) -> Parsed:
        """Return a column as numbers, float64 (rows,): NaN where missing or unreadable.

        Raises:
            DataError: for a column that holds neither numbers nor text.
        """

    def booleans_of(self, name: str) -> Parsed:
        """Return a column as 1 for true and 0 for false, float64 (rows,); see `numbers_of`."""

    def codes(self, name: str) -> tuple[Indices, list[str]]:
        """Return a column as categories.

        Returns:
            codes: the index of each value in the categories, -1 where missing, int64 (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: for values without a text form, such as lists.
        """

    def few_texts(self, name: str) -> list[str | None] | None:
        """Return the canonical texts, None where missing, (rows,).

        None if they are many or rare: then `table` has them as Arrow's.
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

    def refuse(self, wrong: Mask, name: str, problem: Callable[[int], str]) -> None:
        """Raise an error for the first wrong value, if there is one.

        Args:
            wrong: which rows have one, (rows,).
            name: the column.
            problem: words the reason for the value at a row index.
        """
