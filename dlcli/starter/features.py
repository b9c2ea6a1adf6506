"""The columns of `input.features`: one a line, or as patterns where there are many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dlcli.config import Datetime, Feature, Image
from dlcli.data_checks import number
from dlcli.encoding import MAX_SHOWN, ColumnSummary, may_be_codes
from dlcli.starter.facts import ColumnFacts
from dlcli.starter.lines import Line, cut, scalar

MANY = 40
"""More columns than this are written as patterns."""

_FEWEST_OF_A_PATTERN = 3
_MANY_CATEGORIES = 50
_LONGEST_VALUE = 20
_LONGEST_COMMENT = 60
"""What mostly fits behind a column, so that no way out is cut off."""


def feature_lines(columns: Sequence[ColumnFacts], target: str) -> list[Line]:
    """Says what each column is to be read as, and why.

    Args:
        columns: the table's columns but the target.
        target: the target, which no pattern may be named like.
    """
    if len(columns) <= MANY:
        return [line for column in columns for line in _lines(column)]
    taken = {column.name for column in columns} | {target}
    rest, lines = list(columns), []
    for prefix in _prefixes(columns):
        if f"{prefix}*" not in taken:
            # The longest come first, as the longest pattern wins where several fit.
            lines += _pattern(f"{prefix}*", [c for c in rest if c.name.startswith(prefix)])
            rest = [column for column in rest if not column.name.startswith(prefix)]
    if len(rest) <= MANY or "*" in taken:
        return [*map(_single, rest), *lines]
    return [*lines, *_pattern("*", rest)]


def _prefixes(columns: Sequence[ColumnFacts]) -> list[str]:
    """What several columns are called before their numbers (`pixel_3_7`), the longest first."""
    numbered = (
        re.fullmatch(r"([^*?]*?[^*?\d])\d+([_x.,-]\d+)*", column.name, re.S) for column in columns
    )
    counts = Counter(match[1] for match in numbered if match)
    common = [prefix for prefix, count in counts.items() if count >= _FEWEST_OF_A_PATTERN]
    return sorted(common, key=len, reverse=True)


def _pattern(pattern: str, columns: Sequence[ColumnFacts]) -> list[Line]:
    """A pattern for the type of most columns, and a line for each exception."""
    if not columns:
        return []
    usual = Counter(column.feature for column in columns).most_common(1)[0][0]
    exceptions = [column for column in columns if column.feature != usual]
    written, kind = _written(usual), usual.type
    if sum(column.auto for column in exceptions) > MANY:
        written, kind = "auto", "auto"
        exceptions = [column for column in columns if not column.auto]
    fitting = [column for column in columns if column not in exceptions]
    return [*map(_single, exceptions), Line(scalar(pattern), written, _summary(fitting, kind))]


def _summary(columns: Sequence[ColumnFacts], kind: str) -> str:
    named = f"{len(columns)} columns, {columns[0].name} to {columns[-1].name}"
    if kind == "auto":
        counts = Counter(column.type for column in columns)
        types = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{named}: by what the training rows show ({types})"
    reasons = {column.reason for column in columns}
    several = "all numbers" if kind == "numeric" else "for reasons of several kinds"
    parts = [reasons.pop() if len(reasons) == 1 else several]
    bounds = [column.values.bounds for column in columns if column.values.bounds]
    if kind == "numeric" and bounds:
        parts.append(_range(min(low for low, _ in bounds), max(high for _, high in bounds)))
    return ", ".join([f"{named}: {parts[0]}", *parts[1:], *_gaps(columns)])


def _gaps(columns: Sequence[ColumnFacts]) -> list[str]:
    missing = sum(column.values.missing for column in columns)
    return [f"{missing:,} missing"] if missing else []


def _lines(column: ColumnFacts) -> list[Line]:
    """A column's line, and one below it where there is another way to read it."""
    if column.type == "ignored" and len(column.reason) > _LONGEST_COMMENT:
        reason, _, way = column.reason.partition("; ")
        below = [Line("", "", way)] if way else []
        return [_single(replace(column, reason=reason)), *below]
    if column.type == "categorical" and column.values.distinct > _MANY_CATEGORIES:
        encoded = "{type: categorical, encoding: embedding}"
        way = f"for so many values, {encoded} makes fewer inputs, which are learned"
        return [_single(column), Line("", "", way)]
    return [_single(column)]


def _single(column: ColumnFacts) -> Line:
    return Line(scalar(column.name), _written(column.feature), _comment(column))


def _written(feature: Feature) -> str:
    """A feature as YAML, with the parameters that are not the same for every column."""
    if isinstance(feature, Datetime) and feature.formats:
        formats = [scalar(format) for format in feature.formats]
        written = formats[0] if len(formats) == 1 else f"[{', '.join(formats)}]"
        return f"{{type: datetime, format: {written}}}"
    if isinstance(feature, Image):
        return f"{{type: image, shape: {[*feature.shape]}}}"
    return feature.type


def _comment(column: ColumnFacts) -> str:
    values = column.values
    parts = [column.reason]
    if column.type == "numeric" and values.bounds:
        parts.append(_range(*values.bounds))
    if column.type != "ignored":
        parts += _gaps([column])
    comment = ", ".join(parts)
    if column.type in ("boolean", "categorical"):
        return f"{comment}: {listing(values)}"
    if column.type == "numeric" and may_be_codes(values):
        return f"{comment}; if codes, categorical"
    return comment


def _range(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def listing(values: ColumnSummary) -> str:
    """The most frequent values with their rows: `setosa (50), virginica (49)`."""
    shown = [f"{cut(text, _LONGEST_VALUE)} ({count:,})" for text, count in values.frequent]
    return ", ".join([*shown, "..."] if values.distinct > MAX_SHOWN else shown)
