"""A starter config for a table, with a comment on each decision."""

from __future__ import annotations

import math
import os
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import yaml

from dlcli.config import (
    DEFAULT_TRIALS,
    Auto,
    Config,
    CoreDumper,
    Data,
    Datetime,
    Feature,
    Ignored,
    Image,
    Input,
    Numeric,
    SplitChoice,
    StratifiedSplit,
    Target,
    default_tune,
)
from dlcli.data_checks import SplitAdvice, advise_split, number, require_column
from dlcli.encoding import (
    MAX_SHOWN,
    MIN_ROWS,
    ColumnSummary,
    Decision,
    count_all_rows,
    matching_name,
    settle_missing_words,
    summarize_column,
    type_columns,
    words_to_read,
)
from dlcli.errors import DataError, UsageError, did_you_mean, listed, printable, truncate
from dlcli.network import resolve_head
from dlcli.preprocessing import check_range
from dlcli.splitting import Shares, assign_rows
from dlcli.tables import Table, read_table
from dlcli.tasks import Task, drop_missing_targets, infer_task

Choice = TypeVar("Choice")

_EDITOR = """\
# yaml-language-server: $schema=./dlcli.schema.json
# For an editor that completes and checks this file: dlcli schema --output dlcli.schema.json
"""
_MAX_TARGET_CODES = 20
_MAX_LEAST_COUNT = 10
"""Integers of which even the least is larger are probably not counts."""
_IMBALANCED = 3
"""The ratio of the sizes of classes above which balancing them is suggested."""

_STACKS = ((500, (16,)), (5_000, (64, 32)), (50_000, (128, 64)), (math.inf, (256, 128)))
"""The units of the hidden layers below a number of rows: there are some tens of rows per unit, so
that a network does not overfit within a few epochs."""
_BATCHES = ((10_000, 32), (100_000, 128), (math.inf, 512))
_FEW_ROWS = 1_000
HELD_OUT = Shares(validation=0.15, test=0.15)
Preset = Literal["simple", "good"]
"""The size of what is trained. On 15 public tables of 142 to 2,026 training rows, errors relative
to LightGBM's were, in the geometric mean, .93 for `simple` and .76 for the recipe of `good` with
four members where the target is a number, and 1.02 and .79 for classes (benchmarks.accuracy)."""
_GOOD_HIDDEN = (
    "hidden:  # large layers: the averaged networks hardly overfit\n"
    + "  - {units: 128, activation: silu, dropout: 0.05}\n" * 3
)
_GOOD_MEMBERS = 8
_GOOD_STEPS = 500_000
"""About how many times a row is trained on in all, within these epochs."""
_GOOD_EPOCHS = (40, 200)
_GOOD_BATCHES = ((2_000, 64), (math.inf, 256))
_MOST_ENCODED = 200
"""The largest number of columns of numbers that are encoded by several inputs each."""


def starter_config(
    data: Path,
    target: str,
    *,
    config_folder: Path,
    ignore: Sequence[str] = (),
    positive: str | None = None,
    preset: Preset = "simple",
) -> str:
    """Write a config that can be trained unedited.

    Args:
        data: the table.
        target: the column to predict.
        config_folder: the folder of the config; the path to the table is relative to it.
        ignore: columns that are no features, or patterns of their names.
        positive: the class of two that counts as positive.
        preset: `simple` for a small network, `good` for an ensemble of large ones.

    Returns:
        Commented YAML.

    Raises:
        UsageError: for a file that cannot be read, or a target or another name that is no column.
        ConfigError: if no column is left to predict from, or for an unknown positive class.
        DataError: for a file that is not a table, or a target that cannot be learned.
    """
    if str(data) == "-":
        raise UsageError("a config needs a file that it can name, not standard input")
    table = read_table(data, words_to_read())
    require_column(table, target)
    declared = Target(column=target, positive=positive)
    [table] = settle_missing_words([table], Data(train=str(data), target=declared))
    _check_ignored(ignore, table, target)
    facts = _gather_facts(table, declared, ignore)
    path = Path(os.path.relpath(data, config_folder)).as_posix()
    remarks = [Line("", "", message) for message in (*table.notes, *table.warnings)]
    features = _aligned(_feature_lines(facts.columns, target), indent=4)
    training = _aligned(list(_training_lines(facts, preset)))
    return "\n".join(
        [
            _EDITOR,
            f"data:\n{_aligned([*_data_lines(facts, path, preset), *remarks], indent=2)}",
            f"input:\n{_encoding(facts, preset)}  features:\n{features}",
            _GOOD_HIDDEN if preset == "good" else _hidden(facts.rows),
            f"{_aligned(list(_head_lines(facts)))}\n{training}",
            _tune(facts),
        ]
    )


# Facts about the table


@dataclass(frozen=True)
class ColumnFacts:
    """The facts about a feature column."""

    name: str
    feature: Feature
    """The type to read it as."""
    reason: str
    """The reason, for the user."""
    auto: bool
    """True if `auto` would choose the same type."""
    values: ColumnSummary
    """Its values."""

    @property
    def type(self) -> str:
        """The name of the type."""
        return self.feature.type


@dataclass(frozen=True)
class TableFacts:
    """The facts about a table."""

    rows: int
    """The rows with a target."""
    without_target: int
    """The other rows, which training leaves out."""
    task: Task
    positive: str | None
    """The positive class, if it was named."""
    target_values: ColumnSummary
    """The values of its column."""
    class_rows: tuple[int, ...]
    """The number of rows of each class, if the target has classes."""
    columns: tuple[ColumnFacts, ...]
    """The other columns, in order, without the one that rows are split by."""
    holds_out: bool
    """True if there are enough rows for validation and test."""
    split: SplitAdvice | None
    """A split that suits the rows better than a random one, if there is one."""
    uses_split: bool
    """True if that split is used, not only suggested."""


def _check_ignored(names: Sequence[str], table: Table, target: str) -> None:
    """Check that each name or pattern of a column to ignore matches one.

    Raises:
        UsageError: with the nearest name.
    """
    features = [column for column in table.columns if column != target]
    for name in names:
        if name == target:
            raise UsageError(f"{table.file}: '{name}' is the target and can't be ignored")
        if not any(matching_name(column, [name]) for column in features):
            hint = did_you_mean(name, features) or f"; there are {listed(features, 12)}"
            raise UsageError(f"{table.file}: no column '{name}' to ignore{hint}")


def _gather_facts(whole: Table, target: Target, ignore: Sequence[str]) -> TableFacts:
    """Gather the facts about every column of a table.

    Args:
        whole: the table, also its rows without a target.
        target: the column to predict.
        ignore: columns that are no features, or patterns.

    Raises:
        ConfigError: if no column is left to predict from, or for an unknown positive class.
        DataError: for a target that cannot be learned.
    """
    (name,) = target.columns
    table, _ = drop_missing_targets(target, whole)
    task = infer_task(target, [table])
    values = summarize_column(table, name)
    _check_target(table, task, values)
    section = Input(features={"*": Auto(), **dict.fromkeys(ignore, Ignored())})
    inferred = type_columns(section, table, (name,), whole)
    columns = _columns(table, inferred)
    class_rows = np.bincount(table.codes(name)[0]) if task.classes else ()
    split = advise_split(table, inferred, task)
    rest = tuple(each for each in columns if split and each.name != split.choice.column)
    uses_split = (
        split is not None
        and split.is_clear
        and any(column.type != "ignored" for column in rest)
        and _holds_out(table, task, split.choice)
    )
    return TableFacts(
        rows=table.rows,
        without_target=whole.rows - table.rows,
        task=task,
        positive=target.positive,
        target_values=values,
        class_rows=tuple(map(int, class_rows)),
        columns=rest if uses_split else columns,
        holds_out=_holds_out(table, task, StratifiedSplit()),
        split=split,
        uses_split=uses_split,
    )


def _check_target(table: Table, task: Task, values: ColumnSummary) -> None:
    """Check that the target can be learned.

    Raises:
        DataError: for a single row, classes that are all seen once, or numbers out of range.
    """
    column = task.columns[0]
    if table.rows < 2:
        raise DataError("has one row with a target, expected at least two", file=table.file)
    if task.classes and values.distinct == table.rows:
        message = f"each of the {table.rows} classes is seen once; is it a name, or an identifier?"
        raise DataError(message, file=table.file, column=column)
    if not task.classes and values.bounds is None:
        check_range("none", table.numbers(column), table, column)


def _holds_out(table: Table, task: Task, choice: SplitChoice) -> bool:
    """Return whether rows can be held out, with each class in training that has two or more."""
    if table.rows < MIN_ROWS:
        return False
    if not task.classes and isinstance(choice, StratifiedSplit):
        return True
    try:
        classes = task.columns[0] if task.classes else None
        training = assign_rows(table, choice, classes, HELD_OUT, seed=0).train
    except DataError:
        return False
    if not task.classes:
        return True
    codes, names = table.codes(task.columns[0])
    return len(training) > len(names) == len(np.unique(codes[training]))


def _columns(table: Table, decisions: Mapping[str, Decision]) -> tuple[ColumnFacts, ...]:
    return tuple(
        _column(table, name, decision, auto=decisions[name].values is not None)
        for name, decision in count_all_rows(decisions, table).items()
    )


def _column(table: Table, name: str, decision: Decision, *, auto: bool) -> ColumnFacts:
    feature, values = decision.feature, decision.values
    assert values is not None  # counted
    if isinstance(feature, Numeric) and values.bounds is None:
        check_range("none", table.numbers(name), table, name)  # it is read for want of another
    reason = decision.reason if auto else "as --ignore sets"
    return ColumnFacts(name, feature, reason, auto, values)


# Sections


def _data_lines(facts: TableFacts, path: str, preset: Preset) -> Iterator[Line]:
    target, values = facts.task, facts.target_values
    written = scalar(target.columns[0])
    rows, without = f"{facts.rows:,} rows", facts.without_target
    are = "is" if without == 1 else "are"
    more = f" with a target; {without:,} without one {are} left out" if without else ""
    yield Line("train", scalar(path), rows + more)
    if target.classes:
        comment = f"{target.reason}, so {len(target.classes)} classes: {listing(values)}"
        if facts.positive is not None:
            written = f"{{column: {written}, positive: {scalar(facts.positive)}}}"
    else:
        assert values.bounds is not None  # checked
        comment = f"{target.reason}, so a number: {_range(*values.bounds)}"
    yield Line("target", written, comment)
    yield from (Line("", "", hint) for hint in _target_hints(facts))
    if facts.holds_out:
        if preset == "simple":
            share = f"{HELD_OUT.validation}"
            yield Line("validation", share, "share of the rows, for early stopping")
        yield Line("test", f"{HELD_OUT.test}", "share of the rows, for the final metrics only")
    else:
        why = "rows" if facts.rows < MIN_ROWS else "rows of most classes"
        yield Line("", "", f"no validation and test rows: too few {why} to hold some out")
    if facts.split and facts.uses_split:
        choice = f"{{name: group, column: {scalar(facts.split.choice.column)}}}"
        yield Line("split", choice, "rows with the same value resemble each other: one set for all")
    elif facts.split:
        yield Line("", "", facts.split.reason)
        yield Line("", "", facts.split.issue.advice)


def _target_hints(facts: TableFacts) -> Iterator[str]:
    """Yield what to write if integers are classes or counts."""
    values = facts.target_values
    if facts.task.classes or not values.whole or values.bounds is None:
        return
    declared = f"target: {{column: {scalar(facts.task.columns[0])}, type: "
    repeats = values.present >= 2 * values.distinct
    if repeats and 1 < values.distinct <= _MAX_TARGET_CODES:
        yield f"if its {values.distinct} integers are classes: {declared}categorical}}"
    if 0 <= values.bounds[0] <= _MAX_LEAST_COUNT:
        yield f"if it counts something: {declared}count}}, which is never negative"


def _encoding(facts: TableFacts, preset: Preset) -> str:
    numbers = sum(column.type == "numeric" for column in facts.columns)
    if preset == "simple" or not 0 < numbers <= _MOST_ENCODED:
        return ""
    return "  encoding: piecewise_linear  # each number as its place in up to 16 bins\n"


def _hidden(rows: int) -> str:
    units = _for_rows(rows, _STACKS)
    size = "one small layer" if len(units) == 1 else "two layers of this size"
    layers = "".join(f"  - {{units: {count}, activation: relu}}\n" for count in units)
    dropout = f"  # - {{units: {units[0]}, activation: relu, dropout: 0.2}}"
    return (
        f"hidden:  # for {rows:,} rows, {size}: more units may overfit\n"
        f"{layers}"
        f"{dropout}  # against overfitting: drops a random fifth of the units at each step\n"
    )


def _bare(facts: TableFacts) -> Config:
    """Return the config without what follows from the table."""
    validation = HELD_OUT.validation if facts.holds_out else None
    data = {"train": "-", "target": facts.task.columns[0], "validation": validation}
    return Config.model_validate({"data": data, "hidden": ({"units": 16},), "epochs": 1})


def _head_lines(facts: TableFacts) -> Iterator[Line]:
    """Yield comments on the output, loss and metrics that follow from the target."""
    head = resolve_head(_bare(facts), facts.task)
    assert head.output.activation is not None  # resolved
    units = "1 unit" if head.output.units == 1 else f"{head.output.units} units"
    output = f"an output of {units} with {head.output.activation.name}"
    yield Line("", "", f"output and loss follow from the target: {output},")
    yield Line("", "", f"{head.loss.name}; metrics: {', '.join(head.metrics)}")
    rows = facts.class_rows
    if rows and max(rows) > _IMBALANCED * min(rows):
        why = f"classes have {min(rows):,} to {max(rows):,} rows; this gives them equal weight"
        yield Line("", "", f"class_weight: balanced  # {why}")


def _training_lines(facts: TableFacts, preset: Preset) -> Iterator[Line]:
    if preset == "good":
        yield from _good_training_lines(facts)
        return
    epochs = 500 if facts.rows < _FEW_ROWS else 100
    stopping = "at most: early stopping may end training sooner"
    batch = _for_rows(facts.rows, _BATCHES)
    yield Line("optimizer", "{name: adam, learning_rate: 0.001}", "Adam's default, 1e-3")
    yield Line("epochs", str(epochs), stopping if facts.holds_out else "passes over the rows")
    yield Line("batch_size", str(batch), "rows per step")
    if facts.holds_out:
        stopped = "{monitor: val_loss, patience: 20}"
        yield Line("early_stopping", stopped, "epochs without improvement")
    else:
        yield Line("", "", "no early_stopping: it needs validation rows")


def _good_training_lines(facts: TableFacts) -> Iterator[Line]:
    low, high = _GOOD_EPOCHS
    epochs = min(max(_GOOD_STEPS // facts.rows, low), high)
    optimizer = "{name: adamw, learning_rate: 0.003, weight_decay: 0.1}"
    yield Line("optimizer", optimizer, "Adam with weight decay")
    yield Line("learning_rate_schedule", "cosine_decay", "falls to 0 at the last epoch")
    yield Line("epochs", str(epochs), "passes over the rows")
    yield Line("batch_size", str(_for_rows(facts.rows, _GOOD_BATCHES)), "rows per step")
    if facts.holds_out:
        stopping = f"{{monitor: val_loss, patience: {epochs}}}"
        yield Line("early_stopping", stopping, "never ends training, but keeps the best epoch")
        why = "networks, averaged; each validated on its own fold"
        yield Line("ensemble", f"{{members: {_GOOD_MEMBERS}}}", why)
    else:
        yield Line("", "", "no early_stopping: there are too few rows to validate on")
        members = f"{{members: {_GOOD_MEMBERS}, folds: none}}"
        yield Line("ensemble", members, "networks, averaged")


def _tune(facts: TableFacts) -> str:
    search = textwrap.indent(default_tune(_bare(facts), facts.rows), "#   ")
    first = (
        "# tune:  # the search of `dlcli tune`, also without these lines; uncomment to change it"
    )
    return f"{first}\n#   trials: {DEFAULT_TRIALS}\n{search}"


def _for_rows(rows: int, choices: Sequence[tuple[float, Choice]]) -> Choice:
    return next(choice for limit, choice in choices if rows < limit)


# Features: one column per line, or patterns where there are many

_MANY = 40
"""The largest number of columns that are written one per line."""
_MIN_PATTERN_COLUMNS = 3
_MANY_CATEGORIES = 50
_LONGEST_VALUE = 20
_LONGEST_COMMENT = 60
"""The length that mostly fits next to a column, so that a suggestion is not truncated."""


def _feature_lines(columns: Sequence[ColumnFacts], target: str) -> list[Line]:
    """Write the type of each column, and the reason.

    Args:
        columns: the table's columns except the target.
        target: the target, whose name a pattern must not have.
    """
    if len(columns) <= _MANY:
        return [line for column in columns for line in _column_lines(column)]
    taken = {column.name for column in columns} | {target}
    rest, lines = list(columns), []
    for prefix in _prefixes(columns):
        if f"{prefix}*" not in taken:
            # The longest prefixes come first, as the longest pattern that fits is used.
            lines += _pattern(f"{prefix}*", [c for c in rest if c.name.startswith(prefix)])
            rest = [column for column in rest if not column.name.startswith(prefix)]
    if len(rest) <= _MANY or "*" in taken:
        return [*map(_column_line, rest), *lines]
    return [*lines, *_pattern("*", rest)]


def _prefixes(columns: Sequence[ColumnFacts]) -> list[str]:
    """Return the common prefixes of numbered columns (`pixel_3_7`), the longest first."""
    numbered = (
        re.fullmatch(r"([^*?]*?[^*?\d])\d+([_x.,-]\d+)*", column.name, re.S) for column in columns
    )
    counts = Counter(match[1] for match in numbered if match)
    common = [prefix for prefix, count in counts.items() if count >= _MIN_PATTERN_COLUMNS]
    return sorted(common, key=len, reverse=True)


def _pattern(pattern: str, columns: Sequence[ColumnFacts]) -> list[Line]:
    """Write a pattern with the type of most columns, and a line for each exception."""
    if not columns:
        return []
    usual = Counter(column.feature for column in columns).most_common(1)[0][0]
    exceptions = [column for column in columns if column.feature != usual]
    written, kind = _written(usual), usual.type
    if sum(column.auto for column in exceptions) > _MANY:
        written, kind = "auto", "auto"
        exceptions = [column for column in columns if not column.auto]
    fitting = [column for column in columns if column not in exceptions]
    summary = Line(scalar(pattern), written, _summary(fitting, kind))
    return [*map(_column_line, exceptions), summary]


def _summary(columns: Sequence[ColumnFacts], kind: str) -> str:
    named = f"{len(columns)} columns, {columns[0].name} to {columns[-1].name}"
    if kind == "auto":
        counts = Counter(column.type for column in columns)
        types = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{named}: types are inferred from the rows ({types})"
    reasons = {column.reason for column in columns}
    several = "all numbers" if kind == "numeric" else "for various reasons"
    parts = [reasons.pop() if len(reasons) == 1 else several]
    if kind == "numeric":
        bounds = [bound for column in columns for bound in column.values.bounds or ()]
        parts += [_range(min(bounds), max(bounds))] if bounds else []
    return ", ".join([f"{named}: {parts[0]}", *parts[1:], *_missing_count(columns)])


def _missing_count(columns: Sequence[ColumnFacts]) -> list[str]:
    missing = sum(column.values.missing for column in columns)
    return [f"{missing:,} missing"] if missing else []


def _column_lines(column: ColumnFacts) -> list[Line]:
    """Write a column's line, and a suggestion below it if there is one."""
    if column.type == "ignored" and len(column.reason) > _LONGEST_COMMENT:
        reason, _, way = column.reason.partition("; ")
        below = [Line("", "", way)] if way else []
        return [_column_line(replace(column, reason=reason)), *below]
    if column.type == "categorical" and column.values.distinct > _MANY_CATEGORIES:
        encoded = "{type: categorical, encoding: embedding}"
        way = f"for so many values, {encoded} has fewer inputs, which are learned"
        return [_column_line(column), Line("", "", way)]
    return [_column_line(column)]


def _column_line(column: ColumnFacts) -> Line:
    values = column.values
    parts = [column.reason]
    if column.type == "numeric" and values.bounds:
        parts.append(_range(*values.bounds))
    if column.type != "ignored":
        parts += _missing_count([column])
    comment = ", ".join(parts)
    if column.type in ("boolean", "categorical"):
        comment = f"{comment}: {listing(values)}"
    elif column.type == "numeric" and values.may_be_codes:
        comment = f"{comment}; if codes, categorical"
    return Line(scalar(column.name), _written(column.feature), comment)


def _written(feature: Feature) -> str:
    """Return a feature as YAML, with the parameters that depend on the column."""
    if isinstance(feature, Datetime) and feature.formats:
        formats = [scalar(format) for format in feature.formats]
        written = formats[0] if len(formats) == 1 else f"[{', '.join(formats)}]"
        return f"{{type: datetime, format: {written}}}"
    if isinstance(feature, Image):
        return f"{{type: image, shape: {[*feature.shape]}}}"
    return feature.type


def _range(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def listing(values: ColumnSummary) -> str:
    """List the most frequent values with their numbers of rows: `setosa (50), virginica (49)`."""
    shown = [f"{truncate(text, _LONGEST_VALUE)} ({count:,})" for text, count in values.frequent]
    return ", ".join([*shown, "..."] if values.distinct > MAX_SHOWN else shown)


# YAML

_WIDTH = 108
"""The width of lines, if it leaves space for a comment of a few words."""
_MAX_COMMENT_COLUMN = 50
_MIN_COMMENT_WIDTH = 40
_LONGEST_KEY = 1000  # a longer one needs a question mark: YAML 1.2.2, section 7.4
_NO_LINE_BREAK = 2**31 - 1
_PLAIN = re.compile(r"(?:\.\./)*[^\W\d][\w./-]*(?: [\w./-]+)*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True)
class Line:
    """A line of YAML."""

    key: str
    """As YAML; empty for a line that is only a comment."""
    value: str
    """As YAML."""
    comment: str = ""

    @property
    def code(self) -> str:
        """The line without its comment."""
        if len(self.key) > _LONGEST_KEY:
            return f"? {self.key}\n: {self.value}"
        return f"{self.key}: {self.value}" if self.key else ""


def _aligned(lines: Sequence[Line], indent: int = 0) -> str:
    """Write lines with their comments in one column, indented by some spaces."""
    widths = [len(line.code) for line in lines if line.comment]
    column = max((width for width in widths if width <= _MAX_COMMENT_COLUMN), default=0)
    return "".join(_commented(line, column, " " * indent) for line in lines)


def _commented(line: Line, column: int, margin: str) -> str:
    code = line.code.replace("\n", f"\n{margin}")
    if not line.comment:
        return f"{margin}{code}\n"
    if not code:
        return f"{margin}# {printable(line.comment)}\n"
    before = f"{margin}{code.ljust(column)}  # "
    width = max(_WIDTH - len(before), _MIN_COMMENT_WIDTH)
    return before + truncate(printable(line.comment), width) + "\n"


def scalar(text: str) -> str:
    """Return a text as YAML, in quotes where YAML 1.1 or 1.2 would read something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    dumped: str = yaml.dump(
        text, Dumper=CoreDumper, default_style='"', allow_unicode=True, width=_NO_LINE_BREAK
    )
    return printable(dumped.rstrip("\n"))  # escapes what YAML allows, such as marks of direction
