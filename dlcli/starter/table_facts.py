"""The facts about a table that a starter config depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlcli.columns.category import Categorical
from dlcli.columns.column_type import Auto, Decision, Ignored
from dlcli.columns.number import Numeric
from dlcli.columns.registry import Feature
from dlcli.columns.scaling import check_range
from dlcli.columns.type_inference import MIN_ROWS, ColumnSummary, summarize_column
from dlcli.config.data_section import Input, SplitChoice, StratifiedSplit, Target
from dlcli.data_checks import category_checks, target_checks
from dlcli.data_checks.row_checks import SplitAdvice, advise_split
from dlcli.data_checks.sample import draw_sample
from dlcli.encoding.column_types import count_all_rows, type_columns
from dlcli.errors import DataError, option
from dlcli.splitting import Shares, assign_rows
from dlcli.tables.table import Table
from dlcli.tasks.inference import drop_missing_targets, infer_task
from dlcli.tasks.task import Task

HELD_OUT = Shares(validation=0.15, test=0.15)
"""The shares of rows that are held out."""
MOST_ENCODED = 2**28
"""The largest number of further inputs of all rows: 1 GiB in memory."""


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
    leaks: bool
    """True if it alone predicts nearly all of the target."""

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
    positive_class: str | None
    """The positive class, if it was named."""
    target_values: tuple[ColumnSummary, ...]
    """The values of each of its columns."""
    without_classes: Decision | None
    """The type of a target with classes that are probably none."""
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
    subjects: int
    """The different values of the column that rows are split by; 0 without one."""


def gather_facts(whole: Table, target: Target, ignore: Sequence[str]) -> TableFacts:
    """Gather the facts about every column of a table.

    Args:
        whole: the table, also its rows without a target.
        target: the column or columns to predict.
        ignore: columns to exclude from the features, or patterns.

    Raises:
        ConfigError: if no column is left to predict from, or for an unknown positive class.
        DataError: for a target that cannot be learned.
    """
    table, _ = drop_missing_targets(target, whole)
    task = infer_task(target, [table])
    values = tuple(summarize_column(table, name) for name in target.columns)
    _check_target(table, task, values)
    section = Input(features={"*": Auto(), **dict.fromkeys(ignore, Ignored())})
    inferred = type_columns(section, table, target.columns, whole)
    sample = draw_sample(table, inferred, task)
    leaks = target_checks.select_leaks(target_checks.explain_by_columns(sample), task)
    columns = _columns(table, inferred, leaks)
    class_rows = np.bincount(table.codes(task.columns[0])[0]) if task.classes else ()
    split = advise_split(table, inferred, task)
    rest = tuple(each for each in columns if split and each.name != split.choice.column)
    is_usable = split is not None and split.is_clear and any(each.feature.is_read for each in rest)
    uses_split = split is not None and is_usable and _holds_out(table, task, split.choice)
    divided = split.choice.column if split is not None and uses_split else None
    subjects = sum(each.values.distinct for each in columns if each.name == divided)
    if not uses_split:  # or values of one subject each, which other rows don't have, would count
        named = category_checks.measure_category_effects(sample)
        most = min(category_checks.MOST_VALUES, MOST_ENCODED // (table.rows * max(len(named), 1)))
        columns = tuple(
            _as_named(column, named[column.name].kind, most) if column.name in named else column
            for column in columns
        )
    return TableFacts(
        rows=table.rows,
        without_target=whole.rows - table.rows,
        task=task,
        positive_class=target.positive_class,
        target_values=values,
        without_classes=target_checks.type_without_classes(table, task),
        class_rows=tuple(map(int, class_rows)),
        columns=rest if uses_split else columns,
        holds_out=_holds_out(table, task, StratifiedSplit()),
        split=split,
        uses_split=uses_split,
        subjects=subjects,
    )


_NAMING_REASONS: Mapping[category_checks.CategoryKind, str] = {
    "codes": "codes: their order carries no information",
    "repeated_amounts": "numbers that act like IDs",
    "many_categories": "text whose rare values help to predict the target",
}


def _as_named(column: ColumnFacts, kind: category_checks.CategoryKind, most: int) -> ColumnFacts:
    """Return a column whose values name something, with inputs for at most so many."""
    most = min(column.values.distinct, most)
    feature: Feature = Categorical(max_categories=max(Categorical().max_categories, most))
    if kind == "repeated_amounts":
        feature = Numeric(one_hot_values=most)
    return replace(column, feature=feature, reason=_NAMING_REASONS[kind], auto=False)


def _check_target(table: Table, task: Task, values: Sequence[ColumnSummary]) -> None:
    """Check that the target can be learned.

    Raises:
        DataError: for a single row, classes that are all seen once, or numbers out of range.
    """
    if table.rows < 2:
        raise DataError("has one row with a target, expected at least two", file=table.file)
    for column, summary in zip(task.columns, values, strict=True):
        if task.classes and summary.distinct == table.rows:
            message = f"each of the {table.rows} classes occurs only once"
            message = f"{message}; is it a name, an identifier or a date?"
            raise DataError(message, file=table.file, column=column)
        if not task.classes and not task.labels and summary.bounds is None:
            check_range("none", table.numbers(column), table, column)


def _holds_out(table: Table, task: Task, choice: SplitChoice) -> bool:
    """Return whether rows can be held out.

    Each class must be in training, and two of them twice: else a fold might have all the rows of
    all classes but one.
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
            check_range("none", table.numbers(name), table, name)  # it is read for want of another
        auto = decisions[name].values is not None
        reason = decision.reason if auto else f"as {option('ignore')} sets"
        found.append(ColumnFacts(name, feature, reason, auto, values, name in leaks))
    return tuple(found)
