"""Checks for columns whose exact values help to predict the target.

The number of a school, a state or an item names it. Read as an amount, the schools next to each
other are taken for similar ones, and each is hard to learn. Some amounts name something as well:
the distance between two airports tells the route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from dlcli.arrays import Floats, Indices
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.row_checks import STEP, is_positive
from dlcli.data_checks.sample import DataFinding, Sample, SampledColumn, column_finding

CategoryKind = Literal["codes", "repeated_amounts", "many_categories"]
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
_KINDS: Mapping[CategoryKind, tuple[sampling.Severity, str, str]] = {
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


class CategoryEffect(NamedTuple):
    """The finding that a column's values name something."""

    kind: CategoryKind
    share: float
    """The share that they explain of what the other columns leave of the target."""


def find_category_effects(sample: Sample, *, texts_only: bool = False) -> list[DataFinding | None]:
    """Find columns whose values name something, but are not encoded so: a finding for each kind."""
    found, findings = measure_category_effects(sample, texts_only=texts_only), []
    for kind, (severity, message, advice) in _KINDS.items():
        named = {name: each.share for name, each in found.items() if each.kind == kind}
        shares = {name: f"{100 * share:.0f} %" for name, share in named.items()}
        findings.append(column_finding(kind, severity, shares, message, advice))
    return findings


def measure_category_effects(
    sample: Sample, *, texts_only: bool = False
) -> dict[str, CategoryEffect]:
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
    together = dict[str, CategoryEffect]()
    for name in sorted(alone, key=lambda name: _rank(alone[name], sample.columns[name])):
        column, left = sample.columns[name], left_by_others(name) - explained
        rows = _rows_of(column, left)
        if found := measures[name](rows):
            together[name] = found
            means = rows.sums / (rows.counts + 1)[:, np.newaxis]
            explained = explained + np.vstack([means, np.zeros_like(means[:1])])[column.codes]
    return {name: together[name] for name in alone if name in together}


def _rank(effect: CategoryEffect, column: SampledColumn) -> tuple[bool, float, int]:
    """Order columns; of those that explain the same, one with more values before its near copy."""
    return effect.kind == "repeated_amounts", -round(effect.share, 2), -column.distinct


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


Measure = Callable[[_Rows], CategoryEffect | None]
"""Returns whether values name something, from the rows of each."""


def _rows_of(column: SampledColumn, target: Floats) -> _Rows:
    """Return the rows of each value, with a target of mean 0 over them."""
    present = column.codes >= 0
    codes, known = column.codes[present], target[present] - target[present].mean(axis=0)
    sums, squares = np.zeros((column.distinct, known.shape[1])), np.zeros(column.distinct)
    np.add.at(sums, codes, known)
    np.add.at(squares, codes, (known**2).sum(axis=1))
    return _Rows(column.counts, sums, squares)


def _measure_numbers(rows: _Rows, may_be_codes: bool) -> CategoryEffect | None:
    """Compare the values of numbers with the nearest ones."""
    own, nearest = _own_errors(rows), _nearest_errors(rows)
    if not _is_better(own, nearest, rows):
        return None
    share, by_nearest = rows.share_without(own), rows.share_without(nearest)
    is_code = may_be_codes and by_nearest <= _MOST_BY_NEAREST * share
    return CategoryEffect("codes" if is_code else "repeated_amounts", share)


def _measure_rare(rows: _Rows, most: int) -> CategoryEffect | None:
    """Compare up to 1,000 categories with the most frequent ones."""
    ranks = np.empty(len(rows.counts), dtype=np.int64)
    ranks[np.argsort(-rows.counts, kind="stable")] = np.arange(len(ranks))
    few, many = (_own_errors(rows, np.minimum(ranks, kept)) for kept in (most, MOST_VALUES))
    if not _is_better(many, few, rows):
        return None
    return CategoryEffect("many_categories", rows.share_without(many) - rows.share_without(few))


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
