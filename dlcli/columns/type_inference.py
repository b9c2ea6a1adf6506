"""The basis of type inference: counts of values, and columns that only identify rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from dlcli.arrays import Floats, Indices, Mask, integers
from dlcli.columns.scaling import LARGEST
from dlcli.errors import DataError, are_years, plural, truncate
from dlcli.tables.column import Column, DistinctTexts, count_texts
from dlcli.tables.table import Table

NEARLY_ALL = 0.9
"""Minimum share of values of one kind for which the other values count as stray values."""
MIN_VALUES = 8
"""Minimum number of values, with which the probability that all are held out is 0.3^8 < 0.0001."""
MIN_ROWS = 20
"""Minimum number of rows to recognize identifiers and to hold out rows by default."""
MAX_CODES = 10
"""Maximum number of distinct numbers that may be codes of categories."""
MAX_SHOWN = 5
_LONGEST_SHOWN = 40
_LONGEST_LISTED = 20
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\d[ T]00:00:00(?:\.0+)?")
_EXACT = 2**53
"""Larger integers may be rounded as float64."""


def shorten(text: str) -> str:
    """Truncate a long value for a message."""
    return truncate(text, _LONGEST_SHOWN)


@dataclass(frozen=True)
class ColumnSummary:
    """Counts of the values of a column."""

    present: int
    """Number of rows with a value."""
    missing: int
    """Number of rows without a value."""
    distinct: int
    """Number of distinct values; 0 for values that can't be written as text."""
    frequent: tuple[tuple[str, int], ...]
    """The most frequent values with their numbers of rows, in order, at most `MAX_SHOWN`."""
    bounds: tuple[float, float] | None
    """Minimum and maximum, if all values are numbers that the network can read."""
    whole: bool
    """True if all values are integers."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.present + self.missing

    @property
    def may_be_codes(self) -> bool:
        """True if numbers may be codes of categories: few repeated integers, other than 0 and 1."""
        is_flag = self.bounds == (0, 1)
        repeats = self.present >= 2 * self.distinct
        return self.whole and not is_flag and repeats and 1 < self.distinct <= MAX_CODES

    @property
    def listing(self) -> str:
        """The most frequent values with their numbers of rows: `setosa (50), virginica (49)`."""
        texts = [text for text, _ in self.frequent]
        if all(map(_MIDNIGHT.fullmatch, texts)):  # dates of Arrow and pandas
            texts = [text[:10] for text in texts]
        shown = [
            f"{_listed(text)} ({count:,})"
            for text, (_, count) in zip(texts, self.frequent, strict=True)
        ]
        return ", ".join([*shown, "..."] if self.distinct > MAX_SHOWN else shown)

    @property
    def span(self) -> str:
        """Minimum and maximum: `0 to 12.5`; empty without numbers."""
        return "" if self.bounds is None else span(*self.bounds)

    @property
    def missing_note(self) -> str:
        """The number of rows without a value: `12 missing`; empty if there are none."""
        return f"{self.missing:,} missing" if self.missing else ""


def _listed(text: str) -> str:
    """Truncate a value for a list, before a parenthesis that would remain open."""
    if len(text) <= _LONGEST_LISTED:
        return text
    start = text[: _LONGEST_LISTED - 3].rstrip()
    whole = start.rpartition("(")[0].rstrip() if start.count("(") > start.count(")") else start
    return f"{whole or start}..."


def span(low: float, high: float) -> str:
    """Format a range: `0 to 12.5`."""
    return f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """Format a number: integers and large numbers without decimals, others with six digits."""
    is_whole = value.is_integer() or abs(value) >= 1e5
    return f"{value:.0f}" if is_whole and abs(value) < 1e15 else f"{value:.6g}"


_MOST_STRAYS = 100


@dataclass(frozen=True)
class Strays:
    """Values of another kind than most values of their column."""

    words: tuple[str, ...]
    """The stray values, most frequent first."""
    rows: int
    """Number of rows with a stray value."""
    regular_share: float
    """Share of the rows with a value in which the value is not a stray value."""

    def reason(self, noun: str) -> str:
        """Describe the decision for the type of most values.

        Args:
            noun: the noun for most values: `numbers`.
        """
        others = len(self.words) - 1
        more = f" and {plural(others, 'more value')}" if others else ""
        where = f"in {plural(self.rows, 'row')} {'are' if others else 'is'} not"
        percent = math.floor(1000 * self.regular_share) / 10  # rounded down, so 100 % means all
        return f"{percent:g} % are {noun}, '{shorten(self.words[0])}'{more} {where}"


@dataclass(frozen=True, eq=False)
class ColumnView:
    """A column of a table, with its distinct values and their counts."""

    table: Table
    column: Column
    summary: ColumnSummary

    @cached_property
    def distinct(self) -> DistinctTexts:
        """The canonical texts of the distinct values, and the number of rows of each.

        Empty for values that can't be written as text.
        """
        return _distinct_texts(self.column)

    @property
    def has_leading_zeros(self) -> bool:
        """True if all values are numbers, and at least one is written like `007`."""
        may_have = self.column.kind == "text" and self.summary.bounds is not None
        return may_have and bool(self.leading_zeros.any())

    @property
    def leading_zeros(self) -> Mask:
        """The distinct values that are numbers with leading zeros, (distinct values,)."""
        return self.matches(r"^0[0-9]+$")

    def matches(self, pattern: str) -> Mask:
        """Return which distinct values match an RE2 pattern, (distinct values,)."""
        return self.distinct.matches(pattern)

    def some(self, which: Mask) -> pa.Array:
        """Return some of the distinct values."""
        return self.distinct.texts.take(integers(np.flatnonzero(which)))

    def strays(self, which: Mask) -> Strays | None:
        """Collect values of another kind than most values.

        Args:
            which: mask of the stray values, (distinct values,).

        Returns:
            The stray values; None if there are none, more than a hundred, or more than 10 % of the
            rows with a value.
        """
        count = int(np.count_nonzero(which))
        if not 0 < count < len(which) or count > _MOST_STRAYS:
            return None
        counts = self.distinct.counts[which]
        order = np.argsort(-counts, kind="stable")
        words = self.some(which).take(integers(order)).to_pylist()
        strays = Strays(tuple(words), int(counts.sum()), 1 - self.share(which))
        return strays if strays.regular_share >= NEARLY_ALL else None

    def example(self, which: Mask) -> str:
        """Return the first of some distinct values, truncated if it is long."""
        return shorten(str(self.distinct.texts[int(np.argmax(which))].as_py()))

    @property
    def are_named_codes(self) -> bool:
        """True if a few integers repeat in a column that is named like codes."""
        values = self.summary
        is_repeated = values.present >= _FEWEST_ROWS_OF_CODES * values.distinct
        is_named_so = _CODE_NAME.search(self.column.name) is not None
        return is_named_so and values.whole and is_repeated and values.distinct in _NAMED_CODES

    def share(self, which: Mask) -> float:
        """Return the share of some distinct values among the rows with a value."""
        return int(self.distinct.counts[which].sum()) / max(int(self.distinct.counts.sum()), 1)

    def are_nearly_all(self, which: Mask) -> bool:
        """Return whether some distinct values make up 90 % of the rows with a value."""
        return self.share(which) >= NEARLY_ALL

    def are_amounts(self, which: Mask) -> bool:
        """Return whether some distinct values are nearly all, and too many to be names."""
        return self.are_nearly_all(which) and int(which.sum()) > MAX_CODES


def view_column(table: Table, name: str) -> ColumnView:
    """Read a column and count its values."""
    column = table.column(name)
    numbers = _readable_numbers(column)
    is_stored_so = column.kind == "number" and not pa.types.is_decimal(column.values.type)
    if is_stored_so and numbers is not None and np.abs(numbers).max() < _EXACT:
        # The same result as with texts, but ten times as fast.
        _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
        top = np.flatnonzero(counts >= np.sort(counts)[-MAX_SHOWN:][0])
        top = top[np.lexsort((first[top], -counts[top]))[:MAX_SHOWN]]
        rows = np.flatnonzero(~column.missing())[first[top]]
        summary = _summary(column, numbers, counts, _texts_of(column, rows))
    else:
        distinct = _distinct_texts(column)
        texts = [distinct.texts[at].as_py() for at in _most_frequent(distinct.counts)]
        summary = _summary(column, numbers, distinct.counts, texts)
    return ColumnView(table, column, summary)


def _distinct_texts(column: Column) -> DistinctTexts:
    try:
        return column.distinct
    except DataError:  # values that can't be written as text, such as lists
        return count_texts(pa.chunked_array([], pa.string()))


def summarize_column(table: Table, name: str) -> ColumnSummary:
    """Count the values of a column.

    Many distinct numbers are counted as numbers, because converting them to text would take most of
    the time. Then `1.5` and `1.50` are the same value, and smaller values come first if they are
    equally frequent.
    """
    column = table.column(name)
    numbers = _readable_numbers(column)
    if numbers is not None and np.abs(numbers).max() < _EXACT:
        distinct, counts = np.unique(numbers, return_counts=True)
        if len(distinct) > MAX_CODES:
            values = column.numbers().values
            rows = np.array([np.argmax(values == distinct[at]) for at in _most_frequent(counts)])
            return _summary(column, numbers, counts, _texts_of(column, rows))
    return view_column(table, name).summary


def _readable_numbers(column: Column) -> Floats | None:
    """Return the values that are not missing if all of them fit float32, else None."""
    if not column.looks_numeric() or (parsed := column.numbers()).unreadable.any():
        return None
    numbers = parsed.values[~np.isnan(parsed.values)]
    return numbers if np.abs(numbers).max() <= LARGEST else None


def _texts_of(column: Column, rows: Indices) -> list[str]:
    """Return the canonical texts of some rows."""
    some = replace(column, values=column.values.take(integers(rows)))
    return [*some.canonical().to_pylist()]


def _most_frequent(counts: Indices) -> list[int]:
    """Return the indices of the largest counts; ties go to the first."""
    return list(np.argsort(-counts, kind="stable")[:MAX_SHOWN].tolist())


def _summary(
    column: Column, numbers: Floats | None, counts: Indices, frequent: Sequence[str]
) -> ColumnSummary:
    """Summarize a column, given its numbers, the counts of values, and the frequent values."""
    missing = int(np.count_nonzero(column.missing()))
    return ColumnSummary(
        present=len(column.values) - missing,
        missing=missing,
        distinct=len(counts),
        frequent=tuple(zip(frequent, np.sort(counts)[::-1].tolist(), strict=False)),
        bounds=None if numbers is None else (float(numbers.min()), float(numbers.max())),
        whole=numbers is not None and bool((numbers == np.floor(numbers)).all()),
    )


# Columns that only identify or number the rows of a table, recognized by names and values.

_IDENTIFIER_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:[pu]?id|uuid|guid|key|index|idx|row[._ ]?(?:names?|id|number)?))$"
    r"|[a-z]I[dD]$"
)
_CODE_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:id|code|type|category))$|[a-z](?:I[dD]|Code|Type|Category)$"
)
"""Names of codes, also of few: `StoreID`, `region_code`, `type`."""
_NAMED_CODES = range(3, MAX_CODES + 1)
"""Numbers of integers that are codes by their name; more need evidence in the data.

If names decided on 11 to 100 integers, the error of networks was 1.034 times as large in six tables
(0.968 to 1.121); on 3 to 10 integers, 1.005 times in three tables; see benchmarks/accuracy.md.
"""
_FEWEST_ROWS_OF_CODES = 4
"""Minimum average of rows per code."""
_NUMBER_NAME = re.compile(r"(?i:(?:^|[\W_])(?:nr|no|num|number|obs|observation|case)\.?)$")
"""Names of row numbers, which may also be names of counts."""
_NUMBERED_THINGS = (
    "account|acct|art|article|booking|card|case|claim|client|cliente|commande|compte|contract|"
    "contrat|contrato|cuenta|cust|customer|document|employee|emp|factura|facture|insurance|inv|"
    "invoice|loan|member|membership|order|passport|patient|pedido|personnel|phone|policy|product|"
    "receipt|ref|reference|registration|serial|staff|student|tax|ticket|tracking|transaction|user|"
    "vat|vehicle"
)
_KEY_NUMBER_NAME = re.compile(
    r"(?i:(?:nummer|nr)\.?$"
    rf"|(?:^|[\W_])(?:{_NUMBERED_THINGS})[\W_]*(?:no|num|number)\.?$"
    rf"|^(?:num[eé]ro|número|num|no|n[°º])\.?[\W_]+(?:(?:de|du)[\W_]+)?(?:{_NUMBERED_THINGS})$)"
)
"""Names of numbers of customers, invoices and the like, which are not counts: `Kundennummer`,
`KdNr`, `member_no`, but not `number_of_rooms` or `total_number`."""
_TIME_NAME = re.compile(
    r"(?i:(?:^|[\W\d_])(?:year|yr|quarter|month|week|day|date|time|hour|minute|second|age)s?"
    r"(?:$|[\W\d_]))|[a-z](?:Year|Month|Week|Day|Date|Time|Hour|Age)$"
)
_NUMBERED_SHARE = 0.5
"""Minimum share of the steps of 1 in a row index; and in columns named like row numbers, minimum
share of the integers in the range that occur."""
_ALL_DIFFER = "a different value in each row: an identifier"


def has_identifier_name(column: str) -> bool:
    """Return whether a column is named like an identifier: `id`, `movieId`, `store_key`."""
    return _IDENTIFIER_NAME.search(column) is not None


def has_code_name(column: str) -> bool:
    """Return whether a column is named like a code or an identifier: `zip_code`, `TrafficType`."""
    return _CODE_NAME.search(column) is not None or has_identifier_name(column)


def numbered_prefix(column: str) -> str | None:
    """Return the prefix of a numbered column, `pixel_` for `pixel_3_7`; None if not numbered."""
    match = re.fullmatch(r"([^*?]*?[^*?\d])\d+([_x.,-]\d+)*", column, re.S)
    return match and match[1]


def identity_of_categories(view: ColumnView, share: float) -> str | None:
    """Return the reason if categories only identify rows, else None.

    Args:
        view: the column.
        share: the share of distinct values from which categories identify rows, in a column with 20
            or more values. In a shorter column, all values must be distinct, and the name must be
            the name of an identifier.
    """
    distinct, present = view.summary.distinct, view.summary.present
    is_long = present >= MIN_ROWS
    if distinct == present and (is_long or has_identifier_name(view.column.name)):
        return _ALL_DIFFER
    if is_long and distinct >= share * present:
        return _few_repeat(distinct, present)
    return None


def _few_repeat(distinct: int, rows: int) -> str:
    return f"{distinct:,} values in {plural(rows, 'row')}: an identifier"


@np.errstate(over="ignore", invalid="ignore")  # numbers may be infinite or very large
def identity_of_numbers(column: str, numbers: Floats, share: float) -> str | None:
    """Return the reason if numbers only identify or number the rows, else None.

    The numbers must be distinct integers; in a column of 20 or more numbers that is named like an
    identifier, a few may be repeated. Quantities may also be distinct, so one of the following must
    also hold:

    - The column has the name of an identifier.
    - The column has a name such as `no` or `nr`, and the numbers are nearly consecutive.
    - The column has a name such as `customer_number` or `Rechnungsnummer`, and 20 or more rows have
      a positive number.
    - The numbers are a row index: in 20 or more rows, most increase by 1, or most decrease by 1,
      from row to row; they are not years, and the name is not the name of a time.

    Args:
        column: the name of the column.
        numbers: the numbers that are not missing, in the order of the file.
        share: minimum share of distinct numbers if a few may be repeated.
    """
    is_whole = bool((numbers == np.floor(numbers)).all())  # false for NaN, an unreadable value
    if len(numbers) < 2 or not is_whole:
        return None
    has_name = has_identifier_name(column)
    distinct = len(np.unique(numbers))
    if distinct < len(numbers):
        is_long = len(numbers) >= MIN_ROWS
        if has_name and is_long and distinct >= share * len(numbers):
            return _few_repeat(distinct, len(numbers))
        return None
    is_time = are_years(numbers.min(), numbers.max()) or _TIME_NAME.search(column)
    if len(numbers) >= MIN_ROWS and (has_name or not is_time):
        steps = np.diff(numbers)
        for step, verb in ((1, "increases"), (-1, "decreases")):
            if np.mean(steps == step) > _NUMBERED_SHARE:
                return f"an integer that {verb} from row to row: a row index"
    is_dense = len(numbers) > _NUMBERED_SHARE * (np.ptp(numbers) + 1)
    is_key = len(numbers) >= MIN_ROWS and numbers.min() > 0 and _KEY_NUMBER_NAME.search(column)
    is_row_number = is_dense and _NUMBER_NAME.search(column)
    return _ALL_DIFFER if has_name or is_row_number or is_key else None
