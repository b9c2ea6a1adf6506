"""Classes with few rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from dlcli.data_checks.finding import DataIssue, listed
from dlcli.encoding import MIN_ROWS
from dlcli.errors import plural
from dlcli.tables import Table
from dlcli.tasks import Task

FEW = 10
"""A class with fewer rows is rare: too few to learn from and to be judged by."""
UNBALANCED = 10
"""How many times as many rows the largest class must have as the smallest."""


def find_rare_classes(sets: Mapping[str, Table], target: Task | None) -> DataIssue | None:
    """Finds classes with fewer than 10 rows, or without a training row.

    Silent below 20 rows. All rows are counted.

    Args:
        sets: the sets of rows, by name; that of the training rows first.
        target: what is predicted, if that is known.
    """
    if target is None or not target.classes or _rows(sets) < MIN_ROWS:
        return None
    counts = _counts(sets, target)
    train = next(iter(sets))
    untaught = [name for name in target.classes if not counts[train][name]]
    total = sum(counts.values(), Counter[str]())
    rare = [name for name in target.classes if 0 < total[name] < FEW and name not in untaught]
    if not untaught and not rare:
        return None
    without, few = ({c: plural(total[c], "row") for c in names} for names in (untaught, rare))
    parts = [f"without a training row: {listed(without, 'classes')}"] if untaught else []
    parts += [f"with few rows: {listed(few, 'classes')}"] if rare else []
    rows = sum(total[name] for name in [*untaught, *rare])
    message = f"classes {', and '.join(parts)}"
    advice = "they can hardly be learned or judged: find more such rows, or join classes"
    return DataIssue("rare_classes", "warning", target.columns, rows, message, advice)


def find_imbalance(table: Table, target: Task | None) -> DataIssue | None:
    """Finds a largest class with more than 10 times the rows of the smallest."""
    if target is None or not target.classes or table.rows < MIN_ROWS:
        return None
    ranked = _counts({"": table}, target)[""].most_common()
    (largest, most), (smallest, least) = ranked[0], ranked[-1]
    if most <= UNBALANCED * least:
        return None
    extremes = listed({largest: plural(most, "row"), smallest: plural(least, "row")})
    message = f"classes of very different size: {extremes}"
    advice = "accuracy will mislead: watch balanced_accuracy or auc, and try class_weight: balanced"
    return DataIssue("class_imbalance", "note", target.columns, None, message, advice)


def _rows(sets: Mapping[str, Table]) -> int:
    return sum(table.rows for table in sets.values())


def _counts(sets: Mapping[str, Table], target: Task) -> dict[str, Counter[str]]:
    """The rows of each class in each set."""
    counted = {}
    for name, table in sets.items():
        codes, texts = table.codes(target.columns[0])
        rows = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
        counted[name] = Counter(dict(zip(texts, rows, strict=True)))
    return counted
