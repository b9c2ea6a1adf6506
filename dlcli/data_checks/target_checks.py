"""Checks of the target: constant or odd values, rare classes, unbalanced classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from dlcli.config import Datetime
from dlcli.data_checks.data_issue import DataIssue, column_issue, listed, number
from dlcli.data_checks.sample import Sample
from dlcli.encoding import MIN_ROWS, infer_type
from dlcli.errors import plural
from dlcli.tables import Table
from dlcli.tasks import Task

FEW_ROWS = 10
"""Rows below which a class is rare: too few to learn it, and to evaluate it on."""
UNBALANCED = 10
"""Ratio of the rows of the largest class to those of the smallest, above which it is reported."""


def find_constant_target(sample: Sample) -> DataIssue | None:
    """Find numbers or columns of labels to predict that are the same in all rows."""
    target = sample.target
    if target is None or not target.has_column_per_output:
        return None
    found = {
        name: ""
        for name in target.columns
        if all(_is_constant(table, name, target) for table in (sample.table, sample.whole))
    }
    message = "the same target in all rows"
    advice = "there is nothing to learn; is it the right column?"
    return column_issue("constant_target", "warning", found, message, advice, sample.whole.rows)


def _is_constant(table: Table, column: str, target: Task) -> bool:
    """Whether all rows have the same value, or numbers that are the same once they are rounded."""
    if target.labels or table.kind(column) in ("boolean", "other"):
        return len(table.codes(column)[1]) == 1
    numbers = table.parse_numbers(column).values
    return bool((numbers == numbers[:1]).all())


def find_two_numbers(sample: Sample) -> DataIssue | None:
    """Find numbers to predict that have two values, as 1 and 2; only 0 and 1 are read as classes.

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
    advice = "for classes, declare type: categorical; for amounts, type: numeric"
    return column_issue("two_numbers", "warning", found, "a target of two numbers", advice)


def find_odd_classes(sample: Sample) -> DataIssue | None:
    """Find classes that are amounts or dates, or would be but for a few values.

    Numbers with an `NA` among them are text, and so each is a class. Silent for declared classes.
    """
    target = sample.target
    if target is None or not target.classes or target.reason == "declared":
        return None
    column = target.columns[0]
    decision = infer_type(column, sample.whole)
    decision = decision.otherwise or decision
    if not decision.warning and not isinstance(decision.feature, Datetime):
        return None
    message = f"a target read as {len(target.classes):,} classes"
    advice = "correct the values, or leave such rows out; for classes, declare type: categorical"
    return column_issue("odd_classes", "warning", {column: decision.reason}, message, advice)


def find_rare_classes(sets: Mapping[str, Table], target: Task | None) -> DataIssue | None:
    """Find classes with fewer than 10 rows, or without a training row.

    Silent below 20 rows. All rows are counted.

    Args:
        sets: the sets of rows, by name; that of the training rows first.
        target: what is predicted, if that is known.
    """
    if target is None or not target.classes:
        return None
    if sum(table.rows for table in sets.values()) < MIN_ROWS:
        return None
    counts = [_class_counts(table, target) for table in sets.values()]
    total = sum(counts, Counter[str]())
    untaught = [name for name in target.classes if not counts[0][name]]
    rare = [name for name in target.classes if 0 < total[name] < FEW_ROWS and name not in untaught]
    if not untaught and not rare:
        return None
    without, few = ({c: plural(total[c], "row") for c in names} for names in (untaught, rare))
    parts = [f"without a training row: {listed(without, 'classes')}"] if untaught else []
    parts += [f"with few rows: {listed(few, 'classes')}"] if rare else []
    rows = sum(total[name] for name in [*untaught, *rare])
    message = f"classes {', and '.join(parts)}"
    advice = "they can hardly be learned or evaluated: find more such rows, or join classes"
    return DataIssue("rare_classes", "warning", target.columns, rows, message, advice)


def find_imbalance(table: Table, target: Task | None) -> DataIssue | None:
    """Find a largest class with more than 10 times the rows of the smallest."""
    if target is None or not target.classes or table.rows < MIN_ROWS:
        return None
    ranked = _class_counts(table, target).most_common()
    (largest, most), (smallest, least) = ranked[0], ranked[-1]
    if most <= UNBALANCED * least:
        return None
    extremes = listed({largest: plural(most, "row"), smallest: plural(least, "row")})
    message = f"classes of very different size: {extremes}"
    advice = "accuracy will mislead: watch balanced_accuracy or auc, and try class_weight: balanced"
    return DataIssue("class_imbalance", "note", target.columns, None, message, advice)


def _class_counts(table: Table, target: Task) -> Counter[str]:
    codes, texts = table.codes(target.columns[0])
    rows = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    return Counter(dict(zip(texts, rows, strict=True)))
