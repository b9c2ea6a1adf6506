"""Checks of features: types, missing values, repeated values, outliers and spellings."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dlcli.arrays import Floats, Indices, integers, mask_to_numpy, strings
from dlcli.columns.column_type import Decision
from dlcli.columns.type_inference import MIN_ROWS, number
from dlcli.config.data_section import Input
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.sample import DataFinding, Sample, SampledColumn, column_finding, quoted
from dlcli.encoding.column_types import find_identity
from dlcli.errors import DataError, plural
from dlcli.tables import column as columns
from dlcli.tables.column import Column, missing_setting
from dlcli.tables.datetime_parsing import DAY, guess_times, parse_times
from dlcli.tables.table import Table

MANY_MISSING = 0.5
"""Minimum share of missing values that is reported."""
NEARLY_ALL = 0.995
"""Share of the rows with one value above which a column is nearly constant."""
FEWEST_OTHERS = 10
"""Distinct values that a column must have in addition to an outlier."""
FEWEST_REPEATS = 5
"""Minimum number of rows with a value that counts as a code; outliers are rarely repeated."""
MOSTLY_DATES = 0.9
"""Minimum share of dates among the distinct values of a column."""
FAR_DEVIATIONS = 10.0
"""Number of standard deviations from the mean that normally distributed values never reach."""
VERY_FAR_DEVIATIONS = 30.0
"""Number of standard deviations at which one input outweighs all other inputs of a unit."""
SORTED = 0.5
"""Minimum share of the target's error that a row index removes if rows are sorted by target."""

_FEWEST_DISTINCT = 20
_CODES = tuple(1 - 10.0**digits for digits in range(1, 10))
"""-9, -99, -999 and so on, which are probably not amounts if all other values are 0 or more."""
_NO_CATEGORIES = {*columns.CLEAR_MISSING_WORDS, *columns.UNKNOWN_WORDS}
_LAST_EXACT = 2**53
"""float64 represents every integer up to this one exactly."""
_has_iso_month = re.compile(r"\s*[0-9]{4}-[0-9]{2}").match
_LONG = r"^[+-]?[0-9]{16,}$"


# Types


def find_doubtful_types(decisions: Mapping[str, Decision]) -> DataFinding | None:
    """Find columns whose type may be wrong, except those of `find_odd_values`.

    Args:
        decisions: the type of each column.
    """
    found = {
        name: decision.reason
        for name, decision in decisions.items()
        if decision.warning and not _inferred(decision).feature.is_amount
    }
    message = "columns whose inferred type may be wrong"
    advice = "declare their types in input.features"
    return column_finding("doubtful_types", "warning", found, message, advice)


def _inferred(decision: Decision) -> Decision:
    """Return the type of most values, if a few other values make the column ignored."""
    return decision.otherwise if decision.otherwise and decision.warning else decision


def find_odd_values(sample: Sample) -> DataFinding | None:
    """Find columns that are numbers, although a few values are words.

    All rows are checked, because a single word is too many. Columns that are declared numeric are
    skipped.
    """
    table, rows = sample.whole, 0
    found: dict[str, str] = {}
    for name, column in sample.columns.items():
        if not column.is_nearly_numeric:
            continue
        codes, texts = table.codes(name)
        values = pa.chunked_array([strings(texts, pa.string())])
        is_number = mask_to_numpy(table.column(name).notation.fits(values))
        odd_rows = np.flatnonzero(np.append(~is_number, False)[codes])
        if not len(odd_rows):
            continue  # they are in held-out rows
        file, row = table.where(int(odd_rows[0]))
        where = f"row {row}" if file == table.file else f"row {row} of {file}"
        more = f" and {plural(len(odd_rows) - 1, 'row')} more" if len(odd_rows) > 1 else ""
        found[name] = f"{quoted(texts[codes[odd_rows[0]]])} in {where}{more}"
        rows += len(odd_rows)
    message = "columns of numbers in which a few values are not numbers"
    advice = "correct them, list them in data.missing, or declare the column categorical"
    return column_finding("odd_values", "warning", found, message, advice, rows)


def find_unbounded(decisions: Mapping[str, Decision]) -> DataFinding | None:
    """Find columns with a number that is infinite or too large for float32.

    Args:
        decisions: the type of each column, with the counts of all rows.
    """
    found = {
        name: ""
        for name, decision in decisions.items()
        if not _inferred(decision).warning
        if decision.values is not None and _inferred(decision).feature.is_risky(decision.values)
    }
    message = "numbers that are infinite, or too large for 32 bits"
    advice = (
        "correct them, or list them in data.missing; training ignores the column, or stops "
        "with an error if its type is declared"
    )
    return column_finding("unbounded", "warning", found, message, advice)


def find_identities(sample: Sample, whole: Table) -> dict[str, str]:
    """Return the reason for each feature that only identifies or numbers the rows.

    Args:
        sample: some of the rows.
        whole: all rows of the same table.
    """
    share, found = sample.table.rows / sample.whole.rows, {}
    for name, column in sample.columns.items():
        numbers = column.numbers
        is_fraction = numbers is not None and bool((numbers != numbers.round()).any())
        unfit = column.present - (0 if is_fraction else column.distinct)
        reason = find_identity(whole, name, column.decision.feature, unfit, share)
        if reason is not None:
            found[name] = reason
    return found


def find_identifiers(
    identities: Mapping[str, str], explained: Mapping[str, float]
) -> DataFinding | None:
    """Report features that only identify or number the rows.

    Args:
        identities: the reason for each feature.
        explained: the share of the target's error that each feature removes. For a row index it is
            large if the rows are sorted by the target; new tables will not be.
    """
    found, harm = {}, ""
    for name, reason in identities.items():
        share = explained.get(name, 0.0)
        if share >= SORTED:
            less = f"{math.floor(100 * share)} % less error than a constant prediction"
            reason += f"; it alone predicts the target with {less}"
            harm = ", and metrics are too optimistic because the rows are sorted by the target"
        found[name] = reason
    message = "ID-like features (row numbers or unique keys)"
    advice = f"they do not help to predict new rows{harm}: declare them ignored in input.features"
    return column_finding("identifiers", "warning", found, message, advice)


def find_long_numbers(sample: Sample) -> DataFinding | None:
    """Find features with integers that are rounded when they are read, such as 2^53 + 1.

    Written with all their digits, they are identifiers rather than amounts.
    """
    found = {}
    for name, column in sample.columns.items():
        if column.numbers is None or np.abs(column.numbers).max(initial=0) < _LAST_EXACT:
            continue
        texts = sample.table.column(name).canonical_texts()
        long = texts.filter(pc.match_substring_regex(texts, _LONG)).unique().to_pylist()
        rounded = [text for text in long if Decimal(text) != Decimal(float(text))]
        if rounded:
            found[name] = quoted(rounded[0])
    message = "whole numbers with too many digits to be read exactly"
    advice = "if they are identifiers, declare them ignored or categorical"
    return column_finding("long_numbers", "warning", found, message, advice)


# Repeated values


def find_constants(sample: Sample) -> DataFinding | None:
    """Find features with the same value in all rows."""
    rows = sample.table.rows
    found = {
        name: quoted(column.text(0))
        for name, column in sample.columns.items()
        if column.counts.tolist() == [rows]
    }
    advice = "the network can learn nothing from it: declare it ignored"
    return column_finding("constants", "note", found, "the same value in all rows", advice, rows)


def find_near_constants(sample: Sample) -> DataFinding | None:
    """Find features with the same value in more than 99.5 % of the rows, but not all."""
    rows = sample.table.rows
    found = {
        name: f"{quoted(column.text(int(np.argmax(column.counts))))} in all but {rows - most:,}"
        for name, column in sample.columns.items()
        if NEARLY_ALL * rows < (most := int(column.counts.max(initial=0))) < rows
    }
    message = "the same value in nearly all rows"
    advice = "the few other values carry little information and become outliers after scaling"
    return column_finding("near_constants", "note", found, message, advice)


def find_copies(sample: Sample) -> DataFinding | None:
    """Find features that equal an earlier one, or correspond to it one-to-one.

    Corresponding values, such as 1, 2, 3 and low, middle, high, count only if they repeat (in two
    rows each on average), because any two columns of unique values would match. Tables of fewer
    than 20 rows are skipped.
    """
    if sample.table.rows < MIN_ROWS:
        return None
    found: dict[str, str] = {}
    earlier: dict[bytes, str] = {}
    for name, column in sample.columns.items():
        for key, relation in _copy_keys(column):
            if key in earlier:
                found.setdefault(name, f"{relation} {quoted(earlier[key])}")
            earlier.setdefault(key, name)
    message = "columns that repeat another"
    advice = "one of them is enough: declare the other ignored"
    return column_finding("copies", "note", found, message, advice)


def _copy_keys(column: SampledColumn) -> Iterator[tuple[bytes, str]]:
    """Yield keys that are equal for copies, each with the relation: equal values, or one-to-one."""
    if column.distinct < 2:
        return
    codes, numbers = column.codes, column.numbers
    values = "\0".join(column.texts or ()).encode() if numbers is None else numbers.tobytes()
    yield codes.tobytes() + values, "the same values as"
    if 2 * column.distinct <= column.present:
        if numbers is not None:  # number by first rows, like texts
            present = codes >= 0
            _, first, inverse = np.unique(codes[present], return_index=True, return_inverse=True)
            ranks = np.empty(len(first), dtype=np.int64)
            ranks[np.argsort(first)] = np.arange(len(first))
            codes = np.full(len(codes), -1)
            codes[present] = ranks[inverse]
        yield codes.tobytes(), "other values, one-to-one with"


def find_spellings(sample: Sample) -> DataFinding | None:
    """Find categories of features and target that differ only in capital letters or spaces."""
    found = {}
    for name, words in sample.categories.items():
        column = sample.columns.get(name)
        if column is not None and not column.decision.feature.is_category:
            continue
        groups = defaultdict(list)
        for word in words:
            groups["".join(word.casefold().split())].append(word)
        alike = [group for group in groups.values() if len(group) > 1]
        if alike:
            more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
            found[name] = f"{', '.join(map(quoted, alike[0][:3]))}{more}"
    message = "categories that differ only in capital letters or spaces"
    advice = "if they mean the same, spell them the same: the network learns each separately"
    return column_finding("spellings", "warning", found, message, advice)


# Missing values, and values that may indicate them


def find_many_missing(sample: Sample) -> DataFinding | None:
    """Find features whose values are missing in at least half of the rows."""
    rows = sample.table.rows
    found = {
        name: sampling.percent(missing, rows)
        for name, column in sample.columns.items()
        if (missing := rows - column.present) >= MANY_MISSING * rows
    }
    advice = "find out why: whether a value is missing may be more informative than the value"
    return column_finding("many_missing", "note", found, "many missing values", advice)


def find_missing_words(sample: Sample) -> DataFinding | None:
    """Find categories of features and target such as `?`, `NA` and `unknown`.

    Also finds a single word among more than ten numbers or dates.
    """
    numeric = {name for name, column in sample.columns.items() if column.is_nearly_numeric}
    found = {
        name: words
        for name, texts in sample.categories.items()
        if name not in numeric
        if (
            words := [text for text in texts if text in _NO_CATEGORIES]
            or _words_among_numbers(sample.table.column(name), texts)
        )
    }
    details = {name: ", ".join(words) for name, words in found.items()}
    message = "categories that may be missing values"
    advice = f"if they mean that the value is missing, set {_setting(sample, found)}"
    return column_finding("missing_words", "note", details, message, advice)


def _setting(sample: Sample, words: Mapping[str, Sequence[str]]) -> str:
    """Return the setting that adds words for missing values to the current ones of each column."""
    setting = {}
    for name, further in words.items():
        column = sample.table.column(name)
        so_far = column.missing_words
        declared = [word for word in so_far if word not in columns.USUAL_MISSING_WORDS]
        usual = [word for word in column.usual_missing_words() if word in so_far]
        setting[name] = [*dict.fromkeys([*declared, *usual, *further])]
    return missing_setting(setting)


def _words_among_numbers(column: Column, texts: Sequence[str]) -> list[str]:
    """Return the only text without a digit, if all other texts are numbers, or all are dates."""
    words = [*islice((text for text in texts if not re.search("[0-9]", text)), 2)]
    if len(words) != 1 or len(texts) - 1 <= FEWEST_OTHERS:
        return []
    others = replace(column, missing_words=(*column.missing_words, *words))
    return words if others.looks_numeric() or guess_times(others) else []


def find_missing_codes(sample: Sample) -> DataFinding | None:
    """Find repeated numbers that are far from all others, such as -999.

    Such a number is the minimum or maximum of its column. Its distance to the nearest other value
    exceeds the range of the other values; or all other values are 0 or more, and it is -9, -99,
    -999 and so on, or -1 if they reach 10. It is in at least 5 rows, and in more rows than the
    median other value. There are at least 10 other values.
    """
    details, words, total = dict[str, str](), {}, 0
    for name, column in sample.columns.items():
        if (index := missing_code(column)) is not None:
            rows = int(column.counts[index])
            details[name] = f"{column.text(index)} in {plural(rows, 'row')}"
            words[name] = _written(sample, name, index)
            total += rows
    message = "a repeated value far from all others"
    setting = _setting(sample, words)
    advice = f"if it means that the value is missing, leave the field empty, or set {setting}"
    return column_finding("missing_codes", "warning", details, message, advice, total)


def _written(sample: Sample, name: str, index: int) -> list[str]:
    """Return how a number is spelled in its column, because missing words are compared as text."""
    column, numbers = sample.table.column(name), sample.columns[name].numbers
    assert numbers is not None
    value = float(numbers[index])
    if column.kind != "text":
        return [repr(value).removesuffix(".0")]
    rows = np.flatnonzero(sample.columns[name].decision.feature.amounts(column) == value)
    held = replace(column, values=column.values.take(integers(rows)))
    return [str(text) for text in held.present_texts().unique().to_pylist()]


def missing_code(column: SampledColumn) -> int | None:
    """Return the index of a number that looks like a code for missing values, or `None`."""
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) <= FEWEST_OTHERS:
        return None
    for index, others in ((0, slice(1, None)), (len(numbers) - 1, slice(None, -1))):
        value, rest = float(numbers[index]), numbers[others]
        is_code = value in _CODES or (value == -1 and rest[-1] >= FEWEST_OTHERS)
        is_separate = (rest[0] >= 0 and is_code) or is_far(value, rest)
        # A zero may be an ordinary amount, so `find_zeros` has stricter conditions.
        if value != 0 and is_separate and _is_frequent(int(counts[index]), counts[others]):
            return index
    return None


def is_far(value: float, others: Floats) -> bool:
    """Return whether the distance of a value to all others exceeds their range.

    Args:
        value: smaller or larger than all others.
        others: the other values, ascending, not empty.
    """
    low, high = float(others[0]), float(others[-1])
    return max(low - value, value - high) > high - low


def _is_frequent(rows: int, others: Indices) -> bool:
    return rows >= FEWEST_REPEATS and rows > float(np.median(others))


def find_zeros(sample: Sample) -> DataFinding | None:
    """Find zeros in columns whose other values are all well above 0.

    The smallest positive value is at least a fifth of the median and at least 5 times the average
    spacing of positive values. There are at least 10 other values. If fewer than 5 rows are 0, or
    no more than usual for a value, the smallest positive value is also at least 3 times the widest
    gap between two positive values up to the median, so 0 is not just the end of a long tail.
    """
    found = {}
    for name, column in sample.columns.items():
        numbers, counts = column.numbers, column.counts
        if numbers is None or len(numbers) <= FEWEST_OTHERS or numbers[0] != 0:
            continue
        others = numbers[1:]
        median = float(np.median(np.repeat(others, counts[1:])))
        spacing = float(others[-1] - others[0]) / (len(others) - 1)
        is_separate = others[0] >= max(0.2 * median, 5 * spacing)
        is_clear = others[0] >= 3 * np.diff(others[others <= median]).max(initial=0)
        if is_separate and (is_clear or _is_frequent(int(counts[0]), counts[1:])):
            found[name] = plural(int(counts[0]), "row")
    message = "0, and all other values are far above 0"
    advice = "if 0 means that the value is missing, leave the field empty"
    return column_finding("zeros", "note", found, message, advice)


# Outliers


def find_outlying_dates(sample: Sample) -> DataFinding | None:
    """Find a first or last date whose distance to all others exceeds their range.

    Examples are 1900-01-01 and 9999-12-31, which often stand for a missing date. There must be 10
    other dates.
    """
    found = {
        name: text
        for name, column in sample.columns.items()
        if (text := _outlying(column, sample.table.column(name)))
    }
    message = "dates far from all others"
    advice = "if they stand for a missing date, leave the field empty; if not, correct them"
    return column_finding("outlying_dates", "warning", found, message, advice)


def _outlying(column: SampledColumn, values: Column) -> str:
    """List the outlying dates with their rows; an empty string if there are none."""
    feature, texts = column.decision.feature, column.texts or ()
    formats = feature.formats
    may_be_dates = len(texts) if formats else sum(1 for text in texts if _has_iso_month(text))
    if len(texts) <= FEWEST_OTHERS or may_be_dates < MOSTLY_DATES * len(texts):
        return ""
    try:
        times = parse_times(values, formats or ("iso",), "UTC")
    except DataError:  # the encoding reports it
        return ""
    days, read = np.full(len(texts), np.nan), ~(times.missing | times.unreadable)
    days[column.codes[read]] = times.moments[read] / DAY
    order = np.argsort(days)[: np.count_nonzero(~np.isnan(days))]  # NaN is last
    if len(order) <= FEWEST_OTHERS or len(order) < MOSTLY_DATES * len(days):
        return ""
    ends = ((order[0], order[1:]), (order[-1], order[:-1]))
    indices = [index for index, others in ends if is_far(float(days[index]), days[others])]
    counts = {column.text(at): plural(int(column.counts[at]), "row") for at in indices}
    return ", ".join(f"{text} in {rows}" for text, rows in counts.items())


def find_wide_ranges(sample: Sample, section: Input) -> DataFinding | None:
    """Find numbers with a value more than 10 standard deviations from their mean.

    From 30 standard deviations the finding is a warning, below that a note. It skips columns with
    fewer than 20 distinct values, scalings that compress tails, and outliers that look like codes
    for missing values. Logarithms compress only large values.

    Args:
        sample: the rows to check.
        section: the settings of numbers without individual settings.
    """
    distances = {name: _farthest(column, section) for name, column in sample.columns.items()}
    found = {name: far for name, far in distances.items() if abs(far) > FAR_DEVIATIONS}
    details, has_long_tails = {}, True
    for name, far in found.items():
        numbers = sample.columns[name].numbers
        assert numbers is not None  # else the distance is 0
        value = float(numbers[-1 if far > 0 else 0])
        shown = f"{value:,.0f}" if value.is_integer() and abs(value) < 1e9 else number(value)
        details[name] = f"{shown}: {abs(far):.0f} deviations"
        has_long_tails &= far > 0 and bool(numbers[0] >= 0)
    scaling = "scaling: log1p" if has_long_tails else "scaling: robust or quantile"
    message = (
        f"extreme outliers, more than {FAR_DEVIATIONS:g} standard deviations from the mean, that "
        "squeeze all other values together"
    )
    advice = (
        f"if they are correct, set `{scaling}` for the column in input.features, which brings them "
        "closer to the other values; if not, correct them"
    )
    farthest = max(map(abs, found.values()), default=0.0)
    severity: sampling.Severity = "warning" if farthest >= VERY_FAR_DEVIATIONS else "note"
    return column_finding("wide_ranges", severity, details, message, advice)


def _farthest(column: SampledColumn, section: Input) -> float:
    """Return the largest distance from the mean, in standard deviations; 0 for skipped columns.

    It is negative if the value is below the mean.
    """
    feature, numbers, counts = column.decision.feature, column.numbers, column.counts
    if numbers is None or not feature.keeps_tails(section):
        return 0.0
    if len(numbers) < _FEWEST_DISTINCT:
        return 0.0
    # Scale to [-1, 1] first, so squares do not overflow.
    values = numbers / max(-numbers[0], numbers[-1])
    rows = counts.sum()
    distances = values - (values * counts).sum() / rows
    deviation = math.sqrt((distances**2 * counts).sum() / rows)
    farthest = (
        float(max(distances[0], distances[-1], key=abs)) / deviation if deviation > 0 else 0.0
    )
    is_code = abs(farthest) > FAR_DEVIATIONS and missing_code(column) is not None
    return 0.0 if is_code else farthest
