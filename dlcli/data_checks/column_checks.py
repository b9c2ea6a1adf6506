"""Checks of whole columns: constants, copies, identifiers, many missing values, odd types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from dlcli.config import Categorical, Numeric
from dlcli.data_checks.data_issue import DataIssue, column_issue, percent, quoted
from dlcli.data_checks.sample import Sample, SampledColumn
from dlcli.encoding import MIN_ROWS, Decision, is_identifier, summarize_column

MANY_MISSING = 0.5
"""Share of the rows without a value from which on there are many."""
NEARLY_ALL = 0.995
"""Share of the rows with the same value above which a column is nearly constant."""


def find_doubtful_types(decisions: Mapping[str, Decision]) -> DataIssue | None:
    """Find columns whose type may not be what is wanted, except those of `find_odd_values`.

    Args:
        decisions: the type of each column.
    """
    found = {
        name: decision.reason
        for name, decision in decisions.items()
        if decision.warning and not isinstance(decision.feature, Numeric)
    }
    message = "types that may not be what is wanted"
    advice = "declare what they are in input.features"
    return column_issue("doubtful_types", "warning", found, message, advice)


def find_unbounded(decisions: Mapping[str, Decision]) -> DataIssue | None:
    """Find columns with a number that is infinite, or too large for 32 bits.

    Args:
        decisions: the type of each column.
    """
    found = {
        name: ""
        for name, decision in decisions.items()
        if isinstance(decision.feature, Numeric) and not decision.warning
        if decision.values is not None and decision.values.bounds is None
    }
    message = "numbers that are infinite, or too large for 32 bits"
    advice = "training will refuse them: correct them, or list them in data.missing"
    return column_issue("unbounded", "warning", found, message, advice)


def find_many_missing(sample: Sample) -> DataIssue | None:
    """Find features without a value in half of the rows or more."""
    rows = sample.table.rows
    found = {
        name: percent(missing, rows)
        for name, column in sample.columns.items()
        if (missing := rows - column.present) >= MANY_MISSING * rows
    }
    advice = "find out why: whether there is one may say more than what it is"
    return column_issue("many_missing", "note", found, "no value in many rows", advice)


def find_constants(sample: Sample) -> DataIssue | None:
    """Find features with one value in all rows."""
    rows = sample.table.rows
    found = {
        name: quoted(column.text(0))
        for name, column in sample.columns.items()
        if column.counts.tolist() == [rows]
    }
    advice = "it teaches nothing; it may be ignored"
    return column_issue("constants", "note", found, "the same value in all rows", advice, rows)


def find_near_constants(sample: Sample) -> DataIssue | None:
    """Find features with one value in over 99.5 % of the rows, and others in the rest."""
    rows = sample.table.rows
    found = {
        name: f"{quoted(column.text(int(np.argmax(column.counts))))} in all but {rows - most:,}"
        for name, column in sample.columns.items()
        if NEARLY_ALL * rows < (most := int(column.counts.max(initial=0))) < rows
    }
    message = "nearly the same value in all rows"
    advice = "so few other rows teach little; scaled to deviation 1, they weigh much"
    return column_issue("near_constants", "note", found, message, advice)


def find_identifiers(sample: Sample) -> DataIssue | None:
    """Find features with a different value in each row that are no measurements.

    Columns whose values all differ in the sample are tested by `is_identifier` on all rows.
    """
    table = sample.whole
    found = {
        name: ""
        for name, column in sample.columns.items()
        if column.distinct == column.present > 0
        and (column.numbers is None or (column.numbers == column.numbers.round()).all())
        and is_identifier(name, column.decision.feature.type, summarize_column(table, name))
    }
    message = "another value in each row, as in an identifier"
    advice = "nothing in it holds for other rows: declare it 'ignored' in input.features"
    return column_issue("identifiers", "warning", found, message, advice)


def find_copies(sample: Sample) -> DataIssue | None:
    """Find features that equal an earlier one, or have its values under other names.

    Other names, such as 1, 2, 3 for low, middle, high, count only where values repeat (two rows
    each on average): any two columns without repetition would match. Silent below 20 rows.
    """
    if sample.table.rows < MIN_ROWS:
        return None
    found: dict[str, str] = {}
    earlier: dict[bytes, str] = {}
    for name, column in sample.columns.items():
        for key in _copy_keys(column):
            if key in earlier:
                found.setdefault(name, f"as '{earlier[key]}'")
            earlier.setdefault(key, name)
    message = "the same as another column, value by value"
    advice = "one of them is enough; the other may be ignored"
    return column_issue("copies", "note", found, message, advice)


def _copy_keys(column: SampledColumn) -> Iterator[bytes]:
    """Yield keys that copies share: their pattern of values with the values, and without them."""
    if column.distinct < 2:
        return
    # Codes renumbered in the order in which their values first occur.
    renumbered = pa.array(column.codes, mask=column.codes < 0).dictionary_encode().indices
    pattern = renumbered.fill_null(-1).to_numpy().tobytes()
    if column.numbers is not None:
        yield pattern + column.numbers.tobytes()
    else:
        yield pattern + "\0".join(column.texts or ()).encode()
    if 2 * column.distinct <= column.present:
        yield pattern


def find_spellings(sample: Sample) -> DataIssue | None:
    """Find categories, of features and of the target, that are one word in several spellings."""
    found = {}
    for name, words in sample.categories.items():
        column = sample.columns.get(name)
        if column is not None and not isinstance(column.decision.feature, Categorical):
            continue
        groups = defaultdict(list)
        for word in words:
            groups["".join(word.casefold().split())].append(word)
        alike = [group for group in groups.values() if len(group) > 1]
        if alike:
            more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
            found[name] = f"{', '.join(map(quoted, alike[0][:3]))}{more}"
    message = "categories that differ in capitals or spaces only"
    advice = "if they are the same, write them alike: each is learned by itself"
    return column_issue("spellings", "warning", found, message, advice)
