"""Checks of the target, and of what columns explain of it: leakage, and values that are names.

The number of a school, a state or an item names it. Read as an amount, the schools next to each
other are taken for similar ones, and each is hard to learn. Some amounts name something as well:
the distance between two airports tells the route.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from dlcli.arrays import Floats, Indices, Mask
from dlcli.columns.column_type import Decision
from dlcli.columns.type_inference import MIN_ROWS, number
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.row_checks import STEP, is_positive
from dlcli.data_checks.sample import DataFinding, Sample, SampledColumn, column_finding
from dlcli.encoding.column_types import infer_type
from dlcli.errors import plural, predicted_target
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

FEW_ROWS = 10
"""Rows below which a class is rare: too few to learn it, and to evaluate it."""
UNBALANCED = 10
"""Ratio of the rows of the largest class to those of the smallest, above which it is reported."""
FAR_TARGET = 10.0
"""Distance of one value of a target from the median, as a multiple of that of all others, from
which on it is reported. Of 607 numeric columns of 80 public tables two have one."""
_FEWEST_NUMBERS = 20
"""Rows below which a target is not checked for a value far from the others."""
MOST_CLASS_NUMBERS = 20
"""The most integers that are taken for numbered classes."""
NEARLY_ALL = 0.99
"""Share of a constant prediction's error that a column must remove to be reported."""
_NEARLY_ALL_CLASSES = 0.97
"""The same for classes, of which the rows next to a limit may be wrong. With each column of classes
of 80 tables of R's packages as target, 8 columns remove .97 to .99, and all give the class away."""
_FEWEST_WRONG = 5
_BINS = 50
_ROWS_A_BIN = 10

NamingKind = Literal["codes", "repeated_amounts", "many_categories"]
"""Codes, ID-like numbers, and texts with rare names."""
_LEAST_EXPLAINED = 0.05
"""Share that the values of a column must explain more, of what the other columns leave."""
_MOST_BY_NEAREST = 0.25
"""Part of this share that the values next to each may explain, if they are codes."""
MOST_VALUES = 1_000
"""Categories that a column may have."""
_FEWEST_VALUES = 10
_FEWEST_ROWS = 4
"""Rows that values have on average. With 3.3 for each baseball player, a network gained nothing
from more players; with 5 to 7 for each county, firm or state, the error fell by 7 to 39 %."""
_LARGEST_SHARE = 0.1
"""Maximum share of rows with one code; amounts are often 0 in more rows."""
_CONFIDENCE = 0.999
_WIDTHS = (1, 2, 4, 8)
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Rows of mean 0 that are added to those of a value, or of its neighbours."""
_MOST_COLUMNS = 100
_KINDS: Mapping[NamingKind, tuple[sampling.Severity, str, str]] = {
    "codes": (
        "note",
        "integers that help to predict the target, but not by their order",
        "if they are codes, not quantities, declare {type: categorical, "
        f"max_categories: {MOST_VALUES}}}",
    ),
    "repeated_amounts": (
        "note",
        "numeric columns whose exact values help to predict the target, like IDs",
        "if the same values occur in rows to predict, declare {type: numeric, "
        f"one_hot_values: {MOST_VALUES}}}",
    ),
    "many_categories": (
        "warning",
        "columns whose rare categories help to predict the target, but are pooled",
        f"declare {{type: categorical, max_categories: {MOST_VALUES}}}",
    ),
}
"""The severity, message and advice for each kind."""


def find_constant_target(sample: Sample) -> DataFinding | None:
    """Find targets, numbers or columns of labels, with the same value in all rows."""
    task = sample.task
    if task is None or not task.has_column_per_output:
        return None
    found = {
        name: ""
        for name in task.columns
        if all(_is_constant(table, name, task) for table in (sample.table, sample.whole))
    }
    message = "the same target in all rows"
    advice = "there is nothing to learn: check that it is the right column"
    return column_finding("constant_target", "warning", found, message, advice, sample.whole.rows)


def _is_constant(table: Table, column: str, task: Task) -> bool:
    """Return whether all rows have the same value; numbers are compared once they are rounded."""
    values = table.column(column)
    if task.labels or values.kind in ("boolean", "other"):
        return len(values.codes()[1]) == 1
    numbers = values.numbers().values
    return bool((numbers == numbers[:1]).all())


def find_far_target(sample: Sample) -> DataFinding | None:
    """Find numeric targets of which one value is far from all others, as after a typing error."""
    task, table, found = sample.task, sample.whole, dict[str, str]()
    if task is None or task.outcome != "numbers" or table.rows < _FEWEST_NUMBERS:
        return None
    for name in task.columns:
        values = table.column(name).numbers().values
        with np.errstate(over="ignore", invalid="ignore"):
            distances = np.abs(values - np.median(values))  # NaN, so not far, if any is missing
        at = int(np.argmax(distances))
        others = values[values != values[at]]
        nearer = distances[values != values[at]].max(initial=0)
        if nearer > 0 and distances[at] / FAR_TARGET >= nearer:
            rows = int(np.count_nonzero(distances == distances[at]))
            where = table.place(at) if rows == 1 else plural(rows, "row")
            low, high = number(others.min()), number(others.max())
            found[name] = f"{number(values[at])} in {where}; other values: {low} to {high}"
    message = "an outlier in the target"
    advice = (
        "if it is wrong, correct it or drop the row; if not, loss: mean_absolute_error or huber is "
        "less sensitive to it"
    )
    return column_finding("far_target", "warning", found, message, advice)


def find_class_numbers(sample: Sample) -> DataFinding | None:
    """Find a numeric target of a few integers, from 0 or 1 without a gap, as classes are numbered.

    A declared type is not doubted.
    """
    task = sample.task
    if task is None or task.type != "numeric" or task.reason == "declared" or task.width > 1:
        return None
    [column] = task.columns
    numbers = sample.whole.column(column).numbers().values
    numbers = numbers[np.isfinite(numbers)]
    # Most targets end here, before their values are sorted.
    if not len(numbers) or numbers.min() not in (0, 1) or numbers.max() > MOST_CLASS_NUMBERS:
        return None
    distinct = np.unique(numbers)
    is_numbered = np.array_equal(distinct, np.arange(distinct[0], distinct[-1] + 1))
    repeats = len(numbers) >= 2 * len(distinct)
    if not is_numbered or not repeats or not 2 < len(distinct) <= MOST_CLASS_NUMBERS:
        return None
    message = "a target with few distinct integers is treated as numeric"
    advice = (
        "if they are classes, declare type: categorical; if they count something, type: count; "
        "otherwise, type: numeric"
    )
    found = {column: f"{number(distinct[0])} to {number(distinct[-1])}"}
    return column_finding("class_numbers", "warning", found, message, advice)


def find_odd_classes(sample: Sample) -> DataFinding | None:
    """Find classes that are amounts or dates, or would be except for a few values.

    Numbers with a `free` among them are text, so that each is a class. Declared classes are not
    checked.
    """
    task = sample.task
    if task is None or (decision := type_without_classes(sample.whole, task)) is None:
        return None
    message = f"a target treated as {len(task.classes):,} classes"
    advice = "correct the values or drop such rows; if they are classes, declare type: categorical"
    found = {task.columns[0]: decision.reason}
    return column_finding("odd_classes", "warning", found, message, advice)


def type_without_classes(table: Table, task: Task) -> Decision | None:
    """Return the type of a target that is probably no class; None if it is, or is declared one.

    Args:
        table: all rows.
        task: the task.
    """
    if not task.classes or task.reason == "declared":
        return None
    decision = infer_type(task.columns[0], table)
    decision = decision.otherwise or decision
    is_odd = decision.warning or decision.feature.is_time
    return decision if is_odd else None


def find_rare_classes(sets: Mapping[str, Table], task: Task | None) -> DataFinding | None:
    """Find classes with fewer than 10 rows, or without a training row.

    All rows are counted. Tables of fewer than 20 rows are not checked.

    Args:
        sets: the sets of rows, by name; that of the training rows first.
        task: the task, if it is known.
    """
    if task is None or not task.classes:
        return None
    if sum(table.rows for table in sets.values()) < MIN_ROWS:
        return None
    counts = [_class_counts(table, task) for table in sets.values()]
    total = sum(counts, Counter[str]())
    untaught = [name for name in task.classes if not counts[0][name]]
    rare = [name for name in task.classes if 0 < total[name] < FEW_ROWS and name not in untaught]
    if not untaught and not rare:
        return None
    kinds = {"without a training row": untaught, "with few rows": rare}
    shown = {kind: {c: plural(total[c], "row") for c in names} for kind, names in kinds.items()}
    parts = [f"{kind}: {sampling.listed(rows, 'classes')}" for kind, rows in shown.items() if rows]
    rows = sum(total[name] for name in [*untaught, *rare])
    message = f"classes {', and '.join(parts)}"
    advice = "too few to learn from or to evaluate: collect more such rows, or combine classes"
    return DataFinding("rare_classes", "warning", task.columns, rows, message, advice)


def find_imbalance(table: Table, task: Task | None) -> DataFinding | None:
    """Find targets whose largest class has more than 10 times the rows of the smallest."""
    if task is None or not task.classes or table.rows < MIN_ROWS:
        return None
    ranked = _class_counts(table, task).most_common()
    (largest, most), (smallest, least) = ranked[0], ranked[-1]
    if most <= UNBALANCED * least:
        return None
    extremes = sampling.listed({largest: plural(most, "row"), smallest: plural(least, "row")})
    message = f"imbalanced classes: {extremes}"
    advice = "accuracy is misleading: see balanced_accuracy in the results, "
    advice += "and try class_weight: balanced"
    return DataFinding("class_imbalance", "note", task.columns, None, message, advice)


def _class_counts(table: Table, task: Task) -> Counter[str]:
    codes, texts = table.codes(task.columns[0])
    rows = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    return Counter(dict(zip(texts, rows, strict=True)))


# Leakage


@np.errstate(over="ignore", invalid="ignore")
def explain_by_columns(sample: Sample) -> dict[str, float]:
    """Return the share of the target's error that each column removes alone, on other rows.

    For each column a predictor is fitted on one half of the rows and tested on the other, and vice
    versa, so that an identifier, which says nothing about other rows, removes nothing. Classes are
    predicted as the most frequent one of the same category, or of the nearest number; numbers as
    the mean of the category, or by a straight line in each of up to 50 bins of a number. The share
    is `1 - e / e₀`, with `e₀` of a constant prediction: `e` counts wrong classes, and `e₀` those of
    the most frequent class; for numbers they are sums of squares, `e₀` around the mean, so that
    this is R². With several targets, the largest share counts.

    It is empty for tables of fewer than 20 rows, and 0 for classes of which a constant prediction
    misses fewer than 5 rows.
    """
    task, table = sample.task, sample.table
    if task is None or table.rows < MIN_ROWS:
        return {}
    first = np.random.default_rng(0).permutation(table.rows) % 2 == 0
    numbers, scores = list[Floats](), list[Callable[[SampledColumn], float]]()
    for target in task.columns:
        if not task.classes and table.column(target).looks_numeric():
            numbers.append(table.numbers(target))
            continue
        codes, names = table.codes(target)
        classes = np.where(codes < 0, len(names), codes)  # a missing label is a class, too
        scores.append(partial(_class_score, classes, (first, ~first)))
    if numbers:
        scores.append(partial(_number_score, np.stack(numbers), (first, ~first)))
    return {name: max(score(column) for score in scores) for name, column in sample.columns.items()}


def find_leakage(
    explained: Mapping[str, float], task: Task | None, identities: Collection[str] = ()
) -> DataFinding | None:
    """Find columns from which alone the target of other rows can be predicted almost without error.

    Identifiers are not reported here: they have a separate check.

    Args:
        explained: the share of the target's error that each column removes.
        task: the task, if it is known.
        identities: the columns that merely distinguish or number the rows.
    """
    leaks = {
        name: f"{np.floor(share * 1000) / 10:g} %"
        for name, share in select_leaks(explained, task).items()
        if name not in identities
    }
    of_several = task is not None and len(task.columns) > 1
    message = f"one column alone predicts nearly all of {predicted_target(of_several=of_several)}"
    advice = (
        "check that its value is known when predictions are made, and not derived from the target; "
        "otherwise declare it ignored in input.features"
    )
    return column_finding("target_leakage", "warning", leaks, message, advice)


def select_leaks(explained: Mapping[str, float], task: Task | None) -> dict[str, float]:
    """Return the columns that alone predict nearly all of the target; none of a single feature.

    Args:
        explained: the share of the target's error that each column removes.
        task: the task, if it is known.
    """
    if len(explained) < 2:
        return {}
    least = _NEARLY_ALL_CLASSES if task is not None and task.classes else NEARLY_ALL
    return {name: share for name, share in explained.items() if share >= least}


def _class_score(classes: Indices, halves: Iterable[Mask], column: SampledColumn) -> float:
    """Return which share of the wrong classes, (rows,), of a constant prediction a column removes.

    Args:
        classes: the target, (rows,).
        halves: the rows to learn from, (rows,); the others test.
        column: the feature.
    """
    wrong = guessed_wrong = 0
    for learn in halves:
        known, truth = classes[learn], classes[~learn]
        usual = int(np.argmax(np.bincount(known)))
        groups = _nearest(column, learn)
        best = _most_frequent(groups[learn], known, column.distinct + 1, usual)
        wrong += int(np.count_nonzero(best[groups[~learn]] != truth))
        guessed_wrong += int(np.count_nonzero(truth != usual))
    return 1 - wrong / guessed_wrong if guessed_wrong >= _FEWEST_WRONG else 0.0


def _number_score(values: Floats, halves: Iterable[Mask], column: SampledColumn) -> float:
    """Return the largest share of the squared error of targets, (targets, rows), that is removed.

    See `_class_score`.
    """
    error, guessed = np.zeros(len(values)), np.zeros(len(values))
    for learn in halves:
        truth = values[:, ~learn]
        predicted = _lines(*_binned(column, learn), values, learn)
        error += np.sum((truth - predicted) ** 2, axis=1)
        guessed += np.sum((truth - truth.mean(axis=1, keepdims=True)) ** 2, axis=1)
    is_usual = (guessed > 0) & (guessed < np.inf)
    left = np.divide(error, guessed, out=np.ones(len(error)), where=is_usual)
    return float(np.fmax.reduce(1 - left))


def _values(column: SampledColumn) -> Indices:
    """Group equal values; missing ones are the last group, (rows,)."""
    return np.where(column.codes < 0, column.distinct, column.codes)


def _nearest(column: SampledColumn, learn: Mask) -> Indices:
    """Group equal values; a number that is not learned joins the nearest that is, (rows,)."""
    groups, numbers = _values(column), column.numbers
    if numbers is None:
        return groups
    known = np.flatnonzero(np.bincount(groups[learn], minlength=len(numbers))[: len(numbers)])
    if not len(known):
        return groups
    learned = numbers[known]
    above = np.minimum(np.searchsorted(learned, numbers), len(known) - 1)
    below = np.maximum(above - 1, 0)
    is_below = numbers - learned[below] < learned[above] - numbers
    nearest = np.full(column.distinct + 1, column.distinct)
    nearest[:-1] = known[np.where(is_below, below, above)]
    return nearest[groups]


def _binned(column: SampledColumn, learn: Mask) -> tuple[Indices, Floats]:
    """Group numbers into bins with about equally many of the rows to learn from.

    Returns:
        groups: the bin of each number, or any other value as its own group, (rows,).
        at: each number; 0 for any other value, (rows,).
    """
    codes = column.codes
    if column.numbers is None:
        return _values(column), np.zeros(len(codes))
    known = np.sort(codes[learn & (codes >= 0)])
    bins = max(1, min(_BINS, len(known) // _ROWS_A_BIN))
    edges = np.unique(known[np.arange(1, bins) * len(known) // bins]) if len(known) else known
    groups = np.where(codes < 0, len(edges) + 1, np.searchsorted(edges, codes, side="right"))
    return groups, np.append(column.numbers, 0.0)[codes]


def _most_frequent(groups: Indices, classes: Indices, count: int, usual: int) -> Indices:
    """Return the most frequent class of each group, (count,); `usual` for one without rows."""
    most_frequent = np.full(count, usual, dtype=np.int64)
    if np.bincount(groups).max() == 1:  # as mostly of fractions
        most_frequent[groups] = classes
        return most_frequent
    width = int(classes.max()) + 1
    pairs, rows = np.unique(groups * width + classes, return_counts=True)
    rising = pairs[np.argsort(rows, kind="stable")]
    most_frequent[rising // width] = rising % width  # of several, the last one stays
    return most_frequent


def _lines(groups: Indices, at: Floats, values: Floats, learn: Mask) -> Floats:
    """Predict each target by a least-squares line in each group, (targets, rows to test on)."""
    count, known, truth = int(groups.max()) + 1, groups[learn], values[:, learn]
    rows = np.bincount(known, minlength=count)
    center = np.bincount(known, at[learn], count) / np.maximum(rows, 1)
    level = _sums(known, truth, count) / np.maximum(rows, 1)
    level[:, rows == 0] = truth.mean(axis=1, keepdims=True)
    moved = at[learn] - center[known]
    spread = np.bincount(known, moved**2, count)
    slope = _sums(known, moved * (truth - level[:, known]), count)
    slope = np.divide(slope, spread, out=np.zeros_like(slope), where=spread > 0)
    tested = groups[~learn]
    return np.asarray(level[:, tested] + slope[:, tested] * (at[~learn] - center[tested]))


def _sums(groups: Indices, values: Floats, count: int) -> Floats:
    """Sum the values of each group: (targets, rows) to (targets, count)."""
    of_targets = groups + count * np.arange(len(values))[:, np.newaxis]
    sums = np.bincount(of_targets.ravel(), values.ravel(), len(values) * count)
    return sums.astype(np.float64, copy=False).reshape(len(values), count)


# Values that name something


class Naming(NamedTuple):
    """The finding that a column's values name something."""

    kind: NamingKind
    share: float
    """The share that they explain of what the other columns leave of the target."""


def find_naming_columns(sample: Sample, *, texts_only: bool = False) -> list[DataFinding | None]:
    """Find columns whose values name something, but are not encoded so: a finding for each kind."""
    found, findings = explain_by_values(sample, texts_only=texts_only), []
    for kind, (severity, message, advice) in _KINDS.items():
        named = {name: each.share for name, each in found.items() if each.kind == kind}
        shares = {name: f"{100 * share:.0f} %" for name, share in named.items()}
        findings.append(column_finding(kind, severity, shares, message, advice))
    return findings


def explain_by_values(sample: Sample, *, texts_only: bool = False) -> dict[str, Naming]:
    """Return the columns whose values name something, with the share that they explain.

    What a linear model of the other columns leaves of the target is predicted for each row by the
    mean of the other rows with the same value, and by that of the rows with the nearest other
    values, both moved toward 0. Numbers count by normal scores of their ranks, classes one-hot.

    - Numbers name something if the former explains at least 5 % more of the variance. Whole ones
      are codes if the latter explains at most a fourth of the former, but never times and ages;
      others are repeated amounts.
    - Texts are many categories if up to 1,000 values explain at least 5 % more than the 100 most
      frequent ones, which are kept by default. Columns with another maximum are not looked at.

    The difference over the values must be significant at a confidence of 99.9 %. What the means of
    a column explain is left out for the next ones, so that of a country's name and code one is
    found: codes and texts before amounts, then those that explain most.

    Args:
        sample: rows of a table. Without a task, no column is found.
        texts_only: whether numbers are left alone.
    """
    measures = {
        name: measure
        for name, column in sample.columns.items()
        if not (texts_only and column.decision.feature.is_amount)
        if (measure := _measure(name, column)) is not None
    }
    if sample.task is None or not measures:
        return {}
    left_by_others = _residuals(sample)
    alone = {
        name: found
        for name, measure in measures.items()
        if (found := measure(_rows_of(sample.columns[name], left_by_others(name))))
    }
    explained = np.zeros((sample.table.rows, 1))
    together = dict[str, Naming]()
    for name in sorted(alone, key=lambda name: _rank(alone[name], sample.columns[name])):
        column, left = sample.columns[name], left_by_others(name) - explained
        rows = _rows_of(column, left)
        if found := measures[name](rows):
            together[name] = found
            means = rows.sums / (rows.counts + 1)[:, np.newaxis]
            explained = explained + np.vstack([means, np.zeros_like(means[:1])])[column.codes]
    return {name: together[name] for name in alone if name in together}


def _rank(naming: Naming, column: SampledColumn) -> tuple[bool, float, int]:
    """Order columns; of those that explain the same, one with more values before its near copy."""
    return naming.kind == "repeated_amounts", -round(naming.share, 2), -column.distinct


def _measure(name: str, column: SampledColumn) -> Measure | None:
    """Return what tells whether a column's values name something; None if they can't."""
    feature, rows = column.decision.feature, column.present
    if column.distinct > rows / _FEWEST_ROWS:
        return None
    if (most := feature.usual_categories) is not None and most < column.distinct:
        return lambda rows: _measure_rare(rows, most)
    if column.numbers is None:
        return None
    if not _FEWEST_VALUES <= column.distinct <= MOST_VALUES:
        return None
    is_whole = bool((column.numbers == column.numbers.round()).all())
    is_spread = bool(column.counts.max() <= _LARGEST_SHARE * rows)
    may_be_codes = is_whole and is_spread and not STEP.search(name)
    return lambda rows: _measure_numbers(rows, may_be_codes)


def _residuals(sample: Sample) -> Callable[[str], Floats]:
    """Return a function from a column to what ridge regression on the others leaves of the target.

    It returns (rows, outputs). If there are more than 100 columns, 100 are used, and the penalty is
    the number of their inputs.
    """
    target, scores = sampling.target_scores(sample), sampling.feature_scores(sample)
    used = sampling.spread([*scores], _MOST_COLUMNS)
    inputs = np.hstack([np.zeros((len(target), 1)), *(scores[name] for name in used)])
    owners = np.repeat(["", *used], [1, *(scores[name].shape[1] for name in used)])
    inverse = np.linalg.inv(inputs.T @ inputs + len(owners) * np.eye(len(owners)))
    weights = inverse @ (inputs.T @ target)
    left = target - inputs @ weights

    def left_by_others(column: str) -> Floats:
        own = owners == column
        if not own.any():
            return left
        # The weights without some inputs, as if they had been fitted again.
        change = inverse[:, own] @ np.linalg.solve(inverse[np.ix_(own, own)], weights[own])
        return np.asarray(left + inputs @ change)

    return left_by_others


class _Rows(NamedTuple):
    """The rows of each value."""

    counts: Indices
    """(values,)."""
    sums: Floats
    """The predicted values, (values, outputs)."""
    squares: Floats
    """The sum of its squares over rows and outputs, (values,)."""

    def errors(self, predicted: Floats) -> Floats:
        """Return the squared errors of a prediction for each value, (values,)."""
        products = (predicted * self.sums).sum(axis=1)
        return np.asarray(self.squares - 2 * products + self.counts * (predicted**2).sum(axis=1))

    def share_without(self, errors: Floats) -> float:
        """Return the share of the variance that squared errors of each value leave out."""
        return float(1 - errors.sum() / max(float(self.squares.sum()), 1e-12))


Measure = Callable[[_Rows], Naming | None]
"""Returns whether values name something, from the rows of each."""


def _rows_of(column: SampledColumn, target: Floats) -> _Rows:
    """Return the rows of each value, with a target of mean 0 over them."""
    present = column.codes >= 0
    codes, known = column.codes[present], target[present] - target[present].mean(axis=0)
    sums, squares = np.zeros((column.distinct, known.shape[1])), np.zeros(column.distinct)
    np.add.at(sums, codes, known)
    np.add.at(squares, codes, (known**2).sum(axis=1))
    return _Rows(column.counts, sums, squares)


def _measure_numbers(rows: _Rows, may_be_codes: bool) -> Naming | None:
    """Compare the values of numbers with the nearest ones."""
    own, nearest = _own_errors(rows), _nearest_errors(rows)
    if not _is_better(own, nearest, rows):
        return None
    share, by_nearest = rows.share_without(own), rows.share_without(nearest)
    is_code = may_be_codes and by_nearest <= _MOST_BY_NEAREST * share
    return Naming("codes" if is_code else "repeated_amounts", share)


def _measure_rare(rows: _Rows, most: int) -> Naming | None:
    """Compare up to 1,000 categories with the most frequent ones."""
    ranks = np.empty(len(rows.counts), dtype=np.int64)
    ranks[np.argsort(-rows.counts, kind="stable")] = np.arange(len(ranks))
    few, many = (_own_errors(rows, np.minimum(ranks, kept)) for kept in (most, MOST_VALUES))
    if not _is_better(many, few, rows):
        return None
    return Naming("many_categories", rows.share_without(many) - rows.share_without(few))


def _is_better(errors: Floats, others: Floats, rows: _Rows) -> bool:
    """Return whether some squared errors are clearly smaller than others, (values,)."""
    saved = others - errors
    is_enough = saved.sum() >= _LEAST_EXPLAINED * rows.squares.sum()
    return bool(is_enough) and is_positive(saved, rows.counts, _CONFIDENCE)


def _own_errors(rows: _Rows, groups: Indices | None = None) -> Floats:
    """Return the least errors of rows predicted by others of their value, or group, (values,).

    Args:
        rows: the rows of each value.
        groups: the group of each value, (values,); each is its own if omitted.
    """
    groups = np.arange(len(rows.counts)) if groups is None else groups
    counts, sums = np.bincount(groups, rows.counts)[groups], np.zeros_like(rows.sums)
    np.add.at(sums, groups, rows.sums)
    sums = sums[groups]
    found = []
    for penalty in _PENALTIES:
        # A row y is predicted by (s - y) / d, so that the error is y·(1 + 1/d) - s/d.
        divisor = counts - 1 + penalty
        scaled = _Rows(
            rows.counts,
            rows.sums * (1 + 1 / divisor)[:, np.newaxis],
            rows.squares * (1 + 1 / divisor) ** 2,
        )
        found.append(scaled.errors(sums / divisor[:, np.newaxis]))
    return min(found, key=np.sum)


def _nearest_errors(rows: _Rows) -> Floats:
    """Return the least errors of rows predicted by those of the nearest values, or 0, (values,)."""
    count = len(rows.counts)
    before = np.concatenate([np.zeros((1, rows.sums.shape[1])), np.cumsum(rows.sums, axis=0)])
    counted = np.append(0, np.cumsum(rows.counts))
    found = [rows.squares]
    for width in _WIDTHS:
        low = np.maximum(np.arange(count) - width, 0)
        high = np.minimum(np.arange(count) + width + 1, count)
        sums = before[high] - before[low] - rows.sums
        others = counted[high] - counted[low] - rows.counts
        found += [rows.errors(sums / (others + penalty)[:, np.newaxis]) for penalty in _PENALTIES]
    return min(found, key=np.sum)
