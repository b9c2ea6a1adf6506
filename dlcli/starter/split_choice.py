"""The split of a starter config: as an option sets it, or as the rows suggest, and its features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dlcli import errors
from dlcli.arrays import Indices
from dlcli.columns.column_type import Ignored
from dlcli.config.data_section import (
    GroupSplit,
    RandomSplit,
    SplitChoice,
    StratifiedSplit,
    TimeSplit,
)
from dlcli.data_checks.inspection import require_columns
from dlcli.data_checks.row_checks import SplitAdvice
from dlcli.starter.column_facts import ColumnFacts
from dlcli.starter.commented_yaml import Line, comment, scalar
from dlcli.tables.row_times import time_ranks
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

AUTO = "auto"
"""The split that the rows suggest."""
_EARLY = 0.7
"""Share of the rows that a split in time trains on."""
_ALIASES = 0.9
"""Minimum number of values per group in categories that are another name of the group."""


def declared_split(text: str, table: Table, targets: Sequence[str]) -> SplitChoice | None:
    """Return the split that an option sets: `time:COLUMN`, `group:COLUMN` or `random`.

    Args:
        text: the option; several columns of a time are separated by commas.
        table: the table.
        targets: the target columns.

    Returns:
        The split; `None` for `auto`.

    Raises:
        UsageError: for another text, an unknown column or a target.
    """
    if text == AUTO:
        return None
    if text == "random":
        return RandomSplit()
    kind, colon, rest = text.partition(":")
    if kind not in ("time", "group") or not colon or not rest.strip():
        near = f"{kind}:COLUMN" if kind in ("time", "group") else ""
        expected = near or "time:COLUMN, group:COLUMN or random"
        raise errors.UsageError(f"{errors.option('split')}: expected {expected}, got '{text}'")
    is_one = kind == "group" or rest in table.columns
    names = [rest] if is_one else [name.strip() for name in rest.split(",")]
    columns = require_columns(table, names)
    for column in columns:
        if column in targets:
            message = f"'{column}' is a target, whose values are not known for new rows"
            raise errors.UsageError(f"{table.file}: {errors.option('split')}: {message}")
    if kind == "group":
        return GroupSplit(column=columns[0])
    return TimeSplit(column=columns[0] if len(columns) == 1 else columns)


def features_of_split(
    columns: Sequence[ColumnFacts], choice: SplitChoice, table: Table
) -> tuple[ColumnFacts, ...]:
    """Return the columns that can be features with a split.

    The group is not a feature, and neither is a column with another name of each group. Parts of
    the time are features only if later rows have values that earlier rows have, such as months, and
    other columns only if earlier rows have a value.

    Args:
        columns: all columns.
        choice: the split.
        table: the rows.
    """
    if isinstance(choice, GroupSplit):
        groups = table.codes(choice.column)[0]
        return tuple(
            _without_alias(column, choice.column, groups, table)
            for column in columns
            if column.name != choice.column
        )
    if isinstance(choice, TimeSplit):
        order = np.argsort(time_ranks(table, choice.columns), kind="stable")
        early = int(_EARLY * table.rows)
        return tuple(
            _known_parts(column, order[:early], order[early:], table)
            if column.name in choice.columns and column.feature.is_read
            else _with_early_values(column, order[:early], table)
            for column in columns
        )
    return tuple(columns)


def _without_alias(column: ColumnFacts, group: str, groups: Indices, table: Table) -> ColumnFacts:
    """Return a column, ignored if it has one value for each group, and no value twice.

    A few groups may share a category, such as both Koreas the code KOR.
    """
    count = int(groups.max()) + 1
    least = count if column.feature.is_amount else _ALIASES * count
    if not column.feature.is_read or not least <= column.values.distinct <= count:
        return column
    codes, names = table.codes(column.name)
    if codes.min() < 0 or len(np.unique(groups * len(names) + codes)) != count:
        return column
    reason = f"another name of {scalar(group)}"
    return replace(column, feature=Ignored(), reason=reason, auto=False, evidence="")


def _known_parts(column: ColumnFacts, early: Indices, late: Indices, table: Table) -> ColumnFacts:
    """Return a part of the time with the parts whose values later rows share with earlier ones."""
    feature = column.feature.with_known_values(column.name, table, early, late)
    if feature is None:
        reason = "earlier rows do not have the values of later rows"
        return replace(column, feature=Ignored(), reason=reason, auto=False, evidence="")
    return column if feature is column.feature else replace(column, feature=feature, auto=False)


def _with_early_values(column: ColumnFacts, early: Indices, table: Table) -> ColumnFacts:
    """Return a column, ignored if no early row has a value, as one that is recorded only later."""
    if not column.feature.is_read or not table.column(column.name).missing()[early].all():
        return column
    reason = "only later rows have a value"
    return replace(column, feature=Ignored(), reason=reason, auto=False, evidence="")


def split_lines(
    choice: SplitChoice, advice: SplitAdvice | None, groups: int, task: Task, part: str
) -> Iterator[Line]:
    """Yield the split of the config, with its reason and the alternatives.

    Args:
        choice: the split.
        advice: why the rows suggest it; `None` if it is declared.
        groups: number of groups that rows are split by.
        task: the task.
        part: what groups stay in: `set` or `fold`.
    """
    if isinstance(choice, GroupSplit):
        reason = "are similar, so they " if advice else ""
        why = f"rows with the same value {reason}stay in one {part}"
        yield Line("split", written_split(choice), why)
        yield comment(f"if you will predict for the same {groups:,} values, not for new ones:")
        feature = f"{{type: categorical, max_categories: {groups}}}"
        column = scalar(choice.column)
        yield comment(f"  split: random, and in input.features, {column}: {feature}")
        if advice and advice.later:
            yield comment(advice.later)
    elif isinstance(choice, TimeSplit):
        why = "the earliest rows train, the latest rows test"
        yield Line("split", written_split(choice), why)
        if advice:
            yield comment(advice.reason)
    else:
        why = "as chosen, so training does not warn that rows are similar"
        yield Line("split", choice.name, why)
        if task.classes:
            other = StratifiedSplit().name
            yield comment(f"with {other}, every {part} has the same share of each class")


def written_split(choice: SplitChoice) -> str:
    """Write a split by columns."""
    names = [*map(scalar, choice.columns)]
    columns = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    return f"{{name: {choice.name}, column: {columns}}}"
