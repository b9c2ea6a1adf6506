"""Columns that tell the target almost by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlcli.data_checks.finding import DataIssue, listed
from dlcli.data_checks.sample import Codes, Floats, Sample, SampledColumn
from dlcli.encoding import MIN_ROWS

NEARLY_ALL = 0.99
"""The share of the error of guessing that a column must take away to be suspected."""
_FEWEST_WRONG = 5
_BINS = 50
_ROWS_A_BIN = 10

_Score = Callable[[SampledColumn], float]


class _Halves(NamedTuple):
    """A column's rows to learn from and to be tested on; group and position of each row."""

    groups: int
    learned: Codes
    learned_at: Floats
    tested: Codes
    tested_at: Floats


@np.errstate(over="ignore", invalid="ignore")
def find_leakage(sample: Sample) -> DataIssue | None:
    """Finds columns from which alone the target of other rows follows almost without error.

    Of each column a predictor is learned on one half of the rows and tested on the other, and the
    other way round, so that an identifier, which has nothing to say of other rows, is none. Classes
    are predicted as the commonest of the same category, or of the nearest number; numbers as the
    mean of the category, or by a straight line in each of up to 50 bins of a number. Suspected is
    what takes away 99 % of the error of guessing, `1 - e / e₀`: `e` counts wrong classes, and `e₀`
    those when always guessing the commonest; for numbers they are sums of squares, `e₀` around the
    mean, so that this is R².

    Silent below 20 rows, for a lone feature, and where guessing classes errs in fewer than 5 rows.
    """
    if sample.target is None or sample.table.rows < MIN_ROWS or len(sample.columns) < 2:
        return None
    scores = [_score(sample, target) for target in sample.target.columns]
    explained = {
        name: max(score(column) for score in scores) for name, column in sample.columns.items()
    }
    leaks = {name: _percent(part) for name, part in explained.items() if part >= NEARLY_ALL}
    if not leaks:
        return None
    message = f"one column alone predicts nearly all of the target: {listed(leaks)}"
    advice = (
        "check that its value is known when one predicts, and not made from the target; "
        "if it isn't, say 'ignored' of it in input.features"
    )
    return DataIssue("target_leakage", "warning", tuple(leaks), None, message, advice)


def _percent(explained: float) -> str:
    return f"{np.floor(explained * 1000) / 10:g} %"


def _score(sample: Sample, target: str) -> _Score:
    """How much of a target column's error a feature takes away."""
    assert sample.target is not None
    first = np.random.default_rng(0).permutation(sample.table.rows) % 2 == 0
    if sample.target.classes or not sample.table.looks_numeric(target):
        codes, names = sample.table.codes(target)
        classes = np.where(codes < 0, len(names), codes)  # no label is a class, too
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
        predicted = _commonest(halves.learned, known, halves.groups, usual)[halves.tested]
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
    """Groups of equal values; a gap is a value, too, the last."""
    codes = np.where(column.codes < 0, column.distinct, column.codes)
    place = np.zeros(len(codes))
    groups = column.distinct + 1
    return _Halves(groups, codes[learn], place[learn], codes[~learn], place[~learn])


def _nearest(column: SampledColumn, learn: NDArray[np.bool_]) -> _Halves:
    """Groups of equal numbers; a number that was not learned joins the nearest that was."""
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
    """Groups of about equally many of the rows that are learned from, by rising number."""
    assert column.numbers is not None
    codes = column.codes
    known = np.sort(codes[learn & (codes >= 0)])
    bins = max(1, min(_BINS, len(known) // _ROWS_A_BIN))
    edges = np.unique(known[np.arange(1, bins) * len(known) // bins]) if len(known) else known
    groups = np.where(codes < 0, len(edges) + 1, np.searchsorted(edges, codes, side="right"))
    place = np.append(column.numbers, 0.0)[codes]
    return _Halves(len(edges) + 2, groups[learn], place[learn], groups[~learn], place[~learn])


def _commonest(groups: Codes, classes: Codes, count: int, usual: int) -> Codes:
    """The commonest class of each group, (count,); `usual` for a group without rows."""
    width = int(classes.max()) + 1
    pairs, rows = np.unique(groups * width + classes, return_counts=True)
    rising = pairs[np.argsort(rows, kind="stable")]
    commonest = np.full(count, usual, dtype=np.int64)
    commonest[rising // width] = rising % width  # of several, the last one stays
    return commonest


def _lines(halves: _Halves, values: Floats) -> Floats:
    """Predicts by a least-squares line in each group, (rows tested,)."""
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
