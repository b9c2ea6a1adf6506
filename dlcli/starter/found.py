"""The summary of what `dlcli init` found in a table, for standard error."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from dlcli.columns.type_inference import span
from dlcli.config.data_section import GroupSplit, TimeSplit
from dlcli.errors import first_names, joined, plural, predicted_target
from dlcli.starter.column_facts import ColumnFacts
from dlcli.starter.split_choice import written_split
from dlcli.starter.table_facts import HELD_OUT, TableFacts
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

_LABEL_WIDTH = 10
"""Width of the labels, as in the log of `dlcli train`."""
_MOST_NAMES = 5


def found_lines(file: str, facts: TableFacts, *, has_folds: bool) -> Iterator[str]:
    """Summarize a table: rows, target, features by type, ignored columns with reasons, split.

    Args:
        file: the name of the table.
        facts: the facts about it.
        has_folds: whether the networks of the config are validated on folds.
    """
    without = facts.without_target
    omitted = f", {without:,} without a target omitted" if without else ""
    yield _labeled("data", f"{file}: {plural(facts.rows, 'row')}{omitted}")
    names = first_names(facts.task.columns, _MOST_NAMES)
    yield _labeled("target", f"{names}: {task_words(facts)}")
    read = [column for column in facts.columns if column.feature.is_read]
    counts = Counter(column.type for column in read)
    yield _labeled("features", ", ".join(f"{count} {name}" for name, count in counts.items()))
    for why, columns in _by_reason([column for column in read if column.evidence]).items():
        yield _labeled("", f"{_named(columns)}: {why}")
    ignored = [column for column in facts.columns if not column.feature.is_read]
    for index, (why, columns) in enumerate(_by_reason(ignored).items()):
        yield _labeled("" if index else "ignored", f"{_named(columns)}: {why}")
    yield _labeled("split", _split_words(facts, has_folds=has_folds))


def doubts(table: Table, facts: TableFacts) -> Iterator[str]:
    """Yield warnings about possible leakage, the split, and guesses about the file."""
    if leaks := [column.name for column in facts.columns if column.leaks]:
        named = first_names([f"'{name}'" for name in leaks], _MOST_NAMES)
        of_target = predicted_target(of_several=len(facts.task.columns) > 1)
        which = f"column {named}" if len(leaks) == 1 else f"each of {named}"
        yield f"{table.file}: {which} alone predicts nearly all of {of_target} (data leakage?)"
    if facts.relation is not None:
        yield f"{table.file}: {facts.relation.formula} (data leakage?)"
    if facts.split is not None:
        way = facts.split.advice
        if facts.choice is not None:
            way = f"the config has data.split: {written_split(facts.choice)}"
        yield f"{table.file}: {facts.split.reason}; {way}"
    yield from table.warnings


def _labeled(label: str, text: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}{text}"


def task_words(facts: TableFacts) -> str:
    """Return a description of the task, and its values."""
    task, values = facts.task, facts.target_values
    if task.classes:
        return f"{len(task.classes)} classes: {values[0].listing}"
    if task.labels:
        return f"{len(task.labels)} labels; a row can have any number of them"
    ranges = [span(*each.bounds) for each in values if each.bounds is not None]
    if len(ranges) == 1:
        return f"{_kind(task)}, {ranges[0]}"
    return f"{len(ranges)} numbers: {', '.join(ranges)}"


def _kind(task: Task) -> str:
    return "count" if task.type == "count" else "numeric"


def reason_stem(reason: str) -> str:
    """Return a reason without what differs by column: values, counts and advice."""
    return re.split(r"[:;,]", reason)[0]


def _by_reason(columns: Sequence[ColumnFacts]) -> dict[str, list[ColumnFacts]]:
    """Group columns by reason; a reason of one column is complete."""
    found = defaultdict[str, list[ColumnFacts]](list)
    for column in columns:
        found[reason_stem(column.reason)].append(column)
    return {stem if len(alike) > 1 else alike[0].reason: alike for stem, alike in found.items()}


def _named(columns: Sequence[ColumnFacts]) -> str:
    return first_names([column.name for column in columns], _MOST_NAMES)


def _split_words(facts: TableFacts, *, has_folds: bool) -> str:
    """Describe the split that the config sets."""
    choice, advice, by = facts.choice, facts.split, ""
    if isinstance(choice, GroupSplit):
        by = f", all rows of a {choice.column} in one {'fold' if has_folds else 'set'}"
    elif isinstance(choice, TimeSplit):
        by = f", the latest by {joined(choice.columns)}"
    if has_folds and not (advice and isinstance(advice.choice, TimeSplit)):
        return f"folds of all rows, no separate test rows{by}"
    if not facts.holds_out:
        return "no validation and test rows, because there are too few"
    validation, test = (f"{100 * share:g} %" for share in (HELD_OUT.validation, HELD_OUT.test))
    held = f"{test} test rows" if has_folds else f"{validation} validation rows, {test} test rows"
    how = "stratified" if facts.task.classes else "at random"
    return f"{held}{by or f', {how}'}"
