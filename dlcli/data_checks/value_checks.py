"""Checks of single values: codes and words for missing ones, outliers, values of another type."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dlcli.config import Datetime, Input, Numeric, PiecewiseLinear
from dlcli.data_checks.data_issue import DataIssue, Severity, column_issue, quoted
from dlcli.data_checks.sample import Codes, Floats, Sample, SampledColumn
from dlcli.errors import plural
from dlcli.tables import (
    DAY,
    USUAL_MISSING_WORDS,
    Column,
    mask_to_numpy,
    missing_setting,
    parse_times,
    strings,
)

FEWEST_OTHERS = 10
"""Distinct values that there must be for one to be far from them."""
FEWEST_REPEATS = 5
"""Rows that a value must have to be taken for a code: an outlier comes alone."""
_CODES = tuple(1 - 10.0**digits for digits in range(1, 10))
"""-9, -99, -999 and so on, which are no amounts if all others are 0 or more."""
_PLAIN_WORDS = USUAL_MISSING_WORDS - {"none", "nil", "-", "--", "."} | {"unknown"}
"""Words that are no names of categories; `none` may well be one."""


def is_far(value: float, others: Floats) -> bool:
    """Whether a value lies farther from the nearest of the others than those from each other.

    Args:
        value: less or greater than all others.
        others: the others, ascending, not empty.
    """
    low, high = float(others[0]), float(others[-1])
    return max(low - value, value - high) > high - low


def find_missing_codes(sample: Sample) -> DataIssue | None:
    """Find numbers that are far from all others and repeat, as -999 does.

    Such a number is the minimum or the maximum of its column. It lies farther from the nearest
    other value than those lie from each other; or all others are 0 or more, and it is -9, -99, -999
    and so on, or -1 if they reach 10. At least 5 rows hold it, and more than hold the median other
    value; and there are 10 other values.
    """
    codes = {name: missing_code(column) for name, column in sample.columns.items()}
    found = {name: index for name, index in codes.items() if index is not None}
    texts = {name: sample.columns[name].text(index) for name, index in found.items()}
    rows = {name: int(sample.columns[name].counts[index]) for name, index in found.items()}
    details = {name: f"{texts[name]} in {plural(rows[name], 'row')}" for name in found}
    message = "a value far from all others, and repeated"
    setting = f"{missing_setting([*texts.values()])}, which holds for every column"
    advice = f"if it stands for a missing one, leave the field empty, or set {setting}"
    return column_issue("missing_codes", "warning", details, message, advice, sum(rows.values()))


def missing_code(column: SampledColumn) -> int | None:
    """Return the index of a number that looks like a code for missing values, if there is one."""
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) <= FEWEST_OTHERS:
        return None
    for index, others in ((0, slice(1, None)), (len(numbers) - 1, slice(None, -1))):
        value, rest = float(numbers[index]), numbers[others]
        is_code = value in _CODES or (value == -1 and rest[-1] >= FEWEST_OTHERS)
        is_apart = (rest[0] >= 0 and is_code) or is_far(value, rest)
        # A zero may be an amount like the others: `find_zeros` looks closer.
        if value != 0 and is_apart and _is_frequent(int(counts[index]), counts[others]):
            return index
    return None


def _is_frequent(rows: int, others: Codes) -> bool:
    return rows >= FEWEST_REPEATS and rows > float(np.median(others))


def find_zeros(sample: Sample) -> DataIssue | None:
    """Find zeros where all other numbers are well above.

    The next number is at least a fifth of the median of those above 0, and at least 5 times as far
    from 0 as they lie apart on average; at least 5 rows hold 0; and there are 10 other values.
    """
    found = {
        name: plural(int(column.counts[0]), "row")
        for name, column in sample.columns.items()
        if _has_odd_zeros(column)
    }
    message = "0 where all other values are far above"
    advice = "if it stands for a missing one, leave the field empty"
    return column_issue("zeros", "note", found, message, advice)


def _has_odd_zeros(column: SampledColumn) -> bool:
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) <= FEWEST_OTHERS or numbers[0] != 0:
        return False
    others = numbers[1:]
    median = float(np.median(np.repeat(others, counts[1:])))
    spacing = float(others[-1] - others[0]) / (len(others) - 1)
    is_apart = others[0] >= max(0.2 * median, 5 * spacing)
    return bool(is_apart and _is_frequent(int(counts[0]), counts[1:]))


def find_missing_words(sample: Sample) -> DataIssue | None:
    """Find categories, of features and of the target, called `?`, `NA`, `unknown` and the like."""
    numeric = {name for name, column in sample.columns.items() if column.is_nearly_numeric}
    found = {
        name: words
        for name, texts in sample.categories.items()
        if name not in numeric
        if (words := [text for text in texts if text.lower() in _PLAIN_WORDS])
    }
    details = {name: ", ".join(words) for name, words in found.items()}
    every = [*dict.fromkeys(word for words in found.values() for word in words)]
    message = "categories that are called as missing values are"
    advice = f"if they stand for such, set {missing_setting(every)}"
    return column_issue("missing_words", "note", details, message, advice)


def find_odd_values(sample: Sample) -> DataIssue | None:
    """Find columns that are read as numbers, though a few values are words.

    All rows are looked at, since training stops at a single one. Silent for declared numbers.
    """
    table, rows = sample.whole, 0
    words: list[str] = []
    details: dict[str, str] = {}
    for name, column in sample.columns.items():
        if not column.is_nearly_numeric:
            continue
        codes, texts = table.codes(name)
        fits = table.column(name).notation.fits(pa.chunked_array([strings(texts, pa.string())]))
        is_odd = np.append(~mask_to_numpy(fits), False)
        odd_rows = np.flatnonzero(is_odd[codes])
        file, row = table.where(int(odd_rows[0]))
        where = f"row {row}" if file == table.file else f"row {row} of {file}"
        more = f" and {plural(len(odd_rows) - 1, 'row')} more" if len(odd_rows) > 1 else ""
        details[name] = f"{quoted(texts[codes[odd_rows[0]]])} in {where}{more}"
        words += [texts[index] for index in np.flatnonzero(is_odd)]
        rows += len(odd_rows)
    message = "read as numbers, though a few values are none"
    are_usual = all(word.lower() in USUAL_MISSING_WORDS for word in words)
    way_out = f"set {missing_setting(words)}" if are_usual else "correct them"
    advice = f"{way_out}, or declare the column categorical"
    return column_issue("odd_values", "warning", details, message, advice, rows)


_LAST_EXACT = 2**53
"""Up to here a double holds every whole number, and the next one is rounded to it."""
_LONG = r"^[+-]?[0-9]{16,}$"


def find_long_numbers(sample: Sample) -> DataIssue | None:
    """Find features with whole numbers that are rounded when they are read, as 2^53 + 1 is.

    Written with all their digits, they are names of something rather than amounts.
    """
    found = {
        name: quoted(text)
        for name, column in sample.columns.items()
        if column.numbers is not None
        and np.abs(column.numbers).max(initial=0) >= _LAST_EXACT
        and (text := _first_rounded(sample, name))
    }
    message = "whole numbers with more digits than can be distinguished"
    advice = "if they are names of something, declare them 'ignored' or 'categorical'"
    return column_issue("long_numbers", "warning", found, message, advice)


def _first_rounded(sample: Sample, name: str) -> str | None:
    texts = sample.table.column(name).canonical_texts()
    long = texts.filter(pc.match_substring_regex(texts, _LONG)).unique()
    return next((text for text in long.to_pylist() if Decimal(text) != Decimal(float(text))), None)


MOSTLY_DATES = 0.9
"""Share of a column's distinct values that must be dates."""


def find_outlying_dates(sample: Sample) -> DataIssue | None:
    """Find a first or last date that is farther from the others than those from each other.

    So are 1900-01-01 and 9999-12-31, where they stand for no date. There must be 10 other dates.
    """
    found = {name: text for name, column in sample.columns.items() if (text := _outlying(column))}
    message = "dates far from all others"
    advice = "if they stand for no date, leave the field empty; if they are mistakes, correct them"
    return column_issue("outlying_dates", "warning", found, message, advice)


def _outlying(column: SampledColumn) -> str:
    """List the outlying dates with their rows, if there are any."""
    feature = column.decision.feature
    formats = feature.formats if isinstance(feature, Datetime) else ()
    values = pa.chunked_array([strings(column.texts or (), pa.string())])
    times = parse_times(Column("", values, "", ()), formats or ("iso",), "UTC")
    days = np.where(times.missing | times.unreadable, np.nan, times.moments / DAY)
    order = np.argsort(days)[: np.count_nonzero(~np.isnan(days))]  # NaN comes last
    if len(order) <= FEWEST_OTHERS or len(order) < MOSTLY_DATES * len(days):
        return ""
    ends = ((order[0], order[1:]), (order[-1], order[:-1]))
    indices = [index for index, others in ends if is_far(float(days[index]), days[others])]
    counts = {column.text(at): plural(int(column.counts[at]), "row") for at in indices}
    return ", ".join(f"{text} in {rows}" for text, rows in counts.items())


FAR_DEVIATIONS = 10.0
"""Standard deviations from the mean that normally distributed values never reach."""
VERY_FAR_DEVIATIONS = 30.0
"""Standard deviations at which one value outweighs everything else that a unit adds up."""
_FEWEST_DISTINCT = 20
_LINEAR = ("standard", "minmax", "divide", "none")
"""Scalings that keep the shape of a distribution."""


def find_wide_ranges(sample: Sample, section: Input) -> DataIssue | None:
    """Find numbers with a value more than 10 standard deviations from their mean.

    A warning from 30 on, a note below. Silent for columns with fewer than 20 distinct values, for
    scalings that shorten tails, and where the outlying value looks like a code for missing ones.

    Args:
        sample: the rows to look at.
        section: the settings of numbers that have none of their own.
    """
    distances = {
        name: _farthest(column)
        for name, column in sample.columns.items()
        if _keeps_shape(column, section)
    }
    found = {name: far for name, far in distances.items() if far > FAR_DEVIATIONS}
    details = {name: f"{far:.0f} deviations" for name, far in found.items()}
    lowest = (sample.columns[name].numbers for name in found)
    is_positive = all(numbers is not None and numbers[0] >= 0 for numbers in lowest)
    way = "scaling: log" if is_positive else "scaling: robust or quantile"
    message = "single values far from the others, which they push together"
    advice = f"if they are right, {way} brings them nearer; if not, correct them"
    is_very_far = max(found.values(), default=0.0) >= VERY_FAR_DEVIATIONS
    severity: Severity = "warning" if is_very_far else "note"
    return column_issue("wide_ranges", severity, details, message, advice)


def _keeps_shape(column: SampledColumn, section: Input) -> bool:
    """Whether a column's inputs lie as far from each other as its numbers."""
    feature = column.decision.feature
    if not isinstance(feature, Numeric):
        return False
    if isinstance(feature.encoding or section.encoding, PiecewiseLinear):
        return False
    return (feature.scaling or section.scaling).name in _LINEAR


def _farthest(column: SampledColumn) -> float:
    """Return the largest distance from the mean, in standard deviations; 0 if it means little."""
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) < _FEWEST_DISTINCT or missing_code(column) is not None:
        return 0.0
    # Scaled to [-1, 1] first, so that no square overflows.
    values = numbers / np.abs(numbers).max()
    mean = np.average(values, weights=counts)
    deviation = np.sqrt(np.average((values - mean) ** 2, weights=counts))
    return float(np.abs(values - mean).max() / deviation) if deviation > 0 else 0.0
