"""The facts about a table that determine its starter config."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlcli.columns.category import type_of_values
from dlcli.columns.column_type import Auto, Decision, Ignored
from dlcli.columns.number import Numeric
from dlcli.columns.registry import Feature
from dlcli.columns.scaling import check_range
from dlcli.columns.type_inference import MIN_ROWS, ColumnSummary, summarize_column
from dlcli.config.data_section import (
    Features,
    GroupSplit,
    Input,
    SplitChoice,
    StratifiedSplit,
    Target,
    TimeSplit,
)
from dlcli.data_checks import category_checks, target_checks
from dlcli.data_checks.linear_relations import LinearRelation, find_relation
from dlcli.data_checks.row_checks import SplitAdvice, advise_split
from dlcli.data_checks.sample import draw_sample
from dlcli.encoding.column_types import count_all_rows, type_columns
from dlcli.errors import DataError, option
from dlcli.splitting import Shares, assign_rows
from dlcli.starter.column_facts import ColumnFacts
from dlcli.starter.split_choice import features_of_split
from dlcli.tables.table import Table
from dlcli.tasks.inference import drop_missing_targets, infer_task
from dlcli.tasks.task import Task

HELD_OUT = Shares(validation=0.15, test=0.15)
"""The shares of rows that are held out."""
MOST_ENCODED = 2**28
"""Maximum number of additional inputs times rows, which limits the duration of an epoch."""


@dataclass(frozen=True)
class TableFacts:
    """The facts about a table."""

    rows: int
    """Number of rows with a target."""
    without_target: int
    """Number of rows without a target, which training omits."""
    task: Task
    positive_class: str | None
    """The positive class, if specified."""
    target_values: tuple[ColumnSummary, ...]
    """A summary of the values of each target column."""
    without_classes: Decision | None
    """The type of a target whose classes are probably not classes."""
    relation: LinearRelation | None
    """The target as a sum of columns, or `None`."""
    tail: target_checks.LongTail | None
    """The long tail of a numeric target, or `None`."""
    class_rows: tuple[int, ...]
    """Number of rows of each class, if the target has classes."""
    columns: tuple[ColumnFacts, ...]
    """The other columns, in order, without the column by which rows are split."""
    holds_out: bool
    """Whether there are enough rows for validation and test."""
    split: SplitAdvice | None
    """A split that suits the table better than a random split, or `None`."""
    choice: SplitChoice | None
    """The split of the config: declared, or the better one if the config does not only suggest it.
    `None` omits it."""
    subjects: int
    """Number of groups by which rows are split, or 0."""

    @property
    def has_folds(self) -> bool:
        """Whether networks can be validated on folds; in time, other folds have later rows."""
        return self.holds_out and not isinstance(self.choice, TimeSplit)


def gather_facts(
    whole: Table,
    target: Target,
    ignore: Sequence[str],
    declared: Features,
    choice: SplitChoice | None = None,
) -> TableFacts:
    """Gather the facts about every column of a table.

    Args:
        whole: the table, including rows without a target.
        target: the column or columns to predict.
        ignore: columns to exclude from the features, or patterns.
        declared: the types of some columns.
        choice: the declared split; if omitted, the one that the rows suggest.

    Raises:
        ConfigError: if no column is left to predict from, or for an unknown positive class.
        DataError: if the target can't be learned.
    """
    table, _ = drop_missing_targets(target, whole)
    task = infer_task(target, [table])
    values = tuple(summarize_column(table, name) for name in target.columns)
    _check_target(table, task, values)
    ignored = dict.fromkeys(ignore, Ignored())
    section = Input(features={"*": Auto(), **ignored, **declared})
    inferred = type_columns(section, table, target.columns, whole)
    sample = draw_sample(table, inferred, task)
    leaks = target_checks.select_leaks(target_checks.explain_by_columns(sample), task)
    columns = _columns(table, inferred, leaks)
    class_rows = np.bincount(table.codes(task.columns[0])[0]) if task.classes else ()
    advice = advise_split(table, inferred, task) if choice is None else None
    if choice is not None:
        assign_rows(table, choice, task.class_column, HELD_OUT, seed=0)  # refuses its values
    elif advice is not None and advice.is_clear and _holds_out(table, task, advice.choice):
        rest = features_of_split(columns, advice.choice, table)
        choice = advice.choice if any(each.feature.is_read for each in rest) else None
    is_grouped = isinstance(choice, GroupSplit)
    subjects = len(table.codes(choice.column)[1]) if isinstance(choice, GroupSplit) else 0
    relation = find_relation(sample)
    # In a group split, each value may belong to one subject; parts of a sum are amounts.
    if not is_grouped and relation is None:
        effects = category_checks.measure_category_effects(category_checks.with_more_rows(sample))
        most = MOST_ENCODED // (table.rows * max(len(effects), 1))
        columns = tuple(
            _as_values(column, effects[column.name], most) if column.name in effects else column
            for column in columns
        )
    return TableFacts(
        rows=table.rows,
        without_target=whole.rows - table.rows,
        task=task,
        positive_class=target.positive_class,
        target_values=values,
        without_classes=target_checks.type_without_classes(table, task),
        relation=relation,
        tail=target_checks.target_tail(sample),
        class_rows=tuple(map(int, class_rows)),
        columns=columns if choice is None else features_of_split(columns, choice, table),
        holds_out=_holds_out(table, task, StratifiedSplit()),
        split=advice,
        choice=choice,
        subjects=subjects,
    )


_VALUE_REASONS: Mapping[category_checks.CategoryKind, str] = {
    "codes": "codes, not quantities",
    "repeated_amounts": "numbers that act like IDs",
    "many_categories": "text whose rare values help to predict the target",
}


def _as_values(
    column: ColumnFacts, effect: category_checks.CategoryEffect, most: int
) -> ColumnFacts:
    """Return a column whose exact values are encoded.

    Args:
        column: the column.
        effect: how its values help to predict the target.
        most: maximum number of its one-hot inputs.
    """
    distinct = column.values.distinct
    feature: Feature = type_of_values(distinct, most)
    if effect.kind == "repeated_amounts":
        feature = Numeric(one_hot_values=min(distinct, category_checks.MOST_ONE_HOT, most))
    reason = _VALUE_REASONS[effect.kind]
    return replace(column, feature=feature, reason=reason, auto=False, evidence=effect.evidence)


def _check_target(table: Table, task: Task, values: Sequence[ColumnSummary]) -> None:
    """Check that the target can be learned.

    Raises:
        DataError: if there is a single row, each class occurs once, or numbers are out of range.
    """
    if table.rows < 2:
        raise DataError("has one row with a target, expected at least two", file=table.file)
    target_checks.refuse_names(task, table)
    for column, summary in zip(task.columns, values, strict=True):
        if task.classes and summary.distinct == table.rows:
            message = f"each of the {table.rows} classes occurs only once"
            message = f"{message}; is it a name, an identifier or a date?"
            raise DataError(message, file=table.file, column=column)
        if not task.classes and not task.labels and summary.bounds is None:
            check_range("none", table.numbers(column), table, column)


def _holds_out(table: Table, task: Task, choice: SplitChoice) -> bool:
    """Return whether rows can be held out.

    Each class must be in the training rows, and two of them twice; otherwise the rows outside a
    fold might have only one class.
    """
    if table.rows < MIN_ROWS:
        return False
    if not task.classes and isinstance(choice, StratifiedSplit):
        return True
    try:
        training = assign_rows(table, choice, task.class_column, HELD_OUT, seed=0).train
    except DataError:
        return False
    if not task.classes:
        return True
    codes, names = table.codes(task.columns[0])
    rows = np.sort(np.bincount(codes[training], minlength=len(names)))
    return len(training) > len(names) and rows[0] >= 1 and rows[-2] >= 2


def _columns(
    table: Table, decisions: Mapping[str, Decision], leaks: Collection[str]
) -> tuple[ColumnFacts, ...]:
    found = []
    for name, decision in count_all_rows(decisions, table).items():
        feature, values = decision.feature, decision.values
        assert values is not None  # counted
        if feature.is_risky(values):
            check_range("none", table.numbers(name), table, name)  # the only usable column
        auto = decisions[name].values is not None
        by = "type" if feature.is_read else "ignore"
        reason = decision.reason if auto else f"as {option(by)} sets"
        found.append(ColumnFacts(name, feature, reason, auto, values, name in leaks))
    return tuple(found)
