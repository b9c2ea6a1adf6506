"""Starter configs for tables, with a comment on each decision."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, get_args

from dlcli import errors
from dlcli.columns.column_type import Auto, ColumnType
from dlcli.columns.type_inference import MIN_ROWS, numbered_prefix, span
from dlcli.config.config_file import make_config, relative_path
from dlcli.config.config_schema import Config
from dlcli.config.data_section import FEWEST_TRIAL_ROWS, MEMORY, Data, Target, TimeSplit
from dlcli.config.search_space import default_tune
from dlcli.config.tune_section import DEFAULT_TRIALS
from dlcli.data_checks.inspection import require_columns
from dlcli.data_checks.target_checks import MOST_CLASS_NUMBERS
from dlcli.encoding.column_types import matching_name, settle_missing_words, words_to_read
from dlcli.network.head import resolve_head
from dlcli.schema.section import Choice
from dlcli.schema.urls import Location, Url
from dlcli.starter.table_facts import HELD_OUT, MOST_ENCODED, ColumnFacts, TableFacts, gather_facts
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table

Preset = Literal["simple", "good"]
Type = Literal["auto", "numeric", "count", "categorical"]
Chosen = TypeVar("Chosen")
_MAX_LEAST_COUNT = 10
"""If the smallest integer is larger, the integers are probably not counts."""
_IMBALANCED = 3
"""Ratio of class sizes above which class weights are suggested."""


def starter_config(
    data: Location | MemoryTable,
    target: str | Sequence[str],
    *,
    config_folder: Path = Path(),  # noqa: B008  (the current one)
    ignore: Sequence[str] = (),
    positive_class: str | None = None,
    type: Type = "auto",
    preset: Preset = "simple",
) -> str:
    """Write a config that can be trained without changes.

    Args:
        data: the table, as a file or in memory.
        target: the column to predict, or several numeric or yes/no columns.
        config_folder: the folder of the config; the path of a file is relative to it.
        ignore: columns to exclude from the features, or patterns of their names.
        positive_class: the positive class of a binary target.
        type: the type of the target; by default, it is inferred.
        preset: `simple` for a small network, `good` for an ensemble of large ones.

    Returns:
        Commented YAML.

    Raises:
        UsageError: for an unreadable file, an unknown column, preset or type.
        ConfigError: if no column is left to predict from, or for an unknown positive class.
        DataError: for a file that is not a table, or a target that cannot be learned.
    """
    errors.check_word("preset", preset, get_args(Preset))
    errors.check_word("type", type, get_args(Type))
    if str(data) == "-":
        raise errors.UsageError("a config requires the path of a file, not standard input")
    table = read_table(data, words_to_read())
    targets = require_columns(table, target)
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
    [table] = settle_missing_words([table], Data(train=table.file, target=declared))
    _check_ignored(ignore, table, targets)
    facts = gather_facts(table, declared, ignore)
    if isinstance(data, MemoryTable):
        path = MEMORY
    else:
        path = str(data) if isinstance(data, Url) else relative_path(Path(data), config_folder)
    notes = [_comment(message) for message in (*table.notes, *table.warnings)]
    features = aligned(_feature_lines(facts.columns, targets), indent=4)
    recipe = make_recipe(preset, facts)
    training = aligned(recipe.training)
    return "\n".join(
        [
            f"data:\n{aligned([*_data_lines(facts, declared, path, recipe), *notes], indent=2)}",
            f"input:\n{aligned(recipe.input, indent=2)}  features:\n{features}",
            recipe.hidden,
            f"{aligned([*_head_lines(facts, preset)])}\n{training}",
            _tune(facts, recipe, training),
        ]
    )


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


def _data_lines(facts: TableFacts, declared: Target, path: str, recipe: Recipe) -> Iterator[Line]:
    rows, without = f"{facts.rows:,} rows", facts.without_target
    are = "is" if without == 1 else "are"
    more = f" with a target; {without:,} without a target {are} omitted" if without else ""
    yield Line("train", scalar(path), rows + more)
    yield Line("target", _written_target(facts, declared), _target_comment(facts))
    yield from (_comment(hint) for hint in _target_hints(facts))
    # A time split has no use for folds, because other folds contain later rows.
    is_in_time = facts.split is not None and isinstance(facts.split.choice, TimeSplit)
    if recipe.has_folds and not is_in_time:
        why = "for the metrics, each row is predicted by the networks not trained on it"
        yield _comment(f"all rows are used for training; {why}")
        way = "uncomment it to keep separate test rows for the final metrics"
        yield _comment(f"test: {HELD_OUT.test}  # {way}")
    elif facts.holds_out:
        if not recipe.has_folds:
            share = f"{HELD_OUT.validation}"
            yield Line("validation", share, "share of the rows, for early stopping")
        yield Line("test", f"{HELD_OUT.test}", "share of the rows, for the final metrics only")
    else:
        why = "rows" if facts.rows < MIN_ROWS else "rows of some classes"
        yield _comment(f"no validation and test rows: too few {why}")
    if facts.split and facts.uses_split:
        choice = f"{{name: group, column: {scalar(facts.split.choice.column)}}}"
        part = "fold" if recipe.has_folds else "set"
        why = f"rows with the same value are similar, so they stay in one {part}"
        yield Line("split", choice, why)
        column = scalar(facts.split.choice.column)
        yield _comment(
            f"if you will predict for the same {facts.subjects:,} values, not for new ones:"
        )
        feature = f"{{type: categorical, max_categories: {facts.subjects}}}"
        yield _comment(f"  split: random, and in input.features, {column}: {feature}")
    elif facts.split:
        yield _comment(facts.split.reason)
        yield _comment(facts.split.advice)
        name = facts.split.choice.column
        if any(column.name == name and column.feature.is_read for column in facts.columns):
            why = "because no training row has the values of these rows"
            yield _comment(f"  and in input.features, {scalar(name)}: ignored, {why}")
        if facts.split.later:
            yield _comment(facts.split.later)
        if recipe.has_folds and (facts.split.later or is_in_time):
            shares = f"data.validation: {HELD_OUT.validation}"
            shares += "" if is_in_time else f", data.test: {HELD_OUT.test}"
            settings = f"{shares} and ensemble.folds: none"
            yield _comment(f"  with {settings}, because other folds contain later rows")


def _target_comment(facts: TableFacts) -> str:
    """Return a description of the task, and its reason."""
    task, values = facts.task, facts.target_values
    if task.classes:
        return f"{len(task.classes)} classes: {values[0].listing}"
    if task.labels:
        return f"{len(task.labels)} labels; a row can have any number of them"
    ranges = [span(*each.bounds) for each in values if each.bounds is not None]
    if len(ranges) == 1:
        return f"{'count' if task.type == 'count' else 'numeric'}, {ranges[0]}"
    return f"{len(ranges)} numbers: {', '.join(ranges)}"


def _target_hints(facts: TableFacts) -> Iterator[str]:
    """Yield hints on another target type or another positive class."""
    if len(facts.target_values) > 1:
        return
    column = scalar(facts.task.columns[0])
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
    units = "1 unit" if head.output.units == 1 else f"{head.output.units} units"
    output = f"{units} with {head.output.activation.name}"
    yield _comment(f"output and loss follow from the target: {output},")
    yield _comment(f"{head.loss.name}; metrics: {', '.join(head.metrics)}")
    if preset == "good" and facts.task.outcome != "numbers":
        why = "no predicted probability is almost 0 or 1"
        yield Line("output", "{probability_floor: auto}", why)
    rows = facts.class_rows
    if rows and max(rows) > _IMBALANCED * min(rows):
        counts = f"{min(rows):,} to {max(rows):,} rows"
        why = f"classes have {counts}; equal weight, but biased probabilities"
        yield _comment(f"class_weight: balanced  # {why}")


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
    reasons = {column.reason for column in columns}
    several = f"all values are {usual.plural}" if usual.is_amount else "for various reasons"
    parts = [reasons.pop() if len(reasons) == 1 else several]
    if usual.is_amount:
        bounds = [bound for column in columns for bound in column.values.bounds or ()]
        parts += [span(min(bounds), max(bounds))] if bounds else []
    if missing := sum(column.values.missing for column in columns):
        parts.append(f"{missing:,} missing")
    return ", ".join([f"{named}: {parts[0]}", *parts[1:]])


def _column_lines(column: ColumnFacts, targets: Sequence[str]) -> list[Line]:
    """Write a column's line, and a suggestion below it if there is one."""
    if column.leaks:
        target = errors.predicted_target(of_several=len(targets) > 1)
        return [_column_line(column), *(_comment(text.format(target)) for text in _DOUBTS)]
    if not column.feature.is_read and len(column.reason) > _LONGEST_COMMENT:
        reason, _, way = column.reason.partition("; ")
        below = [_comment(way)] if way else []
        return [_column_line(replace(column, reason=reason)), *below]
    hint = column.feature.starter_hint(column.name, column.values, is_inferred=column.auto)
    return [_column_line(column), *map(_comment, filter(None, [column.evidence, hint]))]


def _column_line(column: ColumnFacts) -> Line:
    comment = column.feature.starter_comment(column.reason, column.values)
    return Line(scalar(column.name), _written(column.feature), comment)


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


# Networks and their training
#
# The settings were chosen on the public tables of `benchmarks/public_tables.py` except those held
# back; the ablations are in benchmarks/accuracy.md.


@dataclass(frozen=True)
class Recipe:
    """A network and its training, as parts of a config."""

    hidden: str
    """The section `hidden`."""
    training: Sequence[Line]
    """The lines below it."""
    has_folds: bool
    """Whether each network is validated on its own fold, so no validation rows are held out."""
    input: Sequence[Line] = ()
    """The settings of all columns."""


def make_recipe(preset: Preset, facts: TableFacts) -> Recipe:
    """Return the recipe of a preset for a table."""
    if preset == "simple":
        return _small_network(facts)
    members = _for_rows(facts.rows, _MEMBERS)
    # Large layers memorize rows by their words: on 150 test reviews, their accuracy was 77 %, that
    # of the small network 80 %, and that of eight small networks 82 %.
    if any(column.feature.has_words for column in facts.columns):
        return _small_network(facts, members)
    return _large_ensemble(facts, members)


# A small network

_STACKS = ((500, (16,)), (5_000, (64, 32)), (50_000, (128, 64)), (math.inf, (256, 128)))
"""Units of the hidden layers, by maximum number of rows: some tens of rows per unit, so a network
does not overfit within a few epochs."""
_BATCHES = ((10_000, 32), (100_000, 128), (math.inf, 512))
_FEW_ROWS = 1_000


def _small_network(facts: TableFacts, members: int = 1) -> Recipe:
    """Return a network of one or two layers, for learners, or an ensemble of them."""
    units = _for_rows(facts.rows, _STACKS)
    size = "one small layer" if len(units) == 1 else "two layers of this size"
    layers = "".join(f"  - {{units: {count}, activation: relu}}\n" for count in units)
    hidden = (
        f"hidden:  # for {facts.rows:,} rows, {size}: more units may overfit\n"
        f"{layers}"
        f"  # - {{units: {units[0]}, activation: relu, dropout: 0.2}}"
        "  # against overfitting: drops a random fifth of the units at each step\n"
    )
    epochs = 500 if facts.rows < _FEW_ROWS else 100
    stopping = "at most: early stopping may end training sooner"
    training = [
        Line("optimizer", "{name: adam, learning_rate: 0.001}", "Adam's default, 1e-3"),
        Line("epochs", str(epochs), stopping if facts.holds_out else "passes over the rows"),
        Line("batch_size", str(_for_rows(facts.rows, _BATCHES)), "rows per step"),
        _stopping_line(facts, 20, "epochs without improvement", "it needs validation rows"),
    ]
    has_folds = members > 1 and facts.holds_out
    if members > 1:
        training.append(_ensemble_line(members, has_folds=has_folds))
    return Recipe(hidden, training, has_folds)


# An ensemble of large networks

_UNITS = (128, 128, 128)
_MEMBERS = ((200_000, 8), (math.inf, 4))
_ROWS_TRAINED = ((10_000, 1_000_000), (math.inf, 3_000_000))
"""Approximate number of rows that each network processes in all epochs, within `_EPOCHS`."""
_EPOCHS = (10, 200)
_LARGE_BATCHES = ((2_000, 64), (10_000, 128), (200_000, 256), (math.inf, 1024))
_BINS = ((2_000, 16), (math.inf, 48))
"""Bins per numeric column, by maximum number of rows."""
_MOST_BINS = 3_200
"""Maximum number of bins of all columns; many columns get fewer bins each."""
_FEWEST_BINS = 16


_TOLERANCE = 0.1
"""Difference of the validation loss from the best one, in nats or as a share of the variance of the
target, up to which a later epoch may still become the best one."""
_PATIENCE = 0.15
"""Epochs in a row beyond that difference, as a share of all, after which none did: on 22 tables,
training ended after .66 of the epochs, of classes .59, and kept the same weights as without this
limit (benchmarks/accuracy.md)."""

_SHARE_FOR_CLASSES = 0.35
"""Epochs before early stopping ends training, as a share of all, if the target is a class: 0.21 to
0.44 on three tables."""

_ROWS_OF_TRIAL = 10 * FEWEST_TRIAL_ROWS
"""Number of rows from which a network's validation rows, about a tenth, suffice for a trial."""


def _large_ensemble(facts: TableFacts, members: int) -> Recipe:
    """Return an ensemble of large networks, each validated on its own fold.

    Early stopping keeps each network's best epoch.
    """
    layers = (f"  - {{units: {units}, activation: silu, dropout: 0.05}}\n" for units in _UNITS)
    least, most = _EPOCHS
    passes = _for_rows(facts.rows, _ROWS_TRAINED) / facts.rows
    epochs = min(max(10 * round(passes / 10), least), most)
    batch_size = _for_rows(facts.rows, _LARGE_BATCHES)
    adamw = "{name: adamw, learning_rate: 0.003, weight_decay: 0.1}"
    restarts = "falls to 0 in four cycles of growing length"
    why, patience, tolerance = "epochs without improvement; the best is kept", epochs // 2, None
    if facts.task.type != "count":  # whose loss has no such unit
        tolerance = _TOLERANCE
        patience = round(epochs * _PATIENCE)
        why = f"epochs more than {tolerance} worse than the best, which is kept"
    training = [
        Line("optimizer", adamw, "Adam with weight decay"),
        Line("learning_rate_schedule", "cosine_decay_restarts", restarts),
        Line("epochs", str(epochs), "passes over the rows"),
        Line("batch_size", str(batch_size), "rows per step"),
        _stopping_line(facts, patience, why, "there are too few rows to validate on", tolerance),
        _ensemble_line(members, has_folds=facts.holds_out),
    ]
    bins = _bins(facts)
    inputs = sum(column.feature.inputs_of(column.values.distinct, bins) for column in facts.columns)
    has_trial = facts.holds_out and facts.rows >= _ROWS_OF_TRIAL
    networks = members + has_trial  # the first one is trained twice
    share = _SHARE_FOR_CLASSES if facts.task.outcome == "classes" else 1.0
    steps = share * networks * epochs * facts.rows / batch_size
    seconds = seconds_in_words(_seconds(steps, batch_size, inputs))
    training.append(_comment(f"trains in about {seconds} on two cores"))
    encoding = f"{{name: piecewise_linear, bins: {bins}}}"
    bins_line = Line("encoding", encoding, "each number as its position in several bins")
    layer = "auto" if has_trial else "{learning_rate_multiplier: 40}"
    unless = "; dropped if it harms" if has_trial else ""
    layer_line = Line("scaling_layer", layer, f"a learned weight for each column{unless}")
    hidden = "hidden:  # large layers: the averaged networks hardly overfit\n" + "".join(layers)
    return Recipe(hidden, training, facts.holds_out, [*[bins_line] * (bins > 1), layer_line])


def _bins(facts: TableFacts) -> int:
    """Return the number of bins per numeric column; 1 if numbers are scaled instead."""
    numbers = sum(column.feature.is_amount for column in facts.columns)
    most = min(_MOST_BINS, MOST_ENCODED // facts.rows) // max(numbers, 1)
    bins = min(_for_rows(facts.rows, _BINS), most)
    return bins if numbers and bins >= _FEWEST_BINS else 1


_SECONDS_BEFORE = 8
"""Time of everything except the steps. With these constants, the estimates for six tables of 908 to
10,000 rows, three of them with classes, are 10 to 71 s; on two quiet cores, training took 0.8 to
1.3 times as long (from 10 to 73 s)."""
_SECONDS_A_STEP = 1.15e-4
_SECONDS_A_WEIGHT = 3.3e-11
"""Time per step, weight and row on two cores; `_SECONDS_A_STEP` is the time without weights."""


def _seconds(steps: float, batch_size: int, inputs: int) -> float:
    """Estimate the training time, given the steps of all networks."""
    weights = sum(a * b for a, b in zip((inputs, *_UNITS), _UNITS, strict=False))
    per_step = _SECONDS_A_STEP + batch_size * weights * _SECONDS_A_WEIGHT
    return _SECONDS_BEFORE + steps * per_step


def _stopping_line(
    facts: TableFacts, patience: int, why: str, why_not: str, tolerance: float | None = None
) -> Line:
    if not facts.holds_out:
        return _comment(f"no early_stopping: {why_not}")
    further = "" if tolerance is None else f", tolerance: {tolerance}"
    return Line("early_stopping", f"{{monitor: val_loss, patience: {patience}{further}}}", why)


def _ensemble_line(members: int, *, has_folds: bool) -> Line:
    folds, why = ("", "; each validated on its own fold") if has_folds else (", folds: none", "")
    return Line("ensemble", f"{{members: {members}{folds}}}", f"networks, averaged{why}")


def seconds_in_words(seconds: float) -> str:
    """Return `20 s`, `3 min` or `2 h`, rounded to one digit."""
    units = (("h", 3600), ("min", 60), ("s", 1))
    unit, size = next(each for each in units if seconds >= each[1])
    count = seconds / size
    digits = -math.floor(math.log10(count))
    return f"{round(count, digits):.0f} {unit}"


def _for_rows(rows: int, choices: Sequence[tuple[float, Chosen]]) -> Chosen:
    return next(choice for limit, choice in choices if rows < limit)


# Lines of commented YAML

_WIDTH = 108
"""Width of lines, if that leaves space for a short comment."""
_MAX_COMMENT_COLUMN = 50
_MIN_COMMENT_WIDTH = 40
_LONGEST_KEY = 1000  # a longer one needs a question mark: YAML 1.2.2, section 7.4
_PLAIN = re.compile(r"(?:\.\./)*[^\W\d][\w./-]*(?: [\w./-]+)*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True)
class Line:
    """A line of YAML."""

    key: str
    """The key in YAML; empty for a line that is only a comment."""
    value: str
    """The value in YAML."""
    comment: str = ""

    @property
    def code(self) -> str:
        """The line without its comment."""
        if len(self.key) > _LONGEST_KEY:
            return f"? {self.key}\n: {self.value}"
        return f"{self.key}: {self.value}" if self.key else ""


def _comment(text: str) -> Line:
    """Return a line that is only a comment."""
    return Line("", "", text)


def aligned(lines: Sequence[Line], indent: int = 0) -> str:
    """Write indented lines, with their comments aligned in one column."""
    widths = [errors.display_width(line.code) for line in lines if line.comment]
    column = max((width for width in widths if width <= _MAX_COMMENT_COLUMN), default=0)
    return "".join(_commented(line, column, " " * indent) for line in lines)


def _commented(line: Line, column: int, margin: str) -> str:
    code = line.code.replace("\n", f"\n{margin}")
    if not line.comment:
        return f"{margin}{code}\n"
    if not code:
        return f"{margin}# {errors.printable(line.comment)}\n"
    before = f"{margin}{errors.padded(code, column)}  # "
    width = max(_WIDTH - len(before), _MIN_COMMENT_WIDTH)
    return before + errors.truncate(errors.printable(line.comment), width) + "\n"


def scalar(text: str) -> str:
    """Return a text in YAML, quoted if YAML 1.1 or 1.2 would read something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # JSON is YAML. Also escape unprintable characters, such as text direction marks.
    return errors.printable(json.dumps(text, ensure_ascii=False))
