"""Checks of the target: constant or odd values, rare classes, and leakage from single columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Datetime
from dlcli.data_checks.data_issue import DataIssue, column_issue, listed, number
from dlcli.data_checks.sample import Codes, Floats, Sample, SampledColumn
from dlcli.encoding import MIN_ROWS, infer_type
from dlcli.errors import plural
from dlcli.tables import Table
from dlcli.tasks import Task

FEW_ROWS = 10
"""Rows below which a class is rare: too few to learn it, and to evaluate it."""
UNBALANCED = 10
"""Ratio of the rows of the largest class to those of the smallest, above which it is reported."""


def find_constant_target(sample: Sample) -> DataIssue | None:
    """Find targets, numbers or columns of labels, with the same value in all rows."""
    target = sample.target
    if target is None or not target.has_column_per_output:
        return None
    found = {
        name: ""
        for name in target.columns
        if all(_is_constant(table, name, target) for table in (sample.table, sample.whole))
    }
    message = "the same target in all rows"
    advice = "there is nothing to learn: check that it is the right column"
    return column_issue("constant_target", "warning", found, message, advice, sample.whole.rows)


def _is_constant(table: Table, column: str, target: Task) -> bool:
    """Whether all rows have the same value, or numbers that are the same once they are rounded."""
    if target.labels or table.kind(column) in ("boolean", "other"):
        return len(table.codes(column)[1]) == 1
    numbers = table.parse_numbers(column).values
    return bool((numbers == numbers[:1]).all())


def find_two_numbers(sample: Sample) -> DataIssue | None:
    """Find numeric targets with two values, such as 1 and 2; only 0 and 1 are read as classes.

    Declared numbers are not checked.
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
    message = "a target with only two different numbers"
    advice = "if they are classes, declare type: categorical; if amounts, type: numeric"
    return column_issue("two_numbers", "warning", found, message, advice)


def find_odd_classes(sample: Sample) -> DataIssue | None:
    """Find classes that are amounts or dates, or would be except for a few values.

    Numbers with an `NA` among them are text, so that each is a class. Declared classes are not
    checked.
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
    advice = "correct the values or drop such rows; if they are classes, declare type: categorical"
    return column_issue("odd_classes", "warning", {column: decision.reason}, message, advice)


def find_rare_classes(sets: Mapping[str, Table], target: Task | None) -> DataIssue | None:
    """Find classes with fewer than 10 rows, or without a training row.

    All rows are counted. Tables of fewer than 20 rows are not checked.

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
    advice = "too few to learn from or to evaluate: collect more such rows, or combine classes"
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
    advice = "accuracy is misleading: use balanced_accuracy or auc, and try class_weight: balanced"
    return DataIssue("class_imbalance", "note", target.columns, None, message, advice)


def _class_counts(table: Table, target: Task) -> Counter[str]:
    codes, texts = table.codes(target.columns[0])
    rows = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    return Counter(dict(zip(texts, rows, strict=True)))


NEARLY_ALL = 0.99
"""Share of a constant prediction's error that a column must remove to be reported."""
_FEWEST_WRONG = 5
_BINS = 50
_ROWS_A_BIN = 10

_Score = Callable[[SampledColumn], float]


class _Halves(NamedTuple):
    """A column's rows to learn from and to test on."""

    groups: int
    """Number of groups of rows."""
    learned: Codes
    """The group of each row to learn from, (rows,)."""
    learned_at: Floats
    """Its number within the group, (rows,)."""
    tested: Codes
    """The group of each row to test on, (rows,)."""
    tested_at: Floats
    """Its number within the group, (rows,)."""


@np.errstate(over="ignore", invalid="ignore")
def find_leakage(sample: Sample) -> DataIssue | None:
    """Find columns from which alone the target of other rows can be predicted almost without error.

    For each column a predictor is fitted on one half of the rows and tested on the other, and vice
    versa, so that an identifier, which says nothing about other rows, is not reported. Classes are
    predicted as the most frequent one of the same category, or of the nearest number; numbers as
    the mean of the category, or by a straight line in each of up to 50 bins of a number. Reported
    is a column that removes 99 % of the error of a constant prediction, `1 - e / e₀`: `e` counts
    wrong classes, and `e₀` those of the most frequent class; for numbers they are sums of squares,
    `e₀` around the mean, so that this is R².

    Not checked are tables of fewer than 20 rows, a single feature, and classes of which a constant
    prediction misses fewer than 5 rows.
    """
    if sample.target is None or sample.table.rows < MIN_ROWS or len(sample.columns) < 2:
        return None
    scores = [_score(sample, target) for target in sample.target.columns]
    explained = {
        name: max(score(column) for score in scores) for name, column in sample.columns.items()
    }
    leaks = {
        name: f"{np.floor(share * 1000) / 10:g} %"
        for name, share in explained.items()
        if share >= NEARLY_ALL
    }
    message = "one column alone predicts nearly all of the target"
    advice = (
        "check that its value is known when predictions are made, and not derived from the target; "
        "otherwise declare it ignored in input.features"
    )
    return column_issue("target_leakage", "warning", leaks, message, advice)


def _score(sample: Sample, target: str) -> _Score:
    """Return a function that computes which share of a target's error a feature removes."""
    assert sample.target is not None
    first = np.random.default_rng(0).permutation(sample.table.rows) % 2 == 0
    if sample.target.classes or not sample.table.looks_numeric(target):
        codes, names = sample.table.codes(target)
        classes = np.where(codes < 0, len(names), codes)  # a missing label is a class, too
        return lambda column: _class_score(column, first, classes, len(names) + 1)
    values = sample.table.numbers(target)
    return lambda column: _number_score(column, first, values)


def _class_score(
    column: SampledColumn, first: NDArray[np.bool_], classes: Codes, count: int
) -> float:
    wrong = guessed_wrong = 0
    for learn in (first, ~first):
        truth, known = classes[~learn], classes[learn]
        usual = int(np.argmax(np.bincount(known, minlength=count)))
        halves = _nearest(column, learn) if column.numbers is not None else _same(column, learn)
        predicted = _most_frequent(halves.learned, known, halves.groups, usual)[halves.tested]
        wrong += int((predicted != truth).sum())
        guessed_wrong += int((truth != usual).sum())
    return 1 - wrong / guessed_wrong if guessed_wrong >= _FEWEST_WRONG else 0.0


def _number_score(column: SampledColumn, first: NDArray[np.bool_], values: Floats) -> float:
    error = guessed = 0.0
    for learn in (first, ~first):
        truth = values[~learn]
        halves = _binned(column, learn) if column.numbers is not None else _same(column, learn)
        error += float(np.sum((truth - _lines(halves, values[learn])) ** 2))
        guessed += float(np.sum((truth - truth.mean()) ** 2))
    return 1 - error / guessed if 0 < guessed < np.inf else 0.0


def _same(column: SampledColumn, learn: NDArray[np.bool_]) -> _Halves:
    """Group equal values; missing ones are the last group."""
    codes = np.where(column.codes < 0, column.distinct, column.codes)
    at = np.zeros(len(codes))
    groups = column.distinct + 1
    return _Halves(groups, codes[learn], at[learn], codes[~learn], at[~learn])


def _nearest(column: SampledColumn, learn: NDArray[np.bool_]) -> _Halves:
    """Group equal numbers; one that was not learned joins the nearest that was."""
    halves = _same(column, learn)
    assert column.numbers is not None
    known = np.unique(halves.learned[halves.learned < column.distinct])
    if not len(known):
        return halves
    numbers = column.numbers
    above = np.clip(np.searchsorted(numbers[known], numbers), 0, len(known) - 1)
    below = np.maximum(above - 1, 0)
    is_below = numbers - numbers[known[below]] < numbers[known[above]] - numbers
    nearest = np.append(known[np.where(is_below, below, above)], column.distinct)
    return halves._replace(tested=nearest[halves.tested])


def _binned(column: SampledColumn, learn: NDArray[np.bool_]) -> _Halves:
    """Group numbers into bins with about equally many of the rows to learn from."""
    assert column.numbers is not None
    codes = column.codes
    known = np.sort(codes[learn & (codes >= 0)])
    bins = max(1, min(_BINS, len(known) // _ROWS_A_BIN))
    edges = np.unique(known[np.arange(1, bins) * len(known) // bins]) if len(known) else known
    groups = np.where(codes < 0, len(edges) + 1, np.searchsorted(edges, codes, side="right"))
    at = np.append(column.numbers, 0.0)[codes]
    return _Halves(len(edges) + 2, groups[learn], at[learn], groups[~learn], at[~learn])


def _most_frequent(groups: Codes, classes: Codes, count: int, usual: int) -> Codes:
    """Return the most frequent class of each group, (count,); `usual` for one without rows."""
    width = int(classes.max()) + 1
    pairs, rows = np.unique(groups * width + classes, return_counts=True)
    rising = pairs[np.argsort(rows, kind="stable")]
    most_frequent = np.full(count, usual, dtype=np.int64)
    most_frequent[rising // width] = rising % width  # of several, the last one stays
    return most_frequent


def _lines(halves: _Halves, values: Floats) -> Floats:
    """Predict by a least-squares line in each group, (rows to test on,)."""
    count, groups = halves.groups, halves.learned
    rows = np.maximum(np.bincount(groups, minlength=count), 1)
    at = np.bincount(groups, halves.learned_at, count) / rows
    level = np.bincount(groups, values, count) / rows
    level[np.bincount(groups, minlength=count) == 0] = values.mean()
    moved = halves.learned_at - at[groups]
    spread = np.bincount(groups, moved**2, count)
    slope = np.bincount(groups, moved * (values - level[groups]), count)
    slope = np.divide(slope, spread, out=np.zeros(count), where=spread > 0)
    predicted: Floats = level[halves.tested] + slope[halves.tested] * (
        halves.tested_at - at[halves.tested]
    )
    return predicted
