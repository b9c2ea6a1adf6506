"""Types of columns, and their spellings of missing values.

The config declares types, or dlcli infers them from the rows, with a reason. Every command uses
`type_columns`: `choose_features` looks up the declared type of each column, and `decide_types`
infers the other types from all rows of the training file with a target. A type is not a statistic
that could leak information. So all commands and folds use the same types, and a stray value counts
in any row.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlcli.columns import registry, type_inference
from dlcli.columns.column_type import Auto, ColumnType, Decision, Ignored
from dlcli.columns.registry import Feature
from dlcli.config.data_section import Data, Input, Missing
from dlcli.errors import ConfigError, Problem, did_you_mean, listed, plural
from dlcli.schema.section import shown
from dlcli.schema.yaml_document import format_path
from dlcli.tables.column import CLEAR_MISSING_WORDS, USUAL_MISSING_WORDS
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_files import MissingWords

# Features of the config; only the header is needed.

UNMATCHED = Ignored.model_construct()  # without its validator, which takes long to build
"""The feature of a column that no name or pattern matches. It is equal to a declared `ignored`, but
another object."""
UNMATCHED_REASON = "not in input.features"
"""The reason for `UNMATCHED`."""
_DELIMITERS = (",", ";", "|", "\t")
_MOST_SUGGESTED = 20
"""Maximum number of unknown names for which similar columns are searched, which is slow."""


def choose_features(
    section: Input, columns: Sequence[str], reserved: Sequence[str]
) -> dict[str, Feature]:
    """Look up the config's feature for each column; only the header is needed.

    Args:
        section: the config's `input`.
        columns: the table's columns.
        reserved: target, weight, group and time columns, which are not features.

    Returns:
        A feature for each column that is not reserved, in the order of the table; `UNMATCHED` for a
        column that no name or pattern matches.

    Raises:
        ConfigError: for an unknown column, a pattern without a match, a reserved column, or no
            features.
    """
    features = {"*": Auto()} if section.features is None else section.features
    free = [column for column in columns if column not in reserved]
    known = dict.fromkeys(columns)  # for fast look-up, because a config may name many columns
    unknown = sum(name not in known for name in features)
    similar = [*columns] if unknown <= _MOST_SUGGESTED else []
    problems = [
        Problem(format_path(("input", "features", name)), message)
        for name, feature in features.items()
        if (message := _problem(name, known, reserved, free, similar))
        and not (name in reserved and not feature.is_read)
    ]
    if problems:
        raise ConfigError(_one_column_problem(columns) or problems)
    patterns = [name for name in features if _is_pattern(name, known)]
    chosen = {}
    for column in free:
        key = column if column in features else matching_name(column, patterns)
        chosen[column] = UNMATCHED if key is None else features[key]
    if all(not feature.is_read for feature in chosen.values()):
        message = (
            "ignores all columns; at least one feature is required"
            if free
            else f"there are no features: the table has no columns other than {listed(columns)}"
        )
        raise ConfigError([Problem("input.features", message)])
    return chosen


def _problem(
    name: str,
    columns: Collection[str],
    reserved: Sequence[str],
    free: Sequence[str],
    similar: Sequence[str],
) -> str | None:
    if name == "*":  # always a pattern, even if the target is called *
        return None
    if name in reserved:
        return (
            "has another role in 'data', so it can't be a feature; omit it here or set it to "
            "ignored"
        )
    if name in columns:
        return None
    if not _is_pattern(name, columns):
        return f"no such column in the table{did_you_mean(name, similar)}"
    return None if any(map(_regex(name).fullmatch, free)) else "matches no column of the table"


def _one_column_problem(columns: Sequence[str]) -> list[Problem]:
    """Return the common cause of all problems if the fields of the table were not split."""
    sign = max(_DELIMITERS, key=columns[0].count)
    if len(columns) > 1 or sign not in columns[0]:
        return []
    way_out = f"set data.format: {{name: csv, delimiter: {json.dumps(sign)}}}"
    message = f"the table has only one column, {shown(columns[0])}; {way_out}"
    return [Problem("input.features", message)]


def matching_name(column: str, names: Collection[str]) -> str | None:
    """Return the name or pattern in `input.features` that applies to a column, else `None`.

    The name of the column has priority, then the longest pattern that matches.
    """
    if column in names:
        return column
    matching = (name for name in names if _regex(name).fullmatch(column))
    return max(matching, key=len, default=None)  # the first if lengths are equal


def _is_pattern(name: str, columns: Collection[str]) -> bool:
    # A column may have the name 'smoker?', which is not a pattern.
    return name == "*" or (("*" in name or "?" in name) and name not in columns)


def _regex(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)


# Identifiers. Rows without a target are included, because row numbers would have gaps without them.


_UNNAMED = re.compile(r"__index_level_\d+__|Unnamed: 0[\d.]*")
"""Names that pandas gives to an index without a name."""


def find_identity(
    table: Table, column: str, feature: ColumnType, unfit: int, share: float
) -> str | None:
    """Return the reason if a column only identifies or numbers the rows of a table, else `None`.

    A column without a name in the header is such a column, because programs write row names and
    indices this way. For other columns, see `ColumnType.identity`.

    Args:
        table: all rows of the table, in the order of the file.
        column: the name of the column.
        feature: the type of the column.
        unfit: number of values in a sample that can't be identifiers, see
            `ColumnType.no_identifiers`. If there are too many, not all rows are read.
        share: size of the sample as a share of the table.
    """
    if column in table.nameless or _UNNAMED.fullmatch(column):
        return "no name in the header: row names or a row index"
    if unfit > (1 - feature.identifier_share) * table.rows * share:
        return None
    return feature.identity(column, table)


# Types, inferred from the rows.

ROWS_LOOKED_AT = 50_000
"""Maximum number of rows for type inference, evenly spaced. All rows are checked to confirm that a
column is nearly empty, constant or an identifier, and that its values can be read."""
_MOST_NAMED = 5
_UNREADABLE = (
    "ignored, because no feature type reads them; convert them to numbers, texts or dates, or "
    "declare them ignored in input.features"
)
"""Advice on columns of a type that no feature type reads, such as lists."""
_REFUSED = (
    "ignored, because training would refuse the other values; correct them, add them to "
    "data.missing, or declare the column categorical"
)


def type_columns(
    section: Input,
    table: Table,
    reserved: Sequence[str],
    whole: Table | None = None,
    train: Table | None = None,
) -> dict[str, Decision]:
    """Decide on the type of each column that may be a feature.

    Args:
        section: the config's `input`.
        table: the rows with a target, or all rows of a table without one.
        reserved: target, weight, group and time columns, which are not features.
        whole: all rows of the table, with and without a target.
        train: the training rows, if they are known. A column without a value in them is ignored.

    Raises:
        ConfigError: if names don't match the table, or no column is usable.
    """
    return decide_types(choose_features(section, table.columns, reserved), table, whole, train)


def decide_types(
    chosen: Mapping[str, Feature],
    table: Table,
    whole: Table | None = None,
    train: Table | None = None,
) -> dict[str, Decision]:
    """Decide on the type of each column.

    Columns on which training might fail are ignored if other columns exist. Identifiers with a name
    are used if every column would be ignored.

    Args:
        chosen: the config's feature for each column.
        table: the rows from which `auto` is inferred.
        whole: all rows of the same file, from which identifiers are recognized; `table` if omitted.
        train: the training rows, if they are known. A column without a value in them is ignored.

    Raises:
        ConfigError: if no column is usable.
    """
    decisions = {
        column: infer_type(column, table, whole)
        if isinstance(feature, Auto)
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
        raise ConfigError([Problem("input.features", f"no column can be used: {reasons}")])
    return decisions


def _reads_any(decisions: Mapping[str, Decision]) -> bool:
    return any(decision.feature.is_read for decision in decisions.values())


def _with_values(decision: Decision, column: str, train: Table) -> Decision:
    """Ignore a column of an inferred type if it has no value in the training rows."""
    values = decision.values
    if values is None or not values.missing or not decision.feature.is_read:
        return decision
    if not train.missing(column).all():
        return decision
    return Decision(Ignored(), "has no value in the training rows", values=values)


def _without_risk(decision: Decision) -> Decision:
    """Ignore a column of an inferred type if training might fail on it."""
    values, feature = decision.values, decision.feature
    if values is None or not feature.is_read:
        return decision
    if decision.warning or feature.is_risky(values):
        reason, warning = decision.reason, _REFUSED
    elif values.present < type_inference.MIN_VALUES and values.rows >= type_inference.MIN_ROWS:
        are = "is" if values.present == 1 else "are"
        count = f"{plural(values.present, 'value')} in {values.rows:,} rows"
        reason, warning = f"{count} {are} too few", ""
    else:
        return decision
    return Decision(Ignored(), reason, warning, otherwise=decision, values=values)


def infer_type(column: str, table: Table, whole: Table | None = None) -> Decision:
    """Infer the type of a column from its rows, even if training might fail on it.

    Args:
        column: the name of the column.
        table: the rows.
        whole: all rows of the same file, from which identifiers are recognized; `table` if omitted.
            If the type of `column` in `table` can't read one of its values, the type is inferred
            from `whole`, so that predictions for all these rows are possible.
    """
    decision = _infer(table, column)
    if whole is not None and whole.rows > table.rows and _is_unreadable(decision, whole, column):
        counted = type_inference.summarize_column(table, column)
        decision = replace(_infer(whole, column), values=counted)
    values, feature = decision.values, decision.feature
    assert values is not None  # inferred
    whole = table if whole is None else whole
    if not feature.is_read:
        return decision
    unfit = feature.no_identifiers(values)
    share = values.rows / table.rows
    identity = find_identity(whole, column, feature, unfit, share)
    if identity is None:
        return decision
    return Decision(Ignored(), identity, otherwise=decision, values=values)


def _is_unreadable(decision: Decision, table: Table, column: str) -> bool:
    feature = decision.feature
    return feature.is_read and feature.has_unreadable(table.column(column))


def count_all_rows(decisions: Mapping[str, Decision], table: Table) -> dict[str, Decision]:
    """Return the decisions with counts of all rows instead of a sample.

    Args:
        decisions: the type of each column.
        table: all rows.
    """
    counted = {}
    for name, each in decisions.items():
        is_counted = each.values is not None and each.values.rows == table.rows
        values = each.values if is_counted else type_inference.summarize_column(table, name)
        counted[name] = replace(each, values=values)
    return counted


def _infer(table: Table, column: str) -> Decision:
    """Infer the type of a column from at most `ROWS_LOOKED_AT` rows, or from all if necessary."""
    if table.rows <= ROWS_LOOKED_AT:
        return _apply_rules(table, column)
    alone = table.apart(column)
    decision = _apply_rules(some_values(alone, column), column)
    values = decision.values
    assert values is not None  # inferred
    is_settled = values.present >= type_inference.MIN_VALUES and decision.otherwise is None
    feature = decision.feature
    if not is_settled or alone.any_part(lambda p: feature.has_unreadable(p.column(column))):
        return _apply_rules(alone.only([column]), column)
    note = f"from {plural(ROWS_LOOKED_AT, 'row')}"
    return replace(decision, reason=f"{decision.reason} ({note})")


def some_values(table: Table, column: str) -> Table:
    """Return a table with at most `ROWS_LOOKED_AT` rows of a column."""
    if table.rows <= ROWS_LOOKED_AT:
        return table
    rows = np.linspace(0, table.rows - 1, ROWS_LOOKED_AT).astype(np.int64)
    return table.apart(column).take(rows).only([column])


def _apply_rules(table: Table, column: str) -> Decision:
    view = type_inference.view_column(table, column)
    summary = view.summary
    if not summary.present:
        return Decision(Ignored(), "has no value", values=summary)
    decision = next(filter(None, (rule(view) for rule in registry.inference_rules())), None)
    if decision is None:
        reason = f"stored as {view.column.values.type}, which no feature type supports"
        decision = Decision(Ignored(), reason, _UNREADABLE)
    decision = replace(decision, values=summary)
    if summary.distinct != 1 or summary.missing or not decision.feature.is_read:
        return decision
    value = type_inference.shorten(summary.frequent[0][0])
    reason = f"the same value in all rows: {value if ' ' not in value else repr(value)}"
    return Decision(Ignored(), reason, otherwise=decision, values=summary)


def type_warnings(decisions: Mapping[str, Decision]) -> list[str]:
    """Return warnings about types that may be unintended, one line for each kind."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for column, decision in decisions.items():
        if decision.warning:
            kinds[decision.warning].append(f"'{column}' ({decision.reason})")
    return [f"{warning}: {_some(columns)}" for warning, columns in kinds.items()]


def _some(columns: Sequence[str]) -> str:
    """List the first few columns, and their number if there are more."""
    named = ", ".join(columns[:_MOST_NAMED])
    return f"{named}, ... ({len(columns)} columns)" if len(columns) > _MOST_NAMED else named


# Missing words, such as `NA`: the columns in which they mean missing values.
#
# If the config lists no words, the usual words mean missing values in columns of numbers, dates and
# booleans. In other columns, `-` may be a class, and `NA` a country. There, a word means a missing
# value only if a column of numbers, dates or booleans of the same table contains it, and if at
# least two other values remain. In the target, the word must also be unambiguous, unlike `none`.

Features = Mapping[str, Feature]


def words_to_read(data: Data | None = None, features: Features | None = None) -> MissingWords:
    """Return the missing words with which a table is read.

    Args:
        data: the config's `data`; None without a config.
        features: the resolved features, so other rows are read in the same way as training rows.
            Without them, the usual words are missing values until `settle_missing_words` decides.
    """

    def words(column: str) -> tuple[str, ...]:
        declared = data.missing_words(column) if data else None
        if declared is not None:
            return declared
        if data is None or features is None or _is_number_or_date(column, data, features):
            return USUAL_MISSING_WORDS
        return ()

    return words


def settle_missing_words(
    tables: Sequence[Table], data: Data | None = None, features: Features | None = None
) -> tuple[Table, ...]:
    """Decide which usual words are missing values in each column of a training table.

    Args:
        tables: the whole training table, followed by the tables of other rows.
        data: the config's `data`; its declared words are kept; None without a target.
        features: the declared feature of each column.

    Returns:
        The tables, read in the same way, with a note on the missing words in them.
    """
    train, features = tables[0], features or {}
    auto = {name for name in train.columns if data is None or data.missing_words(name) is None}
    if not auto:
        return tuple(tables)
    held = [_usual_words(table) for table in tables]
    numbers = {name for name in auto if data and _is_number_or_date(name, data, features)}
    numbers |= {
        name
        for name in sorted(auto - numbers)  # in the same order on all workers of a cluster
        if any(name in words for words in held) and _holds_numbers_or_dates(train, name)
    }
    settled = {**train.missing_words, **dict.fromkeys(numbers, USUAL_MISSING_WORDS)}
    missing = {
        word
        for name, words in held[0].items()
        if name in numbers or name not in auto
        for word in words
        if word in settled[name]
    }
    elsewhere = tuple(word for word in USUAL_MISSING_WORDS if word in missing)
    settled |= dict.fromkeys(auto - numbers, elsewhere)
    for name in (auto - numbers).intersection(data.target.columns if data else ()):
        settled[name] = tuple(word for word in elsewhere if word in CLEAR_MISSING_WORDS)
    for name in sorted((auto - numbers).intersection(held[0])):
        _, values = replace(train, missing_words=settled).codes(name)
        if len(values) == 1:  # the word is the second value
            settled[name] = ()
    read = []
    for table, words in zip(tables, held, strict=True):
        read.append(_with_note(replace(table, missing_words=settled), words, auto))
        read[-1].reuse(table)
        read[-1].parse_together()
    return tuple(read)


def _usual_words(table: Table) -> dict[str, dict[str, int]]:
    """Return the usual missing words in each column, with the number of rows of each."""
    texts = [name for name in table.columns if table.kind(name) == "text"]
    every = ((name, table.column(name).usual_missing_words()) for name in texts)
    return {name: words for name, words in every if words}


def _is_number_or_date(column: str, data: Data, features: Features) -> bool:
    """Return whether a column is declared as numbers, dates or booleans."""
    if column in data.target.columns:
        return data.target.type in ("numeric", "count")
    feature = features.get(column)
    is_weight = column in (data.sample_weight, data.exposure)
    return is_weight or (feature is not None and feature.has_usual_missing_words)


def _holds_numbers_or_dates(train: Table, column: str) -> bool:
    """Return whether nearly all values except missing words are numbers, dates or booleans."""
    is_read_so = train.missing_words.get(column) == USUAL_MISSING_WORDS
    table = train if is_read_so else replace(train, missing_words={column: USUAL_MISSING_WORDS})
    table = some_values(table, column)
    if table.column(column).looks_numeric():  # fast path for most columns
        return True
    view = type_inference.view_column(table, column)
    return any(rule(view) for rule in registry.rules_of_usual_missing_words())


def _with_note(table: Table, held: Mapping[str, Mapping[str, int]], auto: Collection[str]) -> Table:
    """Add a note on the words that are read as missing values.

    Args:
        table: the table, with its missing words.
        held: the usual words in each column, with the number of rows of each.
        auto: the columns without declared words.
    """
    columns, words = [], Counter[str]()
    for name in filter(auto.__contains__, held):
        spelled = table.missing_words[name]
        if missing := {word: n for word, n in held[name].items() if word in spelled}:
            columns.append(name)
            words.update(missing)
    if not columns:
        return table
    are = "is" if len(words) == 1 else "are"
    message = (
        f"{table.file}: {listed(words)} {are} read as missing: {plural(words.total(), 'value')} in "
        f"{listed(columns, 3)}; data.missing: [] turns this off"
    )
    return replace(table, file_notes=(*table.file_notes, FileNote(message)))


def resolved_missing(data: Data, features: Features, train: Table) -> Missing:
    """Return `data.missing` with the words that were found in the training table.

    Args:
        data: the config's `data`, with the resolved target.
        features: the resolved features.
        train: rows of the training table.
    """
    if isinstance(data.missing, tuple):
        return data.missing
    read = [name for name, each in features.items() if each.is_read]
    shown = {
        name: train.missing_words[name]
        for name in (*data.target.columns, *read)
        if data.missing_words(name) is None and not _is_number_or_date(name, data, features)
        if train.missing_words.get(name)
    }
    declared = data.missing if isinstance(data.missing, Mapping) else {}
    return {**declared, **shown} or "auto"
