"""Types of columns: as the config names them, or as the rows show them, with the reason.

Every command decides here, by `type_columns`: `choose_features` looks up what the config declares
for each column, and `decide_types` infers the rest from all rows of the training file that have a
target. A type is no statistic that could leak: so all commands and folds have the same ones, and a
stray value counts wherever it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli import config
from dlcli.encoding.image_columns import image_files
from dlcli.errors import ConfigError, DataError, Problem, did_you_mean, listed, plural, truncate
from dlcli.preprocessing import LARGEST, Mask
from dlcli.tables import (
    CURRENCY_CODES,
    Column,
    DistinctTexts,
    Table,
    TimeGuess,
    compact_dates,
    count_texts,
    guess_times,
    integers,
    parse_times,
    to_numpy,
)

# Features of the config, by the header alone.

UNMATCHED = config.Ignored.model_construct()  # without its validator, which takes long to build
"""The feature of a column that no name or pattern matches. It equals one that is declared ignored,
and is distinguished from it by identity."""
UNMATCHED_REASON = "not named"
"""The reason for it."""
_DELIMITERS = (",", ";", "|", "\t")


def choose_features(
    section: config.Input, columns: Sequence[str], reserved: Sequence[str]
) -> dict[str, config.Feature]:
    """Look up the config's feature for each column, by the header alone.

    Args:
        section: the config's `input`.
        columns: the table's columns.
        reserved: target, weight, group and time columns, which are no features.

    Returns:
        A feature for each column that isn't reserved, in the table's order; `UNMATCHED` for a
        column that no name or pattern matches.

    Raises:
        ConfigError: for a name that the table doesn't have, a pattern that matches nothing, a
            reserved column, or no feature at all.
    """
    features = {"*": config.Auto()} if section.features is None else section.features
    free = [column for column in columns if column not in reserved]
    problems = [
        Problem(config.format_path(("input", "features", name)), message)
        for name, feature in features.items()
        if (message := _complaint(name, columns, reserved, free))
        and not (name in reserved and isinstance(feature, config.Ignored))
    ]
    if problems:
        raise ConfigError(_one_column_problem(columns) or problems)
    patterns = [name for name in features if _is_pattern(name, columns)]
    chosen = {}
    for column in free:
        key = column if column in features else matching_name(column, patterns)
        chosen[column] = UNMATCHED if key is None else features[key]
    if all(isinstance(feature, config.Ignored) for feature in chosen.values()):
        message = (
            "leaves no column for the network to read"
            if free
            else f"there is nothing to read: the table has no column but {listed(columns)}"
        )
        raise ConfigError([Problem("input.features", message)])
    return chosen


def _complaint(
    name: str, columns: Sequence[str], reserved: Sequence[str], free: Sequence[str]
) -> str | None:
    if name == "*":  # always a pattern, also of a table whose target is called so
        return None
    if name in reserved:
        return "has another role in 'data' and can't be a feature; omit it here, or ignore it"
    if name in columns:
        return None
    if not _is_pattern(name, columns):
        return f"no such column in the table{did_you_mean(name, columns)}"
    return None if any(map(_regex(name).fullmatch, free)) else "fits no column of the table"


def _one_column_problem(columns: Sequence[str]) -> list[Problem]:
    """Return the one cause of all problems, if the table's fields were not split."""
    sign = max(_DELIMITERS, key=columns[0].count)
    if len(columns) > 1 or sign not in columns[0]:
        return []
    way_out = f"set data.format: {{name: csv, delimiter: {json.dumps(sign)}}}"
    message = f"the table has a single column, {config.shown(columns[0])}; {way_out}"
    return [Problem("input.features", message)]


def matching_name(column: str, names: Iterable[str]) -> str | None:
    """Return the name or pattern of `input.features` that applies to a column, if there is one.

    That is the column's own name, or else the longest pattern that matches it.
    """
    patterns = sorted(names, key=lambda name: (name != column, -len(name)))  # stable
    return next((name for name in patterns if _regex(name).fullmatch(column)), None)


def _is_pattern(name: str, columns: Sequence[str]) -> bool:
    # A column may be called 'smoker?', and its name doesn't match 'smokers'.
    return name == "*" or (("*" in name or "?" in name) and name not in columns)


def _regex(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)


# Counts of a column's values, from which its type is inferred.

MAX_SHOWN = 5
_LONGEST_LISTED = 20
MIN_ROWS = 20
"""Fewest rows from which identifiers are recognized and rows are held out by default."""
MAX_CODES = 10
"""Most distinct numbers that may be codes of categories."""
_LEADING_ZERO = r"^0[0-9]+$"
_LONGEST_SHOWN = 40
_EXACT = 2**53
"""Larger whole numbers may be rounded."""


@dataclass(frozen=True)
class ColumnSummary:
    """Counts of a column's values."""

    present: int
    """Rows with a value."""
    missing: int
    """Rows without a value."""
    distinct: int
    """Distinct values; 0 for values that have no text."""
    frequent: tuple[tuple[str, int], ...]
    """The most frequent values and their rows, in order, `MAX_SHOWN` at most."""
    bounds: tuple[float, float] | None
    """Minimum and maximum, if all values are numbers that the network can read."""
    whole: bool
    """True if all are whole numbers."""

    @property
    def may_be_codes(self) -> bool:
        """True if numbers may name categories: few whole ones that repeat, other than 0 and 1."""
        is_flag = self.bounds == (0, 1)
        repeats = self.present >= 2 * self.distinct
        return self.whole and not is_flag and repeats and 1 < self.distinct <= MAX_CODES

    @property
    def listing(self) -> str:
        """The most frequent values with their numbers of rows: `setosa (50), virginica (49)`."""
        shown = [f"{truncate(text, _LONGEST_LISTED)} ({count:,})" for text, count in self.frequent]
        return ", ".join([*shown, "..."] if self.distinct > MAX_SHOWN else shown)


@dataclass(frozen=True, eq=False)
class ColumnView:
    """A column of a table, with its distinct values and their counts."""

    table: Table
    column: Column
    summary: ColumnSummary

    @cached_property
    def distinct(self) -> DistinctTexts:
        """The canonical texts of the distinct values, and how many rows have each.

        Empty for values without a text.
        """
        return _distinct_texts(self.column)

    @property
    def texts(self) -> pa.Array:
        """The canonical texts of the distinct values, in the order of their first row."""
        return self.distinct.texts

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of rows that have each, (distinct values,)."""
        return self.distinct.counts

    @property
    def has_leading_zeros(self) -> bool:
        """True if all values are numbers, and one is written as `007`."""
        may_have = self.column.kind == "text" and self.summary.bounds is not None
        return may_have and bool(self.matches(_LEADING_ZERO).any())

    def matches(self, pattern: str) -> Mask:
        """Return which distinct values match a pattern of RE2, (distinct values,)."""
        return self.distinct.matches(pattern)

    def example(self, which: Mask) -> str:
        """Return the first of some distinct values, cut if it is long."""
        return shorten(str(self.texts[int(np.argmax(which))].as_py()))

    def share(self, which: Mask) -> float:
        """Return the share of rows that hold some distinct values, of the rows with a value."""
        return int(self.counts[which].sum()) / max(int(self.counts.sum()), 1)


def view_column(table: Table, name: str) -> ColumnView:
    """Read a column and count its values."""
    column = table.column(name)
    numbers = _readable_numbers(column)
    is_stored_so = column.kind == "number" and not pa.types.is_decimal(column.values.type)
    if is_stored_so and numbers is not None and np.abs(numbers).max() < _EXACT:
        # As the texts do, but in a tenth of the time.
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
    except DataError:  # lists and the like, which have no text
        return count_texts(pa.chunked_array([], pa.string()))


def summarize_column(table: Table, name: str) -> ColumnSummary:
    """Count the values of a column.

    Many different numbers are counted as such: their texts would take most of the time. So `1.5`
    and `1.50` are one value then, and of equally frequent ones, the smallest come first.
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


def _readable_numbers(column: Column) -> NDArray[np.float64] | None:
    """Return the values that are not missing, if all are numbers that the network can read."""
    if not column.looks_numeric() or (parsed := column.numbers()).unreadable.any():
        return None
    numbers = parsed.values[~np.isnan(parsed.values)]
    return numbers if np.abs(numbers).max() <= LARGEST else None


def _texts_of(column: Column, rows: NDArray[np.int64]) -> list[str]:
    """Return the canonical texts of some rows."""
    texts: list[str]
    texts = replace(column, values=column.values.take(integers(rows))).canonical().to_pylist()
    return texts


def _most_frequent(counts: NDArray[np.int64]) -> list[int]:
    """Return the indices of the largest counts, the first ones of equal ones."""
    return list(np.argsort(-counts, kind="stable")[:MAX_SHOWN].tolist())


def _summary(
    column: Column,
    numbers: NDArray[np.float64] | None,
    counts: NDArray[np.int64],
    frequent: Sequence[str],
) -> ColumnSummary:
    """Summarize a column, given its numbers, how many rows have each value, and the top ones."""
    missing = int(np.count_nonzero(column.missing()))
    return ColumnSummary(
        present=len(column.values) - missing,
        missing=missing,
        distinct=len(counts),
        frequent=tuple(zip(frequent, np.sort(counts)[::-1].tolist(), strict=False)),
        bounds=None if numbers is None else (float(numbers.min()), float(numbers.max())),
        whole=numbers is not None and bool((numbers == np.floor(numbers)).all()),
    )


def shorten(text: str) -> str:
    """Cut a value for a message if it is long."""
    return truncate(text, _LONGEST_SHOWN)


# Identifiers. Rows without a target are looked at, too: in the others, numbers may have holes.

_UNNAMED = re.compile(r"__index_level_\d+__|Unnamed: 0[\d.]*")
"""Names that pandas gives to an index without one."""
_IDENTIFIER_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:[pu]?id|uuid|guid|key|index|idx|row[._ ]?(?:names?|id|number)?))$"
    r"|[a-z]I[dD]$"
)
_NUMBER_NAME = re.compile(r"(?i:(?:^|[\W_])(?:nr|no|num|number|obs|observation|case)\.?)$")
"""Names of row numbers, but also of counts."""
_TIME_NAME = re.compile(
    r"(?i:(?:^|[\W\d_])(?:year|yr|quarter|month|week|day|date|time|hour|minute|second|age)s?"
    r"(?:$|[\W\d_]))|[a-z](?:Year|Month|Week|Day|Date|Time|Hour|Age)$"
)
_IDENTIFIER_SHARE = 0.95
"""Share of the values that must differ if they are categories."""
_NUMBERED_SHARE = 0.5
"""Share that must be exceeded: of a row index's steps, those of 1; of numbered rows, the numbers
that occur."""


_ALL_DIFFER = "a different value in each row: an identifier"


def find_identity(
    table: Table, column: str, type_name: str, unfit: int = 0, share: float = 1.0
) -> str | None:
    """Return why a column merely distinguishes or numbers the rows of a table; None if it doesn't.

    A column without a name in the file does: programs write row names and indices so. Categories do
    if 95 % of the values differ, in 20 rows or more. Whole numbers may be amounts that happen to
    differ. So all must differ, and in addition either the name is that of an identifier, or it is
    `no`, `nr` or the like and they are nearly consecutive, or they number the rows: most are by 1
    larger than the one in the row before, or most by 1 less, in 20 rows or more, and the name is
    not that of a time.

    Args:
        table: all rows of the table, in the order of the file.
        column: the column's name.
        type_name: its feature type; other types than numbers and categories have no identifiers.
        unfit: number of values in some rows that repeat others or are no whole numbers. Too many
            of them make it unnecessary to read all rows.
        share: the share of the rows with a target that they were counted in.
    """
    if column in table.nameless or _UNNAMED.fullmatch(column):
        return "no name in the header: row names or a row index"
    most = (1 - _IDENTIFIER_SHARE) * table.rows * share if type_name == "categorical" else 0
    if unfit > most:
        return None
    if type_name == "categorical":  # which are texts: 007 and 7 differ
        return _identity_of_categories(column, view_column(table, column).summary)
    values = table.column(column)
    if type_name != "numeric" or values.kind not in ("number", "text"):
        return None
    parsed = values.numbers()
    return _identity_of_numbers(column, parsed.values[~parsed.missing])


def _identity_of_categories(column: str, summary: ColumnSummary) -> str | None:
    has_name, is_long = _IDENTIFIER_NAME.search(column), summary.present >= MIN_ROWS
    if summary.distinct == summary.present and (has_name or is_long):
        return _ALL_DIFFER
    if is_long and summary.distinct >= _IDENTIFIER_SHARE * summary.present:
        return f"{summary.distinct:,} values in {plural(summary.present, 'row')}: an identifier"
    return None


def _identity_of_numbers(column: str, numbers: NDArray[np.float64]) -> str | None:
    is_whole = bool((numbers == np.floor(numbers)).all())  # NaN, which was unreadable, is not
    if len(numbers) < 2 or not is_whole or len(np.unique(numbers)) < len(numbers):
        return None
    has_name = _IDENTIFIER_NAME.search(column)
    if len(numbers) >= MIN_ROWS and (has_name or not _TIME_NAME.search(column)):
        steps = np.diff(numbers)
        for step, verb in ((1, "rises"), (-1, "falls")):
            if np.mean(steps == step) > _NUMBERED_SHARE:
                return f"a whole number that {verb} by row: a row index"
    is_dense = len(numbers) > _NUMBERED_SHARE * (np.ptp(numbers) + 1)
    return _ALL_DIFFER if has_name or (is_dense and _NUMBER_NAME.search(column)) else None


# Types, by the rows.

NEARLY_ALL = 0.9
"""Share of the values from which on the others count as stray values."""
MIN_VALUES = 8
"""From here on, all values of a column are held out with a probability below 0.3^8 < 0.0001."""


@dataclass(frozen=True)
class Decision:
    """The type that was decided on for a column."""

    feature: config.Feature
    """The type with all parameters; never `auto`."""
    reason: str
    """`declared`, or what the rows show."""
    warning: str = ""
    """Advice, if the type may not be what the user wants; the same for all columns of a kind."""
    otherwise: Decision | None = None
    """The type that a column would have which is ignored as an identifier, a constant or a risk."""
    values: ColumnSummary | None = None
    """The counts behind it, of the rows looked at; None if declared."""


ROWS_LOOKED_AT = 50_000
"""Most rows that are looked at, evenly spaced. Whether a column is nearly empty, constant or an
identifier, and whether its values can be read, is confirmed on all rows."""
_MOST_NAMED = 5
_REFUSED = (
    "ignored, since training would refuse the other values; correct them, list them in "
    "data.missing, or declare the column categorical"
)


def type_columns(
    section: config.Input,
    table: Table,
    reserved: Sequence[str],
    whole: Table | None = None,
    train: Table | None = None,
) -> dict[str, Decision]:
    """Decide on the type of each column that may be a feature.

    Args:
        section: the config's `input`.
        table: the rows with a target, or all rows of a table without one.
        reserved: target, weight, group and time columns, which are no features.
        whole: all rows of the table, with and without a target.
        train: the rows to train with, if they are known. A column without a value in them is
            ignored.

    Raises:
        ConfigError: for names that don't match the table, or if no column is left to read.
    """
    return decide_types(choose_features(section, table.columns, reserved), table, whole, train)


def decide_types(
    chosen: Mapping[str, config.Feature],
    table: Table,
    whole: Table | None = None,
    train: Table | None = None,
) -> dict[str, Decision]:
    """Decide on the type of each column.

    Columns that training might fail on are ignored, unless there are no others. Identifiers with a
    name are read if every column would be ignored.

    Args:
        chosen: the config's feature for each column.
        table: the rows from which `auto` is inferred.
        whole: all rows of the table that they are from, by which identifiers are recognized; the
            same rows if omitted.
        train: the rows to train with; the same rows if omitted.

    Raises:
        ConfigError: if no column is left to read.
    """
    decisions = {
        column: infer_type(column, table, whole)
        if isinstance(feature, config.Auto)
        else Decision(feature, "declared")
        for column, feature in chosen.items()
    }
    if train is not None:
        decisions = {name: _with_values(each, name, train) for name, each in decisions.items()}
    safe = {name: _without_risk(each) for name, each in decisions.items()}
    if _reads_any(safe):
        return safe
    if _reads_any(decisions):
        return decisions
    for column, decision in decisions.items():
        is_constant = decision.values is not None and decision.values.distinct == 1
        if decision.otherwise is not None and not is_constant and column not in table.nameless:
            decisions[column] = decision.otherwise
    if not _reads_any(decisions):
        reasons = _some([f"'{name}' ({item.reason})" for name, item in decisions.items()])
        raise ConfigError([Problem("input.features", f"no column can be read: {reasons}")])
    return decisions


def _reads_any(decisions: Mapping[str, Decision]) -> bool:
    return any(not isinstance(decision.feature, config.Ignored) for decision in decisions.values())


def _with_values(decision: Decision, column: str, train: Table) -> Decision:
    """Ignore a column of an inferred type if it has no value in the training rows."""
    values = decision.values
    if values is None or not values.missing or isinstance(decision.feature, config.Ignored):
        return decision
    if not train.missing(column).all():
        return decision
    return Decision(config.Ignored(), "has no value in the training rows", values=values)


def _without_risk(decision: Decision) -> Decision:
    """Ignore a column of an inferred type if training might fail on it."""
    values, feature = decision.values, decision.feature
    if values is None or isinstance(feature, config.Ignored):
        return decision
    rows = values.present + values.missing
    if decision.warning or (isinstance(feature, config.Numeric) and values.bounds is None):
        reason, warning = decision.reason, _REFUSED
    elif values.present < MIN_VALUES and rows >= MIN_ROWS:
        are = "is" if values.present == 1 else "are"
        count = f"{plural(values.present, 'value')} in {rows:,} rows"
        reason, warning = f"{count} {are} too few", ""
    else:
        return decision
    return Decision(config.Ignored(), reason, warning, otherwise=decision, values=values)


def infer_type(column: str, table: Table, whole: Table | None = None) -> Decision:
    """Infer a column's type from its rows, even if training might fail on it.

    Args:
        column: the column's name.
        table: the rows.
        whole: all rows of the table that they are from, by which identifiers are recognized; the
            same rows if omitted.
    """
    decision = _infer(table, column)
    values, type_name = decision.values, decision.feature.type
    assert values is not None  # inferred
    whole = table if whole is None else whole
    if type_name == "ignored":
        return decision
    is_fraction = type_name == "numeric" and not values.whole
    unfit = values.present - (0 if is_fraction else values.distinct)
    share = (values.present + values.missing) / table.rows
    identity = find_identity(whole, column, type_name, unfit, share)
    if identity is None:
        return decision
    return Decision(config.Ignored(), identity, otherwise=decision, values=values)


def count_all_rows(decisions: Mapping[str, Decision], table: Table) -> dict[str, Decision]:
    """Return the decisions with the counts of all rows, instead of those looked at.

    Args:
        decisions: the type of each column.
        table: all rows.
    """
    return {name: _count_all_rows(each, table, name) for name, each in decisions.items()}


def _count_all_rows(decision: Decision, table: Table, column: str) -> Decision:
    known = decision.values
    if known is not None and known.present + known.missing == table.rows:
        return decision
    return replace(decision, values=summarize_column(table, column))


def _infer(table: Table, column: str) -> Decision:
    """Infer a column's type from at most `ROWS_LOOKED_AT` rows, unless others may contradict."""
    if table.rows <= ROWS_LOOKED_AT:
        return _apply_rules(table, column)
    alone = table if table.is_shared else table.only([column])
    decision = _apply_rules(some_values(alone, column), column)
    values = decision.values
    assert values is not None  # inferred
    is_settled = values.present >= MIN_VALUES and decision.otherwise is None
    feature = decision.feature
    if not is_settled or alone.any_part(lambda p: _has_unreadable(p.column(column), feature)):
        return _apply_rules(alone.only([column]), column)
    note = f"in {plural(ROWS_LOOKED_AT, 'row')} looked at"
    return replace(decision, reason=f"{decision.reason} ({note})")


def _has_unreadable(column: Column, feature: config.Feature) -> bool:
    """Return whether a column has a value that is not of a type, which most values are of."""
    if isinstance(feature, config.Numeric):
        numbers = column.numbers()
        is_large = bool((np.abs(numbers.values) > LARGEST).any())
        return is_large or bool(numbers.unreadable.any())
    if isinstance(feature, config.Boolean):
        return bool(column.booleans().unreadable.any())
    if isinstance(feature, config.Datetime):
        return bool(parse_times(column, feature.formats).unreadable.any())
    return False


def some_values(table: Table, column: str) -> Table:
    """Return a table with at most `ROWS_LOOKED_AT` rows of a column."""
    if table.rows <= ROWS_LOOKED_AT:
        return table
    rows = np.linspace(0, table.rows - 1, ROWS_LOOKED_AT).astype(np.int64)
    return table.take(rows).only([column]) if table.is_shared else table.only([column]).take(rows)


def _apply_rules(table: Table, column: str) -> Decision:
    view = view_column(table, column)
    summary = view.summary
    if not summary.present:
        return Decision(config.Ignored(), "has no value", values=summary)
    decision = next(filter(None, (rule(view) for rule in RULES)), None)
    if decision is None:
        reason = f"is stored as {view.column.values.type}, which no feature type reads"
        decision = Decision(config.Ignored(), reason)
    decision = replace(decision, values=summary)
    if summary.distinct != 1 or summary.missing or decision.feature.type == "ignored":
        return decision
    reason = f"the same value in all rows: {shorten(summary.frequent[0][0])}"
    return Decision(config.Ignored(), reason, otherwise=decision, values=summary)


def type_warnings(decisions: Mapping[str, Decision]) -> list[str]:
    """Word the warnings about types that may not be what the user wants, a line for each kind."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for column, decision in decisions.items():
        if decision.warning:
            kinds[decision.warning].append(f"'{column}' ({decision.reason})")
    return [f"{warning}: {_some(columns)}" for warning, columns in kinds.items()]


def _some(columns: Sequence[str]) -> str:
    """List the first few columns, and their number if there are more."""
    named = ", ".join(columns[:_MOST_NAMED])
    return f"{named}, ... ({len(columns)} columns)" if len(columns) > _MOST_NAMED else named


# Stray values: the few values of a column that are not of the same kind as all others.


_MOST_STRAYS = 100
_STRAYS_ADVICE = (
    "so training will refuse the other values; correct them, list them in data.missing, or declare "
    "the column categorical"
)


@dataclass(frozen=True)
class Strays:
    """Values that are not of the same kind as the others of their column."""

    words: tuple[str, ...]
    """The values, the most frequent first."""
    rows: int
    """Rows that hold one."""
    regular_share: float
    """Share of the other values."""

    def decision(self, feature: config.Feature, noun: str) -> Decision:
        """Decide for the type of the other values.

        Args:
            feature: that type.
            noun: what the other values are: `numbers`.
        """
        others = len(self.words) - 1
        more = f" and {plural(others, 'more value')}" if others else ""
        where = f"in {plural(self.rows, 'row')} {'are' if others else 'is'} not"
        percent = math.floor(1000 * self.regular_share) / 10  # 100 % only if all are
        reason = f"{percent:g} % are {noun}, '{shorten(self.words[0])}'{more} {where}"
        kind = "dates" if isinstance(feature, config.Datetime) else "numbers"
        return Decision(feature, reason, f"read as {kind}, {_STRAYS_ADVICE}")


def find_strays(view: ColumnView, which: Mask) -> Strays | None:
    """Collect values that are not of the same kind as the others.

    Args:
        view: the column.
        which: these values, among the distinct ones, (distinct values,).

    Returns:
        The stray values if there are any, a hundred at most, in up to 10 % of the rows; else None.
    """
    count = int(np.count_nonzero(which))
    if not 0 < count < len(which) or count > _MOST_STRAYS:
        return None
    indices, counts = np.flatnonzero(which), view.counts[which]
    order = np.argsort(-counts, kind="stable")
    words = view.texts.take(integers(indices[order])).to_pylist()
    strays = Strays(tuple(words), int(counts.sum()), 1 - view.share(which))
    return strays if strays.regular_share >= NEARLY_ALL else None


# The rules, in the order in which they are tried.

_NUMERIC = config.Numeric()  # shared, as very wide tables have thousands of such columns
_POSTAL_NAME = re.compile(
    r"(?:^|[\W_]|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:zip|postal)[\W_]?(?:code)?|post[\W_]?code|plz|postleitzahl|pin[\W_]?code)$"
)
_POSTAL_CODE = r"^[0-9]{4,6}$"  # of five digits in many countries; a table may lack leading zeros


def decide_postal_codes(view: ColumnView) -> Decision | None:
    """Decide for categories if a column has the name of postal codes, and 90 % look like them."""
    if not _POSTAL_NAME.search(view.column.name) or view.has_leading_zeros:
        return None
    if view.share(view.matches(_POSTAL_CODE)) < NEARLY_ALL:
        return None
    count = _category_count(view.summary.distinct)
    return Decision(config.Categorical(), f"postal codes, by the column's name, {count}")


_FEWEST_DIGITS = 100_000
"""The least number of six digits."""
_DATE_NAME = re.compile(r"(?i)date|datum|fecha|dob|day|month|period|yymm")


def decide_dates_of_digits(view: ColumnView) -> Decision | None:
    """Decide for dates if all numbers are dates without separators, such as 19750103.

    Those of six digits, 750103 and 197501, must be in a column with the name of dates. Numbers of
    eight digits may be in any column if more than `MAX_CODES` differ, as only 4 % of such numbers
    are dates.
    """
    is_short = view.summary.bounds is not None and view.summary.bounds[0] < _FEWEST_DIGITS
    if not view.summary.whole or (is_short and view.column.kind == "number"):
        return None
    formats = compact_dates(view.distinct)
    is_clear = formats == ("%Y%m%d",) and view.summary.distinct > MAX_CODES
    if not formats or not (is_clear or _DATE_NAME.search(view.column.name)):
        return None
    feature = config.Datetime(format=formats[0] if len(formats) == 1 else formats)
    return Decision(feature, f"dates as {view.example(view.matches('.'))}")


def decide_numbers(view: ColumnView) -> Decision | None:
    """Decide for numbers, or for categories if numbers have leading zeros.

    A column of text may hold a few other values, in 10 % of the rows at most, if there are more
    than `MAX_CODES` numbers. Training will refuse them unless they are declared missing; as
    categories, the numbers would carry little information.
    """
    if view.column.kind not in ("number", "text"):
        return None
    if view.column.looks_numeric():
        if view.has_leading_zeros:
            return _codes(view)
        if view.summary.bounds is None:
            reason = f"all numbers, one of them infinite or beyond {LARGEST:.1e}"
        elif view.summary.may_be_codes:
            reason = "few distinct whole numbers, read as amounts"
        else:
            words = view.column.notation.words
            reason = f"all numbers, with {' and '.join(words)}" if words else "all numbers"
        return Decision(_NUMERIC, reason)
    if view.column.kind != "text":
        return None
    fits = view.matches(view.column.notation.pattern)
    strays = find_strays(view, ~fits)
    if strays is None or np.count_nonzero(fits) <= MAX_CODES:
        return None
    if (view.matches(_LEADING_ZERO) & fits).any():
        return _codes(view)
    return strays.decision(config.Numeric(), "numbers")


def _codes(view: ColumnView) -> Decision:
    count = _category_count(view.summary.distinct)
    return Decision(config.Categorical(), f"codes with leading zeros, {count}")


def decide_booleans(view: ColumnView) -> Decision | None:
    """Decide for true and false, if written in these words; yes and no are categories."""
    if not view.column.looks_boolean():
        return None
    return Decision(config.Boolean(), "all true or false")


def decide_dates(view: ColumnView) -> Decision | None:
    """Decide for dates with separators. Years and seconds since 1970 are numbers.

    A column of text may hold a few values without a digit, in 10 % of the rows at most. Training
    will refuse them unless they are declared missing.
    """
    if guess := guess_times(view.column):
        return _dates(view, guess)
    if view.column.kind != "text":
        return None
    strays = find_strays(view, ~view.matches("[0-9]"))
    if strays is None:
        return None
    missing_words = (*view.column.missing_words, *strays.words)
    guess = guess_times(replace(view.column, missing_words=missing_words))
    return _dates(view, guess, strays) if guess else None


def _dates(view: ColumnView, guess: TimeGuess, strays: Strays | None = None) -> Decision:
    if view.column.kind != "text":
        return Decision(config.Datetime(), "stored as dates")
    if guess.is_ambiguous:
        advice = "ignored, since the day may be the month; declare {type: datetime, format: ...}"
        return Decision(config.Ignored(), f"dates, but {guess.question}", advice)
    formats = guess.readings[0]
    feature = config.Datetime(format=formats[0] if len(formats) == 1 else formats)
    noun = f"dates as {view.example(view.matches('[0-9]'))}"
    return Decision(feature, noun) if strays is None else strays.decision(feature, noun)


_IMAGE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_PATHS_TRIED = 100
_IMAGES_OPENED = 10
_LARGEST_IMAGE_KEPT = 64
_USUAL_SIDE = 32
_GRAY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "F"))


def decide_images(view: ColumnView) -> Decision | None:
    """Decide for images if 90 % of the values end like image paths, and the first leads to one.

    Images keep their size if the first ten have the same, of at most 64 pixels a side; else they
    are resized to 32 × 32. They are read as grayscale if the first ten are.
    """
    if view.column.kind != "text":
        return None
    ends = {suffix: view.matches(rf"(?i){re.escape(suffix)}$") for suffix in _IMAGE_SUFFIXES}
    every = np.logical_or.reduce([*ends.values()])
    if view.share(every) < NEARLY_ALL:
        return None
    rows = np.flatnonzero(~view.column.missing())[:_PATHS_TRIED]
    files = image_files(view.table.take(rows), view.column.name)[1]
    files = [file for file in files if file.suffix.lower() in _IMAGE_SUFFIXES][:_IMAGES_OPENED]
    shapes = [_image_shape(file) for file in files]
    if not any(shapes[:1]):
        reason = f"there is no image as '{view.example(every)}'; paths start at the table's folder"
        return Decision(config.Ignored(), reason, "ignored, although they end like paths of images")
    known = [shape for shape in shapes if shape]
    channels = max(shape[2] for shape in known)
    height, width = known[0][:2]
    keeps_size = len({shape[:2] for shape in known}) == 1
    keeps_size &= max(height, width) <= _LARGEST_IMAGE_KEPT
    if not keeps_size:
        height = width = _USUAL_SIDE
    kinds = dict.fromkeys(_IMAGE_SUFFIXES[suffix] for suffix, which in ends.items() if which.any())
    names = " and ".join(kinds)
    color = "grayscale" if channels == 1 else "color"
    size = f"{'' if keeps_size else 'resized to '}{width} × {height} pixels"
    reason = f"paths of {names} files, {color}, {size}"
    return Decision(config.Image(shape=(height, width, channels)), reason)


def _image_shape(file: Path) -> config.ImageShape | None:
    """Read height, width and channels from an image's header; None if the file is no image."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(file, formats=("PNG", "JPEG")) as image:
            return image.height, image.width, 1 if image.mode in _GRAY_MODES else 3
    except Exception:  # Pillow has no error class of its own for broken files
        return None


_NUMBER = r"[+-]?[0-9]+(?:[.,' ][0-9]+)*"
_UNIT = r"\s?(?:[%$]|[^\x00-@\[-`{-\x7f][^\s0-9.,'+-]{0,9}[23]?)"  # \p{L} takes long to compile
_NUMBER_WITH_UNIT = rf"^(?:[+-]?\p{{Sc}}\s?{_NUMBER}|{_NUMBER}{_UNIT})$"
_MINUS = r"[+\x{2212}-]"
_CURRENCY = rf"(?:\p{{Sc}}|{CURRENCY_CODES})"
_GROUPED = r"(?:[0-9]+|[0-9]{1,3}(?:[.,' ][0-9]{3})+)(?:[.,][0-9]+)?"
_UNREAD_NUMBER = (
    rf"^(?:\((?:{_CURRENCY}\s?)?{_GROUPED}\)|{_MINUS}\s{_GROUPED}"
    rf"|{_MINUS}?\s?{_CURRENCY}\s?{_MINUS}?{_GROUPED}|[1-9][0-9]{{0,2}}(?: [0-9]{{3}})+"
    rf"|{_MINUS}?{_GROUPED}[eE]{_MINUS}?[0-9]+{_UNIT})$"
)
"""A number that is not read: of several currencies, with a minus sign apart, only spaces between
thousands, or an exponent and a unit."""
_BEGINS_LIKE_AMOUNT = r"^[(+\x{2212}-]?\s?(?:(?:\p{Sc}|[A-Z]{3})\s?)?[0-9+\x{2212}-]"
"""The beginning of all of these. It compiles in a fraction of the time, which counts in a table of
many columns."""
_MOST_UNITS = 3


def decide_amounts(view: ColumnView) -> Decision | None:
    """Ignore numbers with several units, such as `12 GB` and `512 MB`, or in unread notations.

    They must be 90 % of the values, with at most three units, and more than `MAX_CODES` of them
    must differ; fewer are probably names, such as `36 months` and `60 months`. If nearly all have
    the same unit, they are numbers in the column's notation.
    """
    if view.column.kind != "text":
        return None
    if view.share(view.matches(_BEGINS_LIKE_AMOUNT)) < NEARLY_ALL:
        return None
    if (reason := _unread_amounts(view)) is None:
        return None
    warning = "ignored, since as categories they would not be amounts"
    return Decision(config.Ignored(), reason, warning)


def _unread_amounts(view: ColumnView) -> str | None:
    """Return why numbers can't be read; `None` if they are too few, or names."""
    which = view.matches(_NUMBER_WITH_UNIT)
    if view.share(which) >= NEARLY_ALL and which.sum() > MAX_CODES:
        amounts = view.texts.take(integers(np.flatnonzero(which)))
        units = pc.utf8_trim_whitespace(pc.replace_substring_regex(amounts, _NUMBER, "")).unique()
        if len(units) == 1:
            return f"numbers with a unit, as '{view.example(which)}'; write the numbers alone"
        if len(units) <= _MOST_UNITS:
            return f"numbers with the units {listed(units.to_pylist())}; write them in one unit"
    unread = view.matches(_UNREAD_NUMBER)
    which = unread | view.matches(rf"^-?{_GROUPED}$")
    if unread.any() and view.share(which) >= NEARLY_ALL and which.sum() > MAX_CODES:
        return f"numbers written as '{view.example(unread)}'; write them plainly, as -1234.5"
    return None


FEWEST_WORDS = 3
"""Words that texts have on average; names of categories mostly have fewer."""
_MOST_CATEGORIES = config.Categorical.model_construct().max_categories
_VALUES_SAMPLED = 1_000

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_UNSPACED}]|[^\s{_UNSPACED}]*\p{{L}}[^\s{_UNSPACED}]*"
"""Anything with a letter between spaces, or a character of a script without spaces."""
_ASCII_WORD = r"\S*[A-Za-z]\S*"
"""The same for ASCII texts; unlike the classes of Unicode, it takes no time to compile."""


def decide_text(view: ColumnView) -> Decision | None:
    """Decide for texts, or else for categories.

    Texts have at least three words on average, and either differ in at least half of the rows with
    a value, or there are more distinct ones than an encoding of categories keeps.
    """
    if view.column.kind != "text":
        return None
    distinct, present = view.summary.distinct, view.summary.present
    if 2 * distinct >= present or distinct > _MOST_CATEGORIES:
        some = view.distinct.first(_VALUES_SAMPLED)
        word = _ASCII_WORD if some.matches(r"^[\x00-\x7f]*$").all() else _WORD
        words = float(some.compute(_count_matches, word)[0].mean())
        if words >= FEWEST_WORDS:
            reason = f"text of {words:.0f} words on average, {plural(distinct, 'value')}"
            return Decision(config.Text(), reason)
    return Decision(config.Categorical(), f"text, {_category_count(distinct)}")


def _count_matches(texts: pa.Array, pattern: str) -> tuple[NDArray[np.int32]]:
    return (to_numpy(pc.count_substring_regex(texts, pattern), np.int32),)


def _category_count(distinct: int) -> str:
    cut = f"; the {_MOST_CATEGORIES} most frequent are kept" if distinct > _MOST_CATEGORIES else ""
    return f"{plural(distinct, 'value')}{cut}"


RULES = (
    decide_postal_codes,
    decide_dates_of_digits,
    decide_numbers,
    decide_booleans,
    decide_dates,
    decide_images,
    decide_amounts,
    decide_text,
)
"""The first that returns a decision decides."""
