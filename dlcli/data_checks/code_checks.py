"""Checks of columns whose values name something: numbers that are codes, and many categories.

The number of a school, a state or an item names it. Read as an amount, the schools next to each
other are taken for similar ones, and each is hard to learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from dlcli.config import Categorical, Numeric
from dlcli.data_checks.data_issue import DataIssue, column_issue
from dlcli.data_checks.sample import (
    Codes,
    Floats,
    Sample,
    SampledColumn,
    feature_scores,
    spread,
    target_scores,
)
from dlcli.data_checks.split_checks import STEP, is_positive

LEAST_EXPLAINED = 0.02
"""Share that the values of a column must explain, of what the other columns leave."""
MOST_BY_NEAREST = 0.25
"""Part of this share that the values next to each may explain, if they are codes."""
MOST_VALUES = 1_000
"""Categories that a column may have."""

_FEWEST_VALUES = 10
_FEWEST_ROWS = 4
"""Rows that values have on average. With 3.3 for each baseball player, a network gained nothing
from more players; with 5 to 7 for each county, firm or state, the error fell by 7 to 39 %."""
_LARGEST_SHARE = 0.1
"""Of the rows, with one value; more have mostly the 0 of amounts."""
_CONFIDENCE = 0.999
_WIDTHS = (1, 2, 4, 8)
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Rows of mean 0 that are added to those of a value, or of its neighbours."""
_MOST_COLUMNS = 100
_SAME = 0.9
"""Part of a column's number of values that a copy of it has; districts are fewer than schools."""
_A_PART = "a part of what other columns leave of the target"
_ALL_VALUES = f"{{type: categorical, max_categories: {MOST_VALUES}}}"


def find_codes(sample: Sample) -> DataIssue | None:
    """Find whole numbers that are read as amounts, but are codes as far as the target shows."""
    message = f"whole numbers that explain {_A_PART}, but not by their order"
    advice = f"if they are codes and no amounts, declare {_ALL_VALUES}"
    return column_issue("codes", "note", _percent(select_codes(sample)), message, advice)


def find_many_categories(sample: Sample) -> DataIssue | None:
    """Find categorical columns whose rare values matter, but share one category by default."""
    message = f"categories that explain {_A_PART}, also beyond the most frequent ones"
    found = _percent(select_many_categories(sample))
    return column_issue("many_categories", "warning", found, message, f"declare {_ALL_VALUES}")


def _percent(shares: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{100 * share:.0f} %" for name, share in shares.items()}


def select_names(sample: Sample) -> list[str]:
    """Return the columns of codes, and of categories beyond the most frequent ones, without copies.

    A column is left out if another one has about as many values, and each of them tells its value,
    as a country's code its name.
    """
    found = [*_shares(sample, {**_possible_codes(sample), **_possible_categories(sample)})]
    found.sort(key=lambda name: -sample.columns[name].distinct)
    kept: list[str] = []
    for name in found:
        if not any(_tells(sample.columns[other], sample.columns[name]) for other in kept):
            kept.append(name)
    return kept


def _tells(one: SampledColumn, other: SampledColumn) -> bool:
    """Return whether each value of a column has one value of another, with nearly as many."""
    pairs = np.unique(np.stack([one.codes, other.codes]), axis=1).shape[1]
    return pairs == len(np.unique(one.codes)) and other.distinct >= _SAME * one.distinct


def select_codes(sample: Sample) -> dict[str, float]:
    """Return the columns of codes, and the share that they explain of what other columns leave.

    What a linear model of the other columns leaves of the target is predicted for each row by the
    mean of the other rows with the same value, and by that of the rows with the nearest other
    values, both moved toward 0. The column holds codes if the former explains at least 2 % of the
    variance, the latter at most a fourth of that, and the difference over the values is significant
    at a confidence of 99.9 %. Numbers count by normal scores of their ranks, classes one-hot. Times
    and ages never are codes.

    Args:
        sample: rows of a table. Without a task, no column is found.
    """
    return _shares(sample, _possible_codes(sample))


def select_many_categories(sample: Sample) -> dict[str, float]:
    """Return categorical columns whose rare values matter, and the share that these explain.

    They are predicted as in `select_codes`, once with the 100 most frequent values, which are kept
    by default, and once with up to 1,000. The difference is at least 2 % of the variance, and
    significant. Columns with another maximum are not looked at.

    Args:
        sample: rows of a table. Without a task, no column is found.
    """
    return _shares(sample, _possible_categories(sample))


def _possible_codes(sample: Sample) -> dict[str, Measure]:
    return {
        name: _share_as_codes
        for name, column in sample.columns.items()
        if _may_be_codes(column) and not STEP.search(name)
    }


def _possible_categories(sample: Sample) -> dict[str, Measure]:
    most = Categorical().max_categories
    return {
        name: partial(_share_of_rare, most=most)
        for name, column in sample.columns.items()
        if isinstance(feature := column.decision.feature, Categorical)
        if feature.max_categories == most < column.distinct <= column.present / _FEWEST_ROWS
    }


def _shares(sample: Sample, measures: Mapping[str, Measure]) -> dict[str, float]:
    """Return the shares that columns explain of what the others leave, where they are enough."""
    if sample.task is None or not measures:
        return {}
    left_by_others = _residuals(sample)
    shares = {
        name: measure(_rows_of(sample.columns[name], left_by_others(name)))
        for name, measure in measures.items()
    }
    return {name: share for name, share in shares.items() if share is not None}


def _may_be_codes(column: SampledColumn) -> bool:
    """Return whether a column has whole numbers, some in several rows, and none in very many."""
    if column.numbers is None or not isinstance(column.decision.feature, Numeric):
        return False
    rows = column.present
    is_repeated = _FEWEST_VALUES <= column.distinct <= min(MOST_VALUES, rows / _FEWEST_ROWS)
    if not is_repeated or column.counts.max() > _LARGEST_SHARE * rows:
        return False
    return bool((column.numbers == column.numbers.round()).all())


def _residuals(sample: Sample) -> Callable[[str], Floats]:
    """Return a function from a column to what ridge regression on the others leaves of the target.

    It returns (rows, outputs). Of more than 100 columns, 100 are used, and the penalty is the
    number of their inputs.
    """
    target, scores = target_scores(sample), feature_scores(sample)
    used = spread([*scores], _MOST_COLUMNS)
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
        others: Floats = left + inputs @ change
        return others

    return left_by_others


class _Rows(NamedTuple):
    """The rows of each value."""

    counts: Codes
    """(values,)."""
    sums: Floats
    """Of what is predicted, (values, outputs)."""
    squares: Floats
    """The sum of its squares over rows and outputs, (values,)."""

    def errors(self, predicted: Floats) -> Floats:
        """Return the squared errors of a prediction for each value, (values,)."""
        products = (predicted * self.sums).sum(axis=1)
        errors: Floats = self.squares - 2 * products + self.counts * (predicted**2).sum(axis=1)
        return errors


Measure = Callable[[_Rows], float | None]
"""Returns the share of the variance that the values of a column explain; None if too little."""


def _rows_of(column: SampledColumn, target: Floats) -> _Rows:
    """Return the rows of each value, with a target of mean 0 over them."""
    present = column.codes >= 0
    codes, known = column.codes[present], target[present] - target[present].mean(axis=0)
    sums, squares = np.zeros((column.distinct, known.shape[1])), np.zeros(column.distinct)
    np.add.at(sums, codes, known)
    np.add.at(squares, codes, (known**2).sum(axis=1))
    return _Rows(column.counts, sums, squares)


def _share_as_codes(rows: _Rows) -> float | None:
    """Return the share of the variance that values explain; None if they are amounts."""
    own, nearest = _own_errors(rows), _nearest_errors(rows)
    total = max(float(rows.squares.sum()), 1e-12)
    share, by_nearest = 1 - own.sum() / total, 1 - nearest.sum() / total
    if share < LEAST_EXPLAINED or by_nearest > MOST_BY_NEAREST * share:
        return None
    return float(share) if is_positive(nearest - own, rows.counts, _CONFIDENCE) else None


def _share_of_rare(rows: _Rows, most: int) -> float | None:
    """Return the share that values explain beyond the most frequent ones; None if too little."""
    ranks = np.empty(len(rows.counts), dtype=np.int64)
    ranks[np.argsort(-rows.counts, kind="stable")] = np.arange(len(ranks))
    few, many = (_own_errors(rows, np.minimum(ranks, kept)) for kept in (most, MOST_VALUES))
    share = float((few - many).sum()) / max(float(rows.squares.sum()), 1e-12)
    is_enough = share >= LEAST_EXPLAINED and is_positive(few - many, rows.counts, _CONFIDENCE)
    return share if is_enough else None


def _own_errors(rows: _Rows, groups: Codes | None = None) -> Floats:
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
    """Return the least errors of rows predicted by those of the nearest values, (values,)."""
    count = len(rows.counts)
    before = np.concatenate([np.zeros((1, rows.sums.shape[1])), np.cumsum(rows.sums, axis=0)])
    counted = np.append(0, np.cumsum(rows.counts))
    found = []
    for width in _WIDTHS:
        low = np.maximum(np.arange(count) - width, 0)
        high = np.minimum(np.arange(count) + width + 1, count)
        sums = before[high] - before[low] - rows.sums
        others = counted[high] - counted[low] - rows.counts
        found += [rows.errors(sums / (others + penalty)[:, np.newaxis]) for penalty in _PENALTIES]
    return min(found, key=np.sum)
