"""Starter configs for tables, with a comment on each decision."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from dlcli import errors
from dlcli.columns.column_type import Auto, ColumnType
from dlcli.columns.type_inference import MIN_ROWS, has_code_name, numbered_prefix, span
from dlcli.config.config_file import make_config, relative_path
from dlcli.config.config_schema import Config
from dlcli.config.data_section import MEMORY, Data, Features, Input, Missing, Target, TimeSplit
from dlcli.config.search_space import default_tune
from dlcli.config.tune_section import DEFAULT_TRIALS
from dlcli.data_checks.inspection import require_columns
from dlcli.data_checks.target_checks import MOST_CLASS_NUMBERS, LongTail
from dlcli.encoding.column_types import matching_name, settle_missing_words, words_to_read
from dlcli.metrics.definitions import AUC, BALANCED_ACCURACY
from dlcli.network.head import resolve_head
from dlcli.schema.section import Choice
from dlcli.schema.urls import Location, Url
from dlcli.starter.column_facts import ColumnFacts
from dlcli.starter.commented_yaml import Line, aligned, comment, scalar
from dlcli.starter.found import doubts, found_lines, reason_stem, task_words
from dlcli.starter.recipes import Preset, Recipe, make_recipe
from dlcli.starter.split_choice import AUTO, declared_split, split_lines
from dlcli.starter.stray_words import (
    StrayWords,
    declared_missing,
    find_stray_words,
    missing_lines,
    stray_note,
)
from dlcli.starter.table_facts import HELD_OUT, TableFacts, gather_facts
from dlcli.tables.column import USUAL_MISSING_WORDS
from dlcli.tables.databases import QueriedTable
from dlcli.tables.detected_layout import full_names, read_with_layout
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tables.table_formats import TableFormat

Type = Literal["auto", "numeric", "count", "categorical"]
_AUTO = TableFormat()
_NO_TYPES: Mapping[str, object] = {}
_MAX_LEAST_COUNT = 10
"""If the smallest integer is larger, the integers are probably not counts."""
_IMBALANCED = 3
"""Ratio of class sizes above which class weights are suggested."""
_RARE = 0.1
"""Share of the rows of a class below which accuracy is misleading."""


def starter_config(  # noqa: PLR0913  (named by their callers)
    data: Location | MemoryTable,
    target: str | Sequence[str],
    *,
    config_folder: Path = Path(),  # noqa: B008  (the current one)
    ignore: Sequence[str] = (),
    positive_class: str | None = None,
    type: Type = "auto",
    preset: Preset = "simple",
    form: TableFormat = _AUTO,
    missing: Sequence[str] = (),
    types: Mapping[str, object] = _NO_TYPES,
    split: str = AUTO,
    warn: Callable[[str], None] = lambda _: None,
    report: Callable[[str], None] = lambda _: None,
) -> str:
    """Write a config that can be trained without changes.

    Args:
        data: the table, as a file or in memory.
        target: the column to predict, or several numeric or yes/no columns.
        config_folder: the folder of the config; the path of a file is relative to it.
        ignore: columns to exclude from the features, or patterns of their names.
        positive_class: the positive class of a binary target.
        type: the type of the target; by default, it is inferred.
        preset: `simple` for a small network, `good` for an ensemble of large ones, `best` for an
            ensemble of large networks with different settings.
        form: the format of the file, which the config then has.
        missing: words that mean a missing value in any column.
        types: the types of some columns, as in `input.features`.
        split: `time:COLUMN`, `group:COLUMN` or `random`; by default, a split by a time or a group
            if a random split would be too optimistic.
        warn: receives warnings about possible leakage, the split and the file, which the config
            also has as comments.
        report: receives each line of a summary of the table.

    Returns:
        Commented YAML.

    Raises:
        UsageError: for an unreadable file, an unknown column, preset or type, or an unsuitable
            positive class.
        ConfigError: if no column is left to predict from.
        DataError: for a file that is not a table, or a target that cannot be learned.
    """
    errors.check_word("preset", preset, get_args(Preset))
    errors.check_word("type", type, get_args(Type))
    if str(data) == "-":
        raise errors.UsageError("a config requires the path of a file, not standard input")
    table, form = read_with_layout(data, words_to_read(), form, warn)
    targets = require_columns(table, full_names(target, table, form))
    of_classes = {"positive_class": positive_class is not None, "type": type == "categorical"}
    for name in filter(of_classes.get, of_classes) if len(targets) > 1 else ():
        raise errors.UsageError(
            f"{errors.option(name)}: a target of several columns has no classes"
        )
    if positive_class is not None and type in ("numeric", "count"):
        raise errors.UsageError(
            f"{errors.option('positive_class')}: a target of type {type} has no classes"
        )
    declared = Target(column=targets, type=type, positive_class=positive_class)
    _check_ignored(ignore, table, targets)
    features = _declared_features(types, table, targets)
    choice = declared_split(split, table, targets)
    read = partial(_read_again, data, form, declared)
    table, words, strays = _with_missing(table, declared, missing, {*types, *ignore}, read)
    if strays:
        warn(f"{table.file}: {stray_note(strays)}")
    try:
        facts = gather_facts(table, declared, ignore, features, choice)
    except errors.ConfigError as error:
        (problem,) = error.problems
        if problem.path != "data.target.positive_class":
            raise
        name = errors.option("positive_class")
        raise errors.UsageError(f"{table.file}: {name}: {problem.message}") from None
    for message in doubts(table, facts):
        warn(message)
    path = _written_source(data, config_folder)
    notes = [comment(message) for message in (*table.notes, *table.warnings)]
    if isinstance(data, QueriedTable) and not data.is_ordered:
        why = "without ORDER BY, the order of the rows may change, and the split with it"
        notes.append(comment(why))
    recipe = make_recipe(preset, facts)
    for line in found_lines(table.file, facts, has_folds=recipe.has_folds):
        report(line)
    lines = [*_feature_lines(facts.columns, targets), *_monotone_lines(facts, recipe)]
    feature_lines = aligned(lines, indent=4)
    training = recipe.text
    data_lines = [*_data_lines(facts, declared, path, recipe, form)]
    data_lines += [*missing_lines(words, strays), *notes]
    return "\n".join(
        [
            f"data:\n{aligned(data_lines, indent=2)}",
            f"input:\n{aligned(recipe.input, indent=2)}  features:\n{feature_lines}",
            recipe.hidden,
            f"{aligned([*_head_lines(facts, preset)])}\n{training}",
            _tune(facts, recipe, training),
        ]
    )


def _declared_features(
    types: Mapping[str, object], table: Table, targets: Sequence[str]
) -> Features:
    """Return the types of columns that options declare.

    Raises:
        UsageError: for an unknown column, a target, or an invalid type.
    """
    if not types:
        return {}
    for name in require_columns(table, [*types]):
        if name in targets:
            message = f"{table.file}: '{name}' is a target, whose type is set without its name"
            raise errors.UsageError(message)
    try:
        return Input.model_validate({"features": types}).features or {}
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise errors.UsageError(f"{errors.option('type')}: {message}") from None


def _with_missing(
    table: Table,
    target: Target,
    given: Sequence[str],
    excluded: Collection[str],
    read: Callable[[Missing], Table],
) -> tuple[Table, Missing | None, list[StrayWords]]:
    """Read the given missing words, and stray words among numbers and dates, as missing.

    Args:
        table: the table, with the usual missing words.
        target: the target.
        given: words that mean a missing value in any column.
        excluded: the columns in which no stray words are searched.
        read: reads the table with other missing words.

    Returns:
        The table, `data.missing`, and the stray words.
    """
    if given:
        table = read(tuple(dict.fromkeys((*given, *USUAL_MISSING_WORDS))))
    else:
        [table] = settle_missing_words([table], Data(train=table.file, target=target))
    strays = find_stray_words(table, target, excluded)
    words = declared_missing(table, strays, given)
    return (table if words is None else read(words)), words, strays


def _read_again(
    data: Location | MemoryTable, form: TableFormat, target: Target, missing: Missing
) -> Table:
    """Read the table with other missing words."""
    name = MEMORY if isinstance(data, MemoryTable) else str(data)
    section = Data(train=name, target=target, missing=missing)
    [table] = settle_missing_words([read_table(data, words_to_read(section), form)], section)
    return table


def _check_ignored(names: Sequence[str], table: Table, targets: Sequence[str]) -> None:
    """Check that each name or pattern of a column to ignore matches one.

    Raises:
        UsageError: with the most similar name.
    """
    features = [column for column in table.columns if column not in targets]
    for name in names:
        if name in targets:
            raise errors.UsageError(f"{table.file}: '{name}' is a target and can't be ignored")
        if not any(matching_name(column, [name]) for column in features):
            hint = (
                errors.did_you_mean(name, features) or f"; there are {errors.listed(features, 12)}"
            )
            raise errors.UsageError(f"{table.file}: no column '{name}' to ignore{hint}")


# Sections


def _written_source(data: Location | MemoryTable, folder: Path) -> str:
    """Write the value of `data.train`.

    Args:
        data: the table.
        folder: the folder of the config.
    """
    if isinstance(data, QueriedTable):
        query = data.query
        if query.file is not None:
            query = query.with_file(relative_path(Path(query.file), folder))
        sql = json.dumps(query.sql, ensure_ascii=False)
        if query.sql.isprintable():  # its names are in double quotes
            sql = "'{}'".format(query.sql.replace("'", "''"))
        return f"{{sql: {sql}, url: {scalar(query.url)}}}"
    if isinstance(data, MemoryTable):
        return scalar(MEMORY)
    return scalar(str(data) if isinstance(data, Url) else relative_path(Path(data), folder))


def _written_target(facts: TableFacts, declared: Target) -> str:
    """Write the target: its columns, with type and positive class if specified."""
    column = scalar(facts.task.columns[0])
    if len(facts.task.columns) > 1:
        column = f"[{', '.join(map(scalar, facts.task.columns))}]"
    parts = [f"column: {column}"]
    if declared.type != "auto":
        parts.append(f"type: {declared.type}")
    if facts.positive_class is not None:
        parts.append(f"positive_class: {scalar(facts.positive_class)}")
    return f"{{{', '.join(parts)}}}" if len(parts) > 1 else column


def _data_lines(
    facts: TableFacts, declared: Target, path: str, recipe: Recipe, form: TableFormat
) -> Iterator[Line]:
    rows, without = f"{facts.rows:,} rows", facts.without_target
    are = "is" if without == 1 else "are"
    more = f" with a target; {without:,} without a target {are} omitted" if without else ""
    yield Line("train", path, rows + more)
    yield from _format_lines(form)
    yield Line("target", _written_target(facts, declared), task_words(facts))
    yield from (comment(hint) for hint in _target_hints(facts))
    # A time split has no use for folds, because other folds contain later rows.
    is_in_time = facts.split is not None and isinstance(facts.split.choice, TimeSplit)
    if recipe.has_folds and not is_in_time:
        why = "for the metrics, each row is predicted by the networks not trained on it"
        yield comment(f"all rows are used for training; {why}")
        way = "uncomment it to keep separate test rows for the final metrics"
        yield comment(f"test: {HELD_OUT.test}  # {way}")
    elif facts.holds_out:
        if not recipe.has_folds:
            share = f"{HELD_OUT.validation}"
            yield Line("validation", share, "share of the rows, for early stopping")
        yield Line("test", f"{HELD_OUT.test}", "share of the rows, for the final metrics only")
    else:
        why = "rows" if facts.rows < MIN_ROWS else "rows of some classes"
        yield comment(f"no validation and test rows: too few {why}")
    if facts.choice is not None:
        part = "fold" if recipe.has_folds else "set"
        yield from split_lines(facts.choice, facts.split, facts.subjects, facts.task, part)
    elif facts.split:
        yield comment(facts.split.reason)
        yield comment(facts.split.advice)
        name = facts.split.choice.columns[0]
        if any(column.name == name and column.feature.is_read for column in facts.columns):
            why = "because no training row has the values of these rows"
            yield comment(f"  and in input.features, {scalar(name)}: ignored, {why}")
        if facts.split.later:
            yield comment(facts.split.later)
        if recipe.has_folds and (facts.split.later or is_in_time):
            shares = f"data.validation: {HELD_OUT.validation}"
            shares += "" if is_in_time else f", data.test: {HELD_OUT.test}"
            settings = f"{shares} and ensemble.folds: none"
            yield comment(f"  with {settings}, because other folds contain later rows")


def _format_lines(form: TableFormat) -> Iterator[Line]:
    """Write the settings of a format that differ from the defaults."""
    if form.csv.delimiter != "auto":
        yield Line("format", f"{{name: csv, delimiter: {json.dumps(form.csv.delimiter)}}}")
    if form.sheet:
        yield Line("sheet", scalar(form.sheet))
    if form.header != "auto":
        why = "the first line is a row" if form.header == "none" else "number of header lines"
        yield Line("header", str(form.header), why)
    if form.names:
        yield Line("names", f"[{', '.join(map(scalar, form.names))}]")
    if form.comment:
        yield Line("comment", json.dumps(form.comment), "lines that begin with it are omitted")
    if form.skip_lines:
        yield Line("skip_lines", str(form.skip_lines), "lines above the header")
    if form.footer:
        if isinstance(form.footer, int):
            yield Line("footer", str(form.footer), "number of lines at the end that are omitted")
        else:
            why = "lines at the end from this word on are omitted"
            yield Line("footer", scalar(form.footer), why)


def _target_hints(facts: TableFacts) -> Iterator[str]:
    """Yield hints on another target type or another positive class."""
    if len(facts.target_values) > 1:
        return
    column = scalar(facts.task.columns[0])
    if facts.relation is not None:
        yield f"{facts.relation.formula}: write ignored for a column that is"
        yield "  derived from the target or unknown when predictions are made"
    if facts.without_classes and facts.without_classes.feature.is_amount:
        yield f"{facts.without_classes.reason}: to predict a number, correct these values,"
        yield f"  or omit their rows: missing: {{{column}: [VALUE]}}"
    [values] = facts.target_values
    is_open = facts.task.reason == "text" and facts.positive_class is None
    if len(facts.task.classes) == 2 and is_open:
        (most, rows), (other, others) = values.frequent
        if most == facts.task.classes[1] and rows > others:
            yield f"precision and recall refer to {scalar(most)}; for the rarer class, write"
            yield f"  target: {{column: {column}, positive_class: {scalar(other)}}}"
    is_number = facts.task.type == "numeric" and facts.task.reason != "declared"
    if not is_number or not values.whole or values.bounds is None:
        return
    declared = f"target: {{column: {column}, type: "
    repeats = values.present >= 2 * values.distinct
    if repeats and 1 < values.distinct <= MOST_CLASS_NUMBERS:
        yield f"if its {values.distinct} integers are classes: {declared}categorical}}"
    if 0 <= values.bounds[0] <= _MAX_LEAST_COUNT:
        yield f"if it is a count (never negative): {declared}count}}"


def _head_lines(facts: TableFacts, preset: Preset) -> Iterator[Line]:
    """Yield the output, and comments on the loss and metrics that the target determines."""
    data = {"train": "-", "target": facts.task.columns}
    bare = Config.model_validate({"data": data, "hidden": (), "epochs": 1})
    head = resolve_head(bare, facts.task)
    assert head.output.activation is not None  # resolved
    rows = facts.class_rows
    has_rare = bool(rows) and facts.without_classes is None and min(rows) < _RARE * sum(rows)
    parts = "the output and the loss" if has_rare else "the output, the loss and the metrics"
    yield comment(f"{parts} follow from the target, as if you had written:")
    written = f"{{units: {head.output.units}, activation: {head.output.activation.name}}}"
    yield comment(f"  output: {written}")
    yield comment(f"  loss: {head.loss.name}")
    if has_rare:
        metric = AUC.name if len(rows) == 2 else BALANCED_ACCURACY.name
        why = "printed for each epoch; accuracy hides whether rare classes are found"
        yield Line("metrics", f"[{metric}]", why)
    else:
        yield comment(f"  metrics: [{', '.join(head.metrics)}]")
    if preset != "simple" and facts.task.outcome != "numbers":
        why = "keeps probabilities away from 0 and 1"
        yield Line("output", "{probability_floor: auto}", why)
    if facts.tail is not None:
        yield from _tail_lines(facts.tail)
    if rows and max(rows) > _IMBALANCED * min(rows):
        counts = f"{min(rows):,} to {max(rows):,} rows"
        why = f"classes have {counts}; rare ones then weigh as much as the others"
        yield comment(f"class_weight: balanced  # {why}")
        if len(rows) == 2:
            why = "or costs: {false_positive: 1, false_negative: 20}"
            yield comment(f"decision: {{maximize: f1}}  # another threshold than 0.5; {why}")


def _tail_lines(tail: LongTail) -> Iterator[Line]:
    """Yield the output of a target with a long tail, or its alternatives if many values are 0."""
    if tail.has_many_zeros:
        yield comment(f"the target has {tail.ratio}; for amounts that are often 0:")
        yield comment(f"loss: {tail.mean_loss}")
        return
    yield Line("output", "{scaling: log1p}", f"the target has {tail.ratio}")
    yield comment("  so its logarithm is trained: relative differences count, and predictions are")
    yield comment("  medians; for means and totals, replace output by:")
    yield comment(f"loss: {tail.mean_loss}")


def _tune(facts: TableFacts, recipe: Recipe, training: str) -> str:
    """Write the default search space of `dlcli tune`, of the network and its training."""
    has_share = facts.holds_out and not recipe.has_folds
    share = f", validation: {HELD_OUT.validation}" if has_share else ""
    settings = ", ".join(f"{line.key}: {line.value}" for line in recipe.input)
    data = f"data: {{train: '-', target: y{share}}}\ninput: {{{settings}}}"
    text = f"{data}\n{recipe.hidden}\n{training}"
    search = f"trials: {DEFAULT_TRIALS}\n{default_tune(make_config(text).config, facts.rows)}"
    first = "tune:  # the default search of `dlcli tune`; uncomment to change it"
    return f"# {first}\n{textwrap.indent(search, '#   ')}"


# Features: one column per line, or patterns if there are many

_MANY = 40
"""Maximum number of columns that are written one per line."""
_MIN_PATTERN_COLUMNS = 3
_LONGEST_COMMENT = 60
"""Maximum length of a suggestion next to a column; longer ones get their own line."""
_MOST_REASONS = 4
"""Maximum number of reasons in the comment on a pattern."""
_DOUBTS = (
    "it alone predicts nearly all of {}; write ignored if it is",
    "derived from the target or unknown when predictions are made",
)
"""The notes on a column with possible leakage, of the target or of one of its columns."""


def _feature_lines(columns: Sequence[ColumnFacts], targets: Sequence[str]) -> list[Line]:
    """Write the type of each column with its reason.

    Args:
        columns: all columns except the targets.
        targets: the target columns, which a pattern must not match.
    """
    if len(columns) <= _MANY:
        return [line for column in columns for line in _column_lines(column, targets)]
    taken = {column.name for column in columns} | {*targets}
    rest = [column for column in columns if not column.leaks]
    lines = [line for column in columns if column.leaks for line in _column_lines(column, targets)]
    for prefix in _prefixes(columns):
        if f"{prefix}*" not in taken:
            # Longest prefixes first, as the longest matching pattern applies.
            lines += _pattern(f"{prefix}*", [c for c in rest if c.name.startswith(prefix)])
            rest = [column for column in rest if not column.name.startswith(prefix)]
    if len(rest) <= _MANY or "*" in taken:
        return [*map(_column_line, rest), *lines]
    return [*lines, *_pattern("*", rest)]


def _prefixes(columns: Sequence[ColumnFacts]) -> list[str]:
    """Return the common prefixes of numbered columns, the longest first."""
    counts = Counter(filter(None, (numbered_prefix(column.name) for column in columns)))
    common = [prefix for prefix, count in counts.items() if count >= _MIN_PATTERN_COLUMNS]
    return sorted(common, key=len, reverse=True)


def _pattern(pattern: str, columns: Sequence[ColumnFacts]) -> list[Line]:
    """Write a pattern with the type of most columns, and a line for each exception."""
    if not columns:
        return []
    usual = Counter(column.feature for column in columns).most_common(1)[0][0]
    fitting = [column for column in columns if column.feature == usual]
    exceptions = [column for column in columns if column.feature != usual]
    if sum(column.auto for column in exceptions) > _MANY:
        usual = Auto()
        fitting = [column for column in columns if column.auto]
        exceptions = [column for column in columns if not column.auto]
    summary = Line(scalar(pattern), _written(usual), _summary(fitting, usual))
    return [*map(_column_line, exceptions), summary]


def _summary(columns: Sequence[ColumnFacts], usual: ColumnType) -> str:
    named = f"{len(columns)} columns, {columns[0].name} to {columns[-1].name}"
    if usual == Auto():
        counts = Counter(column.type for column in columns)
        types = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{named}: types are inferred from the rows ({types})"
    parts = [_reasons(columns, usual)]
    if usual.is_amount:
        bounds = [bound for column in columns for bound in column.values.bounds or ()]
        parts += [span(min(bounds), max(bounds))] if bounds else []
    if missing := sum(column.values.missing for column in columns):
        parts.append(f"{missing:,} missing")
    return ", ".join([f"{named}: {parts[0]}", *parts[1:]])


def _reasons(columns: Sequence[ColumnFacts], usual: ColumnType) -> str:
    """Return the reason of columns of a type, or different reasons with the numbers of columns."""
    if len(reasons := {column.reason for column in columns}) == 1:
        return reasons.pop()
    if usual.is_amount:
        return f"all values are {usual.plural}"
    stems = Counter(reason_stem(column.reason) for column in columns).most_common()
    shown = [stem if len(stems) == 1 else f"{count} {stem}" for stem, count in stems]
    named = errors.first_names(shown, _MOST_REASONS)
    counts = [column.values.distinct for column in columns]
    few, many = min(counts), max(counts)
    values = errors.plural(few, "value") if few == many else f"{few:,} to {many:,} values"
    return f"{named}, {values} each"


def _column_lines(column: ColumnFacts, targets: Sequence[str]) -> list[Line]:
    """Write a column's line, and a suggestion below it if there is one."""
    if column.leaks:
        target = errors.predicted_target(of_several=len(targets) > 1)
        return [_column_line(column), *(comment(text.format(target)) for text in _DOUBTS)]
    if not column.feature.is_read and len(column.reason) > _LONGEST_COMMENT:
        reason, _, way = column.reason.partition("; ")
        below = [comment(way)] if way else []
        return [_column_line(replace(column, reason=reason)), *below]
    hint = column.feature.starter_hint(column.name, column.values, is_inferred=column.auto)
    return [_column_line(column), *map(comment, filter(None, [column.evidence, hint]))]


def _monotone_lines(facts: TableFacts, recipe: Recipe) -> Iterator[Line]:
    """Yield a comment with the first number as a monotone column, if the network allows one."""
    is_long = len(facts.columns) > _MANY
    if is_long or len(facts.task.classes) > 2 or recipe.has_waves:
        return
    layers = "" if recipe.is_rising else "replace silu by relu and "
    for column in facts.columns:
        if has_code_name(column.name) or column.leaks:
            continue
        if (rising := column.feature.rising) is not None:
            why = "if predictions must never fall as a number rises"
            yield comment(f"{why}, {layers}write its line as:")
            yield comment(f"{scalar(column.name)}: {_written(rising)}")
            return


def _column_line(column: ColumnFacts) -> Line:
    reason = column.feature.starter_comment(column.reason, column.values)
    return Line(scalar(column.name), _written(column.feature), reason)


def _written(feature: ColumnType) -> str:
    """Return a feature as YAML, with the parameters that depend on the column."""
    changed = feature.model_dump(exclude_defaults=True, exclude={"type"})
    if not changed:
        return feature.type
    settings = (f"{name}: {_written_value(getattr(feature, name))}" for name in changed)
    return f"{{type: {feature.type}, {', '.join(settings)}}}"


def _written_value(value: object) -> str:
    if isinstance(value, Choice):
        return str(value.name)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written_value, value))}]"
    return scalar(value) if isinstance(value, str) else str(value)
