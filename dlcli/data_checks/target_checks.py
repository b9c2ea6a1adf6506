"""Checks of the target: its values, its classes, and leakage from single columns."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dlcli.arrays import Floats, Indices, Mask
from dlcli.columns.column_type import Decision
from dlcli.columns.type_inference import MIN_ROWS, number
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.row_checks import MANY_DUPLICATES, may_repeat_at_random
from dlcli.data_checks.sample import DataFinding, Sample, SampledColumn, column_finding
from dlcli.encoding.column_types import infer_type
from dlcli.errors import DataError, plural, predicted_target, printable
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

FEW_ROWS = 10
"""Number of rows below which a class is rare: too few to learn or to evaluate it."""
_MISSPELLED = 0.88
"""Similarity of a misspelled class: `escalted` and `escalated` have 0.94, `hypotension` and
`hypertension` 0.87."""
_MOST_COMPARED = 100
"""Number of rare classes that are compared with the frequent ones; 1,000 would take seconds."""
UNBALANCED = 10
"""Ratio of the largest to the smallest class above which it is reported."""
FAR_TARGET = 10.0
"""Minimum distance of a reported value from the median, relative to the largest distance of all
other values. Two of 607 numeric columns of 80 public tables have such a value."""
_FEWEST_NUMBERS = 20
"""Number of rows below which a target is not checked for outliers."""
MOST_CLASS_NUMBERS = 20
"""Maximum number of distinct integers that are reported as possible classes."""
NEARLY_ALL = 0.99
"""Minimum share of a constant prediction's error that a reported column removes."""
_NEARLY_ALL_CLASSES = 0.97
"""The same for classes, where rows close to a class boundary may be wrong. With each categorical
column of 80 tables of R packages as the target, 8 columns remove 97 to 99 % of the error, and all
of them are leakage."""
_FEWEST_WRONG = 5
FEWEST_WITH_NAMES = 50
"""Number of rows below which classes that hardly repeat are accepted."""
_MOST_CLASSES_PER_ROW = 0.5
_MOST_ODD_CLASSES_PER_ROW = 0.2
"""The same for classes that are amounts or dates."""
FEWEST_WITH_TAIL = 50
"""Number of rows below which a long tail is not recognized."""
_LONG_TAIL = 1.5
"""Minimum skewness of a target with a long tail; an exponential distribution has 2."""
_MORE_SYMMETRIC = 0.5
"""Maximum skewness of its logarithm, relative to its own."""
_WIDE = 0.7
"""Minimum standard deviation of its logarithm: typical values differ by a factor of two. On 10 such
targets of public tables, one to three splits each, training on the logarithm lowered the MAE to
0.69 to 0.97 of that without it and the median absolute error to 0.18 to 0.87; the RMSE was 0.90 to
1.06 of it. On 12 further targets, which `_log_is_easier` excludes, the MAE was 0.5 to 5.6 of it.
The limits were chosen on these tables."""
_MOST_ZEROS = 0.25
"""Share of zeros of a target with which the logarithm was measured; the zeros of one with more are
rather described by a distribution of amounts."""
_BINS = 50
_ROWS_A_BIN = 10


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
    """Return whether all rows have the same value; numbers are rounded before they are compared."""
    values = table.column(column)
    if task.labels or values.kind in ("boolean", "other"):
        return len(values.codes()[1]) == 1
    numbers = values.numbers().values
    return bool((numbers == numbers[:1]).all())


def find_far_target(sample: Sample) -> DataFinding | None:
    """Find numeric targets with one value far from all others, such as a typing error."""
    task, table, found = sample.task, sample.whole, dict[str, str]()
    if task is None or task.outcome != "numbers" or table.rows < _FEWEST_NUMBERS:
        return None
    for name in task.columns:
        values = table.column(name).numbers().values
        with np.errstate(over="ignore", invalid="ignore"):
            distances = np.abs(values - np.median(values))  # NaN if any value is missing
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
    """Find a numeric target of a few consecutive integers from 0 or 1, like numbered classes.

    Targets with a declared type are skipped.
    """
    task = sample.task
    if task is None or task.type != "numeric" or task.reason == "declared" or task.width > 1:
        return None
    [column] = task.columns
    numbers = sample.whole.column(column).numbers().values
    numbers = numbers[np.isfinite(numbers)]
    # Most targets return here, before the slow sorting.
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
    """Find classes that are amounts or dates, except for a few values.

    A column of prices with a few values `free` is text, so each price is a class. Declared classes
    are skipped.
    """
    task = sample.task
    if task is None or (decision := type_without_classes(sample.whole, task)) is None:
        return None
    message = f"a target treated as {len(task.classes):,} classes"
    advice = f"{_instead_of_odd_classes(decision)}; if they are classes, declare type: categorical"
    found = {task.columns[0]: decision.reason}
    return column_finding("odd_classes", "warning", found, message, advice)


def _instead_of_odd_classes(decision: Decision) -> str:
    if decision.feature.is_time:
        return "predict a number, such as the days until the date"
    return "correct the values or drop such rows"


def type_without_classes(table: Table, task: Task) -> Decision | None:
    """Return the type of a target that is probably not a class, or `None`.

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


def refuse_names(task: Task, table: Table) -> None:
    """Refuse a target of text whose values hardly repeat: names, free text, dates and amounts.

    Targets with a declared type are accepted.

    Args:
        task: the inferred task.
        table: the rows.

    Raises:
        DataError: if 50 or more rows have more classes than half of their number; for dates and
            amounts that are read as text, a fifth.
    """
    count = len(task.classes)
    is_small = table.rows < FEWEST_WITH_NAMES or count <= _MOST_ODD_CLASSES_PER_ROW * table.rows
    if is_small or task.reason == "declared":
        return
    if odd := type_without_classes(table, task):
        problem = f"{odd.reason}; {_instead_of_odd_classes(odd)}"
    elif count > _MOST_CLASSES_PER_ROW * table.rows:
        problem = (
            "is it a name, an identifier or free text? A network can't learn classes that hardly "
            "repeat: predict another or a coarser column"
        )
    else:
        return
    message = (
        f"has {count:,} classes in {table.rows:,} rows: {problem}; to train these classes, declare "
        "the target with type: categorical"
    )
    raise DataError(message, file=table.file, column=task.columns[0])


def find_rare_classes(sets: Mapping[str, Table], task: Task | None) -> DataFinding | None:
    """Find classes with fewer than 10 rows, or without a training row.

    All rows are counted. Tables of fewer than 20 rows are skipped.

    Args:
        sets: the sets of rows by name, the training set first.
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
    if (pair := _misspelled(rare, total)) is not None:
        advice += "; '{}' may be a misspelling of '{}'".format(*map(printable, pair))
    return DataFinding("rare_classes", "warning", task.columns, rows, message, advice)


def _misspelled(rare: Sequence[str], total: Mapping[str, int]) -> tuple[str, str] | None:
    """Return the first rare class that may be a misspelling, and the frequent class it resembles.

    The first letters are the same, unlike in `typical` and `atypical`. Names with digits do not
    count: `level 1` resembles `level 2`.
    """
    frequent = [name for name, rows in total.items() if rows >= FEW_ROWS]
    for name in rare[:_MOST_COMPARED]:
        if any(map(str.isdigit, name)):
            continue
        possible = [each for each in frequent if each[:1] == name[:1]]
        if near := difflib.get_close_matches(name, possible, 1, _MISSPELLED):
            return name, near[0]
    return None


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
    advice = "accuracy is misleading: see balanced accuracy in the results; "
    if len(ranked) == 2:
        advice += "to find more rows of the rare class, lower its decision threshold, or set "
        advice += "class_weight: balanced"
    else:
        advice += "class_weight: balanced finds more rows of rare classes"
    return DataFinding("class_imbalance", "note", task.columns, None, message, advice)


def _class_counts(table: Table, task: Task) -> Counter[str]:
    codes, texts = table.codes(task.columns[0])
    rows = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    return Counter(dict(zip(texts, rows, strict=True)))


# Long tails


@dataclass(frozen=True)
class LongTail:
    """The distribution of a target that spans several orders of magnitude, none below 0."""

    median: float
    largest: float
    zeros: float
    """Share of the rows."""

    @property
    def has_many_zeros(self) -> bool:
        """True if zeros are too many for a logarithm."""
        return self.zeros > _MOST_ZEROS

    @property
    def ratio(self) -> str:
        """The median and the largest value in words."""
        zeros = f"{100 * self.zeros:.0f} % zeros, " if self.has_many_zeros else ""
        return f"{zeros}a median of {_digits(self.median)} and values up to {_digits(self.largest)}"

    @property
    def mean_loss(self) -> str:
        """The loss for such targets whose predictions are means."""
        return "tweedie" if self.zeros else "gamma"


def long_tail(values: Floats) -> LongTail | None:
    """Return the long tail of a target whose logarithm is far more symmetric, or `None`.

    Args:
        values: numbers, (rows,); missing ones are omitted.
    """
    from scipy.stats import skew

    values = values[np.isfinite(values)]
    if len(values) < FEWEST_WITH_TAIL or values.min() < 0:
        return None
    positive = values[values > 0]
    if len(positive) < FEWEST_WITH_TAIL:
        return None
    logs = np.log1p(positive)
    zeros = 1 - len(positive) / len(values)
    if logs.std() < _WIDE:
        return None
    before, after = float(skew(values)), abs(float(skew(logs)))
    if before < _LONG_TAIL or after > before * _MORE_SYMMETRIC:
        return None
    return LongTail(float(np.median(values)), float(values.max()), zeros)


def _digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.12g}"


def target_tail(sample: Sample) -> LongTail | None:
    """Return the long tail of a table's single numeric target, or `None`.

    The logarithm of a target that is a sum of columns is harder to learn than the target: see
    `_log_is_easier`.
    """
    task = sample.task
    if task is None or task.outcome != "numbers" or task.type == "count" or task.width > 1:
        return None
    values = sample.table.column(task.columns[0]).numbers().values
    tail = long_tail(values)
    if tail is None or tail.has_many_zeros or _log_is_easier(sample, values):
        return tail
    return None


def _log_is_easier(sample: Sample, target: Floats) -> bool:
    """Return whether a linear model of the logarithm has a smaller mean absolute error.

    Each half of the rows is predicted by ridge regression on the other half.
    """
    inputs = [np.ones((len(target), 1)), *sampling.standardized_inputs(sample).values()]
    columns = np.hstack(inputs)
    first = np.random.default_rng(0).permutation(len(target)) % 2 == 0
    errors = np.zeros(2)
    for learn in (first, ~first):
        held = columns[learn]
        penalty = np.eye(columns.shape[1])
        penalty[0, 0] = 0
        outputs = np.stack([target[learn], np.log1p(target[learn])], axis=1)
        weights = np.linalg.solve(held.T @ held + penalty, held.T @ outputs)
        predicted = columns[~learn] @ weights
        with np.errstate(over="ignore"):
            predicted[:, 1] = np.expm1(predicted[:, 1])
        errors += np.abs(target[~learn, np.newaxis] - predicted).sum(axis=0)
    return bool(errors[1] < errors[0])


def find_long_tail(sample: Sample) -> DataFinding | None:
    """Find a numeric target of at least 0 with a long tail."""
    tail = target_tail(sample)
    if tail is None or sample.task is None:
        return None
    advice = (
        "loss: tweedie suits amounts that are often 0; output.scaling: log1p trains on the "
        "logarithm, which predicts medians"
        if tail.has_many_zeros
        else "output.scaling: log1p trains on its logarithm, so relative differences count: a few "
        "large values no longer determine the weights, and predictions are medians instead of "
        f"means; for means and totals, loss: {tail.mean_loss}"
    )
    found = {sample.task.columns[0]: tail.ratio}
    return column_finding("long_tail", "note", found, "a target with a long tail", advice)


# Leakage


@np.errstate(over="ignore", invalid="ignore")
def explain_by_columns(sample: Sample) -> dict[str, float]:
    """Return the share of the target's error on held-out rows that each column alone removes.

    For each column, a predictor is fitted to one half of the rows and tested on the other, and vice
    versa, so an identifier, which does not generalize to other rows, removes nothing. Copies of a
    row are in the same half, because any column would predict the target of a copy. It predicts
    classes as the most frequent class of the same category or the nearest number, and numbers as
    the mean of the category, or by a straight line in each of up to 50 bins of a number. A second
    predictor reads only whether a value is missing, and the better one counts: a column that is
    filled in after the event, such as a date, may have a new value in each row. The share
    is `1 - e / e₀`, with the error `e₀` of a constant prediction. For classes, the errors are the
    numbers of wrong classes. For numbers, they are sums of squares, so the share is R². With
    several targets, the largest share counts.

    The result is empty for tables of fewer than 20 rows. A share is 0 for classes if a constant
    prediction has fewer than 5 errors.
    """
    task, table = sample.task, sample.table
    if task is None or table.rows < MIN_ROWS:
        return {}
    first = _random_half(sample)
    numbers, scores = list[Floats](), list[Callable[[SampledColumn], float]]()
    for target in task.columns:
        if not task.classes and table.column(target).looks_numeric():
            numbers.append(table.numbers(target))
            continue
        codes, names = table.codes(target)
        classes = np.where(codes < 0, len(names), codes)  # a missing label counts as a class
        scores.append(partial(_class_score, classes, (first, ~first)))
    if numbers:
        scores.append(partial(_number_score, np.stack(numbers), (first, ~first)))
    return {name: max(score(column) for score in scores) for name, column in sample.columns.items()}


def _random_half(sample: Sample) -> Mask:
    """Return a random half of the rows, (rows,), that contains all or no copies of a row."""
    columns, rng = sample.columns.values(), np.random.default_rng(0)
    keys = np.zeros(sample.table.rows, dtype=np.uint64)
    for column in columns:
        hashes = rng.integers(2**63, size=column.distinct + 1, dtype=np.uint64)
        keys += hashes[column.codes]  # wraps around
    distinct, row = np.unique(keys, return_inverse=True)
    repeated = len(keys) - len(distinct)
    if repeated < MANY_DUPLICATES * len(keys) or may_repeat_at_random(sample):
        row = np.arange(len(keys))
    return np.asarray(np.random.default_rng(0).permutation(row.max() + 1) % 2 == 0)[row]


def find_leakage(
    explained: Mapping[str, float], task: Task | None, identities: Collection[str] = ()
) -> DataFinding | None:
    """Find columns each of which alone predicts the target of other rows almost without error.

    Identifiers have a separate check.

    Args:
        explained: the share of the target's error that each column removes.
        task: the task, if it is known.
        identities: the columns that only identify or number the rows.
    """
    leaks = {
        name: f"{np.floor(share * 1000) / 10:g} % less error than a constant prediction"
        for name, share in select_leaks(explained, task).items()
        if name not in identities
    }
    of_several = task is not None and len(task.columns) > 1
    is_one = len(leaks) == 1
    which = "one column" if is_one else "each of several columns"
    known, it = ("its value is", "it") if is_one else ("their values are", "them")
    message = f"{which} alone predicts nearly all of {predicted_target(of_several=of_several)}"
    advice = (
        f"check that {known} known when predictions are made, and not derived from the target; "
        f"otherwise declare {it} ignored in input.features"
    )
    return column_finding("target_leakage", "warning", leaks, message, advice)


def select_leaks(explained: Mapping[str, float], task: Task | None) -> dict[str, float]:
    """Return columns that alone predict nearly all of the target; empty if there is one feature.

    Args:
        explained: the share of the target's error that each column removes.
        task: the task, if it is known.
    """
    if len(explained) < 2:
        return {}
    least = _NEARLY_ALL_CLASSES if task is not None and task.classes else NEARLY_ALL
    return {name: share for name, share in explained.items() if share >= least}


def _class_score(classes: Indices, halves: Iterable[Mask], column: SampledColumn) -> float:
    """Return the share of the wrong classes of a constant prediction that a column removes.

    Args:
        classes: the target, (rows,).
        halves: for each half, whether a row is used for fitting, (rows,); the other rows are for
            the test.
        column: the feature.
    """
    wrong, guessed_wrong = [0, 0], 0  # by value, and by whether it is missing
    for learn in halves:
        known, truth = classes[learn], classes[~learn]
        usual = int(np.argmax(np.bincount(known)))
        for at, groups in enumerate((_nearest(column, learn), _is_missing(column))):
            best = _most_frequent(groups[learn], known, column.distinct + 2, usual)
            wrong[at] += int(np.count_nonzero(best[groups[~learn]] != truth))
        guessed_wrong += int(np.count_nonzero(truth != usual))
    return 1 - min(wrong) / guessed_wrong if guessed_wrong >= _FEWEST_WRONG else 0.0


def _number_score(values: Floats, halves: Iterable[Mask], column: SampledColumn) -> float:
    """Return the largest share of a target's squared error that a column removes.

    See `_class_score`; `values` is (targets, rows).
    """
    errors, guessed = np.zeros((2, len(values))), np.zeros(len(values))
    has_gaps = column.present < len(column.codes)
    for learn in halves:
        truth = values[:, ~learn]
        groupings = [_binned(column, learn)]
        if has_gaps:
            groupings.append((_is_missing(column), np.zeros(len(column.codes))))
        predicted = [_lines(*grouping, values, learn) for grouping in groupings]
        for at in (0, 1):  # by value, and by whether it is missing
            errors[at] += np.sum((truth - predicted[at * has_gaps]) ** 2, axis=1)
        guessed += np.sum((truth - truth.mean(axis=1, keepdims=True)) ** 2, axis=1)
    error = errors.min(axis=0)
    is_usual = (guessed > 0) & (guessed < np.inf)
    left = np.divide(error, guessed, out=np.ones(len(error)), where=is_usual)
    return float(np.fmax.reduce(1 - left))


def _values(column: SampledColumn) -> Indices:
    """Return the group of equal values, (rows,); missing values are the last group."""
    return np.where(column.codes < 0, column.distinct, column.codes)


def _is_missing(column: SampledColumn) -> Indices:
    """Return 1 for missing values and 0 for all others, (rows,)."""
    return (column.codes < 0).astype(np.int64)


def _nearest(column: SampledColumn, learn: Mask) -> Indices:
    """Return the group of equal values, (rows,); a new number joins the nearest fitted number."""
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
    """Group numbers into bins with about equally many of the rows for fitting.

    Returns:
        The bin of each number, where any other value is a separate group, (rows,), and the numbers,
        0 for any other value, (rows,).
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
    """Return the most frequent class of each group, (count,); `usual` for an empty group."""
    most_frequent = np.full(count, usual, dtype=np.int64)
    if np.bincount(groups).max() == 1:  # usual for fractions
        most_frequent[groups] = classes
        return most_frequent
    width = int(classes.max()) + 1
    pairs, rows = np.unique(groups * width + classes, return_counts=True)
    rising = pairs[np.argsort(rows, kind="stable")]
    most_frequent[rising // width] = rising % width  # if a group has several, the last one counts
    return most_frequent


def _lines(groups: Indices, at: Floats, values: Floats, learn: Mask) -> Floats:
    """Predict each target by a least-squares line in each group, (targets, test rows)."""
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
