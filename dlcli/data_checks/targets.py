"""Targets that hold something other than what is to be learned."""

from __future__ import annotations

import numpy as np

from dlcli.config import Datetime
from dlcli.data_checks.finding import DataIssue, listed, number
from dlcli.data_checks.sample import Sample
from dlcli.encoding import infer_type
from dlcli.tables import Table
from dlcli.tasks import Task


def find_constant_target(sample: Sample) -> DataIssue | None:
    """Finds numbers or columns of labels to predict that are the same in all rows."""
    target = sample.target
    if target is None or not target.has_column_per_output:
        return None
    found = {
        name: ""
        for name in target.columns
        if all(_is_constant(table, name, target) for table in (sample.table, sample.whole))
    }
    if not found:
        return None
    message = f"the same target in all rows: {listed(found)}"
    advice = "there is nothing to learn; is it the right column?"
    return DataIssue("constant_target", "warning", tuple(found), sample.whole.rows, message, advice)


def find_two_numbers(sample: Sample) -> DataIssue | None:
    """Finds numbers to predict that are one of two, as 1 and 2 are; only 0 and 1 are classes.

    Silent for declared numbers.
    """
    target = sample.target
    if target is None or target.type != "numeric" or target.reason == "declared":
        return None
    every = {name: np.unique(sample.whole.parse_numbers(name).values) for name in target.columns}
    found = {
        name: " and ".join(map(number, values.tolist()))
        for name, values in every.items()
        if len(values) == 2 < sample.whole.rows
    }
    if not found:
        return None
    message = f"a target of two numbers: {listed(found)}"
    advice = "for classes, declare type: categorical; for amounts, type: numeric"
    return DataIssue("two_numbers", "warning", tuple(found), None, message, advice)


def find_odd_classes(sample: Sample) -> DataIssue | None:
    """Finds classes that are amounts or dates, or would be but for a few values.

    Numbers with an `NA` among them are text, and so a class each. Silent for declared classes.
    """
    target = sample.target
    if target is None or not target.classes or target.reason == "declared":
        return None
    column = target.columns[0]
    decision = infer_type(column, sample.whole)
    decision = decision.otherwise or decision
    if not decision.warning and not isinstance(decision.feature, Datetime):
        return None
    classes = f"{len(target.classes):,} classes"
    message = f"a target taken for {classes}: {listed({column: decision.reason})}"
    advice = "correct the values, or leave such rows out; for classes, declare type: categorical"
    return DataIssue("odd_classes", "warning", (column,), None, message, advice)


def _is_constant(table: Table, column: str, target: Task) -> bool:
    """Whether all rows have one value, or numbers that are the same once they are rounded."""
    if target.labels or table.kind(column) in ("boolean", "other"):
        return len(table.codes(column)[1]) == 1
    numbers = table.parse_numbers(column).values
    return bool((numbers == numbers[:1]).all())
